"""A drift that all pixels share leaves the lamps' pattern in the residuals, and is taken out with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from thermo_qc.representation import PhysicalRepresentation, load_representation
from thermo_qc.sequence import Excitation, ThermalSequence

SHAPE = (48, 60)
V, U = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
LAMP = 1.0 - 0.25 * U + 0.15 * V**2
SPOT = np.hypot((U - 0.2) * 30, (V + 0.1) * 24) < 4
SOUND = np.hypot((U - 0.2) * 30, (V + 0.1) * 24) > 9
LAST = 63


def flashed(
    *, drift_k: float = 0.0, lamp: NDArray[np.float64] | None = None, spot: float = 0.0, noise_k: float = 0.02
) -> ThermalSequence:
    times = np.arange(-5, 500) / 10.0 + 0.05
    after = np.maximum(times, 0.05)
    curve = np.where(times > 0, 3.0 / np.sqrt(after), 0.0)
    late = spot * after**3 / (after**3 + 8.0**3)
    frames = curve[:, None, None] * (LAMP if lamp is None else lamp) * (1.0 + late[:, None, None] * SPOT)
    frames = frames + (drift_k * np.maximum(times, 0.0) / 50.0)[:, None, None]
    frames = frames + np.random.default_rng(5).normal(0, noise_k, frames.shape)
    return ThermalSequence(
        frames=frames.astype(np.float32), times_s=times, unit="degC", excitation=Excitation(kind="flash"), ambient_c=0.0
    )


def image(sequence: ThermalSequence, *, drift: bool) -> NDArray[np.float32]:
    recipe = PhysicalRepresentation(background_order=0, texture=True, drift=drift)
    return np.asarray(np.sinh(recipe.stack(sequence)[LAST - 6 : LAST + 1]).mean(axis=0))


def pattern(seen: NDArray[np.float32]) -> float:
    """How strongly an image follows the lamps: its slope on their pattern, over sound pixels."""
    return float(np.polyfit(LAMP[SOUND], seen[SOUND], 1)[0])


def test_a_common_drift_shows_the_lamps_unless_it_is_taken_out() -> None:
    still = pattern(image(flashed(), drift=False))
    drifting = pattern(image(flashed(drift_k=0.2), drift=False))
    mended = pattern(image(flashed(drift_k=0.2), drift=True))
    assert abs(drifting) > 10 * max(abs(still), 0.05)
    assert abs(mended) < 0.15 * abs(drifting)


def test_a_defect_keeps_its_contrast() -> None:
    plain, mended = (image(flashed(spot=0.1, drift_k=0.1), drift=drift) for drift in (False, True))
    contrasts = [float(seen[SPOT].mean() - np.median(seen[SOUND])) for seen in (plain, mended)]
    assert min(contrasts) > 1.0
    assert contrasts[1] > 0.85 * contrasts[0]


def test_under_even_light_hardly_anything_changes() -> None:
    """The gain of a wide defect is a faint pattern, and no lamp: it must not be taken out with one."""
    wide = np.hypot((U - 0.2) * 30, (V + 0.1) * 24) < 14
    even = flashed(lamp=np.ones(SHAPE))
    times = np.asarray(even.times_s)
    after = np.maximum(times, 0.05)
    share = 0.02 * (after**3 / (after**3 + 8.0**3))[:, None, None] * wide
    curve = np.where(times > 0, 3.0 / np.sqrt(after), 0.0)[:, None, None]
    sequence = replace(even, frames=(np.asarray(even.frames) + curve * share).astype(np.float32))
    plain, mended = (image(sequence, drift=drift) for drift in (False, True))
    contrasts = [float(seen[wide].mean() - seen[~wide].mean()) for seen in (plain, mended)]
    assert contrasts[0] > 0.3 and contrasts[1] > 0.8 * contrasts[0]


def test_saved_and_read_back() -> None:
    saved = PhysicalRepresentation(drift=True).to_metadata()
    assert saved["format_version"] == "physical-2" and saved["drift"] is True and saved["texture"] is False
    again = load_representation(saved, {})
    assert isinstance(again, PhysicalRepresentation) and again.drift and not again.texture
