"""Where the plate lies in the camera's picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import ConfigError
from thermo_qc.simulation.conditions import check_range

__all__ = ["Placement"]

_MAX_PIXELS = 10**8


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A plate before the camera: mirrored left to right, then turned about its centre, then shifted.

    Parameters
    ----------
    turn_deg : float
        Turn, anticlockwise as seen in the picture.
    mirrored : bool
        Whether left and right are swapped first.
    shift_x_mm, shift_y_mm : float
        Shift to the right and downwards in the picture.
    background_mm : float
        Width of the surroundings that are seen beyond the plate's bounding box on every side.
    """

    turn_deg: float = 0.0
    mirrored: bool = False
    shift_x_mm: float = 0.0
    shift_y_mm: float = 0.0
    background_mm: float = 6.0

    def __post_init__(self) -> None:
        for name in ("turn_deg", "shift_x_mm", "shift_y_mm"):
            check_range(f"placement.{name}", getattr(self, name), low=-np.inf)
        check_range("placement.background_mm", self.background_mm, low=0)

    def _turn(self) -> NDArray[np.float64]:
        """Matrix from the plate's axes to the picture's (y down), without the shift."""
        angle = np.deg2rad(self.turn_deg % 360.0)
        cos, sin = np.round(np.cos(angle), 12), np.round(np.sin(angle), 12)
        flip = np.diag([-1.0 if self.mirrored else 1.0, 1.0])
        return np.array([[cos, sin], [-sin, cos]]) @ flip

    def frame_shape(self, width_mm: float, height_mm: float, pixel_pitch_mm: float) -> tuple[int, int]:
        """Rows and columns of a picture that holds the turned (not yet shifted) plate and its surroundings.

        Raises
        ------
        ConfigError
            When the picture would have too many pixels.
        """
        check_range("camera.pixel_pitch_mm", pixel_pitch_mm, low=0, open_low=True)
        box = np.abs(self._turn()) @ np.array([width_mm, height_mm])
        border = int(np.ceil(self.background_mm / pixel_pitch_mm))
        columns, rows = (max(1, round(float(side) / pixel_pitch_mm)) + 2 * border for side in box)
        if rows * columns > _MAX_PIXELS:
            raise ConfigError(
                f"camera.pixel_pitch_mm {pixel_pitch_mm:g} makes {rows} x {columns} pixels; is it really in mm?"
            )
        return rows, columns

    def plate_coordinates(
        self, width_mm: float, height_mm: float, pixel_pitch_mm: float, samples: int = 1
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Plate coordinates of points in the picture.

        Parameters
        ----------
        width_mm, height_mm : float
            Size of the plate.
        pixel_pitch_mm : float
            Edge of a pixel.
        samples : int
            Points per side of a pixel; 1 gives the pixel centres.

        Returns
        -------
        x_mm, y_mm : ndarray of float64, shape (samples * Y, samples * X)
        """
        rows, columns = self.frame_shape(width_mm, height_mm, pixel_pitch_mm)
        step = pixel_pitch_mm / samples
        right = (np.arange(columns * samples) + 0.5) * step - columns * pixel_pitch_mm / 2 - self.shift_x_mm
        down = (np.arange(rows * samples) + 0.5) * step - rows * pixel_pitch_mm / 2 - self.shift_y_mm
        back = self._turn().T  # the turn and the flip are orthogonal
        x = back[0, 0] * right[None, :] + back[0, 1] * down[:, None] + width_mm / 2
        y = back[1, 0] * right[None, :] + back[1, 1] * down[:, None] + height_mm / 2
        return x, y
