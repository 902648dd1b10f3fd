"""Lock-in against closed forms, SciPy and the Cramer-Rao bound; the four-point method as a check."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError, MissingFactError, SequenceError
from thermo_qc.sequence import Excitation, ThermalSequence
from thermo_qc.thermography import LockinMaps, Scene, compute_maps, fit_lockin, four_point, make_method

ALPHA_MM2_S, EFFUSIVITY = 0.158, 755.0


def thermal_wave(frequency_hz: float, thickness_mm: float = np.inf) -> complex:
    """Complex amplitude of the surface's rise under a flux of swing 1 W/m2, adiabatic back face."""
    sigma = (1 + 1j) * np.sqrt(np.pi * frequency_hz / ALPHA_MM2_S)  # 1/mm
    half_space = 1 / (EFFUSIVITY * np.sqrt(2 * np.pi * frequency_hz)) * np.exp(-1j * np.pi / 4)
    return half_space if np.isinf(thickness_mm) else half_space / np.tanh(sigma * thickness_mm)


def slab_recording(times, frequency_hz, thickness_mm, flux, n_terms=4000):
    """Rise of a slab heated by 1 + cos(2 pi f t) from t = 0, through its cosine series in the depth."""
    capacity = EFFUSIVITY / np.sqrt(ALPHA_MM2_S * 1e-6) * thickness_mm * 1e-3  # rho c L
    n = np.arange(1, n_terms)
    rates = ALPHA_MM2_S * (n * np.pi / thickness_mm) ** 2
    omega = 2 * np.pi * frequency_hz
    mean = times + np.sin(omega * times) / omega
    terms = np.zeros_like(times)
    for rate in rates:
        late = np.exp(-rate * times)
        swing = (rate * np.cos(omega * times) + omega * np.sin(omega * times) - rate * late) / (rate**2 + omega**2)
        terms += 2 * ((1 - late) / rate + swing)
    return flux / capacity * (mean + terms)


@pytest.mark.parametrize("frequency_hz", [0.01, 0.1, 1.0])
def test_thick_plate_lags_by_45_degrees(frequency_hz):
    times = np.arange(400) * 0.02 / frequency_hz
    wave = thermal_wave(frequency_hz) * np.exp(2j * np.pi * frequency_hz * times)
    fit = fit_lockin(1000 * wave.real + 2 + 0.01 * times * frequency_hz, times, frequency_hz)
    assert fit.phase_rad[0] == pytest.approx(-np.pi / 4, abs=1e-9)
    assert fit.amplitude[0] == pytest.approx(1000 / (EFFUSIVITY * np.sqrt(2 * np.pi * frequency_hz)), rel=1e-9)
    assert fit.r2 == pytest.approx(1.0)
    assert fit.offset == pytest.approx(2 + 0.01 * (times[0] + times[-1]) / 2 * frequency_hz, abs=1e-9)


@pytest.mark.parametrize("thickness_mm", [0.5, 1.3, 3.0])
def test_slab_from_a_cold_start_gives_the_thermal_wave(thickness_mm):
    """The transient's time constant is L^2 / (pi^2 alpha); after it the mean flux is a straight drift."""
    frequency = 0.05
    times = 20 / frequency + np.arange(200) * 0.02 / frequency
    fit = fit_lockin(slab_recording(times, frequency, thickness_mm, 1000.0), times, frequency)
    exact = 1000 * thermal_wave(frequency, thickness_mm)
    assert fit.amplitude[0] == pytest.approx(abs(exact), rel=3e-3)
    assert fit.phase_rad[0] == pytest.approx(np.angle(exact), abs=3e-3)


def test_slab_transient_is_fitted():
    frequency, thickness = 0.05, 3.0
    times = 4.0 + np.arange(200) * 0.02 / frequency  # the next term of the series is gone by then
    rise = slab_recording(times, frequency, thickness, 1000.0)
    exact = np.angle(thermal_wave(frequency, thickness))
    plain = fit_lockin(rise, times, frequency)
    fitted = fit_lockin(rise, times, frequency, transient_s=thickness**2 / (np.pi**2 * ALPHA_MM2_S))
    assert abs(fitted.phase_rad[0] - exact) < 3e-3
    assert abs(plain.phase_rad[0] - exact) > 5 * abs(fitted.phase_rad[0] - exact)


