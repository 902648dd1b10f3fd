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
    tilt_x_deg, tilt_y_deg : float
        Tilt of the plate away from the picture's plane, -80 to 80: about the picture's horizontal axis (above 0 the
        upper side is farther from the camera), then about its vertical one (above 0 the right side is farther).
    distance_mm : float
        Distance of the camera from the middle of the picture, where a pixel has its stated size on a plate without
        tilt; counts only where there is tilt. Longer ones make the perspective weaker.
    """

    turn_deg: float = 0.0
    mirrored: bool = False
    shift_x_mm: float = 0.0
    shift_y_mm: float = 0.0
    background_mm: float = 6.0
    tilt_x_deg: float = 0.0
    tilt_y_deg: float = 0.0
    distance_mm: float = 1000.0

    def __post_init__(self) -> None:
        for name in ("turn_deg", "shift_x_mm", "shift_y_mm"):
            check_range(f"placement.{name}", getattr(self, name), low=-np.inf)
        check_range("placement.background_mm", self.background_mm, low=0)
        for name in ("tilt_x_deg", "tilt_y_deg"):
            check_range(f"placement.{name}", getattr(self, name), low=-80, high=80)
        check_range("placement.distance_mm", self.distance_mm, low=0, open_low=True)

    def _turn(self) -> NDArray[np.float64]:
        """Matrix from the plate's axes to the picture's (y down), without the shift."""
        angle = np.deg2rad(self.turn_deg % 360.0)
        cos, sin = np.round(np.cos(angle), 12), np.round(np.sin(angle), 12)
        flip = np.diag([-1.0 if self.mirrored else 1.0, 1.0])
        return np.array([[cos, sin], [-sin, cos]]) @ flip

    @property
    def tilted(self) -> bool:
        """Whether the plate is not parallel to the picture."""
        return self.tilt_x_deg != 0 or self.tilt_y_deg != 0

    def _axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Directions of the (turned) plate's right and down in space: right, down, away from the camera."""
        about_x, about_y = np.deg2rad(self.tilt_x_deg), np.deg2rad(self.tilt_y_deg)
        down = np.array([0.0, np.cos(about_x), -np.sin(about_x)])
        turn = np.array([[np.cos(about_y), 0, -np.sin(about_y)], [0, 1, 0], [np.sin(about_y), 0, np.cos(about_y)]])
        return turn @ np.array([1.0, 0.0, 0.0]), turn @ down

    def _closest_mm(self, width_mm: float, height_mm: float) -> float:
        """How far the tilted plate may come towards the camera; 0 without tilt."""
        if not self.tilted:
            return 0.0
        reach = np.hypot(width_mm, height_mm) / 2 + np.hypot(self.shift_x_mm, self.shift_y_mm)
        return 1.1 * float(reach * np.hypot(*(axis[2] for axis in self._axes())))

    def _seen_box(self, box: NDArray[np.float64]) -> NDArray[np.float64]:
        """Size of a picture, centred, that holds the tilted box."""
        check_range("placement.distance_mm", self.distance_mm, low=self._closest_mm(*box), open_low=True)
        e, f = self._axes()
        corners = np.array([a * box[0] / 2 * e + b * box[1] / 2 * f for a in (-1, 1) for b in (-1, 1)])
        seen = corners[:, :2] * self.distance_mm / (self.distance_mm + corners[:, 2:])
        return np.asarray(2 * np.abs(seen).max(axis=0))

    def _on_plate(
        self, right: NDArray[np.floating], down: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where rays through points of the picture meet the tilted plate, along its axes; NaN beyond the horizon."""
        e, f = self._axes()
        normal = np.cross(e, f)
        distance = self.distance_mm
        towards = normal[0] * right + normal[1] * down + normal[2] * distance
        reach = np.divide(normal[2] * distance, towards, out=np.full(towards.shape, np.nan), where=towards > 1e-9)
        x, y, z = reach * right, reach * down, (reach - 1) * distance
        return np.asarray(e[0] * x + e[1] * y + e[2] * z), np.asarray(f[0] * x + f[1] * y + f[2] * z)

    def frame_shape(self, width_mm: float, height_mm: float, pixel_pitch_mm: float) -> tuple[int, int]:
        """Rows and columns of a picture that holds the turned (not yet shifted) plate and its surroundings.

        Raises
        ------
        ConfigError
            When the picture would have too many pixels.
        """
        check_range("camera.pixel_pitch_mm", pixel_pitch_mm, low=0, open_low=True)
        box = np.abs(self._turn()) @ np.array([width_mm, height_mm])
        if self.tilted:
            box = self._seen_box(box)
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
        check_range("placement.distance_mm", self.distance_mm, low=self._closest_mm(width_mm, height_mm), open_low=True)
        step = pixel_pitch_mm / samples
        right = (np.arange(columns * samples) + 0.5) * step - columns * pixel_pitch_mm / 2
        down = (np.arange(rows * samples) + 0.5) * step - rows * pixel_pitch_mm / 2
        if self.tilted:
            right, down = self._on_plate(right[None, :], down[:, None])
        else:
            right, down = right[None, :], down[:, None]
        right, down = right - self.shift_x_mm, down - self.shift_y_mm
        back = self._turn().T  # the turn and the flip are orthogonal
        x = back[0, 0] * right + back[0, 1] * down + width_mm / 2
        y = back[1, 0] * right + back[1, 1] * down + height_mm / 2
        return x, y
