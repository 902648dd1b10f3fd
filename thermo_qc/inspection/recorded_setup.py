"""What a recording itself says of its set-up: heating, noise, frame rate, and how much heat its plate took up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from thermo_qc.errors import ThermoQCError
from thermo_qc.evaluation import InspectionSetup, simulate_hole
from thermo_qc.evaluation.hole_window import HoleWindow
from thermo_qc.preprocess import detect_heating_stop, estimate_noise
from thermo_qc.sequence import Material, ThermalSequence
from thermo_qc.simulation import Heating

__all__ = ["RecordedSetup", "hole_in", "recorded_setup"]

_WAY_OUT = {
    "material": "material (thermal constants, in a sidecar YAML or by --plate)",
    "thickness_mm": "thickness_mm (--thickness-mm or --plate)",
    "pixel_pitch_mm": "pixel_pitch_mm (--pixel-pitch-mm)",
    "unit": "temperatures (the recording holds camera counts)",
    "excitation": "the kind of heating: flash, long_pulse or step (--excitation)",
    "heating_stop_s": "heating_stop_s (--heating-stop-s)",
    "heat": "the heat that the plate took up (frames before the heating, or --flux-w-m2)",
    "noise": "the noise (--netd-k, or more than three frames)",
    "frames": "frames after the start of the heating",
}
_SOUND_SAMPLES = 24
_DIM_PERCENTILE = 5.0
_RIM_PX = 2
_ENOUGH_INSIDE = 0.2
_PLAIN = 1000.0  # W/m2 or J/m2


@dataclass(frozen=True, kw_only=True)
class RecordedSetup:
    """Set-up of a recording, as far as it is known.

    Parameters
    ----------
    setup : InspectionSetup, optional
        None when a fact is missing.
    material, thickness_mm : Material, float, optional
        Of the plate.
    missing : tuple of str
        Facts that are missing, with the way out.
    noise_source, heat_source : str
        Where these two numbers come from, in words.
    misfit : float, optional
        Root mean square of the difference between the measured and the computed rise of sound material, over the rise.
    """

    setup: InspectionSetup | None
    material: Material | None
    thickness_mm: float | None
    missing: tuple[str, ...]
    noise_source: str = ""
    heat_source: str = ""
    misfit: float | None = None


def recorded_setup(
    sequence: ThermalSequence,
    *,
    sound: NDArray[np.bool_] | None = None,
    material: Material | None = None,
    thickness_mm: float | None = None,
) -> RecordedSetup:
    """Gather what detectability needs from a recording.

    The heat is measured where there are frames before the heating: the rise of the dimmest inspected sound pixels (5th
    percentile) is compared with the computed rise of sound material, so that the emissivity, the lamps' real power and
    their uneven light are in it. Without such frames the stated flux is taken.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording.
    sound : ndarray of bool, shape (Y, X), optional
        Pixels that count as sound; all when None.
    material, thickness_mm : Material, float, optional
        Of the plate, where the recording does not say.

    Returns
    -------
    RecordedSetup
    """
    material = sequence.material or material
    thickness = sequence.thickness_mm or thickness_mm
    excitation, times = sequence.excitation, sequence.times_s
    missing = [name for name, value in (("material", material), ("thickness_mm", thickness)) if value is None]
    missing += ["pixel_pitch_mm"] if sequence.pixel_pitch_mm is None else []
    missing += ["unit"] if sequence.unit == "counts" else []
    if excitation.kind not in ("flash", "long_pulse", "step"):
        missing.append("excitation")
    stop = excitation.stop_s
    if excitation.kind == "long_pulse" and stop is None:
        stop = detect_heating_stop(sequence)
        missing += ["heating_stop_s"] if stop is None else []
    if (times > 0).sum() < 5:
        missing.append("frames")
    noise, noise_source = _noise(sequence)
    missing += ["noise"] if noise is None and "unit" not in missing else []
    measured = bool((times < 0).any())
    if not measured and (excitation.flux_w_m2 is None or excitation.kind == "flash"):
        missing.append("heat")
    common = {"material": material, "thickness_mm": thickness, "noise_source": noise_source}
    if missing or material is None or thickness is None or noise is None or sequence.pixel_pitch_mm is None:
        return RecordedSetup(setup=None, missing=tuple(_WAY_OUT[name] for name in missing), **common)  # type: ignore[arg-type]
    heating = Heating(kind=excitation.kind, duration_s=1.0 if not stop else float(stop))  # type: ignore[arg-type]
    if excitation.flux_w_m2 is not None and excitation.flux_w_m2 > 0:
        heating = replace(heating, flux_w_m2=excitation.flux_w_m2)
    setup = InspectionSetup(
        heating=heating,
        netd_k=noise,
        quantisation_k=0.0,
        pixel_pitch_mm=sequence.pixel_pitch_mm,
        frame_rate_hz=float(sequence.frame_rate_hz or 1.0),
        cold_s=max(0.0, -float(times[0])),
        duration_s=float(times[-1]),
    )
    source, misfit = f"stated: {heating.flux_w_m2:g} W/m²", None
    if measured:
        setup, source, misfit = _measured_heat(sequence, sound, setup, material, thickness)
    return RecordedSetup(
        setup=setup,
        material=material,
        thickness_mm=thickness,
        missing=(),
        noise_source=noise_source,
        heat_source=source,
        misfit=misfit,
    )


def _noise(sequence: ThermalSequence) -> tuple[float | None, str]:
    """Noise of a frame: as measured, never less than what the camera is said to have."""
    stated = sequence.netd_k
    measured: float | None = None
    if sequence.n_frames > 3 and sequence.unit != "counts":
        try:
            measured = float(estimate_noise(sequence))
        except ThermoQCError:
            measured = None
        if measured is not None and not (np.isfinite(measured) and measured > 0):
            measured = None
    if measured is None:
        return stated, "" if stated is None else "stated"
    if stated is not None and stated > measured:
        return stated, f"stated; measured in the recording: {1e3 * measured:.3g} mK"
    return measured, "measured in the recording" + ("" if stated is None else f"; stated: {1e3 * stated:.3g} mK")


def _measured_heat(
    sequence: ThermalSequence,
    sound: NDArray[np.bool_] | None,
    setup: InspectionSetup,
    material: Material,
    thickness_mm: float,
) -> tuple[InspectionSetup, str, float | None]:
    """Scale the heating so that computed sound material rises as the dimmest sound pixels do."""
    times = sequence.times_s
    cold = sequence.frames[: int((times < 0).sum()), :, :].mean(axis=0)
    stop = setup.heating.stop_s or 0.0
    after = np.flatnonzero(times > max(stop, 0.0) + 0.02 * times[-1])
    if after.size < 3:
        after = np.flatnonzero(times > 0)
    chosen = np.unique(after[np.linspace(0, after.size - 1, min(_SOUND_SAMPLES, after.size)).astype(int)])
    use = np.isfinite(cold) if sound is None else sound & np.isfinite(cold)
    if not use.any():
        return setup, "stated", None
    use = _inside(use)
    rises = np.stack([np.asarray(sequence.frames[index, :, :], dtype=np.float64) - cold for index in chosen.tolist()])
    dim = np.nanpercentile(rises[:, use], _DIM_PERCENTILE, axis=1)
    hole = hole_in(material, thickness_mm, thickness_mm / 2, 4 * setup.pixel_pitch_mm, setup)
    computed = np.interp(times[chosen], hole.times_s, hole.sound_k)
    level = float(dim @ computed / (computed @ computed))
    if not (np.isfinite(level) and level > 0):
        return setup, "stated", None
    misfit = float(np.sqrt(np.mean((dim - level * computed) ** 2)) / np.sqrt(np.mean(dim**2)))
    heating = setup.heating
    if heating.kind == "flash":
        heating = replace(heating, energy_j_m2=level * heating.energy_j_m2)
        source = f"measured: {heating.energy_j_m2:.3g} J/m² in the dimmest inspected places"
    else:
        heating = replace(heating, flux_w_m2=level * heating.flux_w_m2)
        source = f"measured: {heating.flux_w_m2:.3g} W/m² in the dimmest inspected places"
    return replace(setup, heating=heating), source, misfit


def _inside(use: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out the rim, whose pixels see the plate in part; not where too little would be left."""
    inner = binary_erosion(use, iterations=_RIM_PX, border_value=1)
    return inner if inner.sum() >= _ENOUGH_INSIDE * use.sum() else use


def hole_in(
    material: Material, thickness_mm: float, depth_mm: float, diameter_mm: float, setup: InspectionSetup
) -> HoleWindow:
    """Simulate a hole as `simulate_hole` does, once for all recordings that differ in heat and noise alone.

    The rise is proportional to the absorbed heat, and noise has no part in it.
    """
    flash = setup.heating.kind == "flash"
    plain = replace(setup.heating, flux_w_m2=_PLAIN, energy_j_m2=_PLAIN)
    level = (setup.heating.energy_j_m2 if flash else setup.heating.flux_w_m2) / _PLAIN
    window = _plain_hole(material, thickness_mm, depth_mm, diameter_mm, replace(setup, heating=plain, netd_k=1.0))
    return replace(window, contrast_k=level * window.contrast_k, sound_k=level * window.sound_k, noise_k=setup.noise_k)


@lru_cache(maxsize=128)
def _plain_hole(
    material: Material, thickness_mm: float, depth_mm: float, diameter_mm: float, setup: InspectionSetup
) -> HoleWindow:
    return simulate_hole(material, thickness_mm=thickness_mm, depth_mm=depth_mm, diameter_mm=diameter_mm, setup=setup)
