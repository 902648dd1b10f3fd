"""The verbs ``watch`` and ``results``."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from thermo_qc.cli.given import given_facts
from thermo_qc.cli.progress import progress_bar
from thermo_qc.errors import ConfigError

if TYPE_CHECKING:
    from thermo_qc.workflows.inspect import Inspection

__all__ = ["memory_bytes", "results", "watch"]


def memory_bytes(arguments: Namespace) -> int | None:
    """Bytes that ``--memory-gb`` stands for."""
    if arguments.memory_gb is None:
        return None
    if not arguments.memory_gb > 0:
        raise ConfigError(f"--memory-gb is {arguments.memory_gb:g}, expected more than 0")
    return int(arguments.memory_gb * 2**30)


def watch(arguments: Namespace) -> int:
    """Predict recordings as they arrive; 3 when some failed, the codes of ``inspect`` when watching was to end."""
    from thermo_qc.cli.batch import BatchPrinter, one_line
    from thermo_qc.cli.inspect_verbs import code_of
    from thermo_qc.workflows import watch as workflow
    from thermo_qc.workflows.predict import work_for

    inspection = _inspection(arguments)
    work = work_for(
        arguments.model,
        method=arguments.method,
        threads=arguments.threads,
        workers=arguments.workers or 1,
        scheduler=arguments.scheduler,
        memory_bytes=memory_bytes(arguments),
        finish=None if inspection is None else inspection.judge,
    )
    with progress_bar("recording") as show:
        watched = workflow.run(
            arguments.inbox,
            arguments.model,
            arguments.output,
            work,
            recursive=arguments.recursive,
            settle_s=arguments.settle_s,
            poll_s=arguments.poll_s,
            until_idle_s=arguments.until_idle,
            once=arguments.once,
            retry_failed=arguments.retry_failed,
            method=arguments.method,
            device=arguments.device,
            tta=arguments.tta,
            min_area_px=arguments.min_area_px,
            region=arguments.region,
            sound=arguments.sound,
            facts=given_facts(arguments),
            inspection=inspection,
            break_lock=arguments.break_lock,
            on_progress=BatchPrinter(None, show, as_json=arguments.json),
        )
    for path in watched.waiting:
        print(f"thermo-qc: {one_line(str(path))} is not complete or cannot be read, and was left", file=sys.stderr)
    said = f"{watched.n_done} done, {watched.n_skipped} up to date, {watched.n_failed} failed"
    if inspection is not None:
        said += f"; {watched.n_rejected} REJECT, {watched.n_review} REVIEW"
    print(f"thermo-qc: {'stopped; ' if watched.stopped else ''}{said}", file=sys.stderr)
    ends = arguments.once or arguments.until_idle is not None
    return code_of(n_failed=watched.n_failed, n_rejected=watched.n_rejected * ends, n_review=watched.n_review * ends)


def _inspection(arguments: Namespace) -> Inspection | None:
    """Who judges the recordings that arrive; None without criteria."""
    from thermo_qc.cli.inspect_verbs import formats_of
    from thermo_qc.workflows.inspect import prepare

    if arguments.criteria is None:
        for name in ("procedure", "plate", "registration", "assume_detectable", "format"):
            if getattr(arguments, name) not in (None, False):
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(
                    f"{option} came without --criteria; watch gives verdicts and reports only by criteria"
                )
        return None
    return prepare(
        criteria=arguments.criteria,
        procedure=arguments.procedure,
        plate=arguments.plate,
        registration=arguments.registration,
        assume_detectable=arguments.assume_detectable,
        formats=formats_of(arguments),
        min_area_px=arguments.min_area_px,
        device=arguments.device,
        tta=arguments.tta,
        facts=given_facts(arguments),
        region=arguments.region,
        sound=arguments.sound,
        model_path=arguments.model,
        method=arguments.method,
    )


def results(arguments: Namespace) -> int:
    """List, filter, export and compare results."""
    if arguments.compare is not None:
        return _compare(arguments)
    if arguments.against is not None:
        raise ConfigError("--against came without --compare; say which result is to be compared with it")
    from thermo_qc.workflows import results as workflow

    wanted = workflow.Filter(
        state=arguments.state,
        verdict=arguments.verdict,
        since=None if arguments.since is None else workflow.since_of(arguments.since),
        specimen=arguments.specimen,
        recording=arguments.recording,
        model=arguments.model,
        min_area_mm2=arguments.min_area,
        min_indications=arguments.min_indications,
    )
    rows = workflow.list_results(arguments.folders, wanted)
    _tell(arguments, rows, lambda: workflow.render(rows))
    if arguments.output is not None:
        workflow.export(rows, arguments.output, overwrite=arguments.overwrite)
        print(f"wrote {arguments.output}", file=sys.stderr)
    return 0


def _compare(arguments: Namespace) -> int:
    from thermo_qc.workflows import part_history as workflow

    if not arguments.growth > 0:
        raise ConfigError(f"--growth is {arguments.growth:g}, expected more than 0")
    steps = workflow.compare_part(
        arguments.folders, arguments.compare, against=arguments.against, growth=arguments.growth
    )
    _tell(arguments, [workflow.plain_step(step) for step in steps], lambda: workflow.render_steps(steps))
    if arguments.output is not None:
        workflow.export_steps(steps, arguments.output, overwrite=arguments.overwrite)
        print(f"wrote {arguments.output}", file=sys.stderr)
    return 0


def _tell(arguments: Namespace, rows: list[dict[str, Any]], render: Any) -> None:
    if arguments.json:
        for row in rows:
            print(json.dumps(row, allow_nan=False))
    else:
        print(render())
