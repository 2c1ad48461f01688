"""The command: ``python -m benchmarks.report [--quick] [--parts tables figures]``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.report.once import PARTS
from benchmarks.report.records import change_one, fill, plan_of
from benchmarks.report.settings import FIGURES, QUICK, TABLES, Settings
from harness.store import RunStore

__all__ = ["as_table", "main", "measure"]

_ASKED: Mapping[str, Settings] = {"tables": TABLES, "figures": FIGURES}
_TURNS = ("cold", "unchanged", "one run changed")


def measure(settings: Settings, work: Path) -> Iterator[tuple[str, int, dict[str, float]]]:
    """Make records in `work` and report on them three times; yield each turn's name, runs, and seconds by part.

    Each turn is a process of its own; *total* is its time from start to end.
    """
    plan, store = plan_of(settings), RunStore(work / "runs")
    fill(plan, store, features=settings.figures)
    for turn in _TURNS:
        if turn == "one run changed":
            change_one(plan, store, features=settings.figures)
        start = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.report.once", json.dumps(asdict(settings)), str(work)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        total = time.perf_counter() - start
        told = json.loads(done.stdout)
        yield turn, int(told["runs"]), told["seconds"] | {"total": total}


def as_table(rows: Sequence[tuple[str, int, Mapping[str, float]]]) -> str:
    """Return seconds by part as Markdown, with each total over the first one."""
    lines = [["report", "runs", *(f"{part} s" for part in PARTS), "total s", "/ cold"]]
    lines.append(["---"] * len(lines[0]))
    for turn, runs, seconds in rows:
        numbers = [f"{seconds[part]:.1f}" for part in (*PARTS, "total")]
        lines.append([turn, f"{runs:,}", *numbers, f"{seconds['total'] / rows[0][2]['total']:.2f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="What does a report cost?")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, measures nothing")
    parser.add_argument("--parts", nargs="+", choices=list(_ASKED), default=list(_ASKED))
    parser.add_argument("--work", type=Path, help="folder for the records [a temporary one]")
    asked = parser.parse_args(arguments)
    sizes = {"quick": QUICK} if asked.quick else {part: _ASKED[part] for part in asked.parts}
    for part, settings in sizes.items():
        with tempfile.TemporaryDirectory(dir=asked.work, prefix="report-") as work:
            rows = []
            for row in measure(settings, Path(work)):
                print(f"{part}: {row[0]} took {row[2]['total']:.1f} s", file=sys.stderr, flush=True)
                rows.append(row)
        print(f"{part}\n\n{as_table(rows)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
