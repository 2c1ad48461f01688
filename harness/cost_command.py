"""``harness costs``: what the models of a suite cost, beside what the paper prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.progress import track

from harness.costs import CostRow, RunCounter, cost_cells, cost_row
from harness.display import Format, err, print_rows
from harness.models.text import VARIABLE
from harness.plan import Selection

__all__ = ["show_costs"]


def show_costs(suite: str, pick: Selection, how: Format) -> None:
    """Count every row of a suite's cost table and print it; the summary goes to standard error.

    Raises
    ------
    InputError
        If the suite, or what was picked from it, makes no sense.
    """
    cells, counter = cost_cells(suite, pick), RunCounter()
    if os.environ.get(VARIABLE) and any(cell.spec.text_encoder for cell in cells):
        err.print(f"text encoders are those that {VARIABLE} names", soft_wrap=True)
    watched = track(cells, "counting", console=err, transient=True, disable=not err.is_terminal)
    rows = [cost_row(cell, counter) for cell in watched]
    if how is Format.table:
        print_rows([_shown(row) for row in rows], how, title=f"suite {suite}: costs", right=_RIGHT)
        _explain()
    else:
        shape = _flat if how is Format.csv else dict
        print_rows([shape(row.as_dict()) for row in rows], how)
    _summary(rows)


_RIGHT = frozenset({"params", "paper's", "printed", "MACs/sample", "MACs/batch", "printed "})


def _shown(row: CostRow) -> dict[str, Any]:
    """One line of the table: at most 120 columns wide."""
    mark = {True: "=", False: "x", None: ""}
    return {
        "data": row.cell.spec.data.dataset,
        "model": row.cell.spec.model,
        "variant": row.cell.variant + ("*" if row.cell.alias_of else ""),
        "params": f"{row.costs.trainable:,}",
        "paper's": f"{row.costs.paper.params:,}",
        "printed": row.printed_params.text if row.printed_params else "",
        "": mark[row.params_match],
        "MACs/sample": f"{row.costs.traced.macs:,}",
        "MACs/batch": f"{row.macs_paper:,}",
        "batch": row.batch_size,
        "printed ": row.printed_flops.text if row.printed_flops else "",
        " ": mark[row.flops_match],
    }
