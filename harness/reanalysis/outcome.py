"""What the re-analysis of printed tables says, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.published import Claim
from harness.spec import Task, Variant
from harness.statistics import OverRows

__all__ = ["Effect", "Judged", "Summary", "Support"]

Support = Literal["supported", "partly supported", "not supported", "contradicted", "cannot be told"]
"""How far printed tables bear a claim out. *Contradicted*: they say the opposite; *cannot be told*: they could not
have said it, whatever they had printed (too few rows, or nothing printed about it)."""


@dataclass(frozen=True)
class Effect:
    """One contrast of variants over the models of one printed table, in one metric.

    Attributes
    ----------
    table : int
    dataset : str
    task : Task
    metric : str
        As `harness.published.Cell.metric` names it.
    unit : {"points", ""}
        Percentage points for accuracies and F1; MAE and Corr have no unit.
    variant, baseline : Variant
        The delta is variant minus baseline, turned so that + is an improvement.
    models : tuple of str
        The rows, in the table's order.
    deltas : tuple of float
        One per row, from the printed means.
    rows : OverRows
        Mean with interval, Wilcoxon and sign test; adjusted by Holm over the family that `family` names.
    family : str
        Which tests were adjusted together, in words.
    defect : bool
        Whether the column is one that MMSA computes wrongly (`harness.metrics`): its numbers are what was printed, and
        do not measure what the text defines. Such effects decide no claim.
    """

    table: int
    dataset: str
    task: Task
    metric: str
    unit: Literal["points", ""]
    variant: Variant
    baseline: Variant
    models: tuple[str, ...]
    deltas: tuple[float, ...]
    rows: OverRows
    family: str
    defect: bool = False


@dataclass(frozen=True)
class Summary:
    """One contrast in one printed table, over all of its metrics but those with MMSA's defect.

    Attributes
    ----------
    table : int
    dataset : str
    task : Task
    variant, baseline : Variant
    improved, declined, unchanged : int
        Cells, a model in a metric each. They are counts and no test: the metrics of a model go together.
    better, worse, untold : tuple of str
        Metrics whose Wilcoxon test, after Holm, says better or worse, and those in which no rows could have said so.
    """

    table: int
    dataset: str
    task: Task
    variant: Variant
    baseline: Variant
    improved: int
    declined: int
    unchanged: int
    better: tuple[str, ...]
    worse: tuple[str, ...]
    untold: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """A claim of the paper's text against its printed tables.

    ``evidence`` holds the figures as sentences, ``strength`` says what they can bear (number of rows, smallest p that
    they could reach, means over seeds without their spread).
    """

    claim: Claim
    support: Support
    evidence: tuple[str, ...]
    strength: str
