"""Where the state of a plate lives, and in how many threads it is advanced, changes no number."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from thermo_qc.config import SimulationConfig
from thermo_qc.errors import ConfigError
from thermo_qc.plate import PlateSpec
from thermo_qc.simulation import Delamination, Heating, Lamp, Losses, NumpyKernels, solve_plate
from thermo_qc.simulation.grid import build_grid
from thermo_qc.simulation.lateral import LateralConduction, legendre_weights
from thermo_qc.workflows.simulate import _solver_options

LAMPS = (Lamp(x_mm=5, y_mm=5, width_mm=20, edge_level=0.3),)
CASES = {
    "pulse_radiating_edges": (
        Heating(duration_s=6.0, lamps=LAMPS),
        Losses(edge_w_m2k=15.0, radiation_emissivity=0.9, ambient_drift_k_min=1.0),
    ),
    "wave": (Heating(kind="periodic", frequency_hz=0.1, duration_s=15.0), Losses()),
    "flash_behind": (Heating(kind="flash", side="back"), Losses()),
}
TIMES = np.array([-1.0, 0.5, 3.0, 8.0, 15.0])


@pytest.fixture
def plate(make_plate, gfrp) -> PlateSpec:
    """With two holes, one at the rim, and conductivities that need from two to many stages."""
    material = replace(gfrp, conductivity_in_plane_w_mk=4.0, conductivity_y_w_mk=0.8)
    return make_plate(20, 16, ((6, 5, 5, 1.0), (17, 13, 4, 2.0)), thickness=3.0, material=material)


def solve(plate, name, **options):
    heating, losses = CASES[name]
    gap = () if heating.side == "back" else (Delamination(x_mm=13, y_mm=9, width_mm=5, height_mm=3, depth_mm=1.5),)
    options = {"lateral_mm": 1.0, "depth_cells": 14, "dtype": "float64"} | options
    return solve_plate(plate, times_s=TIMES, heating=heating, losses=losses, buried=gap, **options)


@pytest.mark.parametrize("name", CASES)
def test_torch_gives_the_numbers_of_numpy(plate, name):
    torch_kernels = pytest.importorskip("thermo_qc.workflows.torch_kernels")
    expected = solve(plate, name)
    double = solve(plate, name, kernels=torch_kernels.TorchKernels("cpu", "float64"))
    np.testing.assert_allclose(double.rise_k, expected.rise_k, rtol=1e-9, atol=1e-12)
    assert double.energy.lost_j == pytest.approx(expected.energy.lost_j, rel=1e-9)
    assert abs(double.energy.relative_error) < 1e-6
    single = solve(plate, name, kernels=torch_kernels.TorchKernels("cpu"), dtype="float32")
    assert single.rise_k.dtype == np.float32
    assert np.abs(single.rise_k - expected.rise_k).max() < 1e-4 * expected.rise_k.max()


def test_threads_give_the_numbers_of_one(plate):
    one, many = (solve(plate, "pulse_radiating_edges", threads=threads) for threads in (None, 3))
    np.testing.assert_allclose(many.rise_k, one.rise_k, rtol=1e-12)
    assert many.energy == one.energy or many.energy.lost_j == pytest.approx(one.energy.lost_j, rel=1e-12)


def test_errors_in_threads_come_out(plate):
    with NumpyKernels(np.dtype("float64"), 2) as kernels, pytest.raises(ZeroDivisionError):
        kernels._share_out(lambda item: 1 // item, [1, 0])


@pytest.mark.parametrize("steps", [0.4, 1.3, 2.4, 4.4, 9.0, 30.0])
def test_steps_in_the_plane_are_stable_and_close_to_the_exponential(plate, steps):
    """From one step of two stages over a few of them to one of many stages, in multiples of the explicit limit."""
    grid = build_grid(plate, lateral_mm=1.0, depth_cells=14)
    conduction = LateralConduction(grid, plate.material, n_layers=1, edge_w_m2k=0.0, dtype=np.dtype("float64"))
    x, y = grid.x_mm / 20, grid.y_mm[:, None] / 16
    wave = np.cos(np.pi * x) * np.cos(np.pi * y)
    checks = np.where(np.add.outer(np.arange(16), np.arange(20)) % 2, 1.0, -1.0)  # the fastest of all modes
    dt = steps * conduction.explicit_limit_s
    slow, fast = (np.empty((1, wave.size)) for _ in range(2))
    conduction.advance(3 + wave.reshape(1, -1), dt, slow)
    conduction.advance(3 + checks.reshape(1, -1), dt, fast)
    assert slow.mean() == pytest.approx(3.0, abs=1e-12) and fast.mean() == pytest.approx(3.0, abs=1e-12)
    assert np.abs(fast - 3).max() < 1
    rate = 4 * sum(
        rate[0] * np.sin(np.pi / (2 * cells)) ** 2 for rate, cells in zip(conduction.rates, (20, 16), strict=True)
    )
    share = float(((slow.reshape(wave.shape) - 3) * wave).sum() / (wave**2).sum())
    assert share == pytest.approx(np.exp(-rate * dt), rel=5e-3)
    count, stages = conduction.substeps(dt)
    assert count == 1 or stages == 2


def test_two_legendre_stages_are_the_taylor_series():
    start, ((rate, mu, nu, rest, back),) = legendre_weights(2)
    for z in (-0.3, -1.9):
        first = 1 + start * z
        second = rate * z * first + mu * first + nu + rest - back * z
        assert second == pytest.approx(1 + z + z**2 / 2)


def test_options_of_the_configuration_reach_the_solver():
    plain = SimulationConfig(plate="gfrp_calibrated").solver
    assert _solver_options(plain)["threads"] >= 1
    assert _solver_options(plain.model_copy(update={"threads": 3}))["threads"] == 3
    torch_kernels = pytest.importorskip("thermo_qc.workflows.torch_kernels")
    on_torch = _solver_options(plain.model_copy(update={"device": "cpu"}))
    assert isinstance(on_torch["kernels"], torch_kernels.TorchKernels)
    with pytest.raises(ConfigError, match=r"they are for solver\.device numpy, not 'cuda'; leave one"):
        _solver_options(plain.model_copy(update={"device": "cuda", "threads": 2}))
    with pytest.raises(ConfigError, match="device 'warp' cannot be used here"):
        _solver_options(plain.model_copy(update={"device": "warp"}))


def test_impossible_threads_are_refused(plate):
    with pytest.raises(ConfigError, match="threads is 0, expected at least 1"):
        solve(plate, "wave", threads=0)


def test_the_simulator_does_not_import_torch():
    code = "import sys, thermo_qc.simulation, thermo_qc.workflows.simulate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
