"""Why hits and misses have no POD curve, and what a reader must know of those that have one."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import optimize
from scipy.special import bdtr

from thermo_qc.errors import ConfigError, TruthError
from thermo_qc.evaluation.intervals import Proportion, clopper_pearson
from thermo_qc.evaluation.pod_design import Floats, column_of
from thermo_qc.evaluation.pod_profile import Profile

__all__ = [
    "FEWEST_TARGETS",
    "as_hits",
    "false_call_share",
    "is_separated",
    "levels_off",
    "no_curve",
    "notes_for",
    "one_size",
    "too_few",
]

FEWEST_TARGETS = 10
_LEVELLING_P = 0.01


def as_hits(hit: Any, n: int) -> np.ndarray:
    """Give back hits as booleans.

    Raises
    ------
    TruthError
        When there is another number of them, or something else than true and false.
    """
    values = column_of(hit, "hits")
    if values.size != n:
        raise TruthError(f"there are {values.size} hits or misses for {n} sizes; give one per look")
    if not np.isin(values, (0, 1)).all():
        raise TruthError("hits hold something else than true (1) and false (0); a look without a verdict is left out")
    return values.astype(bool)


def false_call_share(false_calls: int | None, opportunities: int | None) -> Proportion | None:
    """False-call rate of a count, or None when nobody counted.

    Raises
    ------
    ConfigError
        When only one of the two numbers is known, or they contradict one another.
    """
    if (false_calls is None) != (opportunities is None):
        raise ConfigError("a false-call rate needs both false_calls and opportunities, the number of sound places")
    return None if false_calls is None else clopper_pearson(false_calls, int(opportunities or 0))


def too_few(n_targets: int, min_targets: int) -> str:
    """Say that there are too few targets for a bound."""
    return f"{n_targets} distinct targets, at least {min_targets} are needed for a90/95; values are indicative"


def notes_for(n_targets: int, n_looks: int, standard: int, who: str) -> tuple[str, ...]:
    """Say what a reader must know of few targets, and of several looks at one."""
    notes = []
    if n_targets < standard:
        notes.append(f"indicative: {n_targets} distinct targets, {who} for at least {standard}")
    if n_looks > n_targets:
        notes.append(
            f"{n_looks} looks at {n_targets} targets are not independent: likelihood-ratio bounds are too narrow, "
            "read the bounds of the bootstrap by target"
        )
    return tuple(notes)


def no_curve(rows: Floats, hits: np.ndarray, n_targets: int) -> str:
    """Say why data have no curve, before any fit."""
    if n_targets < FEWEST_TARGETS:
        return f"{n_targets} distinct targets are too few for a curve; at least {FEWEST_TARGETS} are needed"
    if hits.all():
        return "every target was found: POD has no lower end; test smaller targets"
    if not hits.any():
        return "no target was found: POD has no upper end; test larger targets"
    if why := one_size(rows):
        return why
    if is_separated(rows, hits):
        return (
            "hits and misses are separated by size without overlap: the slope is not defined; "
            "test more targets between the largest miss and the smallest hit"
        )
    return ""


def one_size(rows: Floats) -> str:
    """Say that sizes do not vary; empty when they do."""
    tolerance = 1e-9 * np.sqrt(len(rows)) * float(np.abs(rows).max())  # rounding is no difference of sizes
    if np.linalg.matrix_rank(rows - rows.mean(axis=0), tol=tolerance) >= rows.shape[1] - 1:
        return ""
    what = "all targets have one size" if rows.shape[1] == 2 else "diameter and diameter/depth go together"
    return f"{what}: the curve cannot be told from the data"


def is_separated(rows: Floats, hits: np.ndarray) -> bool:
    """Whether some linear predictor splits hits from misses (completely or with ties), so that no maximum exists.

    References
    ----------
    Albert and Anderson, Biometrika 71 (1984) 1-10, doi:10.1093/biomet/71.1.1; the linear programme is that of Konis
    (2007).
    """
    if rows.shape[1] == 2:
        sizes = rows[:, 1]
        return bool(sizes[~hits].max() <= sizes[hits].min() or sizes[hits].max() <= sizes[~hits].min())
    scaled = rows / np.maximum(np.abs(rows).max(axis=0), 1e-300)
    signed = np.where(hits, 1.0, -1.0)[:, None] * scaled
    answer = optimize.linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1))
    return bool(answer.status == 0 and float(answer.fun or 0.0) < -1e-8)


def levels_off(profile: Profile, sizes: Floats, hits: np.ndarray) -> str:
    """Say that targets which the curve promises to find are missed too often."""
    above = sizes >= profile.design.size_of(profile.scaled_size_at(0.9))
    n, found = int(above.sum()), int(hits[above].sum())
    if n == 0 or bdtr(found, n, 0.9) >= _LEVELLING_P:
        return ""
    return (
        f"POD levels off below 0.9: above the size where the fitted curve reaches it only {found} of {n} were found; "
        "look for a cause of misses other than size"
    )
