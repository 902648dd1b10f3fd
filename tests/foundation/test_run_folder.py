"""Run folders: created, continued, refused, made anew."""

import json
from pathlib import Path

import pytest

from thermo_qc.errors import OutputError
from thermo_qc.workflows import run_folder
from thermo_qc.workflows.run_folder import FILES, FOLDERS, RunFolder, fingerprint_of, open_run, read_run, remove_run

PRINT = fingerprint_of({"seed": 1})


def start(path: Path, command: str = "cv", fingerprint: str = PRINT, **options: bool) -> RunFolder:
    return open_run(path, command=command, fingerprint=fingerprint, **options)


def fill(path: Path, command: str) -> None:
    """Write what a command writes."""
    for name in FILES[command]:
        (path / name).write_text("old", encoding="utf-8")
    for name in FOLDERS[command]:
        (path / name.replace("*", "0") / "deep").mkdir(parents=True)
        (path / name.replace("*", "0") / "deep" / "file").write_text("old", encoding="utf-8")


def names(path: Path) -> set[str]:
    return {one.name for one in path.iterdir()}


def test_a_new_run_makes_its_folder_and_says_what_runs(tmp_path: Path) -> None:
    run = start(tmp_path / "a" / "b")
    assert not run.continued
    assert not run.was_complete
    record = read_run(tmp_path / "a" / "b")
    assert record == run.record
    assert record["command"] == "cv"
    assert record["status"] == "running"
    assert record["finished"] is None
    assert record["fingerprint"] == PRINT
    assert set(record["versions"]) >= {"thermo_qc", "python", "numpy", "torch"}


@pytest.mark.parametrize("litter", [(), (".DS_Store", "Thumbs.db"), (".0123456789ab.part",)])
def test_an_empty_folder_is_as_good_as_none(tmp_path: Path, litter: tuple[str, ...]) -> None:
    for name in litter:
        (tmp_path / name).touch()
    assert not start(tmp_path).continued


@pytest.mark.parametrize("command", ["train", "cv", "evaluate", "predict", "demo", "compare"])
def test_what_was_left_half_written_goes(tmp_path: Path, command: str) -> None:
    """Whether the run was killed before it had said what it is, or later, or is made anew."""
    deep, foreign = tmp_path / "predictions" / ".ba9876543210.part", tmp_path / ".notes.part"
    left = tmp_path / ".0123456789ab.part"
    left.touch()
    start(tmp_path, command)
    assert names(tmp_path) == {"run.json"}
    deep.parent.mkdir()
    for path in (left, deep, foreign):
        path.touch()
    assert start(tmp_path, command).continued
    assert not left.exists() and not deep.exists() and foreign.exists()
    left.touch()
    assert not start(tmp_path, command, "0" * 64, overwrite=True).continued
    assert not left.exists() and foreign.exists()


def test_processes_that_share_a_training_leave_what_another_is_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    writing = tmp_path / ".0123456789ab.part"
    writing.touch()
    open_run(tmp_path, command="train", fingerprint=PRINT)
    assert writing.exists()
    open_run(tmp_path, command="predict", fingerprint=PRINT, overwrite=True)  # nobody shares its folder
    assert not writing.exists()


def test_the_same_run_is_continued_and_its_record_stays(tmp_path: Path) -> None:
    first = start(tmp_path)
    first.update(device="cpu")
    second = start(tmp_path)
    assert second.continued
    assert not second.was_complete
    assert second.record == first.record
    second.finish()
    third = start(tmp_path, resume=True)
    assert third.was_complete
    assert third.record["device"] == "cpu"
    assert third.record["finished"] >= third.record["started"]


def test_records_are_plain_json(tmp_path: Path) -> None:
    start(tmp_path).update(metric=float("nan"))
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["metric"] is None


@pytest.mark.parametrize("resume", [False, True])
def test_a_file_is_no_folder(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="out is a file, expected a folder for the results; choose another name"):
        start(tmp_path / "out", resume=resume)
    with pytest.raises(OutputError, match="is a file, expected a folder"):
        start(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


def test_a_folder_below_a_file_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match=r"run cannot be created: .*; choose another folder"):
        start(tmp_path / "out" / "run")


