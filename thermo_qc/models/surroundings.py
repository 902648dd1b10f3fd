"""How a pixel differs from its surroundings, in units of noise.

A physical representation compresses residuals with arcsinh, so that strong and weak ones fit side by side. On a
background of 30 times the noise (edges that lose heat, uneven lamps, a glowing neighbour) a difference of one noise is
a thirtieth of what it is on none, and no later difference between pixels brings it back in its own size. So residuals
are expanded before they are told apart, and what is left is compressed again.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["compressed", "expanded", "less_surroundings"]

_LARGEST = 25.0  # of what arcsinh has compressed: 3.6e10 times the noise
_LEAST_PART = 1e-6


def expanded(residuals: Tensor) -> Tensor:
    """Return sinh of residuals, float32 of any shape: their units of noise; several times as fast as `torch.sinh`."""
    grown = torch.exp(residuals.clamp(-_LARGEST, _LARGEST))
    if torch.is_grad_enabled():
        return 0.5 * (grown - grown.reciprocal())
    return grown.sub_(grown.reciprocal()).mul_(0.5)  # residuals of a large frame take hundreds of MB


def compressed(noises: Tensor) -> Tensor:
    """Return arcsinh of residuals in units of noise, float32 of any shape; several times as fast as `torch.asinh`."""
    size = noises.abs()
    if torch.is_grad_enabled():
        return torch.copysign(torch.log(torch.sqrt(size * size + 1.0) + size), noises)
    return (size * size).add_(1.0).sqrt_().add_(size).log_().copysign_(noises)


def less_surroundings(noises: Tensor, residuals: Tensor, valid: Tensor, cell_px: int) -> Tensor:
    """Return how residuals differ from those around them, compressed.

    What is around is the mean of the compressed residuals over a square of three cells, which a strong defect in it
    moves far less than a mean in units of noise, at the centre of every cell and interpolated in between.

    Parameters
    ----------
    noises : Tensor of float32, shape (B, C, Y, X)
        Residuals in units of noise: `expanded` ones.
    residuals : Tensor of float32, shape (B, C, Y, X)
        The same, compressed; 0 outside the plate. Y and X are multiples of `cell_px`.
    valid : Tensor of float32, shape (B, 1, Y, X)
        1 on the plate, 0 elsewhere.
    cell_px : int
        Edge of a cell.

    Returns
    -------
    Tensor of float32, shape (B, C, Y, X)
        0 outside the plate.
    """
    mean = _mean(residuals, cell_px) / _mean(valid, cell_px).clamp_min(_LEAST_PART)
    around = functional.interpolate(expanded(mean), scale_factor=cell_px, mode="bilinear", align_corners=False)
    left = compressed(noises - around)
    return left * valid if torch.is_grad_enabled() else left.mul_(valid)


def _mean(images: Tensor, cell_px: int) -> Tensor:
    """Mean over three by three cells at each of them; what lies outside the image counts as 0."""
    return functional.avg_pool2d(functional.avg_pool2d(images, cell_px), 3, stride=1, padding=1)
