"""A saved representation becomes what it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from thermo_qc.representation.physical import PhysicalRepresentation
from thermo_qc.representation.representation import Representation

__all__ = ["AnyRepresentation", "load_representation"]

AnyRepresentation = Representation | PhysicalRepresentation


def load_representation(metadata: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> AnyRepresentation:
    """Rebuild a representation of either kind from its `to_metadata` and `arrays`.

    Raises
    ------
    ModelError
        When they do not belong together or come from a newer version.
    """
    physical = str(metadata.get("format_version", "")).startswith("physical")
    return (PhysicalRepresentation if physical else Representation).from_saved(metadata, arrays)
