"""Schema of a corpus: many random plates, simulated once without noise."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from thermo_qc.config.base import Strict

__all__ = ["CameraRangesConfig", "CorpusConfig", "MaterialRangeConfig", "PlateRangesConfig"]

Pair = tuple[PositiveFloat, PositiveFloat]
PairFromZero = tuple[NonNegativeFloat, NonNegativeFloat]
Share = NonNegativeFloat


HeatingName = Literal["flash", "long_pulse", "step"]
DefectName = Literal["hole", "delamination", "inclusion", "impact"]


def _heating() -> dict[HeatingName, float]:
    return {"long_pulse": 0.75, "flash": 0.2, "step": 0.05}


def _defects() -> dict[DefectName, float]:
    return {"hole": 0.6, "delamination": 0.2, "inclusion": 0.1, "impact": 0.1}


class MaterialRangeConfig(Strict):
    """A family of materials, each constant from its smallest to its largest value."""

    name: str
    conductivity_through_w_mk: Pair
    anisotropy: Pair
    density_kg_m3: Pair
    heat_capacity_j_kgk: Pair
    weight: PositiveFloat = 1.0
    unequal_share: float = Field(default=0.0, ge=0, le=1)


class PlateRangesConfig(Strict):
    """What may come out when a plate is drawn; see `thermo_qc.simulation.PlateRanges`."""

    materials: tuple[MaterialRangeConfig, ...] = Field(min_length=1)
    tolerance: float = Field(default=0.1, ge=0, le=0.5)
    thickness_mm: Pair = (3.0, 18.0)
    pitch_share: Pair = (0.09, 0.3)
    pitch_mm: Pair = (0.4, 3.0)
    side_px: tuple[PositiveInt, PositiveInt] = (72, 120)
    fourier: Pair = (0.12, 1.2)
    recording_s: Pair = (20.0, 900.0)
    heating: dict[HeatingName, Share] = Field(default_factory=_heating)
    pulse_share: Pair = (0.04, 0.4)
    peak_rise_k: Pair = (8.0, 40.0)
    sound_share: float = Field(default=0.1, ge=0, le=1)
    n_defects: tuple[PositiveInt, PositiveInt] = (2, 14)
    defects: dict[DefectName, Share] = Field(default_factory=_defects)
    diameter_px: Pair = (3.5, 16.0)
    widest_share: float = Field(default=0.3, gt=0, le=0.8)
    inclusion_mm: Pair = (0.1, 1.0)
    depth_share: Pair = (0.06, 0.8)
    width_over_depth: Pair = (0.5, 12.0)
    marked_share: float = Field(default=0.35, ge=0, le=1)
    n_marks: tuple[PositiveInt, PositiveInt] = (1, 3)
    n_lamps: tuple[NonNegativeInt, NonNegativeInt] = (0, 3)
    loss_w_m2k: PairFromZero = (5.0, 16.0)
    edge_w_m2k: Pair | None = None
    reflection_k: PairFromZero = (0.0, 2.0)


class CameraRangesConfig(Strict):
    """What the camera of a recorded plate may be; frames are counted from the start of the heating."""

    n_frames: tuple[PositiveInt, PositiveInt] = (200, 600)
    cold_frames: tuple[PositiveInt, PositiveInt] = (3, 20)
    netd_k: Pair = (0.02, 0.06)
    blur_px: PairFromZero = (0.2, 0.8)
    fixed_pattern_k: PairFromZero = (0.0, 0.05)
    column_noise_k: PairFromZero = (0.0, 0.01)
    drift_k: PairFromZero = (0.0, 0.1)
    dead_fraction: PairFromZero = (0.0, 0.001)
    quantisation_k: PairFromZero = (0.0, 0.01)


class CorpusConfig(Strict):
    """A corpus: plate number i is drawn from (seed, i) alone, whatever the number of plates.

    Without a `camera` the files are free of noise, which is drawn with each training sample; with one they are
    recordings as a camera makes them, for tests.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$")
    seed: int = Field(ge=0, lt=2**31)
    plates: PlateRangesConfig
    depth_cells: PositiveInt = 32
    steps: PositiveInt = Field(default=60, ge=10)
    camera: CameraRangesConfig | None = None
