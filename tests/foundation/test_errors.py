"""The error tree and the look-up that suggests names."""

import ast
import inspect
import pickle
from pathlib import Path

import h5py
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermo_qc import errors
from thermo_qc.errors import (
    CorruptFileError,
    MissingDependencyError,
    ThermoQCError,
    UnknownNameError,
    choose,
    interrupts_kept,
    suggestion,
)

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, ThermoQCError)]


def make(kind: type[ThermoQCError]) -> ThermoQCError:
    if kind is CorruptFileError:
        return CorruptFileError("a.h5", "/Data/Tdata", "three axes", "two axes", "write it again")
    if kind is MissingDependencyError:
        return MissingDependencyError("xarray", "to_xarray")
    return kind("one line")


def test_the_tree_in_the_docstring_is_the_tree_of_the_code() -> None:
    drawn: dict[str, str] = {}
    branch = ["ThermoQCError"]
    for line in (errors.__doc__ or "").splitlines():
        name = next(
            (part for part in line.replace("|--", " ").replace("`--", " ").split() if part.endswith("Error")), ""
        )
        if "--" not in line or not name:
            continue
        depth = line.index("--") // 4
        branch[depth:] = [name]
        drawn[name] = branch[depth - 1]
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES if kind is not ThermoQCError}


def test_every_public_name_is_exported() -> None:
    tree = ast.parse(Path(errors.__file__).read_text(encoding="utf-8"))
    named = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    assert named == set(errors.__all__)


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_survive_the_way_out_of_a_worker_process(kind: type[ThermoQCError]) -> None:
    error = make(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_corrupt_file_names_field_expected_found_and_way_out() -> None:
    error = CorruptFileError("a.h5", "/Data/Tdata", "three axes", "two axes")
    assert str(error) == "a.h5: /Data/Tdata is two axes, expected three axes; export or copy the recording again"
    assert (error.path, error.field, error.expected, error.found) == (
        Path("a.h5"),
        "/Data/Tdata",
        "three axes",
        "two axes",
    )


def test_missing_dependency_has_the_pip_line() -> None:
    assert (
        str(MissingDependencyError("xarray", "to_xarray")) == "to_xarray needs the package xarray: pip install xarray"
    )


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("ltsm", ["lstm", "cnn1d"], "; did you mean 'lstm'?"),
        ("k", ["K", "degC", "counts"], "; did you mean 'K'?"),
        ("DEGC", ["K", "degC", "counts"], "; did you mean 'degC'?"),
        ("transformer", ["lstm", "cnn1d"], "; known: cnn1d, lstm"),
        ("anything", [], "; none is known here"),
    ],
)
def test_suggestion(name: str, known: list[str], expected: str) -> None:
    assert suggestion(name, known) == expected


def test_long_tables_are_not_listed_in_full() -> None:
    text = suggestion("zzz", [f"entry{number:03}" for number in range(100)])
    assert text.endswith("entry039 and 60 more")
    assert suggestion("zzz", [f"entry{number:03}" for number in range(40)]).endswith("entry039")


@given(st.sets(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), min_size=1), st.data())
@settings(deadline=None, max_examples=40)
def test_suggestions_are_known_names(known: set[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(known)))
    suggested = suggestion(name.swapcase(), known).removeprefix("; did you mean '").removesuffix("'?")
    assert suggested in known
    assert suggested.casefold() == name.casefold()


def test_choose_returns_the_entry_or_says_what_was_meant() -> None:
    table = {"lstm": 1, "cnn1d": 2}
    assert choose(table, "cnn1d") == 2
    with pytest.raises(UnknownNameError, match=r"^unknown curve model 'lstn'; did you mean 'lstm'\?$"):
        choose(table, "lstn", "curve model")
    with pytest.raises(UnknownNameError, match=r"unknown name '\['lstm'\]'"):
        choose(table, ["lstm"])  # type: ignore[arg-type]  # what a YAML file may hold


def test_an_interrupt_inside_a_call_back_stays_one(tmp_path: Path) -> None:
    """h5py leaves an interrupt that arrives while it calls back as the cause of a SystemError."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["name"] = 1
        with pytest.raises(SystemError, match="returned a result with an exception set"):
            h5py.h5a.iterate(file.id, interrupted)
        with pytest.raises(KeyboardInterrupt), interrupts_kept():
            h5py.h5a.iterate(file.id, interrupted)


def test_an_interrupt_that_a_reader_took_for_a_broken_file_stays_one() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts_kept():
        try:
            raise SystemError("odd") from KeyboardInterrupt()
        except SystemError as error:
            raise make(CorruptFileError) from error


def test_other_errors_are_as_they_were() -> None:
    with pytest.raises(SystemError, match=r"^odd$"), interrupts_kept():
        raise SystemError("odd") from ValueError("no interrupt")
    with pytest.raises(OSError, match="disk"), interrupts_kept():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise OSError("disk is full")  # noqa: B904  # of the clearing up: told, not hidden
