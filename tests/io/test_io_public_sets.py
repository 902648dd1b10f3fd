"""Small files of the layouts of public data sets, as their authors describe them: manifests, truth and folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import yaml
from PIL import Image

from thermo_qc.errors import MissingFactError
from thermo_qc.evaluation import FoldItem, make_splits
from thermo_qc.io import load_entry, load_manifest, read_sequence
from thermo_qc.sequence import ThermalSequence

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
RNG = np.random.default_rng(3)
T, Y, X = 6, 10, 12


def _manifest(folder: Path, name: str) -> Path:
    """Write the README's manifest for one data set."""
    text = (Path(__file__).parents[2] / "configs" / "manifests" / f"{name}.yaml").read_text(encoding="utf-8")
    (folder / "manifest.yaml").write_text(text, encoding="utf-8")
    return folder / "manifest.yaml"


def _mask(path: Path, values: tuple[int, ...]) -> np.ndarray:
    labels = np.zeros((Y, X), np.uint8)
    for place, value in enumerate(values):
        labels[2 + 4 * (place % 2) : 4 + 4 * (place % 2), 1 + 3 * (place // 2) : 3 + 3 * (place // 2)] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)
    return labels


def _csv_frames(folder: Path, offset: float = 20.0) -> np.ndarray:
    folder.mkdir(parents=True)
    frames = (offset + RNG.random((T, Y, X))).round(2).astype(np.float32)
    for number, frame in enumerate(frames, start=1):
        np.savetxt(folder / f"frame_{number}.csv", frame, delimiter=",", fmt="%.2f")
    return frames


def _check_folds(sequences: dict[str, ThermalSequence], acquisitions: dict[str, str]) -> None:
    """Recordings of one plate are never on both sides."""
    items = [
        FoldItem(
            key=key,
            acquisition=acquisitions[key],
            plate=acquisitions[key],
            condition="",
            truth=sequence.truth,
            class_map=(sequence.truth.defect_index > 0).astype(np.uint8) if sequence.truth else None,
            pixel_pitch_mm=sequence.pixel_pitch_mm,
            guard_mm=1.0,
        )
        for key, sequence in sequences.items()
    ]
    splits = make_splits(items, by="acquisition", k=2)
    for fold in range(splits.n_folds):
        train, test = (
            {acquisitions[key] for key in keys} for keys in (splits.train_keys(fold), splits.test_keys(fold))
        )
        assert train and test and not train & test


def test_mendeley_flash_of_cfrp_and_gfrp(tmp_path: Path) -> None:
    frames = {
        f"{plate}_{side}": _csv_frames(tmp_path / plate / side)
        for plate in ("CFRP-1", "GFRP-1")
        for side in ("front", "back")
    }
    labels = _mask(tmp_path / "masks" / "CFRP-1.png", (1, 2))
    _mask(tmp_path / "masks" / "GFRP-1.png", (1, 2))
    entries = load_manifest(_manifest(tmp_path, "mendeley_v4knrwgj9y")).entries
    loaded = {entry.key: load_entry(entry) for entry in entries}
    assert set(loaded) == set(frames)
    for key, sequence in loaded.items():
        np.testing.assert_array_equal(sequence.loaded().frames, frames[key])
        assert (sequence.unit, sequence.excitation.kind) == ("degC", "flash")
        assert sequence.truth is not None
        assert {defect.depth_mm for defect in sequence.truth.defects} == {0.5, 1.0}
        np.testing.assert_array_equal(sequence.truth.defect_index > 0, labels > 0)
    _check_folds(loaded, {entry.key: entry.acquisition for entry in entries})


def test_mendeley_peek_frames_with_masks(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    frames = RNG.integers(0, 255, (T, Y, X)).astype(np.uint8)
    for number, frame in enumerate(frames, start=9):
        Image.fromarray(frame).save(folder / f"{number}.png")
    labels = _mask(tmp_path / "masks" / "plate.png", (255, 255))
    (entry,) = load_manifest(_manifest(tmp_path, "mendeley_jrsb4b9yy5")).entries
    sequence = load_entry(entry)
    np.testing.assert_array_equal(sequence.loaded().frames, frames)
    assert sequence.unit == "counts" and sequence.truth is not None
    np.testing.assert_array_equal(sequence.truth.defect_index > 0, labels > 0)
    assert len(sequence.truth.defects) == 2


@pytest.mark.parametrize("compressed", [False, True])
def test_kaggle_irt_pvc_depth(tmp_path: Path, compressed: bool) -> None:
    frames = {}
    for plate in ("001", "002"):
        frames[plate] = RNG.integers(0, 2**14, (T, Y, X)).astype(np.uint16)
        (tmp_path / "data").mkdir(exist_ok=True)
        stored = {"imageArray": np.moveaxis(frames[plate], 0, -1)}
        scipy.io.savemat(tmp_path / "data" / f"{plate}.mat", stored, do_compression=compressed)
        _mask(tmp_path / "masks" / f"{plate}.png", (1, 2, 3))
    with pytest.raises(MissingFactError, match=rf"axes=yxt \({T} frames of {Y} x {X}\)"):
        read_sequence(tmp_path / "data" / "001.mat")
    entries = load_manifest(_manifest(tmp_path, "kaggle_irt_pvc_depth")).entries
    loaded = {entry.key: load_entry(entry) for entry in entries}
    for key, sequence in loaded.items():
        np.testing.assert_array_equal(sequence.loaded().frames, frames[key])
        assert sequence.frame_rate_hz == pytest.approx(10)
        assert sequence.truth is not None and sequence.unit == "counts"
        assert sorted(defect.depth_mm or 0 for defect in sequence.truth.defects) == [0.5, 1.0, 1.5]
        depths = sequence.truth.depth_mm[sequence.truth.defect_index > 0]
        assert set(depths.tolist()) == {0.5, 1.0, 1.5}
    _check_folds(loaded, {entry.key: entry.acquisition for entry in entries})


def test_polyu_mild_steel(tmp_path: Path) -> None:
    frames = _csv_frames(tmp_path / "sequence_1")
    _mask(tmp_path / "mask.png", (1, 2, 3, 4))
    (entry,) = load_manifest(_manifest(tmp_path, "polyu_hjynzb")).entries
    sequence = load_entry(entry)
    np.testing.assert_array_equal(sequence.loaded().frames, frames)
    assert sequence.truth is not None and len(sequence.truth.defects) == 4
    assert sequence.unit == "degC"


@pytest.mark.parametrize("name", ["mendeley_v4knrwgj9y", "mendeley_jrsb4b9yy5", "kaggle_irt_pvc_depth", "polyu_hjynzb"])
def test_every_example_is_in_the_readme(name: str) -> None:
    path = Path(__file__).parents[2] / "configs" / "manifests" / f"{name}.yaml"
    assert f"configs/manifests/{name}.yaml" in README
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["recordings"]
    comments = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    assert "as described by its authors, not tried on the set itself" in comments
