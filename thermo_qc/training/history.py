"""Callbacks of a run: random streams of each epoch, history, checkpoints, progress."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import lightning
import lightning.pytorch.callbacks
import numpy as np
import torch

from thermo_qc.errors import TrainingError
from thermo_qc.io import write_csv
from thermo_qc.training.module import CurveModule

__all__ = ["Checkpoints", "EpochStreams", "History", "ProgressCall", "read_history", "write_history"]


class HasEpoch(Protocol):
    """A loader whose draws depend on its epoch."""

    epoch: int


class EpochStreams(lightning.Callback):  # type: ignore[misc]
    """Gives every epoch its own random numbers, so that a resumed run draws what an undisturbed one would.

    Parameters
    ----------
    loader : HasEpoch
        Learns the epoch.
    seed : int
        Of the network's own random numbers (dropout).
    """

    def __init__(self, loader: HasEpoch, seed: int) -> None:
        self.loader, self.seed = loader, seed

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: CurveModule) -> None:
        """Lightning's hook, before the first batch is drawn."""
        del pl_module
        self.loader.epoch = trainer.current_epoch
        stream = np.random.SeedSequence([self.seed, trainer.current_epoch, 0x5EED])
        torch.manual_seed(int(stream.generate_state(1)[0]))


class History(lightning.Callback):  # type: ignore[misc]
    """Writes one row per epoch; stops a run whose loss is no number.

    Parameters
    ----------
    path : Path
        The CSV file; rewritten as a whole after each epoch, so that it is complete at any time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: CurveModule) -> None:
        """Lightning's hook, before checkpoints are written."""
        row = pl_module.epoch_figures()
        if trainer.world_size > 1:  # each process has seen its own batches
            own = torch.tensor(row["train_loss"], device=pl_module.device)
            row["train_loss"] = float(trainer.strategy.reduce(own, reduce_op="mean"))
        for name in ("train_loss", "validation_loss"):
            if not math.isfinite(row.get(name, 0.0)):
                raise TrainingError(
                    f"{name} is {row[name]} in epoch {int(row['epoch'])}: training has diverged at learning rate "
                    f"{row['learning_rate']:g}; lower train.optimiser.learning_rate, set train.gradient_clip (say 1.0) "
                    "or use train.precision 32-true"
                )
        pl_module.watched.append(row.get("validation_loss", row["train_loss"]))
        self.rows.append(row)
        if trainer.is_global_zero:
            write_history(self.path, self.rows)
        for logger in trainer.loggers:
            logger.log_metrics({name: value for name, value in row.items() if name != "epoch"}, step=int(row["epoch"]))

    def state_dict(self) -> dict[str, Any]:
        """Rows so far, for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of the epochs before the checkpoint."""
        self.rows = [dict(row) for row in state_dict["rows"]]


class Checkpoints(lightning.pytorch.callbacks.Checkpoint):  # type: ignore[misc]
    """Keeps the whole state of the last epoch and the weights of the best one.

    Lightning's own ModelCheckpoint writes the last epoch only when it is the best, and forgets its best figure when the
    folder has been moved.

    Parameters
    ----------
    folder : Path
        Gets ``last.ckpt`` and, where a figure is watched, ``best.ckpt``.
    watched : str, optional
        Name of the figure that the best epoch has lowest.
    """

    def __init__(self, folder: Path, watched: str | None) -> None:
        self.folder, self.watched, self.best = folder, watched, math.inf

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: CurveModule) -> None:
        """Lightning's hook, after all other callbacks."""
        del pl_module
        if self.watched is not None and float(trainer.callback_metrics[self.watched]) < self.best:
            self.best = float(trainer.callback_metrics[self.watched])
            trainer.save_checkpoint(self.folder / "best.ckpt", weights_only=True)
        trainer.save_checkpoint(self.folder / "last.ckpt")

    def state_dict(self) -> dict[str, Any]:
        """Lowest figure so far, for the checkpoint."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the lowest figure of the epochs before the checkpoint."""
        self.best = float(state_dict["best"])


class ProgressCall(lightning.Callback):  # type: ignore[misc]
    """Reports each finished epoch to a function of (epochs done, epochs, training loss)."""

    def __init__(self, report: Callable[[int, int, float], None], epochs: int) -> None:
        self.report, self.epochs = report, epochs

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: CurveModule) -> None:
        """Lightning's hook."""
        self.report(trainer.current_epoch + 1, self.epochs, pl_module.epoch_figures()["train_loss"])


def write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write the history table: one row per epoch, numbers in full precision, undefined ones empty."""
    table = [[int(value) if name == "epoch" else float(value) for name, value in row.items()] for row in rows]
    write_csv(path, list(rows[0]), table)


def read_history(path: Path) -> list[dict[str, float]]:
    """Read a history table; empty cells become NaN."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(cell) if cell else math.nan for name, cell in row.items()} for row in csv.DictReader(file)]
