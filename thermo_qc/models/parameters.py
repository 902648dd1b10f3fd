"""Checks of the parameters that a model configuration gives as plain YAML values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from thermo_qc.errors import ConfigError, UnknownNameError, suggestion

__all__ = ["check_names", "fraction", "integer", "integers", "number", "one_of", "switch"]


def check_names(what: str, parameters: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse parameters that `what` ("curve model 'lstm'") does not have.

    Raises
    ------
    UnknownNameError
        With "did you mean".
    """
    names = tuple(known)
    for name in parameters:
        if name not in names:
            raise UnknownNameError(f"{what} has no parameter '{name}'{suggestion(name, names)}")


def integer(name: str, value: Any, low: int, high: int) -> int:
    """Return `value` as a whole number from `low` to `high`, else raise `ConfigError`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"model parameter '{name}' is {value!r}, expected a whole number from {low} to {high}")
    return value


def integers(name: str, value: Any, low: int, high: int, max_length: int = 12) -> tuple[int, ...]:
    """Return `value` as a non-empty tuple of whole numbers, else raise `ConfigError`."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= max_length:
        raise ConfigError(f"model parameter '{name}' is {value!r}, expected a list of 1 to {max_length} whole numbers")
    return tuple(integer(name, item, low, high) for item in value)


def fraction(name: str, value: Any) -> float:
    """Return `value` as a number with 0 <= value < 1, else raise `ConfigError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ConfigError(f"model parameter '{name}' is {value!r}, expected a number from 0 to below 1")
    return float(value)


def number(name: str, value: Any, low: float, high: float) -> float:
    """Return `value` as a number from `low` to `high`, else raise `ConfigError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"model parameter '{name}' is {value!r}, expected a number from {low:g} to {high:g}")
    return float(value)


def switch(name: str, value: Any) -> bool:
    """Return `value` when it is true or false, else raise `ConfigError`."""
    if not isinstance(value, bool):
        raise ConfigError(f"model parameter '{name}' is {value!r}, expected true or false")
    return value


def one_of(name: str, value: Any, choices: Iterable[Any]) -> Any:
    """Return `value` when it is one of `choices`, else raise `ConfigError`."""
    known = tuple(choices)
    if value not in known:
        raise ConfigError(f"model parameter '{name}' is {value!r}{suggestion(str(value), map(str, known))}")
    return value
