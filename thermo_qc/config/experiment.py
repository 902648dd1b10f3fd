"""Schema of one complete experiment: data, what the network sees, the network, its training and the folds."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from thermo_qc.config.base import Strict
from thermo_qc.config.transfer import TransferConfig

__all__ = [
    "AugmentConfig",
    "AveragingConfig",
    "CurriculumConfig",
    "DataConfig",
    "ExperimentConfig",
    "FoldConfig",
    "GradientNoiseConfig",
    "LossTermConfig",
    "ModelConfig",
    "OptimiserConfig",
    "RepresentationConfig",
    "ScheduleConfig",
    "TimeConfig",
    "TrainConfig",
]


FoldKind = Literal["acquisition", "plate", "condition", "defect", "depth", "block", "random_pixel", "random_frame"]


class DataConfig(Strict):
    """Manifest (relative to the experiment file) and the class scheme that turns depths into classes."""

    manifest: str | None = None
    class_scheme: str = "binary"


class TimeConfig(Strict):
    """The model's own time axis.

    unit "s": `start` and `end` are seconds after the origin. unit "fraction": fractions of the time from the origin
    to the end of the recording, so recordings of any length fit. origin: start or stop of the heating.
    """

    origin: Literal["heating_start", "heating_stop"] = "heating_stop"
    unit: Literal["s", "fraction"] = "fraction"
    start: NonNegativeFloat = 0.01
    end: PositiveFloat = 1.0
    n_steps: PositiveInt = Field(default=32, ge=2)
    spacing: Literal["linear", "log"] = "log"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"time.end {self.end} must be greater than time.start {self.start}")
        if self.spacing == "log" and self.start <= 0:
            raise ValueError("time.start must be greater than 0 for logarithmic spacing")
        if self.unit == "fraction" and self.end > 1:
            raise ValueError(f"time.end {self.end} must be at most 1 when time.unit is 'fraction'")
        return self


class RepresentationConfig(Strict):
    """What a network sees of a recording; see `thermo_qc.representation`."""

    subtract_cold: bool = True
    replace_dead: bool = True
    time: TimeConfig = TimeConfig()
    normalise: Literal[
        "none", "pixel_standard", "pixel_minmax", "pixel_mean", "sequence_standard", "sequence_minmax"
    ] = "pixel_mean"
    reference: Literal["none", "median", "sound"] = "median"
    channels: tuple[Literal["value", "difference", "log_derivative"], ...] = Field(
        default=("value", "difference"), min_length=1
    )
    scale: Literal["none", "noise", "noise_arcsinh", "channel_standard"] = "channel_standard"
    flatten_background_px: NonNegativeFloat = 0.0
    features: tuple[Literal["frames", "tsr", "pct"], ...] = Field(default=("frames",), min_length=1)
    tsr_order: int = Field(default=5, ge=2, le=9)
    pct_components: PositiveInt = 6
    pca_components: PositiveInt | None = None
    neighbourhood: int = Field(default=1, ge=1, le=15)
    neighbourhood_mode: Literal["all", "ring"] = "all"

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.neighbourhood % 2 == 0:
            raise ValueError(
                f"neighbourhood is {self.neighbourhood}, expected an odd number of pixels (3: with the eight around)"
            )
        return self

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        for field, names in (("channels", self.channels), ("features", self.features)):
            twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            if twice:
                raise ValueError(f"{field} names '{twice[0]}' twice; list each once")
        return self


class ModelConfig(Strict):
    """Kind of model and its own parameters (hidden size, decoder, encoder, trees, ...).

    kind "classical": logistic_regression, svm, random_forest, gradient_boosting or threshold on `features` curves
    (default), tsr, maps or encoder; the last needs the path of a trained model as `encoder`, relative to this file.
    "threshold" on maps is the best classical map: method (of the list `maps`), direction and threshold are chosen on
    the training pixels of each fold.
    """

    kind: Literal["curve", "segmentation", "forest", "classical"]
    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class LossTermConfig(Strict):
    """One term of the loss; class weights "balanced" count the training pixels."""

    name: str = "cross_entropy"
    weight: PositiveFloat = 1.0
    class_weights: Literal["none", "balanced", "sqrt_balanced"] | tuple[PositiveFloat, ...] = "none"
    gamma: NonNegativeFloat = 2.0


class OptimiserConfig(Strict):
    """Optimiser with L2 (`weight_decay`) and L1 penalty."""

    name: str = "adamw"
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-4
    l1: NonNegativeFloat = 0.0
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = True


class ScheduleConfig(Strict):
    """Learning-rate schedule: none, step, exponential, cosine or plateau, after `warmup_epochs` of linear rise."""

    name: str = "cosine"
    warmup_epochs: NonNegativeInt = 0
    step_epochs: PositiveInt = 10
    gamma: float = Field(default=0.5, gt=0, le=1)
    patience_epochs: PositiveInt = 5
    minimum_factor: NonNegativeFloat = 0.0


class AugmentConfig(Strict):
    """Physical augmentation of stacks: probabilities 0 to 1, angles in degrees, noise in units of the stack's scale."""

    flip: bool = True
    rotate90: bool = True
    affine_probability: float = Field(default=0.5, ge=0, le=1)
    rotate_deg: NonNegativeFloat = 15.0
    scale_fraction: float = Field(default=0.1, ge=0, lt=1)
    shift_fraction: float = Field(default=0.05, ge=0, lt=1)
    gain_fraction: float = Field(default=0.1, ge=0, lt=1)
    noise_std: NonNegativeFloat = 0.05


