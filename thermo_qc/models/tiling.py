"""Large frames in tiles whose overlap is blended, so that no seam shows; the mean over turns and mirror images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError

__all__ = ["blend_tiles", "mean_over_symmetries", "tile_starts"]


def tile_starts(length: int, tile: int, overlap: float) -> list[int]:
    """First pixels of the tiles along one axis; the last one ends at the edge.

    Parameters
    ----------
    length, tile : int
        Pixels of the axis and of a tile.
    overlap : float
        Share of a tile that its neighbour covers too, 0 to below 1.

    Returns
    -------
    list of int
        [0] when one tile covers the axis.
    """
    if length <= tile:
        return [0]
    step = max(1, round(tile * (1 - overlap)))
    n = -(-(length - tile) // step) + 1
    return [int(start) for start in np.linspace(0, length - tile, n).round()]


def blend_tiles(
    function: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    stack: NDArray[np.float32],
    *,
    tile_px: int,
    overlap: float = 0.25,
) -> NDArray[np.float32]:
    """Apply a function tile by tile and blend the results with a cosine window.

    Parameters
    ----------
    function : callable
        Maps (C, y, x) to (K, y, x).
    stack : ndarray of float32, shape (C, Y, X)
        Images.
    tile_px : int
        Edge of a tile; a smaller image is one tile.
    overlap : float
        Share of a tile that its neighbour covers too, 0 to below 1.

    Returns
    -------
    ndarray of float32, shape (K, Y, X)

    Raises
    ------
    ConfigError
        When the tile or the overlap is impossible.
    """
    if tile_px < 8 or not 0 <= overlap < 1:
        raise ConfigError(
            f"tiles of {tile_px} px with overlap {overlap}: expected at least 8 px and an overlap from 0 to below 1"
        )
    height, width = stack.shape[-2:]
    total: NDArray[np.float64] | None = None
    weight = np.zeros((height, width))
    for y in tile_starts(height, tile_px, overlap):
        for x in tile_starts(width, tile_px, overlap):
            part = np.s_[..., y : y + tile_px, x : x + tile_px]
            values = function(stack[part])
            window = np.outer(_window(values.shape[-2]), _window(values.shape[-1]))
            if total is None:
                total = np.zeros((values.shape[0], height, width))
            total[part] += values * window
            weight[part] += window
    assert total is not None
    return np.asarray(total / weight, dtype=np.float32)


def mean_over_symmetries(
    function: Callable[[NDArray[np.float32]], NDArray[np.float32]], stack: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Apply a function to the eight turns and mirror images of a stack and average what is turned back.

    Parameters
    ----------
    function : callable
        Maps (C, y, x) to (K, y, x).
    stack : ndarray of float32, shape (C, Y, X)
        Images.

    Returns
    -------
    ndarray of float32, shape (K, Y, X)
    """
    total: NDArray[np.float64] | None = None
    for mirrored in (False, True):
        for turns in range(4):
            turned = np.rot90(stack[..., ::-1] if mirrored else stack, turns, axes=(-2, -1))
            back = np.rot90(function(np.ascontiguousarray(turned)), -turns, axes=(-2, -1)).astype(np.float64)
            back = back[..., ::-1] if mirrored else back
            total = back if total is None else total + back
    assert total is not None
    return np.asarray(total / 8.0, dtype=np.float32)


def _window(length: int) -> NDArray[np.float64]:
    """Positive half of a sine, never zero, so a pixel seen by one tile keeps its value."""
    return np.asarray(np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2 + 1e-3)
