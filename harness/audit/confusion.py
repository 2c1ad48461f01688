"""Two-class F1 beside its accuracy, over every confusion matrix that the class balance allows."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.balance import follows_defect
from harness.audit.bounds import F1_OF, convention_of, rows_of
from harness.audit.classes import TEST_CLASSES, ClassCounts
from harness.audit.finding import Finding, at, graded
from harness.audit.two_classes import f1_range
from harness.published import Cell, Tables

__all__ = ["confusions"]


def confusions(tables: Tables) -> Iterator[Finding]:
    """Find two-class F1 scores that no confusion matrices give together with the accuracy of the same row.

    With the class counts known, accuracy and weighted F1 of one seed follow from two whole numbers, the wrong answers
    of either class. All such matrices are made; the means over any seeds lie in the convex hull of their points (F1
    against accuracy), and the printed pair within the slack of rounding of that. Sharper than the bound for any.
    """
    for row in rows_of(tables):
        for name, of in F1_OF.items():
            cell, accuracy = row.get(name), row.get(of)
            if cell is None or accuracy is None or cell.value is None or accuracy.value is None:
                continue
            counts = _counts(tables, cell)
            if counts is None:
                continue
            first, second, defect = counts
            share, score = float(accuracy.value) / 100, float(cell.value) / 100
            low, high = f1_range(first, second, share, defect=defect)
            if low <= score <= high:
                continue
            severity, certainty = graded(cell, "as sure as the public class counts")
            other_low, other_high = f1_range(first, second, share, by_predictions=True)
            if not defect and other_low <= score <= other_high:
                certainty += "; an F1 weighted by the predicted classes, labels and predictions swapped, could be this"
            why = f"no confusion matrices of {first} to {second} utterances have this F1 with {of} {accuracy.value}"
            yield at(cell, "f1-balance", f"from {100 * low:.2f} to {100 * high:.2f}", severity, why, certainty)


def _counts(tables: Tables, cell: Cell) -> tuple[int, int, bool] | None:
    """Return the two classes' sizes behind a two-class score, and whether it is MMSA's defective one."""
    classes = TEST_CLASSES.get(cell.dataset)
    if classes is None or cell.column != "F1":
        return None
    if cell.half == "non-0":
        defect = cell.task == "classification" and follows_defect(tables, cell.table)
        return classes.negative, classes.positive, defect
    return *_first_class(classes, cell), False


def _first_class(classes: ClassCounts, cell: Cell) -> tuple[int, int]:
    """Neutral utterances count as positive in MOSEI's regression, and as negative everywhere else."""
    if cell.task == "regression" and convention_of(cell.dataset) == "mosei":
        return classes.negative, classes.neutral + classes.positive
    return classes.negative + classes.neutral, classes.positive
