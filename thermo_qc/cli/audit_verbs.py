"""The verbs ``audit`` and ``compare``, with their arguments."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from thermo_qc.cli.kinds import whole

__all__ = ["audit", "audit_options", "compare", "compare_options"]

KINDS = ("random_pixel", "random_frame", "block", "defect", "acquisition", "plate")


def audit_options(parser: argparse.ArgumentParser) -> None:
    """Add experiments, data and kinds of folds."""
    parser.add_argument("configs", nargs="+", type=Path, metavar="CONFIG", help="experiments (YAML), as for cv")
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="manifest instead of the configurations' own")
    parser.add_argument("--unseen", type=Path, metavar="FILE", help="manifest of recordings of plates that no fold has")
    parser.add_argument(
        *("--kinds", "--by"),
        nargs="+",
        choices=KINDS,
        default=KINDS,
        metavar="KIND",
        help=f"kinds of folds ({', '.join(KINDS)})",
    )
    parser.add_argument("-k", "--folds", type=whole(2), metavar="N", help="folds of each kind (as configured)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override, for example folds.k=5"
    )
    parser.add_argument("--resume", action="store_true", help="insist on continuing the audit in the output folder")
    parser.add_argument("--seed", type=whole(0), metavar="N", help="seed instead of the configurations' own")


def audit(arguments: Namespace) -> int:
    """Score methods under every kind of folds."""
    from thermo_qc.workflows import audit as workflow

    found = workflow.run(
        arguments.configs,
        arguments.output,
        manifest=arguments.manifest,
        unseen=arguments.unseen,
        kinds=tuple(dict.fromkeys(arguments.kinds)),
        overrides=(*arguments.set, *(() if arguments.folds is None else (f"folds.k={arguments.folds}",))),
        overwrite=arguments.overwrite,
        resume=arguments.resume,
        device=arguments.device,
        threads=arguments.threads,
        seed=arguments.seed,
        announce=lambda text: print(text, file=sys.stderr),
    )
    for method in found["methods"]:
        _print(method)
    print(f"wrote {arguments.output / 'report.html'}")
    return 0


def compare_options(parser: argparse.ArgumentParser) -> None:
    """Add runs, reference, groups and limits."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of finished cv or evaluate runs")
    parser.add_argument("--reference", metavar="NAME", help="method that the others are compared with (the first run)")
    parser.add_argument(
        "--groups",
        choices=("recording", "acquisition", "plate"),
        default="recording",
        metavar="WHAT",
        help="what is resampled for the intervals: recording, acquisition or plate (recording)",
    )
    parser.add_argument(
        "--detectable", type=float, default=30.0, metavar="D", help="d' from which a hole is detectable"
    )
    parser.add_argument("--visible", type=float, default=6.5, metavar="D", help="d' below which a hole cannot be seen")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="seed of the resampling (0)")


def compare(arguments: Namespace) -> int:
    """Compare methods on the same splits."""
    from thermo_qc.evaluation import DetectionLimits
    from thermo_qc.workflows import compare as workflow

    found = workflow.run(
        arguments.runs,
        arguments.output,
        reference=arguments.reference,
        groups=arguments.groups,
        limits=DetectionLimits(visible=arguments.visible, detectable=arguments.detectable),
        seed=arguments.seed,
        overwrite=arguments.overwrite,
        announce=lambda text: print(text, file=sys.stderr),
    )
    _print_comparison(found)
    print(f"wrote {arguments.output / 'report.html'}")
    return 0


def _print_comparison(found: dict[str, Any]) -> None:
    from thermo_qc.evaluation import render_table

    rows = [
        {
            "method": row["method"],
            "bal. acc.": row["balanced_accuracy"],
            "defect F1": row["defect_f1"],
            "defect IoU": row["defect_iou"],
            "holes": f"{row['holes_found']}/{row['holes_total']}",
            "detectable": f"{row['detectable_found']}/{row['detectable_total']}",
            "false calls/m2": row["false_calls_per_m2"],
            "depth MAE mm": row["depth_mae_mm"],
            "to bound": row["depth_bound_ratio"],
            "a90 mm": row["a90_mm"],
        }
        for row in found["rows"]
    ]
    print(f"{found['protocol']}:")
    print(render_table(rows, list(rows[0])))
    decided = [one for one in found["differences"] if one["decided"] and one["metric"] == "defect_f1"]
    for one in decided:
        print(
            f"{one['method']} against {one['reference']}: defect F1 {one['difference']:+.3f} "
            f"({one['low']:+.3f} to {one['high']:+.3f})"
        )


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
