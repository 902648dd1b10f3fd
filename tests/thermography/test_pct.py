"""PCT against the singular value decomposition and scikit-learn's PCA."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from thermo_qc.errors import SequenceError, UnknownNameError
from thermo_qc.thermography import STANDARDISATIONS, compute_pct


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    times = np.geomspace(1, 50, 20)
    depth = rng.uniform(0.5, 2, (7, 9))
    rise = 5 / np.sqrt(times)[:, None, None] * (1 + np.exp(-depth / times[:, None, None]))
    return 3 + rise + rng.normal(0, 0.02, (20, 7, 9))


def standardised(frames, how):
    data = frames.reshape(frames.shape[0], -1).copy()
    axis = 0 if how.startswith("pixel") else 1
    if how != "none":
        data -= data.mean(axis=axis, keepdims=True)
    if how in {"pixel", "frame"}:
        data /= data.std(axis=axis, keepdims=True)
    return data


@pytest.mark.parametrize("how", STANDARDISATIONS)
def test_equals_the_singular_value_decomposition(frames, how):
    pct = compute_pct(frames, 4, standardise=how)
    data = standardised(frames, how)
    u, s, vt = np.linalg.svd(data, full_matrices=False)
    np.testing.assert_allclose(pct.singular_values, s[:4], rtol=1e-8)
    np.testing.assert_allclose(pct.explained, (s**2 / (s**2).sum())[:4], rtol=1e-8)
    np.testing.assert_allclose(np.abs(pct.eofs), np.abs(u[:, :4]), atol=1e-6)
    np.testing.assert_allclose(np.abs(pct.images.reshape(4, -1)), np.abs(s[:4, None] * vt[:4]), atol=1e-6 * s[0])
    assert pct.standardisation == how


def test_equals_principal_components_with_pixels_as_samples(frames):
    pct = compute_pct(frames, 3, standardise="frame_mean")
    pca = PCA(3).fit(frames.reshape(20, -1).T)
    np.testing.assert_allclose(pct.explained, pca.explained_variance_ratio_, rtol=1e-8)
    signs = np.sign((pct.eofs * pca.components_.T).sum(axis=0))
    np.testing.assert_allclose(pct.eofs * signs, pca.components_.T, atol=1e-6)


def test_all_components_restore_the_data(frames):
    pct = compute_pct(frames, 20, standardise="none")
    np.testing.assert_allclose(np.tensordot(pct.eofs, pct.images, axes=1), frames, rtol=1e-8)
    assert pct.explained.sum() == pytest.approx(1.0)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), factor=st.floats(-3, -0.1))
def test_signs_do_not_depend_on_the_sign_of_the_data(seed, factor):
    frames = np.random.default_rng(seed).normal(size=(8, 4, 5))
    one, other = compute_pct(frames, 3), compute_pct(factor * frames, 3)
    np.testing.assert_allclose(other.eofs, one.eofs, atol=1e-6)
    np.testing.assert_allclose(other.images, -one.images, atol=1e-5)
    assert (one.eofs[np.abs(one.eofs).argmax(axis=0), range(3)] > 0).all()


def test_unusable_pixels_take_no_part(frames):
    mask = np.ones((7, 9), dtype=bool)
    mask[:2] = False
    expected = compute_pct(frames[:, 2:, 1:], 3)
    frames[4, :, 0] = np.nan
    pct = compute_pct(frames, 3, mask=mask)
    np.testing.assert_allclose(pct.eofs, expected.eofs, atol=1e-9)
    np.testing.assert_allclose(pct.images[:, 2:, 1:], expected.images, atol=1e-7)
    assert np.isnan(pct.images[:, :2]).all() and np.isnan(pct.images[:, :, 0]).all()


def test_constant_pixels_become_zero():
    frames = np.random.default_rng(0).normal(size=(6, 3, 3))
    frames[:, 1, 1] = 295.15
    assert np.abs(compute_pct(frames, 2).images[:, 1, 1]).max() == 0
    nothing = compute_pct(np.full((6, 3, 3), 295.15), 2)
    assert (nothing.explained == 0).all() and (nothing.images == 0).all()


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        (
            {"n_components": 21},
            SequenceError,
            "21 components are wanted of 20 frames with 63 usable pixels, expected 1 to 20",
        ),
        ({"n_components": 0}, SequenceError, "expected 1 to 20"),
        ({"standardise": "pixels"}, UnknownNameError, "did you mean 'pixel'"),
        ({"mask": np.ones((2, 2), dtype=bool)}, SequenceError, "mask has shape"),
        ({"mask": np.zeros((7, 9), dtype=bool)}, SequenceError, "0 usable pixels"),
    ],
)
def test_bad_input_is_refused(frames, keywords, error, message):
    with pytest.raises(error, match=message):
        compute_pct(frames, **keywords)


def test_frames_need_three_axes():
    with pytest.raises(SequenceError, match=r"expected \(T, Y, X\)"):
        compute_pct(np.ones((4, 5)))
