"""One training on several devices or machines, by Lightning's strategies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import lightning
import torch

from thermo_qc.errors import ConfigError, TrainingError, choose
from thermo_qc.training.devices import accelerator_of

__all__ = ["STRATEGIES", "SharedBatches", "Spread", "current_spread", "spread_over"]

STRATEGIES = {
    "auto": "ddp_spawn on one machine, ddp on several",
    "ddp": "one process per device; the command is started again for each",
    "ddp_spawn": "one process per device, from this one",
    "ddp_fork": "the same by fork; not on Windows",
}


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Over what a training is spread.

    Every process takes its share of the batches of an epoch and gradients are averaged, so N processes train as one
    with batches N times as large; what does not make a whole round is left out.

    Parameters
    ----------
    devices : int
        Devices of each machine (processes, on a CPU).
    nodes : int
        Machines. Each runs the same command on a shared folder, with ``MASTER_ADDR``, ``MASTER_PORT`` and ``NODE_RANK``
        set, or under SLURM or torchrun; all but the first end once the network is trained.
    strategy : str
        One of `STRATEGIES`.

    Raises
    ------
    ConfigError
        When numbers or strategy are impossible.
    """

    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"

    def __post_init__(self) -> None:
        choose(STRATEGIES, self.strategy, "strategy")
        if self.devices < 1 or self.nodes < 1:
            raise ConfigError(f"{self.devices} devices on {self.nodes} machines, expected at least one of each")
        if self.nodes > 1 and self.name != "ddp":
            raise ConfigError(f"strategy {self.strategy} works on one machine; use ddp on {self.nodes}")

    @property
    def n_processes(self) -> int:
        """Processes that train together."""
        return self.devices * self.nodes

    @property
    def name(self) -> str:
        """Lightning's name of the strategy."""
        if self.strategy != "auto":
            return self.strategy
        return "ddp_spawn" if self.nodes == 1 else "ddp"

    def trainer_options(self, device: torch.device) -> dict[str, Any]:
        """Keywords of Lightning's Trainer.

        Raises
        ------
        ConfigError
            When a single device was named, or there are not so many.
        """
        if self.n_processes == 1:
            return accelerator_of(device)
        if device.index is not None:
            raise ConfigError(f"{device} is a single device, {self.devices} were wanted; name it cuda or leave it out")
        if device.type == "cuda" and torch.cuda.device_count() < self.devices:
            raise ConfigError(f"{self.devices} GPUs were wanted, {torch.cuda.device_count()} are here; lower --devices")
        if device.type not in ("cpu", "cuda"):
            raise ConfigError(f"several processes cannot share {device.type}; use cpu or cuda")
        accelerator = {"cpu": "cpu", "cuda": "gpu"}[device.type]
        options = {"devices": self.devices, "num_nodes": self.nodes, "strategy": self.name}
        return {"accelerator": accelerator, **options}


_alone = Spread()
_spread: ContextVar[Spread | None] = ContextVar("_spread", default=None)


def current_spread() -> Spread:
    """Over what trainings are spread here."""
    return _spread.get() or _alone


@contextmanager
def spread_over(*, devices: int = 1, nodes: int = 1, strategy: str = "auto") -> Iterator[Spread]:
    """Spread the trainings inside the block; parameters as of `Spread`."""
    spread = Spread(devices=devices, nodes=nodes, strategy=strategy)
    token = _spread.set(spread)
    try:
        yield spread
    finally:
        _spread.reset(token)


class SharedBatches(lightning.Callback):  # type: ignore[misc]
    """Gives every process its share of the batches, and all the same statistics to validate with.

    Parameters
    ----------
    loader : object with a list ``batches``
        Training batches; what a batch holds depends on its place in the epoch, not on who draws it.
    threads : int
        Threads of PyTorch in each process.
    """

    def __init__(self, loader: Any, threads: int) -> None:
        self.loader, self.threads = loader, threads

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Lightning's hook, in each process before the first batch."""
        del pl_module, stage
        number, whole = trainer.world_size, list(self.loader.batches)
        if len(whole) < number:
            raise TrainingError(
                f"an epoch has {len(whole)} batches for {number} processes; lower train.batch_size or give fewer "
                "devices"
            )
        self.loader.batches = whole[: len(whole) - len(whole) % number][trainer.global_rank :: number]
        if trainer.strategy.root_device.type == "cpu":
            torch.set_num_threads(self.threads)

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lightning's hook: the running statistics of the first process count, as in its checkpoints."""
        if trainer.world_size > 1:
            for buffer in pl_module.buffers():
                torch.distributed.broadcast(buffer, 0)
