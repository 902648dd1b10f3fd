"""The closed forms of heated slabs against other series, the Laplace transform and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import factorial

from thermo_qc.errors import SequenceError
from thermo_qc.thermography import half_space_response, slab_flash, slab_response, slab_step
from thermo_qc.thermography.slab import HALF_RISE_FOURIER


def stehfest(transform, time, n=14):
    """Numerical inverse Laplace transform after Stehfest (1970)."""
    total = 0.0
    for i in range(1, n + 1):
        weight = sum(
            j ** (n // 2)
            * factorial(2 * j)
            / (factorial(n // 2 - j) * factorial(j) * factorial(j - 1) * factorial(i - j) * factorial(2 * j - i))
            for j in range((i + 1) // 2, min(i, n // 2) + 1)
        )
        total += (-1) ** (i + n // 2) * weight * transform(i * np.log(2) / time)
    return np.log(2) / time * total


def quadrupole(face, biot):
    """Transform of the face's temperature by thermal quadrupoles, Fourier number as time."""

    def transform(p):
        q = np.sqrt(p)
        below = (p + biot**2) * np.sinh(q) + 2 * biot * q * np.cosh(q)
        return (q * np.cosh(q) + biot * np.sinh(q) if face == "front" else q) / below

    return transform


@pytest.mark.parametrize("face", ["front", "rear"])
@pytest.mark.parametrize("biot", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("fourier", [0.003, 0.02, 0.3, 2.0])
def test_inverse_of_the_quadrupoles(face, biot, fourier):
    transform, place = quadrupole(face, biot), np.array([fourier])
    assert slab_flash(place, face, biot)[0] == pytest.approx(stehfest(transform, fourier), abs=2e-4)
    step = stehfest(lambda p: transform(p) / p, fourier)
    assert slab_step(place, face, biot)[0] == pytest.approx(step, abs=2e-5)


def test_images_of_the_half_space():
    fourier = np.geomspace(1e-3, 3.0, 60)
    n = np.arange(1, 40)[:, None]
    images = (1 + 2 * np.exp(-(n**2) / fourier).sum(axis=0)) / np.sqrt(np.pi * fourier)
    np.testing.assert_allclose(slab_flash(fourier), images, rtol=1e-9)
    odd = 2 * np.exp(-((2 * n - 1) ** 2) / (4 * fourier)).sum(axis=0) / np.sqrt(np.pi * fourier)
    np.testing.assert_allclose(slab_flash(fourier, "rear"), odd, atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(
    face=st.sampled_from(["front", "rear"]),
    biot=st.sampled_from([0.0, 1e-7, 1e-3, 0.2, 3.0]),
    fourier=st.floats(0.005, 3.0),
    ratio=st.floats(1.1, 3.0),
)
def test_step_is_the_integral_of_flash(face, biot, fourier, ratio):
    integral, _ = quad(lambda x: slab_flash(np.array([x]), face, biot)[0], fourier, ratio * fourier, points=[0.01])
    step = slab_step(np.array([fourier, ratio * fourier]), face, biot)
    assert step[1] - step[0] == pytest.approx(integral, abs=1e-6)


def test_pulse_tends_to_a_flash_and_is_a_mean_of_flashes():
    times = np.array([3.0, 5.0, 20.0])
    plate = {"thickness_mm": 2.0, "diffusivity_mm2_s": 0.3}
    flash = slab_response(times, **plate)
    np.testing.assert_allclose(slab_response(times + 5e-4, pulse_s=1e-3, **plate), flash, rtol=1e-6)
    shifts = (np.arange(400) + 0.5) / 400
    mean = np.mean([slab_response(times - shift, **plate) for shift in shifts], axis=0)
    np.testing.assert_allclose(slab_response(times, pulse_s=1.0, **plate), mean, rtol=1e-5)
    assert (slab_response(np.array([-1.0, 0.0]), pulse_s=1.0, **plate) == 0).all()


def test_thick_slab_is_a_half_space():
    times = np.geomspace(0.1, 10, 20)
    for pulse in (0.0, 2.0):
        slab = slab_response(times, thickness_mm=50.0, diffusivity_mm2_s=0.5, pulse_s=pulse)
        scale = 50.0 / np.sqrt(np.pi * 0.5)
        np.testing.assert_allclose(slab, scale * half_space_response(times, pulse_s=pulse), rtol=1e-9)
    late = half_space_response(np.array([1e6]), pulse_s=1e-3)[0]
    assert late == pytest.approx(1e-3, rel=1e-9)  # no digits lost in the difference of square roots


def test_half_rise_of_the_rear_face():
    found = brentq(lambda x: slab_flash(np.array([x]), "rear")[0] - 0.5, 0.05, 0.5, xtol=1e-12)
    assert found == pytest.approx(HALF_RISE_FOURIER, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: slab_flash(np.ones(2), "side"), "the face is 'side', expected front or rear"),
        (lambda: slab_flash(np.ones(2), biot=-1.0), "Biot number is -1.0"),
        (
            lambda: slab_response(np.ones(2), thickness_mm=0.0, diffusivity_mm2_s=1.0),
            "thickness 0.0 mm, diffusivity 1.0 mm2/s",
        ),
        (
            lambda: slab_response(np.ones(2), thickness_mm=1.0, diffusivity_mm2_s=1.0, pulse_s=-1.0),
            "a pulse of -1.0 s",
        ),
    ],
)
def test_impossible_slabs(call, message):
    with pytest.raises(SequenceError, match=message):
        call()
