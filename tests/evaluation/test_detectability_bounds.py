"""The Cramer-Rao bound against closed forms, and against least squares on draws of noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares

from thermo_qc.errors import SequenceError
from thermo_qc.evaluation import InspectionSetup, cramer_rao_bound, fisher_information, hole_depth_bounds
from thermo_qc.plate import load_material
from thermo_qc.simulation import Heating

TIMES = np.linspace(1.0, 60.0, 60)


def test_slope_of_a_line_with_and_without_its_offset() -> None:
    slope = TIMES.reshape(1, -1, 1, 1)
    known = cramer_rao_bound(slope, noise_k=0.2, nuisance="none")[0]
    assert known == pytest.approx(0.2 / np.linalg.norm(TIMES))
    both = cramer_rao_bound(np.concatenate([slope, np.ones_like(slope)]), noise_k=0.2, nuisance="none")
    assert both[0] == pytest.approx(0.2 / np.linalg.norm(TIMES - TIMES.mean()))
    covariance = 0.04 * np.linalg.inv(np.stack([TIMES, np.ones(60)]) @ np.stack([TIMES, np.ones(60)]).T)
    np.testing.assert_allclose(both, np.sqrt(np.diag(covariance)), rtol=1e-9)


def test_a_nuisance_costs_what_the_same_unknown_parameter_costs() -> None:
    curve, sound = np.exp(-TIMES / 20).reshape(1, -1, 1, 1), np.sqrt(TIMES)
    given = {"noise_k": 0.1, "sound_k": sound, "times_s": TIMES}
    unknown = [np.ones(60), sound, np.gradient(sound, TIMES)]
    stack = np.concatenate([curve, *(column.reshape(1, -1, 1, 1) for column in unknown)])
    as_parameters = cramer_rao_bound(stack, noise_k=0.1, nuisance="none")[0]
    assert cramer_rao_bound(curve, **given, nuisance="pixel")[0] == pytest.approx(as_parameters, rel=1e-6)
    assert fisher_information(curve, **given, nuisance="pixel").shape == (1, 1)


def test_parameters_that_nothing_tells_apart_have_no_bound() -> None:
    line = TIMES.reshape(1, -1, 1, 1)
    other = np.cos(TIMES).reshape(1, -1, 1, 1)
    bound = cramer_rao_bound(np.concatenate([line, 2 * line, other, 0 * line]), noise_k=0.1, nuisance="none")
    assert np.isinf(bound[[0, 1, 3]]).all()
    assert 0 < bound[2] < 1


def test_bad_shape() -> None:
    with pytest.raises(SequenceError, match="parameters x frames x rows x columns"):
        cramer_rao_bound(np.ones((3, 4)), noise_k=0.1)


def _slab_rise(depth_mm: float) -> np.ndarray:
    """Face of an insulated GFRP slab after a flash of 10 kJ/m2 (Carslaw and Jaeger), K at TIMES."""
    material = load_material("GFRP")
    alpha = material.diffusivity_through_mm2_s
    n = np.arange(1, 60)[:, None]
    images = 1 + 2 * np.exp(-((n * depth_mm) ** 2) / (alpha * TIMES)).sum(axis=0)
    return np.asarray(1e4 / (material.effusivity_w_s05_m2k * np.sqrt(np.pi * TIMES)) * images)


def test_least_squares_reaches_the_bound_of_a_slabs_depth() -> None:
    """One pixel whose offset, gain and time shift are unknown; the estimator fits them along with the depth."""
    depth, noise, step = 2.0, 0.02, 0.01
    sound = _slab_rise(17.0)
    linear = np.stack([np.ones(TIMES.size), sound, np.gradient(sound, TIMES)], axis=1)
    basis = np.linalg.qr(linear)[0]

    def rest(curve: np.ndarray) -> np.ndarray:
        return curve - basis @ (basis.T @ curve)

    derivative = (_slab_rise(depth + step) - _slab_rise(depth - step)) / (2 * step)
    bound = cramer_rao_bound(
        derivative.reshape(1, -1, 1, 1), noise_k=noise, sound_k=sound, times_s=TIMES, nuisance="pixel"
    )[0]
    grid = np.linspace(depth - 8 * bound, depth + 8 * bound, 401)
    table = CubicSpline(grid, np.stack([rest(_slab_rise(one)) for one in grid]))
    rng = np.random.default_rng(5)
    found = []
    for _ in range(600):
        unknown = linear @ (rng.standard_normal(3) * [1.0, 0.1, 0.1])
        seen = rest(_slab_rise(depth) + unknown + noise * rng.standard_normal(TIMES.size))
        cost = ((table(grid) - seen) ** 2).sum(axis=1)
        start = grid[int(np.argmin(cost))]
        found.append(least_squares(lambda d, seen=seen: table(d[0]) - seen, [start], xtol=1e-12).x[0])
    assert np.mean(found) == pytest.approx(depth, abs=0.2 * bound)
    assert np.std(found) == pytest.approx(bound, rel=0.08)


def test_depth_bounds_of_a_hole() -> None:
    setup = InspectionSetup(heating=Heating(duration_s=20), duration_s=100, pixel_pitch_mm=3)
    hole = {"thickness_mm": 10.0, "depth_mm": 3.0, "diameter_mm": 12.0}
    material = load_material("GFRP")
    known, joint = hole_depth_bounds(material, **hole, setup=setup)
    ideal, _ = hole_depth_bounds(material, **hole, setup=setup, nuisance="none")
    assert 0 < ideal < known < joint < 0.1
    dim, _ = hole_depth_bounds(material, **hole, setup=setup, level=0.5)
    assert dim == pytest.approx(2 * known, rel=1e-6)
