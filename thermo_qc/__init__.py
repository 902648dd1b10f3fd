"""Quality control by active infrared thermography.

The names below are loaded on first use, so ``import thermo_qc`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thermo_qc.errors import ThermoQCError
    from thermo_qc.indications import find_indications
    from thermo_qc.inspection import load_model, predict_sequence
    from thermo_qc.io import read_sequence, write_sequence
    from thermo_qc.plate import PlateSpec, load_plate
    from thermo_qc.sequence import ThermalSequence, Truth

__version__ = "0.1.0"

__all__ = [
    "PlateSpec",
    "ThermalSequence",
    "ThermoQCError",
    "Truth",
    "__version__",
    "find_indications",
    "load_model",
    "load_plate",
    "predict_sequence",
    "read_sequence",
    "write_sequence",
]

_HOMES = {
    "PlateSpec": "thermo_qc.plate",
    "ThermalSequence": "thermo_qc.sequence",
    "ThermoQCError": "thermo_qc.errors",
    "Truth": "thermo_qc.sequence",
    "find_indications": "thermo_qc.indications",
    "load_model": "thermo_qc.inspection",
    "load_plate": "thermo_qc.plate",
    "predict_sequence": "thermo_qc.inspection",
    "read_sequence": "thermo_qc.io",
    "write_sequence": "thermo_qc.io",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'thermo_qc' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
