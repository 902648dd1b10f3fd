"""A recording as blocks of rise curves in bounded memory, worked on by several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.preprocess import cold_frame
from thermo_qc.sequence import FrameSource, ThermalSequence

__all__ = ["CurveBlock", "RiseBlocks", "heated_pixels", "run_tiles"]

TILE_VALUES = 4 * 2**20  # values of a tile: 16 MiB in float32
TILE_EDGE = 32  # the chunks of the native file


@dataclass(frozen=True, kw_only=True, eq=False)
class CurveBlock:
    """Curves of the used pixels of a tile.

    Parameters
    ----------
    values : ndarray, shape (n, T)
        As they are in the recording; the block's own memory.
    cold : tuple of ndarray of float32, shape (n, 1)
        What is subtracted for the rise, in parts; nothing where there are no cold frames.
    rows, columns : ndarray of int64, shape (n,)
        Where the pixels lie.
    """

    values: NDArray[Any]
    cold: tuple[NDArray[np.float32], ...]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    def rise(self, part: slice = slice(None)) -> NDArray[np.float32]:
        """Rise of some of the pixels, float32 (m, T), in memory of its own."""
        if self.values.dtype == np.float64:  # single precision of 300 K would round at a millikelvin's hundredth
            exact = np.array(self.values[part], order="C")
            for offset in self.cold:
                exact -= offset[part]
            return exact.astype(np.float32)
        curves = np.array(self.values[part], dtype=np.float32, order="C")
        for offset in self.cold:
            curves -= offset[part]
        return curves


class RiseBlocks:
    """Tiles of a sequence as float32 curves of the rise above its cold frame.

    Parameters
    ----------
    sequence : ThermalSequence
        The recording; frames in a file are read tile by tile.
    region : ndarray of bool, shape (Y, X), optional
        Pixels to use; all when None.
    tile_values : int
        About how many values a tile may have.

    Raises
    ------
    SequenceError
        When the region does not fit or is empty.
    """

    def __init__(
        self, sequence: ThermalSequence, region: NDArray[np.bool_] | None = None, tile_values: int = TILE_VALUES
    ) -> None:
        if region is not None and region.shape != sequence.frame_shape:
            raise SequenceError(f"region has shape {region.shape}, the frames have {sequence.frame_shape}")
        if region is not None and not region.any():
            raise SequenceError("the region has no pixel; mark one or leave it out")
        self._frames: FrameSource = sequence.frames
        self._region = region
        self.n_cold = int((sequence.times_s < 0).sum())
        self._cold: tuple[NDArray[np.float32], ...] = ()
        if self.n_cold:
            cold = cold_frame(sequence)
            # Two float32 parts: the difference to a plate of 300 K keeps what float64 would give.
            self._cold = (cold.astype(np.float32), (cold - cold.astype(np.float32)).astype(np.float32))
        self.tiles = _tiles(sequence.frame_shape, sequence.n_frames, tile_values)
        if region is not None:
            self.tiles = [tile for tile in self.tiles if region[tile].any()]

    def read(self, tile: tuple[slice, slice], step: int = 1) -> CurveBlock:
        """Read one of `tiles`; of its used pixels only every `step`-th."""
        rows, columns = tile
        block = np.moveaxis(np.asarray(self._frames[:, rows, columns]), 0, -1)
        used = np.ones(block.shape[:2], dtype=bool) if self._region is None else self._region[tile]
        at = tuple(place[::step] for place in np.nonzero(used))
        every = step == 1 and bool(used.all())
        places = (at[0] + rows.start, at[1] + columns.start)
        return CurveBlock(
            values=np.ascontiguousarray(block).reshape(-1, block.shape[2]) if every else block[at],
            cold=tuple(part[places][:, None] for part in self._cold),
            rows=places[0],
            columns=places[1],
        )

    def sample(self, n_values: int = 2**23, n_tiles: int = 16) -> NDArray[np.float32]:
        """Read finite curves (n, T), about `n_values` in all, from up to `n_tiles` tiles spread over the plate."""
        n_pixels = max(256, min(4096, n_values // self._frames.shape[0]))
        picked = np.unique(np.linspace(0, len(self.tiles) - 1, min(n_tiles, len(self.tiles))).round().astype(int))
        wanted = max(1, n_pixels // picked.size)
        parts = []
        for index in picked:
            rows, columns = self.tiles[index]
            size = (rows.stop - rows.start) * (columns.stop - columns.start)
            parts.append(self.read(self.tiles[index], step=max(1, size // wanted)).rise())
        curves = np.concatenate(parts)
        return np.asarray(curves[np.isfinite(curves).all(axis=1)])


def heated_pixels(sequence: ThermalSequence, noise: float | None, n_frames: int = 10) -> NDArray[np.bool_]:
    """Find the pixels that the excitation has changed: the plate, not what lies beside it.

    Parameters
    ----------
    sequence : ThermalSequence
        The recording; a few frames over its length are looked at.
    noise : float, optional
        Standard deviation of the camera's noise; without it a pixel must change by 5 % of what most pixels do.
    n_frames : int
        How many frames.

    Returns
    -------
    ndarray of bool, shape (Y, X)
        Pixels whose spread over those frames is above four times the noise and above 5 % of the median pixel's; all
        pixels when fewer than one in a hundred are, since such a recording shows no plate.
    """
    times, stop = sequence.times_s, sequence.excitation.stop_s
    picked = set(np.linspace(0, times.size - 1, min(n_frames, times.size)).round().astype(int).tolist())
    if stop is not None and times[-1] > stop:
        picked.add(int(np.searchsorted(times, stop, side="right")))
    frames = np.stack([np.asarray(sequence.frames[index, :, :], dtype=np.float64) for index in sorted(picked)])
    spread = frames.std(axis=0)
    finite = np.isfinite(spread)
    if not finite.any():
        return np.ones(sequence.frame_shape, dtype=bool)
    heated = finite & (spread > max(4.0 * (noise or 0.0), 0.05 * float(np.median(spread[finite]))))
    return heated if heated.mean() > 0.01 else np.ones(sequence.frame_shape, dtype=bool)


def run_tiles(
    function: Callable[[tuple[slice, slice]], Any],
    tiles: Sequence[tuple[slice, slice]],
    threads: int,
    progress: Callable[[], None] | None = None,
) -> Iterator[Any]:
    """Call `function` for every tile in several threads, BLAS on one each; results come as they get ready.

    An error of one tile is raised after the tiles under way; the rest is not begun.
    """
    with threadpoolctl.threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        waiting = iter(tiles)
        running: set[Future[Any]] = set()
        try:
            while True:
                for tile in waiting:
                    running.add(pool.submit(function, tile))
                    if len(running) > threads:
                        break
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                    if progress is not None:
                        progress()
        finally:
            for future in running:
                future.cancel()


def _tiles(shape: tuple[int, int], n_frames: int, tile_values: int) -> list[tuple[slice, slice]]:
    height, width = shape
    pixels = max(1, tile_values // n_frames)
    if pixels < TILE_EDGE * TILE_EDGE <= 16 * pixels:
        pixels = TILE_EDGE * TILE_EDGE  # a part of a chunk costs as much reading as the whole
    if pixels >= TILE_EDGE * TILE_EDGE:
        row_step, column_step = TILE_EDGE, pixels // TILE_EDGE // TILE_EDGE * TILE_EDGE
    else:
        row_step = max(1, int(pixels**0.5))
        column_step = max(1, pixels // row_step)
    return [
        (slice(row, min(row + row_step, height)), slice(column, min(column + column_step, width)))
        for row in range(0, height, row_step)
        for column in range(0, width, column_step)
    ]
