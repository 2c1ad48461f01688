"""Reports: tables as HTML, LaTeX and CSV, made from what `harness.comparison` finds and nothing else.

| module | what it makes |
|---|---|
| `tables`, `notes` | the tables of scores, and what a reader must know to read them |
| `details` | what folds out below a table: comparisons, intervals, the second level |
| `sections` | what stands after the tables: over models, ranks, the paper's means |
| `case_sections` | case studies |
| `gallery` | figures |
| `summary` | the first lines |
| `explained` | how the statistics are made, with simulated figures |
| `sheets`, `pages`, `latex`, `numbers`, `power_figure` | what these share |
"""

from __future__ import annotations

from harness.reports.explained import render_statistics
from harness.reports.gallery import Extras
from harness.reports.render import render

__all__ = ["Extras", "render", "render_statistics"]
