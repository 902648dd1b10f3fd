"""The command line: what it takes, what it answers to mistakes, what it returns."""

import argparse
import io
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thermo_qc import __version__, cli
from thermo_qc.cli import audit_verbs, batch_verbs, inspect_verbs, main, model_verbs, verbs
from thermo_qc.cli.parser import FACT_OPTIONS, build_parser
from thermo_qc.cli.progress import progress_bar
from thermo_qc.config import Facts
from thermo_qc.errors import ConfigError

VERBS = (
    "info",
    "convert",
    "register",
    "maps",
    "plan",
    "simulate",
    "train",
    "cv",
    "finetune",
    "evaluate",
    "predict",
    "report",
    "demo",
)
OTHERS = {
    "audit": audit_verbs.audit,
    "compare": audit_verbs.compare,
    "inspect": inspect_verbs.inspect,
    "dispose": inspect_verbs.dispose,
    "watch": batch_verbs.watch,
    "results": batch_verbs.results,
}
MINIMAL = {
    "info": ["info", "a.h5"],
    "convert": ["convert", "a.mat", "-o", "a.h5"],
    "register": ["register", "a.h5", "gfrp_calibrated", "-o", "r.yaml"],
    "maps": ["maps", "a.h5", "--methods", "tsr", "-o", "out"],
    "plan": ["plan", "GFRP", "17"],
    "simulate": ["simulate", "s.yaml", "-o", "a.h5"],
    "train": ["train", "e.yaml", "-o", "run"],
    "cv": ["cv", "e.yaml", "-o", "run"],
    "finetune": ["finetune", "m.safetensors", "a.h5", "-o", "run"],
    "evaluate": ["evaluate", "m.safetensors", "m.yaml", "-o", "out"],
    "predict": ["predict", "m.safetensors", "a.h5", "b.h5", "-o", "out"],
    "report": ["report", "run"],
    "demo": ["demo"],
}


