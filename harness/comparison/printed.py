"""Published against ours: whether a mean that the paper prints agrees with our seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from harness.comparison.pairs import CellRuns, cells_of
from harness.published import Cell, Tables, load
from harness.results import CELL
from harness.statistics import against_printed

__all__ = ["MARGINS", "PAPER_SEEDS", "PRINTED", "against_paper"]

PAPER_SEEDS = 5
"""Runs behind a printed mean: MMSA's own number of seeds, which the paper does not restate."""

MARGINS = {True: 0.01, False: 0.02}
"""Largest difference that counts as none: one point of an accuracy or F1 (percent), 0.02 of MAE and Corr."""

PRINTED = ["table", "row", "printed", "ours", "n", "difference", "low", "high", "equivalence", "margin", "reading"]
_PERCENT = 100


def against_paper(values: pd.DataFrame, alpha: float = 0.05, tables: Tables | None = None) -> pd.DataFrame:
    """Judge every mean that the paper prints for its own runs by our seeds.

    Parameters
    ----------
    values : DataFrame
        `harness.results.Results.values`. Synthetic data is compared with nothing, and a cell that repeats another is
        left out.
    alpha : float
        Level of the tests, and one minus that of the prediction interval.
    tables : Tables, optional
        The published tables; the harness's own unless given.

    Returns
    -------
    DataFrame
        One row per cell and metric with a mean printed for its setting: `CELL`, ``metric``, and `PRINTED`: where it
        stands, the printed and our mean, their difference (ours minus printed; accuracies and F1 as fractions), the
        interval that a mean over the paper's number of seeds falls into if nothing differs, the p of equivalence
        within ``margin``, and the reading: differs, equivalent, differs within the margin, or cannot tell.
    """
    found = dict(_by_place(tables or load()))
    cells = cells_of(values[~(values["synthetic"] | values["duplicate"]).astype(bool)])
    rows = [row for cell in cells for row in _rows(cell, found, alpha)]
    return pd.DataFrame(rows, columns=[*CELL, "metric", *PRINTED])


_Place = tuple[str, str, str, str, str]


def _by_place(tables: Tables) -> Iterator[tuple[_Place, Cell]]:
    # Later tables first: where Table 8 repeats a row of Tables 5, the first of them stays.
    for cell in reversed(tables.cells):
        if cell.own and cell.printed is not None:
            yield (cell.dataset, cell.task, cell.model, cell.variant, cell.metric), cell


def _rows(cell: CellRuns, found: Mapping[_Place, Cell], alpha: float) -> Iterator[dict[str, Any]]:
    names = cell.names
    # Where one modality is split alone, the paper prints -fg only: -a is the same model.
    variant = names["alias_of"] or names["variant"]
    for metric, values in cell.values.items():
        there = found.get((names["dataset"], names["task"], names["model"], variant, metric))
        if there is None or there.printed is None or there.setting not in (None, names["setting"]):
            continue
        scale = _PERCENT if there.percent else 1
        margin = MARGINS[there.percent]
        rounding = float(there.printed.unit) / 2 / scale
        printed = float(there.printed.value) / scale
        judged = against_printed(values, printed, margin, alpha, behind=PAPER_SEEDS, rounding=rounding)
        ours = float(values.mean())
        yield dict(names) | {
            "metric": metric,
            "table": there.table,
            "row": there.row,
            "printed": printed,
            "ours": ours,
            "n": int(values.notna().sum()),
            "difference": ours - printed if not math.isnan(ours) else math.nan,
            "low": judged.prediction.low,
            "high": judged.prediction.high,
            "equivalence": judged.equivalence.p,
            "margin": margin,
            "reading": judged.reading,
        }
