"""``thermo-qc train``: one model from every recording of a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from thermo_qc.config import ExperimentConfig, load_config
from thermo_qc.errors import ConfigError, ModelError
from thermo_qc.evaluation import confusion_matrix, pixel_metrics
from thermo_qc.inspection import load_model
from thermo_qc.io import load_manifest, write_json, write_text
from thermo_qc.models.loading import check_pretrained
from thermo_qc.representation import Representation
from thermo_qc.workflows.cases import LabelledRecording, check_fits, class_depths_mm, load_recordings, manifest_path
from thermo_qc.workflows.evaluate import set_threads
from thermo_qc.workflows.lock import locked_by_leader
from thermo_qc.workflows.run_folder import RunFolder, fingerprint_of, open_run, read_run, undone_if_refused
from thermo_qc.workflows.train_corpus import names_corpus

if TYPE_CHECKING:
    from thermo_qc.models import TrainedModel
    from thermo_qc.training import Case

__all__ = ["Experiment", "load_experiment", "run", "single_model", "start_run"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """A configuration with its labelled recordings, ready to run; `start` is the model that training starts from."""

    config: ExperimentConfig
    recordings: list[LabelledRecording]
    seed: int
    start: TrainedModel | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of all classes, sound first."""
        return self.recordings[0].scheme.class_names


def load_experiment(
    config_path: Path,
    *,
    manifest: Path | None = None,
    overrides: tuple[str, ...] = (),
    seed: int | None = None,
    output: Path | None = None,
) -> Experiment:
    """Load a configuration and the recordings of its manifest.

    Where `output` is no finished run, encoder weights that the training will ask for are asked for first.
    """
    if names_corpus(config_path):
        raise ConfigError(
            f"{config_path} describes a training on a corpus of simulated plates; give it to thermo-qc train"
        )
    config = _with_encoder(load_config(ExperimentConfig, config_path, overrides), config_path)
    unfinished = output is not None and (read_run(output) or {}).get("status") != "complete"
    if unfinished and config.model.kind == "segmentation" and config.train.transfer.source is None:
        check_pretrained(config.model.parameters)
    path = manifest_path(config_path, config.data.manifest, manifest)
    recordings = load_recordings(load_manifest(path), config.data.class_scheme)
    check_fits(recordings, Representation.from_config(config.representation))
    return Experiment(
        config=config,
        recordings=recordings,
        seed=config.seed if seed is None else seed,
        start=_start_of(config_path, config.train.transfer.source),
    )


def _with_encoder(config: ExperimentConfig, config_path: Path) -> ExperimentConfig:
    """Let a relative path of ``model.parameters.encoder`` count from the configuration file, when it exists there."""
    source = config.model.parameters.get("encoder")
    if config.model.kind != "classical" or not isinstance(source, str) or not (config_path.parent / source).exists():
        return config
    parameters = {**config.model.parameters, "encoder": str(config_path.parent / source)}
    return config.model_copy(update={"model": config.model.model_copy(update={"parameters": parameters})})


def _start_of(config_path: Path, source: str | None) -> TrainedModel | None:
    """Load the model of ``train.transfer.from``; a relative path counts from the configuration file."""
    if source is None:
        return None
    beside = config_path.parent / source
    return single_model(load_model(beside if beside.exists() else Path(source)), f"train.transfer.from: {source}")


def single_model(models: tuple[TrainedModel, ...], name: str) -> TrainedModel:
    """Return the only model, refused with `ModelError` where there are several or it has no network."""
    if len(models) > 1:
        raise ModelError(
            f"{name} holds the {len(models)} models of a cross-validation; name one of them, such as "
            "fold_0/model.safetensors, or a train run"
        )
    if models[0].network is None:
        raise ModelError(
            f"{name} is a model of kind '{models[0].kind}', which cannot be trained further; start from a network or "
            "train it anew on all recordings"
        )
    return models[0]


