"""What the nominal constants of the frozen random plates leave of their depths, whatever reads the curves.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks/test_depth_limits.py`` (``THERMO_QC_BENCH`` names the
folder of the recordings, ``THERMO_QC_BENCH_PLATES`` says how many in place of 24). A recording tells the depth of a
defect in units of the diffusion length; millimetres take the plate's diffusivity, of which only the nominal value is
given, 10 % of each constant about the true one. The depth that a perfect reading would have is the true one times the
root of nominal over true diffusivity. Only a recording that lasts until the plate is warm through tells its
diffusivity, the thickness being known, and leaves less.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from general_scores import at_rate

from thermo_qc.io import read_sequence
from thermo_qc.preprocess import estimate_noise
from thermo_qc.sequence import Material
from thermo_qc.workflows import corpus

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]
CONFIG = Path(__file__).parents[2] / "configs" / "corpora" / "unseen.yaml"
DETECTABLE = 30.0
N_RANDOM = int(os.environ.get("THERMO_QC_BENCH_PLATES", "24"))


def test_what_nominal_constants_leave(tmp_path: Path) -> None:
    home = Path(os.environ.get("THERMO_QC_BENCH", str(tmp_path)))
    errors, right, near = [], 0, 0
    for entry in corpus.run(CONFIG, home / "unseen", n_plates=N_RANDOM, workers=1):
        sequence = read_sequence(entry.path)
        assert sequence.truth is not None and sequence.material is not None and sequence.thickness_mm is not None
        true = Material(**sequence.history[0].parameters["material"])
        read = np.sqrt(sequence.material.diffusivity_through_mm2_s / true.diffusivity_through_mm2_s)
        indices = at_rate(entry.own_indices, sequence, estimate_noise(sequence))
        for defect in sequence.truth.defects:
            if indices.get(defect.number, 0.0) < DETECTABLE:
                continue
            share = defect.depth_mm / sequence.thickness_mm
            errors.append(abs(read - 1))
            right += int(min(2, 3 * share) // 1 == min(2, 3 * share * read) // 1)
            near += min(abs(share * limit - 1) for limit in (3.0, 1.5)) < 0.1
    print(
        f"\n{len(errors)} detectable defects, perfectly read: {100 * np.mean(errors):.1f} % off, "
        f"third of the thickness right {right} = {100 * right / len(errors):.1f} %; {near} within 10 % of a limit"
    )
    assert 0.01 < float(np.mean(errors)) < 0.1
