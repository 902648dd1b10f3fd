"""What a network sees: power, emissivity, thickness, lamps, frame rate and length drop out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from thermo_qc.errors import ModelError, SequenceError
from thermo_qc.representation import (
    PhysicalRepresentation,
    load_representation,
    plate_facts,
    residual_channels,
    time_bins,
)
from thermo_qc.sequence import Excitation, Material, ThermalSequence

GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.3,
    conductivity_in_plane_w_mk=0.4,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)
STOP_S, END_S = 20.0, 200.0
RECIPES = pytest.mark.parametrize(
    "recipe",
    [PhysicalRepresentation(), PhysicalRepresentation(background_order=0, texture=True, drift=True)],
    ids=["cubic", "flat"],
)


def rise_of_slab(times_s: NDArray[np.float64], thickness_mm: float, stop_s: float = STOP_S) -> NDArray[np.float64]:
    """Rise of a slab's face under a long pulse, up to a factor: the series of Carslaw and Jaeger."""
    alpha = GFRP.diffusivity_through_mm2_s

    def step(t: NDArray[np.float64]) -> NDArray[np.float64]:
        fourier = alpha * np.maximum(t, 0.0) / thickness_mm**2
        n = np.arange(1, 400)[:, None]
        series = (2 / np.pi**2) * ((1 - np.exp(-(n**2) * np.pi**2 * fourier)) / n**2).sum(axis=0)
        return np.asarray(thickness_mm * (fourier + series))

    return step(times_s) - step(times_s - stop_s)


def recording(
    *,
    rate_hz: float = 2.0,
    noise_k: float = 0.02,
    power: float = 3.0,
    scale: float = 1.0,
    lamp: NDArray[np.float64] | None = None,
    seed: int = 0,
    cold: bool = True,
) -> ThermalSequence:
    """A plate of 24 x 30 px with a thin round spot; `scale` multiplies lengths, and times by its square."""
    times = np.arange(-5 if cold else 0, int(END_S * rate_hz) + 1) / rate_hz
    sound, thin = (rise_of_slab(times, thickness) for thickness in (6.0, 2.0))
    spot = np.zeros((24, 30))
    v, u = np.mgrid[:24, :30]
    spot[(v - 11) ** 2 + (u - 14) ** 2 <= 9] = 1.0
    clean = power * (sound[:, None, None] * (1 - spot) + thin[:, None, None] * spot)
    clean = clean * (1.0 if lamp is None else lamp)
    noise = np.random.default_rng(seed).normal(0, noise_k, clean.shape) if noise_k > 0 else 0.0
    return ThermalSequence(
        frames=(22.0 + clean + noise).astype(np.float32),
        times_s=times * scale**2,
        unit="degC",
        excitation=Excitation(kind="long_pulse", stop_s=STOP_S * scale**2),
        ambient_c=22.0,
        netd_k=noise_k or None,
        material=GFRP,
        thickness_mm=6.0 * scale,
        pixel_pitch_mm=1.0 * scale,
    )


