"""From picked points to plate coordinates: the homography and its residual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import InputError

__all__ = ["Registration", "fit_homography", "plate_coordinates"]

LEAST_RANK_RATIO = 2e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Registration:
    """A homography from pixels to plate millimetres and how well the picked points fit it.

    Pixel coordinates count from the centre of the top-left pixel: x is the column index, y the row index.

    Parameters
    ----------
    matrix : ndarray of float64, shape (3, 3)
        ``[x_mm, y_mm, 1] ~ matrix @ [x_px, y_px, 1]``.
    points_px, points_mm : ndarray of float64, shape (N, 2)
        The picked points, (x, y).
    residuals_mm : ndarray of float64, shape (N,)
        Distance of every mapped point from where it should be.
    residual_mm : float
        Root mean square of `residuals_mm`.
    """

    matrix: NDArray[np.float64]
    points_px: NDArray[np.float64]
    points_mm: NDArray[np.float64]
    residuals_mm: NDArray[np.float64]
    residual_mm: float

    @property
    def pixel_pitch_mm(self) -> float:
        """Mean edge of a pixel on the plate: root of the ratio of the areas that the points span, mm."""
        return float(np.sqrt(_hull_area(self.points_mm) / _hull_area(self.points_px)))

    @property
    def mirrored(self) -> bool:
        """Whether the image shows the plate mirrored (a view of the other face, or points in the wrong order)."""
        return bool(np.linalg.det(self.matrix) * self._depth_sign() ** 3 < 0)

    def _depth_sign(self) -> float:
        return float(np.sign(self.matrix[2] @ [*self.points_px.mean(axis=0), 1.0]))

    def to_mm(
        self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Map pixel coordinates to plate coordinates, mm; NaN beyond the horizon of the perspective."""
        return _project(self.matrix * self._depth_sign(), x_px, y_px)

    def to_px(
        self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Map plate coordinates (mm) to pixel coordinates; NaN beyond the horizon of the perspective."""
        inverse = np.linalg.inv(self.matrix)
        sign = np.sign(inverse[2] @ [*self.points_mm.mean(axis=0), 1.0])
        return _project(inverse * sign, x_mm, y_mm)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, for YAML and JSON."""
        return {
            "matrix": self.matrix.tolist(),
            "points_px": self.points_px.tolist(),
            "points_mm": self.points_mm.tolist(),
            "residuals_mm": self.residuals_mm.tolist(),
            "residual_mm": self.residual_mm,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Registration:
        """Build a registration from what `to_dict` returned.

        Raises
        ------
        InputError
            When a part is missing or has another shape.
        """
        try:
            parts = {name: np.array(content[name], dtype=np.float64) for name in ("matrix", "points_px", "points_mm")}
        except KeyError as error:
            raise InputError(f"the registration has no {error.args[0]}; make it with thermo-qc register") from None
        except (TypeError, ValueError):
            raise InputError(
                "the registration holds something other than numbers; make it with thermo-qc register"
            ) from None
        points_px, points_mm = _checked_points(parts["points_px"], parts["points_mm"])
        matrix = parts["matrix"]
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or np.linalg.det(matrix) == 0:
            raise InputError(
                f"the registration's matrix has shape {matrix.shape} or no inverse, expected an invertible 3 x 3 matrix"
            )
        return _measured(matrix, points_px, points_mm)


def fit_homography(points_px: NDArray[np.float64], points_mm: NDArray[np.float64]) -> Registration:
    """Fit the homography that maps picked pixels to plate millimetres by least squares.

    Parameters
    ----------
    points_px : array, shape (N, 2)
        Picked points, (x, y): column and row index, fractions allowed.
    points_mm : array, shape (N, 2)
        The same points on the plate, (x, y) from the top-left corner of the inspected face.

    Returns
    -------
    Registration

    Raises
    ------
    InputError
        With fewer than four points, points that coincide or lie on one line, or an impossible arrangement.

    References
    ----------
    Hartley and Zisserman, Multiple View Geometry in Computer Vision, 2nd ed., chapter 4, 10.1017/CBO9780511811685.

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 50.0], [0.0, 50.0]])
    >>> round(fit_homography(corners, 2.0 * corners).pixel_pitch_mm, 6)
    2.0
    """
    points_px, points_mm = _checked_points(np.asarray(points_px, np.float64), np.asarray(points_mm, np.float64))
    _check_arrangement(points_px, points_mm)
    # Normalised coordinates keep the equations well conditioned; OpenCV refines in the plate's own scale.
    to_px, to_mm = _normalisation(points_px), _normalisation(points_mm)
    matrix, _ = cv2.findHomography(_moved(to_px, points_px), _moved(to_mm, points_mm), 0)
    if matrix is None or not np.isfinite(matrix).all():
        raise InputError(
            "no homography fits the picked points; check that pixels and millimetres are in the same order"
        )
    full = np.linalg.inv(to_mm) @ matrix @ to_px
    full = full / np.linalg.norm(full) if abs(full[2, 2]) < 1e-12 else full / full[2, 2]
    depth = np.column_stack([points_px, np.ones(len(points_px))]) @ full[2]
    if (depth > 0).any() and (depth < 0).any():
        raise InputError(
            "the picked points are no view of a flat plate; check that pixels and millimetres are in the same order"
        )
    return _measured(full, points_px, points_mm)


def _measured(
    matrix: NDArray[np.float64], points_px: NDArray[np.float64], points_mm: NDArray[np.float64]
) -> Registration:
    x, y = _project(matrix * np.sign(matrix[2] @ [*points_px.mean(axis=0), 1.0]), points_px[:, 0], points_px[:, 1])
    residuals = np.hypot(x - points_mm[:, 0], y - points_mm[:, 1])
    return Registration(
        matrix=matrix,
        points_px=points_px,
        points_mm=points_mm,
        residuals_mm=residuals,
        residual_mm=float(np.sqrt((residuals**2).mean())),
    )


def _checked_points(
    points_px: NDArray[np.float64], points_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if points_px.ndim != 2 or points_px.shape[1:] != (2,) or points_px.shape != points_mm.shape:
        raise InputError(
            f"picked points have shapes {points_px.shape} (px) and {points_mm.shape} (mm), expected (N, 2): x, y"
        )
    if len(points_px) < 4:
        raise InputError(
            f"{len(points_px)} picked points came, expected at least 4 (x_px, y_px, x_mm, y_mm); pick more"
        )
    if not (np.isfinite(points_px).all() and np.isfinite(points_mm).all()):
        raise InputError("a picked point is not finite; give numbers for x_px, y_px, x_mm and y_mm")
    return points_px, points_mm


def _check_arrangement(points_px: NDArray[np.float64], points_mm: NDArray[np.float64]) -> None:
    for points, unit in ((points_px, "px"), (points_mm, "mm")):
        distances = np.hypot(*(points[:, None, :] - points[None, :, :]).transpose(2, 0, 1))
        first, second = np.triu_indices(len(points), 1)
        same = np.flatnonzero(distances[first, second] <= 1e-6 * distances.max())
        if same.size:
            a, b = int(first[same[0]]), int(second[same[0]])
            raise InputError(f"picked points {a + 1} and {b + 1} coincide (in {unit}); pick each place once")
    from_px = _moved(_normalisation(points_px), points_px)
    to_mm = _moved(_normalisation(points_mm), points_mm)
    one, zero = np.ones((len(from_px), 1)), np.zeros((len(from_px), 3))
    place = np.hstack([from_px, one])
    rows = [np.hstack([place, zero, -to_mm[:, :1] * place]), np.hstack([zero, place, -to_mm[:, 1:] * place])]
    values = np.linalg.svd(np.vstack(rows), compute_uv=False)
    if values[7] < LEAST_RANK_RATIO * values[0]:
        raise InputError(
            "the picked points lie on one line, or all but one do; pick four of which no three are in line"
        )


def _normalisation(points: NDArray[np.float64]) -> NDArray[np.float64]:
    centre = points.mean(axis=0)
    scale = np.sqrt(2.0) / np.hypot(*(points - centre).T).mean()
    return np.array([[scale, 0.0, -scale * centre[0]], [0.0, scale, -scale * centre[1]], [0.0, 0.0, 1.0]])


def _moved(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    moved: NDArray[np.float64] = points * matrix[0, 0] + matrix[:2, 2]
    return moved


def _project(
    matrix: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    upper, lower, depth = (row[0] * x + row[1] * y + row[2] for row in matrix)
    visible = depth > 1e-12 * np.abs(matrix[2]).max()
    blank = np.full(np.shape(depth), np.nan)
    return np.divide(upper, depth, out=blank.copy(), where=visible), np.divide(lower, depth, out=blank, where=visible)


def _hull_area(points: NDArray[np.float64]) -> float:
    return float(cv2.contourArea(cv2.convexHull(points.astype(np.float32))))


def plate_coordinates(
    registration: Registration, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Plate coordinates of the centres of all pixels of a frame.

    Parameters
    ----------
    registration : Registration
        From `fit_homography`.
    shape : tuple of int
        Rows and columns (Y, X).

    Returns
    -------
    x_mm, y_mm : ndarray of float64, shape (Y, X)
        NaN beyond the horizon of the perspective.
    """
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float64)
    return registration.to_mm(x, y)
