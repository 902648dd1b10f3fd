"""Lamps behind, light that goes in, layers, delaminations and inclusions: against closed forms and 1-D references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.optimize import brentq

from thermo_qc.errors import ConfigError
from thermo_qc.sequence import Material
from thermo_qc.simulation import (
    Delamination,
    Heating,
    Inclusion,
    LayerOf,
    Losses,
    Mark,
    Placement,
    peak_contrasts_k,
    record_plate,
    solve_cell,
    solve_plate,
    solve_sound_plate,
)

FLASH = Heating(kind="flash", energy_j_m2=10_000.0)
PTFE = Material(
    name="PTFE",
    conductivity_through_w_mk=0.25,
    conductivity_in_plane_w_mk=0.25,
    density_kg_m3=2200.0,
    heat_capacity_j_kgk=1000.0,
)
STEEL = Material(
    name="steel",
    conductivity_through_w_mk=15.0,
    conductivity_in_plane_w_mk=15.0,
    density_kg_m3=7900.0,
    heat_capacity_j_kgk=500.0,
)


def test_opposite_face_warms_as_parker_says(make_plate, gfrp, insulated):
    """V(omega) = 1 + 2 sum (-1)^n exp(-n^2 omega); half of it at t = 0.1388 L^2 / alpha."""
    scale = 4.0**2 / gfrp.diffusivity_through_mm2_s
    times = np.linspace(0.02, 0.8, 79) * scale
    solution = solve_plate(
        make_plate(2, 2, thickness=4.0),
        times_s=times,
        heating=replace(FLASH, side="back"),
        losses=insulated,
        lateral_mm=2,
        depth_cells=40,
        max_step_s=0.5,
        dtype="float64",
    )
    final = 10_000.0 / (0.004 * 1900 * 1000)
    n = np.arange(1, 60)[:, None]
    expected = 1 + 2 * ((-1.0) ** n * np.exp(-((n * np.pi) ** 2) * times / scale)).sum(axis=0)
    share = solution.rise_k[:, 0, 0] / final
    np.testing.assert_allclose(share, expected, atol=0.003)
    half = np.interp(0.5, share, times)
    assert half == pytest.approx(0.1388 * scale, rel=0.005)


def test_lamps_behind_show_a_hole_early_and_the_balance_closes(make_plate):
    plate = make_plate(30, 30, ((15, 15, 12, 3.0),))
    heating = Heating(duration_s=30.0, side="back")
    times = np.array([10.0, 60.0, 200.0])
    solution, sound = (
        solve(plate, times_s=times, heating=heating, losses=Losses(edge_w_m2k=8.0), dtype="float64")
        for solve in (solve_plate, solve_sound_plate)
    )
    assert solution.energy.absorbed_j == pytest.approx(1000.0 * 30 * 900e-6, rel=1e-9)
    assert abs(solution.energy.relative_error) < 1e-6
    assert peak_contrasts_k(solution, sound)[1] > 2.0
    assert solution.rise_k[0, 7, 7] > 20 * solution.rise_k[0, 0, 0] > 0
    slab = solve_plate(make_plate(2, 2, thickness=3.0), times_s=times, heating=heating, lateral_mm=2)
    assert solution.rise_k[0, 7, 7] == pytest.approx(slab.rise_k[0, 0, 0], rel=0.05)  # before heat goes sideways


@pytest.mark.parametrize("length", [0.3, 1.0, 5.0])
def test_light_that_goes_in_follows_the_cosine_series(make_plate, gfrp, insulated, length):
    times = np.array([0.05, 0.5, 2.0, 10.0, 60.0, 200.0])
    thickness = 6.0
    solution = solve_plate(
        make_plate(2, 2, thickness=thickness),
        times_s=times,
        heating=replace(FLASH, absorption_mm=length),
        losses=insulated,
        lateral_mm=2,
        depth_cells=60,
        dtype="float64",
    )
    n = np.arange(0, 1500)[:, None]
    beta, mu = n * np.pi / thickness, 1 / length
    taken = mu**2 / (mu**2 + beta**2) * (1 - (-1.0) ** n * np.exp(-mu * thickness))
    weight = np.where(n == 0, 1.0, 2.0) * taken
    decay = np.exp(-gfrp.diffusivity_through_mm2_s * beta**2 * times)
    expected = 10_000.0 / (1900 * 1000 * thickness * 1e-3) * (weight * decay).sum(axis=0)
    np.testing.assert_allclose(solution.rise_k[:, 0, 0], expected, rtol=0.006)
    assert solution.energy.absorbed_j == pytest.approx(1e4 * 4e-6 * (1 - np.exp(-thickness / length)), rel=1e-9)
    assert abs(solution.energy.relative_error) < 1e-9


def test_light_leaves_through_the_floor_of_a_hole(make_plate):
    plate = make_plate(20, 20, ((10, 10, 12, 2.0),), thickness=8.0)
    heating = Heating(duration_s=10.0, absorption_mm=2.0)
    solution = solve_plate(
        plate, times_s=np.array([5.0, 40.0]), heating=heating, losses=Losses(radiation_emissivity=0.9), dtype="float64"
    )
    hole = np.pi * 36 / 400
    taken = hole * (1 - np.exp(-1)) + (1 - hole) * (1 - np.exp(-4))
    assert solution.energy.absorbed_j == pytest.approx(1e4 * 400e-6 * taken, rel=0.003)
    assert abs(solution.energy.relative_error) < 1e-6


def chain(dz, conductivity, capacity, resistance, times, energy):
    """Even cells, written out again: rise of the first cell's face after a flash, insulated."""
    n = conductivity.size
    link = 1 / (dz / 2 / conductivity[:-1] + dz / 2 / conductivity[1:] + resistance)
    system = np.zeros((n, n))
    i = np.arange(n - 1)
    system[i, i + 1] = system[i + 1, i] = link
    system[np.diag_indices(n)] = -system.sum(axis=1)
    system /= (capacity * dz)[:, None]
    start = np.zeros(n)
    start[0] = energy / (capacity[0] * dz)
    return np.array([(expm(system * t) @ start)[0] for t in times])


