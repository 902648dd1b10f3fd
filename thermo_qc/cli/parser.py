"""Arguments of every verb; nothing heavy is imported here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from thermo_qc import __version__
from thermo_qc.cli import audit_verbs, batch_verbs, inspect_verbs, model_verbs, verbs
from thermo_qc.cli.batch_arguments import batch_options, model_options, results_options, spread_options, watch_options
from thermo_qc.cli.inspect_verbs import dispose_options, inspect_options
from thermo_qc.cli.kinds import whole as _whole
from thermo_qc.errors import suggestion

__all__ = ["FACT_OPTIONS", "build_parser"]

Verb = Callable[[argparse.Namespace], int]

FACT_OPTIONS: dict[str, tuple[type, str]] = {
    "variable": (str, "variable, field or dataset that holds the frames, for example F1.images"),
    "axes": (str, "order of its axes: t time, y row, x column, for example yxt"),
    "frame_shape": (str, "rows x columns of a CSV table with a row per frame, for example 480x640"),
    "unit": (str, "K, degC or counts"),
    "frame_rate_hz": (float, "frames per second"),
    "t_first_s": (float, "time of the first frame on the file's own time axis"),
    "excitation": (str, "flash, long_pulse, step, periodic or unknown"),
    "heating_start_s": (float, "start of the heating on the file's own time axis; becomes time zero"),
    "heating_stop_s": (float, "end of the heating on the file's own time axis"),
    "frequency_hz": (float, "frequency of a periodic excitation"),
    "flux_w_m2": (float, "absorbed heat flux density, W/m2"),
    "pixel_pitch_mm": (float, "edge of a pixel on the plate, mm"),
    "ambient_c": (float, "ambient temperature, degC"),
    "emissivity": (float, "emissivity of the surface"),
    "thickness_mm": (float, "thickness of the plate, mm"),
    "material": (str, "GFRP, CFRP or a YAML file of thermal constants"),
    "netd_k": (float, "noise of the camera, K"),
    "camera": (str, "camera"),
    "specimen_id": (str, "specimen"),
    "acquisition_id": (str, "acquisition"),
}

PLAN_OPTIONS: tuple[tuple[str, float | None, str], ...] = (
    ("flux_w_m2", 1000.0, "absorbed power, W/m2"),
    ("pulse_s", 60.0, "length of the pulse, s"),
    ("energy_j_m2", 10_000.0, "absorbed energy of a flash, J/m2"),
    ("recording_s", 400.0, "time recorded from the start of the heating, s"),
    ("cold_s", 5.0, "time recorded before the heating, s"),
    ("frame_rate_hz", 1.0, "frames per second"),
    ("netd_k", 0.025, "noise of the camera, K"),
    ("quantisation_k", 0.01, "step of the camera's readings, K"),
    ("pixel_pitch_mm", 2.0, "edge of a pixel on the plate, mm"),
    ("blur_px", 0.5, "blur of the optics, standard deviation in pixels"),
    ("front_w_m2k", 10.0, "heat loss of the inspected face, W/(m2 K)"),
    ("back_w_m2k", 10.0, "heat loss of the back, W/(m2 K)"),
    ("hole_floor_w_m2k", 10.0, "heat loss of the floor of the hole, W/(m2 K)"),
    ("detectable", 30.0, "d' from which a hole is detectable"),
    ("visible", 6.5, "d' below which a hole cannot be seen"),
    ("smallest_diameter_mm", None, "smallest diameter to think of, mm (one pixel)"),
    ("largest_diameter_mm", 100.0, "largest diameter to think of, mm"),
    ("wanted_depth_mm", None, "depth of a hole that must be detectable: find its pulse and recording time"),
    ("wanted_diameter_mm", None, "its diameter, mm (twice its depth)"),
    ("longest_s", None, "longest recording to try for it, s (four times the time heat takes to its depth)"),
    ("max_rise_k", 50.0, "largest rise that the surface may take, K"),
)
_MODEL = "model file, run folder or a model that ships; several joined by + vote"


class _Parser(argparse.ArgumentParser):
    """Answers a typo with what was probably meant, and every mistake with one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            name, known = rest[0].partition("=")[0], self._option_string_actions
            near = suggestion(name, known)
            way_out = near if name.startswith("-") and near.startswith("; did") else f"; see {self.prog} --help"
            self.error(f"'{name}' is not understood{way_out}", hint=False)
        return found, rest

    def error(self, message: str, hint: bool = True) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}{f'; see {self.prog} --help' if hint else ''}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            what = action.metavar or action.dest
            self.error(f"unknown {what} '{value}'{suggestion(str(value), names)}", hint=False)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; each verb's function is the attribute ``verb`` of what it parses."""
    parser = _Parser(
        prog="thermo-qc",
        description=(
            "Quality control by active infrared thermography: recordings in, defect maps, metrics and reports out."
        ),
    )
    parser.add_argument("--version", action="version", version=f"thermo-qc {__version__}")
    table = parser.add_subparsers(dest="verb_name", metavar="VERB", required=True, parser_class=_Parser)
    _add_recording_verbs(table)
    _add_training_verbs(table)
    _add_result_verbs(table)
    return parser


