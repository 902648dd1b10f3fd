"""Warnings about a scene that are said once, however often its maps are named."""

from __future__ import annotations

import logging
from weakref import WeakKeyDictionary

from thermo_qc.thermography.scene import Scene

__all__ = ["warn_once"]

_said: WeakKeyDictionary[Scene, set[str]] = WeakKeyDictionary()


def warn_once(logger: logging.Logger, scene: Scene, message: str) -> None:
    """Log a warning unless this scene has had it."""
    said = _said.setdefault(scene, set())
    if message not in said:
        said.add(message)
        logger.warning("%s", message)
