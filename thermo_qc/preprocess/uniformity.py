"""Uneven heating taken out: by every pixel's early rise, or by a smooth surface over the frame."""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import MissingFactError, SequenceError, UnknownNameError, suggestion
from thermo_qc.preprocess.frames import affine
from thermo_qc.preprocess.reference import frame_bands
from thermo_qc.preprocess.statistics import estimate_noise
from thermo_qc.preprocess.surface import fit_weights, solve_surface, surface_basis, weighted_pinv
from thermo_qc.preprocess.views import Block, ComputedFrames, read_block, settle
from thermo_qc.sequence import FrameSource, ThermalSequence

__all__ = ["correct_heating_by_early_frames", "correct_heating_by_surface"]

_LOG = logging.getLogger(__name__)

MODES = ("divide", "subtract")
LEAST_SIGNAL = 5.0
LEAST_SHARE = 0.02
LARGEST_COLD_SHARE = 0.05


def correct_heating_by_early_frames(
    sequence: ThermalSequence, t_window_s: tuple[float, float], *, mask: NDArray[np.bool_] | None = None
) -> ThermalSequence:
    """Divide every pixel's rise by what it rose early, when no defect had been reached by the heat.

    Early enough, the surface is that of a half-space: its rise is the absorbed energy (lamp pattern and absorptivity
    together) times one function of time for all pixels. This holds while the diffusion length sqrt(alpha t) at the end
    of the window, counted from the start of the heating, is well below the depth of the shallowest defect (a third of
    it for an error below one percent after a flash); shallower ones are divided away. It is written into the history
    where the material is known.

    Parameters
    ----------
    sequence : ThermalSequence
        Rise above the cold frame (`subtract_cold_frame`).
    t_window_s : tuple of float
        First and last time of the early frames on the sequence's axis, s.
    mask : ndarray of bool, shape (Y, X), optional
        Pixels whose median early rise the result keeps; all when None.

    Returns
    -------
    ThermalSequence
        float32, in the same unit: rise divided by early rise, times the median early rise. A pixel whose early rise is
        below five standard deviations of its noise or two percent of the median becomes NaN; the history counts them
        and a warning is logged.

    Raises
    ------
    MissingFactError
        When the frames are temperatures, not rises.
    SequenceError
        When window or mask do not fit, or nothing rises in the window.

    References
    ----------
    X. P. V. Maldague, Theory and Practice of Infrared Technology for Nondestructive Testing, Wiley, 2001
    """
    part = _window(sequence, t_window_s)
    early = _mean_image(sequence, part)
    _check_rise(sequence, early)
    usable = _usable(sequence, mask) & np.isfinite(early)
    typical = float(np.median(early[usable])) if usable.any() else 0.0
    n_frames = part.stop - part.start
    noise = estimate_noise(sequence) / np.sqrt(n_frames) if sequence.n_frames >= 3 else 0.0
    least = max(LEAST_SIGNAL * noise, LEAST_SHARE * abs(typical))
    if not typical > least:
        raise SequenceError(
            f"the median rise between {t_window_s[0]:g} s and {t_window_s[1]:g} s is {typical:.3g} {sequence.unit}, "
            f"expected more than {least:.3g}; take a window after the heating began, and the rise above the cold frame"
        )
    known = np.isfinite(early)
    lifted = known & (early > least)
    n_without = int((known & ~lifted).sum())
    if n_without:
        _LOG.warning("%d pixels hardly rise in the early window: they become NaN", n_without)
    gain = np.divide(typical, early, out=np.full(early.shape, np.nan), where=lifted)
    parameters: dict[str, Any] = {
        "t_window_s": [float(t_window_s[0]), float(t_window_s[1])],
        "n_frames": n_frames,
        "median_early_rise": typical,
        "n_pixels_without_rise": n_without,
        "mask": mask is not None,
    }
    if sequence.material is not None:
        since = max(0.0, float(t_window_s[1]) - sequence.excitation.start_s)
        parameters["diffusion_length_mm"] = float(np.sqrt(sequence.material.diffusivity_through_mm2_s * since))
    return sequence.with_frames(
        affine(sequence.frames, gain=gain), "correct_heating_by_early_frames", parameters=parameters
    )


