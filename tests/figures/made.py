"""Made-up suites for the figures, and short ways to look at what was drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from harness.comparison import Comparison
from harness.figures import Drawing, Missing, style
from harness.plan import Plan
from harness.results import Results, collect
from harness.spec import RunSpec
from tests.reports import fakes

__all__ = ["drawn", "frame_of", "history", "only", "path_of", "suite", "why_not"]


def suite(
    error: Callable[[RunSpec], float] = fakes.typical_error,
    *,
    keep: Callable[[RunSpec], bool] = lambda _: True,
    epochs: Callable[[RunSpec], int] = lambda _: 3,
    **asked: Any,
) -> tuple[Results, Comparison, Plan]:
    """Return a suite whose runs are there where `keep` says so, with the histories that `epochs` asks for."""
    plan = fakes.plan(**asked)
    store = fakes.FakeStore()
    for run in plan.runs:
        if keep(run):
            store.add(run, error(run))
        else:
            store.fail(run)
    results = collect(plan, store.as_store)
    histories = {run.run_id: history(epochs(run), 0.1 * (run.seed % 10)) for run in plan.runs if keep(run)}
    return replace(results, histories=histories, learned={}), fakes.compared(plan, store), plan


def history(epochs: int, above: float = 0.0) -> pd.DataFrame:
    rows = range(1, epochs + 1)
    return pd.DataFrame(
        {"epoch": rows, "train_loss": [1 / e for e in rows], "valid_loss": [1 / e + above for e in rows]}
    )


def only(found: Iterable[Drawing | Missing]) -> Drawing:
    (one,) = found
    assert isinstance(one, Drawing)
    return one


def why_not(found: Iterable[Drawing | Missing]) -> Missing:
    (one,) = found
    assert isinstance(one, Missing)
    return one


def frame_of(drawing: Drawing) -> pd.DataFrame:
    assert isinstance(drawing.data, pd.DataFrame)
    return drawing.data


def drawn(drawing: Drawing) -> Figure:
    with style.applied():
        return drawing.draw(frame_of(drawing))


def path_of(line: Line2D) -> NDArray[np.float64]:
    """Return the points of a line, in the units of the data, shape (points, 2)."""
    return np.asarray(line.get_xydata(), dtype=np.float64)
