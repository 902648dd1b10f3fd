"""The simulator's array operations on torch tensors, for a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.models.devices import to_device
from thermo_qc.simulation.columns import ColumnKinds, StepMatrices
from thermo_qc.simulation.kernels import Planes
from thermo_qc.simulation.lateral import LateralConduction, legendre_weights

__all__ = ["TorchKernels"]


class TorchKernels:
    """State of a simulated plate in torch tensors; hand it to `thermo_qc.simulation.solve_plate` as `kernels`.

    Parameters
    ----------
    device : str
        As `thermo_qc.models.devices.to_device` takes it; it must know double precision, which Apple's "mps" does not.
    dtype : {"float32", "float64"}
        Type of the state.

    Raises
    ------
    ConfigError
        When this machine has no such device, or the device no double precision.

    Examples
    --------
    >>> from thermo_qc.plate import load_plate
    >>> from thermo_qc.simulation import solve_plate
    >>> plate, times = load_plate("gfrp_calibrated"), np.array([0.0, 30.0])
    >>> solve_plate(plate, times_s=times, lateral_mm=10, kernels=TorchKernels("cpu")).rise_k.shape
    (2, 29, 32)
    """

    def __init__(self, device: str = "cuda", dtype: str = "float32") -> None:
        self._device = to_device(device)
        if self._device.type == "mps":
            raise ConfigError("the simulator needs double precision, which device 'mps' lacks; take numpy or cuda")
        self._dtype = {"float32": torch.float32, "float64": torch.float64}[dtype]
        self._matrices: dict[int, tuple[StepMatrices, torch.Tensor]] = {}
        self._columns: tuple[ColumnKinds, torch.Tensor, torch.Tensor] | None = None

    def zeros(self, shape: tuple[int, int]) -> torch.Tensor:
        """Make a state of zeros."""
        return torch.zeros(shape, dtype=self._dtype, device=self._device)

    def from_host(self, values: NDArray[Any]) -> torch.Tensor:
        """Bring an array of NumPy to the device."""
        return torch.tensor(values, dtype=self._dtype, device=self._device)

    def to_host(self, values: torch.Tensor) -> NDArray[Any]:
        """Give a part of the state as an array of NumPy."""
        return np.array(values.cpu().numpy())

    def total(self, values: torch.Tensor) -> float:
        """Sum a part of the state in double precision."""
        return float(values.sum(dtype=torch.float64))

    def planes(self, conduction: LateralConduction) -> Planes:
        """Prepare conduction in the plane."""
        return _TorchPlanes(conduction, self)

    def through(self, step: StepMatrices, kinds: ColumnKinds, values: torch.Tensor, out: torch.Tensor) -> None:
        """Compute ``out = step.matrices[kind] @ values`` for every column."""
        if id(step) not in self._matrices:  # kept together with the step, so that the id stays its own
            self._matrices[id(step)] = step, self.from_host(step.matrices)
        matrices = self._matrices[id(step)][1]
        torch.mm(matrices[0], values, out=out)
        if self._columns is None or self._columns[0] is not kinds:
            columns, kind = (torch.from_numpy(index).to(self._device) for index in (kinds.columns, kinds.of_column))
            self._columns = kinds, columns, kind
        _, columns, kind = self._columns
        if columns.numel():
            own = torch.bmm(matrices[kind], values[:, columns].T.unsqueeze(2))
            out[:, columns] = own.squeeze(2).T


class _TorchPlanes:
    """Conduction in the plane of all layers at once."""

    def __init__(self, conduction: LateralConduction, kernels: TorchKernels) -> None:
        self._conduction = conduction
        self._rate_x, self._rate_y = (kernels.from_host(rate).view(-1, 1, 1) for rate in conduction.rates)
        cells = conduction.shape[1] * conduction.shape[2]
        targets, sources, values = [], [], []
        for layer, (rows, matrix) in enumerate(conduction.corrections):
            entries = matrix.tocoo()
            targets.append(layer * cells + rows[entries.coords[0]])
            sources.append(layer * cells + entries.coords[1].astype(np.int64))
            values.append(entries.data)
        device = self._rate_x.device
        self._targets, self._sources = (
            torch.from_numpy(np.concatenate(index)).to(device) for index in (targets, sources)
        )
        self._values = kernels.from_host(np.concatenate(values))

    def advance(self, state: torch.Tensor, dt_s: float, out: torch.Tensor) -> None:
        """Advance `state` (n_layers, N) by `dt_s` into `out`, another tensor of that shape."""
        count, stages = self._conduction.substeps(dt_s)
        now = state.reshape(self._conduction.shape)
        for _ in range(count):
            now = self._legendre(now, dt_s / count, stages)
        out.copy_(now.reshape(out.shape))

    def _rate(self, state: torch.Tensor) -> torch.Tensor:
        rate = torch.zeros_like(state)
        across, along = torch.diff(state, dim=2) * self._rate_x, torch.diff(state, dim=1) * self._rate_y
        rate[:, :, :-1] += across
        rate[:, :, 1:] -= across
        rate[:, :-1] += along
        rate[:, 1:] -= along
        return rate.view(-1).index_add_(0, self._targets, self._values * state.reshape(-1)[self._sources]).view_as(rate)

    def _legendre(self, state: torch.Tensor, dt_s: float, stages: int) -> torch.Tensor:
        start, weights = legendre_weights(stages)
        first = dt_s * self._rate(state)
        before, now = state, state + start * first
        for rate, mu, nu, rest, back in weights:
            new = rate * dt_s * self._rate(now) + mu * now + nu * before + rest * state - back * first
            before, now = now, new
        return now
