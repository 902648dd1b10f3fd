"""Depth maps on closed forms, their calibration, and a simulated plate with holes of known depths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError, TruthError
from thermo_qc.plate import Hole, PlateSpec
from thermo_qc.sequence import Defect, Excitation, Material, ThermalSequence, Truth
from thermo_qc.simulation import Heating, Losses, solve_plate
from thermo_qc.thermography import (
    DepthMaps,
    calibrate_depth_factor,
    calibrate_depth_map,
    compute_maps,
    dense_part,
    make_method,
    measure_defects,
    score_map,
    slab_response,
)
from thermo_qc.thermography.depth_maps import PEAK_SLOPE_FACTOR

GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.38,
    conductivity_in_plane_w_mk=0.4,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)
DEPTHS = np.array([0.8, 1.2, 1.8])


def layered(kind="flash", stop_s=0.02, noise=0.002):
    """Columns of wide defects at `DEPTHS` (2 pixels each) in a plate 20 mm thick, and sound ones."""
    times = np.arange(-10, 600) * 0.05 + 0.025
    pulse, zero = (0.0, stop_s / 2) if kind == "flash" else (stop_s, 0.0)
    curves = [
        slab_response(times - zero, thickness_mm=z, diffusivity_mm2_s=0.2, pulse_s=pulse) / z for z in (*DEPTHS, 20.0)
    ]
    frames = 2 * np.repeat(np.stack(curves, axis=1), [8, 8, 8, 40], axis=1).reshape(-1, 16, 4)
    frames += np.random.default_rng(0).normal(0, noise, frames.shape)
    return ThermalSequence(
        frames=frames,
        times_s=times,
        unit="K",
        netd_k=noise,
        material=GFRP,
        excitation=Excitation(kind=kind, stop_s=stop_s),
    )


SOUND = np.repeat([False, True], [6, 10])[:, None] * np.ones((1, 4), dtype=bool)


def medians(image):
    return np.array([np.median(image[2 * k : 2 * k + 2]) for k in range(3)])


def test_wide_defects_read_their_depth_after_a_flash():
    maps = compute_maps(layered(), {"depth": make_method("depth")}, sound=SOUND, threads=2, tile_values=610 * 9)
    np.testing.assert_allclose(medians(maps["depth_second_derivative"]), DEPTHS, rtol=0.08)
    np.testing.assert_allclose(medians(maps["depth_peak_slope"]), DEPTHS, rtol=0.06)
    np.testing.assert_allclose(medians(maps["depth_blind_frequency"]), DEPTHS, rtol=0.06)
    for name in ("second_derivative", "peak_slope", "blind_frequency"):
        assert np.isnan(maps[f"depth_{name}"][SOUND]).mean() > 0.9
    assert np.isnan(maps["depth_contrast_peak"]).all()  # in one dimension the contrast only grows


def test_frames_far_apart_in_ln_t_are_left_out():
    times = np.arange(1, 100) * 0.1
    assert dense_part(times) == slice(4, 99)  # ln(6 / 5) < 0.2 < ln(5 / 4)
    empty = dense_part(np.array([1.0, 2.0, 4.0]))
    assert empty == slice(3, 3)


def test_metadata_say_what_holds():
    maps = compute_maps(layered(), {"depth": DepthMaps()}, sound=SOUND, threads=1)
    facts = {image.layer.name: image.layer.metadata for image in maps.images}
    assert all(entry["limits"] and entry["reference"] and entry["factor"] > 0 for entry in facts.values())
    assert facts["depth_peak_slope"]["factor"] == PEAK_SLOPE_FACTOR
    assert "sound reference" in facts["depth_peak_slope"]["limits"]
    assert facts["depth_second_derivative"]["diffusivity_mm2_s"] == pytest.approx(0.2)
    units = {image.layer.name: image.layer.unit for image in maps.images}
    assert units["depth_blind_frequency_hz"] == "Hz" and units["depth_peak_slope_time"] == "s"


def test_long_pulse_is_warned_of_once(caplog):
    maps = compute_maps(layered("long_pulse", 3.0), {"depth": DepthMaps()}, sound=SOUND, threads=1)
    assert all("calibrate it for this heating" in image.layer.metadata["warning"] for image in maps.images)
    assert sum("the heating is no flash" in record.message for record in caplog.records) == 1


def test_noise_alone_has_no_depth():
    flat = layered(noise=0.02)
    frames = np.repeat(flat.frames[:, 15:, :1], 16 * 40, axis=2).reshape(-1, 16, 40)
    frames = frames + np.random.default_rng(1).normal(0, 0.02, frames.shape)
    noisy = replace(flat, frames=frames, netd_k=0.03)
    maps = compute_maps(noisy, {"depth": DepthMaps()}, threads=2)
    for name in ("second_derivative", "contrast_peak", "peak_slope", "blind_frequency"):
        assert np.isnan(maps[f"depth_{name}"]).mean() > 0.97, name


@settings(deadline=None, max_examples=20)
@given(factor=st.floats(0.5, 3.0), alpha=st.floats(0.05, 50.0), quantity=st.sampled_from(["time", "frequency"]))
def test_calibration_finds_the_factor(factor, alpha, quantity):
    depths = np.array([0.5, 1.0, 2.0, 4.0])
    times = (depths / factor) ** 2 / alpha
    measured = times if quantity == "time" else 1 / (np.pi * times)
    found = calibrate_depth_factor(measured, depths, diffusivity_mm2_s=alpha, quantity=quantity)
    assert found.factor == pytest.approx(factor, rel=1e-9)
    assert found.standard_error < 1e-9 * factor and found.n == 4 and found.rms_mm < 1e-9


def test_calibration_equals_least_squares_through_the_origin():
    rng = np.random.default_rng(0)
    depths = np.linspace(1, 5, 12)
    times = depths**2 * rng.uniform(0.8, 1.2, 12)
    times[3] = np.nan
    found = calibrate_depth_factor(times, depths, diffusivity_mm2_s=1.0)
    used = np.isfinite(times)
    matrix = np.sqrt(times[used])[:, None]
    factor, squares, *_ = np.linalg.lstsq(matrix, depths[used], rcond=None)
    assert found.factor == pytest.approx(factor[0]) and found.n == 11
    assert found.standard_error == pytest.approx(np.sqrt(squares[0] / 10 / (matrix**2).sum()))
    assert np.isnan(found.residuals_mm[3]) and np.isfinite(found.residuals_mm).sum() == 11
    assert np.isnan(calibrate_depth_factor(np.ones(1), np.ones(1), diffusivity_mm2_s=1.0).standard_error)


@pytest.fixture(scope="module")
def plate():
    """Flash on a plate 6 mm thick with three wide holes, its maps' inputs and its truth."""
    holes = tuple(
        Hole(number=i, name=f"H{i}", x_mm=x, y_mm=15.0, diameter_mm=16.0, depth_mm=z)
        for i, (x, z) in enumerate(zip((15.0, 45.0, 75.0), DEPTHS, strict=True), 1)
    )
    spec = PlateSpec(name="p", width_mm=90, height_mm=30, thickness_mm=6.0, material=GFRP, holes=holes)
    times = np.concatenate([np.arange(-20, 0) * 0.1, np.arange(1, 401) * 0.1])
    solution = solve_plate(
        spec,
        times_s=times,
        heating=Heating(kind="flash", energy_j_m2=20_000.0),
        losses=Losses(front_w_m2k=10.0, back_w_m2k=10.0, hole_floor_w_m2k=0.0),
        lateral_mm=1.5,
        depth_cells=32,
        max_step_s=0.5,
    )
    noise = 0.02
    frames = solution.rise_k + np.random.default_rng(0).normal(0, noise, solution.rise_k.shape)
    sequence = ThermalSequence(
        frames=frames.astype(np.float32),
        times_s=times,
        unit="K",
        netd_k=noise,
        material=GFRP,
        thickness_mm=6.0,
        pixel_pitch_mm=1.5,
        excitation=Excitation(kind="flash", stop_s=0.0),
    )
    truth = spec.truth(1.5)
    near = np.min([np.hypot(*(np.mgrid[:20, :60] * 1.5 + 0.75 - c)) for c in holes_yx(holes)], axis=0) < 12
    return sequence, truth, ~near & (truth.defect_index == 0)


