"""All parts as one object of plain data, how it is written, and whether it keeps what is promised."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.calibration.plan import Job, Plan, jobs, settings
from benchmarks.calibration.rates import LEVEL

__all__ = ["COMMITTED", "COVERED", "FALSE_FAMILIES", "SCHEMA", "Broken", "as_text", "broken", "measure"]

SCHEMA = 1
"""To be raised when a field changes its meaning or goes away."""
COMMITTED = Path(__file__).parents[2] / "harness" / "reports" / "calibration.json"
"""What the reports show."""

FALSE_FAMILIES = 0.05
"""Promised: at most so many families without an effect get a dagger."""
COVERED = 0.93
"""Promised: at least so many two-level intervals hold the truth."""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Broken:
    """A figure that breaks a promise by more than its number of repetitions allows."""

    promise: str
    row: Mapping[str, Any]
    rate: Mapping[str, Any]

    def __str__(self) -> str:
        row, rate = self.row, self.rate
        where = f"{row['metric']}, {row['items']} utterances, {row['seeds']} seeds, seed sd {row['seed_sd']:g}"
        what = f", {row['of']}" if "of" in row else ""
        found = f"{rate['rate']:.1%} ({rate['low']:.1%} to {rate['high']:.1%}, {rate['of']} repetitions)"
        return f"{self.promise}: {found} with {where}{what}"


def measure(plan: Plan, note: Callable[[str], None] = lambda _: None, *, workers: int = 1) -> Figures:
    """Simulate everything.

    Parameters
    ----------
    plan : Plan
    note : callable
        Told what is done, with the figures' order.
    workers : int
        Processes. They change no figure.
    """
    figures: Figures = {"schema": SCHEMA, "level": LEVEL, "settings": settings(plan)}
    asked = jobs(plan)
    with ProcessPoolExecutor(workers) as pool:
        for job, rows in zip(asked, pool.map(Job.rows, asked), strict=True):
            figures.setdefault(job.part, []).extend(rows)
            note(job.name)
    return figures


def broken(figures: Figures) -> list[Broken]:
    """Return the promised figures whose `rates.LEVEL` bounds lie on the wrong side of the promise."""
    families = f"families without an effect that get a dagger, at most {FALSE_FAMILIES:.0%}"
    covered = f"two-level intervals that hold the truth, at least {COVERED:.0%}"
    return [
        *(
            Broken(families, row, row["family"])
            for row in figures["stars"]
            if row["promised"] and row["family"]["low"] > FALSE_FAMILIES
        ),
        *(
            Broken(covered, row, row["shown"])
            for row in figures["coverage"]
            if row["promised"] and row["shown"]["high"] < COVERED
        ),
    ]


def as_text(figures: Figures) -> str:
    """Return JSON with sorted keys, one row a line and six decimals: the same figures are always the same text."""
    parts = []
    for name in sorted(figures):
        value = _rounded(figures[name])
        if isinstance(value, list):
            rows = ",\n".join(f"  {json.dumps(row, sort_keys=True)}" for row in value)
            parts.append(f" {json.dumps(name)}: [\n{rows}\n ]")
        else:
            parts.append(f" {json.dumps(name)}: {json.dumps(value, sort_keys=True)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(one) for one in value]
    return value
