"""A suite's records against its baseline: red, amber, green, stale, or no judgement.

The rule: **red** only if the Holm-adjusted one-sided p of a loss is below alpha *and* the loss exceeds the metric's
floor; **amber** if one of the two; **stale** if a gain fulfils both, so that the baseline no longer says what the code
can do; else **green**. Params and MACs must be equal. What cannot be judged is never a pass and never a regression.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from harness.costs import CellCosts, CellKey
from harness.gate.baseline import Baseline, CellBaseline, MetricBaseline, cell_key
from harness.gate.findings import costs_lacking, data_problems, more, notes_on, run_problems, sound, undefined
from harness.metrics import definition, metrics_for
from harness.plan import Cell, Plan
from harness.results import Results
from harness.spec import GateOptions
from harness.statistics import Drift, drift, drift_margin, holm
from harness.wording import counted, listing

__all__ = ["VERDICTS", "CostRow", "Judgement", "MetricRow", "Verdict", "floor_of", "judge"]

Verdict: TypeAlias = Literal["RED", "AMBER", "GREEN", "STALE", "CANNOT JUDGE"]
VERDICTS: tuple[Verdict, ...] = ("RED", "CANNOT JUDGE", "AMBER", "STALE", "GREEN")
"""The worst first."""
Exactness: TypeAlias = Literal["", "equal", "moved"]

_POINTS, _UNITS = 0.005, 0.005
"""Half a point of accuracy or F1; 0.005 of MAE or Corr."""
_COST_NAMES = {
    "params": "Params",
    "macs": "MACs",
    "params_paper": "Params (paper's count)",
    "macs_paper": "MACs (paper's count)",
}


@dataclass(frozen=True)
class MetricRow:
    """One comparison.

    Attributes
    ----------
    cell : tuple of str
        Data set, setting, task, model, variant.
    metric : str
    reference, new : float
        Means over seeds; accuracies and F1 as fractions.
    difference : float
        New minus reference.
    found : Drift or None
        The test, with its differences sign-corrected; None where there was nothing to test.
    p : float
        Holm-adjusted, of a loss.
    floor, margin : float
        Losses up to `floor` do not matter; one beyond `margin` is red, whatever else happens in the gate.
    exact : str
        ``equal`` or ``moved`` where machine, versions, threads and seeds are those of the baseline, else empty.
    verdict : str
    why : str
        What is behind a verdict that the numbers do not tell.
    """

    cell: CellKey
    metric: str
    reference: float
    new: float
    difference: float
    found: Drift | None
    floor: float
    p: float = np.nan
    p_better: float = np.nan
    margin: float = np.nan
    exact: Exactness = ""
    verdict: Verdict = "CANNOT JUDGE"
    why: str = ""

    @property
    def percent(self) -> bool:
        """Whether it is shown in percent."""
        metric = definition(self.metric)
        return metric is not None and metric.percent


@dataclass(frozen=True)
class CostRow:
    """Params or MACs of a cell, which must be equal; `why` says what kept one of them from being counted."""

    cell: CellKey
    name: str
    reference: int | None
    new: int | None
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class Judgement:
    """What the gate says.

    Attributes
    ----------
    suite : str
    options : GateOptions
    rows : tuple of MetricRow
    costs : tuple of CostRow
    family : int
        Comparisons in the family.
    problems : tuple of str
        What makes the gate unable to judge, beside rows that say so themselves.
    notes : tuple of str
        What a reader should know that changes no verdict.
    """

    suite: str
    options: GateOptions
    rows: tuple[MetricRow, ...] = ()
    costs: tuple[CostRow, ...] = ()
    family: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def every(self) -> tuple[MetricRow | CostRow, ...]:
        """All rows, metrics before costs."""
        return (*self.rows, *self.costs)

    def count(self, verdict: Verdict) -> int:
        """Return how many rows have a verdict, costs included."""
        return [row.verdict for row in self.every].count(verdict)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 drift, 2 cannot judge; the last wins: a gate with holes has not judged the suite."""
        if self.problems or self.count("CANNOT JUDGE") or not (self.rows or self.costs):
            return 2
        return 1 if self.count("RED") else 0

    @property
    def summary(self) -> str:
        """The verdict in a sentence."""
        told = [f"{self.count(verdict)} {verdict.lower()}" for verdict in VERDICTS if self.count(verdict)]
        what = {0: "pass", 1: "drift", 2: "cannot judge"}[self.exit_code]
        return f"{what}: {listing(told) or 'nothing was compared'}"


