"""What a demo runs: simulations, methods and their settings, read from the package's own YAML."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from thermo_qc.config import read_yaml

__all__ = ["Method", "Plan", "load_plan", "resource"]

N_FOLDS = 3
SECONDS_PER_SIMULATION = 4.0
LEAKY_FOLDS = 8  # five by block, three by random pixel


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method of the demo.

    Parameters
    ----------
    name : str
        File stem under ``resources/demo/methods``.
    label : str
        For people.
    all_folds : bool
        Cross-validate over all folds, or show one fold only.
    seconds : float
        Rough cost of one fold, for the progress bar.
    overrides : tuple of str
        Settings that differ from the method's file.
    leakage : bool
        Show the leakage gap: random-pixel and block folds as well.
    """

    name: str
    label: str
    all_folds: bool
    seconds: float
    overrides: tuple[str, ...] = ()
    leakage: bool = False

    @property
    def total_seconds(self) -> float:
        """Rough cost of everything the method does."""
        folds = (N_FOLDS if self.all_folds else 1) + (LEAKY_FOLDS if self.leakage else 0)
        return self.seconds * folds


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a demo runs: simulations, the unseen plate, methods and the number of folds."""

    acquisitions: tuple[str, ...]
    unseen: str
    methods: tuple[Method, ...]
    simulation_overrides: tuple[str, ...] = ()

    @property
    def simulation_seconds(self) -> float:
        """Rough cost of the simulations."""
        return SECONDS_PER_SIMULATION * (len(self.acquisitions) + 1)


def load_plan(name: str) -> Plan:
    """Load one of the plans that ship: "quick", "full" (or "tiny", for tests of the machinery)."""
    content = read_yaml(resource("plans.yaml"))[name]
    methods = tuple(Method(**{**entry, "overrides": tuple(entry.get("overrides", ()))}) for entry in content["methods"])
    return Plan(
        acquisitions=tuple(content["acquisitions"]),
        unseen=content["unseen"],
        methods=methods,
        simulation_overrides=tuple(content.get("simulation_overrides", ())),
    )


def resource(name: str) -> Path:
    """Path of a file below the package's ``resources/demo``."""
    return Path(str(resources.files("thermo_qc") / "resources" / "demo" / name))
