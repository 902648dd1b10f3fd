"""``thermo-qc watch``: recordings are predicted as they arrive in a folder."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thermo_qc.errors import InputError
from thermo_qc.workflows.batch_session import BatchSession, Work, open_batch
from thermo_qc.workflows.inbox import Inbox, digest_of
from thermo_qc.workflows.inspect import Inspection, LiveTables
from thermo_qc.workflows.predict_folder import OWN_STEMS, Prediction, fitting_name, place_of
from thermo_qc.workflows.result_files import failures_of

__all__ = ["Watched", "run"]

log = logging.getLogger(__name__)

MAX_BATCH = 64  # the inbox is looked at again at the latest after so many


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What a watch did.

    Parameters
    ----------
    n_done, n_skipped, n_failed : int
        Recordings predicted, found up to date, failed.
    n_rejected, n_review : int
        Parts with these verdicts, new ones and those found up to date.
    waiting : tuple of Path
        Recordings that were not complete or not readable at the end.
    stopped : bool
        Whether a signal ended it.
    """

    n_done: int
    n_skipped: int
    n_failed: int
    n_rejected: int
    n_review: int
    waiting: tuple[Path, ...]
    stopped: bool


def run(
    inbox: Path,
    model_path: Path,
    output: Path,
    work: Work,
    *,
    recursive: bool = False,
    settle_s: float = 5.0,
    poll_s: float = 2.0,
    until_idle_s: float | None = None,
    once: bool = False,
    retry_failed: bool = False,
    method: str | None = None,
    device: str = "cpu",
    tta: bool = False,
    min_area_px: int = 4,
    region: Path | None = None,
    sound: Path | None = None,
    facts: Mapping[str, Any] | None = None,
    inspection: Inspection | None = None,
    break_lock: bool = False,
    on_progress: Callable[[Prediction], object] | None = None,
) -> Watched:
    """Predict the recordings in a folder and those that arrive later; nothing in it is moved or changed.

    A recording is taken once size and time of change of all its files have stayed the same for `settle_s`, by a clock
    that nobody can set, and it can be read. One that has results of the same bytes, facts, models and options is not
    computed again; one that failed is tried again when it has changed.

    Parameters
    ----------
    inbox : Path
        Folder to watch.
    model_path, output, method, device, tta, min_area_px, region, sound, facts, break_lock, on_progress
        As in `thermo_qc.workflows.predict.run`.
    work : Work
        Who does it, see `thermo_qc.workflows.predict.work_for`.
    recursive : bool
        Watch the folders in the folder as well.
    settle_s, poll_s : float
        How long a recording must stay as it is, and the pause between two looks, s.
    until_idle_s : float, optional
        End when nothing has changed and nothing was to be done for so long.
    once : bool
        Do what is there and complete, and end.
    retry_failed : bool
        Try what failed in an earlier run once more.
    inspection : Inspection, optional
        Judges the results (`work` has to be made with its `judge`); its tables and page are kept up to date.

    Returns
    -------
    Watched

    Raises
    ------
    InputError
        When the inbox is no folder, or lies in the output folder.
    ThermoQCError
        When model, options or output folder cannot be used.
    """
    if not inbox.is_dir():
        raise InputError(f"{inbox} is no folder; name the folder that recordings arrive in")
    if inbox.resolve().is_relative_to(output.resolve()):
        raise InputError(f"the inbox {inbox} lies in the output folder {output}; choose another output folder")
    counts, tables = Counter[str](), LiveTables(inspection)

    def count(result: Prediction) -> None:
        counts["failed" if result.error else "skipped" if result.skipped else "done"] += 1
        counts[result.verdict] += 1
        tables.changed()
        if on_progress is not None:
            on_progress(result)

    place = Inbox(inbox, recursive=recursive, settle_s=settle_s, skip=output, facts=dict(facts or {}))
    stopped = False
    try:
        with open_batch(
            model_path,
            output,
            work,
            method=method,
            device=device,
            tta=tta,
            min_area_px=min_area_px,
            region=region,
            sound=sound,
            facts=dict(facts or {}),
            break_lock=break_lock,
            on_progress=count,
        ) as session:
            taken = {name: stored.stem for name, stored in session.stored.items()}
            if not retry_failed:
                _remember_failures(place, session, taken)
            tables.session = session
            try:
                _watch(place, session, taken, tables, poll_s=poll_s, until_idle_s=until_idle_s, once=once)
            finally:
                tables.write()
    except KeyboardInterrupt:
        if once or until_idle_s is not None:
            raise
        stopped = True  # that is how a watch ends
    return Watched(
        n_done=counts["done"],
        n_skipped=counts["skipped"],
        n_failed=counts["failed"],
        n_rejected=counts["reject"],
        n_review=counts["review"],
        waiting=tuple(place.waiting),
        stopped=stopped,
    )


def _watch(
    place: Inbox,
    session: BatchSession,
    taken: dict[str, str],
    tables: LiveTables,
    *,
    poll_s: float,
    until_idle_s: float | None,
    once: bool,
) -> None:
    started = busy = time.monotonic()
    while True:
        ready = place.look()[:MAX_BATCH]
        if ready:
            names = [(path, _name(path, place.folder, taken)) for path in ready]
            states = {path: digest_of(place.state_of(path)) for path in ready}
            for result in session.predict(names, states):
                place.did(result.recording)
            busy = time.monotonic()
            continue
        tables.write()
        if place.changed:
            busy = time.monotonic()
        if once and (not place.waiting or time.monotonic() - started > place.settle_s + poll_s):
            return
        if until_idle_s is not None and time.monotonic() - busy >= until_idle_s and not place.settling:
            return
        time.sleep(min(poll_s, place.settle_s) if place.waiting and place.settle_s > 0 else poll_s)


def _remember_failures(place: Inbox, session: BatchSession, taken: dict[str, str]) -> None:
    """Leave alone what failed until it changes, under the name that its results would have."""
    for name, entry in failures_of(session.folder.record).items():
        if entry.get("state") and Path(name).is_relative_to(place.folder.resolve()):
            place.remember_failure(name, entry["state"])
            _name(place.folder / Path(name).relative_to(place.folder.resolve()), place.folder, taken)


def _name(path: Path, inbox: Path, taken: dict[str, str]) -> str:
    """Stem of a recording's results: its path in the inbox without ending; with it where that name is taken."""
    place = place_of(path)
    if place in taken:
        return taken[place]
    inside = path.relative_to(inbox)
    short, whole = inside.with_suffix("") if path.is_file() else inside, inside
    names = [str(whole)] if path.stem in OWN_STEMS else [str(short), str(whole)]
    stem = next((name for name in map(fitting_name, names) if name not in taken.values()), fitting_name(names[-1]))
    taken[place] = stem
    return stem
