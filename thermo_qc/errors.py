"""Every error that thermo_qc raises on purpose, and the look-up that suggests the right name.

The tree::

    ThermoQCError
    |-- InputError              a file or folder given by the user cannot be used
    |   |-- UnknownFormatError      no reader recognises it
    |   |-- CorruptFileError        a reader recognises it, but the content is broken
    |   |-- AmbiguousInputError     several readings are possible; the message lists them
    |   `-- MissingFactError        the job needs a fact (time base, heating stop, ...) that nobody gave
    |-- SequenceError           frames, times or metadata contradict one another
    |-- PlateError              a plate specification is impossible
    |-- TruthError              a mask or label map does not fit its recording
    |-- ConfigError             a configuration or an option is wrong
    |   `-- UnknownNameError        a name is not in its table; carries "did you mean"
    |-- FoldError               the wanted cross-validation split does not exist
    |-- ModelError              a model file is broken, hostile or does not fit the data
    |-- TrainingError           training cannot start or has diverged
    |-- OutputError             results cannot be written where they were asked for
    `-- MissingDependencyError  an optional package is needed; the message has the pip line

Every message says what came, what was expected and the way out, on one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

__all__ = [
    "AmbiguousInputError",
    "ConfigError",
    "CorruptFileError",
    "FoldError",
    "InputError",
    "MissingDependencyError",
    "MissingFactError",
    "ModelError",
    "OutputError",
    "PlateError",
    "SequenceError",
    "ThermoQCError",
    "TrainingError",
    "TruthError",
    "UnknownFormatError",
    "UnknownNameError",
    "choose",
    "interrupts_kept",
    "suggestion",
]

T = TypeVar("T")


class ThermoQCError(Exception):
    """Root of all deliberate errors; the command line prints its message and exits with 2."""


class InputError(ThermoQCError):
    """A file or folder given by the user cannot be used."""


class UnknownFormatError(InputError):
    """No reader recognises the file."""


class CorruptFileError(InputError):
    """A recognised file whose content is broken.

    Parameters
    ----------
    path : Path
        The file.
    field : str
        The part of the file that is wrong, in the format's own words.
    expected, found : object
        What the field should hold, and what it holds.
    hint : str
        The way out, a full clause without a closing stop.
    """

    def __init__(
        self,
        path: Path | str,
        field: str,
        expected: object,
        found: object,
        hint: str = "export or copy the recording again",
    ) -> None:
        self.path, self.field, self.expected, self.found, self.hint = Path(path), field, expected, found, hint
        super().__init__(f"{path}: {field} is {found}, expected {expected}; {hint}")

    def __reduce__(self) -> tuple[type[CorruptFileError], tuple[object, ...]]:
        return type(self), (self.path, self.field, self.expected, self.found, self.hint)


class AmbiguousInputError(InputError):
    """Several readings of the file are possible; the message lists the candidates."""


class MissingFactError(InputError):
    """The job needs a fact that neither options, sidecar, file nor plate specification gave."""


class SequenceError(ThermoQCError):
    """Frames, times or metadata of a sequence contradict one another."""


class PlateError(ThermoQCError):
    """A plate specification describes an impossible plate."""


class TruthError(ThermoQCError):
    """A mask or label map does not fit its recording."""


class ConfigError(ThermoQCError):
    """A configuration file or an option is wrong."""


class UnknownNameError(ConfigError):
    """A name is not in its table."""


class FoldError(ThermoQCError):
    """The wanted cross-validation split does not exist."""


class ModelError(ThermoQCError):
    """A model file is broken or hostile, or does not fit the data."""


class TrainingError(ThermoQCError):
    """Training cannot start or has diverged."""


class OutputError(ThermoQCError):
    """Results cannot be written where they were asked for."""


class MissingDependencyError(ThermoQCError):
    """An optional package is needed.

    Parameters
    ----------
    package : str
        The name that ``pip install`` takes.
    purpose : str
        What it is needed for.
    """

    def __init__(self, package: str, purpose: str) -> None:
        self.package, self.purpose = package, purpose
        super().__init__(f"{purpose} needs the package {package}: pip install {package}")

    def __reduce__(self) -> tuple[type[MissingDependencyError], tuple[str, str]]:
        return type(self), (self.package, self.purpose)


_MOST_NAMES = 40  # a longer table is not listed in full


def suggestion(name: str, known: Iterable[str]) -> str:
    """Say which known name a wrong one was probably meant to be.

    Parameters
    ----------
    name : str
        What came.
    known : iterable of str
        The names that would have been right.

    Returns
    -------
    str
        ``"; did you mean 'unet'?"`` or, with no near match, ``"; known: a, b"``. Upper and lower case count as equal.

    Examples
    --------
    >>> suggestion("ltsm", ["lstm", "cnn1d"])
    "; did you mean 'lstm'?"
    >>> suggestion("transformer", ["lstm", "cnn1d"])
    '; known: cnn1d, lstm'
    """
    from difflib import get_close_matches

    names = sorted(known)
    if not names:
        return "; none is known here"
    folded = {one.casefold(): one for one in names}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{folded[near[0]]}'?"
    rest = len(names) - _MOST_NAMES
    return f"; known: {', '.join(names[:_MOST_NAMES])}{f' and {rest} more' if rest > 0 else ''}"


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise `KeyboardInterrupt` where a library made something else of one.

    An interrupt that arrives while h5py calls back leaves it as the direct cause of a `SystemError`, which a reader in
    turn takes for a broken file.
    """
    try:
        yield
    except Exception as error:
        cause = error.__cause__
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            cause = cause.__cause__
        raise


def choose(table: Mapping[str, T], name: str, what: str = "name") -> T:
    """Look a name up and, where it is unknown, say what was probably meant.

    Parameters
    ----------
    table : mapping of str to T
        One of the explicit tables (``CURVE_MODELS``, ``LOSSES``, ...).
    name : str
        The wanted entry.
    what : str
        What the table holds, for the message ("curve model").

    Returns
    -------
    T
        The entry.

    Raises
    ------
    UnknownNameError
        When the table has no such entry.
    """
    if isinstance(name, str) and name in table:
        return table[name]
    raise UnknownNameError(f"unknown {what} '{name}'{suggestion(str(name), table)}")
