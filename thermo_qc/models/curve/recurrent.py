"""Recurrent networks: Elman, LSTM and GRU, in one direction or both, of one layer or several."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from thermo_qc.models.curve.base import CurveNetwork
from thermo_qc.models.parameters import fraction, integer, switch

__all__ = ["CurveGRU", "CurveLSTM", "CurveRNN"]


class CurveRNN(CurveNetwork):
    """Elman network over the time steps; the last states of both directions decide.

    Parameters
    ----------
    n_steps, n_channels, n_classes : int
        Size of a curve; outputs.
    hidden : int
        Size of the hidden state of each direction.
    layers : int
        Stacked layers.
    bidirectional : bool
        Whether a second network reads the curve backwards.
    dropout : float
        Dropout between the layers and before the classifier, 0 to below 1.
    at_once : int
        Time steps that are read as one, with the channels of all of them: the network takes that many fewer steps,
        each over more channels. Missing ones at the end count as 0.

    References
    ----------
    Elman, J. L. (1990). Finding structure in time. Cognitive Science 14(2).
    https://doi.org/10.1207/s15516709cog1402_1
    """

    cell: Callable[..., nn.Module] = nn.RNN
    part = "rnn"

    def __init__(
        self,
        n_steps: int,
        n_channels: int,
        n_classes: int,
        *,
        hidden: int = 64,
        layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        at_once: int = 1,
    ) -> None:
        integer("hidden", hidden, 1, 2048)
        super().__init__(hidden * (1 + switch("bidirectional", bidirectional)), n_classes, dropout)
        self.layers = integer("layers", layers, 1, 8)
        self.at_once = integer("at_once", at_once, 1, n_steps)
        recurrent = self.cell(
            n_channels * at_once,
            hidden,
            num_layers=layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=fraction("dropout", dropout) if layers > 1 else 0.0,
        )
        self.add_module(self.part, recurrent)

    def embed(self, curves: Tensor) -> Tensor:
        """Last states of the last layer, of both directions."""
        if self.at_once > 1:
            missing = -curves.shape[1] % self.at_once
            curves = functional.pad(curves, (0, 0, 0, missing)).reshape(len(curves), -1, self.at_once * curves.shape[2])
        _, state = self.get_submodule(self.part)(curves)
        hidden: Tensor = state[0] if isinstance(state, tuple) else state
        directions = hidden.shape[0] // self.layers
        return hidden[-directions:].transpose(0, 1).reshape(curves.shape[0], -1)


class CurveLSTM(CurveRNN):
    """Long short-term memory over the time steps; parameters as for `CurveRNN`.

    References
    ----------
    Hochreiter, S., Schmidhuber, J. (1997). Long short-term memory. Neural Computation 9(8).
    https://doi.org/10.1162/neco.1997.9.8.1735
    """

    cell = nn.LSTM
    part = "lstm"


class CurveGRU(CurveRNN):
    """Gated recurrent units over the time steps; parameters as for `CurveRNN`.

    References
    ----------
    Cho, K. et al. (2014). Learning phrase representations using RNN encoder-decoder for statistical machine
    translation. EMNLP. https://doi.org/10.3115/v1/D14-1179
    """

    cell = nn.GRU
    part = "gru"
