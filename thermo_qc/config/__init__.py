"""The strict schema of every YAML file."""

from thermo_qc.config.base import Strict, load_config, parse_config
from thermo_qc.config.experiment import (
    AugmentConfig,
    DataConfig,
    ExperimentConfig,
    FoldConfig,
    LossTermConfig,
    ModelConfig,
    OptimiserConfig,
    RepresentationConfig,
    ScheduleConfig,
    TimeConfig,
    TrainConfig,
)
from thermo_qc.config.facts import Facts, MaterialConfig
from thermo_qc.config.maps import MapsConfig
from thermo_qc.config.plates import ClassBand, HoleConfig, PlateConfig
from thermo_qc.config.simulation import (
    CameraConfig,
    HeatingConfig,
    LampConfig,
    LossConfig,
    PlacementConfig,
    RecordingConfig,
    SimulationConfig,
    SolverConfig,
)
from thermo_qc.config.yaml_text import read_yaml

__all__ = [
    "AugmentConfig",
    "CameraConfig",
    "ClassBand",
    "DataConfig",
    "ExperimentConfig",
    "Facts",
    "FoldConfig",
    "HeatingConfig",
    "HoleConfig",
    "LampConfig",
    "LossConfig",
    "LossTermConfig",
    "MapsConfig",
    "MaterialConfig",
    "ModelConfig",
    "OptimiserConfig",
    "PlacementConfig",
    "PlateConfig",
    "RecordingConfig",
    "RepresentationConfig",
    "ScheduleConfig",
    "SimulationConfig",
    "SolverConfig",
    "Strict",
    "TimeConfig",
    "TrainConfig",
    "load_config",
    "parse_config",
    "read_yaml",
]
