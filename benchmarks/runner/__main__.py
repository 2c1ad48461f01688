"""The command: ``python -m benchmarks.runner [--quick] [--parts many starts order training]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from benchmarks.runner.many import measure_many
from benchmarks.runner.order import WORKERS, order_gain, records_of
from benchmarks.runner.starts import measure_starts
from benchmarks.throughput.report import measure
from benchmarks.throughput.settings import FULL, QUICK

__all__ = ["PARTS", "as_table", "main"]

PARTS = ("many", "starts", "order", "training")
Row: TypeAlias = tuple[str, str, str, str]
"""What is measured, its figure, the ratio, and the aim for one of the two."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runner", description="What does the runner cost?")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, measures nothing")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--records", type=Path, help="a runs folder whose times the part 'order' takes [runs]")
    parser.add_argument("--work", type=Path, help="where a temporary folder is made")
    asked = parser.parse_args(arguments)
    begun = time.perf_counter()

    def note(line: str) -> None:
        print(f"[{time.perf_counter() - begun:6.1f} s] {line}", file=sys.stderr, flush=True)

    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="runner-", dir=asked.work) as work:
        if "many" in asked.parts:
            rows += _many((40, 80) if asked.quick else (1_000, 10_000), Path(work), note)
        if "starts" in asked.parts:
            rows += _starts(2 if asked.quick else 20)
        if "order" in asked.parts:
            rows += _order(asked.records or Path("runs"))
        if "training" in asked.parts:
            rows += _training(Path(work), note, quick=asked.quick)
    print(as_table(rows))
    return 0


def _many(sizes: Sequence[int], work: Path, note: Callable[[str], None]) -> Iterator[Row]:
    made = [measure_many(size, work, note) for size in sizes]
    for one in made:
        per_run = one.run / one.runs / (made[0].run / made[0].runs)
        yield f"{one.runs:,} trivial runs: planned, run, listed", f"{one.rate:.0f} a second", "", "above 200 a second"
        yield (
            "... seconds a run, over those of the first size",
            f"{1e3 * one.run / one.runs:.1f} ms",
            f"{per_run:.2f}",
            "",
        )
        yield "... last tenth over first tenth", "", f"{one.flat:.2f}", "about 1"
        yield "... planning and hashing over running", f"{one.plan:.2f} s", f"{one.plan / one.run:.3f}", ""
        yield "... listing over running", f"{one.listed:.2f} s", f"{one.listed / one.run:.3f}", ""
        yield "... the same again, nothing to do", f"{one.again:.2f} s", f"{one.again / one.run:.3f}", ""


def _starts(repetitions: int) -> Iterator[Row]:
    seen = measure_starts(repetitions)
    yield "first run ready (imports)", f"{seen.first:.2f} s", "", ""
    yield "each further one, over an interpreter of its own", f"{seen.next:.3f} s", f"{seen.next / seen.own:.3f}", ""


def _order(folder: Path) -> Iterator[Row]:
    runs, seconds, store = records_of(folder)
    if not runs:
        yield "longest first", "no records there", "", ""
    for workers in WORKERS if runs else ():
        ratio = order_gain(runs, seconds, store, workers)
        yield (
            f"longest first over plan order, {len(runs)} recorded runs, {workers} workers",
            "",
            f"{ratio:.3f}",
            "at most 1",
        )


def _training(work: Path, note: Callable[[str], None], *, quick: bool) -> Iterator[Row]:
    report = measure(QUICK if quick else FULL, ("timing", "overhead"), work, note, quick=quick)
    if report.overhead is not None:
        ratio = report.overhead.harness.median / report.overhead.bare.median
        yield f"{report.overhead.runs} small runs over their bare loops", "", f"{ratio:.2f}", "at most 1.10"
    for model in report.timing.models if report.timing else ():
        theirs = f"{model.mmsa.started_seconds.median:.1f} s by MMSA"
        for side, ratios in (("cold", model.cold_ratio), ("warm", model.warm_ratio)):
            aim = "at most 0.50" if model.target else ""
            yield f"{model.model}, {side}, over MMSA's own loop", theirs, f"{ratios.started.median:.2f}", aim


def as_table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    lines = [("what", "figure", "ratio", "aim"), ("---", "---:", "---:", "---"), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
