"""Manifests in YAML and CSV, and what an entry becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from thermo_qc.errors import ConfigError, InputError, TruthError, UnknownNameError
from thermo_qc.io import Manifest, entry_plate, load_entry, load_manifest, write_sequence
from thermo_qc.plate import load_plate
from thermo_qc.sequence import ThermalSequence

PLATE = {
    "name": "small",
    "width_mm": 6.0,
    "height_mm": 8.0,
    "thickness_mm": 4.0,
    "depth_convention": "ligament",
    "material": {
        "name": "GFRP",
        "conductivity_through_w_mk": 0.3,
        "conductivity_in_plane_w_mk": 0.4,
        "density_kg_m3": 1900.0,
        "heat_capacity_j_kgk": 1000.0,
    },
    "holes": [{"name": "A", "x_mm": 3.0, "y_mm": 3.0, "diameter_mm": 3.0, "depth_mm": 1.0}],
}


@pytest.fixture
def folder(tmp_path: Path, full_sequence: ThermalSequence, frames: np.ndarray) -> Path:
    """Folder with a recording that knows everything, one that knows nothing, masks and a plate."""
    (tmp_path / "data").mkdir()
    write_sequence(full_sequence, tmp_path / "data" / "full.h5")
    np.save(tmp_path / "data" / "bare.npy", frames)
    mask = np.zeros((4, 3), np.uint8)
    mask[0, 0], mask[2:, 1:] = 2, 5
    Image.fromarray(mask).save(tmp_path / "mask.png")
    region = np.ones((4, 3), np.uint8)
    region[:, 0] = 0
    Image.fromarray(region).save(tmp_path / "region.png")
    Image.fromarray((np.indices((4, 3))[0] == 3).astype(np.uint8)).save(tmp_path / "exclude.png")
    (tmp_path / "plate.yaml").write_text(yaml.safe_dump(PLATE))
    matrix = [[2.0, 0, 1], [0, 2, 1], [0, 0, 1]]
    (tmp_path / "registration.yaml").write_text(yaml.safe_dump({"matrix": matrix}))
    return tmp_path


def _load(folder: Path, *entries: dict[str, Any]) -> Manifest:
    (folder / "manifest.yaml").write_text(yaml.safe_dump({"recordings": list(entries)}))
    return load_manifest(folder / "manifest.yaml")


BARE = {"recording": "data/bare.npy", "facts": {"frame_rate_hz": 2.0}}


def test_smallest_manifest(folder: Path) -> None:
    manifest = _load(folder, BARE, {"recording": "data/full.h5"})
    first, second = manifest.entries
    assert (first.key, first.acquisition, first.specimen, first.condition, first.plate) == (
        "bare",
        "bare",
        "",
        "",
        None,
    )
    assert first.recording == folder / "data" / "bare.npy" and first.facts == {"frame_rate_hz": 2.0}
    sequence = load_entry(first)
    assert sequence.truth is None and sequence.times_s[-1] == 2.0 and sequence.acquisition_id == "bare"
    own = load_entry(second)
    assert own.truth is not None and own.acquisition_id == "full" and own.specimen_id == "plate 7"
    assert entry_plate(first) is None


def test_what_the_entry_says_counts_before_the_recording(folder: Path) -> None:
    material = {**PLATE["material"], "name": "other"}
    entry = {
        "key": "k",
        "recording": "data/full.h5",
        "acquisition": "a",
        "condition": "c",
        "specimen": "s",
        "material": material,
        "thickness_mm": 2.5,
        "facts": {"ambient_c": 3.0, "heating_stop_s": 1.75},
    }
    (loaded,) = _load(folder, entry).entries
    assert (loaded.key, loaded.acquisition, loaded.condition, loaded.specimen) == ("k", "a", "c", "s")
    sequence = load_entry(loaded)
    assert (sequence.specimen_id, sequence.acquisition_id, sequence.thickness_mm) == ("s", "a", 2.5)
    assert sequence.material is not None and sequence.material.name == "other"
    assert (sequence.ambient_c, sequence.excitation.stop_s) == (3.0, 1.75)


def test_mask_with_depths_replaces_the_recording_s_truth(folder: Path) -> None:
    entry = {"recording": "data/full.h5", "truth": "mask.png", "depths_mm": {2: 1.5, 5: 3.0}}
    truth = load_entry(_load(folder, entry).entries[0]).truth
    assert truth is not None
    np.testing.assert_array_equal(truth.defect_index, [[1, 0, 0], [0, 0, 0], [0, 2, 2], [0, 2, 2]])
    assert [defect.depth_mm for defect in truth.defects] == [1.5, 3.0]
    assert truth.defects[1].diameter_mm == pytest.approx(2 * np.sqrt(4 * 0.49 / np.pi))


def test_region_and_exclusion_restrict_the_truth(folder: Path) -> None:
    entry = {**BARE, "truth": "mask.png", "region": "region.png", "exclude": "exclude.png"}
    truth = load_entry(_load(folder, entry).entries[0]).truth
    assert truth is not None
    np.testing.assert_array_equal(truth.defect_index, [[-1, 0, 0], [-1, 0, 0], [-1, 2, 2], [-1, -1, -1]])
    with pytest.raises(TruthError, match="'bare' has a region or an exclusion but no truth to restrict"):
        load_entry(_load(folder, {**BARE, "region": "region.png"}).entries[0])
    with pytest.raises(TruthError, match="region and exclusion leave no pixel"):
        load_entry(
            _load(folder, {**BARE, "truth": "mask.png", "exclude": "region.png", "region": "region.png"}).entries[0]
        )


def test_registration_places_the_plate(folder: Path) -> None:
    entry = {**BARE, "plate": "plate.yaml", "registration": "registration.yaml"}
    (loaded,) = _load(folder, entry).entries
    sequence, plate = load_entry(loaded), entry_plate(loaded)
    assert plate is not None and sequence.truth is not None
    np.testing.assert_array_equal(sequence.truth.defect_index, plate.truth(2.0).defect_index)
    assert sequence.truth.defects == plate.defects
    assert (sequence.pixel_pitch_mm, sequence.thickness_mm, sequence.material) == (2.0, 4.0, plate.material)


def test_plate_alone_gives_material_but_no_truth(folder: Path) -> None:
    (loaded,) = _load(folder, {**BARE, "plate": "gfrp_calibrated"}).entries
    plate = entry_plate(loaded)
    assert plate is not None and plate.holes == load_plate("gfrp_calibrated").holes
    sequence = load_entry(loaded)
    assert sequence.truth is None and sequence.thickness_mm == 17.0
    full = load_entry(_load(folder, {"recording": "data/full.h5", "plate": "plate.yaml"}).entries[0])
    assert full.thickness_mm == 17.0 and full.truth is not None and full.truth.defects[0].name == "A1"


def test_wrong_size_of_mask(folder: Path) -> None:
    Image.fromarray(np.ones((3, 3), np.uint8)).save(folder / "mask.png")
    with pytest.raises(TruthError, match=r"mask\.png has 3 x 3 pixels, the frames have 4 x 3"):
        load_entry(_load(folder, {**BARE, "truth": "mask.png"}).entries[0])


@pytest.mark.parametrize(
    ("entries", "error", "message"),
    [
        ([], ConfigError, "recordings"),
        ([BARE, BARE], ConfigError, "key 'bare' comes twice; give every recording its own key"),
        ([{**BARE, "recordin": 1}], UnknownNameError, "recordin.*did you mean 'recording'"),
        ([{**BARE, "facts": {"frame_rate": 1}}], UnknownNameError, "frame_rate.*did you mean 'frame_rate_hz'"),
        ([{"key": "x"}], ConfigError, "recording.*missing"),
        (
            [{**BARE, "key": "x", "truth": "no.png"}],
            InputError,
            "truth of 'x' does not exist: .*no.png; paths are relative",
        ),
        ([{"recording": "data/no.h5"}], InputError, "recording of 'no' does not exist"),
        ([{**BARE, "region": "no.png"}], InputError, "region of 'bare' does not exist"),
        ([{**BARE, "exclude": "no.png"}], InputError, "exclude of 'bare' does not exist"),
        ([{**BARE, "plate": "no.yaml"}], InputError, "plate of 'bare' does not exist"),
        ([{**BARE, "plate": "gfrp_calibratd"}], InputError, "did you mean 'gfrp_calibrated'"),
        ([{**BARE, "registration": "registration.yaml"}], ConfigError, "'bare' has a registration but no plate"),
        (
            [{**BARE, "plate": "plate.yaml", "registration": "registration.yaml", "truth": "mask.png"}],
            ConfigError,
            "'bare' has both truth and registration; keep the one",
        ),
        ([{**BARE, "depths_mm": {1: 2.0}}], ConfigError, "'bare' has depths_mm but no truth"),
        ([{**BARE, "truth": "mask.png", "depths_mm": {2: -1}}], ConfigError, "depths_mm"),
    ],
)
def test_impossible_manifests(
    folder: Path, entries: list[dict[str, Any]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        _load(folder, *entries)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_manifest(folder: Path) -> None:
    with pytest.raises(InputError, match=r"is no manifest; expected a \.yaml or \.csv file"):
        load_manifest(folder / "mask.png")
    for name in ("no.yaml", "no.csv"):
        with pytest.raises(InputError, match="does not exist"):
            load_manifest(folder / name)
    (folder / "m.yaml").write_text("[1]")
    with pytest.raises(ConfigError, match=r"m\.yaml holds a list"):
        load_manifest(folder / "m.yaml")


@pytest.mark.parametrize("separator", [",", ";"])
def test_csv_says_the_same_as_yaml(folder: Path, separator: str) -> None:
    header = [
        "key",
        "recording",
        "truth",
        "depths_mm.2",
        "depths_mm.5",
        "condition",
        "facts.frame_rate_hz",
        "facts.unit",
    ]
    header += [f"material.{name}" for name in PLATE["material"]]
    first = [
        "001",
        "data/bare.npy",
        "mask.png",
        "1.5",
        "3",
        "flash",
        "2",
        "degC",
        *map(str, PLATE["material"].values()),
    ]
    second = ["b", "data/full.h5", *[""] * 11]
    rows = [header, first, [""] * 13, second]
    (folder / "m.csv").write_text("\ufeff" + "\n".join(separator.join(row) for row in rows) + "\n", encoding="utf-8")
    in_yaml = {
        "key": "001",
        "recording": "data/bare.npy",
        "truth": "mask.png",
        "depths_mm": {2: 1.5, 5: 3},
        "condition": "flash",
        "facts": {"frame_rate_hz": 2, "unit": "degC"},
        "material": PLATE["material"],
    }
    expected = _load(folder, in_yaml, {"key": "b", "recording": "data/full.h5"})
    result = load_manifest(folder / "m.csv")
    left, right = load_entry(result.entries[0]), load_entry(expected.entries[0])
    assert [replace(entry, depths_mm={}) for entry in result.entries] == [
        replace(entry, depths_mm={}) for entry in expected.entries
    ]
    assert left.truth is not None and right.truth is not None
    assert left.truth.defects == right.truth.defects and left.material == right.material


def test_csv_with_a_list_of_times(folder: Path) -> None:
    (folder / "m.csv").write_text('recording,facts.times_s\ndata/bare.npy,"0; 1 2;4;8.5"\n')
    np.testing.assert_array_equal(load_entry(load_manifest(folder / "m.csv").entries[0]).times_s, [0, 1, 2, 4, 8.5])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("recording,recording\na,b\n", ConfigError, "a column comes twice"),
        ("recording,key\na,b,c\n", ConfigError, "line 2 has more cells than the header"),
        ("recording,facts,facts.unit\na,b,c\n", ConfigError, "column 'facts.unit' is a part of column 'facts'"),
        ("recording,keyy\ndata/bare.npy,b\n", UnknownNameError, "keyy"),
        ("recording\n", ConfigError, "recordings"),
        ('recording\n"a\n', ConfigError, "is no UTF-8 CSV table"),
    ],
)
def test_impossible_csv(folder: Path, text: str, error: type[Exception], message: str) -> None:
    (folder / "m.csv").write_text(text)
    with pytest.raises(error, match=message):
        load_manifest(folder / "m.csv")
