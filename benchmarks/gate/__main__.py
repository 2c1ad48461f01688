"""The command: ``python -m benchmarks.gate [--parts simulation,aa,breaks] [--quick] [--work DIR]``."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.arguments import positive
from benchmarks.gate.breaks import broken, cases_of
from benchmarks.gate.patches import BREAKS
from benchmarks.gate.real import Note, Place, baseline_of, crosswise, repetitions
from benchmarks.gate.simulation import DESIGNS, NOISES, Design, simulate
from benchmarks.gate.table import aa_table, alarm_table, breaks_table, crosswise_line, power_table
from harness.gate import read

__all__ = ["PARTS", "main"]

PARTS = ("simulation", "aa", "breaks")
T = TypeVar("T")
_TINY_SUITE = """\
name: tiny
datasets: [synthetic]
task: regression
models: [LF-DNN]
variants: [original, fg]
seeds: [1, 2]
max_epochs: 1
hyper:
  "*": {batch_size: 120, early_stop: 1}
"""


@dataclass(frozen=True)
class _Size:
    """How much is done."""

    designs: Sequence[Design]
    noises: Sequence[str]
    families: int
    draws: int
    repetitions: int
    breaks: Sequence[str]
    other_seeds: bool


_FULL = _Size(DESIGNS, tuple(NOISES), 20_000, 50_000, 20, tuple(BREAKS), other_seeds=True)
_QUICK = _Size(
    (DESIGNS[0], DESIGNS[1], DESIGNS[6]),
    ("normal", "exponential, tail to the worse"),
    50,
    2_000,
    1,
    ("nothing", "rolled"),
    other_seeds=False,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if the gate was red on unchanged code."""
    asked = _parser().parse_args(arguments)
    size = _QUICK if asked.quick else _FULL
    begun = time.perf_counter()

    def note(line: str) -> None:
        print(f"[{time.perf_counter() - begun:6.1f} s] {line}", file=sys.stderr, flush=True)

    passed = True
    if "simulation" in asked.parts:
        _simulate(size, asked.workers, note)
    if "aa" in asked.parts or "breaks" in asked.parts:
        with _folder(asked.work) as work:
            place = Place(work, _suite(work, quick=asked.quick), asked.workers)
            passed = _real(place, asked.parts, size, asked, note)
    return 0 if passed else 1


def _simulate(size: _Size, workers: int, note: Note) -> None:
    alarms, caught = [], []
    for found, power in simulate(size.designs, size.noises, size.families, size.draws, workers):
        note(f"{power.design.counts}, seeds {power.design.seeds}")
        alarms += found
        caught.append(power)
    print(alarm_table(alarms), power_table(caught), sep="\n\n", end="\n\n", flush=True)


def _real(place: Place, parts: Sequence[str], size: _Size, asked: argparse.Namespace, note: Note) -> bool:
    """Do the parts that train; what is not begun after the minutes that were asked for is left out of the tables."""
    end = math.inf if asked.minutes is None else time.monotonic() + 60 * asked.minutes
    baseline = read(baseline_of(place, note))
    passed = True
    if "aa" in parts:
        rows = list(_until(end, repetitions(place, baseline, asked.repetitions or size.repetitions, note)))
        print(aa_table(rows), end="\n\n", flush=True)
        crossed = list(crosswise(place, [baseline.seeds, *(one.seeds for one in rows)]))
        print(crosswise_line(crossed), end="\n\n", flush=True)
        passed = all(one.judgement.exit_code == 0 for one in rows)
    if "breaks" in parts:
        cases = list(cases_of(place, baseline, others=size.other_seeds, note=note))
        found = list(_until(end, broken(place, cases, asked.breaks or size.breaks, note)))
        print(breaks_table(found), flush=True)
    return passed


def _until(end: float, results: Iterator[T]) -> Iterator[T]:
    for result in results:
        yield result
        if time.monotonic() > end:
            return


def _suite(work: Path, *, quick: bool) -> str:
    if not quick:
        return "quick"
    path = work / "tiny.yaml"
    path.write_text(_TINY_SUITE, encoding="utf-8")
    return str(path)


@contextmanager
def _folder(named: Path | None) -> Iterator[Path]:
    """Yield the folder for real runs: one that stays, or a temporary one."""
    if named is not None:
        named.mkdir(parents=True, exist_ok=True)
        yield named.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="gate-") as work:
        yield Path(work)


def _some_of(known: Sequence[str], what: str) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        found = tuple(part.strip() for part in text.split(","))
        if unknown := [part for part in found if part not in known]:
            raise argparse.ArgumentTypeError(f"there is no {what} '{unknown[0]}': choose from {', '.join(known)}")
        return found

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description="Does the gate keep its promises?")
    parser.add_argument("--parts", type=_some_of(PARTS, "part"), default=PARTS, help=f"some of {','.join(PARTS)} (all)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, measures nothing")
    parser.add_argument("--repetitions", type=positive, help="gates on unchanged code (20)")
    parser.add_argument("--breaks", type=_some_of(tuple(BREAKS), "break"), help=f"some of {','.join(BREAKS)} (all)")
    parser.add_argument("--minutes", type=positive, help="begin no repetition and no break after so long (no bound)")
    parser.add_argument("--workers", type=positive, default=2, help="processes (2); they change no figure")
    parser.add_argument("--work", type=Path, help="where records stay, so that it can go on [a temporary folder]")
    return parser


if __name__ == "__main__":
    sys.exit(main())
