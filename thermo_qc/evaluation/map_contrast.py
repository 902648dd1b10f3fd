"""How well a map of probabilities shows each defect: contrast to noise and Tanimoto, as for any other map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thermo_qc.errors import TruthError
from thermo_qc.evaluation.metrics import check_same_shape
from thermo_qc.sequence import IGNORE_LABEL, Truth
from thermo_qc.thermography import best_tanimoto, contrast_to_noise, signal_to_background, signal_to_noise_db

__all__ = ["defect_probability", "probability_contrasts"]

GAP_PX, WIDTH_PX = 2.0, 5.0  # of the ring, as in `thermo_qc.thermography.score_map`


def defect_probability(
    probability: NDArray[np.floating], class_map: NDArray[np.uint8] | None = None
) -> NDArray[np.float32]:
    """Probability of any defect, ``1 - probability of sound``, float32 (Y, X); NaN where there is no verdict (255)."""
    image = np.asarray(1.0 - probability[0], dtype=np.float32)
    if class_map is not None:
        image[class_map == IGNORE_LABEL] = np.nan
    return image


def probability_contrasts(
    truth: Truth,
    image: NDArray[np.floating],
    *,
    pixel_pitch_mm: float | None = None,
    valid: NDArray[np.bool_] | None = None,
    brighter: bool | None = None,
    key: str = "",
) -> list[dict[str, Any]]:
    """Contrast to noise and Tanimoto of every defect in a map, each against a ring of sound material round it.

    The scores of `thermo_qc.thermography.score_map`, window by window: fast with any number of defects, without masks.

    Parameters
    ----------
    truth : Truth
        Defects by number.
    image : ndarray, shape (Y, X)
        Any map: `defect_probability`, a contrast, a phase, ...; NaN has no part.
    pixel_pitch_mm : float, optional
        Gives the diameters.
    valid : ndarray of bool, shape (Y, X), optional
        Pixels that count.
    brighter : bool, optional
        Whether defects have the larger values; the better side when None. True for probabilities.
    key : str
        Copied into the rows.

    Returns
    -------
    list of dict
        Per defect with a pixel that counts: ``key``, ``number``, ``name``, ``depth_mm``, ``diameter_mm``, ``cnr``,
        ``snr_db``, ``sbc``, ``tanimoto``, ``threshold`` (of the Tanimoto score), ``n_pixels``, ``n_sound`` and
        ``reason`` (why there is no score; empty otherwise). A map without a defect gives an empty list.

    Raises
    ------
    TruthError
        When sizes differ.
    """
    check_same_shape(image, truth.defect_index, "map")
    index = truth.defect_index
    if valid is not None:
        check_same_shape(valid, index, "mask of valid pixels")
        index = np.where(valid, index, np.int16(-1)).astype(np.int16)
    if not (index > 0).any():
        return []
    values = np.where(index >= 0, np.asarray(image, dtype=np.float64), np.nan)
    closed = (ndimage.distance_transform_edt(index <= 0) <= GAP_PX) | (index < 0)
    places = ndimage.find_objects(np.maximum(index, 0))
    table = []
    for defect in sorted(truth.defects, key=lambda entry: entry.number):
        place = places[defect.number - 1] if defect.number <= len(places) else None
        if place is None:
            continue
        window = _window(place)
        facts = {"key": key, "number": defect.number, "name": defect.name or str(defect.number)}
        row = _score(values[window], index[window], closed[window], defect.number, brighter)
        size_mm = defect.diameter_mm
        if size_mm is None and pixel_pitch_mm is not None:
            size_mm = float(np.sqrt(4 * int((index[place] == defect.number).sum()) / np.pi) * pixel_pitch_mm)
        table.append(facts | {"depth_mm": defect.depth_mm, "diameter_mm": size_mm} | row)
    return table


def _window(place: tuple[slice, slice]) -> tuple[slice, slice]:
    reach = int(np.ceil(GAP_PX + WIDTH_PX)) + 1
    rows, columns = (slice(max(0, side.start - reach), side.stop + reach) for side in place)
    return rows, columns


def _score(
    values: NDArray[np.float64],
    index: NDArray[np.integer],
    closed: NDArray[np.bool_],
    number: int,
    brighter: bool | None,
) -> dict[str, Any]:
    """Score one defect in a window that holds its ring."""
    defect = index == number
    distance = ndimage.distance_transform_edt(~defect)
    ring = (distance > GAP_PX) & (distance <= GAP_PX + WIDTH_PX) & ~closed
    row = dict.fromkeys(("cnr", "snr_db", "sbc", "tanimoto", "threshold"), float("nan"))
    counts = {"n_pixels": int(np.isfinite(values[defect]).sum()), "n_sound": int(np.isfinite(values[ring]).sum())}
    try:
        if not ring.any():
            raise TruthError("no sound pixel is left in the ring round the defect")
        region = (distance <= distance[ring].max()) & ((index == 0) | defect)
        best = best_tanimoto(values, defect, valid=region, brighter=brighter)
        figures: dict[str, Any] = {
            "cnr": contrast_to_noise(values, defect, ring),
            "snr_db": signal_to_noise_db(values, defect, ring),
            "sbc": signal_to_background(values, defect, ring),
            "tanimoto": best.score,
            "threshold": best.threshold,
        }
    except TruthError as error:
        return row | counts | {"reason": str(error)}
    return figures | counts | {"reason": ""}
