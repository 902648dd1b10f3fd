"""Training curves with their neighbourhoods, gathered batch by batch instead of copied nine times over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thermo_qc.representation import CurveField

__all__ = ["Curves", "GatheredCurves"]


class GatheredCurves:
    """Curves of chosen pixels of several recordings; indexing makes a tensor of those asked for.

    Parameters
    ----------
    fields : sequence of CurveField
        One per recording.
    case, pixel : ndarray of int64, shape (N,)
        Recording of each curve, and its pixel there.
    """

    def __init__(self, fields: Sequence[CurveField], case: NDArray[np.int64], pixel: NDArray[np.int64]) -> None:
        self.fields, self.case, self.pixel = list(fields), case, pixel

    def __len__(self) -> int:
        return len(self.case)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size of all curves together (N, T, C)."""
        return len(self), self.fields[0].n_steps, self.fields[0].n_channels

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        chosen = index.numpy() if isinstance(index, Tensor) else index
        case, pixel = self.case[chosen], self.pixel[chosen]
        curves = np.empty((len(case), *self.shape[1:]), dtype=np.float32)
        for number in np.unique(case):
            here = case == number
            curves[here] = self.fields[number].gather(pixel[here])
        return torch.from_numpy(curves)

    def numpy(self) -> NDArray[np.float32]:
        """Return all curves, float32 (N, T, C)."""
        result: NDArray[np.float32] = self[:].numpy()
        return result


Curves = Tensor | GatheredCurves
