"""Strict YAML: unknown keys are refused with "did you mean", every complaint is one line with its place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from thermo_qc.errors import ConfigError, InputError, UnknownNameError, suggestion

__all__ = ["Strict", "load_config", "parse_config", "read_yaml"]

M = TypeVar("M", bound="Strict")


class Strict(BaseModel):
    """Base of every schema: no unknown keys, no changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=True)


def read_yaml(path: Path) -> Any:
    """Read a YAML file safely.

    Raises
    ------
    InputError
        When the file is missing or is not a file.
    ConfigError
        When it is not UTF-8 YAML.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a YAML file; name the file inside it")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" at line {place.line + 1}" if place is not None else ""
        raise ConfigError(f"{path} is not valid YAML{where}: {getattr(error, 'problem', None) or error}") from error


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
    InputError, ConfigError
        When the file is missing, is no YAML, or does not fit the schema.
    """
    content = read_yaml(path)
    if content is None:
        content = {}
    for override in overrides:
        _apply(content, override)
    return parse_config(schema, content, str(path))


def parse_config(schema: type[M], content: Any, origin: str) -> M:
    """Turn plain mappings into a schema; `origin` opens the message of a `ConfigError`."""
    if not isinstance(content, dict):
        raise ConfigError(f"{origin} holds {type(content).__name__}, expected a mapping of keys to values")
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        details = error.errors()
        first = next((item for item in details if item["type"] == "extra_forbidden"), details[0])
        complaint = _explain(schema, first)
        kind = UnknownNameError if first["type"] == "extra_forbidden" else ConfigError
        raise kind(f"{origin}: {complaint}") from None


def _apply(content: Any, override: str) -> None:
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise ConfigError(f"--set {override}: expected key=value, for example --set train.epochs=20")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: '{text}' is not a YAML value") from None
    *parents, last = path.split(".")
    for key in parents:
        content = content.setdefault(key, {}) if isinstance(content, dict) else None
        if not isinstance(content, dict):
            raise ConfigError(f"--set {override}: '{key}' is not a section of the configuration")
    content[last] = value


def _explain(schema: type[BaseModel], item: ErrorDetails) -> str:
    place = ".".join(str(part) for part in item["loc"]) or "the file"
    if item["type"] == "extra_forbidden":
        return f"unknown key '{place}'{suggestion(str(item['loc'][-1]), _keys_at(schema, item['loc'][:-1]))}"
    if item["type"] == "missing":
        return f"'{place}' is missing"
    if item["type"] in {"literal_error", "enum"}:
        choices = str(item.get("ctx", {}).get("expected", "")).replace(" or ", ", ").replace("'", "").split(", ")
        return f"'{place}' is '{item['input']}'{suggestion(str(item['input']), choices)}"
    message = item["msg"].removeprefix("Value error, ")
    return f"'{place}' is {item['input']!r}: {message[0].lower()}{message[1:]}"


def _keys_at(schema: Any, location: tuple[int | str, ...]) -> list[str]:
    """Names that the schema allows at a place; list indices and union tags are walked through."""
    models = [schema]
    for part in location:
        if isinstance(part, int):
            continue
        models = [
            inner
            for model in models
            for inner in _models_in(model.model_fields[part].annotation if part in model.model_fields else None)
        ] or models
    return [name for model in models for name in model.model_fields]


def _models_in(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
