"""Over models: whether a variant helps in general, and how several variants rank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.comparison.seeds import worded
from harness.statistics import Friedman, Nemenyi, OverRows, adjust_rows, friedman, nemenyi, over_rows

__all__ = ["OVER", "Ranking", "over_models", "rankings"]

_QUESTION = ["dataset", "task", "metric", "contrast"]
OVER = [
    "models",
    "mean",
    "low",
    "high",
    "better",
    "worse",
    "equal",
    "wilcoxon",
    "floor",
    "holm",
    "q",
    "sign",
    "family",
    "verdict",
]
_FEWEST = 2


@dataclass(frozen=True)
class Ranking:
    """Variants ranked within each model of one data set and task, in one metric.

    ``variants`` are the columns, ``blocks`` the models with a value in each of them; a variant that is another's alias
    does not compete.
    """

    dataset: str
    task: str
    metric: str
    synthetic: bool
    variants: tuple[str, ...]
    blocks: tuple[str, ...]
    friedman: Friedman
    nemenyi: Nemenyi


def over_models(contrasts: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Ask of each data set, task and metric whether the mean deltas of its models lie on one side of zero.

    Parameters
    ----------
    contrasts : DataFrame
        From `harness.comparison.contrasts`; repeated pairs are left out, and those of two different models.
    alpha : float
        One minus the level of the intervals.

    Returns
    -------
    DataFrame
        One row per data set, task, metric and contrast with two models or more: ``models`` (their number), mean delta
        over them with its t interval, how many are better, worse and equal, the Wilcoxon signed-rank p with its floor,
        Holm-adjusted p and q, the sign test's p, and the ``verdict`` of the adjusted Wilcoxon test (better, worse, no
        difference shown, cannot tell). A family holds all metrics of a contrast on one data set and task, as in the
        re-analysis of the paper; metrics with the same deltas count once, and a column with MMSA's defect gives way to
        its correction.
    """
    # Models that are all compared with one and the same model have deltas that share it: no sample of rows.
    own = contrasts["baseline_model"] == contrasts["model"]
    kept = contrasts[own & ~contrasts["duplicate"].astype(bool) & contrasts["mean"].notna()]
    rows: list[dict[str, Any]] = []
    corrected = set(kept["metric"])
    kept = kept[~kept["metric"].map(lambda metric: f"{metric}/corrected" in corrected).astype(bool)]
    for _, family in kept.groupby(["dataset", "task", "contrast"], sort=False):
        asked = [
            (names, block["mean"])
            for names, block in family.groupby(_QUESTION, sort=False)
            if block["model"].nunique() >= _FEWEST
        ]
        # Two metrics that are one on this data (has-0 and non-0 where no label is 0) are one test.
        same = [tuple(deltas) for _, deltas in asked]
        found = adjust_rows([over_rows(deltas, alpha) for _, deltas in asked], same)
        for (names, _), one in zip(asked, found, strict=True):
            rows.append(dict(zip(_QUESTION, names, strict=True)) | _row(one, alpha))
    return pd.DataFrame(rows, columns=[*_QUESTION, *OVER])


def _row(found: OverRows, alpha: float) -> dict[str, Any]:
    ranks = found.wilcoxon
    return {
        "models": found.mean.n,
        "mean": found.mean.mean,
        "low": found.mean.low,
        "high": found.mean.high,
        "better": found.better,
        "worse": found.worse,
        "equal": found.equal,
        "wilcoxon": ranks.p,
        "floor": ranks.floor,
        "holm": ranks.adjusted,
        "q": ranks.q,
        "sign": found.sign.p,
        "family": ranks.family,
        "verdict": worded(ranks.verdict(alpha), ranks.w_plus - ranks.w_minus),
    }


def rankings(cells: pd.DataFrame, values: pd.DataFrame, alpha: float = 0.05) -> tuple[Ranking, ...]:
    """Rank the variants of every model by their means: Friedman's test and Nemenyi's critical difference.

    Parameters
    ----------
    cells : DataFrame
        From `harness.results.summarise`.
    values : DataFrame
        `harness.results.Results.values`, which says which way a metric is better.
    alpha : float
        Level of the critical difference.

    Returns
    -------
    tuple of Ranking
        For each data set, task and metric with three variants or more that two models or more have in common.
    """
    return tuple(_rankings(cells[~cells["duplicate"].astype(bool)], values, alpha))


def _rankings(cells: pd.DataFrame, values: pd.DataFrame, alpha: float) -> Iterator[Ranking]:
    ways = values.drop_duplicates(["task", "metric"])
    higher = {(row["task"], row["metric"]): bool(row["higher_is_better"]) for row in ways.to_dict("records")}
    for (dataset, task, metric), block in cells.groupby(["dataset", "task", "metric"], sort=False):
        order = list(dict.fromkeys(block["variant"]))
        # Without dropna=False a variant whose metric no model defines would be no column at all.
        table = block.pivot_table(
            index=["model", "setting"], columns="variant", values="mean", sort=False, dropna=False
        )
        table = table[order].dropna(axis="index")
        if table.shape[1] > _FEWEST and table.shape[0] >= _FEWEST:
            better, blocks = higher[task, metric], f"models on {dataset}, {task}"
            yield Ranking(
                dataset=str(dataset),
                task=str(task),
                metric=str(metric),
                synthetic=bool(block["synthetic"].iloc[0]),
                variants=tuple(order),
                blocks=tuple(str(model) for model, _ in table.index),
                friedman=friedman(table.to_numpy(), blocks=blocks, higher_is_better=better),
                nemenyi=nemenyi(table.to_numpy(), alpha, blocks=blocks, higher_is_better=better),
            )
