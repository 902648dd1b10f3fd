"""The start of the heating, and what must not be taken for one."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import mean_rise
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import MissingFactError
from thermo_qc.preprocess import detect_heating, detect_heating_stop, mark_heating
from thermo_qc.preprocess.heating import heating_of_curve
from thermo_qc.sequence import Excitation

STARTS = {"long_pulse": 0.3, "step": 0.3, "flash": 0.6}


@pytest.mark.parametrize("jumps", [(), ((70, 0.5),), ((8, -0.6), (60, 0.8)), ((90, -3.0),)], ids=str)
@pytest.mark.parametrize("drift_k", [0.0, 0.2])
@pytest.mark.parametrize("noise_k", [0.0, 0.002, 0.03])
@pytest.mark.parametrize("kind", ["long_pulse", "step", "flash"])
def test_start_and_stop_beside_noise_drift_and_jumps(kind, noise_k, drift_k, jumps):
    for start, seed in ((0.0, 0), (0.37, 1), (-4.6, 2)):
        times = np.arange(200.0) - 15
        curve = 22 + mean_rise(kind, times - start, 60.0) + drift_k * (times / 60 + np.sin(times / 40))
        curve += np.random.default_rng(seed).normal(0, 1, 200) * noise_k
        for place, size in jumps:
            curve[place:] += size
        found = heating_of_curve(curve, times)
        assert found.kind == kind
        assert found.start_s == pytest.approx(start, abs=STARTS[kind])
        stop = {"long_pulse": 60 + start, "flash": np.ceil(start), "step": None}[kind]
        assert found.stop_s == (None if stop is None else pytest.approx(stop, abs=0.4))


@pytest.mark.parametrize("kind", ["long_pulse", "step", "flash"])
@pytest.mark.parametrize("seed", range(3))
def test_simulated_plates(simulate, kind, seed):
    found = detect_heating(replace(simulate(kind, seed=seed, drift_k=0.2), excitation=Excitation()))
    assert found.kind == kind
    assert found.start_s == pytest.approx(0.0, abs=0.25)
    if kind == "long_pulse":
        assert found.stop_s == pytest.approx(40.0, abs=0.15)


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        (np.ones(50), "Nothing rises above the noise"),
        (10 / np.sqrt(np.arange(1.0, 51)), "only cools"),
        (np.sqrt(np.arange(5.0, 55)), "rises without a visible start"),
        (0.01 * np.arange(50.0), "begins during the heating|rises without a visible start"),
        (
            np.r_[np.zeros(25), np.ones(25)] + np.random.default_rng(0).normal(0, 1e-3, 50),
            "Nothing rises|changes its level|visible",
        ),
        (np.ones(3), "3 frames with finite values came"),
    ],
    ids=["constant", "cooling", "heating only", "drift", "jump", "short"],
)
def test_nothing_is_found_and_why(curve, reason):
    found = heating_of_curve(curve, np.arange(curve.size, dtype=float))
    assert (found.start_s, found.stop_s) == (None, None)
    assert re.search(reason, found.reason)


def test_slow_drift_alone_has_no_stop():
    times = np.arange(200.0)
    assert heating_of_curve(20 + np.sin(times / 40), times).stop_s is None


def test_periodic_excitation_has_no_single_start(record):
    found = detect_heating(replace(record(), excitation=Excitation(kind="periodic", frequency_hz=0.1)))
    assert (found.start_s, found.stop_s, found.kind) == (None, None, "periodic")
    assert "periodic" in found.reason


def test_both_functions_agree(record):
    assert detect_heating(record()).stop_s == detect_heating_stop(record())


def test_marked_heating_sets_time_zero_and_facts(record):
    late = record(n_cold=30)
    unknown = replace(late, times_s=late.times_s + 100.0, excitation=Excitation())
    marked = mark_heating(unknown)
    assert marked.times_s[30] == pytest.approx(0.0, abs=0.25)
    assert marked.excitation.kind == "long_pulse"
    assert marked.excitation.stop_s == pytest.approx(60.0, abs=0.4)
    assert marked.history[-1].step == "mark_heating"
    assert marked.history[-1].parameters["start_s"] == pytest.approx(100.0, abs=0.25)
    assert marked.frames is unknown.frames


def test_no_heating_to_mark(record):
    with pytest.raises(MissingFactError, match=r"no heating was found in the curves: .* Give heating_start_s"):
        mark_heating(record("none"))


@settings(deadline=None, max_examples=15)
@given(start=st.floats(-5, 20), gain=st.floats(0.01, 100), level=st.floats(-50, 350), shift=st.floats(-1000, 1000))
def test_gain_level_and_origin_have_no_influence(start, gain, level, shift):
    times = np.arange(-15.0, 150.0)
    curve = level + gain * mean_rise("long_pulse", times - start, 60.0)
    assert heating_of_curve(curve, times + shift).start_s - shift == pytest.approx(start, abs=0.1)
