"""The rows of differences, recomputed from the rows above them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from harness.audit.finding import Finding, at, box, rounded
from harness.published import COSTS, Cell, Printed, Tables

__all__ = ["deltas", "plus_signs"]

_LOWER_IS_BETTER = ("MAE",)
_RESULT_TABLES = (4, 5, 6, 7, 8)
Range = tuple[Fraction, Fraction]


def deltas(tables: Tables) -> Iterator[Finding]:
    """Recompute every difference.

    It is the variant minus the original, so that a plus is an improvement; for MAE the original minus the variant; for
    Params and FLOPs the growth in percent of the original. All in exact arithmetic, halves rounded away from zero.

    A difference that does not follow from the printed rows may still follow from the unrounded ones behind them. Each
    of those lies within half a unit of the last printed digit, which gives a range of possible differences: one
    within that range is a warning, one outside it an error. For scores that is one unit in the last place; for
    percentages of numbers with three digits it can be more.
    """
    for number in _RESULT_TABLES:
        rows = tables.rows(number)
        for (model, variant, source), row in rows.items():
            if source != "delta":
                continue
            original = rows.get((model, "original", "reproduction"), {})
            changed = rows.get((model, variant, "reproduction"), {})
            for metric, cell in row.items():
                yield from _judge(cell, original.get(metric), changed.get(metric))


def plus_signs(tables: Tables) -> Iterator[Finding]:
    """Find differences that are printed without the sign that the others have."""
    for cell in tables.cells:
        if cell.source == "delta" and cell.printed and not cell.printed.signed:
            why = "the differences of this paper are printed with their sign"
            yield at(
                cell, "sign", f"+{cell.printed.text}", "note", why, "certain of the form; the value is not touched"
            )


def _judge(cell: Cell, original: Cell | None, changed: Cell | None) -> Iterator[Finding]:
    before = original.printed if original else None
    after = changed.printed if changed else None
    if cell.printed is None or before is None or after is None:
        if cell.printed is not None or (before is not None and after is not None):
            wanted = "no difference" if cell.printed else "a difference"
            why = "a difference stands just where both of its rows have a number"
            yield at(cell, "delta-missing", wanted, "warning", why, "certain")
        return
    if cell.column in COSTS and before.value == 0:
        return  # no percentage of nothing; the range rule objects to the zero
    expected, possible = _expect(cell, before, after)
    if expected == cell.printed.value:
        return
    low, high = box(cell.printed)
    within = possible[0] <= high and low <= possible[1]
    rows = f"{after.plain} against {before.plain}"
    if within:
        why = f"does not follow from the printed numbers, {rows}; unrounded ones could give it"
        certainty = "certain that the printed numbers give another; likely a slip where its neighbours follow from them"
    else:
        why = f"does not follow from the printed numbers, {rows}, nor from any that round to them"
        certainty = "certain that the three numbers do not go together; which one is wrong is open"
    text = f"{expected:+f}" + ("%" if cell.printed.percent else "")
    yield at(cell, "delta", text, "warning" if within else "error", why, certainty)


def _expect(cell: Cell, before: Printed, after: Printed) -> tuple[Decimal, Range]:
    """Return the difference of the printed numbers, rounded as printed, and the range from unrounded ones."""
    assert cell.printed is not None
    (old_low, old_high), (new_low, new_high) = box(before), box(after)
    old, new = Fraction(before.value), Fraction(after.value)
    if cell.column in COSTS:
        exact = 100 * (new / old - 1)
        # A growth falls with the original; numbers of one digit could reach 0, below which no count lies.
        low, high = (100 * (a / b - 1) for a, b in ((new_low, old_high), (new_high, old_low or old)))
    elif cell.column in _LOWER_IS_BETTER:
        exact, low, high = old - new, old_low - new_high, old_high - new_low
    else:
        exact, low, high = new - old, new_low - old_high, new_high - old_low
    return rounded(exact, cell.printed.decimals), (low, high)
