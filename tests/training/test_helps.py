"""Weight averaging, gradient noise, curriculum, mixed precision: each does what it says."""

import numpy as np
import pytest
import torch
from torch import nn
from training_cases import SMALL_UNET, build_experiment, make_case, run, weights

from thermo_qc.models.curve.along_time import as_rows, over_time
from thermo_qc.training import Case, CurveBatches
from thermo_qc.training.augment import StackAugmenter
from thermo_qc.training.curriculum import contrast_of, defect_share_of, plan_curriculum
from thermo_qc.training.helps import GradientNoise, WeightAverage
from thermo_qc.training.history import read_history
from thermo_qc.training.stacks import StackBatches


def test_averaged_weights_are_the_mean_of_the_last_epochs(cases, tmp_path, monkeypatch):
    seen = []
    plain = WeightAverage.on_train_epoch_end

    def watch(self, trainer, module):
        seen.append({name: p.detach().clone() for name, p in module.network.named_parameters()})
        plain(self, trainer, module)

    monkeypatch.setattr(WeightAverage, "on_train_epoch_end", watch)
    options = {"epochs": 4, "averaging": {"start_fraction": 0.5, "learning_rate_factor": 2.0}}
    model = run(cases, build_experiment(validation_fraction=0.2, **options), tmp_path)
    for name, value in model.network.named_parameters():
        torch.testing.assert_close(value.detach(), (seen[2][name] + seen[3][name]) / 2, msg=name)
    assert [row["learning_rate"] for row in read_history(tmp_path / "history.csv")][2:] == [2e-3, 2e-3]


def test_statistics_belong_to_the_averaged_weights(cases, tmp_path):
    model = run(cases, build_experiment(epochs=3, averaging={"start_fraction": 0.3}), tmp_path)
    curves = np.concatenate([model.representation.curves(case.sequence, case.labelled) for case in cases])
    first = model.network.features[0]
    values = over_time(first(as_rows(torch.from_numpy(curves))))
    torch.testing.assert_close(
        model.network.features[1].running_mean, values.mean((0, 2)).detach(), rtol=0.1, atol=0.02
    )


def test_averaging_that_never_starts_is_said(cases, tmp_path, caplog):
    wrong = np.where(cases[1].labelled, 2 - cases[1].class_map, 255).astype(np.uint8)
    options = {"epochs": 30, "early_stopping_epochs": 1, "averaging": {"start_fraction": 0.9}}
    flipped = Case(key="v", sequence=cases[1].sequence, class_map=wrong)
    run(cases[:1], build_experiment(**options), tmp_path, validation_cases=[flipped])
    assert "training ended before epoch 27, the first that counts; the best weights are kept" in caplog.text


def test_noise_has_the_deviation_that_its_formula_says():
    noise = GradientNoise(eta=0.3, gamma=0.55)
    assert noise.deviation(0) == pytest.approx(0.3**0.5)
    assert noise.deviation(99) == pytest.approx((0.3 / 100**0.55) ** 0.5)
    network = nn.Linear(200, 200)
    network.weight.grad = torch.zeros_like(network.weight)
    torch.manual_seed(0)
    noise.add(network, 99)
    assert float(network.weight.grad.std()) == pytest.approx(noise.deviation(99), rel=0.02)
    assert network.bias.grad is None  # frozen parameters get none


def test_noise_comes_after_clipping_and_falls_with_the_steps(cases, tmp_path, monkeypatch):
    steps, norms = [], []
    plain = GradientNoise.add

    def watch(self, network, step):
        steps.append(step)
        norms.append(float(torch.linalg.vector_norm(torch.cat([p.grad.ravel() for p in network.parameters()]))))
        plain(self, network, step)

    monkeypatch.setattr(GradientNoise, "add", watch)
    run(cases, build_experiment(epochs=2, gradient_noise={"eta": 0.1}, gradient_clip=1e-3, batch_size=600), tmp_path)
    assert steps == [0, 1, 2, 3]
    assert max(norms) <= 1.001e-3


