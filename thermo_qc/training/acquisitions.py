"""Acquisitions drawn from simulated plates: one noise-free plate serves many cameras, frame rates and lengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import TrainingError
from thermo_qc.representation import PhysicalRepresentation, TimeBins, plate_facts, time_bins
from thermo_qc.representation.facts import lit_until_s
from thermo_qc.representation.physical import seen_by_network
from thermo_qc.sequence import IGNORE_LABEL, ThermalSequence

__all__ = ["AcquisitionRanges", "Sample", "SimulatedPlate", "draw_acquisition"]

Range = tuple[float, float]
_SMOOTH_CELLS = 4
_SHORTEST_COOLING = 0.35
_TYPICAL_AREA_PX = 30.0
_UNSEEN_DEPTH = 1e-3
_DIAGONAL = 1e-9
_TEXTURE_FADES = (0.003, 0.1)  # of the time left after the lamps
_LEVELS = 65_535  # in which a frame is kept: half the memory, and steps far below what noise leaves of any mean


@dataclass(frozen=True, kw_only=True)
class AcquisitionRanges:
    """What cameras and recordings are drawn.

    Parameters
    ----------
    netd_k : tuple of float
        Noise of a frame, logarithmically even.
    n_frames : tuple of int
        Frames after the start of the heating, logarithmically even.
    cold_frames : tuple of int
        Frames before it.
    blur_px : tuple of float
        Standard deviation of the camera's blur.
    shortened_share : float
        Share of recordings that end earlier than the simulation.
    no_cold_share, no_heating_share, no_facts_share : float
        Share of recordings without cold frames, without the frames of the heating, of plates whose material is not
        known.
    gain : float
        Standard deviation of a smooth gain over the plate (lamps, emissivity), as a share.
    column_noise : float
        Largest noise that a column shares, over that of a pixel.
    drift_k : float
        Largest drift over the recording that all pixels share.
    textured_share : float
        Share of plates whose fibres or roughness near the face tell neighbouring pixels apart while the heat is there.
    texture : tuple of float
        How far apart: standard deviation over the rise, logarithmically even.
    spreading_share : float
        Share of the textured plates that are warmed unevenly, so that heat spreads along the plate and evens the
        texture out; that of the others, whose fibres lead heat unevenly, only fades.
    visible : float
        Defects of a lower detectability index are left out: neither defect nor sound.
    """

    netd_k: Range = (0.012, 0.07)
    n_frames: tuple[int, int] = (120, 1500)
    cold_frames: tuple[int, int] = (3, 30)
    blur_px: Range = (0.0, 0.9)
    shortened_share: float = 0.35
    no_cold_share: float = 0.1
    no_heating_share: float = 0.12
    no_facts_share: float = 0.1
    gain: float = 0.12
    column_noise: float = 0.1
    drift_k: float = 0.0
    textured_share: float = 0.0
    texture: Range = (0.001, 0.02)
    spreading_share: float = 0.0
    visible: float = 9.0

    @property
    def complete(self) -> AcquisitionRanges:
        """The same cameras, but every recording from cold frames on to its end, of a plate whose material is known."""
        return replace(self, shortened_share=0.0, no_cold_share=0.0, no_heating_share=0.0, no_facts_share=0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedPlate:
    """A noise-free plate of a corpus, in memory.

    Parameters
    ----------
    sequence : ThermalSequence
        Its recording at instants that lie the denser the earlier they are; with truth.
    indices : mapping of int to float
        Detectability of its defects for one frame a second with 1 K of noise.
    """

    sequence: ThermalSequence
    indices: Mapping[int, float]
    _levels: NDArray[np.uint16] = field(init=False, repr=False)  # of each frame, from its lowest value to its highest
    _lowest_k: NDArray[np.float32] = field(init=False, repr=False)
    _level_k: NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sequence = self.sequence
        if sequence.truth is None or sequence.material is None or sequence.ambient_c is None:
            raise TrainingError("a plate of a corpus needs truth, material and ambient temperature; simulate it again")
        frames = np.asarray(sequence.frames[:, :, :], dtype=np.float32) - np.float32(sequence.ambient_c)
        lowest, highest = frames.min(axis=(1, 2)), frames.max(axis=(1, 2))
        level = np.maximum((highest - lowest) / _LEVELS, np.finfo(np.float32).tiny)
        frames -= lowest[:, None, None]
        frames /= level[:, None, None]
        object.__setattr__(self, "_levels", np.rint(frames, out=frames).astype(np.uint16))
        object.__setattr__(self, "_lowest_k", lowest)
        object.__setattr__(self, "_level_k", level)

    @property
    def rise_k(self) -> NDArray[np.float32]:
        """Rise of every pixel at every instant, (T, Y, X), to 1/131,070 of the range of values in its frame."""
        return self.mixed(np.eye(len(self._levels), dtype=np.float32))

    def mixed(self, weights: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return sums (B, Y, X) over the instants of the rise of every pixel with weights (B, T)."""
        levels = self._levels.reshape(len(self._levels), -1).astype(np.float32)
        sums = (weights * self._level_k).astype(np.float32) @ levels
        sums += (weights @ self._lowest_k).astype(np.float32)[:, None]
        return sums.reshape(-1, *self._levels.shape[1:])


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """What a network sees of a drawn acquisition, and what it is to say.

    Parameters
    ----------
    stack : ndarray of float32, shape (C, Y, X)
        Input.
    labels : ndarray of uint8, shape (Y, X)
        0 sound, 1 defect, 255 left out.
    log_depth : ndarray of float32, shape (Y, X)
        ln(depth / sqrt(diffusivity x recording time)); meaningless where there is no defect.
    depth_weight : ndarray of float32, shape (Y, X)
        Weight of a pixel's depth: falls with the root of its defect's area, so that large defects do not rule.
    strengths : ndarray of float32, shape (Y, X)
        Detectability index of a pixel's defect in this acquisition; 0 where there is none, infinite where
        the corpus knows none.
    """

    stack: NDArray[np.float32]
    labels: NDArray[np.uint8]
    log_depth: NDArray[np.float32]
    depth_weight: NDArray[np.float32]
    strengths: NDArray[np.float32]


