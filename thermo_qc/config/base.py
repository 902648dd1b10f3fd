"""Strict YAML: unknown keys are refused with "did you mean", every complaint is one line with its place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from thermo_qc.config.complaints import explain, most_telling
from thermo_qc.config.yaml_text import apply_override, read_yaml
from thermo_qc.errors import ConfigError, UnknownNameError

__all__ = ["Strict", "load_config", "parse_config"]

M = TypeVar("M", bound="Strict")


class Strict(BaseModel):
    """Base of every schema: no unknown keys, no infinite numbers, no changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def load_config(schema: type[M], path: Path, overrides: Iterable[str] = ()) -> M:
    """Load one YAML file into its schema.

    Parameters
    ----------
    schema : type
        A subclass of `Strict`.
    path : Path
        The YAML file.
    overrides : iterable of str
        ``"a.b=value"``; the value is read as YAML.

    Returns
    -------
    Strict
        An instance of `schema`.

    Raises
    ------
    InputError
        When the file is missing, is a folder, or cannot be read.
    ConfigError
        When it is no YAML or does not fit the schema.
    """
    content = read_yaml(path)
    content = {} if content is None else content
    origin, changes = str(path), tuple(overrides)
    if isinstance(content, dict) and changes:
        for change in changes:
            apply_override(content, change)
        origin += f" with --set {' '.join(changes)}"
    return parse_config(schema, content, origin)


def parse_config(schema: type[M], content: Any, origin: str) -> M:
    """Check plain mappings against a schema.

    Parameters
    ----------
    schema : type
        A subclass of `Strict`.
    content : object
        What a YAML file or the command line holds.
    origin : str
        Where it came from; opens the message of an error.

    Returns
    -------
    Strict
        An instance of `schema`.

    Raises
    ------
    UnknownNameError
        When a key is not in the schema.
    ConfigError
        When a value is missing or wrong.
    """
    if not isinstance(content, dict):
        found = "a list" if isinstance(content, list) else f"'{content}'"
        raise ConfigError(f"{origin} holds {found}, expected keys with their values")
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        worst = most_telling(schema, error.errors(include_url=False))
        kind = UnknownNameError if worst["type"] == "extra_forbidden" else ConfigError
        raise kind(f"{origin}: {explain(schema, worst)}") from None
