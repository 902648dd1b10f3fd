"""Layers along time on curves laid out as they come, step after step with its channels together.

Curves (N, T, C) are looked at as images (N, C, 1, T) whose channels lie together in memory, without a copy: for the
few channels of a curve, convolutions over such images take a half to a fifth of the time of `torch.nn.Conv1d`.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["TimeConv", "TimeLayers", "TimeNorm", "TimePool", "as_rows", "over_time"]


def as_rows(curves: Tensor) -> Tensor:
    """Look at curves (N, T, C) as images of one row (N, C, 1, T)."""
    return curves.contiguous().transpose(1, 2)[:, :, None]


def over_time(rows: Tensor) -> Tensor:
    """Look at images of one row (N, C, 1, T) as series (N, C, T)."""
    return rows[:, :, 0]


class TimeConv(nn.Conv1d):
    """`torch.nn.Conv1d` with its parameters, over images of one row (N, C, 1, T)."""

    def forward(self, rows: Tensor) -> Tensor:
        """Return images (N, F, 1, T')."""
        return self._convolved(rows, self.weight, self.bias)

    def normalised_by(self, norm: TimeNorm, rows: Tensor) -> Tensor:
        """Return images (N, F, 1, T') normalised with the statistics that a layer keeps, in one pass."""
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        bias = 0.0 if self.bias is None else self.bias
        return self._convolved(rows, self.weight * scale[:, None, None], (bias - norm.running_mean) * scale + norm.bias)

    def _convolved(self, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        stride, padding, dilation = self.stride[0], int(self.padding[0]), self.dilation[0]
        return functional.conv2d(rows, weight[:, :, None], bias, (1, stride), (0, padding), (1, dilation), self.groups)


class TimeNorm(nn.BatchNorm2d):
    """Batch normalisation of images of one row; parameters and statistics as those of `torch.nn.BatchNorm1d`."""


class TimePool(nn.Module):
    """Largest of three steps in a row."""

    def forward(self, rows: Tensor) -> Tensor:
        """Return images of the same shape."""
        return functional.max_pool2d(rows, (1, 3), stride=1, padding=(0, 1))


class TimeLayers(nn.Sequential):
    """Layers one after the other; where nothing is learnt, a normalisation becomes part of the convolution before."""

    def forward(self, rows: Tensor) -> Tensor:
        """Return what the last layer makes of images of one row."""
        if self.training or torch.is_grad_enabled():
            for layer in self:
                rows = layer(rows)
            return rows
        layers = deque(self)
        while layers:
            layer = layers.popleft()
            norm = layers[0] if layers else None
            if isinstance(layer, TimeConv) and isinstance(norm, TimeNorm) and not norm.training:
                rows = layer.normalised_by(norm, rows)
                layers.popleft()
                if layers and isinstance(layers[0], nn.ReLU):
                    layers.popleft()
                    rows = rows.relu_()
            else:
                rows = layer(rows)
        return rows
