"""Ours against the paper's printed means: the real tables, with values made to agree or not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness import published
from harness.comparison import MARGINS, PAPER_SEEDS, against_paper
from harness.comparison.printed import PRINTED
from harness.metrics import metrics_for
from harness.published import Cell
from harness.results import CELL
from harness.statistics import against_printed
from tests.comparison import made

TABLES = published.load()
COSTS = {"Params", "FLOPs"}
SPREAD = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])


def own_cells() -> Iterator[Cell]:
    """Every mean of the authors' own runs, from the first table that prints it."""
    seen = set()
    for cell in TABLES.cells:
        place = (cell.dataset, cell.task, cell.model, cell.variant, cell.metric)
        if cell.own and cell.printed is not None and cell.metric not in COSTS and place not in seen:
            seen.add(place)
            yield cell


def ours(cell: Cell, shift: float = 0.0, spread: float = 1e-4, **changes: Any) -> made.Rows:
    """Make five seeds whose mean is the printed one, `shift` away, in the unit of our metrics."""
    assert cell.printed is not None
    mean = float(cell.printed.value) / (100 if cell.percent else 1) + shift
    named: dict[str, Any] = {"dataset": cell.dataset, "task": cell.task, "setting": cell.setting or "unaligned"}
    named |= {"metric": cell.metric, "higher": cell.metric != "MAE"}
    numbers = (mean + spread * SPREAD).tolist()
    return made.rows(cell.model, cell.variant, numbers, **(named | changes))


def everything(shift: float = 0.0, spread: float = 1e-4, **changes: Any) -> pd.DataFrame:
    return against_paper(made.frame(*(ours(cell, shift, spread, **changes) for cell in own_cells())))


def test_every_mean_that_the_paper_prints_is_found() -> None:
    found = everything()
    assert list(found.columns) == [*CELL, "metric", *PRINTED]
    cells = list(own_cells())
    assert len(found) == len(cells) > 300
    for cell, row in zip(cells, found.to_dict("records"), strict=True):
        assert (row["table"], row["row"]) == (cell.table, cell.row)
        assert cell.printed is not None
        assert row["printed"] == pytest.approx(float(cell.printed.value) / (100 if cell.percent else 1))
    assert set(found["table"]) == {4, 5, 6, 7, 8}
    assert set(found["n"]) == {5}
    assert found["printed"].between(-0.05, 1.5).all(), "fractions, and MAE"


def test_printed_metrics_are_ours_by_name() -> None:
    for cell in own_cells():
        names = {
            metric.name: metric for metric in metrics_for(cell.task, "sims" if cell.dataset == "sims" else "mosei")
        }
        assert cell.metric in names
        assert names[cell.metric].percent == cell.percent


@pytest.mark.parametrize(
    ("shift", "spread", "reading"),
    [
        (0.0, 1e-4, "equivalent"),
        (0.0, 0.05, "cannot tell"),
        (0.015, 0.05, "cannot tell"),
        (0.1, 1e-3, "differs"),
        (-0.1, 1e-3, "differs"),
        (0.004, 1e-4, "differs within the margin"),
        (-0.004, 1e-4, "differs within the margin"),
    ],
)
def test_readings(shift: float, spread: float, reading: str) -> None:
    found = everything(shift, spread)
    assert set(found["reading"]) == {reading}
    assert found["difference"].to_numpy() == pytest.approx(shift, abs=1e-12)
    outside = (found["printed"] < found["low"]) | (found["printed"] > found["high"])
    assert outside.all() if reading.startswith("differs") else not outside.any()
    assert (found["equivalence"] < 0.05).all() == (reading in ("equivalent", "differs within the margin"))


def test_numbers_in_percent_are_judged_in_percent() -> None:
    cells = {metric: next(c for c in own_cells() if c.metric == metric) for metric in ("Acc-2", "MAE")}
    found = against_paper(made.frame(*(ours(cell, 0.003, 0.002) for cell in cells.values())))
    for metric, scale, unit in (("Acc-2", 100, 0.01), ("MAE", 1, 0.001)):
        row, cell = made.only(found, metric=metric), cells[metric]
        assert cell.printed is not None
        printed = float(cell.printed.value)
        numbers = printed + scale * (0.003 + 0.002 * SPREAD)
        margin = {"Acc-2": 1.0, "MAE": 0.02}[metric]
        judged = against_printed(numbers, printed, margin, behind=PAPER_SEEDS, rounding=unit / 2)
        assert row["margin"] * scale == margin == MARGINS[cell.percent] * scale
        bounds = row["low"] * scale, row["high"] * scale
        assert bounds == pytest.approx((judged.prediction.low, judged.prediction.high))
        assert row["equivalence"] == pytest.approx(judged.equivalence.p)
        assert row["reading"] == judged.reading


