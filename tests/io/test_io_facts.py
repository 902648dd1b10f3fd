"""Facts: options before sidecar before file, time base, start and stop of the heating."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thermo_qc.config import Facts, MaterialConfig
from thermo_qc.errors import (
    AmbiguousInputError,
    ConfigError,
    CorruptFileError,
    MissingFactError,
    SequenceError,
    UnknownNameError,
)
from thermo_qc.io import read_facts_sidecar, read_sequence, write_sequence
from thermo_qc.sequence import Material, ThermalSequence


@pytest.fixture
def stack_file(tmp_path: Path, frames: np.ndarray) -> Path:
    np.save(tmp_path / "plate.npy", frames)
    return tmp_path / "plate.npy"


def test_without_time_base_the_message_says_how(stack_file: Path) -> None:
    with pytest.raises(
        MissingFactError, match=r"no time base; give frame_rate_hz \(or times_s\).*sidecar plate\.npy\.yaml"
    ):
        read_sequence(stack_file)


def test_every_fact_arrives(stack_file: Path) -> None:
    material = MaterialConfig(
        name="M",
        conductivity_through_w_mk=1,
        conductivity_in_plane_w_mk=2,
        density_kg_m3=3,
        heat_capacity_j_kgk=4,
    )
    facts: dict[str, Any] = {
        "unit": "degC",
        "excitation": "periodic",
        "frequency_hz": 0.1,
        "flux_w_m2": 500.0,
        "pixel_pitch_mm": 0.5,
        "ambient_c": 21.0,
        "emissivity": 0.9,
        "thickness_mm": 4.0,
        "netd_k": 0.03,
        "camera": "C",
        "specimen_id": "S",
        "acquisition_id": "A",
    }
    result = read_sequence(
        stack_file, frame_rate_hz=2, heating_start_s=0.5, heating_stop_s=1.25, material=material, **facts
    )
    assert result.excitation.kind == facts.pop("excitation")
    assert result.excitation.frequency_hz == facts.pop("frequency_hz")
    assert result.excitation.flux_w_m2 == facts.pop("flux_w_m2")
    assert {name: getattr(result, name) for name in facts} == facts
    assert result.material == Material(**material.model_dump())
    assert read_sequence(stack_file, frame_rate_hz=2, material=result.material).material == result.material
    np.testing.assert_allclose(result.times_s, np.arange(5) / 2 - 0.5)
    assert (result.excitation.start_s, result.excitation.stop_s) == (0.0, 0.75)


def test_time_base_from_rate_first_time_or_list(stack_file: Path) -> None:
    np.testing.assert_allclose(read_sequence(stack_file, frame_rate_hz=4).times_s, np.arange(5) / 4)
    np.testing.assert_allclose(read_sequence(stack_file, frame_rate_hz=4, t_first_s=-1).times_s, np.arange(5) / 4 - 1)
    times = np.array([0.0, 0.1, 0.5, 2.0, 9.0])
    np.testing.assert_array_equal(read_sequence(stack_file, times_s=times).times_s, times)


@pytest.mark.parametrize(
    ("facts", "error", "message"),
    [
        ({"times_s": [0, 1, 2]}, SequenceError, "times_s has 3 times, expected 5, one per frame"),
        ({"times_s": [0, 1, 1, 2, 3]}, SequenceError, "times_s does not strictly increase"),
        ({"times_s": [0, 1, 2, 3, float("nan")]}, ConfigError, r"'times_s\.4' is nan, expected a finite number"),
        ({"times_s": [0, 1, 2, 3, 4], "frame_rate_hz": 1}, ConfigError, "times_s came together with frame_rate_hz"),
        ({"frame_rate_hz": 0}, ConfigError, "'frame_rate_hz' is 0, expected a number greater than 0"),
        ({"frame_rate_hz": "fast"}, ConfigError, "'frame_rate_hz' is 'fast'"),
        ({"frame_rate_hz": 1e300, "t_first_s": 1}, SequenceError, "times do not strictly increase"),
        ({"frame_rte_hz": 1}, UnknownNameError, "did you mean 'frame_rate_hz'"),
        ({"frame_rate_hz": 1, "unit": "C"}, ConfigError, "'unit' is 'C'"),
        ({"frame_rate_hz": 1, "heating_stop_s": -1}, SequenceError, "heating stop -1.0 s is before its start 0.0 s"),
        (
            {"frame_rate_hz": 1, "heating_start_s": 3, "heating_stop_s": 2},
            SequenceError,
            "heating stop -1.0 s is before",
        ),
        ({"frame_rate_hz": 1, "variable": "x"}, ConfigError, "the .npy format has no use for 'variable'"),
        ({"frame_rate_hz": 1, "axes": "tyy"}, ConfigError, "'axes' is 'tyy'"),
        ({"frame_rate_hz": 1, "axes": "abc"}, ConfigError, "'axes' is 'abc'"),
    ],
)
def test_impossible_facts(stack_file: Path, facts: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        read_sequence(stack_file, **facts)
    assert "plate.npy" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["plate.npy.yaml", "plate.yaml", "plate.yml"])
def test_sidecar_is_read_and_options_count_before_it(stack_file: Path, name: str) -> None:
    stack_file.with_name(name).write_text("frame_rate_hz: 2\nambient_c: 20\nspecimen_id: from sidecar\n")
    assert read_facts_sidecar(stack_file) == Facts(frame_rate_hz=2, ambient_c=20, specimen_id="from sidecar")
    result = read_sequence(stack_file, ambient_c=25)
    assert (result.ambient_c, result.specimen_id, result.times_s[-1]) == (25, "from sidecar", 2.0)


def test_sidecar_counts_before_the_file(tmp_path: Path, full_sequence: ThermalSequence) -> None:
    write_sequence(full_sequence, tmp_path / "a.h5")
    (tmp_path / "a.yaml").write_text("ambient_c: 5\nunit: K\n")
    result = read_sequence(tmp_path / "a.h5", thickness_mm=3)
    assert (result.ambient_c, result.unit, result.thickness_mm, result.emissivity) == (5, "K", 3, 0.95)


@pytest.mark.parametrize(
    ("sidecar", "option", "last"),
    [
        ("frame_rate_hz: 2\nt_first_s: 1", {"times_s": [0, 1, 2, 3, 5]}, 5),
        ("times_s: [0, 1, 2, 3, 5]", {"frame_rate_hz": 2}, 2),
        ("frame_rate_hz: 2", {"t_first_s": 1}, 3),
    ],
)
def test_a_stronger_time_base_replaces_a_weaker_one(
    stack_file: Path, sidecar: str, option: dict[str, Any], last: float
) -> None:
    stack_file.with_name("plate.yaml").write_text(sidecar)
    assert read_sequence(stack_file, **option).times_s[-1] == last


def test_no_sidecar_and_two_sidecars(stack_file: Path) -> None:
    assert read_facts_sidecar(stack_file) is None
    for name in ("plate.yaml", "plate.npy.yaml"):
        stack_file.with_name(name).write_text("frame_rate_hz: 2")
    with pytest.raises(AmbiguousInputError, match=r"several sidecar files \(plate\.npy\.yaml, plate\.yaml\); keep one"):
        read_sequence(stack_file)


def test_a_wrong_sidecar_is_named(stack_file: Path) -> None:
    stack_file.with_name("plate.yaml").write_text("frame_rate: 2")
    with pytest.raises(
        UnknownNameError, match=r"plate\.yaml: unknown key 'frame_rate'; did you mean 'frame_rate_hz'.*rename it"
    ):
        read_sequence(stack_file)
    stack_file.with_name("plate.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match=r"plate\.yaml is not valid YAML at line 1"):
        read_sequence(stack_file)


def test_heating_marks_are_on_the_axis_that_the_person_gives(write_hdf5: Callable[..., Path]) -> None:
    # The file: frames every 0.5 s, heating from 0.5 s to 1.5 s.
    path = write_hdf5(MetaData__ExcitationSignal=np.array([0, 1, 1, 0, 0.0]))
    as_stored = read_sequence(path)
    assert (as_stored.times_s[0], as_stored.excitation.stop_s) == (-0.5, 1.0)
    # A stop on the file's axis; the file's start stays.
    assert read_sequence(path, heating_stop_s=1.25).excitation.stop_s == pytest.approx(0.75)
    # Another start moves time zero, the file's stop stays where it was.
    moved = read_sequence(path, heating_start_s=1.0)
    assert (moved.times_s[0], moved.excitation.stop_s) == (-1.0, 0.5)
    # Another rate: the marks keep their frames.
    slower = read_sequence(path, frame_rate_hz=1.0)
    np.testing.assert_allclose(slower.times_s, np.arange(5) - 1.0)
    assert slower.excitation.stop_s == pytest.approx(2.0)
    # Another first time shifts the axis as a whole: nothing is left of it after time zero was found.
    np.testing.assert_allclose(read_sequence(path, t_first_s=100.0).times_s, as_stored.times_s)
    late = read_sequence(path, t_first_s=100.0, heating_start_s=101.0)
    np.testing.assert_allclose(late.times_s, np.arange(5) * 0.5 - 1.0)
    assert late.excitation.stop_s == pytest.approx(0.5)


def test_restating_the_rate_of_an_own_file_keeps_the_cold_frames(tmp_path: Path, frames: np.ndarray) -> None:
    sequence = ThermalSequence(frames=frames, times_s=np.arange(5) - 2.0, unit="K")
    write_sequence(sequence, tmp_path / "a.h5")
    result = read_sequence(tmp_path / "a.h5", frame_rate_hz=10)
    np.testing.assert_allclose(result.times_s, (np.arange(5) - 2) / 10)


def test_given_times_mend_a_broken_time_axis(write_hdf5: Callable[..., Path]) -> None:
    path = write_hdf5(MetaData__DomainValues=np.zeros(5))
    with pytest.raises(CorruptFileError, match="give times_s or frame_rate_hz"):
        read_sequence(path)
    np.testing.assert_allclose(read_sequence(path, frame_rate_hz=1).times_s, np.arange(5))


def test_some_nan_frames_load_and_only_nan_does_not(tmp_path: Path, frames: np.ndarray) -> None:
    frames[:4] = np.nan
    np.save(tmp_path / "a.npy", frames)
    assert np.isnan(read_sequence(tmp_path / "a.npy", frame_rate_hz=1).frames[0]).all()
    np.save(tmp_path / "b.npy", np.full_like(frames, np.inf))
    with pytest.raises(CorruptFileError, match="NaN or infinite everywhere, expected at least one finite value"):
        read_sequence(tmp_path / "b.npy", frame_rate_hz=1)
