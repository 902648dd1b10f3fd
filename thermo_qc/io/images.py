"""Single-channel pictures as arrays: masks and frames."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from thermo_qc.errors import CorruptFileError, InputError
from thermo_qc.io.lazy import MAX_FRAME_PIXELS, reason_of

__all__ = ["picture_shape", "read_picture"]

GREY_MODES = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})


def picture_shape(path: Path) -> tuple[int, int]:
    """Rows and columns of a picture, from its header.

    Raises
    ------
    InputError
        When the file is missing or is no picture.
    """
    with _opened(path) as image:
        return image.height, image.width


def read_picture(path: Path, expected: str = "one grey channel") -> NDArray[Any]:
    """Read a picture of one channel; a palette picture gives the palette indices.

    Parameters
    ----------
    path : Path
        PNG, TIFF or another format that Pillow reads.
    expected : str
        What the file should hold, for messages.

    Returns
    -------
    ndarray, shape (Y, X)
        Integers or floats as stored. A picture with three equal colour channels counts as grey.

    Raises
    ------
    InputError
        When the file is missing, broken or in colour.
    """
    with _opened(path) as image:
        try:
            pixels = np.asarray(image if image.mode in GREY_MODES else image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, MemoryError) as error:
            found = f"broken or truncated ({reason_of(error)})"
            raise CorruptFileError(path, "picture", "complete", found, "save it again") from None
        opaque = image.mode in GREY_MODES or image.mode == "RGB" or image.getextrema()[-1] == (255, 255)
    if pixels.ndim == 2:
        return pixels.astype(np.uint8) if pixels.dtype == bool else pixels
    if not opaque or (pixels != pixels[..., :1]).any():
        hint = "save it as a grey or palette PNG whose values are the numbers meant"
        raise CorruptFileError(path, "picture", expected, f"in colour (mode {image.mode})", hint)
    return np.ascontiguousarray(pixels[..., 0])


def _opened(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise CorruptFileError(path, "picture", "a PNG or TIFF picture", f"unreadable ({reason_of(error)})") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if image.width * image.height > MAX_FRAME_PIXELS:
        image.close()
        raise CorruptFileError(path, "picture", f"at most {MAX_FRAME_PIXELS} pixels", f"{image.width} x {image.height}")
    return image
