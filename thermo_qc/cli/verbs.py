"""One function per verb on recordings and plates: a workflow call and what is printed of its result."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from thermo_qc.cli.given import given_facts, given_threads
from thermo_qc.cli.progress import progress_bar
from thermo_qc.errors import ConfigError, InputError, ThermoQCError

if TYPE_CHECKING:
    from thermo_qc.evaluation import InspectionSetup

__all__ = [
    "convert",
    "demo",
    "info",
    "list_formats",
    "list_methods",
    "maps",
    "plan",
    "register",
    "report",
    "simulate",
]

_POINT_FIELDS = 4
_PLAN_SETUP = ("netd_k", "quantisation_k", "pixel_pitch_mm", "blur_px", "frame_rate_hz", "cold_s")


def info(arguments: Namespace) -> int:
    """Describe recordings; 3 when some of several cannot be read."""
    from thermo_qc.workflows import info as workflow

    failed = 0
    for position, recording in enumerate(arguments.recordings):
        try:
            description = workflow.describe(recording, **given_facts(arguments))
        except ThermoQCError as error:
            if len(arguments.recordings) == 1:
                raise
            failed += 1
            print(f"thermo-qc: {error}", file=sys.stderr)
            continue
        if arguments.json:
            print(json.dumps(description, allow_nan=False))
        else:
            print("\n" * bool(position) + workflow.render(description))
    return 3 if failed else 0


def convert(arguments: Namespace) -> int:
    """Convert one recording."""
    from thermo_qc.workflows import convert as workflow

    written = workflow.run(
        arguments.recording, arguments.output, overwrite=arguments.overwrite, **given_facts(arguments)
    )
    print(f"wrote {written}")
    return 0


def register(arguments: Namespace) -> int:
    """Register one recording to its plate."""
    from thermo_qc.workflows import register as workflow

    points: Any = arguments.points if arguments.points is not None else [_point(text) for text in arguments.point]
    result = workflow.run(
        arguments.recording,
        arguments.plate,
        points,
        output=arguments.output,
        rectify=arguments.rectify,
        rectified_pitch_mm=arguments.rectified_pitch_mm,
        overwrite=arguments.overwrite,
        **given_facts(arguments),
    )
    print(f"wrote {arguments.output}")
    print(
        f"residual {result.residual_mm:.2f} mm over {result.n_points} points, {result.pixel_pitch_mm:.3f} mm per pixel"
    )
    if result.warning:
        print(f"thermo-qc: {result.warning}", file=sys.stderr)
    return 0


def maps(arguments: Namespace) -> int:
    """Compute maps of one recording."""
    from thermo_qc.workflows import maps as workflow

    with progress_bar("tile") as show:
        result = workflow.run(
            arguments.recording,
            arguments.output,
            methods=[name for text in arguments.methods for name in text.split(",") if name],
            config=arguments.config,
            overrides=tuple(arguments.set),
            prepare=[step for text in arguments.prepare for step in text.split(",") if step],
            region=arguments.region,
            sound=arguments.sound,
            threads=given_threads(arguments),
            pictures=not arguments.no_pictures,
            overwrite=arguments.overwrite,
            facts=given_facts(arguments),
            progress=show,
        )
    for name, reason in result.skipped.items():
        print(f"left out {name}: {reason}", file=sys.stderr)
    print(f"wrote {result.file} ({result.n_maps} maps)")
    if result.scores is not None:
        print(f"wrote {result.scores}")
    for page in result.overviews:
        print(f"wrote {page}")
    return 0


def list_formats() -> None:
    """Print every format with what its reader was tried on."""
    from thermo_qc.workflows import info as workflow

    print(workflow.list_formats())


def list_methods() -> None:
    """Print every method of the maps verb with a line on it."""
    from thermo_qc.thermography import METHODS

    for name, method in METHODS.items():
        line = (method.__doc__ or "").strip().splitlines()[0].removeprefix("Options of ").removeprefix("the ")
        print(f"{name:18} {line[:1].upper()}{line[1:]}")


def simulate(arguments: Namespace) -> int:
    """Simulate one recording, or the plates of a corpus."""
    if arguments.number is not None:
        return _simulate_corpus(arguments)
    from thermo_qc.workflows import simulate as workflow

    with progress_bar("%") as show:
        workflow.run(
            arguments.config,
            arguments.output,
            overrides=tuple(arguments.set),
            overwrite=arguments.overwrite,
            progress=lambda part: show(round(100 * part), 100),
        )
    print(f"wrote {arguments.output}")
    return 0


def _simulate_corpus(arguments: Namespace) -> int:
    from thermo_qc.workflows import corpus
    from thermo_qc.workflows.simulate import describes_corpus

    if not describes_corpus(arguments.config):
        raise ConfigError(f"{arguments.config} describes one plate, -n counts those of a corpus; leave -n out")
    if arguments.overwrite:
        raise InputError("-n adds plates to a corpus and replaces none; leave --overwrite out, or name another folder")
    with progress_bar("plate") as show:
        plates = corpus.run(
            arguments.config,
            arguments.output,
            n_plates=arguments.number,
            overrides=tuple(arguments.set),
            workers=arguments.workers,
            progress=show,
        )
    print(f"{arguments.output}: {len(plates)} plates")
    return 0


def plan(arguments: Namespace) -> int:
    """Plan an inspection."""
    from thermo_qc.evaluation import DetectionLimits
    from thermo_qc.workflows import plan as workflow

    with progress_bar("depth") as show:
        result = workflow.run(
            arguments.material,
            arguments.thickness_mm,
            setup=_planned_setup(arguments),
            limits=DetectionLimits(visible=arguments.visible, detectable=arguments.detectable),
            depths_mm=arguments.depths_mm,
            smallest_mm=arguments.smallest_diameter_mm,
            largest_mm=arguments.largest_diameter_mm,
            wanted_depth_mm=arguments.wanted_depth_mm,
            wanted_diameter_mm=arguments.wanted_diameter_mm,
            pulses_s=arguments.pulses_s,
            longest_s=arguments.longest_s,
            max_rise_k=arguments.max_rise_k,
            output=arguments.output,
            overwrite=arguments.overwrite,
            progress=show,
        )
    print(workflow.render(result))
    for name in workflow.FILES if arguments.output is not None else ():
        print(f"wrote {arguments.output / name}")
    return 0


def _planned_setup(arguments: Namespace) -> InspectionSetup:
    """Gather heating, losses, camera and recording from the options of ``plan``."""
    from thermo_qc.evaluation import InspectionSetup
    from thermo_qc.simulation import Heating, Losses

    names = ("front_w_m2k", "back_w_m2k", "hole_floor_w_m2k")
    return InspectionSetup(
        heating=Heating(
            kind=arguments.heating,
            flux_w_m2=arguments.flux_w_m2,
            duration_s=arguments.pulse_s,
            energy_j_m2=arguments.energy_j_m2,
        ),
        losses=Losses(**{name: getattr(arguments, name) for name in names}),
        duration_s=arguments.recording_s,
        **{name: getattr(arguments, name) for name in _PLAN_SETUP},
    )


def report(arguments: Namespace) -> int:
    """Write the report of a run folder."""
    from thermo_qc.workflows import report as workflow

    overwrite = arguments.overwrite or arguments.output is None  # the run's own page is always made anew
    print(f"wrote {workflow.run(arguments.run, output=arguments.output, overwrite=overwrite)}")
    return 0


def demo(arguments: Namespace) -> int:
    """Run the demo."""
    from thermo_qc.workflows import demo as workflow

    table = workflow.run(
        arguments.output,
        full=arguments.full,
        seed=arguments.seed,
        overwrite=arguments.overwrite,
        device=arguments.device,
        threads=given_threads(arguments),
    )
    print(table)
    print(f"wrote {arguments.output / 'report.html'}")
    return 0


def _point(text: str) -> tuple[float, float, float, float]:
    try:
        x_px, y_px, x_mm, y_mm = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--point {text}: expected {_POINT_FIELDS} numbers XPX,YPX,XMM,YMM") from None
    return x_px, y_px, x_mm, y_mm
