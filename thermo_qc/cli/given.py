"""Options that several verbs share, checked."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import Any

from thermo_qc.errors import ConfigError

__all__ = ["given_facts", "given_threads"]


def given_facts(arguments: Namespace) -> dict[str, Any]:
    """Facts given as options, checked."""
    from thermo_qc.cli.parser import FACT_OPTIONS
    from thermo_qc.config import Facts, parse_config

    given = {name: getattr(arguments, name) for name in FACT_OPTIONS if getattr(arguments, name, None) is not None}
    if "material" in given:
        from thermo_qc.plate import load_material

        given["material"] = asdict(load_material(given["material"]))
    parse_config(Facts, given, "options")
    return given


def given_threads(arguments: Namespace) -> int | None:
    """Threads given as an option, checked; None where none are."""
    if arguments.threads is not None and arguments.threads < 1:
        raise ConfigError(f"--threads is {arguments.threads}, expected at least 1")
    return None if arguments.threads is None else int(arguments.threads)
