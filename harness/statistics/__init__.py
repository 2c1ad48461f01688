"""Tests, intervals, effect sizes, corrections and power: arrays in, small frozen results out.

The unit of analysis is the seed: a delta is the difference between two runs that share a seed, so deltas are paired.
The primary test is the paired t test; the exact sign-flip p stands beside it, never above it, because it cannot go
below ``2 ** (1 - n)``. Values that are not finite are left out before anything is computed, and ``n`` counts what is
left. What cannot be computed is NaN with a note that says why; an argument that makes no sense is a ValueError.

| module | what it answers |
|---|---|
| `seeds` | is there a difference, over seeds? (first level) |
| `families`, `power` | what many tests do to it; how large it is; what so few seeds can find |
| `sums`, `bootstrap` | intervals over seeds and test items, of any metric |
| `items` | is there a difference on other items, these models given? (second level, never alone) |
| `signs`, `rows`, `blocks` | is there a difference over models? |
| `printed` | does a printed mean agree with our seeds? |
| `drift` | did new runs move away from reference runs? |
"""

from __future__ import annotations

from harness.statistics.blocks import Friedman, Nemenyi, friedman, nemenyi
from harness.statistics.bootstrap import (
    SEEDS_DOMINATE,
    IntervalMethod,
    TwoLevel,
    two_level_bootstrap,
    two_level_bootstraps,
)
from harness.statistics.drift import (
    DRIFT_DRAWS,
    Drift,
    DriftMethod,
    detectable_drift,
    drift,
    drift_margin,
    two_sample_p,
)
from harness.statistics.families import adjust, benjamini_hochberg, holm
from harness.statistics.items import (
    SECOND_LEVEL,
    McNemar,
    Randomization,
    Williams,
    approximate_randomization,
    approximate_randomizations,
    mcnemar,
    williams_t,
    williams_t_from_correlations,
)
from harness.statistics.outcome import Level, Outcome, Verdict
from harness.statistics.power import hedges_d, minimum_detectable_effect, paired_t_power, seeds_needed
from harness.statistics.printed import (
    AgainstPrinted,
    PredictionInterval,
    Reading,
    Tost,
    against_printed,
    prediction_interval,
    tost,
)
from harness.statistics.rows import OverRows, adjust_rows, over_rows
from harness.statistics.seeds import (
    MAX_SIGN_FLIP,
    MIN_BCA,
    MeanInterval,
    PairedT,
    SignFlip,
    bca_interval,
    mean_interval,
    paired_t,
    sign_flip,
)
from harness.statistics.signs import MAX_WILCOXON, Alternative, SignTest, Wilcoxon, sign_test, wilcoxon
from harness.statistics.sums import ItemSums, accuracy_sums, correlation_sums, f1_sums, mean_sums

__all__ = [
    "DRIFT_DRAWS",
    "MAX_SIGN_FLIP",
    "MAX_WILCOXON",
    "MIN_BCA",
    "SECOND_LEVEL",
    "SEEDS_DOMINATE",
    "AgainstPrinted",
    "Alternative",
    "Drift",
    "DriftMethod",
    "Friedman",
    "IntervalMethod",
    "ItemSums",
    "Level",
    "McNemar",
    "MeanInterval",
    "Nemenyi",
    "Outcome",
    "OverRows",
    "PairedT",
    "PredictionInterval",
    "Randomization",
    "Reading",
    "SignFlip",
    "SignTest",
    "Tost",
    "TwoLevel",
    "Verdict",
    "Wilcoxon",
    "Williams",
    "accuracy_sums",
    "adjust",
    "adjust_rows",
    "against_printed",
    "approximate_randomization",
    "approximate_randomizations",
    "bca_interval",
    "benjamini_hochberg",
    "correlation_sums",
    "detectable_drift",
    "drift",
    "drift_margin",
    "f1_sums",
    "friedman",
    "hedges_d",
    "holm",
    "mcnemar",
    "mean_interval",
    "mean_sums",
    "minimum_detectable_effect",
    "nemenyi",
    "over_rows",
    "paired_t",
    "paired_t_power",
    "prediction_interval",
    "seeds_needed",
    "sign_flip",
    "sign_test",
    "tost",
    "two_level_bootstrap",
    "two_level_bootstraps",
    "two_sample_p",
    "wilcoxon",
    "williams_t",
    "williams_t_from_correlations",
]
