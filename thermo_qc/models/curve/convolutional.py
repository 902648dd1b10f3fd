"""Convolutions along time: a plain chain, and one of residual blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from thermo_qc.errors import ConfigError
from thermo_qc.models.curve.along_time import TimeConv, TimeLayers, TimeNorm, as_rows, over_time
from thermo_qc.models.curve.base import CurveNetwork
from thermo_qc.models.parameters import integer, integers, one_of, switch

__all__ = ["CNN1D", "POOLINGS", "ResCNN1D", "odd", "pool", "pooled_size"]

POOLINGS = ("mean", "max", "mean_max", "segments")
_SEGMENTS = 8


def odd(name: str, value: int) -> int:
    """Return `value` as an odd length of a kernel, 1 to 63 steps, else raise `ConfigError`."""
    return int(one_of(name, integer(name, value, 1, 63), range(1, 64, 2)))


def pool(features: Tensor, pooling: str) -> Tensor:
    """Pool features (N, F, T) over time: (N, F), (N, 2F) for "mean_max", (N, 8F) for "segments"."""
    if pooling == "segments":
        if features.shape[2] % _SEGMENTS:
            return functional.adaptive_avg_pool1d(features, _SEGMENTS).flatten(1)
        parts = features.reshape(*features.shape[:2], _SEGMENTS, -1)
        return parts.mean(dim=3).flatten(1)  # the same, many times as fast
    pooled = []
    if pooling in {"mean", "mean_max"}:
        pooled.append(features.mean(dim=2))
    if pooling in {"max", "mean_max"}:
        pooled.append(features.amax(dim=2))
    return torch.cat(pooled, dim=1)


def pooled_size(width: int, pooling: str) -> int:
    """Return the number of features that `pool` makes of `width`."""
    return width * {"mean_max": 2, "segments": _SEGMENTS}.get(pooling, 1)


class CNN1D(CurveNetwork):
    """Convolutions along time and pooling.

    Parameters
    ----------
    n_steps, n_channels, n_classes : int
        Size of a curve; outputs.
    channels : sequence of int
        Width of each convolution.
    kernel : int
        Odd length of the kernels, time steps.
    batch_norm : bool
        Batch normalisation after each convolution.
    dropout : float
        Dropout before the classifier, 0 to below 1.
    pooling : {"mean", "max", "mean_max", "segments"}
        Pooling over all of the time, or the means of its eighths, which keep when something happened.
    halve : bool
        Whether each convolution but the first moves on by two steps, so that half of them are left.

    References
    ----------
    LeCun, Y., Bottou, L., Bengio, Y., Haffner, P. (1998). Gradient-based learning applied to document recognition.
    Proceedings of the IEEE 86(11). https://doi.org/10.1109/5.726791
    """

    def __init__(
        self,
        n_steps: int,
        n_channels: int,
        n_classes: int,
        *,
        channels: Sequence[int] = (32, 64, 64),
        kernel: int = 5,
        batch_norm: bool = True,
        dropout: float = 0.0,
        pooling: str = "mean_max",
        halve: bool = False,
    ) -> None:
        widths = integers("channels", channels, 1, 2048)
        one_of("pooling", pooling, POOLINGS)
        super().__init__(pooled_size(widths[-1], pooling), n_classes, dropout)
        odd("kernel", kernel)
        self.pooling = pooling
        if switch("halve", halve) and n_steps < 2 ** (len(widths) - 1):
            raise ConfigError(
                f"{n_steps} steps cannot be halved {len(widths) - 1} times; use fewer convolutions, or halve: false"
            )
        blocks: list[nn.Module] = []
        for before, after in zip((n_channels, *widths[:-1]), widths, strict=True):
            stride = 2 if halve and blocks else 1
            blocks.append(TimeConv(before, after, kernel, stride, kernel // 2, bias=not batch_norm))
            if switch("batch_norm", batch_norm):
                blocks.append(TimeNorm(after))
            blocks.append(nn.ReLU())
        self.features = TimeLayers(*blocks)

    def embed(self, curves: Tensor) -> Tensor:
        """Pooled output of the last convolution."""
        return pool(over_time(self.features(as_rows(curves))), self.pooling)


class _ResidualBlock(nn.Module):
    """Convolutions with batch normalisation and a shortcut round all of them."""

    def __init__(self, before: int, after: int, kernels: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, kernel in enumerate(kernels):
            layers += [
                *([nn.ReLU()] if number else []),
                TimeConv(after if number else before, after, kernel, padding=kernel // 2, bias=False),
                TimeNorm(after),
            ]
        self.layers = TimeLayers(*layers)
        self.shortcut = (
            nn.Identity() if before == after else TimeLayers(TimeConv(before, after, 1, bias=False), TimeNorm(after))
        )

    def forward(self, values: Tensor) -> Tensor:
        return functional.relu(self.layers(values) + self.shortcut(values))


class ResCNN1D(CurveNetwork):
    """Residual blocks of convolutions along time and global pooling.

    Parameters
    ----------
    n_steps, n_channels, n_classes : int
        Size of a curve; outputs.
    channels : sequence of int
        Width of each block.
    kernels : sequence of int
        Odd lengths of the kernels within each block, time steps.
    dropout : float
        Dropout before the classifier, 0 to below 1.
    pooling : {"mean", "max", "mean_max", "segments"}
        As for `CNN1D`.

    References
    ----------
    Wang, Z., Yan, W., Oates, T. (2017). Time series classification from scratch with deep neural networks: a strong
    baseline. IJCNN. https://doi.org/10.1109/IJCNN.2017.7966039
    """

    def __init__(
        self,
        n_steps: int,
        n_channels: int,
        n_classes: int,
        *,
        channels: Sequence[int] = (32, 64, 64),
        kernels: Sequence[int] = (7, 5, 3),
        dropout: float = 0.0,
        pooling: str = "mean_max",
    ) -> None:
        widths = integers("channels", channels, 1, 2048)
        lengths = [odd("kernels", kernel) for kernel in integers("kernels", kernels, 1, 63)]
        one_of("pooling", pooling, POOLINGS)
        super().__init__(pooled_size(widths[-1], pooling), n_classes, dropout)
        self.pooling = pooling
        self.blocks = nn.Sequential(
            *(
                _ResidualBlock(before, after, lengths)
                for before, after in zip((n_channels, *widths[:-1]), widths, strict=True)
            )
        )

    def embed(self, curves: Tensor) -> Tensor:
        """Pooled output of the last block."""
        return pool(over_time(self.blocks(as_rows(curves))), self.pooling)
