"""Figures of a suite, for papers and pages: each drawn from tidy frames, and only when its numbers have changed.

| module | what it is for |
|---|---|
| `figure` | from drawings to files |
| `style`, `svg`, `places`, `labels` | what all figures share |
| `forest`, `heatmap` | by how much a variant changes a model |
| `ranks` | how the variants rank over models |
| `costs` | what accuracy costs |
| `learning` | how the runs got there |
| `reliability` | whether predictions can be taken at their word |
| `embedding`, `embedding_raw` | learned representations and raw features on a t-SNE plane |
| `separation` | how separated such clouds are, in numbers |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.figures.costs import trade_offs
from harness.figures.embedding import embedding_drawings
from harness.figures.embedding_raw import cached_features, raw_drawings
from harness.figures.figure import Drawing, Missing, Saved, save
from harness.figures.forest import forests
from harness.figures.heatmap import heatmaps
from harness.figures.learning import learning_curves
from harness.figures.ranks import critical_differences
from harness.figures.reliability import reliabilities

if TYPE_CHECKING:
    from harness.comparison import Comparison
    from harness.plan import Plan
    from harness.results import Results

__all__ = ["Drawing", "Missing", "Saved", "cached_features", "drawings", "raw_drawings", "save"]


def drawings(results: Results, comparison: Comparison, plan: Plan) -> Iterator[Drawing | Missing]:
    """Yield every figure that the records of a suite allow, and why others are not there.

    Nothing is drawn yet; `save` does that.

    Parameters
    ----------
    results : Results
        What the records hold.
    comparison : Comparison
        What `harness.comparison.compare` found in them.
    plan : Plan
        The expanded suite.
    """
    yield from forests(comparison, plan)
    yield from heatmaps(comparison, plan)
    yield from critical_differences(comparison, plan)
    yield from trade_offs(results, comparison, plan)
    yield from learning_curves(results, plan)
    yield from reliabilities(results, plan)
    yield from embedding_drawings(results, plan)
