"""What the gate says: rows of metrics and costs with their verdicts, and the judgement that they make up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from harness.costs import CellKey
from harness.gate.samples import Sample
from harness.metrics import definition
from harness.spec import GateOptions
from harness.statistics import Drift
from harness.wording import listing

__all__ = ["EVERY", "VERDICTS", "CostRow", "Exactness", "Judgement", "MetricRow", "Verdict", "floor_of"]

Verdict: TypeAlias = Literal["RED", "AMBER", "GREEN", "STALE", "CANNOT JUDGE"]
VERDICTS: tuple[Verdict, ...] = ("RED", "CANNOT JUDGE", "AMBER", "STALE", "GREEN")
"""The worst first."""
Exactness: TypeAlias = Literal["", "equal", "moved"]

EVERY = "*"
"""Stands for model and variant of a row that is the mean over all cells of a data set, setting and task."""
_POINTS, _UNITS = 0.005, 0.005
"""Half a point of accuracy or F1; 0.005 of MAE or Corr."""


@dataclass(frozen=True)
class MetricRow:
    """One comparison.

    Attributes
    ----------
    cell : tuple of str
        Data set, setting, task, model, variant; the last two are ``*`` in the mean over all cells.
    metric : str
    reference, new : float
        Means over seeds; accuracies and F1 as fractions.
    difference : float
        New minus reference.
    found : Drift or None
        The test, with its differences sign-corrected; None where there was nothing to test.
    p : float
        Holm-adjusted, of a loss.
    floor, margin : float
        Losses up to `floor` do not matter; one beyond `margin` is red, whatever else happens in the gate.
    exact : str
        ``equal`` or ``moved`` where machine, versions, threads and seeds are those of the baseline, else empty.
    rescored : bool
        Whether predictions that are those of the baseline to the last bit have another value now.
    sample : Sample or None
        The values by seed; None where they could not be compared.
    verdict : str
    why : str
        What is behind a verdict that the numbers do not tell.
    """

    cell: CellKey
    metric: str
    reference: float
    new: float
    difference: float
    found: Drift | None
    floor: float
    p: float = np.nan
    p_better: float = np.nan
    margin: float = np.nan
    exact: Exactness = ""
    rescored: bool = False
    sample: Sample | None = None
    verdict: Verdict = "CANNOT JUDGE"
    why: str = ""

    @property
    def percent(self) -> bool:
        """Whether it is shown in percent."""
        metric = definition(self.metric)
        return metric is not None and metric.percent


@dataclass(frozen=True)
class CostRow:
    """Params or MACs of a cell, which must be equal; `why` says what kept one of them from being counted."""

    cell: CellKey
    name: str
    reference: int | None
    new: int | None
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class Judgement:
    """What the gate says.

    Attributes
    ----------
    suite : str
    options : GateOptions
    rows : tuple of MetricRow
    costs : tuple of CostRow
    family : int
        Comparisons in the family.
    problems : tuple of str
        What makes the gate unable to judge, beside rows that say so themselves.
    notes : tuple of str
        What a reader should know that changes no verdict.
    """

    suite: str
    options: GateOptions
    rows: tuple[MetricRow, ...] = ()
    costs: tuple[CostRow, ...] = ()
    family: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def every(self) -> tuple[MetricRow | CostRow, ...]:
        """All rows, metrics before costs."""
        return (*self.rows, *self.costs)

    def count(self, verdict: Verdict) -> int:
        """Return how many rows have a verdict, costs included."""
        return [row.verdict for row in self.every].count(verdict)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 drift, 2 cannot judge; the last wins: a gate with holes has not judged the suite."""
        if self.problems or self.count("CANNOT JUDGE") or not (self.rows or self.costs):
            return 2
        return 1 if self.count("RED") else 0

    @property
    def summary(self) -> str:
        """The verdict in a sentence."""
        told = [f"{self.count(verdict)} {verdict.lower()}" for verdict in VERDICTS if self.count(verdict)]
        what = {0: "pass", 1: "drift", 2: "cannot judge"}[self.exit_code]
        return f"{what}: {listing(told) or 'nothing was compared'}"


def floor_of(metric: str, options: GateOptions, test: int) -> float:
    """Return the largest loss of a metric that does not matter: half a point or 0.005, and never below 1 / N_test."""
    known = definition(metric)
    percent = known is not None and known.percent
    asked = options.floors.get(metric, options.floors.get("*", _POINTS) if percent else _UNITS)
    return max(asked, 1 / test)
