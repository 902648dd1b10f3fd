"""Small things that the tests of the foundations share."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from thermo_qc.sequence import ThermalSequence


class LazyFrames:
    """Frames that are counted when they are read, as a file would be."""

    def __init__(self, frames: NDArray[Any]) -> None:
        self._frames = frames
        self.values_read = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self._frames.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._frames.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        part = np.array(self._frames[key])
        self.values_read += part.size
        return part


@pytest.fixture
def frames() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(20.0, 1.0, (6, 5, 4)).astype(np.float32)


@pytest.fixture
def lazy_frames(frames: NDArray[np.float32]) -> LazyFrames:
    return LazyFrames(frames)


@pytest.fixture
def times_s() -> NDArray[np.float64]:
    return np.array([-1.0, -0.5, 0.0, 0.5, 2.0, 4.0])


@pytest.fixture
def sequence(frames: NDArray[np.float32], times_s: NDArray[np.float64]) -> ThermalSequence:
    return ThermalSequence(frames=frames, times_s=times_s, unit="degC", pixel_pitch_mm=2.0)
