"""An audit of the published tables: against themselves, against what the metrics force, against our costs.

A rule is a function from tables to findings and knows no particular cell, so that another table, or an altered copy
of these, is judged the same way. What a rule claims, and the proof where it is a bound, stands in its docstring.

* `deltas`, `plus_signs`: the rows of differences; `repeated_numbers`, `spellings`: what stands twice;
  `underlines`: the second-best marks of Table 8.
* `ranges`, `nested_accuracies`, `f1_and_accuracy`: bounds for any data whatever.
* `definitions`, `halves`, `neutral_answers`, `confusions`, `three_class_f1`, `mae_and_accuracies`: bounds from the
  class balance, which is public and not in the paper.
* `seed_means`: accuracies that no mean over five seeds prints.
* `sizes`, `sub_features`, `networks`, `settings`, `cases`: Tables 1 to 3, the data settings, and Table 9.
* `stated`: numbers, counts and ranks of the running text (`Tables.claims`).
* `cost_order`, and with a count of our own `printed_costs`: Params and FLOPs.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.audit.balance import definitions, halves, neutral_answers
from harness.audit.bounds import f1_and_accuracy, nested_accuracies, ranges
from harness.audit.confusion import confusions
from harness.audit.costs import CostKey, Counted, cost_order, count_costs, printed_costs, with_counts
from harness.audit.deltas import deltas, plus_signs
from harness.audit.descriptions import cases, networks, settings, sizes, sub_features
from harness.audit.distances import mae_and_accuracies
from harness.audit.finding import SEVERITIES, Finding, Rule, Severity
from harness.audit.repeats import repeated_numbers, spellings
from harness.audit.seeds import seed_means
from harness.audit.stated import stated
from harness.audit.three_classes import three_class_f1
from harness.audit.underlines import underlines
from harness.published import Tables

__all__ = [
    "RULES",
    "SEVERITIES",
    "CostKey",
    "Counted",
    "Finding",
    "Rule",
    "Severity",
    "audit",
    "count_costs",
    "printed_costs",
]

RULES: tuple[Rule, ...] = (
    *(ranges, nested_accuracies, f1_and_accuracy),
    *(definitions, halves, neutral_answers, confusions, three_class_f1, mae_and_accuracies, seed_means),
    *(deltas, repeated_numbers, cost_order, sizes, sub_features, networks, settings, cases),
    stated,
    *(underlines, plus_signs, spellings),
)
"""All rules that need the tables alone."""


def audit(tables: Tables, costs: Mapping[CostKey, Counted] | None = None) -> tuple[Finding, ...]:
    """Apply every rule.

    Parameters
    ----------
    tables : Tables
    costs : mapping, optional
        Our costs, from `count_costs`; the printed ones are not compared unless given.

    Returns
    -------
    tuple of Finding
        Errors first, then warnings, then notes; within each by table, as the rules find them.
    """
    found = [finding for rule in RULES for finding in with_counts(rule(tables), tables, costs)]
    if costs is not None:
        found += printed_costs(tables, costs)
    return tuple(sorted(found, key=lambda finding: (SEVERITIES.index(finding.severity), finding.table)))
