"""The paper's printed rows under the harness's own tests, and the claims of its text under the printed rows.

* `effects`, `summaries`: does the method help over models, per table and metric? The only replication that printed
  means leave is the model.
* `judge`: every claim in `Tables.claims`, by a judge per kind of claim: `over_models` where a test decides,
  `cell_by_cell` where single numbers do, `stated` where the text repeats digits or ranks.
"""

from harness.reanalysis.claims import judge
from harness.reanalysis.effects import Side, effects, side, summaries
from harness.reanalysis.outcome import Effect, Judged, Summary, Support
from harness.reanalysis.stated import STATED, Part, parts

__all__ = [
    "STATED",
    "Effect",
    "Judged",
    "Part",
    "Side",
    "Summary",
    "Support",
    "effects",
    "judge",
    "parts",
    "side",
    "summaries",
]
