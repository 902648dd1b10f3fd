"""What inspectors said of indications: appended beside the result, line by line, never over it."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from thermo_qc.errors import ConfigError, CorruptFileError, OutputError, choose

__all__ = ["DISPOSITIONS_ENDING", "Disposition", "DispositionWord", "append_disposition", "read_dispositions"]

DISPOSITIONS_ENDING = ".dispositions.jsonl"
DispositionWord = Literal["confirmed", "dismissed"]
_LONGEST = 2000


@dataclass(frozen=True, kw_only=True)
class Disposition:
    """One disposition.

    Parameters
    ----------
    indication : int
        Number of the indication.
    word : {"confirmed", "dismissed"}
        What the inspector says.
    by, why : str
        Who, and the reason.
    time : str
        When, ISO 8601, UTC.
    result_sha256 : str
        Hash of what the inspector saw: the defect map's file.
    account : str
        Account of the computer that it was written from.
    """

    indication: int
    word: str
    by: str
    why: str
    time: str
    result_sha256: str
    account: str = ""

    def is_stale(self, result_sha256: str) -> bool:
        """Whether the result has changed since."""
        return self.result_sha256 != result_sha256


def append_disposition(path: Path, *, indication: int, word: str, by: str, why: str, result_sha256: str) -> Disposition:
    """Append a disposition to a file, flushed to the disk; whole earlier lines are never touched.

    Raises
    ------
    ConfigError
        When the word is unknown, or name or reason are empty or too long.
    OutputError
        When the file cannot be written.
    """
    choose({name: name for name in get_args(DispositionWord)}, word, "disposition")
    texts = {"--by": " ".join(by.split()), "--why": " ".join(why.split())}
    for option, text in texts.items():
        if not text:
            raise ConfigError(f"{option} is empty; a disposition needs a name and a reason")
        if len(text) > _LONGEST:
            raise ConfigError(f"{option} has {len(text)} characters, expected at most {_LONGEST}")
    entry = Disposition(
        indication=indication,
        word=word,
        by=texts["--by"],
        why=texts["--why"],
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        result_sha256=result_sha256,
        account=_account(),
    )
    line = json.dumps(asdict(entry), ensure_ascii=True) + "\n"
    try:
        _drop_unfinished(path)
        with path.open("ab") as file:
            file.write(line.encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}; check permissions and space"
        ) from error
    return entry


def _drop_unfinished(path: Path) -> None:
    """Remove a last line without its end: a crash cut it off, and nobody was told that it was written."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)


def read_dispositions(path: Path) -> tuple[Disposition, ...]:
    """Read all dispositions of a file, oldest first; none without a file. A last line cut off by a crash is left out.

    Raises
    ------
    CorruptFileError
        When a line is no disposition.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFileError(path, "content", "lines of JSON", f"unreadable ({error})", "restore it") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(_entry(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines):
                continue
            raise CorruptFileError(
                path, f"line {number}", "a disposition", f"something else ({error})", "restore it from a copy"
            ) from error
    return tuple(found)


def _entry(content: Mapping[str, Any]) -> Disposition:
    texts = {name: str(content[name]) for name in ("word", "by", "why", "time", "result_sha256")}
    if texts["word"] not in get_args(DispositionWord):
        raise ValueError(f"word is {texts['word']!r}")
    return Disposition(indication=int(content["indication"]), account=str(content.get("account", "")), **texts)


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
