"""The printed cost columns: their order, and beside our own count."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from harness.audit.finding import Finding, Severity, at, rounded
from harness.published import COSTS, Cell, Printed, Tables

if TYPE_CHECKING:
    from harness.costs import CostCell

__all__ = ["CostKey", "Counted", "cost_order", "count_costs", "printed_costs", "with_counts"]

CostKey = tuple[str, str, str]
"""Data set, model, variant."""


@dataclass(frozen=True)
class Counted:
    """Our costs of one row in the paper's convention, and the likely cause where a row is known to miss."""

    params: int
    flops: int
    causes: Mapping[str, str]

    def of(self, column: str) -> int:
        """Return Params or FLOPs."""
        return self.params if column == "Params" else self.flops


def cost_order(tables: Tables) -> Iterator[Finding]:
    """Check that the method, which adds attention over the sub-features, costs no less than the original."""
    for number in (4, 5):
        rows = tables.rows(number)
        for (model, variant, source), row in rows.items():
            original = rows.get((model, "original", source))
            if source == "delta" or variant == "original" or original is None:
                continue
            for column in COSTS:
                ours, theirs = row.get(column), original.get(column)
                if (
                    ours
                    and theirs
                    and ours.value is not None
                    and theirs.value is not None
                    and ours.value < theirs.value
                ):
                    why = "the method adds an attention to the original, and the row has less"
                    expected = f"at least {theirs.printed.plain if theirs.printed else ''}"
                    yield at(ours, "cost-order", expected, "warning", why, "likely; the equations leave no other way")


def printed_costs(tables: Tables, counted: Mapping[CostKey, Counted]) -> Iterator[Finding]:
    """Compare the own rows' Params and FLOPs with what we count, to every printed digit.

    One unit in the last place off is a warning, more an error. Rows that were not counted are not judged.
    """
    checked = [
        (cell, counted[key])
        for cell in tables.cells
        if cell.own and cell.column in COSTS and cell.printed is not None
        if (key := (cell.dataset, cell.model, cell.variant)) in counted
    ]
    hits = sum(_agrees(cell, ours) for cell, ours in checked)
    for cell, ours in checked:
        if cell.printed is None or _agrees(cell, ours):
            continue
        count = ours.of(cell.column)
        apart = abs(rounded(Fraction(count), cell.printed.decimals) - cell.printed.value)
        severity: Severity = "warning" if apart <= cell.printed.unit else "error"
        why = f"not the {count:,} that the built model counts to in the paper's convention"
        cause = ours.causes.get(cell.column)
        certainty = f"likely: {hits} of {len(checked)} printed costs equal ours to every digit"
        yield at(cell, "cost", _like(cell.printed, count), severity, f"{why} ({cause})" if cause else why, certainty)


def with_counts(
    found: Iterable[Finding], tables: Tables, counted: Mapping[CostKey, Counted] | None
) -> Iterator[Finding]:
    """Add what our unrounded counts give to a finding on a percentage of Params or FLOPs; the others stay as they are.

    Only where both of our counts equal the printed numbers to every digit, so that they can stand for the authors'.
    They do not make another finding: what our models count to is no contradiction within the paper.
    """
    own: dict[tuple[str, ...], Cell] = {
        (cell.dataset, cell.model, cell.variant, cell.column): cell for cell in tables.cells if cell.own
    }
    growths = {at(cell, "", "", "note", "", "").place: cell for cell in tables.cells if cell.source == "delta"}
    for finding in found:
        cell = growths.get(finding.place) if finding.kind == "delta" and finding.column in COSTS else None
        if cell is None or cell.printed is None or counted is None:
            yield finding
            continue
        keys: list[CostKey] = [(cell.dataset, cell.model, variant) for variant in ("original", cell.variant)]
        if all(key in counted and _agrees(own[*key, cell.column], counted[key]) for key in keys):
            old, new = (counted[key].of(cell.column) for key in keys)
            growth = rounded(100 * (Fraction(new, old) - 1), cell.printed.decimals)
            said = f"our counts, {new:,} against {old:,}, equal both to every printed digit and give {growth:+f}%"
            finding = replace(finding, certainty=f"{finding.certainty}; {said}")
        yield finding


def count_costs(
    tables: Tables, watch: Callable[[Sequence[CostCell]], Iterable[CostCell]] = lambda cells: cells
) -> dict[CostKey, Counted]:
    """Count every row whose costs are printed; takes about a minute.

    Parameters
    ----------
    tables : Tables
    watch : callable, optional
        Gets the rows to count and returns them one by one; a progress bar, for example.
    """
    # Imports torch, which the other rules need not wait for.
    from harness.costs import RunCounter, cost_cells, cost_row
    from harness.costs.table import KNOWN_MISSES
    from harness.plan import Selection

    wanted = {
        (cell.dataset, cell.model, cell.variant)
        for cell in tables.cells
        if cell.own and cell.column in COSTS and cell.printed is not None
    }
    chosen = [
        cell
        for cell in cost_cells("paper", Selection())
        if cell.spec.task == "regression" and (cell.spec.data.dataset, cell.spec.model, cell.variant) in wanted
    ]
    counter = RunCounter()
    counted: dict[CostKey, Counted] = {}
    for cell in watch(chosen):
        row = cost_row(cell, counter)
        key = (cell.spec.data.dataset, cell.spec.model, cell.variant)
        ours = {"Params": row.costs.paper.params, "FLOPs": row.macs_paper}
        causes = {}
        for column, count in ours.items():
            known, cause = KNOWN_MISSES.get((*key, column), (None, ""))
            if count == known:
                causes[column] = cause
        counted[key] = Counted(ours["Params"], ours["FLOPs"], causes)
    return counted


def _agrees(cell: Cell, ours: Counted) -> bool:
    return cell.printed is not None and cell.printed.agrees(ours.of(cell.column))


def _like(printed: Printed, count: int) -> str:
    """Return a count with as many digits as a printed one, and with a power of ten like it."""
    context = decimal.Context(prec=printed.digits, rounding=decimal.ROUND_HALF_UP)
    mantissa, power = f"{context.create_decimal(count):.{printed.digits - 1}e}".split("e+")
    return f"{mantissa}\u00d710^{power if len(power) == 1 else f'{{{power}}}'}"
