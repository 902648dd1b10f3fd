"""Dynamic thermal tomography: times of maximum contrast, slices, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.sequence import Excitation, Material, ThermalSequence
from thermo_qc.thermography import (
    DTTMaps,
    compute_maps,
    find_timegram,
    make_method,
    slice_tomograms,
    timegram_depth_mm,
)

GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.30,
    conductivity_in_plane_w_mk=0.40,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)


@settings(deadline=None, max_examples=40)
@given(peak=st.floats(2.0, 18.0), height=st.floats(0.5, 50), seed=st.integers(0, 99))
def test_parabolas_are_found_between_uneven_frames(peak, height, seed):
    times = np.sort(np.random.default_rng(seed).uniform(0, 20, 60)) + np.arange(60) * 1e-3
    if not times[1] < peak < times[-2]:
        return
    found = find_timegram(height - 0.02 * (times - peak) ** 2, times)
    assert found.time_s == pytest.approx(peak, abs=1e-6)
    assert found.contrast == pytest.approx(height, rel=1e-9)


def test_smooth_peaks_are_found_finer_than_a_frame():
    """t^a exp(-t / b) has its maximum at a b; the parabola's error falls with the cube of the step."""
    times = np.arange(1, 400) * 0.25
    peaks = np.linspace(5, 60, 40)
    found = find_timegram(times[:, None] ** 2 * np.exp(-2 * times[:, None] / peaks), times)
    assert np.abs(found.time_s - peaks).max() < 0.01
    argmax = times[np.argmax(times[:, None] ** 2 * np.exp(-2 * times[:, None] / peaks), axis=0)]
    assert np.abs(argmax - peaks).max() > 0.1


def test_no_contrast_no_time():
    times = np.arange(20.0)
    bump = np.exp(-((times - 8) ** 2) / 8)
    curves = np.stack([bump, 0.1 * bump, -bump, times, -times, np.where(times == 3, np.nan, bump)], axis=1)
    found = find_timegram(curves, times, threshold=0.2)
    np.testing.assert_array_equal(np.isfinite(found.time_s), [True, False, False, False, False, False])
    np.testing.assert_array_equal(np.isfinite(found.contrast), [True, False, False, False, False, False])
    rising = find_timegram(curves[:, 0], times, threshold=np.where(times > 6, 2.0, 0.2))
    assert np.isnan(rising.time_s)  # the largest frame that counts lies beside a larger one: no maximum
    late = find_timegram(bump + 2 * np.exp(-((times - 15) ** 2)), times, threshold=np.where(times > 11, 9.0, 0.2))
    assert late.time_s == pytest.approx(8, abs=0.01)  # frames below their threshold do not count


def test_slices_hold_every_pixel_once():
    depth = np.array([[0.5, 1.0, 2.9], [np.nan, 3.0, 7.0]])
    contrast = np.arange(1.0, 7.0).reshape(2, 3)
    slices = slice_tomograms(depth, contrast, np.array([0, 1, 2, 3]))
    np.testing.assert_array_equal(slices[0], [[1, 0, 0], [np.nan, 0, 0]])
    np.testing.assert_array_equal(slices[1], [[0, 2, 0], [np.nan, 0, 0]])
    np.testing.assert_array_equal(slices[2], [[0, 0, 3], [np.nan, 0, 0]])
    with pytest.raises(SequenceError, match="two or more that increase"):
        slice_tomograms(depth, contrast, np.array([1.0, 1.0]))


def test_depth_is_the_factor_times_the_diffusion_length():
    assert timegram_depth_mm(np.array([4.0]), 0.25, 1.5) == pytest.approx([1.5])
    with pytest.raises(SequenceError, match="diffusivity is 0 mm2/s"):
        timegram_depth_mm(np.array([4.0]), 0)


def test_refusals():
    with pytest.raises(SequenceError, match=r"shape \(5,\) and times \(4,\)"):
        find_timegram(np.zeros(5), np.zeros(4))
    with pytest.raises(SequenceError, match="times do not increase"):
        find_timegram(np.zeros(5), np.zeros(5))
    with pytest.raises(SequenceError, match="reach is 0 frames"):
        find_timegram(np.zeros(5), np.arange(5.0), reach=0)


def recording(noise=0.0, material=GFRP, netd_k=0.02) -> ThermalSequence:
    """Sound plate with two defects whose contrast is largest at 16 s and 36 s after the heating."""
    times = np.arange(-10, 400) * 0.25 + 0.1
    after = np.maximum(times - 10, 1e-3)
    sound = np.where(times > 10, 20 / np.sqrt(1 + after), np.where(times > 0, 2 * times, 0))
    frames = np.tile(sound[:, None, None], (1, 6, 8))
    for place, peak in (((1, 2), 16.0), ((4, 6), 36.0)):
        frames[:, *place] += np.where(times > 10, (after / peak) ** 2 * np.exp(2 - 2 * after / peak), 0)
    frames += np.random.default_rng(0).normal(0, noise, frames.shape)
    frames[:, 5, 0] = np.nan
    return ThermalSequence(
        frames=frames,
        times_s=times,
        unit="K",
        netd_k=netd_k,
        material=material,
        excitation=Excitation(kind="long_pulse", stop_s=10.0),
    )


