"""The command: ``python -m benchmarks.throughput [--quick] [--format table|json]``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.arguments import positive
from benchmarks.throughput.children import ChildError
from benchmarks.throughput.report import PARTS, measure
from benchmarks.throughput.runs import MismatchError
from benchmarks.throughput.settings import FULL, QUICK
from benchmarks.throughput.table import as_table
from harness.errors import HarnessError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its figures; return 0, or 1 if it could not be carried out fairly."""
    asked = _parser().parse_args(arguments)
    settings = QUICK if asked.quick else FULL
    if asked.repetitions is not None:
        groups = tuple(replace(group, repetitions=asked.repetitions) for group in settings.groups)
        settings = replace(settings, groups=groups)
    begun = time.perf_counter()

    def note(line: str) -> None:
        print(f"[{time.perf_counter() - begun:6.1f} s] {line}", file=sys.stderr, flush=True)

    try:
        report = measure(settings, asked.parts, asked.work, note, quick=asked.quick)
    except (MismatchError, ChildError, HarnessError) as error:
        print(f"the benchmark was stopped: {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(report), indent=1) if asked.format == "json" else as_table(report))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description="The harness against MMSA.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, measures nothing")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--parts", type=_parts, default=PARTS, help=f"some of {','.join(PARTS)}")
    parser.add_argument("--repetitions", type=positive, help="of the timed runs")
    parser.add_argument("--work", type=Path, help="where a folder for about 3 GB is made (the system's temporary one)")
    return parser


def _parts(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if set(chosen) - set(PARTS):
        raise argparse.ArgumentTypeError(f"name some of {','.join(PARTS)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
