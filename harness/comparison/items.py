"""Second level: would these very models differ on other test utterances? Labelled so, and never a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from harness.comparison.pairs import Contrast, Pair, cells_of, pairs
from harness.comparison.predictions import Arms
from harness.comparison.seeds import CONTRAST_KEY
from harness.metrics import Reduction, reductions
from harness.results import CELL, Predictions, Results
from harness.statistics import McNemar, Williams, approximate_randomizations, mcnemar, williams_t

__all__ = ["SECOND", "second_level"]

SECOND = ["items", "seeds", "randomization", "randomization_floor", "per_seed", "per_seed_p", "below_alpha"]
"""Utterances, and seeds with a defined difference; p of approximate randomization over these seeds and its floor; the
test made on each seed's pair of models (McNemar's for accuracies, Williams' for Corr, none for F1 and MAE), its p
values by seed where it is defined, how many are below alpha. Nothing here is adjusted for the number of tests."""


def second_level(
    results: Results, asked: Contrast | None = None, *, alpha: float = 0.05, resamples: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Test every comparison over the test utterances, with the trained models as they are.

    Parameters
    ----------
    results : Results
        Their predictions are read.
    asked : Contrast, optional
        What with what; every variant with the original of the same model unless given.
    alpha : float
        What the p of a seed is counted against.
    resamples, seed : int
        Random swaps of the randomization test, and what they are drawn from.

    Returns
    -------
    DataFrame
        One row per comparison and metric: `CONTRAST_KEY` and `SECOND`. No row for pairs that repeat another or have
        no seed and utterances in common.
    """
    rows: list[list[Any]] = []
    arms, place = Arms(results.predictions), None
    for pair in pairs(cells_of(results.values), asked or Contrast()):
        if place != pair.other.key[:4]:
            arms, place = Arms(results.predictions), pair.other.key[:4]
        both = {} if pair.duplicate else arms.pair(pair)
        metrics = [metric for metric in both if metric in pair.other.values]
        tested = approximate_randomizations([both[m] for m in metrics], resamples=resamples, seed=seed)
        shared = list(_by_seed(pair, results)) if metrics else []
        for metric, test in zip(metrics, tested, strict=True):
            single = [_single(metric, *reduced) for reduced in shared]
            made = [one for one in single if one is not None]
            p = [one.p for one in made if np.isfinite(one.p)]
            first, second = both[metric]
            defined = int(np.isfinite(second.values() - first.values()).sum())
            below = int(sum(value < alpha for value in p))
            named = [*(pair.other.names[name] for name in CELL[:-2]), False, pair.other.names["synthetic"], metric]
            rows.append(
                [
                    *(*named, pair.contrast, *pair.base_name, test.n, defined, test.p, test.floor),
                    *(made[0].test if made else "", p, below),
                ]
            )
    return pd.DataFrame(rows, columns=[*CONTRAST_KEY, *SECOND])


_Reduced = dict[str, Reduction]


def _by_seed(pair: Pair, results: Results) -> Iterator[tuple[_Reduced, _Reduced]]:
    """Yield what the two models of each shared seed are scored by."""
    assert pair.base is not None
    for seed, run_id in pair.base.runs.items():
        if seed in pair.other.runs:
            two = (results.predictions[run_id], results.predictions[pair.other.runs[seed]])
            if all(np.isfinite(one.pred).all() for one in two):
                yield _reduced(two[0]), _reduced(two[1])


def _reduced(one: Predictions) -> _Reduced:
    return reductions(one.task, one.convention, one.label, one.pred)


def _single(metric: str, first: _Reduced, second: _Reduced) -> McNemar | Williams | None:
    ours, theirs = first[metric], second[metric]
    if ours.kind == "corr":
        return williams_t(ours.truth, ours.pred, theirs.pred)
    if ours.kind != "accuracy":
        return None
    keep = slice(None) if ours.keep is None else ours.keep
    return mcnemar((ours.pred == ours.truth)[keep], (theirs.pred == theirs.truth)[keep])
