"""Watching an inbox: what arrives is done once, restarts go on, signals end it cleanly."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from batch_lab import json_lines, litter_of, make_recordings, results_of, start

from thermo_qc.cli import main
from thermo_qc.workflows import batch_session, inspect, predict, watch
from thermo_qc.workflows.results import list_results


@pytest.fixture(scope="module")
def recordings(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_recordings(tmp_path_factory.mktemp("arriving"), lab / "first.h5", 3)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def watch_it(forest_run: Path, inbox: Path, tmp_path: Path) -> Callable[..., watch.Watched]:
    """Watch in this process."""
    options: dict[str, Any] = {"settle_s": 0.05, "poll_s": 0.01, "until_idle_s": 0.1}

    def run(**changes: Any) -> watch.Watched:
        return watch.run(inbox, forest_run, tmp_path / "out", predict.work_for(forest_run), **{**options, **changes})

    return run


def _counts(watched: watch.Watched) -> tuple[int, int, int]:
    return watched.n_done, watched.n_skipped, watched.n_failed


def test_arrivals_are_done_once_and_restarts_go_on(
    watch_it: Callable[..., watch.Watched],
    inbox: Path,
    recordings: list[Path],
    tmp_path: Path,
    forest_run: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    shutil.copy(recordings[0], inbox)
    (inbox / "bad.h5").write_bytes(b"torn")

    def more(result: Any) -> None:
        if result.stem == "plate0" and not (inbox / "plate1.h5").exists():
            shutil.copy(recordings[1], inbox / "arriving.part")
            (inbox / "arriving.part").rename(inbox / "plate1.h5")

    before = {path.name: path.read_bytes() for path in inbox.iterdir()}
    assert _counts(watch_it(on_progress=more)) == (2, 0, 1)
    assert _counts(watch_it()) == (0, 2, 0)  # what failed waits for a change
    assert {name: (inbox / name).read_bytes() for name in before} == before
    assert len(list(inbox.iterdir())) == 3
    assert _counts(watch_it(retry_failed=True)) == (0, 2, 1)
    shutil.copy(recordings[2], inbox / "bad.h5")
    assert _counts(watch_it(once=True)) == (1, 2, 0)
    shutil.copytree(inbox, tmp_path / "copy")
    predict.run(forest_run, sorted(inbox.iterdir()), tmp_path / "at once")
    assert results_of(tmp_path / "out") == results_of(tmp_path / "at once")
    assert [row["state"] for row in list_results([tmp_path / "out"])] == ["done"] * 3
    assert not litter_of(tmp_path / "out")


def test_nothing_arrives(watch_it: Callable[..., watch.Watched], tmp_path: Path) -> None:
    assert _counts(watch_it()) == (0, 0, 0) == _counts(watch_it(once=True, until_idle_s=None))
    assert (tmp_path / "out" / "summary.csv").exists() is False


def test_once_leaves_what_is_growing(
    watch_it: Callable[..., watch.Watched], inbox: Path, recordings: list[Path]
) -> None:
    content, ended = recordings[0].read_bytes(), threading.Event()

    def grow() -> None:
        with (inbox / "plate0.h5").open("wb") as file:
            for first in range(0, len(content), max(1, len(content) // 400)):
                file.write(content[first : first + len(content) // 400])
                file.flush()
                if ended.wait(0.005):
                    return

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        watched = watch_it(once=True, settle_s=0.3)
    finally:
        ended.set()
        writer.join()
    assert _counts(watched) == (0, 0, 0) and [path.name for path in watched.waiting] == ["plate0.h5"]


def test_an_interrupt_is_how_a_watch_ends(
    watch_it: Callable[..., watch.Watched], monkeypatch: pytest.MonkeyPatch, inbox: Path, recordings: list[Path]
) -> None:
    shutil.copy(recordings[0], inbox)

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batch_session, "write", interrupted)
        assert watch_it(until_idle_s=None).stopped
        with pytest.raises(KeyboardInterrupt):  # a job with an end was not finished
            watch_it()
    assert _counts(watch_it()) == (1, 0, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_the_program_watches_until_it_is_told_to_stop(
    forest_run: Path, inbox: Path, recordings: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ["watch", inbox, "--model", forest_run, "-o", out, "--settle-s", "0.05", "--poll-s", "0.02", "--json"]
    process = start(*command, "--threads", "1")
    for number, path in enumerate(recordings[:2]):  # the second one once the first is done
        shutil.copy(path, tmp_path / "moved")
        (tmp_path / "moved").rename(inbox / path.name)
        while process.poll() is None and len(list(out.glob("*.h5"))) <= number:
            time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said, complained = process.communicate()
    assert process.returncode == 0 and "stopped; " in complained and "Traceback" not in complained
    assert len(list(out.glob("*.h5"))) == 2 and len(json_lines(said)) <= 2
    assert not litter_of(out)
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["command"] == "predict"


def test_arrivals_get_verdicts(
    forest_run: Path, inbox: Path, recordings: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rules(**limit: Any) -> Path:
        path = tmp_path / "rules.yaml"
        path.write_text(yaml.safe_dump({"name": "some", "limits": [limit]}), encoding="utf-8")
        return path

    def judged(criteria: Path, **more: Any) -> watch.Watched:
        inspection = inspect.prepare(criteria=criteria, **more)
        work = predict.work_for(forest_run, finish=inspection.judge)
        return watch.run(
            inbox, forest_run, out, work, inspection=inspection, settle_s=0.05, poll_s=0.01, until_idle_s=0.1
        )

    out = tmp_path / "out"
    shutil.copy(recordings[0], inbox)
    strict = rules(classes=["surface defect"], max_number=0)
    watched = judged(strict)
    assert (*_counts(watched), watched.n_rejected, watched.n_review) == (1, 0, 0, 1, 0)
    shutil.copy(recordings[1], inbox)
    watched = judged(strict)
    assert (*_counts(watched), watched.n_rejected) == (1, 1, 0, 2)
    assert (out / "verdicts.csv").read_text(encoding="utf-8").count(",reject,") == 2
    assert [row["verdict"] for row in list_results([out])] == ["reject"] * 2
    assert (out / "plate1.html").is_file() and "plate1.html" in (out / "inspection.html").read_text(encoding="utf-8")
    maps = {path.name: path.stat().st_mtime_ns for path in out.glob("*.h5")}
    watched = judged(rules(max_number=99), assume_detectable=True)  # other criteria: other verdicts on the same maps
    assert (*_counts(watched), watched.n_rejected) == (0, 2, 0, 0)
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.h5")} == maps
    assert [row["verdict"] for row in list_results([out])] != ["reject"] * 2
    command = ["watch", str(inbox), "--model", str(forest_run), "-o", str(out), "--plate", "gfrp_calibrated"]
    assert main(command) == 2
    assert "--plate came without --criteria" in capsys.readouterr().err
