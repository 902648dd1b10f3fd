"""What all curve networks share: features of a curve, dropout and one linear layer that decides."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from thermo_qc.models.parameters import fraction

__all__ = ["CurveNetwork"]


class CurveNetwork(nn.Module):
    """Maps curves (N, T, C) to outputs (N, K); a subclass says what the features of a curve are.

    Parameters
    ----------
    n_features : int
        Features that `embed` returns.
    n_classes : int
        Outputs.
    dropout : float
        Dropout before the last layer, 0 to below 1.
    """

    build_parameters: dict[str, Any]

    def __init__(self, n_features: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.n_features = n_features
        self.dropout = nn.Dropout(fraction("dropout", dropout))
        self.head = nn.Linear(n_features, n_classes)

    def embed(self, curves: Tensor) -> Tensor:
        """Features (N, F) of curves (N, T, C), what the last layer decides on."""
        raise NotImplementedError

    def forward(self, curves: Tensor) -> Tensor:
        """Return outputs (N, K) of curves (N, T, C)."""
        outputs: Tensor = self.head(self.dropout(self.embed(curves)))
        return outputs
