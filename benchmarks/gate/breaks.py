"""Part 3: deliberately broken code against the baseline of the code as it is; also the process that breaks it.

``python -m benchmarks.gate.breaks NAME WORK SUITE WORKERS BASELINE SEED...`` breaks itself and its workers, runs,
judges, and prints the verdict as JSON.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.gate.patches import BREAKS, VARIABLE
from benchmarks.gate.real import Note, Place, baseline_of, check, make_runs, other_seeds, planned_runs
from harness.executors import LocalExecutor
from harness.executors.local import PRELOAD
from harness.gate import Baseline, Judgement, read
from harness.gate.numbers import cell_text
from harness.plan import Selection
from harness.workflow import Planned, judge_suite
from harness.workflow.running import make_jobs

__all__ = ["Case", "Verdict", "broken", "cases_of", "main"]

_PATCHES = "benchmarks.gate.patches"
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """What broken runs are judged by: a baseline's file, and the seeds of the runs."""

    title: str
    baseline: Path
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Verdict:
    """What the gate says of broken code.

    Attributes
    ----------
    name, case : str
        Of the break, and which runs were judged by which.
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
    case: str
    exit_code: int
    counts: Mapping[str, int]
    red: Mapping[str, int]
    family: int
    smallest: float
    moved: int = 0
    rescored: int = 0


def cases_of(place: Place, baseline: Baseline, *, others: bool, note: Note) -> Iterator[Case]:
    """Yield the suite's own seeds; where `others` are asked for, as many others, and both with a baseline of both."""
    count = len(baseline.seeds)
    yield Case(f"{count} : {count}, the same seeds", place.baseline, baseline.seeds)
    if not others:
        return
    more = other_seeds(baseline.seeds, 0)
    yield Case(f"{count} : {count}, other seeds", place.baseline, more)
    both = (*baseline.seeds, *more)
    wide = baseline_of(place, note, both)
    yield Case(f"{2 * count} : {2 * count}, the same seeds", wide, both)


def broken(place: Place, cases: Sequence[Case], names: Sequence[str], note: Note) -> Iterator[Verdict]:
    """Break the code in every way, with every set of seeds, each in a process of its own."""
    for case in cases:  # what broken scores are worked out from
        make_runs(place, planned_runs(place, Selection(seeds=case.seeds)))
    for case in cases:
        for name in names:
            command = [sys.executable, "-m", "benchmarks.gate.breaks", name, str(place.work), place.suite]
            command += [str(place.workers or 0), str(case.baseline), *map(str, case.seeds)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=_ROOT)
            found = replace(Verdict(**json.loads(done.stdout)), case=case.title)
            note(f"{name}, {case.title}: {dict(found.counts)}")
            yield found


def main(arguments: Sequence[str]) -> int:
    """Break this process and judge."""
    name, work, suite, workers, file, *seeds = arguments
    place = Place(Path(work), suite, int(workers) or None)
    one = BREAKS[name]
    # A change of the patches asks for new runs, which no run id would.
    own = place.work / "broken" / f"{name}-{_fingerprint(name)}"
    baseline = read(Path(file))
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
    print(json.dumps(asdict(_verdict(name, judgement))))
    return 0


def _make_broken_runs(place: Place, planned: Planned) -> None:
    planned.store.prepare()
    runs = [run for run in planned.plan.runs if planned.store.status(run) != "done"]
    executor = LocalExecutor(workers=place.workers, target=f"{_PATCHES}:execute_broken", preload=(*PRELOAD, _PATCHES))
    outcome = executor.run(make_jobs(planned, place.folders, runs), planned.store)
    check(outcome.failed, outcome.interrupted)


def _verdict(name: str, judgement: Judgement) -> Verdict:
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
    return Verdict(name, "", code, counts, red, judgement.family, float(smallest), moved, rescored)


def _fingerprint(name: str) -> str:
    """Return what changes with the code of the patches, or with this break's entry, but not with those of others."""
    tree = ast.parse((Path(__file__).parent / "patches.py").read_text(encoding="utf-8"))
    (table,) = [one for one in tree.body if isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == "BREAKS"]
    assert isinstance(table.value, ast.Dict)
    entries = zip(table.value.keys, table.value.values, strict=True)
    own = [ast.dump(value) for key, value in entries if isinstance(key, ast.Constant) and key.value == name]
    tree.body.remove(table)
    return hashlib.sha256("\n".join([ast.dump(tree), *own]).encode()).hexdigest()[:8]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
