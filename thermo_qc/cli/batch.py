"""What is said of each recording of a batch, as it is done."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from thermo_qc.workflows.predict_folder import Prediction, text_of

__all__ = ["BatchPrinter", "one_line"]


class BatchPrinter:
    """Prints one line per recording on standard output and moves the bar.

    Parameters
    ----------
    total : int, optional
        Recordings; None when more may come.
    show : callable
        ``show(done, total)`` of the bar.
    as_json : bool
        Lines are JSON objects.
    """

    def __init__(self, total: int | None, show: Callable[[int, int], None], *, as_json: bool) -> None:
        self._total, self._show, self._as_json, self._done = total, show, as_json, 0

    def __call__(self, result: Prediction) -> None:
        """Take the next result."""
        from tqdm import tqdm

        self._done += 1
        line = json.dumps(_fields(result), allow_nan=False) if self._as_json else _text(result)
        with tqdm.external_write_mode(file=sys.stdout):
            print(line, flush=True)
        self._show(self._done, self._done if self._total is None else self._total)


def one_line(text: str) -> str:
    """Escape line breaks and other control characters, as a file name may hold them."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _text(result: Prediction) -> str:
    verdict = getattr(result, "verdict", "")
    state = "failed" if result.error else f"{verdict.upper()}{', ' * bool(verdict)}{result.n_indications} indications"
    state += (" (outside the model's range)" if result.warnings else "") + (" (up to date)" if result.skipped else "")
    return f"{one_line(text_of(result.recording))}: {state}"


def _fields(result: Prediction) -> dict[str, Any]:
    state = "failed" if result.error else "up to date" if result.skipped else "done"
    fields: dict[str, Any] = {"recording": text_of(result.recording), "state": state}
    if result.error:
        return {**fields, "reason": result.error}
    seconds = {name: round(getattr(result, name), 4) for name in ("read_s", "compute_s", "write_s")}
    return {
        **fields,
        "result": text_of_stem(result.stem),
        "n_indications": result.n_indications,
        "defect_fraction": result.defect_fraction,
        "warnings": list(result.warnings),
        **({"verdict": verdict} if (verdict := getattr(result, "verdict", "")) else {}),
        **({} if result.skipped else seconds),
    }


def text_of_stem(stem: str) -> str:
    """Stem of a result as text that every stream takes."""
    return stem.encode("utf-8", "backslashreplace").decode("utf-8")
