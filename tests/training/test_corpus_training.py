"""Batches of acquisitions, the loss of classes and depth, pixels that count, and whole tiny trainings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from simulated_plates import RECIPE, plate
from threadpoolctl import threadpool_info, threadpool_limits

from thermo_qc.config import CorpusExperimentConfig
from thermo_qc.errors import TrainingError
from thermo_qc.models import load_trained
from thermo_qc.models.pixelwise import PixelCurves
from thermo_qc.training import AcquisitionRanges, SimulatedPlate, dense, draw_acquisition, train_on_corpus
from thermo_qc.training import corpus as corpus_training
from thermo_qc.training.calibration import best_threshold, fit_scaling
from thermo_qc.training.curriculum import plate_curriculum
from thermo_qc.training.dense import AcquisitionBatches, DefectAndDepthLoss
from thermo_qc.training.helps import take_average
from thermo_qc.training.module import DenseModule


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    options = {
        "representation": RECIPE,
        "ranges": AcquisitionRanges(),
        "batch_size": 2,
        "samples_per_epoch": 16,
        "crop_px": 22,
    }
    one, two = (AcquisitionBatches([plate(0), plate(3)], **options, seed=4, threads=threads) for threads in (1, 3))
    first, again = list(one), list(two)
    assert len(first) == len(one) == 8 and first[0][0].shape == (2, 39, 22, 22) and first[0][1].shape == (2, 3, 22, 22)
    for (stacks, targets), (same, wanted) in zip(first, again, strict=True):
        torch.testing.assert_close(stacks, same, rtol=0, atol=0)
        torch.testing.assert_close(targets, wanted, rtol=0, atol=0)
    one.epoch = 1
    assert not torch.equal(next(iter(one))[0], first[0][0])
    assert (first[0][1][:, 0] == 255).any()  # padded


def test_drawing_leaves_the_other_cores_to_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def drawn(*arguments: object) -> object:
        counts.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return draw_acquisition(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(dense, "draw_acquisition", drawn)
    with threadpool_limits(2, user_api="blas"):
        batches = AcquisitionBatches(
            [plate(0)],
            representation=RECIPE,
            ranges=AcquisitionRanges(),
            batch_size=1,
            samples_per_epoch=2,
            crop_px=12,
            seed=0,
        )
        assert len(list(batches)) == 2
        after = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert counts and set(counts) == {1} and set(after) == {2}  # and given back


def test_loss_falls_with_better_answers_and_ignores_what_it_must() -> None:
    labels = torch.tensor([[0.0, 1.0, 255.0]]).reshape(1, 1, 1, 3)
    target = torch.cat([labels, torch.full((1, 1, 1, 3), 0.5), torch.full((1, 1, 1, 3), 2.0)], dim=1)
    good = torch.tensor([[4.0, -4.0, 9.0], [-4.0, 4.0, -9.0], [0.0, 0.5, 7.0], [0.0, -2.0, 5.0]]).reshape(1, 4, 1, 3)
    loss = DefectAndDepthLoss()
    best = float(loss(good, target))
    worse = good.clone()
    worse[0, :2, 0, 1] *= -1
    assert float(loss(worse, target)) > best + 1
    deeper = good.clone()
    deeper[0, 2, 0, 1] = 2.5
    assert float(loss(deeper, target)) == pytest.approx(best + 0.2 * 0.5 * 4.0 * np.exp(2.0), rel=1e-5)
    ignored = good.clone()
    ignored[0, :, 0, 2] = 3.0
    assert float(loss(ignored, target)) == pytest.approx(best)
    nothing = target.clone()
    nothing[:, 0] = 255.0
    assert torch.isfinite(loss(good, nothing))


def test_depth_of_a_large_defect_counts_no_more_than_that_of_a_small_one() -> None:
    labels = torch.ones(1, 1, 1, 2)
    outputs = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]).reshape(1, 4, 1, 2)
    rest = float(DefectAndDepthLoss(depth=0.0)(outputs, torch.cat([labels, 0 * labels, labels], dim=1)))

    def depth_loss(importance: tuple[float, float]) -> float:
        weight = torch.tensor(importance).reshape(1, 1, 1, 2)
        return float(DefectAndDepthLoss(depth=1.0)(outputs, torch.cat([labels, 0 * labels, weight], dim=1))) - rest

    assert depth_loss((1.0, 1.0)) == pytest.approx(0.25)
    assert depth_loss((1.0, 3.0)) == pytest.approx(0.125)
    assert depth_loss((3.0, 1.0)) == pytest.approx(0.375)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_unsure_depths_weigh_more_with_beta(beta: float) -> None:
    """The gradient by the mean is error x variance^(beta - 1): at 1 that of the squared error."""
    labels = torch.ones(1, 1, 1, 2)
    outputs = torch.zeros(1, 4, 1, 2)
    outputs[0, 2], outputs[0, 3] = 0.5, torch.tensor([[-4.0, 0.0]])
    outputs.requires_grad_()
    target = torch.cat([labels, 0 * labels, labels], dim=1)
    DefectAndDepthLoss(depth=1.0, depth_beta=beta)(outputs, target).backward()
    assert outputs.grad is not None
    sure, unsure = outputs.grad[0, 2, 0].tolist()
    assert sure == pytest.approx(0.25 * np.exp(-4.0) ** (beta - 1)) and unsure == pytest.approx(0.25)
    settled = torch.zeros(1, 4, 1, 1)
    settled[0, 2], settled[0, 3] = 0.3, float(np.log(0.09))  # where the variance is right, it stays
    settled.requires_grad_()
    DefectAndDepthLoss(depth=1.0, depth_beta=beta)(settled, target[..., :1]).backward()
    assert settled.grad is not None and abs(float(settled.grad[0, 3])) < 1e-6


def test_pixels_that_count_are_sampled_in_and_next_to_defects() -> None:
    labels = np.zeros((40, 40), dtype=np.float32)
    labels[10:14, 10:15], labels[0], labels[30:, 30:] = 1, 255, 255
    sampled = dense._sampled(labels, 200, np.random.default_rng(0))
    assert np.count_nonzero(sampled != 255) == 200
    assert np.all((sampled == labels) | (sampled == 255)) and np.count_nonzero(sampled == 1) == 20
    near = np.zeros(labels.shape, dtype=bool)
    near[6:18, 6:19] = True
    assert np.count_nonzero(near & (sampled == 0)) >= 50
    assert np.array_equal(sampled, dense._sampled(labels, 200, np.random.default_rng(0)))
    assert np.array_equal(dense._sampled(labels, 5000, np.random.default_rng(0)), labels)
    sound = np.zeros((9, 9), dtype=np.float32)
    assert np.count_nonzero(dense._sampled(sound, 30, np.random.default_rng(0)) == 0) == 30


def test_a_training_on_pixels_counts_those_it_samples() -> None:
    options = {"representation": RECIPE, "ranges": AcquisitionRanges(), "batch_size": 1, "samples_per_epoch": 2}
    batches = AcquisitionBatches([plate(0), plate(3)], **options, crop_px=16, seed=4, n_pixels=60)
    for stacks, targets in batches:
        assert stacks.shape == (1, 39, 16, 16) and (targets[:, 0] != 255).sum() == 60
    network = PixelCurves(39, 4, radii=(1,), core_parameters={"channels": [4], "batch_norm": False})
    seen: list[int] = []
    network.core.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    loss = DefectAndDepthLoss()
    module = DenseModule(
        network, loss=loss, make_optimiser=torch.optim.SGD, rate_factor=lambda *_: 1.0, class_names=("sound", "defect")
    )
    found = module.batch_loss(stacks, targets)
    assert seen == [60]
    assert torch.allclose(found, loss(network(stacks), targets), atol=1e-5)


def test_averaged_weights_get_statistics_of_the_pixels_that_count() -> None:
    network = PixelCurves(39, 4, radii=(1,), core_parameters={"channels": [4]})
    stacks, targets = torch.randn(2, 39, 6, 6), torch.full((2, 3, 6, 6), 255.0)
    stacks[:, 32], targets[:, 0, 2, 2:4] = 1.0, 0.0
    seen: list[int] = []
    network.core.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    weights = {name: value.detach() for name, value in network.named_parameters()}
    take_average(network, weights, [(stacks, targets), (stacks, targets[:, 0])], statistics=True)
    assert seen == [4, 4]


def test_sampled_pixels_are_for_networks_on_pixels() -> None:
    with pytest.raises(ValidationError, match="pixels_per_sample is for pixel_curves, 'curve_unet' looks at whole"):
        CorpusExperimentConfig(name="x", corpus="c", train={"pixels_per_sample": 100})


def test_training_on_a_corpus(tmp_path: Path) -> None:
    experiment = CorpusExperimentConfig(
        name="tiny",
        corpus="none",
        representation={"n_heating": 4, "n_cooling": 12, "background_order": 1},
        model={"parameters": {"curve_widths": [8], "widths": [8, 12]}},
        train={
            "epochs": 3,
            "samples_per_epoch": 12,
            "batch_size": 3,
            "crop_px": 20,
            "warmup_epochs": 0,
            "averaged_epochs": 1,
            "validation_plates": 2,
            "learning_rate": 0.01,
        },
    )
    plates = [plate(number % 8) for number in range(5)]
    losses: list[float] = []
    model = train_on_corpus(
        plates,
        experiment=experiment,
        folder=tmp_path / "run",
        signature="s",
        progress=lambda _done, _all, loss: losses.append(loss),
    )
    assert len(losses) == 3 and losses[-1] < losses[0]
    assert model.has_depth_head and model.metadata["depth_calibration_defects"] > 0
    assert 0.3 <= model.defect_threshold <= 0.7 and model.metadata["defect_threshold"] == model.defect_threshold
    again = load_trained(tmp_path / "run" / "model.safetensors")
    assert again.sha256 == model.sha256
    sequence = plates[0].sequence
    view, same = model.look(sequence), again.look(sequence)
    np.testing.assert_array_equal(view.probability, same.probability)
    assert view.depth_std_mm is not None and (view.depth_std_mm > 0).all() and (view.depth_mm > 0).all()
    np.testing.assert_allclose(view.probability.sum(axis=0), 1.0, atol=1e-5)
    unknown = model.look(replace(sequence, material=None))
    assert np.isnan(unknown.depth_mm).all()
    turned = model.look(sequence, tta=True)
    assert turned.probability.shape == view.probability.shape
    with pytest.raises(TrainingError, match="belongs to another experiment"):
        train_on_corpus(plates, experiment=experiment, folder=tmp_path / "run", signature="other")
    with pytest.raises(TrainingError, match="2 plates came, 2 of them are kept for calibration"):
        train_on_corpus(plates[:2], experiment=experiment, folder=tmp_path / "few", signature="s")
    with pytest.raises(TrainingError, match="needs truth, material and ambient"):
        SimulatedPlate(sequence=replace(sequence, truth=None), indices={})


def test_depths_are_calibrated_on_complete_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deviations are those of recordings that inspections make, whatever else the network learnt to cope with."""
    drawn: list[AcquisitionRanges] = []

    def draw(one, rng, representation, ranges):  # type: ignore[no-untyped-def]
        drawn.append(ranges)
        return draw_acquisition(one, rng, representation, ranges)

    class Model:
        representation = RECIPE

        @staticmethod
        def stack_outputs(stack):  # type: ignore[no-untyped-def]
            outputs = np.full((4, *stack.shape[1:]), 0.5, dtype=np.float32)
            outputs[2], outputs[3] = log_depth + 0.2 * stack[32 + 3], np.log(0.1**2)  # off by 0.2 where a fact is known
            return outputs

    ranges = AcquisitionRanges(no_facts_share=1.0)
    sample = draw_acquisition(plate(0), np.random.default_rng(0), RECIPE, ranges.complete)
    log_depth = float(sample.log_depth[8, 8])
    monkeypatch.setattr(corpus_training, "draw_acquisition", draw)
    found = corpus_training._calibrated(Model(), [plate(0), plate(1)], ranges, 0)  # type: ignore[arg-type]
    assert found["depth_spread"] == pytest.approx(2.0, rel=0.05) and found["depth_calibration_defects"] == 4
    assert sum(one is not ranges for one in drawn) == 4 and sum(one is ranges for one in drawn) == 6


