"""What is named on a command line - files, folders, patterns, lists - as single recordings."""

from __future__ import annotations

import glob
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thermo_qc.errors import InputError, MissingFactError, ThermoQCError
from thermo_qc.io import read_sequence
from thermo_qc.io.files import is_there
from thermo_qc.io.formats import all_readers
from thermo_qc.io.frame_folder import KINDS, natural_key, read_csv_frame
from thermo_qc.io.sidecar import sidecar_candidates

__all__ = ["FoundRecordings", "find_recordings", "is_frame_folder", "recordings_in"]

log = logging.getLogger(__name__)

DOUBTFUL = (".txt", ".jpg", ".jpeg")  # notes and photographs more often than recordings: their first bytes decide
RUN_RECORD = "run.json"
HEADER_BYTES = 1024


@dataclass(frozen=True, kw_only=True)
class FoundRecordings:
    """Recordings in the order in which they were named.

    Parameters
    ----------
    recordings : tuple of Path
        Files and folders of frames; those that were named by themselves need not exist.
    notes : tuple of str
        One line for every folder and pattern: what it was taken for.
    several : bool
        Whether a folder, a pattern or a list was named, so that even a single recording is a batch.
    """

    recordings: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    several: bool = False


def find_recordings(
    inputs: Sequence[Path | str],
    *,
    recursive: bool = False,
    skip: Path | None = None,
    facts: Mapping[str, Any] | None = None,
) -> FoundRecordings:
    """Find the recordings that are meant.

    Parameters
    ----------
    inputs : sequence of Path or str
        A file; a folder (of frames: one recording, otherwise the recordings in it, in natural order of their names); a
        pattern with ``*``, ``?``, ``[...]`` or ``**``; ``@list.txt``, a file with one of all these per line (UTF-8,
        relative to the list's folder, empty lines and lines after ``#`` do not count; separated by zero bytes instead
        where there are any), ``@-`` for standard input. What exists by its very name is never a pattern or a list.
    recursive : bool
        Look into the folders in folders as well, not into other runs' results.
    skip : Path, optional
        Folder of results, never looked into.
    facts : mapping, optional
        Facts of the recordings, which decide how a table or a folder is read.

    Returns
    -------
    FoundRecordings
        A recording that two inputs lead to comes once, one that is named twice by itself stays twice.

    Raises
    ------
    InputError
        When a folder, a pattern or a list leads to nothing, or cannot be read.
    """
    search = _Search(recursive=recursive, skip=None if skip is None else skip.resolve(), facts=dict(facts or {}))
    found: list[Path] = []
    places: set[Path] = set()
    for text in inputs:
        single, paths = search.of(str(text))
        for path in paths:
            place = path.resolve()
            if place not in places or (single and not search.several):
                found.append(path)
            places.add(place)
    return FoundRecordings(recordings=tuple(found), notes=tuple(search.notes), several=search.several)


def recordings_in(
    folder: Path, *, recursive: bool = False, skip: Path | None = None, facts: Mapping[str, Any] | None = None
) -> list[Path]:
    """Find the recordings in a folder that is none itself, however few they are; parameters as of `find_recordings`.

    Raises
    ------
    InputError
        When a folder cannot be read.
    """
    search = _Search(recursive=recursive, skip=None if skip is None else skip.resolve(), facts=dict(facts or {}))
    return list(search.inside(folder, recursive))


class _Search:
    """Walks through the inputs; remembers what was taken for what."""

    def __init__(self, *, recursive: bool, skip: Path | None, facts: dict[str, Any]) -> None:
        self.recursive, self.skip, self.facts = recursive, skip, facts
        self.notes: list[str] = []
        self.several = False

    def of(self, text: str) -> tuple[bool, list[Path]]:
        """Whether an input is one recording by itself, and its recordings."""
        path = Path(text)
        if not is_there(path):
            if text.startswith("@"):
                self.several = True
                return False, [one for entry in _listed(text[1:]) for one in self.of(entry)[1]]
            if glob.has_magic(text):
                self.several = True
                return False, self.matching(text)
            return True, [path]
        if not path.is_dir():
            return True, [path]
        kind = is_frame_folder(path, self.facts)
        if kind:
            self.notes.append(f"{path} is one recording, a folder of {kind} frames")
            return True, [path]
        self.several = True
        found = list(self.inside(path, self.recursive))
        if not found:
            inside = "or in its folders " if self.recursive else ""
            hint = "" if self.recursive else "; --recursive looks into its folders as well"
            raise InputError(f"{path} holds no frames and no recording {inside}whose format is known{hint}")
        self.notes.append(f"{path}: {len(found)} recording{'s' if len(found) > 1 else ''}")
        return False, found

    def matching(self, pattern: str) -> list[Path]:
        """Find the recordings that a pattern leads to."""
        matches = glob.iglob(pattern, recursive=True)  # noqa: PTH207  (a pattern may be absolute)
        names = sorted(matches, key=lambda name: natural_key(Path(name)))
        paths = [path for path in map(Path, names) if self.skip is None or not path.resolve().is_relative_to(self.skip)]
        found = [one for path in paths for one in (self.inside(path, False) if self.is_plain(path) else [path])]
        if not found:
            raise InputError(f"{pattern} matches nothing; check the pattern (in quotes, ** goes through folders)")
        self.notes.append(f"{pattern}: {len(found)} recording{'s' if len(found) > 1 else ''}")
        return found

    def is_plain(self, path: Path) -> bool:
        """Whether a path is a folder that is no recording itself."""
        return path.is_dir() and not is_frame_folder(path, self.facts)

    def inside(self, folder: Path, recursive: bool) -> Iterator[Path]:
        """Find the recordings in a folder that is none itself."""
        for entry in _entries(folder):
            path = Path(entry.path)
            if not entry.is_dir():
                if _is_candidate(path):
                    yield path
            elif entry.is_symlink() or self.is_result(path):
                continue
            elif is_frame_folder(path, self.facts):
                yield path
            elif recursive:
                yield from self.inside(path, recursive)

    def is_result(self, folder: Path) -> bool:
        """Whether a folder holds results, of this run or another."""
        return folder.resolve() == self.skip or (folder / RUN_RECORD).is_file()


