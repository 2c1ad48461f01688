"""Where figures stand: one place per data set and task, as the tables have them, and how its numbers are shown."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from harness.comparison import cell_name
from harness.figures.style import slug
from harness.metrics import Metric, metrics_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from harness.plan import Cell, Plan
    from harness.spec import Task

__all__ = ["Place", "grid", "in_units", "lines_of", "mean_over", "places", "signed", "unit_of"]


@dataclass(frozen=True)
class Place:
    """A data set and task, with the metrics that the report of the suite shows.

    ``heading`` and ``slug`` are those of its table, the latter made fit for ids; ``settings`` says that some model is
    there in more than one data setting, which its name must then tell.
    """

    dataset: str
    heading: str
    slug: str
    task: Task
    synthetic: bool
    metrics: tuple[Metric, ...]
    settings: bool
    baseline: str

    @property
    def warning(self) -> str:
        """What a caption ends with where no conclusion about real videos may be drawn."""
        return " Synthetic data, drawn by the harness." if self.synthetic else ""

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a frame that belong here, without those that repeat another under a second name."""
        here = (frame["dataset"] == self.dataset) & (frame["task"] == self.task)
        return frame[here & ~frame["duplicate"].astype(bool)]

    def model(self, name: str, setting: str) -> str:
        """Return the name of a model, with its data setting where that is needed."""
        return f"{name} ({setting})" if self.settings else name

    def row_name(self, row: pd.Series) -> str:
        """Return what one row of the contrasts is called: its model, and the variant where models are compared."""
        same = row["model"] == row["baseline_model"]
        name = row["model"] if same else cell_name(row["model"], row["variant"])
        return self.model(str(name), str(row["setting"]))


def places(plan: Plan) -> Iterator[Place]:
    """Yield the places of a plan, in its order."""
    report = plan.suite.report
    by_table: dict[tuple[str, Task], list[Cell]] = {}
    for cell in plan.cells:
        by_table.setdefault((cell.dataset.name, cell.task), []).append(cell)
    for cells in by_table.values():
        first = cells[0]
        shown = metrics_for(first.task, first.dataset.convention)
        yield Place(
            dataset=first.dataset.name,
            heading=first.heading,
            slug=slug(first.slug),
            task=first.task,
            synthetic=first.dataset.synthetic is not None,
            metrics=tuple(one for one in shown if report.metrics is None or one.name in report.metrics),
            settings=len({(cell.model, cell.setting) for cell in cells}) > len({cell.model for cell in cells}),
            baseline=report.baseline,
        )


def unit_of(metric: Metric) -> str:
    """Return what a metric is counted in: points, where it is printed in percent, or itself."""
    return "points" if metric.percent else metric.name


def in_units(values: pd.Series[float], metric: Metric) -> pd.Series[float]:
    """Return values in the unit that they are printed in."""
    return values * 100 if metric.percent else values


def signed(value: float, metric: Metric) -> str:
    """Return a difference as it is printed: points with two decimals, others with three; zero has no sign."""
    text = f"{value:+.{2 if metric.percent else 3}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def lines_of(metric: Metric) -> str:
    """Return a metric's name in the lines of a narrow heading."""
    return metric.name.replace("/", "\n")


def mean_over(seeds: float) -> str:
    """Return how a caption begins, given the most seeds that a mean is over."""
    return "One seed" if seeds == 1 else f"Mean over {seeds:.0f} seeds where none is missing"


def grid(figure: Figure, panels: int, columns: tuple[int, ...], *, sharey: bool = False) -> list[Axes]:
    """Return that many panels in as few rows as the allowed numbers of columns give, and among those the narrowest."""
    rows, width = shape_of(panels, columns)
    axes = figure.subplots(rows, width, squeeze=False, sharey=sharey)
    found = list(axes.flat)
    for spare in found[panels:]:
        spare.remove()
    return found[:panels]


def shape_of(panels: int, columns: tuple[int, ...]) -> tuple[int, int]:
    """Return rows and columns of that many panels."""
    return min((math.ceil(panels / width), min(width, panels)) for width in columns)