def draw_acquisition(
    plate: SimulatedPlate,
    rng: np.random.Generator,
    representation: PhysicalRepresentation,
    ranges: AcquisitionRanges,
) -> Sample:
    """Draw a camera and a recording of a simulated plate, and look at it as a network would.

    Parameters
    ----------
    plate : SimulatedPlate
        The plate.
    rng : Generator
        Random numbers.
    representation : PhysicalRepresentation
        What the network sees.
    ranges : AcquisitionRanges
        What may be drawn.

    Returns
    -------
    Sample
    """
    sequence = plate.sequence
    stop_s = lit_until_s(sequence)
    times_s, rate_hz = _frame_times(sequence, stop_s, rng, ranges)
    bins = time_bins(
        times_s,
        heating_stop_s=stop_s,
        n_heating=representation.n_heating,
        n_cooling=representation.n_cooling,
        first_share=representation.first_share,
    )
    netd_k = _log(rng, ranges.netd_k)
    values = _binned(plate, bins, times_s, stop_s, rng, ranges)
    values[bins.present] += _noise(bins, values.shape, netd_k, rng, ranges)
    if ranges.drift_k > 0:
        course = np.maximum(bins.elapsed_s[bins.present] / times_s[-1], 0.0) ** rng.uniform(0.5, 2.0)
        values[bins.present] += (rng.uniform(-1, 1) * ranges.drift_k * course).astype(np.float32)[:, None, None]
    known = rng.random() >= ranges.no_facts_share
    stack, valid, _ = seen_by_network(
        values,
        bins,
        representation,
        noise=netd_k,
        finite=np.ones(values.shape[1:], dtype=bool),
        facts=lambda ratio: plate_facts(sequence, end_s=float(times_s[-1]), signal_to_noise=ratio, known=known),
    )
    strengths = _strengths(plate, np.sqrt(rate_hz) / netd_k)
    return Sample(
        stack=stack,
        labels=_labels(plate, valid, strengths, ranges.visible),
        log_depth=_log_depth(sequence, float(times_s[-1])),
        depth_weight=_depth_weight(sequence),
        strengths=strengths,
    )


def _log(rng: np.random.Generator, limits: Range) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))