def test_uneven_times_harmonics_and_drift_against_scipy():
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 60, 300))
    rise = rng.normal(size=(300, 4, 3)).cumsum(axis=0)
    fit = fit_lockin(rise, times, 0.1, n_harmonics=3, drift_order=2, transient_s=7.0)
    angle = 2 * np.pi * 0.1 * times
    swing = [f(h * angle) for h in (1, 2, 3) for f in (np.cos, np.sin)]
    design = np.stack([np.ones(300), times, times**2, np.exp(-times / 7.0), *swing], axis=1)
    found, _, _, _ = scipy.linalg.lstsq(design, rise.reshape(300, -1))
    remainder = rise.reshape(300, -1) - design @ found
    drift, _, _, _ = scipy.linalg.lstsq(design[:, :4], rise.reshape(300, -1))
    spread = rise.reshape(300, -1) - design[:, :4] @ drift
    cosine, sine = found[4::2].reshape(3, 4, 3), found[5::2].reshape(3, 4, 3)
    np.testing.assert_allclose(fit.amplitude, np.hypot(cosine, sine), rtol=1e-9)
    np.testing.assert_allclose(fit.phase_rad, np.arctan2(-sine, cosine), atol=1e-9)
    np.testing.assert_allclose(fit.residual.ravel(), np.sqrt((remainder**2).sum(axis=0) / 290), rtol=1e-9)
    r2 = 1 - (remainder**2).sum(axis=0) / (spread**2).sum(axis=0)
    np.testing.assert_allclose(fit.r2.ravel(), r2, atol=1e-9)
    middle = (times[0] + times[-1]) / 2
    np.testing.assert_allclose(fit.offset.ravel(), [1, middle, middle**2] @ found[:3], rtol=1e-7)
    assert fit.frequencies_hz == pytest.approx([0.1, 0.2, 0.3])


def test_noise_reaches_the_cramer_rao_bound():
    """Whole periods: oscillation and drift hardly touch, so the bound for a known frequency is all but reached."""
    rng = np.random.default_rng(1)
    times, sigma, amplitude = np.arange(500) * 0.1, 0.05, 0.4
    clean = amplitude * np.cos(2 * np.pi * 0.2 * times - 1.0)[:, None] + 0.01 * times[:, None]
    fit = fit_lockin(clean + rng.normal(0, sigma, (500, 4000)), times, 0.2)
    bound = sigma * np.sqrt(2 / 500)
    assert fit.amplitude[0].std() == pytest.approx(bound, rel=0.05)
    assert fit.phase_rad[0].std() == pytest.approx(bound / amplitude, rel=0.05)
    assert fit.amplitude[0].mean() == pytest.approx(amplitude, abs=4 * bound / np.sqrt(4000) + bound**2 / amplitude)
    assert fit.residual.mean() == pytest.approx(sigma, rel=0.01)


