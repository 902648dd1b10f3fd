"""An earlier model as the start of a training: its weights, its representation, a new head where classes differ."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from thermo_qc.errors import ModelError
from thermo_qc.models import TrainedModel, load_trained
from thermo_qc.representation import AnyRepresentation, PhysicalRepresentation, Representation

__all__ = ["checked_start", "fill_corpus_network", "fill_from", "head_tensors", "load_start", "started_representation"]

logger = logging.getLogger(__name__)

MODEL_FILE = "model.safetensors"


def load_start(path: Path | str) -> TrainedModel:
    """Load the model that a training is to start from.

    Parameters
    ----------
    path : Path
        A model file, or the folder of a finished ``train`` or ``finetune`` run.

    Returns
    -------
    TrainedModel

    Raises
    ------
    ModelError
        When there is no model, it is damaged, or it has no weights that training could go on with.
    """
    path = Path(path)
    if path.is_dir() and not (path / MODEL_FILE).is_file():
        raise ModelError(
            f"train.transfer.from: {path} holds no {MODEL_FILE}; name a model file or the folder of a train run (of a "
            "cv run one of its folds, such as fold_0)"
        )
    return checked_start(load_trained(path / MODEL_FILE if path.is_dir() else path), str(path))


def checked_start(model: TrainedModel, name: str) -> TrainedModel:
    """Return the model, refused with `ModelError` where it has no network."""
    if model.network is None:
        raise ModelError(
            f"{name} is a model of kind '{model.kind}', which cannot be trained further; start from a network or train "
            "it anew on all recordings"
        )
    return model


def started_representation(start: TrainedModel, fresh: Representation) -> AnyRepresentation | None:
    """Return the start's representation with its scales where the recipe is the same, else None (said in the log)."""
    if isinstance(start.representation, PhysicalRepresentation):
        logger.warning("the physical representation of the model that training starts from takes the place of the own")
        return start.representation
    if start.representation.to_metadata() == fresh.to_metadata():
        return start.representation
    logger.warning(
        "the representation differs from that of the model that training starts from: its scales are fitted anew on "
        "the training cases"
    )
    return None


def fill_corpus_network(network: nn.Module, start: TrainedModel, representation: PhysicalRepresentation) -> None:
    """Fill a network that is to be trained on a corpus with the weights of an earlier model.

    Parameters
    ----------
    network : Module
        Changed in place.
    start : TrainedModel
        The earlier model, with the same network and the same number of bins. It may have seen less of the surroundings
        of a pixel, and have had no use for the facts: what it did not see starts with a weight of 0, so that training
        goes on from the same outputs.
    representation : PhysicalRepresentation
        What the network will see; another one than that of the earlier model is said in the log.

    Raises
    ------
    ModelError
        When the weights belong to another network.
    """
    checked_start(start, "start_from")
    if start.representation.to_metadata() != representation.to_metadata():
        logger.warning("the model that training starts from saw another representation of its recordings")
    growing = frozenset(getattr(network, "growing_parts", ()))
    seen, wanted = (tuple(getattr(one, "surroundings", ())) for one in (start.network, network))
    if seen != wanted[: len(seen)] and _alike(start.network, network, growing):
        raise ModelError(
            f"start_from: the model '{start.name}' saw the surroundings {list(seen)}, this one sees {list(wanted)}; "
            "name those of the model first, in their order"
        )
    fill_from(
        start,
        network,
        head=frozenset(),
        class_names=start.class_names,
        option="start_from",
        growing=growing,
        added=tuple(getattr(network, "added_parts", ())),
    )


def head_tensors(network: nn.Module, build: Callable[[int], nn.Module], n_classes: int) -> frozenset[str]:
    """Name the tensors of a network whose shape depends on the number of classes.

    Parameters
    ----------
    network : Module
        Built for `n_classes`.
    build : callable
        Number of classes -> the same network with fresh weights.
    n_classes : int
        Classes with sound.

    Returns
    -------
    frozenset of str
        Keys of the state dictionary.
    """
    wider = build(n_classes + 1).state_dict()
    own = network.state_dict()
    return frozenset(name for name, value in own.items() if name not in wider or wider[name].shape != value.shape)


def fill_from(
    start: TrainedModel,
    network: nn.Module,
    *,
    head: frozenset[str],
    class_names: Sequence[str],
    option: str = "train.transfer.from",
    growing: frozenset[str] = frozenset(),
    added: tuple[str, ...] = (),
) -> None:
    """Fill a fresh network with the weights of an earlier model; the head stays fresh where the classes differ.

    Parameters
    ----------
    start : TrainedModel
        The earlier model.
    network : Module
        Changed in place.
    head : frozenset of str
        From `head_tensors`.
    class_names : sequence of str
        Classes of the new model.
    option : str
        What named the earlier model, for the message.
    growing : frozenset of str
        Tensors that may read more than those of the earlier model: what comes after its own inputs has weight 0.
    added : tuple of str
        How the names of tensors begin that an earlier model may lack all of: they stay fresh.

    Raises
    ------
    ModelError
        When the weights belong to another architecture.
    """
    assert start.network is not None
    given, own = start.network.state_dict(), network.state_dict()
    given.update({name: _grown(given[name], own[name]) for name in growing & set(given) & set(own)})
    fresh_head = tuple(start.class_names) != tuple(class_names)
    kept = head if fresh_head else frozenset()
    if not any(name.startswith(added) for name in given):
        kept |= {name for name in own if name.startswith(added)}
    wrong = sorted((set(own) ^ set(given)) - kept)
    wrong += [name for name in own if name in given and name not in kept and own[name].shape != given[name].shape]
    if wrong:
        raise ModelError(
            f"{option}: the weights of a {start.kind} model '{start.name}' do not fit this network "
            f"({len(wrong)} tensors differ, the first is {wrong[0]}); give model and representation as that model has "
            "them"
        )
    if fresh_head:
        logger.warning(
            "the model that training starts from knows the classes %s, this one %s: the head is made anew",
            ", ".join(start.class_names),
            ", ".join(class_names),
        )
    chosen = {name: value for name, value in given.items() if name not in kept}
    with torch.no_grad():
        network.load_state_dict({**own, **chosen})


def _alike(one: nn.Module | None, other: nn.Module, but: frozenset[str]) -> bool:
    """Whether two networks have tensors of the same names and shapes, but for some of them."""
    shapes = [
        {name: value.shape for name, value in network.state_dict().items() if name not in but}
        for network in (one, other)
        if network is not None
    ]
    return len(shapes) == 2 and shapes[0] == shapes[1]


def _grown(given: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Weights (F, N, ...) with zeros for the further inputs that `own` reads; as given where they differ otherwise."""
    more = own.shape[1] - given.shape[1] if own.ndim == given.ndim > 1 else 0
    if more <= 0:
        return given
    return torch.cat([given, given.new_zeros((len(given), more, *given.shape[2:]))], dim=1)