def parse(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(words)


def wrong(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err.rstrip("\n")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_leads_to_its_function(verb: str) -> None:
    assert parse(*MINIMAL[verb]).verb is getattr(model_verbs if verb in model_verbs.__all__ else verbs, verb)
    assert {*verbs.__all__, *model_verbs.__all__} == {*VERBS, "list_formats", "list_methods"}


def test_the_parser_knows_no_other_verbs() -> None:
    (table,) = [action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    assert {name: verb.get_default("verb") for name, verb in table.choices.items() if name not in VERBS} == OTHERS
    assert set(VERBS) < set(table.choices)


@pytest.mark.parametrize("verb", [*VERBS, *OTHERS])
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert f"usage: thermo-qc {verb}" in capsys.readouterr().out


def test_help_lists_all_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n    {verb} " in shown for verb in (*VERBS, *OTHERS))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"thermo-qc {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "thermo-qc: the following arguments are required: VERB; see thermo-qc --help"),
        (["trian", "e.yaml"], "thermo-qc: unknown VERB 'trian'; did you mean 'train'?"),
        (
            ["zzz"],
            "thermo-qc: unknown VERB 'zzz'; known: audit, compare, convert, cv, demo, dispose, evaluate, finetune, ",
        ),
        (
            ["train"],
            "thermo-qc train: the following arguments are required: CONFIG, -o/--output; see thermo-qc train --help",
        ),
        (
            ["train", "e", "-o", "r", "--seeed", "3"],
            "thermo-qc train: '--seeed' is not understood; did you mean '--seed'?",
        ),
        (
            ["train", "e", "-o", "r", "--seeed=3"],
            "thermo-qc train: '--seeed' is not understood; did you mean '--seed'?",
        ),
        (
            ["train", "e", "-o", "r", "--over"],
            "thermo-qc train: '--over' is not understood; did you mean '--overwrite'?",
        ),
        (["train", "e", "extra", "-o", "r"], "thermo-qc train: 'extra' is not understood; see thermo-qc train --help"),
        (
            ["report", "r", "--qqqqqqqq"],
            "thermo-qc report: '--qqqqqqqq' is not understood; see thermo-qc report --help",
        ),
        (
            ["train", "e", "-o", "r", "--seed", "-1"],
            "argument --seed: '-1' is not a whole number from 0 to 2147483647; see",
        ),
        (["demo", "--seed", "1e3"], "argument --seed: '1e3' is not a whole number from 0"),
        (["cv", "e", "-o", "r", "--fold", "a"], "argument --fold: 'a' is not a whole number from 0"),
        (["demo", "--threads", "0"], "argument --threads: '0' is not a whole number from 1"),
        (
            ["predict", "m", "a", "-o", "r", "--min-area-px", "0"],
            "argument --min-area-px: '0' is not a whole number from 1",
        ),
        (["info", "a.h5", "--thickness-mm", "thick"], "argument --thickness-mm: invalid float value: 'thick'; see"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in wrong(capsys, *words)


def test_values_reach_the_verb() -> None:
    arguments = parse(
        *MINIMAL["cv"], "--set", "a=1", "--set", "b=2", "--fold", "0", "--fold", "2", "--seed", "7", "-vv"
    )
    assert arguments.config == Path("e.yaml")
    assert arguments.output == Path("run")
    assert arguments.set == ["a=1", "b=2"]
    assert arguments.fold == [0, 2]
    assert arguments.seed == 7
    assert arguments.verbose == 2
    assert (arguments.overwrite, arguments.resume, arguments.leakage_gap, arguments.threads) == (
        False,
        False,
        False,
        None,
    )
    assert parse(*MINIMAL["predict"]).recordings == ["a.h5", "b.h5"]  # a name, a pattern or a list: found later
    assert parse(*MINIMAL["register"], "--point", "1,2,3,4").point == ["1,2,3,4"]
    assert parse(*MINIMAL["train"]).set == []


def test_fact_options_are_the_facts_of_the_schema_but_lists() -> None:
    scalar = {name for name in Facts.model_fields if name != "times_s"}
    assert set(FACT_OPTIONS) == scalar
    words = [
        word for name, (kind, _) in FACT_OPTIONS.items() for word in (f"--{name.replace('_', '-')}", SAMPLES[kind])
    ]
    arguments = parse(*MINIMAL["info"], *words)
    assert all(type(getattr(arguments, name)) is kind for name, (kind, _) in FACT_OPTIONS.items())


SAMPLES = {str: "text", float: "0.5"}


# main


INTERRUPTED = "thermo-qc: interrupted; the same command continues where this one stopped\n"
LESS = "crop the recording, lower the batch size or free memory"


class OutOfMemoryError(RuntimeError):
    """Named as torch's own."""


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the verb `report` do what a test wants."""

    def install(action: Any) -> None:
        monkeypatch.setattr(verbs, "report", action)

    return install


def wrapped_interrupt() -> SystemError:
    error = SystemError("<cyfunction> returned a result with an exception set")
    error.__cause__ = KeyboardInterrupt()
    return error


def raising(error: BaseException) -> Any:
    def function(_: argparse.Namespace) -> int:
        raise error

    return function


def test_the_verbs_code_is_returned(verb: Any) -> None:
    for code in (0, 2, 3):
        verb(lambda _, code=code: code)
        assert main(["report", "run"]) == code


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError("two\n  lines"), 2, "thermo-qc: two lines\n"),
        (
            PermissionError(13, "Permission denied", "/x/y"),
            2,
            "thermo-qc: /x/y: Permission denied; check the path, its permissions and the free space\n",
        ),
        (OSError("odd"), 2, "thermo-qc: odd; check the path, its permissions and the free space\n"),
        (MemoryError(), 2, f"thermo-qc: not enough memory; {LESS}\n"),
        (
            MemoryError("Unable to allocate\n9 GiB"),
            2,
            f"thermo-qc: not enough memory (Unable to allocate 9 GiB); {LESS}\n",
        ),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory\nC++ frames"),
            2,
            f"thermo-qc: not enough memory; {LESS}\n",
        ),
        (OutOfMemoryError("CUDA out of memory"), 2, f"thermo-qc: not enough memory; {LESS}\n"),
        (KeyboardInterrupt(), 130, INTERRUPTED),
        (wrapped_interrupt(), 130, INTERRUPTED),
    ],
)
def test_errors_are_one_line_and_a_code(
    verb: Any, error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb(raising(error))
    assert main(["report", "run"]) == code
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", message)


@pytest.mark.parametrize("error", [ZeroDivisionError("bug"), RuntimeError("bug")])
def test_programming_errors_are_not_hidden(verb: Any, error: Exception) -> None:
    verb(raising(error))
    with pytest.raises(type(error), match="bug"):
        main(["report", "run"])


def test_memory_that_is_wanting_in_numpy_is_one_line(verb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    verb(lambda _: np.empty(2**62, dtype=np.uint8))
    assert main(["report", "run"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("thermo-qc: not enough memory (Unable to allocate") and message.endswith(f"; {LESS}\n")
    assert message.count("\n") == 1


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_terminals_only(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = _Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar("recording") as show:
        for done in range(4):
            show(done, 3)
    assert ("3/3" in stream.getvalue()) is terminal
    assert stream.getvalue() == "" or terminal


def test_a_reader_that_leaves_early_is_no_error(verb: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "out").open("w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        verb(raising(BrokenPipeError(32, "Broken pipe")))
        assert main(["report", "run"]) == 0
        print("into nothing", flush=True)
    assert (tmp_path / "out").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize(("flags", "shown"), [([], "W"), (["-v"], "WI"), (["-vv"], "WID")])
def test_verbosity(verb: Any, flags: list[str], shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    def speak(_: argparse.Namespace) -> int:
        log = logging.getLogger("thermo_qc.anything")
        log.warning("W")
        log.info("I")
        log.debug("D")
        return 0

    verb(speak)
    for _ in range(2):  # a second call speaks once as well, and to the stream of its own time
        assert main(["report", "run", *flags]) == 0
        lines = capsys.readouterr().err.splitlines()
        assert "".join(line.partition(": ")[2] for line in lines) == shown


def test_python_dash_m_is_the_same_program(monkeypatch: pytest.MonkeyPatch) -> None:
    import runpy

    monkeypatch.setattr(sys, "argv", ["thermo_qc", "--version"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("thermo_qc", run_name="__main__")
    assert caught.value.code == 0
    assert cli.main is main
    assert os.path.basename(sys.argv[0])  # noqa: PTH119
