"""Virtual waves: the kernel against slab series and quadrature, the inversion on slabs of known thickness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.sequence import Excitation, Material, ThermalSequence
from thermo_qc.thermography import (
    VirtualWaveMaps,
    choose_regularisation,
    compute_maps,
    find_echo,
    invert_non_negative,
    make_method,
    slab_rise,
    virtual_wave_kernel,
    virtual_wave_operator,
)

ALPHA = 0.158
FLASH = np.arange(1, 401) * 0.15
PULSE_S = 20.0
LONG = PULSE_S + np.arange(1, 401) * 0.3
GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.30,
    conductivity_in_plane_w_mk=0.40,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)


def cosine_series(thickness_mm, times, pulse_s=0.0, n_terms=600):
    """Rise of a slab from the eigenfunctions of its depth: nothing in common with images."""
    rates = ALPHA * (np.pi * np.arange(1, n_terms)[:, None] / thickness_mm) ** 2
    if pulse_s == 0:
        return (1 + 2 * np.exp(-rates * times).sum(axis=0)) / thickness_mm
    terms = (np.exp(-rates * np.maximum(times - pulse_s, 0)) - np.exp(-rates * times)) / rates
    heated = np.minimum(times / pulse_s, 1)
    return (heated + 2 * terms.sum(axis=0) / pulse_s) / thickness_mm


@pytest.mark.parametrize("thickness_mm", [0.8, 2.0, 6.0])
@pytest.mark.parametrize(("times", "pulse_s"), [(FLASH, 0.0), (LONG, PULSE_S)])
def test_echoes_through_the_kernel_make_the_slab(thickness_mm, times, pulse_s):
    np.testing.assert_allclose(
        slab_rise(thickness_mm, times, ALPHA, pulse_s), cosine_series(thickness_mm, times, pulse_s), rtol=1e-6
    )


def test_half_space_is_the_kernel_at_the_surface():
    impulse = virtual_wave_kernel(np.zeros(1), FLASH, ALPHA)[:, 0]
    np.testing.assert_allclose(impulse, 1 / np.sqrt(np.pi * ALPHA * FLASH))
    pulse = virtual_wave_kernel(np.zeros(1), LONG, ALPHA, PULSE_S)[:, 0]
    exact = 2 / (PULSE_S * np.sqrt(np.pi * ALPHA)) * (np.sqrt(LONG) - np.sqrt(LONG - PULSE_S))
    np.testing.assert_allclose(pulse, exact)
    heating = virtual_wave_kernel(np.zeros(1), np.array([5.0]), ALPHA, PULSE_S)[0, 0]
    assert heating == pytest.approx(2 / PULSE_S * np.sqrt(5 / (np.pi * ALPHA)))


@settings(deadline=None, max_examples=20)
@given(depth=st.floats(0.05, 6), time=st.floats(0.5, 60), pulse_s=st.floats(0.1, 30))
def test_pulse_kernel_is_the_mean_of_impulses(depth, time, pulse_s):
    def impulse(age):
        return virtual_wave_kernel(np.array([depth]), np.array([age]), ALPHA)[0, 0] if age > 0 else 0.0

    exact = quad(impulse, max(time - pulse_s, 0), time, limit=200)[0] / pulse_s
    found = virtual_wave_kernel(np.array([depth]), np.array([time]), ALPHA, pulse_s)[0, 0]
    assert found == pytest.approx(exact, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("pulse_s", [0.0, 3.0])
def test_kernel_is_normalised_over_the_way(pulse_s):
    depths = np.linspace(0, 40, 20001)
    area = np.trapezoid(virtual_wave_kernel(depths, np.array([5.0, 30.0]), ALPHA, pulse_s), 2 * depths, axis=1)
    np.testing.assert_allclose(area, 1, rtol=1e-5)


def operator_for(times, pulse_s, snr, depth=2.0, regulariser="tikhonov"):
    """Noise is the half-space's rise in the first frame over snr."""
    noise = virtual_wave_kernel(np.zeros(1), times, ALPHA, pulse_s)[0, 0] / snr
    model = slab_rise(depth, times, ALPHA, pulse_s)
    parameter = choose_regularisation(model, noise, times, ALPHA, regulariser=regulariser, pulse_s=pulse_s)
    return virtual_wave_operator(times, ALPHA, parameter, regulariser=regulariser, pulse_s=pulse_s), noise


