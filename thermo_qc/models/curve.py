"""Networks that see the curve of one pixel: (N, T, C) -> logits (N, K)."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from thermo_qc.errors import choose
from thermo_qc.models.parameters import check_names, fraction, integer, integers, one_of, switch

__all__ = ["CNN1D", "CURVE_MODELS", "CurveLSTM", "build_curve_network"]

POOLINGS = ("mean", "max", "mean_max")


class CurveLSTM(nn.Module):
    """Long short-term memory over the time steps; the last states of both directions decide.

    Parameters
    ----------
    n_channels, n_classes : int
        Channels of a curve and classes.
    hidden : int
        Size of the hidden state of each direction.
    layers : int
        Stacked LSTM layers.
    bidirectional : bool
        Whether a second LSTM reads the curve backwards.
    dropout : float
        Dropout between the layers and before the classifier, 0 to below 1.

    References
    ----------
    Hochreiter, S., Schmidhuber, J. (1997). Long short-term memory. Neural Computation 9(8).
    https://doi.org/10.1162/neco.1997.9.8.1735
    """

    build_parameters: dict[str, Any]

    def __init__(
        self,
        n_channels: int,
        n_classes: int,
        *,
        hidden: int = 64,
        layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.layers = integer("layers", layers, 1, 8)
        dropout = fraction("dropout", dropout)
        self.lstm = nn.LSTM(
            n_channels,
            integer("hidden", hidden, 1, 2048),
            num_layers=layers,
            batch_first=True,
            bidirectional=switch("bidirectional", bidirectional),
            dropout=dropout if layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden * (1 + bidirectional), n_classes)

    def forward(self, curves: Tensor) -> Tensor:
        """Logits (N, K) of curves (N, T, C)."""
        _, (state, _) = self.lstm(curves)
        directions = state.shape[0] // self.layers
        last = state[-directions:].transpose(0, 1).reshape(curves.shape[0], -1)
        logits: Tensor = self.head(self.dropout(last))
        return logits


class CNN1D(nn.Module):
    """Convolutions along time and global pooling.

    Parameters
    ----------
    n_channels, n_classes : int
        Channels of a curve and classes.
    channels : sequence of int
        Width of each convolution.
    kernel : int
        Odd length of the kernels, time steps.
    batch_norm : bool
        Batch normalisation after each convolution.
    dropout : float
        Dropout before the classifier, 0 to below 1.
    pooling : {"mean", "max", "mean_max"}
        Global pooling over time.
    """

    build_parameters: dict[str, Any]

    def __init__(
        self,
        n_channels: int,
        n_classes: int,
        *,
        channels: Sequence[int] = (32, 64, 64),
        kernel: int = 5,
        batch_norm: bool = True,
        dropout: float = 0.0,
        pooling: str = "mean_max",
    ) -> None:
        super().__init__()
        widths = integers("channels", channels, 1, 2048)
        one_of("kernel", integer("kernel", kernel, 1, 63), range(1, 64, 2))
        self.pooling = one_of("pooling", pooling, POOLINGS)
        blocks: list[nn.Module] = []
        for before, after in zip((n_channels, *widths[:-1]), widths, strict=True):
            blocks.append(nn.Conv1d(before, after, kernel, padding=kernel // 2, bias=not batch_norm))
            if switch("batch_norm", batch_norm):
                blocks.append(nn.BatchNorm1d(after))
            blocks.append(nn.ReLU())
        self.features = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(fraction("dropout", dropout))
        self.head = nn.Linear(widths[-1] * (2 if pooling == "mean_max" else 1), n_classes)

    def forward(self, curves: Tensor) -> Tensor:
        """Logits (N, K) of curves (N, T, C)."""
        features = self.features(curves.transpose(1, 2))
        pooled = []
        if self.pooling in {"mean", "mean_max"}:
            pooled.append(features.mean(dim=2))
        if self.pooling in {"max", "mean_max"}:
            pooled.append(features.amax(dim=2))
        logits: Tensor = self.head(self.dropout(torch.cat(pooled, dim=1)))
        return logits


CURVE_MODELS: dict[str, type[CurveLSTM] | type[CNN1D]] = {"lstm": CurveLSTM, "cnn1d": CNN1D}


def build_curve_network(name: str, *, n_steps: int, n_channels: int, n_classes: int, **parameters: Any) -> nn.Module:
    """Build a curve network with fresh weights.

    Parameters
    ----------
    name : str
        Key of `CURVE_MODELS`.
    n_steps, n_channels : int
        Time steps and channels of a curve.
    n_classes : int
        Classes with sound.
    **parameters
        The network's own parameters, see `CurveLSTM` and `CNN1D`.

    Returns
    -------
    torch.nn.Module
        Maps (N, n_steps, n_channels) to logits (N, n_classes).

    Raises
    ------
    UnknownNameError, ConfigError
        When the name or a parameter is wrong.

    Examples
    --------
    >>> network = build_curve_network("lstm", n_steps=16, n_channels=2, n_classes=3, hidden=8)
    >>> tuple(network(torch.zeros(5, 16, 2)).shape)
    (5, 3)
    """
    network = choose(CURVE_MODELS, name, "curve model")
    own = inspect.signature(network).parameters.values()
    known = [p.name for p in own if p.kind is p.KEYWORD_ONLY]
    check_names(f"curve model '{name}'", parameters, known)
    for what, value in (("n_steps", n_steps), ("n_channels", n_channels), ("n_classes", n_classes)):
        integer(what, value, 1, 4096)
    built = network(n_channels, n_classes, **parameters)
    built.build_parameters = dict(parameters)
    return built
