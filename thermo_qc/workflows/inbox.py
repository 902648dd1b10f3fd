"""A folder that recordings arrive in: which of them are complete, and which were done."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thermo_qc.errors import ConfigError, InputError
from thermo_qc.io.files import is_there
from thermo_qc.io.sidecar import sidecar_candidates
from thermo_qc.workflows.predict_folder import place_of
from thermo_qc.workflows.predict_one import state_of
from thermo_qc.workflows.recordings_found import recordings_in

__all__ = ["Inbox", "digest_of"]

log = logging.getLogger(__name__)

State = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A state of files, and since when (of a clock that nobody can set) they have had it."""

    state: State
    since_s: float


class Inbox:
    """Remembers states of recordings between looks.

    Parameters
    ----------
    folder : Path
        Where recordings arrive; never a recording itself.
    recursive : bool
        Whether they arrive in folders below it as well.
    settle_s : float
        How long sizes and times of change must stay as they are.
    skip : Path
        Folder of results.
    facts : dict
        See `thermo_qc.workflows.recordings_found.find_recordings`.

    Attributes
    ----------
    waiting : list of Path
        Recordings that were not complete or not readable at the last look.
    settling : bool
        Whether one of them has not been still for long enough.
    changed : bool
        Whether anything was new or other than at the look before.
    """

    def __init__(
        self, folder: Path, *, recursive: bool = False, settle_s: float, skip: Path, facts: dict[str, Any] | None = None
    ) -> None:
        if not settle_s >= 0:
            raise ConfigError(f"--settle-s is {settle_s:g}, expected 0 or more")
        self.folder, self.settle_s = folder, settle_s
        self.waiting: list[Path] = []
        self.settling = self.changed = False
        self._recursive, self._skip, self._facts = recursive, skip, facts or {}
        self._seen: dict[Path, _Seen] = {}
        self._done: dict[Path, State] = {}
        self._failures: dict[str, str] = {}
        self._complained: set[Path] = set()

    def look(self) -> list[Path]:
        """Look into the folder; the recordings that are complete, can be read, and were not done in this state."""
        now = time.monotonic()
        self.waiting, self.settling, self.changed = [], False, False
        before, self._seen = self._seen, {}
        ready = []
        for path in self._recordings():
            try:
                state = self._state(path)
            except InputError:
                continue  # gone again, or a network drive is: the next look tells
            alone = self._settled(path, state, now, before)
            settled = self._folder_settled(path, now, before) and alone
            if self._done.get(path) == state or self._has_failed(path, state):
                continue
            if not settled:
                self.settling = True
                self.waiting.append(path)
            elif not self._is_readable(path):
                self.waiting.append(path)
            else:
                ready.append(path)
        return ready

    def did(self, path: Path) -> None:
        """Remember that a recording was done in the state of the last look."""
        self._done[path] = self._seen[path].state

    def state_of(self, path: Path) -> State:
        """State of a recording at the last look."""
        return self._seen[path].state

    def remember_failure(self, place: str, digest: str) -> None:
        """Leave a recording alone while it is in the state in which it failed."""
        self._failures[place] = digest

    def _recordings(self) -> list[Path]:
        try:
            found = recordings_in(self.folder, recursive=self._recursive, skip=self._skip, facts=self._facts)
        except InputError as error:
            self._complain(self.folder, f"{error}; waiting for it")
            return []
        self._complained.discard(self.folder)
        return found

    def _state(self, path: Path) -> State:
        """State of a recording with the facts beside it."""
        beside = [one for one in sidecar_candidates(path) if one != path and is_there(one) and one.is_file()]
        return (state_of(path), *(state_of(one) for one in beside))

    def _settled(self, key: Path, state: State, now: float, before: dict[Path, _Seen]) -> bool:
        known = before.get(key)
        same = known is not None and known.state == state
        if key not in self._seen:
            self._seen[key] = known if same and known is not None else _Seen(state=state, since_s=now)
            self.changed = self.changed or not same
        return now - self._seen[key].since_s >= self.settle_s

    def _folder_settled(self, path: Path, now: float, before: dict[Path, _Seen]) -> bool:
        """Whether nothing arrives any more beside a file in a folder, which may become a folder of frames."""
        parent = path.parent
        if parent == self.folder:
            return True
        if parent not in self._seen:
            try:
                names = tuple(sorted(entry.name for entry in parent.iterdir()))
            except OSError:
                return False
            return self._settled(parent, names, now, before)
        return now - self._seen[parent].since_s >= self.settle_s

    def _has_failed(self, path: Path, state: State) -> bool:
        return bool(self._failures) and self._failures.get(place_of(path)) == digest_of(state)

    def _is_readable(self, path: Path) -> bool:
        try:
            first = next(one for one in sorted(path.rglob("*")) if one.is_file()) if path.is_dir() else path
            with first.open("rb") as file:
                file.read(1)
        except (OSError, StopIteration) as error:
            reason = getattr(error, "strerror", None) or "nothing in it"
            self._complain(path, f"{path} cannot be read ({reason}); waiting until it can")
            return False
        self._complained.discard(path)
        return True

    def _complain(self, path: Path, text: str) -> None:
        if path not in self._complained:
            log.warning("%s", text)
            self._complained.add(path)


def digest_of(state: object) -> str:
    """Short text of a state of files."""
    return hashlib.sha256(repr(state).encode("utf-8", "backslashreplace")).hexdigest()[:16]