def test_two_layers_follow_their_eigenfunctions(make_plate, gfrp, insulated):
    """Cos in the first layer, cos from the back in the second, matched: heat after a flash on the first."""
    a, b = 2e-3, 4e-3
    plate = make_plate(2, 2, thickness=6.0)
    times = np.array([2.0, 8.0, 30.0, 80.0, 300.0])
    solution = solve_plate(
        plate,
        times_s=times,
        heating=FLASH,
        losses=insulated,
        lateral_mm=2,
        depth_cells=50,
        layers=(LayerOf(depth_mm=2.0, thickness_mm=4.0, material=STEEL),),
        dtype="float64",
    )
    k1, k2, c1, c2 = 0.3, 15.0, 1.9e6, 3.95e6
    p, q = np.sqrt(c1 / k1), np.sqrt(c2 / k2)

    def condition(w):
        return k1 * p * np.sin(w * p * a) * np.cos(w * q * b) + k2 * q * np.cos(w * p * a) * np.sin(w * q * b)

    grid = np.linspace(1e-7, 40.0, 400_001)
    values = condition(grid)
    roots = [brentq(condition, grid[i], grid[i + 1], xtol=1e-14) for i in np.flatnonzero(values[:-1] * values[1:] < 0)]
    rise = np.full(times.size, 1e4 / (c1 * a + c2 * b))
    for w in roots:
        ca, cb = np.cos(w * p * a), np.cos(w * q * b)
        ratio = ca / cb if abs(cb) > 1e-9 else -k1 * p * np.sin(w * p * a) / (k2 * q * np.sin(w * q * b))
        norm = c1 * (a / 2 + np.sin(2 * w * p * a) / (4 * w * p))
        norm += c2 * ratio**2 * (b / 2 + np.sin(2 * w * q * b) / (4 * w * q))
        rise += 1e4 / norm * np.exp(-(w**2) * times)
    np.testing.assert_allclose(solution.rise_k[:, 0, 0], rise, rtol=0.01)
    assert abs(solution.energy.relative_error) < 1e-9


