"""Classical maps as the features of a pixel, each on the scale of its own recording."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import choose
from thermo_qc.sequence import ThermalSequence
from thermo_qc.thermography import METHODS, compute_maps

__all__ = ["map_features", "map_layers"]

_MAD_TO_STD = 1.4826


def map_features(
    sequence: ThermalSequence, methods: Sequence[str], *, region: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Compute the layers of classical maps with their default options, and put them on one scale.

    The median of the layer over the inspected plate becomes 0 and its robust spread (1.4826 times the median absolute
    deviation) 1, so that a threshold means the same in every recording. No label has a part in it.

    Parameters
    ----------
    sequence : ThermalSequence
        Recording.
    methods : sequence of str
        Names in `thermo_qc.thermography.METHODS`.
    region : ndarray of bool, shape (Y, X), optional
        Inspected pixels; those that were heated when None.

    Returns
    -------
    ndarray of float32, shape (Y * X, F)
        A pixel without a value is as the median is: 0.

    Raises
    ------
    UnknownNameError
        When there is no such method.
    ThermoQCError
        When the recording lacks what a method needs.
    """
    return _scaled(sequence, methods, region)[0]


def map_layers(sequence: ThermalSequence, methods: Sequence[str]) -> tuple[str, ...]:
    """Names of the layers that `map_features` gives, in its order."""
    return _scaled(sequence, methods, None)[1]


def _scaled(
    sequence: ThermalSequence, methods: Sequence[str], region: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    wanted = {name: choose(METHODS, name, "map")() for name in methods}
    found = compute_maps(sequence, wanted, region=region)
    columns = []
    for image in found.images:
        values = np.asarray(image.values, dtype=np.float64).ravel()
        inside = values[found.region.ravel() & np.isfinite(values)]
        middle = float(np.median(inside)) if inside.size else 0.0
        spread = _MAD_TO_STD * float(np.median(np.abs(inside - middle))) if inside.size else 0.0
        scaled = (values - middle) / spread if spread > 0 else np.zeros_like(values)
        columns.append(np.where(np.isfinite(scaled), scaled, 0.0).astype(np.float32))
    return np.stack(columns, axis=1), tuple(image.layer.name for image in found.images)
