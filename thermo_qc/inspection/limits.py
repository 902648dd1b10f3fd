"""What a model was trained for, and whether a recording lies inside that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ModelError, ThermoQCError
from thermo_qc.inspection.loading import shipped_metadata
from thermo_qc.models import TrainedModel
from thermo_qc.representation import PhysicalRepresentation
from thermo_qc.sequence import ThermalSequence

__all__ = ["model_doubts", "reach_mm"]

_SLACK = 0.05  # of a limit
_WARMED = 1.15  # heat from the face falls once the lamps are off; bins and after-glow raise it a little
_NOISELESS = 1e5  # largest rise over noise
_TINY = 1e-12  # a recording of cold frames alone has no time after the start of the heating


def reach_mm(sequence: ThermalSequence) -> float:
    """Return the depth that heat reaches and comes back from during a recording, sqrt(alpha t); NaN without material.

    References
    ----------
    X. Maldague, Theory and Practice of Infrared Technology for Nondestructive Testing, Wiley 2001, section 9.1.
    """
    if sequence.material is None:
        return float("nan")
    return float(np.sqrt(sequence.material.diffusivity_through_mm2_s * max(float(sequence.times_s[-1]), 0.0)))


def model_doubts(
    models: Sequence[TrainedModel], sequence: ThermalSequence, region: NDArray[np.bool_] | None = None
) -> tuple[str, ...]:
    """Say where a recording lies outside what the models were trained for, and which model that ships knows it.

    Parameters
    ----------
    models : sequence of TrainedModel
        Those with limits in their metadata speak; others were trained on recordings of one plate and say nothing.
    sequence : ThermalSequence
        Recording.
    region : ndarray of bool, shape (Y, X), optional
        The plate in the frame.

    Returns
    -------
    tuple of str
        One line each; empty when everything is inside.
    """
    lines: list[str] = []
    seen: dict[str, str] = {}
    for model in models:
        lines += [line for line in _nearest(model.metadata, sequence) or () if line not in lines]
        seen = {**_signal_doubts(model, sequence, region), **seen}  # of models that vote the first one speaks
    if lines and not seen:  # the models that ship know the same cameras
        knowing = [name for name, metadata in shipped_metadata().items() if _nearest(metadata, sequence) == []]
        lines += [f"{' or '.join(knowing)}, which ships too, was trained for such recordings"] if knowing else []
    return (*lines, *seen.values())


@contextmanager
def _reading_account() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise ModelError(
            f"the model's own account of its training is broken ({type(error).__name__}: {error}); copy the model again"
        ) from error


def _nearest(metadata: Mapping[str, Any], sequence: ThermalSequence) -> list[str] | None:
    """Doubts by the ranges of the corpus that a recording is nearest to; None of models without ranges."""
    with _reading_account():
        doubts = [_doubts(limits, sequence) for limits in _limits(metadata)]
    if not doubts:
        return None
    nearest = min(doubts, key=lambda own: (len(own), sum(excess for _, excess in own)))
    return [line for line, _ in nearest]  # inside the ranges of one corpus is inside


def _signal_doubts(model: TrainedModel, sequence: ThermalSequence, region: NDArray[np.bool_] | None) -> dict[str, str]:
    """Doubts about number of frames, noise, and the side that the camera looks at, by their topic."""
    if not isinstance(model.representation, PhysicalRepresentation):
        return {}
    with _reading_account():
        plates, cameras = _limits(model.metadata), model.metadata.get("acquisitions")
        if not plates or cameras is None:
            return {}
        fewest = int(cameras["n_frames"][0])
        weakest = min(float(one["peak_rise_k"][0]) for one in plates) / float(cameras["netd_k"][1])
        strongest = max(float(one["peak_rise_k"][1]) for one in plates) / float(cameras["netd_k"][0])
    lines = {}
    count, expected = int((sequence.times_s > 0).sum()), fewest * _recorded_share(sequence)
    if count < expected * (1 - _SLACK):
        lines["frames"] = f"{count} frames after the start of the heating, the model was trained from {expected:.0f} on"
    try:
        signal = model.representation.signal(sequence, region)
    except ThermoQCError:
        return lines  # a prediction says why itself
    if signal.over_noise > _NOISELESS:
        lines["noise"] = "the frames hold no noise (a simulation?), the model was trained with that of a camera"
    elif np.isfinite(signal.over_noise):
        for line, _ in _outside("largest rise / noise of a frame", signal.over_noise, (weakest, strongest), ""):
            lines["noise"] = line
    if sequence.excitation.kind != "periodic" and signal.warmed_after > _WARMED:
        lines["side"] = (
            f"the plate warms on after the heating (to {signal.warmed_after:.2g} times its rise): the camera looks at "
            "the other side, or heating_stop_s is early, the model was trained for the heated side"
        )
    return lines


def _recorded_share(sequence: ThermalSequence) -> float:
    """Share of the time after the start of the heating that a recording without frames of the heating has left."""
    stop_s, times = sequence.excitation.stop_s, sequence.times_s
    if sequence.excitation.kind != "long_pulse" or not stop_s or stop_s >= times[-1]:
        return 1.0
    return 1.0 if ((times > 0) & (times <= stop_s)).any() else float(1.0 - stop_s / times[-1])


def _limits(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Ranges of plates of each corpus that a model was trained on."""
    corpora = metadata.get("corpora") or [metadata.get("corpus")]
    found = [corpus.get("plates") for corpus in corpora if isinstance(corpus, Mapping)]
    return [limits for limits in found if isinstance(limits, Mapping)]


