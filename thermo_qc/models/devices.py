"""Devices that a network runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from thermo_qc.errors import ConfigError
from thermo_qc.models.memory import kept_memory

__all__ = ["evaluating", "to_device"]


def to_device(name: str) -> torch.device:
    """Return the device called `name`.

    Parameters
    ----------
    name : str
        "cpu", "cuda", "cuda:1", "mps", or "auto": an accelerator where there is one, else the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    ConfigError
        When this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type == "meta":
            raise RuntimeError("it holds no values")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = next(iter(str(error).splitlines()), "unknown")
        raise ConfigError(f"device '{name}' cannot be used here ({reason}); take cpu") from None
    return device


@contextmanager
def evaluating(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Bring the network to a device in evaluation mode, and back to its mode and the CPU afterwards."""
    training = network.training
    network.to(device).eval()
    try:
        with kept_memory():
            yield
    finally:
        network.train(training)
        if device.type != "cpu":
            network.to("cpu")
