"""Physical augmentation of stacks; the one module that knows albumentations.

Geometry is albumentations' own (its spatial transforms keep float32 stacks of many channels as they are). Gain and
noise are drawn here: albumentations 2.0.8 clips float32 images to 0..1 in every pixel transform, which would cut
standardised channels. OpenCV takes at most 128 channels (512 before version 5), so larger stacks go through in parts
with the same seed.
"""

from __future__ import annotations

import os
import random
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.sequence import IGNORE_LABEL

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cv2
from albumentations.augmentations.geometric import functional as geometric

__all__ = ["StackAugmenter", "pad_stack"]

_MAX_CHANNELS = 128


class _Affine(albumentations.Affine):  # type: ignore[misc]
    """Affine transform whose image is reflected at the border while the labels there become the ignore label."""

    def apply_to_mask(
        self, mask: NDArray[Any], matrix: NDArray[Any], output_shape: tuple[int, int], **_: Any
    ) -> NDArray[Any]:
        """Move the labels to their nearest pixels; beyond the recording nothing is known."""
        moved = geometric.warp_affine(
            mask,
            matrix,
            cv2.INTER_NEAREST,
            fill=IGNORE_LABEL,
            border_mode=cv2.BORDER_CONSTANT,
            output_shape=output_shape,
        )
        return np.asarray(moved)


