"""Fine-tuning a network with a depth head: known depths are learnt, others held, and how sure they are stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from training_cases import DEPTHS, NAMES, SMALL_UNET, build_experiment, make_case, run

from thermo_qc.config import ExperimentConfig
from thermo_qc.errors import ConfigError
from thermo_qc.models import build_network
from thermo_qc.sequence import Defect, Material, Truth
from thermo_qc.training.depth_tuning import DepthCodes, DepthTuningModule, code_depths
from thermo_qc.training.history import read_history
from thermo_qc.training.inputs import case_signature

MATERIAL = Material(
    name="m",
    conductivity_through_w_mk=0.3,
    conductivity_in_plane_w_mk=0.3,
    density_kg_m3=1500.0,
    heat_capacity_j_kgk=1000.0,
)


def test_depth_outputs_are_held_to_the_start(tmp_path):
    case = make_case("a", n_classes=2)
    settings = build_experiment("segmentation", "unet", {**SMALL_UNET, "depth_head": True}, epochs=1, crop_px=16,
                                samples_per_epoch=2, optimiser={"learning_rate": 0.01})  # fmt: skip
    options = {"class_names": NAMES[:2], "class_depths_mm": DEPTHS[:2]}
    with pytest.raises(ConfigError, match="a network with a depth head learns depths on a corpus"):
        run([case], settings, tmp_path / "fresh", **options)
    plain = run([case], build_experiment("segmentation", "unet", SMALL_UNET, epochs=1), tmp_path / "plain", **options)
    network = build_network("segmentation", "unet", representation=plain.representation, n_classes=2,
                            parameters={**SMALL_UNET, "depth_head": True})  # fmt: skip
    start = replace(
        plain, network=network, parameters={**SMALL_UNET, "depth_head": True}, metadata={"depth_spread": 1.3}
    )
    model = run([case], settings, tmp_path / "on", start=start, **options)
    assert model.has_depth_head and model.metadata["depth_spread"] == 1.3
    network.eval()
    module = DepthTuningModule(
        network, teacher=network, loss=nn.CrossEntropyLoss(ignore_index=255), make_optimiser=None,
        rate_factor=None, class_names=NAMES[:2],
    )  # fmt: skip
    stack = torch.from_numpy(model.representation.stack(case.sequence))[None]
    target = torch.from_numpy(case.class_map)[None].long()
    assert module.logits_of(stack).shape[1] == 2
    with torch.no_grad():
        base = module.loss(module.logits_of(stack), target)
        assert float(module.batch_loss(stack, target)) == pytest.approx(float(base), rel=1e-5)  # no distance yet
        network.body.segmentation_head[0].bias[2] += 0.5
        moved = module.batch_loss(stack, target) - module.loss(module.logits_of(stack), target)
    assert float(moved) == pytest.approx(0.125, rel=1e-3)  # half of the two outputs' square difference


def with_depths(case, depths_mm, material=MATERIAL):
    depth = np.full(case.class_map.shape, np.nan, dtype=np.float32)
    for label, depth_mm in depths_mm.items():
        depth[case.class_map == label] = depth_mm
    index = np.where(case.class_map == 255, -1, case.class_map).astype(np.int16)
    defects = tuple(Defect(number=k, depth_mm=depths_mm.get(k)) for k in np.unique(index[index > 0]).tolist())
    truth = Truth(defect_index=index, depth_mm=depth, defects=defects)
    return replace(case, sequence=replace(case.sequence, truth=truth, material=material, thickness_mm=5.0))


def test_labels_carry_class_and_depth():
    one = with_depths(make_case("a"), {1: 1.0, 2: 2.5})
    other = with_depths(make_case("b"), {1: 1.0})
    bare = with_depths(make_case("c"), {1: 1.0}, material=None)
    cases = [one, other, bare]
    coded, codes = code_depths([case.sequence for case in cases], [case.class_map for case in cases], 3)
    length_mm = np.sqrt(MATERIAL.diffusivity_through_mm2_s * one.sequence.times_s[-1])
    for case, found in zip(cases, coded, strict=True):
        np.testing.assert_array_equal(codes.classes[found], case.class_map)
    for label, depth_mm in ((1, 1.0), (2, 2.5)):
        inside = one.class_map == label
        np.testing.assert_allclose(np.exp(codes.log_depth[coded[0]][inside]) * length_mm, depth_mm, rtol=0.003)
    assert set(coded[0][one.class_map == 1]) == set(coded[1][other.class_map == 1])  # the same depth
    assert np.isnan(codes.log_depth[coded[1]][other.class_map != 1]).all() and np.isnan(codes.log_depth[coded[2]]).all()
    np.testing.assert_array_equal(coded[2], bare.class_map)


def test_more_classes_with_depths_than_numbers_are_refused():
    labels = np.repeat(np.arange(1, 131, dtype=np.uint8), 2).reshape(20, 13)
    defects = tuple(Defect(number=number) for number in range(1, 131))
    truth = Truth(defect_index=labels.astype(np.int16), depth_mm=(labels / 10.0).astype(np.float32), defects=defects)
    sequence = replace(make_case("a", shape=(20, 13)).sequence, truth=truth, material=MATERIAL)
    with pytest.raises(ConfigError, match="131 classes with depths are more than labels can tell apart"):
        code_depths([sequence], [labels], 131)


def test_more_depths_than_numbers_are_rounded_coarser():
    labels = np.ones((20, 40), dtype=np.uint8)
    depth = np.geomspace(0.1, 10.0, labels.size).reshape(labels.shape).astype(np.float32)
    case = make_case("a", shape=(20, 40))
    truth = Truth(defect_index=labels.astype(np.int16), depth_mm=depth, defects=(Defect(number=1),))
    sequence = replace(case.sequence, truth=truth, material=MATERIAL)
    (coded,), codes = code_depths([sequence], [labels], 2)
    length_mm = np.sqrt(MATERIAL.diffusivity_through_mm2_s * sequence.times_s[-1])
    assert coded.max() < 255 and np.unique(coded).size > 100
    np.testing.assert_allclose(np.exp(codes.log_depth[coded]) * length_mm, depth, rtol=0.021)


def test_how_sure_a_depth_is_stays_as_it_was():
    network = nn.Conv2d(3, 4, 1)
    module = DepthTuningModule(
        network, teacher=network, loss=nn.CrossEntropyLoss(ignore_index=255), make_optimiser=None,
        rate_factor=None, class_names=NAMES[:2], codes=DepthCodes(
            classes=np.where(np.arange(256) == 2, 1, np.arange(256)).astype(np.uint8),
            log_depth=np.where(np.arange(256) == 2, 0.3, np.nan).astype(np.float32),
        ),
    )  # fmt: skip
    stacks, target = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0)), torch.full((2, 5, 5), 2)
    module.batch_loss(stacks, target).backward()
    assert float(network.bias.grad[2].abs()) > 1e-3  # the depth learns
    assert float(network.bias.grad[3].abs()) == 0.0  # its deviation does not
    with torch.no_grad():
        network.bias[3] += 0.5
    network.zero_grad()
    module.batch_loss(stacks, target).backward()
    assert float(network.bias.grad[3]) == pytest.approx(0.5, rel=1e-5)  # and goes back where it was


def test_known_depths_are_learnt_and_unknown_ones_held(tmp_path):
    options = {"class_names": NAMES[:2], "class_depths_mm": DEPTHS[:2]}
    parameters = {**SMALL_UNET, "depth_head": True}
    plain = run([make_case("a", n_classes=2)], build_experiment("segmentation", "unet", SMALL_UNET, epochs=1),
                tmp_path / "plain", **options)  # fmt: skip
    torch.manual_seed(0)
    network = build_network("segmentation", "unet", representation=plain.representation, n_classes=2,
                            parameters=parameters)  # fmt: skip
    start = replace(plain, network=network, parameters=parameters)
    settings = build_experiment("segmentation", "unet", parameters, epochs=20, batch_size=1, samples_per_epoch=5,
                                optimiser={"learning_rate": 0.01})  # fmt: skip
    bare = with_depths(make_case("a", n_classes=2), {})

    def depth_of(model):
        return float(np.median(model.look(bare.sequence).depth_mm[bare.class_map == 1]))

    before = depth_of(start)
    known = with_depths(bare, {1: 0.5 * before})
    learnt = run([known], settings, tmp_path / "learnt", start=start, **options)
    held = run([bare], settings, tmp_path / "held", start=start, **options)
    assert depth_of(learnt) < 0.75 * before and 0.85 * before < depth_of(held) < 1.15 * before

    def deviation_of(model):
        look = model.look(bare.sequence)
        return float(np.median((look.depth_std_mm / look.depth_mm)[bare.class_map == 1]))

    assert deviation_of(learnt) == pytest.approx(deviation_of(start), rel=0.15)
    dense = replace(MATERIAL, density_kg_m3=1900.0)
    for number, other in enumerate(
        (with_depths(bare, {1: 0.6 * before}), with_depths(bare, {1: 0.5 * before}, material=dense))
    ):
        assert case_signature([other], {}) != case_signature([known], {}), number
    watched = {**settings.train.model_dump(mode="json", by_alias=True), "epochs": 2, "validation_fraction": 0.0}
    checked = ExperimentConfig.model_validate({**settings.model_dump(mode="json", by_alias=True), "train": watched})
    run([known], checked, tmp_path / "checked", start=start, validation_cases=[known], **options)
    history = read_history(tmp_path / "checked" / "history.csv")
    assert all(np.isfinite(row["validation_loss"]) for row in history)


def test_depths_are_kept_when_the_classes_are_others(tmp_path):
    case = make_case("a", n_classes=3)
    parameters = {**SMALL_UNET, "depth_head": True}
    plain = run([case], build_experiment("segmentation", "unet", SMALL_UNET, epochs=1), tmp_path / "plain")
    built = {
        n_classes: build_network(
            "segmentation", "unet", representation=plain.representation, n_classes=n_classes, parameters=parameters
        ).eval()
        for n_classes in (2, 3)
    }
    heads = {n_classes: network.body.segmentation_head[0] for n_classes, network in built.items()}
    with torch.no_grad():
        for head in heads.values():
            head.weight[-2:], head.bias[-2:] = 0.0, torch.tensor([-0.7, -3.0])
    module = DepthTuningModule(
        built[3], teacher=built[2], loss=nn.CrossEntropyLoss(ignore_index=255), make_optimiser=None,
        rate_factor=None, class_names=NAMES[:3],
    )  # fmt: skip
    stack = torch.from_numpy(plain.representation.stack(case.sequence))[None]
    target = torch.from_numpy(case.class_map)[None].long()
    with torch.no_grad():
        base = module.loss(module.logits_of(stack), target)
        assert float(module.batch_loss(stack, target)) == pytest.approx(float(base), rel=1e-5)  # the same depths
        heads[3].bias[-2] += 1.0
        moved = module.batch_loss(stack, target) - module.loss(module.logits_of(stack), target)
    assert float(moved) == pytest.approx(0.5, rel=1e-3)
