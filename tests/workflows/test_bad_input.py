"""Bad input through the real command line: one clear line, a non-zero exit code, nothing half-written."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
import yaml

from thermo_qc.cli import main
from thermo_qc.io import read_sequence, write_sequence

Refused = Callable[..., str]
RECORDING_VERBS = ("info", "convert", "register", "predict", "train", "cv", "evaluate")
READERS_OF_FRAMES = ("predict", "train", "cv", "evaluate")


def _tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below a folder, with size and time."""
    entries = {path: path.stat() for path in sorted(folder.rglob("*"))}
    return {str(path): (0, 0) if path.is_dir() else (stat.st_size, stat.st_mtime_ns) for path, stat in entries.items()}


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must be refused: one line on stderr, code 2, nothing below ``tmp_path`` touched."""

    def check(arguments: Sequence[object], *words: str) -> str:
        before = _tree(tmp_path)
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # wrong usage
            code = int(stop.code or 0)
        said = capsys.readouterr().err
        assert code == 2, said
        (line,) = [line for line in said.splitlines() if not line.startswith("WARNING: ")]
        assert line.startswith("thermo-qc"), said
        assert "Traceback" not in said and len(said) < 600, said
        for word in words:
            assert word in said, said
        assert _tree(tmp_path) == before
        return said

    return check


def _command(verb: str, recording: Path, lab: Path, forest_run: Path, folder: Path) -> list[object]:
    """A command of a verb that is right in everything but the recording; its outputs would lie in ``folder``."""
    if verb == "info":
        return [verb, recording]
    if verb == "convert":
        return [verb, recording, "-o", folder / "out.h5"]
    if verb == "register":
        points = ["2,2,2,2", "60,2,60,2", "60,50,60,50", "2,50,2,50"]
        picked = [part for point in points for part in ("--point", point)]
        return [verb, recording, lab / "little.yaml", *picked, "-o", folder / "out.h5"]
    if verb == "predict":
        return [verb, forest_run, recording, "-o", folder / "out"]
    manifest = folder / "manifest.yaml"
    plate = str(lab / "little.yaml")
    entries = [
        {"key": "bad", "recording": str(recording), "plate": plate, "acquisition": "bad"},
        {"key": "good", "recording": str(lab / "first.h5"), "plate": plate, "acquisition": "good"},
    ]
    manifest.write_text(yaml.safe_dump({"recordings": entries}), encoding="utf-8")
    if verb == "evaluate":
        return [verb, forest_run, manifest, "-o", folder / "out"]
    return [verb, lab / "forest.yaml", "--manifest", manifest, "-o", folder / "out"]


# ---- recordings that cannot be opened ------------------------------------------------------------------------------


def _whole_tiff(path: Path) -> None:
    cv2.imwritemulti(str(path), [np.full((12, 14), 300 + i, dtype=np.uint16) for i in range(6)])


def _whole_mat(path: Path) -> None:
    scipy.io.savemat(path, {"frames": np.zeros((6, 12, 14)), "times_s": np.arange(6.0)})


def _whole_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["Data/Tdata"] = np.zeros((12, 14, 600), dtype=np.float32)


WHOLE = {".h5": _whole_hdf5, ".mat": _whole_mat, ".tiff": _whole_tiff}


def _missing(folder: Path) -> Path:
    return folder / "nowhere.h5"


def _folder(folder: Path) -> Path:
    (folder / "plate.h5").mkdir()
    return folder / "plate.h5"


def _empty(ending: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / f"empty{ending}").write_bytes(b"")
        return folder / f"empty{ending}"

    return make


def _truncated(ending: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"cut{ending}"
        WHOLE[ending](path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        return path

    return make


def _unknown(folder: Path) -> Path:
    (folder / "plate.xyz").write_bytes(b"neither this nor that")
    return folder / "plate.xyz"


def _array(shape: tuple[int, ...]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        np.save(folder / "frames.npy", np.zeros(shape, dtype=np.float32))
        return folder / "frames.npy"

    return make


def _timed(times: Sequence[float]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        frames = np.random.default_rng(0).normal(size=(6, 12, 14)).astype(np.float32)
        np.savez(folder / "timed.npz", frames=frames, times_s=np.asarray(times, dtype=np.float64))
        return folder / "timed.npz"

    return make


CANNOT_BE_OPENED: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "missing": (_missing, ("nowhere.h5", "does not exist")),
    "folder instead of file": (_folder, ("plate.h5", "holds no frames")),
    "empty hdf5": (_empty(".h5"), ("empty.h5", "empty")),
    "empty mat": (_empty(".mat"), ("empty.mat", "empty")),
    "empty tiff": (_empty(".tiff"), ("empty.tiff", "empty")),
    "truncated hdf5": (_truncated(".h5"), ("cut.h5",)),
    "truncated mat": (_truncated(".mat"), ("cut.mat",)),
    "truncated tiff": (_truncated(".tiff"), ("cut.tiff",)),
    "unknown extension": (_unknown, ("plate.xyz", ".h5")),
    "two dimensions": (_array((12, 14)), ("frames.npy", "(12, 14)", "three")),
    "four dimensions": (_array((2, 6, 12, 14)), ("frames.npy", "(2, 6, 12, 14)", "three")),
    "times that stand still": (_timed([0, 1, 2, 2, 3, 4]), ("timed.npz", "increasing")),
    "too few times": (_timed([0, 1, 2, 3, 4]), ("timed.npz", "5", "6")),
    "a time that is no number": (_timed([0, 1, np.nan, 3, 4, 5]), ("timed.npz", "not finite")),
}


@pytest.mark.parametrize("verb", RECORDING_VERBS)
@pytest.mark.parametrize("what", CANNOT_BE_OPENED)
def test_a_recording_that_cannot_be_opened(
    what: str, verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused
) -> None:
    make, words = CANNOT_BE_OPENED[what]
    refused(_command(verb, make(tmp_path), lab, forest_run, tmp_path), *words)


# ---- recordings whose frames are of no use -------------------------------------------------------------------------


@pytest.fixture
def spoilt(lab: Path, tmp_path: Path) -> Callable[[Callable[[np.ndarray], np.ndarray]], Path]:
    """The first recording with other frames."""

    def make(change: Callable[[np.ndarray], np.ndarray]) -> Path:
        good = read_sequence(lab / "first.h5").loaded()
        path = tmp_path / "spoilt.h5"
        write_sequence(replace(good, frames=change(np.array(good.frames))), path)
        return path

    return make


USELESS = {"nan": np.nan, "infinite": np.inf, "constant": 21.5}


@pytest.mark.parametrize("verb", READERS_OF_FRAMES)
@pytest.mark.parametrize("what", USELESS)
def test_frames_without_any_information(
    what: str, verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused, spoilt: Any
) -> None:
    recording = spoilt(lambda frames: np.full_like(frames, USELESS[what]))
    refused(_command(verb, recording, lab, forest_run, tmp_path), "constant" if what == "constant" else "finite")


@pytest.mark.parametrize("verb", ["info", "convert", "register"])
@pytest.mark.parametrize("what", ["nan", "infinite"])
def test_frames_without_a_number(
    what: str, verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused, spoilt: Any
) -> None:
    recording = spoilt(lambda frames: np.full_like(frames, USELESS[what]))
    refused(_command(verb, recording, lab, forest_run, tmp_path), "finite")


def test_info_calls_constant_frames_poor(spoilt: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(spoilt(lambda frames: np.full_like(frames, 21.5))), "--json"]) == 0
    quality = json.loads(capsys.readouterr().out)["quality"]
    assert quality["verdict"] == "poor" and quality["problems"]


@pytest.mark.parametrize("verb", READERS_OF_FRAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_frame_that_is_no_number(
    value: float, verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused, spoilt: Any
) -> None:
    def change(frames: np.ndarray) -> np.ndarray:
        frames[30] = value
        return frames

    refused(_command(verb, spoilt(change), lab, forest_run, tmp_path), "finite")


@pytest.mark.parametrize("verb", READERS_OF_FRAMES)
def test_fewer_frames_than_the_model_needs(
    verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused
) -> None:
    short = tmp_path / "short.h5"
    write_sequence(read_sequence(lab / "first.h5").between(0, 21.5), short)
    refused(_command(verb, short, lab, forest_run, tmp_path), "frames")


# ---- masks, plates, labels -----------------------------------------------------------------------------------------


def _manifest(folder: Path, lab: Path, **more: object) -> Path:
    entries: list[dict[str, object]] = [
        {"key": name, "recording": str(lab / f"{name}.h5"), "plate": str(lab / "little.yaml"), "acquisition": name}
        for name in ("first", "second")
    ]
    entries[0] |= more
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump({"recordings": entries}), encoding="utf-8")
    return path


def _labelled(verb: str, manifest: Path, lab: Path, forest_run: Path, folder: Path, *more: object) -> list[object]:
    if verb == "evaluate":
        return [verb, forest_run, manifest, "-o", folder / "out"]
    return [verb, lab / "forest.yaml", "--manifest", manifest, "-o", folder / "out", *more]


@pytest.mark.parametrize("verb", ["train", "cv", "evaluate"])
@pytest.mark.parametrize("role", ["truth", "region", "exclude"])
def test_a_mask_of_another_size(
    role: str, verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused
) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.ones((9, 11), dtype=np.uint8))
    extra = {"depths_mm": {1: 1.0}} if role == "truth" else {}
    manifest = _manifest(tmp_path, lab, **{role: str(tmp_path / "mask.png")}, **extra)
    refused(_labelled(verb, manifest, lab, forest_run, tmp_path), "mask.png", "9", "11")


def test_a_region_of_another_size(lab: Path, forest_run: Path, tmp_path: Path, refused: Refused) -> None:
    cv2.imwrite(str(tmp_path / "region.png"), np.ones((9, 11), dtype=np.uint8))
    command = ["predict", forest_run, lab / "first.h5", "-o", tmp_path / "out", "--region", tmp_path / "region.png"]
    refused(command, "region.png", "9", "11")


@pytest.mark.parametrize("verb", ["simulate", "register", "train", "cv", "evaluate"])
@pytest.mark.parametrize(("shift", "word"), [({"x_mm": 30.0}, "overlap"), ({"x_mm": 200.0}, "outside")])
def test_a_plate_with_overlapping_or_outside_holes(
    shift: Mapping[str, float], word: str, verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused
) -> None:
    plate = yaml.safe_load((lab / "little.yaml").read_text(encoding="utf-8"))
    plate["holes"][1] |= {"x_mm": 24.0} if word == "overlap" else shift
    path = tmp_path / "plate.yaml"
    path.write_text(yaml.safe_dump(plate), encoding="utf-8")
    if verb == "simulate":
        command: list[object] = [verb, lab / "simulation.yaml", "--set", f"plate={path}", "-o", tmp_path / "out.h5"]
    elif verb == "register":
        command = _command(verb, lab / "first.h5", lab, forest_run, tmp_path)
        command[2] = path
    else:
        command = _labelled(verb, _manifest(tmp_path, lab, plate=str(path)), lab, forest_run, tmp_path)
    refused(command, "S2", word)


@pytest.mark.parametrize("verb", ["train", "cv"])
def test_a_class_without_samples(verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused) -> None:
    plate = yaml.safe_load((lab / "little.yaml").read_text(encoding="utf-8"))
    plate["class_schemes"]["regions"].insert(1, {"name": "between", "max_depth_mm": 2.5})
    (tmp_path / "plate.yaml").write_text(yaml.safe_dump(plate), encoding="utf-8")
    manifest = tmp_path / "manifest.yaml"
    entries = [
        {"key": name, "recording": str(lab / f"{name}.h5"), "plate": "plate.yaml", "acquisition": name}
        for name in ("first", "second")
    ]
    manifest.write_text(yaml.safe_dump({"recordings": entries}), encoding="utf-8")
    refused(_labelled(verb, manifest, lab, forest_run, tmp_path), "between", "no training pixel")


def test_more_folds_than_groups(lab: Path, forest_run: Path, tmp_path: Path, refused: Refused) -> None:
    command = _labelled("cv", lab / "manifest.yaml", lab, forest_run, tmp_path, "--set", "folds.k=5")
    refused(command, "5", "2")


# ---- names in YAML -------------------------------------------------------------------------------------------------

WRONG_NAMES = {
    "kind": ("cnn", "model.kind=curves", "did you mean 'curve'"),
    "curve model": ("cnn", "model.name=ltsm", "did you mean 'lstm'"),
    "segmenter": ("unet", "model.name=unett", "did you mean 'unet'"),
    "forest": ("forest", "model.name=random_forrest", "did you mean 'random_forest'"),
    "encoder": ("unet", "model.parameters.encoder=resnet19", "did you mean 'resnet1"),
    "parameter": ("forest", "model.parameters.n_treess=4", "did you mean 'n_trees'"),
    "loss": ("cnn", "train.losses=[{name: dise}]", "did you mean 'dice'"),
    "optimiser": ("cnn", "train.optimiser.name=adamm", "did you mean 'adam"),
    "schedule": ("cnn", "train.schedule.name=cosin", "did you mean 'cosine'"),
    "class scheme": ("forest", "data.class_scheme=region", "did you mean 'regions'"),
    "key": ("forest", "train.epoch=5", "did you mean 'epochs'"),
}


@pytest.mark.parametrize("verb", ["train", "cv"])
@pytest.mark.parametrize("what", WRONG_NAMES)
def test_an_unknown_name(what: str, verb: str, lab: Path, tmp_path: Path, refused: Refused) -> None:
    experiment, change, words = WRONG_NAMES[what]
    command = [verb, lab / f"{experiment}.yaml", "--manifest", lab / "manifest.yaml", "-o", tmp_path / "out"]
    refused([*command, "--set", change], words)


def test_an_unknown_key_of_a_simulation_a_plate_and_a_manifest(lab: Path, tmp_path: Path, refused: Refused) -> None:
    command = ["simulate", lab / "simulation.yaml", "-o", tmp_path / "out.h5", "--set", "camera.net_k=1"]
    refused(command, "did you mean 'netd_k'")
    manifest = _manifest(tmp_path, lab, acquisitions="x")
    refused(["cv", lab / "forest.yaml", "--manifest", manifest, "-o", tmp_path / "out"], "acquisition'")


# ---- output folders ------------------------------------------------------------------------------------------------


def _outputs(lab: Path, forest_run: Path, out: Path) -> dict[str, list[object]]:
    manifest = ["--manifest", lab / "manifest.yaml"]
    return {
        "train": ["train", lab / "forest.yaml", *manifest, "-o", out],
        "cv": ["cv", lab / "forest.yaml", *manifest, "-o", out],
        "evaluate": ["evaluate", forest_run, lab / "manifest.yaml", "-o", out],
        "predict": ["predict", forest_run, lab / "first.h5", "-o", out],
        "demo": ["demo", "-o", out],
    }


@pytest.mark.parametrize("verb", ["train", "cv", "evaluate", "predict", "demo"])
def test_an_output_folder_with_something_else(
    verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("Dear", encoding="utf-8")
    refused(_outputs(lab, forest_run, tmp_path / "letters")[verb], "letters", "--overwrite")


@pytest.mark.parametrize("verb", ["train", "evaluate", "predict", "demo"])
def test_an_output_folder_of_another_command(
    verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused
) -> None:
    shutil.copytree(forest_run, tmp_path / "forest")
    refused(_outputs(lab, forest_run, tmp_path / "forest")[verb], "a 'cv' run", "--overwrite")


@pytest.mark.parametrize("verb", ["train", "predict"])  # of cv: see test_workflow_cv.py
def test_the_same_command_continues_and_keeps_its_results(
    verb: str, lab: Path, forest_run: Path, tmp_path: Path
) -> None:
    command = [str(part) for part in _outputs(lab, forest_run, tmp_path / "out")[verb]]
    result = {"train": "model.safetensors", "predict": "first.h5"}
    assert main(command) == 0
    kept = tmp_path / "out" / result[verb]
    before = kept.read_bytes(), kept.stat().st_mtime_ns
    assert main(command) == 0
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == before


@pytest.mark.parametrize("verb", ["convert", "simulate", "register"])
def test_an_output_file_that_exists(verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "out.h5").write_bytes(b"mine")
    command = _command(verb, lab / "first.h5", lab, forest_run, tmp_path)
    if verb == "simulate":
        command = [verb, lab / "simulation.yaml", "-o", tmp_path / "out.h5"]
    refused(command, "out.h5", "exists", "--overwrite")


@pytest.mark.parametrize("verb", ["train", "cv", "evaluate", "predict", "demo"])
def test_an_output_folder_that_is_a_file(
    verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    refused(_outputs(lab, forest_run, tmp_path / "out")[verb], "is a file")


def test_overwrite_replaces_another_commands_run(lab: Path, forest_run: Path, tmp_path: Path) -> None:
    shutil.copytree(forest_run, tmp_path / "out")
    command = [str(part) for part in _outputs(lab, forest_run, tmp_path / "out")["predict"]]
    assert main([*command, "--overwrite"]) == 0
    assert (tmp_path / "out" / "first.h5").is_file() and not (tmp_path / "out" / "fold_0").exists()


@pytest.mark.parametrize("verb", ["train", "cv"])
def test_nothing_to_resume(verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused) -> None:
    refused([*_outputs(lab, forest_run, tmp_path / "out")[verb], "--resume"], "--resume")


# ---- a full disk ---------------------------------------------------------------------------------------------------


def _full_after(n_files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full once a number of files has been written."""
    left = [n_files]
    rename = Path.replace

    def full(path: Path, target: Path) -> Path:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", full)