def test_single_precision_is_as_good_as_the_noise():
    times = np.arange(1000) * 0.04
    rise = 20 + 0.1 * times + 0.3 * np.cos(2 * np.pi * 0.25 * times - 0.8)
    fit = fit_lockin(rise.astype(np.float32), times, 0.25)
    assert fit.amplitude.dtype == np.float32
    assert fit.amplitude[0] == pytest.approx(0.3, rel=1e-5)
    assert fit.phase_rad[0] == pytest.approx(-0.8, abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(
    phase=st.floats(-3.1, 3.1),
    amplitude=st.floats(0.01, 10),
    shift=st.floats(-5, 5),
    drift=st.floats(-1, 1),
    reference=st.floats(-3, 3),
)
def test_any_wave_is_found_whatever_drift_and_reference(phase, amplitude, shift, drift, reference):
    times = 3.0 + np.arange(150) * 0.1
    rise = amplitude * np.cos(2 * np.pi * 0.3 * times + phase + reference) + shift + drift * times
    fit = fit_lockin(rise, times, 0.3, reference_phase_rad=reference)
    assert fit.amplitude[0] == pytest.approx(amplitude, rel=1e-6)
    assert abs(np.angle(np.exp(1j * (fit.phase_rad[0] - phase)))) < 1e-6
    assert -np.pi <= fit.phase_rad[0] <= np.pi


def test_four_points_agree_with_the_fit():
    times = 1.25 + np.arange(200) * 0.25  # 20 frames a period of 5 s, 10 periods
    rise = (0.7 * np.cos(2 * np.pi * 0.2 * times - 2.0) + 3)[:, None] * [1.0, 2.0]
    check = four_point(rise, times, 0.2, reference_phase_rad=0.4)
    fit = fit_lockin(rise, times, 0.2, reference_phase_rad=0.4)
    assert check.n_periods == 10
    np.testing.assert_allclose(check.amplitude, fit.amplitude[0], rtol=1e-9)
    np.testing.assert_allclose(check.phase_rad, fit.phase_rad[0], atol=1e-9)


def test_four_points_between_frames():
    times = np.arange(180) * (5 / 18)  # 18 frames a period: a quarter is 4.5 of them
    rise = np.cos(2 * np.pi * 0.2 * times - 2.0)
    with pytest.raises(SequenceError, match=r"a quarter of a period is 4\.5 frames, expected whole ones"):
        four_point(rise, times, 0.2)
    check = four_point(rise, times, 0.2, interpolate=True)
    assert 1 - 5 / 18**2 <= check.amplitude < 1
    assert check.phase_rad == pytest.approx(-2.0, abs=0.02)


def test_four_points_take_a_drift_for_a_wave():
    times = np.arange(200) * 0.25
    check = four_point(0.1 * times, times, 0.2)
    assert check.amplitude == pytest.approx(0.5 * np.hypot(0.1 * 2.5, 0.1 * 2.5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frequency_hz": 0.0}, "frequency is 0.0 Hz, expected a positive"),
        ({"n_harmonics": 0}, "0 harmonics and a drift of order 1"),
        ({"transient_s": -1.0}, "time constant is -1.0 s"),
        ({"n_harmonics": 60}, "frames come every 0.1 s, expected more than two a period of 60 x 0.1 Hz"),
        ({"frequency_hz": 0.001}, "too little to tell the oscillation from a drift of order 1"),
        ({"drift_order": 120}, r"101 frames are left, expected more than the 123 terms"),
        ({"times_s": np.zeros(101)}, "times do not increase"),
        ({"times_s": np.zeros(3)}, r"shape \(101,\) and times \(3,\)"),
    ],
)
def test_refusals(change, message):
    options = {"rise": np.zeros(101), "times_s": np.arange(101) * 0.1, "frequency_hz": 0.1, **change}
    with pytest.raises(SequenceError, match=message):
        fit_lockin(**options)


def test_four_points_need_a_period():
    with pytest.raises(SequenceError, match="at least one period of 10 s"):
        four_point(np.zeros(50), np.arange(50) * 0.1, 0.1)


def recording(noise=0.0, frequency_hz=0.1, **facts) -> ThermalSequence:
    times = np.arange(-10, 600) * 0.1
    rng = np.random.default_rng(2)
    lag = np.linspace(-1.2, -0.3, 30).reshape(5, 6)
    wave = 0.5 * np.sin(2 * np.pi * 0.1 * times[:, None, None] + lag) + 0.02 * times[:, None, None]
    frames = 300 + np.where(times[:, None, None] > 0, wave, 0) + rng.normal(0, noise, (610, 5, 6))
    frames[:, 4, 5] = np.nan
    return ThermalSequence(
        frames=frames,
        times_s=times,
        unit="K",
        excitation=Excitation(kind="periodic", frequency_hz=frequency_hz, **facts),
    )


def test_maps_in_blocks_are_those_of_the_whole():
    options = {"four_point": True, "n_harmonics": 2}
    sequence = recording()
    maps = compute_maps(sequence, {"lockin": make_method("lockin", options)}, threads=1, tile_values=610 * 6)
    lag = np.linspace(-1.2, -0.3, 30).reshape(5, 6)
    good = np.arange(30).reshape(5, 6) < 29
    np.testing.assert_allclose(maps["lockin_phase"][good], lag[good], atol=1e-4)
    np.testing.assert_allclose(maps["lockin_amplitude"][good], 0.5, rtol=1e-4)
    np.testing.assert_allclose(maps["lockin_amplitude_2f"][good], 0.0, atol=1e-4)
    np.testing.assert_allclose(maps["lockin_r2"][good], 1.0, atol=1e-5)
    assert all(np.isnan(image.values[4, 5]) for image in maps.images)
    layer = maps.images[0].layer
    assert layer.metadata["reference"] == "1 + sine"
    assert layer.metadata["t_start_s"] == pytest.approx(10.0)  # the first period is skipped
    names = [image.layer.name for image in maps.images]
    assert names[-2:] == ["lockin_four_point_amplitude", "lockin_four_point_phase"]
    # The drift turns the four-point result, the fit is free of it.
    assert np.abs(maps["lockin_four_point_phase"][good] - lag[good]).max() > 0.01


def test_references_shift_the_phase():
    sequence = recording()
    phases = [
        compute_maps(sequence, {"lockin": LockinMaps(reference=name)}, threads=1)["lockin_phase"][0, 0]
        for name in ("sine", "cosine", "minus_cosine")
    ]
    assert phases[1] == pytest.approx(phases[0] - np.pi / 2, abs=1e-5)
    assert np.exp(1j * phases[2]) == pytest.approx(-np.exp(1j * phases[1]), abs=1e-5)


def test_frequency_comes_from_option_or_recording():
    with pytest.raises(MissingFactError, match="needs the excitation's frequency"):
        compute_maps(recording(frequency_hz=None), {"lockin": LockinMaps()})
    maps = compute_maps(recording(frequency_hz=None), {"lockin": LockinMaps(frequency_hz=0.1)})
    assert maps["lockin_amplitude"][0, 0] == pytest.approx(0.5, rel=1e-4)
    with pytest.raises(SequenceError, match="expected more than the 50 to skip"):
        compute_maps(recording(), {"lockin": LockinMaps(skip_periods=50)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequency_hz": -1.0}, "lockin.frequency_hz is -1.0"),
        ({"reference": "square"}, "reference is 'square'"),
        ({"skip_periods": -1}, "skip_periods is -1"),
        ({"drift_order": 9}, "drift_order is 9"),
        ({"n_harmonics": 0}, "n_harmonics is 0"),
        ({"transient_s": 0.0}, "transient_s is 0.0"),
        ({"interpolate": True}, "set four_point too"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        LockinMaps(**options)


def test_scene_without_heating_frames():
    scene = Scene(
        times_s=np.arange(-20.0, 0.0), unit="K", shape=(1, 1), excitation=Excitation(kind="periodic", frequency_hz=0.1)
    )
    with pytest.raises(SequenceError, match="frames lie within the heating"):
        LockinMaps().layers(scene)
