"""Reading, computing and writing of several recordings side by side in one process, in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Condition, Thread

from thermo_qc.models import TrainedModel
from thermo_qc.workflows.predict_folder import Prediction
from thermo_qc.workflows.predict_one import (
    Computed,
    Finish,
    Job,
    Opened,
    Options,
    completed,
    compute,
    failure_of,
    open_recording,
    write,
)

__all__ = ["Pipeline", "Room"]

log = logging.getLogger(__name__)


class Room:
    """Memory for the frames of recordings.

    Parameters
    ----------
    limit_bytes : int
        Sum over all recordings at a time.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._taken: dict[int, int] = {}
        self._changed = Condition()

    def take(self, number: int, size_bytes: int) -> bool:
        """Wait until there is room for a recording; False: it is larger than all the room and must stay in its file."""
        fits = size_bytes <= self.limit_bytes
        wanted = min(size_bytes, self.limit_bytes)
        with self._changed:
            self._changed.wait_for(lambda: wanted <= self.limit_bytes - self._others(number))
            self._taken[number] = wanted
        return fits

    def give_back(self, number: int) -> None:
        """Let others have a recording's room."""
        with self._changed:
            self._taken.pop(number, None)
            self._changed.notify_all()

    @property
    def taken_bytes(self) -> int:
        """What is in use now."""
        with self._changed:
            return sum(self._taken.values())

    def _others(self, number: int) -> int:
        return sum(size for other, size in self._taken.items() if other != number)


class Pipeline:
    """One thread reads ahead, this one computes, one writes.

    Parameters
    ----------
    models : tuple of TrainedModel
        Models that vote.
    options : Options
        Of the run.
    room : Room
        For the frames that are read and not yet computed.
    tell : callable
        ``tell(job, result)`` as soon as a recording is done, from any of the threads.
    computed : callable, optional
        ``computed(job)`` when a recording's frames are no longer needed, so that the next one may be read.
    finish : callable, optional
        ``finish(result, options, reserve) -> result``: what else is done with every stored result, while others are
        computed.
    """

    def __init__(
        self,
        models: tuple[TrainedModel, ...],
        options: Options,
        room: Room,
        tell: Callable[[Job, Prediction], None],
        computed: Callable[[Job], None] = lambda job: None,
        finish: Finish | None = None,
    ) -> None:
        self._models, self._options, self._room, self._finish = models, options, room, finish
        self._tell, self._computed = tell, computed
        self._opened: SimpleQueue[Opened | None] = SimpleQueue()
        self._finished: SimpleQueue[Computed | tuple[Job, Prediction] | None] = SimpleQueue()

    def run(self, next_job: Callable[[], Job | None]) -> None:
        """Do jobs until there are no more.

        Parameters
        ----------
        next_job : callable
            Waits for the next job; None when there is none any more. Called in the reading thread.
        """
        reader = Thread(target=self._read_all, args=(next_job,), daemon=True)
        writer = Thread(target=self._write_all, daemon=True)
        reader.start()
        writer.start()
        while (opened := self._opened.get()) is not None:
            self._compute(opened)
            del opened  # its frames must not wait for the next ones
        self._finished.put(None)
        reader.join()
        writer.join()

    def _read_all(self, next_job: Callable[[], Job | None]) -> None:
        while (job := next_job()) is not None:
            self._read(job)
        self._opened.put(None)

    def _read(self, job: Job) -> None:
        number = job.number

        def reserve(size: int) -> bool:
            return self._room.take(number, size)

        try:
            self._room.take(number, _size_on_disk(job.recording))  # some formats have all frames as soon as it is open
            opened = open_recording(job, self._options, reserve)
        except Exception as error:
            self._room.give_back(number)
            self._leave(job, failure_of(job, error))
            return
        if isinstance(opened, Prediction):
            self._room.give_back(number)
            self._computed(job)
            self._finished.put((job, opened))
        else:
            self._opened.put(opened)

    def _compute(self, opened: Opened) -> None:
        job = opened.job
        try:
            result = compute(opened, self._models, self._options)
        except Exception as error:
            self._room.give_back(job.number)
            self._leave(job, failure_of(job, error))
            return
        self._room.give_back(job.number)
        self._computed(job)
        self._finished.put(result)

    def _write_all(self) -> None:
        while (found := self._finished.get()) is not None:
            job = found.job if isinstance(found, Computed) else found[0]
            try:
                result = write(found, self._options) if isinstance(found, Computed) else found[1]
                result = self._complete(job, result)
            except Exception as error:
                result = failure_of(job, error)
            self._tell(job, result)

    def _complete(self, job: Job, result: Prediction) -> Prediction:
        """Finish a result, which may read the recording once more."""
        if self._finish is None:
            return result
        again = -1 - job.number  # beside the room of what is read ahead
        self._room.take(again, _size_on_disk(job.recording))
        try:
            return completed(result, self._options, self._finish, lambda size: self._room.take(again, size))
        finally:
            self._room.give_back(again)

    def _leave(self, job: Job, result: Prediction) -> None:
        """Report a recording that has nothing to be written."""
        self._computed(job)
        self._tell(job, result)


def _size_on_disk(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.iterdir())
    except OSError:
        return 0
