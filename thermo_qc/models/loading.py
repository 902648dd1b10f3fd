"""A model file becomes a `TrainedModel` again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError, ModelError, ThermoQCError, choose
from thermo_qc.models.classical import Classical, Encoder, Features, headless, load_classifier
from thermo_qc.models.forest import Forest
from thermo_qc.models.parameters import check_names
from thermo_qc.models.storage import read_model_file
from thermo_qc.models.trained import KINDS, TrainedModel
from thermo_qc.representation import AnyRepresentation, load_representation

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build_network", "load_trained"]

DENSE_NETWORKS = ("curve_unet", "pixel_curves")
_GIVEN = ("in_channels", "n_classes")


def build_network(
    kind: str, name: str, *, representation: AnyRepresentation, n_classes: int, parameters: Mapping[str, Any]
) -> nn.Module:
    """Build the network of a model with fresh weights (or those that `parameters` ask for).

    Parameters
    ----------
    kind : {"curve", "segmentation"}
        Kind of model.
    name : str
        Its name.
    representation : Representation
        Gives the number of steps and channels.
    n_classes : int
        Classes with sound.
    parameters : mapping
        The network's own parameters.

    Returns
    -------
    torch.nn.Module
    """
    own = dict(parameters)
    with_depth = own.pop("depth_head", False)
    if with_depth and kind != "segmentation":
        raise ConfigError(
            f"model.parameters.depth_head is for networks on stacks, this model is of kind '{kind}'; leave it out, or "
            "train pixel_curves on a corpus, which states the depth of every pixel's curve"
        )
    if with_depth:
        n_classes += 2  # mean and log variance of the logarithmic depth
    if kind == "segmentation" and name in DENSE_NETWORKS:
        own.pop("encoder_weights", None)
        return build_dense(name, in_channels=representation.n_stack_channels, n_classes=n_classes, **own)
    if kind == "segmentation":
        from thermo_qc.models.segmenter import build_segmenter

        return build_segmenter(name, in_channels=representation.n_stack_channels, n_classes=n_classes, **own)
    from thermo_qc.models.curve import build_curve_network

    return build_curve_network(
        name,
        n_steps=representation.n_steps,
        n_channels=representation.n_curve_channels,
        n_classes=n_classes,
        **own,
    )


def without_pretraining(kind: str, parameters: Mapping[str, Any], tensors: Iterable[str]) -> dict[str, Any]:
    """Return the parameters that build a network again whose weights are at hand.

    Parameters
    ----------
    kind : {"curve", "segmentation"}
        What the network sees.
    parameters : mapping
        Those that it was built with.
    tensors : iterable of str
        Names of its weights; an adapter before a pretrained encoder stands among them.
    """
    own = dict(parameters)
    if kind == "segmentation":
        own["encoder_weights"] = "none"
        if any(name.startswith("adapter.") for name in tensors):
            own["adapter"] = True
    return own


def check_pretrained(parameters: Mapping[str, Any]) -> None:
    """Make sure that the encoder weights which a segmenter's parameters ask for can be had, before long work begins.

    Parameters
    ----------
    parameters : mapping
        Of `build_segmenter`.

    Raises
    ------
    UnknownNameError
        When there is no such encoder.
    ModelError
        When the file is missing, broken or hostile, or the weights cannot be fetched.
    """
    weights = parameters.get("encoder_weights", "none")
    if weights != "none":
        from thermo_qc.models.encoder_weights import DEFAULT_ENCODER, read_encoder_weights
        from thermo_qc.models.segmenter import check_encoder

        encoder = parameters.get("encoder", DEFAULT_ENCODER)
        check_encoder(encoder)
        read_encoder_weights(encoder, str(weights))


def build_dense(name: str, *, in_channels: int, n_classes: int, **parameters: Any) -> nn.Module:
    """Build a network of our own that reads curves and images together."""
    from thermo_qc.models.hybrid import CurveUNet
    from thermo_qc.models.pixelwise import PixelCurves

    known: dict[str, Any] = {"curve_unet": CurveUNet, "pixel_curves": PixelCurves}
    chosen = choose(known, name, "network")
    check_names(f"network '{name}'", parameters, [own for own in signature(chosen).parameters if own not in _GIVEN])
    network: Any = chosen(in_channels, n_classes, **parameters)
    network.build_parameters = parameters
    built: nn.Module = network
    return built


def load_trained(path: Path | str) -> TrainedModel:
    """Load a model that `TrainedModel.save` wrote; nothing in the file is executed and nothing is downloaded.

    Parameters
    ----------
    path : Path
        The model file.

    Returns
    -------
    TrainedModel

    Raises
    ------
    ModelError
        When the file is missing, no model, damaged, from a newer version, or its parts do not belong together.
    """
    path = Path(path)
    description, arrays, _ = read_model_file(path)
    try:
        return _assemble(description, arrays)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except (ThermoQCError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: the description of the model is broken ({error}); train the model again") from error


def _assemble(description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> TrainedModel:
    groups = {name: _group(arrays, name) for name in ("representation", "forest", "network", "classifier", "encoder")}
    if sum(map(len, groups.values())) != len(arrays):
        raise ModelError("the file holds arrays that belong to no part of a model; train the model again")
    representation = load_representation(description["representation"], groups["representation"])
    names, kind = tuple(map(str, description["class_names"])), description["kind"]
    network = forest = classical = None
    if kind == "forest":
        width = representation.n_steps * representation.n_curve_channels
        forest = Forest.from_arrays(groups["forest"], n_features=width)
        if forest.n_classes != len(names):
            raise ModelError(f"the forest knows {forest.n_classes} classes, the model names {len(names)}")
    elif kind == "classical":
        classical = _classical(description, groups["classifier"], groups["encoder"], representation, len(names))
    elif kind in KINDS:
        parameters = without_pretraining(kind, description["parameters"], groups["network"])
        network = _filled(
            partial(
                build_network,
                kind,
                description["name"],
                representation=representation,
                n_classes=len(names),
                parameters=parameters,
            ),
            groups["network"],
        )
    return TrainedModel(
        kind=kind,
        name=description["name"],
        representation=representation,
        class_names=names,
        class_depths_mm=tuple(math.nan if depth is None else float(depth) for depth in description["class_depths_mm"]),
        network=network,
        forest=forest,
        classical=classical,
        parameters=dict(description["parameters"]),
        metadata=dict(description["metadata"]),
    )


def _classical(
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[Any]],
    representation: AnyRepresentation,
    n_classes: int,
) -> Classical:
    about, encoder = description["classical"], None
    if about["encoder"] is not None:
        made = dict(about["encoder"])
        if made["kind"] not in {"curve", "segmentation"}:
            raise ModelError(f"the encoder is of kind '{made['kind']}', which has no network; train the model again")

        def headed() -> nn.Module:
            return headless(
                build_network(
                    made["kind"],
                    made["name"],
                    representation=representation,
                    n_classes=int(made["n_classes"]),
                    parameters=without_pretraining(made["kind"], made["parameters"], weights),
                ),
                made["name"],
            )

        encoder = Encoder(**made, network=_filled(headed, weights))
    features = Features(kind=about["features"], encoder=encoder, maps=tuple(about.get("maps", ())))
    n_features = int(about["n_features"])
    if features.n_features(representation) not in {None, n_features}:
        raise ModelError(
            f"the classifier decides on {n_features} features, its representation gives "
            f"{features.n_features(representation)}; train the model again"
        )
    classifier = load_classifier(description["name"], arrays, n_features=n_features, n_classes=n_classes)
    return Classical(features=features, classifier=classifier)


def _filled(build: Callable[[], nn.Module], arrays: Mapping[str, NDArray[Any]]) -> nn.Module:
    """Build a network and give it its weights; one that is larger than the file is refused before it takes memory."""
    import torch

    network: nn.Module | None = None
    try:
        with torch.device("meta"):  # where tensors have shapes and no values
            own = build().state_dict()
    except Exception:  # some encoders look at values while they are built
        network = build()
        own = network.state_dict()
    wrong = sorted(set(own) ^ set(arrays)) or [name for name in own if tuple(own[name].shape) != arrays[name].shape]
    if wrong:
        raise ModelError(
            f"the weights belong to another network ({len(wrong)} tensors differ, the first is {wrong[0]}); "
            "train the model again"
        )
    network = network or build()
    network.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in arrays.items()})
    return network.eval()


def _group(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    start = f"{prefix}."
    return {name.removeprefix(start): values for name, values in arrays.items() if name.startswith(start)}