def pad_stack(
    stack: NDArray[np.float32], labels: NDArray[np.uint8], height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Pad a stack (Y, X, C) by reflection and its labels (Y, X) by the ignore label to at least this size."""
    rows, columns = max(0, height - labels.shape[0]), max(0, width - labels.shape[1])
    if rows == 0 and columns == 0:
        return stack, labels
    borders = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2))
    return (
        np.pad(stack, (*borders, (0, 0)), mode="reflect"),
        np.pad(labels, borders, constant_values=IGNORE_LABEL),
    )


@dataclass(frozen=True, kw_only=True)
class StackAugmenter:
    """Random crops, turns, small affine moves, gain and noise of float32 stacks with their labels.

    Parameters
    ----------
    crop_px : int, optional
        Edge of a square crop; the whole recording when None.
    flip, rotate90 : bool
        Mirror along each axis with probability 1/2; turn by a random multiple of 90 degrees.
    affine_probability : float
        Share of samples that are rotated, scaled and shifted.
    rotate_deg, scale_fraction, shift_fraction : float
        Largest angle (degrees), change of scale and shift (fraction of the sample's size) of the affine move.
    gain_fraction : float
        Largest relative change of the amplitude, one number for the whole sample.
    noise_std : float
        Largest standard deviation of white noise, in units of `channel_std`.
    """

    crop_px: int | None = None
    flip: bool = True
    rotate90: bool = True
    affine_probability: float = 0.5
    rotate_deg: float = 15.0
    scale_fraction: float = 0.1
    shift_fraction: float = 0.05
    gain_fraction: float = 0.1
    noise_std: float = 0.05
    _local: threading.local = field(default_factory=threading.local, init=False, repr=False, compare=False)

    def __call__(
        self,
        stack: NDArray[np.float32],
        labels: NDArray[np.uint8],
        rng: np.random.Generator,
        *,
        focus: tuple[int, int] | None = None,
        channel_std: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Draw one sample.

        Parameters
        ----------
        stack : ndarray of float32, shape (Y, X, C)
            The whole recording, channels last.
        labels : ndarray of uint8, shape (Y, X)
            Its classes.
        rng : Generator
            All random numbers come from it.
        focus : (row, column), optional
            A pixel that the crop contains; anywhere when None.
        channel_std : ndarray of float32, shape (C,), optional
            Scale of the noise; 1 when None.

        Returns
        -------
        stack : ndarray of float32, shape (y, x, C)
        labels : ndarray of uint8, shape (y, x)
        """
        if self.crop_px is not None:
            stack, labels = self._wide_crop(stack, labels, rng, focus)
        stack, labels = self._move(stack, labels, int(rng.integers(2**31)))
        if self.crop_px is not None:
            stack, labels = _centre_crop(stack, labels, self.crop_px)
        return self._disturb(stack, rng, channel_std), np.ascontiguousarray(labels)

    def _wide_crop(
        self,
        stack: NDArray[np.float32],
        labels: NDArray[np.uint8],
        rng: np.random.Generator,
        focus: tuple[int, int] | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Cut the crop with as much surroundings as the affine move needs and the recording has."""
        crop = self.crop_px or 0
        (height, width), offset = labels.shape, (0, 0)
        rows, columns = max(0, crop - height), max(0, crop - width)
        if rows or columns:
            stack, labels = pad_stack(stack, labels, crop, crop)
            offset = (rows // 2, columns // 2)
        margin = self._margin_px(crop)
        parts = []
        for axis in range(2):
            size = labels.shape[axis]
            low, high = 0, size - crop
            if focus is not None:
                position = focus[axis] + offset[axis]
                low, high = max(low, position - crop + 1), min(high, position)
            start = int(rng.integers(low, high + 1))
            around = min(margin, start, size - crop - start)
            parts.append(slice(start - around, start + crop + around))
        return stack[parts[0], parts[1]], labels[parts[0], parts[1]]

    def _margin_px(self, crop: int) -> int:
        if self.affine_probability == 0:
            return 0
        angle = np.deg2rad(min(self.rotate_deg, 45.0))
        reach = (np.cos(angle) + np.sin(angle)) / (1.0 - self.scale_fraction) + 2 * self.shift_fraction
        return int(np.ceil(0.5 * crop * min(reach - 1.0, 1.0)))

    def _move(
        self, stack: NDArray[np.float32], labels: NDArray[np.uint8], seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        if not hasattr(self._local, "geometry"):
            self._local.geometry = self._geometry()
        geometry = self._local.geometry
        moved = []
        for start in range(0, stack.shape[2], _MAX_CHANNELS):
            geometry.set_random_state(np.random.default_rng(seed), random.Random(seed))
            part = np.ascontiguousarray(stack[:, :, start : start + _MAX_CHANNELS])
            result = geometry(image=part, mask=np.ascontiguousarray(labels))
            moved.append(result["image"])
        return (moved[0] if len(moved) == 1 else np.concatenate(moved, axis=2)), result["mask"]

    def _geometry(self) -> albumentations.Compose:
        steps: list[Any] = []
        if self.flip:
            steps += [albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)]
        if self.rotate90:
            steps.append(albumentations.RandomRotate90(p=1.0))
        if self.affine_probability > 0:
            steps.append(
                _Affine(
                    rotate=(-self.rotate_deg, self.rotate_deg),
                    scale=(1.0 - self.scale_fraction, 1.0 + self.scale_fraction),
                    translate_percent=(-self.shift_fraction, self.shift_fraction),
                    keep_ratio=True,
                    border_mode=cv2.BORDER_REFLECT_101,
                    interpolation=cv2.INTER_LINEAR,
                    mask_interpolation=cv2.INTER_NEAREST,
                    p=self.affine_probability,
                )
            )
        return albumentations.Compose(steps)

    def _disturb(
        self, stack: NDArray[np.float32], rng: np.random.Generator, channel_std: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        gain = np.float32(1.0 + self.gain_fraction * rng.uniform(-1.0, 1.0))
        result = np.ascontiguousarray(stack, dtype=np.float32) * gain
        level = np.float32(self.noise_std * rng.uniform())
        if level > 0:
            noise = rng.standard_normal(result.shape, dtype=np.float32)
            result += noise * (level if channel_std is None else level * channel_std)
        return result


def _centre_crop(
    stack: NDArray[np.float32], labels: NDArray[np.uint8], crop: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    top, left = (labels.shape[0] - crop) // 2, (labels.shape[1] - crop) // 2
    return stack[top : top + crop, left : left + crop], labels[top : top + crop, left : left + crop]
