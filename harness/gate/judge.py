"""A suite's records against its baseline: red, amber, green, stale, or no judgement.

The rule: **red** only if the Holm-adjusted one-sided p of a loss is below alpha *and* the loss exceeds the metric's
floor; **amber** if one of the two; **stale** if a gain fulfils both, so that the baseline no longer says what the code
can do; else **green**. Params and MACs must be equal. What cannot be judged is never a pass and never a regression.

Beside every cell stands the mean over all cells of a data set, setting and task, seed by seed: code that all models
share loses a little everywhere, which no single cell may show. And where predictions are those of the baseline to the
last bit, the metric must be as well: if not, the metric's code has changed, whatever the size of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from harness.costs import CellCosts, CellKey
from harness.gate.baseline import PREDICTIONS_DIGITS, Baseline, CellBaseline, MetricBaseline, cell_key
from harness.gate.findings import costs_lacking, data_problems, more, notes_on, run_problems, sound, undefined
from harness.gate.rows import EVERY, CostRow, Exactness, Judgement, MetricRow, Verdict, floor_of
from harness.gate.samples import Sample, mean_sample
from harness.metrics import metrics_for
from harness.plan import Cell, Plan
from harness.results import Results
from harness.spec import GateOptions
from harness.statistics import drift_margin, holm
from harness.wording import counted, listing

__all__ = ["judge"]

_COST_NAMES = {
    "params": "Params",
    "macs": "MACs",
    "params_paper": "Params (paper's count)",
    "macs_paper": "MACs (paper's count)",
}


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
        judged = _Cell(
            cell, known, options, test.test, baseline.seeds, _environments(results, cell), _hashes(results, cell)
        )
        rows.extend(judged.rows(shown.get(place)))
        if costs is not None:
            cost_rows.extend(_cost_rows(place, known, costs.get(place), (uncounted or {}).get(place, "")))
    if not narrowed and (gone := sorted(set(baseline.cells) - seen)):
        problems.append(f"the suite no longer has {gone[0]}{more(gone)}: write the baseline anew if that is meant")
    if not rows and not problems:
        problems.append("the suite has no runs that could be compared")
    rows = _with_verdicts([*rows, *_means(rows)], options)
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
    hashes: Mapping[int, str]

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
        sample = Sample(old, dict(values), reference.higher_is_better)
        floor = floor_of(name, self.options, self.test)
        row = _compared(self._place, name, sample, floor)
        why = row.why
        if seeds := self._rescored(sample):
            named = listing([str(seed) for seed in seeds])
            why = f"the same predictions score otherwise (seed {named}): the metric's code has changed; mend it, or "
            why += "write the baseline anew"
        return replace(row, exact=self._exactness(sample.shared, old, values), rescored=bool(seeds), why=why)

    def _rescored(self, sample: Sample) -> list[int]:
        """Return the seeds whose predictions are those of the baseline, but whose values are not."""
        alike = [
            seed
            for seed in sample.shared
            if self.known.predictions.get(str(seed), "") == self.hashes.get(seed, "")[:PREDICTIONS_DIGITS] != ""
        ]
        # Another numpy may sum in another order.
        return [
            seed for seed in alike if not math.isclose(sample.old[seed], sample.new[seed], rel_tol=1e-9, abs_tol=1e-12)
        ]

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


def _compared(place: CellKey, metric: str, sample: Sample, floor: float) -> MetricRow:
    then, now, tested = sample.compare()
    sign = 1.0 if sample.higher_is_better else -1.0
    row = MetricRow(place, metric, then, now, sign * tested.difference, tested, floor, sample=sample)
    if tested.method != "none":
        return row
    why = (
        f"{counted(len(sample.old), 'reference run')} against {counted(len(sample.new), 'new run')} cannot be compared"
    )
    return replace(row, why=f"{why}: a baseline needs two seeds, better five")


def _means(rows: Sequence[MetricRow]) -> Iterator[MetricRow]:
    """Yield the mean over all cells that could be compared, metric by metric."""
    together: dict[tuple[str, str, str, str], list[MetricRow]] = {}
    for row in rows:
        if row.sample is not None:
            together.setdefault((*row.cell[:3], row.metric), []).append(row)
    for (dataset, setting, task, metric), found in together.items():
        sample = mean_sample([row.sample for row in found if row.sample is not None])
        if sample is not None:
            yield _compared((dataset, setting, task, EVERY, EVERY), metric, sample, found[0].floor)


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
        if row.rescored or (lost and large):
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


def _hashes(results: Results, cell: Cell) -> dict[int, str]:
    return {run.seed: results.hashes.get(run.run_id, "") for run in cell.runs}


def _place(cell: Cell) -> CellKey:
    return (cell.dataset.name, cell.setting, cell.task, cell.model, cell.variant)
