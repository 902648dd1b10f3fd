"""Contrast maps against the contrasts of whole arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from thermo_qc.errors import ConfigError, MissingFactError
from thermo_qc.sequence import Excitation, ThermalSequence
from thermo_qc.thermography import (
    absolute_contrast,
    compute_maps,
    make_method,
    normalised_contrast,
    running_contrast,
    standard_contrast,
)

ALL = ["absolute", "running", "normalised", "standard"]


@pytest.fixture(scope="module")
def plate() -> ThermalSequence:
    times = np.arange(60) * 0.2 - 0.9
    after = np.maximum(times, 0.05)[:, None, None]
    row, column = np.mgrid[:16, :18]
    hole = np.hypot(row - 8, column - 9) < 4
    late = hole * after * np.exp(-after / 2)
    rise = np.where(times[:, None, None] > 0, (4 + 0.02 * row) / np.sqrt(after) * (1 + late), 0.0)
    noise = np.random.default_rng(0).normal(0, 0.002, rise.shape)
    return ThermalSequence(
        frames=20 + rise + noise,
        times_s=times,
        unit="degC",
        excitation=Excitation(kind="flash", start_s=0.0, stop_s=0.01),
    )


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    region = np.zeros((16, 18), dtype=bool)
    region[:3] = True
    return region


def test_equal_to_the_contrasts_of_the_whole(plate, sound):
    maps = compute_maps(
        plate, {"contrast": make_method("contrast", {"kinds": ALL, "times_s": [1.0, 4.0]})}, sound=sound
    )
    cold = plate.times_s < 0
    rise = plate.frames - plate.frames[cold].mean(axis=0)
    after = plate.times_s > 0.01
    times, curves, reference = plate.times_s[after] - 0.005, rise[after], rise[:, sound].mean(axis=1)[after]
    expected = {
        "absolute": absolute_contrast(curves, reference),
        "running": running_contrast(curves, reference),
        "normalised": normalised_contrast(curves, reference, 0),
        "standard": standard_contrast(
            np.concatenate([np.zeros((1, 16, 18)), curves]), np.concatenate([[0], reference]), 0
        )[1:],
    }
    index = [int(np.abs(times - wanted).argmin()) for wanted in (1.0, 4.0)]
    for kind, values in expected.items():
        names = [image.layer.name for image in maps.images if image.layer.name.startswith(f"contrast_{kind}")]
        for name, place in zip(names[:2], index, strict=True):
            np.testing.assert_allclose(maps[name], values[place], atol=2e-4)
        np.testing.assert_allclose(maps[f"contrast_{kind}_largest"], values.max(axis=0), atol=2e-4)
        place = values.argmax(axis=0)
        inside = (place > 0) & (place < times.size - 1)
        found = maps[f"contrast_{kind}_largest_time"]
        assert (found[inside] == times[place][inside].astype(np.float32)).mean() > 0.97
        assert np.isnan(found[~inside]).mean() > 0.9 or inside.all()
    assert maps.images[0].layer.unit == "K" and maps.images[4].layer.unit == "1"


def test_the_hole_stands_out_when_its_heat_is_late(plate, sound):
    maps = compute_maps(plate, {"contrast": make_method("contrast")}, sound=sound)
    hole = maps["contrast_absolute_largest"] > 0.5
    assert hole[8, 9] and not hole[0, 0]
    time = maps["contrast_absolute_largest_time"][8, 9]
    assert 0.5 < time < 2.0  # sqrt(t) exp(-t / 2) is largest at 1 s


def test_default_reference_is_the_median_of_the_plate(plate):
    maps = compute_maps(plate, {"contrast": make_method("contrast", {"kinds": ["absolute"]})})
    assert maps.reference == "median of pixels over the plate"
    assert abs(np.median(maps[maps.images[0].layer.name])) < 0.01


def test_bad_input_is_refused(plate):
    with pytest.raises(ConfigError, match=r"contrast\.kinds is empty"):
        make_method("contrast", {"kinds": []})
    with pytest.raises(ConfigError, match=r"contrast\.n_times is 0"):
        make_method("contrast", {"n_times": 0})
    with pytest.raises(ConfigError, match=r"contrast\.times_s has \[99\.0\]"):
        compute_maps(plate, {"contrast": make_method("contrast", {"times_s": [99.0]})})
    scene = compute_maps(plate, {"contrast": make_method("contrast")}).scene
    with pytest.raises(MissingFactError, match="give a sound region"):
        make_method("contrast").layers(replace(scene, sound=None))
