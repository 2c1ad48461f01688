"""The first lines of a report: what ran, what is missing, and which differences hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from harness.reports.notes import listing, seeds_text
from harness.reports.numbers import duration
from harness.reports.tables import Table
from harness.results import Results

if TYPE_CHECKING:
    from harness.plan import Plan

__all__ = ["headline", "verdicts"]


def headline(results: Results, plan: Plan) -> Iterator[str]:
    """Yield what ran: models, variants, data sets and seeds; runs done, failed and missing; time spent."""
    suite = plan.suite
    names = list(dict.fromkeys(cell.dataset.name for cell in plan.cells))
    yield (
        f"{_count(len(suite.models), 'model')} in {_count(len(suite.variants), 'variant')} "
        f"({', '.join(suite.variants)}) on {listing(names) or 'no data set'}, {' and '.join(suite.tasks)}, "
        f"{seeds_text(suite.seeds)}."
    )
    status = results.runs["status"].value_counts()
    done, failed, missing = (int(status.get(name, 0)) for name in ("done", "failed", "missing"))
    gaps = [f"{n} {word}" for n, word in ((failed, "failed"), (missing, "not run yet")) if n]
    total = done + failed + missing
    told = f"All {total} runs are done." if total and done == total else f"{done} of {_count(total, 'run')} done"
    spent = results.runs["wall_seconds"].dropna().astype(float).sum()
    yield (told if not gaps else f"{told}, {listing(gaps)}.") + (
        f" Training took {duration(float(spent))} in sum over runs." if done else ""
    )


def verdicts(tables: Sequence[Table], baseline: str, alpha: float) -> Iterator[tuple[str, str]]:
    """Yield, for each table, its heading and per variant how many comparisons hold after Holm and which way they point.

    Repeated rows count once, and columns that keep MMSA's defect are left out: their correction is counted instead.
    """
    for table in tables:
        sound = {column.metric.name for column in table.columns if not column.defect}
        frame = table.contrasts
        frame = frame[frame["metric"].isin(sound) & ~frame["duplicate"].astype(bool) & (frame["n"] > 0)]
        found = [_verdict(str(variant), block) for variant, block in frame.groupby("variant", sort=False)]
        if found:
            yield table.heading, f"Significant at {alpha:g} after Holm, against {baseline}: {'; '.join(found)}."


def _verdict(variant: str, block: pd.DataFrame) -> str:
    tested, held = int(block["p"].notna().sum()), block[block["significant"]]
    if tested == 0:
        return f"{variant} not testable (a test needs two pairs of runs or more)"
    # The models are named, since a count alone can hide that it is one model.
    parts = []
    for word, sign in (("better", 1), ("worse", -1)):
        models = held.loc[held["mean"] * sign > 0, "model"]
        if len(models):
            parts.append(f"{len(models)} {word}: {listing(list(dict.fromkeys(models)))}")
    told = f" ({', '.join(parts)})" if parts else ""
    return f"{variant} {len(held)} of {_count(tested, 'comparison')}{told}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' if n != 1 else ''}"
