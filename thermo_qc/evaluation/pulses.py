"""Before an inspection: how long to heat and to record until a wanted hole can be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from thermo_qc.errors import ConfigError
from thermo_qc.evaluation.hole_indices import look_at_cell
from thermo_qc.evaluation.items import diffusion_length_mm
from thermo_qc.evaluation.setup import InspectionSetup
from thermo_qc.sequence import Material
from thermo_qc.simulation import CellSolution, solve_cell
from thermo_qc.simulation.conditions import check_range

__all__ = ["PulseNeed", "WantedHole", "best_pulse", "recording_needed"]

_NODES = 320
_CLOSE = 0.02  # relative accuracy of a recording time
_SAME = 1.05  # recordings that differ by less are equally long for the choice between pulses


@dataclass(frozen=True, kw_only=True)
class PulseNeed:
    """How long to record after the start of a heating of some length.

    Parameters
    ----------
    pulse_s : float
        Length of the heating; 0 for a flash, infinity for a step.
    recording_s : float
        Shortest recording, not shorter than the pulse, that reaches the wanted d'; NaN where the longest one does not.
    d_prime : float
        Honest index of that recording; of the longest one where it is not enough.
    peak_rise_k : float
        Largest rise of the surface in that recording, over the hole or beside it.
    """

    pulse_s: float
    recording_s: float
    d_prime: float
    peak_rise_k: float


@dataclass(frozen=True, kw_only=True)
class WantedHole:
    """How to show one hole.

    Parameters
    ----------
    depth_mm, diameter_mm : float
        The hole.
    needs : tuple of PulseNeed
        Recording time by pulse.
    best : PulseNeed or None
        The shortest recording whose surface stays below `max_rise_k`; None where there is none.
    longest_s, max_rise_k : float
        Longest recording that was tried, largest rise of the surface that is allowed.
    """

    depth_mm: float
    diameter_mm: float
    needs: tuple[PulseNeed, ...]
    best: PulseNeed | None
    longest_s: float
    max_rise_k: float


def recording_needed(
    material: Material,
    *,
    thickness_mm: float,
    depth_mm: float,
    diameter_mm: float,
    setup: InspectionSetup,
    wanted_d_prime: float = 30.0,
    pulses_s: Sequence[float] = (),
    longest_s: float,
) -> tuple[PulseNeed, ...]:
    """Find for each pulse the shortest recording that shows a hole.

    One simulation of the answer to a step of heat (or a flash) gives all pulses by superposition, since conduction and
    the losses are linear.

    Parameters
    ----------
    material : Material
        Constants.
    thickness_mm, depth_mm, diameter_mm : float
        Plate and wanted hole.
    setup : InspectionSetup
        Kind and power of the heating, losses, camera; its pulse and its recording time are not used.
    wanted_d_prime : float
        Wanted honest index.
    pulses_s : sequence of float
        Lengths of the heating to try; not used for a flash or a step.
    longest_s : float
        Longest recording to think of.

    Returns
    -------
    tuple of PulseNeed
        One for each pulse that is shorter than `longest_s`; one for a flash or a step.

    Raises
    ------
    ConfigError
        When a number is out of range, no pulse is left, or the heating swings, sends a code or glows.
    """
    check_range("wanted d'", wanted_d_prime, low=0, open_low=True)
    check_range("longest_s", longest_s, low=8 / setup.frame_rate_hz)
    for pulse in pulses_s:
        check_range("pulse_s", pulse, low=0, open_low=True)
    kind = setup.heating.kind
    if kind in ("periodic", "coded") or setup.heating.afterglow_share > 0:
        raise ConfigError(
            f"heating is of the kind '{kind}' with an afterglow of {setup.heating.afterglow_share:g}, but pulses are "
            "planned for long_pulse, step and flash without afterglow; use one of those"
        )
    pulses = {"flash": (0.0,), "step": (np.inf,)}.get(kind, tuple(p for p in pulses_s if p < longest_s))
    if not pulses:
        raise ConfigError(f"no pulse is shorter than the longest recording of {longest_s:g} s; give shorter pulses")
    heating = setup.heating if kind == "flash" else replace(setup.heating, kind="step")
    reach = diameter_mm / 2 + diffusion_length_mm(material.diffusivity_in_plane_mm2_s, longest_s)
    step = solve_cell(
        material=material,
        thickness_mm=thickness_mm,
        depth_mm=depth_mm,
        diameter_mm=diameter_mm,
        times_s=longest_s * np.linspace(0, 1, _NODES + 1)[1:] ** 2,
        reach_mm=float(np.sqrt(2.0) * reach - diameter_mm / 2),
        heating=heating,
        losses=setup.losses,
    )
    answer = _Answer(step, flash=kind == "flash")
    index = partial(_index, answer, material, diameter_mm, setup)
    return tuple(_need(index, pulse, wanted_d_prime, longest_s, setup.frame_rate_hz) for pulse in pulses)


def best_pulse(needs: Sequence[PulseNeed], *, max_rise_k: float = np.inf) -> PulseNeed | None:
    """Choose the shortest recording, and of about equal ones the shortest pulse; None where none is enough.

    Parameters
    ----------
    needs : sequence of PulseNeed
        From `recording_needed`.
    max_rise_k : float
        Largest rise that the surface may take.
    """
    good = [need for need in needs if np.isfinite(need.recording_s) and need.peak_rise_k <= max_rise_k]
    if not good:
        return None
    shortest = min(need.recording_s for need in good)
    return min((need for need in good if need.recording_s <= _SAME * shortest), key=lambda need: need.pulse_s)


class _Answer:
    """Rise of a cell after a step of heat or a flash, at any time and for any pulse."""

    def __init__(self, cell: CellSolution, *, flash: bool) -> None:
        self.r_mm, self._flash = cell.r_mm, flash
        table = np.concatenate([cell.rise_k, cell.sound_k[:, None]], axis=1)
        root = np.sqrt(cell.times_s)
        if not flash:  # a step begins cold
            root, table = np.append(0.0, root), np.concatenate([np.zeros((1, table.shape[1])), table])
        self._start, self._spline = root[0], CubicSpline(root, table, axis=0)

    def at(self, times_s: NDArray[np.float64], pulse_s: float) -> CellSolution:
        """Rise at times after the start of a pulse."""
        table = self._after(times_s)
        if not self._flash and np.isfinite(pulse_s):
            table = table - self._after(times_s - pulse_s)
        return CellSolution(times_s=times_s, r_mm=self.r_mm, rise_k=table[:, :-1], sound_k=table[:, -1])

    def _after(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        root = np.sqrt(np.maximum(times_s, 0.0))
        return np.asarray(np.where(times_s[:, None] > 0, self._spline(np.maximum(root, self._start)), 0.0))


def _index(
    answer: _Answer, material: Material, diameter_mm: float, setup: InspectionSetup, pulse_s: float, recording_s: float
) -> tuple[float, float]:
    """Honest index and largest rise of a pulse and a recording time."""
    heating = setup.heating
    if heating.kind == "long_pulse":
        heating = replace(heating, duration_s=pulse_s)
    setup = replace(setup, heating=heating, duration_s=recording_s)
    times, counts = setup.samples()
    cell = answer.at(times, pulse_s)
    half = diameter_mm / 2 + diffusion_length_mm(material.diffusivity_in_plane_mm2_s, recording_s)
    window = look_at_cell(cell, frames_averaged=counts, half_width_mm=half, diameter_mm=diameter_mm, setup=setup)
    return window.detectability().background, float(max(cell.rise_k.max(), cell.sound_k.max()))


def _need(
    index: partial[tuple[float, float]], pulse: float, wanted: float, longest: float, rate_hz: float
) -> PulseNeed:
    """Halve the logarithm of the recording time until it is known well."""
    most, rise = index(pulse, longest)
    if most < wanted:
        return PulseNeed(pulse_s=pulse, recording_s=float("nan"), d_prime=most, peak_rise_k=rise)
    low, high = max(8 / rate_hz, pulse if np.isfinite(pulse) else 0.0), longest
    found = (most, rise)
    first = index(pulse, low)
    if first[0] >= wanted:
        return PulseNeed(pulse_s=pulse, recording_s=low, d_prime=first[0], peak_rise_k=first[1])
    while high > low * (1 + _CLOSE):
        middle = float(np.sqrt(low * high))
        now = index(pulse, middle)
        if now[0] >= wanted:
            high, found = middle, now
        else:
            low = middle
    return PulseNeed(pulse_s=pulse, recording_s=high, d_prime=found[0], peak_rise_k=found[1])