def test_scaling_undoes_weights_and_overconfidence() -> None:
    rng = np.random.default_rng(0)
    true_logit = rng.normal(-1.0, 2.0, 40_000)
    labels = (rng.random(true_logit.size) < 1 / (1 + np.exp(-true_logit))).astype(np.uint8)
    temperature, offset = fit_scaling(3.0 * true_logit + 2.0, labels)  # too sure by 3, shifted by 2
    assert temperature == pytest.approx(3.0, rel=0.05) and offset == pytest.approx(-2.0 / 3.0, abs=0.05)
    with pytest.raises(TrainingError, match="needs labelled pixels of both classes"):
        fit_scaling(true_logit, np.zeros(true_logit.size, dtype=np.uint8))


@pytest.mark.parametrize(("centre", "width"), [(-1.0, 1.5), (-2.5, 2.0), (-1.0, 3.0), (-3.0, 6.0)])
def test_the_threshold_is_half_of_the_f1_it_reaches(centre: float, width: float) -> None:
    rng = np.random.default_rng(1)
    probability = 1 / (1 + np.exp(-rng.normal(centre, width, 200_000)))
    labels = (rng.random(probability.size) < probability).astype(np.uint8)

    def f1(threshold: float) -> float:
        called = probability >= threshold
        return float(2 * (called & (labels == 1)).sum() / (called.sum() + labels.sum()))

    found = best_threshold(probability, labels)
    largest = max(f1(threshold) for threshold in np.arange(0.3, 0.71, 0.02))
    if found == 0.5:
        assert largest < f1(0.5) + 0.016  # not worth it
    else:  # Lipton et al. 2014
        assert f1(found) == pytest.approx(largest, abs=1e-3) and found == pytest.approx(max(0.3, largest / 2), abs=0.03)