def holes_yx(holes):
    return [np.array([hole.y_mm, hole.x_mm])[:, None, None] for hole in holes]


def test_simulated_holes_read_their_depths_and_calibrate(plate):
    sequence, truth, sound = plate
    maps = compute_maps(sequence, {"depth": DepthMaps()}, sound=sound, threads=1)
    for name, rtol in (("second_derivative", 0.12), ("peak_slope", 0.12), ("blind_frequency", 0.15)):
        found = measure_defects(maps[f"depth_{name}"], truth)
        depths = np.array(list(found.values()))
        np.testing.assert_allclose(depths, DEPTHS, rtol=rtol, err_msg=name)
        used = {image.layer.name: image.layer.metadata for image in maps.images}[f"depth_{name}"]["factor"]
        calibration = calibrate_depth_map(maps[f"depth_{name}"], truth, factor=used)
        assert calibration.n == 3
        again = depths * calibration.factor / used
        np.testing.assert_allclose(again - DEPTHS, calibration.residuals_mm, atol=1e-6)
        assert np.square(again - DEPTHS).sum() <= np.square(depths - DEPTHS).sum() + 1e-12
        assert calibration.rms_mm < 0.25
    times = measure_defects(maps["depth_peak_slope_time"], truth)
    direct = calibrate_depth_factor(
        np.array(list(times.values())), DEPTHS, diffusivity_mm2_s=GFRP.diffusivity_through_mm2_s
    )
    assert direct.factor == pytest.approx(PEAK_SLOPE_FACTOR, rel=0.1)


