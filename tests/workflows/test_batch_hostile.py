"""Models, recordings, lists and manifests of somebody else: nothing in them runs, and nothing is written elsewhere."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml

from thermo_qc.cli import main


class _Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "model.pkl", "model.ckpt"])
def test_a_pickled_model_is_refused_and_not_run(
    name: str, lab: Path, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(_Bomb(tmp_path / "ran")))
    assert main(["predict", str(tmp_path / name), str(lab / "first.h5"), "-o", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "ran").exists() and not out.exists()


@pytest.mark.parametrize("workers", [[], ["--workers", "1"]])
def test_pickled_recordings_are_listed_and_not_run(
    workers: list[str], forest_run: Path, lab: Path, tmp_path: Path, out: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    bomb = np.array([_Bomb(tmp_path / "ran")], dtype=object)
    np.save(folder / "a.npy", bomb, allow_pickle=True)
    np.savez(folder / "b.npz", frames=bomb)
    (folder / "c.h5").write_bytes(pickle.dumps(_Bomb(tmp_path / "ran")))
    assert main(["predict", str(forest_run), *map(str, sorted(folder.iterdir())), "-o", str(out), *workers]) == 3
    table = (out / "failures.csv").read_text(encoding="utf-8")
    assert table.count("\n") == 4 and table.count("pickled objects, which may run code") == 2
    assert not (tmp_path / "ran").exists()


def test_facts_beside_a_recording_construct_no_objects(
    forest_run: Path, lab: Path, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "plate.h5"
    recording.write_bytes((lab / "first.h5").read_bytes())
    text = f"specimen_id: !!python/object/apply:os.mkdir ['{tmp_path / 'ran'}']\n"
    recording.with_suffix(".yaml").write_text(text, encoding="utf-8")
    assert main(["predict", str(forest_run), str(recording), "-o", str(out)]) == 2
    assert "plate.yaml" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_a_formula_as_a_name_is_text_in_the_tables(forest_run: Path, lab: Path, tmp_path: Path, out: Path) -> None:
    monday = tmp_path / "@SUM(1)"
    monday.mkdir()
    (monday / "=1+1.h5").write_bytes((lab / "first.h5").read_bytes())
    (monday / "+cmd.h5").write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(["predict", str(forest_run), "@SUM(1)/=1+1.h5", "@SUM(1)/+cmd.h5", "-o", str(out)]) == 3
    for name in ("summary.csv", "failures.csv"):
        cells = [cell for line in (out / name).read_text(encoding="utf-8").splitlines() for cell in line.split(",")]
        assert any("@SUM" in cell for cell in cells)
        assert not [cell for cell in cells if cell.lstrip('"').startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("key", ["../../escaped", "/tmp/escaped", "..", "a/../../../escaped", "a\\..\\..\\escaped"])
def test_a_key_that_leads_out_of_the_run_folder_is_refused(
    key: str, forest_run: Path, lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"key": key, "recording": str(lab / "first.h5"), "plate": str(lab / "little.yaml")}
    manifest, out = tmp_path / "manifest.yaml", tmp_path / "deep" / "er" / "out"
    manifest.write_text(yaml.safe_dump({"recordings": [entry]}), encoding="utf-8")
    assert main(["evaluate", str(forest_run), str(manifest), "-o", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "key" in said
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_list_names_recordings_only(
    forest_run: Path, lab: Path, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = ("--overwrite", "$(touch ran)", "`touch ran`", str(lab / "first.h5"))
    (tmp_path / "list.txt").write_text("\n".join(entries), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(["predict", str(forest_run), "@list.txt", "-o", str(out), "--threads", "1"]) == 3
    assert capsys.readouterr().out.count(": failed") == 3
    assert (out / "first.h5").is_file() and not (tmp_path / "ran").exists()


@pytest.mark.parametrize("links", ["external", "soft"])
def test_links_in_a_recording_lead_nowhere(links: str, forest_run: Path, lab: Path, tmp_path: Path, out: Path) -> None:
    import h5py

    recording = tmp_path / "linked.h5"
    with h5py.File(recording, "w") as file:
        target = h5py.ExternalLink(str(lab / "first.h5"), "/") if links == "external" else h5py.SoftLink("/Data")
        file["Data"] = target
    assert main(["predict", str(forest_run), str(recording), "-o", str(out)]) == 2
    assert not out.exists()
