"""Numbers, counts and ranks of the running text, against the tables that it speaks about."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from harness.audit.finding import Finding, Severity
from harness.published import ClaimKind, Tables
from harness.reanalysis import STATED, parts

__all__ = ["stated"]

_SEVERITIES: Mapping[ClaimKind, Severity] = {"best": "warning"}
"""Of a kind that leaves room: "the best overall" may be another mean. Else an error."""
_QUOTED = 100


def stated(tables: Tables) -> Iterator[Finding]:
    """Look up what the running text states (`Tables.claims`); a finding for each part that the tables do not bear out.

    The claims that a test decides, and those that nothing printed can decide, are for `harness.reanalysis.judge`.
    """
    for claim in tables.claims:
        if claim.kind not in STATED:
            continue
        quote = textwrap.shorten(claim.quote, _QUOTED, placeholder=" ...")
        for part in parts(tables, claim):
            if not part.agrees:
                yield Finding(
                    kind="stated",
                    table=part.table,
                    row=part.row,
                    column=part.column,
                    printed=part.stated,
                    expected=part.found,
                    severity=_SEVERITIES.get(claim.kind, "error"),
                    why=f'section {claim.section} says "{quote}"',
                    certainty=f"certain of the printed digits, if the words mean that {claim.reading}",
                )
