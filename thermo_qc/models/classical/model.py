"""A classical classifier with the features that it decides on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ModelError
from thermo_qc.models.classical.build import Classifier
from thermo_qc.models.classical.encoder import Encoder
from thermo_qc.models.classical.map_features import map_features
from thermo_qc.representation import AnyRepresentation, PhysicalRepresentation
from thermo_qc.sequence import ThermalSequence

__all__ = ["FEATURES", "Classical", "Features"]

FEATURES = ("curves", "tsr", "encoder", "maps")


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """What a classical classifier decides on.

    Parameters
    ----------
    kind : {"curves", "tsr", "encoder", "maps"}
        The representation's curves, its coefficients of the logarithmic polynomial, what a trained network makes of
        its input, or classical maps (`map_features`).
    encoder : Encoder, optional
        That network.
    maps : tuple of str
        Methods of the maps, at least one for kind "maps" and none for the others.

    Raises
    ------
    ModelError
        When they do not belong together.
    """

    kind: str = "curves"
    encoder: Encoder | None = None
    maps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parts = (self.encoder is not None, bool(self.maps))
        if self.kind not in FEATURES or parts != (self.kind == "encoder", self.kind == "maps"):
            raise ModelError(f"features '{self.kind}' came with the wrong parts; expected one of {', '.join(FEATURES)}")

    def n_features(self, representation: AnyRepresentation) -> int | None:
        """Features of a pixel, where they can be told without looking at one."""
        if self.kind in ("encoder", "maps") or isinstance(representation, PhysicalRepresentation):
            return None
        if self.kind == "tsr":
            return representation.n_tsr_channels
        return representation.n_steps * representation.n_curve_channels

    def of(
        self,
        representation: AnyRepresentation,
        sequence: ThermalSequence,
        pixels: NDArray[np.int64] | None = None,
        *,
        device: str = "cpu",
        batch_size: int = 8192,
        tile_px: int | None = None,
        overlap: float = 0.25,
        region: NDArray[np.bool_] | None = None,
        sound_mask: NDArray[np.bool_] | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the features of pixels (all of them when None), float32 (n, F), batch after batch.

        Options as for `TrainedModel.look`.
        """
        height, width = sequence.frame_shape
        chosen = np.arange(height * width) if pixels is None else pixels
        step = max(1, batch_size)
        if self.encoder is not None:
            yield from self.encoder.features(
                representation,
                sequence,
                chosen,
                device=device,
                batch_size=step,
                tile_px=tile_px,
                overlap=overlap,
                region=region,
                sound_mask=sound_mask,
            )
            return
        if self.kind == "maps":
            values = map_features(sequence, self.maps, region=region)[chosen]
            yield from (values[start : start + step] for start in range(0, len(chosen), step))
            return
        assert not isinstance(representation, PhysicalRepresentation)
        fields = {"curves": representation.curve_field, "tsr": representation.tsr_field}
        field = fields[self.kind](sequence, region=region, sound_mask=sound_mask)
        for start in range(0, len(chosen), step):
            part = field.gather(chosen[start : start + step])
            yield part.reshape(len(part), -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Classical:
    """Features and classifier.

    Parameters
    ----------
    features : Features
        What is decided on.
    classifier : Classifier
        What decides.
    """

    features: Features
    classifier: Classifier

    def probabilities(
        self, representation: AnyRepresentation, sequence: ThermalSequence, **options: Any
    ) -> NDArray[np.float32]:
        """Probabilities (Y * X, K) of all pixels; options as for `Features.of`."""
        parts = [self.classifier.predict_proba(part) for part in self.features.of(representation, sequence, **options)]
        return np.concatenate(parts)

    def description(self) -> dict[str, Any]:
        """Return what rebuilds it beside its arrays, in JSON types."""
        encoder = self.features.encoder
        return {
            "features": self.features.kind,
            "n_features": self.classifier.n_features,
            "encoder": None if encoder is None else encoder.description(),
            **({"maps": list(self.features.maps)} if self.features.maps else {}),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the classifier's arrays and the encoder's weights."""
        arrays = {f"classifier.{name}": values for name, values in self.classifier.arrays().items()}
        if self.features.encoder is not None:
            state = self.features.encoder.network.state_dict()
            arrays |= {f"encoder.{name}": value.detach().cpu().numpy() for name, value in state.items()}
        return arrays
