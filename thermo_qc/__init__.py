"""Quality control by active infrared thermography.

The names below are loaded on first use, so ``import thermo_qc`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "ThermalSequence": "thermo_qc.sequence",
    "Truth": "thermo_qc.sequence",
    "ThermoQCError": "thermo_qc.errors",
    "PlateSpec": "thermo_qc.plate",
    "load_plate": "thermo_qc.plate",
    "read_sequence": "thermo_qc.io",
    "write_sequence": "thermo_qc.io",
    "load_model": "thermo_qc.inspection",
    "predict_sequence": "thermo_qc.inspection",
    "find_indications": "thermo_qc.indications",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'thermo_qc' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
