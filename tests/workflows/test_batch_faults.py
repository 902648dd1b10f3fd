"""What goes wrong with one recording of a batch costs that one: its reason is listed and the others are done."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from batch_lab import check_index, json_lines, litter_of, make_recordings, results_of, start

from thermo_qc.cli import main
from thermo_qc.errors import OutputError
from thermo_qc.io import read_sequence
from thermo_qc.workflows import batch_session, predict, predict_one
from thermo_qc.workflows.batch_pipeline import Room
from thermo_qc.workflows.lock import LOCK
from thermo_qc.workflows.predict_folder import Tables


def _reasons(out: Path) -> dict[str, str]:
    with (out / "failures.csv").open(encoding="utf-8", newline="") as file:
        return {Path(row["recording"]).name: row["reason"] for row in csv.DictReader(file)}


def _done(out: Path) -> list[str]:
    return sorted(path.stem for path in out.rglob("*.h5"))


@pytest.fixture
def three(lab: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    make_recordings(folder, lab / "first.h5", 3)
    return folder


@pytest.fixture
def here(forest_run: Path, three: Path, tmp_path: Path) -> Callable[[], list[predict.Prediction]]:
    """Predict the three recordings in this process, where faults can be injected."""
    return lambda: predict.run(forest_run, sorted(three.iterdir()), tmp_path / "out")


def _when_named(name: str, fault: Callable[[Path], object], inner: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(path: Any, *arguments: Any, **options: Any) -> Any:
        if Path(path).name == name:
            fault(Path(path))
        return inner(path, *arguments, **options)

    return wrapped


def _raise(error: Exception) -> Callable[[Path], object]:
    def fault(_: Path) -> object:
        raise error

    return fault


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "not enough memory; give fewer --workers"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied; check the file"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (ZeroDivisionError("division by zero"), "unexpected ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_while_reading(
    error: Exception,
    reason: str,
    here: Callable[[], list[predict.Prediction]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predict_one, "read_sequence", _when_named("plate1.h5", _raise(error), read_sequence))
    states = [bool(result.error) for result in here()]
    assert states == [False, True, False]
    ((name, said),) = _reasons(tmp_path / "out").items()
    assert name == "plate1.h5" and reason in said
    assert _done(tmp_path / "out") == ["plate0", "plate2"]
    monkeypatch.undo()
    assert [result.skipped for result in here()] == [True, False, True]
    assert not (tmp_path / "out" / "failures.csv").exists()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda path: path.unlink(), "was removed while it was read"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "changed while it was read"),
        (lambda path: os.utime(path, ns=(1, 1)), "changed while it was read"),
    ],
)
def test_a_recording_that_does_not_keep_still(
    fault: Callable[[Path], object],
    reason: str,
    here: Callable[[], list[predict.Prediction]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compute(opened: predict_one.Opened, *arguments: Any) -> predict_one.Computed:
        if opened.job.recording.name == "plate1.h5":
            fault(opened.job.recording)
        return original(opened, *arguments)

    original = predict_one.compute
    monkeypatch.setattr(batch_session, "compute", compute)
    here()
    ((name, said),) = _reasons(tmp_path / "out").items()
    assert name == "plate1.h5" and reason in said
    assert _done(tmp_path / "out") == ["plate0", "plate2"]


@pytest.mark.parametrize("step", ["indications_to_csv", "draw_prediction", "write_defect_map"])
def test_a_full_disk_costs_one_recording_and_leaves_nothing_of_it(
    step: str, here: Callable[[], list[predict.Prediction]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, n_calls = getattr(predict_one, step), [0]

    def full(*arguments: Any, **options: Any) -> Any:
        n_calls[0] += 1
        if n_calls[0] == 2:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
                return original(*arguments, **options)
        return original(*arguments, **options)

    monkeypatch.setattr(predict_one, step, full)
    here()
    out = tmp_path / "out"
    assert "No space left" in _reasons(out)["plate1.h5"]
    assert not list(out.glob("plate1.*")) and not litter_of(out)
    assert _done(out) == ["plate0", "plate2"]


def test_tables_that_a_full_disk_does_not_take(
    here: Callable[[], list[predict.Prediction]],
    three: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out, real, spares = tmp_path / "out", Tables.write, list[int]()

    def full(tables: Tables) -> None:
        spares.append(len(litter_of(out)))
        if len(spares) != 2:
            raise OutputError("No space left on device")
        real(tables)

    monkeypatch.setattr(Tables, "write", full)
    monkeypatch.setattr(batch_session, "TABLES_S", 1e9)  # at the end only
    (three / "plate1.h5").write_bytes(b"torn")
    assert sum(bool(result.error) for result in here()) == 1
    assert spares == [2, 1]  # lock and spare room; the lock
    assert list(_reasons(out)) == ["plate1.h5"] and not litter_of(out)
    caplog.clear()
    assert sum(bool(result.error) for result in here()) == 1  # two results and a reason, but no tables
    assert "No space left on device; the next run writes it" in caplog.messages
    (three / "plate1.h5").unlink()
    with pytest.raises(OutputError, match="No space left"):
        here()
    assert not litter_of(out)


@pytest.mark.parametrize("wrapped", [False, True])  # in the error that h5py makes of an interrupt
def test_a_stale_result_goes_before_its_parts_are_written_anew(
    here: Callable[[], list[predict.Prediction]],
    three: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrapped: bool,
) -> None:
    of_h5py = SystemError("returned a result with an exception set")
    of_h5py.__cause__ = KeyboardInterrupt()
    interrupt = of_h5py if wrapped else KeyboardInterrupt()
    here()
    shutil.copy(three / "plate0.h5", three / "plate1.h5")

    def die(*_: Any, **__: Any) -> Any:
        raise interrupt

    monkeypatch.setattr(predict_one, "draw_prediction", die)
    with pytest.raises(KeyboardInterrupt):
        here()
    out = tmp_path / "out"
    assert not (out / "failures.csv").exists()  # that somebody stopped the run is no fault of the recording
    assert (out / "plate1.csv").is_file() and not (out / "plate1.h5").exists()  # no map beside another state's table
    assert not (out / LOCK).exists()
    monkeypatch.undo()
    assert [result.skipped for result in here()] == [True, False, True]


def test_facts_beside_a_recording_are_part_of_its_state(
    here: Callable[[], list[predict.Prediction]], three: Path, forest_run: Path, tmp_path: Path
) -> None:
    recordings, out = sorted(three.iterdir()), tmp_path / "out"
    here()
    (three / "plate1.yaml").write_text("specimen_id: other\n", encoding="utf-8")
    assert [result.skipped for result in predict.run(forest_run, recordings, out)] == [True, False, True]
    assert all(result.skipped for result in predict.run(forest_run, recordings, out))
    (three / "plate1.yaml").unlink()
    assert [result.skipped for result in predict.run(forest_run, recordings, out)] == [True, False, True]


def test_folder_workers_json_and_every_kind_of_bad_file(forest_run: Path, three: Path, tmp_path: Path) -> None:
    (three / "empty.h5").touch()
    (three / "cut.h5").write_bytes((three / "plate0.h5").read_bytes()[:3000])
    (three / "text.npy").write_text("no numbers", encoding="utf-8")
    (three / "gone.h5").symlink_to(tmp_path / "nowhere")
    out = tmp_path / "out"
    process = start("predict", forest_run, three, "-o", out, "--workers", "2", "--threads", "1", "--json")
    said, complained = process.communicate()
    assert process.returncode == 3, complained
    lines = {Path(str(line["recording"])).name: line for line in json_lines(said)}
    assert {name: line["state"] for name, line in lines.items()} == {
        **dict.fromkeys(("plate0.h5", "plate1.h5", "plate2.h5"), "done"),
        **dict.fromkeys(("empty.h5", "cut.h5", "text.npy", "gone.h5"), "failed"),
    }
    assert set(_reasons(out)) == {name for name, line in lines.items() if line["state"] == "failed"}
    assert all(line["reason"] for line in lines.values() if line["state"] == "failed")
    assert "4 of 7 recordings failed" in complained and "\r" not in complained  # no bar where there is no terminal
    whole = results_of(out)
    alone = tmp_path / "alone"
    predict.run(forest_run, sorted(three.glob("plate*.h5")), alone)
    assert {name: value for name, value in results_of(alone).items() if name.startswith("plate")} == {
        name: value for name, value in whole.items() if name.startswith("plate")
    }


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_worker_that_is_killed_costs_nothing(forest_run: Path, three: Path, tmp_path: Path) -> None:
    make_recordings(three, three / "plate0.h5", 6)
    out = tmp_path / "out"
    process = start("predict", forest_run, three, "-o", out, "--workers", "2", "--threads", "1", "--json")
    while process.poll() is None and not list(out.glob("*.csv")):
        time.sleep(0.005)
    victim = _children(process.pid)[-1]
    os.kill(victim, signal.SIGKILL)
    said, complained = process.communicate()
    assert [line["state"] for line in json_lines(said)] == 6 * ["done"], complained
    assert process.returncode == 0


def _children(parent: int) -> list[int]:
    """Processes of this program that a process started to work, by number."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(fields[1]) == parent and b"spawn_main" in command:
                found.append(int(entry.name))
    return sorted(found)


