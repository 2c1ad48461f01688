"""Bounds that the class balance of the test split forces, and which definition the non-0 columns follow.

Notation: a test split of n utterances, g negative, z neutral and p positive ones, m = g + p without the neutral; H and
N are Acc-2 has-0 and non-0. All bounds are linear in numbers of the same seeds, so they hold for means over seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from harness.audit.bounds import SLACK, convention_of, rows_of
from harness.audit.classes import TEST_CLASSES, ClassCounts
from harness.audit.finding import Finding, at, graded
from harness.audit.two_classes import f1_range
from harness.published import Cell, Tables

__all__ = ["definitions", "follows_defect", "halves", "neutral_answers"]

_PUBLIC = "as sure as the public class counts, which the paper does not print but which add up to its Table 1"
_HAS, _NON, _F1 = "Acc-2/has-0", "Acc-2/non-0", "F1/non-0"


@dataclass(frozen=True)
class _Pair:
    """Acc-2 of one row, has-0 and non-0, and the F1 beside the latter."""

    has: Cell
    non: Cell
    f1: Cell | None
    classes: ClassCounts

    @property
    def bounds(self) -> tuple[Fraction, Fraction]:
        """N by its definition: non-0's right answers are right with has-0 too, which adds 0 to z neutral ones.

        So N m <= H n <= N m + z.
        """
        right = _share(self.has) * self.classes.total
        slack = SLACK * (self.classes.total + self.classes.polar)
        return (right - self.classes.neutral - slack) / self.classes.polar, (right + slack) / self.classes.polar

    @property
    def defect_bounds(self) -> tuple[Fraction, Fraction]:
        """N as MMSA computes it for classification: positive utterances are never right, so N m <= g.

        The negative ones that are right are right with has-0, which adds 0 to z + p others: N m <= H n <= N m + z + p.
        """
        right = _share(self.has) * self.classes.total
        slack = SLACK * (self.classes.total + self.classes.polar)
        low = (right - self.classes.neutral - self.classes.positive - slack) / self.classes.polar
        high = min(right + slack, self.classes.negative + SLACK * self.classes.polar) / self.classes.polar
        return low, high

    @property
    def proper(self) -> bool:
        """Whether the pair can be by the definition."""
        low, high = self.bounds
        return low <= _share(self.non) <= high

    @property
    def proper_f1(self) -> bool:
        """Whether the F1 can be by the definition; the least F1 rises with the accuracy, so the least of that counts.

        It is convex over the accuracy, 0 where that is 0, and nowhere below.
        """
        if self.f1 is None or self.f1.value is None:
            return True
        least, _ = f1_range(self.classes.negative, self.classes.positive, float(self.bounds[0]))
        return float(_share(self.f1)) >= least

    @property
    def defective(self) -> bool:
        """Whether the pair can be MMSA's."""
        low, high = self.defect_bounds
        return low <= _share(self.non) <= high


def follows_defect(tables: Tables, number: int) -> bool:
    """Return whether the non-0 column of a classification table is MMSA's defective one.

    That is taken from the pairs: more of them go together by MMSA's definition than by the text's.
    """
    pairs = _pairs(tables).get(number, [])
    return sum(pair.defective for pair in pairs) > sum(pair.proper for pair in pairs)


def definitions(tables: Tables) -> Iterator[Finding]:
    """Find classification tables whose non-0 columns cannot be what the text defines; one finding a table.

    By the definition, Acc-2 of negative against positive with the neutral left out, N m <= H n <= N m + z
    (`_Pair.bounds`): has-0 asks the same decision of logits 0 and 2, with the neutral counted as negative. F1/non-0 is
    held against the least that an accuracy of that bound or above allows.

    An error is that label and numbers do not go together; the numbers can be right as MMSA's metric.
    """
    for number, pairs in _pairs(tables).items():
        impossible = [pair for pair in pairs if not pair.proper]
        if pairs[0].has.task != "classification" or not follows_defect(tables, number) or not impossible:
            continue
        values = [pair.non.value for pair in impossible if pair.non.value is not None]
        least = min(pair.bounds[0] for pair in impossible)
        explained = sum(pair.defective for pair in impossible)
        with_f1 = sum(not pair.proper_f1 for pair in impossible)
        also = f"; {with_f1} values of {_F1} are too low for the definition in the same way" if with_f1 else ""
        yield Finding(
            kind="definition",
            table=number,
            row=f"{len(impossible)} of {len(pairs)} rows",
            column=_NON,
            printed=f"{min(values)} to {max(values)}",
            expected=f"{float(100 * least):.2f} at the least",
            severity="error",
            why=(
                f"label and numbers do not go together: {explained} of them can be right as MMSA computes the metric "
                "(predictions 0, 1 against labels 0, 2, so that every positive utterance counts as wrong), but none as "
                "the text defines the column (negative against positive), by the class balance and the has-0 of the "
                f"same row{also}"
            ),
            certainty=_PUBLIC,
        )


