"""Second level: would these very models differ on other test utterances? Labelled so, and never a verdict."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.comparison.blocks import Block, Draws, Rows, blocks
from harness.comparison.pairs import Contrast, Pair, cells_of, pairs
from harness.comparison.predictions import Arms, one_thread
from harness.comparison.seeds import CONTRAST_KEY
from harness.metrics import Reduction
from harness.results import CELL, Results
from harness.statistics import (
    ItemSums,
    McNemar,
    Randomization,
    Williams,
    approximate_randomizations,
    mcnemar,
    williams_t,
)

__all__ = ["SECOND", "SECOND_COLUMNS", "second_level", "second_rows"]

SECOND = ["items", "seeds", "randomization", "randomization_floor", "per_seed", "per_seed_p", "below_alpha"]
"""Utterances, and seeds with a defined difference; p of approximate randomization over these seeds and its floor; the
test made on each seed's pair of models (McNemar's for accuracies, Williams' for Corr, none for F1 and MAE), its p
values by seed where it is defined, how many are below alpha. Nothing here is adjusted for the number of tests."""

SECOND_COLUMNS = [*CONTRAST_KEY, *SECOND]

_Reduced = tuple[dict[str, Reduction], dict[str, Reduction]]


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
    cells = cells_of(results.values)
    draws = Draws(alpha, resamples, seed)
    with one_thread():
        rows = [
            row
            for block in blocks(cells, pairs(cells, asked or Contrast()))
            for row in second_rows(block, Arms(results.predictions), draws)
        ]
    return pd.DataFrame(rows, columns=SECOND_COLUMNS)


def second_rows(block: Block, arms: Arms, draws: Draws) -> Rows:
    """Return the rows of the comparisons of one block."""
    tallied = [
        (pair, metric, both)
        for pair in block.different
        for metric, both in arms.pair(pair).items()
        if metric in pair.other.values
    ]
    # All at once: they share the swaps, which cost as much to draw as to apply.
    tested = approximate_randomizations([both for *_, both in tallied], resamples=draws.resamples, seed=draws.seed)
    by_seed = {id(pair): list(_by_seed(pair, arms)) for pair, *_ in tallied}
    return [
        _row(pair, metric, both, test, by_seed[id(pair)], draws.alpha)
        for (pair, metric, both), test in zip(tallied, tested, strict=True)
    ]


def _row(
    pair: Pair,
    metric: str,
    both: tuple[ItemSums, ItemSums],
    test: Randomization,
    by_seed: list[_Reduced],
    alpha: float,
) -> list[Any]:
    made = [one for reduced in by_seed if (one := _single(metric, *reduced)) is not None]
    p = [one.p for one in made if np.isfinite(one.p)]
    first, second = both
    defined = int(np.isfinite(second.values() - first.values()).sum())
    below = int(sum(value < alpha for value in p))
    named = [*(pair.other.names[name] for name in CELL[:-2]), False, pair.other.names["synthetic"], metric]
    return [
        *(*named, pair.contrast, *pair.base_name, test.n, defined, test.p, test.floor),
        *(made[0].test if made else "", p, below),
    ]


def _by_seed(pair: Pair, arms: Arms) -> Iterator[_Reduced]:
    """Yield what the two models of each shared seed are scored by."""
    assert pair.base is not None
    for seed, run_id in pair.base.runs.items():
        if seed in pair.other.runs:
            two = (arms.reduced(run_id), arms.reduced(pair.other.runs[seed]))
            if two[0] is not None and two[1] is not None:
                yield two[0], two[1]


def _single(metric: str, first: dict[str, Reduction], second: dict[str, Reduction]) -> McNemar | Williams | None:
    ours, theirs = first[metric], second[metric]
    if ours.kind == "corr":
        return williams_t(ours.truth, ours.pred, theirs.pred)
    if ours.kind != "accuracy":
        return None
    keep = slice(None) if ours.keep is None else ours.keep
    right: list[NDArray[np.bool_]] = [(one.pred == one.truth)[keep] for one in (ours, theirs)]
    only_first, only_second = (int(np.count_nonzero(a & ~b)) for a, b in (right, right[::-1]))
    return _mcnemar(only_first, only_second, any_items=right[0].size > 0)


@functools.lru_cache(maxsize=100_000)
def _mcnemar(only_first: int, only_second: int, *, any_items: bool) -> McNemar:
    """Test by the items on which the arms disagree, all that p depends on: the same few numbers come up again."""
    agreed = [True] if any_items else []
    first = [True] * only_first + [False] * only_second + agreed
    return mcnemar(first, [not right for right in first[: only_first + only_second]] + agreed)
