"""The solver against slabs: analytic series, and an independent 1-D reference with losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from thermo_qc.simulation import Heating, Losses, solve_plate

SIGMA = 5.670374419e-8


def test_flash_on_an_insulated_plate_follows_the_series(make_plate, insulated, flash_series):
    times = np.array([0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0, 200.0, 400.0])
    heating = Heating(kind="flash", energy_j_m2=10_000.0)
    solution = solve_plate(make_plate(2, 2), times_s=times, heating=heating, losses=insulated, lateral_mm=2)
    np.testing.assert_allclose(solution.rise_k[:, 0, 0], flash_series(times, 10_000.0), rtol=0.01)


def test_long_pulse_on_an_insulated_plate_follows_the_series(make_plate, insulated, pulse_series):
    times = np.array(
        [-2.0, 0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 59.9, 60.0, 60.1, 60.5, 61.0, 63.7, 70.0, 100.0, 200.0, 400.0]
    )
    solution = solve_plate(make_plate(2, 2), times_s=times, losses=insulated, lateral_mm=2)
    expected = pulse_series(times, 1000.0, 60.0)
    np.testing.assert_allclose(solution.rise_k[2:, 0, 0], expected[2:], rtol=0.01)
    assert (solution.rise_k[:2] == 0).all()


def test_step_heating_is_a_long_pulse_that_never_ends(make_plate):
    times = np.arange(1.0, 41.0)
    plate = make_plate(2, 2)
    step = solve_plate(plate, times_s=times, heating=Heating(kind="step"), lateral_mm=2)
    pulse = solve_plate(plate, times_s=times, heating=Heating(duration_s=60.0), lateral_mm=2)
    np.testing.assert_array_equal(step.rise_k, pulse.rise_k)
    assert (np.diff(step.rise_k[:, 0, 0]) > 0).all()


@pytest.mark.parametrize("emissivity", [0.0, 0.9])
def test_long_pulse_with_losses_matches_a_fine_reference(make_plate, gfrp, emissivity):
    losses = Losses(front_w_m2k=12.0, back_w_m2k=6.0, radiation_emissivity=emissivity, ambient_c=22.0)
    heating = Heating(flux_w_m2=2000.0, duration_s=60.0)
    times = np.array([2.0, 5.0, 20.0, 60.0, 61.0, 65.0, 100.0, 250.0, 600.0])
    solution = solve_plate(make_plate(2, 2), times_s=times, heating=heating, losses=losses, lateral_mm=2)
    expected = _fine_reference(times, gfrp, heating, losses)
    np.testing.assert_allclose(solution.rise_k[:, 0, 0], expected, rtol=0.01)


def _fine_reference(times, material, heating, losses, thickness=0.017, n=400):
    """Cell-centred finite volumes on even cells, an adaptive implicit integrator, everything written out again."""
    dz = thickness / n
    capacity = material.density_kg_m3 * material.heat_capacity_j_kgk * dz
    ambient = losses.ambient_c + 273.15
    k = material.conductivity_through_w_mk

    def surface_loss(cell, h):
        face = cell
        for _ in range(3):  # the face lies half a cell outside the cell's centre
            flux = h * face + losses.radiation_emissivity * SIGMA * ((ambient + face) ** 4 - ambient**4)
            face = cell - flux * dz / (2 * k)
        return flux

    def rate(flux_in):
        def f(_, u):
            q = k * np.diff(u) / dz
            du = np.zeros_like(u)
            du[:-1] += q
            du[1:] -= q
            du[0] += flux_in - surface_loss(u[0] + flux_in * dz / (2 * k), losses.front_w_m2k)
            du[-1] -= surface_loss(u[-1], losses.back_w_m2k)
            return du / capacity

        return f

    options = {"method": "LSODA", "rtol": 1e-7, "atol": 1e-8, "lband": 1, "uband": 1}
    hot = times[times <= heating.duration_s]
    up = solve_ivp(rate(heating.flux_w_m2), (0, heating.duration_s), np.zeros(n), t_eval=hot, **options)
    start = up.y[:, -1]
    cold = times[times > heating.duration_s]
    down = solve_ivp(rate(0.0), (heating.duration_s, cold[-1]), start, t_eval=cold, **options)

    def face(u, flux_in):
        inner = u[0] + flux_in * dz / (2 * k)
        return inner - surface_loss(inner, losses.front_w_m2k) * dz / (2 * k)

    return np.array([face(u, heating.flux_w_m2) for u in up.y.T] + [face(u, 0.0) for u in down.y.T])


def test_radiation_with_small_rises_equals_its_linear_coefficient(make_plate):
    times = np.arange(1.0, 121.0)
    heating = Heating(flux_w_m2=10.0)
    ambient_k = 22.0 + 273.15
    h = 4 * 0.9 * SIGMA * ambient_k**3
    convection = Losses(front_w_m2k=5 + h, back_w_m2k=5 + h, hole_floor_w_m2k=5 + h)
    radiation = Losses(front_w_m2k=5, back_w_m2k=5, hole_floor_w_m2k=5, radiation_emissivity=0.9)
    plate = make_plate(24, 24, ((12, 12, 9, 2),))
    a, b = (
        solve_plate(plate, times_s=times, heating=heating, losses=losses, dtype="float64")
        for losses in (convection, radiation)
    )
    np.testing.assert_allclose(a.rise_k, b.rise_k, rtol=2e-3)
    assert not np.array_equal(a.rise_k, b.rise_k)


def test_finer_grids_converge_to_the_series_with_second_order(make_plate, insulated, pulse_series):
    times = np.array([10.0, 60.0, 62.0, 100.0])
    errors = []
    for cells in (12, 24, 48):
        solution = solve_plate(
            make_plate(2, 2), times_s=times, losses=insulated, depth_cells=cells, lateral_mm=2, dtype="float64"
        )
        errors.append(np.abs(solution.rise_k[:, 0, 0] - pulse_series(times, 1000.0, 60.0)).max())
    assert errors[0] > 2.5 * errors[1] > 2.5 * 2.5 * errors[2]


def test_step_length_hardly_matters(make_plate):
    times = np.arange(1.0, 81.0)
    plate = make_plate(30, 30, ((15, 15, 12, 1.3),))
    finest, short, long = (
        solve_plate(plate, times_s=times, max_step_s=step, dtype="float64") for step in (0.25, 1.0, 2.0)
    )
    error_short, error_long = (np.abs(solution.rise_k - finest.rise_k).max() for solution in (short, long))
    assert error_long < 2e-3 * finest.rise_k.max()
    assert error_short < error_long / 3  # second order
    assert long.n_steps < finest.n_steps / 3


def test_lateral_conduction_spreads_a_lamp_as_a_cosine_mode_does(make_plate, gfrp, insulated):
    """After a flash, the lateral cosine mode of an insulated plate decays as exp(-alpha_r k^2 t)."""
    from thermo_qc.simulation import Lamp

    plate = make_plate(60.0, 2.0, thickness=2.0)
    heating = Heating(kind="flash", lamps=(Lamp(x_mm=0.0, y_mm=1.0, width_mm=20.0, edge_level=0.2),))
    for in_plane in (0.4, 8.0):  # the second one needs more than two stages
        material = replace(gfrp, conductivity_in_plane_w_mk=in_plane)
        times = np.array([30.0, 60.0])
        solution = solve_plate(
            plate, times_s=times, heating=heating, losses=insulated, material=material, lateral_mm=1, dtype="float64"
        )
        wave = np.pi / 60.0
        mode = (solution.rise_k[:, 0, :] * np.cos(wave * solution.x_mm)).sum(axis=1)
        expected = np.exp(-material.diffusivity_in_plane_mm2_s * wave**2 * 30.0)
        assert mode[1] / mode[0] == pytest.approx(expected, rel=2e-3)