def _add_recording_verbs(table: Any) -> None:
    info = _verb(table, "info", verbs.info, "say what a recording is, what is missing and how good it is")
    info.add_argument("recordings", nargs="+", type=Path, metavar="FILE")
    info.add_argument("--json", action="store_true", help="one JSON object per recording and line")
    info.add_argument("--formats", action=_ListFormats, nargs=0, help="list the formats that can be read and leave")
    _facts(info)

    convert = _verb(
        table, "convert", verbs.convert, "write a recording as native HDF5 (.h5), NumPy (.npz), MATLAB (.mat) or TIFF"
    )
    convert.add_argument("recording", type=Path, metavar="FILE")
    _output(convert, "file to write; the ending chooses the format")
    _facts(convert)

    register = _verb(table, "register", verbs.register, "lay a plate's truth on a recording by picked points")
    register.add_argument("recording", type=Path, metavar="FILE")
    register.add_argument("plate", metavar="PLATE", help="plate YAML or the name of a plate that ships")
    register.add_argument(
        "--point",
        action="append",
        default=[],
        metavar="XPX,YPX,XMM,YMM",
        help="one picked point; four or more are needed",
    )
    register.add_argument("--points", type=Path, metavar="FILE", help="CSV or YAML file of picked points")
    register.add_argument("--rectify", action="store_true", help="resample the frames to plate millimetres")
    register.add_argument("--rectified-pitch-mm", type=float, metavar="MM", help="pixel pitch after --rectify")
    _output(register, "registration (.yaml) or the registered recording with truth (.h5)")
    _facts(register)

    maps = _verb(table, "maps", verbs.maps, "compute classical maps (TSR, PPT, PCT, ...) of a recording")
    maps.add_argument("recording", type=Path, metavar="FILE")
    maps.add_argument(
        "--methods",
        nargs="+",
        default=[],
        metavar="NAME",
        help="methods by name, or all (tsr ppt pct contrast host, where they are possible)",
    )
    maps.add_argument("--list", action=_ListMethods, nargs=0, help="name all methods and leave")
    maps.add_argument("--config", type=Path, metavar="FILE", help="YAML file with methods and their options, prepare")
    maps.add_argument(
        "--set", action="append", default=[], metavar="METHOD.KEY=VALUE", help="option, for example tsr.order=7"
    )
    maps.add_argument(
        "--prepare", nargs="+", default=[], metavar="STEP", help="preparation steps in their order, before the maps"
    )
    maps.add_argument("--region", type=Path, metavar="PNG", help="mask image; maps are made only where it is not 0")
    maps.add_argument("--sound", type=Path, metavar="PNG", help="mask image of a region known to be sound")
    maps.add_argument("--no-pictures", action="store_true", help="write the HDF5 file only")
    maps.add_argument("--threads", type=_whole(1), metavar="N", help="cores to use (all)")
    _output(maps, "folder for the maps")
    _facts(maps)

    simulate = _verb(table, "simulate", verbs.simulate, "simulate a recording of a plate with its truth")
    _config(simulate)
    _output(simulate, "HDF5 file to write; the folder of a corpus")
    simulate.add_argument(
        "-n", "--number", type=_whole(1), metavar="N", help="CONFIG describes a corpus of random plates: simulate N"
    )
    simulate.add_argument("--workers", type=_whole(1), default=1, metavar="N", help="processes, for a corpus (1)")

    plan = _verb(table, "plan", verbs.plan, "say which holes a set-up can show, before an inspection")
    _plan(plan)


