"""Part 3: deliberately broken code against the baseline of the code as it is; also the process that breaks it.

``python -m benchmarks.gate.breaks NAME WORK SUITE WORKERS SEED...`` breaks itself and its workers, runs, judges, and
prints the verdict as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.gate.patches import BREAKS, VARIABLE
from benchmarks.gate.real import Note, Place, check, make_runs, planned_runs
from harness.executors import LocalExecutor
from harness.executors.local import PRELOAD
from harness.gate import Baseline, Judgement, read
from harness.gate.numbers import cell_text
from harness.plan import Selection
from harness.workflow import Planned, judge_suite
from harness.workflow.running import make_jobs

__all__ = ["Verdict", "broken", "main"]

_PATCHES = "benchmarks.gate.patches"
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Verdict:
    """What the gate says of broken code.

    Attributes
    ----------
    name : str
        Of the break.
    seeds : tuple of int
    exit_code : int
    counts : mapping
        Rows by verdict.
    red : mapping
        Red rows by cell, for every cell that has some.
    family : int
    smallest : float
        The smallest p after Holm.
    moved : int
        Rows that the same seeds give other bits in, which shows that the patch has reached the runs.
    rescored : int
        Rows that are red since the same predictions have another value.
    """

    name: str
    seeds: tuple[int, ...]
    exit_code: int
    counts: Mapping[str, int]
    red: Mapping[str, int]
    family: int
    smallest: float
    moved: int = 0
    rescored: int = 0


def broken(
    place: Place, baseline: Baseline, names: Sequence[str], all_seeds: Sequence[tuple[int, ...]], note: Note
) -> Iterator[Verdict]:
    """Break the code in every way, with every set of seeds, each in a process of its own."""
    for seeds in all_seeds:  # what broken scores are worked out from
        make_runs(place, planned_runs(place, Selection(seeds=seeds)))
    for seeds in all_seeds:
        for name in names:
            command = [sys.executable, "-m", "benchmarks.gate.breaks", name, str(place.work), place.suite]
            command += [str(place.workers or 0), *map(str, seeds)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=_ROOT)
            told = json.loads(done.stdout)
            found = Verdict(**{**told, "seeds": tuple(told["seeds"])})
            note(f"{name}, {'the same' if seeds == baseline.seeds else 'other'} seeds: {dict(found.counts)}")
            yield found


def main(arguments: Sequence[str]) -> int:
    """Break this process and judge."""
    name, work, suite, workers, *seeds = arguments
    place = Place(Path(work), suite, int(workers) or None)
    one = BREAKS[name]
    # A change of the patches asks for new runs, which no run id would.
    own = place.work / "broken" / f"{name}-{_fingerprint()}"
    baseline = read(place.work / "baseline.json")
    pick = Selection(seeds=tuple(int(seed) for seed in seeds))
    planned = planned_runs(place, pick)
    if one.scoring:
        one.patch()
    else:
        planned = planned_runs(place, pick, replace(place.folders, runs=own / "runs"))
        os.environ[VARIABLE] = name
        _make_broken_runs(place, planned)
    # Scores are remembered in a cache, which must not be that of unbroken ones.
    folders = replace(place.folders, runs=planned.store.root, cache=own / "cache")
    judgement = judge_suite(planned, folders, baseline, costs=False)
    print(json.dumps(asdict(_verdict(name, pick.seeds, judgement))))
    return 0


def _make_broken_runs(place: Place, planned: Planned) -> None:
    planned.store.prepare()
    runs = [run for run in planned.plan.runs if planned.store.status(run) != "done"]
    executor = LocalExecutor(workers=place.workers, target=f"{_PATCHES}:execute_broken", preload=(*PRELOAD, _PATCHES))
    outcome = executor.run(make_jobs(planned, place.folders, runs), planned.store)
    check(outcome.failed, outcome.interrupted)


def _verdict(name: str, seeds: Sequence[int], judgement: Judgement) -> Verdict:
    if judgement.problems:
        raise RuntimeError(f"{name}: {judgement.problems[0]}")
    counts: dict[str, int] = {}
    red: dict[str, int] = {}
    for row in judgement.rows:
        counts[row.verdict] = counts.get(row.verdict, 0) + 1
        if row.verdict == "RED":
            cell = cell_text(row.cell).partition(",")[0]
            red[cell] = red.get(cell, 0) + 1
    smallest = min(row.p for row in judgement.rows)
    moved = sum(row.exact == "moved" for row in judgement.rows)
    rescored = sum(row.rescored for row in judgement.rows)
    code = judgement.exit_code
    return Verdict(name, tuple(seeds), code, counts, red, judgement.family, float(smallest), moved, rescored)


def _fingerprint() -> str:
    return hashlib.sha256((Path(__file__).parent / "patches.py").read_bytes()).hexdigest()[:8]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