def correct_heating_by_surface(
    sequence: ThermalSequence,
    *,
    order: int = 2,
    mask: NDArray[np.bool_] | None = None,
    mode: Literal["divide", "subtract"] = "divide",
    t_window_s: tuple[float, float] | None = None,
) -> ThermalSequence:
    """Take a smooth surface out of the frames: the lamp's pattern, as far as a low order describes it.

    "divide" suits a rise: lamps multiply it. One surface is fitted to the mean image of the window and divides all
    frames, relative to its mean. "subtract" suits anything that adds (a reflection, a gradient of the surroundings)
    and changes with time: a surface is fitted to every frame, with the weights of the mean image, and all of it but
    its mean is subtracted. Pixels that stick out of the surface (defects) have no say in it while they are a minority.

    Parameters
    ----------
    sequence : ThermalSequence
        For "divide" the rise above the cold frame (`subtract_cold_frame`), for "subtract" anything.
    order : int
        Largest total degree of the polynomial in row and column, 0 to 6.
    mask : ndarray of bool, shape (Y, X), optional
        Sound pixels; all when None.
    mode : {"divide", "subtract"}
        See above.
    t_window_s : tuple of float, optional
        Times whose mean image is fitted (and weighs the pixels), s; all frames at or after time zero when None.

    Returns
    -------
    ThermalSequence
        float32, same unit; the mean over the pixels of the surface is kept. With "divide", pixels outside `mask` where
        the surface falls below two percent of its mean become NaN; the history counts them and a warning is logged.

    Raises
    ------
    UnknownNameError
        When the mode is not known.
    MissingFactError
        When temperatures, not rises, are to be divided.
    SequenceError
        When order, window or mask do not fit, too few pixels are left, or the surface reaches zero within the mask.
    """
    if mode not in MODES:
        raise UnknownNameError(f"unknown mode of the surface '{mode}'{suggestion(str(mode), MODES)}")
    window = (max(0.0, float(sequence.times_s[0])), float(sequence.times_s[-1])) if t_window_s is None else t_window_s
    part = _window(sequence, window)
    image = _mean_image(sequence, part)
    usable = _usable(sequence, mask)
    basis = surface_basis(sequence.frame_shape, order)
    parameters: dict[str, Any] = {
        "order": int(order),
        "mode": mode,
        "t_window_s": [float(window[0]), float(window[1])],
        "mask": mask is not None,
    }
    if mode == "divide":
        _check_rise(sequence, image)
        gain, found = _surface_gain(image, basis, usable)
        frames = affine(sequence.frames, gain=gain)
    else:
        coefficients, found = _surfaces(sequence, image, basis, usable)
        frames = settle(_WithoutSurface(sequence.frames, basis[1:], coefficients[:, 1:]), sequence.frames)
    return sequence.with_frames(frames, "correct_heating_by_surface", parameters=parameters | found)


