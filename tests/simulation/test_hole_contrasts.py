"""Holes in three dimensions: published contrasts, an axisymmetric reference, symmetry, energy, the sound shortcut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

from thermo_qc.errors import ConfigError
from thermo_qc.simulation import Heating, Lamp, Losses, lamp_level, peak_contrasts_k, solve_plate, solve_sound_plate

# Peak contrast in K: 1 kW/m2 for 60 s on 17 mm GFRP, h = 10 W/(m2 K) on the face, hole floor insulated or losing too.
CASES = [
    # ligament, diameter, floor h, quoted (3-D, 0.5 to 1 mm), converged (axisymmetric, 0.25 mm), recorded s
    (4.35, 7.85, 0.0, 0.60, 0.546, 160),
    (4.35, 7.85, 10.0, 0.47, 0.466, 160),
    (4.35, 13.3, 0.0, 1.25, 1.239, 160),
    (4.35, 13.3, 10.0, 1.03, 1.025, 160),
    (7.08, 13.3, 0.0, 0.35, 0.339, 260),
    (7.08, 13.3, 10.0, 0.27, 0.268, 260),
    (9.82, 20.2, 0.0, 0.25, 0.248, 400),
    (9.82, 20.2, 10.0, 0.18, 0.180, 400),
]


@pytest.mark.parametrize(("ligament", "diameter", "floor", "quoted", "converged", "end"), CASES)
def test_contrast_of_one_hole(make_plate, ligament, diameter, floor, quoted, converged, end):
    width = float(np.ceil(diameter + 36))
    plate = make_plate(width, width, ((width / 2, width / 2, diameter, ligament),))
    options = {"times_s": np.arange(60.0, end + 1, 2.0), "losses": Losses(back_w_m2k=0.0, hole_floor_w_m2k=floor)}
    solution = solve_plate(plate, lateral_mm=1.0, depth_cells=36, **options)
    contrast = peak_contrasts_k(solution, solve_sound_plate(plate, depth_cells=36, **options), centre_fraction=0)[1]
    assert contrast == pytest.approx(quoted, rel=0.10)
    assert contrast == pytest.approx(converged, rel=0.02)


def test_two_millimetre_cells_match_an_axisymmetric_solution(make_plate, gfrp):
    """An own solver in cylindrical coordinates, run here, with the wall of the hole on a cell face."""
    times = np.arange(60.0, 151.0, 2.0)
    losses = Losses(front_w_m2k=10.0, back_w_m2k=10.0, hole_floor_w_m2k=10.0)
    reference = _axisymmetric_peak(gfrp, ligament=4.35, diameter=13.3, h=10.0, end_s=150.0)
    contrasts = []
    for x, y in ((25.0, 25.0), (25.7, 24.4), (24.5, 25.5)):  # the mean over positions on the grid counts
        plate = make_plate(50, 50, ((x, y, 13.3, 4.35),))
        solution = solve_plate(plate, times_s=times, losses=losses)
        sound = solve_sound_plate(plate, times_s=times, losses=losses)
        contrasts.append(peak_contrasts_k(solution, sound, centre_fraction=0)[1])
    assert np.mean(contrasts) == pytest.approx(reference, rel=0.03)
    assert np.std(contrasts) < 0.02 * reference


def _axisymmetric_peak(material, *, ligament, diameter, h, end_s, thickness=17.0, dr=0.5, dz=0.3):
    """Peak contrast of a hole's centre against the outer rim, cell-centred in r and z, L-stable SDIRK2."""
    radius, outer = diameter / 2, diameter / 2 + 30
    r = (
        np.concatenate([np.linspace(0, radius, round(radius / dr), endpoint=False), np.arange(radius, outer, dr)])
        * 1e-3
    )
    upper = np.linspace(0, ligament, round(ligament / dz) + 1)
    z = np.concatenate([upper, np.linspace(ligament, thickness, 30)[1:]]) * 1e-3
    n_in, n_above, n_r, n_z = round(radius / dr), upper.size - 1, r.size - 1, z.size - 1
    solid = np.ones((n_r, n_z), dtype=bool)
    solid[:n_in, n_above:] = False
    area = np.pi * np.diff(r**2)
    mid_r, height = (r[1:] + r[:-1]) / 2, np.diff(z)
    k_z, k_r = material.conductivity_through_w_mk, material.conductivity_in_plane_w_mk
    index = np.arange(n_r * n_z).reshape(n_r, n_z)
    down = k_z * area[:, None] / ((height[1:] + height[:-1]) / 2) * (solid[:, 1:] & solid[:, :-1])
    out = k_r * (2 * np.pi * r[1:-1] / np.diff(mid_r))[:, None] * height * (solid[1:] & solid[:-1])
    pairs = [(index[:, :-1], index[:, 1:], down), (index[:-1], index[1:], out)]
    a, b, g = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in range(3))
    film = np.zeros((n_r, n_z))
    for cells, thick in (
        (np.s_[:, 0], height[0]),
        (np.s_[n_in:, n_z - 1], height[-1]),
        (np.s_[:n_in, n_above - 1], height[n_above - 1]),
    ):
        film[cells] += area[cells[0]] / (1 / h + thick / (2 * k_z))
    rows, columns = np.concatenate([a, b, a, b]), np.concatenate([b, a, a, b])
    conduction = coo_array((np.concatenate([g, g, -g, -g]), (rows, columns)), shape=(index.size,) * 2).tocsc()
    system = (conduction - diags_array(film.ravel())).tocsc()
    capacity = (material.density_kg_m3 * material.heat_capacity_j_kgk * area[:, None] * height).ravel()
    heat = np.zeros((n_r, n_z))
    heat[:, 0] = 1000.0 * area
    gamma = 1 - 1 / np.sqrt(2)
    u, t, peak, factors = np.zeros(index.size), 0.0, 0.0, {}
    for dt in [0.1] * 10 + [1.0] * 59 + [0.1] * 10 + [1.0] * int(end_s - 61):
        if dt not in factors:
            factors[dt] = splu((diags_array(capacity) - gamma * dt * system).tocsc())
        source = heat.ravel() * (t < 60 - 1e-6)
        first = factors[dt].solve(system @ u + source)
        second = factors[dt].solve(system @ (u + (1 - gamma) * dt * first) + source)
        u, t = u + dt * ((1 - gamma) * first + gamma * second), t + dt
        if t > 60.5:  # while cooling, a film on half a cell is all between the first cell and the face
            face = u.reshape(n_r, n_z)[:, 0] / (1 + h * height[0] / (2 * k_z))
            peak = max(peak, float(face[0] - face[-1]))
    return peak


