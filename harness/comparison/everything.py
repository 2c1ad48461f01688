"""All levels of one question at once, each said to be what it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from harness.comparison.intervals import INTERVAL, RESAMPLES, intervals
from harness.comparison.items import SECOND, second_level
from harness.comparison.models import Ranking, over_models, rankings
from harness.comparison.pairs import Contrast
from harness.comparison.printed import MARGINS, against_paper
from harness.comparison.seeds import CONTRAST_KEY, contrasts
from harness.metrics import definition
from harness.results import CELL, Results, summarise
from harness.statistics import seeds_needed

__all__ = ["Comparison", "compare"]

_NOT_ASKED = pd.DataFrame(columns=[*CONTRAST_KEY, *SECOND, "holm", "verdict"])


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
    """
    asked = asked or Contrast()
    first = contrasts(results.values, asked, alpha)
    averaged = summarise(results.values)
    cells, differences = intervals(results, [asked], alpha=alpha, resamples=resamples)
    # A repeated pair carries the interval of the one it repeats, as it does the tests.
    key = [name for name in CONTRAST_KEY if name not in {"variant", "alias_of", "duplicate", "contrast"}]
    renamed = first.rename(columns={"low": "t_low", "high": "t_high"})
    shown = renamed["alias_of"].where(renamed["duplicate"].astype(bool), renamed["variant"])
    joined = renamed.assign(shown=shown).merge(
        differences.rename(columns={"variant": "shown"})[[*key, "shown", *INTERVAL]], on=[*key, "shown"], how="left"
    )
    return Comparison(
        cells=averaged.merge(cells, on=[*CELL, "metric"], how="left"),
        contrasts=joined.drop(columns="shown").assign(needed=[_needed(*row, alpha) for row in _spreads(first)]),
        models=over_models(first, alpha),
        rankings=rankings(averaged, results.values, alpha),
        printed=against_paper(results.values, alpha),
        items=_second(results, asked, first, alpha, resamples) if items else _NOT_ASKED.copy(),
        alpha=alpha,
        resamples=resamples,
    )


def _spreads(first: pd.DataFrame) -> Iterator[tuple[str, float]]:
    return zip(first["metric"].astype(str), first["sd"].astype(float), strict=True)


def _needed(metric: str, sd: float, alpha: float) -> float:
    """Return how many seeds a delta that counts asks for; NaN where no spread was seen."""
    defined = definition(metric)
    if defined is None or not sd > 0:
        return math.nan
    return float(seeds_needed(MARGINS[defined.percent] / sd, alpha))


def _second(results: Results, asked: Contrast, first: pd.DataFrame, alpha: float, resamples: int) -> pd.DataFrame:
    found = second_level(results, asked, alpha=alpha, resamples=resamples)
    return found.merge(first[[*CONTRAST_KEY, "holm", "verdict"]], on=CONTRAST_KEY, how="left")
