"""The drift gate: a suite's records against a baseline file, with three exits that are never mixed.

The statistics are `harness.statistics.drift`; this room knows what a baseline holds (`baseline`), how old and new runs
meet (`samples`), what makes a comparison red (`judge`), what the gate could have seen (`explain`), and how other
programs are told (`outputs`).
"""

from __future__ import annotations

from harness.gate.baseline import Baseline, make_baseline, read, write
from harness.gate.judge import judge
from harness.gate.rows import CostRow, Judgement, MetricRow, Verdict

__all__ = [
    "Baseline",
    "CostRow",
    "Judgement",
    "MetricRow",
    "Verdict",
    "judge",
    "make_baseline",
    "read",
    "write",
]
