"""The calibrated plate beside a general finite-element package, and the errors of its settings.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks/test_simulation_speed.py``. The package is scikit-fem
(``pip install scikit-fem``; no requirement of this project); without it that part is skipped. It solves a quarter of
the cell of one hole, with cells as large, an implicit scheme of second order and direct factors, and what the whole
plate would take it is told by the ratio of the areas: a lower bound, as factors grow faster than their matrices.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from thermo_qc.plate import Hole, PlateSpec, load_plate
from thermo_qc.simulation import Heating, Losses, frame_times_s, solve_cell, solve_plate

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]
HEATING, LOSSES = Heating(flux_w_m2=1000.0, duration_s=60.0), Losses()
TIMES = frame_times_s(1.0, 5.0, 400.0)
LIGAMENT, DIAMETER, SIDE = 1.3, 14.1, 48.0
WANTED_SHARE = 0.005


@dataclass(frozen=True)
class Timed:
    """What a run returned, and what it took."""

    result: Any
    wall_s: float
    cpu_s: float


def timed(function: Callable[[], Any]) -> Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return Timed(result, time.perf_counter() - wall, time.process_time() - cpu)


def hole_plate() -> PlateSpec:
    """One hole of the calibrated plate in a square cell."""
    plate = load_plate("gfrp_calibrated")
    hole = Hole(number=1, name="H1", x_mm=SIDE / 2, y_mm=SIDE / 2, diameter_mm=DIAMETER, depth_mm=LIGAMENT)
    return PlateSpec(
        name="cell",
        width_mm=SIDE,
        height_mm=SIDE,
        thickness_mm=plate.thickness_mm,
        material=plate.material,
        holes=(hole,),
    )


@pytest.fixture(scope="module")
def reference() -> Any:
    """float64, refined in space and time."""
    plate = hole_plate()
    return solve_cell(
        material=plate.material,
        thickness_mm=plate.thickness_mm,
        depth_mm=LIGAMENT,
        diameter_mm=DIAMETER,
        times_s=TIMES[TIMES > 0],
        reach_mm=SIDE / np.sqrt(np.pi) - DIAMETER / 2,
        heating=HEATING,
        losses=LOSSES,
        radial_cells=40,
        depth_cells=60,
        relative_step=0.002,
    )


def error_of(rise: np.ndarray, x_mm: np.ndarray, y_mm: np.ndarray, reference: Any) -> float:
    """Largest error within 20 mm of the hole's axis over the largest rise."""
    distance = np.hypot(x_mm, y_mm[:, None])
    near = distance < SIDE / 2 - 4
    expected = np.stack([np.interp(distance[near], reference.r_mm, row) for row in reference.rise_k])
    return float(np.abs(rise[:, near] - expected).max() / expected.max())


def test_calibrated_plate_and_a_general_solver(reference):
    threads = min(2, os.cpu_count() or 1)
    options: dict[str, Any] = {"heating": HEATING, "losses": LOSSES, "lateral_mm": 1.0}
    whole = timed(lambda: solve_plate(load_plate("gfrp_calibrated"), times_s=TIMES, threads=threads, **options))
    cell = timed(lambda: solve_plate(hole_plate(), times_s=TIMES[TIMES > 0], **options))
    solution = cell.result
    ours = error_of(solution.rise_k, solution.x_mm - SIDE / 2, solution.y_mm - SIDE / 2, reference)
    sound = solve_plate(
        replace(hole_plate(), holes=()),
        times_s=TIMES[TIMES > 0],
        floors_mm=(LIGAMENT,),
        **options | {"lateral_mm": SIDE},
    ).rise_k[:, 0, 0]
    even = float(np.abs(sound - reference.sound_k).max() / reference.sound_k.max())
    rise = whole.result.rise_k
    print(
        f"\ncalibrated plate, {rise.shape[2]} x {rise.shape[1]} cells of 1 mm, {whole.result.n_steps} steps, float32, "
        f"{threads} threads: {whole.wall_s:.1f} s wall, {whole.cpu_s:.1f} s CPU (wanted: 10 s wall on two quiet cores)"
    )
    print(f"errors over the largest rise: {100 * ours:.2f} % round one hole, {100 * even:.2f} % of the sound plate")
    assert ours < WANTED_SHARE and even < WANTED_SHARE
    assert whole.cpu_s < 20.0  # two threads and their overhead; wall time depends on who else is there
    pytest.importorskip("skfem", reason="scikit-fem is not installed")
    general = timed(quarter_by_scikit_fem)
    centres, theirs_k = general.result
    theirs = error_of(theirs_k, centres, centres, reference)
    area = rise.shape[1] * rise.shape[2] / (centres.size**2)
    print(
        f"scikit-fem, a quarter of the cell ({centres.size} x {centres.size} cells): {general.cpu_s:.1f} s CPU, "
        f"error {100 * theirs:.2f} %\n"
        f"per cell of the plate: {general.cpu_s * area / whole.cpu_s:.0f} times our CPU time for the plate, at least "
        f"{general.cpu_s * area / 60:.0f} minutes; the same cell, whole, took us {cell.cpu_s:.2f} s CPU"
    )
    assert theirs < 0.02
    assert general.cpu_s * area > whole.cpu_s


