"""The audit and the re-analysis of the published tables as a report: a page, LaTeX, and the numbers behind them.

| module | its part |
|---|---|
| `entries` | findings grouped and labelled |
| `printed` | the paper's tables with the places marked that findings speak about; corrections |
| `scope` | what each rule claims and covers |
| `effects`, `forest` | the re-analysis as sentences, sheets and figures |
| `costs` | the printed costs beside ours |
| `words` | the paper's notation for a page and for LaTeX |
| `render` | all of it, written |
"""

from harness.audit.report.render import render_audit

__all__ = ["render_audit"]
