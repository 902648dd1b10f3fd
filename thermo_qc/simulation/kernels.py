"""The two array operations that a step of the solver is made of, on NumPy arrays in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thermo_qc.errors import ConfigError
from thermo_qc.simulation.columns import ColumnKinds, StepMatrices
from thermo_qc.simulation.lateral import LateralConduction

__all__ = ["Kernels", "NumpyKernels", "Planes"]

_BLOCK = 8192  # columns of a block, so that its matrices stay in a processor's cache


class Planes(Protocol):
    """Conduction in the plane of some layers of nodes."""

    def advance(self, state: Any, dt_s: float, out: Any) -> None:
        """Advance `state` (n_layers, N) by `dt_s` into `out`, another array of that shape."""


class Kernels(Protocol):
    """Where the state of a plate lives and how it is advanced.

    The state is a two-dimensional array of nodes and columns that can be sliced and assigned to like one of NumPy.
    """

    def zeros(self, shape: tuple[int, int]) -> Any:
        """Make a state of zeros."""

    def from_host(self, values: NDArray[Any]) -> Any:
        """Bring an array of NumPy to where the state lives, in the state's type."""

    def to_host(self, values: Any) -> NDArray[Any]:
        """Give a part of the state as an array of NumPy that later steps do not change."""

    def total(self, values: Any) -> float:
        """Sum a part of the state in double precision."""

    def planes(self, conduction: LateralConduction) -> Planes:
        """Prepare conduction in the plane."""

    def through(self, step: StepMatrices, kinds: ColumnKinds, values: Any, out: Any) -> None:
        """Compute ``out = step.matrices[kind] @ values`` for every column, (inputs, N) to (Z + 1, N)."""


class NumpyKernels:
    """State in NumPy arrays; layers and blocks of columns are shared out among threads.

    Parameters
    ----------
    dtype : dtype
        Type of the state.
    threads : int, optional
        Threads, within which BLAS then uses one each; None leaves everything to the calling thread and to BLAS.

    Raises
    ------
    ConfigError
        When `threads` is less than one.
    """

    def __init__(self, dtype: np.dtype[Any], threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"threads is {threads}, expected at least 1, or nothing for the calling thread alone")
        self._dtype, self._threads = dtype, threads or 1
        self._pool = ThreadPoolExecutor(threads) if threads is not None and threads > 1 else None
        self._limit: AbstractContextManager[Any] = nullcontext()

    def __enter__(self) -> NumpyKernels:
        if self._pool is not None:
            self._limit = threadpool_limits(limits=1, user_api="blas")
        self._limit.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limit.__exit__(kind, error, trace)
        if self._pool is not None:
            self._pool.shutdown()

    def zeros(self, shape: tuple[int, int]) -> NDArray[Any]:
        """Make a state of zeros."""
        return np.zeros(shape, dtype=self._dtype)

    def from_host(self, values: NDArray[Any]) -> NDArray[Any]:
        """Give the array in the state's type."""
        return values.astype(self._dtype)

    def to_host(self, values: NDArray[Any]) -> NDArray[Any]:
        """Copy a part of the state."""
        return values.copy()

    def total(self, values: NDArray[Any]) -> float:
        """Sum a part of the state in double precision."""
        return float(values.sum(dtype=np.float64))

    def planes(self, conduction: LateralConduction) -> Planes:
        """Prepare conduction in the plane."""
        return _ThreadedPlanes(conduction, self._share_out, self._threads)

    def through(self, step: StepMatrices, kinds: ColumnKinds, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Compute ``out = step.matrices[kind] @ values`` for every column."""
        sound = step.matrices[0]

        def block(start: int) -> None:
            part = slice(start, start + _BLOCK)
            np.matmul(sound, values[:, part], out=out[:, part])

        self._share_out(block, range(0, values.shape[1], _BLOCK))
        columns, starts = kinds.columns, kinds.starts
        if columns.size:
            before = values[:, columns]
            after = np.empty((out.shape[0], columns.size), dtype=self._dtype)
            for kind in range(1, starts.size):
                part = slice(starts[kind - 1], starts[kind])
                after[:, part] = step.matrices[kind] @ before[:, part]
            out[:, columns] = after

    def _share_out(self, work: Callable[[int], None], items: Sequence[int]) -> None:
        """Do `work` for every item, in the threads if there are any."""
        if self._pool is None:
            for item in items:
                work(item)
        else:
            list(self._pool.map(work, items))  # a list, so that errors come out


class _ThreadedPlanes:
    """Layers of nodes that threads advance side by side."""

    def __init__(
        self,
        conduction: LateralConduction,
        share_out: Callable[[Callable[[int], None], Sequence[int]], None],
        threads: int,
    ) -> None:
        self._conduction, self._share_out = conduction, share_out
        self._parts = min(threads, conduction.n_layers)

    def advance(self, state: NDArray[Any], dt_s: float, out: NDArray[Any]) -> None:
        """Advance `state` by `dt_s` into `out`; every thread takes each so-and-so-manyth layer."""

        def part(first: int) -> None:
            layers = range(first, self._conduction.n_layers, self._parts)
            self._conduction.advance(state, dt_s, out, layers=layers)

        self._share_out(part, range(self._parts))
