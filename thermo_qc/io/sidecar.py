"""Facts beside a recording: the sidecar YAML, and whose word counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thermo_qc.config import Facts, load_config
from thermo_qc.errors import AmbiguousInputError, ConfigError
from thermo_qc.io.files import is_there

__all__ = ["merge_facts", "read_facts_sidecar", "sidecar_candidates"]

TIME_BASE = ("frame_rate_hz", "t_first_s", "times_s")


def sidecar_candidates(path: Path) -> Iterator[Path]:
    """Names that the sidecar of `path` may have, in the order in which they are looked for."""
    names = dict.fromkeys((path.name, path.stem if not path.is_dir() else path.name))
    for name in names:
        for ending in (".yaml", ".yml"):
            yield path.with_name(f"{name}{ending}")
    if path.is_dir():
        yield path / "thermo.yaml"
        yield path / "thermo.yml"


def read_facts_sidecar(path: Path | str) -> Facts | None:
    """Read the facts beside a recording.

    Parameters
    ----------
    path : Path or str
        The recording ``plate7.npy``: ``plate7.npy.yaml`` or ``plate7.yaml`` beside it is its sidecar. For a folder
        ``plate7`` it is ``plate7.yaml`` beside it or ``thermo.yaml`` inside it.

    Returns
    -------
    Facts or None
        None where there is no sidecar.

    Raises
    ------
    AmbiguousInputError
        When there are several.
    ConfigError
        When it does not fit the schema.
    """
    path = Path(path)
    there = [
        candidate
        for candidate in sidecar_candidates(path)
        if is_there(candidate) and candidate.is_file() and candidate != path
    ]
    if not there:
        return None
    if len(there) > 1:
        names = ", ".join(candidate.name for candidate in there)
        raise AmbiguousInputError(f"{path} has several sidecar files ({names}); keep one")
    try:
        return load_config(Facts, there[0])
    except ConfigError as error:
        raise type(error)(
            f"{error} (the file states facts about {path.name}; rename it if it is not meant so)"
        ) from None


def merge_facts(stronger: Facts, weaker: Facts | None) -> dict[str, Any]:
    """Options from two sources; where both speak, `stronger` counts.

    A time base is one statement: a list of times on one side replaces a frame rate on the other and the other way
    round.

    Returns
    -------
    dict
        Fields that somebody gave, with plain values.
    """
    strong = stronger.model_dump(exclude_none=True)
    weak = {} if weaker is None else weaker.model_dump(exclude_none=True)
    if "times_s" in strong or ("times_s" in weak and "frame_rate_hz" in strong):
        weak = {name: value for name, value in weak.items() if name not in TIME_BASE}
    return {**weak, **strong}