@pytest.mark.parametrize("emissivity", [0.0, 0.9])
def test_energy_balance_closes(make_plate, emissivity):
    plate = make_plate(40, 30, ((12, 15, 9, 1.3), (28, 14, 8, 7.0)))
    lamps = (Lamp(x_mm=5, y_mm=5, width_mm=30, edge_level=0.2),)
    losses = Losses(edge_w_m2k=8.0, radiation_emissivity=emissivity)
    for heating in (Heating(lamps=lamps), Heating(kind="flash", lamps=lamps), Heating(kind="step")):
        solution = solve_plate(
            plate, times_s=np.array([50.0, 100.0]), heating=heating, losses=losses, max_step_s=4.0, dtype="float64"
        )
        energy = solution.energy
        assert abs(energy.relative_error) < 1e-6
        assert energy.lost_j > 0.02 * energy.absorbed_j
        assert energy.stored_j > 0.2 * energy.absorbed_j


def test_absorbed_energy_is_flux_times_area_times_time(make_plate, insulated):
    solution = solve_plate(make_plate(40, 30), times_s=np.array([90.0]), losses=insulated, dtype="float64")
    assert solution.energy.absorbed_j == pytest.approx(1000.0 * 0.04 * 0.03 * 60.0, rel=1e-12)
    assert solution.energy.lost_j == 0.0
    assert solution.energy.stored_j == pytest.approx(solution.energy.absorbed_j, rel=1e-9)


def test_sound_plate_does_not_know_its_cells(make_plate):
    times = np.arange(1.0, 101.0, 3.0)
    one = solve_plate(make_plate(4, 4), times_s=times, lateral_mm=4, dtype="float64")
    many = solve_plate(make_plate(40, 30), times_s=times, lateral_mm=3, dtype="float64")
    np.testing.assert_allclose(many.rise_k, np.broadcast_to(one.rise_k, many.rise_k.shape), rtol=1e-9)


def test_solution_has_the_symmetry_of_the_plate(make_plate):
    plate = make_plate(40, 32, ((10, 16, 9, 1.3), (30, 16, 9, 1.3), (20, 16, 6, 4.35)))
    rise = solve_plate(plate, times_s=np.array([30.0, 60.0, 90.0]), dtype="float64").rise_k
    np.testing.assert_allclose(rise, rise[:, :, ::-1], rtol=1e-9)
    np.testing.assert_allclose(rise, rise[:, ::-1, :], rtol=1e-9)
    turned = replace(
        plate,
        width_mm=32.0,
        height_mm=40.0,
        holes=tuple(replace(hole, x_mm=hole.y_mm, y_mm=hole.x_mm) for hole in plate.holes),
    )
    other = solve_plate(turned, times_s=np.array([30.0, 60.0, 90.0]), dtype="float64").rise_k
    np.testing.assert_allclose(rise, np.swapaxes(other, 1, 2), rtol=1e-9)