def quarter_by_scikit_fem() -> tuple[np.ndarray, np.ndarray]:
    """Heat a quarter of the cell with trilinear bricks; cell centres from the axis, and the rise at `TIMES` > 0."""
    from scipy.sparse.linalg import splu
    from skfem import Basis, BilinearForm, ElementHex1, FacetBasis, LinearForm, MeshHex
    from skfem.helpers import dot, grad

    from thermo_qc.simulation.grid import depth_nodes_mm

    plate = hole_plate()
    material = plate.material
    side = np.arange(0, SIDE / 2 + 0.5)
    depth = depth_nodes_mm(plate.thickness_mm, (LIGAMENT,), 24)
    mesh = MeshHex.init_tensor(side * 1e-3, side * 1e-3, depth * 1e-3)
    x, y, z = 1e3 * mesh.p[:, mesh.t].mean(axis=1)
    mesh = mesh.restrict(np.flatnonzero((np.hypot(x, y) > DIAMETER / 2) | (z < LIGAMENT)))
    basis = Basis(mesh, ElementHex1())
    facets = mesh.boundary_facets()
    middle = 1e3 * mesh.p[:, mesh.facets[:, facets]].mean(axis=1)
    front = facets[middle[2] < 1e-6]
    floor = facets[(np.abs(middle[2] - LIGAMENT) < 1e-6) & (np.hypot(middle[0], middle[1]) < DIAMETER / 2)]
    losing = np.concatenate([front, floor, facets[middle[2] > plate.thickness_mm - 1e-6]])
    through, plane = material.conductivity_through_w_mk, material.conductivity_in_plane_w_mk

    @BilinearForm
    def conduction(u: Any, v: Any, _: Any) -> Any:
        return plane * dot(grad(u), grad(v)) + (through - plane) * grad(u)[2] * grad(v)[2]

    @BilinearForm
    def product(u: Any, v: Any, _: Any) -> Any:
        return u * v

    @LinearForm
    def one(v: Any, _: Any) -> Any:
        return 1.0 * v

    losses = product.assemble(FacetBasis(mesh, ElementHex1(), facets=losing))
    rate = conduction.assemble(basis) + LOSSES.front_w_m2k * losses
    capacity = material.density_kg_m3 * material.heat_capacity_j_kgk * product.assemble(basis)
    light = HEATING.flux_w_m2 * one.assemble(FacetBasis(mesh, ElementHex1(), facets=front))
    gamma, factors = 1 - 1 / np.sqrt(2), {}
    state, face = np.zeros(basis.N), np.flatnonzero(basis.doflocs[2] < 1e-9)
    order = face[np.lexsort((basis.doflocs[0, face], basis.doflocs[1, face]))]
    rise = []
    for stop in TIMES[TIMES > 0].tolist():  # frames are a second apart; the first ones after a switch are cut finer
        start, now = stop - 1.0, light if stop <= HEATING.duration_s + 1e-9 else 0 * light
        since = start % HEATING.duration_s if start < 2 * HEATING.duration_s else np.inf
        pieces = 16 if since < 0.5 else 4 if since < 3.5 else 1
        if pieces not in factors:
            factors[pieces] = splu((capacity + gamma / pieces * rate).tocsc())
        for _ in range(pieces):
            first = factors[pieces].solve(now - rate @ state)
            second = factors[pieces].solve(now - rate @ (state + (1 - gamma) / pieces * first))
            state = state + ((1 - gamma) * first + gamma * second) / pieces
        nodes = state[order].reshape(side.size, side.size)
        rise.append((nodes[1:, 1:] + nodes[:-1, 1:] + nodes[1:, :-1] + nodes[:-1, :-1]) / 4)
    return (side[1:] + side[:-1]) / 2, np.stack(rise)
