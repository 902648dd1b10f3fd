"""What pydantic found wrong, as one line for people: the place, what came, what was expected, the way out."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from thermo_qc.errors import suggestion

__all__ = ["explain", "most_telling"]

Place = tuple[int | str, ...]


def most_telling(schema: type[BaseModel], details: Sequence[ErrorDetails]) -> ErrorDetails:
    """Choose the error to report: an unknown key first, and of a union the member that came closest."""
    unknown = [item for item in details if item["type"] == "extra_forbidden"]
    if unknown:
        return unknown[0]
    first = _follow(schema, details[0]["loc"])[0]
    rivals = [item for item in details if _follow(schema, item["loc"])[0][: len(first)] == first]
    return max(rivals, key=lambda item: len(_follow(schema, item["loc"])[0]))


def explain(schema: type[BaseModel], item: ErrorDetails) -> str:
    """Put one error of pydantic into a line of plain words."""
    kind, value = item["type"], item["input"]
    if kind == "extra_forbidden":
        parents, section = _follow(schema, item["loc"][:-1])
        name = str(item["loc"][-1])
        return f"unknown key '{_text((*parents, name))}'{suggestion(name, _keys(section))}"
    place, types = _follow(schema, item["loc"])
    where = f"'{_text(place)}'"
    if kind == "missing":
        return f"{where} is missing; add it"
    if kind in {"literal_error", "enum"} and isinstance(value, str):
        return f"{where} is '{value}'{suggestion(value, _choices(types))}"
    if kind == "invalid_key":
        return f"the key {_shown(value)} is no text; put it in quotes"
    if kind in {"value_error", "assertion_error"} and isinstance(value, dict):
        return f"{where}: {item['msg'].removeprefix('Value error, ')}"
    return f"{where} is {_shown(value)}, expected {_expected(kind, item, types)}"


def _expected(kind: str, item: ErrorDetails, types: list[Any]) -> str:
    if kind in {"literal_error", "enum"}:
        return f"one of {', '.join(_choices(types))}"
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        keys = _keys(types)
        return f"keys{f' such as {keys[0]}' if keys else ''} with their values"
    context = item.get("ctx", {})
    plain = {
        "tuple_type": "a list",
        "list_type": "a list",
        "string_type": "text; put it in quotes",
        "string_pattern_mismatch": f"text that matches {context.get('pattern')}",
        "string_too_short": "some text",
        "too_short": f"at least {context.get('min_length')} entry",
    }
    return plain.get(kind) or _in_plain_words(item["msg"])


def _in_plain_words(message: str) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Input should be ")
    text = text.replace("a valid integer", "a whole number").replace("a valid number", "a number")
    return f"a number {text}" if text.startswith(("greater", "less")) else text[0].lower() + text[1:]


def _follow(schema: Any, location: Place) -> tuple[Place, list[Any]]:
    """Walk the schema along a location; pydantic's names for the members of a union are no part of the place."""
    place: list[int | str] = []
    types = _members(schema)
    for part in location:
        inner = [member for one in types for member in _inside(one, part)]
        if inner:
            place.append(part)
            types = inner
    return tuple(place), types


def _inside(annotation: Any, part: int | str) -> list[Any]:
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        named = {field.alias or name: field for name, field in annotation.model_fields.items()}
        return _members(named[part].annotation) if part in named else []
    if isinstance(part, int) and get_origin(annotation) in {tuple, list}:
        return _members(arguments[0])
    if isinstance(part, str) and get_origin(annotation) is dict:
        return _members(arguments[1])
    return []


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return [member for inner in get_args(annotation) for member in _members(inner)]
    return [annotation]


def _keys(types: list[Any]) -> list[str]:
    models = [one for one in types if isinstance(one, type) and issubclass(one, BaseModel)]
    return [field.alias or name for one in models for name, field in one.model_fields.items()]


def _choices(types: list[Any]) -> list[str]:
    return [str(choice) for one in types if get_origin(one) is Literal for choice in get_args(one)]


def _text(place: Place) -> str:
    return ".".join(str(part) for part in place) or "the file"


def _shown(value: object) -> str:
    if value is None:
        return "empty"
    try:
        return " ".join(reprlib.repr(value).split())
    except ValueError:
        return "a number of thousands of digits"
