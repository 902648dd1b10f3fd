"""Reading YAML: safely, with numbers as people write them, with one-line complaints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from thermo_qc.errors import ConfigError, InputError

__all__ = ["apply_override", "read_yaml"]


MAX_VALUES, MAX_NESTING = 1_000_000, 64
BROKEN = (  # what PyYAML raises for values that contradict their tags
    *(yaml.YAMLError, ValueError, RecursionError),
    *(KeyError, IndexError, AttributeError, OverflowError, TypeError),
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, less three surprises of YAML 1.1, and proof against aliases that grow without bound.

    ``1e-3`` is a number although it has no point, ``2024-01-05`` stays text, and a key given twice is refused.
    """

    def fetch_flow_collection_start(self, token: Any) -> None:
        self._check_nesting(self.flow_level)
        super().fetch_flow_collection_start(token)

    def add_indent(self, column: int) -> bool:
        self._check_nesting(len(self.indents))
        return bool(super().add_indent(column))

    def _check_nesting(self, level: int) -> None:
        if level >= MAX_NESTING:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=self.get_mark())

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _count(node, {})
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key.value}' is given twice", problem_mark=key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return node


def _count(node: yaml.Node, counted: dict[int, int]) -> int:
    """Count the values of a node with all that its aliases repeat; too many, or a loop, are refused."""
    if id(node) not in counted:
        counted[id(node)] = 0
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        inner = (part for pair in parts for part in (pair if isinstance(pair, tuple) else (pair,)))
        counted[id(node)] = 1 + sum(_count(part, counted) for part in inner)
        if counted[id(node)] > MAX_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_VALUES} values", problem_mark=node.start_mark)
    if counted[id(node)] == 0:
        raise yaml.MarkedYAMLError(problem="an alias that contains itself", problem_mark=node.start_mark)
    return counted[id(node)]


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def read_yaml(path: Path) -> Any:
    """Read a YAML file safely.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    object
        Plain dicts, lists, text, numbers, bools and None.

    Raises
    ------
    InputError
        When the file is missing, is a folder, or cannot be read.
    ConfigError
        When it is not UTF-8 YAML, or gives a key twice.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a YAML file; name the file inside it")
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}; check the path and its permissions"
        ) from error
    except BROKEN as error:
        raise ConfigError(f"{path} is not valid YAML{_complaint(error)}; correct the file") from error


def apply_override(content: dict[str, Any], override: str) -> None:
    """Change one value of a configuration in place.

    Parameters
    ----------
    content : dict
        What the YAML file holds.
    override : str
        ``"train.epochs=20"``; the value is read as YAML, an entry of a list is named by its position from 0
        (``train.losses.0.weight=2``).

    Raises
    ------
    ConfigError
        When it is no key=value, or its path leads through something that has no keys.
    """
    path, separator, text = override.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys):
        raise ConfigError(f"--set {override}: expected key=value, for example --set train.epochs=20")
    try:
        value = _parse(text)
    except BROKEN:
        raise ConfigError(
            f"--set {override}: '{text}' is not a YAML value; put text with special characters in quotes"
        ) from None
    section: Any = content
    for depth, key in enumerate(keys):
        place = _place_in(section, key)
        if place is None:
            known = f"a list of {len(section)}" if isinstance(section, list) else "not a section of the configuration"
            where = ".".join(keys[:depth])
            raise ConfigError(
                f"--set {override}: '{where}' is {known} and has no '{key}'; check the path before the '='"
            )
        if depth == len(keys) - 1:
            section[place] = value
            return
        if isinstance(section, dict) and section.get(key) is None:
            section[key] = {}
        section = section[place]


def _place_in(section: Any, key: str) -> str | int | None:
    if isinstance(section, dict):
        return key
    if isinstance(section, list) and key.isdecimal() and int(key) < len(section):
        return int(key)
    return None


def _parse(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


def _complaint(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}" if mark is not None else ""
    text = "nested too deeply" if isinstance(error, RecursionError) else getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None) or ""
    text = f"{context}, {text}" if context.startswith("expected") else text
    return f"{where}: {' '.join(text.split())}"