def _window(sequence: ThermalSequence, t_window_s: tuple[float, float]) -> slice:
    low, high = t_window_s
    inside = np.flatnonzero((sequence.times_s >= low) & (sequence.times_s <= high))
    if inside.size == 0:
        raise SequenceError(
            f"no frame lies between {low:g} s and {high:g} s; the recording runs from {sequence.times_s[0]:g} s to "
            f"{sequence.times_s[-1]:g} s"
        )
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _mean_image(sequence: ThermalSequence, part: slice) -> NDArray[np.float64]:
    """Mean of some frames, NaN where a pixel has none, frame by frame."""
    total, count = np.zeros(sequence.frame_shape), np.zeros(sequence.frame_shape, dtype=np.int64)
    for index in range(part.start, part.stop):
        frame = np.asarray(sequence.frames[index, :, :], dtype=np.float64)
        finite = np.isfinite(frame)
        total[finite] += frame[finite]
        count += finite
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def _usable(sequence: ThermalSequence, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    if mask is None:
        return np.ones(sequence.frame_shape, dtype=bool)
    mask = np.asarray(mask, dtype=bool)
    if mask.shape != sequence.frame_shape:
        raise SequenceError(f"mask of sound pixels has shape {mask.shape}, the frames have {sequence.frame_shape}")
    if not mask.any():
        raise SequenceError("the mask of sound pixels is empty; mark some or leave it out")
    return mask


def _check_rise(sequence: ThermalSequence, image: NDArray[np.float64]) -> None:
    """Refuse temperatures where a rise is needed: dividing them would leave the lamp's pattern in."""
    way_out = "subtract the cold frame first (subtract_cold_frame)"
    if sequence.unit == "degC":
        raise MissingFactError(f"the frames are temperatures in degC, expected their rise; {way_out}")
    cold = np.flatnonzero(sequence.times_s < 0)
    if cold.size and np.isfinite(image).any():
        before = _mean_image(sequence, slice(int(cold[0]), int(cold[-1]) + 1))
        level = float(np.median(np.abs(before[np.isfinite(before)]))) if np.isfinite(before).any() else 0.0
        rise = float(np.median(np.abs(image[np.isfinite(image)])))
        noise = estimate_noise(sequence) if sequence.n_frames >= 3 else 0.0
        if level > LARGEST_COLD_SHARE * rise + 3 * noise:
            raise MissingFactError(
                f"the frames before the heating are at {level:.3g} {sequence.unit}, expected a rise that is 0 there; "
                f"{way_out}"
            )


def _surface_gain(
    image: NDArray[np.float64], basis: NDArray[np.float64], usable: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    coefficients, left_out = solve_surface(image, basis, usable)
    surface = np.tensordot(coefficients, basis, axes=1)
    used = usable & np.isfinite(image)
    mean = float(surface[used].mean())
    low = surface <= LEAST_SHARE * mean if mean > 0 else np.ones(image.shape, dtype=bool)
    if (low & used).any():
        raise SequenceError(
            f"the surface falls to {float(surface[used].min()):.3g} at a mean of {mean:.3g}, expected it well above 0; "
            "restrict it to the plate with a mask, lower the order, or use mode 'subtract'"
        )
    n_low = int((low & np.isfinite(image)).sum())
    if n_low:
        _LOG.warning("the surface has no positive value at %d pixels outside the mask: they become NaN", n_low)
    found = {
        "coefficients": coefficients.tolist(),
        "share_left_out": left_out,
        "n_pixels_without_surface": n_low,
    }
    return np.divide(mean, surface, out=np.full(image.shape, np.nan), where=~low), found


def _surfaces(
    sequence: ThermalSequence, image: NDArray[np.float64], basis: NDArray[np.float64], usable: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Coefficients (T, terms) of every frame's surface; the first is the mean that stays."""
    usable_mean = basis[:, usable & np.isfinite(image)].mean(axis=1)
    pixels, weights = fit_weights(image, basis, usable)
    matrix = weighted_pinv(basis, pixels, weights)
    coefficients = np.empty((sequence.n_frames, basis.shape[0]))
    n_partial = 0
    for part, band in frame_bands(sequence):
        values = band.reshape(band.shape[0], -1)[:, pixels]
        finite = np.isfinite(values)
        coefficients[part] = np.where(finite, values, 0.0) @ matrix.T
        for row in np.flatnonzero(~finite.all(axis=1)):
            keep = finite[row] & (weights > 0)
            n_partial += 1
            if keep.sum() < 3 * basis.shape[0]:
                coefficients[part.start + row] = 0.0  # a lost frame: nothing to take off
                continue
            fit = weighted_pinv(basis, pixels[keep], weights[keep])
            coefficients[part.start + row] = fit @ values[row, keep]
    # Terms are centred on the usable pixels, so that their mean curve is what it was.
    basis[1:] -= usable_mean[1:, None, None]
    found = {"share_left_out": float((weights < 0.05).mean()), "n_frames_with_gaps": n_partial}
    return coefficients, found


class _WithoutSurface(ComputedFrames):
    """Lazy frames less one surface each."""

    def __init__(self, source: FrameSource, basis: NDArray[np.float64], coefficients: NDArray[np.float64]) -> None:
        super().__init__(source)
        self._basis, self._coefficients = basis, coefficients

    def compute(self, block: Block) -> NDArray[np.float32]:
        times, rows, columns = block
        cut = (slice(None), slice(rows.start, rows.stop, rows.step), slice(columns.start, columns.stop, columns.step))
        chosen = self._coefficients[times.start : times.stop : times.step]
        surfaces = np.tensordot(chosen, self._basis[cut], axes=1)
        return np.asarray(read_block(self._source, block) - surfaces, dtype=np.float32)
