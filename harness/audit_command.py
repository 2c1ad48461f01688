"""``harness audit``: what is odd about the paper's tables."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import track

from harness.display import Format, err, print_rows
from harness.models.text import VARIABLE

if TYPE_CHECKING:
    from harness.audit import Finding
    from harness.costs import CostCell

__all__ = ["show_audit"]

_WIDTHS = {"row": 16, "column": 14, "printed": 14, "expected": 18, "why": 42}
"""Of the folded columns: with the table's number and the gaps it is less than 120."""


def show_audit(how: Format, *, costs: bool, reports: Path | None = None) -> bool:
    """Print the findings on the published tables, or write them as a report; the summary goes to standard error.

    Parameters
    ----------
    how : Format
    costs : bool
        Whether to count the models, about a minute, and compare the printed costs.
    reports : Path, optional
        The reports folder; with it the findings go to ``<reports>/audit``, and the files written are listed instead.

    Returns
    -------
    bool
        Whether nothing is impossible or contradictory.

    Raises
    ------
    StoreError
        If the report cannot be written.
    """
    # Imports numpy and the registry of models, which the other commands need not wait for.
    from harness.audit import SEVERITIES, audit, count_costs
    from harness.published import load

    tables = load()
    if costs and os.environ.get(VARIABLE):
        err.print(f"text encoders are those that {VARIABLE} names", soft_wrap=True)
    counted = count_costs(tables, _watched) if costs else None
    findings = audit(tables, counted)
    if reports is not None:
        # Draws figures, for which matplotlib is imported.
        from harness.audit.report import render_audit

        files = render_audit(tables, findings, reports, now=datetime.now(UTC), costs=counted)
        print_rows([{"file": str(path)} for path in files], how)
    elif how is Format.table:
        for severity in SEVERITIES:
            if rows := [_shown(finding) for finding in findings if finding.severity == severity]:
                print_rows(rows, how, title=f"{severity}s")
    else:
        print_rows([finding.as_dict() for finding in findings], how)
    counts = Counter(finding.severity for finding in findings)
    err.print(", ".join(f"{counts[severity]} {severity}(s)" for severity in SEVERITIES), soft_wrap=True)
    if not costs:
        err.print("the printed costs were not compared with ours (--no-costs)", soft_wrap=True)
    return not counts["error"]


def _watched(cells: Sequence[CostCell]) -> Iterable[CostCell]:
    return track(cells, "counting", console=err, transient=True, disable=not err.is_terminal)


def _shown(finding: Finding) -> dict[str, object]:
    """One finding of the table, which is to fit in 120 columns."""
    texts = {
        "row": finding.row,
        "column": finding.column,
        "printed": finding.printed,
        "expected": finding.expected,
        "why": f"{finding.kind}: {finding.why}; {finding.certainty}",
    }
    return {"table": finding.table} | {name: textwrap.fill(text, _WIDTHS[name]) for name, text in texts.items()}
