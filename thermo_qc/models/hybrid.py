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
Changes = Iterator[Tensor]


class _Block(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1, bias=False)

    def forward(self, images: Tensor, changes: Changes) -> Tensor:
        inner = functional.relu(_changed(self.first_norm(self.first(images)), changes))
        result: Tensor = functional.relu(
            _changed(self.second_norm(self.second(inner)), changes) + self.shortcut(images)
        )
        return result


class _FactChanges(nn.Module):
    """Scales and shifts of the channels of every layer, from what is known of plate and recording; none at first."""

    def __init__(self, units: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.hidden = nn.Linear(N_FACTS, units)
        self.changes = nn.Linear(units, 2 * sum(channels))
        nn.init.zeros_(self.changes.weight)
        nn.init.zeros_(self.changes.bias)

    def forward(self, facts: Tensor) -> Changes:
        """Return scale and shift, each (B, 2, C, 1, 1), of the layers in their order."""
        found = self.changes(functional.relu(self.hidden(facts)))
        parts = found.split([2 * count for count in self.channels], dim=1)
        return iter([part.reshape(len(facts), 2, -1, 1, 1) for part in parts])


def _changed(images: Tensor, changes: Changes) -> Tensor:
    """Scale and shift the channels as comes next, or leave them where nothing comes."""
    change = next(changes, None)
    if change is None:
        return images
    if torch.is_grad_enabled():
        return images * (1.0 + change[:, 0]) + change[:, 1]
    return images.mul_(1.0 + change[:, 0]).add_(change[:, 1])  # features of a large frame take hundreds of MB


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
    facts_units : int
        Units of a perceptron that scales and shifts the channels of every layer by the facts of plate and recording
        (how far heat goes in pixels and in thicknesses, noise): what an outline looks like from the face depends on
        them. None with 0. For stacks of a physical representation.

    References
    ----------
    Ronneberger, O., Fischer, P., Brox, T. (2015). U-Net. MICCAI. https://doi.org/10.1007/978-3-319-24574-4_28

    Perez, E. et al. (2018). FiLM: visual reasoning with a general conditioning layer. AAAI.
    https://doi.org/10.1609/aaai.v32i1.11671
    """

    build_parameters: dict[str, Any]
    encoder_parts = ("curves", "down")
    growing_parts = ("curves.0.weight",)  # reads the stack first, then what `surroundings` adds in their order
    added_parts = ("facts.",)  # changes nothing at first
    looks_beyond = True  # a plate that the image cuts goes on in predictions, see `thermo_qc.models.borders`

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        *,
        curve_widths: Sequence[int] = (96, 48),
        widths: Sequence[int] = (32, 64, 96, 128),
        dropout: float = 0.0,
        surroundings: Sequence[int] = (),
        facts_units: int = 0,
    ) -> None:
        super().__init__()
        self.n_residuals = integer("in_channels", in_channels, 1, 4096) - N_FACTS
        self.surroundings = _cells(surroundings)
        units = integer("facts_units", facts_units, 0, 4096)
        if self.surroundings or units:
            _check_physical(self.n_residuals)
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
        blocks = [count for count in (*levels, *levels[-2::-1]) for _ in range(2)]
        self.facts = _FactChanges(units, (*sizes, *blocks)) if units else None
        self.multiple = max(2 ** (len(levels) - 1), *self.surroundings, 1)

    def forward(self, stacks: Tensor) -> Tensor:
        """Return outputs (B, K, Y, X) of stacks (B, C, Y, X), any size."""
        height, width = stacks.shape[-2:]
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        padded = functional.pad(stacks, padding) if any(padding) else stacks
        changes = iter(()) if self.facts is None else self.facts(self._facts(padded))
        features = self._features(padded, changes)
        kept, images = [], features
        for number, block in enumerate(self.down):
            images = block(functional.max_pool2d(images, 2) if number else images, changes)
            kept.append(images)
        for block, here in zip(reversed(self.up), reversed(kept[:-1]), strict=True):
            larger = functional.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
            images = block(torch.cat([here, larger], dim=1), changes)
        result: Tensor = self.head(self.dropout(torch.cat([images, features], dim=1)))
        return result[..., :height, :width]

    def _facts(self, stacks: Tensor) -> Tensor:
        """Facts (B, F) of each stack, as its valid pixels give them; 0 where there is none."""
        given = stacks[:, self.n_residuals :].float()
        valid = given[:, :1]
        facts: Tensor = (given * valid).sum((2, 3)) / valid.sum((2, 3)).clamp_min(1.0)
        return facts

    def _features(self, stacks: Tensor, changes: Changes) -> Tensor:
        """Features of the curves and how they differ from their surroundings, the first layer in single precision."""
        device = stacks.device.type
        rounded = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        with torch.autocast(device, enabled=False):  # bfloat16 rounds strong residuals by half a noise
            features = self._first(stacks.float(), rounded)
        for layer in self.curves[1:]:
            features = layer(features)
            if isinstance(layer, nn.BatchNorm2d):
                features = _changed(features, changes)
        return features

    def _first(self, stacks: Tensor, rounded: torch.dtype = torch.float32) -> Tensor:
        """Return the outputs of the first layer of the curve encoder; its gradient is computed in `rounded` numbers."""
        first = self.curves[0]
        assert isinstance(first, nn.Conv2d)
        weight, n_given = first.weight, stacks.shape[1]
        begun = _weighed(stacks, weight[:, :n_given], rounded)
        for channel, part in self._differences(stacks, _AT_ONCE):  # all of them at once take GB
            begun += _weighed(part, weight[:, n_given + channel : n_given + channel + part.shape[1]], rounded)
        return begun

    def _differences(self, stacks: Tensor, at_once: int) -> Iterator[tuple[int, Tensor]]:
        """Differences of that many channels at a time, and the first of them among all."""
        valid = stacks[:, self.n_residuals : self.n_residuals + 1]
        learning = stacks.requires_grad and torch.is_grad_enabled()
        for channel in range(0, self.n_residuals if self.surroundings else 0, at_once):
            last = min(channel + at_once, self.n_residuals)
            with torch.set_grad_enabled(learning):  # nothing in them is learnt
                part = stacks[:, channel:last].contiguous(memory_format=torch.channels_last)
                noises = expanded(part)
            for number, cell in enumerate(self.surroundings):
                with torch.set_grad_enabled(learning):
                    found = less_surroundings(noises, part, valid, cell)
                yield number * self.n_residuals + channel, found


class _RoundedGradient(torch.autograd.Function):
    """A convolution of one pixel in the numbers that come, whose gradient is computed in shorter ones."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, rounded: torch.dtype) -> Tensor:
        """Return (B, O, Y, X) of images (B, C, Y, X) and a weight (O, C, 1, 1)."""
        ctx.save_for_backward(images.to(rounded))
        return functional.conv2d(images, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        """Gradient of the weight; the images have none."""
        (images,) = ctx.saved_tensors
        seen, wanted = (part.movedim(1, -1).flatten(0, -2) for part in (images, gradients[0].to(images.dtype)))
        return None, (wanted.T @ seen).float()[:, :, None, None], None


def _weighed(images: Tensor, weight: Tensor, rounded: torch.dtype) -> Tensor:
    """Convolve images (B, C, Y, X), float32, with the weight (O, C, 1, 1) of one pixel."""
    if rounded == torch.float32 or images.requires_grad or not torch.is_grad_enabled():
        return functional.conv2d(images, weight)
    found: Tensor = _RoundedGradient.apply(images, weight, rounded)
    return found


def _cells(surroundings: Sequence[int]) -> tuple[int, ...]:
    """Return the cells as given, checked."""
    if not surroundings:
        return ()
    return tuple(one_of("surroundings", cell, _CELLS) for cell in integers("surroundings", surroundings, 1, _CELLS[-1]))


def _check_physical(n_residuals: int) -> None:
    """Refuse stacks that hold no residuals and facts."""
    if n_residuals < 2 or n_residuals % 2:
        raise ConfigError(
            f"surroundings and facts_units need two residuals in every bin and {N_FACTS} facts, got "
            f"{n_residuals + N_FACTS} channels; use them with the physical representation, or leave them out"
        )
