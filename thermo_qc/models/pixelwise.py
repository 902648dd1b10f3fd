"""Curve networks on stacks: every pixel's curve with how it differs from its surroundings, no look at shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from thermo_qc.errors import ConfigError
from thermo_qc.models.curve import build_curve_network
from thermo_qc.models.parameters import integer, integers
from thermo_qc.representation import N_FACTS

__all__ = ["PixelCurves"]

_AT_ONCE = 16_384  # pixels, where no gradient is kept


class PixelCurves(nn.Module):
    """Applies a curve network to each pixel of a stack of a physical representation.

    A curve has both residuals, their differences to the mean over squares of growing size around the pixel, and the
    facts of the plate at every step.

    Parameters
    ----------
    in_channels, n_classes : int
        Channels of the stack and outputs.
    core : str
        Curve network, see `CURVE_MODELS`.
    radii : sequence of int
        Half sizes of the squares, pixels.
    core_parameters : mapping, optional
        Parameters of the curve network.
    """

    build_parameters: dict[str, Any]

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        *,
        core: str = "cnn1d",
        radii: Sequence[int] = (1, 3, 6),
        core_parameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        steps, rest = divmod(integer("in_channels", in_channels, 1, 4096) - N_FACTS, 2)
        if rest or steps < 2:
            raise ConfigError(
                f"pixel_curves reads two residuals in every bin and {N_FACTS} facts, got {in_channels} channels; use "
                "it with the physical representation"
            )
        self.steps, self.radii = steps, tuple(integers("radii", radii, 1, 64))
        self.core = build_curve_network(
            core,
            n_steps=steps,
            n_channels=2 * (1 + len(self.radii)) + N_FACTS,
            n_classes=n_classes,
            **dict(core_parameters or {}),
        )

    def forward(self, stacks: Tensor) -> Tensor:
        """Return outputs (B, K, Y, X) of stacks (B, C, Y, X)."""
        batch, _, height, width = stacks.shape
        residuals, facts = stacks[:, : 2 * self.steps], stacks[:, 2 * self.steps :]
        parts = [residuals, *(residuals - self._mean(residuals, facts[:, :1], radius) for radius in self.radii)]
        images = torch.stack(parts, dim=1).reshape(batch, -1, self.steps, height, width)
        pixels = images.permute(0, 3, 4, 2, 1).reshape(batch * height * width, self.steps, -1)
        constant = facts.permute(0, 2, 3, 1).reshape(len(pixels), 1, N_FACTS)
        size = len(pixels) if torch.is_grad_enabled() else _AT_ONCE
        outputs = [
            self.core(torch.cat([part, fact.expand(-1, self.steps, -1)], dim=2))
            for part, fact in zip(torch.split(pixels, size), torch.split(constant, size), strict=True)
        ]
        result: Tensor = torch.cat(outputs).reshape(batch, height, width, -1).permute(0, 3, 1, 2)
        return result

    @staticmethod
    def _mean(images: Tensor, valid: Tensor, radius: int) -> Tensor:
        """Mean over the pixels of the plate in the square around each pixel."""
        edge = 2 * radius + 1

        def pooled(values: Tensor) -> Tensor:
            return functional.avg_pool2d(values, edge, stride=1, padding=radius)

        return pooled(images * valid) / pooled(valid).clamp_min(1e-6) * valid