def spot_of(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean residuals over the inner spot, (128,)."""
    return np.asarray(stack[:128, 10:13, 13:16].mean(axis=(1, 2)))


@RECIPES
@settings(max_examples=3, deadline=None)
@given(factor=st.floats(0.3, 20.0))
def test_power_and_noise_together_change_nothing(recipe: PhysicalRepresentation, factor: float) -> None:
    plain = recipe.stack(recording())
    scaled = recipe.stack(recording(power=3.0 * factor, noise_k=0.02 * factor))
    np.testing.assert_allclose(scaled, plain, atol=3e-3 * max(1.0, factor) + 0.02)


@RECIPES
def test_more_power_is_only_less_noise(recipe: PhysicalRepresentation) -> None:
    """Without arcsinh, residuals in units of noise are proportional to the power."""
    weak, strong = (np.sinh(spot_of(recipe.stack(recording(power=p)))) for p in (3.0, 30.0))
    seen = np.abs(strong) > 30
    assert seen.sum() > 20
    np.testing.assert_allclose(weak[seen], strong[seen] / 10.0, atol=4.0)


@RECIPES
@pytest.mark.parametrize("scale", [0.25, 2.0, 8.0])  # powers of two: times on the edge of a bin stay there
def test_thickness_scales_with_the_root_of_time(recipe: PhysicalRepresentation, scale: float) -> None:
    """A plate k times as thick, seen k times as large, recorded for k^2 times as long: the very same input."""
    plain = recipe.stack(recording())
    scaled = recipe.stack(recording(scale=scale))
    np.testing.assert_allclose(scaled, plain, atol=2e-4)


@RECIPES
def test_smooth_lamp_pattern_hardly_matters(recipe: PhysicalRepresentation) -> None:
    """A gain of up to 30 % over the plate changes the residuals in the defect by little, and makes none elsewhere."""
    v, u = np.mgrid[-1:1:24j, -1:1:30j]
    lamp = 1.0 - 0.15 * (u + 0.4 * v**2)
    plain, lit = (recipe.stack(recording(lamp=pattern)) for pattern in (None, lamp))
    change = np.linalg.norm(spot_of(lit) - spot_of(plain)) / np.linalg.norm(spot_of(plain))
    assert change < 0.1
    sound = np.s_[64:128, 2:6, 2:28]  # second residual, away from the spot
    assert abs(float(lit[sound].std()) - float(plain[sound].std())) < 0.05


def test_frame_rate_and_emissivity_only_change_the_noise() -> None:
    slow, fast = (PhysicalRepresentation().stack(recording(rate_hz=rate, noise_k=0.0)) for rate in (2.0, 8.0))
    assert slow.shape == fast.shape == (135, 24, 30)
    patch = np.ones((24, 30))
    patch[3:7, 20:26] = 0.8  # a label: emissivity, and a reflected constant
    labelled = PhysicalRepresentation().stack(recording(lamp=patch))
    plain = PhysicalRepresentation().stack(recording())
    second = np.s_[64:128, 3:7, 20:26]
    assert abs(float(labelled[second].mean()) - float(plain[second].mean())) < 0.1


def test_what_is_known_changes_only_the_facts() -> None:
    known = recording()
    unknown = replace(known, material=None)
    a, b = (PhysicalRepresentation().stack(sequence) for sequence in (known, unknown))
    np.testing.assert_array_equal(a[:131], b[:131])
    assert (b[131:] == 0).all() and a[131, 12, 12] == 1.0
    facts = plate_facts(known, end_s=200.0, signal_to_noise=np.exp(6.0))
    np.testing.assert_allclose(
        facts,
        [
            1.0,
            0.0,
            0.5 * np.log(0.1),
            1.0,
            0.5 * np.log(GFRP.diffusivity_through_mm2_s * 200 / 36),
            0.25 * np.log(1 / (GFRP.diffusivity_in_plane_mm2_s * 200)),
            np.log(4 / 3),
        ],
        rtol=1e-6,
    )
    assert (plate_facts(known, end_s=200.0, signal_to_noise=5.0, known=False)[3:] == 0).all()


def test_region_and_background_are_left_out() -> None:
    sequence = recording()
    frames = np.array(sequence.frames)
    frames[:, :4, :] = 22.0  # beside the plate
    beside = replace(sequence, frames=frames)
    stack = PhysicalRepresentation().stack(beside)
    assert (stack[:, :4] == 0).all() and (stack[128, 4:] == 1).all()
    region = np.zeros((24, 30), dtype=bool)
    region[6:20, 5:25] = True
    stack = PhysicalRepresentation().stack(sequence, region=region)
    assert np.array_equal(stack[128] > 0, region)
    assert np.array_equal(PhysicalRepresentation().visible(sequence, region), region)
    with pytest.raises(SequenceError, match=r"region has shape \(3, 3\), the frames have \(24, 30\)"):
        PhysicalRepresentation().stack(sequence, region=np.ones((3, 3), dtype=bool))
    with pytest.raises(SequenceError, match="no pixel shows a signal"):
        PhysicalRepresentation().stack(replace(sequence, frames=np.full_like(frames, np.nan)))


def test_dead_pixel_is_mended() -> None:
    sequence = recording(noise_k=0.02)
    frames = np.array(sequence.frames)
    frames[:, 5, 22] = 30.0
    frames[:, 18, 4] += np.where(np.arange(len(frames)) % 2, 3.0, 0.0)[:].astype(np.float32)
    stack = PhysicalRepresentation().stack(replace(sequence, frames=frames))
    plain = PhysicalRepresentation().stack(sequence)
    assert np.abs(stack[:128, 18, 4] - plain[:128, 18, 4]).max() < 4.0
    assert np.abs(stack[64:128]).max() < 1.2 * np.abs(plain[64:128]).max()


def test_recordings_without_cold_frames_or_heating() -> None:
    warm = PhysicalRepresentation().stack(recording(cold=False))
    assert np.isfinite(warm).all() and np.abs(spot_of(warm)[76:]).max() > 1.0
    whole = recording()
    after = whole.times_s > STOP_S
    cooling = replace(whole, frames=np.array(whole.frames)[after], times_s=whole.times_s[after])
    stack = PhysicalRepresentation().stack(cooling)
    assert (stack[:12] == 0).all() and (stack[64:76] == 0).all() and np.abs(stack[12:64]).max() > 1.0


def test_bins_average_and_know_their_noise() -> None:
    times = np.arange(-4, 401, dtype=np.float64)
    bins = time_bins(times, heating_stop_s=60.0)
    assert bins.present.all() and bins.cold
    np.testing.assert_allclose(bins.weights.sum(axis=1), 0.0, atol=1e-12)
    assert bins.noise[-1] < 0.5 < bins.noise[12]
    white = np.random.default_rng(1).normal(size=(times.size, 4000))
    spread = (bins.weights @ white).std(axis=1)
    np.testing.assert_allclose(spread, np.sqrt(bins.noise**2 + 0.25), rtol=0.08)
    with pytest.raises(ModelError, match="2 frames of the heating and 0 of the cooling came, too few"):
        time_bins(np.array([-1.0, 0.0, 1.0]), heating_stop_s=5.0)


def test_fitted_curves_leave_nothing() -> None:
    """Offset, gain, reflections and a change of scale in time vanish from the second residual."""
    times = np.arange(-5, 401) / 2.0
    bins = time_bins(times, heating_stop_s=STOP_S)
    plate = rise_of_slab(times, 6.0)
    rng = np.random.default_rng(0)
    other = np.zeros((8, 9), dtype=bool)
    other[2:5, 3:7] = True  # the rest of the plate is the reference
    gain = np.where(other, rng.uniform(0.8, 1.2, (8, 9)), 1.0)
    offset, glare = np.where(other, rng.normal(size=(8, 9)), 0.0), np.where(other, rng.uniform(0, 2, (8, 9)), 0.0)
    lit = ((times >= 0) & (times <= STOP_S))[:, None, None]
    frames = plate[:, None, None] * gain + lit * glare + np.where(times >= 0, 1.0, 0.0)[:, None, None] * offset
    values = (bins.weights @ frames.reshape(len(times), -1)).reshape(-1, 8, 9).astype(np.float32)
    channels = residual_channels(values, bins, noise=1e-2, valid=np.ones((8, 9), dtype=bool), background_order=-1)
    assert np.abs(np.sinh(channels[64:])).max() < 0.1
    assert np.abs(np.sinh(channels[:64])).max() > 10


def test_saved_and_read_back() -> None:
    recipe = PhysicalRepresentation(n_heating=4, n_cooling=20, background_order=1)
    again = load_representation(recipe.to_metadata(), {})
    assert isinstance(again, PhysicalRepresentation)
    assert again.to_metadata() == recipe.to_metadata()
    assert again.n_stack_channels == 55 and again.n_curve_channels == 2 and not again.needs_fit
    with pytest.raises(ModelError, match=r"format physical-9, expected one of physical-1, .*physical-3; update"):
        load_representation({**recipe.to_metadata(), "format_version": "physical-9"}, {})
    with pytest.raises(ModelError, match="is broken"):
        load_representation({**recipe.to_metadata(), "extra": 1}, {})
    with pytest.raises(ModelError, match="is no representation"):
        PhysicalRepresentation(n_cooling=2)
