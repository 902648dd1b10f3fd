"""Periodic and coded heating, and lamps that glow: against thermal waves, superposition and the heat that went in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import ConfigError
from thermo_qc.sequence import Excitation
from thermo_qc.simulation import Heating, Losses, record_plate, solve_cell, solve_plate
from thermo_qc.simulation.profile import BARKER_BITS, flux_line, flux_switches_s, relative_flux
from thermo_qc.thermography import barker_signal, chirp_signal, fit_lockin
from thermo_qc.thermography.pulse_compression import BARKER_CODES


def thermal_wave(material, frequency_hz, flux, thickness_m):
    """Face of an insulated slab: q coth(sigma L) / (k sigma), sigma = (1 + i) sqrt(pi f / alpha)."""
    sigma = (1 + 1j) * np.sqrt(np.pi * frequency_hz / (1e-6 * material.diffusivity_through_mm2_s))
    return flux / (material.conductivity_through_w_mk * sigma * np.tanh(sigma * thickness_m))


@pytest.mark.parametrize(
    ("thickness", "frequency", "waveform"),
    [(17.0, 0.05, "sine"), (17.0, 0.05, "square"), (1.5, 0.02, "sine"), (1.0, 0.05, "sine"), (2.0, 0.02, "square")],
)
def test_thermal_wave_has_the_amplitude_and_phase_of_a_slab(
    make_plate, gfrp, insulated, thickness, frequency, waveform
):
    heating = Heating(
        kind="periodic",
        flux_w_m2=500.0,
        frequency_hz=frequency,
        modulation=0.8,
        waveform=waveform,
        duration_s=8 / frequency,
    )
    times = np.arange(0, 8 / frequency, 1 / (40 * frequency))
    solution = solve_plate(
        make_plate(2, 2, thickness=thickness),
        times_s=times,
        heating=heating,
        losses=insulated,
        lateral_mm=2,
        depth_cells=40,
    )
    kept = times >= 3 / frequency
    fit = fit_lockin(
        solution.rise_k[kept, 0, 0].astype(np.float64), times[kept], frequency, reference_phase_rad=-np.pi / 2
    )
    swing = 500.0 * 0.8 * (4 / np.pi if waveform == "square" else 1.0)
    wave = thermal_wave(gfrp, frequency, swing, thickness / 1e3)
    assert fit.amplitude[0] == pytest.approx(abs(wave), rel=0.015)
    assert np.degrees(fit.phase_rad[0]) == pytest.approx(np.degrees(np.angle(wave)), abs=1.0)
    if thickness > 10:
        assert np.degrees(fit.phase_rad[0]) == pytest.approx(-45.0, abs=1.0)
    elif thickness == 1.5:
        assert np.degrees(np.angle(wave)) < -60.0


def test_phase_option_turns_the_flux():
    t = np.linspace(0.0, 39.9, 400)
    sine, dark = (Heating(kind="periodic", frequency_hz=0.1, phase_deg=p) for p in (0.0, -90.0))
    np.testing.assert_allclose(relative_flux(sine, t), 1 + np.sin(0.2 * np.pi * t), atol=1e-12)
    np.testing.assert_allclose(relative_flux(dark, t), 1 - np.cos(0.2 * np.pi * t), atol=1e-12)


def test_codes_are_those_that_pulse_compression_looks_for():
    assert {n: bits.replace("1", "+").replace("0", "-") for n, bits in BARKER_BITS.items()} == BARKER_CODES
    t = np.linspace(0, 70, 1401) + 0.01
    for length in BARKER_BITS:
        heating = Heating(kind="coded", code_length=length, bit_s=3.0)
        np.testing.assert_array_equal(relative_flux(heating, t), barker_signal(t, length, 3.0))
        assert heating.stop_s == 3.0 * length
    chirp = Heating(kind="coded", code="chirp", frequency_hz=0.02, frequency_end_hz=0.1, duration_s=60.0)
    np.testing.assert_allclose(relative_flux(chirp, t) / 2, chirp_signal(t, 0.02, 0.1, 60.0), atol=1e-9)


HEATINGS = {
    "long_pulse": Heating(duration_s=20.0),
    "glowing": Heating(duration_s=20.0, afterglow_share=0.3, afterglow_s=4.0),
    "sine": Heating(kind="periodic", frequency_hz=0.11, duration_s=30.0, modulation=0.7, phase_deg=33.0),
    "square": Heating(
        kind="periodic", frequency_hz=0.11, duration_s=30.0, waveform="square", phase_deg=200.0, afterglow_share=0.2
    ),
    "barker": Heating(kind="coded", code_length=7, bit_s=4.0),
    "chirp": Heating(kind="coded", code="chirp", frequency_hz=0.05, frequency_end_hz=0.2, duration_s=35.0),
    "square chirp": Heating(
        kind="coded", code="chirp", waveform="square", frequency_hz=0.2, frequency_end_hz=0.05, duration_s=35.0
    ),
    "samples": Heating(
        kind="coded", code="samples", samples=(0.5, 1.0, 0.0, 0.25), bit_s=5.0, afterglow_share=1.0, afterglow_s=2.0
    ),
}


@pytest.mark.parametrize("name", HEATINGS)
def test_all_heat_that_was_sent_is_in_the_balance(make_plate, name):
    heating = HEATINGS[name]
    plate = make_plate(24, 20, ((12, 10, 9, 2),))
    solution = solve_plate(
        plate, times_s=np.array([10.0, 40.0]), heating=heating, losses=Losses(edge_w_m2k=5.0), dtype="float64"
    )
    t = np.linspace(0, 40, 400_001)
    middle = (t[1:] + t[:-1]) / 2
    sent = heating.flux_w_m2 * relative_flux(heating, middle).sum() * 1e-4 * 24e-3 * 20e-3
    assert solution.energy.absorbed_j == pytest.approx(sent, rel=3e-5)  # the sum over 0.1 ms is no better at switches
    assert abs(solution.energy.relative_error) < 1e-6


@pytest.mark.parametrize("name", HEATINGS)
def test_face_follows_the_superposition_of_impulses(make_plate, insulated, flash_series, name):
    """Duhamel: the rise is the flux folded with the slab's answer to a flash."""
    heating = HEATINGS[name]
    times = np.array([3.0, 11.0, 19.0, 23.0, 37.0])
    solution = solve_plate(
        make_plate(2, 2), times_s=times, heating=heating, losses=insulated, lateral_mm=2, depth_cells=48
    )
    root = np.linspace(0, 1, 20_001)
    for time, rise in zip(times, solution.rise_k[:, 0, 0], strict=True):
        s = (root[1:] + root[:-1]) / 2 * np.sqrt(time)  # lag = s^2 takes the impulse's singularity away
        flux = heating.flux_w_m2 * relative_flux(heating, time - s**2)
        expected = np.sum(flash_series(s**2, 1.0) * flux * 2 * s) * np.sqrt(time) / 20_000
        assert rise == pytest.approx(expected, rel=0.008, abs=0.01)