def _plan(plan: argparse.ArgumentParser) -> None:
    plan.add_argument("material", metavar="MATERIAL", help="GFRP, CFRP or a YAML file of thermal constants")
    plan.add_argument("thickness_mm", type=float, metavar="THICKNESS_MM", help="thickness of the plate, mm")
    plan.add_argument(
        "--heating", choices=("long_pulse", "step", "flash"), default="long_pulse", metavar="KIND",
        help="long_pulse, step (to the end) or flash (long_pulse)",
    )  # fmt: skip
    for name, default, text in PLAN_OPTIONS:
        shown = "" if default is None else f" ({default:g})"
        plan.add_argument(
            f"--{name.replace('_', '-')}", type=float, default=default, metavar="N", help=f"{text}{shown}"
        )
    plan.add_argument(
        "--depths-mm", type=float, nargs="+", default=[], metavar="MM", help="depths of the table (nine even ones)"
    )
    plan.add_argument(
        "--pulses-s", type=float, nargs="+", default=[], metavar="S", help="pulses to try for the wanted hole"
    )
    plan.add_argument("-o", "--output", type=Path, metavar="OUT", help="folder for plan.json, plan.csv and plan.png")
    plan.add_argument("--overwrite", action="store_true", help="replace what is there")


def _add_training_verbs(table: Any) -> None:
    for name, function, text in (
        ("train", model_verbs.train, "train one model on every recording of a manifest"),
        ("cv", model_verbs.cv, "cross-validate a model and write its report"),
    ):
        verb = _verb(table, name, function, text)
        _config(verb)
        verb.add_argument("--manifest", type=Path, metavar="FILE", help="manifest instead of the configuration's own")
        verb.add_argument("--resume", action="store_true", help="insist on continuing the run in the output folder")
        verb.add_argument("--seed", type=_whole(0), metavar="N", help="seed instead of the configuration's own")
        _output(verb, "run folder")
        _machine(verb)
        spread_options(verb)
        if name == "train":
            verb.add_argument(
                "--corpus",
                type=Path,
                nargs="+",
                metavar="DIR",
                help="corpora of simulated plates, in the order of the configuration, for configs/general.yaml",
            )
        if name == "cv":
            verb.add_argument("--leakage-gap", action="store_true", help="score under random-pixel folds as well")
            verb.add_argument(
                "--fold", type=_whole(0), action="append", metavar="N", help="this fold only (may be repeated)"
            )

    audit = _verb(table, "audit", audit_verbs.audit, "score a method under folds that leak and folds that do not")
    audit_verbs.audit_options(audit)
    _output(audit, "folder for the runs, the table and its page")
    _machine(audit)
    _add_finetune(table)
    demo = _verb(table, "demo", verbs.demo, "simulate the calibrated plate, train, cross-validate, compare and report")
    _output(demo, "folder for everything the demo makes", default=Path("thermo-qc-demo"))
    demo.add_argument(
        "--full", action="store_true", help="cross-validate all methods and show the leakage gap (up to an hour)"
    )
    demo.add_argument(
        "--seed", type=_whole(0), default=0, metavar="N", help="seed of the simulations and trainings (0)"
    )
    _machine(demo)


def _add_finetune(table: Any) -> None:
    verb = _verb(
        table, "finetune", model_verbs.finetune, "train a model further on your own recordings, from one of them on"
    )
    _model(verb)
    verb.add_argument("data", type=Path, metavar="DATA", help="manifest (YAML), or one recording with its truth")
    verb.add_argument("--epochs", type=_whole(1), metavar="N", help="epochs (20)")
    verb.add_argument(
        "--freeze",
        choices=("none", "encoder", "all_but_head"),
        metavar="WHAT",
        help="what is not trained: none, encoder or all_but_head (none)",
    )
    verb.add_argument("--learning-rate", type=float, metavar="RATE", help="learning rate (a tenth of the model's own)")
    verb.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override, for example train.batch_size=4"
    )
    verb.add_argument(
        "--validate", type=Path, metavar="MANIFEST", help="labelled recordings to compare before and after on"
    )
    verb.add_argument("--truth", type=Path, metavar="FILE", help="mask picture or outlines of the single recording")
    verb.add_argument("--plate", metavar="PLATE", help="plate of the single recording: YAML or the name of one")
    verb.add_argument("--resume", action="store_true", help="insist on continuing the run in the output folder")
    verb.add_argument("--seed", type=_whole(0), metavar="N", help="seed (0)")
    _output(verb, "run folder")
    _machine(verb)
    _facts(verb)