def graded(strengths):
    """Cases whose defects stand out less and less."""
    result = []
    for number, strength in enumerate(strengths):
        case = make_case(str(number), number)
        frames = np.array(case.sequence.frames)
        sound = frames[:, case.class_map == 0].mean(axis=1)[:, None, None]
        weak = np.where(case.class_map > 0, sound + strength * (frames - sound), frames).astype(np.float32)
        result.append(Case(key=case.key, sequence=case.sequence.with_frames(weak, "weaker"), class_map=case.class_map))
    return result


def test_curriculum_goes_from_easy_to_hard():
    cases = graded([0.2, 1.0, 0.6, 0.4])
    ease = [contrast_of(case) for case in cases]
    assert ease[1] > ease[2] > ease[3] > ease[0]
    plan = plan_curriculum(cases, by="contrast", start_fraction=0.25, epochs_fraction=0.5, epochs=8)
    assert plan.order.tolist() == [1, 2, 3, 0]
    assert [plan.number(epoch) for epoch in range(6)] == [1, 1, 2, 3, 4, 4]
    assert plan.pool(2).tolist() == [False, True, True, False]


def test_curriculum_by_share_has_every_class_at_once():
    small = make_case("small")
    few = np.where(small.class_map == 2, 0, small.class_map).astype(np.uint8)
    cases = [Case(key="few", sequence=small.sequence, class_map=few), small]
    cases.append(Case(key="none", sequence=small.sequence, class_map=np.zeros((24, 24), np.uint8)))
    assert defect_share_of(cases[2]) == contrast_of(cases[2]) == np.inf
    plan = plan_curriculum(cases, by="defect_share", start_fraction=0.01, epochs_fraction=1.0, epochs=4)
    assert plan.order.tolist() == [2, 1, 0]
    assert plan.first == 2  # the plate without defects alone could teach nothing


def test_batches_draw_from_the_pool_alone():
    def pool(epoch):
        return np.array([True, epoch > 0])

    labels = torch.tensor([0, 1, 0, 1], dtype=torch.uint8)
    options = {"counts": np.array([2, 2]), "batch_size": 4, "seed": 0, "pool": pool}
    for balanced in (False, True):
        batches = CurveBatches(
            torch.zeros(4, 2, 1), labels, cases=np.array([0, 0, 1, 1]), class_balanced=balanced, **options
        )
        assert set(batches.draw(0).tolist()) == {0, 1} and len(batches.draw(0)) == 4
        assert set(batches.draw(1).tolist()) == {0, 1, 2, 3}
        maps = [np.array([[0, 1]] * 2, np.uint8)] * 2
        stacks = StackBatches(
            [np.zeros((1, 2, 2), np.float32)] * 2, maps, augmenter=StackAugmenter(), class_balanced=balanced,
            samples_per_epoch=6, **options,
        )  # fmt: skip
        assert {case for case, _ in stacks.draw(0)} == {0}
        assert {case for case, _ in stacks.draw(1)} == {0, 1}


def test_curriculum_changes_what_is_learnt(tmp_path):
    cases = graded([1.0, 0.1])
    plain = run(cases, build_experiment(epochs=2), tmp_path / "plain")
    early = run(
        cases, build_experiment(epochs=2, curriculum={"start_fraction": 0.5, "epochs_fraction": 1.0}), tmp_path / "c"
    )
    assert not np.array_equal(weights(plain)["head.weight"], weights(early)["head.weight"])


def test_bf16_computes_in_bf16_and_keeps_float32_weights(case, tmp_path):
    kinds = set()
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, _inputs, output: (
            kinds.add(output.dtype) if isinstance(module, nn.Conv2d) and output.requires_grad else None
        )
    )
    try:
        settings = build_experiment("segmentation", "unet", SMALL_UNET, epochs=1, precision="bf16-mixed")
        model = run([case], settings, tmp_path)
    finally:
        handle.remove()
    assert kinds == {torch.bfloat16}
    assert {value.dtype for value in model.network.parameters()} == {torch.float32}