def floor_of(metric: str, options: GateOptions, test: int) -> float:
    """Return the largest loss of a metric that does not matter: half a point or 0.005, and never below 1 / N_test."""
    known = definition(metric)
    percent = known is not None and known.percent
    asked = options.floors.get(metric, options.floors.get("*", _POINTS) if percent else _UNITS)
    return max(asked, 1 / test)


def judge(
    baseline: Baseline,
    plan: Plan,
    results: Results,
    costs: Mapping[CellKey, CellCosts] | None,
    *,
    uncounted: Mapping[CellKey, str] | None = None,
    narrowed: bool = False,
) -> Judgement:
    """Hold a suite's records against its baseline.

    Parameters
    ----------
    baseline : Baseline
    plan : Plan
        The suite as it is now.
    results : Results
        Its records.
    costs, uncounted : mapping
        What the models cost now, and why some could not be counted; None leaves costs out.
    narrowed : bool
        Whether the plan is a part of the suite only, so that cells of the baseline may lie outside.
    """
    options = plan.suite.gate
    if baseline.suite != plan.suite.name:
        problem = (
            f"the baseline is of the suite {baseline.suite}, not of {plan.suite.name}: name the file of this suite"
        )
        return Judgement(plan.suite.name, options, problems=(problem,))
    cells = {_place(cell): cell for cell in plan.cells if cell.runs}
    counted_rows = results.values[~results.values["duplicate"].astype(bool)]
    shown = dict(iter(counted_rows.groupby(_PLACE, sort=False)))
    problems = [*data_problems(baseline, plan), *run_problems(results)]
    rows: list[MetricRow] = []
    cost_rows: list[CostRow] = []
    seen = set()
    for place, cell in cells.items():
        if cell.alias_of is not None and (*place[:4], cell.alias_of) in cells:
            continue  # a second name of a cell that is judged under its first
        name = cell_key(place)
        if name not in baseline.cells and cell.alias_of is not None:
            name = cell_key((*place[:4], cell.alias_of))
        seen.add(name)
        known = baseline.cells.get(name)
        if known is None:
            problems.append(f"the baseline has no {name}: write it anew with harness baseline")
            continue
        test = baseline.data.get(f"{place[0]}/{place[1]}")
        if test is None:
            problems.append(f"the baseline says nothing of the data of {name}: write it anew with harness baseline")
            continue
        judged = _Cell(cell, known, options, test.test, baseline.seeds, _environments(results, cell))
        rows.extend(judged.rows(shown.get(place)))
        if costs is not None:
            cost_rows.extend(_cost_rows(place, known, costs.get(place), (uncounted or {}).get(place, "")))
    if not narrowed and (gone := sorted(set(baseline.cells) - seen)):
        problems.append(f"the suite no longer has {gone[0]}{more(gone)}: write the baseline anew if that is meant")
    if not rows and not problems:
        problems.append("the suite has no runs that could be compared")
    rows = _with_verdicts(rows, options)
    notes = [*notes_on(baseline, plan, [row.exact for row in rows if row.found is not None])]
    notes += costs_lacking(baseline, () if costs is None else seen)
    return Judgement(
        plan.suite.name,
        options,
        tuple(rows),
        tuple(cost_rows),
        family=sum(not math.isnan(row.p) for row in rows),
        problems=tuple(map(sound, problems)),
        notes=tuple(notes),
    )


_PLACE = ["dataset", "setting", "task", "model", "variant"]


