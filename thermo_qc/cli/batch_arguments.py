"""Arguments of the verbs that work on many recordings, and of those that look at what they made."""

from __future__ import annotations

import argparse
from pathlib import Path

from thermo_qc.cli.kinds import seconds, whole

__all__ = ["batch_options", "model_options", "results_options", "spread_options", "watch_options"]


def batch_options(parser: argparse.ArgumentParser) -> None:
    """Add who works on the recordings, and what is said of it."""
    parser.add_argument("--recursive", action="store_true", help="look into the folders in folders as well")
    parser.add_argument(
        "--workers",
        type=whole(1),
        metavar="N",
        help="processes side by side, each with --threads (1 for folders, patterns and lists)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="Dask scheduler whose workers do the recordings, for example tcp://host:8786; they see the same paths",
    )
    parser.add_argument(
        "--memory-gb", type=float, metavar="GB", help="frames in memory at a time, of all workers together (2)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per recording and line, nothing else")
    parser.add_argument(
        "--break-lock", action="store_true", help="take the output folder from another run, which must be gone"
    )


def model_options(parser: argparse.ArgumentParser) -> None:
    """Add what counts as an indication, and where."""
    parser.add_argument(
        "--min-area-px", type=whole(1), default=4, metavar="N", help="smaller regions are no indications (4)"
    )
    parser.add_argument(
        "--region", type=Path, metavar="PNG", help="mask image; defects are called only where it is not 0"
    )
    parser.add_argument("--sound", type=Path, metavar="PNG", help="mask image of a region known to be sound")
    parser.add_argument(
        "--tta",
        action="store_true",
        help="average over turns and mirror images (segmentation models; 8 times the work)",
    )


def spread_options(parser: argparse.ArgumentParser) -> None:
    """Add over what one training is spread."""
    parser.add_argument(
        "--devices", type=whole(1), default=1, metavar="N", help="GPUs (processes on a CPU) that train together (1)"
    )
    parser.add_argument("--nodes", type=whole(1), default=1, metavar="N", help="machines that train together (1)")
    parser.add_argument(
        "--strategy", default="auto", metavar="NAME", help="ddp, ddp_spawn or ddp_fork of Lightning (auto)"
    )


def watch_options(parser: argparse.ArgumentParser) -> None:
    """Add when a recording is complete, and when watching ends."""
    parser.add_argument(
        "--settle-s",
        type=seconds,
        default=5.0,
        metavar="S",
        help="a recording is complete when size and time of change stay the same for so long (5)",
    )
    parser.add_argument("--poll-s", type=seconds, default=2.0, metavar="S", help="pause between two looks (2)")
    parser.add_argument("--once", action="store_true", help="do what is there and complete, and end")
    parser.add_argument(
        "--until-idle", type=seconds, metavar="S", help="end when nothing has arrived for so long (never)"
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="try unchanged recordings again that failed in an earlier run"
    )


def results_options(parser: argparse.ArgumentParser) -> None:
    """Add which results are meant, and what is made of them."""
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="OUT", help="output folder of predict, watch or inspect"
    )
    wanted = parser.add_argument_group("which results (all)")
    wanted.add_argument("--state", metavar="STATE", help="done or failed")
    wanted.add_argument("--verdict", metavar="VERDICT", help="accept, reject, review, or none for results without")
    wanted.add_argument("--since", metavar="TIME", help="done then or later: 2026-05-31 or 2026-05-31T22:00")
    wanted.add_argument("--specimen", metavar="PATTERN", help="specimen; * and ? stand for anything")
    wanted.add_argument("--recording", metavar="PATTERN", help="name or path of the recording")
    wanted.add_argument("--model", metavar="SHA256", help="first digits of the model's hash")
    wanted.add_argument("--min-area", type=float, metavar="MM2", help="with an indication of at least this area, mm2")
    wanted.add_argument("--min-indications", type=whole(0), metavar="N", help="with at least so many indications")
    parser.add_argument(
        "--compare",
        metavar="PART",
        help="specimen, or a result: what is new, has grown, stayed or gone since its earlier inspections",
    )
    parser.add_argument("--against", metavar="RESULT", help="compare with this result instead of the earlier ones")
    parser.add_argument(
        "--growth", type=float, default=0.2, metavar="SHARE", help="larger changes of area are growth (0.2)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per result or comparison and line")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the list as .csv or .json")
    parser.add_argument("--overwrite", action="store_true", help="replace the file named with -o")
