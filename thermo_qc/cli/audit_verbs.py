"""The verb ``audit``, with its arguments."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from thermo_qc.cli.kinds import whole

__all__ = ["audit", "audit_options"]

KINDS = ("random_pixel", "random_frame", "block", "defect", "acquisition", "plate")


def audit_options(parser: argparse.ArgumentParser) -> None:
    """Add experiments, data and kinds of folds."""
    parser.add_argument("configs", nargs="+", type=Path, metavar="CONFIG", help="experiments (YAML), as for cv")
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="manifest instead of the configurations' own")
    parser.add_argument("--unseen", type=Path, metavar="FILE", help="manifest of recordings of plates that no fold has")
    parser.add_argument(
        "--by", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=f"kinds of folds ({', '.join(KINDS)})"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override, for example folds.k=5"
    )
    parser.add_argument("--seed", type=whole(0), metavar="N", help="seed instead of the configurations' own")


def audit(arguments: Namespace) -> int:
    """Score methods under every kind of folds."""
    from thermo_qc.workflows import audit as workflow

    found = workflow.run(
        arguments.configs,
        arguments.output,
        manifest=arguments.manifest,
        unseen=arguments.unseen,
        kinds=tuple(dict.fromkeys(arguments.by)),
        overrides=tuple(arguments.set),
        overwrite=arguments.overwrite,
        device=arguments.device,
        threads=arguments.threads,
        seed=arguments.seed,
        announce=lambda text: print(text, file=sys.stderr),
    )
    for method in found["methods"]:
        _print(method)
    print(f"wrote {arguments.output / 'report.html'}")
    return 0


def _print(method: dict[str, Any]) -> None:
    from thermo_qc.evaluation import render_table

    rows = [
        {
            "folds by": row["by"].replace("_", " "),
            "folds": row["n_folds"],
            "guard mm": row["guard_mm"],
            "accuracy": row["accuracy"],
            "bal. acc.": row["balanced_accuracy"],
            "defect F1": row["defect_f1"],
            "defect IoU": row["defect_iou"],
            "false calls": row["false_call_fraction"],
            "holes": f"{row['holes_found']}/{row['holes_total']}",
            "detectable": f"{row['detectable_found']}/{row['detectable_total']}",
        }
        for row in method["rows"]
    ]
    print(f"{method['method']}:")
    if rows:
        print(render_table(rows, list(rows[0])))
    for entry in method["left_out"]:
        print(f"not scored by {entry['by'].replace('_', ' ')}: {entry['reason']}")
    print(method["sentence"])
