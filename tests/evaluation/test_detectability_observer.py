"""The matched filter against closed forms, dense least squares and draws of noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from thermo_qc.errors import ConfigError, SequenceError, UnknownNameError
from thermo_qc.evaluation import DetectionLimits, detectability, project_nuisances

SHAPE = (9, 6, 5)
TIMES = np.linspace(0.5, 4.5, SHAPE[0])
SOUND = np.sqrt(TIMES) - 0.3 * np.maximum(TIMES - 2.0, 0.0)


def _signal(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE)


def _nuisances(sound: np.ndarray, *, background: bool) -> np.ndarray:
    """Every nuisance picture as a column of a dense matrix, (T * Y * X, many)."""
    n_frames, height, width = SHAPE
    by_pixel = sound if sound.ndim == 3 else np.broadcast_to(sound[:, None, None], SHAPE)
    slope = np.gradient(by_pixel, TIMES, axis=0)
    columns = []
    for row in range(height):
        for column in range(width):
            for curve in (np.ones(n_frames), by_pixel[:, row, column], slope[:, row, column]):
                picture = np.zeros(SHAPE)
                picture[:, row, column] = curve
                columns.append(picture.ravel())
    y, x = np.mgrid[:height, :width].astype(float)
    for frame in range(n_frames) if background else ():
        for term in (np.ones_like(x), x, y, x * x, x * y, y * y):
            picture = np.zeros(SHAPE)
            picture[frame] = term
            columns.append(picture.ravel())
    return np.stack(columns, axis=1)


def _dense_index(signal: np.ndarray, noise: np.ndarray, sound: np.ndarray, *, background: bool) -> float:
    whole = np.broadcast_to(noise, SHAPE).ravel()
    columns = _nuisances(sound, background=background) / whole[:, None]
    target = signal.ravel() / whole
    return float(np.linalg.norm(target - columns @ np.linalg.lstsq(columns, target, rcond=1e-10)[0]))


def test_known_signal_in_white_noise_is_its_norm_over_sigma() -> None:
    found = detectability(_signal(), noise_k=0.3, sound_k=SOUND, times_s=TIMES)
    assert found.ideal == pytest.approx(np.linalg.norm(_signal()) / 0.3)
    assert found.peak_contrast_to_noise == pytest.approx(np.abs(_signal()).max() / 0.3)


NOISES = {
    "one number": np.array(0.3),
    "by frame": np.linspace(0.1, 0.6, SHAPE[0])[:, None, None],
    "by pixel": np.linspace(0.1, 0.6, 30).reshape(1, 6, 5),
    "product": np.linspace(0.1, 0.6, SHAPE[0])[:, None, None] * np.linspace(1.0, 2.0, 30).reshape(1, 6, 5),
    "anyhow": np.random.default_rng(1).uniform(0.2, 0.5, SHAPE),
}
SOUNDS = {
    "one curve": SOUND,
    "by pixel": SOUND[:, None, None] * np.linspace(0.7, 1.0, 30).reshape(1, 6, 5)
    + 0.1 * TIMES[:, None, None] ** 2 * np.linspace(0.0, 1.0, 30).reshape(1, 6, 5),
}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("sound", SOUNDS)
def test_projection_equals_dense_least_squares(noise: str, sound: str) -> None:
    found = detectability(_signal(), noise_k=NOISES[noise], sound_k=SOUNDS[sound], times_s=TIMES)
    for name, background in (("pixel", False), ("background", True)):
        expected = _dense_index(_signal(), NOISES[noise], SOUNDS[sound], background=background)
        assert getattr(found, name) == pytest.approx(expected, rel=1e-5), name


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.floats(0.01, 50.0))
def test_knowing_less_never_helps_and_d_prime_grows_with_the_signal(seed: int, factor: float) -> None:
    signal = _signal(seed)
    one = detectability(signal, noise_k=0.2, sound_k=SOUND, times_s=TIMES)
    more = detectability(factor * signal, noise_k=0.2, sound_k=SOUND, times_s=TIMES)
    assert one.background <= one.pixel <= one.ideal
    assert more.background == pytest.approx(factor * one.background, rel=1e-9)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000))
def test_what_a_nuisance_can_imitate_counts_for_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = _nuisances(SOUND, background=True)
    fake = (columns @ rng.standard_normal(columns.shape[1])).reshape(SHAPE)
    alone = detectability(fake, noise_k=0.2, sound_k=SOUND, times_s=TIMES)
    assert alone.background < 1e-9 * alone.ideal
    clean = detectability(_signal(), noise_k=0.2, sound_k=SOUND, times_s=TIMES).background
    assert detectability(_signal() + fake, noise_k=0.2, sound_k=SOUND, times_s=TIMES).background == pytest.approx(clean)


def test_observer_separates_two_classes_by_d_prime() -> None:
    """Draws with and without the signal, with random nuisances on top: the honest template does not see those."""
    rng = np.random.default_rng(3)
    signal, noise = 0.4 * _signal(), 0.5
    template = project_nuisances(signal, noise_k=noise, sound_k=SOUND, times_s=TIMES).ravel()
    columns = _nuisances(SOUND, background=True)
    draws = (
        noise * rng.standard_normal((4000, signal.size)) + 5 * rng.standard_normal((4000, columns.shape[1])) @ columns.T
    )
    empty, full = (draws @ template) / noise, ((draws[::-1] + signal.ravel()) @ template) / noise
    separation = (full.mean() - empty.mean()) / np.sqrt((full.var() + empty.var()) / 2)
    index = detectability(signal, noise_k=noise, sound_k=SOUND, times_s=TIMES).background
    assert index > 1
    assert separation == pytest.approx(index, rel=0.04)
    auc = np.mean(full[:, None] > empty[None, ::4])
    assert auc == pytest.approx(norm.cdf(index / np.sqrt(2)), abs=0.01)


def test_mean_of_frames_is_as_good_as_the_frames() -> None:
    """Each frame recorded four times over: the same as one frame that is the mean of four."""
    signal = _signal()
    often = np.repeat(signal, 4, axis=0)
    ideal = project_nuisances(often, noise_k=0.3, nuisance="none")
    short = project_nuisances(signal, noise_k=0.3, frames_averaged=np.full(SHAPE[0], 4.0), nuisance="none")
    assert np.linalg.norm(short) == pytest.approx(np.linalg.norm(ideal))


def test_infinite_noise_leaves_pixels_and_frames_out() -> None:
    signal, noise = _signal(), np.full(SHAPE, 0.3)
    signal[:, 0], noise[:, 0] = np.nan, np.inf
    part = detectability(signal, noise_k=noise, sound_k=SOUND, times_s=TIMES)
    whole = detectability(signal[:, 1:], noise_k=0.3, sound_k=SOUND, times_s=TIMES)
    for name in ("ideal", "pixel", "background", "peak_contrast_to_noise"):
        assert getattr(part, name) == pytest.approx(getattr(whole, name), rel=1e-6)


@pytest.mark.parametrize(
    ("d_prime", "word"),
    [(30.0, "detectable"), (29.9, "borderline"), (6.5, "borderline"), (6.49, "cannot be seen"), (np.nan, "unknown")],
)
def test_words(d_prime: float, word: str) -> None:
    assert DetectionLimits().word(d_prime) == word


def test_word_of_a_result_follows_its_own_limits() -> None:
    given = {"noise_k": 0.3, "sound_k": SOUND, "times_s": TIMES}
    index = detectability(_signal(), **given)
    assert index.word == DetectionLimits().word(index.background) == "detectable"
    assert detectability(0.3 * _signal(), **given).word == "borderline"
    assert detectability(0.3 * _signal(), **given, limits=DetectionLimits(visible=1, detectable=5)).word == "detectable"


def test_reading_of_the_lower_limit() -> None:
    assert 1e5 * norm.sf(5.2) == pytest.approx(0.01, rel=0.05)
    assert norm.cdf(6.5 - 5.2) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"signal_k": np.ones((3, 4))}, SequenceError, "frames x rows x columns"),
        ({"signal_k": np.full(SHAPE, np.nan)}, SequenceError, "no numbers; give those pixels an infinite noise"),
        ({"noise_k": 0.0}, ConfigError, "noise is 0 K, expected positive"),
        ({"noise_k": np.ones((2, 1, 1))}, SequenceError, "do not fit a signal"),
        ({"frames_averaged": np.zeros(9)}, ConfigError, "mean of 0 frames, expected at least 1"),
        ({"sound_k": SOUND[:-1]}, SequenceError, "sound curve has the shape"),
        ({"times_s": TIMES[::-1]}, SequenceError, "rising times"),
        ({"sound_k": None}, SequenceError, "pass sound_k and times_s"),
    ],
)
def test_bad_input(change: dict, error: type, words: str) -> None:
    arguments = {"signal_k": _signal(), "noise_k": 0.3, "sound_k": SOUND, "times_s": TIMES} | change
    with pytest.raises(error, match=words):
        detectability(arguments.pop("signal_k"), **arguments)


def test_bad_names_and_limits() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'background'"):
        project_nuisances(_signal(), noise_k=0.3, sound_k=SOUND, times_s=TIMES, nuisance="backgrond")
    with pytest.raises(ConfigError, match="visible 30 and detectable 6"):
        DetectionLimits(visible=30, detectable=6.5)
