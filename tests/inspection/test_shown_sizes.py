"""The chart of a report: smallest holes that a recording could have shown, interpolated between few simulated ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_shown import GFRP, THICKNESS_MM

from thermo_qc.evaluation import DetectionLimits, InspectionSetup, hole_detectability
from thermo_qc.inspection import RecordedSetup, shown_sizes
from thermo_qc.simulation import Heating

SETUP = InspectionSetup(
    heating=Heating(duration_s=20.0), quantisation_k=0.0, pixel_pitch_mm=1.5, duration_s=60.0, cold_s=4.0
)
RECORDED = RecordedSetup(setup=SETUP, material=GFRP, thickness_mm=THICKNESS_MM, missing=())


def test_the_smallest_hole_has_the_index_of_the_limit() -> None:
    found = shown_sizes(RECORDED)
    assert found is not None
    assert found.depths_mm == (0.8, 2.0, 4.0, 6.4)
    for visible, detectable in zip(found.visible_mm, found.detectable_mm, strict=True):
        assert visible <= detectable or np.isnan(detectable)
    deeper = np.diff([size for size in found.detectable_mm if np.isfinite(size)])
    assert (deeper > 0).all()
    index = hole_detectability(
        GFRP, thickness_mm=THICKNESS_MM, depth_mm=4.0, diameter_mm=found.detectable_mm[2], setup=SETUP
    )
    assert index.background == pytest.approx(30.0, rel=0.12)  # a diameter within 6 %


def test_noise_and_limits_move_the_line() -> None:
    noisy = shown_sizes(replace(RECORDED, setup=replace(SETUP, netd_k=0.1)))
    plain, strict = shown_sizes(RECORDED), shown_sizes(RECORDED, DetectionLimits(visible=30.0, detectable=1e7))
    assert plain is not None and noisy is not None and strict is not None
    assert noisy.detectable_mm[1] > 1.3 * plain.detectable_mm[1]
    assert strict.visible_mm == pytest.approx(plain.detectable_mm, nan_ok=True)
    assert np.isnan(strict.detectable_mm).all()


def test_what_is_not_known_gives_no_line() -> None:
    assert shown_sizes(replace(RECORDED, setup=None)) is None
    assert shown_sizes(replace(RECORDED, material=None)) is None
