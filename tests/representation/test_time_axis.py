from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, MissingFactError, ModelError
from thermo_qc.representation import TimeAxis, heating_origin_s
from thermo_qc.sequence import Excitation, ThermalSequence


def plain(times: np.ndarray, **facts: object) -> ThermalSequence:
    return ThermalSequence(frames=np.ones((times.size, 1, 1)), times_s=times, unit="K", **facts)  # type: ignore[arg-type]


LONG = Excitation(kind="long_pulse", stop_s=60.0)


def test_fractions_count_from_the_heating_stop_to_the_end():
    steps, origin = TimeAxis(start=0.01, n_steps=32).steps_s(plain(np.arange(0.0, 361.0), excitation=LONG))
    assert origin == 60.0
    assert steps[0] == pytest.approx(63.0)
    assert steps[-1] == pytest.approx(360.0)
    assert np.diff(np.log(steps - 60.0)) == pytest.approx(np.full(31, np.log(100) / 31))


def test_seconds_and_linear_spacing_from_the_heating_start():
    axis = TimeAxis(origin="heating_start", unit="s", start=0.0, end=50.0, n_steps=11, spacing="linear")
    steps, origin = axis.steps_s(plain(np.arange(-5.0, 100.0)))
    assert origin == 0.0
    assert steps == pytest.approx(np.arange(0.0, 51.0, 5.0))


@given(rate=st.floats(0.4, 20.0), end=st.floats(100.0, 900.0))
@settings(deadline=None, max_examples=25)
def test_any_rate_and_length_gives_the_same_fractions(rate: float, end: float):
    times = np.arange(0.0, end, 1.0 / rate)
    steps, origin = TimeAxis(n_steps=16).steps_s(plain(times, excitation=LONG))
    fractions = (steps - origin) / (times[-1] - origin)
    late = fractions > 0.1
    assert steps[0] >= 60.0 and steps[-1] <= times[-1]
    assert fractions[late] == pytest.approx(np.geomspace(0.01, 1.0, 16)[late])


def test_a_cooling_only_recording_starts_at_its_first_frame():
    steps, origin = TimeAxis(n_steps=8).steps_s(plain(np.arange(70.0, 400.0), excitation=LONG))
    assert origin == 60.0
    assert steps[0] == pytest.approx(70.0)
    assert (np.diff(steps) > 0).all()


def test_a_flash_is_over_when_it_starts():
    sequence = plain(np.arange(0.0, 10.0, 0.1), excitation=Excitation(kind="flash"))
    assert heating_origin_s(sequence, "heating_stop") == 0.0
    assert TimeAxis(n_steps=8).steps_s(sequence)[0][0] == pytest.approx(0.099)


def test_an_unstated_stop_is_detected(recording):
    sequence = recording(stop_s=None, noise_k=0.01)
    assert heating_origin_s(sequence, "heating_stop") == pytest.approx(60.0, abs=4.0)


def test_a_stop_that_nothing_shows_is_asked_for():
    rising = ThermalSequence(
        frames=np.sqrt(np.arange(1.0, 101.0)).reshape(-1, 1, 1), times_s=np.arange(100.0), unit="K"
    )
    with pytest.raises(MissingFactError, match="heating_stop_s"):
        TimeAxis().steps_s(rising)


@pytest.mark.parametrize(
    ("times", "axis", "message"),
    [
        (np.arange(0.0, 50.0), TimeAxis(), "ends at 49 s, before the model's time origin"),
        (np.arange(0.0, 100.0), TimeAxis(unit="s", start=1, end=200), "shorter than the model needs"),
        (np.arange(70.0, 400.0), TimeAxis(unit="s", start=1, end=200), "starts 10 s after heating_stop"),
        (np.arange(0.0, 400.0, 60.0), TimeAxis(n_steps=64), "fewer frames than the model needs: 5 .* at least 16"),
    ],
)
def test_recordings_that_do_not_fit_are_refused(times, axis, message):
    with pytest.raises(ModelError, match=message):
        axis.steps_s(plain(times, excitation=LONG))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"origin": "lamp"}, "time.origin is 'lamp'"),
        ({"unit": "min"}, "time.unit is 'min'"),
        ({"spacing": "cubic"}, "time.spacing is 'cubic'"),
        ({"start": 1.0, "end": 0.5}, "expected 0 <= start < end"),
        ({"n_steps": 1}, "2 steps or more"),
        ({"start": 0.0}, "greater than 0 for logarithmic"),
        ({"end": 2.0}, "at most 1"),
    ],
)
def test_impossible_axes_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        TimeAxis(**arguments)
