"""Acceptance criteria from YAML files."""

from __future__ import annotations

from pathlib import Path

from thermo_qc.config import CriteriaConfig, load_config
from thermo_qc.errors import ConfigError
from thermo_qc.evaluation import DetectionLimits
from thermo_qc.inspection.criteria import Criteria, CriteriaRegion, Uncertain
from thermo_qc.inspection.limit import Limit

__all__ = ["criteria_from_config", "load_criteria"]


def criteria_from_config(config: CriteriaConfig) -> Criteria:
    """Build criteria from their schema.

    Raises
    ------
    ConfigError
        When limits contradict themselves or one another.
    """
    regions = []
    for region in config.regions:
        corners = region.polygon_mm
        if (region.rectangle_mm is None) == (corners is None):
            count = "neither rectangle_mm nor" if corners is None else "both rectangle_mm and"
            raise ConfigError(f"region '{region.name}' has {count} polygon_mm; give one of them")
        if region.rectangle_mm is not None:
            x0, y0, x1, y1 = region.rectangle_mm
            if not (x0 < x1 and y0 < y1):
                raise ConfigError(
                    f"region '{region.name}': rectangle_mm is {x0:g}, {y0:g}, {x1:g}, {y1:g}, expected left, top, "
                    "right, bottom with left below right and top below bottom"
                )
            corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
        assert corners is not None
        limits = tuple(Limit(**limit.model_dump()) for limit in region.limits)
        regions.append(CriteriaRegion(name=region.name, outline_mm=corners, limits=limits, ignore=region.ignore))
    return Criteria(
        name=config.name,
        reference=config.reference,
        limits=tuple(Limit(**limit.model_dump()) for limit in config.limits),
        regions=tuple(regions),
        deepest_mm=config.deepest_mm,
        uncertain=Uncertain(**config.uncertain.model_dump()),
        detection=DetectionLimits(**config.detectability.model_dump()),
    )


def load_criteria(path: Path) -> Criteria:
    """Load a YAML file of acceptance criteria.

    Raises
    ------
    InputError, ConfigError
        When the file is missing, does not fit the schema, or contradicts itself; one line that starts with the file.
    """
    config = load_config(CriteriaConfig, path)
    try:
        return criteria_from_config(config)
    except ConfigError as error:
        raise type(error)(f"{path}: {error}") from None
