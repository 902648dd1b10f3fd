"""Lightning's Trainer, set up for small models and exact resumption."""

from __future__ import annotations

import logging
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import EarlyStopping, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from thermo_qc.errors import ConfigError, TrainingError
from thermo_qc.io.files import atomic_path
from thermo_qc.models.memory import kept_memory
from thermo_qc.training.devices import quiet_lightning
from thermo_qc.training.freezing import Unfreezing
from thermo_qc.training.helps import WeightAverage, take_average
from thermo_qc.training.history import Checkpoints, EpochStreams, History, ProgressCall, write_history
from thermo_qc.training.module import CurveModule
from thermo_qc.training.spread import SharedBatches, Spread, current_spread

__all__ = ["AtomicCheckpointIO", "fit_network", "read_checkpoint"]

logger = logging.getLogger(__name__)

Progress = bool | Callable[[int, int, float], None]
_WATCHED = "validation_loss"
_FROM_PROCESSES = ".temp.ckpt"  # weights on their way back from processes that Lightning has started


class AtomicCheckpointIO(TorchCheckpointIO):  # type: ignore[misc]
    """Checkpoints that are whole or not there, and that are read without executing code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write beside the target and rename."""
        del storage_options
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Read tensors and plain values only, whatever is asked for."""
        del weights_only
        if Path(path).name == _FROM_PROCESSES:
            return dict(torch.load(path, map_location=map_location or "cpu", weights_only=True))
        return read_checkpoint(Path(path), map_location=map_location)


class EpochBar(TQDMProgressBar):  # type: ignore[misc]
    """Lightning's progress bar with the last epoch's watched loss."""

    def get_metrics(self, _trainer: lightning.Trainer, pl_module: CurveModule) -> dict[str, str]:
        """Text behind the bar."""
        return {"loss": f"{pl_module.watched[-1]:.4g}"} if pl_module.watched else {}


def read_checkpoint(path: Path, *, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint without executing code.

    Raises
    ------
    TrainingError
        When the file cannot be read as a checkpoint of this program.
    """
    try:
        checkpoint = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        if not isinstance(checkpoint, dict) or "signature" not in checkpoint.get("thermo_qc", {}):
            raise ValueError("it was not written by thermo_qc")
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TrainingError(
            f"checkpoint {path} cannot be read: {reason}; delete it or train with resume=False"
        ) from error
    return checkpoint


def fit_network(
    module: CurveModule,
    loader: Any,
    validation: Any,
    *,
    folder: Path,
    epochs: int,
    seed: int,
    device: torch.device,
    precision: str = "32-true",
    gradient_clip: float | None = None,
    early_stopping_epochs: int | None = None,
    callbacks: Sequence[lightning.Callback] = (),
    progress: Progress = False,
) -> nn.Module:
    """Train a network, or continue from the folder's last checkpoint, and return it with its best weights.

    Parameters
    ----------
    module : CurveModule
        Network, loss and optimiser.
    loader : iterable of batches with an attribute `epoch`
        Training batches.
    validation : iterable of batches or None
        Validation batches; with them the weights of the lowest validation loss are returned, else the last ones.
    folder : Path
        Gets ``history.csv``, ``checkpoints/`` and ``tensorboard/``.
    epochs : int
        Epochs at most.
    seed : int
        Of the epochs' random streams.
    device : torch.device
        Where to train.
    precision : {"32-true", "bf16-mixed", "16-mixed"}
        Number format; "16-mixed" needs a GPU.
    gradient_clip : float, optional
        Largest norm of the gradient.
    early_stopping_epochs : int, optional
        Stop after so many epochs without a lower validation loss.
    callbacks : sequence of lightning.Callback
        Helps; the mean of a `WeightAverage` among them is returned instead of the best weights.
    progress : bool or callable
        Show Lightning's progress bar, or call with (epochs done, epochs, training loss).

    Raises
    ------
    ConfigError
        When early stopping has nothing to watch, or the precision does not exist on the device.
    TrainingError
        When the checkpoint belongs to another experiment, or the loss is no longer a number.
    """
    _check(validation, device, precision, early_stopping_epochs)
    spread = current_spread()
    batches = loader.batches
    last = folder / "checkpoints" / "last.ckpt"
    earlier = _earlier(last, module.signature)
    history = History(folder / "history.csv")
    if earlier is None or not _has_ended(earlier, epochs, history):
        used = [EpochStreams(loader, seed), *callbacks, history]
        used += [*_callbacks(folder, validation, early_stopping_epochs), *_progress(progress, epochs)]
        if spread.n_processes > 1:
            used = [*_sharing(spread, loader, callbacks), *(one for one in used if not isinstance(one, ProgressCall))]
        with quiet_lightning(), kept_memory():
            trainer = lightning.Trainer(
                **spread.trainer_options(device),
                max_epochs=epochs,
                precision=precision,
                gradient_clip_val=gradient_clip,
                callbacks=used,
                plugins=[AtomicCheckpointIO()],
                logger=TensorBoardLogger(str(folder), name="tensorboard", version=""),
                default_root_dir=str(folder),
                deterministic="warn" if device.type == "cuda" else False,
                enable_progress_bar=progress is True,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                log_every_n_steps=max(1, len(loader)),
                use_distributed_sampler=False,
            )
            _run(trainer, module, loader, validation, None if earlier is None else last)
        loader.batches = batches
        if trainer.global_rank > 0:
            raise SystemExit(0)  # the first machine goes on with what they trained together
    network = _best(module, folder / "checkpoints", validated=validation is not None)
    for callback in callbacks:
        if isinstance(callback, WeightAverage):
            _averaged(network, callback, read_checkpoint(last)["callbacks"][callback.state_key], loader, seed, epochs)
    return network


