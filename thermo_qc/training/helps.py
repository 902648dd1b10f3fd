"""Callbacks that help a training: the mean of the last epochs' weights; noise on the gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from thermo_qc.models.pixelwise import PixelCurves
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["GradientNoise", "WeightAverage", "take_average"]


class WeightAverage(lightning.Callback):  # type: ignore[misc]
    """Mean of the weights after every epoch from a first one on (stochastic weight averaging).

    Parameters
    ----------
    first_epoch : int
        First epoch that counts, from 0.
    statistics : bool
        Whether batch normalisation learns its statistics anew for the mean.

    Attributes
    ----------
    number : int
        Epochs so far.
    weights : dict of str to Tensor
        Mean of every parameter.

    References
    ----------
    Izmailov, P., Podoprikhin, D., Garipov, T., Vetrov, D., Wilson, A. G. (2018). Averaging weights leads to wider
    optima and better generalization. UAI. https://doi.org/10.48550/arXiv.1803.05407
    """

    def __init__(self, first_epoch: int, *, statistics: bool = True) -> None:
        self.first_epoch, self.statistics, self.number = first_epoch, statistics, 0
        self.weights: dict[str, Tensor] = {}

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lightning's hook, before checkpoints are written."""
        if trainer.current_epoch < self.first_epoch:
            return
        self.number += 1
        for name, parameter in pl_module.network.named_parameters():
            value = parameter.detach()
            mean = self.weights.get(name)
            if mean is None:
                self.weights[name] = value.clone()
            else:
                mean = mean.to(value.device)
                self.weights[name] = mean + (value - mean) / self.number

    def state_dict(self) -> dict[str, Any]:
        """Mean so far, for the checkpoint."""
        return {"number": self.number, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the mean of the epochs before the checkpoint."""
        self.number, self.weights = int(state_dict["number"]), dict(state_dict["weights"])


def take_average(network: nn.Module, weights: Mapping[str, Tensor], loader: Any, *, statistics: bool) -> None:
    """Put averaged weights into a network and let batch normalisation learn its statistics for them.

    Parameters
    ----------
    network : Module
        Changed in place.
    weights : mapping of str to Tensor
        Mean of every parameter.
    loader : iterable of batches
        Training batches; the statistics are those of one pass over it.
    statistics : bool
        Whether the statistics are learnt anew.
    """
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(weights[name])
    if not statistics:
        return
    if isinstance(network, PixelCurves):  # as in training: the pixels that count
        update_bn(((_with_wanted(*batch),) for batch in loader), _OfPair(network))
    else:
        update_bn(loader, network)


def _with_wanted(stacks: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return stacks, (targets[:, 0] if targets.ndim == 4 else targets) != IGNORE_LABEL


class _OfPair(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        outputs: Tensor = self.network(*pair)
        return outputs


@dataclass(frozen=True, kw_only=True)
class GradientNoise:
    """Gaussian noise on gradients whose variance falls with the steps: eta / (1 + step)^gamma.

    References
    ----------
    Neelakantan, A., Vilnis, L., Le, Q. V., Sutskever, I., Kaiser, L., Kurach, K., Martens, J. (2015). Adding gradient
    noise improves learning for very deep networks. https://doi.org/10.48550/arXiv.1511.06807
    """

    eta: float
    gamma: float

    def deviation(self, step: int) -> float:
        """Return the standard deviation at a step, from 0."""
        return math.sqrt(self.eta / (1.0 + step) ** self.gamma)

    def add(self, network: nn.Module, step: int) -> None:
        """Add noise to every gradient of a network, from PyTorch's own stream."""
        deviation = self.deviation(step)
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter.grad.add_(torch.randn_like(parameter.grad), alpha=deviation)
