"""The verbs ``inspect`` and ``dispose``, with their arguments."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from pathlib import Path

from thermo_qc.cli.given import given_facts
from thermo_qc.cli.kinds import whole
from thermo_qc.cli.progress import progress_bar

__all__ = ["code_of", "dispose", "dispose_options", "formats_of", "inspect", "inspect_options"]

EXIT_FAILED, EXIT_REJECTED, EXIT_REVIEW = 3, 4, 5


def inspect_options(parser: argparse.ArgumentParser) -> None:
    """Add criteria, report and plate."""
    parser.add_argument("--criteria", type=Path, metavar="FILE", help="acceptance criteria (YAML); none: no verdict")
    parser.add_argument(
        "--procedure", type=Path, metavar="FILE", help="part, procedure, equipment, people for the report (YAML)"
    )
    parser.add_argument("--plate", metavar="PLATE", help="nominal plate: YAML or the name of a plate that ships")
    parser.add_argument(
        "--registration",
        type=Path,
        metavar="FILE",
        help="where the plate lies in the frame of recordings that do not say so, from register",
    )
    parser.add_argument(
        "--assume-detectable",
        action="store_true",
        help="missing facts about what the recording could have shown are no reason for a review",
    )
    parser.add_argument(
        "--format",
        metavar="NAME,...",
        help="html, pdf, png (maps and indications with scales), dicom; with commas between (html)",
    )


def dispose_options(parser: argparse.ArgumentParser) -> None:
    """Add which indication, and what is said of it."""
    parser.add_argument("output", type=Path, metavar="OUT", help="folder of inspect")
    parser.add_argument("recording", metavar="RECORDING", help="recording as it was named, its path, or its result")
    parser.add_argument("indication", type=whole(1), metavar="INDICATION", help="number of the indication")
    parser.add_argument("--as", dest="word", required=True, metavar="WORD", help="confirmed or dismissed")
    parser.add_argument("--by", required=True, metavar="NAME", help="who says so")
    parser.add_argument("--why", required=True, metavar="TEXT", help="the reason")


def inspect(arguments: Namespace) -> int:
    """Inspect recordings; 3 when some failed, 4 some rejected, 5 some to review and none rejected."""
    from thermo_qc.cli.batch import BatchPrinter, one_line
    from thermo_qc.cli.batch_verbs import memory_bytes
    from thermo_qc.workflows import inspect as workflow
    from thermo_qc.workflows.recordings_found import find_recordings

    facts = given_facts(arguments)
    room = memory_bytes(arguments)
    found = find_recordings(arguments.recordings, recursive=arguments.recursive, skip=arguments.output, facts=facts)
    for note in found.notes:
        print(f"thermo-qc: {one_line(note)}", file=sys.stderr)
    total = len(found.recordings)
    with progress_bar("recording") as show:
        show(0, total)
        results = workflow.run(
            arguments.model,
            found.recordings,
            arguments.output,
            criteria=arguments.criteria,
            procedure=arguments.procedure,
            plate=arguments.plate,
            registration=arguments.registration,
            assume_detectable=arguments.assume_detectable,
            formats=formats_of(arguments),
            method=arguments.method,
            overwrite=arguments.overwrite,
            device=arguments.device,
            threads=arguments.threads,
            workers=arguments.workers,
            scheduler=arguments.scheduler,
            memory_bytes=room,
            min_area_px=arguments.min_area_px,
            region=arguments.region,
            sound=arguments.sound,
            facts=facts,
            tta=arguments.tta,
            batch=found.several,
            break_lock=arguments.break_lock,
            on_progress=BatchPrinter(total, show, as_json=arguments.json),
        )
    counts = {word: sum(result.verdict == word for result in results) for word in ("accept", "reject", "review")}
    failed = sum(bool(result.error) for result in results)
    if not arguments.json:
        if arguments.criteria is not None:
            print(f"{counts['accept']} ACCEPT, {counts['reject']} REJECT, {counts['review']} REVIEW, {failed} failed")
            print(f"wrote {arguments.output / 'verdicts.csv'}")
        print(f"wrote {arguments.output / 'inspection.html'}")
    if failed:
        place = arguments.output / "failures.csv"
        print(f"thermo-qc: {failed} of {len(results)} recordings failed; see {place}", file=sys.stderr)
    return code_of(n_failed=failed, n_rejected=counts["reject"], n_review=counts["review"])


def formats_of(arguments: Namespace) -> list[str]:
    """Split ``--format``."""
    given = "html" if arguments.format is None else arguments.format
    return [name.strip() for name in given.split(",") if name.strip()]


def code_of(*, n_failed: int, n_rejected: int, n_review: int) -> int:
    """Exit code of inspected parts: the worst of failed, rejected and to review."""
    return EXIT_FAILED if n_failed else EXIT_REJECTED if n_rejected else EXIT_REVIEW if n_review else 0


def dispose(arguments: Namespace) -> int:
    """Record what an inspector says of an indication."""
    from thermo_qc.workflows import dispose as workflow

    entry, path = workflow.run(
        arguments.output,
        arguments.recording,
        arguments.indication,
        word=arguments.word,
        by=arguments.by,
        why=arguments.why,
    )
    print(f"indication {entry.indication} {entry.word} by {entry.by}; wrote {path}")
    return 0
