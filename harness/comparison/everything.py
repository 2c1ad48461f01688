"""All levels of one question at once, each said to be what it is."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from harness.comparison.blocks import Draws, blocks
from harness.comparison.intervals import CELL_COLUMNS, CONTRAST_COLUMNS, INTERVAL, RESAMPLES
from harness.comparison.items import SECOND_COLUMNS
from harness.comparison.measured import measured
from harness.comparison.models import Ranking, over_models, rankings
from harness.comparison.pairs import Contrast, cells_of, pairs
from harness.comparison.printed import against_paper
from harness.comparison.seeds import CONTRAST_KEY, FIRST_COLUMNS, with_families
from harness.memo import Memo
from harness.results import CELL, Results, summarise

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """The statistics behind a suite's tables, and the only ones that its tables and report use.

    Attributes
    ----------
    cells : DataFrame
        `harness.results.summarise`, with the interval of every mean (`harness.comparison.intervals.INTERVAL`).
    contrasts : DataFrame
        First level, over seeds: `harness.comparison.contrasts`. Its t interval is in ``t_low`` and ``t_high``; ``low``
        and ``high`` are the two-level interval, by the method that ``method`` names. ``needed``: the seeds that find a
        true delta of `harness.comparison.MARGINS` with power 0.8 at the spread seen, before any adjustment.
    models : DataFrame
        `harness.comparison.over_models`.
    rankings : tuple of Ranking
    printed : DataFrame
        `harness.comparison.against_paper`.
    items : DataFrame
        `harness.comparison.second_level`, beside the first level's ``holm`` and ``verdict``, since it never stands
        alone; empty where it was not asked for.
    alpha : float
    resamples : int
    """

    cells: pd.DataFrame
    contrasts: pd.DataFrame
    models: pd.DataFrame
    rankings: tuple[Ranking, ...]
    printed: pd.DataFrame
    items: pd.DataFrame
    alpha: float
    resamples: int


def compare(
    results: Results,
    asked: Contrast | None = None,
    *,
    alpha: float = 0.05,
    resamples: int = RESAMPLES,
    items: bool = True,
    memo: Memo | None = None,
    workers: int = 1,
) -> Comparison:
    """Ask one question of a suite's records at every level.

    Parameters
    ----------
    results : Results
    asked : Contrast, optional
        What with what; every variant with the original of the same model unless given.
    alpha : float
        Level of tests and intervals.
    resamples : int
        Bootstrap resamples and random swaps.
    items : bool
        Whether to make the second-level tests.
    memo : Memo, optional
        Where intervals and second-level tests are looked up and kept, if `results` were collected with one too.
    workers : int
        Processes that compute what is not known. Neither they nor the memo change a bit of the result.
    """
    asked = asked or Contrast()
    averaged = summarise(results.values)
    cells = cells_of(results.values)
    chosen = pairs(cells, asked)
    found = measured(results, blocks(cells, chosen), Draws(alpha, resamples), items=items, memo=memo, workers=workers)
    first = pd.DataFrame(found.first, columns=[*FIRST_COLUMNS, "needed"])
    needed = first.pop("needed")
    first = with_families(first, alpha)
    means = pd.DataFrame(found.cells, columns=CELL_COLUMNS)
    differences = pd.DataFrame(found.contrasts, columns=CONTRAST_COLUMNS)
    tested = pd.DataFrame(found.items, columns=SECOND_COLUMNS)
    # A repeated pair carries the interval of the one it repeats, as it does the tests.
    key = [name for name in CONTRAST_KEY if name not in {"variant", "alias_of", "duplicate", "contrast"}]
    renamed = first.rename(columns={"low": "t_low", "high": "t_high"})
    shown = renamed["alias_of"].where(renamed["duplicate"].astype(bool), renamed["variant"])
    joined = renamed.assign(shown=shown).merge(
        differences.rename(columns={"variant": "shown"})[[*key, "shown", *INTERVAL]], on=[*key, "shown"], how="left"
    )
    return Comparison(
        cells=averaged.merge(means, on=[*CELL, "metric"], how="left"),
        contrasts=joined.drop(columns="shown").assign(needed=needed),
        models=over_models(first, alpha),
        rankings=rankings(averaged, results.values, alpha),
        printed=against_paper(results.values, alpha),
        items=tested.merge(first[[*CONTRAST_KEY, "holm", "verdict"]], on=CONTRAST_KEY, how="left"),
        alpha=alpha,
        resamples=resamples,
    )