def test_another_run_is_refused_until_it_is_over(
    forest_run: Path, three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["predict", str(forest_run), str(three / "plate0.h5"), "-o", str(out)]
    out.mkdir()
    owner = {"host": "elsewhere", "pid": 1, "started": "2026-01-01T00:00:00+00:00", "birth": "", "token": "t"}
    (out / LOCK).write_text(json.dumps(owner), encoding="utf-8")
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "process 1 on elsewhere" in said and "--break-lock" in said
    assert main([*command, "--break-lock"]) == 0
    assert not (out / LOCK).exists()


ODD_NAMES = {
    "with blanks.h5": "with blanks",
    "Prüfkörper 板 🔥.h5": "Prüfkörper 板 🔥",
    "two\nlines.h5": "two\nlines",
    "$\\frac{a$ {x} <b>.h5": "$\\frac{a$ {x} <b>",
    "=HYPERLINK(1).h5": "=HYPERLINK(1)",
    "-o.h5": "-o",
}


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not allow")
def test_odd_names(forest_run: Path, lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    long_name, longer = "x" * 252 + ".h5", "ü" * 126 + ".h5"
    for name in (*ODD_NAMES, long_name, longer):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(lab / "first.h5", folder / name)
    recordings = sorted(folder.iterdir())
    assert main(["predict", str(forest_run), *map(str, recordings), "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.count("\n") == len(recordings) + 1 and "two\\nlines.h5: " in said
    stems = {path.name.removesuffix(".h5") for path in out.glob("*.h5")}
    assert set(ODD_NAMES.values()) < stems
    cut = stems - set(ODD_NAMES.values())
    assert len(cut) == 2 and all("~" in name and len(os.fsencode(name)) <= 251 for name in cut)
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["result"]: row["recording"] for row in csv.DictReader(file)}
    assert len(rows) == len(recordings)
    assert "'=HYPERLINK(1)" in rows and "two lines" in rows  # no formula, no line break in a table
    assert main(["predict", str(forest_run), *map(str, recordings), "-o", str(out)]) == 0
    assert capsys.readouterr().out.count("(up to date)") == len(recordings)


def test_names_never_lead_out_of_the_output_folder(forest_run: Path, three: Path, tmp_path: Path) -> None:
    out = tmp_path / "results" / "out"
    (three / "sub").mkdir()
    inputs = [three / "sub" / ".." / "plate0.h5", three / ".." / three.name / "plate1.h5"]
    assert main(["predict", str(forest_run), *map(str, inputs), "-o", str(out)]) == 0
    assert _done(out) == ["plate0", "plate1"]
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["out"]


@pytest.mark.parametrize("value", ["0", "-1", "nan"])
def test_memory_needs_an_amount(
    value: str, forest_run: Path, three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(forest_run), str(three), "-o", str(tmp_path / "out"), f"--memory-gb={value}"]
    assert main(command) == 2
    assert "expected more than 0" in capsys.readouterr().err


def test_room_is_shared_and_never_more_than_there_is() -> None:
    room = Room(100)
    assert room.take(1, 60) and room.take(2, 40)
    assert room.taken_bytes == 100
    room.give_back(1)
    assert room.take(2, 90)  # the estimate becomes the size
    room.give_back(2)
    assert not room.take(3, 1000)  # more than all: it stays in its file, alone
    assert room.taken_bytes == 100
    room.give_back(3)
    assert room.taken_bytes == 0


@pytest.mark.slow
def test_ten_thousand_empty_files(forest_run: Path, three: Path, tmp_path: Path) -> None:
    for number in range(10_000):
        (three / f"empty{number}.h5").touch()
    results = predict.run(forest_run, sorted(three.iterdir()), tmp_path / "out")
    assert sum(bool(result.error) for result in results) == 10_000
    assert len(_reasons(tmp_path / "out")) == 10_000 and len(_done(tmp_path / "out")) == 3
    check_index(tmp_path / "out")


SMALL_DISK = """
set -e
mount -t tmpfs -o size=400k tmpfs "$2"
code=0
"$1" -m thermo_qc predict "$3" "$4" -o "$2/out" --threads 1 || code=$?
cp -a "$2/out" "$5"
exit $code
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a file system of its own")
def test_a_disk_that_is_really_full(forest_run: Path, three: Path, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "script.sh").write_text(SMALL_DISK, encoding="utf-8")
    space = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*space, "true"], check=False).returncode:
        pytest.skip("no file systems of one's own here")
    make_recordings(three, three / "plate0.h5", 8)
    arguments = [sys.executable, tmp_path / "small", forest_run, three, tmp_path / "out"]
    done = subprocess.run(
        [*space, "sh", str(tmp_path / "script.sh"), *map(str, arguments)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr and "No space left on device" in done.stderr
    out = tmp_path / "out"
    whole = _done(out)
    reasons = _reasons(out)
    assert whole and len(whole) + len(reasons) == 8
    assert all("No space left on device" in reason for reason in reasons.values())
    assert not litter_of(out)
    predict.run(forest_run, sorted(three.iterdir()), out)
    predict.run(forest_run, sorted(three.iterdir()), tmp_path / "undisturbed")
    assert results_of(out) == results_of(tmp_path / "undisturbed")
    check_index(out)
