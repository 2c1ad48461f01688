"""The first lines of a report: what ran, what is missing, and which differences hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from harness.comparison import Comparison
from harness.reports.notes import seeds_text
from harness.reports.numbers import duration
from harness.reports.tables import Table
from harness.results import Results
from harness.wording import counted, listing

if TYPE_CHECKING:
    from harness.plan import Plan

__all__ = ["answers", "headline"]

_SIDES = ("better", "worse")
_SILENT = "no difference shown"
_BLIND = "cannot tell"


def headline(results: Results, plan: Plan) -> Iterator[str]:
    """Yield what ran: models, variants, data sets and seeds; runs done, failed and missing; time spent."""
    suite = plan.suite
    names = list(dict.fromkeys(cell.dataset.name for cell in plan.cells))
    yield (
        f"{counted(len(suite.models), 'model')} in {counted(len(suite.variants), 'variant')} "
        f"({', '.join(suite.variants)}) on {listing(names) or 'no data set'}, {' and '.join(suite.tasks)}, "
        f"{seeds_text(suite.seeds)}."
    )
    status = results.runs["status"].value_counts()
    done, failed, missing = (int(status.get(name, 0)) for name in ("done", "failed", "missing"))
    gaps = [f"{n} {word}" for n, word in ((failed, "failed"), (missing, "not run yet")) if n]
    total = done + failed + missing
    told = f"All {total} runs are done." if total and done == total else f"{done} of {counted(total, 'run')} done"
    spent = results.runs["wall_seconds"].dropna().astype(float).sum()
    yield (told if not gaps else f"{told}, {listing(gaps)}.") + (
        f" Training took {duration(float(spent))} in sum over runs." if done else ""
    )


def answers(tables: Sequence[Table], compared: Comparison, baseline: str) -> Iterator[tuple[str, list[str]]]:
    """Yield, for each table that compares anything, its heading and what its comparisons say.

    Per variant how many hold after Holm and which way they point, then what was not shown and what could not be told,
    then the answer over models. Repeated rows count once, and columns that keep MMSA's defect are left out: their
    correction is counted instead.
    """
    for table in tables:
        sound = [column.metric.name for column in table.columns if not column.defect]
        frame = table.contrasts
        frame = frame[frame["metric"].isin(sound) & ~frame["duplicate"].astype(bool) & (frame["n"] > 0)]
        models = compared.models
        models = models[
            (models["dataset"] == table.dataset) & (models["task"] == table.task) & models["metric"].isin(sound)
        ]
        told = [*_held(frame, compared.alpha, baseline), *_open(frame), *_over_models(models, compared.alpha)]
        if told:
            yield table.heading, told


def _held(frame: pd.DataFrame, alpha: float, baseline: str) -> Iterator[str]:
    found = [_verdict(str(variant), block) for variant, block in frame.groupby("variant", sort=False)]
    if found:
        yield f"Significant at {alpha:g} after Holm, against {baseline}: {'; '.join(found)}."


def _verdict(variant: str, block: pd.DataFrame) -> str:
    tested, held = int(block["p"].notna().sum()), block[block["significant"]]
    if tested == 0:
        return f"{variant} not testable (a test needs two pairs of runs or more)"
    # The models are named, since a count alone can hide that it is one model.
    parts = []
    for word in ("better", "worse"):
        models = held.loc[held["verdict"] == word, "model"]
        if len(models):
            parts.append(f"{len(models)} {word}: {listing(list(dict.fromkeys(models)))}")
    told = f" ({', '.join(parts)})" if parts else ""
    return f"{variant} {len(held)} of {counted(tested, 'comparison')}{told}"


def _open(frame: pd.DataFrame) -> Iterator[str]:
    """Say what was not shown, with what could have been, and what no test can tell."""
    tested = frame[frame["p"].notna()]
    silent = tested[tested["verdict"] == _SILENT]
    if len(silent):
        most = silent[silent["n"] == silent["n"].max()].iloc[0]
        yield (
            f"No difference is shown in {len(silent)} of {len(tested)}, which is no proof that there is none: with "
            f"{counted(int(most['n']), 'pair')} of runs a true delta below {most['detectable']:.2f} standard "
            "deviations of the deltas is missed more often than one time in five."
        )
    blind = frame[frame["verdict"] == _BLIND]
    if len(blind):
        yield f"Cannot be told with the runs that there are: {counted(len(blind), 'comparison')}."


def _over_models(models: pd.DataFrame, alpha: float) -> Iterator[str]:
    """Say in one sentence whether the variants help in general."""
    if not len(models):
        return
    parts = [f"{contrast}: {_sides(block)}" for contrast, block in models.groupby("contrast", sort=False)]
    told = "; ".join(parts)
    if set(models["verdict"]) == {_BLIND}:
        told = f"{_BLIND} for any contrast in any of {counted(models['metric'].nunique(), 'metric')}"
    count = int(models["models"].max())
    blind = models[(models["verdict"] == _BLIND) & (models["floor"] * models["family"] >= alpha)]
    why = ""
    if len(blind):
        floor, family = blind["floor"].min(), int(blind["family"].max())
        why = (
            f" ({_BLIND}: with these models Wilcoxon's p cannot fall below {floor:.4g}, nor Holm's for "
            f"{counted(family, 'test')} below {alpha:g})"
        )
    yield f"Over the {count} models, {told}{why}."


def _sides(block: pd.DataFrame) -> str:
    """Say in which metrics one contrast helps or harms, and count the others."""
    said = []
    for verdict in (*_SIDES, _SILENT, _BLIND):
        metrics = list(block.loc[block["verdict"] == verdict, "metric"])
        if metrics:
            said.append(f"{verdict} in {listing(metrics) if verdict in _SIDES else counted(len(metrics), 'metric')}")
    return ", ".join(said)
