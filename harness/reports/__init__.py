"""Reports: tables as HTML, LaTeX and CSV, made from what `harness.comparison` finds and nothing else.

| module | what it makes |
|---|---|
| `render` | everything, in order |
| `tables`, `layout`, `notes` | the tables of scores, how they come about, and what a reader must know to read them |
| `ablation` | the variants of each model, the best marked (Table 8) |
| `descriptions` | data, sub-features and models (Tables 1 to 3) |
| `details` | what folds out below a table: comparisons, intervals, the second level |
| `sections` | what stands after the tables: over models, ranks, the paper's means |
| `case_sections` | case studies (Table 9) |
| `gallery` | figures |
| `run_pages`, `loss_chart`, `private` | a page per run, without the names of machines and their folders |
| `files`, `shelf` | what lies beside the page, and nothing that an earlier report left there |
| `latex`, `latex_layout`, `paper_style` | LaTeX in the house's layout and in the paper's |
| `summary` | the first lines |
| `explained`, `simulated`, `calibration`, `power_figure` | how the statistics are made, with simulated figures |
| `sheets`, `pages`, `numbers` | what these share |
"""

from __future__ import annotations

from harness.reports.explained import render_statistics
from harness.reports.gallery import Extras
from harness.reports.render import render

__all__ = ["Extras", "render", "render_statistics"]
