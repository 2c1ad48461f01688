"""Intervals over seeds and test utterances, for every cell and every comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from harness.comparison.blocks import Block, Draws, Rows, blocks
from harness.comparison.pairs import CellRuns, Contrast, Pair, cells_of, pairs
from harness.comparison.predictions import Arms, one_thread
from harness.comparison.seeds import CONTRAST_KEY
from harness.results import CELL, Results
from harness.statistics import ItemSums, TwoLevel, two_level_bootstraps

__all__ = ["CELL_COLUMNS", "CONTRAST_COLUMNS", "INTERVAL", "RESAMPLES", "interval_rows", "intervals"]

RESAMPLES = 10_000
INTERVAL = ["low", "high", "method", "seed_share", "bootstrap_low", "bootstrap_high", "items", "undefined_resamples"]
"""What an interval's row holds beside its name. ``seed_share`` is the part of the variance that comes from seeds,
``undefined_resamples`` counts those left out because the metric is not defined on them."""

CELL_COLUMNS = [*CELL, "metric", *INTERVAL]
CONTRAST_COLUMNS = [*CONTRAST_KEY, *INTERVAL]

_Task = tuple[list[Any], float, tuple[ItemSums, ItemSums | None]]
"""What names the row, the sign of an improvement, and the arms."""


def intervals(
    results: Results,
    asked: Sequence[Contrast] = (),
    *,
    alpha: float = 0.05,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two-level intervals (seeds, then utterances) of every cell and of every comparison that is asked for.

    Parameters
    ----------
    results : Results
        Their predictions are read.
    asked : sequence of Contrast
        What with what.
    alpha : float
        One minus the level.
    resamples, seed : int
        Bootstrap resamples, and what they are drawn from; every interval is the same whatever else is computed.

    Returns
    -------
    cells : DataFrame
        One row per cell and metric: `CELL`, ``metric``, and `INTERVAL` of the mean over seeds.
    contrasts : DataFrame
        One row per comparison and metric: `CONTRAST_KEY`, and `INTERVAL` of the mean delta, + an improvement. Both
        hold no row where an interval cannot be: no run, or arms that were tested on different utterances.
    """
    cells = cells_of(results.values)
    single: Rows = []
    paired: Rows = []
    with one_thread():
        for block in blocks(cells, [pair for one in asked for pair in pairs(cells, one)]):
            of_cells, of_pairs = interval_rows(block, Arms(results.predictions), Draws(alpha, resamples, seed))
            single += of_cells
            paired += of_pairs
    return pd.DataFrame(single, columns=CELL_COLUMNS), pd.DataFrame(paired, columns=CONTRAST_COLUMNS)


def interval_rows(block: Block, arms: Arms, draws: Draws) -> tuple[Rows, Rows]:
    """Return the rows of the cells and those of the comparisons of one block."""
    single: Rows = []
    paired: Rows = []
    by_items: dict[int, list[_Task]] = {}
    for task in (*_cell_tasks(block.cells, arms), *_pair_tasks(block.different, arms)):
        by_items.setdefault(task[2][0].items, []).append(task)
    for same in by_items.values():
        found = two_level_bootstraps(
            [both for _, _, both in same], resamples=draws.resamples, alpha=draws.alpha, seed=draws.seed
        )
        for (named, sign, (_, variant)), interval in zip(same, found, strict=True):
            (single if variant is None else paired).append([*named, *_turned(interval, sign)])
    return single, paired


def _cell_tasks(cells: Sequence[CellRuns], arms: Arms) -> Iterator[_Task]:
    for cell in cells:
        for metric, sums in arms.cell(cell).items():
            if metric in cell.values:
                yield [*(cell.names[name] for name in CELL), metric], 1.0, (sums, None)


def _pair_tasks(chosen: Sequence[Pair], arms: Arms) -> Iterator[_Task]:
    for pair in chosen:
        for metric, both in arms.pair(pair).items():
            if metric in pair.other.values:
                sign = 1.0 if pair.other.higher_is_better[metric] else -1.0
                names = [*(pair.other.names[name] for name in CELL[:-2]), False, pair.other.names["synthetic"]]
                yield [*names, metric, pair.contrast, *pair.base_name], sign, both


def _turned(interval: TwoLevel, sign: float) -> list[Any]:
    ends = np.array([[interval.low, interval.high], [interval.bootstrap_low, interval.bootstrap_high]]) * sign
    (low, high), (boot_low, boot_high) = np.sort(ends, axis=1).tolist()
    return [
        *(low, high, interval.method, interval.seed_share, boot_low, boot_high),
        *(interval.items, interval.undefined),
    ]
