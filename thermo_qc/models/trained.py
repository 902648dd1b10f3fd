"""`TrainedModel`: network or forest with everything a prediction needs, in memory and as one file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, ModelError
from thermo_qc.models.calibrated import checked_spread, checked_temperature, checked_threshold, tempered
from thermo_qc.models.classical import Classical
from thermo_qc.models.forest import Forest
from thermo_qc.models.storage import content_hash, json_types, write_model_file
from thermo_qc.models.view import ModelView, expected_depth_mm
from thermo_qc.representation import N_FACTS, AnyRepresentation, CurveField, PhysicalRepresentation
from thermo_qc.sequence import ThermalSequence

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["KINDS", "TrainedModel"]

KINDS = ("curve", "segmentation", "forest", "classical")


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """A trained model: the same input always becomes the same probabilities.

    Parameters
    ----------
    kind : {"curve", "segmentation", "forest", "classical"}
        What the model looks at: pixel curves with a network, stacks, pixel curves with trees, or features of a pixel
        with a classical classifier.
    name : str
        Name in `CURVE_MODELS`, `SEGMENTERS` or `CLASSIFIERS`.
    representation : Representation or PhysicalRepresentation
        Fitted recipe from a recording to the model's input.
    class_names : tuple of str
        Names of all classes, sound first.
    class_depths_mm : tuple of float
        Mean depth of the defects of each class; NaN where unknown and for sound.
    network : torch.nn.Module, optional
        For kinds "curve" and "segmentation".
    forest : Forest, optional
        For kind "forest".
    classical : Classical, optional
        For kind "classical".
    parameters : dict
        The network's own parameters, to build it again; by default those that it was built with.
    metadata : dict
        Further JSON facts (class scheme, training data, seed, versions); "temperature" divides the logits.

    Raises
    ------
    ModelError
        When the parts do not belong together.
    """

    kind: Literal["curve", "segmentation", "forest", "classical"]
    name: str
    representation: AnyRepresentation
    class_names: tuple[str, ...]
    class_depths_mm: tuple[float, ...]
    network: nn.Module | None = None
    forest: Forest | None = None
    classical: Classical | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if not self.parameters:
            object.__setattr__(self, "parameters", dict(getattr(self.network, "build_parameters", {})))
        object.__setattr__(self, "class_depths_mm", tuple(float(depth) for depth in self.class_depths_mm))
        if self.kind not in KINDS:
            raise ModelError(f"model kind is '{self.kind}', expected one of {', '.join(KINDS)}")
        part = self.kind if self.kind in {"forest", "classical"} else "network"
        if [name for name in ("network", "forest", "classical") if getattr(self, name) is not None] != [part]:
            raise ModelError(
                f"a model of kind '{self.kind}' came with the wrong part; a forest needs trees, a classical model its "
                "classifier, the others a network"
            )
        if len(self.class_names) < 2 or len(self.class_depths_mm) != len(self.class_names):
            raise ModelError(
                f"{len(self.class_depths_mm)} class depths came with {len(self.class_names)} class names; give one each"
            )

        checked_temperature(self.metadata)
        checked_threshold(self.metadata)
        checked_spread(self.metadata)

    @property
    def n_classes(self) -> int:
        """Number of classes with sound."""
        return len(self.class_names)

    @property
    def temperature(self) -> float:
        """Divisor of the logits that calibration has found; 1 without calibration."""
        return checked_temperature(self.metadata)

    @property
    def defect_threshold(self) -> float:
        """Probability of any defect from which on a pixel is called one; 0.5 unless calibration found a better one."""
        return checked_threshold(self.metadata)

    @property
    def defect_offset(self) -> float:
        """Added to the logits of all defect classes after the temperature; 0 without calibration.

        Raises
        ------
        ModelError
            When the model's metadata hold no number there.
        """
        value = self.metadata.get("defect_offset", 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ModelError(f"the model's defect_offset is {value!r}, expected a number; calibrate the model again")
        return float(value)

    @cached_property
    def sha256(self) -> str:
        """Hash of the model's content, the same before saving and after loading."""
        return content_hash(self._description(), self._arrays())

    def probabilities(
        self,
        sequence: ThermalSequence,
        *,
        device: str = "cpu",
        batch_size: int = 8192,
        tile_px: int | None = None,
        overlap: float = 0.25,
        region: NDArray[np.bool_] | None = None,
        sound_mask: NDArray[np.bool_] | None = None,
        tta: bool = False,
    ) -> NDArray[np.float32]:
        """Probability of every class at every pixel.

        Parameters
        ----------
        sequence : ThermalSequence
            Recording; a truth in it is never looked at.
        device : str
            "cpu", "cuda", "cuda:1", "mps" or "auto" (an accelerator where there is one).
        batch_size : int
            Curves per step (kinds "curve" and "forest").
        tile_px : int, optional
            Edge of the tiles that a segmenter works on; the whole frame when None.
        overlap : float
            Share of a tile that its neighbour covers too; the results are blended.
        region : ndarray of bool, shape (Y, X), optional
            The plate in the frame; the rest has no part in reference curves.
        sound_mask : ndarray of bool, shape (Y, X), optional
            Region known to be sound, for representations that compare with one.
        tta : bool
            Mean over the eight turns and mirror images of the stack (kind "segmentation").

        Returns
        -------
        ndarray of float32, shape (K, Y, X)
            Sums to one over the classes.

        Raises
        ------
        ModelError, MissingFactError
            When the recording does not fit the model.
        ConfigError
            When `tta` is asked of a model that does not see images.
        """
        return self.look(
            sequence,
            device=device,
            batch_size=batch_size,
            tile_px=tile_px,
            overlap=overlap,
            region=region,
            sound_mask=sound_mask,
            tta=tta,
        ).probability

    def look(
        self,
        sequence: ThermalSequence,
        *,
        device: str = "cpu",
        batch_size: int = 8192,
        tile_px: int | None = None,
        overlap: float = 0.25,
        region: NDArray[np.bool_] | None = None,
        sound_mask: NDArray[np.bool_] | None = None,
        tta: bool = False,
    ) -> ModelView:
        """Give everything that the model says of a recording; parameters and errors as for `probabilities`."""
        if self.kind == "segmentation":
            outputs = self.stack_outputs(  # which lets go of the stack where a larger one takes its place
                self.representation.stack(sequence, region=region, sound_mask=sound_mask),
                device=device,
                tile_px=tile_px,
                overlap=overlap,
                tta=tta,
            )
            return self._view(sequence, outputs)
        if tta:
            raise ConfigError(
                f"test-time turns (tta) need a segmentation model, this is a model of kind '{self.kind}'; leave tta out"
            )
        if self.classical is not None:
            found = self.classical.probabilities(
                self.representation,
                sequence,
                device=device,
                batch_size=batch_size,
                tile_px=tile_px,
                overlap=overlap,
                region=region,
                sound_mask=sound_mask,
            )
            flat = tempered(found, self.temperature)
            return self._view(sequence, np.ascontiguousarray(flat.T).reshape(self.n_classes, *sequence.frame_shape))
        assert not isinstance(self.representation, PhysicalRepresentation)
        field = self.representation.curve_field(sequence, region=region, sound_mask=sound_mask)
        flat = self.curve_probabilities(field, device=device, batch_size=batch_size)
        return self._view(sequence, np.ascontiguousarray(flat.T).reshape(self.n_classes, *sequence.frame_shape))

    def _view(self, sequence: ThermalSequence, outputs: NDArray[np.float32]) -> ModelView:
        probability = np.ascontiguousarray(outputs[: self.n_classes])
        if not self.has_depth_head:
            depth, share = self.defect_depth_mm(probability)
            return ModelView(probability=probability, depth_mm=depth, depth_std_mm=None, share=share)
        share = np.asarray(1.0 - probability[0], dtype=np.float32)
        if sequence.material is None:
            unknown = np.full(share.shape, np.nan, dtype=np.float32)
            return ModelView(probability=probability, depth_mm=unknown, depth_std_mm=unknown, share=share)
        length_mm = np.sqrt(sequence.material.diffusivity_through_mm2_s * float(sequence.times_s[-1]))
        depth = (length_mm * np.exp(outputs[self.n_classes])).astype(np.float32)
        relative = checked_spread(self.metadata) * np.exp(0.5 * outputs[self.n_classes + 1])
        return ModelView(
            probability=probability, depth_mm=depth, depth_std_mm=(depth * relative).astype(np.float32), share=share
        )

    @property
    def has_depth_head(self) -> bool:
        """Whether the network itself says how deep a defect lies, and how sure it is of that."""
        return bool(self.parameters.get("depth_head", False))

    def curve_probabilities(
        self, curves: NDArray[np.float32] | CurveField, *, device: str = "cpu", batch_size: int = 8192
    ) -> NDArray[np.float32]:
        """Probabilities (N, K) of curves (N, T, C) of this model's representation."""
        empty = np.zeros((0, self.n_classes), dtype=np.float32)
        if self.forest is not None:
            found = [self.forest.predict_proba(part) for part in _batches(curves, max(1, batch_size))]
            return tempered(np.concatenate([empty, *found]), self.temperature)
        import torch

        from thermo_qc.models.devices import evaluating, to_device

        target = to_device(device)
        assert self.network is not None
        with evaluating(self.network, target), torch.inference_mode():
            parts = [
                self._softmax(self.network(torch.from_numpy(part).to(target))).cpu().numpy()
                for part in _batches(curves, max(1, batch_size))
            ]
        return np.concatenate([empty, *parts])

    def stack_outputs(
        self,
        stack: NDArray[np.float32],
        *,
        device: str = "cpu",
        tile_px: int | None = None,
        overlap: float = 0.25,
        tta: bool = False,
    ) -> NDArray[np.float32]:
        """Return the outputs for a stack (C, Y, X) of this model's representation.

        Returns
        -------
        ndarray of float32, shape (K, Y, X) or (K + 2, Y, X)
            Probabilities; with a depth head also mean and log variance of ln(depth / sqrt(alpha t)).
        """
        import torch

        from thermo_qc.models.borders import Sides, continued, within
        from thermo_qc.models.devices import evaluating, to_device
        from thermo_qc.models.tiling import blend_tiles, mean_over_symmetries

        target = to_device(device)
        assert self.network is not None
        network = self.network
        sides: Sides = ((0, 0), (0, 0))
        if isinstance(self.representation, PhysicalRepresentation) and getattr(network, "looks_beyond", False):
            stack, sides = continued(stack, stack[-N_FACTS] > 0)

        def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
            batch = torch.from_numpy(np.ascontiguousarray(images))[None].to(target)
            result: NDArray[np.float32] = self._softmax(network(batch))[0].cpu().numpy()
            return result

        def whole(images: NDArray[np.float32]) -> NDArray[np.float32]:
            if tile_px is None:
                return predict(images)
            return blend_tiles(predict, images, tile_px=tile_px, overlap=overlap)

        with evaluating(network, target), torch.inference_mode():
            return within(mean_over_symmetries(whole, stack) if tta else whole(stack), sides)

    def _softmax(self, logits: Tensor) -> Tensor:
        """Probabilities (B, K, ...) of a network's output at this model's temperature; what follows them stays."""
        classes, rest = logits.float()[:, : self.n_classes], logits.float()[:, self.n_classes :]
        classes = classes / self.temperature
        if self.defect_offset != 0:
            classes[:, 1:] += self.defect_offset
        probability = classes.softmax(dim=1)
        return probability if rest.shape[1] == 0 else _joined(probability, rest)

    def depth_mm(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Estimate the depth of the defect at every pixel.

        Parameters
        ----------
        probabilities : ndarray, shape (K, Y, X)
            From `probabilities`.

        Returns
        -------
        ndarray of float32, shape (Y, X)
            Mean of the defect classes' depths, weighted by their probabilities; NaN where sound is the likeliest class
            and where no depth is known.
        """
        depth, _ = self.defect_depth_mm(probabilities)
        return np.where(probabilities.argmax(axis=0) > 0, depth, np.float32(np.nan)).astype(np.float32)

    def defect_depth_mm(self, probabilities: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the depth of a defect, should there be one, and the probability of the classes that it is taken from.

        Parameters
        ----------
        probabilities : ndarray, shape (K, Y, X)
            From `probabilities`.

        Returns
        -------
        depth_mm : ndarray of float32, shape (Y, X)
            NaN where no class with a known depth has any probability.
        share : ndarray of float32, shape (Y, X)
            Sum of the probabilities of the defect classes with a known depth.
        """
        return expected_depth_mm(probabilities, self.class_depths_mm)

    def save(self, path: Path) -> str:
        """Write the model to one safetensors file, atomically.

        Parameters
        ----------
        path : Path
            Target, usually ``model.safetensors``.

        Returns
        -------
        str
            Hash of the content.

        Raises
        ------
        OutputError
            When it cannot be written there.
        """
        return write_model_file(Path(path), self._description(), self._arrays())

    def _description(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "parameters": json_types(self.parameters),
            "representation": json_types(self.representation.to_metadata()),
            "class_names": list(self.class_names),
            "class_depths_mm": [depth if math.isfinite(depth) else None for depth in self.class_depths_mm],
            "metadata": json_types(self.metadata),
            **({} if self.classical is None else {"classical": json_types(self.classical.description())}),
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays = {f"representation.{name}": values for name, values in self.representation.arrays().items()}
        if self.forest is not None:
            arrays |= {f"forest.{name}": values for name, values in self.forest.arrays().items()}
        if self.classical is not None:
            arrays |= self.classical.arrays()
        if self.network is not None:
            state = self.network.state_dict()
            arrays |= {f"network.{name}": value.detach().cpu().numpy() for name, value in state.items()}
        return arrays


def _joined(first: Tensor, second: Tensor) -> Tensor:
    """Join two tensors along their channels."""
    import torch

    return torch.cat([first, second], dim=1)


def _batches(curves: NDArray[np.float32] | CurveField, size: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(curves), size):
        if isinstance(curves, CurveField):
            yield curves.gather(np.arange(start, min(start + size, len(curves))))
        else:
            yield np.ascontiguousarray(curves[start : start + size])