def _frame_times(
    sequence: ThermalSequence, stop_s: float, rng: np.random.Generator, ranges: AcquisitionRanges
) -> tuple[NDArray[np.float64], float]:
    """Draw the times of the frames, and their rate."""
    end_s = float(sequence.times_s[-1])
    if rng.random() < ranges.shortened_share:
        end_s = rng.uniform(stop_s + _SHORTEST_COOLING * (end_s - stop_s), end_s)
    rate_hz = round(_log(rng, ranges.n_frames)) / end_s
    n_cold = 0 if rng.random() < ranges.no_cold_share else int(rng.integers(*ranges.cold_frames, endpoint=True))
    times = (np.arange(-n_cold, int(end_s * rate_hz) + 1) + rng.uniform(0.0, 0.9)) / rate_hz
    times = times[times <= end_s]
    if stop_s > 0 and rng.random() < ranges.no_heating_share:
        times = times[(times < 0) | (times > stop_s)]
    return np.asarray(times, dtype=np.float64), rate_hz


def _binned(
    plate: SimulatedPlate,
    bins: TimeBins,
    times_s: NDArray[np.float64],
    stop_s: float,
    rng: np.random.Generator,
    ranges: AcquisitionRanges,
) -> NDArray[np.float32]:
    """Noise-free bins (B, Y, X): frames are read off between the simulated instants."""
    flash = plate.sequence.excitation.kind == "flash"
    values = plate.mixed(bins.weights @ _interpolation(plate.sequence.times_s, times_s, flash=flash))
    blur = float(rng.uniform(*ranges.blur_px))
    if blur > 0.3:  # a narrower blur changes no pixel
        for image in values:
            cv2.GaussianBlur(image, (0, 0), blur, dst=image, borderType=cv2.BORDER_REPLICATE)
    cells = rng.standard_normal((_SMOOTH_CELLS, _SMOOTH_CELLS)).astype(np.float32)
    values *= 1.0 + ranges.gain * cv2.resize(cells, values.shape[:0:-1], interpolation=cv2.INTER_CUBIC)
    if ranges.textured_share > 0 and rng.random() < ranges.textured_share:
        values *= 1.0 + _texture(plate.sequence, bins, stop_s, rng, ranges)
    return np.asarray(values, dtype=np.float32)


def _texture(
    sequence: ThermalSequence, bins: TimeBins, stop_s: float, rng: np.random.Generator, ranges: AcquisitionRanges
) -> NDArray[np.float32]:
    """Share (B, Y, X) by which a weave or a roughness warms each pixel differently; it fades once the lamps are off."""
    shape = sequence.frame_shape
    if rng.random() < 0.5:
        grain = rng.standard_normal(shape).astype(np.float32)
        width = _log(rng, (0.3, 4.0))
        pattern = cv2.GaussianBlur(grain, (0, 0), width) if width > 0.4 else grain
    else:
        v, u = np.mgrid[: shape[0], : shape[1]]
        turn = float(rng.uniform(0, np.pi))
        waves = [
            np.sin(2 * np.pi * (u * np.cos(angle) + v * np.sin(angle)) / rng.uniform(2.0, 16.0) + rng.uniform(0, 6.3))
            for angle in (turn, turn + 0.5 * np.pi)
        ]
        pattern = (waves[0] * waves[1] if rng.random() < 0.5 else waves[0] + waves[1]).astype(np.float32)
    pattern = pattern / max(float(pattern.std()), 1e-6)
    if ranges.spreading_share > 0 and rng.random() < ranges.spreading_share:
        return np.float32(_log(rng, ranges.texture)) * _spread(pattern, sequence, bins, stop_s)
    elapsed = np.maximum(bins.elapsed_s - stop_s, 0.0)
    fading = _log(rng, _TEXTURE_FADES) * max(float(elapsed.max()), 1e-9)
    course = _log(rng, ranges.texture) * (1.0 + elapsed / fading) ** -float(rng.uniform(0.5, 1.5))
    return np.asarray(course[:, None, None] * pattern, dtype=np.float32)