@pytest.mark.parametrize("thickness_mm", [1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize(("times", "pulse_s"), [(FLASH, 0.0), (LONG, PULSE_S)])
def test_thickness_of_slabs_at_a_signal_to_noise_of_1000(thickness_mm, times, pulse_s):
    operator, noise = operator_for(times, pulse_s, 1000)
    rng = np.random.default_rng(0)
    rise = slab_rise(thickness_mm, times, ALPHA, pulse_s)[:, None] + rng.normal(0, noise, (times.size, 100))
    threshold = 4 * noise * operator.noise_gain
    depth, _ = find_echo(invert_non_negative(rise, operator), operator.depths_mm, threshold, low_mm=0.3, high_mm=6)
    assert np.isfinite(depth).all()
    assert abs(np.mean(depth) / thickness_mm - 1) < 0.07
    assert depth.std() < 0.05 * thickness_mm
    resolution = operator.resolution_mm(thickness_mm, ALPHA, times, pulse_s)
    assert np.abs(depth - thickness_mm).max() < resolution / 2


@pytest.mark.parametrize(("times", "pulse_s"), [(FLASH, 0.0), (LONG, PULSE_S)])
def test_plain_inversion_is_less_exact_and_sees_no_echo_in_a_thick_plate(times, pulse_s):
    operator, noise = operator_for(times, pulse_s, 1000)
    thick = virtual_wave_kernel(np.zeros(1), times, ALPHA, pulse_s)
    assert np.abs(operator.matrix @ thick).max() < 1e-9 * np.abs(operator.matrix).max() * np.linalg.norm(thick)
    rng = np.random.default_rng(1)
    rise = np.concatenate([np.tile(thick, 40), np.tile(slab_rise(2.0, times, ALPHA, pulse_s)[:, None], 40)], axis=1)
    rise += rng.normal(0, noise, rise.shape)
    threshold = 4.5 * noise * operator.noise_gain
    for wave in (operator.matrix @ rise, invert_non_negative(rise, operator)):
        depth, _ = find_echo(wave, operator.depths_mm, threshold, low_mm=0.3, high_mm=6)
        assert np.isnan(depth[:40]).mean() > 0.9
        assert np.isfinite(depth[40:]).all()
        assert np.abs(depth[40:] / 2 - 1).mean() < 0.15


def test_resolution_falls_with_depth_and_noise():
    fine, _ = operator_for(FLASH, 0.0, 1e4)
    coarse, _ = operator_for(FLASH, 0.0, 1e2)
    widths = [[op.resolution_mm(depth, ALPHA, FLASH) for depth in (0.5, 1.0, 2.0)] for op in (fine, coarse)]
    assert (np.diff(widths, axis=1) > 0).all()
    assert (np.array(widths[0]) < np.array(widths[1])).all()


def test_noise_gain_is_what_noise_does():
    operator, _ = operator_for(FLASH, 0.0, 1000)
    noise = np.random.default_rng(2).normal(size=(FLASH.size, 4000))
    np.testing.assert_allclose((operator.matrix @ noise).std(axis=1), operator.noise_gain, rtol=0.06)


def test_inverse_is_the_ridge_regression_with_a_free_surface():
    """Against SciPy's least squares on the stacked system, the surface's column without a ridge."""
    operator = virtual_wave_operator(FLASH, ALPHA, 3e-3)
    depths = operator.depths_mm
    spacing = np.log(depths[1] / depths[0])
    echoes = virtual_wave_kernel(depths, FLASH, ALPHA) * spacing
    surface = virtual_wave_kernel(np.zeros(1), FLASH, ALPHA)
    ridge = 3e-3 * np.linalg.norm(operator.forward, 2)
    left = np.block([[surface, echoes], [np.zeros((depths.size, 1)), ridge * np.eye(depths.size)]])
    rise = slab_rise(1.5, FLASH, ALPHA)
    expected, *_ = np.linalg.lstsq(left, np.concatenate([rise, np.zeros(depths.size)]), rcond=None)
    np.testing.assert_allclose(operator.matrix @ rise, expected[1:] / (2 * depths), atol=1e-7 * np.abs(expected).max())


def test_truncated_inverse_keeps_the_large_singular_values():
    operator = virtual_wave_operator(FLASH, ALPHA, 1e-2, regulariser="tsvd")
    expected = np.linalg.pinv(operator.forward, rcond=1e-2) / (2 * operator.depths_mm[:, None])
    np.testing.assert_allclose(operator.matrix, expected, atol=1e-8 * np.abs(expected).max())


def test_non_negative_wave_is_that_of_nnls():
    """SciPy's active-set solver on the stacked system gives the squares that many steps approach."""
    operator = virtual_wave_operator(FLASH, ALPHA, 3e-3, n_depths=48)
    noise = np.random.default_rng(3).normal(0, 1e-3, FLASH.size)
    rise = slab_rise(2.0, FLASH, ALPHA) + noise
    ridge = 3e-3 * np.linalg.norm(operator.forward, 2)
    left = np.concatenate([operator.forward, ridge * np.eye(48)])
    right = np.concatenate([rise, np.zeros(48)])
    surface = virtual_wave_kernel(np.zeros(1), FLASH, ALPHA)[:, 0]
    right[: FLASH.size] -= surface * (surface @ rise) / (surface @ surface)
    expected, least = scipy.optimize.nnls(left, right)
    least = least**2
    found = invert_non_negative(rise[:, None], operator, n_iterations=3000)[:, 0] * 2 * operator.depths_mm
    assert (found >= 0).all()
    assert np.square(left @ found - right).sum() <= least * (1 + 1e-6)
    few = invert_non_negative(rise[:, None], operator)[:, 0] * 2 * operator.depths_mm
    assert np.square(left @ few - right).sum() <= least * 1.05
    assert abs(np.argmax(found) - np.argmax(expected)) <= 1


def test_single_precision_is_as_good():
    operator, noise = operator_for(FLASH, 0.0, 1000)
    rng = np.random.default_rng(4)
    rise = slab_rise(2.0, FLASH, ALPHA)[:, None] + rng.normal(0, noise, (FLASH.size, 20))
    exact, single = (invert_non_negative(rise.astype(kind), operator) for kind in (np.float64, np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=1e-3 * exact.max())


def test_discrepancy_is_what_noise_leaves():
    operator, noise = operator_for(FLASH, 0.0, 1000)
    rng = np.random.default_rng(5)
    model = slab_rise(2.0, FLASH, ALPHA)
    surface = virtual_wave_kernel(np.zeros(1), FLASH, ALPHA)[:, 0]
    rise = model[:, None] + rng.normal(0, noise, (FLASH.size, 500))
    wave = operator.matrix @ rise * (2 * operator.depths_mm[:, None])
    left = rise - surface[:, None] * (surface @ rise) / (surface @ surface) - operator.forward @ wave
    assert np.square(left).sum(axis=0).mean() == pytest.approx((FLASH.size - 1) * noise**2, rel=0.02)
    assert np.square(rise - surface[:, None] * (surface @ rise) / (surface @ surface)).sum(axis=0).mean() > 1e3 * (
        FLASH.size * noise**2
    )
    louder = choose_regularisation(model, 10 * noise, FLASH, ALPHA)
    assert louder > operator.parameter


@pytest.mark.parametrize("regulariser", ["tikhonov", "tsvd"])
@pytest.mark.parametrize(("times", "pulse_s"), [(FLASH, 0.0), (LONG, PULSE_S)])
def test_less_noise_is_less_regularised(times, pulse_s, regulariser):
    parameters = [operator_for(times, pulse_s, snr, regulariser=regulariser)[0].parameter for snr in (1e2, 1e3, 1e4)]
    assert (np.diff(parameters) < 0).all()
    assert parameters[-1] > 1e-5  # the principle was met


def test_find_echo_without_a_peak():
    depths = np.geomspace(0.1, 10, 60)
    bump = np.exp(-(np.log(depths / 2.03) ** 2) / 0.1)
    wave = np.stack([bump, 0.1 * bump, depths, np.full(60, np.nan)], axis=1)
    depth, height = find_echo(wave, depths, np.full(60, 0.5))
    assert depth[0] == pytest.approx(2.03, rel=2e-3)
    assert height[0] == pytest.approx(1, rel=1e-2)
    np.testing.assert_array_equal(np.isnan(depth), [False, True, True, True])
    assert np.isnan(find_echo(wave[:, :1], depths, np.full(60, 0.5), low_mm=3)[0]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: virtual_wave_kernel(np.zeros(1), FLASH, 0.0), "diffusivity is 0.0 mm2/s"),
        (lambda: virtual_wave_kernel(np.zeros(1), FLASH - 1, ALPHA), "needs positive times"),
        (lambda: slab_rise(0.0, FLASH, ALPHA), "back face lies at 0.0 mm"),
        (lambda: virtual_wave_operator(FLASH, ALPHA, 2.0), "parameter 2.0 and 128 depths"),
        (lambda: virtual_wave_operator(FLASH, ALPHA, 0.1, regulariser="ridge"), "regulariser 'ridge'"),
        (lambda: virtual_wave_operator(FLASH[:2], ALPHA, 0.1), "2 frames are left"),
        (lambda: choose_regularisation(FLASH, 0.0, FLASH, ALPHA), "the noise is 0.0"),
        (
            lambda: invert_non_negative(np.zeros((3, 1)), virtual_wave_operator(FLASH, ALPHA, 0.1)),
            r"shape \(3, 1\), expected \(400, n\)",
        ),
        (
            lambda: invert_non_negative(
                np.zeros((400, 1)), virtual_wave_operator(FLASH, ALPHA, 0.1, regulariser="tsvd")
            ),
            "needs a Tikhonov operator",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(SequenceError, match=message):
        call()


def recording(kind="flash", noise=0.01) -> ThermalSequence:
    """Plate of 5 mm with a delamination at 2 mm, one pixel without values."""
    pulse = 0.0 if kind == "flash" else PULSE_S
    axis = FLASH if kind == "flash" else LONG
    alpha = GFRP.diffusivity_through_mm2_s
    times = np.concatenate([np.arange(-10, 0) * 0.15, axis])
    frames = np.zeros((times.size, 6, 8))
    frames[10:] = 10 * slab_rise(5.0, axis, alpha, pulse)[:, None, None]
    frames[10:, 2:4, 3:5] = 10 * slab_rise(2.0, axis, alpha, pulse)[:, None, None]
    frames += np.random.default_rng(6).normal(0, noise, frames.shape)
    frames[:, 5, 7] = np.nan
    stop = 1e-9 if kind == "flash" else PULSE_S
    return ThermalSequence(
        frames=frames,
        times_s=times,
        unit="K",
        netd_k=noise,
        thickness_mm=5.0,
        material=GFRP,
        excitation=Excitation(kind=kind, stop_s=stop),
    )


@pytest.mark.parametrize("kind", ["flash", "long_pulse"])
def test_maps_show_the_delamination_and_the_back_face(kind):
    method = make_method("virtual_wave", {"depths_mm": (2.0, 4.0)})
    maps = compute_maps(recording(kind), {"virtual_wave": method}, threads=1, tile_values=410 * 8)
    hole = np.zeros((6, 8), dtype=bool)
    hole[2:4, 3:5] = True
    lost = np.zeros((6, 8), dtype=bool)
    lost[5, 7] = True
    np.testing.assert_allclose(maps["virtual_wave_depth"][hole], 2.0, rtol=0.08)
    np.testing.assert_allclose(np.median(maps["virtual_wave_depth"][~hole & ~lost]), 5.0, rtol=0.08)
    assert (maps["virtual_wave_2mm"][hole] > 3 * maps["virtual_wave_2mm"][~hole & ~lost].max()).all()
    assert all(np.isnan(image.values[lost]).all() for image in maps.images)
    metadata = maps.images[0].layer.metadata
    assert metadata["pulse_s"] == (0 if kind == "flash" else PULSE_S)
    assert metadata["diffusivity_mm2_s"] == pytest.approx(GFRP.diffusivity_through_mm2_s)
    assert all(width > 0 for width in metadata["resolution_mm"].values())


def test_blocks_are_the_whole_and_the_plain_inversion_is_a_product():
    sequence = recording()
    method = VirtualWaveMaps(non_negative=False, parameter=2e-3, depths_mm=(2.0,), noise_factor=0.0)
    whole = compute_maps(sequence, {"virtual_wave": method}, threads=1)
    parts = compute_maps(sequence, {"virtual_wave": method}, threads=2, tile_values=410)
    scale = np.nanmax(np.abs(whole["virtual_wave_2mm"]))
    np.testing.assert_allclose(parts["virtual_wave_2mm"], whole["virtual_wave_2mm"], atol=1e-4 * scale)
    operator = virtual_wave_operator(FLASH, GFRP.diffusivity_through_mm2_s, 2e-3)
    frames = np.asarray(sequence.frames)
    wave = np.tensordot(operator.matrix, (frames - frames[:10].mean(axis=0))[10:], axes=1)
    near = np.array([[np.interp(np.log(2.0), np.log(operator.depths_mm), wave[:, 1, x]) for x in range(8)]])
    np.testing.assert_allclose(whole["virtual_wave_2mm"][1:2], near, atol=2e-3 * np.abs(wave[:, :5]).max())


def test_tsvd_finds_the_hole_too():
    method = VirtualWaveMaps(regulariser="tsvd", non_negative=False, n_images=0, min_depth_mm=0.8, max_depth_mm=4.0)
    maps = compute_maps(recording(noise=0.002), {"virtual_wave": method}, threads=1)
    assert [image.layer.name for image in maps.images] == ["virtual_wave_depth", "virtual_wave_height"]
    np.testing.assert_allclose(maps["virtual_wave_depth"][2:4, 3:5], 2.0, rtol=0.2)


def test_missing_facts():
    scene = compute_maps(recording(), {"virtual_wave": VirtualWaveMaps()}, threads=1).scene
    with pytest.raises(MissingFactError, match="needs the diffusivity"):
        VirtualWaveMaps().layers(replace(scene, material=None))
    assert VirtualWaveMaps(diffusivity_mm2_s=0.2).layers(replace(scene, material=None))
    with pytest.raises(MissingFactError, match="chosen from the camera noise and the sound plate"):
        VirtualWaveMaps().layers(replace(scene, noise=None))
    assert VirtualWaveMaps(parameter=1e-3, noise_factor=0).layers(replace(scene, noise=None))
    with pytest.raises(SequenceError, match="not warmer than before the heating"):
        VirtualWaveMaps().layers(replace(scene, sound=-np.ones(scene.times_s.size)))
    with pytest.raises(SequenceError, match="expected a growing range"):
        VirtualWaveMaps(min_depth_mm=7.0).layers(scene)
    with pytest.raises(ConfigError, match=r"depths_mm has \[50.0\]"):
        VirtualWaveMaps(depths_mm=(50.0,)).layers(scene)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"diffusivity_mm2_s": 0.0}, "diffusivity_mm2_s is 0.0"),
        ({"regulariser": "ridge"}, "regulariser is 'ridge'"),
        ({"regulariser": "tsvd"}, "set it to false for tsvd"),
        ({"pulse": "square"}, "pulse is 'square'"),
        ({"parameter": 1.5}, "parameter is 1.5"),
        ({"n_iterations": 0}, "n_iterations must be at least 1"),
        ({"depths_mm": (-1.0,)}, r"depths_mm are \[-1.0\]"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        VirtualWaveMaps(**options)
