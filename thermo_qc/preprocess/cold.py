"""The cold frame: the plate's state before the heating, subtracted to obtain the temperature rise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import MissingFactError
from thermo_qc.preprocess.frames import affine
from thermo_qc.sequence import ThermalSequence

__all__ = ["cold_frame", "subtract_cold_frame"]


def cold_frame(sequence: ThermalSequence) -> NDArray[np.float64]:
    """Average the frames before the heating (time < 0).

    Parameters
    ----------
    sequence : ThermalSequence
        Recording whose time zero is the start of the heating.

    Returns
    -------
    ndarray of float64, shape (Y, X)
        Mean over the finite values; NaN where a pixel has none.

    Raises
    ------
    MissingFactError
        When no frame has a negative time.
    """
    n_cold = int((sequence.times_s < 0).sum())
    if n_cold == 0:
        raise MissingFactError(
            f"no frame lies before the heating (first time {sequence.times_s[0]:g} s, expected a negative one); "
            "record cold frames, give heating_start_s or t_first_s if the times are wrong, or go on without subtraction"
        )
    total = np.zeros(sequence.frame_shape)
    count = np.zeros(sequence.frame_shape, dtype=np.int64)
    for index in range(n_cold):
        frame = np.asarray(sequence.frames[index, :, :], dtype=np.float64)
        finite = np.isfinite(frame)
        total[finite] += frame[finite]
        count += finite
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def subtract_cold_frame(sequence: ThermalSequence) -> ThermalSequence:
    """Subtract the mean cold frame from every frame, which also removes a camera's fixed pattern.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording with frames before the heating.

    Returns
    -------
    ThermalSequence
        Temperature rise, float32; the unit degC becomes K. Frames in a file stay there.

    Raises
    ------
    MissingFactError
        When no frame has a negative time.

    Examples
    --------
    >>> import numpy as np
    >>> from thermo_qc.sequence import ThermalSequence
    >>> frames = np.array([20.0, 25.0, 23.0]).reshape(3, 1, 1)
    >>> cold = ThermalSequence(frames=frames, times_s=np.array([-1.0, 0.0, 1.0]), unit="degC")
    >>> subtract_cold_frame(cold).frames.ravel().tolist()
    [0.0, 5.0, 3.0]
    """
    background = cold_frame(sequence)
    return sequence.with_frames(
        affine(sequence.frames, offset=background),
        "subtract_cold_frame",
        parameters={"n_cold_frames": int((sequence.times_s < 0).sum())},
        unit="K" if sequence.unit == "degC" else sequence.unit,
    )