def _spread(
    pattern: NDArray[np.float32], sequence: ThermalSequence, bins: TimeBins, stop_s: float
) -> NDArray[np.float32]:
    """Even a pattern of heat (Y, X) out as conduction along the plate does with its age, (B, Y, X)."""
    material, pitch_mm = sequence.material, sequence.pixel_pitch_mm
    if material is None or pitch_mm is None:
        return np.broadcast_to(pattern, (bins.elapsed_s.size, *pattern.shape)).astype(np.float32)
    heat_j_mm3k = 1e-6 * material.density_kg_m3 * material.heat_capacity_j_kgk
    along_x, along_y = (k / heat_j_mm3k for k in material.conductivities_in_plane_w_mk)  # mm2/s
    elapsed = np.maximum(bins.elapsed_s, 0.0)
    age_s = np.where(elapsed < stop_s, 0.5 * elapsed, elapsed - 0.5 * stop_s)
    per_mm = 2 * np.pi / pitch_mm
    square_x = along_x * (per_mm * np.fft.rfftfreq(pattern.shape[1])) ** 2
    square_y = along_y * (per_mm * np.fft.fftfreq(pattern.shape[0])) ** 2
    waves = np.fft.rfft2(pattern)
    left = (np.exp(-age * (square_y[:, None] + square_x)) for age in age_s)
    return np.stack([np.fft.irfft2(waves * share, s=pattern.shape) for share in left]).astype(np.float32)


def _interpolation(known_s: NDArray[np.float64], wanted_s: NDArray[np.float64], *, flash: bool) -> NDArray[Any]:
    """Weights (T, S) of linear interpolation; 0 before the heating, and after a flash the first instant at once."""
    base = np.concatenate([[0.0], known_s])
    position = np.clip(wanted_s, 0.0, base[-1])
    left = np.clip(np.searchsorted(base, position, side="right") - 1, 0, base.size - 2)
    share = (position - base[left]) / (base[left + 1] - base[left])
    weights = np.zeros((wanted_s.size, base.size))
    rows = np.arange(wanted_s.size)
    weights[rows, left] = 1.0 - share
    weights[rows, left + 1] += share
    if flash:
        early = (wanted_s > 0) & (wanted_s < known_s[0])
        weights[early] = 0.0
        weights[early, 1] = 1.0
    return weights[:, 1:]


def _noise(
    bins: TimeBins, shape: tuple[int, ...], netd_k: float, rng: np.random.Generator, ranges: AcquisitionRanges
) -> NDArray[np.float32]:
    """Camera noise of the present bins, with the correlations that cold frame and interpolation make."""
    weights = bins.weights[bins.present]
    covariance = weights @ weights.T
    root = np.linalg.cholesky(covariance + _DIAGONAL * np.eye(len(weights))).astype(np.float32)
    white = rng.standard_normal((len(weights), shape[1] * shape[2]), dtype=np.float32)
    noise = (root @ white).reshape(-1, *shape[1:])
    column = ranges.column_noise * rng.random() * (root @ rng.standard_normal((len(weights), shape[2])))
    return np.asarray(netd_k * (noise + column[:, None, :]), dtype=np.float32)


def _strengths(plate: SimulatedPlate, index_factor: float) -> NDArray[np.float32]:
    truth = plate.sequence.truth
    assert truth is not None
    indices = np.full(1 + max(0, int(truth.defect_index.max()), *plate.indices), np.inf, dtype=np.float32)
    indices[0] = 0.0
    for number, index in plate.indices.items():
        indices[number] = index * index_factor
    return indices[np.maximum(truth.defect_index, 0)]


def _labels(
    plate: SimulatedPlate, valid: NDArray[np.bool_], strengths: NDArray[np.float32], visible: float
) -> NDArray[np.uint8]:
    truth = plate.sequence.truth
    assert truth is not None
    defect = truth.defect_index > 0
    left_out = (defect & (strengths < visible)) | ~truth.valid | ~valid
    return np.where(left_out, IGNORE_LABEL, defect).astype(np.uint8)


def _log_depth(sequence: ThermalSequence, end_s: float) -> NDArray[np.float32]:
    assert sequence.truth is not None and sequence.material is not None
    depth = np.maximum(np.nan_to_num(sequence.truth.depth_mm, nan=1.0), _UNSEEN_DEPTH)
    length_mm = np.sqrt(sequence.material.diffusivity_through_mm2_s * end_s)
    return np.asarray(np.log(depth / length_mm), dtype=np.float32)


def _depth_weight(sequence: ThermalSequence) -> NDArray[np.float32]:
    assert sequence.truth is not None
    index = sequence.truth.defect_index
    area_px = np.bincount(np.maximum(index, 0).ravel())[np.maximum(index, 0)]
    return np.where(index > 0, np.sqrt(_TYPICAL_AREA_PX / np.maximum(area_px, 1)), 0.0).astype(np.float32)
