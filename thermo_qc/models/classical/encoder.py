"""A trained network without its last layer, whose features a classical classifier decides on."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ModelError
from thermo_qc.representation import AnyRepresentation, PhysicalRepresentation
from thermo_qc.sequence import ThermalSequence

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Encoder", "headless"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoder:
    """A network that turns the curve of a pixel, or a stack, into features of each pixel.

    Parameters
    ----------
    kind : {"curve", "segmentation"}
        What the network sees.
    name : str
        Name in `CURVE_MODELS` or `SEGMENTERS`.
    parameters : dict
        The network's own parameters.
    n_classes : int
        Classes that it was trained for.
    network : torch.nn.Module
        From `headless`.
    """

    kind: str
    name: str
    parameters: dict[str, Any]
    n_classes: int
    network: nn.Module

    def description(self) -> dict[str, Any]:
        """Return what builds the network again, in JSON types."""
        return {"kind": self.kind, "name": self.name, "parameters": self.parameters, "n_classes": self.n_classes}

    def features(
        self,
        representation: AnyRepresentation,
        sequence: ThermalSequence,
        pixels: NDArray[np.int64],
        *,
        device: str,
        batch_size: int,
        tile_px: int | None = None,
        overlap: float = 0.25,
        region: NDArray[np.bool_] | None = None,
        sound_mask: NDArray[np.bool_] | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the features of pixels, float32 (n, F), batch after batch; as `TrainedModel.look` takes its options."""
        import torch

        from thermo_qc.models.devices import evaluating, to_device
        from thermo_qc.models.tiling import blend_tiles

        target = to_device(device)

        def ask(values: NDArray[np.float32]) -> NDArray[np.float32]:
            with torch.inference_mode():
                result: NDArray[np.float32] = self.network(torch.from_numpy(values).to(target)).float().cpu().numpy()
            return result

        with evaluating(self.network, target):
            if self.kind == "curve":
                assert not isinstance(representation, PhysicalRepresentation)
                field = representation.curve_field(sequence, region=region, sound_mask=sound_mask)
                for start in range(0, len(pixels), batch_size):
                    yield ask(field.gather(pixels[start : start + batch_size]))
                return
            stack = representation.stack(sequence, region=region, sound_mask=sound_mask)

            def whole(images: NDArray[np.float32]) -> NDArray[np.float32]:
                features: NDArray[np.float32] = ask(np.ascontiguousarray(images)[None])[0]
                return features

            images = whole(stack) if tile_px is None else blend_tiles(whole, stack, tile_px=tile_px, overlap=overlap)
            flat = images.reshape(len(images), -1)
            for start in range(0, len(pixels), batch_size):
                yield np.ascontiguousarray(flat[:, pixels[start : start + batch_size]].T)


def headless(network: nn.Module, name: str) -> nn.Module:
    """Copy a network without the layer that decides; what follows that layer (upsampling) stays.

    Parameters
    ----------
    network : torch.nn.Module
        Curve network or segmenter.
    name : str
        Its name, for the message.

    Raises
    ------
    ModelError
        When it has no such layer.
    """
    from torch import nn

    from thermo_qc.models.pixelwise import PixelCurves

    copy = deepcopy(network)
    if isinstance(getattr(copy, "head", None), nn.Linear | nn.Conv2d):
        copy.head = nn.Identity()
        return copy
    if isinstance(copy, PixelCurves):
        copy.core.head = nn.Identity()  # type: ignore[assignment]
        return copy
    from segmentation_models_pytorch.base import SegmentationHead

    body: Any = getattr(copy, "body", None)
    head = getattr(body, "segmentation_head", None)
    if type(head) is nn.Sequential and isinstance(head[-1], SegmentationHead):  # dropout before it
        head = head[-1]
    if not isinstance(head, SegmentationHead):
        raise ModelError(
            f"the network '{name}' has no last layer whose input could serve as features; take a curve network or "
            "another segmentation network as encoder"
        )
    body.segmentation_head = nn.Sequential(*list(head)[1:])
    return copy
