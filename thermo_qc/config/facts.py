"""Facts about a recording that its file may lack: the sidecar YAML and the matching command line options."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt

from thermo_qc.config.base import Strict

__all__ = ["Facts", "MaterialConfig"]


class MaterialConfig(Strict):
    """Thermal constants; see `thermo_qc.sequence.Material`."""

    name: str = "unnamed"
    conductivity_through_w_mk: PositiveFloat
    conductivity_in_plane_w_mk: PositiveFloat
    density_kg_m3: PositiveFloat
    heat_capacity_j_kgk: PositiveFloat
    conductivity_y_w_mk: PositiveFloat | None = None


def _two_lengths(value: Any) -> Any:
    """Split ``480x640`` or ``480,640``, the form of the command line and of CSV manifests."""
    return re.split(r"\s*[x×,; ]\s*", value.strip()) if isinstance(value, str) else value


class Facts(Strict):
    """What a person states about a recording; None leaves the file's own word.

    Times here are on the file's own time axis; the reader moves the axis so that the heating starts at zero.
    """

    variable: str | None = None
    axes: Literal["tyx", "txy", "ytx", "yxt", "xty", "xyt"] | None = None
    frame_shape: Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_two_lengths)] | None = None
    unit: Literal["K", "degC", "counts"] | None = None
    frame_rate_hz: PositiveFloat | None = None
    t_first_s: float | None = None
    times_s: tuple[float, ...] | None = None
    excitation: Literal["flash", "long_pulse", "step", "periodic", "unknown"] | None = None
    heating_start_s: float | None = None
    heating_stop_s: float | None = None
    frequency_hz: PositiveFloat | None = None
    flux_w_m2: PositiveFloat | None = None
    pixel_pitch_mm: PositiveFloat | None = None
    ambient_c: float | None = None
    emissivity: float | None = Field(default=None, gt=0, le=1)
    thickness_mm: PositiveFloat | None = None
    netd_k: PositiveFloat | None = None
    material: MaterialConfig | None = None
    camera: str | None = None
    specimen_id: str | None = None
    acquisition_id: str | None = None
