"""From a model to the experiment that trains it further: what stays, what changes, what may be set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from thermo_qc.config import CorpusTrainConfig, ExperimentConfig, RepresentationConfig, TrainConfig, parse_config
from thermo_qc.config.yaml_text import apply_override
from thermo_qc.errors import ConfigError, ThermoQCError
from thermo_qc.models import TrainedModel
from thermo_qc.representation import PhysicalRepresentation

__all__ = ["EPOCHS", "RATE_FACTOR", "finetuning_experiment"]

log = logging.getLogger(__name__)

EPOCHS = 20
RATE_FACTOR = 0.1  # on the learning rate that the model was trained with
_MAY_BE_SET = ("train", "name", "seed", "folds")
_ANEW: dict[str, Any] = {
    "samples_per_epoch": None,
    "validation_fraction": 0.0,
    "early_stopping_epochs": None,
    "averaging": None,
    "curriculum": None,
    "calibrate": "none",
}


def finetuning_experiment(
    model: TrainedModel,
    *,
    source: str,
    name: str,
    epochs: int | None = None,
    freeze: str | None = None,
    learning_rate: float | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
) -> ExperimentConfig:
    """Build the experiment of a fine-tuning.

    Losses, batches, augmentation, optimiser (AdamW after a training on a corpus) and whether statistics of batch
    normalisation go on learning are those that the model was trained with; its learning rate is a tenth of that, its
    schedule is stretched over the new epochs.

    Parameters
    ----------
    model : TrainedModel
        The model to start from.
    source : str
        Where it lies, for the record.
    name : str
        Name of the run.
    epochs : int, optional
        Epochs (20).
    freeze : {"none", "encoder", "all_but_head"}, optional
        As in `thermo_qc.config.TransferConfig`.
    learning_rate : float, optional
        Instead of a tenth of the model's.
    overrides : sequence of str
        ``train.key=value``; they count last.
    seed : int, optional
        Of all random numbers (0).

    Returns
    -------
    ExperimentConfig

    Raises
    ------
    ConfigError
        When an override reaches for what belongs to the model, or a value is wrong.
    """
    earlier = model.metadata.get("experiment")
    earlier = earlier if isinstance(earlier, dict) else {}
    if isinstance(model.representation, PhysicalRepresentation) and not isinstance(earlier.get("train"), dict):
        earlier = {"corpus": "", "train": CorpusTrainConfig().model_dump(mode="json")}
    train = _train_of(earlier)
    rate = RATE_FACTOR * float(train["optimiser"]["learning_rate"]) if learning_rate is None else learning_rate
    content: dict[str, Any] = {
        "name": name,
        "seed": 0 if seed is None else seed,
        "data": {"class_scheme": str(model.metadata.get("scheme_name") or "binary")},
        "model": {"kind": model.kind, "name": model.name, "parameters": dict(model.parameters)},
        "train": {
            **train,
            **_ANEW,
            "epochs": EPOCHS if epochs is None else epochs,
            "optimiser": {**train["optimiser"], "learning_rate": rate},
            "transfer": {"from": source, "freeze": freeze or "none", "batch_norm": train["transfer"]["batch_norm"]},
        },
    }
    recipe = earlier.get("representation")
    if isinstance(recipe, dict) and set(recipe) <= set(RepresentationConfig.model_fields):
        content["representation"] = recipe
    for override in overrides:
        section = override.partition("=")[0].split(".")[0].strip()
        if section not in _MAY_BE_SET or override.strip().startswith("train.transfer.from"):
            raise ConfigError(
                f"--set {override}: representation, classes and network belong to the model that is fine-tuned; set "
                "keys under train, or train a new model"
            )
        apply_override(content, override)
    origin = "fine-tuning" + (f" with --set {' '.join(overrides)}" if overrides else "")
    return parse_config(ExperimentConfig, content, origin)


def _train_of(earlier: dict[str, Any]) -> dict[str, Any]:
    """Training section that a model was made with; the defaults where it names none that is understood."""
    given = earlier.get("train")
    given = dict(given) if isinstance(given, dict) else {}
    if "corpus" in earlier:
        given = _of_corpus_training(given)
    try:
        found = parse_config(TrainConfig, given, "the model's own training")
    except ThermoQCError as error:
        log.warning("the settings that the model was trained with cannot be read (%s); the defaults are used", error)
        found = TrainConfig()
    return found.model_dump(mode="json")


def _of_corpus_training(given: dict[str, Any]) -> dict[str, Any]:
    """Put the settings of a training on a corpus into the words of a training on recordings."""
    names = ("learning_rate", "weight_decay")
    terms: list[dict[str, Any]] = [{"class_weights": [1.0, float(given.get("defect_weight", 1.0))]}]
    if given.get("dice"):
        terms.append({"name": "dice", "weight": given["dice"]})
    same = ("batch_size", "crop_px", "gradient_clip")  # how fast bfloat16 is depends on the machine at hand
    kept: dict[str, Any] = {name: given[name] for name in same if name in given}
    if isinstance(freezing := given.get("freezing"), dict) and "batch_norm" in freezing:
        kept["transfer"] = {"batch_norm": freezing["batch_norm"]}
    return {**kept, "losses": terms, "optimiser": {name: given[name] for name in names if name in given}}
