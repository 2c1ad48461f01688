"""The first lines of a report: what ran, what is missing, and which differences hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

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


def verdicts(tables: Sequence[Table], baseline: str, alpha: float) -> Iterator[str]:
    """Yield, for each table and variant, how many comparisons hold after Holm and which way they point.

    Repeated rows count once, and columns that keep MMSA's defect are left out: their correction is counted instead.
    """
    for table in tables:
        sound = {column.metric.name for column in table.columns if not column.defect}
        frame = table.contrasts
        frame = frame[frame["metric"].isin(sound) & ~frame["duplicate"].astype(bool) & (frame["n"] > 0)]
        for variant, block in frame.groupby("variant", sort=False):
            head = (
                f"{table.title}{', synthetic' if table.synthetic else ''}, {table.task}, {variant} against {baseline}"
            )
            tested = int(block["p"].notna().sum())
            if tested == 0:
                yield f"{head}: nothing could be tested (each comparison needs two pairs of runs that differ)."
                continue
            held = block[block["significant"]]
            better, worse = int((held["mean"] > 0).sum()), int((held["mean"] < 0).sum())
            where = f": {better} better, {worse} worse" if len(held) else ""
            yield (
                f"{head}: {len(held)} of {_count(tested, 'comparison')} significant at {alpha:g} after Holm{where}"
                f"{_best_of(held.to_dict('records'))}."
            )


def _best_of(held: list[dict[str, object]]) -> str:
    """Name the models behind the significant comparisons, since a count alone can hide that it is one model."""
    parts = []
    for word, sign in (("better", 1), ("worse", -1)):
        models = dict.fromkeys(str(row["model"]) for row in held if float(str(row["mean"])) * sign > 0)
        if models:
            parts.append(f"{word}: {listing(list(models))}")
    return f" ({'; '.join(parts)})" if parts else ""


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' if n != 1 else ''}"
