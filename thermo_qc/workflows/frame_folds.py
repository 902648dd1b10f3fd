"""Part of the frames of a recording, for random-frame folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from thermo_qc.workflows.cases import LabelledRecording

__all__ = ["with_frames"]


def with_frames(recording: LabelledRecording, frames: NDArray[np.bool_] | None) -> LabelledRecording:
    """Keep some frames of a recording.

    Parameters
    ----------
    recording : LabelledRecording
        Any.
    frames : ndarray of bool, shape (T,), optional
        Frames to keep (`Splits.train_frames`, `Splits.test_frames`); None keeps all of them.
    """
    if frames is None:
        return recording
    sequence = recording.sequence.loaded()
    kept = sequence.with_frames(
        np.asarray(sequence.frames)[frames],
        "random_frames",
        times_s=sequence.times_s[frames],
        parameters={"n_kept": int(frames.sum()), "n_frames": int(frames.size)},
    )
    return replace(recording, sequence=kept)
