"""Random plates: the same for the same seed, inside their ranges, possible to simulate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError
from thermo_qc.simulation import MaterialRange, PlateRanges, RandomPlate, draw_plate, log_frames_s, solve_plate

GFRP = MaterialRange(
    name="GFRP",
    conductivity_through_w_mk=(0.2, 0.5),
    anisotropy=(1.0, 4.0),
    density_kg_m3=(1600.0, 2000.0),
    heat_capacity_j_kgk=(900.0, 1200.0),
)
RANGES = PlateRanges(materials=(GFRP,), side_px=(40, 60))


def draw(seed: int, **changes: object) -> RandomPlate:
    ranges = PlateRanges(**{"materials": (GFRP,), "side_px": (40, 60), **changes})  # type: ignore[arg-type]
    return draw_plate(np.random.default_rng(seed), ranges)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_everything_lies_inside_the_ranges(seed: int) -> None:
    drawn = draw(seed)
    plate, nominal = drawn.plate, drawn.plate.material
    assert 3.0 <= plate.thickness_mm <= 18.0 and 0.4 <= drawn.pixel_pitch_mm <= 3.0
    assert 0.2 <= nominal.conductivity_through_w_mk <= 0.5
    assert 40 <= round(plate.width_mm / drawn.pixel_pitch_mm) <= 60
    ratio = drawn.material.conductivity_through_w_mk / nominal.conductivity_through_w_mk
    assert 0.9 <= ratio <= 1.1
    assert (np.diff(drawn.times_s) > 0).all() and drawn.times_s[0] > 0
    assert 20.0 <= drawn.times_s[-1] <= 900.0
    for hole in plate.holes:
        assert 0.06 <= hole.depth_mm / plate.thickness_mm <= 0.8
        assert 3.4 <= hole.diameter_mm / drawn.pixel_pitch_mm <= 16.1
    for item in drawn.buried:
        assert 0 < item.depth_mm < item.span_mm[1] < plate.thickness_mm
    places = [(hole.x_mm, hole.y_mm) for hole in plate.holes] + [(item.x_mm, item.y_mm) for item in drawn.buried]
    assert all(0 < x < plate.width_mm and 0 < y < plate.height_mm for x, y in places)


def test_the_same_seed_gives_the_same_plate() -> None:
    first, again, other = draw(5), draw(5), draw(6)
    assert first.plate == again.plate != other.plate
    assert [item.facts() for item in first.buried] == [item.facts() for item in again.buried]
    assert first.heating == again.heating and first.marks[:0] == again.marks[:0]
    np.testing.assert_array_equal(first.times_s, again.times_s)


def test_shares_are_kept() -> None:
    drawn = [draw(seed, sound_share=0.5, heating={"flash": 1.0}, defects={"impact": 1.0}) for seed in range(40)]
    sound = sum(not one.plate.holes and not one.buried for one in drawn)
    assert 10 <= sound <= 30
    assert {one.heating.kind for one in drawn} == {"flash"}
    assert all(item.outline == "mask" for one in drawn for item in one.buried) and any(one.buried for one in drawn)
    assert not any(one.plate.holes for one in drawn)
    marked = [draw(seed, marked_share=1.0) for seed in range(5)]
    assert all(1 <= len(one.marks) <= 3 for one in marked)


def test_conductivities_widths_and_inclusions_are_drawn_as_asked_for() -> None:
    unequal = replace(GFRP, anisotropy=(3.0, 9.0), unequal_share=0.5)
    drawn = [draw(seed, materials=(unequal,), sound_share=0.0, defects={"inclusion": 1.0}) for seed in range(40)]
    nominal = [one.plate.material for one in drawn]
    different = [one for one in nominal if one.conductivity_y_w_mk is not None]
    assert 10 <= len(different) <= 30
    for one in different:
        assert one.conductivity_y_w_mk is not None
        assert one.conductivity_through_w_mk <= one.conductivity_y_w_mk <= one.conductivity_in_plane_w_mk
    for one in drawn:  # the specimen differs from the nominal material by one factor in the plane
        (along_x, along_y), (real_x, real_y) = (
            part.conductivities_in_plane_w_mk for part in (one.plate.material, one.material)
        )
        assert real_x / along_x == pytest.approx(real_y / along_y) and 0.9 <= real_x / along_x <= 1.1
    thin = [draw(seed, sound_share=0.0, defects={"inclusion": 1.0}, inclusion_mm=(0.04, 0.05)) for seed in range(6)]
    assert all(item.span_mm[1] - item.depth_mm <= 0.0501 for one in thin for item in one.buried)
    for widest in (0.15, 0.6):
        wide = [draw(seed, defects={"hole": 1.0}, diameter_px=(3.5, 60.0), widest_share=widest) for seed in range(30)]
        largest = max(h.diameter_mm / min(w.plate.width_mm, w.plate.height_mm) for w in wide for h in w.plate.holes)
        assert 0.6 * widest < largest <= widest


def test_edges_lose_what_was_asked_for() -> None:
    usual = [draw(seed).losses.edge_w_m2k for seed in range(20)]
    assert min(usual) >= 0 and max(usual) <= 16.0
    strong = [draw(seed, edge_w_m2k=(20.0, 200.0)).losses.edge_w_m2k for seed in range(20)]
    assert 20.0 <= min(strong) < 40.0 and 100.0 < max(strong) <= 200.0


@pytest.mark.parametrize("kind", ["flash", "long_pulse", "step"])
def test_the_rise_is_about_what_was_asked_for(kind: str) -> None:
    wanted = (10.0, 10.0001)
    for seed in range(1, 3):
        drawn = draw(seed, heating={kind: 1.0}, peak_rise_k=wanted, sound_share=1.0, marked_share=0.0, n_lamps=(0, 0))
        solution = solve_plate(
            drawn.plate,
            times_s=drawn.times_s[::6],
            max_step_s=float(drawn.times_s[-1]) / 20,
            material=drawn.material,
            heating=drawn.heating,
            losses=drawn.losses,
            lateral_mm=min(drawn.plate.width_mm, drawn.plate.height_mm),
            depth_cells=14,
        )
        late = drawn.times_s[::6] > (0.01 * drawn.times_s[-1] if kind == "flash" else 0.0)
        assert 3.0 < float(solution.rise_k[late].max()) < 25.0


def test_instants_of_a_recording() -> None:
    pulse, flash, step = (log_frames_s(100.0, stop) for stop in (20.0, 0.0, 100.0))
    assert (pulse <= 20).sum() == 24 and pulse[-1] == pytest.approx(100.0)
    assert flash[0] == pytest.approx(0.2) and step[-1] == pytest.approx(100.0)
    for times in (pulse, flash, step):
        assert (np.diff(times) > 0).all() and times[0] > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"materials": ()}, "need a family of materials"),
        ({"thickness_mm": (5.0, 2.0)}, r"thickness_mm is \[5.0, 2.0\]"),
        ({"pitch_mm": (0.0, 2.0)}, r"pitch_mm is \[0.0, 2.0\]"),
        ({"sound_share": 1.5}, "sound_share is 1.5, expected a share from 0 to 1"),
        ({"heating": {"laser": 1.0}}, "heating is .*laser.*expected shares of flash, long_pulse, step"),
        ({"defects": {"hole": 0.0}}, "defects is .*expected shares of hole"),
        ({"depth_share": (0.1, 0.99)}, "depth_share ends at 0.99"),
        ({"edge_w_m2k": (200.0, 20.0)}, r"edge_w_m2k is \[200.0, 20.0\]"),
        ({"edge_w_m2k": (0.0, 20.0)}, r"edge_w_m2k is \[0.0, 20.0\]"),  # its logarithm is drawn
    ],
)
def test_impossible_ranges_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        draw(0, **changes)


def test_a_share_of_unequal_materials_above_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="material 'GFRP': unequal_share is 2, expected a share from 0 to 1"):
        replace(GFRP, unequal_share=2.0)