def _doubts(limits: Mapping[str, Any], sequence: ThermalSequence) -> list[tuple[str, float]]:
    """Lines, and how far outside each quantity is, as a logarithm (0 for what has no size)."""
    kind = sequence.excitation.kind
    lines: list[tuple[str, float]] = []
    if kind == "unknown":
        lines.append((f"how it was heated is not known, the model was trained for {', '.join(limits['heating'])}", 0.0))
    elif kind not in limits["heating"]:
        lines.append((f"the model was trained for {', '.join(limits['heating'])}, the recording is {kind}", 0.0))
    stop_s, end_s = sequence.excitation.stop_s, float(sequence.times_s[-1])
    if kind == "long_pulse" and stop_s is not None and 0 < stop_s < end_s:
        lines += _outside("length of the pulse / recording time", stop_s / end_s, limits["pulse_share"], "")
    material, thickness, pitch = sequence.material, sequence.thickness_mm, sequence.pixel_pitch_mm
    missing = [
        name
        for name, value in (("material", material), ("thickness_mm", thickness), ("pixel_pitch_mm", pitch))
        if value is None
    ]
    if missing:
        depths = "are not given" if material is None else "are less sure"
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        way_out = f"(state what is missing in a sidecar or with {options})"
        lines.append((f"{', '.join(missing)} not known: defects are called without, depths {depths} {way_out}", 0.0))
    if thickness is not None:
        lines += _outside("thickness", thickness, limits["thickness_mm"], "mm")
    if material is not None:
        through = material.conductivity_through_w_mk
        families = limits["materials"]
        lines += _outside(
            "conductivity through the thickness", through, _hull(families, "conductivity_through_w_mk"), "W/mK"
        )
        spread = material.diffusivity_in_plane_mm2_s / material.diffusivity_through_mm2_s
        lines += _outside("anisotropy", spread, _hull(families, "anisotropy"), "")
        if thickness is not None:
            fourier = material.diffusivity_through_mm2_s * float(sequence.times_s[-1]) / thickness**2
            what = f"recording time x diffusivity / thickness squared (heat reaches {reach_mm(sequence):.2g} mm)"
            lines += _outside(what, fourier, _fourier(limits, fourier / float(sequence.times_s[-1])), "")
            if pitch is not None and "pitch_share" in limits:
                share = pitch / (thickness * spread ** (1 / 3))
                what = "pixel pitch / (thickness x cube root of the anisotropy)"
                lines += _outside(what, share, limits["pitch_share"], "")
    return lines


def _outside(what: str, value: float, limits: Sequence[float], unit: str) -> list[tuple[str, float]]:
    low, high = limits
    if low * (1 - _SLACK) <= value <= high * (1 + _SLACK):
        return []
    line = (
        f"{what} is {_short(value)} {unit}".rstrip() + f", the model was trained from {_short(low)} to {_short(high)}"
    )
    return [(line, abs(math.log(max(value, _TINY) / (low if value < low else high))))]


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _hull(families: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float]:
    return min(family[name][0] for family in families), max(family[name][1] for family in families)


def _fourier(limits: Mapping[str, Any], per_second: float) -> tuple[float, float]:
    """Limits of recording time times diffusivity over thickness squared, of a plate where that grows `per_second`.

    Training ends recordings early, too, so half of the shortest is known; the shortest recording of a thin plate is
    long for it.
    """
    low, high = limits["fourier"]
    return 0.5 * low, max(high, limits["recording_s"][0] * per_second)
