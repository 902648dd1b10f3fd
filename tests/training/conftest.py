"""Fixtures of the training tests; their material is in training_cases."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from training_cases import build_experiment, make_case

from thermo_qc.config import ExperimentConfig
from thermo_qc.training import Case


@pytest.fixture
def case() -> Case:
    return make_case()


@pytest.fixture
def cases() -> list[Case]:
    return [make_case("a", 0), make_case("b", 1)]


@pytest.fixture
def experiment() -> Callable[..., ExperimentConfig]:
    return build_experiment
