"""Differential absolute contrast on half-spaces and slabs, where it must vanish, and over defects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.sequence import Excitation, Material, ThermalSequence
from thermo_qc.thermography import (
    DACMaps,
    absolute_contrast,
    compute_maps,
    dac_law,
    differential_absolute_contrast,
    fit_sound_part,
    interpolated_dac,
    make_method,
    slab_response,
)

TIMES = np.arange(1, 301) * 0.1
PLATE = {"thickness_mm": 2.0, "diffusivity_mm2_s": 0.2}
GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.38,
    conductivity_in_plane_w_mk=0.4,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)


@settings(deadline=None, max_examples=25)
@given(
    amplitude=st.floats(0.01, 100.0),
    reference=st.floats(0.11, 29.0),
    pulse=st.sampled_from([0.0, 5.0]),
    finite=st.booleans(),
)
def test_sound_plates_have_none(amplitude, reference, pulse, finite):
    options = {"pulse_s": pulse, **(PLATE if finite else {})}
    rise = amplitude * dac_law(TIMES, **options)
    contrast = differential_absolute_contrast(rise, TIMES, reference, **options)
    scale = np.abs(rise).max()
    assert np.abs(contrast).max() < 1e-9 * scale


def test_finite_plate_needs_the_finite_form():
    rise = slab_response(TIMES, **PLATE)
    thick = differential_absolute_contrast(rise, TIMES, 0.5)
    finite = differential_absolute_contrast(rise, TIMES, 0.5, **PLATE)
    assert thick[-1] > 0.5  # the plate's back face looks like a defect
    assert abs(finite[-1]) < 1e-9


def test_long_pulse_needs_its_form():
    """In the cooling, counted from the start of the pulse."""
    times = 10.0 + TIMES
    rise = np.sqrt(times) - np.sqrt(times - 10)
    assert np.abs(differential_absolute_contrast(rise, times, 12.0, pulse_s=10.0)).max() < 1e-9
    assert np.abs(differential_absolute_contrast(rise, times, 12.0)).max() > 0.1


def test_early_reference_gives_the_absolute_contrast():
    """Where t' lies before the defect shows: the same as with a sound pixel."""
    sound = slab_response(TIMES, thickness_mm=20.0, diffusivity_mm2_s=0.2)
    defect = 20.0 / 1.5 * slab_response(TIMES, thickness_mm=1.5, diffusivity_mm2_s=0.2)
    contrast = differential_absolute_contrast(defect, TIMES, 0.6)
    np.testing.assert_allclose(contrast, absolute_contrast(defect, sound), atol=2e-3 * sound[0])


def test_interpolated_finds_where_each_pixel_leaves_the_law():
    rng = np.random.default_rng(0)
    noise = 0.002
    depths = np.array([1.0, 1.5, 2.5])
    curves = np.stack([slab_response(TIMES, thickness_mm=z, diffusivity_mm2_s=0.2) * 2 / z for z in depths], axis=1)
    sound = np.sqrt(4 / (np.pi * 0.2)) / np.sqrt(TIMES)
    curves = np.concatenate([curves, sound[:, None]], axis=1)
    result = interpolated_dac(curves + rng.normal(0, noise, curves.shape), TIMES, noise=noise)
    assert result.left.tolist() == [True, True, True, False]
    times = result.t_reference_s
    assert times[0] < times[1] < times[2] < times[3] == TIMES[-1]
    # A contrast of 2 exp(-L^2 / (alpha t)) of the rise: small at t', found out by the five frames from there on.
    before, after = (2 * np.exp(-(depths**2) / (0.2 * time)) for time in (times[:3], times[:3] + 0.5))
    assert (before < 0.005).all() and (after > 0.001).all()
    np.testing.assert_allclose(result.contrast[:, 3], 0, atol=6 * noise)
    expected = absolute_contrast(curves[:, :3], sound)
    np.testing.assert_allclose(result.contrast[:, :3], expected, atol=0.02 * expected.max())


