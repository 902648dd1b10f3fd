"""One progress bar for the whole demo, fed by several processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from thermo_qc.workflows.demo_plan import Plan

__all__ = ["Message", "Progress", "Tell", "progress_bar"]

Message = tuple[str, str, float]  # what (a method's label), what it is doing, seconds of its rough cost that are done
Tell = Callable[[Message], None]
WIDTH = 64


class Progress:
    """Sum of what all jobs have told; the text says what is being done now."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar
        self.done: dict[str, float] = {}
        self.texts: dict[str, str] = {}

    def tell(self, message: Message) -> None:
        """Take one message; an empty text means that the job has ended."""
        what, text, seconds = message
        self.done[what] = seconds
        self.texts.pop(what, None)
        if text:
            self.texts[what] = f"{what}: {text}"
        shown = " | ".join(self.texts.values())
        self.bar.set_description_str(f"{shown[:WIDTH]:<{WIDTH}}", refresh=False)
        self.bar.n = min(round(sum(self.done.values())), self.bar.total)
        self.bar.refresh()


@contextmanager
def progress_bar(plan: Plan) -> Iterator[Progress]:
    """Show the bar while the block runs; nothing is shown where the output is no terminal."""
    total = round(plan.simulation_seconds + sum(method.total_seconds for method in plan.methods))
    layout = "{desc} {percentage:3.0f}% |{bar:20}| {elapsed}"
    with tqdm(total=total, file=sys.stderr, disable=None, bar_format=layout) as bar:
        yield Progress(bar)
        bar.n = total
        bar.set_description_str(f"{'done':<{WIDTH}}")
