"""Schema of a training on a corpus: the model that is to work on plates it never saw."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from thermo_qc.config.base import Strict
from thermo_qc.config.corpus import Pair, PairFromZero
from thermo_qc.config.experiment import GradientNoiseConfig
from thermo_qc.config.transfer import FreezingConfig

__all__ = ["AcquisitionRangesConfig", "CorpusExperimentConfig", "CorpusTrainConfig", "PhysicalConfig"]


class PhysicalConfig(Strict):
    """What the network sees; see `thermo_qc.representation.PhysicalRepresentation`."""

    n_heating: PositiveInt = 12
    n_cooling: int = Field(default=52, ge=6)
    first_share: float = Field(default=0.004, gt=0, lt=1)
    background_order: int = Field(default=3, ge=-1, le=6)
    profile_order: int = Field(default=0, ge=0, le=12)
    texture: bool = False
    drift: bool = False
    noisy_level: bool = False
    hidden_from: float = Field(default=0.0, ge=0, le=100)


class AcquisitionRangesConfig(Strict):
    """Cameras and recordings that are drawn; see `thermo_qc.training.AcquisitionRanges`."""

    netd_k: Pair = (0.012, 0.07)
    n_frames: tuple[PositiveInt, PositiveInt] = (120, 1500)
    cold_frames: tuple[PositiveInt, PositiveInt] = (3, 30)
    blur_px: PairFromZero = (0.0, 0.9)
    shortened_share: float = Field(default=0.35, ge=0, le=1)
    no_cold_share: float = Field(default=0.1, ge=0, le=1)
    no_heating_share: float = Field(default=0.12, ge=0, le=1)
    no_facts_share: float = Field(default=0.1, ge=0, le=1)
    gain: NonNegativeFloat = 0.12
    column_noise: NonNegativeFloat = 0.1
    drift_k: NonNegativeFloat = 0.0
    textured_share: float = Field(default=0.0, ge=0, le=1)
    texture: Pair = (0.001, 0.02)
    spreading_share: float = Field(default=0.0, ge=0, le=1)
    visible: NonNegativeFloat = 9.0


class PlateCurriculumConfig(Strict):
    """From easy to hard: the training starts with the plates whose defects stand out most; later all take part.

    `start_fraction` of the plates take part in the first epoch, all of them after `epochs_fraction` of the epochs.
    """

    start_fraction: float = Field(default=0.3, gt=0, le=1)
    epochs_fraction: float = Field(default=0.5, gt=0, le=1)


class CorpusTrainConfig(Strict):
    """Training by gradient descent; the learning rate rises over `warmup_epochs` and falls as a cosine."""

    epochs: PositiveInt = 40
    samples_per_epoch: PositiveInt = 300
    batch_size: PositiveInt = 3
    crop_px: PositiveInt = 96
    pixels_per_sample: PositiveInt | None = None  # of each crop, for pixel_curves; all of them without it
    optimiser: Literal["adamw", "muon"] = "adamw"
    learning_rate: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 1e-2
    warmup_epochs: int = Field(default=1, ge=0)
    averaged_epochs: int = Field(default=5, ge=0)
    start_share: float = Field(default=0.0, ge=0, lt=1)  # of the start's weights in the mean that is kept
    gradient_clip: PositiveFloat = 1.0
    validation_plates: PositiveInt = 16
    defect_weight: PositiveFloat = 2.0
    dice: NonNegativeFloat = 0.5
    depth: NonNegativeFloat = 0.2
    depth_beta: float = Field(default=0.0, ge=0, le=1)
    freezing: FreezingConfig = FreezingConfig()
    gradient_noise: GradientNoiseConfig | None = None
    curriculum: PlateCurriculumConfig | None = None
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    draw_threads: PositiveInt = 1


class NetworkConfig(Strict):
    """The network and its own parameters: one of ours, or a decoder of segmentation_models_pytorch."""

    name: Literal[
        "curve_unet",
        "pixel_curves",
        "unet",
        "unetplusplus",
        "manet",
        "linknet",
        "fpn",
        "pspnet",
        "pan",
        "deeplabv3",
        "deeplabv3plus",
        "upernet",
        "segformer",
        "dpt",
    ] = "curve_unet"
    parameters: dict[str, Any] = Field(default_factory=dict)


class CorpusExperimentConfig(Strict):
    """One training on one corpus or several (folders that ``simulate`` made; relative to this file)."""

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$")
    seed: int = Field(default=0, ge=0, lt=2**31)
    corpus: str | tuple[str, ...]
    n_plates: PositiveInt | tuple[PositiveInt, ...] | None = None  # of each corpus; all of them without it
    start_from: str | None = None  # a model that ships; or, relative to this file, a model, a run, a configuration
    representation: PhysicalConfig = PhysicalConfig()
    acquisitions: AcquisitionRangesConfig = AcquisitionRangesConfig()
    model: NetworkConfig = NetworkConfig()
    train: CorpusTrainConfig = CorpusTrainConfig()

    @model_validator(mode="after")
    def _pixels_are_for_networks_on_pixels(self) -> Self:
        if self.train.pixels_per_sample is not None and self.model.name != "pixel_curves":
            raise ValueError(
                f"train.pixels_per_sample is for pixel_curves, '{self.model.name}' looks at whole crops; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _own_networks_have_no_pretrained_encoder(self) -> Self:
        if self.model.name in ("curve_unet", "pixel_curves") and "encoder_weights" in self.model.parameters:
            raise ValueError(
                f"'{self.model.name}' has no pretrained encoder; leave model.parameters.encoder_weights out, or name a "
                "model in start_from"
            )
        return self

    @model_validator(mode="after")
    def _a_share_needs_a_start(self) -> Self:
        if self.train.start_share > 0 and self.start_from is None:
            raise ValueError(
                f"train.start_share is {self.train.start_share}, but training starts from fresh weights; name a model "
                "in start_from, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _something_is_kept(self) -> Self:
        freezing = self.train.freezing
        freezing.check_epochs(self.train.epochs, "train.freezing")
        pretrained = self.model.parameters.get("encoder_weights", "none") != "none"
        if freezing.keeps_of_start and self.start_from is None and not pretrained:
            raise ValueError(
                "train.freezing keeps layers or statistics, but training starts from fresh weights; name a model in "
                "start_from or pretrained encoder_weights in model.parameters, or let the statistics learn in "
                "train.freezing.statistics_epochs first"
            )
        return self
