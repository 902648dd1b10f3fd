"""The command line: parse, make one workflow call, print, return an exit code."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from thermo_qc.errors import ThermoQCError, interrupts_kept

__all__ = ["main"]

EXIT_GOOD, EXIT_WRONG, EXIT_INTERRUPTED = 0, 2, 130
_HANDLER = "thermo-qc"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process when None.

    Returns
    -------
    int
        0 all good, 2 wrong usage or input or not enough memory, 3 some of several recordings failed, 130 interrupted.

    Raises
    ------
    SystemExit
        After ``--help`` and ``--version`` (code 0) and on wrong usage (code 2), as argparse does.
    """
    from thermo_qc.cli.parser import build_parser

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    arguments = build_parser().parse_args(argv)
    _configure_logging(arguments.verbose)
    try:
        with interrupts_kept():
            code = int(arguments.verb(arguments))
        sys.stdout.flush()
        return code
    except ThermoQCError as error:
        print(f"thermo-qc: {_one_line(str(error))}", file=sys.stderr)
        return EXIT_WRONG
    except BrokenPipeError:
        _close_quietly()
        return EXIT_GOOD
    except OSError as error:
        print(f"thermo-qc: {_os_error(error)}", file=sys.stderr)
        return EXIT_WRONG
    except (MemoryError, RuntimeError) as error:
        if not _is_memory_error(error):
            raise
        print(f"thermo-qc: {_memory_error(error)}", file=sys.stderr)
        return EXIT_WRONG
    except KeyboardInterrupt:
        print("thermo-qc: interrupted; the same command continues where this one stopped", file=sys.stderr)
        return EXIT_INTERRUPTED


def _configure_logging(verbose: int) -> None:
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logger = logging.getLogger("thermo_qc")
    logger.setLevel(level)
    for old in [handler for handler in logger.handlers if handler.name == _HANDLER]:
        logger.removeHandler(old)
    handler = logging.StreamHandler(sys.stderr)
    handler.name = _HANDLER
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger.addHandler(handler)


def _close_quietly() -> None:
    """Whoever read the output has gone (``thermo-qc info FILE | head -1``): write nothing more, nothing is wrong."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _os_error(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}; check the path, its permissions and the free space"


def _is_memory_error(error: Exception) -> bool:
    """Whether memory was wanting; torch says so by errors of its own, which are not imported here for that."""
    torch_error = type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError) or torch_error


def _memory_error(error: Exception) -> str:
    reason = _one_line(str(error)) if isinstance(error, MemoryError) else ""
    what = f" ({reason})" if reason else ""
    return f"not enough memory{what}; crop the recording, lower the batch size or free memory"
