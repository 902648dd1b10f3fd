"""`Indication`: one connected region of defect pixels, measured."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Indication"]


@dataclass(frozen=True, kw_only=True)
class Indication:
    """One connected region of defect pixels.

    Parameters
    ----------
    id : int
        From 1, the largest region first.
    class_index, class_name : int, str
        Defect class with the largest probability summed over the region.
    centroid_x_px, centroid_y_px : float
        Mean column and row; the centre of the first pixel is 0.
    bbox_px : tuple of int
        x0, y0, x1, y1: first column and row, and one past the last.
    centroid_x_mm, centroid_y_mm : float, optional
        Centroid on the frame, mm; the centre of the first pixel is half a pitch. None when the pitch is unknown.
    bbox_mm : tuple of float, optional
        Outer edges x0, y0, x1, y1, mm.
    area_px : int
        Number of pixels.
    area_mm2, equivalent_diameter_mm : float, optional
        Area, and diameter of the circle of that area.
    depth_mm : float, optional
        Mean depth from the inspected face over the pixels that have one; None when none has.
    mean_probability : float
        Mean probability of the indication's class over the region.
    cnr : float, optional
        Contrast to noise against the ring of sound pixels round the region; None without a signal or a ring.
    """

    id: int
    class_index: int
    class_name: str
    centroid_x_px: float
    centroid_y_px: float
    bbox_px: tuple[int, int, int, int]
    centroid_x_mm: float | None
    centroid_y_mm: float | None
    bbox_mm: tuple[float, float, float, float] | None
    area_px: int
    area_mm2: float | None
    equivalent_diameter_mm: float | None
    depth_mm: float | None
    mean_probability: float
    cnr: float | None
