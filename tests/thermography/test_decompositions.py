"""ICA, sparse PCT and PLST beside scikit-learn, on known sources, through the engine, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import FastICA

from thermo_qc.errors import ConfigError, SequenceError
from thermo_qc.sequence import Excitation, ThermalSequence
from thermo_qc.thermography import (
    compute_maps,
    compute_pct,
    independent_images,
    make_method,
    partial_least_squares_functions,
    sparse_images,
)


def mixed_sources(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    sources = np.stack([rng.laplace(size=n), np.sign(rng.normal(size=n)), rng.exponential(size=n)])
    mixing = np.array([[1.0, 0.4, 0.2], [0.3, 1.0, -0.5], [-0.2, 0.6, 1.0]])
    return sources, mixing @ sources


def whitened(images):
    centred = images - images.mean(axis=1, keepdims=True)
    _, values, right = np.linalg.svd(centred, full_matrices=False)
    return values[:, None] * right


def plate(seed=0) -> ThermalSequence:
    rng = np.random.default_rng(seed)
    times = (np.arange(90) - 10 + 0.5) * 0.1
    after = np.maximum(times, 0.05)[:, None, None]
    row, column = np.mgrid[:22, :26]
    hole = np.hypot(row - 7, column - 8) < 4
    other = np.hypot(row - 15, column - 19) < 3
    rise = 5 / np.sqrt(after) * (1 + 0.3 * hole * (1 - np.exp(-after)) + 0.2 * other * (1 - np.exp(-after / 4)))
    frames = 20 + np.where(times[:, None, None] > 0, rise, 0) + rng.normal(0, 0.01, rise.shape)
    return ThermalSequence(
        frames=frames, times_s=times, unit="degC", excitation=Excitation(kind="flash", start_s=0.0, stop_s=0.01)
    )


def cooling(sequence: ThermalSequence) -> np.ndarray:
    rise = sequence.frames - sequence.frames[sequence.times_s < 0].mean(axis=0)
    return rise[sequence.times_s > 0.01]


def test_ica_recovers_known_sources():
    sources, images = mixed_sources()
    found = independent_images(whitened(images))
    likeness = np.abs(np.corrcoef(found, sources)[:3, 3:])
    assert (likeness.max(axis=0) > 0.97).all()
    assert sorted(likeness.argmax(axis=0)) == [0, 1, 2]
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(axis=1), 1)


def test_ica_finds_what_scikit_learn_finds_in_a_fixed_order_and_sign():
    _, images = mixed_sources(seed=3)
    ready = whitened(images)
    found = independent_images(ready)
    theirs = FastICA(3, whiten="unit-variance", random_state=5, tol=1e-6, max_iter=1000).fit_transform(ready.T).T
    likeness = np.abs(np.corrcoef(found, theirs)[:3, 3:])
    assert (likeness.max(axis=1) > 0.9999).all()
    again = independent_images(ready[::-1], seed=9)  # another start and another order of what came in
    np.testing.assert_allclose(again, found, atol=0.02)


def test_ica_of_a_sample_fits_all_pixels(monkeypatch):
    _, images = mixed_sources(seed=1)
    monkeypatch.setattr("thermo_qc.thermography.decompositions.SAMPLE_PIXELS", 1500)
    sampled = independent_images(whitened(images))
    monkeypatch.undo()
    assert (np.abs(np.diag(np.corrcoef(sampled, independent_images(whitened(images)))[:3, 3:])) > 0.99).all()


def test_sparse_pct_without_penalty_is_pct():
    frames = cooling(plate())
    pct = compute_pct(frames, 8, standardise="pixel_mean")
    loadings = sparse_images(pct.images.reshape(8, -1), pct.singular_values, 3, 0.0)
    for number in range(3):
        expected = pct.images[number].ravel() / pct.singular_values[number]
        assert abs(abs(loadings[number] @ expected) - 1) < 1e-6


def test_sparse_pct_finds_the_support_of_sparse_signals():
    rng = np.random.default_rng(2)
    truth = np.zeros((2, 300))
    truth[0, :40], truth[1, 100:130] = 1.0, -1.0
    curves = rng.normal(size=(60, 2)) * [6.0, 4.0] @ truth + 0.1 * rng.normal(size=(60, 300))
    _, values, right = np.linalg.svd(curves, full_matrices=False)
    loadings = sparse_images(values[:10, None] * right[:10], values[:10], 2, 0.4)
    np.testing.assert_array_equal(loadings != 0, truth != 0)
    np.testing.assert_allclose(np.linalg.norm(loadings, axis=1), 1)
    assert (loadings.max(axis=1) >= -loadings.min(axis=1)).all()


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 200), penalty=st.floats(0.05, 0.8))
def test_a_larger_penalty_leaves_fewer_pixels(seed, penalty):
    curves = np.random.default_rng(seed).normal(size=(20, 80)) @ np.diag(np.geomspace(1, 5, 80))
    _, values, right = np.linalg.svd(curves, full_matrices=False)
    few = sparse_images(values[:6, None] * right[:6], values[:6], 1, penalty)
    all_of_them = sparse_images(values[:6, None] * right[:6], values[:6], 1, 0.0)
    assert (few != 0).sum() < (all_of_them != 0).sum()


def test_plst_scores_are_those_of_scikit_learn():
    frames = cooling(plate()).reshape(80, -1)
    times = np.arange(80.0)
    curves = frames - frames.mean(axis=0)
    scores = partial_least_squares_functions(curves @ curves.T, times, 3)
    theirs = PLSRegression(3, scale=False, tol=1e-12, max_iter=2000).fit(frames, times)
    expected = theirs.x_scores_ / np.linalg.norm(theirs.x_scores_, axis=0)
    np.testing.assert_allclose(np.abs(np.sum(scores * expected, axis=0)), 1, atol=1e-6)
    np.testing.assert_allclose(scores.T @ scores, np.eye(3), atol=1e-9)
    assert scores[:, 0] @ (times - times.mean()) > 0


def test_maps_are_those_of_the_whole():
    sequence = plate()
    frames = cooling(sequence)
    maps = compute_maps(
        sequence,
        {
            "ica": make_method("ica", {"n_components": 3}),
            "spct": make_method("spct", {"n_components": 2, "n_principal": 6, "standardise": "pixel_mean"}),
            "plst": make_method("plst", {"n_components": 2, "standardise": "pixel_mean"}),
        },
        tile_values=90 * 100,
    )
    pct = compute_pct(frames, 3)
    centred = pct.images.reshape(3, -1) - pct.images.reshape(3, -1).mean(axis=1, keepdims=True)
    expected = independent_images(centred)
    for number in range(3):
        assert abs(np.corrcoef(maps[f"ica_{number + 1}"].ravel(), expected[number])[0, 1]) > 0.99
    pct = compute_pct(frames, 6, standardise="pixel_mean")
    expected = sparse_images(pct.images.reshape(6, -1), pct.singular_values, 2, 0.2)
    np.testing.assert_allclose(maps["spct_1"].ravel(), expected[0], atol=1e-4)
    curves = (frames - frames.mean(axis=0)).reshape(frames.shape[0], -1)
    scores = partial_least_squares_functions(curves @ curves.T, np.arange(float(frames.shape[0])), 2)
    np.testing.assert_allclose(maps["plst_1"].ravel(), scores[:, 0] @ curves, atol=1e-3)
    log = compute_maps(sequence, {"plst": make_method("plst", {"target": "log_time"})})
    assert not np.allclose(log["plst_1"], maps["plst_1"])


def test_ica_shows_the_holes_apart():
    maps = compute_maps(plate(), {"ica": make_method("ica", {"n_components": 3, "standardise": "pixel"})})
    row, column = np.mgrid[:22, :26]
    hole = np.hypot(row - 7, column - 8) < 3.5
    sound = np.hypot(row - 7, column - 8) > 6
    ratio = max(
        abs(maps[f"ica_{k}"][hole].mean() - maps[f"ica_{k}"][sound].mean()) / maps[f"ica_{k}"][sound].std()
        for k in (1, 2, 3)
    )
    assert ratio > 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ica", {"n_components": 0}, "n_components is 0"),
        ("ica", {"n_components": 5, "n_principal": 3}, r"ica\.n_principal is 3"),
        ("spct", {"penalty": 1.0}, r"spct\.penalty is 1"),
        ("spct", {"n_components": 5, "n_principal": 3}, r"spct\.n_principal is 3"),
        ("plst", {"standardise": "frame"}, r"plst\.standardise is 'frame'"),
        ("plst", {"max_frames": 1}, "max_frames is 1"),
    ],
)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        make_method(name, options)


def test_bad_input_is_refused():
    with pytest.raises(SequenceError, match="4 independent images are wanted"):
        independent_images(np.ones((3, 100)), 4)
    with pytest.raises(SequenceError, match="penalty is 1"):
        sparse_images(np.ones((3, 100)), np.ones(3), 2, 1.0)
    with pytest.raises(SequenceError, match="4 sparse components are wanted"):
        sparse_images(np.ones((3, 100)), np.ones(3), 4, 0.1)
    with pytest.raises(SequenceError, match=r"expected \(t, t\)"):
        partial_least_squares_functions(np.eye(4), np.arange(5.0), 1)
    with pytest.raises(SequenceError, match="5 components are wanted of 5 frames"):
        partial_least_squares_functions(np.eye(5), np.arange(5.0), 5)
    line = np.outer(np.arange(5.0) - 2, np.ones(9))
    with pytest.raises(SequenceError, match="1 explain the time completely"):
        partial_least_squares_functions(line @ line.T, np.arange(5.0), 2)
    with pytest.raises(SequenceError, match="did not settle in 1 iterations"):
        independent_images(whitened(mixed_sources()[1]), max_iterations=1)