class AveragingConfig(Strict):
    """Stochastic weight averaging: the mean of the weights after each of the last epochs.

    `start_fraction` of the epochs go by before; from then on the learning rate is `learning_rate_factor` times the base
    rate, or follows the schedule when that is null.
    """

    start_fraction: float = Field(default=0.75, ge=0, lt=1)
    learning_rate_factor: PositiveFloat | None = 0.5


class GradientNoiseConfig(Strict):
    """Gaussian noise on every gradient after clipping, of variance eta / (1 + step)^gamma."""

    eta: PositiveFloat = 0.01
    gamma: NonNegativeFloat = 0.55


class CurriculumConfig(Strict):
    """From easy to hard: training starts with the easiest cases; after `epochs_fraction` all take part.

    by "contrast": strongest defect signal over the scatter of the sound pixels; "defect_share": share of defect pixels.
    `start_fraction` of the cases take part in the first epoch (as many more as it takes to have every class).
    """

    by: Literal["contrast", "defect_share"] = "contrast"
    start_fraction: float = Field(default=0.3, gt=0, le=1)
    epochs_fraction: float = Field(default=0.5, gt=0, le=1)


class TrainConfig(Strict):
    """Training by gradient descent (networks only, but for `calibrate`).

    calibrate "temperature": one temperature for all probabilities, fitted on the validation cases (or on those that
    `validation_fraction` holds out).
    """

    epochs: PositiveInt = 40
    batch_size: PositiveInt = 8
    samples_per_epoch: PositiveInt | None = None
    crop_px: PositiveInt | None = None
    sound_fraction: float | None = Field(default=None, gt=0, lt=1)
    class_balanced: bool = False
    validation_fraction: float = Field(default=0.0, ge=0, lt=0.9)
    early_stopping_epochs: PositiveInt | None = None
    gradient_clip: PositiveFloat | None = None
    losses: tuple[LossTermConfig, ...] = Field(default=(LossTermConfig(),), min_length=1)
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    augment: AugmentConfig = AugmentConfig()
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    transfer: TransferConfig = TransferConfig()
    averaging: AveragingConfig | None = None
    gradient_noise: GradientNoiseConfig | None = None
    curriculum: CurriculumConfig | None = None
    calibrate: Literal["none", "temperature"] = "none"

    @model_validator(mode="after")
    def _first_part_left(self) -> Self:
        self.transfer.check_epochs(self.epochs, "transfer")
        return self


class FoldConfig(Strict):
    """Cross-validation: what a group is, how many folds, and the guard ring in mm (None: the diffusion length).

    The reach of `representation.neighbourhood` comes on top of the guard ring. by "depth": all defects of one depth
    together, so that no fold trains on a depth that it tests. k null: one group left out at a time. inner_k, inner_by:
    nested folds; the first inner fold of each fold's training pixels validates its model (early stopping,
    calibration); a forest or another classical model without calibration has no use for it and trains on all.
    """

    by: FoldKind = "acquisition"
    k: int | None = Field(default=None, ge=2)
    guard_mm: NonNegativeFloat | None = None
    block_mm: PositiveFloat = 60.0
    inner_by: FoldKind | None = None
    inner_k: int | None = Field(default=None, ge=2)


class ExperimentConfig(Strict):
    """One experiment."""

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$")
    seed: int = Field(default=0, ge=0, lt=2**31)
    data: DataConfig = DataConfig()
    representation: RepresentationConfig = RepresentationConfig()
    model: ModelConfig
    train: TrainConfig = TrainConfig()
    folds: FoldConfig = FoldConfig()
