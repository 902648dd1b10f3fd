"""Single-channel pictures as arrays: masks and frames."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from thermo_qc.errors import CorruptFileError, InputError
from thermo_qc.io.bounded import BoundedFile
from thermo_qc.io.lazy import MAX_FRAME_PIXELS, check_declared_size, reason_of

__all__ = ["picture_shape", "read_picture"]

GREY_MODES = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
MISSING = ("Truncated", "Tag data larger")  # complaints of Pillow about what it then makes up
PIXEL_BITS = {"1": 1, "L": 8, "P": 8, "I;16": 16, "I;16B": 16, "I;16L": 16, "I;16N": 16}  # others 32


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
            opaque = image.mode in GREY_MODES or image.mode == "RGB" or image.getextrema()[-1] == (255, 255)
        except Exception as error:
            found = f"broken or truncated ({reason_of(error)})"
            raise CorruptFileError(path, "picture", "complete", found, "save it again") from None
        mode = image.mode
    if pixels.ndim == 2:
        return pixels.astype(np.uint8) if pixels.dtype == bool else pixels
    if not opaque or (pixels != pixels[..., :1]).any():
        hint = "save it as a grey or palette PNG whose values are the numbers meant"
        raise CorruptFileError(path, "picture", expected, f"in colour (mode {mode})", hint)
    return np.ascontiguousarray(pixels[..., 0])


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        file = BoundedFile(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    with file, warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        with _identified(path, file) as image:
            yield image
    texts = [str(complaint.message).strip() for complaint in complaints]
    if broken := [text for text in texts if text.startswith(MISSING)]:
        raise CorruptFileError(path, "picture", "complete", f"broken or truncated ({broken[0]})", "save it again")


def _identified(path: Path, file: BoundedFile) -> Image.Image:
    """Open a picture whose size is believable; no pixel is read yet."""
    try:
        image = Image.open(file)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        reason = reason_of(error) if isinstance(error, Image.DecompressionBombError) else "no known picture format"
        raise CorruptFileError(path, "picture", "a PNG or TIFF picture", f"unreadable ({reason})") from None
    except Exception as error:
        raise CorruptFileError(path, "picture", "a PNG or TIFF picture", f"unreadable ({reason_of(error)})") from None
    if image.width * image.height > MAX_FRAME_PIXELS:
        raise CorruptFileError(path, "picture", f"at most {MAX_FRAME_PIXELS} pixels", f"{image.width} x {image.height}")
    row_bytes = -(-image.width * PIXEL_BITS.get(image.mode, 32) // 8)
    check_declared_size(path, "picture", (image.height, row_bytes), 1, path.stat().st_size)
    return image
