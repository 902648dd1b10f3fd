"""Networks, forests and the trained model; torch is loaded when a network is needed, not before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thermo_qc.models.forest import FOREST_PARAMETERS, Forest, check_forest_parameters
from thermo_qc.models.loading import build_network, load_trained
from thermo_qc.models.trained import KINDS, TrainedModel
from thermo_qc.models.view import ModelView

if TYPE_CHECKING:
    from thermo_qc.models.curve import CURVE_MODELS, build_curve_network
    from thermo_qc.models.devices import to_device
    from thermo_qc.models.segmenter import SEGMENTERS, build_segmenter, encoder_names, parameter_count

__all__ = [
    "CURVE_MODELS",
    "FOREST_PARAMETERS",
    "KINDS",
    "SEGMENTERS",
    "Forest",
    "ModelView",
    "TrainedModel",
    "build_curve_network",
    "build_network",
    "build_segmenter",
    "check_forest_parameters",
    "encoder_names",
    "load_trained",
    "parameter_count",
    "to_device",
]

_HOMES = {
    "CURVE_MODELS": "curve",
    "build_curve_network": "curve",
    "to_device": "devices",
    "SEGMENTERS": "segmenter",
    "build_segmenter": "segmenter",
    "encoder_names": "segmenter",
    "parameter_count": "segmenter",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"thermo_qc.models.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'thermo_qc.models' has no attribute '{name}'")
