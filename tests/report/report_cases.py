"""Run folders with small arrays, made the way the workflows make them but without any training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from scipy import ndimage

from thermo_qc.evaluation import FoldItem, confusion_matrix, hole_table, make_splits, pixel_metrics, summarise
from thermo_qc.io import write_json, write_sequence, write_text
from thermo_qc.plate import BINARY, ClassScheme, Hole, PlateSpec
from thermo_qc.sequence import Defect, Excitation, Material, ThermalSequence, Truth

GFRP = Material(
    name="GFRP",
    conductivity_through_w_mk=0.3,
    conductivity_in_plane_w_mk=0.4,
    density_kg_m3=1900.0,
    heat_capacity_j_kgk=1000.0,
)
SCHEME = ClassScheme(
    name="regions", class_names=("sound", "surface defect", "in-depth defect"), max_depth_mm=(3.0, 17.0)
)
PITCH_MM = 2.0
NETD_K = 0.025
KEYS = ("first", "second", "third")


def small_plate() -> PlateSpec:
    """Four holes: two that anybody sees, one deep one, one that is lost in the noise."""
    places = ((15.0, 15.0, 14.0, 1.3), (45.0, 15.0, 8.0, 1.3), (15.0, 45.0, 14.0, 7.2), (45.0, 45.0, 8.0, 12.7))
    holes = tuple(
        Hole(number=n, name=f"H{n}", x_mm=x, y_mm=y, diameter_mm=d, depth_mm=z)
        for n, (x, y, d, z) in enumerate(places, 1)
    )
    return PlateSpec(
        name="small",
        width_mm=64.0,
        height_mm=60.0,
        thickness_mm=17.0,
        material=GFRP,
        holes=holes,
        schemes={"regions": SCHEME, "binary": BINARY},
        edge_margin_mm=4.0,
    )


CONTRAST_K = {1: 6.0, 2: 4.0, 3: 0.3, 4: 0.02}


def small_truth(plate: PlateSpec | None = None, pitch_mm: float = PITCH_MM) -> Truth:
    plain = (plate or small_plate()).truth(pitch_mm)
    defects = tuple(
        Defect(
            number=defect.number,
            name=defect.name,
            depth_mm=defect.depth_mm,
            diameter_mm=defect.diameter_mm,
            peak_contrast_k=CONTRAST_K.get(defect.number, 8.0 * float(np.exp(-(defect.depth_mm or 0.0) / 2.2))),
        )
        for defect in plain.defects
    )
    return Truth(defect_index=plain.defect_index, depth_mm=plain.depth_mm, defects=defects)


def guessed_map(truth: Truth, scheme: ClassScheme, rng: np.random.Generator) -> np.ndarray:
    """What a fair model would call: visible holes with frayed edges, now and then the wrong class, one false call."""
    class_map = scheme.class_map(truth)
    result = np.zeros_like(class_map)
    for defect in truth.defects:
        if (defect.peak_contrast_k or 0.0) < 5 * NETD_K:
            continue
        grown = ndimage.binary_dilation(truth.defect_index == defect.number) & (rng.random(class_map.shape) > 0.1)
        wrong = rng.random() < 0.15
        right = scheme.class_of_depth(float(defect.depth_mm or 0.0))
        result[grown] = max(1, right - 1) if wrong else right
    result[-6:-4, 4:7] = 1
    return result


def recording(
    truth: Truth, rng: np.random.Generator, *, pitch_mm: float | None = PITCH_MM, step_s: float = 10.0
) -> ThermalSequence:
    """Square-root heating and cooling, with a bump of every hole's own height and time."""
    times = np.concatenate([[-2.0, -1.0], np.arange(step_s, 401.0, step_s)])
    t = np.clip(times, 0.0, None)
    rise = 12.0 * (np.sqrt(t) - np.sqrt(np.clip(t - 60.0, 0.0, None))) / np.sqrt(60.0)
    frames = np.repeat(rise[:, None], truth.defect_index.size, axis=1).reshape(times.size, *truth.shape)
    for defect in truth.defects:
        when = 60.0 + 1.5 * float(defect.depth_mm or 0.0) ** 2
        bump = (defect.peak_contrast_k or 0.0) * np.exp(-(np.log((t + 1e-3) / when) ** 2))
        frames[:, truth.defect_index == defect.number] += bump[:, None]
    frames = (22.0 + frames + rng.normal(0.0, NETD_K, frames.shape)).astype(np.float32)
    return ThermalSequence(
        frames=frames,
        times_s=times,
        unit="degC",
        pixel_pitch_mm=pitch_mm,
        excitation=Excitation(kind="long_pulse", stop_s=60.0),
        netd_k=NETD_K,
        truth=truth,
    )