@dataclass(frozen=True)
class _Cell:
    """A cell, its part of the baseline, and what rows need to know of both."""

    cell: Cell
    known: CellBaseline
    options: GateOptions
    test: int
    seeds: tuple[int, ...]
    environments: Mapping[int, str]

    def rows(self, found: pd.DataFrame | None) -> Iterator[MetricRow]:
        signatures = {m.name: m.signature for m in metrics_for(self.cell.task, self.cell.dataset.convention)}
        for name, reference in self.known.metrics.items():
            if self.options.metrics is not None and name not in self.options.metrics:
                continue
            if name not in signatures:
                yield self._unjudged(name, reference, "the metric is not computed any more")
            elif signatures[name] != reference.signature:
                was = f"its definition has changed from {reference.signature} to {signatures[name]}"
                yield self._unjudged(name, reference, f"{was}: write the baseline anew")
            elif found is None or (mine := found[found["metric"] == name]).empty:
                yield self._unjudged(name, reference, "no run of this cell is done")
            else:
                yield self._row(name, reference, dict(zip(mine["seed"], mine["value"], strict=True)))

    def _row(self, name: str, reference: MetricBaseline, values: Mapping[int, float]) -> MetricRow:
        old = {int(seed): np.nan if value is None else value for seed, value in reference.values.items()}
        if lacking := sorted(set(self.seeds) - set(old)):
            why = f"the baseline lacks {counted(len(lacking), 'seed')}, such as {lacking[0]}: write it anew"
            return self._unjudged(name, reference, why, values)
        broken = undefined(old, "the baseline") or undefined(values, "the new runs")
        if broken:
            return self._unjudged(name, reference, broken, values)
        sign = 1.0 if reference.higher_is_better else -1.0
        shared = sorted(old.keys() & values.keys())
        paired = len(shared) >= 2 and len(shared) == min(len(old), len(values))
        if paired:
            then, now = ([one[seed] for seed in shared] for one in (old, values))
        else:
            then, now = list(old.values()), list(values.values())
        tested = drift(sign * np.array(then), sign * np.array(now), paired=paired)
        row = MetricRow(
            self._place,
            name,
            float(np.mean(then)),
            float(np.mean(now)),
            sign * tested.difference,
            tested,
            floor_of(name, self.options, self.test),
            exact=self._exactness(shared, old, values),
        )
        if tested.method == "none":
            why = f"{counted(len(old), 'reference run')} against {counted(len(values), 'new run')} cannot be compared"
            return replace(row, why=f"{why}: a baseline needs two seeds, better five")
        return row

    def _exactness(self, shared: Sequence[int], old: Mapping[int, float], new: Mapping[int, float]) -> Exactness:
        alike = [
            seed
            for seed in shared
            if self.known.environments.get(str(seed), "") == self.environments.get(seed) != ""
            and self.cell.runs[0].threads == self.known.threads
        ]
        if not alike:
            return ""
        return "equal" if all(old[seed] == new[seed] for seed in alike) else "moved"

    def _unjudged(
        self, name: str, reference: MetricBaseline, why: str, values: Mapping[int, float] | None = None
    ) -> MetricRow:
        then = np.nan if reference.mean is None else reference.mean
        now = float(np.mean(list(values.values()))) if values else np.nan
        floor = floor_of(name, self.options, self.test)
        return MetricRow(self._place, name, then, now, now - then, None, floor, why=why)

    @property
    def _place(self) -> CellKey:
        return _place(self.cell)


def _with_verdicts(rows: Sequence[MetricRow], options: GateOptions) -> list[MetricRow]:
    tested = [row.found if row.found is not None and row.found.method != "none" else None for row in rows]
    worse = holm([np.nan if one is None else one.p_worse for one in tested])
    better = holm([np.nan if one is None else one.p_better for one in tested])
    family = sum(one is not None for one in tested)
    judged = []
    for row, one, p, q in zip(rows, tested, worse, better, strict=True):
        if one is None:
            judged.append(row)
            continue
        loss = -one.difference
        lost, gained = p < options.alpha, q < options.alpha
        # The difference of two means of fractions is not exact; a loss of just the floor does not exceed it.
        large, won = loss > row.floor * _EXCEEDS, -loss > row.floor * _EXCEEDS
        verdict: Verdict = "GREEN"
        why = row.why
        if lost and large:
            verdict = "RED"
        elif row.exact == "moved" and options.exact == "fail":
            verdict, why = "RED", "values moved on the machine and versions of the baseline (gate.exact: fail)"
        elif lost or large:
            verdict = "AMBER"
        elif gained and won:
            verdict = "STALE"
        margin = max(row.floor, drift_margin(one, options.alpha / family))
        judged.append(replace(row, p=float(p), p_better=float(q), margin=margin, verdict=verdict, why=why))
    return judged


_EXCEEDS = 1 + 1e-9


def _cost_rows(place: CellKey, known: CellBaseline, now: CellCosts | None, reason: str) -> Iterator[CostRow]:
    if known.costs is None:
        return
    for field_name, title in _COST_NAMES.items():
        then = known.costs.get(field_name)
        new = None if now is None else int(getattr(now, field_name))
        if then is None:
            continue
        if new is None:
            why = sound(reason or "its model was not counted")
            yield CostRow(place, title, then, None, "CANNOT JUDGE", why)
        else:
            yield CostRow(place, title, then, new, "GREEN" if then == new else "RED")


def _environments(results: Results, cell: Cell) -> dict[int, str]:
    by_run = dict(zip(results.runs["run_id"], results.runs["environment"], strict=True))
    return {run.seed: str(by_run.get(run.run_id, "")) for run in cell.runs}


def _place(cell: Cell) -> CellKey:
    return (cell.dataset.name, cell.setting, cell.task, cell.model, cell.variant)
