"""Optimisers by name, and the L1 penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from thermo_qc.errors import choose
from thermo_qc.training.muon import Muon

__all__ = ["OPTIMISERS", "build_optimiser", "l1_penalty", "parameter_groups"]

Groups = list[dict[str, Any]]


def _sgd(groups: Groups, rate: float, momentum: float, nesterov: bool) -> Optimizer:
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=nesterov and momentum > 0)


def _adam(groups: Groups, rate: float, momentum: float, _nesterov: bool) -> Optimizer:
    return torch.optim.Adam(groups, lr=rate, betas=(momentum, 0.999))


def _adamw(groups: Groups, rate: float, momentum: float, _nesterov: bool) -> Optimizer:
    return torch.optim.AdamW(groups, lr=rate, betas=(momentum, 0.999))


def _rmsprop(groups: Groups, rate: float, momentum: float, _nesterov: bool) -> Optimizer:
    return torch.optim.RMSprop(groups, lr=rate, momentum=momentum)


def _adagrad(groups: Groups, rate: float, _momentum: float, _nesterov: bool) -> Optimizer:
    return torch.optim.Adagrad(groups, lr=rate)


def _adadelta(groups: Groups, rate: float, _momentum: float, _nesterov: bool) -> Optimizer:
    return torch.optim.Adadelta(groups, lr=rate)


def _muon(groups: Groups, rate: float, momentum: float, _nesterov: bool) -> Optimizer:
    return Muon(groups, lr=rate, momentum=momentum)


OPTIMISERS: dict[str, Callable[[Groups, float, float, bool], Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "muon": _muon,
}


def parameter_groups(network: nn.Module, weight_decay: float) -> Groups:
    """Split the trainable parameters: weights (two axes or more) decay, biases and normalisation do not."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trainable if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trainable if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_optimiser(
    name: str,
    network: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = True,
) -> Optimizer:
    """Build an optimiser for the trainable parameters of a network.

    Parameters
    ----------
    name : str
        A name of `OPTIMISERS`.
    network : Module
        The network.
    learning_rate : float
        Base learning rate.
    weight_decay : float
        L2 penalty of the weights (decoupled for adamw); biases and normalisation parameters do not decay.
    momentum : float
        Momentum of sgd, rmsprop and muon, first moment's decay (beta 1) of adam and adamw; adagrad and adadelta have
        none.
    nesterov : bool
        Nesterov's momentum, for sgd with a momentum.

    Raises
    ------
    UnknownNameError
        When the name is not in `OPTIMISERS`.
    """
    build = choose(OPTIMISERS, name, "optimiser")
    return build(parameter_groups(network, weight_decay), learning_rate, momentum, nesterov)


def l1_penalty(network: nn.Module) -> Tensor:
    """Sum of the absolute values of the trainable weights (parameters of two axes or more)."""
    sums = [
        parameter.abs().sum() for parameter in network.parameters() if parameter.requires_grad and parameter.ndim > 1
    ]
    return torch.stack(sums).sum() if sums else torch.zeros(())
