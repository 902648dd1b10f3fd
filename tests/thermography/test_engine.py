"""Block-wise maps against the same maps of whole arrays, and what the engine refuses or leaves out."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError, UnknownNameError
from thermo_qc.io import read_sequence, write_sequence
from thermo_qc.sequence import Excitation, ThermalSequence
from thermo_qc.thermography import (
    Layer,
    compute_maps,
    compute_pct,
    compute_ppt,
    fit_tsr,
    make_method,
    options_of,
    second_derivative_peak,
    synthetic,
    tsr_derivatives,
)
from thermo_qc.thermography.accumulate import GramSum, group_frames, pilot_functions, standardise_pixels
from thermo_qc.thermography.blocks import RiseBlocks, heated_pixels, run_tiles
from thermo_qc.thermography.scene import Scene

STOP_S = 0.01


def cooling_plate(shape=(37, 41), n_frames=160, *, seed=0, unit="K", noise=0.01, dtype=np.float32) -> ThermalSequence:
    """Flash on a plate whose pixels cool differently, at 300 K, with ten cold frames."""
    rng = np.random.default_rng(seed)
    times = (np.arange(n_frames) - 10 + 0.5) * 0.05
    row, column = np.mgrid[: shape[0], : shape[1]]
    power = 5 + np.sin(row / 7) + np.cos(column / 5)
    late = np.exp(-((row - 12) ** 2 + (column - 20) ** 2) / 40)
    after = np.maximum(times, 1e-3)[:, None, None]
    rise = np.where(times[:, None, None] > 0, power / np.sqrt(after) * (1 + late * (1 - np.exp(-after / 3))), 0)
    rise += 0.3 * np.where(times[:, None, None] > 0, np.sin(row / 3) * np.exp(-after), 0)
    frames = 300 + rng.normal(0, 1, shape) + rise + rng.normal(0, noise, (n_frames, *shape))
    return ThermalSequence(
        frames=frames.astype(dtype),
        times_s=times,
        unit=unit,
        excitation=Excitation(kind="flash", start_s=0.0, stop_s=STOP_S),
    )


def rise_of(sequence: ThermalSequence) -> np.ndarray:
    frames = np.asarray(sequence.frames[:, :, :], dtype=np.float64)
    return frames - frames[sequence.times_s < 0].mean(axis=0)


@pytest.fixture(scope="module")
def plate() -> ThermalSequence:
    return cooling_plate()


@pytest.fixture(scope="module")
def cooling(plate: ThermalSequence) -> tuple[np.ndarray, np.ndarray]:
    after = plate.times_s > STOP_S
    return rise_of(plate)[after], plate.times_s[after] - STOP_S / 2


@pytest.mark.parametrize("tile_values", [2**22, 160 * 40, 160])
def test_tsr_equals_the_fit_of_the_whole(plate, cooling, tile_values):
    rise, times = cooling
    wanted = (0.2, 1.0, 3.0)
    maps = compute_maps(plate, {"tsr": make_method("tsr", {"times_s": wanted})}, threads=2, tile_values=tile_values)
    fit = fit_tsr(rise, times, 5)
    for i in range(6):
        scale = np.abs(fit.coefficients[i]).max()
        np.testing.assert_allclose(maps[f"tsr_a{i}"], fit.coefficients[i], atol=1e-4 * scale)
    first, second = tsr_derivatives(fit, np.array(wanted))
    for k, name in enumerate(("0.2", "1", "3")):
        np.testing.assert_allclose(maps[f"tsr_synthetic_{name}s"], synthetic(fit, np.array(wanted))[k], rtol=1e-5)
        np.testing.assert_allclose(maps[f"tsr_d1_{name}s"], first[k], atol=1e-4)
        np.testing.assert_allclose(maps[f"tsr_d2_{name}s"], second[k], atol=1e-3)
    np.testing.assert_allclose(maps["tsr_r2"], fit.r2, atol=2e-6)
    time, height = second_derivative_peak(fit, n_times=200)
    same = np.isfinite(time) & np.isfinite(maps["tsr_d2_peak_time"])
    assert (np.isfinite(time) == np.isfinite(maps["tsr_d2_peak_time"])).mean() > 0.99
    np.testing.assert_allclose(maps["tsr_d2_peak"][same], height[same], atol=1e-3)


def test_ppt_equals_the_fourier_transform(plate, cooling):
    rise, times = cooling
    maps = compute_maps(plate, {"ppt": make_method("ppt", {"n_frequencies": 3, "window": "hann"})}, threads=1)
    expected = compute_ppt(rise, times, (1, 2, 3), window="hann")
    names = [image.layer.name for image in maps.images]
    for k in range(3):
        np.testing.assert_allclose(maps[names[k]], expected.amplitude[k], rtol=2e-5)
        np.testing.assert_allclose(maps[names[3 + k]], expected.phase_rad[k], atol=2e-5)
    assert maps.images[0].layer.unit == "K*s" and maps.images[3].layer.unit == "rad"
    assert maps.images[0].layer.metadata["frequency_hz"] == pytest.approx(expected.frequencies_hz[0])


@pytest.mark.parametrize("how", ["pixel", "pixel_mean", "frame", "frame_mean", "none"])
def test_pct_equals_that_of_the_whole(plate, cooling, how):
    rise, _ = cooling
    method = make_method("pct", {"n_components": 3, "standardise": how})
    maps = compute_maps(plate, {"pct": method}, threads=2, tile_values=160 * 100)
    expected = compute_pct(rise, 3, standardise=how)
    for k in range(3):
        scale = np.abs(expected.images[k]).max()
        np.testing.assert_allclose(maps[f"pct_{k + 1}"], expected.images[k], atol=2e-4 * scale)
        layer = maps.images[k].layer
        np.testing.assert_allclose(layer.metadata["eof"], expected.eofs[:, k], atol=1e-4)
        assert layer.metadata["explained"] == pytest.approx(expected.explained[k], rel=1e-4)
        assert layer.metadata["singular_value"] == pytest.approx(expected.singular_values[k], rel=1e-5)


def test_camera_noise_survives_beside_the_heating():
    """The sixth component lies in the noise, 1e-4 of the first: a plain float32 Gram matrix loses it."""
    plate = cooling_plate((60, 70), 300, noise=0.02, dtype=np.float64)
    maps = compute_maps(plate, {"pct": make_method("pct", {"n_components": 6, "standardise": "none"})})
    found = np.array([image.layer.metadata["eof"] for image in maps.images]).T
    curves = rise_of(plate)[plate.times_s > STOP_S].reshape(found.shape[0], -1)
    exact = np.linalg.svd(curves, full_matrices=False)[0][:, :6]
    from scipy.linalg import subspace_angles

    assert subspace_angles(found, exact).max() < 1e-3


def test_long_windows_are_averaged_in_groups(plate):
    method = make_method("pct", {"n_components": 2, "max_frames": 40, "standardise": "pixel_mean"})
    maps = compute_maps(plate, {"pct": method})
    after = plate.times_s > STOP_S
    rise = rise_of(plate)[after]
    group = -(-rise.shape[0] // 40)
    n = rise.shape[0] // group
    grouped = rise[: n * group].reshape(n, group, *rise.shape[1:]).mean(axis=1)
    expected = compute_pct(grouped, 2, standardise="pixel_mean")
    np.testing.assert_allclose(maps["pct_1"], expected.images[0], atol=1e-3)
    times = maps.images[0].layer.metadata["times_s"]
    assert len(times) == n and times[0] == pytest.approx(plate.times_s[after][:group].mean())


def test_several_decompositions_share_passes(plate):
    both = compute_maps(
        plate,
        {
            "a": make_method("pct", {"n_components": 2}),
            "b": make_method("pct", {"n_components": 1}),
            "c": make_method("pct", {"n_components": 1, "standardise": "none", "window_frames": "all"}),
        },
    )
    assert [both.method_of[image.layer.name] for image in both.images] != []
    single = compute_maps(
        plate, {"c": make_method("pct", {"n_components": 1, "standardise": "none", "window_frames": "all"})}
    )
    np.testing.assert_allclose(both.images[-1].values, single.images[0].values, rtol=1e-5)


def test_a_file_gives_the_maps_of_the_memory(plate, tmp_path):
    write_sequence(plate, tmp_path / "plate.h5")
    methods = {"tsr": make_method("tsr"), "ppt": make_method("ppt"), "pct": make_method("pct")}
    from_file = compute_maps(read_sequence(tmp_path / "plate.h5"), methods, threads=2)
    from_memory = compute_maps(plate, methods, threads=1)
    for one, other in zip(from_file.images, from_memory.images, strict=True):
        assert one.layer.name == other.layer.name
        scale = np.nanmax(np.abs(other.values))
        np.testing.assert_allclose(one.values, other.values, atol=2e-4 * scale)


def test_region_and_missing_pixels_are_nan_and_have_no_part(plate):
    frames = plate.frames.copy()
    frames[40, 3, 5] = np.nan
    region = np.zeros(plate.frame_shape, dtype=bool)
    region[:30, :25] = True
    frames[:, 30:, 25:] = 1e6  # whatever lies outside
    methods = {"tsr": make_method("tsr"), "pct": make_method("pct", {"n_components": 1})}
    maps = compute_maps(replace(plate, frames=frames), methods, region=region)
    inside = compute_maps(
        replace(plate, frames=np.where(region, plate.frames, np.nan).astype(np.float32)[:, :30, :25]), methods
    )
    assert np.isnan(maps["pct_1"][~region]).all() and np.isnan(maps["tsr_a0"][~region]).all()
    assert np.isnan(maps["pct_1"][3, 5]) and np.isfinite(maps["pct_1"][3, 6])
    assert np.isfinite(maps["tsr_a0"][3, 5])  # a sample that is missing has no part in its pixel's fit
    np.testing.assert_allclose(maps["pct_1"][:30, :25][4:], inside["pct_1"][4:], atol=1e-2)


def test_rise_near_300_k_keeps_its_digits():
    plate = cooling_plate((4, 5), noise=0.0, dtype=np.float64)
    block = RiseBlocks(plate).read((slice(0, 4), slice(0, 5)))
    expected = plate.frames - plate.frames[plate.times_s < 0].mean(axis=0)
    np.testing.assert_allclose(block.rise().T.reshape(plate.frames.shape), expected, rtol=1e-6, atol=1e-9)
    single = replace(plate, frames=plate.frames.astype(np.float32))
    block = RiseBlocks(single).read((slice(0, 4), slice(0, 5)))
    expected = single.frames - single.frames[plate.times_s < 0].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(block.rise().T.reshape(plate.frames.shape), expected, atol=2e-6)


def test_without_cold_frames_the_values_are_taken_and_it_is_said(plate, caplog):
    bare = plate.between(0.0, None)
    with caplog.at_level(logging.WARNING):
        maps = compute_maps(bare, {"ppt": make_method("ppt", {"n_frequencies": 1})})
    assert "no frame lies before the heating" in caplog.text
    frames = bare.frames[bare.times_s > STOP_S].astype(np.float64)
    expected = compute_ppt(frames, bare.times_s[bare.times_s > STOP_S], (1,))
    np.testing.assert_allclose(maps.images[0].values, expected.amplitude[0], rtol=1e-3)


def test_scene_knows_reference_and_noise(plate):
    sound = np.zeros(plate.frame_shape, dtype=bool)
    sound[30:, :10] = True
    maps = compute_maps(plate, {"ppt": make_method("ppt")}, sound=sound)
    np.testing.assert_allclose(maps.scene.sound, rise_of(plate)[:, sound].mean(axis=1), atol=1e-4)
    assert maps.reference == "mean of the sound region"
    assert maps.scene.noise == pytest.approx(0.01, rel=0.2)
    assert compute_maps(replace(plate, netd_k=0.5), {"ppt": make_method("ppt")}).scene.noise == 0.5
    median = compute_maps(plate, {"ppt": make_method("ppt")})
    assert median.reference == "median of pixels over the plate"
    np.testing.assert_allclose(median.scene.sound, np.median(rise_of(plate), axis=(1, 2)), atol=0.05)


def test_what_is_not_possible_is_refused_or_left_out(plate):
    unknown = replace(plate, excitation=Excitation(kind="unknown"))
    with pytest.raises(MissingFactError, match="tsr: the maps of the cooling need the heating stop"):
        compute_maps(unknown, {"tsr": make_method("tsr")})
    maps = compute_maps(
        unknown,
        {"tsr": make_method("tsr"), "pct": make_method("pct", {"window_frames": "all"})},
        skip_impossible=True,
    )
    assert set(maps.skipped) == {"tsr"} and "heating_stop_s" in maps.skipped["tsr"]
    assert maps.images[0].layer.name == "pct_1"
    with pytest.raises(KeyError):
        maps["tsr_a0"]


def test_bad_regions_are_refused(plate):
    methods = {"ppt": make_method("ppt")}
    with pytest.raises(SequenceError, match="region has shape"):
        compute_maps(plate, methods, region=np.ones((2, 2), dtype=bool))
    with pytest.raises(SequenceError, match="the region has no pixel"):
        compute_maps(plate, methods, region=np.zeros(plate.frame_shape, dtype=bool))
    with pytest.raises(SequenceError, match="sound region has shape"):
        compute_maps(plate, methods, sound=np.ones((2, 2), dtype=bool))
    with pytest.raises(SequenceError, match="no pixel has a value in every frame"):
        compute_maps(replace(plate, frames=np.full_like(plate.frames, np.nan)), methods)
    holed = plate.frames.copy()
    holed[5, 3, 3] = np.nan
    one = np.zeros(plate.frame_shape, dtype=bool)
    one[3, 3] = True
    with pytest.raises(SequenceError, match="no pixel of the sound region"):
        compute_maps(replace(plate, frames=holed), methods, sound=one)


def test_an_error_of_one_tile_ends_the_run(plate):
    @dataclass(frozen=True)
    class Failing:
        def layers(self, scene):
            return (Layer(name="x", unit="1", title="x"),)

        def compute(self, rise, scene):
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        compute_maps(plate, {"x": Failing()}, threads=2, tile_values=160 * 9)


def test_progress_counts_every_tile_of_both_passes(plate):
    seen = []
    compute_maps(
        plate,
        {"ppt": make_method("ppt"), "pct": make_method("pct")},
        tile_values=160 * 200,
        progress=lambda done, total: seen.append((done, total)),
    )
    total = seen[-1][1]
    assert [done for done, _ in seen] == list(range(1, total + 1)) and total % 2 == 0


def test_run_tiles_works_in_bounded_memory():
    running, most = [], []

    def work(tile):
        running.append(tile)
        most.append(len(running))
        running.remove(tile)
        return tile

    tiles = [(slice(i, i + 1), slice(0, 1)) for i in range(50)]
    assert sorted(part[0].start for part in run_tiles(work, tiles, 3)) == list(range(50))
    assert max(most) <= 3


@settings(deadline=None, max_examples=25)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 90),
    n_frames=st.integers(1, 60),
    tile_values=st.integers(1, 10**5),
)
def test_tiles_cover_every_pixel_once(height, width, n_frames, tile_values):
    frames = np.zeros((n_frames, height, width), dtype=np.uint8)
    plate = ThermalSequence(frames=frames, times_s=np.arange(float(n_frames)), unit="counts")
    covered = np.zeros((height, width), dtype=int)
    for tile in RiseBlocks(plate, tile_values=tile_values).tiles:
        covered[tile] += 1
    assert (covered == 1).all()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), n=st.integers(1, 60), t=st.integers(2, 30), blocks=st.integers(1, 4))
def test_gram_sum_equals_the_product(seed, n, t, blocks):
    curves = np.random.default_rng(seed).normal(3, 1, (n, t)).astype(np.float32)
    pilot = pilot_functions(curves[: max(1, n // 2)])
    one, other = GramSum(pilot), GramSum(pilot)
    for number, part in enumerate(np.array_split(curves, blocks)):
        (one if number % 2 else other).add(part.copy())
    one.merge(other)
    exact = curves.astype(np.float64)
    np.testing.assert_allclose(one.total(), exact.T @ exact, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(one.sums(), exact.sum(axis=0), rtol=1e-4, atol=1e-3)
    assert one.n_pixels == n


def test_standardised_curves_and_flat_ones():
    curves = np.array([[1, 2, 3, 6], [5, 5, 5, 5], [0, 0, 0, 0]], dtype=np.float32)
    done, mean, scale = standardise_pixels(curves, "pixel")
    np.testing.assert_allclose(done[0], (curves[0] - 3) / curves[0].std(), rtol=1e-6)
    np.testing.assert_allclose(done[1:], 0)
    np.testing.assert_allclose((curves - mean[:, None]) * scale[:, None], done, atol=1e-6)
    untouched, mean, scale = standardise_pixels(curves, "frame")
    np.testing.assert_array_equal(untouched, curves)
    assert not np.shares_memory(untouched, curves) and not mean.any() and (scale == 1).all()
    np.testing.assert_allclose(group_frames(curves, 2), [[1.5, 4.5], [5, 5], [0, 0]])


def test_options_are_checked_by_name_and_value():
    with pytest.raises(UnknownNameError, match="unknown method 'tsrr'; did you mean 'tsr'"):
        make_method("tsrr")
    with pytest.raises(UnknownNameError, match="unknown key 'ordre'; did you mean 'order'"):
        make_method("tsr", {"ordre": 4})
    with pytest.raises(ConfigError, match="'order' is 'five'"):
        make_method("tsr", {"order": "five"})
    with pytest.raises(ConfigError, match=r"tsr.order is 40, expected 1 to 12"):
        make_method("tsr", {"order": 40})
    with pytest.raises(ConfigError, match=r"tsr.floor is -1"):
        make_method("tsr", {"floor": -1})
    with pytest.raises(ConfigError, match=r"tsr.n_times is 0"):
        make_method("tsr", {"n_times": 0})
    with pytest.raises(ConfigError, match="expected positive times"):
        make_method("tsr", {"times_s": [-1.0]})
    with pytest.raises(ConfigError, match=r"ppt.window is 'han'"):
        make_method("ppt", {"window": "han"})
    with pytest.raises(ConfigError, match=r"ppt.n_frequencies is 0"):
        make_method("ppt", {"n_frequencies": 0})
    with pytest.raises(ConfigError, match="both false"):
        make_method("ppt", {"amplitude": False, "phase": False})
    with pytest.raises(ConfigError, match=r"pct.n_components is 0"):
        make_method("pct", {"n_components": 0})
    with pytest.raises(ConfigError, match=r"pct.max_frames is 1"):
        make_method("pct", {"max_frames": 1})
    method = make_method("tsr", {"times_s": [1, 2.5], "order": 7})
    assert options_of(method)["times_s"] == [1.0, 2.5] and options_of(method)["order"] == 7


def test_times_outside_the_cooling_are_refused(plate):
    with pytest.raises(ConfigError, match=r"tsr.times_s has \[100.0\], expected 0"):
        compute_maps(plate, {"tsr": make_method("tsr", {"times_s": [1.0, 100.0]})})
    with pytest.raises(SequenceError, match="0 frames lie between"):
        compute_maps(plate, {"ppt": make_method("ppt", {"t_start_s": 90.0})})
    with pytest.raises(SequenceError, match="components are wanted"):
        compute_maps(plate, {"pct": make_method("pct", {"n_components": 151})})


def test_what_lies_beside_the_plate_is_not_mapped(plate):
    frames = plate.frames.copy()
    rng = np.random.default_rng(1)
    beside = np.zeros(plate.frame_shape, dtype=bool)
    beside[:, 35:] = True
    frames[:, beside] = 300 + rng.normal(0, 0.01, (plate.n_frames, int(beside.sum())))
    maps = compute_maps(replace(plate, frames=frames), {"pct": make_method("pct", {"n_components": 1})})
    np.testing.assert_array_equal(maps.region, ~beside)
    assert np.isnan(maps["pct_1"][beside]).all() and np.isfinite(maps["pct_1"][~beside]).all()
    everything = compute_maps(
        replace(plate, frames=frames), {"pct": make_method("pct", {"n_components": 1})}, region=np.ones_like(beside)
    )
    assert np.isfinite(everything["pct_1"]).all()


def test_a_recording_without_a_plate_is_mapped_everywhere():
    frames = np.random.default_rng(0).normal(300, 0.02, (30, 12, 12))
    still = ThermalSequence(frames=frames, times_s=np.arange(30.0) - 5, unit="K", netd_k=0.02)
    assert heated_pixels(still, 0.02).all()
    assert heated_pixels(replace(still, frames=np.full_like(frames, np.nan)), 0.02).all()


def test_a_decomposition_that_cannot_be_done_is_left_out_when_asked(plate):
    methods = {"pct": make_method("pct", {"n_components": 151}), "ppt": make_method("ppt", {"n_frequencies": 1})}
    maps = compute_maps(plate, methods, skip_impossible=True)
    assert "151 components are wanted" in maps.skipped["pct"]
    assert [maps.method_of[image.layer.name] for image in maps.images] == ["ppt", "ppt"]
    both = {"a": make_method("pct", {"n_components": 151}), "b": make_method("pct", {"n_components": 2})}
    kept = compute_maps(plate, both, skip_impossible=True)
    np.testing.assert_array_equal(kept["pct_2"], compute_maps(plate, {"b": both["b"]})["pct_2"])


def test_a_flash_of_unstated_length_is_over_at_once():
    flash = Scene(times_s=np.array([-1.0, 0.5, 1.0, 2.0]), unit="K", excitation=Excitation(kind="flash"), shape=(1, 1))
    part, times_s, zero_s = flash.cooling()
    assert part == slice(1, 4) and zero_s == 0.0
    np.testing.assert_allclose(times_s, [0.5, 1.0, 2.0])
