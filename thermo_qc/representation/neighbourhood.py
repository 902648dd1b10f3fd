"""Curves of pixels together with those of the pixels around them, gathered on demand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError

__all__ = ["MODES", "CurveField", "check_neighbourhood", "n_neighbourhood_channels", "neighbourhood_radius_mm"]

MODES = ("all", "ring")
LARGEST = 15


def check_neighbourhood(size: int, mode: str) -> None:
    """Refuse neighbourhoods that do not exist.

    Raises
    ------
    ConfigError
        When `size` is not odd or beyond 15, or `mode` is unknown.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size % 2 == 0 or not 1 <= size <= LARGEST:
        raise ConfigError(
            f"representation.neighbourhood is {size!r}, expected an odd number of pixels from 1 (the pixel alone) to "
            f"{LARGEST}"
        )
    if mode not in MODES:
        raise ConfigError(f"representation.neighbourhood_mode is '{mode}', expected {' or '.join(MODES)}")


def n_neighbourhood_channels(size: int, mode: str, n_channels: int) -> int:
    """Count the channels of a curve with its neighbourhood, for `n_channels` of one pixel."""
    return n_channels * (size * size if mode == "all" else 1 + size // 2)


def neighbourhood_radius_mm(size: int, pixel_pitch_mm: float) -> float:
    """Distance from a pixel to the farthest of its neighbourhood (a corner), mm."""
    return float(np.sqrt(2.0) * (size // 2) * pixel_pitch_mm)


@dataclass(frozen=True, kw_only=True, eq=False)
class CurveField:
    """The curves of a whole frame; those of chosen pixels come with their neighbourhoods' when they are asked for.

    A neighbourhood at the edge of the frame is reflected. In place of a neighbour without a signal stands the middle
    pixel's own curve; a middle pixel without a signal has zeros throughout.

    Parameters
    ----------
    pixels : ndarray of float32, shape (Y * X, T, C)
        Curve of every pixel, row by row.
    seen : ndarray of bool, shape (Y * X,)
        Pixels with a signal.
    frame_shape : tuple of int
        (Y, X).
    size : int
        Edge of the square neighbourhood, odd; 1 for the pixel alone.
    mode : {"all", "ring"}
        "all": channels of the pixel itself, then those of each neighbour, row by row. "ring": channels of the pixel
        itself, then for each ring around it the pixel minus the mean of the ring.

    Examples
    --------
    >>> pixels, seen = np.ones((6, 4, 2), dtype=np.float32), np.ones(6, dtype=bool)
    >>> field = CurveField(pixels=pixels, seen=seen, frame_shape=(2, 3), size=3)
    >>> field.gather(np.array([0, 5])).shape
    (2, 4, 18)
    """

    pixels: NDArray[np.float32]
    seen: NDArray[np.bool_]
    frame_shape: tuple[int, int]
    size: int = 1
    mode: str = "all"

    def __post_init__(self) -> None:
        check_neighbourhood(self.size, self.mode)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def n_steps(self) -> int:
        """Steps of a curve."""
        return int(self.pixels.shape[1])

    @property
    def n_channels(self) -> int:
        """Channels of a gathered curve."""
        return n_neighbourhood_channels(self.size, self.mode, int(self.pixels.shape[2]))

    @cached_property
    def _reflected(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column of the padded frame's pixels in the frame."""
        radius = self.size // 2
        rows, columns = (np.pad(np.arange(n), radius, mode="reflect") for n in self.frame_shape)
        return rows, columns

    def gather(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the curves of pixels with their neighbourhoods.

        Parameters
        ----------
        index : ndarray of int, shape (N,)
            Numbers of the pixels, row by row.

        Returns
        -------
        ndarray of float32, shape (N, T, n_channels)
        """
        own = self.pixels[index]
        if self.size == 1:
            return own
        row, column = np.divmod(np.asarray(index, dtype=np.int64), self.frame_shape[1])
        parts = [own]
        for ring in range(1, self.size // 2 + 1):
            parts += self._ring(index, row, column, ring) if self.mode == "ring" else []
        if self.mode == "all":
            radius = self.size // 2
            around = range(-radius, radius + 1)
            offsets = [(y, x) for y in around for x in around if (y, x) != (0, 0)]
            parts += [self.pixels[self._neighbour(index, row, column, offset)] for offset in offsets]
        result = np.concatenate(parts, axis=2)
        result[~self.seen[index]] = 0.0
        return result

    def _neighbour(
        self, index: NDArray[np.int64], row: NDArray[np.int64], column: NDArray[np.int64], offset: tuple[int, int]
    ) -> NDArray[np.int64]:
        """Find the neighbour at an offset (rows, columns), or the pixel itself where that shows no signal."""
        radius = self.size // 2
        rows, columns = self._reflected
        number = rows[row + radius + offset[0]] * self.frame_shape[1] + columns[column + radius + offset[1]]
        return np.where(self.seen[number], number, index)

    def _ring(
        self, index: NDArray[np.int64], row: NDArray[np.int64], column: NDArray[np.int64], ring: int
    ) -> list[NDArray[np.float32]]:
        """Pixel minus the mean of the neighbours at a Chebyshev distance, over those with a signal."""
        around = range(-ring, ring + 1)
        own = self.pixels[index]
        total, number = np.zeros_like(own), np.zeros(len(own), dtype=np.float32)
        for offset in [(y, x) for y in around for x in around if max(abs(y), abs(x)) == ring]:
            neighbour = self._neighbour(index, row, column, offset)
            other = neighbour != index
            total[other] += own[other] - self.pixels[neighbour[other]]
            number += other
        return [np.asarray(total / np.maximum(number, 1.0)[:, None, None], dtype=np.float32)]
