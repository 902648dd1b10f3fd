"""`ThermalSequence`, its metadata and its truth."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from thermo_qc.errors import MissingDependencyError, SequenceError, TruthError
from thermo_qc.sequence import (
    Defect,
    Excitation,
    FrameSource,
    FrameWindow,
    HistoryEntry,
    Material,
    Source,
    ThermalSequence,
    Truth,
)

SHAPE = (5, 4)


def build(**changes: Any) -> ThermalSequence:
    fields: dict[str, Any] = {"frames": np.zeros((3, *SHAPE)), "times_s": [0.0, 1.0, 2.0], "unit": "K"}
    return ThermalSequence(**{**fields, **changes})


def truth_of(index: Any = None, **changes: Any) -> Truth:
    index = np.zeros(SHAPE, dtype=np.int16) if index is None else index
    fields: dict[str, Any] = {"depth_mm": np.full(np.shape(index), np.nan), "defects": ()}
    return Truth(defect_index=index, **{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"frames": np.zeros((3, 4))},
            r"frames have shape \(3, 4\), expected three non-empty axes \(time, row, column\)",
        ),
        ({"frames": np.zeros((3, 4, 0))}, r"frames have shape \(3, 4, 0\), expected three non-empty axes"),
        ({"frames": [[[1.0]]]}, "frames are a list, expected an array; use numpy.asarray"),
        ({"frames": np.zeros((3, *SHAPE), dtype=complex)}, "frames hold complex128, expected real numbers"),
        ({"frames": np.zeros((3, *SHAPE), dtype=bool)}, "frames hold bool, expected real numbers"),
        ({"times_s": [0.0, 1.0]}, "2 times came with 3 frames, expected one time per frame"),
        (
            {"times_s": [[0.0], [1.0], [2.0]]},
            r"times of shape \(3, 1\) came with 3 frames, expected one time per frame",
        ),
        (
            {"times_s": [0.0, 1.0, 1.0]},
            "times do not strictly increase: frame 1 is at 1 s, frame 2 at 1 s; give the frame rate or",
        ),
        ({"times_s": [0.0, 2.0, 1.0]}, "times do not strictly increase: frame 1 is at 2 s, frame 2 at 1 s"),
        (
            {"times_s": [0.0, np.nan, 2.0]},
            "the time of frame 1 is nan; give the frame rate or a corrected list of times",
        ),
        ({"times_s": [0.0, 1.0, np.inf]}, "the time of frame 2 is inf"),
        ({"unit": "celsius"}, "unit is 'celsius', expected one of K, degC, counts"),
        ({"pixel_pitch_mm": 0.0}, "pixel_pitch_mm is 0.0, expected a positive number or nothing when unknown"),
        ({"thickness_mm": -1.0}, "thickness_mm is -1.0, expected a positive number"),
        ({"netd_k": np.nan}, "netd_k is nan, expected a positive number"),
        ({"emissivity": np.inf}, "emissivity is inf, expected a positive number"),
        ({"emissivity": 1.1}, "emissivity is 1.1, expected at most 1"),
        ({"ambient_c": np.nan}, "ambient_c is nan, expected a temperature"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SequenceError, match=message):
        build(**changes)


def test_truth_of_another_size_is_refused() -> None:
    message = r"truth has shape \(4, 5\), the frames have \(5, 4\); use masks of the same frame"
    with pytest.raises(TruthError, match=message):
        build(truth=truth_of(np.zeros((4, 5), dtype=np.int16)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float16, np.float32, np.float64])
def test_all_real_numbers_are_frames(dtype: type) -> None:
    sequence = build(frames=np.ones((3, *SHAPE), dtype=dtype))
    assert sequence.curves().dtype == np.float32
    assert (sequence.curves() == 1).all()


def test_times_are_a_frozen_copy() -> None:
    given_times = np.array([0.0, 1.0, 2.0])
    sequence = build(times_s=given_times)
    given_times[0] = 9.0
    assert sequence.times_s.tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        sequence.times_s[0] = 9.0
    with pytest.raises(AttributeError):
        sequence.unit = "K"  # type: ignore[misc]


def test_sizes_and_frame_rate(sequence: ThermalSequence) -> None:
    assert sequence.n_frames == 6
    assert sequence.frame_shape == SHAPE
    assert sequence.frame_rate_hz == 2.0  # median step 0.5 s among 0.5, 0.5, 0.5, 1.5, 2.0
    assert build(frames=np.zeros((1, *SHAPE)), times_s=[0.0]).frame_rate_hz is None


def test_crop_cuts_frames_and_truth(sequence: ThermalSequence, frames: NDArray[np.float32]) -> None:
    index = np.arange(20).reshape(SHAPE) % 3
    truth = truth_of(index, defects=(Defect(number=1), Defect(number=2)))
    part = ThermalSequence(frames=frames, times_s=sequence.times_s, unit="degC", truth=truth).crop(
        slice(1, 4), slice(-3, None)
    )
    assert np.array_equal(part.frames[:, :, :], frames[:, 1:4, 1:])
    assert part.truth is not None
    assert np.array_equal(part.truth.defect_index, index[1:4, 1:])
    assert part.truth.defects == truth.defects
    assert part.history == (HistoryEntry(step="crop", parameters={"rows": [1, 4], "columns": [1, 4]}),)


@pytest.mark.parametrize(
    ("rows", "columns", "shown"),
    [
        (slice(2, 2), slice(None), "rows 2:2 and columns :"),
        (slice(None), slice(4, 9), "rows : and columns 4:9"),
        (slice(None, None, 2), slice(None), "rows ::2 and columns :"),
    ],
)
def test_empty_and_stepped_crops_are_refused(
    sequence: ThermalSequence, rows: slice, columns: slice, shown: str
) -> None:
    with pytest.raises(SequenceError, match=f"crop of {shown} leaves nothing of .* or has a step; give slices"):
        sequence.crop(rows, columns)


def test_between_keeps_both_ends(sequence: ThermalSequence, frames: NDArray[np.float32]) -> None:
    part = sequence.between(-0.5, 2.0)
    assert part.times_s.tolist() == [-0.5, 0.0, 0.5, 2.0]
    assert np.array_equal(part.frames[:, :, :], frames[1:5])
    assert part.history[-1] == HistoryEntry(step="between", parameters={"t_start_s": -0.5, "t_end_s": 2.0})
    assert sequence.between(None, 0.0).n_frames == 3
    assert sequence.between(0.1, None).n_frames == 3
    assert sequence.between(None, None).n_frames == 6


def test_an_empty_time_window_says_what_there_is(sequence: ThermalSequence) -> None:
    message = "no frame lies between 5 s and inf s; the recording runs from -1 s to 4 s"
    with pytest.raises(SequenceError, match=message):
        sequence.between(5.0, None)
    with pytest.raises(SequenceError, match=r"no frame lies between 0\.6 s and 1\.9 s"):
        sequence.between(0.6, 1.9)


def test_curves_are_the_pixels_row_by_row(sequence: ThermalSequence, frames: NDArray[np.float32]) -> None:
    curves = sequence.curves()
    assert curves.shape == (20, 6)
    assert np.array_equal(curves[1 * 4 + 2], frames[:, 1, 2])
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3, 1] = mask[0, 2] = True
    assert np.array_equal(sequence.curves(mask), np.stack([frames[:, 0, 2], frames[:, 3, 1]]))
    assert sequence.curves(np.zeros(SHAPE, dtype=bool)).shape == (0, 6)


def test_curves_refuse_masks_that_would_pick_other_pixels(sequence: ThermalSequence) -> None:
    with pytest.raises(SequenceError, match=r"mask has shape \(4, 5\), the frames have \(5, 4\)"):
        sequence.curves(np.zeros((4, 5), dtype=bool))
    with pytest.raises(SequenceError, match="mask holds uint8, expected bool; write mask > 0"):
        sequence.curves(np.ones(SHAPE, dtype=np.uint8))  # type: ignore[arg-type]


@given(
    hnp.arrays(np.float32, st.tuples(*[st.integers(1, 5)] * 3), elements=st.floats(-50, 50, width=32)),
    st.integers(1, 400),
)
@settings(deadline=None, max_examples=40)
def test_blocks_cover_every_row_once_in_bounded_memory(frames: NDArray[np.float32], max_bytes: int) -> None:
    sequence = ThermalSequence(frames=frames, times_s=np.arange(len(frames)), unit="K")
    bands = list(sequence.blocks(max_bytes))
    assert np.array_equal(np.concatenate([block for _, block in bands], axis=1), frames)
    assert [row for rows, _ in bands for row in range(rows.start, rows.stop)] == list(range(frames.shape[1]))
    assert all(block.nbytes <= max_bytes or block.shape[1] == 1 for _, block in bands)


def test_lazy_frames_are_a_source_and_stay_lazy(lazy_frames: Any, times_s: NDArray[np.float64]) -> None:
    assert isinstance(lazy_frames, FrameSource)
    sequence = ThermalSequence(frames=lazy_frames, times_s=times_s, unit="K")
    assert sequence.is_lazy
    part = sequence.between(0.0, None).crop(slice(1, 3), slice(2, 4))
    assert part.is_lazy
    assert part.frames.dtype == np.float32
    assert lazy_frames.values_read == 0
    eager = sequence.loaded().between(0.0, None).crop(slice(1, 3), slice(2, 4))
    assert not eager.is_lazy
    lazy_frames.values_read = 0
    assert np.array_equal(part.curves(), eager.curves())
    assert lazy_frames.values_read == 4 * 2 * 2
    assert part.loaded().history == eager.history
    assert eager.loaded() is eager


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_a_window_indexes_like_the_array_it_stands_for(data: st.DataObject) -> None:
    frames = np.arange(5 * 4 * 3).reshape(5, 4, 3)
    part = tuple(data.draw(st.slices(length).filter(lambda one: one.step in (None, 1))) for length in frames.shape)
    window, array = FrameWindow(frames, part), frames[part]
    assert window.shape == array.shape
    assert np.array_equal(np.asarray(window), array)
    if array.size:
        key = data.draw(hnp.basic_indices(array.shape, allow_newaxis=False))
        assert np.array_equal(window[key], array[key])


def test_a_window_checks_its_bounds() -> None:
    window = FrameWindow(np.zeros((5, 4, 3)), (slice(1, 3), slice(None), slice(None)))
    with pytest.raises(IndexError):
        window[2, 0, 0]
    with pytest.raises(ValueError, match="a view without a copy is not possible"):
        np.asarray(window, copy=False) if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else window.__array__(
            copy=False
        )


def test_with_frames_adds_to_the_history(sequence: ThermalSequence) -> None:
    first = sequence.with_frames(np.zeros((6, 2, 2)), "shrink", parameters={"factor": 2}, pixel_pitch_mm=4.0)
    second = first.with_frames(first.frames, "nothing")
    assert [entry.step for entry in second.history] == ["shrink", "nothing"]
    assert second.history == (HistoryEntry(step="shrink", parameters={"factor": 2}), HistoryEntry(step="nothing"))
    assert second.history != (HistoryEntry(step="shrink", parameters={"factor": 3}), HistoryEntry(step="nothing"))
    assert second.pixel_pitch_mm == 4.0
    assert sequence.history == ()


@pytest.mark.parametrize(
    ("pitch", "units", "x"), [(2.0, "mm", [1.0, 3.0, 5.0, 7.0]), (None, "px", [0.5, 1.5, 2.5, 3.5])]
)
def test_to_xarray(
    frames: NDArray[np.float32], times_s: NDArray[np.float64], pitch: float | None, units: str, x: list[float]
) -> None:
    pytest.importorskip("xarray")
    sequence = ThermalSequence(frames=frames, times_s=times_s, unit="K", pixel_pitch_mm=pitch, specimen_id="P1")
    array = sequence.to_xarray()
    assert array.dims == ("time_s", "y", "x")
    assert array.x.values.tolist() == x
    assert array.x.attrs["units"] == units
    assert array.name == "temperature"
    assert array.attrs == {"units": "K", "specimen": "P1"}
    assert np.array_equal(array.sel(time_s=0.5, x=x[1]).values, frames[3, :, 1])


def test_to_xarray_without_xarray_has_the_pip_line(sequence: ThermalSequence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingDependencyError, match="pip install xarray"):
        sequence.to_xarray()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "lamp"}, "excitation kind is 'lamp', expected one of flash, long_pulse, step, periodic, unknown"),
        ({"start_s": np.nan}, "heating start is nan s, expected a time"),
        ({"stop_s": -1.0}, "heating stop -1.0 s is before its start 0.0 s; give the stop in seconds after the start"),
        ({"stop_s": np.nan}, "heating stop nan s is before its start"),
        ({"stop_s": np.inf}, "heating stop inf s is before its start"),
        ({"flux_w_m2": -1.0}, "flux_w_m2 is -1.0, expected a positive number or nothing"),
        ({"frequency_hz": np.inf}, "frequency_hz is inf, expected a positive number or nothing"),
    ],
)
def test_impossible_excitations_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SequenceError, match=message):
        Excitation(**changes)


MATERIAL = {
    "conductivity_through_w_mk": 0.30,
    "conductivity_in_plane_w_mk": 0.40,
    "density_kg_m3": 1900.0,
    "heat_capacity_j_kgk": 1000.0,
}


def test_material_derives_diffusivity_and_effusivity() -> None:
    material = Material(name="GFRP", **MATERIAL)
    assert material.diffusivity_through_mm2_s == pytest.approx(0.3 / 1.9e6 * 1e6)
    assert material.diffusivity_in_plane_mm2_s == pytest.approx(0.4 / 1.9e6 * 1e6)
    assert material.effusivity_w_s05_m2k == pytest.approx((0.3 * 1.9e6) ** 0.5)
    alpha_m2_s = material.diffusivity_through_mm2_s * 1e-6
    assert material.effusivity_w_s05_m2k == pytest.approx(0.3 / alpha_m2_s**0.5)


@pytest.mark.parametrize("name", list(MATERIAL))
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_impossible_materials_are_refused(name: str, value: float) -> None:
    with pytest.raises(SequenceError, match=f"material 'GFRP': {name} is {value}, expected a positive number"):
        Material(name="GFRP", **{**MATERIAL, name: value})


def test_source_is_compared_by_content() -> None:
    assert Source(path="a.h5", sha256="00") == Source(path="a.h5", sha256="00")
    assert Source(path="a.h5", sha256="00") != Source(path="a.h5", sha256="01")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"number": 0}, "defect number is 0, expected 1 to 32767"),
        ({"number": 40_000}, "defect number is 40000, expected 1 to 32767"),
        ({"number": 3, "depth_mm": np.nan}, "defect 3 has depth_mm nan, expected a length, or nothing when unknown"),
        ({"number": 3, "name": "D1", "diameter_mm": -2.0}, "defect D1 has diameter_mm -2.0, expected a length"),
    ],
)
def test_impossible_defects_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TruthError, match=message):
        Defect(**changes)


@pytest.mark.parametrize(
    ("index", "changes", "message"),
    [
        (np.zeros(3, int), {}, r"truth maps have shapes \(3,\) and \(3,\), expected one shape \(Y, X\)"),
        (np.zeros((2, 2), int), {"depth_mm": np.zeros((2, 3))}, r"shapes \(2, 2\) and \(2, 3\), expected one shape"),
        (
            np.array([[0, 5]]),
            {"defects": (Defect(number=1),)},
            r"defects \[5\] are on the map but not in the list \[1\]",
        ),
        (np.array([[0, 1]]), {"defects": (Defect(number=1),) * 2}, r"defects \[1\] are listed more than once"),
        (np.array([[0, -2]]), {}, "holds other values than whole numbers from -1 to 32767"),
        (np.array([[0, -2]], np.int16), {}, "holds other values than whole numbers from -1 to 32767"),
        (np.array([[0, 65_537]]), {}, "holds other values than whole numbers from -1 to 32767"),
        (np.array([[0.0, np.nan]]), {}, "holds other values than whole numbers"),
        (np.array([[0.0, 0.5]]), {}, "holds other values than whole numbers"),
        (np.array([["a"]]), {}, "holds other values than whole numbers"),
    ],
)
def test_impossible_truths_are_refused(index: NDArray[Any], changes: dict[str, Any], message: str) -> None:
    changes = {"depth_mm": np.full(index.shape, np.nan), **changes}
    with pytest.raises(TruthError, match=message):
        truth_of(index, **changes)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int64, np.float64])
def test_truth_takes_whole_numbers_of_any_type(dtype: type) -> None:
    truth = truth_of(np.array([[0, 7]], dtype=dtype), defects=(Defect(number=7), Defect(number=8)))
    assert truth.defect_index.dtype == np.int16
    assert truth.depth_mm.dtype == np.float32
    assert truth.shape == (1, 2)


def test_restricted_truth_marks_the_rest_as_not_to_be_used() -> None:
    truth = truth_of(
        np.array([[0, 1], [1, -1]]), depth_mm=np.array([[np.nan, 2], [2, np.nan]]), defects=(Defect(number=1),)
    )
    assert truth.valid.tolist() == [[True, True], [True, False]]
    restricted = truth.restricted_to(np.array([[True, False], [True, True]]))
    assert restricted.defect_index.tolist() == [[0, -1], [1, -1]]
    assert np.array_equal(restricted.depth_mm, [[np.nan, np.nan], [2, np.nan]], equal_nan=True)
    with pytest.raises(TruthError, match=r"region mask has shape \(1, 2\), the truth has \(2, 2\); draw it"):
        truth.restricted_to(np.ones((1, 2), dtype=bool))
