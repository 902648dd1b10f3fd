"""Channels and features of a prepared recording in the scale that a network sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.representation.channels import (
    flatten_background,
    gain_matched_difference,
    log_derivative,
    log_derivative_noise,
    normalised_noise,
    spatial_noise,
)
from thermo_qc.representation.features import pct_images, tsr_images
from thermo_qc.representation.prepare import Prepared

if TYPE_CHECKING:
    from thermo_qc.representation.representation import Representation

__all__ = ["scaled_feature", "scaled_frames"]


def scaled_frames(
    recipe: Representation, prepared: Prepared, sound_mask: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Make the scaled channels of a recording.

    Parameters
    ----------
    recipe : Representation
        Fitted where it needs to be.
    prepared : Prepared
        Recording on the model's time axis.
    sound_mask : ndarray of bool, shape (Y, X), optional
        Sound region, for ``reference="sound"``.

    Returns
    -------
    ndarray of float32, shape (C, T, Y, X)
        0 where not valid.
    """
    result = np.empty((len(recipe.channels), *prepared.rise.shape), dtype=np.float32)
    for index, name in enumerate(recipe.channels):
        images = _channel(recipe, name, prepared, sound_mask)
        if recipe.flatten_background_px:
            images = flatten_background(images, prepared.valid, recipe.flatten_background_px)
        if f"{name}_offset" in recipe.fitted:
            images = images - recipe.fitted[f"{name}_offset"][:, None, None]
        result[index] = images / _divisor(recipe, name, prepared)[:, None, None]
    if recipe.scale == "noise_arcsinh":
        np.arcsinh(result, out=result)
    result[:, :, ~prepared.valid] = 0.0
    return result


def _channel(
    recipe: Representation, name: str, prepared: Prepared, sound_mask: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    if name == "value":
        return prepared.values
    if name == "log_derivative":
        return log_derivative(prepared.rise, prepared.elapsed_s)
    pixels = prepared.valid if recipe.reference == "median" or sound_mask is None else prepared.valid & sound_mask
    if not pixels.any():
        raise SequenceError("the sound region has no pixel with a signal; mark one on the plate")
    sound = recipe.reference == "sound"
    if recipe.normalise in {"pixel_standard", "pixel_minmax"}:
        chosen = prepared.values[:, pixels]
        reference = chosen.mean(axis=1) if sound else np.median(chosen, axis=1)
        return np.asarray(prepared.values - reference[:, None, None], dtype=np.float32)
    difference = gain_matched_difference(prepared.rise, pixels, mean=sound)
    if recipe.normalise == "pixel_mean":
        return np.asarray(difference / prepared.rise.mean(axis=0), dtype=np.float32)
    return np.asarray(difference / np.float32(prepared.divisor), dtype=np.float32)


def _divisor(recipe: Representation, name: str, prepared: Prepared) -> NDArray[np.float32]:
    """Per step, float32 (T,)."""
    if recipe.scale == "none":
        return np.ones(prepared.elapsed_s.size, dtype=np.float32)
    if recipe.scale == "channel_standard":
        return np.asarray(recipe.fitted.get(f"{name}_scale", np.ones(prepared.elapsed_s.size)), dtype=np.float32)
    typical = np.median(prepared.rise[:, prepared.valid], axis=1).astype(np.float64)
    white, common = prepared.white_noise, prepared.common_noise
    if name == "log_derivative":
        noise = log_derivative_noise(typical, prepared.elapsed_s, white, common)
    elif recipe.normalise == "pixel_mean" or (name == "difference" and not recipe.normalise.startswith("pixel")):
        noise = normalised_noise(typical, white, common) / prepared.divisor
    else:
        noise = np.hypot(white, common) / prepared.divisor
    return np.maximum(noise, np.finfo(np.float32).tiny).astype(np.float32)


def scaled_feature(recipe: Representation, name: str, prepared: Prepared) -> NDArray[np.float32]:
    """Make the scaled images of the feature "tsr" or "pct", float32 (images, Y, X), 0 where not valid."""
    if name == "tsr":
        gain = prepared.rise.mean(axis=0) if recipe.normalise.startswith("pixel") else np.float32(prepared.divisor)
        images = tsr_images(prepared.rise / gain, prepared.valid, prepared.elapsed_s, recipe.tsr_order)
    else:
        images = pct_images(prepared.values, prepared.valid, recipe.pct_components)
    if recipe.flatten_background_px:
        images = flatten_background(images, prepared.valid, recipe.flatten_background_px)
    if recipe.scale in {"noise", "noise_arcsinh"}:
        images = _in_spatial_noise(images, prepared.valid)
    elif f"{name}_scale" in recipe.fitted:
        offset, scale = recipe.fitted[f"{name}_offset"], recipe.fitted[f"{name}_scale"]
        images = (images - offset[:, None, None]) / scale[:, None, None]
    if recipe.scale == "noise_arcsinh":
        images = np.arcsinh(images)
    images[:, ~prepared.valid] = 0.0
    return np.asarray(images, dtype=np.float32)


def _in_spatial_noise(images: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Images relative to their median, in units of the noise between neighbouring pixels."""
    result = np.empty_like(images)
    for index, image in enumerate(images):
        level = float(np.median(image[valid]))
        spread = float(np.abs(image[valid] - level).max())
        result[index] = (image - level) / max(spatial_noise(image, valid), 1e-5 * spread, np.finfo(np.float32).tiny)
    return result