@pytest.mark.parametrize("width", [1.0, 6.0])
def test_only_a_weak_model_gets_a_threshold_of_its_own(width: float) -> None:
    rng = np.random.default_rng(2)
    probability = 1 / (1 + np.exp(-rng.normal(-2.0, width, 200_000)))
    labels = (rng.random(probability.size) < probability).astype(np.uint8)
    assert (best_threshold(probability, labels) < 0.5) == (width == 1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": {"start_share": 0.5}}, "train.start_share is 0.5, but training starts from fresh weights; name a"),
        ({"start_from": "x", "train": {"start_share": 1.0}}, "less than 1"),
        ({"train": {"freezing": {"freeze": "encoder"}}}, "training starts from fresh weights; name a model in start"),
        (
            {"start_from": "x", "train": {"epochs": 2, "freezing": {"freeze": "encoder", "stages": [{"epochs": 2}]}}},
            "train.freezing.stages take 2 of 2 epochs",
        ),
        ({"train": {"freezing": {"batch_norm": "freeze_statistics"}}}, "or let the statistics learn in train.freezing"),
        (
            {"train": {"epochs": 4, "freezing": {"batch_norm": "freeze_statistics", "statistics_epochs": 4}}},
            "train.freezing.statistics_epochs is 4 of 4 epochs, and nothing would be frozen; give train.epochs more",
        ),
        (
            {"train": {"freezing": {"statistics_epochs": 4}}},
            "statistics_epochs is 4, but batch_norm is 'train'; set batch_norm to freeze_statistics",
        ),
        ({"train": {"optimiser": "sgd"}}, "Input should be 'adamw' or 'muon'"),
        ({"train": {"freezing": {"stages": [{"epochs": 2}]}}}, "stages unfreeze layers, but freeze is 'none'"),
        ({"train": {"curriculum": {"by": "contrast"}}}, "Extra inputs are not permitted"),
        ({"model": {"parameters": {"encoder_weights": "imagenet"}}}, "'curve_unet' has no pretrained encoder"),
    ],
)
def test_helps_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CorpusExperimentConfig(name="x", corpus="c", **settings)


