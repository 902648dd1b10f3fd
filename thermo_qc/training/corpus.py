"""From a corpus of simulated plates to a saved model of defects and their depth."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thermo_qc.config import CorpusExperimentConfig, CorpusTrainConfig
from thermo_qc.errors import TrainingError
from thermo_qc.models import TrainedModel, build_network, load_trained, to_device
from thermo_qc.models.calibrated import SMALLEST
from thermo_qc.models.loading import without_pretraining
from thermo_qc.representation import PhysicalRepresentation
from thermo_qc.sequence import IGNORE_LABEL
from thermo_qc.training.acquisitions import AcquisitionRanges, Sample, SimulatedPlate, draw_acquisition
from thermo_qc.training.calibration import best_threshold, expected_calibration_error, fit_scaling
from thermo_qc.training.curriculum import plate_curriculum
from thermo_qc.training.dense import AcquisitionBatches, DefectAndDepthLoss
from thermo_qc.training.devices import limited_threads
from thermo_qc.training.fitting import Progress, fit_network
from thermo_qc.training.freezing import FreezePlan, Unfreezing, planned
from thermo_qc.training.helps import GradientNoise, WeightAverage
from thermo_qc.training.module import DenseModule
from thermo_qc.training.muon import Muon
from thermo_qc.training.optimisers import parameter_groups
from thermo_qc.training.schedules import RateFactor, ScheduleOptions
from thermo_qc.training.transfer import fill_corpus_network, head_tensors

__all__ = ["CLASS_NAMES", "train_on_corpus"]

CLASS_NAMES = ("sound", "defect")
_COVERED = 0.6827  # one standard deviation of a Gaussian
_CALIBRATION_PIXELS = 4000  # of each acquisition
_CALIBRATION_DRAWS = 3  # acquisitions of each plate
_DEPTH_DRAWS = 2  # complete ones
_SMALLEST_DEFECT_PX = 6
_DETECTABLE = 30.0  # index of the defects that the threshold of the calls is chosen on: fainter ones are often not seen
_MODEL_FILE = "model.safetensors"


def train_on_corpus(
    plates: Sequence[SimulatedPlate],
    *,
    experiment: CorpusExperimentConfig,
    folder: Path,
    signature: str,
    device: str = "cpu",
    threads: int | None = None,
    progress: Progress = True,
    metadata: Mapping[str, Any] | None = None,
    start: TrainedModel | None = None,
) -> TrainedModel:
    """Train on acquisitions drawn from simulated plates; a killed run continues where it was.

    The last plates are kept apart: class probabilities and depth intervals are calibrated on them.

    Parameters
    ----------
    plates : sequence of SimulatedPlate
        The corpus.
    experiment : CorpusExperimentConfig
        Representation, network and training.
    folder : Path
        Gets ``model.safetensors``, ``history.csv`` and, until it is complete, ``checkpoints/``.
    signature : str
        Identity of corpus and settings: what lies in the folder must have the same.
    device : str
        "cpu", "cuda", "mps" or "auto".
    threads : int, optional
        Threads of PyTorch.
    progress : bool or callable
        As in `train_model`.
    metadata : mapping, optional
        More to keep with the model.
    start : TrainedModel, optional
        Whose weights the training begins with, instead of random ones.

    Returns
    -------
    TrainedModel

    Raises
    ------
    TrainingError
        When there are too few plates or the folder holds another experiment.
    ModelError
        When the weights of `start` belong to another network.
    """
    train = experiment.train
    target = folder / _MODEL_FILE
    if target.is_file():
        done = load_trained(target)
        if done.metadata.get("signature") != signature:
            raise TrainingError(f"{target} belongs to another experiment; train into another folder")
        return done
    if len(plates) < train.validation_plates + 1:
        raise TrainingError(
            f"{len(plates)} plates came, {train.validation_plates} of them are kept for calibration; simulate more"
        )
    representation = PhysicalRepresentation(**experiment.representation.model_dump())
    ranges = AcquisitionRanges(**experiment.acquisitions.model_dump())
    parameters = {**experiment.model.parameters, "depth_head": True}
    where = to_device(device)
    used = plates[: -train.validation_plates]
    curriculum = None
    if train.curriculum is not None:
        curriculum = plate_curriculum(used, epochs=train.epochs, **train.curriculum.model_dump())
    loader = AcquisitionBatches(
        used,
        representation=representation,
        ranges=ranges,
        batch_size=train.batch_size,
        samples_per_epoch=train.samples_per_epoch,
        crop_px=train.crop_px,
        seed=experiment.seed,
        threads=train.draw_threads,
        n_pixels=train.pixels_per_sample,
        pool=None if curriculum is None else curriculum.pool,
    )
    folder.mkdir(parents=True, exist_ok=True)
    gpus = [where.index or 0] if where.type == "cuda" else []
    with limited_threads(threads), torch.random.fork_rng(devices=gpus):
        torch.manual_seed(experiment.seed)
        network, plan = _network(experiment, representation, parameters, start)
        begun = {name: value.clone() for name, value in network.state_dict().items()} if train.start_share else {}
        first = train.epochs - train.averaged_epochs
        network = fit_network(
            _module(network, experiment, signature, plan),
            loader,
            None,
            folder=folder,
            epochs=train.epochs,
            seed=experiment.seed,
            device=where,
            precision=train.precision,
            gradient_clip=train.gradient_clip,
            callbacks=[
                *([] if plan is None else [Unfreezing(plan)]),
                *([WeightAverage(first, statistics=not _keeps_statistics(plan))] if train.averaged_epochs else []),
            ],
            progress=progress,
        )
        _keep_share(network, begun, train.start_share)
        model = TrainedModel(
            kind="segmentation",
            name=experiment.model.name,
            representation=representation,
            class_names=CLASS_NAMES,
            class_depths_mm=(float("nan"), float("nan")),
            network=network,
            parameters=parameters,
            metadata={
                **(metadata or {}),
                "signature": signature,
                "acquisitions": asdict(ranges),
                "seed": experiment.seed,
            },
        )
        found = _calibrated(model, plates[-train.validation_plates :], ranges, experiment.seed)
        model = replace(model, metadata={**model.metadata, **found})
    model.save(target)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return model


def _network(
    experiment: CorpusExperimentConfig,
    representation: PhysicalRepresentation,
    parameters: Mapping[str, Any],
    start: TrainedModel | None,
) -> tuple[torch.nn.Module, FreezePlan | None]:
    """Network with fresh, pretrained or earlier weights, and what of it is trained when (None: all of it)."""
    given = dict(parameters)
    if start is not None and start.network is not None:
        given = without_pretraining("segmentation", given, start.network.state_dict())

    def build(n_classes: int) -> torch.nn.Module:
        return build_network(
            "segmentation", experiment.model.name, representation=representation, n_classes=n_classes, parameters=given
        )

    network = build(len(CLASS_NAMES))
    if start is not None:
        fill_corpus_network(network, start, representation)
    freezing, epochs = experiment.train.freezing, experiment.train.epochs
    if not freezing.keeps:
        return network, None  # and no second network for its head
    head = head_tensors(network, build, len(CLASS_NAMES))
    return network, planned(freezing, network, head=head, epochs=epochs, option="train.freezing")


def _keep_share(network: torch.nn.Module, begun: Mapping[str, torch.Tensor], share: float) -> None:
    """Move weights and statistics that share towards those that a training began with (none without any).

    Between both ends of a training that started from a good model often lies a better one: Wortsman, M. et al. (2022).
    Robust fine-tuning of zero-shot models. CVPR. https://doi.org/10.1109/CVPR52688.2022.00780
    """
    ended = network.state_dict()
    network.load_state_dict(
        {name: torch.lerp(ended[name], value, share) for name, value in begun.items() if value.is_floating_point()},
        strict=False,
    )


def _keeps_statistics(plan: FreezePlan | None) -> bool:
    return plan is not None and plan.freeze_statistics


def _module(
    network: torch.nn.Module, experiment: CorpusExperimentConfig, signature: str, plan: FreezePlan | None
) -> DenseModule:
    train = experiment.train
    options = ScheduleOptions(epochs=train.epochs, warmup_epochs=train.warmup_epochs, minimum_factor=0.01)
    return DenseModule(
        network,
        loss=DefectAndDepthLoss(
            defect_weight=train.defect_weight, dice=train.dice, depth=train.depth, depth_beta=train.depth_beta
        ),
        make_optimiser=partial(_optimiser, train),
        rate_factor=RateFactor(name="cosine", options=options, plan=plan),
        class_names=CLASS_NAMES,
        gradient_noise=None if train.gradient_noise is None else GradientNoise(**train.gradient_noise.model_dump()),
        signature=signature,
    )


def _optimiser(train: CorpusTrainConfig, network: torch.nn.Module) -> torch.optim.Optimizer:
    if train.optimiser == "muon":
        rounded = torch.bfloat16 if train.precision == "bf16-mixed" else torch.float32
        groups = parameter_groups(network, train.weight_decay)
        return Muon(groups, lr=train.learning_rate, rounded=rounded)
    return torch.optim.AdamW(network.parameters(), lr=train.learning_rate, weight_decay=train.weight_decay)


def _calibrated(
    model: TrainedModel, plates: Sequence[SimulatedPlate], ranges: AcquisitionRanges, seed: int
) -> dict[str, Any]:
    """Scaling of the classes' logit, threshold, and factor on a depth's deviation, from plates kept apart.

    Depths are those of complete recordings of known materials, as an inspection that asks for depths has them.
    """
    assert isinstance(model.representation, PhysicalRepresentation)
    scores, labels, visible, ratios = [], [], [], []
    for number, plate in enumerate(plates):
        for repeat in range(_CALIBRATION_DRAWS):
            rng = np.random.default_rng([seed, 0xCA1, number, repeat])
            drawn = draw_acquisition(plate, rng, model.representation, ranges)
            outputs = model.stack_outputs(drawn.stack)
            used = np.flatnonzero(drawn.labels.ravel() != IGNORE_LABEL)
            used = rng.choice(used, size=min(used.size, _CALIBRATION_PIXELS), replace=False)
            sure = np.maximum(outputs[:2].reshape(2, -1)[:, used].astype(np.float64), SMALLEST)
            scores.append(np.log(sure[1]) - np.log(sure[0]))
            labels.append(drawn.labels.ravel()[used])
            visible.append(drawn.strengths.ravel()[used] >= _DETECTABLE)
        for repeat in range(_DEPTH_DRAWS):
            rng = np.random.default_rng([seed, 0xDE9, number, repeat])
            drawn = draw_acquisition(plate, rng, model.representation, ranges.complete)
            ratios += _depth_ratios(plate, drawn, model.stack_outputs(drawn.stack))
    score, truth = np.concatenate(scores), np.concatenate(labels)
    if truth.min() == truth.max():
        return {"depth_spread": 1.0, "depth_calibration_defects": 0}
    temperature, offset = fit_scaling(score, truth)
    strong = (truth == 0) | np.concatenate(visible)
    before, after = (1.0 / (1.0 + np.exp(-np.clip(logit, -50, 50))) for logit in (score, score / temperature + offset))
    errors = [
        expected_calibration_error(np.stack([1 - part, part], axis=1).astype(np.float32), truth)
        for part in (before, after)
    ]
    return {
        "temperature": temperature,
        "defect_offset": offset,
        "defect_threshold": best_threshold(after[strong], truth[strong]),
        "calibration": {"n_pixels": int(truth.size), "ece_before": errors[0], "ece_after": errors[1]},
        "depth_spread": float(np.quantile(ratios, _COVERED)) if ratios else 1.0,
        "depth_calibration_defects": len(ratios),
    }


def _depth_ratios(plate: SimulatedPlate, drawn: Sample, outputs: NDArray[np.float32]) -> list[float]:
    """Error of the depth over its stated deviation for each defect, medians over its pixels as inspections state it."""
    assert plate.sequence.truth is not None
    error, deviation = outputs[2] - drawn.log_depth, np.exp(0.5 * outputs[3])
    ratios = []
    for number in plate.indices:
        inside = (plate.sequence.truth.defect_index == number) & (drawn.labels == 1)
        if inside.sum() >= _SMALLEST_DEFECT_PX:
            ratios.append(float(np.abs(np.median(error[inside])) / np.median(deviation[inside])))
    return ratios
