"""Findings as a reader meets them: grouped, and with a short label that the tables can point to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.audit.finding import SEVERITIES, Finding, Severity

__all__ = ["Entry", "entries", "grouped"]


@dataclass(frozen=True)
class Entry:
    """One thing to say, at one place or at several of a table that have the same explanation.

    Attributes
    ----------
    label : str
        ``E1`` for the first error, ``W1`` for the first warning, ``N1`` for the first note.
    findings : tuple of Finding
        They share kind, table, severity, why and certainty.
    """

    label: str
    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """The finding whose words stand for all."""
        return self.findings[0]


def entries(findings: Sequence[Finding]) -> tuple[Entry, ...]:
    """Group findings that differ in their place alone, and label them in the order of `harness.audit.audit`."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        key = (finding.severity, finding.table, finding.kind, finding.why, finding.certainty)
        groups.setdefault(key, []).append(finding)
    counts = dict.fromkeys(SEVERITIES, 0)
    found = []
    for group in sorted(groups.values(), key=lambda group: (SEVERITIES.index(group[0].severity), group[0].table)):
        severity = group[0].severity
        counts[severity] += 1
        found.append(Entry(f"{severity[0].upper()}{counts[severity]}", tuple(group)))
    return tuple(found)


def grouped(found: Sequence[Entry]) -> list[tuple[Severity, list[tuple[int, list[Entry]]]]]:
    """Return the entries by severity, and within by table; a severity without any has an empty list."""
    by_severity = []
    for severity in SEVERITIES:
        kept = [entry for entry in found if entry.first.severity == severity]
        by_table = [(table, list(group)) for table, group in groupby(kept, key=lambda entry: entry.first.table)]
        by_severity.append((severity, by_table))
    return by_severity
