"""What a model says of a recording: probabilities, depths, and how sure of them it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ModelView", "expected_depth_mm"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelView:
    """What one model says of a recording.

    Parameters
    ----------
    probability : ndarray of float32, shape (K, Y, X)
        Of every class.
    depth_mm : ndarray of float32, shape (Y, X)
        Depth of a defect, should there be one; NaN where nothing is known of it.
    depth_std_mm : ndarray of float32, shape (Y, X), optional
        Its standard deviation, calibrated; None from models without a depth head.
    share : ndarray of float32, shape (Y, X)
        Probability of the classes that the depth belongs to.
    """

    probability: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    depth_std_mm: NDArray[np.float32] | None
    share: NDArray[np.float32]


def expected_depth_mm(
    probabilities: NDArray[np.float32], class_depths_mm: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average the defect classes' depths by their probabilities, see `TrainedModel.defect_depth_mm`."""
    depths = np.asarray(class_depths_mm, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(depths) & (np.arange(depths.size) > 0))
    chosen = probabilities[known].astype(np.float64)
    share = chosen.sum(axis=0)
    total = np.tensordot(depths[known], chosen, axes=1)
    depth = np.divide(total, share, out=np.full(share.shape, np.nan), where=share > 0)
    return depth.astype(np.float32), share.astype(np.float32)
