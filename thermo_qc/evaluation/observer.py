"""How well an ideal observer can tell a defect from sound material: the matched filter and what it must not rely on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, lsmr

from thermo_qc.errors import ConfigError, SequenceError, choose

__all__ = ["Detectability", "DetectionLimits", "Nuisance", "detectability", "project_nuisances"]

Nuisance = Literal["none", "pixel", "background"]
_TOLERANCE = 1e-10  # directions weaker than this, relative to the strongest one, are no directions
_SETTLED = 1e-9
_MOST_ROUNDS = 2000
_GAVE_UP = 7  # of LSMR
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DetectionLimits:
    """From which detectability index on a defect counts as visible, and as detectable.

    Parameters
    ----------
    visible : float
        Below it a defect cannot be seen. The reading of 6.5: an observer who tries 10^5 places, sizes and depths on a
        plate and calls one false alarm in a hundred plates needs a threshold of 5.2 standard deviations; a defect of
        d' 6.5 passes that nine times in ten.
    detectable : float
        From it on a defect is detectable; in between it is borderline.

    Raises
    ------
    ConfigError
        When they are not positive and in order.
    """

    visible: float = 6.5
    detectable: float = 30.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.detectable) and 0 < self.visible <= self.detectable):
            raise ConfigError(
                f"the detectability limits are visible {self.visible:g} and detectable {self.detectable:g}, "
                "expected two positive numbers, the second one not smaller"
            )

    def word(self, d_prime: float) -> str:
        """Say "detectable", "borderline" or "cannot be seen" (for NaN: "unknown")."""
        if not np.isnan(d_prime):
            if d_prime >= self.detectable:
                return "detectable"
            return "borderline" if d_prime >= self.visible else "cannot be seen"
        return "unknown"


@dataclass(frozen=True, kw_only=True)
class Detectability:
    """Detectability indices of one defect.

    Parameters
    ----------
    ideal : float
        The observer knows everything but whether the defect is there.
    pixel : float
        Offset, gain and time shift of every pixel are unknown to it as well.
    background : float
        A quadratic background of every frame is unknown, too: the honest index, the one to judge by.
    peak_contrast_to_noise : float
        Largest contrast of one pixel in one frame over the noise there.
    limits : DetectionLimits
        What the word rests on.
    """

    ideal: float
    pixel: float
    background: float
    peak_contrast_to_noise: float
    limits: DetectionLimits = field(default_factory=DetectionLimits)

    @property
    def word(self) -> str:
        """The word for the honest index."""
        return self.limits.word(self.background)


def detectability(
    signal_k: NDArray[Any],
    *,
    noise_k: float | NDArray[Any],
    sound_k: NDArray[Any],
    times_s: NDArray[Any],
    frames_averaged: NDArray[Any] | None = None,
    limits: DetectionLimits | None = None,
) -> Detectability:
    """Compute the detectability index d' of a known signal in white Gaussian noise.

    d' is the distance between the observer's means with and without the defect over its standard deviation. For the
    matched filter it is the norm of the signal over the noise. What the observer cannot know (nuisances) is projected
    out of the prewhitened signal first: only what no nuisance can imitate counts.

    Parameters
    ----------
    signal_k : ndarray, shape (T, Y, X)
        Noise-free simulation with the defect minus without it, in the window that the observer looks at.
    noise_k : float or ndarray that broadcasts to (T, Y, X)
        Standard deviation of the camera noise of one frame; infinity leaves a pixel or a frame out.
    sound_k : ndarray, shape (T,) or (T, Y, X)
        Rise of sound material: an unknown gain of a pixel is a multiple of it, a time shift one of its derivative. One
        curve, that at the defect, is the usual choice. With a curve for each pixel their small differences become
        nuisances of any size, smooth in time and place as deep defects are, and d' falls by up to a fifth.
    times_s : ndarray, shape (T,)
        Time of each frame.
    frames_averaged : ndarray, shape (T,), optional
        Number of recorded frames that each frame here is the mean of (1): their noise is less by its root.
    limits : DetectionLimits, optional
        6.5 and 30.

    Returns
    -------
    Detectability

    Raises
    ------
    SequenceError
        When shapes do not fit, times do not increase or the signal is not finite.
    ConfigError
        When the noise is not positive.

    References
    ----------
    H. H. Barrett, K. J. Myers, Foundations of Image Science, Wiley 2004, section 13.2 (prewhitening matched filter).
    S. M. Kay, Fundamentals of Statistical Signal Processing II: Detection Theory, Prentice Hall 1998, section 4.3.

    Examples
    --------
    >>> signal = np.zeros((4, 5, 5))
    >>> signal[2, 2, 2] = 0.3
    >>> found = detectability(signal, noise_k=0.1, sound_k=np.array([0.0, 1.0, 1.5, 1.7]), times_s=np.arange(4.0))
    >>> round(found.ideal, 6)
    3.0
    >>> found.background < found.pixel < found.ideal
    True
    """
    given: dict[str, Any] = {"sound_k": sound_k, "times_s": times_s, "frames_averaged": frames_averaged}
    index = {
        name: float(np.linalg.norm(project_nuisances(signal_k, noise_k=noise_k, nuisance=name, **given)))
        for name in get_args(Nuisance)
    }
    with np.errstate(invalid="ignore"):
        ratio = np.abs(signal_k) / noise_k
    return Detectability(
        ideal=index["none"],
        pixel=index["pixel"],
        background=index["background"],
        peak_contrast_to_noise=float(np.nanmax(ratio)),
        limits=limits or DetectionLimits(),
    )


def project_nuisances(
    signal_k: NDArray[Any],
    *,
    noise_k: float | NDArray[Any],
    sound_k: NDArray[Any] | None = None,
    times_s: NDArray[Any] | None = None,
    frames_averaged: NDArray[Any] | None = None,
    nuisance: Nuisance = "background",
) -> NDArray[np.float64]:
    """Whiten a signal and take out what nuisances can imitate; the norm of the rest is d'.

    "pixel" takes out, for every pixel, a constant, the sound curve and its time derivative; "background" also every
    polynomial of second order in x and y (six terms) of every frame. Where one sound curve serves all pixels
    and the noise is a factor of the frame times a factor of the pixel, the two projections commute and are done one
    after the other; else the backgrounds are fitted by least squares to what is left (LSMR).

    Parameters
    ----------
    signal_k, noise_k, sound_k, times_s, frames_averaged
        As for `detectability`; the sound curve and its times are not needed for "none".
    nuisance : {"none", "pixel", "background"}
        What the observer does not know.

    Returns
    -------
    ndarray of float64, shape (T, Y, X)
        In units of the noise.

    Raises
    ------
    SequenceError, ConfigError
        As for `detectability`.

    References
    ----------
    D. C.-L. Fong, M. Saunders, SIAM J. Sci. Comput. 33 (2011) 2950, 10.1137/10079687X (LSMR).
    """
    choose(dict.fromkeys(get_args(Nuisance)), nuisance, "nuisance")
    signal = np.asarray(signal_k, dtype=np.float64)
    if signal.ndim != 3 or signal.size == 0:
        raise SequenceError(f"the signal has the shape {signal.shape}, expected frames x rows x columns")
    weight = _weights(noise_k, signal.shape, frames_averaged)
    used = weight > 0
    if not np.isfinite(signal[used]).all():
        raise SequenceError("the signal holds values that are no numbers; give those pixels an infinite noise")
    rest = np.where(used, signal, 0.0) * weight
    if nuisance == "none":
        return rest
    in_time, in_space = _bases(weight, sound_k, times_s)
    rest = _without(rest.reshape(signal.shape[0], -1).T, in_time)  # pixels x frames from here on
    if nuisance == "background":
        rest = _without_both(rest, in_time, in_space)
    return np.ascontiguousarray(rest.T).reshape(signal.shape)


def _weights(
    noise_k: float | NDArray[Any], shape: tuple[int, ...], frames_averaged: NDArray[Any] | None
) -> NDArray[np.float64]:
    """One over the noise, float64 (T, Y, X)."""
    noise = np.asarray(noise_k, dtype=np.float64)
    if noise.size == 0 or np.isnan(noise).any() or not (noise > 0).all():
        raise ConfigError(f"the noise is {noise.min() if noise.size else np.nan:g} K, expected positive numbers")
    counts = np.ones(1) if frames_averaged is None else np.asarray(frames_averaged, dtype=np.float64)
    if not (np.isfinite(counts).all() and (counts >= 1).all()):
        raise ConfigError(f"a frame is said to be the mean of {counts.min():g} frames, expected at least 1")
    try:
        return np.asarray(np.broadcast_to(np.sqrt(counts.reshape(-1, 1, 1)) / noise, shape))
    except ValueError:
        raise SequenceError(
            f"noise of the shape {noise.shape} and {counts.size} counts do not fit a signal of the shape {shape}"
        ) from None


def _separated(weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Factors over frames (T,) and over pixels (N,) whose product the weights are; None where they are none."""
    table = weight.reshape(weight.shape[0], -1)
    pixels = table[int(np.argmax(table.sum(axis=1)))]
    strength = float(pixels @ pixels)
    frames = table @ pixels / strength if strength > 0 else np.zeros(table.shape[0])
    return (frames, pixels) if np.allclose(table, np.outer(frames, pixels), rtol=1e-9, atol=0) else None


