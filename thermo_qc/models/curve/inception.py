"""InceptionTime: kernels of several lengths side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from thermo_qc.models.curve.along_time import TimeConv, TimeLayers, TimeNorm, TimePool, as_rows, over_time
from thermo_qc.models.curve.base import CurveNetwork
from thermo_qc.models.curve.convolutional import odd
from thermo_qc.models.parameters import integer, integers

__all__ = ["InceptionTime"]

_RESIDUAL_EVERY = 3


class _InceptionModule(nn.Module):
    """A bottleneck, convolutions of several lengths and a pooled branch, joined and normalised."""

    def __init__(self, before: int, filters: int, bottleneck: int, kernels: Sequence[int]) -> None:
        super().__init__()
        narrow = bottleneck if before > bottleneck else before
        self.bottleneck = TimeConv(before, narrow, 1, bias=False) if narrow < before else nn.Identity()
        self.branches = nn.ModuleList(
            TimeConv(narrow, filters, kernel, padding=kernel // 2, bias=False) for kernel in kernels
        )
        self.pooled = nn.Sequential(TimePool(), TimeConv(before, filters, 1, bias=False))
        self.norm = TimeNorm(filters * (len(kernels) + 1))

    def forward(self, values: Tensor) -> Tensor:
        narrow = self.bottleneck(values)
        parts = [*(branch(narrow) for branch in self.branches), self.pooled(values)]
        return functional.relu(self.norm(torch.cat(parts, dim=1)))


class InceptionTime(CurveNetwork):
    """Inception modules with a shortcut round every third, and the mean over time.

    This is one network; the paper averages five, which `predict` does with the models of several folds or seeds.

    Parameters
    ----------
    n_steps, n_channels, n_classes : int
        Size of a curve; outputs.
    depth : int
        Inception modules.
    filters : int
        Channels of each branch; a module has one branch more than `kernels`.
    bottleneck : int
        Channels before the long kernels.
    kernels : sequence of int
        Odd lengths of the kernels, time steps.
    dropout : float
        Dropout before the classifier, 0 to below 1.

    References
    ----------
    Ismail Fawaz, H. et al. (2020). InceptionTime: finding AlexNet for time series classification. Data Mining and
    Knowledge Discovery 34. https://doi.org/10.1007/s10618-020-00710-y
    """

    def __init__(
        self,
        n_steps: int,
        n_channels: int,
        n_classes: int,
        *,
        depth: int = 6,
        filters: int = 16,
        bottleneck: int = 16,
        kernels: Sequence[int] = (9, 19, 39),
        dropout: float = 0.0,
    ) -> None:
        lengths = [odd("kernels", kernel) for kernel in integers("kernels", kernels, 1, 63)]
        width = integer("filters", filters, 1, 512) * (len(lengths) + 1)
        super().__init__(width, n_classes, dropout)
        integer("bottleneck", bottleneck, 1, 512)
        self.inception = nn.ModuleList(
            _InceptionModule(width if number else n_channels, filters, bottleneck, lengths)
            for number in range(integer("depth", depth, 1, 24))
        )
        self.shortcuts = nn.ModuleList(
            TimeLayers(TimeConv(width if number else n_channels, width, 1, bias=False), TimeNorm(width))
            for number in range(depth // _RESIDUAL_EVERY)
        )

    def embed(self, curves: Tensor) -> Tensor:
        """Mean over time of the last module's output."""
        values = kept = as_rows(curves)
        for number, module in enumerate(self.inception, start=1):
            values = module(values)
            if number % _RESIDUAL_EVERY == 0:
                values = functional.relu(values + self.shortcuts[number // _RESIDUAL_EVERY - 1](kept))
                kept = values
        return over_time(values).mean(dim=2)