def _check(validation: Any, device: torch.device, precision: str, early_stopping_epochs: int | None) -> None:
    if early_stopping_epochs is not None and validation is None:
        raise ConfigError(
            f"train.early_stopping_epochs is {early_stopping_epochs}, but there is no validation loss to watch; set "
            "train.validation_fraction (0.2, say), give validation cases, or leave it out"
        )
    if precision == "16-mixed" and device.type == "cpu":
        raise ConfigError("train.precision is 16-mixed, which needs a GPU; use 32-true or bf16-mixed on the CPU")


def _earlier(last: Path, signature: str) -> dict[str, Any] | None:
    if not last.is_file():
        return None
    checkpoint = read_checkpoint(last)
    if checkpoint["thermo_qc"]["signature"] != signature:
        raise TrainingError(
            f"{last} belongs to another experiment (other settings, labels or recordings); train into another folder "
            "or with resume=False"
        )
    return checkpoint


def _has_ended(checkpoint: dict[str, Any], epochs: int, history: History) -> bool:
    """Whether the run behind a checkpoint was over; its history is written again then."""
    states = checkpoint["callbacks"]
    stopped = any(s["wait_count"] >= s["patience"] for name, s in states.items() if name.startswith("EarlyStopping"))
    ended = bool(stopped or checkpoint["epoch"] + 1 >= epochs)
    if ended:
        history.load_state_dict(states[history.state_key])
        write_history(history.path, history.rows)
    return ended


def _callbacks(folder: Path, validation: Any, early_stopping_epochs: int | None) -> list[Any]:
    keep = Checkpoints(folder / "checkpoints", None if validation is None else _WATCHED)
    if early_stopping_epochs is None:
        return [keep]
    stop = EarlyStopping(_WATCHED, patience=early_stopping_epochs, check_finite=False, check_on_train_epoch_end=True)
    return [stop, keep]


def _sharing(spread: Spread, loader: Any, callbacks: Sequence[lightning.Callback]) -> list[Any]:
    if any(isinstance(one, Unfreezing) for one in callbacks):
        raise ConfigError(
            "layers or statistics are frozen, which processes that train together cannot follow; use a single device"
        )
    return [SharedBatches(loader, max(1, torch.get_num_threads() // spread.devices))]


def _progress(progress: Progress, epochs: int) -> list[Any]:
    if callable(progress):
        return [ProgressCall(progress, epochs)]
    return [EpochBar(refresh_rate=10)] if progress else []


def _run(trainer: lightning.Trainer, module: CurveModule, loader: Any, validation: Any, last: Path | None) -> None:
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, loader, validation, ckpt_path=None if last is None else str(last))
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError("the GPU's memory is full; lower train.batch_size or train.crop_px") from error
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            raise TrainingError(
                "batch normalisation needs at least 2 samples in a batch; raise train.batch_size"
            ) from error
        raise
    except SystemExit as error:
        if isinstance(
            error.__context__, KeyboardInterrupt
        ):  # Lightning turns Ctrl-C into an exit and ignores further ones
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, on_interrupt)
            raise KeyboardInterrupt from error
        raise


def _best(module: CurveModule, checkpoints: Path, *, validated: bool) -> nn.Module:
    path = checkpoints / ("best.ckpt" if validated else "last.ckpt")
    weights = read_checkpoint(path)["state_dict"]
    network: nn.Module = module.network.cpu().to(memory_format=torch.contiguous_format)
    network.load_state_dict(
        {name.removeprefix("network."): value for name, value in weights.items() if name.startswith("network.")}
    )
    network.eval()
    return network


def _averaged(
    network: nn.Module, average: WeightAverage, state: dict[str, Any], loader: Any, seed: int, epochs: int
) -> None:
    """Turn the network's weights into the mean that the last checkpoint holds."""
    average.load_state_dict(state)
    if average.number == 0:
        logger.warning(
            "averaged weights: training ended before epoch %d, the first that counts; the best weights are kept",
            average.first_epoch,
        )
        return
    loader.epoch = epochs  # a draw of its own
    torch.manual_seed(seed)
    take_average(network, average.weights, loader, statistics=average.statistics)
    network.eval()