@pytest.mark.parametrize(
    ("record", "what"),
    [
        (None, "files that are not from a run"),
        ("{}", "files that are not from a run"),
        ("[1]", "files that are not from a run"),
        ("{torn", "files that are not from a run"),
        ('{"command": "train", "fingerprint": "PRINT"}', "a 'train' run, not a 'cv' run"),
        ('{"command": "cv", "fingerprint": "other"}', "a 'cv' run with another configuration or other data"),
    ],
)
def test_anything_else_is_refused_and_stays(tmp_path: Path, record: str | None, what: str) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    if record is not None:
        (tmp_path / "run.json").write_text(record.replace("PRINT", PRINT), encoding="utf-8")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError) as caught:
        start(tmp_path)
    assert str(caught.value) == f"{tmp_path} holds {what}; choose another folder or add --overwrite"
    with pytest.raises(OutputError, match=r"--resume: .* holds no 'cv' run of this configuration and data to continue"):
        start(tmp_path, resume=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_resume_without_a_run_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"holds no 'cv' run .*; leave --resume out to start one"):
        start(tmp_path / "new", resume=True)
    assert not (tmp_path / "new").exists()


def test_resume_and_overwrite_contradict_one_another(tmp_path: Path) -> None:
    start(tmp_path)
    fill(tmp_path, "cv")
    before = names(tmp_path)
    with pytest.raises(OutputError, match="--resume continues a run and --overwrite removes it; give one of them"):
        start(tmp_path, resume=True, overwrite=True)
    assert names(tmp_path) == before


@pytest.mark.parametrize("command", list(FILES))
@pytest.mark.parametrize("fingerprint", [PRINT, "other"])
def test_overwrite_removes_what_the_run_wrote_and_nothing_else(tmp_path: Path, command: str, fingerprint: str) -> None:
    start(tmp_path, command)
    fill(tmp_path, command)
    (tmp_path / "fold_notes").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    run = start(tmp_path, command, fingerprint, overwrite=True)
    assert not run.continued
    assert names(tmp_path) == {"run.json", "fold_notes", "mine", "notes.txt"}
    assert read_run(tmp_path) == run.record


def test_overwrite_with_another_command_removes_the_earlier_run(tmp_path: Path) -> None:
    start(tmp_path, "cv")
    fill(tmp_path, "cv")
    (tmp_path / "model.safetensors").write_text("stale", encoding="utf-8")
    start(tmp_path, "train", overwrite=True)
    assert names(tmp_path) == {"run.json"}


@pytest.mark.parametrize(("command", "folder"), [("demo", "data"), ("train", "checkpoints"), ("cv", "fold_0")])
@pytest.mark.parametrize("record", [None, "predict"])
def test_overwrite_leaves_folders_alone_that_no_run_made(
    tmp_path: Path, command: str, folder: str, record: str | None
) -> None:
    if record is not None:
        start(tmp_path, record)
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "recording.h5").write_text("mine", encoding="utf-8")
    (tmp_path / "report.html").write_text("mine", encoding="utf-8")
    before = names(tmp_path)
    with pytest.raises(
        OutputError, match=f"holds a folder '{folder}' that no run is known to have made, so --overwrite"
    ):
        start(tmp_path, command, overwrite=True)
    assert names(tmp_path) == before
    assert (tmp_path / folder / "recording.h5").is_file()


def test_overwrite_of_a_foreign_folder_replaces_files_of_the_same_name(tmp_path: Path) -> None:
    for name in ("model.safetensors", "notes.txt", "metrics.json"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    (tmp_path / "data").mkdir()
    start(tmp_path, "train", overwrite=True)
    assert names(tmp_path) == {"run.json", "notes.txt", "metrics.json", "data"}


def test_an_interrupted_removal_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(tmp_path)
    fill(tmp_path, "cv")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with (
        monkeypatch.context() as patch,
        pytest.raises(OutputError, match=r"cannot be removed: Permission denied; close"),
    ):
        patch.setattr(run_folder.shutil, "rmtree", refuse)
        start(tmp_path, overwrite=True)
    assert read_run(tmp_path) is not None
    start(tmp_path, overwrite=True)
    assert names(tmp_path) == {"run.json"}


def test_links_are_unlinked_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "map.h5").touch()
    run = tmp_path / "run"
    start(run)
    try:
        (run / "predictions").symlink_to(target, target_is_directory=True)
    except OSError:
        pytest.skip("links are not allowed here")
    start(run, overwrite=True)
    assert names(run) == {"run.json"}
    assert (target / "map.h5").is_file()


def test_removing_where_nothing_is_does_nothing(tmp_path: Path) -> None:
    remove_run(tmp_path / "none", "cv")
    assert not (tmp_path / "none").exists()


def test_fingerprints_tell_content_apart() -> None:
    assert fingerprint_of({"a": 1, "b": [1, 2]}) == fingerprint_of({"b": [1, 2], "a": 1})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": 2})
    assert fingerprint_of([1, 2]) != fingerprint_of([2, 1])
    assert len(fingerprint_of({"path": Path("a")})) == 64


def test_versions_of_missing_packages_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(package: str) -> str:
        raise run_folder.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(run_folder.metadata, "version", none)
    assert run_folder.versions()["torch"] == "not installed"
