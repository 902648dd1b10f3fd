"""The general model on its frozen test set: calibrated plate, random plates, third-party simulations.

Run with ``python -m pytest -m benchmark -n 0 -s tests/benchmarks/test_general_model.py``. Recordings are simulated
once, into the folder that ``THERMO_QC_BENCH`` names (a temporary one otherwise). ``THERMO_QC_MODEL`` names another
model than the one that ships, ``THERMO_QC_TTA=1`` averages over turns and mirror images, ``THERMO_QC_BENCH_PLATES``
says how many random plates there are in place of 24; their first ones stay the same.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from general_scores import Score, at_rate, pooled, score_recording, spread
from scipy import ndimage

from thermo_qc.config import SimulationConfig, load_config
from thermo_qc.evaluation import InspectionSetup, plate_detectability
from thermo_qc.inspection import load_model, predict_sequence
from thermo_qc.io import read_sequence
from thermo_qc.models import TrainedModel
from thermo_qc.plate import load_plate
from thermo_qc.preprocess import estimate_noise
from thermo_qc.sequence import Material
from thermo_qc.simulation import Heating, Lamp, Losses
from thermo_qc.workflows import corpus, simulate
from thermo_qc.workflows.demo_plan import resource

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]
ROOT = Path(__file__).parents[2]
ACQUISITIONS = ("a1_two_lamps", "a2_lamp_left", "a3_mirrored", "a4_uncooled", "a5_weak_lamp", "a6_turned")
N_RANDOM = int(os.environ.get("THERMO_QC_BENCH_PLATES", "24"))
TTA = os.environ.get("THERMO_QC_TTA") == "1"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("THERMO_QC_BENCH")
    return Path(given) if given else tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def models() -> tuple[TrainedModel, ...]:
    return load_model(os.environ.get("THERMO_QC_MODEL", "general"))


def calibrated(home: Path, name: str) -> tuple[Path, dict[int, float]]:
    """Recording of the calibrated plate and the detectability of its holes."""
    config_path, target = resource(f"acquisitions/{name}.yaml"), home / f"{name}.h5"
    if not target.is_file():
        home.mkdir(parents=True, exist_ok=True)
        simulate.run(config_path, target)
    config = load_config(SimulationConfig, config_path)
    plate = load_plate(config.plate, relative_to=config_path.parent)
    setup = InspectionSetup(
        heating=Heating(
            **config.heating.model_dump(exclude={"lamps"}),
            lamps=tuple(Lamp(**lamp.model_dump()) for lamp in config.heating.lamps),
        ),
        losses=Losses(**config.loss.model_dump()),
        netd_k=config.camera.netd_k,
        quantisation_k=config.camera.quantisation_k,
        pixel_pitch_mm=config.camera.pixel_pitch_mm,
        blur_px=config.camera.blur_px,
        frame_rate_hz=config.recording.frame_rate_hz,
        cold_s=config.recording.cold_s,
        duration_s=config.recording.duration_s,
    )
    found = plate_detectability(plate, setup=setup, bounds=False)
    return target, {hole.number: hole.index.background for hole in found}


def test_calibrated_plate(home: Path, models: tuple[TrainedModel, ...]) -> None:
    scores: list[Score] = []
    print()
    for name in ACQUISITIONS:
        path, indices = calibrated(home, name)
        sequence = read_sequence(path)
        scores.append(score_recording(sequence, predict_sequence(models, sequence, tta=TTA), indices))
        print(scores[-1].line(name))
    print(pooled(scores).line("calibrated plate"))
    assert pooled(scores).detectable > 60


def test_random_plates(home: Path, models: tuple[TrainedModel, ...]) -> None:
    plates = corpus.run(ROOT / "configs" / "corpora" / "unseen.yaml", home / "unseen", n_plates=N_RANDOM, workers=2)
    scores, sound = [], []
    kinds: dict[str, list[Score]] = {"H": [], "B": []}
    print()
    for plate in plates:
        sequence = read_sequence(plate.path)
        indices = at_rate(plate.own_indices, sequence, estimate_noise(sequence))
        prediction = predict_sequence(models, sequence, tta=TTA)
        score = score_recording(sequence, prediction, indices)
        scores.append(score)
        for named, own in kinds.items():
            own.append(score_recording(sequence, prediction, indices, named=named))
        sound += [score] if score.defects == 0 else []
        material = sequence.material or Material
        print(score.line(f"{plate.path.stem} {material.name[:7]:7}"))
    print(pooled(scores).line("random plates"))
    print(spread(scores))
    for named, what in (("H", "flat-bottom holes"), ("B", "buried defects")):
        print(pooled(kinds[named]).line(f"  {what}"))
    print(f"{len(sound)} plates without defects: {sum(score.false_calls for score in sound)} false calls")
    assert pooled(scores).detectable > 60


@pytest.mark.parametrize("name", ["cfrp_1.3mm_ellipse_inclusion", "cfrp_3.8mm_rect_inclusion"])
def test_third_party_simulations(name: str, models: tuple[TrainedModel, ...]) -> None:
    path = ROOT.parent / "shared" / "data" / "fem" / f"{name}.hdf5"
    if not path.is_file():
        pytest.skip("the third-party simulations are not here")
    sequence = read_sequence(path)
    rng = np.random.default_rng(0)
    frames = np.asarray(sequence.frames[:, :, :], dtype=np.float32)
    noisy = sequence.with_frames(
        frames + rng.normal(0, 0.02, frames.shape).astype(np.float32), "add_noise", parameters={"netd_k": 0.02}
    )
    prediction = predict_sequence(models, noisy, tta=TTA)
    assert noisy.truth is not None
    true, called = noisy.truth.defect_index > 0, prediction.defect
    overlap = (true & called).sum() / max(1, (true | called).sum())
    outside = int((called & ~true).sum())
    print(f"\n{name}: IoU {overlap:.3f}, called outside {outside} px; {'; '.join(prediction.notes)}")
    late = (sequence.times_s > 0.1 * sequence.times_s[-1]) & (sequence.times_s <= 0.25 * sequence.times_s[-1])
    clean, noisy_mean = frames[late].mean(axis=0), noisy.frames[:, :, :][late].mean(axis=0)
    contrast = abs(float(np.median(clean[true]) - np.median(clean[~true])))
    texture = float(np.std(clean[~true] - cv2.GaussianBlur(clean, (0, 0), 8)[~true]))
    blurred = _best_overlap(cv2.GaussianBlur(noisy_mean, (0, 0), 5), true)
    print(
        f"  mean of {late.sum()} frames: contrast {1e3 * contrast:.0f} mK, mesh pattern {1e3 * texture:.0f} mK, "
        f"noise {20 / np.sqrt(late.sum()):.1f} mK; IoU of the best threshold, chosen with the truth: "
        f"{_best_overlap(noisy_mean, true):.2f}, blurred by 5 px {blurred:.2f}"
    )


def test_real_sequence(home: Path, models: tuple[TrainedModel, ...]) -> None:
    """Draws what the model calls beside what an eye sees; the recording may not be copied, nor its picture shipped."""
    path = ROOT.parent / "shared" / "data" / "real" / "cfrp_pulsed_60x105x120.mat"
    if not path.is_file():
        pytest.skip("the real recording is not here")
    from matplotlib.figure import Figure

    sequence = read_sequence(path, frame_rate_hz=30, heating_stop_s=0)
    prediction = predict_sequence(models, sequence, tta=TTA)
    mean = np.asarray(sequence.frames[15:56, :, :], dtype=np.float32).mean(axis=0)
    flat = mean - cv2.GaussianBlur(mean, (0, 0), 20)
    figure = Figure(figsize=(15, 4.4), layout="constrained")
    panels: list[tuple[np.ndarray, str, str, tuple[float, float] | None]] = [
        (mean, "mean of frames 15 to 55", "counts", None),
        (flat, "less its smooth background", "counts", (float(np.percentile(flat, 1)), float(np.percentile(flat, 99)))),
        (1 - prediction.probability[0], "called inside the lines", "probability of a defect", (0.0, 1.0)),
    ]
    for axes, (image, title, unit, limits) in zip(figure.subplots(1, 3), panels, strict=True):
        low, high = limits or (None, None)
        shown = axes.imshow(image, cmap="inferno", vmin=low, vmax=high)
        axes.set(title=title, xlabel="column, px", ylabel="row, px")
        figure.colorbar(shown, ax=axes, label=unit, shrink=0.8)
    axes.contour(prediction.defect, [0.5], colors="w", linewidths=1)
    home.mkdir(parents=True, exist_ok=True)
    figure.savefig(home / "real_sequence.png", dpi=90)
    labels, number = ndimage.label(prediction.defect, np.ones((3, 3)))
    areas = sorted(np.bincount(labels.ravel())[1:].tolist(), reverse=True)
    print(f"\n{path.name}: {number} regions of {areas} px; {home / 'real_sequence.png'}")
    assert number > 0


def _best_overlap(image: np.ndarray, true: np.ndarray) -> float:
    """Largest IoU that any threshold on an image reaches, above or below it."""
    ranked = true.ravel()[np.argsort(image.ravel())]
    counts = np.arange(1, ranked.size + 1)
    hits = [np.cumsum(part) for part in (ranked, ranked[::-1])]
    return max(float((found / (counts + true.sum() - found)).max()) for found in hits)
