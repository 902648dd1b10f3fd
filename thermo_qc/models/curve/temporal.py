"""Temporal convolution network: causal convolutions whose steps widen from block to block."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from thermo_qc.models.curve.along_time import TimeConv, as_rows, over_time
from thermo_qc.models.curve.base import CurveNetwork
from thermo_qc.models.parameters import fraction, integer, integers

__all__ = ["CurveTCN"]


class _CausalBlock(nn.Module):
    """Two dilated convolutions that see no later step, and a shortcut."""

    def __init__(self, before: int, after: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.reach = (kernel - 1) * dilation
        self.first = weight_norm(TimeConv(before, after, kernel, dilation=dilation))
        self.second = weight_norm(TimeConv(after, after, kernel, dilation=dilation))
        self.dropout = nn.Dropout2d(dropout)
        self.shortcut = nn.Identity() if before == after else TimeConv(before, after, 1)

    def forward(self, values: Tensor) -> Tensor:
        inner = values
        for layer in (self.first, self.second):
            inner = self.dropout(functional.relu(layer(functional.pad(inner, (self.reach, 0)))))
        return functional.relu(inner + self.shortcut(values))


class CurveTCN(CurveNetwork):
    """Residual blocks of causal convolutions, dilated by 1, 2, 4, ...; the last step decides.

    With kernels of length k, B blocks see ``1 + 2 (k - 1) (2^B - 1)`` steps.

    Parameters
    ----------
    n_steps, n_channels, n_classes : int
        Size of a curve; outputs.
    channels : sequence of int
        Width of each block.
    kernel : int
        Length of the kernels, 2 to 15.
    dropout : float
        Dropout of whole channels in the blocks and of features before the classifier, 0 to below 1.

    References
    ----------
    Bai, S., Kolter, J. Z., Koltun, V. (2018). An empirical evaluation of generic convolutional and recurrent networks
    for sequence modeling. https://doi.org/10.48550/arXiv.1803.01271
    """

    def __init__(
        self,
        n_steps: int,
        n_channels: int,
        n_classes: int,
        *,
        channels: Sequence[int] = (32, 32, 32, 64, 64),
        kernel: int = 3,
        dropout: float = 0.0,
    ) -> None:
        widths = integers("channels", channels, 1, 2048)
        super().__init__(widths[-1], n_classes, dropout)
        integer("kernel", kernel, 2, 15)
        self.blocks = nn.Sequential(
            *(
                _CausalBlock(before, after, kernel, 2**number, fraction("dropout", dropout))
                for number, (before, after) in enumerate(zip((n_channels, *widths[:-1]), widths, strict=True))
            )
        )

    def embed(self, curves: Tensor) -> Tensor:
        """Output of the last block at the last step."""
        features: Tensor = over_time(self.blocks(as_rows(curves)))[:, :, -1]
        return features
