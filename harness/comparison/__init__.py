"""Records compared: the statistics behind every table, as tidy frames.

| module | what it answers |
|---|---|
| `pairs` | what is compared with what |
| `seeds` | is there a difference, over seeds? The first level, from which verdicts and daggers come |
| `intervals` | how large may it be, over seeds and test utterances? |
| `items` | would these very models differ on other utterances? The second level |
| `models` | is there a difference over models? |
| `printed` | do our seeds agree with what the paper prints? |
| `blocks`, `measured` | the first three levels, one model at a time: looked up, or computed on several cores |
| `everything` | all of it for one question |
"""

from __future__ import annotations

from harness.comparison.everything import Comparison, compare
from harness.comparison.intervals import RESAMPLES, intervals
from harness.comparison.items import second_level
from harness.comparison.models import Ranking, over_models, rankings
from harness.comparison.pairs import Contrast, Side, cell_name, parse_side
from harness.comparison.printed import MARGINS, PAPER_SEEDS, against_paper
from harness.comparison.seeds import SAME_RUNS, contrasts

__all__ = [
    "MARGINS",
    "PAPER_SEEDS",
    "RESAMPLES",
    "SAME_RUNS",
    "Comparison",
    "Contrast",
    "Ranking",
    "Side",
    "against_paper",
    "cell_name",
    "compare",
    "contrasts",
    "intervals",
    "over_models",
    "parse_side",
    "rankings",
    "second_level",
]
