"""Edges that lose heat leave a sum of functions of x and of y, which is taken out; defects stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq

from thermo_qc.errors import ModelError
from thermo_qc.preprocess import estimate_noise
from thermo_qc.representation import PhysicalRepresentation, load_representation
from thermo_qc.representation.background import polynomial, without_profiles
from thermo_qc.sequence import Excitation, ThermalSequence

SHAPE = (64, 80)
N_STEPS = 64


def cooled_from_its_edges(n: int, fourier: NDArray[np.float64], biot: float) -> NDArray[np.float64]:
    """Share (T, n) left in a bar of half-length 1 that starts at 1 and loses heat at both ends.

    Carslaw and Jaeger (1959), section 3.11: sum of 4 sin(z) / (2 z + sin(2 z)) cos(z x) exp(-z^2 Fo), z tan(z) = Bi.
    """
    x = (np.arange(n) + 0.5) / n * 2 - 1
    roots = [brentq(lambda z: z * np.sin(z) - biot * np.cos(z), k * np.pi, k * np.pi + np.pi / 2) for k in range(60)]
    share = np.zeros((fourier.size, n))
    for z in roots:
        amplitude = 4 * np.sin(z) / (2 * z + np.sin(2 * z))
        share += amplitude * np.exp(-(z**2) * fourier)[:, None] * np.cos(z * x)
    return share


def plate(*, biot: float, contrast: float = 0.0, noise_k: float = 0.02) -> tuple[ThermalSequence, NDArray[np.bool_]]:
    """A flashed plate, the exact product of three solutions, with a faint wide defect."""
    times = np.arange(-4, 300) / 10.0 + 0.05
    after = np.maximum(times, 0.05)
    fourier = 4e-4 * after
    edges = (
        cooled_from_its_edges(SHAPE[0], fourier, biot)[:, :, None]
        * cooled_from_its_edges(SHAPE[1], 3 * fourier, biot)[:, None, :]
    )
    curve = np.where(times > 0, 5.0 / np.sqrt(after), 0.0)[:, None, None]
    defect = np.zeros(SHAPE, dtype=bool)
    defect[36:56, 40:64] = True
    grown = contrast * (after**2 / (after**2 + 3.0**2))[:, None, None] * defect
    frames = curve * edges * (1.0 + grown)
    frames = frames + np.random.default_rng(3).normal(0, noise_k, frames.shape)
    sequence = ThermalSequence(
        frames=frames.astype(np.float32), times_s=times, unit="degC", excitation=Excitation(kind="flash"), ambient_c=0.0
    )
    return sequence, defect


def image(sequence: ThermalSequence, profile_order: int) -> NDArray[np.float32]:
    """First residual, mean over bins about a tenth to a half of the recording and blocks of 4 x 4 pixels."""
    recipe = PhysicalRepresentation(background_order=0, profile_order=profile_order, texture=True)
    seen = recipe.stack(sequence)[44:58].mean(axis=0)
    return np.asarray(seen.reshape(SHAPE[0] // 4, 4, SHAPE[1] // 4, 4).mean(axis=(1, 3)))


def test_what_edges_leave_is_taken_out() -> None:
    sequence, _ = plate(biot=0.5)
    with_edges, without = (image(sequence, order) for order in (0, 6))
    noise = image(plate(biot=1e-9)[0], 0)
    assert np.std(with_edges) > 5 * np.std(noise)
    assert np.std(without) < 1.2 * np.std(noise)


def test_a_faint_wide_defect_stands_out_of_its_plate() -> None:
    """It is below the noise of a pixel, and a third of a row wide."""
    sequence, defect = plate(biot=0.5, contrast=0.02)
    hidden, found = (image(sequence, order) for order in (0, 6))
    alone = image(plate(biot=1e-9, contrast=0.02)[0], 0)

    inside = defect[::4, ::4]

    def contrast(seen: NDArray[np.float32]) -> float:
        return float((seen[inside].mean() - seen[~inside].mean()) / seen[~inside].std())

    assert contrast(found) > 3 * contrast(hidden) and contrast(found) > 0.8 * contrast(alone)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(40, 60), (75, 41), (90, 120)]),
    st.sampled_from([(-1, 4), (0, 6), (2, 6), (3, 8)]),
)
def test_sums_of_functions_of_x_and_y_leave_nothing(seed: int, shape: tuple[int, int], orders: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    valid = np.ones(shape, dtype=bool)
    valid[: shape[0] // 3, : shape[1] // 4] = False
    v, u = np.nonzero(valid)
    along_x, along_y = (
        np.polynomial.chebyshev.chebval(2 * axis / axis.max() - 1, rng.normal(size=orders[1] + 1)) for axis in (u, v)
    )
    background = (along_x + along_y).astype(np.float32)
    parts = [np.stack([background, -2 * background]), background[None].copy()]
    without_profiles(parts, valid, *orders)
    for part in parts:
        assert np.abs(part).max() < 2e-3 * np.ptp(background)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(3.0, 300.0))
def test_blocks_that_stand_out_have_no_say(seed: int, height: float) -> None:
    rng = np.random.default_rng(seed)
    valid = np.ones((80, 96), dtype=bool)
    noise = rng.normal(size=(5, valid.sum())).astype(np.float32)
    defect = np.zeros_like(valid)
    row, column = rng.integers(0, (50, 60))
    defect[row : row + 24, column : column + 30] = True
    part = noise + np.float32(height) * defect[valid]
    without_profiles([part], valid, 0, 6)
    assert abs(float(part[:, ~defect[valid]].mean())) < 0.15
    assert float(part[:, defect[valid]].mean()) == pytest.approx(height, abs=0.4)


def test_it_does_not_depend_on_what_lies_outside_the_plate() -> None:
    rng = np.random.default_rng(0)
    small = np.ones((60, 72), dtype=bool)
    large = np.zeros((60, 92), dtype=bool)
    large[:, 8:80] = True
    part = rng.normal(size=(3, small.sum())).astype(np.float32)
    parts = [part.copy()], [part.copy()]
    for own, valid in zip(parts, (small, large), strict=True):
        without_profiles(own, valid, 0, 5)
    np.testing.assert_allclose(parts[0][0], parts[1][0], atol=1e-4)


def test_a_plate_of_few_blocks_is_left_as_it_is() -> None:
    valid = np.ones((16, 20), dtype=bool)
    part = np.random.default_rng(0).normal(size=(3, valid.sum())).astype(np.float32)
    before = part.copy()
    without_profiles([part], valid, 0, 6)
    np.testing.assert_array_equal(part, before)


@pytest.mark.parametrize(
    ("order", "profile_order", "n"), [(0, 6, 13), (-1, 3, 7), (3, 0, 10), (2, 6, 14), (3, 5, 14), (3, 3, 10)]
)
def test_functions_are_orthonormal_and_as_many_as_said(order: int, profile_order: int, n: int) -> None:
    valid = np.random.default_rng(1).random((30, 40)) > 0.2
    basis = polynomial(valid, order, profile_order)
    assert basis.shape == (n, valid.sum()) and basis.dtype == np.float32
    np.testing.assert_allclose(basis @ basis.T, np.eye(n), atol=1e-5)


def test_saved_and_read_back() -> None:
    recipe = PhysicalRepresentation(background_order=0, profile_order=6, texture=True)
    saved = recipe.to_metadata()
    assert saved["format_version"] == "physical-3" and saved["profile_order"] == 6
    assert saved["texture"] is True and saved["drift"] is False
    again = load_representation(saved, {})
    assert isinstance(again, PhysicalRepresentation) and again.to_metadata() == saved


def test_files_of_models_without_it_are_as_they_were() -> None:
    assert PhysicalRepresentation().to_metadata() == {
        "format_version": "physical-1",
        "n_heating": 12,
        "n_cooling": 52,
        "first_share": 0.004,
        "background_order": 3,
    }
    assert "profile_order" not in PhysicalRepresentation(texture=True).to_metadata()


@pytest.mark.parametrize("order", [1, 3])
def test_profiles_that_a_background_holds_already(order: int) -> None:
    with pytest.raises(
        ModelError, match=rf"profile_order is {order} with a background of order 3, .* or more than that"
    ):
        PhysicalRepresentation(background_order=3, profile_order=order)


@pytest.mark.parametrize("order", [-1, 13])
def test_an_order_that_is_none(order: int) -> None:
    with pytest.raises(ModelError, match=rf"profile_order={order}.* is no representation"):
        PhysicalRepresentation(profile_order=order)


def test_without_background_and_profiles_nothing_is_taken_out() -> None:
    """A background of order 0 takes the level of every image; none at all leaves it where the residuals put it."""
    sequence, _ = plate(biot=0.5)
    present = PhysicalRepresentation().bins_of(sequence).present

    def residuals(order: int) -> NDArray[np.float32]:
        seen = PhysicalRepresentation(background_order=order).stack(sequence)[:128].reshape(2, 64, *SHAPE)
        return np.asarray(np.sinh(seen[:, present]))

    none, level = residuals(-1), residuals(0)
    shift = none - level
    assert np.abs(shift).max() > 0.5
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :, :1, :1], shift.shape), atol=2e-2)
    bins = PhysicalRepresentation().bins_of(sequence)
    values = np.tensordot(bins.weights, np.asarray(sequence.frames, dtype=np.float64), axes=1)[bins.present]
    sigma = bins.noise[bins.present] * estimate_noise(sequence)
    whitened = values.reshape(len(sigma), -1) / sigma[:, None]
    direction = np.median(whitened, axis=1)
    direction /= np.linalg.norm(direction)
    expected = (whitened - np.outer(direction, direction @ whitened)).reshape(-1, *SHAPE)
    np.testing.assert_allclose(none[0], expected, atol=0.02 * np.abs(expected).max())
