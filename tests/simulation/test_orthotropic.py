"""Plates that conduct differently along x and y."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from thermo_qc.config import MaterialConfig
from thermo_qc.errors import ConfigError, SequenceError
from thermo_qc.io import read_sequence, write_sequence
from thermo_qc.plate import load_material
from thermo_qc.sequence import Material
from thermo_qc.simulation import (
    Delamination,
    Heating,
    Inclusion,
    Lamp,
    LayerOf,
    Losses,
    record_plate,
    solve_cell,
    solve_plate,
)
from thermo_qc.workflows.simulate import _specimen

CFRP = Material(
    name="UD",
    conductivity_through_w_mk=0.6,
    conductivity_in_plane_w_mk=6.0,
    conductivity_y_w_mk=0.8,
    density_kg_m3=1550.0,
    heat_capacity_j_kgk=900.0,
)
TURNED = replace(CFRP, conductivity_in_plane_w_mk=0.8, conductivity_y_w_mk=6.0)


def test_hot_spot_spreads_as_an_orthotropic_gaussian(make_plate, insulated):
    """A Gaussian flash on a thin plate: its variances grow by 2 alpha t along each axis (Green's function)."""
    plate = make_plate(81.0, 41.0, thickness=0.5, material=CFRP)
    lamp = Lamp(x_mm=40.5, y_mm=20.5, width_mm=10.0, edge_level=0.0)
    times = np.array([4.0, 16.0])
    solution = solve_plate(
        plate,
        times_s=times,
        heating=Heating(kind="flash", lamps=(lamp,)),
        losses=insulated,
        lateral_mm=1.0,
        depth_cells=4,
        max_step_s=0.5,
        dtype="float64",
    )
    start = (10.0 / np.sqrt(8 * np.log(2))) ** 2
    density = CFRP.density_kg_m3 * CFRP.heat_capacity_j_kgk * 1e-6
    for frame, t in zip(solution.rise_k, times, strict=True):
        wide = [start + 2 * k / density * t for k in CFRP.conductivities_in_plane_w_mk]
        x, y = solution.x_mm - 40.5, solution.y_mm[:, None] - 20.5
        images = sum(  # insulated edges reflect
            np.exp(-((x - 81 * i) ** 2) / (2 * wide[0]) - (y - 41 * j) ** 2 / (2 * wide[1]))
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        )
        peak = 10_000.0 / (density * 1e6 * 0.5e-3) * start / np.sqrt(wide[0] * wide[1])
        np.testing.assert_allclose(frame, peak * images, atol=4e-3 * peak)


def test_turned_plate_gives_the_turned_picture(make_plate):
    times = np.array([2.0, 10.0, 25.0])
    common = {"times_s": times, "heating": Heating(duration_s=10.0), "lateral_mm": 1.0, "dtype": "float64"}
    common |= {"losses": Losses(edge_w_m2k=20.0), "depth_cells": 12}
    layer, turned_layer = (LayerOf(depth_mm=1.0, thickness_mm=0.5, material=m) for m in (TURNED, CFRP))
    gap = {"depth_mm": 1.8, "outline": "rectangle"}
    steel, turned_steel = (replace(m, name="block", conductivity_through_w_mk=9.0) for m in (CFRP, TURNED))
    along = solve_plate(
        make_plate(24, 16, ((6, 5, 5, 1.0),), thickness=3.0, material=CFRP),
        buried=(
            Delamination(x_mm=17, y_mm=10, width_mm=7, height_mm=4, **gap),
            Inclusion(x_mm=15, y_mm=5, width_mm=5, height_mm=3, depth_mm=0.5, thickness_mm=0.3, material=steel),
        ),
        layers=(layer,),
        **common,
    )
    across = solve_plate(
        make_plate(16, 24, ((5, 6, 5, 1.0),), thickness=3.0, material=TURNED),
        buried=(
            Delamination(x_mm=10, y_mm=17, width_mm=4, height_mm=7, **gap),
            Inclusion(x_mm=5, y_mm=15, width_mm=3, height_mm=5, depth_mm=0.5, thickness_mm=0.3, material=turned_steel),
        ),
        layers=(turned_layer,),
        **common,
    )
    np.testing.assert_allclose(across.rise_k, along.rise_k.transpose(0, 2, 1), rtol=1e-9)
    assert abs(along.energy.relative_error) < 1e-6
    ridge = along.rise_k[1] - along.rise_k[1].min()
    assert ridge[5, 9] > 1.5 * ridge[8, 6]  # 3 mm from the middle of the hole along x, and along y


def test_same_conductivity_stated_twice_changes_nothing(make_plate, gfrp):
    plate = make_plate(20, 20, ((9, 11, 6, 1.5),), thickness=4.0)
    options = {"times_s": np.array([5.0, 20.0]), "depth_cells": 10, "lateral_mm": 1.0}
    once = solve_plate(plate, material=gfrp, **options)
    twice = solve_plate(plate, material=replace(gfrp, conductivity_y_w_mk=0.4), **options)
    np.testing.assert_array_equal(once.rise_k, twice.rise_k)


def test_both_conductivities_are_kept_in_files(make_plate, tmp_path):
    solution = solve_plate(
        make_plate(8, 6, thickness=2.0, material=CFRP), times_s=np.array([1.0, 2.0]), depth_cells=6, lateral_mm=1
    )
    write_sequence(record_plate(solution, rng=np.random.default_rng(0)), tmp_path / "plate.h5")
    assert read_sequence(tmp_path / "plate.h5").material == CFRP
    path = tmp_path / "material.yaml"
    path.write_text("\n".join(f"{key}: {value}" for key, value in MaterialConfig(**vars(CFRP)).model_dump().items()))
    assert load_material(path) == CFRP
    assert load_material("GFRP").conductivity_y_w_mk is None


def test_tolerance_and_reach_know_both_axes(gfrp):
    specimen = _specimen(TURNED, 1.1, 0.9)
    assert specimen.conductivities_in_plane_w_mk == pytest.approx((0.88, 6.6))
    assert _specimen(gfrp, 1.1, 0.9).conductivity_y_w_mk is None
    assert TURNED.diffusivity_in_plane_mm2_s == CFRP.diffusivity_in_plane_mm2_s
    assert CFRP.diffusivity_in_plane_mm2_s == pytest.approx(np.sqrt(6 * 0.8) / 1.395)


def test_impossible_second_conductivities_are_refused(gfrp):
    with pytest.raises(SequenceError, match=r"conductivity_y_w_mk is 0\.0, expected a positive number"):
        replace(gfrp, conductivity_y_w_mk=0.0)
    with pytest.raises(ConfigError, match=r"round cell conducts alike along x and y, not 6 and 0\.8 W/\(m K\)"):
        solve_cell(material=CFRP, thickness_mm=3, depth_mm=1, diameter_mm=6, times_s=np.array([1.0]), reach_mm=10)
