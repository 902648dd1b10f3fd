"""The table of curve networks, and how one is built by name."""

from __future__ import annotations

import inspect
from typing import Any

from thermo_qc.errors import choose
from thermo_qc.models.curve.base import CurveNetwork
from thermo_qc.models.curve.convolutional import CNN1D, ResCNN1D
from thermo_qc.models.curve.inception import InceptionTime
from thermo_qc.models.curve.perceptron import CurveMLP
from thermo_qc.models.curve.recurrent import CurveGRU, CurveLSTM, CurveRNN
from thermo_qc.models.curve.temporal import CurveTCN
from thermo_qc.models.curve.transformer import CurveTransformer
from thermo_qc.models.parameters import check_names, integer

__all__ = ["CURVE_MODELS", "build_curve_network"]

CURVE_MODELS: dict[str, type[CurveNetwork]] = {
    "mlp": CurveMLP,
    "rnn": CurveRNN,
    "lstm": CurveLSTM,
    "gru": CurveGRU,
    "cnn1d": CNN1D,
    "rescnn1d": ResCNN1D,
    "inceptiontime": InceptionTime,
    "tcn": CurveTCN,
    "transformer": CurveTransformer,
}


def build_curve_network(name: str, *, n_steps: int, n_channels: int, n_classes: int, **parameters: Any) -> CurveNetwork:
    """Build a curve network with fresh weights.

    Parameters
    ----------
    name : str
        Key of `CURVE_MODELS`.
    n_steps, n_channels : int
        Time steps and channels of a curve.
    n_classes : int
        Outputs: classes with sound, and whatever else a head is to give.
    **parameters
        The network's own parameters, see the classes of `CURVE_MODELS`.

    Returns
    -------
    CurveNetwork
        Maps (N, n_steps, n_channels) to outputs (N, n_classes).

    Raises
    ------
    UnknownNameError, ConfigError
        When the name or a parameter is wrong.

    Examples
    --------
    >>> import torch
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
    built: CurveNetwork = network(n_steps, n_channels, n_classes, **parameters)
    built.build_parameters = dict(parameters)
    return built
