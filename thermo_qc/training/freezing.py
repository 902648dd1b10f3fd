"""What is trained when: layers frozen at first and unfrozen from the top in stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import lightning
from torch import nn

from thermo_qc.config.transfer import FreezingConfig
from thermo_qc.errors import ConfigError, UnknownNameError

__all__ = ["FreezePlan", "Stage", "Unfreezing", "layers_of", "plan_freezing", "planned"]

Unfreeze = float | Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """From an epoch on, these parameters are trained at this factor on the schedule's rate."""

    first_epoch: int
    trained: frozenset[str]
    learning_rate_factor: float = 1.0


@dataclass(frozen=True, kw_only=True)
class FreezePlan:
    """Stages of a training.

    Parameters
    ----------
    stages : tuple of Stage
        In the order of their epochs; the first begins with epoch 0.
    freeze_statistics : bool
        Whether batch normalisation uses its running statistics and leaves them as they are.
    statistics_epochs : int
        Epochs before that, in which it learns them.
    """

    stages: tuple[Stage, ...] = field(default=())
    freeze_statistics: bool = False
    statistics_epochs: int = 0

    def stage(self, epoch: int) -> Stage:
        """Return the stage of an epoch."""
        return [stage for stage in self.stages if stage.first_epoch <= epoch][-1]

    def rate_factor(self, epoch: int) -> float:
        """Return the factor on the schedule's learning rate in an epoch."""
        return self.stage(epoch).learning_rate_factor

    def apply(self, network: nn.Module, epoch: int) -> None:
        """Freeze and unfreeze a network in training for an epoch."""
        trained = self.stage(epoch).trained
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in trained)
        if self.freeze_statistics and epoch >= self.statistics_epochs:
            for module in network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()


class Unfreezing(lightning.Callback):  # type: ignore[misc]
    """Applies a plan at the start of every epoch, so that a resumed run trains what an undisturbed one would."""

    def __init__(self, plan: FreezePlan) -> None:
        self.plan = plan

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lightning's hook, before the first batch."""
        self.plan.apply(pl_module.network, trainer.current_epoch)


def layers_of(network: nn.Module, head: frozenset[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """List the layers that have parameters, from the bottom to the top.

    Parameters
    ----------
    network : Module
        The network.
    head : frozenset of str
        Tensors of the head, which is the top wherever it was defined.

    Returns
    -------
    tuple of (str, tuple of str)
        Name of each layer and of its parameters.
    """
    layers = []
    for name, module in network.named_modules():
        own = tuple(f"{name}.{key}".lstrip(".") for key, _ in module.named_parameters(recurse=False))
        if own:
            layers.append((name, own))
    return tuple(sorted(layers, key=lambda layer: any(key in head for key in layer[1])))


def plan_freezing(
    network: nn.Module,
    *,
    head: frozenset[str],
    freeze: str,
    epochs: int,
    stages: Sequence[tuple[int, Unfreeze, float]] = (),
    freeze_statistics: bool = False,
    statistics_epochs: int = 0,
    option: str = "train.transfer",
) -> FreezePlan:
    """Plan which parameters are trained in which epochs.

    Parameters
    ----------
    network : Module
        The network.
    head : frozenset of str
        Its tensors that depend on the classes, see `head_tensors`.
    freeze : {"none", "encoder", "all_but_head"}
        What is not trained at first. The encoder is what the network lists in `encoder_parts`, or its parts named so;
        a network without either is encoder below its head.
    epochs : int
        Epochs of the whole training.
    stages : sequence of (epochs, unfreeze, learning rate factor)
        The last epochs; `unfreeze` is the fraction of the layers from the top, or names of parts.
    freeze_statistics : bool
        See `FreezePlan`.
    statistics_epochs : int
        See `FreezePlan`.
    option : str
        Name of the section that asks for it, for messages.

    Returns
    -------
    FreezePlan

    Raises
    ------
    ConfigError
        When the stages leave no epoch before them.
    UnknownNameError
        When the network has no part of a name.
    """
    layers = layers_of(network, head)
    frozen = _frozen_layers(network, layers, freeze, head)
    trained = frozenset(key for name, keys in layers for key in keys if name not in frozen)
    first = epochs - sum(length for length, _, _ in stages)
    if first < 1:
        raise ConfigError(f"the stages of {option} take all {epochs} epochs; leave some for the part before them")
    plan = [Stage(first_epoch=0, trained=trained)]
    for length, unfreeze, factor in stages:
        trained = trained | _unfrozen(layers, unfreeze, option)
        plan.append(Stage(first_epoch=first, trained=trained, learning_rate_factor=factor))
        first += length
    return FreezePlan(stages=tuple(plan), freeze_statistics=freeze_statistics, statistics_epochs=statistics_epochs)


def planned(
    config: FreezingConfig, network: nn.Module, *, head: frozenset[str], epochs: int, option: str
) -> FreezePlan | None:
    """Plan what a configuration asks for, see `plan_freezing`; None where it keeps nothing."""
    if not config.keeps:
        return None
    return plan_freezing(
        network,
        head=head,
        freeze=config.freeze,
        epochs=epochs,
        stages=[(stage.epochs, stage.unfreeze, stage.learning_rate_factor) for stage in config.stages],
        freeze_statistics=config.batch_norm == "freeze_statistics",
        statistics_epochs=config.statistics_epochs,
        option=option,
    )


Layers = Sequence[tuple[str, tuple[str, ...]]]


def _frozen_layers(network: nn.Module, layers: Layers, freeze: str, head: frozenset[str]) -> set[str]:
    """Names of the layers that are not trained at first; never the head."""
    if freeze == "none":
        return set()
    below = {name for name, keys in layers if not any(key in head for key in keys)}
    parts = tuple(getattr(network, "encoder_parts", ()))
    encoder = {name for name in below if _of_encoder(name) or name.split(".")[0] in parts}
    return encoder if freeze == "encoder" and encoder else below


def _of_encoder(name: str) -> bool:
    """Whether a layer belongs to an encoder, or to the convolution that leads into one."""
    return any(part.endswith("encoder") or part == "adapter" for part in name.split("."))


def _unfrozen(layers: Layers, unfreeze: Unfreeze, option: str) -> frozenset[str]:
    if isinstance(unfreeze, int | float):
        number = math.ceil(unfreeze * len(layers))
        return frozenset(key for _, keys in layers[len(layers) - number :] for key in keys)
    chosen: set[str] = set()
    for part in unfreeze:
        found = [key for name, keys in layers if f".{part}." in f".{name}." for key in keys]
        if not found:
            known = ", ".join(dict.fromkeys(".".join(name.split(".")[:2]) for name, _ in layers))
            raise UnknownNameError(f"{option}.stages: the network has no part '{part}'; it has {known} and their parts")
        chosen.update(found)
    return frozenset(chosen)
