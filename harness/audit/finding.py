"""What a rule finds, and the small arithmetic that rules share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from harness.published import Cell, Printed, Tables

__all__ = ["SEVERITIES", "Finding", "Rule", "Severity", "at", "box", "graded", "rounded"]

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""*error*: impossible, or contradictory (also a label and its numbers); *warning*: rounding, or it rests on something
that the paper does not state; *note*: form."""


@dataclass(frozen=True)
class Finding:
    """One thing that is odd about the published tables.

    Attributes
    ----------
    kind : str
        Which check found it.
    table : int
    row, column : str
        Where, as the table labels it; a column with two halves is named like the metric, ``Acc-2/has-0``.
    printed : str
        What stands there.
    expected : str
        What should, or the bounds of what could.
    severity : {"error", "warning", "note"}
    why : str
    certainty : str
        How sure that is, and on what assumptions.
    """

    kind: str
    table: int
    row: str
    column: str
    printed: str
    expected: str
    severity: Severity
    why: str
    certainty: str

    @property
    def place(self) -> tuple[int, str, str]:
        """Table, row and column."""
        return self.table, self.row, self.column

    def as_dict(self) -> dict[str, str | int]:
        """All of it, ready for JSON."""
        return asdict(self)


Rule = Callable[[Tables], Iterable[Finding]]
"""A check: tables in, findings out; it knows no particular cell."""


def at(cell: Cell, kind: str, expected: object, severity: Severity, why: str, certainty: str) -> Finding:
    """Return a finding at one number of a printed cell."""
    row = cell.row if cell.source != "delta" else f"{cell.row} of {cell.model}"
    printed = cell.printed.text if cell.printed else cell.text
    return Finding(kind, cell.table, row, cell.metric, printed, str(expected), severity, why, certainty)


def graded(cell: Cell, certainty: str) -> tuple[Severity, str]:
    """Return how bad a broken bound is in this row, and how sure that is.

    Numbers from a model's own paper may follow other definitions, so that a bound need not hold there. Those from
    MMSA's results page stand there already: copied as they are, they are no slip of this paper.
    """
    if cell.source == "mmsa":
        return "warning", f"{certainty}; the row is taken over from MMSA's results page and may be copied as it is"
    if cell.source == "paper":
        return "warning", f"{certainty}, unless the model's own paper defines its metrics otherwise"
    return "error", certainty


def box(printed: Printed) -> tuple[Fraction, Fraction]:
    """Return the closed range of numbers that round to what is printed."""
    value, half = Fraction(printed.value), Fraction(printed.unit) / 2
    return value - half, value + half


def rounded(value: Fraction, decimals: int) -> Decimal:
    """Round to decimal places, halves away from zero, exactly."""
    scaled = abs(value) * Fraction(10) ** decimals + Fraction(1, 2)
    whole = scaled.numerator // scaled.denominator
    return Decimal(whole if value >= 0 else -whole).scaleb(-decimals)
