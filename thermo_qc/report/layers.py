"""Layers of a map for a page: pictures, outlines, and the values that the page's script shows under the pointer."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thermo_qc.report.canvas import robust_limits
from thermo_qc.report.palette import sequential_map

__all__ = ["colour_png", "corner_path", "edge_path", "edges_of", "layer_values", "rgba_png", "value_field"]

MISSING = 65535
_MOST_CODES = 65534


def rgba_png(image: NDArray[np.float32]) -> bytes:
    """PNG of colours between 0 and 1, (Y, X, 4)."""
    packed = io.BytesIO()
    Image.fromarray(np.round(255 * np.clip(image, 0, 1)).astype(np.uint8), "RGBA").save(packed, format="PNG")
    return packed.getvalue()


def colour_png(
    values: NDArray[Any], *, map_name: str, limits: tuple[float, float] | None = None, clear: bool = False
) -> bytes:
    """PNG of an image in a colour map between robust (or given) limits; `clear` leaves pixels without a value clear."""
    low, high = robust_limits(values) if limits is None else limits
    with np.errstate(invalid="ignore"):
        scaled = np.clip((np.asarray(values, dtype=np.float64) - low) / (high - low), 0, 1)
    image = np.asarray(sequential_map(map_name)(np.ma.masked_invalid(scaled)), dtype=np.float32)
    if clear:
        image[~np.isfinite(np.asarray(values, dtype=np.float64))] = 0.0
    return rgba_png(image)


def edges_of(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sides of pixels between inside and outside.

    Parameters
    ----------
    inside : ndarray of bool, shape (Y, X)
        Pixels.

    Returns
    -------
    ndarray of float64, shape (N, 2, 2)
        Start and end (x, y) of every side, in pixels from the corner of the frame.
    """
    framed = np.pad(inside, 1)
    rows, columns = np.nonzero(framed[1:, 1:-1] != framed[:-1, 1:-1])
    across = np.stack([np.column_stack([columns, rows]), np.column_stack([columns + 1, rows])], axis=1)
    rows, columns = np.nonzero(framed[1:-1, 1:] != framed[1:-1, :-1])
    down = np.stack([np.column_stack([columns, rows]), np.column_stack([columns, rows + 1])], axis=1)
    return np.concatenate([across, down]).astype(np.float64)


def edge_path(inside: NDArray[np.bool_]) -> str:
    """SVG path of the sides between inside and outside."""
    sides = edges_of(inside).astype(int).tolist()
    return "".join(f"M{start[0]} {start[1]}{'h1' if end[1] == start[1] else 'v1'}" for start, end in sides)


def corner_path(corners: Sequence[tuple[float, float]]) -> str:
    """SVG path of a polygon."""
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in corners) + "Z"


def value_field(
    name: str, values: NDArray[Any], *, unit: str = "", digits: int = 2, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """One value of every pixel for the script: whole numbers of 16 bits with scale and offset, or indices of names."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    known = np.isfinite(flat)
    low, high = (float(flat[known].min()), float(flat[known].max())) if known.any() else (0.0, 0.0)
    offset, scale = (0.0, 1.0) if names is not None else (low, (high - low) / _MOST_CODES or 1.0)
    codes = np.full(flat.shape, MISSING, dtype="<u2")
    wanted = np.round((flat[known] - offset) / scale)
    if names is not None:
        wanted = np.where(wanted < len(names), wanted, MISSING)
    codes[known] = wanted.astype("<u2")
    return {
        "name": name,
        "unit": unit,
        "digits": digits,
        "scale": scale,
        "offset": offset,
        "names": None if names is None else list(names),
        "codes": base64.b64encode(codes.tobytes()).decode("ascii"),
    }


def layer_values(
    shape: tuple[int, int],
    fields: Sequence[dict[str, Any]],
    *,
    matrix: NDArray[np.float64],
    where: str,
    unit: str,
) -> str:
    """JSON text that is safe inside a script element: nothing in it can end the element.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    fields : sequence of dict
        From `value_field`.
    matrix : ndarray of float64, shape (3, 3)
        Homography from pixels (the centre of the first is 0) to the coordinates to be shown.
    where, unit : str
        What the coordinates are ("plate", "frame"), and their unit.
    """
    content = {
        "rows": shape[0],
        "columns": shape[1],
        "matrix": matrix.tolist(),
        "where": where,
        "unit": unit,
        "fields": list(fields),
    }
    text = json.dumps(content, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
