"""The strict schema of every YAML file."""

from thermo_qc.config.base import Strict, load_config, parse_config
from thermo_qc.config.corpus import CorpusConfig, MaterialRangeConfig, PlateRangesConfig
from thermo_qc.config.criteria import (
    CriteriaConfig,
    CriteriaRegionConfig,
    LimitConfig,
    UncertainConfig,
    VisibilityConfig,
)
from thermo_qc.config.experiment import (
    AugmentConfig,
    AveragingConfig,
    CurriculumConfig,
    DataConfig,
    ExperimentConfig,
    FoldConfig,
    GradientNoiseConfig,
    LossTermConfig,
    ModelConfig,
    OptimiserConfig,
    RepresentationConfig,
    ScheduleConfig,
    TimeConfig,
    TrainConfig,
)
from thermo_qc.config.facts import Facts, MaterialConfig
from thermo_qc.config.general import CorpusExperimentConfig, CorpusTrainConfig
from thermo_qc.config.maps import MapsConfig
from thermo_qc.config.plates import ClassBand, HoleConfig, PlateConfig
from thermo_qc.config.procedure import ProcedureConfig
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
from thermo_qc.config.transfer import StageConfig, TransferConfig
from thermo_qc.config.yaml_text import read_yaml

__all__ = [
    "AugmentConfig",
    "AveragingConfig",
    "CameraConfig",
    "ClassBand",
    "CorpusConfig",
    "CorpusExperimentConfig",
    "CorpusTrainConfig",
    "CriteriaConfig",
    "CriteriaRegionConfig",
    "CurriculumConfig",
    "DataConfig",
    "ExperimentConfig",
    "Facts",
    "FoldConfig",
    "GradientNoiseConfig",
    "HeatingConfig",
    "HoleConfig",
    "LampConfig",
    "LimitConfig",
    "LossConfig",
    "LossTermConfig",
    "MapsConfig",
    "MaterialConfig",
    "MaterialRangeConfig",
    "ModelConfig",
    "OptimiserConfig",
    "PlacementConfig",
    "PlateConfig",
    "PlateRangesConfig",
    "ProcedureConfig",
    "RecordingConfig",
    "RepresentationConfig",
    "ScheduleConfig",
    "SimulationConfig",
    "SolverConfig",
    "StageConfig",
    "Strict",
    "TimeConfig",
    "TrainConfig",
    "TransferConfig",
    "UncertainConfig",
    "VisibilityConfig",
    "load_config",
    "parse_config",
    "read_yaml",
]
