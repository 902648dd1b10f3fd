"""Counts to temperatures: the inverse of the radiation balance, its limits, and the atmosphere's transmission."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import flir_bytes as make
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc.errors import CorruptFileError
from thermo_qc.io.flir_camera import CameraInfo, read_camera
from thermo_qc.io.flir_radiometry import Radiometry, atmosphere_transmission, radiometry_of, temperature_table_k


def _camera(**values: float) -> CameraInfo:
    record = make.camera(**values)
    return read_camera(Path("a.fff"), record, (0, len(record)))


def _radiometry(**values: float) -> Radiometry:
    result = radiometry_of(Path("a.fff"), _camera(**values))
    assert result is not None
    return result


@settings(deadline=None, max_examples=20)
@given(
    object_c=st.floats(-10, 90),
    emissivity=st.floats(0.2, 1),
    reflected_c=st.floats(0, 40),
    air_c=st.floats(0, 40),
    window_c=st.floats(0, 40),
    window=st.floats(0.5, 1),
    distance=st.floats(0, 50),
    humidity=st.floats(0.05, 1),
)
def test_the_balance_of_radiation_is_undone(
    object_c: float,
    emissivity: float,
    reflected_c: float,
    air_c: float,
    window_c: float,
    window: float,
    distance: float,
    humidity: float,
) -> None:
    r = _radiometry(
        emissivity=emissivity,
        reflected=reflected_c + 273.15,
        atmosphere=air_c + 273.15,
        window=window_c + 273.15,
        window_transmission=window,
        distance=distance,
        humidity=humidity,
    )
    own, mirrored, air, glass = (r.counts_of(c + 273.15) for c in (object_c, reflected_c, air_c, window_c))
    seen = r.emissivity * own + (1 - r.emissivity) * mirrored
    seen = r.transmission * seen + (1 - r.transmission) * air
    seen = r.window_transmission * seen + (1 - r.window_transmission) * glass
    table = temperature_table_k(r)
    assert np.interp(seen, np.arange(65536), table) == pytest.approx(object_c + 273.15, abs=0.01)


def test_black_body_without_air_is_plancks_law_alone() -> None:
    counts = np.arange(12000, 30000)
    table = temperature_table_k(_radiometry())
    np.testing.assert_allclose(table[counts] - 273.15, make.celsius(counts), atol=2e-4)


def test_table_rises_and_is_nan_below_absolute_zero() -> None:
    table = temperature_table_k(_radiometry())
    assert np.isnan(table[:7340]).all() and np.isfinite(table[7400:]).all()
    assert (np.diff(table[7400:]) > 0).all()
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1


def test_transmission_of_the_air() -> None:
    near, far = _camera(distance=0.0), _camera(distance=100.0)
    assert atmosphere_transmission(near, 20.0) == pytest.approx(1.0)
    # by hand at 1 m, 20 degC, 50 %: h = 0.5 exp(1.5587 + 1.3878 - 0.111264 + 0.00547640) = 8.5643
    root = np.sqrt(0.5 * np.exp(1.5587 + 1.3878 - 0.111264 + 0.0054764))
    expected = 1.9 * np.exp(-(0.006569 - 0.002276 * root)) - 0.9 * np.exp(-(0.01262 - 0.00667 * root))
    assert atmosphere_transmission(_camera(distance=1.0), 20.0) == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(0.994, abs=0.001)
    assert 0.8 < atmosphere_transmission(far, 20.0) < expected
    assert atmosphere_transmission(replace(far, humidity=0.0), 20.0) > atmosphere_transmission(far, 20.0)


def test_humidity_in_percent_and_windows_that_were_never_set() -> None:
    assert _camera(humidity=50.0).humidity == pytest.approx(0.5)
    assert _radiometry(window_transmission=0.0).window_transmission == 1
    assert _radiometry(window=0.0).window_k == pytest.approx(295.15)  # of no use without a window


def test_air_temperature_option_counts_before_the_file() -> None:
    camera = _camera(distance=20.0)
    stated = radiometry_of(Path("a.fff"), camera, None, 5.0)
    assert stated is not None and stated.atmosphere_k == pytest.approx(278.15)
    assert stated.transmission > _radiometry(distance=20.0).transmission


def test_constants_that_give_no_counts() -> None:
    with pytest.raises(CorruptFileError, match="expected counts for every temperature"):
        _radiometry(b=1e8)
