"""What is known of the data sets: their definitions, and class counts of the test splits, which the paper lacks."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from harness.data.definitions import load_definition
from harness.spec import DatasetSpec

__all__ = ["TEST_CLASSES", "ClassCounts", "definition_of"]


@dataclass(frozen=True)
class ClassCounts:
    """Utterances by class: labels below, at and above zero."""

    negative: int
    neutral: int
    positive: int

    @property
    def polar(self) -> int:
        """Those that are left when neutral ones are left out."""
        return self.negative + self.positive

    @property
    def total(self) -> int:
        """All of them."""
        return self.polar + self.neutral


TEST_CLASSES: Mapping[str, ClassCounts] = {
    "mosei": ClassCounts(1350, 1025, 2284),
    "sims": ClassCounts(248, 69, 140),
}
"""By data set, as public descriptions of the MMSA files print them. They add up to Table 1's test splits. A label is
neutral just when it is zero, on CH-SIMS too, where labels are multiples of 0.2."""


@functools.cache
def definition_of(dataset: str) -> DatasetSpec:
    """Return a data set's definition; rules ask for it once a cell."""
    return load_definition(dataset)
