"""What stands behind models: the run that they come from, its splits and its POD."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import h5py
import pytest
import yaml

from thermo_qc.cli import main
from thermo_qc.errors import CorruptFileError, InputError
from thermo_qc.workflows.qualification import load_pod, pod_of_models, training_of

SHA = "0f" * 32
POD = {"diameter": {"reason": "hits and misses are separated"}, "aspect": None, "false_calls_per_m2": {"value": 1.0}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder as cv leaves it, as far as it matters here."""
    folder = tmp_path / "runs" / "forest"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "predictions").mkdir()
    (folder / "fold_0" / "model.safetensors").write_bytes(b"model")
    (folder / "config.yaml").write_bytes(b"name: forest\n")
    record = {"command": "cv", "name": "lab forest", "splits_sha256": SHA, "status": "complete"}
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps({"pod": POD}), encoding="utf-8")
    for key, digest in (("a", "aa" * 32), ("b", "bb" * 32)):
        with h5py.File(folder / "predictions" / f"{key}.h5", "w") as file:
            file.attrs["model_sha256"] = json.dumps([digest])
    return folder


def test_the_run_behind_a_model_is_found(run: Path, tmp_path: Path) -> None:
    expected = {
        "run": "lab forest",
        "command": "cv",
        "splits_sha256": SHA,
        "configuration_sha256": hashlib.sha256(b"name: forest\n").hexdigest(),
    }
    assert training_of(run) == expected
    assert training_of(run / "fold_0" / "model.safetensors") == expected
    assert training_of(tmp_path, "forest") == expected
    assert set(training_of(Path("general")).values()) == {""}
    assert pod_of_models(Path("general")) is None


def test_a_pod_is_read_with_its_models(run: Path) -> None:
    pod = load_pod(run)
    assert pod == load_pod(run / "metrics.json") | {"source": str(run)}
    assert pod["model_sha256"] == ["aa" * 32, "bb" * 32]
    assert (pod["name"], pod["splits_sha256"]) == ("lab forest", SHA)
    assert set(pod["curves"]) == {"diameter", "false_calls_per_m2"}
    assert pod_of_models(run / "fold_0" / "model.safetensors") is not None
    (run / "predictions" / "c.h5").write_bytes(b"nothing")
    assert load_pod(run)["model_sha256"] == []


@pytest.mark.parametrize(
    ("content", "kind", "line"),
    [
        (None, InputError, "holds no metrics.json"),
        ("{", CorruptFileError, "broken"),
        ("[]", CorruptFileError, "broken"),
        ('{"pooled": {}}', InputError, "holds no POD"),
    ],
)
def test_a_pod_that_is_none_is_one_line(run: Path, content: str | None, kind: type[Exception], line: str) -> None:
    file = run / "metrics.json"
    if content is None:
        file.unlink()
    else:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(kind, match=line):
        load_pod(run)
    assert pod_of_models(run) is None


def test_a_procedure_may_name_a_pod(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    procedure = tmp_path / "procedure.yaml"
    procedure.write_text(yaml.safe_dump({"pod": "nowhere"}), encoding="utf-8")
    command = ["inspect", "a.h5", "--model", "general", "-o", str(tmp_path / "out"), "--procedure", str(procedure)]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "nowhere holds no metrics.json" in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()
