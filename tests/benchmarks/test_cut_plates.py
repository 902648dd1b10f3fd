"""Plates that the camera sees a part of: outlines near the border of the image, with and without a look beyond it.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks/test_cut_plates.py``; folder and model as in
``test_general_model.py``. Every frozen random plate is cut to the middle 60 % of its image in either direction.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from general_scores import DETECTABLE, at_rate
from test_general_model import N_RANDOM, ROOT, home, models  # noqa: F401

from thermo_qc.inspection import predict_sequence
from thermo_qc.io import read_sequence
from thermo_qc.models import TrainedModel
from thermo_qc.models.hybrid import CurveUNet
from thermo_qc.preprocess import estimate_noise
from thermo_qc.workflows import corpus

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]
NEAR_PX = 12


def test_outlines_near_the_border_gain(
    home: Path,  # noqa: F811
    models: tuple[TrainedModel, ...],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plates = corpus.run(ROOT / "configs" / "corpora" / "unseen.yaml", home / "unseen", n_plates=N_RANDOM, workers=2)
    counts = {(beyond, near): np.zeros(3, dtype=np.int64) for beyond in (False, True) for near in (False, True)}
    for plate in plates:
        whole = read_sequence(plate.path)
        indices = at_rate(plate.own_indices, whole, estimate_noise(whole))
        height, width = whole.frame_shape
        sequence = whole.crop(slice(height // 5, 4 * height // 5), slice(width // 5, 4 * width // 5))
        assert sequence.truth is not None
        index = sequence.truth.defect_index
        seen = np.isin(index, [key for key, value in indices.items() if value >= DETECTABLE])
        used = sequence.truth.valid & (seen | (index <= 0))
        border = np.ones(index.shape, dtype=bool)
        border[NEAR_PX:-NEAR_PX, NEAR_PX:-NEAR_PX] = False
        for beyond in (False, True):
            monkeypatch.setattr(CurveUNet, "looks_beyond", beyond)
            called = predict_sequence(models, sequence).defect
            for near in (False, True):
                part = used & (border == near)
                counts[beyond, near] += [(called & seen & part).sum(), (called & part).sum(), (seen & part).sum()]
    f1 = {key: 2 * both / max(1, said + true) for key, (both, said, true) in counts.items()}
    print()
    for near, where in ((True, f"within {NEAR_PX} px of the border"), (False, "farther inside")):
        print(
            f"{where:28} F1 {f1[False, near]:.3f} without, {f1[True, near]:.3f} with a look beyond it; "
            f"{counts[True, near][2]} pixels of detectable defects"
        )
    assert f1[True, True] > f1[False, True]
