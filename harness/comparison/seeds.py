"""First level: the same seed in two cells, over seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from harness.comparison.blocks import Rows
from harness.comparison.pairs import Contrast, Pair, cells_of, pairs
from harness.results import CELL
from harness.statistics import (
    Outcome,
    Verdict,
    benjamini_hochberg,
    hedges_d,
    holm,
    minimum_detectable_effect,
    paired_t,
    sign_flip,
)

__all__ = ["CONTRAST_KEY", "FAMILY", "FIRST_COLUMNS", "SAME_RUNS", "contrasts", "first_rows", "with_families", "worded"]

CONTRAST_KEY = [*CELL, "metric", "contrast", "baseline_model", "baseline"]
"""What names a comparison: the cell, and what it is compared with."""

FAMILY = ["dataset", "task", "metric", "contrast"]
"""The tests that are adjusted together: one question, asked of every model of a data set, task and metric."""

SAME_RUNS = "the same runs"
"""The note of a comparison of two names of one run, which is not tested."""

_TEST = ["n", "mean", "sd", "t", "df", "p", "low", "high", "alpha", "note"]
FIRST_COLUMNS = [*CONTRAST_KEY, "higher_is_better", *_TEST, "exact", "floor", "d", "detectable"]
"""What a comparison's row holds before the tests of its family are adjusted."""


def contrasts(values: pd.DataFrame, asked: Contrast | None = None, alpha: float = 0.05) -> pd.DataFrame:
    """Compare cells seed by seed.

    Parameters
    ----------
    values : DataFrame
        `harness.results.Results.values`.
    asked : Contrast, optional
        What with what; every variant with the original of the same model unless given.
    alpha : float
        Level of tests and intervals, and of ``significant`` after Holm's adjustment.

    Returns
    -------
    DataFrame
        One row per comparison and metric (`CONTRAST_KEY`): the numbers of `harness.statistics.PairedT` on deltas whose
        sign is such that + is an improvement, with its interval in ``low`` and ``high``; ``exact`` and ``floor``
        (sign-flip), ``d`` (Hedges), ``detectable`` (the mean delta in sd of the deltas that these seeds find with
        power 0.8, before any adjustment); ``holm`` and ``q`` (Benjamini-Hochberg), adjusted within `FAMILY`, whose
        size is ``family``; ``significant`` (Holm below alpha) and ``verdict`` (better, worse, no difference shown,
        cannot tell). A pair that repeats another carries that one's figures and does not count in a family.
    """
    rows = [row for pair in pairs(cells_of(values), asked or Contrast()) for row in first_rows(pair, alpha)]
    return with_families(pd.DataFrame(rows, columns=FIRST_COLUMNS), alpha)


def first_rows(pair: Pair, alpha: float) -> Rows:
    """Return the rows of one comparison, one a metric, as `FIRST_COLUMNS` has them."""
    return [[row[name] for name in FIRST_COLUMNS] for row in _rows(pair, alpha)]


def _rows(pair: Pair, alpha: float) -> Iterator[dict[str, Any]]:
    named = dict(pair.other.names) | {"duplicate": pair.duplicate, "contrast": pair.contrast}
    named |= dict(zip(("baseline_model", "baseline"), pair.base_name, strict=True))
    for metric, values in pair.other.values.items():
        better = pair.other.higher_is_better[metric]
        base = pair.base.values.get(metric) if pair.base else None
        if base is None:
            base = pd.Series(dtype=np.float64)
        deltas = (values - base) * (1 if better else -1)
        if pair.same:
            deltas = pd.Series(dtype=np.float64)
        test, flip = paired_t(deltas, alpha), sign_flip(deltas)
        yield (
            named
            | {"metric": metric, "higher_is_better": better}
            | asdict(test)
            | {
                "note": SAME_RUNS if pair.same else test.note,
                "exact": flip.p,
                "floor": flip.floor,
                "d": hedges_d(deltas),
                "detectable": minimum_detectable_effect(test.n, alpha),
            }
        )


def with_families(frame: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Return first-level rows with what the tests of their family say together."""
    nan = pd.Series(np.nan, index=frame.index, dtype=np.float64)
    adjusted, q = nan.copy(), nan.copy()
    family = pd.Series(0, index=frame.index, dtype=np.int64)
    for _, block in frame[~frame["duplicate"].astype(bool)].groupby(FAMILY, sort=False):
        adjusted[block.index], q[block.index] = holm(block["p"]), benjamini_hochberg(block["p"])
        family[block.index] = int(block["p"].notna().sum())
    key = ["dataset", "setting", "task", "model", "metric", "baseline_model", "baseline"]
    index = {name: i for i, name in zip(frame.index, _tuples(frame, [*key, "variant"]), strict=True)}
    repeated = frame[frame["duplicate"].astype(bool)]
    for i, name in zip(repeated.index, _tuples(repeated, [*key, "alias_of"]), strict=True):
        if name in index:
            adjusted[i], q[i], family[i] = (series[index[name]] for series in (adjusted, q, family))
    frame = frame.assign(holm=adjusted, q=q, family=family, significant=adjusted < alpha)
    return frame.assign(verdict=[_verdict(row, alpha) for row in frame.to_dict("records")])


def _verdict(row: dict[Any, Any], alpha: float) -> str:
    tested = Outcome(test="paired t", level="seeds", n=row["n"], statistic=row["t"], p=row["p"], adjusted=row["holm"])
    return worded(tested.verdict(alpha), row["mean"])


def worded(judged: Verdict, delta: float) -> str:
    """Say what a test says of a delta whose + is an improvement."""
    if judged == "rejected":
        return "better" if delta > 0 else "worse"
    return "no difference shown" if judged == "not rejected" else "cannot tell"


def _tuples(frame: pd.DataFrame, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    return frame[columns].itertuples(index=False, name=None)
