"""The index of a folder of results: one SQLite file beside them, made from them, never the truth."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from thermo_qc.errors import InputError
from thermo_qc.io import write_json
from thermo_qc.workflows.lock import LOCK
from thermo_qc.workflows.predict_folder import VERDICT_ENDING, Prediction, place_of, text_of
from thermo_qc.workflows.result_files import ResultFiles, failures_of, identity_of, read_result, stamp_of, whole_results
from thermo_qc.workflows.run_folder import read_run

__all__ = ["COLUMNS", "INDEX", "VERDICTS", "RunIndex", "record_verdict"]

log = logging.getLogger(__name__)

INDEX = "index.sqlite"
VERDICTS = ("accept", "reject", "review")
_VERSION = 2
_BUSY_S = 30.0
FLUSH_S = 1.0
_SCHEMA = """
CREATE TABLE results (
    stem TEXT PRIMARY KEY, recording TEXT NOT NULL, place TEXT NOT NULL, run TEXT NOT NULL,
    recording_sha256 TEXT NOT NULL, facts_sha256 TEXT NOT NULL, model_sha256 TEXT NOT NULL, options TEXT,
    specimen TEXT NOT NULL, recorded TEXT, finished TEXT, n_indications INTEGER NOT NULL, defect_fraction REAL NOT NULL,
    largest_mm2 REAL, pixel_pitch_mm REAL, warnings TEXT NOT NULL, verdict TEXT, reasons TEXT, verdict_time TEXT,
    read_s REAL, compute_s REAL, write_s REAL, map_ns INTEGER NOT NULL, map_bytes INTEGER NOT NULL,
    verdict_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE indications (
    stem TEXT NOT NULL, number INTEGER NOT NULL, class_name TEXT NOT NULL, bbox_x0_px INTEGER, bbox_y0_px INTEGER,
    bbox_x1_px INTEGER, bbox_y1_px INTEGER, area_px INTEGER NOT NULL, area_mm2 REAL, equivalent_diameter_mm REAL,
    depth_mm REAL, mean_probability REAL, cnr REAL, PRIMARY KEY (stem, number)
) WITHOUT ROWID;
CREATE TABLE failures (
    place TEXT PRIMARY KEY, recording TEXT NOT NULL, error TEXT NOT NULL, failed TEXT
) WITHOUT ROWID;
CREATE VIEW overview AS
    SELECT 'done' AS state, recording, stem AS result, specimen, verdict, reasons, n_indications, largest_mm2,
        defect_fraction, warnings, recorded, finished, NULL AS error, place, run, recording_sha256, facts_sha256,
        model_sha256, options, pixel_pitch_mm, verdict_time, read_s, compute_s, write_s
    FROM results WHERE place NOT IN (SELECT place FROM failures)
    UNION ALL
    SELECT 'failed', recording, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, failed, error, place, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM failures;
"""
COLUMNS = (
    "state",
    "recording",
    "result",
    "specimen",
    "verdict",
    "reasons",
    "n_indications",
    "largest_mm2",
    "defect_fraction",
    "warnings",
    "recorded",
    "finished",
    "error",
    "place",
    "run",
    "recording_sha256",
    "facts_sha256",
    "model_sha256",
    "options",
    "pixel_pitch_mm",
    "verdict_time",
    "read_s",
    "compute_s",
    "write_s",
)
T = TypeVar("T")
_Change = Callable[[sqlite3.Connection], None]


class RunIndex:
    """Index of one folder of results.

    Every change is one short transaction that waits for others (half a minute at most). SQLite's rollback journal is
    used and not its write-ahead log, which needs memory shared by all processes and so fails on network drives. An
    index that is damaged is made anew from the files; where none can be written (no rights, a full disk, a network
    drive without locks) the work goes on without, and questions are answered from the files by way of memory.

    Parameters
    ----------
    folder : Path
        Folder of results.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / INDEX
        self._complained = False
        self._waiting: list[_Change] = []
        self._flushed = time.monotonic() - FLUSH_S

    def refresh(self) -> None:
        """Bring the index up to date with the files: results that are new, changed or gone, failures of the run."""
        self._try(lambda connection: _refresh(connection, self.folder))

    def note(self, result: Prediction, *, time_of: str = "") -> None:
        """Take in what became of a recording, once its files are written; several within a second go together.

        `time_of` a failure is the one in the run's record, ISO in UTC.
        """
        if result.error:
            place, recording = place_of(result.recording), text_of(result.recording)
            self._waiting.append(
                partial(_put_failure, place=place, recording=recording, error=result.error, time=time_of or None)
            )
        else:
            seconds = None if result.skipped else (result.read_s, result.compute_s, result.write_s)
            self._waiting.append(partial(_put_done, folder=self.folder, stem=result.stem, seconds=seconds))
        if time.monotonic() - self._flushed >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        self._flushed = time.monotonic()
        if not waiting:
            return

        def change(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                for one in waiting:
                    one(connection)

        self._try(change)

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Refresh the index and ask it; without an index that can be written, one in memory."""
        kept: list[T] = []

        def refreshed(connection: sqlite3.Connection) -> None:
            _refresh(connection, self.folder)
            kept.append(question(connection))

        if self._try(refreshed):
            return kept[-1]
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(_SCHEMA)
            _refresh(connection, self.folder)
            return question(connection)

    def _try(self, change: Callable[[sqlite3.Connection], None]) -> bool:
        """Change the index; whether that was possible."""
        for attempt in range(2):
            try:
                with self._opened() as connection:
                    change(connection)
                return True
            except sqlite3.DatabaseError as error:
                reason = str(error)
                if not _is_damage(error):
                    break
                reason = f"it is damaged ({reason})"
                if attempt == 0:
                    log.warning("%s: %s; it is made anew from the results", self.path, reason)
                    _remove(self.path)
        if not self._complained:
            log.warning("%s cannot be kept up to date: %s; the results themselves are not affected", self.path, reason)
            self._complained = True
        return False

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != _VERSION:
                _make(connection, version)
            yield connection


def record_verdict(
    folder: Path,
    stem: str,
    verdict: str,
    *,
    reasons: Sequence[str] = (),
    details: dict[str, Any] | None = None,
    index: bool = True,
) -> None:
    """Keep the verdict on a result: in ``<stem>.verdict.json``, which is the truth, and in the index.

    Parameters
    ----------
    folder : Path
        Folder of results.
    stem : str
        Of the result, see `Prediction.stem`.
    verdict : {"accept", "reject", "review"}
        The verdict.
    reasons : sequence of str
        One line each.
    details : dict, optional
        More for the file, JSON types (hash of the criteria, decisive indications). A verdict counts for the very result
        it was given on: same recording, facts, models and options.
    index : bool
        Tell the index too; False where the run that the result belongs to does so.

    Raises
    ------
    InputError
        When there is no whole result of that name, or the verdict is not one of the three.
    OutputError
        When the file cannot be written.
    """
    if verdict not in VERDICTS:
        raise InputError(f"verdict is '{verdict}', expected one of {', '.join(VERDICTS)}")
    files = read_result(folder, stem)
    if files is None:
        raise InputError(f"{folder} holds no whole result '{stem}' to give a verdict on; predict it first")
    base = folder / stem
    content = {
        "verdict": verdict,
        "reasons": list(reasons),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "result": identity_of(files.columns),
        **(details or {}),
    }
    write_json(base.with_name(base.name + VERDICT_ENDING), content)
    if index:
        RunIndex(folder).note(Prediction(recording=Path(files.columns["place"]), stem=stem, skipped=True))


def _make(connection: sqlite3.Connection, version: int) -> None:
    """Make the tables, unless another process has done so meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        for kind, name in connection.execute(
            "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        ).fetchall():
            connection.execute(f'DROP {kind} "{name}"')
        for statement in filter(str.strip, _SCHEMA.split(";")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")
    if version:
        log.info("the index was of another version and is made anew")


def _refresh(connection: sqlite3.Connection, folder: Path) -> None:
    record = read_run(folder) or {}
    known = {
        str(stem): tuple(stamp)
        for stem, *stamp in connection.execute("SELECT stem, map_ns, map_bytes, verdict_ns FROM results")
    }
    there = whole_results(folder)
    changed = {
        stem: read_result(folder, stem, record) for stem, stamp in there.items() if known.get(_key(stem)) != stamp
    }
    gone = set(known) - {_key(stem) for stem in there}
    failures = failures_of(record)
    old = {str(place) for (place,) in connection.execute("SELECT place FROM failures")}
    over = set() if (folder / LOCK).exists() else old - set(failures)  # a run tells its record only now and then
    with _transaction(connection):
        for stem in gone:
            if stamp_of(folder / stem) is None:
                _remove_result(connection, stem)
        for stem, files in changed.items():
            if files is None or _stamp(files) != stamp_of(folder / stem):  # another process has written meanwhile
                files = read_result(folder, stem, record)
            if files is not None:
                _put_result(connection, files, None)
        connection.executemany("DELETE FROM failures WHERE place = ?", [(place,) for place in over])
        for place, entry in failures.items():
            if place not in old:
                _put_failure(
                    connection,
                    place=place,
                    recording=entry.get("recording", place),
                    error=entry.get("reason", ""),
                    time=entry.get("time"),
                )


def _stamp(files: ResultFiles) -> tuple[int, ...]:
    return tuple(int(files.columns[name]) for name in ("map_ns", "map_bytes", "verdict_ns"))


def _put_done(
    connection: sqlite3.Connection, *, folder: Path, stem: str, seconds: tuple[float, float, float] | None
) -> None:
    files = read_result(folder, stem)
    if files is not None:
        _put_result(connection, files, seconds)
        connection.execute("DELETE FROM failures WHERE place = ?", (files.columns["place"],))


def _put_failure(connection: sqlite3.Connection, *, place: str, recording: str, error: str, time: str | None) -> None:
    connection.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", (place, recording, error, time))


def _put_result(connection: sqlite3.Connection, files: ResultFiles, seconds: tuple[float, float, float] | None) -> None:
    """Write a result's rows; how long it took stays as it was while the map is the same."""
    columns = dict(files.columns)
    stem = columns["stem"]
    before = connection.execute(
        "SELECT map_ns, map_bytes, run, options, read_s, compute_s, write_s FROM results WHERE stem = ?", (stem,)
    ).fetchone()
    if before is not None and columns["options"] is None and before[2] == columns["run"]:
        columns["options"] = before[3]
    if seconds is None and before is not None and before[:2] == (columns["map_ns"], columns["map_bytes"]):
        seconds = before[4:]
    columns |= dict(zip(("read_s", "compute_s", "write_s"), seconds or (None, None, None), strict=True))
    _remove_result(connection, stem)
    _insert(connection, "results", columns)
    for indication in files.indications:
        _insert(connection, "indications", {"stem": stem, **indication})


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(row)
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))


def _remove_result(connection: sqlite3.Connection, stem: str) -> None:
    connection.execute("DELETE FROM indications WHERE stem = ?", (stem,))
    connection.execute("DELETE FROM results WHERE stem = ?", (stem,))


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is no database or lacks tables; else it is locked, read-only or full, or rights are wanting."""
    return not isinstance(error, sqlite3.OperationalError) or error.sqlite_errorcode == sqlite3.SQLITE_ERROR


def _remove(path: Path) -> None:
    for ending in ("", "-journal"):
        with suppress(OSError):
            path.with_name(path.name + ending).unlink(missing_ok=True)


def _key(stem: str) -> str:
    return text_of(Path(stem))
