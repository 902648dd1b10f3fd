from __future__ import annotations

import numpy as np
import pytest

from thermo_qc.representation.channels import (
    flatten_background,
    gain_matched_difference,
    heated_pixels,
    log_derivative,
    log_derivative_noise,
    normalised_noise,
    spatial_noise,
    typical_divisor,
)

TIMES = np.geomspace(1.0, 100.0, 40)


def test_log_derivative_of_a_half_space_after_a_flash_is_minus_one_half():
    rise = (5.0 / np.sqrt(TIMES))[:, None, None] * np.ones((1, 2, 3))
    assert log_derivative(rise.astype(np.float32), TIMES) == pytest.approx(np.full((40, 2, 3), -0.5), abs=1e-4)


def test_log_derivative_survives_negative_values():
    rise = np.linspace(-1.0, 2.0, 40, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), dtype=np.float32)
    assert np.isfinite(log_derivative(rise, TIMES)).all()


def test_carried_noise_is_what_repeated_noise_gives():
    rng = np.random.default_rng(1)
    curve, white, common = 10.0 / np.sqrt(TIMES), np.linspace(0.01, 0.03, 40), 0.02
    noisy = (
        curve[:, None, None] + white[:, None, None] * rng.normal(size=(40, 60, 60)) + common * rng.normal(size=(60, 60))
    )
    slopes = log_derivative(noisy.astype(np.float32), TIMES).std(axis=(1, 2))
    shapes = (noisy / noisy.mean(axis=0) * curve.mean()).std(axis=(1, 2))
    assert log_derivative_noise(curve, TIMES, white, common) == pytest.approx(slopes, rel=0.08)
    assert normalised_noise(curve, white, common) == pytest.approx(shapes, rel=0.08)


def test_gain_matched_difference_ignores_gain_and_keeps_the_defect():
    gain = np.linspace(0.5, 2.0, 30).reshape(5, 6)
    bump = np.zeros((40, 5, 6))
    bump[20:, 2, 3] = 0.4
    rise = (gain * (8.0 / np.sqrt(TIMES))[:, None, None] + bump).astype(np.float32)
    difference = gain_matched_difference(rise, np.ones((5, 6), dtype=bool))
    others = np.ones((5, 6), dtype=bool)
    others[2, 3] = False
    assert np.abs(difference[:, others]).max() < 1e-4
    assert difference[-1, 2, 3] > 0.2
    assert difference.mean(axis=0) == pytest.approx(np.zeros((5, 6)), abs=1e-5)


def test_heated_pixels_leave_the_background_out():
    gain = np.full((4, 5), 10.0, dtype=np.float32)
    gain[0], gain[1, 0] = 0.01, np.nan
    heated = heated_pixels(gain)
    assert not heated[0].any() and not heated[1, 0]
    assert heated.sum() == 14
    assert not heated_pixels(np.zeros((2, 2), dtype=np.float32)).any()
    assert not heated_pixels(np.full((2, 2), np.nan, dtype=np.float32)).any()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("none", 1.0),
        ("pixel_mean", 2.0),
        ("pixel_minmax", 4.0),
        ("pixel_standard", np.std([0.0, 2.0, 4.0])),
        ("sequence_standard", np.std([0.0, 2.0, 4.0])),
        ("sequence_minmax", 4.0),
    ],
)
def test_typical_divisor_is_that_of_the_normalisation(mode, expected):
    rise = np.array([0.0, 2.0, 4.0], dtype=np.float32)[:, None, None] * np.ones((1, 3, 3), dtype=np.float32)
    assert typical_divisor(rise, np.ones((3, 3), dtype=bool), mode) == pytest.approx(expected)


def test_flattening_removes_a_slope_and_keeps_level_and_defect():
    y, x = np.mgrid[:60, :80]
    defect = (x - 40) ** 2 + (y - 30) ** 2 <= 16
    image = (5.0 + 0.02 * x + 0.01 * y + 1.0 * defect).astype(np.float32)
    image += np.random.default_rng(0).normal(0, 0.01, image.shape).astype(np.float32)
    flat = flatten_background(image[None], np.ones(image.shape, dtype=bool), 12.0)[0]
    inner = np.zeros(image.shape, dtype=bool)
    inner[15:45, 15:65] = True
    assert flat[inner & ~defect].std() < 0.03
    assert image[~defect].std() > 0.2
    assert np.median(flat) == pytest.approx(np.median(image), abs=0.05)
    assert flat[defect].mean() - np.median(flat) == pytest.approx(1.0, abs=0.1)


def test_flattening_ignores_pixels_that_are_not_valid():
    image = np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32)
    valid = np.ones(image.shape, dtype=bool)
    valid[:, :4] = False
    other = image.copy()
    other[:, :4] = 1e6
    first, second = (flatten_background(i[None], valid, 3.0)[0][valid] for i in (image, other))
    assert first == pytest.approx(second, abs=1e-5)


def test_spatial_noise_sees_noise_and_not_the_slope():
    rng = np.random.default_rng(0)
    image = (np.arange(100) * 0.01 + rng.normal(0, 0.5, (100, 100))).astype(np.float32)
    assert spatial_noise(image, np.ones(image.shape, dtype=bool)) == pytest.approx(0.5, rel=0.05)
    assert spatial_noise(image[:, :1], np.ones((100, 1), dtype=bool)) == 0.0
