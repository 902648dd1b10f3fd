"""`ThermalSequence`, the one data object: frames, their times and what is known about the recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError, TruthError

if TYPE_CHECKING:
    import xarray

__all__ = [
    "EXCITATION_KINDS",
    "UNITS",
    "Defect",
    "Excitation",
    "IGNORE_LABEL",
    "ExcitationKind",
    "FrameSource",
    "HistoryEntry",
    "Material",
    "Source",
    "ThermalSequence",
    "Truth",
    "Unit",
]

Unit = Literal["K", "degC", "counts"]
ExcitationKind = Literal["flash", "long_pulse", "step", "periodic", "unknown"]
UNITS: tuple[str, ...] = ("K", "degC", "counts")
EXCITATION_KINDS: tuple[str, ...] = ("flash", "long_pulse", "step", "periodic", "unknown")
IGNORE_LABEL = 255


@runtime_checkable
class FrameSource(Protocol):
    """What `ThermalSequence.frames` must offer: a NumPy array does, and so does a lazy view of a file.

    Indexing takes one index or slice per axis in the order time, row, column and returns a NumPy array.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of the axes (T, Y, X)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements that indexing returns."""

    def __getitem__(self, key: Any) -> NDArray[Any]: ...


@dataclass(frozen=True, kw_only=True)
class Excitation:
    """How the plate was heated; times on the sequence's own time axis.

    Parameters
    ----------
    kind : {"flash", "long_pulse", "step", "periodic", "unknown"}
        Form of the excitation.
    start_s : float
        Start of the excitation, s; 0 by definition of time zero.
    stop_s : float, optional
        End of the heating, s; None when unknown.
    flux_w_m2 : float, optional
        Absorbed heat flux density while heating, W/m2.
    frequency_hz : float, optional
        Frequency of a periodic excitation.
    """

    kind: ExcitationKind = "unknown"
    start_s: float = 0.0
    stop_s: float | None = None
    flux_w_m2: float | None = None
    frequency_hz: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in EXCITATION_KINDS:
            raise SequenceError(f"excitation kind is '{self.kind}', expected one of {', '.join(EXCITATION_KINDS)}")
        if self.stop_s is not None and not self.stop_s > self.start_s:
            raise SequenceError(
                f"heating stop {self.stop_s} s is not after its start {self.start_s} s; give the stop in seconds after "
                "the start of the excitation"
            )


@dataclass(frozen=True, kw_only=True)
class Material:
    """Thermal constants of a plate.

    Parameters
    ----------
    name : str
        For people.
    conductivity_through_w_mk, conductivity_in_plane_w_mk : float
        Thermal conductivity through the thickness and in the plane, W/(m K).
    density_kg_m3 : float
        Density, kg/m3.
    heat_capacity_j_kgk : float
        Specific heat capacity, J/(kg K).
    """

    name: str
    conductivity_through_w_mk: float
    conductivity_in_plane_w_mk: float
    density_kg_m3: float
    heat_capacity_j_kgk: float

    @property
    def diffusivity_through_mm2_s(self) -> float:
        """Thermal diffusivity through the thickness, alpha = k / (rho c), mm2/s."""
        return 1e6 * self.conductivity_through_w_mk / (self.density_kg_m3 * self.heat_capacity_j_kgk)

    @property
    def diffusivity_in_plane_mm2_s(self) -> float:
        """Thermal diffusivity in the plane, mm2/s."""
        return 1e6 * self.conductivity_in_plane_w_mk / (self.density_kg_m3 * self.heat_capacity_j_kgk)

    @property
    def effusivity_w_s05_m2k(self) -> float:
        """Thermal effusivity e = sqrt(k rho c), W s^0.5 / (m2 K)."""
        return float(np.sqrt(self.conductivity_through_w_mk * self.density_kg_m3 * self.heat_capacity_j_kgk))


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a sequence came from: file name, SHA-256 of its bytes (hex, empty when not a file) and format name."""

    path: str
    sha256: str = ""
    format_name: str = ""


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One processing step: the function's name and the keywords it ran with (JSON types only)."""

    step: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One true defect of a recording.

    Parameters
    ----------
    number : int
        Value of this defect in `Truth.defect_index`, from 1.
    depth_mm : float, optional
        Distance from the inspected face, mm; None when unknown.
    diameter_mm : float, optional
        Diameter, or equivalent diameter of another shape, mm.
    name : str
        For tables ("D12"); the number stands in when empty.
    peak_contrast_k : float, optional
        Largest noise-free contrast against the sound plate during the recording, K; known for simulations only.
    """

    number: int
    depth_mm: float | None = None
    diameter_mm: float | None = None
    name: str = ""
    peak_contrast_k: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What is known to be in the recorded plate, pixel by pixel.

    Parameters
    ----------
    defect_index : ndarray of int16, shape (Y, X)
        0 sound, n > 0 the defect with that number, -1 not to be used (outside the plate, excluded, doubtful).
    depth_mm : ndarray of float32, shape (Y, X)
        Distance of the defect from the inspected face, mm; NaN where sound or unknown.
    defects : tuple of Defect
        One entry per number in `defect_index`.
    """

    defect_index: NDArray[np.int16]
    depth_mm: NDArray[np.float32]
    defects: tuple[Defect, ...] = ()

    def __post_init__(self) -> None:
        index = np.asarray(self.defect_index, dtype=np.int16)
        depth = np.asarray(self.depth_mm, dtype=np.float32)
        if index.ndim != 2 or depth.shape != index.shape:
            raise TruthError(f"truth maps have shapes {index.shape} and {depth.shape}, expected one shape (Y, X)")
        numbers = set(np.unique(index).tolist()) - {-1, 0}
        listed = [defect.number for defect in self.defects]
        if len(set(listed)) != len(listed) or not numbers <= set(listed):
            missing = sorted(numbers - set(listed))
            raise TruthError(f"defect list {listed} does not name each defect on the map once (missing: {missing})")
        object.__setattr__(self, "defect_index", index)
        object.__setattr__(self, "depth_mm", depth)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the maps."""
        return self.defect_index.shape[0], self.defect_index.shape[1]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Pixels that may be used for training and evaluation, bool (Y, X)."""
        return self.defect_index >= 0

    def crop(self, rows: slice, columns: slice) -> Truth:
        """Return the part of the maps under the slices; defects outside it stay listed."""
        return replace(self, defect_index=self.defect_index[rows, columns], depth_mm=self.depth_mm[rows, columns])

    def restricted_to(self, mask: NDArray[np.bool_]) -> Truth:
        """Return the truth with every pixel outside `mask` (bool, (Y, X)) marked as not to be used."""
        if mask.shape != self.shape:
            raise TruthError(f"region mask has shape {mask.shape}, the truth has {self.shape}; draw it on the same frame")
        return replace(
            self,
            defect_index=np.where(mask, self.defect_index, -1).astype(np.int16),
            depth_mm=np.where(mask, self.depth_mm, np.nan).astype(np.float32),
        )


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
        shape = tuple(self.frames.shape)
        if len(shape) != 3 or 0 in shape:
            raise SequenceError(f"frames have shape {shape}, expected three non-empty axes (time, row, column)")
        if np.dtype(self.frames.dtype).kind not in "fiu":
            raise SequenceError(f"frames hold {self.frames.dtype}, expected real numbers")
        times = np.array(self.times_s, dtype=np.float64)
        if times.shape != (shape[0],):
            raise SequenceError(f"{times.size} times came with {shape[0]} frames, expected one time per frame")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise SequenceError("times do not strictly increase; give the frame rate or a corrected list of times")
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
        if self.emissivity is not None and self.emissivity > 1:
            raise SequenceError(f"emissivity is {self.emissivity}, expected at most 1")
        if self.truth is not None and self.truth.shape != self.frame_shape:
            raise TruthError(f"truth has shape {self.truth.shape}, the frames have {self.frame_shape}; use masks of the same frame")

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
        """Return the part of every frame under the slices (steps are not allowed); truth follows."""
        r0, r1, r_step = rows.indices(self.frame_shape[0])
        c0, c1, c_step = columns.indices(self.frame_shape[1])
        if r_step != 1 or c_step != 1 or r1 <= r0 or c1 <= c0:
            raise SequenceError(f"crop {rows}, {columns} leaves nothing of {self.frame_shape} pixels or has a step")
        return self.with_frames(
            self.frames[:, r0:r1, c0:c1],
            "crop",
            parameters={"rows": [r0, r1], "columns": [c0, c1]},
            truth=None if self.truth is None else self.truth.crop(slice(r0, r1), slice(c0, c1)),
        )

    def between(self, t_start_s: float | None, t_end_s: float | None) -> ThermalSequence:
        """Return the frames with t_start_s <= time <= t_end_s (None: no limit on that side)."""
        low = -np.inf if t_start_s is None else t_start_s
        high = np.inf if t_end_s is None else t_end_s
        keep = np.flatnonzero((self.times_s >= low) & (self.times_s <= high))
        if keep.size == 0:
            raise SequenceError(
                f"no frame lies between {low} s and {high} s; the recording runs from {self.times_s[0]:g} s to {self.times_s[-1]:g} s"
            )
        part = slice(int(keep[0]), int(keep[-1]) + 1)
        return self.with_frames(
            self.frames[part, :, :],
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
        """
        if mask is not None and mask.shape != self.frame_shape:
            raise SequenceError(f"mask has shape {mask.shape}, the frames have {self.frame_shape}")
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
            Upper bound of one band in float32, at least one row is given.

        Yields
        ------
        rows : slice
            The rows of the band.
        block : ndarray of float32, shape (T, rows, X)
        """
        height, width = self.frame_shape
        step = max(1, max_bytes // (4 * self.n_frames * width))
        for start in range(0, height, step):
            rows = slice(start, min(start + step, height))
            yield rows, np.asarray(self.frames[:, rows, :], dtype=np.float32)

    def to_xarray(self) -> xarray.DataArray:
        """Return the frames as an `xarray.DataArray` with dimensions time_s, y, x (mm or px), for notebooks."""
        try:
            import xarray
        except ImportError as error:
            from thermo_qc.errors import MissingDependencyError

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