def write_prediction(
    path: Path, truth: Truth, scheme: ClassScheme, class_map: np.ndarray, frame: np.ndarray | None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = np.where(class_map > 0, 5.0, np.nan).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["class_map"] = class_map
        file["depth_mm"] = depth
        file["probability"] = np.zeros((scheme.n_classes, *class_map.shape), dtype=np.float32)
        file.attrs["class_names"] = json.dumps(list(scheme.class_names))
        file.attrs["pixel_pitch_mm"] = PITCH_MM
        file.attrs["model_sha256"] = "c" * 64
        file["truth/class_map"] = scheme.class_map(truth)
        file["truth/depth_mm"] = truth.depth_mm
        file["truth/defect_index"] = truth.defect_index
        if frame is not None:
            file["frame"] = frame
            file["frame"].attrs["time_s"] = 94.0


def make_run(
    folder: Path,
    *,
    plate: PlateSpec | None = None,
    plate_name: str = "small",
    scheme: ClassScheme = SCHEME,
    keys: tuple[str, ...] = KEYS,
    command: str = "cv",
    name: str = "unet",
    kind: str = "segmentation",
    by: str = "acquisition",
    pitch_mm: float = PITCH_MM,
    seed: int = 0,
    leakage: bool = True,
    **record: Any,
) -> Path:
    """A finished run with predictions, metrics, splits, histories and (in folder/data) its recordings."""
    truth = small_truth(plate, pitch_mm)
    rng = np.random.default_rng(seed)
    names = scheme.class_names
    results, data, items = [], [], []
    for fold, key in enumerate(keys):
        guess = guessed_map(truth, scheme, rng)
        sequence = recording(truth, rng, pitch_mm=pitch_mm)
        if not (folder / "data" / f"{key}.h5").exists():
            (folder / "data").mkdir(parents=True, exist_ok=True)
            write_sequence(sequence, folder / "data" / f"{key}.h5")
        frame = np.asarray(sequence.frames[10] - sequence.frames[:2].mean(axis=0))
        if command != "train":
            write_prediction(folder / "predictions" / f"{key}.h5", truth, scheme, guess, frame)
        class_map = scheme.class_map(truth)
        holes = hole_table(
            truth,
            guess,
            scheme=scheme,
            pixel_pitch_mm=pitch_mm,
            key=key,
            fold=fold,
            netd_k=NETD_K,
            depth_map_mm=np.where(guess > 0, 5.0, np.nan).astype(np.float32),
        )
        confusion = confusion_matrix(class_map, guess, len(names))
        results.append({"fold": fold, "test_keys": [key], "metrics": pixel_metrics(confusion, names), "holes": holes})
        data.append(
            {
                "key": key,
                "recording": str(folder / "data" / f"{key}.h5"),
                "sha256": "",
                "plate": plate_name,
                "acquisition": key,
                "condition": "long pulse",
                "netd_k": NETD_K,
                "pixel_pitch_mm": pitch_mm,
            }
        )
        items.append(
            FoldItem(
                key=key,
                acquisition=key,
                plate="p",
                condition="a",
                truth=truth,
                class_map=class_map,
                pixel_pitch_mm=pitch_mm,
                guard_mm=6.0,
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    if command == "train":
        write_json(folder / "training_metrics.json", {"note": "own", "metrics": results[0]["metrics"]})
    else:
        metrics = summarise(results, names)
        random = {**metrics["pooled"], "defect_iou": 0.97}
        metrics["leakage"] = {"by": "random_pixel", "n_folds": len(keys), "metrics": random} if leakage else None
        write_json(folder / "metrics.json", metrics)
    experiment = {"name": name, "model": {"kind": kind, "name": name}, "folds": {"by": by}}
    if command == "cv":
        splits = make_splits(items, by=by, k=len(keys), block_mm=20.0, seed=0)
        splits.save(folder / "splits.json")
        record.setdefault("splits_sha256", splits.sha256)
    if command != "evaluate":
        write_text(folder / "config.yaml", yaml.safe_dump(experiment, sort_keys=False))
        for fold in range(len(keys)) if command == "cv" else (None,):
            if kind != "forest":
                target = folder if fold is None else folder / f"fold_{fold}"
                target.mkdir(exist_ok=True)
                rows = "".join(f"{e},{1.5 / e:.4f},{1.6 / e:.4f},0.001\n" for e in range(1, 9))
                write_text(target / "history.csv", "epoch,train_loss,validation_loss,learning_rate\n" + rows)
    write_json(
        folder / "run.json",
        {"command": command, "name": name, "status": "complete", "started": "2026-01-01T10:00:00+00:00",
         "finished": "2026-01-01T11:00:00+00:00", "seed": 0, "versions": {"thermo_qc": "0.1.0", "numpy": "2.0"},
         "experiment": experiment, "class_names": list(names), "class_scheme": scheme.name, "data": data,
         "device": "cpu", "threads": 2, **record},
    )  # fmt: skip
    return folder


def make_demo(
    folder: Path,
    methods: tuple[tuple[str, str], ...] = (("forest", "forest"), ("unet", "segmentation")),
    **options: Any,
) -> Path:
    """A finished demo: every method cross-validated and evaluated on an unseen layout."""
    rows = []
    for seed, (name, kind) in enumerate(methods):
        make_run(folder / "runs" / name, name=name, kind=kind, seed=seed, leakage=False, **options)
        unseen = {**options, "keys": ("unseen_layout",)}
        make_run(
            folder / "unseen" / name, name=name, kind=kind, command="evaluate", seed=seed + 50, leakage=False, **unseen
        )
        row = {"method": name, "kind": kind, "protocol": "by acquisition, 3 folds", "balanced_accuracy": 0.8,
               "defect_iou": 0.6 + 0.05 * seed, "defect_f1": 0.7, "false_call_fraction": 0.002, "holes_found": 9,
               "holes_total": 12, "detectable_found": 9, "detectable_total": 9, "unseen_holes_found": 3,
               "unseen_defect_iou": None if seed == 0 else 0.5, "unseen_holes_total": 4, "unseen_detectable_found": 3,
               "unseen_detectable_total": 3, "unseen_false_call_fraction": 0.004, "train_s": 12.0,
               "model_mb": 1.5}  # fmt: skip
        rows.append(row)
    same = {"method": "unet", "n_folds": 3, "balanced_accuracy": 0.8, "defect_f1": 0.8, "accuracy": 0.99}
    leakage = [{**same, "by": by, "defect_iou": iou} for by, iou in (("acquisition", 0.6), ("random_pixel", 0.95))]
    write_json(folder / "comparison.json", {"rows": rows, "leakage": leakage, "notes": ["A note for the reader."]})
    write_json(folder / "run.json", {"command": "demo", "name": "demo", "status": "complete", "versions": {}})
    return folder
