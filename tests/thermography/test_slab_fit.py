"""Diffusivity from analytic curves of slabs, from noisy ones against Cramer and Rao, and as maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.plate import PlateSpec
from thermo_qc.sequence import Excitation, Material, ThermalSequence
from thermo_qc.simulation import Heating, Losses, solve_plate
from thermo_qc.thermography import (
    DiffusivityMaps,
    compute_maps,
    diffusivity_from_half_rise,
    diffusivity_from_peak,
    fit_slab,
    fit_tsr,
    half_rise_time,
    make_method,
    second_derivative_noise,
    second_derivative_peak,
    slab_response,
    tsr_derivatives,
)

TIMES = np.arange(1, 401) * 0.1
THICKNESS = 2.0
GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.30,
    conductivity_in_plane_w_mk=0.40,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)


def curves(diffusivities, **options):
    return np.stack(
        [slab_response(TIMES, thickness_mm=THICKNESS, diffusivity_mm2_s=a, **options) for a in diffusivities], axis=1
    )


@pytest.mark.parametrize("face", ["front", "rear"])
@pytest.mark.parametrize("pulse_s", [0.0, 3.0])
def test_noise_free_curves_give_their_diffusivity(face, pulse_s):
    diffusivity = np.geomspace(0.06, 2.0, 40)
    fit = fit_slab(
        3 * curves(diffusivity, face=face, pulse_s=pulse_s), TIMES, thickness_mm=THICKNESS, face=face, pulse_s=pulse_s
    )
    np.testing.assert_allclose(fit.diffusivity_mm2_s, diffusivity, rtol=1e-7)
    np.testing.assert_allclose(fit.amplitude, 3, rtol=1e-7)
    assert (fit.biot == 0).all() and (fit.residual < 1e-4).all()


@pytest.mark.parametrize("face", ["front", "rear"])
@pytest.mark.parametrize("biot", [0.0, 0.05, 0.3])
def test_losses_are_told_from_diffusivity(face, biot):
    diffusivity = np.geomspace(0.1, 1.2, 20)
    fit = fit_slab(
        3 * curves(diffusivity, face=face, biot=biot),
        TIMES,
        thickness_mm=THICKNESS,
        face=face,
        losses=True,
        range_mm2_s=(0.02, 5.0),
    )
    np.testing.assert_allclose(fit.diffusivity_mm2_s, diffusivity, rtol=1e-3)
    np.testing.assert_allclose(fit.amplitude, 3, rtol=1e-3)
    np.testing.assert_allclose(fit.biot, biot, atol=1e-3)


@settings(deadline=None, max_examples=15)
@given(scale=st.floats(0.01, 1e4), alpha=st.floats(0.08, 1.5))
def test_amplitude_does_not_matter(scale, alpha):
    fit = fit_slab(scale * curves([alpha]), TIMES, thickness_mm=THICKNESS)
    assert fit.diffusivity_mm2_s[0] == pytest.approx(alpha, rel=1e-6)
    assert fit.amplitude[0] == pytest.approx(scale, rel=1e-6)


@pytest.mark.parametrize(
    ("face", "losses", "biot"), [("front", False, 0.0), ("rear", False, 0.0), ("front", True, 0.1)]
)
def test_noise_comes_through_as_cramer_and_rao_say(face, losses, biot):
    noise, truth = 0.03, np.array([3.0, 0.4, biot][: 3 if losses else 2])

    def model(p):
        return p[0] * curves([p[1]], face=face, biot=p[2] if losses else 0.0, pulse_s=1.0)[:, 0]

    steps = 1e-4 * np.eye(truth.size)
    jacobian = np.stack([(model(truth + step) - model(truth - step)) / 2e-4 for step in steps], axis=1)
    bound = noise * np.sqrt(np.linalg.inv(jacobian.T @ jacobian)[1, 1])
    rng = np.random.default_rng(0)
    noisy = model(truth)[:, None] + rng.normal(0, noise, (TIMES.size, 1500))
    fit = fit_slab(noisy, TIMES, thickness_mm=THICKNESS, face=face, pulse_s=1.0, losses=losses, range_mm2_s=(0.1, 2.0))
    assert fit.diffusivity_mm2_s.std() == pytest.approx(bound, rel=0.08)
    assert fit.diffusivity_mm2_s.mean() == pytest.approx(0.4, abs=4 * bound / np.sqrt(1500))
    assert np.median(fit.standard_error_mm2_s) == pytest.approx(bound, rel=0.05)
    assert np.median(fit.residual) == pytest.approx(noise, rel=0.02)
    again = least_squares(lambda p: model(p) - noisy[:, 0], truth, xtol=1e-12)  # an independent minimum
    assert fit.diffusivity_mm2_s[0] == pytest.approx(again.x[1], abs=0.03 * bound)


def test_what_lies_outside_the_range_is_nan():
    fit = fit_slab(
        np.column_stack([curves([0.2, 0.5, 1.5]), -curves([0.5]), np.full((TIMES.size, 1), np.nan)]),
        TIMES,
        thickness_mm=THICKNESS,
        range_mm2_s=(0.4, 1.0),
    )
    assert np.isfinite(fit.diffusivity_mm2_s).tolist() == [False, True, False, False, False]
    strong = fit_slab(curves([1.0], biot=3.0), TIMES, thickness_mm=THICKNESS, losses=True, range_mm2_s=(0.1, 5.0))
    assert np.isnan(strong.diffusivity_mm2_s).all()  # losses beyond what is sought


def test_offset_of_the_cold_frame_is_fitted():
    fit = fit_slab(curves([0.3], biot=0.0) - 0.2, TIMES, thickness_mm=THICKNESS, offset=True)
    assert fit.diffusivity_mm2_s[0] == pytest.approx(0.3, rel=1e-6)
    assert fit.amplitude[0] == pytest.approx(1.0, rel=1e-6)
    assert abs(fit_slab(curves([0.3]) - 0.2, TIMES, thickness_mm=THICKNESS).diffusivity_mm2_s[0] / 0.3 - 1) > 0.05


def test_float32_blocks_equal_the_whole():
    rng = np.random.default_rng(0)
    block = (curves(np.geomspace(0.1, 1, 12)) + rng.normal(0, 0.01, (TIMES.size, 12))).astype(np.float32)
    whole = fit_slab(block.reshape(-1, 3, 4), TIMES, thickness_mm=THICKNESS).diffusivity_mm2_s
    assert whole.shape == (3, 4)
    parts = [fit_slab(block[:, i : i + 4], TIMES, thickness_mm=THICKNESS).diffusivity_mm2_s for i in (0, 4, 8)]
    np.testing.assert_allclose(np.stack(parts), whole, rtol=1e-5)


def test_parker_between_frames():
    diffusivity = np.array([0.1, 0.25, 0.7])
    rear = curves(diffusivity, face="rear")
    np.testing.assert_allclose(
        diffusivity_from_half_rise(half_rise_time(rear, TIMES), THICKNESS), diffusivity, rtol=5e-3
    )
    noisy = rear + np.random.default_rng(0).normal(0, 0.01, rear.shape)
    smooth = half_rise_time(noisy, TIMES, smooth_frames=5)
    np.testing.assert_allclose(diffusivity_from_half_rise(smooth, THICKNESS), diffusivity, rtol=0.05)


def test_half_rise_needs_the_maximum_in_the_window():
    rear = slab_response(TIMES, thickness_mm=6.0, diffusivity_mm2_s=0.1, face="rear")
    assert np.isnan(half_rise_time(rear, TIMES))  # still rising
    assert np.isnan(half_rise_time(np.ones((400, 2)), TIMES)).all()  # never below half
    assert np.isnan(half_rise_time(-np.arange(400.0), TIMES))
    with pytest.raises(SequenceError, match="moving mean of 4 frames"):
        half_rise_time(rear, TIMES, smooth_frames=4)


def test_tsr_peak_time_gives_the_diffusivity():
    front = curves([0.15, 0.4])
    peak, _ = second_derivative_peak(fit_tsr(front, TIMES, 9))
    np.testing.assert_allclose(
        diffusivity_from_peak(peak, THICKNESS), [0.15, 0.4], rtol=0.08
    )  # the polynomial's own error


def test_noise_of_the_second_derivative():
    rng = np.random.default_rng(0)
    curve = curves([0.3])[:, 0]
    fit = fit_tsr(curve[:, None] + rng.normal(0, 0.01, (400, 3000)), TIMES, 7)
    at = np.full(3000, 4.2)
    spread = tsr_derivatives(fit, np.array([4.2]))[1].std()
    assert np.median(second_derivative_noise(fit, TIMES, at, 0.01)) == pytest.approx(spread, rel=0.06)
    assert np.isnan(second_derivative_noise(fit, TIMES, np.full(3000, np.nan), 0.01)).all()


def recording(face="front", kind="flash", stop_s=0.02, noise=0.004):
    times = np.arange(-5, 400) * 0.1 + 0.05
    pulse, zero = (0.0, stop_s / 2) if kind == "flash" else (stop_s, 0.0)
    rise = np.stack(
        [
            slab_response(times - zero, thickness_mm=THICKNESS, diffusivity_mm2_s=a, pulse_s=pulse, face=face)
            for a in (0.2, 0.3)
        ],
        axis=1,
    )
    frames = np.repeat(3 * rise, 15, axis=1).reshape(-1, 5, 6)
    frames += np.random.default_rng(0).normal(0, noise, frames.shape)
    return ThermalSequence(
        frames=frames,
        times_s=times,
        unit="K",
        netd_k=noise,
        thickness_mm=THICKNESS,
        excitation=Excitation(kind=kind, stop_s=stop_s),
    )


@pytest.mark.parametrize(("face", "rtol"), [("front", 0.06), ("rear", 0.03)])
def test_maps_of_both_faces(face, rtol):
    method = make_method("diffusivity", {"face": face, "smooth_frames": 3, "offset": True})
    maps = compute_maps(recording(face), {"diffusivity": method}, threads=2, tile_values=405 * 7)
    true = np.repeat([0.2, 0.3], 15).reshape(5, 6)
    np.testing.assert_allclose(maps["diffusivity_slab"], true, rtol=0.02)
    other = maps["diffusivity_tsr" if face == "front" else "diffusivity_parker"]
    np.testing.assert_allclose(other, true, rtol=rtol)
    wrong = np.abs(maps["diffusivity_slab"] - true) / maps["diffusivity_slab_error"]
    assert 0.4 < np.median(wrong) < 1.0 and wrong.max() < 4
    assert maps["diffusivity_slab_residual"] == pytest.approx(0.004, rel=0.3)
    facts = maps.images[0].layer.metadata
    assert facts["limits"] and facts["thickness_mm"] == 2.0 and "warning" not in facts


def test_long_pulse_is_for_the_slab_and_others_warn_once(caplog):
    maps = compute_maps(recording(kind="long_pulse", stop_s=3.0), {"diffusivity": DiffusivityMaps()}, threads=1)
    true = np.repeat([0.2, 0.3], 15).reshape(5, 6)
    np.testing.assert_allclose(maps["diffusivity_slab"], true, rtol=0.03)
    facts = {image.layer.name: image.layer.metadata for image in maps.images}
    assert "warning" in facts["diffusivity_tsr"] and "warning" not in facts["diffusivity_slab"]
    assert facts["diffusivity_slab"]["pulse_s"] == 3.0
    assert sum("the heating is no flash" in record.message for record in caplog.records) == 1


def test_solver_s_plate_with_losses():
    """The simulation's own losses and finite pulse: the slab without losses is wrong, with them right."""
    times = np.arange(1, 601) * 0.5
    plate = PlateSpec(name="p", width_mm=4, height_mm=4, thickness_mm=4.0, material=GFRP, holes=())
    losses = Losses(front_w_m2k=10.0, back_w_m2k=10.0, radiation_emissivity=0.0)
    solution = solve_plate(
        plate, times_s=times, heating=Heating(duration_s=10.0), losses=losses, lateral_mm=2.0, depth_cells=48
    )
    after = times > 10
    options = {"thickness_mm": 4.0, "pulse_s": 10.0, "range_mm2_s": (0.05, 1.0)}
    free = fit_slab(solution.rise_k[after][:, :1, 0], times[after], losses=True, **options)
    assert free.diffusivity_mm2_s[0] == pytest.approx(GFRP.diffusivity_through_mm2_s, rel=0.02)
    assert free.biot[0] == pytest.approx(10 * 4e-3 / 0.30, rel=0.02)
    tight = fit_slab(solution.rise_k[after][:, :1, 0], times[after], **options)
    assert abs(tight.diffusivity_mm2_s[0] / GFRP.diffusivity_through_mm2_s - 1) > 0.1


