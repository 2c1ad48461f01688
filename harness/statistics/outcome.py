"""What every test says of itself, and the verdict that its floor allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Level", "Outcome", "Verdict"]

Level = Literal["seeds", "items", "models"]
"""What a test generalises over: other seeds, other test items with the trained models fixed, or other models."""

Verdict = Literal["rejected", "not rejected", "cannot tell"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One test made.

    Attributes
    ----------
    test : str
        Its name, as a table prints it.
    level : {"seeds", "items", "models"}
        What its p speaks about. A p over items is second level: it says nothing about other seeds and never stands
        alone (`note` says so too).
    n : int
        Number of units of that level that were used.
    statistic : float
        The statistic; each test's documentation says which one.
    p : float
        NaN where the test is not defined; `note` then says why.
    floor : float
        The smallest p that this test can reach at this n whatever the data; 0 where there is no bound.
    low, high : float
        Two-sided interval at level ``1 - alpha`` of the quantity that the test names, NaN where there is none.
    alpha : float
        NaN for a test without interval.
    adjusted : float or None
        Holm-adjusted p within the family, None before `harness.statistics.adjust`.
    q : float or None
        Benjamini-Hochberg q within the family, None before `harness.statistics.adjust`.
    family : int
        Number of defined tests in the family, 0 before adjustment.
    reach : float or None
        The smallest adjusted p that this test could have had in its family: Holm's adjustment of all floors. None
        before `harness.statistics.adjust`.
    note : str
        Empty for an ordinary outcome.
    """

    test: str
    level: Level
    n: int
    statistic: float
    p: float
    floor: float = 0.0
    low: float = np.nan
    high: float = np.nan
    alpha: float = np.nan
    adjusted: float | None = None
    q: float | None = None
    family: int = 0
    reach: float | None = None
    note: str = ""

    def verdict(self, alpha: float = 0.05) -> Verdict:
        """Judge the null hypothesis by the adjusted p, or by p where there is no family.

        A test that is not rejected and could not have been, whatever its data (`reach`, or without a family `floor`, is
        not below `alpha`), answers ``"cannot tell"``: an exact test over five seeds is never evidence that nothing is
        there.
        """
        p = self.p if self.adjusted is None else self.adjusted
        if p < alpha:
            return "rejected"
        reach = self.floor if self.reach is None else self.reach
        return "cannot tell" if np.isnan(p) or not reach < alpha else "not rejected"
