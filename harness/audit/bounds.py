"""Bounds that the definitions of the metrics force for any data set whatever.

Rounding: every seed's accuracy or F1 is rounded to four digits, their mean to two decimals of a percentage. Either
step moves it by at most 0.005 points, so a printed score lies within 0.01 points of the mean of the exact ones:
`SLACK`. Where a bound compares two scores of the same seeds and both steps keep the order, no slack is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from harness.audit.classes import definition_of
from harness.audit.finding import Finding, at, graded
from harness.published import Cell, Tables
from harness.spec import Convention, Task

__all__ = ["F1_OF", "SLACK", "convention_of", "f1_and_accuracy", "nested_accuracies", "ranges", "rows_of"]

SLACK = Fraction(1, 10_000)
"""As a fraction, not in percent."""

F1_OF = {"F1": "Acc-2", "F1/has-0": "Acc-2/has-0", "F1/non-0": "Acc-2/non-0", "F1-3": "Acc-3"}
"""The accuracy over the same classes and utterances as each F1."""

_NESTED: Mapping[tuple[Task, Convention], tuple[str, str]] = {
    ("regression", "mosei"): ("Acc-7", "Acc-5"),
    ("regression", "sims"): ("Acc-5", "Acc-3"),
}


def convention_of(dataset: str) -> Convention:
    """Return which metric definitions a data set follows."""
    return definition_of(dataset).convention


def rows_of(tables: Tables) -> Iterator[Mapping[str, Cell]]:
    """Return every row of scores, as metric to cell; rows of differences are none."""
    for number in (4, 5, 6, 7, 8):
        for (_, _, source), row in tables.rows(number).items():
            if source != "delta":
                yield row


def ranges(tables: Tables) -> Iterator[Finding]:
    """Check that each number can be one of its kind.

    Accuracies and F1 are shares, 0 to 100 %. Corr is a cosine, by Cauchy and Schwarz in [-1, 1]. MAE is a mean of
    absolute values, not below 0; on CH-SIMS labels and predictions are clipped to [-1, 1] first, so not above 2.
    Params and FLOPs are counts of something.
    """
    for cell in (cell for row in rows_of(tables) for cell in row.values() if cell.printed):
        low, high = _range(cell)
        value = cell.value
        assert value is not None
        if not (low <= value and (high is None or value <= high)):
            severity, certainty = graded(cell, "certain")
            expected = f"at least {low}" if high is None else f"from {low} to {high}"
            yield at(cell, "range", expected, severity, "outside the values that this number can take", certainty)


def _range(cell: Cell) -> tuple[int, int | None]:
    if cell.column == "Corr":
        return -1, 1
    if cell.column == "MAE":
        return 0, 2 if convention_of(cell.dataset) == "sims" else None
    if cell.column in ("Params", "FLOPs"):
        return 1, None
    return 0, 100


def nested_accuracies(tables: Tables) -> Iterator[Finding]:
    """Check that merging classes has not lost right answers: Acc-5 >= Acc-7 on MOSEI, Acc-3 >= Acc-5 on CH-SIMS.

    MOSEI: Acc-7 compares round(clip(x, -3, 3)), Acc-5 round(clip(x, -2, 2)). Rounding does not decrease anywhere and
    leaves whole numbers alone, so it commutes with clipping at whole numbers, and the second is the first, clipped
    to [-2, 2]. Labels and predictions that share a class of seven share their class of five.

    CH-SIMS: the cuts of Acc-3, -0.1 and 0.1, are among those of Acc-5, so each class of five lies within one of three.

    Either holds for every seed; rounding and averaging keep the order, so it holds for what is printed, no slack.
    """
    for row in rows_of(tables):
        first = next(iter(row.values()))
        pair = _NESTED.get((first.task, convention_of(first.dataset)))
        if pair is None:
            continue
        fine, coarse = (row.get(name) for name in pair)
        if fine and coarse and fine.value is not None and coarse.value is not None and coarse.value < fine.value:
            severity, certainty = graded(coarse, "certain that one of the two is wrong, for any data and predictions")
            why = f"below {fine.metric} {fine.value} of the same row, though its classes are unions of those classes"
            yield at(coarse, "nested", f"at least {fine.value}", severity, why, certainty)


def f1_and_accuracy(tables: Tables) -> Iterator[Finding]:
    """Check A^2 <= F1 <= 2 A / (1 + A), which holds for weighted F1 and accuracy A whatever the classes.

    Let class c have the share w_c of the labels and p_c of the predictions, and let t_c be the share of all that is
    of c and predicted so. Then A = sum t_c and F1 = sum 2 w_c t_c / (w_c + p_c).

    Above: p_c >= t_c, so with the recall r_c = t_c / w_c it is at most sum w_c g(r_c), g(r) = 2 r / (1 + r) being
    concave; by Jensen that is at most g(sum w_c r_c) = g(A). Below: w_c >= t_c, so it is at least
    2 sum t_c^2 / (w_c + p_c), by Cauchy and Schwarz at least 2 A^2 / sum (w_c + p_c) >= 2 A^2 / 2. Both bounds survive
    the mean over seeds, g being concave and the square convex. MMSA's defective non-0 scores keep to them too: a
    class that is never predicted has t_c = 0.
    """
    for row in rows_of(tables):
        for name, of in F1_OF.items():
            cell, accuracy = row.get(name), row.get(of)
            if cell is None or accuracy is None or cell.value is None or accuracy.value is None:
                continue
            share, score = Fraction(accuracy.value) / 100, Fraction(cell.value) / 100
            least, most = max(share - SLACK, Fraction(0)), share + SLACK
            low, high = least * least, 2 * most / (1 + most)
            if not low <= score + SLACK or not score - SLACK <= high:
                severity, certainty = graded(cell, "certain that the two do not go together, for any classes")
                expected = f"from {float(100 * low):.2f} to {float(100 * high):.2f}"
                why = f"a weighted F1 that {of} {accuracy.value} of the same row rules out"
                yield at(cell, "f1-accuracy", expected, severity, why, certainty)
