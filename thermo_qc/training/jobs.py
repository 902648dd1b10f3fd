"""What the three kinds of models do between labelled cases and a fitted model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from thermo_qc.config import ExperimentConfig
from thermo_qc.errors import TrainingError, choose
from thermo_qc.models import Forest, build_network, check_forest_parameters
from thermo_qc.representation import Representation
from thermo_qc.training.datasets import Case, CurveBatches, FixedBatches, class_counts
from thermo_qc.training.fitting import Progress, fit_network
from thermo_qc.training.inputs import checked_counts, curves_of, hold_out_cases, hold_out_pixels, stacks_of
from thermo_qc.training.losses import build_loss
from thermo_qc.training.module import CurveModule, SegmentationModule
from thermo_qc.training.optimisers import OPTIMISERS, build_optimiser
from thermo_qc.training.schedules import SCHEDULES, ScheduleOptions, learning_rate_factor

__all__ = ["Job"]

_VALIDATION_BATCH = 4096
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
    """

    experiment: ExperimentConfig
    class_names: tuple[str, ...]
    folder: Path
    device: torch.device
    seed: int
    signature: str
    progress: Progress

    def run(self, train_cases: Cases, validation_cases: Cases) -> tuple[Representation, dict[str, Any]]:
        """Fit representation and model; the second part holds `network` or `forest`."""
        if validation_cases and not any(case.labelled.any() for case in validation_cases):
            raise TrainingError("the validation cases hold no labelled pixel; give labelled ones or leave them out")
        kinds = {"curve": self._fit_curves, "segmentation": self._fit_stacks, "forest": self._fit_forest}
        return choose(kinds, self.experiment.model.kind, "kind of model")(train_cases, validation_cases)

    def _fit_forest(self, train_cases: Cases, _validation: Cases) -> tuple[Representation, dict[str, Any]]:
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

    def _fit_curves(self, train_cases: Cases, validation_cases: Cases) -> tuple[Representation, dict[str, Any]]:
        train = self.experiment.train
        if not validation_cases and train.validation_fraction > 0:
            train_cases, validation_cases = hold_out_pixels(train_cases, train.validation_fraction, self.seed)
        counts = checked_counts(train_cases, self.class_names)
        representation = self._representation(train_cases)
        curves, labels = curves_of(train_cases, representation)
        network = self._network(representation)
        loader = CurveBatches(
            curves,
            labels,
            counts=counts,
            batch_size=train.batch_size,
            seed=self.seed,
            samples_per_epoch=train.samples_per_epoch,
            class_balanced=train.class_balanced,
            sound_fraction=train.sound_fraction,
        )
        validation = None
        if validation_cases:
            inputs, target = curves_of(validation_cases, representation)
            parts = [slice(start, start + _VALIDATION_BATCH) for start in range(0, len(target), _VALIDATION_BATCH)]
            validation = FixedBatches([(inputs[part], target[part]) for part in parts])
        return representation, {"network": self._fit(CurveModule, network, counts, loader, validation)}

    def _fit_stacks(self, train_cases: Cases, validation_cases: Cases) -> tuple[Representation, dict[str, Any]]:
        from thermo_qc.training.augment import StackAugmenter  # albumentations takes seconds to import
        from thermo_qc.training.stacks import StackBatches, stack_pair

        train = self.experiment.train
        if not validation_cases and train.validation_fraction > 0:
            train_cases, validation_cases = hold_out_cases(train_cases, train.validation_fraction, self.seed)
        checked_counts(train_cases, self.class_names)
        representation = self._representation(train_cases)
        stacks, labels = stacks_of(train_cases, representation)
        counts = class_counts(labels, len(self.class_names))
        network = self._network(representation)
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
            threads=torch.get_num_threads(),
        )
        validation = None
        if validation_cases:
            pairs = zip(*stacks_of(validation_cases, representation), strict=True)
            validation = FixedBatches([stack_pair([(np.moveaxis(stack, 0, -1), label)]) for stack, label in pairs])
        return representation, {"network": self._fit(SegmentationModule, network, counts, loader, validation)}

    def _representation(self, cases: Cases) -> Representation:
        plain = Representation.from_config(self.experiment.representation)
        return plain.fit(
            [case.sequence for case in cases],
            masks=[case.labelled for case in cases],
            sound_masks=[case.class_map == 0 for case in cases],
        )

    def _network(self, representation: Representation) -> nn.Module:
        torch.manual_seed(self.seed)
        model = self.experiment.model
        return build_network(
            model.kind,
            model.name,
            representation=representation,
            n_classes=len(self.class_names),
            parameters=model.parameters,
        )

    def _fit(
        self,
        kind: type[CurveModule],
        network: nn.Module,
        counts: NDArray[np.int64],
        loader: Any,
        validation: FixedBatches | None,
    ) -> nn.Module:
        train = self.experiment.train
        module = kind(
            network,
            loss=build_loss([(t.name, t.weight, t.class_weights, t.gamma) for t in train.losses], counts.tolist()),
            make_optimiser=self._optimiser(),
            rate_factor=self._schedule(),
            class_names=self.class_names,
            l1=train.optimiser.l1,
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

    def _schedule(self) -> Any:
        train, options = self.experiment.train, self.experiment.train.schedule
        choose(SCHEDULES, options.name, "schedule")
        numbers = ScheduleOptions(epochs=train.epochs, **options.model_dump(exclude={"name"}))

        def factor(epoch: int, watched: Sequence[float]) -> float:
            return learning_rate_factor(options.name, epoch, numbers, watched)

        return factor