def _bases(
    weight: NDArray[np.float64], sound_k: NDArray[Any] | None, times_s: NDArray[Any] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whitened orthonormal bases: over time (T, 3) or by pixel (N, T, 3), over pixels (N, 6) or by frame (T, N, 6)."""
    curves, polynomials = _curves(sound_k, times_s, weight.shape), _polynomials(weight.shape)
    factors = _separated(weight)
    in_space = polynomials * factors[1][:, None] if factors else weight.reshape(weight.shape[0], -1, 1) * polynomials
    if factors and curves.ndim == 2:
        in_time = curves * factors[0][:, None]
    else:
        by_pixel = curves if curves.ndim == 4 else np.broadcast_to(curves[:, None, None], (*weight.shape, 3))
        in_time = np.moveaxis((by_pixel * weight[..., None]).reshape(weight.shape[0], -1, 3), 0, 1)
    return _orthonormal(in_time), _orthonormal(in_space)


def _curves(sound_k: NDArray[Any] | None, times_s: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Constant, sound curve and its derivative, float64 (T, 3) or (T, Y, X, 3)."""
    if sound_k is None or times_s is None:
        raise SequenceError("offset, gain and time shift need the sound curve and its times; pass sound_k and times_s")
    sound, times = np.asarray(sound_k, dtype=np.float64), np.asarray(times_s, dtype=np.float64)
    if times.shape != shape[:1] or times.size < 2 or not (np.diff(times) > 0).all():
        raise SequenceError(f"the times have the shape {times.shape}, expected {shape[0]} rising times, at least 2")
    if sound.shape not in (shape[:1], shape) or not np.isfinite(sound).all():
        raise SequenceError(
            f"the sound curve has the shape {sound.shape}, expected finite numbers of the shape {shape[:1]} or {shape}"
        )
    return np.stack([np.ones_like(sound), sound, np.gradient(sound, times, axis=0)], axis=-1)


def _polynomials(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Terms of second order in x and y, float64 (N, 6)."""
    y, x = np.meshgrid(*(np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(1) for n in shape[1:]), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)


def without_quadratic(pictures: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pictures (R, Y, X) that are already weighted, less weighted polynomials of second order, float64 (R, N)."""
    basis = _orthonormal(_polynomials(pictures.shape) * weight.reshape(-1, 1))
    return _without(pictures.reshape(pictures.shape[0], -1), basis)


def _orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal basis of the columns' span (..., n, k); columns beyond its rank are zero."""
    size = np.linalg.norm(columns, axis=-2, keepdims=True)
    left, strength, _ = np.linalg.svd(columns / np.where(size > 0, size, 1.0), full_matrices=False)
    keep = strength > _TOLERANCE * np.maximum(strength[..., :1], 1e-300)
    return np.asarray(left * keep[..., None, :])


def _without(rows: NDArray[np.float64], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows (m, n) less their part in the span of the basis, (n, k) for all rows or (m, n, k) one for each."""
    if basis.ndim == 2:
        return np.asarray(rows - (rows @ basis) @ basis.T)
    part = np.einsum("mn,mnk->mk", rows, basis)
    return np.asarray(rows - np.einsum("mk,mnk->mn", part, basis))


def _without_both(
    rest: NDArray[np.float64], in_time: NDArray[np.float64], in_space: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Take backgrounds out of pixel curves (N, T) that are already without what the time basis holds."""
    shared = in_time.ndim == 2 and in_space.ndim == 2
    if shared:  # the projections commute
        return _without(rest.T, in_space).T
    n_frames, n_terms = rest.shape[1], in_space.shape[-1]
    by_frame = np.broadcast_to(in_space, (n_frames, *in_space.shape[-2:]))

    def picture(terms: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = np.matmul(by_frame, terms.reshape(n_frames, n_terms, 1))[:, :, 0]
        return _without(flat.T, in_time).ravel()

    def terms_of(flat: NDArray[np.float64]) -> NDArray[np.float64]:
        frames = _without(flat.reshape(rest.shape), in_time).T
        return np.asarray(np.matmul(frames[:, None, :], by_frame)[:, 0].ravel())

    system = LinearOperator((rest.size, n_frames * n_terms), matvec=picture, rmatvec=terms_of, dtype=np.float64)
    terms, reason, *_ = lsmr(system, rest.ravel(), atol=_SETTLED, btol=_SETTLED, conlim=0, maxiter=_MOST_ROUNDS)
    if reason == _GAVE_UP:
        _LOG.warning("the backgrounds had not settled after %d rounds; d' may be too large by a little", _MOST_ROUNDS)
    return np.asarray(rest - picture(terms).reshape(rest.shape))