def test_glow_falls_with_its_time_constant():
    heating = HEATINGS["glowing"]
    assert heating.flux_at(19.999) == 1000.0
    assert heating.flux_at(20.0) == pytest.approx(300.0)
    assert heating.flux_at(24.0) == pytest.approx(300.0 / np.e)
    assert Heating(duration_s=20.0).flux_at(20.0) == 0.0


@settings(deadline=None, max_examples=25)
@given(
    frequency=st.floats(0.01, 2.0),
    phase=st.floats(-720, 720),
    stop=st.floats(3.0, 40.0),
    glow=st.sampled_from([0.0, 0.5]),
)
def test_square_wave_jumps_at_its_switches_only(frequency, phase, stop, glow):
    heating = Heating(
        kind="periodic",
        waveform="square",
        frequency_hz=frequency,
        phase_deg=phase,
        duration_s=stop,
        afterglow_share=glow,
    )
    switches = np.array([0.0, *flux_switches_s(heating, stop)])
    ends = np.append(switches, stop)
    wide = np.diff(ends) > 1e-5
    inside = [
        relative_flux(heating, np.linspace(a + 2e-6, b - 2e-6, 9))
        for a, b, keep in zip(ends[:-1], ends[1:], wide, strict=True)
        if keep
    ]
    assert all(np.ptp(level) == 0 for level in inside)


def test_line_of_a_step_carries_its_heat():
    heating = HEATINGS["sine"]
    first, last = flux_line(heating, 4.0, 4.3)
    t = np.linspace(4.0, 4.3, 10_001)
    values = heating.flux_w_m2 * relative_flux(heating, t)
    assert (first + last) / 2 == pytest.approx(np.trapezoid(values, t) / 0.3, rel=1e-8)
    assert np.abs(values - np.linspace(first, last, t.size)).max() < 0.003 * heating.flux_w_m2
    assert flux_line(HEATINGS["barker"], 13.0, 14.0) == (0.0, 0.0)


@pytest.mark.parametrize("name", HEATINGS)
def test_round_cell_takes_every_form_of_heating(make_plate, gfrp, name):
    times = np.array([5.0, 15.0, 26.0, 40.0])
    cell = solve_cell(
        material=gfrp,
        thickness_mm=17.0,
        depth_mm=4.0,
        diameter_mm=12.0,
        times_s=times,
        reach_mm=15.0,
        heating=HEATINGS[name],
        relative_step=0.005,
        depth_cells=40,
    )
    slab = solve_plate(
        make_plate(2, 2),
        times_s=times,
        heating=HEATINGS[name],
        lateral_mm=2,
        depth_cells=40,
        floors_mm=(4.0,),
        dtype="float64",
    )
    np.testing.assert_allclose(cell.sound_k, slab.rise_k[:, 0, 0], rtol=0.004, atol=0.01)


def test_recording_states_its_excitation(make_plate):
    times = np.arange(-1.0, 5.0)
    stated = {}
    for name in ("sine", "barker"):
        solution = solve_plate(make_plate(8, 8), times_s=times, heating=HEATINGS[name], lateral_mm=4)
        sequence = record_plate(solution, rng=np.random.default_rng(0))
        stated[name] = sequence.excitation
        assert sequence.history[0].parameters["heating"]["bit_s"] == HEATINGS[name].bit_s
    assert stated["sine"] == Excitation(kind="periodic", stop_s=30.0, flux_w_m2=1000.0, frequency_hz=0.11)
    assert stated["barker"] == Excitation(kind="unknown", stop_s=28.0, flux_w_m2=1000.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "periodc"}, "did you mean 'periodic'"),
        ({"waveform": "triangle"}, "heating waveform"),
        ({"code": "bark"}, "did you mean 'barker'"),
        ({"kind": "coded", "code_length": 6}, "code_length is 6, expected one of 2, 3, 4, 5, 7, 11, 13"),
        ({"kind": "coded", "code": "samples"}, "holds no sample above 0"),
        ({"kind": "coded", "code": "samples", "samples": (1.0, 2.0)}, r"heating.samples\[1\] is 2"),
        ({"modulation": 1.5}, "heating.modulation is 1.5"),
        ({"frequency_hz": 0.0}, "heating.frequency_hz is 0"),
        ({"kind": "flash", "afterglow_share": 0.1}, "'flash' are never switched off"),
        ({"kind": "step", "afterglow_share": 0.1}, "'step' are never switched off"),
    ],
)
def test_impossible_heatings_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Heating(**options)