def test_pretrained_encoder_weights_can_be_frozen_in_a_training_on_a_corpus() -> None:
    model = {"name": "unet", "parameters": {"encoder_weights": "weights.pth"}}
    experiment = CorpusExperimentConfig(name="x", corpus="c", model=model, train={"freezing": {"freeze": "encoder"}})
    assert experiment.train.freezing.keeps


def test_a_curriculum_begins_with_plates_whose_defects_stand_out() -> None:
    strengths: list[dict[int, float]] = [{1: 5.0}, {}, {1: 90.0, 2: 50.0}, {1: 1.0}, {1: 20.0}]
    plates = [replace(plate(0), indices=one) for one in strengths]
    found = plate_curriculum(plates, start_fraction=0.4, epochs_fraction=0.5, epochs=8)
    assert found.order.tolist() == [2, 4, 1, 0, 3]  # the plate without defects in the middle
    assert [int(found.pool(epoch).sum()) for epoch in (0, 2, 4, 7)] == [2, 3, 5, 5]
    sound = plate_curriculum([replace(plate(0), indices={})] * 3, start_fraction=0.1, epochs_fraction=1.0, epochs=4)
    assert sound.first == 1
    used: list[int] = []
    options = {"representation": RECIPE, "ranges": AcquisitionRanges(), "batch_size": 1, "samples_per_epoch": 6}
    batches = AcquisitionBatches(plates, **options, crop_px=12, seed=4, pool=found.pool)
    batches.sample = lambda _epoch, _index, which: used.append(which) or (np.zeros((39, 2, 2)), np.zeros((3, 2, 2)))  # type: ignore[assignment, func-returns-value]
    list(batches)
    assert set(used) == {2, 4} and len(used) == 6
    used.clear()
    batches.epoch = 7
    list(batches)
    assert set(used) == {0, 1, 2, 3, 4}
