"""Colours of every picture: safe for colour-blind readers, and telling in grey print.

Defect classes run along a perceptually uniform scale from yellow (near the surface) to dark violet (deep), so a deeper
class is always a darker one. Groups without an order (folds, methods) take the Okabe-Ito colours.

References
----------
Nunez, Anderton, Renslow 2018, PLOS ONE 13(7), doi:10.1371/journal.pone.0199239 (perceptually uniform maps).
Okabe, Ito 2008, "Color Universal Design".
"""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, to_hex, to_rgb
from numpy.typing import NDArray

from thermo_qc.sequence import IGNORE_LABEL

__all__ = [
    "CONFUSION_MAP",
    "FOUND_MAP",
    "GREY_MAP",
    "GROUP_COLOURS",
    "IGNORE_COLOUR",
    "OUTCOME_COLOURS",
    "OUTCOME_NAMES",
    "ROLE_COLOURS",
    "ROLE_NAMES",
    "SOUND_COLOUR",
    "TEMPERATURE_MAP",
    "class_colours",
    "class_rgba",
    "depth_colours",
    "sequential_map",
    "text_colour_on",
]

TEMPERATURE_MAP = "inferno"
GREY_MAP = "gray"
CONFUSION_MAP = "Blues"
FOUND_MAP = "cividis"
SOUND_COLOUR = "#e6e6e6"
IGNORE_COLOUR = "#9a9a9a"
BAD_PIXEL_COLOUR = "#58b4e9"
GROUP_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000", "#b3a600")

ROLE_NAMES = ("not used", "training", "guard ring", "held out for the test")
ROLE_COLOURS = (IGNORE_COLOUR, "#a6cbe3", "#fff6b8", "#d55e00")
OUTCOME_NAMES = (
    "sound, called sound",
    "defect, right class",
    "defect, wrong class",
    "missed",
    "false call",
    "not used",
)
OUTCOME_COLOURS = (SOUND_COLOUR, "#0072b2", "#56b4e9", "#000000", "#d55e00", IGNORE_COLOUR)

_CLASS_SCALE = "plasma_r"
_SINGLE_DEFECT = "#d55e00"


def class_colours(n_classes: int) -> tuple[str, ...]:
    """Hex colours of the classes: sound light grey, then defects from yellow (near the surface) to violet (deep).

    Parameters
    ----------
    n_classes : int
        Number of classes with sound.
    """
    n_defects = max(0, n_classes - 1)
    if n_defects == 1:
        return (SOUND_COLOUR, _SINGLE_DEFECT)
    scale = colormaps[_CLASS_SCALE]
    return (SOUND_COLOUR, *(to_hex(scale(position)) for position in np.linspace(0.06, 0.97, n_defects)))


def depth_colours(n_depths: int) -> tuple[str, ...]:
    """Hex colours of single depths, near the surface first, on the scale of the classes."""
    return class_colours(max(2, n_depths) + 1)[1 : n_depths + 1]


def class_rgba(
    class_map: NDArray[np.uint8], n_classes: int, *, alpha: float = 1.0, show_sound: bool = True
) -> NDArray[np.float32]:
    """Turn a class map into colours.

    Parameters
    ----------
    class_map : ndarray of uint8, shape (Y, X)
        0 sound, 1..K, 255 not used; other values are drawn like 255.
    n_classes : int
        Number of classes with sound.
    alpha : float
        Opacity of the defect classes.
    show_sound : bool
        False leaves sound pixels transparent.

    Returns
    -------
    ndarray of float32, shape (Y, X, 4)
    """
    table = np.empty((IGNORE_LABEL + 1, 4), dtype=np.float32)
    table[:] = (*to_rgb(IGNORE_COLOUR), alpha)
    for value, colour in enumerate(class_colours(n_classes)):
        table[value] = (*to_rgb(colour), alpha)
    table[0, 3] = 1.0 if show_sound else 0.0
    return table[class_map]


def sequential_map(name: str) -> Colormap:
    """Perceptually uniform colour map in which pixels without a value stand out in light blue."""
    return colormaps[name].with_extremes(bad=BAD_PIXEL_COLOUR)


def text_colour_on(rgb: tuple[float, float, float]) -> str:
    """Black or white, whichever is easier to read on the colour (relative luminance)."""
    red, green, blue = rgb
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.45 else "white"
