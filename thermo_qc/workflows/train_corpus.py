"""``thermo-qc train`` with a configuration that names a corpus: a model for plates that it never saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from thermo_qc.config import CorpusExperimentConfig, load_config, read_yaml
from thermo_qc.errors import ConfigError, InputError
from thermo_qc.io import read_sequence, write_json, write_text
from thermo_qc.models.loading import check_pretrained
from thermo_qc.sequence import ThermalSequence
from thermo_qc.workflows.corpus import CORPUS_FILE, CorpusPlate, read_corpus
from thermo_qc.workflows.evaluate import set_threads
from thermo_qc.workflows.lock import locked_by_leader
from thermo_qc.workflows.run_folder import fingerprint_of, open_run, undone_if_refused

if TYPE_CHECKING:
    from thermo_qc.models import TrainedModel
    from thermo_qc.training import SimulatedPlate

_MARGIN_PX = 12
_FIRST = "first"  # folder of the training that a configuration starts from
_NOTE = "on simulated plates kept apart from training; class probabilities and depth intervals are calibrated on them"

__all__ = ["load_plates", "names_corpus", "run"]


def names_corpus(config_path: Path) -> bool:
    """Whether a configuration file is one of a training on a corpus."""
    content = read_yaml(config_path)
    return isinstance(content, dict) and "corpus" in content


def load_plates(
    entries: list[CorpusPlate], *, progress: Callable[[int, int], None] | None = None
) -> list[SimulatedPlate]:
    """Read the plates of a corpus into memory, with a narrow margin of what lies beside them."""
    from thermo_qc.training import SimulatedPlate

    plates = []
    for number, entry in enumerate(entries, start=1):
        plates.append(SimulatedPlate(sequence=_trimmed(read_sequence(entry.path)), indices=entry.own_indices))
        if progress is not None:
            progress(number, len(entries))
    return plates


def _trimmed(sequence: ThermalSequence) -> ThermalSequence:
    """Leave out what is far beside the plate: of a small plate with fine pixels it is most of the frame."""
    truth = sequence.truth
    if truth is None or not truth.valid.any():
        return sequence
    rows, columns = (
        slice(max(0, int(inside[0]) - _MARGIN_PX), int(inside[-1]) + 1 + _MARGIN_PX)
        for inside in (np.flatnonzero(truth.valid.any(axis=axis)) for axis in (1, 0))
    )
    return sequence.crop(rows, columns)


def run(
    config_path: Path,
    output: Path,
    *,
    corpus: Path | Sequence[Path] | None = None,
    overrides: tuple[str, ...] = (),
    overwrite: bool = False,
    resume: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    seed: int | None = None,
    progress: bool | Callable[[int, int, float], None] = True,
) -> dict[str, Any]:
    """Train one model on a corpus of simulated plates.

    Where `start_from` of the configuration names another configuration, that one is trained first, in the folder
    ``first`` of the run, on those of the corpora that it names; overrides do not reach it, the seed does.

    Parameters
    ----------
    config_path, output : Path
        YAML of a `CorpusExperimentConfig`, and run folder.
    corpus : Path or sequence of Path, optional
        Folders of the corpora, instead of the configuration's own.
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
    progress : bool or callable
        As in `train_on_corpus`.

    Returns
    -------
    dict
        ``model`` (path), ``n_plates``, and what calibration found.

    Raises
    ------
    InputError
        When a corpus is missing, half written, or smaller than asked for.
    ConfigError
        When numbers of plates and corpora do not belong together, `start_from` holds several models, or names a
        configuration that cannot come first.
    ModelError
        When the weights of `start_from` belong to another network.
    """
    from thermo_qc.training import train_on_corpus

    config = load_config(CorpusExperimentConfig, config_path, overrides)
    if seed is not None:
        config = config.model_copy(update={"seed": seed})
    if config.start_from is None and not (output / "model.safetensors").is_file():
        check_pretrained(config.model.parameters)
    entries, described = _corpora(config, config_path.parent, corpus)
    if threads is not None:
        set_threads(threads)
    dump = config.model_dump(mode="json")
    first = _first_part(config, config_path, corpus)
    start = None
    if first is None and config.start_from is not None:
        start = _loaded(config.start_from, config_path.parent)
    told = {**dump, "corpus": ""}  # no paths of this machine
    if first is not None:
        told["start_from"] = {"name": first.config.name, "experiment": first.identity}
    elif start is None:
        del told["start_from"]
    else:
        told["start_from"] = {"name": start.name, "sha256": start.sha256}
    identity = {"experiment": told, "corpora": described, "n_plates": len(entries)}
    signature = fingerprint_of(identity)
    with locked_by_leader(output):
        opened = open_run(output, command="train", fingerprint=signature, overwrite=overwrite, resume=resume)
        with undone_if_refused(opened):
            write_text(output / "config.yaml", yaml.safe_dump(dump, sort_keys=False))
            opened.update(
                name=config.name,
                seed=config.seed,
                experiment=dump,
                data=[],
                corpora=described,
                n_plates=len(entries),
                class_names=["sound", "defect"],
                class_scheme="binary",
                device=device,
                threads=threads,
            )
            if first is not None:
                done = run(
                    first.path,
                    output / _FIRST,
                    corpus=first.corpora,
                    overwrite=overwrite,
                    device=device,
                    threads=threads,
                    seed=seed,
                    progress=progress,
                )
                start = _loaded(str(done["model"]), Path())
                told["start_from"] = {"name": start.name, "sha256": start.sha256}
            model = train_on_corpus(
                load_plates(entries),
                experiment=config,
                folder=output,
                signature=signature,
                device=device,
                threads=threads,
                progress=progress,
                metadata={"corpora": described, "n_plates": len(entries), "experiment": told},
                start=start,
            )
        found = {
            name: model.metadata.get(name)
            for name in (
                "temperature",
                "defect_offset",
                "defect_threshold",
                "calibration",
                "depth_spread",
                "depth_calibration_defects",
            )
        }
        write_json(output / "training_metrics.json", {"note": _NOTE, **found})
        opened.finish()
    return {"model": output / "model.safetensors", "n_plates": len(entries), **found}


@dataclass(frozen=True, kw_only=True)
class _FirstPart:
    """A training that has to come first: its configuration, and those of the corpora that it needs."""

    path: Path
    config: CorpusExperimentConfig
    corpora: list[Path]
    identity: str


def _first_part(
    config: CorpusExperimentConfig,
    config_path: Path,
    given: Path | Sequence[Path] | None,
    above: tuple[Path, ...] = (),
) -> _FirstPart | None:
    """Look for a configuration in `start_from`; its corpora are among those of the one that names it."""
    named = config.start_from
    if named is None or not named.endswith((".yaml", ".yml")):
        return None
    path = config_path.parent / named
    if path.resolve() in (before := (*above, config_path.resolve())):
        raise ConfigError(f"start_from: {named} starts from itself; name a model or another configuration")
    first = load_config(CorpusExperimentConfig, path)
    from thermo_qc.training.spread import current_spread

    if current_spread().n_processes > 1:
        raise ConfigError(
            f"start_from: {named} is a configuration, which processes that train together cannot begin with; train it "
            "first, and name its run"
        )
    own, wanted = _corpus_names(config), _corpus_names(first)
    missing = [name for name in wanted if name not in own]
    if missing:
        raise ConfigError(f"start_from: {named} trains on {missing[0]}, which is not in corpus here; add it to corpus")
    places = dict(zip(own, _folders(config, config_path.parent, given), strict=False))  # `_corpora` counts them
    corpora = [places[name] for name in wanted if name in places]
    _corpora(first, path.parent, corpora)  # refuses what is missing before anything is trained
    _first_part(first, path, corpora, before)
    return _FirstPart(
        path=path,
        config=first,
        corpora=corpora,
        identity=fingerprint_of({**first.model_dump(mode="json"), "corpus": ""}),
    )


def _corpus_names(config: CorpusExperimentConfig) -> tuple[str, ...]:
    return (config.corpus,) if isinstance(config.corpus, str) else config.corpus


def _folders(config: CorpusExperimentConfig, home: Path, given: Path | Sequence[Path] | None) -> list[Path]:
    if given is None:
        return [home / name for name in _corpus_names(config)]
    return [given] if isinstance(given, Path) else list(given)


def _loaded(named: str, home: Path) -> TrainedModel:
    """Load the model that a training begins with: a path relative to the configuration, or a name that ships."""
    from thermo_qc.inspection import load_model

    models = load_model(home / named if (home / named).exists() else named)
    if len(models) != 1:
        raise ConfigError(f"start_from: {named} holds {len(models)} models; name the file of one of them")
    return models[0]


def _corpora(
    config: CorpusExperimentConfig, home: Path, given: Path | Sequence[Path] | None
) -> tuple[list[CorpusPlate], list[dict[str, Any]]]:
    """Plates of all corpora, those for calibration (of each corpus its last ones) at the end; and their ranges."""
    folders = _folders(config, home, given)
    wanted: Sequence[int | None] = (
        config.n_plates if isinstance(config.n_plates, tuple) else [config.n_plates] * len(folders)
    )
    if not folders or len(wanted) != len(folders):
        raise ConfigError(
            f"{len(folders)} corpora came and n_plates has {len(wanted)} numbers; give a folder for each number"
        )
    parts = [_plates_of(folder, number) for folder, number in zip(folders, wanted, strict=True)]
    described = [json.loads((folder / CORPUS_FILE).read_text(encoding="utf-8"))["config"] for folder in folders]
    total, kept = sum(map(len, parts)), config.train.validation_plates
    shares = [kept * len(part) // total for part in parts]
    shares[0] += kept - sum(shares)
    cuts = [max(0, len(part) - share) for part, share in zip(parts, shares, strict=True)]
    training = [plate for part, cut in zip(parts, cuts, strict=True) for plate in part[:cut]]
    return training + [plate for part, cut in zip(parts, cuts, strict=True) for plate in part[cut:]], described


def _plates_of(folder: Path, n_plates: int | None) -> list[CorpusPlate]:
    entries = read_corpus(folder)
    if n_plates is not None and len(entries) < n_plates:
        raise InputError(
            f"{folder} holds {len(entries)} plates, n_plates asks for {n_plates}; simulate the rest with "
            f"thermo-qc simulate CORPUS.yaml -n {n_plates} -o {folder}"
        )
    return entries[:n_plates]
