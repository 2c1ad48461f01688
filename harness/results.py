"""Records to tidy frames: the only reader that tables, figures, statistics and the gate share.

A frame has one fact per row. Metrics are computed from the stored predictions with the metric code of today, so a
record never carries an old definition into a new table. Where a data set splits one modality only, ``fg`` and ``a`` are
one record under two names: the second name is an *alias*; it is shown, marked, and never counted twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from harness.errors import HarnessError
from harness.metrics import MetricValue, compute, metrics_for
from harness.statistics import hedges_d, holm, paired_t, sign_flip

if TYPE_CHECKING:
    from harness.plan import Cell, Plan
    from harness.spec import RunSpec
    from harness.store import Record, RunStore

__all__ = ["Results", "collect", "contrasts", "summarise"]

CELL = ["dataset", "setting", "task", "model", "variant", "alias_of", "duplicate", "synthetic"]
"""What names a cell of a table. ``alias_of`` is empty, or the variant whose record this is; ``duplicate`` says that
the variant it stands for is in the same plan, so that this row repeats one that is counted already."""

VALUE_COLUMNS = [*CELL, "seed", "run_id", "metric", "higher_is_better", "value", "mmsa"]
RUN_COLUMNS = [
    *("dataset", "setting", "task", "model", "variant", "seed", "run_id", "label", "status", "kind", "reason"),
    *("wall_seconds", "epochs", "best_epoch", "stopped", "params_trainable", "environment"),
]
SKIPPED_COLUMNS = ["dataset", "setting", "task", "model", "variant", "reason"]

_KEY = ["dataset", "setting", "task", "model", "metric"]
_FAMILY = ["dataset", "task", "metric", "variant"]
_TEST = ["n", "mean", "sd", "t", "df", "p", "low", "high", "alpha", "note"]


@dataclass(frozen=True)
class Results:
    """Everything that a suite's records hold, tidy.

    Attributes
    ----------
    values : DataFrame
        One row per cell, seed and metric (`VALUE_COLUMNS`): ``value`` unrounded, ``mmsa`` as MMSA rounds it or NaN;
        accuracies and F1 are fractions.
    runs : DataFrame
        One row per run that the plan asks for (`RUN_COLUMNS`), ``status`` one of done, failed, missing.
    skipped : DataFrame
        Cells that do not exist, with the reason.
    environments : Mapping
        Environment key to what it stands for.
    """

    values: pd.DataFrame
    runs: pd.DataFrame
    skipped: pd.DataFrame
    environments: Mapping[str, Mapping[str, Any]]


def collect(plan: Plan, store: RunStore) -> Results:
    """Read the records that a plan asks for.

    A record whose predictions cannot be read or scored is shown as a failed run with the reason: one broken file
    does not cost the report of all others, and no stored number stands in for it.

    Parameters
    ----------
    plan : Plan
        The expanded suite.
    store : RunStore
        Where the records are.
    """
    values: list[dict[str, Any]] = []
    runs: dict[str, dict[str, Any]] = {}
    environments: dict[str, Mapping[str, Any]] = {}
    scores: dict[str, dict[str, MetricValue]] = {}
    shown: set[tuple[str, ...]] = {(*_place(cell), cell.variant) for cell in plan.cells if not cell.skipped}
    for cell in plan.cells:
        for spec in cell.runs:
            if spec.run_id not in runs:
                row, scored = _read_run(cell, spec, store, environments)
                runs[spec.run_id], scores[spec.run_id] = row, scored
            values.extend(_value_rows(cell, spec, scores[spec.run_id], shown))
    skipped = [
        dict(zip(SKIPPED_COLUMNS, (*_place(cell), cell.variant, cell.skipped), strict=True))
        for cell in plan.cells
        if cell.skipped
    ]
    return Results(
        values=_typed(pd.DataFrame(values, columns=VALUE_COLUMNS)),
        runs=pd.DataFrame(list(runs.values()), columns=RUN_COLUMNS),
        skipped=pd.DataFrame(skipped, columns=SKIPPED_COLUMNS),
        environments=environments,
    )


def summarise(values: pd.DataFrame) -> pd.DataFrame:
    """Return mean and sd (ddof 1) over seeds, one row per cell and metric.

    ``n`` counts the seeds with a defined value, ``undefined`` those whose value is NaN (such as Corr of constant
    predictions) and that the mean leaves out; sd is NaN for one seed. ``mmsa`` is the mean of MMSA's rounded values.
    """
    grouped = values.groupby([*CELL, "metric"], sort=False, dropna=False)
    frame = grouped.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        n=("value", "count"),
        seeds=("value", "size"),
        mmsa=("mmsa", "mean"),
    ).reset_index()
    frame["undefined"] = frame["seeds"] - frame["n"]
    return frame.drop(columns="seeds")


def contrasts(values: pd.DataFrame, baseline: str = "original", alpha: float = 0.05) -> pd.DataFrame:
    """Compare every variant with the baseline of the same model, seed by seed.

    Parameters
    ----------
    values : DataFrame
        `Results.values`.
    baseline : str
        The variant to compare with.
    alpha : float
        Level of tests and intervals, and of ``significant`` after Holm's adjustment.

    Returns
    -------
    DataFrame
        One row per cell and metric: the numbers of `PairedT` on deltas whose sign is such that + is an improvement,
        ``holm`` (adjusted within data set, task, metric and variant, over the models), ``family`` (the number of tests
        in it), ``exact`` and ``floor`` (sign-flip), ``d`` (Hedges) and ``significant``. A duplicate carries the figures
        of the row it repeats and does not count in a family.
    """
    arms = {key: block.set_index("seed")["value"] for key, block in values.groupby([*_KEY, "variant"], sort=False)}
    rows = []
    for names, block in values.groupby([*CELL, "metric", "higher_is_better"], sort=False, dropna=False):
        row: dict[str, Any] = dict(zip([*CELL, "metric", "higher_is_better"], names, strict=True))
        if row["variant"] == baseline:
            continue
        base = arms.get((*(row[name] for name in _KEY), baseline), pd.Series(dtype=np.float64))
        deltas = (block.set_index("seed")["value"] - base) * (1 if row["higher_is_better"] else -1)
        test, flip = paired_t(deltas, alpha), sign_flip(deltas)
        row |= {"baseline": baseline, **asdict(test), "exact": flip.p, "floor": flip.floor, "d": hedges_d(deltas)}
        rows.append(row)
    columns = [*CELL, "metric", "higher_is_better", "baseline", *_TEST, "exact", "floor", "d"]
    frame = pd.DataFrame(rows, columns=columns)
    return _with_families(frame, alpha)


def _with_families(frame: pd.DataFrame, alpha: float) -> pd.DataFrame:
    adjusted = pd.Series(np.nan, index=frame.index, dtype=np.float64)
    family = pd.Series(0, index=frame.index, dtype=np.int64)
    for _, block in frame[~frame["duplicate"].astype(bool)].groupby(_FAMILY, sort=False):
        adjusted[block.index] = holm(block["p"])
        family[block.index] = int(block["p"].notna().sum())
    index = {key: i for i, key in zip(frame.index, _tuples(frame, [*_KEY, "variant"]), strict=True)}
    for i, key in zip(frame.index, _tuples(frame, [*_KEY, "alias_of"]), strict=True):
        if bool(frame.at[i, "duplicate"]) and key in index:
            adjusted[i], family[i] = adjusted[index[key]], family[index[key]]
    return frame.assign(holm=adjusted, family=family, significant=adjusted < alpha)


def _tuples(frame: pd.DataFrame, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    return frame[columns].itertuples(index=False, name=None)


def _place(cell: Cell) -> tuple[str, str, str, str]:
    return cell.dataset.name, cell.setting, cell.task, cell.model


def _typed(values: pd.DataFrame) -> pd.DataFrame:
    """Give an empty frame the types of a full one, so that grouping and masking need no special case."""
    floats, flags = ["value", "mmsa"], ["duplicate", "synthetic", "higher_is_better"]
    return values.astype({**dict.fromkeys(floats, "float64"), **dict.fromkeys(flags, "bool")})


def _value_rows(
    cell: Cell, spec: RunSpec, scored: Mapping[str, MetricValue], shown: set[tuple[str, ...]]
) -> Iterator[dict[str, Any]]:
    place = _place(cell)
    duplicate = cell.alias_of is not None and (*place, cell.alias_of) in shown
    synthetic = cell.dataset.synthetic is not None
    named = dict(zip(CELL, (*place, cell.variant, cell.alias_of or "", duplicate, synthetic), strict=True))
    for metric in metrics_for(spec.task, cell.dataset.convention):
        if metric.name in scored:
            got = scored[metric.name]
            yield named | {
                "seed": spec.seed,
                "run_id": spec.run_id,
                "metric": metric.name,
                "higher_is_better": metric.higher_is_better,
                "value": got.value,
                "mmsa": np.nan if got.mmsa is None else got.mmsa,
            }


def _read_run(
    cell: Cell,
    spec: RunSpec,
    store: RunStore,
    environments: dict[str, Mapping[str, Any]],
) -> tuple[dict[str, Any], dict[str, MetricValue]]:
    """Return the run's row and its scores; note its environment where it is done."""
    row = dict.fromkeys(RUN_COLUMNS) | dict(zip(("dataset", "setting", "task", "model"), _place(cell), strict=True))
    row |= {"variant": spec.variant, "seed": spec.seed, "run_id": spec.run_id, "label": spec.label}
    row |= {"status": "missing", "kind": "", "reason": "", "stopped": "", "environment": ""}
    try:
        record = store.record(spec)
        if record is None:
            if (failure := store.failure(spec)) is not None:
                row |= {"status": "failed", "kind": failure.kind, "reason": failure.reason}
            return row, {}
        scored, provenance = _score(record, spec, cell), record.provenance()
    except (HarnessError, OSError, ValueError, KeyError, TypeError) as error:
        why = " ".join(str(error).split()) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        reason = f"what is stored cannot be used ({why}); delete its folder in the runs folder and run again"
        return row | {"status": "failed", "kind": "record", "reason": reason}, {}
    key = str(provenance.get("environment_key", ""))
    environments.setdefault(key, provenance.get("environment", {}))
    row |= {name: record.data.get(name) for name in ("wall_seconds", "epochs", "best_epoch", "stopped")}
    costs = record.data.get("costs") or {}
    return row | {"status": "done", "params_trainable": costs.get("params_trainable"), "environment": key}, scored


def _score(record: Record, spec: RunSpec, cell: Cell) -> dict[str, MetricValue]:
    predictions = record.predictions()
    test = predictions[predictions["split"] == "test"]
    columns = ["logit_0", "logit_1", "logit_2"] if spec.task == "classification" else "pred"
    return compute(spec.task, cell.dataset.convention, test["label"].to_numpy(), test[columns].to_numpy())