def test_colder_pixels_leave_too_and_false_alarms_are_rare():
    law = 1 / np.sqrt(TIMES)
    rng = np.random.default_rng(1)
    cold = law * np.where(TIMES > 5, 0.9, 1.0)
    fit = fit_sound_part(cold[:, None] + rng.normal(0, 0.002, (300, 1)), law, TIMES, noise=0.002)
    assert fit.left.all() and fit.t_reference_s[0] == pytest.approx(5.0, abs=0.5)
    assert fit.amplitude[0] == pytest.approx(1.0, abs=0.002)
    sound = fit_sound_part(law[:, None] + rng.normal(0, 0.002, (300, 1000)), law, TIMES, noise=0.002)
    assert sound.left.mean() < 0.005
    sound = fit_sound_part(np.full((300, 1), np.nan), law, TIMES, noise=0.002)
    assert np.isnan(sound.t_reference_s).all() and not sound.left.any()


def recording(kind="long_pulse", stop_s=10.0, noise=0.003, **facts):
    """Plate 2 mm thick, whose middle two columns have a defect at 0.9 mm."""
    times = np.arange(-10, 400) * 0.1 + 0.05
    pulse = 0.0 if kind == "flash" else stop_s
    zero = stop_s / 2 if kind == "flash" else 0.0
    curves = [slab_response(times - zero, thickness_mm=z, diffusivity_mm2_s=0.2, pulse_s=pulse) / z for z in (2.0, 0.9)]
    frames = np.empty((times.size, 5, 6))
    frames[...] = 3 * curves[0][:, None, None]
    frames[:, :, 2:4] = 3 * curves[1][:, None, None]
    frames += np.random.default_rng(0).normal(0, noise, frames.shape)
    return ThermalSequence(
        frames=frames,
        times_s=times,
        unit="K",
        netd_k=noise,
        thickness_mm=2.0,
        material=GFRP,
        excitation=Excitation(kind=kind, stop_s=stop_s),
        **facts,
    )


@pytest.mark.parametrize(("kind", "stop_s"), [("flash", 0.02), ("long_pulse", 10.0)])
def test_maps_show_the_defect_without_a_sound_region(kind, stop_s):
    sequence = recording(kind, stop_s)
    maps = compute_maps(sequence, {"dac": make_method("dac", {"times_s": [5.0, 20.0]})}, threads=1)
    image = maps["dac_5s"]
    assert (image[:, 2:4] > 0.05).all() and np.abs(image[:, [0, 1, 4, 5]]).max() < 0.02
    time = maps["dac_reference_time"]
    assert time[:, 2:4].max() < 5 and np.median(time[:, [0, 1, 4, 5]]) > 20
    facts = maps.images[0].layer.metadata
    assert facts["form"] == "slab" and facts["diffusivity_mm2_s"] == pytest.approx(0.2)
    assert facts["pulse_s"] == (0.0 if kind == "flash" else 10.0)


def test_maps_equal_the_function():
    sequence = recording()
    wanted = {"times_s": [5.0, 20.0], "reference": "time", "t_reference_s": 1.0, "n_frames": 3}
    maps = compute_maps(sequence, {"dac": make_method("dac", wanted)}, threads=1, tile_values=410 * 6)
    cold = sequence.times_s < 0
    rise = sequence.frames - sequence.frames[cold].mean(axis=0)
    after = sequence.times_s > 10
    expected = differential_absolute_contrast(
        rise[after], sequence.times_s[after], 11.0, pulse_s=10.0, n_frames=3, **PLATE
    )
    there = sequence.times_s[after] - 10
    for time in (5, 20):
        whole = np.apply_along_axis(lambda curve, at=time: np.interp(at, there, curve), 0, expected)
        np.testing.assert_allclose(maps[f"dac_{time}s"], whole, atol=2e-5)