def test_layers_with_losses_at_the_edges_keep_the_balance(make_plate):
    solution = solve_plate(
        make_plate(20, 16, ((10, 8, 6, 4.0),), thickness=8.0),
        times_s=np.array([100.0]),
        losses=Losses(edge_w_m2k=20.0),
        layers=(LayerOf(depth_mm=0.0, thickness_mm=1.0, material=STEEL),),
        dtype="float64",
    )
    assert abs(solution.energy.relative_error) < 1e-6


@pytest.mark.parametrize("resistance", [0.0005, 0.004, 0.05])
def test_wide_delamination_is_a_resistance_at_its_depth(make_plate, insulated, resistance):
    plate = make_plate(4, 4, thickness=6.0)
    times = np.array([4.0, 10.0, 30.0, 100.0])
    gap = Delamination(x_mm=2, y_mm=2, width_mm=20, height_mm=20, depth_mm=1.5, resistance_m2k_w=resistance)
    solution = solve_plate(
        plate,
        times_s=times,
        heating=FLASH,
        losses=insulated,
        lateral_mm=2,
        depth_cells=40,
        buried=(gap,),
        dtype="float64",
    )
    n = 240
    resistances = np.zeros(n - 1)
    resistances[59] = resistance
    expected = chain(6e-3 / n, np.full(n, 0.3), np.full(n, 1.9e6), resistances, times, 1e4)
    np.testing.assert_allclose(solution.rise_k[:, 1, 1], expected, rtol=0.006)
    np.testing.assert_allclose(solution.rise_k[:, 0, 0], solution.rise_k[:, 1, 1], rtol=1e-9)


def test_wide_inclusion_is_another_layer(make_plate, insulated):
    plate = make_plate(4, 4, thickness=6.0)
    times = np.array([2.0, 10.0, 50.0])
    piece = {"depth_mm": 1.0, "thickness_mm": 0.5, "material": PTFE}
    options = {"times_s": times, "heating": FLASH, "losses": insulated, "lateral_mm": 2, "dtype": "float64"}
    inclusion = Inclusion(x_mm=2, y_mm=2, width_mm=20, height_mm=20, outline="rectangle", **piece)
    one = solve_plate(plate, buried=(inclusion,), **options)
    other = solve_plate(plate, layers=(LayerOf(**piece),), **options)
    np.testing.assert_allclose(one.rise_k, other.rise_k, rtol=1e-9)


def test_perfect_round_gap_is_as_warm_as_a_hole_at_first(make_plate, gfrp):
    """Later heat flows from the rim under the gap as well, where a hole has nothing."""
    losses = Losses(hole_floor_w_m2k=0.0)
    times = np.array([10.0, 20.0, 60.0])
    gap = Delamination(x_mm=20, y_mm=20, width_mm=12, height_mm=12, depth_mm=2.0, resistance_m2k_w=1e4)
    solution = solve_plate(
        make_plate(40, 40), times_s=times, losses=losses, lateral_mm=1, buried=(gap,), dtype="float64"
    )
    cell = solve_cell(
        material=gfrp, thickness_mm=17.0, depth_mm=2.0, diameter_mm=12.0, times_s=times, reach_mm=14.0, losses=losses
    )
    middle = solution.rise_k[:, 19:21, 19:21].mean(axis=(1, 2))
    np.testing.assert_allclose(middle, cell.rise_k[:, 0], rtol=0.03)
    assert abs(solution.energy.relative_error) < 1e-6


