"""What the three kinds of models do between labelled cases and a fitted model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from thermo_qc.config import ExperimentConfig
from thermo_qc.errors import ConfigError, TrainingError, choose
from thermo_qc.models import Forest, TrainedModel, build_network, check_forest_parameters
from thermo_qc.models.loading import without_pretraining
from thermo_qc.representation import AnyRepresentation, Representation
from thermo_qc.training.classical import fit_classical
from thermo_qc.training.curriculum import Curriculum, plan_curriculum
from thermo_qc.training.datasets import Case, CurveBatches, FixedBatches, class_counts
from thermo_qc.training.depth_tuning import DepthCodes, DepthTuningModule, code_depths
from thermo_qc.training.fitting import Progress, fit_network
from thermo_qc.training.freezing import FreezePlan, Unfreezing, planned
from thermo_qc.training.helps import GradientNoise, WeightAverage
from thermo_qc.training.inputs import (
    curves_by_case,
    curves_of,
    hold_out_cases,
    hold_out_pixels,
    stacks_of,
    training_counts,
)
from thermo_qc.training.losses import build_loss
from thermo_qc.training.module import CurveModule, SegmentationModule
from thermo_qc.training.optimisers import OPTIMISERS, build_optimiser
from thermo_qc.training.schedules import SCHEDULES, RateFactor, ScheduleOptions
from thermo_qc.training.transfer import fill_from, head_tensors, started_representation

__all__ = ["Job"]

_VALIDATION_BATCH = 4096
_NETWORKS = ("curve", "segmentation")
Cases = Sequence[Case]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run's settings.

    Parameters
    ----------
    experiment : ExperimentConfig
        Representation, model and training.
    class_names : tuple of str
        Names of all classes.
    folder : Path
        Gets history, logs and checkpoints.
    device : torch.device
        Where to train.
    seed : int
        Of all random numbers.
    signature : str
        Identity of the run.
    progress : bool or callable
        As in `train_model`.
    start : TrainedModel, optional
        Earlier model whose weights the training starts from.
    keep_representation : bool
        Whether its representation stays, whatever the experiment says.
    """

    experiment: ExperimentConfig
    class_names: tuple[str, ...]
    folder: Path
    device: torch.device
    seed: int
    signature: str
    progress: Progress
    start: TrainedModel | None = None
    keep_representation: bool = False

    def run(self, train_cases: Cases, validation_cases: Cases) -> tuple[AnyRepresentation, dict[str, Any]]:
        """Fit representation and model on cases that `divided` has returned; the second part holds the model's core."""
        if validation_cases and not any(case.labelled.any() for case in validation_cases):
            raise TrainingError("the validation cases hold no labelled pixel; give labelled ones or leave them out")
        if self.start is None and self._keeps_nothing():
            raise ConfigError(
                "train.transfer freezes layers or statistics, but training starts from fresh weights; name a model in "
                "train.transfer.from or pretrained encoder_weights in model.parameters"
            )
        kinds = {
            "curve": self._fit_curves,
            "segmentation": self._fit_stacks,
            "forest": self._fit_forest,
            "classical": self._fit_classical,
        }
        return choose(kinds, self.experiment.model.kind, "kind of model")(train_cases, validation_cases)

    def divided(self, train_cases: Cases, validation_cases: Cases) -> tuple[Cases, Cases]:
        """Hold out `train.validation_fraction` of the training cases where no validation cases are given.

        Raises
        ------
        ConfigError
            When calibration is wanted and there is nothing to calibrate on.
        """
        train, kind = self.experiment.train, self.experiment.model.kind
        if not validation_cases and train.validation_fraction > 0 and (kind in _NETWORKS or train.calibrate != "none"):
            hold_out = hold_out_cases if kind == "segmentation" else hold_out_pixels
            train_cases, validation_cases = hold_out(train_cases, train.validation_fraction, self.seed)
        if train.calibrate != "none" and not validation_cases:
            raise ConfigError(
                f"train.calibrate is {train.calibrate}, but there is nothing to calibrate on; set "
                "train.validation_fraction (0.2, say) or give validation cases"
            )
        return train_cases, validation_cases

    def _keeps_nothing(self) -> bool:
        transfer, parameters = self.experiment.train.transfer, self.experiment.model.parameters
        return transfer.keeps_of_start and parameters.get("encoder_weights", "none") == "none"

    def _counts(self, cases: Cases) -> NDArray[np.int64]:
        """Pixels of each class; a model that knows the classes already may go on without some of them."""
        known = self.start is not None and self.start.class_names == self.class_names
        return training_counts(cases, self.class_names, all_needed=not known)

    def _fit_forest(self, train_cases: Cases, _validation: Cases) -> tuple[AnyRepresentation, dict[str, Any]]:
        parameters, n_classes = self.experiment.model.parameters, len(self.class_names)
        choose({"random_forest": Forest}, self.experiment.model.name, "forest")
        check_forest_parameters(parameters)
        representation = self._representation(train_cases)
        curves, labels = curves_of(train_cases, representation)
        forest = Forest.fit(
            curves.numpy(),
            labels.numpy(),
            n_classes=n_classes,
            seed=self.seed,
            n_jobs=torch.get_num_threads(),
            **parameters,
        )
        return representation, {"forest": forest}

    def _fit_classical(self, train_cases: Cases, _validation: Cases) -> tuple[AnyRepresentation, dict[str, Any]]:
        model = self.experiment.model
        representation, classical = fit_classical(
            model,
            self.experiment.representation,
            train_cases,
            n_classes=len(self.class_names),
            seed=self.seed,
            n_jobs=torch.get_num_threads(),
            device=str(self.device),
        )
        return representation, {"classical": classical}

    def _fit_curves(self, train_cases: Cases, validation_cases: Cases) -> tuple[AnyRepresentation, dict[str, Any]]:
        train = self.experiment.train
        counts = self._counts(train_cases)
        representation = self._representation(train_cases)
        curves, labels, numbers = curves_by_case(train_cases, representation)
        network, plan = self._network(representation)
        curriculum = self._curriculum(train_cases)
        loader = CurveBatches(
            curves,
            labels,
            counts=counts,
            batch_size=train.batch_size,
            seed=self.seed,
            samples_per_epoch=train.samples_per_epoch,
            class_balanced=train.class_balanced,
            sound_fraction=train.sound_fraction,
            cases=numbers,
            pool=None if curriculum is None else curriculum.pool,
        )
        validation = None
        if validation_cases:
            inputs, target = curves_of(validation_cases, representation)
            parts = [slice(start, start + _VALIDATION_BATCH) for start in range(0, len(target), _VALIDATION_BATCH)]
            validation = FixedBatches([(inputs[part], target[part]) for part in parts])
        return representation, {"network": self._fit(CurveModule, network, plan, counts, loader, validation)}

    def _fit_stacks(self, train_cases: Cases, validation_cases: Cases) -> tuple[AnyRepresentation, dict[str, Any]]:
        from thermo_qc.training.augment import StackAugmenter  # albumentations takes seconds to import
        from thermo_qc.training.stacks import StackBatches, stack_pair

        train = self.experiment.train
        self._counts(train_cases)
        representation = self._representation(train_cases)
        stacks, labels = stacks_of(train_cases, representation)
        counts = class_counts(labels, len(self.class_names))
        checked = stacks_of(validation_cases, representation)
        network, plan = self._network(representation)
        curriculum = self._curriculum(train_cases)
        kind: Callable[..., CurveModule] = SegmentationModule
        codes = DepthCodes()
        if self.experiment.model.parameters.get("depth_head", False):
            sequences = [case.sequence for case in (*train_cases, *validation_cases)]
            every, codes = code_depths(sequences, [*labels, *checked[1]], len(self.class_names))
            labels, checked = every[: len(labels)], (checked[0], every[len(labels) :])
            kind = self._depth_module(codes)
        loader = StackBatches(
            stacks,
            labels,
            counts=counts,
            augmenter=StackAugmenter(crop_px=train.crop_px, **train.augment.model_dump()),
            batch_size=train.batch_size,
            seed=self.seed,
            samples_per_epoch=train.samples_per_epoch,
            class_balanced=train.class_balanced,
            sound_fraction=train.sound_fraction,
            pool=None if curriculum is None else curriculum.pool,
            threads=torch.get_num_threads(),
            classes=codes.classes,
        )
        validation = None
        if validation_cases:
            pairs = zip(*checked, strict=True)
            validation = FixedBatches([stack_pair([(np.moveaxis(stack, 0, -1), label)]) for stack, label in pairs])
        return representation, {"network": self._fit(kind, network, plan, counts, loader, validation)}

    def _depth_module(self, codes: DepthCodes) -> Callable[..., CurveModule]:
        if self.start is None or not self.start.has_depth_head:
            raise ConfigError(
                "a network with a depth head learns depths on a corpus of simulated plates, or starts from one that "
                "did; set train.transfer.from or leave depth_head out"
            )
        assert self.start.network is not None
        return partial(DepthTuningModule, teacher=self.start.network, codes=codes)

    def _representation(self, cases: Cases) -> AnyRepresentation:
        if self.start is not None and self.keep_representation:
            return self.start.representation
        plain = Representation.from_config(self.experiment.representation)
        started = None if self.start is None else started_representation(self.start, plain)
        return started or plain.fit(
            [case.sequence for case in cases],
            masks=[case.labelled for case in cases],
            sound_masks=[case.class_map == 0 for case in cases],
        )

    def _network(self, representation: AnyRepresentation) -> tuple[nn.Module, FreezePlan | None]:
        """Network with fresh, pretrained or earlier weights, and what of it is trained when (None: all of it)."""
        model, transfer, n_classes = self.experiment.model, self.experiment.train.transfer, len(self.class_names)
        parameters = dict(model.parameters)
        if self.start is not None and self.start.network is not None and model.kind == self.start.kind:
            parameters = without_pretraining(model.kind, parameters, self.start.network.state_dict())

        def build(n_classes: int) -> nn.Module:
            return build_network(
                model.kind, model.name, representation=representation, n_classes=n_classes, parameters=parameters
            )

        torch.manual_seed(self.seed)
        network = build(n_classes)
        if self.start is None and not transfer.keeps:
            return network, None
        head = head_tensors(network, build, n_classes)
        if self.start is not None:
            fill_from(self.start, network, head=head, class_names=self.class_names)
        epochs = self.experiment.train.epochs
        return network, planned(transfer, network, head=head, epochs=epochs, option="train.transfer")

    def _curriculum(self, cases: Cases) -> Curriculum | None:
        train = self.experiment.train
        if train.curriculum is None:
            return None
        return plan_curriculum(cases, epochs=train.epochs, **train.curriculum.model_dump())

    def _fit(
        self,
        kind: Callable[..., CurveModule],
        network: nn.Module,
        plan: FreezePlan | None,
        counts: NDArray[np.int64],
        loader: Any,
        validation: FixedBatches | None,
    ) -> nn.Module:
        train = self.experiment.train
        module = kind(
            network,
            loss=build_loss([(t.name, t.weight, t.class_weights, t.gamma) for t in train.losses], counts.tolist()),
            make_optimiser=self._optimiser(),
            rate_factor=self._schedule(plan),
            class_names=self.class_names,
            l1=train.optimiser.l1,
            gradient_noise=None if train.gradient_noise is None else GradientNoise(**train.gradient_noise.model_dump()),
            signature=self.signature,
        )
        return fit_network(
            module,
            loader,
            validation,
            folder=self.folder,
            epochs=train.epochs,
            seed=self.seed,
            device=self.device,
            precision=train.precision,
            gradient_clip=train.gradient_clip,
            early_stopping_epochs=train.early_stopping_epochs,
            callbacks=self._callbacks(plan),
            progress=self.progress,
        )

    def _optimiser(self) -> Any:
        options = self.experiment.train.optimiser
        choose(OPTIMISERS, options.name, "optimiser")
        return partial(
            build_optimiser,
            options.name,
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            momentum=options.momentum,
            nesterov=options.nesterov,
        )

    def _averaged_from(self) -> int | None:
        """First epoch whose weights are averaged."""
        train = self.experiment.train
        return None if train.averaging is None else int(train.averaging.start_fraction * train.epochs)

    def _callbacks(self, plan: FreezePlan | None) -> list[Any]:
        first = self._averaged_from()
        statistics = plan is None or not plan.freeze_statistics
        return [
            *([] if plan is None else [Unfreezing(plan)]),
            *([] if first is None else [WeightAverage(first, statistics=statistics)]),
        ]

    def _schedule(self, plan: FreezePlan | None) -> Any:
        train, options = self.experiment.train, self.experiment.train.schedule
        choose(SCHEDULES, options.name, "schedule")
        numbers = ScheduleOptions(epochs=train.epochs, **options.model_dump(exclude={"name"}))

        constant = None if train.averaging is None else train.averaging.learning_rate_factor
        first = None if constant is None else self._averaged_from()
        return RateFactor(name=options.name, options=numbers, plan=plan, constant=constant, constant_from=first)
