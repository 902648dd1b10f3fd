"""Probabilities at a temperature: what calibration changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ModelError

__all__ = ["SMALLEST", "checked_spread", "checked_temperature", "checked_threshold", "tempered"]

SMALLEST = 1e-12  # a forest's zeros are rare rather than impossible


def checked_temperature(metadata: Mapping[str, Any]) -> float:
    """Return the temperature that a model's metadata name, 1 when they name none.

    Raises
    ------
    ModelError
        When it is no positive number.
    """
    return _checked(metadata, "temperature", 1.0, math.inf, "a number above 0")


def checked_spread(metadata: Mapping[str, Any]) -> float:
    """Return the factor on a stated deviation of the depth, 1 when a model's metadata name none.

    Raises
    ------
    ModelError
        When it is no positive number.
    """
    return _checked(metadata, "depth_spread", 1.0, math.inf, "a number above 0")


def checked_threshold(metadata: Mapping[str, Any]) -> float:
    """Return the probability from which on a model calls a defect, one half when its metadata name none.

    Raises
    ------
    ModelError
        When it is no share between 0 and 1.
    """
    return _checked(metadata, "defect_threshold", 0.5, 1.0, "a number between 0 and 1")


def _checked(metadata: Mapping[str, Any], name: str, usual: float, below: float, expected: str) -> float:
    value = metadata.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < below:
        raise ModelError(f"the model's {name} is {value!r}, expected {expected}; calibrate the model again")
    return float(value)


def tempered(probabilities: NDArray[np.float32], temperature: float, *, axis: int = -1) -> NDArray[np.float32]:
    """Divide the logarithms of probabilities by a temperature and let them sum to one again.

    Parameters
    ----------
    probabilities : ndarray of float32
        Probabilities along `axis`; none counts as less than 1e-12 unless the temperature is 1.
    temperature : float
        Above 1 makes them less certain, below 1 more certain, 1 leaves them as they are.
    axis : int
        Axis of the classes.

    Returns
    -------
    ndarray of float32
        Same shape.

    References
    ----------
    Guo, C., Pleiss, G., Sun, Y., Weinberger, K. Q. (2017). On calibration of modern neural networks. ICML.
    https://doi.org/10.48550/arXiv.1706.04599
    """
    if temperature == 1.0:
        return probabilities
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) / temperature
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True), dtype=np.float32)