def test_contrast_grows_with_diameter_and_falls_with_depth(make_plate):
    plate = make_plate(
        120, 80, ((20, 20, 8, 3.0), (60, 20, 12, 3.0), (100, 20, 16, 3.0), (60, 60, 12, 6.0), (20, 60, 12, 16.5))
    )
    times = np.arange(0.0, 301.0, 5.0)
    contrast = peak_contrasts_k(solve_plate(plate, times_s=times), solve_sound_plate(plate, times_s=times))
    assert contrast[1] < contrast[2] < contrast[3]
    assert contrast[2] > 5 * contrast[4] > 25 * contrast[5]
    assert abs(contrast[5]) < 0.01  # half a millimetre deep, drilled from the back of 17 mm: next to nothing


@pytest.mark.parametrize("emissivity", [0.0, 0.9])
def test_coarse_sound_plate_gives_the_contrasts_of_a_fine_one(make_plate, emissivity):
    plate = make_plate(90, 70, ((15, 15, 9, 1.3), (60, 40, 12, 4.35)))
    options = {
        "times_s": np.arange(2.0, 161.0, 2.0),
        "heating": Heating(lamps=(Lamp(x_mm=20, y_mm=20, width_mm=100, edge_level=0.5),)),
        "losses": Losses(edge_w_m2k=10.0, radiation_emissivity=emissivity),
    }
    solution = solve_plate(plate, **options)
    quick = peak_contrasts_k(solution, solve_sound_plate(plate, **options))
    full = peak_contrasts_k(solution, solve_sound_plate(plate, lateral_mm=2.0, **options))
    for number, contrast in full.items():
        assert quick[number] == pytest.approx(contrast, abs=0.005)


def test_contrasts_need_the_same_times(make_plate):
    plate = make_plate(40, 30, ((20, 15, 8, 3),))
    a, b = solve_plate(plate, times_s=np.array([1.0])), solve_sound_plate(plate, times_s=np.array([2.0]))
    with pytest.raises(ConfigError, match="different times"):
        peak_contrasts_k(a, b)


def test_float32_is_close_to_float64(make_plate):
    plate = make_plate(40, 30, ((20, 15, 9, 1.3),))
    times = np.arange(1.0, 101.0, 3.0)
    single, double = (solve_plate(plate, times_s=times, dtype=dtype) for dtype in ("float32", "float64"))
    assert single.rise_k.dtype == np.float32
    assert double.rise_k.dtype == np.float64
    assert np.abs(single.rise_k - double.rise_k).max() < 1e-3


def test_carbon_fibre_on_fine_cells_is_stable(make_plate, gfrp):
    """4 mm2/s in the plane and 0.5 mm cells: steps are far beyond the explicit limit."""
    material = replace(gfrp, conductivity_in_plane_w_mk=7.0, conductivity_through_w_mk=0.65, density_kg_m3=1600.0)
    plate = make_plate(16, 12, ((8, 6, 5, 0.5),), thickness=4.0, material=material)
    times = np.arange(1.0, 61.0)
    heating = Heating(duration_s=10.0, lamps=(Lamp(x_mm=0, y_mm=0, width_mm=10, edge_level=0.3),))
    coarse, fine = (
        solve_plate(plate, times_s=times, heating=heating, lateral_mm=0.5, max_step_s=step) for step in (2.0, 0.05)
    )
    assert np.abs(coarse.rise_k - fine.rise_k).max() < 0.015 * fine.rise_k.max()
    sound = solve_sound_plate(plate, times_s=times, heating=heating, lateral_mm=0.5)  # steps of 2 s: seven stages
    assert sound.n_steps < 100  # the plate with the hole takes several times as many
    assert np.isfinite(sound.rise_k).all()
    assert (np.diff(sound.rise_k[15:].max(axis=(1, 2))) < 0).all()


def test_lamps_average_and_scale_to_the_brightest_point():
    x, y = np.meshgrid(np.linspace(0, 300, 61), np.linspace(0, 200, 41))
    left, right = (Lamp(x_mm=at, y_mm=100.0, width_mm=120.0, edge_level=0.0) for at in (90.0, 210.0))
    single = lamp_level((left,), x, y)
    assert single.max() == 1.0
    assert single[20, 18] == 1.0  # the centre
    assert single[20, 30] == pytest.approx(0.5)  # 60 mm away: half the full width at half maximum
    both = lamp_level((left, right), x, y)
    assert both.max() == 1.0
    np.testing.assert_allclose(both, both[:, ::-1], rtol=1e-12)
    raw = single * 1.0 + lamp_level((right,), x, y)
    np.testing.assert_allclose(both, raw / raw.max(), rtol=1e-12)
    assert (lamp_level((), x, y) == 1).all()
