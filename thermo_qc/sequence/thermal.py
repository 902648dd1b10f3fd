"""`ThermalSequence`, the one data object: frames, their times and what is known about the recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import MissingDependencyError, SequenceError, TruthError
from thermo_qc.sequence.frames import FrameSource, window
from thermo_qc.sequence.metadata import UNITS, Excitation, HistoryEntry, Material, Source, Unit
from thermo_qc.sequence.truth import Truth

if TYPE_CHECKING:
    import xarray

__all__ = ["ThermalSequence"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ThermalSequence:
    """A recording of one plate: frames on a time axis whose zero is the start of the excitation.

    Parameters
    ----------
    frames : array or FrameSource, shape (T, Y, X)
        Temperature or counts; may be a lazy view of a file. NaN marks pixels without a value.
    times_s : ndarray of float64, shape (T,)
        Strictly increasing, seconds from the start of the excitation; cold frames have negative times.
    unit : {"K", "degC", "counts"}
        Unit of the frames.
    pixel_pitch_mm : float, optional
        Edge of a pixel on the plate, mm.
    excitation : Excitation
        How the plate was heated.
    ambient_c, emissivity, thickness_mm, netd_k : float, optional
        Ambient temperature (degC), emissivity of the surface (0 to 1], plate thickness (mm), camera noise (K).
    material : Material, optional
        Nominal constants of the plate.
    camera, specimen_id, acquisition_id : str
        Empty when unknown.
    source : Source, optional
        File the frames came from.
    history : tuple of HistoryEntry
        Processing steps so far, oldest first.
    truth : Truth, optional
        Known defects, on the pixels of `frames`.

    Raises
    ------
    SequenceError
        When shapes, times or metadata contradict one another.
    """

    frames: FrameSource
    times_s: NDArray[np.float64]
    unit: Unit
    pixel_pitch_mm: float | None = None
    excitation: Excitation = field(default_factory=Excitation)
    ambient_c: float | None = None
    emissivity: float | None = None
    thickness_mm: float | None = None
    netd_k: float | None = None
    material: Material | None = None
    camera: str = ""
    specimen_id: str = ""
    acquisition_id: str = ""
    source: Source | None = None
    history: tuple[HistoryEntry, ...] = ()
    truth: Truth | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.frames, FrameSource):
            raise SequenceError(f"frames are a {type(self.frames).__name__}, expected an array; use numpy.asarray")
        shape = tuple(self.frames.shape)
        if len(shape) != 3 or 0 in shape:
            raise SequenceError(f"frames have shape {shape}, expected three non-empty axes (time, row, column)")
        if np.dtype(self.frames.dtype).kind not in "fiu":
            raise SequenceError(f"frames hold {self.frames.dtype}, expected real numbers")
        times = np.array(self.times_s, dtype=np.float64)
        _check_times(times, shape[0])
        times.flags.writeable = False
        object.__setattr__(self, "times_s", times)
        self._check_facts()

    def _check_facts(self) -> None:
        if self.unit not in UNITS:
            raise SequenceError(f"unit is '{self.unit}', expected one of {', '.join(UNITS)}")
        for name in ("pixel_pitch_mm", "emissivity", "thickness_mm", "netd_k"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise SequenceError(f"{name} is {value}, expected a positive number or nothing when unknown")
        if self.ambient_c is not None and not np.isfinite(self.ambient_c):
            raise SequenceError(f"ambient_c is {self.ambient_c}, expected a temperature or nothing when unknown")
        if self.emissivity is not None and self.emissivity > 1:
            raise SequenceError(f"emissivity is {self.emissivity}, expected at most 1")
        if self.truth is not None and self.truth.shape != self.frame_shape:
            raise TruthError(
                f"truth has shape {self.truth.shape}, the frames have {self.frame_shape}; use masks of the same frame"
            )

    @property
    def n_frames(self) -> int:
        """Number of frames, T."""
        return int(self.frames.shape[0])

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of a frame (Y, X)."""
        return int(self.frames.shape[1]), int(self.frames.shape[2])

    @property
    def frame_rate_hz(self) -> float | None:
        """Inverse of the median time step, Hz; None for a single frame."""
        return float(1.0 / np.median(np.diff(self.times_s))) if self.n_frames > 1 else None

    @property
    def is_lazy(self) -> bool:
        """Whether the frames still lie in a file."""
        return not isinstance(self.frames, np.ndarray)

    def loaded(self) -> ThermalSequence:
        """Return the same sequence with its frames in memory."""
        return replace(self, frames=np.asarray(self.frames[:, :, :])) if self.is_lazy else self

    def with_frames(self, frames: FrameSource, step: str, /, **changes: Any) -> ThermalSequence:
        """Return a copy with other frames and one more history entry.

        Parameters
        ----------
        frames : array or FrameSource, shape (T, Y, X)
            The new frames.
        step : str
            Name of the function that made them.
        **changes
            Other fields to replace; `parameters` (dict of JSON types) goes into the history entry.
        """
        entry = HistoryEntry(step=step, parameters=changes.pop("parameters", {}))
        return replace(self, frames=frames, history=(*self.history, entry), **changes)

    def crop(self, rows: slice, columns: slice) -> ThermalSequence:
        """Return the part of every frame under the slices; truth follows, lazy frames stay lazy.

        Parameters
        ----------
        rows, columns : slice
            Without a step.

        Raises
        ------
        SequenceError
            When nothing is left, or a slice has a step.
        """
        r0, r1, r_step = rows.indices(self.frame_shape[0])
        c0, c1, c_step = columns.indices(self.frame_shape[1])
        if r_step != 1 or c_step != 1 or r1 <= r0 or c1 <= c0:
            raise SequenceError(
                f"crop of rows {_shown(rows)} and columns {_shown(columns)} leaves nothing of {self.frame_shape} "
                "pixels or has a step; give slices with a start before their stop"
            )
        return self.with_frames(
            window(self.frames, (slice(None), slice(r0, r1), slice(c0, c1))),
            "crop",
            parameters={"rows": [r0, r1], "columns": [c0, c1]},
            truth=None if self.truth is None else self.truth.crop(slice(r0, r1), slice(c0, c1)),
        )

    def between(self, t_start_s: float | None, t_end_s: float | None) -> ThermalSequence:
        """Return the frames of a time window; lazy frames stay lazy.

        Parameters
        ----------
        t_start_s, t_end_s : float, optional
            Both ends belong to the window, s; None: no limit on that side.

        Raises
        ------
        SequenceError
            When no frame lies in the window.
        """
        low = -np.inf if t_start_s is None else t_start_s
        high = np.inf if t_end_s is None else t_end_s
        keep = np.flatnonzero((self.times_s >= low) & (self.times_s <= high))
        if keep.size == 0:
            raise SequenceError(
                f"no frame lies between {low:g} s and {high:g} s; the recording runs from {self.times_s[0]:g} s to "
                f"{self.times_s[-1]:g} s"
            )
        part = slice(int(keep[0]), int(keep[-1]) + 1)
        return self.with_frames(
            window(self.frames, (part, slice(None), slice(None))),
            "between",
            parameters={"t_start_s": t_start_s, "t_end_s": t_end_s},
            times_s=self.times_s[part],
        )

    def curves(self, mask: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Return the pixels' curves, row by row.

        Parameters
        ----------
        mask : ndarray of bool, shape (Y, X), optional
            Pixels wanted; all when None.

        Returns
        -------
        ndarray of float32, shape (N, T)

        Raises
        ------
        SequenceError
            When the mask is of another size or not of bool.
        """
        if mask is not None and mask.shape != self.frame_shape:
            raise SequenceError(
                f"mask has shape {mask.shape}, the frames have {self.frame_shape}; draw it on the same frame"
            )
        if mask is not None and mask.dtype != np.bool_:
            raise SequenceError(f"mask holds {mask.dtype}, expected bool; write mask > 0")
        parts = []
        for rows, block in self.blocks():
            flat = block.reshape(self.n_frames, -1).T
            parts.append(flat if mask is None else flat[mask[rows].ravel()])
        return np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)

    def blocks(self, max_bytes: int = 64 * 2**20) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Iterate over bands of whole rows in bounded memory.

        Parameters
        ----------
        max_bytes : int
            Upper bound of one band in float32; at least one row is given.

        Yields
        ------
        rows : slice
            The rows of the band.
        block : ndarray of float32, shape (T, rows, X)
            May be a view of the frames: do not write to it.
        """
        height, width = self.frame_shape
        step = max(1, max_bytes // (4 * self.n_frames * width))
        for start in range(0, height, step):
            rows = slice(start, min(start + step, height))
            yield rows, np.asarray(self.frames[:, rows, :], dtype=np.float32)

    def to_xarray(self) -> xarray.DataArray:
        """Return the frames in memory as an `xarray.DataArray` with dimensions time_s, y, x, for notebooks.

        Returns
        -------
        xarray.DataArray, shape (T, Y, X)
            Coordinates are pixel centres, in mm when the pixel pitch is known, else in px.

        Raises
        ------
        MissingDependencyError
            When xarray is not installed.
        """
        try:
            import xarray
        except ImportError as error:
            raise MissingDependencyError("xarray", "to_xarray") from error
        pitch, length = (1.0, "px") if self.pixel_pitch_mm is None else (self.pixel_pitch_mm, "mm")
        height, width = self.frame_shape
        y = xarray.Variable("y", (np.arange(height) + 0.5) * pitch, {"units": length})
        x = xarray.Variable("x", (np.arange(width) + 0.5) * pitch, {"units": length})
        return xarray.DataArray(
            np.asarray(self.frames[:, :, :]),
            dims=("time_s", "y", "x"),
            coords={"time_s": self.times_s, "y": y, "x": x},
            name="temperature" if self.unit != "counts" else "counts",
            attrs={"units": self.unit, "specimen": self.specimen_id},
        )


def _check_times(times: NDArray[np.float64], n_frames: int) -> None:
    if times.shape != (n_frames,):
        came = f"{times.size} times" if times.ndim == 1 else f"times of shape {times.shape}"
        raise SequenceError(f"{came} came with {n_frames} frames, expected one time per frame")
    if not np.isfinite(times).all():
        first = int(np.flatnonzero(~np.isfinite(times))[0])
        raise SequenceError(
            f"the time of frame {first} is {times[first]}; give the frame rate or a corrected list of times"
        )
    back = np.flatnonzero(np.diff(times) <= 0)
    if back.size:
        at = int(back[0])
        raise SequenceError(
            f"times do not strictly increase: frame {at} is at {times[at]:g} s, frame {at + 1} at {times[at + 1]:g} s; "
            "give the frame rate or a corrected list of times"
        )


def _shown(part: slice) -> str:
    return ":".join("" if value is None else str(value) for value in (part.start, part.stop, part.step)).removesuffix(
        ":"
    )
