"""Training of classical classifiers on labelled cases."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.config import ModelConfig, RepresentationConfig
from thermo_qc.errors import ConfigError, ModelError, TrainingError, choose, suggestion
from thermo_qc.models import TrainedModel, load_trained
from thermo_qc.models.classical import (
    FEATURES,
    Classical,
    Encoder,
    Features,
    check_classifier,
    fit_classifier,
    headless,
)
from thermo_qc.models.loading import without_pretraining
from thermo_qc.models.shelf import shipped_file
from thermo_qc.representation import AnyRepresentation, Representation
from thermo_qc.thermography import METHODS
from thermo_qc.training.datasets import Case

__all__ = ["fit_classical", "load_encoder", "portable_parameters"]

logger = logging.getLogger(__name__)

MODEL_FILE = "model.safetensors"
DEFAULT_MAPS = ("tsr", "ppt", "pct")


def fit_classical(
    model: ModelConfig,
    recipe: RepresentationConfig,
    cases: Sequence[Case],
    *,
    n_classes: int,
    seed: int,
    n_jobs: int,
    device: str,
) -> tuple[AnyRepresentation, Classical]:
    """Fit representation and classifier.

    Parameters
    ----------
    model : ModelConfig
        Name and parameters: `features` (curves, tsr, maps or encoder), `maps` (names of methods; the short list that a
        threshold chooses from), `encoder` (a model file) and the classifier's own.
    recipe : RepresentationConfig
        What curves and coefficients are made of; with `features: encoder` the encoder's own representation counts.
    cases : sequence of Case
        Labelled recordings.
    n_classes : int
        Classes with sound.
    seed : int
        Of all random numbers.
    n_jobs : int
        Threads of scikit-learn.
    device : str
        Where an encoder runs.

    Raises
    ------
    ConfigError, TrainingError, ModelError
        When options, samples or the encoder are wrong.
    """
    features, source, own = split_parameters(model)
    maps = _maps(features, own)
    check_classifier(model.name, own)
    if features == "encoder":
        representation, encoder = _encoder(load_encoder(source), source)
        seen = Features(kind=features, encoder=encoder)
    else:
        plain = Representation.from_config(recipe)
        seen = Features(kind=features, maps=maps)
        representation = (replace(plain, features=("tsr",)) if features == "tsr" else plain).fit(
            [case.sequence for case in cases],
            masks=[case.labelled for case in cases],
            sound_masks=[case.class_map == 0 for case in cases],
        )
    samples, labels = _samples(seen, representation, cases, device)
    classifier = fit_classifier(model.name, samples, labels, n_classes=n_classes, seed=seed, n_jobs=n_jobs, **own)
    return representation, Classical(features=seen, classifier=classifier)


def split_parameters(model: ModelConfig) -> tuple[str, str, dict[str, Any]]:
    """Divide the parameters into the kind of features, the encoder's file ("" for none) and the classifier's own.

    Raises
    ------
    ConfigError
        When features and encoder do not belong together.
    """
    own = dict(model.parameters)
    features, source = own.pop("features", "curves"), own.pop("encoder", None)
    if features not in FEATURES:
        raise ConfigError(f"model.parameters.features is {features!r}{suggestion(str(features), FEATURES)}")
    if (features == "encoder") != isinstance(source, str):
        raise ConfigError(
            f"model.parameters has features {features} and encoder {source!r}; features: encoder needs the path of a "
            "trained model as encoder, the other features none"
        )
    return features, source or "", own


def _maps(features: str, own: dict[str, Any]) -> tuple[str, ...]:
    """Take the methods of the maps out of the parameters.

    Raises
    ------
    ConfigError
        When methods are given for other features, or none for maps.
    """
    given = own.pop("maps", None)
    if features != "maps":
        if given is not None:
            raise ConfigError(f"model.parameters.maps is for features: maps; the features are {features}, leave it out")
        return ()
    names = tuple(DEFAULT_MAPS if given is None else given) if not isinstance(given, str) else ()
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"model.parameters.maps is {given!r}, expected a list of different methods: [tsr, pct]")
    for name in names:
        choose(METHODS, str(name), "map")
    return names


def load_encoder(source: str) -> TrainedModel:
    """Load the model whose network is to make the features: a file, the folder of a finished run, or one that ships.

    Raises
    ------
    ModelError
        When there is none, or it has no network.
    """
    path = shipped_file(source)
    model = load_trained(path / MODEL_FILE if path.is_dir() else path)
    if model.network is None:
        raise ModelError(
            f"model.parameters.encoder: {source} is a model of kind '{model.kind}', which has no network; name a curve "
            "or segmentation model"
        )
    return model


def portable_parameters(model: ModelConfig) -> dict[str, Any]:
    """Return the parameters with the encoder named by its content, wherever its file lies."""
    _, source, _ = split_parameters(model)
    named = {"encoder": f"sha256:{load_encoder(source).sha256}"} if source else {}
    return {**model.parameters, **named}


def _encoder(model: TrainedModel, source: str) -> tuple[AnyRepresentation, Encoder]:
    assert model.network is not None
    logger.info("features come from %s, which sees recordings by its own representation", source)
    network = headless(model.network, model.name).eval().requires_grad_(False)
    encoder = Encoder(
        kind=model.kind,
        name=model.name,
        parameters=without_pretraining(model.kind, model.parameters, network.state_dict()),
        n_classes=model.n_classes,
        network=network,
    )
    return model.representation, encoder


def _samples(
    features: Features, representation: AnyRepresentation, cases: Sequence[Case], device: str
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Features (N, F) and classes (N,) of the labelled pixels that show a signal."""
    samples: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.uint8]] = []
    for case in cases:
        pixels = np.flatnonzero(case.labelled & representation.visible(case.sequence))
        if not pixels.size:
            continue
        found = features.of(representation, case.sequence, pixels, device=device, sound_mask=case.class_map == 0)
        samples.append(np.concatenate(list(found)))
        labels.append(case.class_map.ravel()[pixels])
    if not samples:
        raise TrainingError("no labelled pixel shows a signal; check the masks and the recordings")
    joined, classes = np.concatenate(samples), np.concatenate(labels)
    whole = np.isfinite(joined).all(axis=1)
    if not whole.all():
        logger.warning("%d of %d labelled pixels have no features and are left out", (~whole).sum(), whole.size)
    return joined[whole], classes[whole]
