"""Plans: the search for diameters, pulses by superposition, and agreement with what the simulation then shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_detectability_holes import GFRP, QUICK, _simulated_index

from thermo_qc.errors import ConfigError
from thermo_qc.evaluation import (
    DetectionLimits,
    InspectionSetup,
    PulseNeed,
    best_pulse,
    hole_detectability,
    recording_needed,
    smallest_diameters,
)
from thermo_qc.evaluation.planning import find_diameter
from thermo_qc.simulation import Heating


@settings(deadline=None, max_examples=60)
@given(st.floats(1.5, 4.5), st.floats(1.2, 80.0), st.floats(0.5, 200.0))
def test_a_power_law_is_found_in_few_steps(power: float, truth: float, start: float) -> None:
    known: dict[float, float] = {}
    found = find_diameter(
        lambda d: 30.0 * (d / truth) ** power, 30.0, smallest_mm=1, largest_mm=100, start_mm=start, known=known
    )
    assert found == pytest.approx(truth, rel=1e-6)
    assert len(known) <= 9


def test_ends_of_the_search() -> None:
    given = {"smallest_mm": 2.0, "largest_mm": 50.0, "start_mm": 10.0}
    assert find_diameter(lambda d: 100.0 * d, 30.0, **given) == 2.0
    assert np.isnan(find_diameter(lambda d: 0.01 * d, 30.0, **given))
    assert np.isnan(find_diameter(lambda _: 0.0, 30.0, **given))


def test_deeper_holes_must_be_wider() -> None:
    calls: list[tuple[int, int]] = []
    shallow, deep = smallest_diameters(
        GFRP, thickness_mm=10.0, depths_mm=[3.0, 6.0], setup=QUICK, progress=lambda *call: calls.append(call)
    )
    assert calls == [(1, 2), (2, 2)]
    assert shallow.visible_mm < shallow.detectable_mm < deep.detectable_mm
    assert deep.visible_mm < deep.detectable_mm
    for plan, limit in ((shallow, 30.0), (deep, 30.0)):
        index = hole_detectability(
            GFRP, thickness_mm=10.0, depth_mm=plan.depth_mm, diameter_mm=plan.detectable_mm, setup=QUICK
        )
        assert index.background == pytest.approx(limit, rel=0.03)
    assert 0 < shallow.depth_bound_mm <= shallow.depth_bound_joint_mm < 1


def test_depth_without_a_detectable_hole() -> None:
    limits = DetectionLimits(visible=1e8, detectable=1e9)
    (plan,) = smallest_diameters(GFRP, thickness_mm=10.0, depths_mm=[6.0], setup=QUICK, limits=limits, largest_mm=8.0)
    assert plan.diameters_mm == (8.0,)
    assert np.isnan([plan.detectable_mm, plan.visible_mm, plan.depth_bound_mm, plan.depth_bound_joint_mm]).all()


def test_plan_agrees_with_the_simulation() -> None:
    """The diameter found with the three-dimensional solver on finer cells lies within 15 % of the planned one."""
    planned = smallest_diameters(GFRP, thickness_mm=10.0, depths_mm=[5.0], setup=QUICK)[0].detectable_mm
    tried = planned * np.array([0.87, 1.15])
    index = [_simulated_index(float(d), 5.0, 10.0, QUICK, cell_mm=1.0) for d in tried]
    assert index[0] < 30.0 < index[1]
    found = np.exp(np.interp(np.log(30.0), np.log(index), np.log(tried)))
    assert found == pytest.approx(planned, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [4.6, 7.18, 9.92, 12.65])
def test_plan_of_the_calibrated_plate_agrees_with_the_simulation(depth: float) -> None:
    setup = InspectionSetup()
    planned = smallest_diameters(GFRP, thickness_mm=17.0, depths_mm=[depth], setup=setup)[0].detectable_mm
    cell = float(np.clip(planned / 10, 0.5, 1.0))
    found = find_diameter(
        lambda d: _simulated_index(d, depth, 17.0, setup, cell_mm=cell),
        30.0,
        smallest_mm=planned / 2,
        largest_mm=2 * planned,
        start_mm=1.05 * planned,
    )
    assert found == pytest.approx(planned, rel=0.15)


WANTED = {"thickness_mm": 10.0, "depth_mm": 5.0, "diameter_mm": 10.0}


@pytest.mark.parametrize(
    "heating", [Heating(duration_s=25.0), Heating(kind="step"), Heating(kind="flash", energy_j_m2=4e4)]
)
def test_recording_that_is_needed_is_just_enough(heating: Heating) -> None:
    """Superposition of one step response against a simulation of that very pulse and recording."""
    setup = replace(QUICK, heating=heating, pixel_pitch_mm=1.5)
    (need,) = recording_needed(GFRP, **WANTED, setup=setup, pulses_s=[25.0], longest_s=300.0)
    assert 8 < need.recording_s < 300
    assert need.d_prime == pytest.approx(30.0, rel=0.06)
    direct = hole_detectability(GFRP, **WANTED, setup=replace(setup, duration_s=need.recording_s))
    assert need.d_prime == pytest.approx(direct.background, rel=0.03)
    assert need.peak_rise_k > 1


def test_longer_pulses_need_no_longer_recordings_until_they_are_the_recording() -> None:
    needs = recording_needed(
        GFRP, **WANTED, setup=replace(QUICK, pixel_pitch_mm=1.5), pulses_s=[5, 20, 60, 250], longest_s=300.0
    )
    recordings = [need.recording_s for need in needs]
    assert recordings[0] > recordings[1] >= 0.97 * recordings[2]
    assert recordings[3] == 250
    rises = [need.peak_rise_k for need in needs]
    assert rises == sorted(rises)
    assert best_pulse(needs).pulse_s in (20, 60)
    assert best_pulse(needs, max_rise_k=rises[0]) == needs[0]
    assert best_pulse(needs, max_rise_k=0.1) is None


def test_what_is_never_enough_says_so() -> None:
    (need,) = recording_needed(GFRP, **WANTED, setup=QUICK, pulses_s=[10], longest_s=100.0, wanted_d_prime=1e6)
    assert np.isnan(need.recording_s)
    assert 0 < need.d_prime < 1e6
    assert best_pulse([need]) is None


def test_equal_recordings_take_the_shorter_pulse() -> None:
    needs = [
        PulseNeed(pulse_s=pulse, recording_s=recording, d_prime=30.0, peak_rise_k=5.0)
        for pulse, recording in ((40.0, 103.0), (60.0, 100.0), (10.0, 200.0))
    ]
    assert best_pulse(needs) == needs[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depths_mm": []}, "there is no depth to plan for"),
        ({"depths_mm": [11.0]}, "depth 11 mm is not inside a plate of 10 mm"),
        ({"thickness_mm": -1.0}, "thickness_mm is -1, expected"),
        ({"largest_mm": 0.5}, "largest_mm is 0.5, expected a finite number greater than 1"),
    ],
)
def test_bad_plans(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        smallest_diameters(GFRP, **({"thickness_mm": 10.0, "depths_mm": [3.0], "setup": QUICK} | change))


def test_bad_pulses() -> None:
    with pytest.raises(ConfigError, match="no pulse is shorter than the longest recording of 50 s"):
        recording_needed(GFRP, **WANTED, setup=QUICK, pulses_s=[60.0], longest_s=50.0)
    with pytest.raises(ConfigError, match="pulse_s is -1"):
        recording_needed(GFRP, **WANTED, setup=QUICK, pulses_s=[-1.0], longest_s=50.0)
