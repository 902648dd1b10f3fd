"""Curve networks on stacks: every pixel's curve with how it differs from its surroundings, no look at shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from thermo_qc.errors import ConfigError
from thermo_qc.models.curve import build_curve_network
from thermo_qc.models.parameters import integer, integers, number, switch
from thermo_qc.representation import N_FACTS

__all__ = ["PixelCurves"]

_BAND_PIXELS = 65_536
_AT_ONCE = 2_048  # pixels, where no gradient is kept
_NARROWEST_PX, _WIDEST_PX = 0.1, 4.0  # of the smoothing
_CHANNELS, _CACHED_PIXELS = 16, 300_000  # combined at once: a cache line of each pixel at least
_INNER = 4  # part of a square over which a mean counts for its highest and lowest


class PixelCurves(nn.Module):
    """Applies a curve network to each pixel of a stack of a physical representation.

    A curve has both residuals, their differences to the mean over squares of growing size around the pixel and, where
    asked, to the highest and the lowest there, and the facts of the plate at every step.

    Parameters
    ----------
    in_channels, n_classes : int
        Channels of the stack and outputs.
    core : str
        Curve network, see `CURVE_MODELS`.
    radii : sequence of int
        Half sizes of the squares, pixels.
    extremes : sequence of int
        Half sizes of squares in which a pixel is also compared with the highest and the lowest mean over a quarter of
        the square, bin by bin: whether it lies above all that surrounds it, as a defect does, or between a defect and
        sound material, as its edge does, is not told by one mean.
    core_parameters : mapping, optional
        Parameters of the curve network.
    clock : bool
        Whether a curve also says at every step how much of the recording has gone by, -1 to 1.
    smoothing_px : float
        Standard deviation of a Gaussian over what neighbouring pixels of the plate are found to be, 0 to 4: their noise
        is their own, their defect is not. Training on chosen pixels does without it.
    """

    build_parameters: dict[str, Any]

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        *,
        core: str = "cnn1d",
        radii: Sequence[int] = (1, 3, 6),
        extremes: Sequence[int] = (),
        core_parameters: Mapping[str, Any] | None = None,
        clock: bool = False,
        smoothing_px: float = 0.0,
    ) -> None:
        super().__init__()
        steps, rest = divmod(integer("in_channels", in_channels, 1, 4096) - N_FACTS, 2)
        if rest or steps < 2:
            raise ConfigError(
                f"pixel_curves reads two residuals in every bin and {N_FACTS} facts, got {in_channels} channels; use "
                "it with the physical representation"
            )
        self.steps, self.radii = steps, tuple(integers("radii", radii, 1, 64))
        self.extremes = tuple(integers("extremes", extremes, 2, 64)) if extremes else ()
        self.n_outputs = n_classes
        self.clock = switch("clock", clock)
        self.smoothing_px = number("smoothing_px", smoothing_px, 0.0, _WIDEST_PX)
        self.core = build_curve_network(
            core,
            n_steps=steps,
            n_channels=2 * (1 + len(self.radii) + 2 * len(self.extremes)) + N_FACTS + self.clock,
            n_classes=n_classes,
            **dict(core_parameters or {}),
        )

    def forward(self, stacks: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Return outputs (B, K, Y, X) of stacks (B, C, Y, X).

        Where `wanted` (B, Y, X) is given, each pixel's own, zeros where it is false.
        """
        if wanted is not None:
            return self._own(stacks, wanted)
        if torch.is_grad_enabled():
            outputs = self._own(stacks, torch.ones_like(stacks[:, 0], dtype=torch.bool))
        else:
            outputs = self._in_bands(stacks)
        return self._smoothed(outputs, stacks[:, 2 * self.steps : 2 * self.steps + 1])

    def _own(self, stacks: Tensor, wanted: Tensor) -> Tensor:
        """Return outputs (B, K, Y, X) of the pixels that are wanted, zeros elsewhere."""
        batch, _, height, width = stacks.shape
        stacks = stacks.contiguous(memory_format=torch.channels_last)
        residuals, facts = stacks[:, : 2 * self.steps], stacks[:, 2 * self.steps :]
        chosen = wanted.nonzero(as_tuple=True)
        pixels = self._pixels(residuals, facts[:, :1], chosen)
        constant = facts.permute(0, 2, 3, 1)[chosen]
        size = max(1, len(constant)) if torch.is_grad_enabled() else _AT_ONCE
        outputs = torch.cat(
            [
                self.core(self._curves([part[first : first + size] for part in pixels], constant[first : first + size]))
                for first in range(0, len(constant), size)
            ]
            or [self._nothing(stacks)]
        )
        result = outputs.new_zeros((batch, height, width, outputs.shape[1]))
        result[chosen] = outputs
        return result.permute(0, 3, 1, 2)

    def _in_bands(self, stacks: Tensor) -> Tensor:
        """Return the outputs of all pixels, band after band of rows with their surroundings: all at once takes GB."""
        (_, _, height, width), halo = stacks.shape, max(self.radii + self.extremes)
        rows = max(2 * halo, _BAND_PIXELS // width)
        parts = []
        for first in range(0, height, rows):
            last, above = min(first + rows, height), min(halo, first)
            band = stacks[:, :, first - above : last + halo]
            wanted = torch.zeros((len(band), *band.shape[2:]), dtype=torch.bool, device=band.device)
            wanted[:, above : above + last - first] = True
            parts.append(self._own(band, wanted)[:, :, above : above + last - first])
        return torch.cat(parts, dim=2)

    def _smoothed(self, outputs: Tensor, valid: Tensor) -> Tensor:
        """Mean of outputs (B, K, Y, X) over the valid pixels (B, 1, Y, X) around each pixel."""
        if self.smoothing_px < _NARROWEST_PX:
            return outputs
        reach = math.ceil(3 * self.smoothing_px)
        places = torch.arange(-reach, reach + 1, dtype=outputs.dtype, device=outputs.device)
        row = torch.exp(-0.5 * (places / self.smoothing_px) ** 2)
        images = torch.cat([outputs * valid, valid], dim=1).flatten(0, 1)[:, None]
        rows = functional.conv2d(images, row[None, None, None], padding=(0, reach))
        summed = functional.conv2d(rows, row[None, None, :, None], padding=(reach, 0))
        found, weight = summed.reshape(len(outputs), -1, *outputs.shape[2:]).tensor_split([outputs.shape[1]], dim=1)
        return torch.where(valid > 0, found / weight.clamp_min(1e-6), outputs)

    def _nothing(self, like: Tensor) -> Tensor:
        """Return outputs (0, K) of no pixel, which gradients may flow through."""
        tied = torch.stack([parameter.sum() for parameter in self.parameters()]).sum() * 0.0
        return like.new_zeros((0, self.n_outputs)) + tied

    def _curves(self, pixels: Sequence[Tensor], facts: Tensor) -> Tensor:
        """Curves (N, T, C) of pixels (N, 2T) of each part and facts (N, F)."""
        parts = [part.reshape(-1, 2, self.steps).transpose(1, 2) for part in pixels]
        parts.append(facts[:, None].expand(-1, self.steps, -1))
        if self.clock:
            gone = torch.linspace(-1.0, 1.0, self.steps, dtype=facts.dtype, device=facts.device)
            parts.append(gone[:, None].expand(len(facts), -1, -1))
        return torch.cat(parts, dim=2)

    def _pixels(self, residuals: Tensor, valid: Tensor, chosen: tuple[Tensor, ...]) -> list[Tensor]:
        """Residuals (N, 2T) of the chosen pixels and how they differ from every surroundings."""
        plates = _Plates(valid, self.radii, self.extremes)
        at_once = max(_CHANNELS, _CACHED_PIXELS // max(1, valid.numel()))
        parts = [
            [image.permute(0, 2, 3, 1)[chosen] for image in (part, *plates.differences(part))]
            for part in torch.split(residuals, at_once, dim=1)  # so few that what is made of them stays in the cache
        ]
        return [torch.cat(scale, dim=1) for scale in zip(*parts, strict=True)]


class _Plates:
    """How pixels of plates differ from what surrounds them there.

    Parameters
    ----------
    valid : Tensor of float32, shape (B, 1, Y, X)
        1 on the plate, 0 elsewhere.
    radii, extremes : sequence of int
        Half sizes of the squares whose mean, and whose extremes, pixels are compared with.
    """

    def __init__(self, valid: Tensor, radii: Sequence[int], extremes: Sequence[int]) -> None:
        self.valid, self.inside = valid, valid > 0
        self.radii = [(radius, valid * self._share(radius)) for radius in radii]
        inner = [max(1, radius // _INNER) for radius in extremes]
        self.extremes = [
            (small, self._share(small), radius - small) for radius, small in zip(extremes, inner, strict=True)
        ]
        self.beside = torch.zeros_like(valid).masked_fill(~self.inside, torch.inf)

    def differences(self, images: Tensor) -> Iterator[Tensor]:
        """Images (B, C, Y, X) less their mean, then less their highest and lowest, in each square around each pixel."""
        inside = images * self.valid
        for radius, share in self.radii:
            yield torch.addcmul(images, _over_squares(inside, radius, torch.add, 0.0), share, value=-1)
        for small, share, radius in self.extremes:
            sums = _over_squares(inside, small, torch.add, 0.0)
            highest = _over_squares(torch.addcmul(-self.beside, sums, share), radius, torch.maximum, -torch.inf)
            lowest = _over_squares(torch.addcmul(self.beside, sums, share), radius, torch.minimum, torch.inf)
            for extreme in (highest, lowest):
                yield torch.where(self.inside, images - extreme, 0.0)

    def _share(self, radius: int) -> Tensor:
        """Return the part of one pixel in the mean over the plate's pixels in the square."""
        return _over_squares(self.valid, radius, torch.add, 0.0).clamp_min(1.0).reciprocal()


def _over_squares(images: Tensor, radius: int, combine: Callable[[Tensor, Tensor], Tensor], outside: float) -> Tensor:
    """Combine the pixels of the square around each pixel, rows first."""
    return _along(_along(images, -1, radius, combine, outside), -2, radius, combine, outside)


def _along(
    images: Tensor, axis: int, radius: int, combine: Callable[[Tensor, Tensor], Tensor], outside: float
) -> Tensor:
    """Combine windows along one axis by doubling: six steps for a window of 33, not 33."""
    length, left = images.shape[axis], 2 * radius + 1
    around = (radius, radius) if axis == -1 else (0, 0, radius, radius)
    run, width, start = functional.pad(images, around, value=outside), 1, 0
    found: Tensor | None = None
    while left:
        if left & 1:
            piece = run.narrow(axis, start, length)
            found, start = piece if found is None else combine(found, piece), start + width
        left >>= 1
        if left:
            rest = run.shape[axis] - width
            run, width = combine(run.narrow(axis, 0, rest), run.narrow(axis, width, rest)), 2 * width
    assert found is not None
    return found
