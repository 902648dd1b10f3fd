"""PPT beside pythermondt, whose results were made in an environment of their own (make_pythermondt_oracle.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from thermo_qc.io import read_sequence
from thermo_qc.thermography import compute_ppt

RECORDING = Path(__file__).parents[2].parent / "shared" / "data" / "fem" / "cfrp_1.3mm_ellipse_inclusion.hdf5"
ORACLE = json.loads(Path(__file__).with_name("pythermondt_ppt.json").read_text())


@pytest.mark.skipif(not RECORDING.exists(), reason="the simulated recording of pythermondt is not there")
def test_equal_to_pythermondt() -> None:
    sequence = read_sequence(RECORDING)
    rows, columns = np.array(ORACLE["pixels"]).T
    curves = np.asarray(sequence.frames[:, :, :])[:, rows, columns].astype(np.float64)
    ppt = compute_ppt(curves, sequence.times_s, tuple(ORACLE["bins"]))
    step = float(np.diff(sequence.times_s).mean())
    expected = step * (np.array(ORACLE["real"]) + 1j * np.array(ORACLE["imaginary"])).T
    found = ppt.amplitude * np.exp(1j * ppt.phase_rad)
    # The look-up table is read in float32 here, in float64 there.
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(ppt.frequencies_hz, ORACLE["frequencies_hz"], rtol=1e-6)
