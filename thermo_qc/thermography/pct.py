"""Principal component thermography: orthogonal time functions and their images, by the Gram matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError, UnknownNameError, suggestion

__all__ = ["PCT", "STANDARDISATIONS", "Standardisation", "compute_pct"]

Standardisation = Literal["pixel", "pixel_mean", "frame", "frame_mean", "none"]
STANDARDISATIONS: tuple[str, ...] = ("pixel", "pixel_mean", "frame", "frame_mean", "none")


@dataclass(frozen=True, kw_only=True, eq=False)
class PCT:
    """Result of `compute_pct`: the standardised data are ``eofs @ images`` summed over all components.

    Parameters
    ----------
    eofs : ndarray of float64, shape (T, n)
        Empirical orthogonal functions of time, orthonormal columns, in the order of falling variance.
    images : ndarray of float64, shape (n, Y, X)
        Component images: the standardised data projected onto each function; NaN outside the used pixels.
    explained : ndarray of float64, shape (n,)
        Share of the sum of squares of the standardised data.
    singular_values : ndarray of float64, shape (n,)
        Of the standardised data matrix (T, pixels).
    standardisation : str
        Which standardisation was used.
    """

    eofs: NDArray[np.float64]
    images: NDArray[np.float64]
    explained: NDArray[np.float64]
    singular_values: NDArray[np.float64]
    standardisation: str


def compute_pct(
    frames: NDArray[np.floating],
    n_components: int = 6,
    *,
    standardise: Standardisation = "pixel",
    mask: NDArray[np.bool_] | None = None,
) -> PCT:
    """Decompose a sequence into orthogonal time functions and images.

    The singular value decomposition of the data matrix A (T, pixels) is taken from the eigenvectors of the small Gram
    matrix A A^T, so memory and time grow only linearly with the pixels. The sign of each component makes the largest
    entry of its time function positive.

    Parameters
    ----------
    frames : ndarray, shape (T, Y, X)
        Usually the temperature rise in the cooling.
    n_components : int
        Wanted components, at most T and at most the number of used pixels.
    standardise : {"pixel", "pixel_mean", "frame", "frame_mean", "none"}
        "pixel": the curve of every pixel gets zero mean and unit standard deviation over time (Rajic's way);
        "pixel_mean": zero mean only; "frame" and "frame_mean": the same for every frame over its pixels, the usual
        centring of a principal component analysis with pixels as samples; "none": the data as they are.
        What never varies along that axis becomes 0. The Gram matrix resolves components down to about 1e-7 of the
        largest singular value, so with "none" subtract the cold frame before.
    mask : ndarray of bool, shape (Y, X), optional
        Pixels to use; pixels with a value that is not finite never take part.

    Returns
    -------
    PCT

    Raises
    ------
    SequenceError
        When shapes do not fit, no pixel is usable or too many components are wanted.
    UnknownNameError
        When the standardisation is not known.

    References
    ----------
    Rajic, Compos. Struct. 58 (2002) 521, 10.1016/S0263-8223(02)00161-7.
    """
    frames = np.asarray(frames)
    if frames.ndim != 3:
        raise SequenceError(f"frames have shape {frames.shape}, expected (T, Y, X)")
    if standardise not in STANDARDISATIONS:
        raise UnknownNameError(f"unknown standardisation '{standardise}'{suggestion(standardise, STANDARDISATIONS)}")
    used = np.isfinite(frames).all(axis=0)
    if mask is not None:
        if mask.shape != frames.shape[1:]:
            raise SequenceError(f"mask has shape {mask.shape}, the frames have {frames.shape[1:]}")
        used &= mask
    most = min(frames.shape[0], int(used.sum()))
    if not 1 <= n_components <= most:
        raise SequenceError(
            f"{n_components} components are wanted of {frames.shape[0]} frames with {int(used.sum())} usable pixels, "
            f"expected 1 to {most}"
        )
    data = _standardised(frames[:, used].astype(np.float64), standardise)
    gram = data @ data.T
    n_frames = gram.shape[0]
    values, vectors = scipy.linalg.eigh(gram, subset_by_index=[n_frames - n_components, n_frames - 1])
    values, eofs = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    eofs = eofs * np.where(eofs[np.abs(eofs).argmax(axis=0), np.arange(n_components)] < 0, -1.0, 1.0)
    images = np.full((n_components, *used.shape), np.nan)
    images[:, used] = eofs.T @ data
    total = float(np.trace(gram))
    return PCT(
        eofs=eofs,
        images=images,
        explained=values / total if total > 0 else np.zeros(n_components),
        singular_values=np.sqrt(values),
        standardisation=standardise,
    )


def _standardised(data: NDArray[np.float64], how: str) -> NDArray[np.float64]:
    """Standardise (T, pixels) in place."""
    if how == "none":
        return data
    axis = 0 if how.startswith("pixel") else 1
    size = np.abs(data).max(axis=axis, keepdims=True)
    data -= data.mean(axis=axis, keepdims=True)
    if not how.endswith("mean"):
        std = data.std(axis=axis, keepdims=True)
        varies = std > 1e-12 * size
        data *= np.divide(1.0, std, out=np.zeros_like(std), where=varies)
    return data
