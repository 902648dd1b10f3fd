"""Calls into decoders that damaged data can keep busy for very long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["within"]

STEP_S = 0.05


def within(seconds: float, call: Callable[..., Any], *arguments: Any) -> Any:
    """Give the result of a call, or give up waiting for it.

    The call runs in a thread of its own (0.1 ms), so it helps only with native code that lets other threads run. A call
    given up goes on until it ends by itself; nobody waits for it, not even the end of the program.

    Parameters
    ----------
    seconds : float
        Given up is what has taken longer, by the clock and also in processor time of this process: neither a machine
        that is busy otherwise nor other threads at work count against the call.
    call : callable
        What to do with `arguments`.

    Raises
    ------
    TimeoutError
        When the call was given up.
    Exception
        Whatever the call raises.
    """
    results: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call(*arguments))
        except BaseException as error:  # it is raised again below
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    clock, processor = time.monotonic(), time.process_time()
    thread.start()
    thread.join(seconds)
    while thread.is_alive():
        if min(time.monotonic() - clock, time.process_time() - processor) > seconds:
            raise TimeoutError(f"takes longer than {seconds:.1f} s")
        thread.join(STEP_S)
    if errors:
        raise errors[0]
    return results[0]
