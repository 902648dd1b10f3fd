"""Fitting of a representation: offsets, scales and principal directions over the training pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ModelError, SequenceError
from thermo_qc.sequence import ThermalSequence

if TYPE_CHECKING:
    from thermo_qc.representation.representation import Representation

__all__ = ["expected_arrays", "fit_arrays", "project"]

Part = tuple[ThermalSequence, NDArray[np.bool_] | None, NDArray[np.bool_] | None]
SMALLEST_SHARE = 1e-6


class _Moments:
    """Mean and standard deviation of columns, batch after batch in float64."""

    def __init__(self) -> None:
        self.count, self.total, self.square = 0, np.zeros(0), np.zeros(0)

    def add(self, columns: NDArray[np.float32]) -> None:
        """Add values (K, N)."""
        values = columns.astype(np.float64)
        if not self.total.size:
            self.total, self.square = np.zeros(len(values)), np.zeros(len(values))
        self.count += values.shape[1]
        self.total += values.sum(axis=1)
        self.square += (values**2).sum(axis=1)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Per column, (K,)."""
        return np.asarray(self.total / self.count)

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Per column, (K,); 1 where a column does not vary."""
        spread = np.sqrt(np.maximum(self.square / self.count - self.mean**2, 0.0))
        flat = spread <= SMALLEST_SHARE * np.maximum(np.abs(self.mean), float(spread.max(initial=0.0)))
        return np.where(flat, 1.0, spread)


def fit_arrays(fresh: Representation, parts: list[Part]) -> dict[str, NDArray[Any]]:
    """Fit an unfitted representation.

    Parameters
    ----------
    fresh : Representation
        Recipe without fitted arrays.
    parts : list of (sequence, mask or None, sound mask or None)
        Training recordings and the pixels that may be used.

    Returns
    -------
    dict of str to ndarray
        ``<channel>_offset``, ``<channel>_scale`` (T,), the same for features (images,), ``pca_mean`` (T * C,) and
        ``pca_directions`` (components, T * C), as far as the recipe needs them.
    """
    fitted = _fit_scales(fresh, parts) if fresh.needs_fit and fresh.scale != "none" else {}
    if fresh.pca_components is not None:
        fitted |= _fit_directions(fresh, fitted, parts)
    return fitted


def _fit_scales(fresh: Representation, parts: list[Part]) -> dict[str, NDArray[Any]]:
    raw = replace(fresh, scale="none", pca_components=None)
    standard = fresh.scale == "channel_standard"
    names = [name for name in fresh.channels if standard or name != "difference"]
    features = [name for name in fresh.features if name != "frames"] if standard else []
    moments = {name: _Moments() for name in (*names, *features)}
    for sequence, mask, sound in parts:
        pixels = _pixels(sequence, mask)
        if names:
            frames = raw.frame_channels(sequence, sound_mask=sound)
            used = pixels & (frames != 0).any(axis=(0, 1))
            for name in names:
                moments[name].add(frames[fresh.channels.index(name)][:, used])
        for name, images in (raw.feature_images(sequence) if features else {}).items():
            moments[name].add(images[:, pixels & (images != 0).any(axis=0)])
    if any(found.count == 0 for found in moments.values()):
        raise ModelError("no training pixel shows a signal; check the masks and the recordings")
    fitted: dict[str, NDArray[Any]] = {}
    for name, found in moments.items():
        fitted[f"{name}_offset"] = found.mean.astype(np.float32)
        if standard:
            fitted[f"{name}_scale"] = found.deviation.astype(np.float32)
    return fitted


def _fit_directions(
    fresh: Representation, fitted: dict[str, NDArray[Any]], parts: list[Part]
) -> dict[str, NDArray[Any]]:
    """Principal directions of the scaled curves, each divided by its standard deviation.

    References
    ----------
    Jolliffe, I. T. (2002). Principal Component Analysis. https://doi.org/10.1007/b98835
    """
    scaled = replace(fresh, fitted=fitted, pca_components=None)
    width = fresh.time.n_steps * len(fresh.channels)
    count, total, product = 0, np.zeros(width), np.zeros((width, width))
    for sequence, mask, sound in parts:
        frames = scaled.frame_channels(sequence, sound_mask=sound)
        used = _pixels(sequence, mask) & (frames != 0).any(axis=(0, 1))
        flat = frames[:, :, used].transpose(2, 1, 0).reshape(-1, width).astype(np.float64)
        count += len(flat)
        total += flat.sum(axis=0)
        product += flat.T @ flat
    if count <= width:
        raise ModelError(f"{count} training pixels came, more than {width} are needed for the principal components")
    mean = total / count
    variance, vectors = np.linalg.eigh(product / count - np.outer(mean, mean))
    order = np.argsort(variance)[::-1][: fresh.pca_components]
    directions = vectors[:, order].T
    signs = np.sign(directions[np.arange(len(order)), np.abs(directions).argmax(axis=1)])
    spread = np.sqrt(np.maximum(variance[order], SMALLEST_SHARE**2 * max(float(variance.max()), 1e-300)))
    whitened = directions * (signs / spread)[:, None]
    return {"pca_mean": mean.astype(np.float32), "pca_directions": whitened.astype(np.float32)}


def project(curves: NDArray[np.float32], fitted: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Project curves (N, T, C) on the fitted directions, float32 (N, components, 1)."""
    flat = curves.reshape(len(curves), -1) - fitted["pca_mean"]
    return np.ascontiguousarray((flat @ fitted["pca_directions"].T)[:, :, None], dtype=np.float32)


def _pixels(sequence: ThermalSequence, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    if mask is None:
        return np.ones(sequence.frame_shape, dtype=bool)
    if mask.shape != sequence.frame_shape:
        raise SequenceError(f"training mask has shape {mask.shape}, the frames have {sequence.frame_shape}")
    return mask


def expected_arrays(representation: Representation) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what `Representation.fit` stores."""
    steps = representation.time.n_steps
    shapes: dict[str, tuple[int, ...]] = {}
    if not representation.needs_fit:
        return shapes
    for name in representation.channels:
        if representation.scale == "channel_standard":
            shapes |= {f"{name}_offset": (steps,), f"{name}_scale": (steps,)}
        elif representation.scale.startswith("noise") and name != "difference":
            shapes[f"{name}_offset"] = (steps,)
    if representation.scale == "channel_standard":
        sizes = {"tsr": representation.tsr_order + 1, "pct": representation.pct_components}
        for name in representation.features:
            if name in sizes:
                shapes |= {f"{name}_offset": (sizes[name],), f"{name}_scale": (sizes[name],)}
    if representation.pca_components is not None:
        width = steps * len(representation.channels)
        shapes |= {"pca_mean": (width,), "pca_directions": (representation.pca_components, width)}
    return shapes
