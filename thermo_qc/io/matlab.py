"""MATLAB files: version 5 through SciPy, version 7.3 (HDF5) through h5py.

Frames are a numeric array with three axes, or a 1 x T (T x 1) cell of equal matrices, at the top level or in fields of
1 x 1 structs (dotted names: ``F1.images``). MATLAB does not name axes, so `axes` is needed for arrays ("yxt": rows,
columns, frames); the matrices of a cell are frames.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

from thermo_qc.config import Facts
from thermo_qc.errors import (
    AmbiguousInputError,
    ConfigError,
    CorruptFileError,
    MissingFactError,
    TruthError,
    UnknownNameError,
    suggestion,
)
from thermo_qc.io.found import Found
from thermo_qc.io.hdf5 import HDF5Frames, check_dataset, dataset_at, open_hdf5, read_small
from thermo_qc.io.layout import arrange, axis_order, check_three_axes
from thermo_qc.io.lazy import check_declared_size
from thermo_qc.io.matlab_tags import check_matlab5
from thermo_qc.io.metadata import defects_from_json, found_from_json, truth_from_maps
from thermo_qc.io.reader import Reader, assemble, check_options, reading
from thermo_qc.sequence import FrameSource, ThermalSequence, Truth

__all__ = ["READER", "open_matlab"]

MAX_NESTING = 4
OWN, TRUTH = frozenset({"thermo_qc", "images", "times_s"}), frozenset({"defect_index", "depth_mm"})
NUMERIC = frozenset(
    {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
)


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One place in a MATLAB file that may hold frames.

    `shape` is MATLAB's; of a cell it is (T, rows, columns). `load(axes)` gives the frames (T, Y, X).
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    load: Callable[[str], FrameSource]

    def __str__(self) -> str:
        size = " x ".join(str(length) for length in self.shape[1:] if self.kind == "cell") or " x ".join(
            map(str, self.shape)
        )
        return (
            f"{self.name} (cell of {self.shape[0]} frames {size})" if self.kind == "cell" else f"{self.name} ({size})"
        )


def open_matlab(path: Path, **options: Any) -> ThermalSequence:
    """Open a MATLAB file of version 5 (save -v6, -v7) or 7.3.

    Parameters
    ----------
    path : Path
        The file.
    **options
        Fields of `thermo_qc.config.Facts`; `variable` chooses between several stacks, `axes` names the axes of an
        array.

    Raises
    ------
    AmbiguousInputError
        When several stacks are in the file; the message lists them.
    MissingFactError
        When an array's axes, or the time base, are not given.
    CorruptFileError
        When the file holds no frames or is broken.
    """
    facts = check_options(path, "the MATLAB format", options, ("variable", "axes"))
    with reading(path, "MATLAB"):
        if _is_hdf5(path):
            with open_hdf5(path) as file:
                if set(file) >= OWN:
                    return _assemble_own(path, facts, *_own_73(path, file))
                variables = list(_variables_73(path, file, file, "", 0))
        else:
            check_matlab5(path)
            if {name for name, _, _ in scipy.io.whosmat(path)} >= OWN:
                return _assemble_own(path, facts, *_own_5(path))
            variables = list(_variables_5(path))
        chosen = _choose(path, variables, facts.variable)
        frames = chosen.load(_axes(path, chosen, facts.axes))
    return assemble(path, frames, Found(), facts, READER.name)


def _assemble_own(path: Path, facts: Facts, frames: FrameSource, own: Mapping[str, NDArray[Any]]) -> ThermalSequence:
    """Undo what `thermo_qc.io.matlab_write` wrote, also after MATLAB saved it again."""
    if facts.variable is not None or facts.axes is not None:
        raise ConfigError(f"{path} was written by thermo_qc and says itself what is what; leave variable and axes out")
    try:
        content = json.loads("".join(map(str, own["thermo_qc"].flat)))
        defects = content.pop("defects", None)
    except (ValueError, AttributeError):
        raise CorruptFileError(path, "thermo_qc", "the JSON that thermo_qc wrote", "broken") from None
    truth: Truth | None = None
    if defects is not None:
        if not set(own) >= TRUTH:
            raise CorruptFileError(path, "truth", " and ".join(sorted(TRUTH)), "incomplete")
        try:
            truth = truth_from_maps(own["defect_index"], own["depth_mm"], defects_from_json(path, defects))
        except TruthError as error:
            raise CorruptFileError(path, "truth", "maps and table that agree", f"contradictory ({error})") from None
    times = own["times_s"].astype(np.float64).reshape(-1)
    return assemble(path, frames, found_from_json(path, content, times, "times_s", truth), facts, READER.name)


def _own_73(path: Path, file: h5py.File) -> tuple[FrameSource, dict[str, NDArray[Any]]]:
    small = {name: read_small(file, path, name) for name in (*OWN - {"images"}, *TRUTH)}
    own = {name: value.T for name, value in small.items() if value is not None}
    images = dataset_at(file, path, "images")
    if images is None or images.ndim != 3 or not {"thermo_qc", "times_s"} <= set(own):
        raise CorruptFileError(path, "images", "three axes, with times_s and thermo_qc", "incomplete")
    own["thermo_qc"] = np.array(list(own["thermo_qc"].astype("<u2").tobytes().decode("utf-16-le", errors="replace")))
    t, x, y = images.shape
    slab = 1 if images.chunks is None else images.chunks[0]
    return HDF5Frames(path, "/images", (t, y, x), images.dtype, order=(0, 2, 1), slab=slab), own


def _own_5(path: Path) -> tuple[FrameSource, dict[str, NDArray[Any]]]:
    for name, shape, _ in scipy.io.whosmat(path):
        check_declared_size(path, name, shape, 1, path.stat().st_size)
    own = scipy.io.loadmat(path, variable_names=[*OWN, *TRUTH])
    images = own["images"]
    if images.ndim == 2:  # MATLAB drops an axis of length one at the end
        images = images[:, :, np.newaxis]
    check_three_axes(path, "images", images.shape, images.dtype.kind)
    return arrange(images, "yxt"), {name: own[name] for name in own if name in {*OWN, *TRUTH} - {"images"}}


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(10) == b"MATLAB 7.3"


def _choose(path: Path, variables: list[Variable], wanted: str | None) -> Variable:
    stacks = [variable for variable in variables if len(variable.shape) == 3 and 0 not in variable.shape]
    listed = ", ".join(str(variable) for variable in variables[:30]) or "none"
    if wanted is not None:
        named = [variable for variable in variables if variable.name == wanted]
        if not named:
            raise UnknownNameError(
                f"{path} has no variable '{wanted}'{suggestion(wanted, [v.name for v in variables])}"
            )
        if named[0] not in stacks:
            raise CorruptFileError(
                path, wanted, "three axes, or a cell of frames", str(named[0]), "choose another variable"
            )
        return named[0]
    if not stacks:
        expected = "numbers on three axes, or a cell of frames"
        raise CorruptFileError(
            path, "content", expected, f"without any (variables: {listed})", "export the whole sequence"
        )
    if len(stacks) > 1:
        names = ", ".join(str(variable) for variable in stacks[:30])
        raise AmbiguousInputError(
            f"{path} holds {len(stacks)} stacks of frames; choose one with variable=NAME: {names}"
        )
    return stacks[0]


def _axes(path: Path, variable: Variable, axes: str | None) -> str:
    if variable.kind == "cell":
        if axes not in (None, "tyx", "txy"):
            raise ConfigError(
                f"{path}: axes is '{axes}', but {variable.name} is a cell of frames; expected 'tyx' or 'txy'"
            )
        return axes or "tyx"
    if axes is None:
        readings = []
        for candidate in ("yxt", "tyx"):
            t, y, x = (variable.shape[axis] for axis in axis_order(candidate))
            readings.append(f"axes={candidate} ({t} frames of {y} x {x})")
        raise MissingFactError(f"{path}: {variable} does not say which axis is time; give {' or '.join(readings)}")
    return axes


def _variables_5(path: Path) -> Iterator[Variable]:
    for name, shape, kind in scipy.io.whosmat(path):
        check_declared_size(path, name, shape, 1, path.stat().st_size)
        if kind in NUMERIC:
            yield Variable(name=name, kind="array", shape=tuple(shape), load=_loader_5(path, name))
        elif kind in ("cell", "struct"):
            yield from _inside_5(path, name, scipy.io.loadmat(path, variable_names=[name])[name], 0)


def _loader_5(path: Path, name: str) -> Callable[[str], FrameSource]:
    return lambda axes: arrange(_real(path, name, scipy.io.loadmat(path, variable_names=[name])[name]), axes)


def _inside_5(path: Path, name: str, value: Any, level: int) -> Iterator[Variable]:
    if not isinstance(value, np.ndarray) or level > MAX_NESTING:
        return
    if value.dtype.names and value.size == 1:
        for field in value.dtype.names:
            yield from _inside_5(path, f"{name}.{field}", value.flat[0][field], level + 1)
    elif value.dtype == object and value.size and _is_row(value.shape):
        cells = list(value.flat)
        if all(isinstance(cell, np.ndarray) and cell.dtype.kind in "fiubc" for cell in cells):
            yield _cell_variable(path, name, cells)
    elif value.dtype.kind in "fiubc":
        yield Variable(
            name=name, kind="array", shape=value.shape, load=lambda axes: arrange(_real(path, name, value), axes)
        )


def _is_row(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and 1 in shape


def _cell_variable(path: Path, name: str, cells: list[NDArray[Any]]) -> Variable:
    def load(axes: str) -> FrameSource:
        for number, cell in enumerate(cells, start=1):
            if cell.shape != cells[0].shape or cell.dtype != cells[0].dtype:
                expected = f"{cells[0].dtype} of shape {cells[0].shape} like the first"
                raise CorruptFileError(path, f"{name}{{{number}}}", expected, f"{cell.dtype} of shape {cell.shape}")
        return arrange(_real(path, name, np.stack(cells)), axes)

    return Variable(name=name, kind="cell", shape=(len(cells), *cells[0].shape), load=load)


def _real(path: Path, name: str, value: NDArray[Any]) -> NDArray[Any]:
    if value.dtype.kind not in "fiub":
        raise CorruptFileError(path, name, "real numbers", f"of type {value.dtype}", "export the real frames")
    return value


def _variables_73(path: Path, file: h5py.File, group: h5py.Group, prefix: str, level: int) -> Iterator[Variable]:
    for key in group:
        link = group.get(key, getlink=True)
        if key in ("#refs#", "#subsystem#") or level > MAX_NESTING:
            continue
        if not isinstance(link, h5py.HardLink):
            raise CorruptFileError(path, f"{prefix}{key}", "inside the file", "a link", "save it from MATLAB again")
        node = group[key]
        if isinstance(node, h5py.Group):
            yield from _variables_73(path, file, node, f"{prefix}{key}.", level + 1)
        elif node.dtype.kind == "O" and node.shape and _is_row(node.shape) and h5py.check_ref_dtype(node.dtype):
            yield from _cell_73(path, file, f"{prefix}{key}", node)
        elif node.dtype.kind in "fiub" and node.shape:
            yield _array_73(path, f"{prefix}{key}", node)


def _cell_73(path: Path, file: h5py.File, name: str, node: h5py.Dataset) -> Iterator[Variable]:
    check_dataset(node, path, name, objects=True)
    first = file[node[()].flat[0]]
    if not isinstance(first, h5py.Dataset) or first.dtype.kind not in "fiub" or first.ndim != 2:
        return

    def load(axes: str) -> FrameSource:
        with open_hdf5(path) as again:
            cells = []
            for number, reference in enumerate(again[node_name][()].flat, start=1):
                cell = again[reference]
                if not isinstance(cell, h5py.Dataset):
                    raise CorruptFileError(path, f"{name}{{{number}}}", "a matrix", "a struct or an empty cell")
                check_dataset(cell, path, f"{name}{{{number}}}")
                cells.append(cell[()].T)
        return _cell_variable(path, name, cells).load(axes)

    node_name = node.name
    yield Variable(name=name, kind="cell", shape=(node.size, *first.shape[::-1]), load=load)


def _array_73(path: Path, name: str, node: h5py.Dataset) -> Variable:
    # MATLAB stores columns first, HDF5 rows first: the axes appear reversed.
    shape, chunks, dtype, node_name = node.shape[::-1], node.chunks, node.dtype, node.name
    check_dataset(node, path, name)

    def load(axes: str) -> FrameSource:
        t, y, x = (2 - axis for axis in axis_order(axes))
        size = (shape[2 - t], shape[2 - y], shape[2 - x])
        return HDF5Frames(path, node_name, size, dtype, order=(t, y, x), slab=1 if chunks is None else chunks[t])

    return Variable(name=name, kind="array", shape=shape, load=load)


READER = Reader(
    name="MATLAB",
    extensions=(".mat",),
    matches=lambda header: header.startswith((b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file")),
    open=open_matlab,
    tried_on="one real recording (version 5, a cell of frames)",
)
