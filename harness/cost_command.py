"""``harness costs``: what the models of a suite cost, beside what the paper prints."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.display import Format, counting, err, print_rows
from harness.models.text import VARIABLE
from harness.plan import Selection

if TYPE_CHECKING:
    from harness.costs import CostRow
    from harness.published import Printed

__all__ = ["show_costs"]

_RIGHT = frozenset({"params", "thop params", "printed", "MACs/sample", "thop MACs/batch", "printed FLOPs"})
_LEGEND = (
    "params: all trainable; MACs/sample: multiply-adds of one utterance by fvcore and our handlers; what the paper "
    "prints are thop's, of one full batch; * is another name for the run above it; JSON lists what is not counted"
)


def show_costs(suite: str, pick: Selection, how: Format) -> None:
    """Count every row of a suite's cost table and print it; the summary goes to standard error.

    Raises
    ------
    InputError
        If the suite, or what was picked from it, makes no sense.
    """
    # Imports torch, which the other commands need not wait for.
    from harness.costs import RunCounter, cost_cells, cost_row

    cells, counter = cost_cells(suite, pick), RunCounter()
    if os.environ.get(VARIABLE) and any(cell.spec.text_encoder for cell in cells):
        err.print(f"text encoders are those that {VARIABLE} names", soft_wrap=True)
    rows = [cost_row(cell, counter) for cell in counting(cells)]
    if how is Format.table:
        print_rows([_shown(row) for row in rows], how, title=f"suite {suite}: costs", right=_RIGHT)
        err.print(_LEGEND, soft_wrap=True)
    else:
        shape = _flat if how is Format.csv else dict
        print_rows([shape(row.as_dict()) for row in rows], how)
    _summarise(rows)


def _shown(row: CostRow) -> dict[str, Any]:
    """One line of the table, which is to fit in 120 columns."""
    return {
        "data": row.cell.spec.data.dataset,
        "model": row.cell.spec.model,
        "variant": row.cell.variant + ("*" if row.cell.alias_of else ""),
        "params": f"{row.costs.trainable:,}",
        "thop params": f"{row.costs.paper.params:,}",
        "printed": _marked(row.printed_params, row.params_match),
        "MACs/sample": f"{row.costs.traced.macs:,}",
        "thop MACs/batch": f"{row.macs_paper:,}",
        "batch": row.batch_size,
        "printed FLOPs": _marked(row.printed_flops, row.flops_match),
    }


def _marked(printed: Printed | None, match: bool | None) -> str:
    if printed is None:
        return ""
    return f"{printed.plain} {'✓' if match else '✗'}"


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fit lists and mappings into one field each."""
    joined: dict[str, Any] = {}
    for key, value in row.items():
        parts = [f"{name}={count}" for name, count in value.items()] if isinstance(value, Mapping) else value
        joined[key] = "; ".join(parts) if isinstance(parts, list) else parts
    return joined


def _summarise(rows: Sequence[CostRow]) -> None:
    """Say how many printed numbers ours equal, and list those that they do not."""
    counts = []
    for column, matches in (("Params", [r.params_match for r in rows]), ("FLOPs", [r.flops_match for r in rows])):
        judged = [match for match in matches if match is not None]
        if judged:
            counts.append(f"{column} {sum(judged)} of {len(judged)}")
    if not counts:
        err.print("the paper prints no costs for these rows")
        return
    err.print(f"{', '.join(counts)} equal to every printed digit")
    for row in rows:
        for miss in row.misses():
            err.print(f"  {miss}", soft_wrap=True)
