"""Pulse compression beside NumPy's correlation, on delayed codes and on thermal waves, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.sequence import Excitation, ThermalSequence
from thermo_qc.thermography import barker_signal, chirp_signal, compress_pulses, compute_maps, make_method

TIMES = np.arange(600) * 0.1


def test_equal_to_numpys_correlation():
    rng = np.random.default_rng(0)
    signal = chirp_signal(TIMES, 0.05, 0.5, 50.0)
    curve = rng.normal(size=600)
    result = compress_pulses(curve, TIMES, signal, trend_order=-1, max_lag_s=5.0)
    centred = signal - signal.mean()
    full = np.correlate(curve, centred, mode="full")[599 : 599 + 51]
    energy = [np.square(centred[: 600 - lag]).sum() for lag in range(51)]
    np.testing.assert_allclose(result.correlation, full / energy, rtol=1e-9, atol=1e-12)
    assert result.lags_s[-1] == pytest.approx(5.0)


@pytest.mark.parametrize(
    "make", [lambda t: chirp_signal(t, 0.05, 0.6, 40.0), lambda t: barker_signal(t, 13, 3.0)], ids=["chirp", "barker"]
)
@pytest.mark.parametrize("delay_s", [0.0, 1.23, 4.5])
def test_a_delayed_code_comes_back_with_delay_and_height(make, delay_s):
    fine = np.arange(-20, 80, 0.001)
    smooth = np.convolve(make(fine), np.hanning(1501) / np.hanning(1501).sum(), mode="same")
    response = 3.0 * np.interp(TIMES - delay_s, fine, smooth)
    reference = np.interp(TIMES, fine, smooth)
    drift = 2.0 + 0.7 * np.sqrt(TIMES) - 0.01 * TIMES
    result = compress_pulses(response + drift, TIMES, reference, trend_order=2, max_lag_s=8.0)
    assert float(result.delay_s) == pytest.approx(delay_s, abs=0.05)
    assert float(result.peak) == pytest.approx(3.0, rel=0.05)


def test_a_half_space_lags_45_degrees_and_a_thin_plate_90():
    frequency, omega = 0.1, 2 * np.pi * 0.1
    power = (1 - np.cos(omega * TIMES)) / 2
    half_space = -np.cos(omega * TIMES - np.pi / 4)
    thin = -np.cos(omega * TIMES - np.pi / 2)
    both = np.stack([half_space, thin], axis=1) + np.sqrt(TIMES)[:, None]
    result = compress_pulses(both, TIMES, power, max_lag_s=9.0)
    np.testing.assert_allclose(result.phase_rad, [np.pi / 4, np.pi / 2], atol=0.03)
    np.testing.assert_allclose(result.delay_s, [0.125 / frequency, 0.25 / frequency], atol=0.15)


@settings(deadline=None, max_examples=20)
@given(gain=st.floats(0.1, 30), offset=st.floats(-100, 100), slope=st.floats(-1, 1), seed=st.integers(0, 50))
def test_gain_scales_the_peak_and_trends_have_no_part(gain, offset, slope, seed):
    signal = chirp_signal(TIMES, 0.05, 0.6, 40.0)
    curve = np.roll(signal, 13) + 0.01 * np.random.default_rng(seed).normal(size=600)
    plain = compress_pulses(curve, TIMES, signal, max_lag_s=5.0)
    other = compress_pulses(gain * curve + offset + slope * np.sqrt(TIMES), TIMES, 7 * signal, max_lag_s=5.0)
    assert float(other.delay_s) == pytest.approx(float(plain.delay_s), abs=1e-6)
    assert float(other.peak) == pytest.approx(gain * float(plain.peak) / 7, rel=1e-6)
    assert float(other.phase_rad) == pytest.approx(float(plain.phase_rad), abs=1e-6)


def test_codes():
    bits = barker_signal(np.arange(0.5, 15), 13, 1.0)
    assert "".join("+" if bit else "-" for bit in bits[:13]) == "+++++--++-+-+" and not bits[13:].any()
    signs = 2 * bits[:13] - 1
    side = np.correlate(signs, signs, mode="full")
    assert side[12] == 13 and np.abs(np.delete(side, 12)).max() <= 1
    chirp = chirp_signal(np.linspace(-1, 12, 2000), 0.5, 2.0, 10.0)
    assert chirp.min() == 0 and chirp.max() > 0.999 and chirp[:100].max() == 0 and chirp[-100:].max() == 0


def test_maps_are_those_of_the_whole():
    rng = np.random.default_rng(2)
    times = np.concatenate([[-0.3, -0.2, -0.1], TIMES])
    power = barker_signal(times, 7, 4.0)
    delays = rng.uniform(0.5, 3, (5, 6))
    frames = 20 + np.stack([[np.interp(times - delay, times, power) for delay in row] for row in delays]).transpose(
        2, 0, 1
    )
    frames += rng.normal(0, 0.01, frames.shape)
    plate = ThermalSequence(frames=frames, times_s=times, unit="degC", excitation=Excitation(kind="unknown"))
    samples = {"code": "samples", "samples": tuple(power[3:].tolist()), "sample_rate_hz": 10.0}
    for options in ({"code": "barker", "bits": 7, "bit_s": 4.0}, samples):
        maps = compute_maps(plate, {"pulse_compression": make_method("pulse_compression", options)})
        rise = (frames - frames[:3].mean(axis=0))[3:]
        expected = compress_pulses(rise, TIMES, barker_signal(TIMES, 7, 4.0))
        np.testing.assert_allclose(maps["pulse_compression_delay"], expected.delay_s, atol=1e-3)
        np.testing.assert_allclose(maps["pulse_compression_peak"], expected.peak, rtol=1e-4)
        np.testing.assert_allclose(maps["pulse_compression_phase"], expected.phase_rad, atol=1e-4)
        np.testing.assert_allclose(maps["pulse_compression_delay"], delays, atol=0.1)


def test_what_is_missing_or_wrong_is_said():
    signal = chirp_signal(TIMES, 0.05, 0.5, 50.0)
    with pytest.raises(SequenceError, match="not evenly spaced"):
        compress_pulses(signal, TIMES**1.1, signal)
    with pytest.raises(SequenceError, match="never changes"):
        compress_pulses(signal, TIMES, np.ones(600))
    with pytest.raises(SequenceError, match=r"expected \(T, \.\.\.\)"):
        compress_pulses(signal[:-1], TIMES, signal)
    with pytest.raises(SequenceError, match="trend_order is 9"):
        compress_pulses(signal, TIMES, signal, trend_order=9)
    with pytest.raises(SequenceError, match="the trend explains the whole excitation"):
        compress_pulses(signal, TIMES, 1 + TIMES, trend_order=4)
    with pytest.raises(SequenceError, match="at least 8 frames"):
        compress_pulses(np.ones(4), np.arange(4.0), np.arange(4.0))
    with pytest.raises(SequenceError, match="one of 2, 3, 4, 5, 7, 11, 13 bits"):
        barker_signal(TIMES, 6, 1.0)
    with pytest.raises(SequenceError, match="expected positive numbers"):
        chirp_signal(TIMES, 0.0, 1.0, 10.0)
    plate = ThermalSequence(frames=np.ones((600, 3, 3)), times_s=TIMES, unit="degC")
    for options, message in (
        ({"code": "periodic"}, "needs its frequency"),
        ({"code": "chirp", "f_start_hz": 1.0}, "f_start_hz, f_end_hz and duration_s"),
        ({"code": "barker"}, "needs bit_s"),
        ({"code": "samples"}, "needs samples and sample_rate_hz"),
    ):
        with pytest.raises((ConfigError, MissingFactError), match=message):
            compute_maps(plate, {"pulse_compression": make_method("pulse_compression", options)})
    for options, message in (
        ({"trend_order": 11}, "trend_order is 11"),
        ({"bits": 6}, "bits is 6"),
        ({"bit_s": -1}, "bit_s is -1"),
    ):
        with pytest.raises(ConfigError, match=message):
            make_method("pulse_compression", options)


def test_delays_of_a_periodic_excitation_stay_within_its_period():
    omega = 2 * np.pi * 0.1
    frames = np.sqrt(TIMES) - np.cos(omega * TIMES - np.pi / 4)
    plate = ThermalSequence(
        frames=np.repeat(frames, 6).reshape(600, 2, 3),
        times_s=TIMES,
        unit="degC",
        excitation=Excitation(kind="periodic", frequency_hz=0.1),
    )
    maps = compute_maps(plate, {"pulse_compression": make_method("pulse_compression")})
    np.testing.assert_allclose(maps["pulse_compression_phase"], np.pi / 4, atol=0.03)
    np.testing.assert_allclose(maps["pulse_compression_delay"], 1.25, atol=0.15)
