"""Two tiny labelled recordings with their manifests and a model trained on the first of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from thermo_qc.cli import main
from thermo_qc.io import write_sequence
from thermo_qc.sequence import Defect, Excitation, ThermalSequence, Truth

EXPERIMENT = {
    "name": "start",
    "representation": {"time": {"n_steps": 6}},
    "model": {"kind": "curve", "name": "cnn1d", "parameters": {"channels": [8, 8]}},
    "train": {"epochs": 2, "batch_size": 256, "losses": [{"class_weights": "balanced"}]},
}


def recording(seed: int) -> ThermalSequence:
    """Build a cooling plate of 24 x 24 px with two warm spots."""
    rng = np.random.default_rng(seed)
    times = np.arange(-3.0, 20.0)
    index = np.zeros((24, 24), dtype=np.int16)
    index[4:9, 4:10] = 1
    index[14:20, 12:20] = 2
    depth = np.where(index > 0, 1.0, np.nan).astype(np.float32)
    after = np.clip(times - 4.0, 0.0, None)[:, None, None]
    frames = 20.0 + (times > 0)[:, None, None] * (8.0 / np.sqrt(1.0 + after) + np.where(index > 0, 1.5, 0.0))
    return ThermalSequence(
        frames=(frames + 0.02 * rng.standard_normal(frames.shape)).astype(np.float32),
        times_s=times,
        unit="K",
        excitation=Excitation(kind="long_pulse", start_s=0.0, stop_s=4.0),
        truth=Truth(
            defect_index=index,
            depth_mm=depth,
            defects=tuple(Defect(number=n, depth_mm=1.0, diameter_mm=6.0, name=f"D{n}") for n in (1, 2)),
        ),
    )


def little_lab(folder: Path) -> Path:
    """Write recordings a.h5 and b.h5, manifests list_a.yaml and list_b.yaml, and the run start."""
    for seed, name in enumerate(("a", "b")):
        write_sequence(recording(seed), folder / f"{name}.h5")
        (folder / f"list_{name}.yaml").write_text(yaml.safe_dump({"recordings": [{"recording": f"{name}.h5"}]}))
    (folder / "start.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    command = [
        "train",
        str(folder / "start.yaml"),
        "--manifest",
        str(folder / "list_a.yaml"),
        "-o",
        str(folder / "start"),
    ]
    assert main(command) == 0
    return folder