def start_run(
    experiment: Experiment,
    output: Path,
    *,
    command: str,
    overwrite: bool,
    resume: bool,
    extra: dict[str, Any] | None = None,
) -> RunFolder:
    """Open the run folder of an experiment and write down what will run."""
    data = [recording.record() for recording in experiment.recordings]
    dump = experiment.config.model_dump(mode="json")
    identity: dict[str, Any] = {
        "experiment": {key: value for key, value in dump.items() if key != "data"}
        | {"class_scheme": dump["data"]["class_scheme"]},
        "data": [(entry["key"], entry["sha256"], entry["acquisition"], entry["condition"]) for entry in data],
        "truth": [_known_of(recording) for recording in experiment.recordings],
        "seed": experiment.seed,
    }
    if experiment.start is not None:
        transfer = {**dump["train"]["transfer"], "from": experiment.start.sha256}  # wherever its file lies
        identity["experiment"] = {**identity["experiment"], "train": {**dump["train"], "transfer": transfer}}
    run = open_run(
        output, command=command, fingerprint=fingerprint_of([identity, extra]), overwrite=overwrite, resume=resume
    )
    with undone_if_refused(run):
        write_text(output / "config.yaml", yaml.safe_dump(dump, sort_keys=False))
        run.update(
            name=experiment.config.name,
            seed=experiment.seed,
            experiment=dump,
            data=data,
            class_names=list(experiment.class_names),
            class_scheme=experiment.config.data.class_scheme,
            **(extra or {}),
        )
    return run


def _known_of(recording: LabelledRecording) -> str:
    """SHA-256 of the labels, depths and constants that a training learns from besides the frames."""
    from thermo_qc.training.inputs import stated_facts

    labels = recording.class_map.tobytes() + recording.truth.depth_mm.tobytes()
    return sha256(labels + stated_facts(recording.sequence)).hexdigest()


def provenance(recordings: list[LabelledRecording], start: TrainedModel | None = None) -> dict[str, Any]:
    """Say what a model was trained on, to be kept with it; what its start was trained on counts too."""
    own = [recording.sha256 for recording in recordings]
    if start is None:
        return {"training_sha256": own}
    earlier = [str(digest) for digest in start.metadata.get("training_sha256") or ()]
    return {"training_sha256": list(dict.fromkeys([*earlier, *own])), "started_from_sha256": start.sha256}


def to_case(recording: LabelledRecording) -> Case:
    """Turn a recording into a training case."""
    from thermo_qc.training import Case

    return Case(key=recording.key, sequence=recording.sequence, class_map=recording.class_map)


def run(
    config_path: Path,
    output: Path,
    *,
    manifest: Path | None = None,
    overrides: tuple[str, ...] = (),
    overwrite: bool = False,
    resume: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    seed: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train one model on all recordings of the manifest.

    Parameters
    ----------
    config_path, output : Path
        Experiment YAML and run folder.
    manifest : Path, optional
        Instead of the configuration's own.
    overrides : tuple of str
        ``key.sub=value``.
    overwrite, resume : bool
        See `open_run`.
    device : str
        "cpu", "cuda" or "auto".
    threads : int, optional
        CPU threads.
    seed : int, optional
        Instead of the configuration's own.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict
        ``model`` (path), ``metrics`` on the training recordings (an upper bound, not an estimate), ``class_names``.
    """
    experiment = load_experiment(config_path, manifest=manifest, overrides=overrides, seed=seed, output=output)
    if threads is not None:
        set_threads(threads)
    with locked_by_leader(output):
        folder = start_run(experiment, output, command="train", overwrite=overwrite, resume=resume)
        return _train(experiment, folder, device=device, threads=threads, progress=progress)


def _train(
    experiment: Experiment, folder: RunFolder, *, device: str, threads: int | None, progress: bool
) -> dict[str, Any]:
    """Train the model of an opened run and say how it does on its own recordings."""
    from thermo_qc.training import train_model

    output = folder.path
    with undone_if_refused(folder):
        folder.update(device=device, threads=threads)
        model = train_model(
            [to_case(recording) for recording in experiment.recordings],
            experiment=experiment.config,
            folder=output,
            class_names=experiment.class_names,
            class_depths_mm=class_depths_mm(experiment.recordings),
            scheme_name=experiment.config.data.class_scheme,
            device=device,
            threads=threads,
            seed=experiment.seed,
            resume=True,
            progress=progress,
            metadata=provenance(experiment.recordings, experiment.start),
            start=experiment.start,
        )
    n_classes = len(experiment.class_names)
    total = np.zeros((n_classes, n_classes), dtype=np.int64)
    for recording in experiment.recordings:
        predicted = model.probabilities(recording.sequence, device=device, sound_mask=recording.sound_mask).argmax(
            axis=0
        )
        total += confusion_matrix(recording.class_map, predicted, n_classes)
    metrics = pixel_metrics(total, experiment.class_names)
    note = {"note": "on the training recordings themselves", "metrics": metrics}
    write_json(output / "training_metrics.json", {**note, "calibration": model.metadata.get("calibration")})
    folder.finish()
    return {"model": output / "model.safetensors", "metrics": metrics, "class_names": experiment.class_names}
