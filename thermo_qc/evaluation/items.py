"""`FoldItem`: what the folds need to know of one labelled recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import FoldError
from thermo_qc.sequence import IGNORE_LABEL, Truth

__all__ = ["FoldItem", "check_items", "diffusion_length_mm"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldItem:
    """One labelled recording, as far as folds are concerned.

    Parameters
    ----------
    key : str
        Unique name of the recording.
    acquisition, plate, condition : str
        What group folds group by; recordings of one `plate` show the same piece.
    truth : Truth
        Defects by number; one number is one defect in every recording of the plate.
    class_map : ndarray of uint8, shape (Y, X)
        0 sound, 1..K, 255 not to be used.
    pixel_pitch_mm : float, optional
        Edge of a pixel, mm; needed by defect and block folds where `x_mm` and `y_mm` are not given.
    guard_mm : float, optional
        Distance over which heat mixes the pixels, mm (`diffusion_length_mm`); None when unknown.
    n_frames : int, optional
        Frames of the recording; needed by random-frame folds.
    x_mm, y_mm : ndarray of float64, shape (Y, X), optional
        Plate coordinates of the pixel centres; (i + 0.5) * pitch when not given.

    Raises
    ------
    FoldError
        When the maps have different sizes or a length is not a usable number.
    """

    key: str
    acquisition: str = ""
    plate: str = ""
    condition: str = ""
    truth: Truth
    class_map: NDArray[np.uint8]
    pixel_pitch_mm: float | None = None
    guard_mm: float | None = None
    n_frames: int | None = None
    x_mm: NDArray[np.float64] | None = None
    y_mm: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.class_map.shape != self.truth.shape:
            raise FoldError(
                f"'{self.key}': the class map has {self.class_map.shape} pixels, the truth {self.truth.shape}; "
                "make both from one frame"
            )
        if (self.x_mm is None) != (self.y_mm is None):
            raise FoldError(f"'{self.key}': only one of x_mm and y_mm is given; give both plate coordinates or none")
        for name, grid in (("x_mm", self.x_mm), ("y_mm", self.y_mm)):
            if grid is not None and grid.shape != self.truth.shape:
                raise FoldError(f"'{self.key}': {name} has {grid.shape} pixels, the truth {self.truth.shape}")
        if self.pixel_pitch_mm is not None and not (np.isfinite(self.pixel_pitch_mm) and self.pixel_pitch_mm > 0):
            raise FoldError(
                f"'{self.key}': pixel pitch is {self.pixel_pitch_mm} mm, expected a positive length or None"
            )
        if self.guard_mm is not None and not (np.isfinite(self.guard_mm) and self.guard_mm >= 0):
            raise FoldError(f"'{self.key}': guard is {self.guard_mm} mm, expected a length of 0 or more, or None")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.truth.shape

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Pixels that folds distribute, bool (Y, X)."""
        result: NDArray[np.bool_] = (self.class_map != IGNORE_LABEL) & self.truth.valid
        return result

    @property
    def piece(self) -> str:
        """Name of the piece that is seen: the plate or, where nobody named it, the recording itself."""
        return self.plate or self.key


def check_items(items: Sequence[FoldItem]) -> None:
    """Refuse an empty list, keys that come twice and recordings without a usable pixel.

    Raises
    ------
    FoldError
        With the keys concerned.
    """
    if not items:
        raise FoldError("there are no labelled recordings to make folds of; list some with truth in the manifest")
    twice = [key for key, count in Counter(item.key for item in items).items() if count > 1]
    if twice:
        raise FoldError(f"recordings come twice: {', '.join(twice)}; give each its own key")
    empty = [item.key for item in items if not item.valid.any()]
    if empty:
        raise FoldError(
            f"no pixel of {', '.join(empty)} may be used (all ignored); check the region, exclusion and truth masks"
        )


def diffusion_length_mm(diffusivity_mm2_s: float, t_end_s: float) -> float:
    """Thermal diffusion length sqrt(4 alpha t), the distance over which heat has mixed the pixels by the time t.

    Parameters
    ----------
    diffusivity_mm2_s : float
        Thermal diffusivity in the plane, mm2/s.
    t_end_s : float
        Time from the start of the excitation to the last frame, s; negative counts as 0.

    Returns
    -------
    float
        Millimetres.

    Raises
    ------
    FoldError
        When the diffusivity is not positive or the time is not a number.

    References
    ----------
    Carslaw and Jaeger, Conduction of Heat in Solids, 2nd ed., Oxford 1959, section 10.3 (instantaneous point source).

    Examples
    --------
    >>> round(diffusion_length_mm(0.16, 400.0), 1)
    16.0
    """
    if not (np.isfinite(diffusivity_mm2_s) and diffusivity_mm2_s > 0 and np.isfinite(t_end_s)):
        raise FoldError(
            f"diffusivity {diffusivity_mm2_s} mm2/s over {t_end_s} s has no diffusion length; "
            "check the material and the times"
        )
    return float(np.sqrt(4.0 * diffusivity_mm2_s * max(t_end_s, 0.0)))
