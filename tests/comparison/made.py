"""Values and records made up by hand: every number of a table is the test's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.plan import Plan
from harness.results import CELL, VALUE_COLUMNS, Predictions, Results, collect
from harness.spec import RunSpec
from tests.reports import fakes

Rows = list[dict[str, Any]]


def rows(
    model: str,
    variant: str,
    numbers: Sequence[float],
    *,
    metric: str = "Acc-2",
    higher: bool = True,
    seeds: Sequence[int] = fakes.SEEDS,
    dataset: str = "toy",
    task: str = "regression",
    setting: str = "unaligned",
    alias_of: str = "",
    duplicate: bool = False,
    synthetic: bool = False,
) -> Rows:
    """Make the rows of one cell and metric, one number a seed; an alias has the run ids of what it stands for."""
    names = (dataset, setting, task, model, variant, alias_of, duplicate, synthetic)
    return [
        dict(zip(CELL, names, strict=True))
        | {
            "seed": seed,
            "run_id": f"{dataset}/{setting}/{task}/{model}/{alias_of or variant}/{seed}",
            "metric": metric,
            "higher_is_better": higher,
            "value": number,
            "mmsa": float("nan"),
        }
        for seed, number in zip(seeds, numbers, strict=False)
    ]


def frame(*cells: Rows) -> pd.DataFrame:
    """Put cells together as `Results.values`."""
    found = pd.DataFrame([row for cell in cells for row in cell], columns=VALUE_COLUMNS)
    return found.astype({"value": "float64", "duplicate": "bool", "synthetic": "bool", "higher_is_better": "bool"})


def results(
    plan: Plan, error: Callable[[RunSpec], float] = fakes.typical_error, *, items: int = 60
) -> tuple[Results, fakes.FakeStore]:
    """Fill a plan's records with predictions on a small test split, and read them."""
    store = fakes.FakeStore()
    for run in plan.runs:
        store.add(run, frame=fakes.predictions(run, error(run), items))
    return collect(plan, store.as_store), store


def alike(found: pd.DataFrame, wanted: pd.DataFrame, key: Sequence[str]) -> None:
    """Assert that two frames hold the same rows but for their order and floating-point rounding."""
    assert not found.empty
    left, right = (one.sort_values(list(key)).reset_index(drop=True) for one in (found, wanted))
    pd.testing.assert_frame_equal(left, right, rtol=1e-9, atol=1e-12)


def only(found: pd.DataFrame, **named: object) -> Mapping[str, Any]:
    """Return the one row that has these values."""
    kept = found
    for name, value in named.items():
        kept = kept[kept[name] == value]
    (row,) = kept.to_dict("records")
    return {str(name): value for name, value in row.items()}


def arm(results: Results, model: str, variant: str) -> list[Predictions]:
    """Return what the runs of a cell predict, in the order of their seeds."""
    cell = results.values[(results.values["model"] == model) & (results.values["variant"] == variant)]
    runs = dict(zip(cell["seed"], cell["run_id"], strict=True))
    return [results.predictions[runs[seed]] for seed in sorted(runs)]
