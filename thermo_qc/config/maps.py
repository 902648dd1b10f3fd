"""What ``thermo-qc maps`` computes."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from thermo_qc.config.base import Strict

__all__ = ["MapsConfig"]


class MapsConfig(Strict):
    """Methods and their options, and the preparation before; the methods themselves check their options.

    Parameters
    ----------
    methods : dict
        Method name to its options (nothing for the defaults), in the order of the maps.
    prepare : tuple of dict
        Preparation steps in their order: one key each, the step's name, with its options.
    """

    methods: dict[str, dict[str, Any] | None] = Field(default_factory=dict)
    prepare: tuple[dict[str, dict[str, Any] | None], ...] = ()