def _add_result_verbs(table: Any) -> None:
    evaluate = _verb(table, "evaluate", model_verbs.evaluate, "score a trained model on labelled recordings")
    _model(evaluate)
    evaluate.add_argument("manifest", type=Path, metavar="MANIFEST")
    _output(evaluate, "run folder")
    _machine(evaluate)

    predict = _verb(table, "predict", model_verbs.predict, "make defect maps of recordings with a trained model")
    _model(predict)
    predict.add_argument(
        "recordings",
        nargs="+",
        metavar="INPUT",
        help="recording, folder (of frames, or of recordings), pattern in quotes, @LIST with one of these per line",
    )
    batch_options(predict)
    model_options(predict)
    _output(predict, "folder for maps, pictures and tables")
    _machine(predict)
    _facts(predict)

    watch = _verb(table, "watch", batch_verbs.watch, "make defect maps of recordings as they arrive in a folder")
    watch.add_argument("inbox", type=Path, metavar="INBOX", help="folder that recordings arrive in; nothing is moved")
    watch.add_argument("--model", type=Path, required=True, metavar="MODEL", help=_MODEL)
    watch.add_argument("--method", metavar="NAME", help="which method, when the folder holds several")
    watch.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder of the results")
    watch_options(watch)
    inspect_options(watch)
    batch_options(watch)
    model_options(watch)
    _machine(watch)
    _facts(watch)

    inspect = _verb(table, "inspect", inspect_verbs.inspect, "judge recordings by acceptance criteria, with reports")
    inspect.add_argument("recordings", nargs="+", metavar="INPUT", help="recordings, as for predict")
    inspect.add_argument("--model", type=Path, required=True, metavar="MODEL", help=_MODEL)
    inspect.add_argument("--method", metavar="NAME", help="which method, when the folder holds several")
    inspect_options(inspect)
    batch_options(inspect)
    model_options(inspect)
    _output(inspect, "folder for verdicts, reports, maps, pictures and tables")
    _machine(inspect)
    _facts(inspect)

    dispose = _verb(table, "dispose", inspect_verbs.dispose, "record what an inspector says of an indication")
    dispose_options(dispose)

    results = _verb(table, "results", batch_verbs.results, "list, filter, export and compare results")
    results_options(results)

    compare = _verb(table, "compare", audit_verbs.compare, "put methods side by side that ran on the same splits")
    audit_verbs.compare_options(compare)
    _output(compare, "folder for the table and its page")

    report = _verb(table, "report", verbs.report, "write the HTML report of a run folder")
    report.add_argument("run", type=Path, metavar="RUN")
    report.add_argument("-o", "--output", type=Path, metavar="FILE", help="HTML file (RUN/report.html)")
    report.add_argument("--overwrite", action="store_true", help="replace the file named with -o")


class _ListMethods(argparse.Action):
    """Print the methods of the maps verb and leave, as --version does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        verbs.list_methods()
        parser.exit()


class _ListFormats(argparse.Action):
    """Print the formats and leave, as --version does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        verbs.list_formats()
        parser.exit()


def _verb(table: Any, name: str, function: Verb, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = table.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(verb=function)
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say more (twice: everything)")
    return parser


def _output(parser: argparse.ArgumentParser, text: str, default: Path | None = None) -> None:
    parser.add_argument(
        "-o", "--output", type=Path, required=default is None, default=default, metavar="OUT", help=text
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override, for example train.epochs=5"
    )


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help=_MODEL)
    parser.add_argument("--method", metavar="NAME", help="which method, when the folder holds several")


def _machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda or auto (cpu)")
    parser.add_argument("--threads", type=_whole(1), metavar="N", help="CPU threads (all)")


def _facts(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("facts that the file may lack (or a sidecar YAML of the same keys beside it)")
    for name, (kind, text) in FACT_OPTIONS.items():
        metavar = {str: "TEXT", float: "N"}[kind]
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)
