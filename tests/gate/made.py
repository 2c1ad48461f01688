"""Suites, records and judgements made up by hand for the gate: every number is the test's own."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.costs import CellCosts, CellKey
from harness.gate import Baseline, CostRow, Judgement, MetricRow, Verdict, judge, make_baseline
from harness.gate.history import Version
from harness.metrics import metrics_for
from harness.plan import Cell, Plan
from harness.results import CELL, RUN_COLUMNS, VALUE_COLUMNS, Predictions, Results
from harness.spec import GateOptions, Variant
from harness.statistics import Drift
from tests.reports import fakes

SEEDS = (1111, 1112, 1113, 1114, 1115)
OTHER_SEEDS = (1, 2, 3, 4, 5)
TEST = 1000
PLACE: CellKey = ("toy", "unaligned", "regression", "LF-DNN", "original")
LEVELS = {"MAE": 0.6, "Corr": 0.7}
NOISE = (-0.004, 0.003, -0.001, 0.005, -0.003)

Value = Callable[[Cell, int, str], float]
"""What a metric of a cell is for a seed."""


def typical(cell: Cell, seed: int, metric: str) -> float:
    """The same noise for every metric: 0.004 about its level."""
    return LEVELS.get(metric, 0.8) + NOISE[seed % len(NOISE)]


def moved(by: float, *metrics: str, cell: str = "", spread: float = 0.0003) -> Value:
    """Move some metrics (all without a name) by about so much, not by the same for every seed."""

    def value(one: Cell, seed: int, metric: str) -> float:
        asked = (not metrics or metric in metrics) and cell in ("", f"{one.model}/{one.variant}")
        wobble = spread * ((seed * 7) % 5 - 2)
        return typical(one, seed, metric) + (by + wobble if asked else 0.0)

    return value


@contextmanager
def few_draws() -> Iterator[None]:
    """Draw less of the skewed noise, which unequal numbers of runs are held against: 0.1 s a table, not 4 s."""
    # The package has a function of the same name.
    module = importlib.import_module("harness.statistics.drift")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DRIFT_DRAWS", 50_000)
        module._skewed_table.cache_clear()
        yield
    module._skewed_table.cache_clear()


def plan(
    *,
    models: Sequence[str] = ("LF-DNN",),
    variants: Sequence[Variant] = ("original",),
    seeds: Sequence[int] = SEEDS,
    gate: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Plan:
    """A suite on the toy set; `gate` holds its gate options."""
    return fakes.plan(models=models, variants=variants, seeds=seeds, gate=dict(gate or {}), **changes)


def results(
    asked: Plan,
    value: Value = typical,
    *,
    test: int = TEST,
    undone: Mapping[str, str] | None = None,
    environment: str = "aaaa1111",
    predicted: str = "",
) -> Results:
    """Records of a plan as `collect` gives them; `undone` says by label which runs are failed or missing.

    Predictions are those of other results where `predicted` is the same and not empty.
    """
    undone = undone or {}
    values: list[dict[str, Any]] = []
    runs: dict[str, dict[str, Any]] = {}
    shown = {(cell.model, cell.variant) for cell in asked.cells if cell.runs}
    for cell in asked.cells:
        place = (cell.dataset.name, cell.setting, cell.task, cell.model)
        duplicate = (cell.model, cell.alias_of) in shown
        for run in cell.runs:
            status = undone.get(run.label, "done")
            row = dict.fromkeys(RUN_COLUMNS) | dict(zip(("dataset", "setting", "task", "model"), place, strict=True))
            reason = "the loss became NaN" if status == "failed" else ""
            row |= {"variant": run.variant, "seed": run.seed, "run_id": run.run_id, "label": run.label}
            row |= {"status": status, "reason": reason, "environment": environment if status == "done" else ""}
            runs.setdefault(run.run_id, row)
            named = (*place, cell.variant, cell.alias_of or "", duplicate, cell.dataset.synthetic is not None)
            values += [
                dict(zip(CELL, named, strict=True))
                | {
                    "seed": run.seed,
                    "run_id": run.run_id,
                    "metric": metric.name,
                    "higher_is_better": metric.higher_is_better,
                    "value": value(cell, run.seed, metric.name),
                    "mmsa": np.nan,
                }
                for metric in metrics_for(cell.task, cell.dataset.convention)
                if status == "done"
            ]
    ids = np.array([f"clip$_${i}" for i in range(test)], dtype=object)
    predictions = {
        run_id: Predictions("regression", "mosei", ids, np.zeros(test), np.zeros(test))
        for run_id, row in runs.items()
        if row["status"] == "done"
    }
    frame = pd.DataFrame(values, columns=VALUE_COLUMNS)
    return Results(
        values=frame.astype({"value": "float64", "duplicate": "bool", "synthetic": "bool"}),
        runs=pd.DataFrame(list(runs.values()), columns=RUN_COLUMNS),
        skipped=pd.DataFrame(),
        environments={environment: {"python": "3.11.2", "device": "cpu"}},
        predictions=predictions,
        hashes={run_id: hashlib.sha256(f"{predicted} {run_id}".encode()).hexdigest() for run_id in runs if predicted},
    )


def costs(asked: Plan, **changes: int) -> dict[CellKey, CellCosts]:
    """What every cell of a plan costs."""
    given = {"params": 1_000, "macs": 2_000, "params_paper": 900, "macs_paper": 64_000, "batch_size": 32} | changes
    return {place(cell): CellCosts(**given) for cell in asked.cells if cell.runs}


def place(cell: Cell) -> CellKey:
    return cell.dataset.name, cell.setting, cell.task, cell.model, cell.variant


def baseline(asked: Plan | None = None, value: Value = typical, **changes: Any) -> Baseline:
    """The baseline of a plan whose every run is done."""
    asked = asked or plan()
    return make_baseline(asked, results(asked, value, **changes), costs(asked), {"git": {"commit": "abc"}})


def judged(
    value: Value = typical,
    *,
    then: Value = typical,
    asked: Plan | None = None,
    reference: Plan | None = None,
    environment: str = "bbbb2222",
    test: int = TEST,
    **named: Any,
) -> Judgement:
    """Hold new values against old ones; another plan than that of the baseline where `reference` is given."""
    asked = asked or plan()
    known = baseline(reference or asked, then, test=test)
    now = results(asked, value, environment=environment, undone=named.pop("undone", None), test=test)
    return judge(known, asked, now, named.pop("costs", None), **named)


def verdicts(judgement: Judgement) -> dict[str, Verdict]:
    """The verdict of every metric of the only cell."""
    assert len({row.cell for row in judgement.rows}) == 1
    return {row.metric: row.verdict for row in judgement.rows}


def row(verdict: Verdict = "GREEN", loss: float = 0.001, **changes: Any) -> MetricRow:
    """One comparison, as `judge` would make it."""
    tested = Drift("paired t", 5, 5, -loss, (((0.001, 4.0),),), 0.2, 0.8)
    given: dict[str, Any] = {
        "cell": PLACE,
        "metric": "Acc-5",
        "reference": 0.8,
        "new": 0.8 - loss,
        "difference": -loss,
        "found": tested,
        "floor": 0.005,
        "p": 0.4,
        "p_better": 1.0,
        "margin": 0.01,
        "verdict": verdict,
    }
    if verdict == "CANNOT JUDGE":
        nothing = {"found": None, "new": np.nan, "difference": np.nan, "p": np.nan, "margin": np.nan}
        given |= nothing | {"why": "no run of this cell is done"}
    return MetricRow(**(given | changes))


def cost_row(verdict: Verdict = "GREEN", **changes: Any) -> CostRow:
    new = {"GREEN": 1_000, "RED": 1_234_567, "CANNOT JUDGE": None}[verdict]
    given: dict[str, Any] = {"cell": PLACE, "name": "Params", "reference": 1_000, "new": new, "verdict": verdict}
    return CostRow(**(given | changes))


def judgement(*rows: MetricRow | CostRow, **changes: Any) -> Judgement:
    metrics = tuple(one for one in rows if isinstance(one, MetricRow))
    counted = tuple(one for one in rows if isinstance(one, CostRow))
    return Judgement("fake", GateOptions(), metrics, counted, len(metrics), **changes)


def versions(*losses: float, seed: int = 0) -> list[Version]:
    """Versions of a baseline of two cells, each so much worse than the first, with seed noise of its own."""
    asked = plan(models=("LF-DNN", "TFN"))
    found = []
    for number, loss in enumerate(losses):
        rng = np.random.default_rng([seed, number])
        noise = {run.seed: float(rng.normal(0, 0.004)) for run in asked.runs}

        def value(_: object, one: int, metric: str, loss: float = loss, noise: dict[int, float] = noise) -> float:
            return LEVELS.get(metric, 0.8) + noise[one] - loss

        known = baseline(asked, value)
        found.append(Version(f"v{number}", f"2026-01-{number + 1:02}", f"change {number}", known))
    return found
