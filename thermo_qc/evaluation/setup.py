"""The set-up of an inspection: heating, losses, camera and recording, as far as detectability depends on them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from thermo_qc.simulation import Heating, Losses, frame_times_s
from thermo_qc.simulation.conditions import check_range

__all__ = ["InspectionSetup"]

_MOST_SAMPLES = 160


@dataclass(frozen=True, kw_only=True)
class InspectionSetup:
    """Heating, losses, camera and recording.

    Parameters
    ----------
    heating : Heating
        Excitation; `lamps` count where a plate is given.
    losses : Losses
        Heat transfer to ambient.
    netd_k : float
        Standard deviation of the camera's white noise in one frame and pixel.
    quantisation_k : float
        Step of the readings; adds a twelfth of its square to the variance.
    pixel_pitch_mm : float
        Edge of a pixel on the plate.
    blur_px : float
        Standard deviation of the Gaussian blur.
    frame_rate_hz, cold_s, duration_s : float
        Frames per second, time recorded before the heating starts, time recorded after.

    Raises
    ------
    ConfigError
        When a number is out of range.
    """

    heating: Heating = field(default_factory=Heating)
    losses: Losses = field(default_factory=Losses)
    netd_k: float = 0.025
    quantisation_k: float = 0.01
    pixel_pitch_mm: float = 2.0
    blur_px: float = 0.5
    frame_rate_hz: float = 1.0
    cold_s: float = 5.0
    duration_s: float = 400.0

    def __post_init__(self) -> None:
        for name in ("netd_k", "pixel_pitch_mm", "frame_rate_hz", "duration_s"):
            check_range(name, getattr(self, name), low=0, open_low=True)
        for name in ("quantisation_k", "blur_px", "cold_s"):
            check_range(name, getattr(self, name), low=0)
        check_range("frames after the start of the heating", self.duration_s * self.frame_rate_hz, low=4, high=1e8)

    @property
    def noise_k(self) -> float:
        """Standard deviation of the white noise and of the rounding together, K."""
        return float(np.hypot(self.netd_k, self.quantisation_k / np.sqrt(12.0)))

    def recorded_for(self, duration_s: float) -> InspectionSetup:
        """Give the same set-up with another recording time."""
        return replace(self, duration_s=duration_s)

    def samples(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Instants that stand for the frames, few enough to compute with.

        Returns
        -------
        times_s : ndarray of float64, shape (T,)
            Mean time of the frames that each instant stands for: single frames right after each switch of the heating,
            more and more of them later; always single frames for heating that swings or sends a code.
        frames_averaged : ndarray of float64, shape (T,)
            Their number.
        """
        frames = frame_times_s(self.frame_rate_hz, self.cold_s, self.duration_s)
        stop = self.heating.stop_s
        cuts = [0.0, *([stop] if stop is not None and stop < frames[-1] else []), np.inf]
        group = np.where(frames < 0, 0, 1)
        for start, end in pairwise(cuts):
            part = (frames > start) & (frames <= end)
            n = int(part.sum())
            swings = self.heating.kind in ("periodic", "coded")
            group[part] = group.max() + 1 + _join(n, n if swings else _MOST_SAMPLES // (len(cuts) - 1))
        _, group, counts = np.unique(group, return_inverse=True, return_counts=True)
        return np.bincount(group, weights=frames) / counts, counts.astype(np.float64)


def _join(n_frames: int, n_instants: int) -> NDArray[np.int64]:
    """Instant of each frame: evenly spread over the root of time, or each frame its own where they are few enough."""
    frame = np.arange(n_frames)
    if n_frames <= n_instants:
        return np.asarray(frame)
    return np.asarray(np.floor(n_instants * np.sqrt((frame + 0.5) / n_frames)), dtype=np.int64)