def test_contrast_free_of_a_sound_region_shows_every_hole(plate):
    sequence, truth, _ = plate
    maps = compute_maps(sequence, {"dac": make_method("dac", {"times_s": [8.0]})}, threads=1)
    scores = score_map(maps["dac_8s"], truth.defect_index, pixel_pitch_mm=1.5, gap_px=1, width_px=3)
    assert [score.number for score in scores.defects] == [1, 2, 3]
    assert all(score.cnr > 3 and score.sbc > 3 and score.tanimoto > 0.7 for score in scores.defects)


def test_estimates_follow_what_is_known():
    scene = compute_maps(layered(), {"depth": DepthMaps()}, sound=SOUND, threads=1).scene
    alone = DepthMaps().layers(replace(scene, sound=None))
    assert [layer.name for layer in alone] == ["depth_second_derivative", "depth_second_derivative_time"]
    with pytest.raises(MissingFactError, match="give a sound region"):
        DepthMaps(estimates=("peak_slope",)).layers(replace(scene, sound=None))
    with pytest.raises(MissingFactError, match="needs the diffusivity"):
        DepthMaps().layers(replace(scene, material=None))
    with pytest.raises(SequenceError, match=r"no depth can be estimated.*give netd_k"):
        DepthMaps().layers(replace(scene, noise=None))
    assert DepthMaps(noise_factor=0.0, diffusivity_mm2_s=1.0).layers(replace(scene, noise=None, material=None))
    uneven = replace(scene, times_s=np.sort(np.append(scene.times_s[:-1], 20.01)))
    assert not any("blind" in layer.name for layer in DepthMaps().layers(uneven))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimates": ("guess",)}, r"depth.estimates are \['guess'\]"),
        ({"peak_slope_factor": 0.0}, r"depth.peak_slope_factor is 0\.0"),
        ({"diffusivity_mm2_s": -1.0}, r"depth.diffusivity_mm2_s is -1\.0"),
        ({"noise_factor": -1.0}, r"depth.noise_factor is -1\.0"),
        ({"min_phase_rad": -1.0}, r"depth.min_phase_rad is -1\.0"),
        ({"order": 2}, r"depth.order is 2 and n_frequencies 64"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        DepthMaps(**options)


def test_calibration_refuses_bad_input():
    with pytest.raises(TruthError, match="no defect has both a measurement and a known depth"):
        calibrate_depth_factor(np.array([np.nan]), np.ones(1), diffusivity_mm2_s=1.0)
    with pytest.raises(SequenceError, match=r"measurements have shape \(2,\)"):
        calibrate_depth_factor(np.ones(2), np.ones(3), diffusivity_mm2_s=1.0)
    with pytest.raises(SequenceError, match="the measured quantity is 'phase'"):
        calibrate_depth_factor(np.ones(2), np.ones(2), diffusivity_mm2_s=1.0, quantity="phase")
    with pytest.raises(SequenceError, match=r"diffusivity is 0\.0"):
        calibrate_depth_factor(np.ones(2), np.ones(2), diffusivity_mm2_s=0.0)
    truth = Truth(
        defect_index=np.array([[0, 1]], dtype=np.int16),
        depth_mm=np.array([[np.nan, 1.0]], dtype=np.float32),
        defects=(Defect(number=1, depth_mm=1.0), Defect(number=2, depth_mm=3.0)),
    )
    assert list(measure_defects(np.ones((1, 2)), truth)) == [1]
    assert np.isnan(measure_defects(np.full((1, 2), np.nan), truth)[1])
    with pytest.raises(SequenceError, match=r"the map has shape \(3, 3\)"):
        measure_defects(np.ones((3, 3)), truth)
    with pytest.raises(SequenceError, match=r"the map's factor is 0\.0"):
        calibrate_depth_map(np.ones((1, 2)), truth, factor=0.0)