def is_frame_folder(folder: Path, facts: Mapping[str, Any] | None = None) -> str:
    """Say by the readers whether a folder is one recording with a file per frame.

    Parameters
    ----------
    folder : Path
        It is one when it has a sidecar of facts, or holds at least two files of one kind of frames, no recording of
        another format, and the first of them is a single frame to its reader. PNG files are always frames.
    facts : mapping, optional
        Facts of the recordings: with a ``frame_shape`` a table of numbers is a recording, without one it is a frame.

    Returns
    -------
    str
        Kind of the frames ("TIFF", "PNG", "CSV", ...), "" when the folder is no recording.
    """
    kinds: dict[str, list[Path]] = {}
    others = set()
    for entry in _entries(folder):
        ending = Path(entry.name).suffix.lower()
        if entry.is_dir():
            continue
        if ending in KINDS:
            kinds.setdefault(KINDS[ending], []).append(Path(entry.path))
        elif ending in _endings():
            others.add(ending)
    for beside in ("text", "JPEG"):
        if len(kinds) > 1:
            kinds.pop(beside, None)
    if len(kinds) != 1 or others:
        return ""
    ((kind, files),) = kinds.items()
    if any(is_there(file) for file in sidecar_candidates(folder)):
        return kind
    return kind if len(files) > 1 and (kind == "PNG" or _is_one_frame(files[0], kind, facts or {})) else ""


def _is_one_frame(file: Path, kind: str, facts: Mapping[str, Any]) -> bool:
    """Whether the reader of a file finds a single frame in it."""
    given = {"frame_shape": facts.get("frame_shape")} if kind in ("CSV", "text") else {}
    try:
        return read_sequence(file, **given).n_frames == 1
    except MissingFactError:  # several frames without times, or a table that does not say that it holds several
        if kind not in ("CSV", "text") or given["frame_shape"] is not None:
            return False
    except ThermoQCError:
        if kind not in ("CSV", "text"):
            return False
    try:
        return read_csv_frame(file).ndim == 2
    except (ThermoQCError, OSError):
        return False


def _is_candidate(path: Path) -> bool:
    """Whether a file in a folder is meant as a recording, well or damaged."""
    ending = path.suffix.lower()
    if ending not in _endings():
        return False
    if ending not in DOUBTFUL:
        return True
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError:
        return False
    return any(reader.matches(header) for reader in all_readers() if not reader.folders)


def _endings() -> frozenset[str]:
    return frozenset(ending for reader in all_readers() if not reader.folders for ending in reader.extensions)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of a folder in natural order, hidden ones left out."""
    try:
        with os.scandir(folder) as entries:
            there = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}") from error
    return sorted(there, key=lambda entry: natural_key(Path(entry.name)))


def _listed(name: str) -> list[str]:
    """Entries of a list file."""
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"@{name}: the list cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"@{name}: the list is not UTF-8 text ({error.reason} at byte {error.start})") from error
    if "\0" in text:
        lines = [entry for entry in text.split("\0") if entry]
    else:
        stripped = (line.strip() for line in text.splitlines())
        lines = [line for line in stripped if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"@{name}: the list is empty; write one recording per line")
    if nested := next((line for line in lines if line.startswith("@") and not is_there(Path(line))), ""):
        raise InputError(f"@{name}: '{nested}' is a list in a list; name both on the command line")
    base = Path() if name == "-" else Path(name).parent
    return [str(base / line) for line in lines]