FULL_AFTER = [
    *((verb, 0) for verb in ("convert", "register", "simulate", "train", "cv", "evaluate", "predict")),
    ("register", 1),  # between its two files
    ("train", 3),  # before the model
    ("cv", 6),  # between the models of two folds
    ("predict", 4),  # between the three files of a recording
]


@pytest.mark.parametrize(("verb", "n_files"), FULL_AFTER)
def test_a_full_disk(
    verb: str, n_files: int, lab: Path, forest_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    if verb == "simulate":
        command: list[object] = [verb, lab / "simulation.yaml", "-o", tmp_path / "out.h5"]
    elif verb in ("convert", "register"):
        command = _command(verb, lab / "first.h5", lab, forest_run, tmp_path)
    else:
        command = _outputs(lab, forest_run, tmp_path / "out")[verb]
    _full_after(n_files, monkeypatch)
    assert main([str(part) for part in command]) == 2
    said = capsys.readouterr().err
    assert said.startswith("thermo-qc: ") and said.count("\n") == 1 and "No space left on device" in said, said
    monkeypatch.undo()
    if verb == "cv" and n_files:  # a finished fold is worth keeping: the run says that it is not complete and continues
        record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
        assert record["status"] == "running"
        assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]
        assert main([str(part) for part in command]) == 0
    else:
        assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_half_prediction(
    lab: Path, forest_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thermo_qc.workflows import predict_one

    def full(*_: object, **__: object) -> NoReturn:
        from thermo_qc.errors import OutputError

        raise OutputError("first.h5 cannot be written: No space left on device; free the disk")

    monkeypatch.setattr(predict_one, "write_defect_map", full)
    recordings = [str(lab / "first.h5"), str(lab / "second.h5")]
    assert main(["predict", str(forest_run), *recordings, "-o", str(tmp_path / "out")]) == 3
    assert not list(tmp_path.rglob("first.*"))


def test_a_full_disk_under_a_report(
    forest_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    _full_after(0, monkeypatch)
    refused(["report", forest_run, "-o", tmp_path / "page.html"], "page.html", "No space left on device")


def test_a_page_that_exists(forest_run: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "page.html").write_text("mine", encoding="utf-8")
    refused(["report", forest_run, "-o", tmp_path / "page.html"], "page.html", "--overwrite")


def test_results_never_replace_the_recording(lab: Path, forest_run: Path, tmp_path: Path, refused: Refused) -> None:
    shutil.copy(lab / "first.h5", tmp_path / "first.h5")
    refused(["predict", forest_run, tmp_path / "first.h5", "-o", tmp_path, "--overwrite"], "would replace")


@pytest.mark.parametrize("what", ["missing", "empty", "file"])
def test_a_folder_without_run_has_no_report(what: str, tmp_path: Path, refused: Refused) -> None:
    if what == "empty":
        (tmp_path / "run").mkdir()
    elif what == "file":
        (tmp_path / "run").write_text("no run", encoding="utf-8")
    refused(["report", tmp_path / "run"], "run")


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
@pytest.mark.parametrize("what", ["missing", "empty folder", "empty", "truncated"])
def test_a_model_that_cannot_be_loaded(
    what: str, verb: str, lab: Path, forest_run: Path, tmp_path: Path, refused: Refused
) -> None:
    model = tmp_path / "model.safetensors"
    if what == "empty folder":
        model.mkdir()
    elif what == "empty":
        model.write_bytes(b"")
    elif what == "truncated":
        model.write_bytes((forest_run / "fold_0" / "model.safetensors").read_bytes()[:5000])
    command = _outputs(lab, model, tmp_path / "out")[verb]
    refused(command, "model.safetensors")
