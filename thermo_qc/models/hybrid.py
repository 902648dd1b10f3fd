"""A network that reads time and space together: a curve encoder shared by all pixels, then a 2-D encoder-decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from thermo_qc.errors import ConfigError
from thermo_qc.models.parameters import fraction, integer, integers, one_of
from thermo_qc.models.surroundings import expanded, less_surroundings
from thermo_qc.representation import N_FACTS

__all__ = ["CurveUNet"]

_CELLS = (2, 4, 8, 16, 32)  # pixels
_AT_ONCE = 64  # channels, where no gradient is kept


class _Block(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(images)))
        result: Tensor = functional.relu(self.second_norm(self.second(inner)) + self.shortcut(images))
        return result


class CurveUNet(nn.Module):
    """Reads the curve of every pixel with a shared encoder, and the features of all pixels with a U-Net.

    Parameters
    ----------
    in_channels, n_classes : int
        Channels of the stack (time steps and facts of every pixel) and outputs.
    curve_widths : sequence of int
        Layers of the curve encoder, a multilayer perceptron applied to each pixel.
    widths : sequence of int
        Channels of the U-Net from full resolution down; each level halves the resolution.
    dropout : float
        Dropout of whole channels before the last layer.
    surroundings : sequence of int
        Cells, pixels (powers of two), whose surroundings every pixel is compared with besides, see `less_surroundings`;
        each makes two more residuals in every bin. For stacks of a physical representation.

    References
    ----------
    Ronneberger, O., Fischer, P., Brox, T. (2015). U-Net. MICCAI. https://doi.org/10.1007/978-3-319-24574-4_28
    """

    build_parameters: dict[str, Any]
    encoder_parts = ("curves", "down")
    growing_parts = ("curves.0.weight",)  # reads the stack first, then what `surroundings` adds in their order

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        *,
        curve_widths: Sequence[int] = (96, 48),
        widths: Sequence[int] = (32, 64, 96, 128),
        dropout: float = 0.0,
        surroundings: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.n_residuals = integer("in_channels", in_channels, 1, 4096) - N_FACTS
        self.surroundings = _cells(surroundings, self.n_residuals)
        sizes = integers("curve_widths", curve_widths, 1, 2048)
        levels = integers("widths", widths, 1, 2048)
        layers: list[nn.Module] = []
        n_read = in_channels + len(self.surroundings) * self.n_residuals
        for before, after in zip((n_read, *sizes[:-1]), sizes, strict=True):
            layers += [nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.curves = nn.Sequential(*layers)
        self.down = nn.ModuleList(
            _Block(before, after) for before, after in zip((sizes[-1], *levels[:-1]), levels, strict=True)
        )
        self.up = nn.ModuleList(_Block(below + here, here) for here, below in pairwise(levels))
        self.dropout = nn.Dropout2d(fraction("dropout", dropout))
        self.head = nn.Conv2d(levels[0] + sizes[-1], n_classes, 1)
        self.multiple = max(2 ** (len(levels) - 1), *self.surroundings, 1)

    def forward(self, stacks: Tensor) -> Tensor:
        """Return outputs (B, K, Y, X) of stacks (B, C, Y, X), any size."""
        height, width = stacks.shape[-2:]
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        padded = functional.pad(stacks, padding) if any(padding) else stacks
        features = self._features(padded) if self.surroundings else self.curves(padded)
        kept, images = [], features
        for number, block in enumerate(self.down):
            images = block(functional.max_pool2d(images, 2) if number else images)
            kept.append(images)
        for block, here in zip(reversed(self.up), reversed(kept[:-1]), strict=True):
            larger = functional.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
            images = block(torch.cat([here, larger], dim=1))
        result: Tensor = self.head(self.dropout(torch.cat([images, features], dim=1)))
        return result[..., :height, :width]

    def _features(self, stacks: Tensor) -> Tensor:
        """Features of the curves and of how they differ from their surroundings, in the network's precision."""
        first = self.curves[0]
        assert isinstance(first, nn.Conv2d)
        if torch.is_grad_enabled():
            parts = [part for _, part in self._differences(stacks, self.n_residuals)]
            learnt: Tensor = self.curves(torch.cat([stacks, *parts], dim=1))
            return learnt
        begun, n_given = functional.conv2d(stacks, first.weight[:, : stacks.shape[1]]), stacks.shape[1]
        for channel, part in self._differences(stacks, _AT_ONCE):  # all of them at once take GB
            begun += functional.conv2d(part, first.weight[:, n_given + channel : n_given + channel + part.shape[1]])
        features: Tensor = self.curves[1:](begun)
        return features

    def _differences(self, stacks: Tensor, at_once: int) -> Iterator[tuple[int, Tensor]]:
        """Differences of that many channels at a time, and the first of them among all."""
        valid = stacks[:, self.n_residuals : self.n_residuals + 1].float()
        for number, cell in enumerate(self.surroundings):
            for channel in range(0, self.n_residuals, at_once):
                last = min(channel + at_once, self.n_residuals)
                with torch.autocast(stacks.device.type, enabled=False):
                    part = stacks[:, channel:last].float().contiguous(memory_format=torch.channels_last)
                    found = less_surroundings(expanded(part), part, valid, cell)
                yield number * self.n_residuals + channel, found


def _cells(surroundings: Sequence[int], n_residuals: int) -> tuple[int, ...]:
    """Return the cells as given, checked."""
    if not surroundings:
        return ()
    cells = tuple(
        one_of("surroundings", cell, _CELLS) for cell in integers("surroundings", surroundings, 1, _CELLS[-1])
    )
    if n_residuals < 2 or n_residuals % 2:
        raise ConfigError(
            f"surroundings need two residuals in every bin and {N_FACTS} facts, got {n_residuals + N_FACTS} channels; "
            "use them with the physical representation, or leave them out"
        )
    return cells
