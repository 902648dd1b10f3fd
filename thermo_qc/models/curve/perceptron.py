"""The multilayer perceptron, which sees a curve as so many numbers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from thermo_qc.models.curve.base import CurveNetwork
from thermo_qc.models.parameters import fraction, integers, switch

__all__ = ["CurveMLP"]


class CurveMLP(CurveNetwork):
    """Fully connected layers over all steps and channels.

    Parameters
    ----------
    n_steps, n_channels, n_classes : int
        Size of a curve; outputs.
    widths : sequence of int
        Width of each hidden layer.
    batch_norm : bool
        Batch normalisation after each hidden layer.
    dropout : float
        Dropout after each hidden layer, 0 to below 1.

    References
    ----------
    Rumelhart, D. E., Hinton, G. E., Williams, R. J. (1986). Learning representations by back-propagating errors. Nature
    323. https://doi.org/10.1038/323533a0
    """

    def __init__(
        self,
        n_steps: int,
        n_channels: int,
        n_classes: int,
        *,
        widths: Sequence[int] = (128, 64),
        batch_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        sizes = integers("widths", widths, 1, 4096)
        super().__init__(sizes[-1], n_classes, dropout)
        layers: list[nn.Module] = [nn.Flatten()]
        for number, (before, after) in enumerate(zip((n_steps * n_channels, *sizes[:-1]), sizes, strict=True)):
            if number and dropout:
                layers.append(nn.Dropout(fraction("dropout", dropout)))
            layers.append(nn.Linear(before, after, bias=not batch_norm))
            if switch("batch_norm", batch_norm):
                layers.append(nn.BatchNorm1d(after))
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers)

    def embed(self, curves: Tensor) -> Tensor:
        """Last hidden layer."""
        features: Tensor = self.layers(curves)
        return features
