"""Temperature scaling: probabilities that mean what they say, fitted on cases that training has not seen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from thermo_qc.errors import TrainingError
from thermo_qc.models.calibrated import SMALLEST, tempered

__all__ = [
    "Calibration",
    "best_threshold",
    "expected_calibration_error",
    "fit_scaling",
    "fit_temperature",
    "negative_log_likelihood",
]

_RANGE = (0.2, 20.0)  # hits only would drive it to zero
_THRESHOLDS = tuple(percent / 100 for percent in range(30, 71, 2))
_WORTH = 0.015  # of F1: less than that may be lost again on other plates


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A temperature and what it did on the pixels it was fitted on.

    Parameters
    ----------
    temperature : float
        Divisor of the logits.
    n_pixels : int
        Pixels it was fitted on.
    ece_before, ece_after : float
        Expected calibration error.
    nll_before, nll_after : float
        Mean negative log-likelihood of the true class, nats.
    """

    temperature: float
    n_pixels: int
    ece_before: float
    ece_after: float
    nll_before: float
    nll_after: float

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return asdict(self)


def fit_scaling(scores: NDArray[np.floating[Any]], labels: NDArray[np.uint8]) -> tuple[float, float]:
    """Find the slope and offset under which two classes are likeliest: Platt scaling of a logit.

    Unlike a temperature alone it also undoes a shift, as a weight on one class in the loss makes it.

    Parameters
    ----------
    scores : ndarray, shape (N,)
        Logit of class 1 less that of class 0, for pixels that the model was not trained on.
    labels : ndarray of int, shape (N,)
        0 or 1.

    Returns
    -------
    temperature, offset : float
        The calibrated logit is ``scores / temperature + offset``.

    Raises
    ------
    TrainingError
        When a class has no pixel.

    References
    ----------
    Platt, J. (1999). Probabilistic outputs for support vector machines. Advances in Large Margin Classifiers, MIT.
    """
    truth = labels.astype(np.float64)
    if truth.size == 0 or truth.min() == truth.max():
        raise TrainingError("calibration needs labelled pixels of both classes; give validation cases with both")
    values = scores.astype(np.float64)

    def loss(found: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, offset = np.exp(-found[0]), found[1]
        logit = slope * values + offset
        excess = 1.0 / (1.0 + np.exp(-np.clip(logit, -500, 500))) - truth
        value = float(np.mean(np.logaddexp(0.0, logit) - truth * logit))
        return value, np.array([np.mean(excess * values) * -slope, np.mean(excess)])

    limits = [tuple(np.log(_RANGE)), (-10.0, 10.0)]
    found = minimize(loss, np.zeros(2), jac=True, bounds=limits, method="L-BFGS-B").x
    return float(np.exp(found[0])), float(found[1])


def fit_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> Calibration:
    """Find the temperature under which the true classes are likeliest.

    Parameters
    ----------
    probabilities : ndarray, shape (N, K)
        Predictions for pixels that the model was not trained on.
    labels : ndarray of int, shape (N,)
        Their true classes, 0 to K - 1.

    Returns
    -------
    Calibration

    Raises
    ------
    TrainingError
        When there is no pixel.

    References
    ----------
    Guo, C., Pleiss, G., Sun, Y., Weinberger, K. Q. (2017). On calibration of modern neural networks. ICML.
    https://doi.org/10.48550/arXiv.1706.04599
    """
    if labels.size == 0:
        raise TrainingError("calibration has no labelled pixel; give validation cases with labels")

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(tempered(probabilities, float(np.exp(log_temperature))), labels)

    found = minimize_scalar(loss, bounds=np.log(_RANGE), method="bounded", options={"xatol": 1e-4})
    temperature = float(np.exp(found.x))
    after = tempered(probabilities, temperature)
    return Calibration(
        temperature=temperature,
        n_pixels=int(labels.size),
        ece_before=expected_calibration_error(probabilities, labels),
        ece_after=expected_calibration_error(after, labels),
        nll_before=negative_log_likelihood(probabilities, labels),
        nll_after=negative_log_likelihood(after, labels),
    )


def best_threshold(probability: NDArray[np.floating[Any]], labels: NDArray[np.uint8]) -> float:
    """Find the probability from which on calling a pixel a defect gives the largest F1, where that is worth it.

    Of calibrated probabilities that is half of the F1 reached: one half for a model that finds nearly everything, less
    for one that is unsure. Other plates have other shares of faint defects, so that a small gain is left alone.

    Parameters
    ----------
    probability : ndarray, shape (N,)
        Calibrated probability of any defect, for pixels that the model was not trained on.
    labels : ndarray of int, shape (N,)
        0 sound, 1 defect.

    Returns
    -------
    float
        From 0.3 to 0.7; 0.5 unless another gains more than 0.015.

    References
    ----------
    Lipton, Z. C., Elkan, C., Naryanaswamy, B. (2014). Optimal thresholding of classifiers to maximize F1 measure.
    ECML PKDD. https://doi.org/10.1007/978-3-662-44851-9_15
    """
    defect = labels > 0

    def f1(threshold: float) -> float:
        called = probability >= threshold
        both, either = int((called & defect).sum()), int(called.sum()) + int(defect.sum())
        return 2 * both / max(1, either)

    found = max(_THRESHOLDS, key=f1)
    return found if f1(found) > f1(0.5) + _WORTH else 0.5


def negative_log_likelihood(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """Mean of -ln of the true class's probability, nats; probabilities below 1e-12 count as that."""
    picked = probabilities[np.arange(labels.size), labels].astype(np.float64)
    return float(-np.log(np.maximum(picked, SMALLEST)).mean())


def expected_calibration_error(
    probabilities: NDArray[np.float32], labels: NDArray[np.uint8], *, n_bins: int = 15
) -> float:
    """Mean gap between the confidence in the likeliest class and its share of hits, over bins of equal width.

    Parameters
    ----------
    probabilities : ndarray, shape (N, K)
        Predictions.
    labels : ndarray of int, shape (N,)
        True classes.
    n_bins : int
        Bins of the confidence from 0 to 1.

    Returns
    -------
    float
        0 to 1, weighted by the pixels in each bin; NaN without pixels.

    References
    ----------
    Naeini, M. P., Cooper, G. F., Hauskrecht, M. (2015). Obtaining well calibrated probabilities using Bayesian binning.
    AAAI. https://doi.org/10.1609/aaai.v29i1.9602
    """
    if labels.size == 0:
        return float("nan")
    confidence = probabilities.max(axis=1).astype(np.float64)
    hit = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    bins = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    gaps = np.bincount(bins, weights=hit - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum() / labels.size)
