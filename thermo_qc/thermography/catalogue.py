"""The methods that make maps, by the names that the command line and configurations use."""

from __future__ import annotations

from thermo_qc.thermography.scene import GramMethod, PixelMethod

__all__ = ["METHODS"]

METHODS: dict[str, type[PixelMethod] | type[GramMethod]] = {}