def test_what_the_scene_must_have():
    options = {"range_mm2_s": (0.05, 1.0)}
    scene = compute_maps(recording(), {"diffusivity": DiffusivityMaps(**options)}, threads=1).scene
    with pytest.raises(MissingFactError, match="needs the thickness of the plate"):
        DiffusivityMaps().layers(replace(scene, thickness_mm=None))
    assert DiffusivityMaps(thickness_mm=1.0, **options).layers(replace(scene, thickness_mm=None))
    with pytest.raises(MissingFactError, match="needs the camera noise"):
        DiffusivityMaps().layers(replace(scene, noise=None))
    assert DiffusivityMaps(noise_factor=0.0, **options).layers(replace(scene, noise=None))
    with pytest.raises(SequenceError, match="not a periodic heating"):
        DiffusivityMaps().layers(replace(scene, excitation=Excitation(kind="periodic", stop_s=1.0, frequency_hz=1.0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"face": "left"}, "diffusivity.face is 'left'"),
        ({"estimates": ("parker",)}, "expected some of tsr, slab for the front face"),
        ({"thickness_mm": 0.0}, "diffusivity.thickness_mm is 0.0"),
        ({"range_mm2_s": (1.0, 0.5)}, r"diffusivity.range_mm2_s is \[1.0, 0.5\]"),
        ({"smooth_frames": 2}, "diffusivity.smooth_frames is 2"),
        ({"order": 2}, "diffusivity.order is 2"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        DiffusivityMaps(**options)


def test_functions_refuse_bad_input():
    with pytest.raises(SequenceError, match="expected increasing positive ones"):
        fit_slab(np.ones(400), TIMES - 1, thickness_mm=1.0)
    with pytest.raises(SequenceError, match=r"the thickness is 0\.0 mm"):
        fit_slab(np.ones(400), TIMES, thickness_mm=0.0)
    with pytest.raises(SequenceError, match="sought from 2 to 1 mm2/s"):
        fit_slab(np.ones(400), TIMES, thickness_mm=1.0, range_mm2_s=(2.0, 1.0))
    with pytest.raises(SequenceError, match=r"rise has shape \(3,\)"):
        fit_slab(np.ones(3), TIMES, thickness_mm=1.0)
    with pytest.raises(SequenceError, match=r"the thickness is -1\.0 mm"):
        diffusivity_from_peak(np.ones(1), -1.0)