def test_symmetric_defects_have_symmetric_answers_and_balance(make_plate):
    """Several above one another, partly covered cells, a better conductor than the plate, a hole below."""
    buried = (
        Delamination(x_mm=12, y_mm=12, width_mm=9, height_mm=9, depth_mm=1.0),
        Delamination(x_mm=12, y_mm=12, width_mm=13, height_mm=13, depth_mm=2.5, outline="rectangle"),
        Inclusion(x_mm=12, y_mm=12, width_mm=7, height_mm=7, depth_mm=1.6, thickness_mm=0.4, material=STEEL),
    )
    solution = solve_plate(
        make_plate(24, 24, ((12, 12, 8, 4.0),), thickness=8.0),
        times_s=np.array([10.0, 90.0]),
        losses=Losses(edge_w_m2k=5.0),
        lateral_mm=1,
        depth_cells=30,
        buried=buried,
        dtype="float64",
    )
    rise = solution.rise_k
    np.testing.assert_allclose(rise, rise[:, ::-1], rtol=1e-9)
    np.testing.assert_allclose(rise, rise[:, :, ::-1], rtol=1e-9)
    np.testing.assert_allclose(rise, np.swapaxes(rise, 1, 2), rtol=1e-9)
    assert abs(solution.energy.relative_error) < 1e-6


def test_truth_and_contrasts_hold_buried_defects(make_plate):
    mask = np.zeros((10, 10), dtype=bool)
    mask[:, 6:] = mask[7:] = True
    plate = make_plate(40, 30, ((10, 10, 8, 3.0),))
    buried = (
        Delamination(x_mm=28, y_mm=15, width_mm=16, height_mm=16, depth_mm=4.0, name="low"),
        Delamination(x_mm=28, y_mm=15, width_mm=8, height_mm=8, depth_mm=1.0, outline="mask", mask=mask, name="L"),
        Inclusion(x_mm=10, y_mm=22, width_mm=9, height_mm=9, depth_mm=1.0, thickness_mm=1.0, material=STEEL),
    )
    times = np.arange(0.0, 121.0, 5.0)
    solution = solve_plate(plate, times_s=times, buried=buried, lateral_mm=1)
    sound = solve_sound_plate(plate, times_s=times, buried=buried)
    contrasts = peak_contrasts_k(solution, sound)
    assert list(contrasts) == [1, 2, 3, 4]
    assert contrasts[3] > 1.0 and contrasts[4] < -0.5
    sequence = record_plate(
        solution,
        rng=np.random.default_rng(0),
        placement=Placement(background_mm=0),
        pixel_pitch_mm=0.5,
        peak_contrasts_k=contrasts,
    )
    truth = sequence.truth
    assert [(d.number, d.name, d.depth_mm) for d in truth.defects] == [
        (1, "H1", 3.0),
        (2, "low", 4.0),
        (3, "L", 1.0),
        (4, "B3", 1.0),
    ]
    for number, area in (
        (1, np.pi * 16),
        (2, np.pi * 64 - 64 * mask.mean()),
        (3, 64 * mask.mean()),
        (4, np.pi * 20.25),
    ):
        assert (truth.defect_index == number).sum() / 4 == pytest.approx(area, rel=0.05)
    assert set(np.unique(truth.depth_mm[truth.defect_index == 3])) == {1.0}
    assert truth.defects[2].diameter_mm == pytest.approx(2 * np.sqrt(64 * mask.mean() / np.pi))
    assert truth.defects[3].peak_contrast_k == contrasts[4]
    facts = sequence.history[0].parameters["buried"]
    assert [fact["kind"] for fact in facts] == ["delamination", "delamination", "inclusion"]


def test_drifting_surroundings_carry_the_plate_and_the_background(make_plate, gfrp):
    """A thin plate with Biot number far below 1 is a single node: u' = (theta(t) - u) / tau."""
    losses = Losses(front_w_m2k=10.0, back_w_m2k=10.0, ambient_drift_k_min=0.6)
    thin = replace(gfrp, conductivity_through_w_mk=30.0)
    times = np.arange(-2.0, 601.0, 20.0)
    solution = solve_plate(
        make_plate(8, 8, thickness=2.0),
        times_s=times,
        heating=Heating(flux_w_m2=1e-6, duration_s=1.0),
        losses=losses,
        material=thin,
        lateral_mm=4,
        dtype="float64",
    )
    tau = 1.9e6 * 0.002 / 20.0
    t = np.maximum(times, 0)
    np.testing.assert_allclose(solution.rise_k[:, 0, 0], 0.01 * (t - tau * (1 - np.exp(-t / tau))), atol=2e-4)
    quiet = {"netd_k": 0.0, "blur_px": 0.0, "fixed_pattern_k": 0.0, "quantisation_k": 0.0}
    frames = np.asarray(record_plate(solution, rng=np.random.default_rng(0), **quiet).frames)
    np.testing.assert_allclose(frames[:, 0, 0], 22 + 0.01 * t, atol=1e-5)
    np.testing.assert_allclose(frames[:, 5, 5], 22 + solution.rise_k[:, 0, 0], atol=1e-5)


