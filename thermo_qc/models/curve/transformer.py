"""A small transformer encoder over the time steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from thermo_qc.errors import ConfigError
from thermo_qc.models.curve.base import CurveNetwork
from thermo_qc.models.parameters import fraction, integer

__all__ = ["CurveTransformer"]


def _positions(n_steps: int, width: int) -> Tensor:
    """Sines and cosines of the step's number, (n_steps, width)."""
    step = torch.arange(n_steps, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10_000.0) / width))
    table = torch.zeros(n_steps, width, dtype=torch.float64)
    table[:, 0::2] = torch.sin(step * rate)
    table[:, 1::2] = torch.cos(step * rate)[:, : width // 2]
    return table.float()


class CurveTransformer(CurveNetwork):
    """Self-attention over the time steps, normalised before each part; the mean over time decides.

    Parameters
    ----------
    n_steps, n_channels, n_classes : int
        Size of a curve; outputs.
    width : int
        Size of a step's vector, a multiple of `heads`.
    heads : int
        Attention heads.
    layers : int
        Encoder layers.
    feed_forward : int
        Width of the layer after each attention.
    dropout : float
        Dropout in the layers and before the classifier, 0 to below 1.

    References
    ----------
    Vaswani, A. et al. (2017). Attention is all you need. https://doi.org/10.48550/arXiv.1706.03762
    """

    positions: Tensor

    def __init__(
        self,
        n_steps: int,
        n_channels: int,
        n_classes: int,
        *,
        width: int = 48,
        heads: int = 4,
        layers: int = 2,
        feed_forward: int = 96,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(integer("width", width, 1, 1024), n_classes, dropout)
        if width % integer("heads", heads, 1, 64):
            raise ConfigError(
                f"model parameter 'width' is {width}, expected a multiple of the {heads} heads; change one of them"
            )
        self.first = nn.Linear(n_channels, width)
        self.register_buffer("positions", _positions(n_steps, width), persistent=False)
        layer = nn.TransformerEncoderLayer(
            width,
            heads,
            dim_feedforward=integer("feed_forward", feed_forward, 1, 4096),
            dropout=fraction("dropout", dropout),
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, integer("layers", layers, 1, 12), enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def embed(self, curves: Tensor) -> Tensor:
        """Mean over time of the normalised output of the last layer."""
        steps = self.encoder(self.first(curves) + self.positions)
        features: Tensor = self.norm(steps).mean(dim=1)
        return features