def test_maps_show_both_defects_at_their_depths():
    alpha = GFRP.diffusivity_through_mm2_s
    edges = (0.0, 1.0, 2.0, 3.0)
    method = make_method("dtt", {"depths_mm": edges, "factor": 1.0})
    maps = compute_maps(recording(), {"dtt": method}, threads=1, tile_values=410 * 8)
    holes = np.zeros((6, 8), dtype=bool)
    holes[1, 2] = holes[4, 6] = True
    np.testing.assert_array_equal(np.isfinite(maps["dtt_timegram"]), holes)
    assert maps["dtt_timegram"][1, 2] == pytest.approx(16, abs=0.01)
    assert maps["dtt_timegram"][4, 6] == pytest.approx(36, abs=0.01)
    assert maps["dtt_maxigram"][holes] == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(maps["dtt_depth"][holes], np.sqrt(alpha * np.array([16.0, 36.0])), rtol=1e-3)
    assert [maps[f"dtt_tomogram_{a}-{a + 1}mm"][1, 2] > 0 for a in range(3)] == [False, True, False]
    assert [maps[f"dtt_tomogram_{a}-{a + 1}mm"][4, 6] > 0 for a in range(3)] == [False, False, True]
    assert maps.images[0].layer.metadata["clock_zero_s"] == 10.0


def test_noise_alone_is_no_contrast_and_smoothing_steadies_the_time():
    sequence = recording(noise=0.02)
    plain = compute_maps(sequence, {"dtt": DTTMaps(noise_factor=6)}, threads=1)["dtt_timegram"]
    smooth = compute_maps(sequence, {"dtt": DTTMaps(noise_factor=6, smooth_frames=21)}, threads=1)["dtt_timegram"]
    holes = [(1, 2), (4, 6)]
    for found in (plain, smooth):
        assert np.isfinite(found).sum() == 2
        assert all(np.isfinite(found[place]) for place in holes)
    assert abs(smooth[1, 2] - 16) < 1.0 and abs(smooth[4, 6] - 36) < 2.0
    assert abs(smooth[1, 2] - 16) <= abs(plain[1, 2] - 16)


def test_running_contrast_peaks_later():
    maps = {
        name: compute_maps(recording(), {"dtt": DTTMaps(contrast=name)}, threads=1)["dtt_timegram"][1, 2]
        for name in ("absolute", "running")
    }
    # (t/p)^2 exp(-2 t/p) sqrt(1 + t) with p = 16 has its maximum where 2/t - 2/p + 1/(2 (1 + t)) = 0.
    t = maps["running"]
    assert t > maps["absolute"]
    assert 2 / t - 2 / 16 + 1 / (2 * (1 + t)) == pytest.approx(0, abs=1e-4)
    assert make_method("dtt", {"contrast": "running"}).layers  # an option of the catalogue


def test_slices_of_time_without_a_diffusivity():
    maps = compute_maps(recording(material=None), {"dtt": DTTMaps(n_slices=4)}, threads=1)
    names = [image.layer.name for image in maps.images]
    assert "dtt_depth" not in names
    assert sum(name.startswith("dtt_tomogram") and name.endswith("s") for name in names) == 4
    total = sum(np.nan_to_num(image.values) for image in maps.images if "tomogram" in image.layer.name)
    np.testing.assert_allclose(total, np.nan_to_num(maps["dtt_maxigram"]), atol=1e-6)
    with pytest.raises(MissingFactError, match="need the diffusivity"):
        compute_maps(recording(material=None), {"dtt": DTTMaps(depths_mm=(0.0, 1.0))})


def test_missing_facts():
    scene = compute_maps(recording(), {"dtt": DTTMaps()}, threads=1).scene
    with pytest.raises(MissingFactError, match="needs the camera noise"):
        DTTMaps().layers(replace(scene, noise=None))
    assert DTTMaps(noise_factor=0).layers(replace(scene, noise=None))
    with pytest.raises(MissingFactError, match="give a sound region"):
        DTTMaps().layers(replace(scene, sound=None))
    with pytest.raises(SequenceError, match="expected a positive one for the running contrast"):
        DTTMaps(contrast="running").layers(replace(scene, sound=np.zeros(scene.times_s.size)))
    with pytest.raises(SequenceError, match="frames are in the window of the tomography, expected 53"):
        DTTMaps(smooth_frames=51, t_end_s=5.0).layers(scene)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contrast": "normal"}, "contrast is 'normal'"),
        ({"noise_factor": -1.0}, "noise_factor is -1.0"),
        ({"smooth_frames": 4}, "smooth_frames is 4, expected an odd"),
        ({"factor": 0.0}, "factor is 0.0"),
        ({"diffusivity_mm2_s": -1.0}, "diffusivity_mm2_s is -1.0"),
        ({"depths_mm": (2.0, 1.0)}, r"depths_mm are \[2.0, 1.0\]"),
        ({"n_slices": 0}, "n_slices is 0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        DTTMaps(**options)