def halves(tables: Tables) -> Iterator[Finding]:
    """Find has-0 / non-0 pairs of Acc-2 that the class balance rules out, row by row.

    N m <= H n <= N m + z (`_Pair.bounds`); in a classification table whose non-0 columns are MMSA's, by its own bounds
    (`_Pair.defect_bounds`). In regression a prediction of exactly 0 could count differently; none is expected.
    """
    for number, pairs in _pairs(tables).items():
        defect = pairs[0].has.task == "classification" and follows_defect(tables, number)
        for pair in pairs:
            if pair.defective if defect else pair.proper:
                continue
            low, high = (100 * bound for bound in (pair.defect_bounds if defect else pair.bounds))
            severity, certainty = graded(pair.non, _PUBLIC)
            expected = f"from {float(max(low, Fraction(0))):.2f} to {float(min(high, Fraction(100))):.2f}"
            as_defined = " as MMSA computes it" if defect else ""
            why = f"cannot stand beside has-0 {pair.has.value}{as_defined}: {pair.classes.neutral} neutral utterances"
            yield at(pair.non, "halves", expected, severity, why, certainty)


def neutral_answers(tables: Tables) -> Iterator[Finding]:
    """Check Acc-2 n >= Acc-3 n - z: an answer that is right among three classes is right among two, unless neutral.

    Classification: where logit 0 is the largest of three it is the larger of 0 and 2, and logit 2 likewise.
    Regression on CH-SIMS: a prediction up to -0.1 is not above 0, one above 0.1 is. So only the at most z right
    neutral answers can be lost; the same with the neutral left out, N m >= Acc-3 n - z. Where non-0 is MMSA's, positive
    answers are lost as well, N m >= Acc-3 n - z - p.
    """
    defects = {number for number in _pairs(tables) if follows_defect(tables, number)}
    for row in rows_of(tables):
        for cell, least in _least(row, defects):
            if _share(cell) >= least:
                continue
            severity, certainty = graded(cell, _PUBLIC)
            why = f"too low beside Acc-3 {row['Acc-3'].value}: only right answers on neutral utterances can be lost"
            yield at(cell, "neutral", f"at least {float(100 * least):.2f}", severity, why, certainty)


def _least(row: Mapping[str, Cell], defects: set[int]) -> Iterator[tuple[Cell, Fraction]]:
    """Return the two-class accuracies of a row, and what its Acc-3 asks of them at least."""
    three = row.get("Acc-3")
    classes = TEST_CLASSES.get(three.dataset) if three else None
    if three is None or three.value is None or classes is None:
        return
    if three.task == "regression" and convention_of(three.dataset) != "sims":
        return
    right = _share(three) * classes.total
    for name in ("Acc-2", _HAS, _NON):
        cell = row.get(name)
        if cell is None or cell.value is None:
            continue
        defect = name == _NON and cell.table in defects and cell.task == "classification"
        lost = classes.neutral + (classes.positive if defect else 0)
        count = classes.polar if name == _NON else classes.total
        yield cell, (right - lost - SLACK * (classes.total + count)) / count


def _pairs(tables: Tables) -> dict[int, list[_Pair]]:
    """Return the pairs of Acc-2 by table."""
    found: dict[int, list[_Pair]] = {}
    for row in rows_of(tables):
        has, non = row.get(_HAS), row.get(_NON)
        if has and non and has.value is not None and non.value is not None and has.dataset in TEST_CLASSES:
            found.setdefault(has.table, []).append(_Pair(has, non, row.get(_F1), TEST_CLASSES[has.dataset]))
    return found


def _share(cell: Cell) -> Fraction:
    assert cell.value is not None
    return Fraction(cell.value) / 100
