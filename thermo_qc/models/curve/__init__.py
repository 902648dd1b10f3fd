"""Networks that see the curve of one pixel, with its neighbours' where asked for: (N, T, C) -> (N, K)."""

from thermo_qc.models.curve.base import CurveNetwork
from thermo_qc.models.curve.build import CURVE_MODELS, build_curve_network
from thermo_qc.models.curve.convolutional import CNN1D, ResCNN1D
from thermo_qc.models.curve.inception import InceptionTime
from thermo_qc.models.curve.perceptron import CurveMLP
from thermo_qc.models.curve.recurrent import CurveGRU, CurveLSTM, CurveRNN
from thermo_qc.models.curve.temporal import CurveTCN
from thermo_qc.models.curve.transformer import CurveTransformer

__all__ = [
    "CNN1D",
    "CURVE_MODELS",
    "CurveGRU",
    "CurveLSTM",
    "CurveMLP",
    "CurveNetwork",
    "CurveRNN",
    "CurveTCN",
    "CurveTransformer",
    "InceptionTime",
    "ResCNN1D",
    "build_curve_network",
]