def test_what_rounds_to_the_printed_mean_does_not_differ() -> None:
    (cell,) = [c for c in own_cells() if (c.table, c.model, c.variant, c.metric) == (5, "LMF", "fg", "Acc-2")]
    # Seeds that hardly vary: their interval is far narrower than a printed digit.
    inside, outside = (made.only(against_paper(made.frame(ours(cell, shift, 1e-7)))) for shift in (0.000049, 0.000052))
    assert inside["printed"] < inside["low"]
    assert inside["reading"] == "equivalent"
    assert outside["reading"] == "differs within the margin"


def test_equivalence_asks_it_of_all_means_that_print_so() -> None:
    (cell,) = [c for c in own_cells() if (c.table, c.model, c.variant, c.metric) == (5, "LMF", "fg", "MAE")]
    near, far = (made.only(against_paper(made.frame(ours(cell, shift, 1e-7)))) for shift in (0.0194, 0.0196))
    assert (near["reading"], far["reading"]) == ("differs within the margin", "differs")


def test_synthetic_data_is_compared_with_nothing() -> None:
    assert everything(synthetic=True).empty
    cell = next(own_cells())
    both = made.frame(ours(cell), ours(cell, dataset="sims", synthetic=True))
    assert set(against_paper(both)["dataset"]) == {cell.dataset}


def test_what_the_paper_does_not_print_is_compared_with_nothing() -> None:
    cell = next(c for c in own_cells() if c.table == 5)
    assert against_paper(made.frame(ours(cell, dataset="mosi"))).empty
    assert against_paper(made.frame(made.rows("LMF", "original", [0.5] * 5, dataset="sims", metric="Acc-99"))).empty
    assert against_paper(made.frame()).empty
    quoted = replace(TABLES, cells=tuple(c for c in TABLES.cells if not c.own))
    assert any(c.source == "mmsa" and c.metric == cell.metric for c in quoted.cells)
    assert against_paper(made.frame(*map(ours, own_cells())), tables=quoted).empty, "numbers taken over, and deltas"


def test_another_setting_than_the_printed_one_is_not_compared() -> None:
    cell = next(c for c in own_cells() if c.setting == "aligned")
    assert len(against_paper(made.frame(ours(cell)))) == 1
    assert against_paper(made.frame(ours(cell, setting="unaligned"))).empty


def test_where_table_8_repeats_a_row_the_first_table_counts() -> None:
    (first,) = [c for c in TABLES.table(5) if (c.model, c.variant, c.metric, c.own) == ("LMF", "fg", "Acc-2", True)]
    (again,) = [c for c in TABLES.table(8) if (c.model, c.variant, c.metric, c.own) == ("LMF", "fg", "Acc-2", True)]
    assert first.printed == again.printed
    values, row = made.frame(ours(first)), ("LMF", "fg", "reproduction")
    for table, printed in ((8, float(first.value or 0)), (5, 12.34)):
        changed = TABLES.reprinted(table, row, "Acc-2", "12.34")
        (found,) = against_paper(values, tables=changed).to_dict("records")
        assert (found["table"], found["printed"]) == (5, pytest.approx(printed / 100))


def test_a_row_that_stands_in_table_8_alone_is_found_there() -> None:
    found = everything()
    assert set(found.loc[found["table"] == 8, "variant"]) == {"a", "v"}


def test_one_split_modality_is_printed_as_fg_and_stands_for_a() -> None:
    cell = next(c for c in own_cells() if (c.dataset, c.variant, c.task) == ("mosei", "fg", "regression"))
    alias = [row | {"variant": "a", "alias_of": "fg", "duplicate": True} for row in ours(cell, 0.001)]
    found = against_paper(made.frame(ours(cell, 0.001), alias))
    assert found["variant"].to_list() == ["fg"]  # the same runs are judged once
    alias = [row | {"duplicate": False} for row in alias]
    assert len(against_paper(made.frame(alias))) == 1
    # Where both modalities are split, -a is a model of its own: MOSEI's tables print none.
    assert against_paper(made.frame([row | {"alias_of": "", "duplicate": False} for row in alias])).empty


@pytest.mark.parametrize(("numbers", "n"), [([0.8], 1), ([0.8, math.nan], 1), ([math.nan] * 3, 0), ([0.8] * 5, 5)])
def test_no_spread_tells_nothing(numbers: list[float], n: int) -> None:
    rows = made.rows("LMF", "fg", numbers, dataset="sims", metric="Acc-2")
    found = made.only(against_paper(made.frame(rows)))
    assert (found["n"], found["reading"]) == (n, "cannot tell")
    assert all(math.isnan(found[name]) for name in ("low", "high", "equivalence"))
    assert math.isnan(found["difference"]) == (n == 0)


def test_the_level_is_that_of_the_test_and_the_interval() -> None:
    cell = next(c for c in own_cells() if c.table == 5)
    wide, narrow = (against_paper(made.frame(ours(cell, 0.002, 0.005)), alpha).iloc[0] for alpha in (0.01, 0.2))
    assert wide["high"] - wide["low"] > narrow["high"] - narrow["low"]
    assert wide["equivalence"] == narrow["equivalence"]
    assert (wide["reading"], narrow["reading"]) == ("cannot tell", "equivalent")
