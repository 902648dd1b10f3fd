"""Schema of a simulated acquisition."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from thermo_qc.config.base import Strict
from thermo_qc.config.facts import MaterialConfig

__all__ = [
    "CameraConfig",
    "DelaminationConfig",
    "HeatingConfig",
    "InclusionConfig",
    "LampConfig",
    "LayerConfig",
    "LossConfig",
    "MarkConfig",
    "OutlineConfig",
    "PlacementConfig",
    "RecordingConfig",
    "SimulationConfig",
    "SolverConfig",
]


class LampConfig(Strict):
    """Gaussian bell on top of even light: 1 at the centre, falling to `edge_level` far away."""

    x_mm: float
    y_mm: float
    width_mm: PositiveFloat = 300.0
    edge_level: float = Field(default=0.7, ge=0, le=1)


class HeatingConfig(Strict):
    """Excitation: flash gives `energy_j_m2` at once, long_pulse `flux_w_m2` for `duration_s`, step until the end.

    periodic swings by `modulation` about `flux_w_m2` at `frequency_hz` for `duration_s`; coded sends a `code`.
    """

    kind: Literal["flash", "long_pulse", "step", "periodic", "coded"] = "long_pulse"
    flux_w_m2: PositiveFloat = 1000.0
    duration_s: PositiveFloat = 60.0
    energy_j_m2: PositiveFloat = 10_000.0
    lamps: tuple[LampConfig, ...] = ()
    frequency_hz: PositiveFloat = 0.05
    frequency_end_hz: PositiveFloat = 0.2
    modulation: float = Field(default=1.0, ge=0, le=1)
    waveform: Literal["sine", "square"] = "sine"
    phase_deg: float = 0.0
    code: Literal["barker", "chirp", "samples"] = "barker"
    code_length: Literal[2, 3, 4, 5, 7, 11, 13] = 13
    bit_s: PositiveFloat = 5.0
    samples: tuple[float, ...] = ()
    afterglow_share: float = Field(default=0.0, ge=0, le=1)
    afterglow_s: PositiveFloat = 5.0
    side: Literal["front", "back"] = "front"
    absorption_mm: NonNegativeFloat = 0.0


class LossConfig(Strict):
    """Heat transfer coefficients to ambient, W/(m2 K), and optional radiation with the given emissivity."""

    front_w_m2k: NonNegativeFloat = 10.0
    back_w_m2k: NonNegativeFloat = 10.0
    hole_floor_w_m2k: NonNegativeFloat = 10.0
    edge_w_m2k: NonNegativeFloat = 0.0
    radiation_emissivity: float = Field(default=0.0, ge=0, le=1)
    ambient_c: float = 22.0
    ambient_drift_k_min: float = 0.0


class SolverConfig(Strict):
    """Discretisation: lateral cell (mm), cells through the thickness (finer near the face), largest time step.

    `threads` on NumPy arrays (all cores when None); or another `device`, as torch names it ("cpu", "cuda", "auto").
    """

    lateral_mm: PositiveFloat = 2.0
    depth_cells: PositiveInt = 24
    max_step_s: PositiveFloat = 2.0
    threads: PositiveInt | None = None
    device: str = Field(default="numpy", min_length=1)


class RecordingConfig(Strict):
    """Frames: rate, cold frames before the heating, duration after its start."""

    frame_rate_hz: PositiveFloat = 1.0
    cold_s: NonNegativeFloat = 5.0
    duration_s: PositiveFloat = 400.0


class CameraConfig(Strict):
    """Camera: noise, pattern and steps in K, blur in px (standard deviation), drift in K over the recording."""

    pixel_pitch_mm: PositiveFloat = 2.0
    netd_k: NonNegativeFloat = 0.025
    blur_px: NonNegativeFloat = 0.5
    fixed_pattern_k: NonNegativeFloat = 0.02
    dead_fraction: float = Field(default=0.0, ge=0, le=0.05)
    drift_k: NonNegativeFloat = 0.0
    quantisation_k: NonNegativeFloat = 0.01
    column_noise_k: NonNegativeFloat = 0.0
    flicker_fraction: float = Field(default=0.0, ge=0, le=0.05)
    flicker_k: NonNegativeFloat = 0.5
    flicker_dwell_s: PositiveFloat = 20.0
    shutter_interval_s: NonNegativeFloat = 0.0
    shutter_jump_k: NonNegativeFloat = 0.2
    shutter_pattern_k: NonNegativeFloat = 0.01
    shutter_frozen_frames: NonNegativeInt = 0
    jitter_s: NonNegativeFloat = 0.0
    reflection_k: NonNegativeFloat = 0.0
    emissivity: float = Field(default=0.95, gt=0, lt=1)
    reflected_offset_k: float = 0.0


class PlacementConfig(Strict):
    """How the plate lies before the camera: mirrored first, then turned (anticlockwise), then shifted, then tilted."""

    turn_deg: float = 0.0
    mirrored: bool = False
    shift_x_mm: float = 0.0
    shift_y_mm: float = 0.0
    tilt_x_deg: float = Field(default=0.0, ge=-80, le=80)
    tilt_y_deg: float = Field(default=0.0, ge=-80, le=80)
    distance_mm: PositiveFloat = 1000.0


class OutlineConfig(Strict):
    """Place, size, turn (anticlockwise) and outline on the inspected face; a mask is a PNG, bright inside."""

    x_mm: float
    y_mm: float
    width_mm: PositiveFloat
    height_mm: PositiveFloat
    turn_deg: float = 0.0
    outline: Literal["ellipse", "rectangle", "capsule", "mask"] = "ellipse"
    mask: str | None = None


class MarkConfig(OutlineConfig):
    """A mark on the surface that is no defect: emissivity, and absorbed heat over that of the unmarked surface."""

    emissivity: float = Field(default=0.8, gt=0, le=1)
    absorption: float = Field(default=1.0, ge=0, le=3)


class DelaminationConfig(OutlineConfig):
    """A gap with a thermal resistance; its depth counts from the inspected face."""

    depth_mm: PositiveFloat
    name: str = ""
    resistance_m2k_w: PositiveFloat = 0.004


class InclusionConfig(OutlineConfig):
    """A flat piece of another material; depth of its upper side from the inspected face."""

    depth_mm: PositiveFloat
    name: str = ""
    thickness_mm: PositiveFloat
    material: MaterialConfig


class LayerConfig(Strict):
    """A layer of another material over the whole plate, from `depth_mm` on."""

    depth_mm: NonNegativeFloat
    thickness_mm: PositiveFloat
    material: MaterialConfig


class SimulationConfig(Strict):
    """One simulated acquisition; `plate` is a YAML file (relative to this file) or a plate that ships."""

    plate: str
    specimen_id: str = ""
    acquisition_id: str = ""
    condition: str = ""
    seed: int = Field(default=0, ge=0, lt=2**31)
    material: MaterialConfig | None = None
    conductivity_factor: PositiveFloat = 1.0
    heat_capacity_factor: PositiveFloat = 1.0
    heating: HeatingConfig = HeatingConfig()
    loss: LossConfig = LossConfig()
    solver: SolverConfig = SolverConfig()
    recording: RecordingConfig = RecordingConfig()
    camera: CameraConfig = CameraConfig()
    placement: PlacementConfig = PlacementConfig()
    marks: tuple[MarkConfig, ...] = ()
    delaminations: tuple[DelaminationConfig, ...] = ()
    inclusions: tuple[InclusionConfig, ...] = ()
    layers: tuple[LayerConfig, ...] = ()
