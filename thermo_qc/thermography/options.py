"""From the options that a person wrote to the methods that use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from pydantic import create_model

from thermo_qc.config import Strict, parse_config
from thermo_qc.errors import UnknownNameError, suggestion
from thermo_qc.thermography.catalogue import METHODS
from thermo_qc.thermography.scene import GramMethod, PixelMethod

__all__ = ["make_method", "options_of"]


def make_method(
    name: str, options: Mapping[str, Any] | None = None, origin: str = "options"
) -> PixelMethod | GramMethod:
    """Make a method of the catalogue from plain options.

    Parameters
    ----------
    name : str
        Key of `thermo_qc.thermography.METHODS`.
    options : mapping, optional
        Fields of the method's class; defaults for the others.
    origin : str
        Where the options came from; opens the message of an error.

    Raises
    ------
    UnknownNameError
        When the method or an option is unknown.
    ConfigError
        When a value is of the wrong type or out of range.

    Examples
    --------
    >>> make_method("tsr", {"order": 7}).order
    7
    """
    if name not in METHODS:
        raise UnknownNameError(f"unknown method '{name}'{suggestion(name, METHODS)}")
    kind: Any = METHODS[name]
    hints = get_type_hints(kind)
    wanted: dict[str, Any] = {
        one.name: (hints[one.name], ... if one.default is MISSING else one.default) for one in fields(kind)
    }
    schema = create_model(str(kind.__name__), __base__=Strict, **wanted)
    values = parse_config(schema, dict(options or {}), f"{origin}: {name}")
    made: PixelMethod | GramMethod = kind(**{one.name: getattr(values, one.name) for one in fields(kind)})
    return made


def options_of(method: PixelMethod | GramMethod) -> dict[str, Any]:
    """Give a method's options as JSON types."""
    return {one.name: _plain(getattr(method, one.name)) for one in fields(method)}  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