@pytest.mark.parametrize("emissivity", [0.0, 0.9])
def test_drift_of_the_surroundings_keeps_the_balance(make_plate, emissivity):
    losses = Losses(edge_w_m2k=6.0, radiation_emissivity=emissivity, ambient_drift_k_min=-1.0)
    plate = make_plate(24, 20, ((12, 10, 9, 2),))
    warm, steady = (
        solve_plate(plate, times_s=np.array([60.0, 240.0]), losses=item, dtype="float64")
        for item in (losses, replace(losses, ambient_drift_k_min=0.0))
    )
    assert abs(warm.energy.relative_error) < 1e-6
    assert -4.0 < (warm.rise_k - steady.rise_k)[1].min() < (warm.rise_k - steady.rise_k)[1].max() < -0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {
                "heating": Heating(side="back"),
                "marks": (Mark(x_mm=5, y_mm=5, width_mm=3, height_mm=3, absorption=1.2),),
            },
            "heating.side is 'back'",
        ),
        (
            {"layers": (LayerOf(depth_mm=10.0, thickness_mm=9.0, material=STEEL),)},
            "layerof from 10 to 19 mm does not lie",
        ),
        (
            {"buried": (Delamination(x_mm=5, y_mm=5, width_mm=3, height_mm=3, depth_mm=17.0),)},
            "does not lie inside the 17 mm",
        ),
        (
            {
                "depth_cells": 5,
                "buried": (Delamination(x_mm=5, y_mm=5, width_mm=3, height_mm=3, depth_mm=7.0),) * 1,
                "layers": (LayerOf(depth_mm=1, thickness_mm=2, material=STEEL),),
            },
            "sides of layers and buried",
        ),
    ],
)
def test_impossible_insides_are_refused(make_plate, options, message):
    with pytest.raises(ConfigError, match=message):
        solve_plate(make_plate(10, 10), times_s=np.array([1.0]), **options)


def test_impossible_options_are_refused(gfrp, make_plate):
    with pytest.raises(ConfigError, match="use 0 with side 'back'"):
        Heating(side="back", absorption_mm=1.0)
    with pytest.raises(ConfigError, match="heating side"):
        Heating(side="rear")
    with pytest.raises(ConfigError, match="delamination resistance_m2k_w is 0"):
        Delamination(x_mm=5, y_mm=5, width_mm=3, height_mm=3, depth_mm=1.0, resistance_m2k_w=0.0)
    with pytest.raises(ConfigError, match="inclusion thickness_mm is -1"):
        Inclusion(x_mm=5, y_mm=5, width_mm=3, height_mm=3, depth_mm=1.0, thickness_mm=-1.0, material=PTFE)
    with pytest.raises(ConfigError, match="the round cell knows an opaque face"):
        solve_cell(
            material=gfrp,
            thickness_mm=5.0,
            depth_mm=2.0,
            diameter_mm=5.0,
            times_s=np.array([1.0]),
            reach_mm=5.0,
            heating=Heating(side="back"),
        )
    plate = make_plate(10, 10)
    solution = solve_plate(plate, times_s=np.array([1.0]), heating=Heating(side="back"), lateral_mm=5)
    with pytest.raises(ConfigError, match="the lamps are behind the plate"):
        record_plate(solution, rng=np.random.default_rng(0), reflection_k=1.0)
    two = tuple(Delamination(x_mm=5, y_mm=5, width_mm=3, height_mm=3, depth_mm=d, name="same") for d in (1.0, 2.0))
    solution = solve_plate(plate, times_s=np.array([1.0]), buried=two, lateral_mm=1)
    with pytest.raises(ConfigError, match="several defects are called same"):
        record_plate(solution, rng=np.random.default_rng(0))
