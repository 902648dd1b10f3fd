"""``thermo-qc simulate``: one YAML file becomes one recording with its truth."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from thermo_qc.config import SimulationConfig, load_config, read_yaml
from thermo_qc.config.simulation import OutlineConfig, SolverConfig
from thermo_qc.errors import ConfigError, InputError, OutputError
from thermo_qc.io import write_sequence
from thermo_qc.plate import load_plate
from thermo_qc.sequence import Material, ThermalSequence
from thermo_qc.simulation import (
    Delamination,
    Heating,
    Inclusion,
    Lamp,
    LayerOf,
    Losses,
    Mark,
    Placement,
    frame_times_s,
    peak_contrasts_k,
    record_plate,
    solve_plate,
    solve_sound_plate,
)

__all__ = ["run", "simulate_acquisition"]

_LOG = logging.getLogger(__name__)
_PLATE_SHARE = 0.9  # of the progress; the rest is the sound plate and the camera


def simulate_acquisition(
    config: SimulationConfig, folder: Path, *, progress: Callable[[float], None] | None = None
) -> ThermalSequence:
    """Simulate one acquisition.

    Parameters
    ----------
    config : SimulationConfig
        What to simulate.
    folder : Path
        Folder that a relative plate path starts from.
    progress : callable, optional
        Called with the finished fraction, 0 to 1.

    Returns
    -------
    ThermalSequence
        In degC, with truth; its material is the nominal one, its history holds every parameter and the seed.

    Raises
    ------
    ConfigError, InputError, PlateError
        When the configuration or its plate cannot be used.
    """
    plate = load_plate(config.plate, relative_to=folder)
    nominal = plate.material if config.material is None else Material(**config.material.model_dump())
    heating = Heating(
        **config.heating.model_dump(exclude={"lamps"}),
        lamps=tuple(Lamp(**lamp.model_dump()) for lamp in config.heating.lamps),
    )
    losses = Losses(**config.loss.model_dump())
    times = frame_times_s(**config.recording.model_dump())
    material = _specimen(nominal, config.conductivity_factor, config.heat_capacity_factor)
    marks = tuple(Mark(**_outlined(mark, folder)) for mark in config.marks)
    buried = (
        *(Delamination(**_outlined(item, folder)) for item in config.delaminations),
        *(
            Inclusion(**_outlined(item, folder) | {"material": Material(**item.material.model_dump())})
            for item in config.inclusions
        ),
    )
    layers = tuple(
        LayerOf(**layer.model_dump() | {"material": Material(**layer.material.model_dump())}) for layer in config.layers
    )
    solver = _solver_options(config.solver)
    lateral: dict[str, Any] = {"lateral_mm": config.solver.lateral_mm} if marks else {}  # light varies slowly
    solution = solve_plate(
        plate,
        times_s=times,
        material=material,
        heating=heating,
        losses=losses,
        lateral_mm=config.solver.lateral_mm,
        **solver,
        marks=marks,
        buried=buried,
        layers=layers,
        progress=None if progress is None else lambda done: progress(_PLATE_SHARE * done),
    )
    sound = solve_sound_plate(
        plate,
        times_s=times,
        material=material,
        heating=heating,
        losses=losses,
        **lateral,
        **solver,
        marks=marks,
        buried=buried,
        layers=layers,
    )
    sequence = record_plate(
        solution,
        rng=np.random.default_rng(config.seed),
        placement=Placement(**config.placement.model_dump()),
        **config.camera.model_dump(),
        material=nominal,
        peak_contrasts_k=peak_contrasts_k(solution, sound),
        specimen_id=config.specimen_id,
        acquisition_id=config.acquisition_id,
        parameters={"seed": config.seed, "condition": config.condition},
    )
    if progress is not None:
        progress(1.0)
    return sequence


def _outlined(config: OutlineConfig, folder: Path) -> dict[str, Any]:
    """Keywords of something with an outline, its mask read."""
    keywords = config.model_dump()
    if config.mask is not None:
        path = folder / config.mask
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
        if image is None:
            raise InputError(f"mask {path} is no picture that can be read; give a PNG, bright inside the outline")
        keywords["mask"] = image > 127
    return keywords


def _solver_options(solver: SolverConfig) -> dict[str, Any]:
    """Keywords of the solver but for the cell size; torch is imported for another device than NumPy only."""
    options: dict[str, Any] = {"depth_cells": solver.depth_cells, "max_step_s": solver.max_step_s}
    if solver.device == "numpy":
        return options | {"threads": solver.threads or os.cpu_count()}
    if solver.threads is not None:
        raise ConfigError(
            f"solver.threads is {solver.threads}, but they are for solver.device numpy, not '{solver.device}'; "
            "leave one of both out"
        )
    from thermo_qc.workflows.torch_kernels import TorchKernels

    return options | {"kernels": TorchKernels(solver.device)}


def _specimen(nominal: Material, conductivity_factor: float, heat_capacity_factor: float) -> Material:
    """Constants of the specimen: nominal ones within the tolerance of the configuration."""
    along_y = nominal.conductivity_y_w_mk
    return replace(
        nominal,
        conductivity_through_w_mk=nominal.conductivity_through_w_mk * conductivity_factor,
        conductivity_in_plane_w_mk=nominal.conductivity_in_plane_w_mk * conductivity_factor,
        conductivity_y_w_mk=None if along_y is None else along_y * conductivity_factor,
        heat_capacity_j_kgk=nominal.heat_capacity_j_kgk * heat_capacity_factor,
    )


def run(
    config_path: Path,
    output: Path,
    *,
    overrides: Iterable[str] = (),
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> ThermalSequence:
    """Simulate what a configuration file describes and write it as native HDF5.

    Parameters
    ----------
    config_path : Path
        YAML file of a `SimulationConfig`.
    output : Path
        New file, ``.h5`` or ``.hdf5``.
    overrides : iterable of str
        ``"a.b=value"``.
    overwrite : bool
        Replace the output if it exists.
    progress : callable, optional
        Called with the finished fraction, 0 to 1.

    Returns
    -------
    ThermalSequence
        What was written.

    Raises
    ------
    OutputError
        When the output exists, is a folder, has another extension or would take the configuration for its sidecar.
    ConfigError, InputError, PlateError
        When the configuration or its plate cannot be used.
    """
    _check_output(output, config_path, overwrite)
    if describes_corpus(config_path):
        raise ConfigError(f"{config_path} describes a corpus of random plates; say how many with -n")
    config = load_config(SimulationConfig, config_path, overrides)
    if not config.acquisition_id:
        config = config.model_copy(update={"acquisition_id": config_path.stem})
    sequence = simulate_acquisition(config, config_path.parent, progress=progress)
    write_sequence(sequence, output)
    _LOG.info("%s: %d frames of %d x %d pixels", output, sequence.n_frames, *sequence.frame_shape)
    return sequence


def describes_corpus(config_path: Path) -> bool:
    """Whether a configuration file is one of a corpus of random plates."""
    content = read_yaml(config_path)
    return isinstance(content, dict) and "plates" in content


def _check_output(output: Path, config_path: Path, overwrite: bool) -> None:
    if output.suffix.lower() not in {".h5", ".hdf5"}:
        raise OutputError(
            f"{output} has the extension '{output.suffix}', expected .h5 or .hdf5; the simulation writes native HDF5"
        )
    if output.is_dir():
        raise OutputError(f"{output} is a folder, expected a file name; name a new .h5 file inside it")
    sidecars = {output.with_name(stem + ending) for stem in (output.name, output.stem) for ending in (".yaml", ".yml")}
    if config_path.resolve() in {path.resolve() for path in sidecars}:
        raise OutputError(
            f"{output} beside {config_path.name}: the configuration would be read as facts about the recording; "
            "choose another name or folder for the output"
        )
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists; choose another name or pass --overwrite")