def test_reference_in_the_heating_sees_shallow_defects():
    """The defect already shows when a long pulse stops: a t' in the cooling scales it by its own warmth."""
    sequence = recording()
    early = make_method("dac", {"times_s": [1.0], "reference": "time", "t_reference_s": -9.0})
    late = make_method("dac", {"times_s": [1.0], "reference": "time", "t_reference_s": 0.3})
    searched = make_method("dac", {"times_s": [1.0], "heating": True})
    found = {
        name: compute_maps(sequence, {"dac": method}, threads=1)["dac_1s"][:, 2:4].mean()
        for name, method in {"early": early, "late": late, "searched": searched}.items()
    }
    true = (
        3
        * np.diff(
            [
                slab_response(np.array([11.0]), thickness_mm=z, diffusivity_mm2_s=0.2, pulse_s=10.0)[0] / z
                for z in (2, 0.9)
            ]
        )[0]
    )
    assert found["early"] == pytest.approx(true, rel=0.15)
    assert found["searched"] == pytest.approx(true, rel=0.15)
    assert found["late"] < 0.5 * true


def test_what_the_scene_must_have():
    scene = compute_maps(recording(), {"dac": DACMaps()}, threads=1).scene
    with pytest.raises(MissingFactError, match="needs the camera noise to find t'"):
        DACMaps().layers(replace(scene, noise=None))
    assert DACMaps(reference="time", t_reference_s=1.0).layers(replace(scene, noise=None))
    with pytest.raises(MissingFactError, match="needs thickness and diffusivity"):
        DACMaps(form="slab").layers(replace(scene, thickness_mm=None))
    assert DACMaps().layers(replace(scene, thickness_mm=None))[0].metadata["form"] == "half_space"
    with pytest.raises(SequenceError, match="not a periodic heating"):
        DACMaps().layers(replace(scene, excitation=Excitation(kind="periodic", stop_s=10.0, frequency_hz=1.0)))
    with pytest.raises(SequenceError, match="a flash leaves no frames in the heating"):
        DACMaps(heating=True).layers(replace(scene, excitation=Excitation(kind="flash", stop_s=0.02)))
    with pytest.raises(SequenceError, match=r"\[1000.0\] s are wanted|1010"):
        DACMaps(times_s=(1000.0,)).layers(scene)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": "time"}, "give a time with reference time"),
        ({"t_reference_s": 1.0}, "give a time with reference time"),
        ({"reference": "late"}, "dac.reference is 'late'"),
        ({"form": "cube"}, "dac.form is 'cube'"),
        ({"form": "half_space", "thickness_mm": 1.0}, "belong to form slab"),
        ({"thickness_mm": -1.0}, "dac.thickness_mm is -1.0"),
        ({"heating": True, "t_start_s": 1.0}, "starts the search for t' with the heating"),
        ({"n_times": 0}, "dac.n_times is 0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        DACMaps(**options)


def test_functions_refuse_bad_input():
    with pytest.raises(SequenceError, match="give both, or neither for a thick plate"):
        dac_law(TIMES, thickness_mm=1.0)
    with pytest.raises(SequenceError, match=r"the pulse lasts -1\.0 s"):
        dac_law(TIMES, pulse_s=-1.0)
    with pytest.raises(SequenceError, match=r"s are wanted of frames from 0\.1 to 30 s"):
        differential_absolute_contrast(TIMES, TIMES, 99.0)
    with pytest.raises(SequenceError, match=r"rise has shape \(3,\) and times \(300,\)"):
        differential_absolute_contrast(TIMES[:3], TIMES, 1.0)
    with pytest.raises(SequenceError, match=r"noise is 0\.0"):
        interpolated_dac(TIMES, TIMES, noise=0.0)
    with pytest.raises(SequenceError, match="4 frames came, expected 7 or more"):
        interpolated_dac(TIMES[:4], TIMES[:4], noise=1.0)
