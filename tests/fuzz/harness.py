"""Run damaged files through a reader; in a child process where a crash, a hang or memory of native code must be seen.

``python tests/fuzz/harness.py NAME ... [-n 20000]`` runs them one after another and prints a line for each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cases import BY_NAME, CASES, Case
from mutations import mutated

from thermo_qc.errors import ThermoQCError

SEED = 7
CPU_S = 2.0  # more than this for one file is a hang
WALL_S = 120.0  # for one that never ends, also on a machine that has much else to do
ADDRESS_SPACE = 512 * 2**20  # of a child, on top of what it starts with
PART, TRACED = 500, 4  # of every fourth part of a long run each allocation is traced, which takes twice the time
MAX_FAILURES = 20


@dataclass
class Report:
    """What became of the files of one case."""

    name: str
    files: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    peak_bytes: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Join the report of another part of the same case."""
        self.files, self.refused = self.files + other.files, self.refused + other.refused
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)
        self.failures += other.failures


def prepared(case: Case, folder: Path) -> tuple[Path, bytes, list[int]]:
    """Write the seed, check that it is read, and give its file, payload and places of numbers."""
    path = case.make(folder)
    whole = path.read_bytes()
    payload = case.payload(whole)
    case.use(path)
    path.write_bytes(case.finish(payload))
    case.use(path)
    return path, payload, list(case.places(payload))


def damaged(case: Case, payload: bytes, places: list[int], number: int) -> bytes:
    """The file of one mutation."""
    return case.finish(mutated(payload, SEED, number, places=places, text=case.text))


def run_range(
    case: Case, folder: Path, start: int, stop: int, mark: Callable[[int], None] | None = None, traced: bool = True
) -> Report:
    """Open and read the mutations `start` to `stop`; `mark(number)` is called before each.

    What is not `traced` must not run out of memory, so that a limit on the process finds what asks for much.
    """
    path, payload, places = prepared(case, folder)
    report = Report(case.name)
    if traced:
        tracemalloc.start()
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for number in range(start, stop):
                path.write_bytes(damaged(case, payload, places, number))
                os.utime(path, (number, number))  # else some would have the time of the one before
                if mark is not None:
                    mark(number)
                _run_one(case, path, folder, number, report)
    finally:
        tracemalloc.stop()
    report.seconds = time.perf_counter() - began
    return report


def _run_one(case: Case, path: Path, folder: Path, number: int, report: Report) -> None:
    if tracemalloc.is_tracing():
        tracemalloc.reset_peak()
    before, resident, clock = tracemalloc.get_traced_memory()[0], _resident_bytes(), time.thread_time()
    report.files += 1
    try:
        case.use(path)
    except ThermoQCError as error:
        report.refused += 1
        if str(folder) not in str(error) or "\n" in str(error):
            report.failures.append((number, f"message without file or on several lines: {str(error)[:300]!r}"))
        if "fit in memory" in str(error) and not tracemalloc.is_tracing():
            report.failures.append((number, f"memory is asked for: {str(error)[:300]}"))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        report.failures.append((number, f"{type(error).__name__}: {str(error)[:300]}"))
    seconds = time.thread_time() - clock
    grown = max(tracemalloc.get_traced_memory()[1] - before, _resident_bytes() - resident)
    report.slowest_s, report.peak_bytes = max(report.slowest_s, seconds), max(report.peak_bytes, grown)
    if seconds > CPU_S:
        report.failures.append((number, f"{seconds:.1f} s of processor time"))
    if grown > case.memory_bytes + 4 * path.stat().st_size:
        report.failures.append((number, f"{grown / 2**20:.0f} MiB for {path.stat().st_size} bytes"))


def _resident_bytes() -> int:
    """Largest resident memory so far: sees what native code asks for; 0 where it is not known."""
    try:
        import resource
    except ImportError:
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def run_guarded(case: Case, n_files: int | None = None, start: int = 0) -> Report:
    """Run in child processes with a limit on their memory; whatever ends or stops one is a failure."""
    report, began = Report(case.name), time.perf_counter()
    n_files = case.files if n_files is None else n_files
    shared = Path("/dev/shm")
    where = shared if os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where, prefix="fuzz") as name:
        while start < n_files and len(report.failures) < MAX_FAILURES:
            folder = Path(name) / str(start)
            folder.mkdir()
            progress, result = Path(name) / "progress", Path(name) / "result"
            progress.write_text(str(start))
            result.unlink(missing_ok=True)
            child = subprocess.Popen(
                [sys.executable, __file__, "--child", case.name, str(start), str(n_files), str(folder), str(progress)],
                stderr=subprocess.PIPE,
                text=True,
            )
            reason = _watched(child, progress)
            complaint = (child.stderr.read() if child.stderr else "").strip().splitlines()[-1:]
            partial = Path(f"{progress}.report")
            if partial.exists():
                content = json.loads(partial.read_text())
                report.add(Report(**{**content, "failures": [tuple(item) for item in content["failures"]]}))
                partial.unlink()
            if reason is None:
                break
            number = int(progress.read_text())
            report.failures.append((number, f"{reason} {' '.join(complaint)}"))
            start = number + 1
    report.seconds = time.perf_counter() - began
    return report


def _watched(child: subprocess.Popen[str], progress: Path) -> str | None:
    """Wait for a child; say why it did not end well, None when it did."""
    seen, since = "", time.monotonic()
    while True:
        try:
            code = child.wait(timeout=0.5)
            return None if code == 0 else f"child ended with {code}"
        except subprocess.TimeoutExpired:
            now = progress.read_text()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > WALL_S:
                child.kill()
                child.wait()
                return f"hangs for more than {WALL_S:g} s"


def _child(name: str, start: str, stop: str, folder: str, progress: str) -> None:
    _limit_memory()
    case = BY_NAME[name]
    with Path(progress).open("r+") as file:

        def mark(number: int) -> None:
            file.seek(0)
            file.write(f"{number:08d}")
            file.flush()

        total = Report(name)
        for first in range(int(start), int(stop), PART):
            traced = first // PART % TRACED == 0
            total.add(run_range(case, Path(folder), first, min(first + PART, int(stop)), mark, traced))
            Path(f"{progress}.report").write_text(json.dumps(asdict(total)))


def _limit_memory() -> None:
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ADDRESS_SPACE,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[case.name for case in CASES])
    parser.add_argument("-n", type=int, help="files of each, else as many as the table says")
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        _child(*given.child)
        return
    for name in given.names:
        report = run_guarded(BY_NAME[name], given.n, given.start)
        print(
            f"{name:16s} {report.files:6d} files {report.files / report.seconds:6.0f}/s refused {report.refused:6d} "
            f"slowest {report.slowest_s:.2f} s peak {report.peak_bytes / 2**20:.1f} MiB "
            f"failures {len(report.failures)}",
            flush=True,
        )
        for number, what in report.failures[:20]:
            print(f"    {number}: {what}", flush=True)


if __name__ == "__main__":
    main()
