"""The command: ``python -m benchmarks.calibration [--quick] [--repetitions N] [--out FILE] [--write] [--page DIR]``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.arguments import positive
from benchmarks.calibration.figures import COMMITTED, as_text, broken, measure
from benchmarks.calibration.plan import FULL, QUICK
from benchmarks.calibration.table import as_tables
from harness.reports import render_statistics

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print the tables, write the figures; return 0, or 1 if a promised bound does not hold."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.page:
        print(render_statistics(asked.page, now=datetime.now(UTC)))
        return 0
    if asked.quick and asked.write:
        parser.error("--quick measures nothing that a report could show; leave out --write")
    plan = QUICK if asked.quick else FULL
    if asked.repetitions is not None:
        plan = plan.repeated(asked.repetitions)
    begun = time.perf_counter()

    def note(line: str) -> None:
        print(f"[{time.perf_counter() - begun:6.1f} s] {line}", file=sys.stderr, flush=True)

    figures = measure(plan, note, workers=asked.workers)
    print(as_tables(figures))
    for path in [*([asked.out] if asked.out else []), *([COMMITTED] if asked.write else [])]:
        path.write_text(as_text(figures), encoding="utf-8")
        note(f"written to {path}")
    failures = broken(figures)
    for failure in failures:
        print(f"broken: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calibration", description="Do verdicts and intervals keep their error rates?"
    )
    parser.add_argument("--quick", action="store_true", help="few repetitions: shows that it works, measures nothing")
    parser.add_argument("--repetitions", type=positive, help="tables, test sets and studies of every setting")
    parser.add_argument("--workers", type=positive, default=2, help="processes (2); they change no figure")
    parser.add_argument("--out", type=Path, help="where the figures are written as JSON")
    parser.add_argument(
        "--page", type=Path, metavar="REPORTS", help="simulate nothing: render the page that shows what was written"
    )
    parser.add_argument("--write", action="store_true", help="write them to where the reports read them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
