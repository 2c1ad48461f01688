"""Counts of simulated events with the bounds that their number allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scipy import stats

__all__ = ["LEVEL", "Rate"]

LEVEL = 0.99
"""Of the bounds that are shown beside a rate."""


@dataclass(frozen=True)
class Rate:
    """So many of so many independent repetitions."""

    count: int
    of: int

    @property
    def rate(self) -> float:
        """The share."""
        return self.count / self.of

    def bounds(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the exact two-sided interval (Clopper and Pearson 1934)."""
        interval = stats.binomtest(self.count, self.of).proportion_ci(level, method="exact")
        return float(interval.low), float(interval.high)

    def as_json(self) -> dict[str, Any]:
        """Return count, number, share and bounds at `LEVEL`."""
        low, high = self.bounds()
        return {"count": self.count, "of": self.of, "rate": self.rate, "low": low, "high": high}
