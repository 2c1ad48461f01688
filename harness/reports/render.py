"""Write a report: one self-contained HTML file, LaTeX fragments, and the numbers behind both as CSV."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import models
from harness.cases import case_studies
from harness.comparison import RESAMPLES, Comparison, Contrast, Side, compare
from harness.figures import style
from harness.metrics import Metric
from harness.reports import details, sections
from harness.reports.ablation import ablation
from harness.reports.case_sections import CASES, case_sections
from harness.reports.descriptions import descriptions
from harness.reports.explained import explained
from harness.reports.files import latex_files, made_by, number_files
from harness.reports.gallery import Extras, Gallery, gallery
from harness.reports.layout import build
from harness.reports.pages import flat, page, write
from harness.reports.run_pages import run_pages
from harness.reports.sheets import Sheet
from harness.reports.shelf import fill
from harness.reports.summary import answers, headline
from harness.reports.tables import Table
from harness.results import Results

if TYPE_CHECKING:
    from harness.memo import Memo
    from harness.plan import Plan

__all__ = ["render"]

_WORKERS = os.cpu_count() or 1
"""Processes that compute statistics; the numbers are the same whatever their number."""

_OVER_MODELS = (
    "Does a variant help in general? One question per data set, task, metric and contrast, asked of the models' mean "
    "deltas. A single model's answer stands with its table."
)
_RANKED = "How the variants rank when every model is a judge: Friedman's test, then Nemenyi's for all pairs."
_PUBLISHED = (
    "Whether our seeds agree with the means that the paper prints for its own runs. Cannot tell is an answer: our "
    "seeds may spread too widely for either."
)


def render(
    results: Results,
    plan: Plan,
    out_dir: Path,
    *,
    now: datetime,
    provenance: Mapping[str, Any] | None = None,
    resamples: int = RESAMPLES,
    extras: Extras | None = None,
    memo: Memo | None = None,
) -> list[Path]:
    """Write ``<out_dir>/<suite>/index.html``, its ``tables`` folder and a page per run; each file appears whole.

    What an earlier report left in these folders and this one does not write is removed.

    Parameters
    ----------
    results : Results
        What `harness.results.collect` read; may hold no run at all.
    plan : Plan
        The expanded suite.
    out_dir : Path
        The reports folder; it is created if missing.
    now : datetime
        The time to print, with its zone.
    provenance : Mapping, optional
        What rendered the report, shown as it is: nested mappings of plain values.
    resamples : int
        Bootstrap resamples and random swaps behind the intervals and second-level tests.
    extras : Extras, optional
        Figures and cases: what they need beside the records, and which are wanted; no figures unless given.
    memo : Memo, optional
        Statistics that were made before; what is made now goes into it.

    Returns
    -------
    list of Path
        The files written, `index.html` first.

    Raises
    ------
    InputError
        If the cases asked for cannot be shown.
    StoreError
        If a file cannot be written.
    """
    report = plan.suite.report
    compared = compare(
        results, Contrast(Side(report.baseline)), alpha=report.alpha, resamples=resamples, memo=memo, workers=_WORKERS
    )
    folder = out_dir / plan.suite.name
    extras = extras or Extras(figures=False)
    tables = build(compared, plan, extras.costs, extras.uncounted)
    # Before anything is drawn: a case that cannot be shown is the asker's mistake.
    studies = case_studies(results, plan, model=extras.case_model, ids=extras.case_ids)
    cases = case_sections(tables, studies, extras.texts, extras.remarks)
    shown = gallery(results, compared, plan, folder, features=extras.features) if extras.figures else Gallery()
    described = descriptions(plan, extras.features)
    linked = run_pages(results, plan, folder)
    over = [
        _Over("over-models", "Over models", _OVER_MODELS, sections.over_models(tables, compared)),
        _Over("ranks", "Variants ranked", _RANKED, sections.ranked(tables, compared)),
        _Over("published", "Published beside ours", _PUBLISHED, sections.published(tables, compared)),
        _Over("cases", "Cases", CASES, cases),
    ]
    main = _html(results, plan, tables, compared, now, provenance or {}, shown, described, over, linked)
    printed = latex_files(
        plan.suite.title or plan.suite.name,
        tables,
        described,
        # The paper's layout has the paper's tables: of what stands after the results, the cases alone.
        [part for one in over if extras.style == "harness" or one.place == "cases" for part in one.parts],
        extras.costs,
        style=extras.style,
        baseline=report.baseline,
        made=made_by(provenance or {}),
        now=now,
    )
    return [
        write(folder / "index.html", main),
        *fill(folder / "tables", printed | number_files(results, tables, compared)),
        *shown.files,
        *(folder / address for address in linked.values()),
    ]


class _Over(NamedTuple):
    """What stands after the tables: its anchor, its heading, what it asks, and a section per table."""

    place: str
    title: str
    intro: str
    parts: list[sections.Section]


def _html(
    results: Results,
    plan: Plan,
    tables: list[Table],
    compared: Comparison,
    now: datetime,
    provenance: Mapping[str, Any],
    shown: Gallery,
    described: Sequence[Sheet],
    over: Sequence[_Over],
    linked: Mapping[str, str],
) -> str:
    baseline = plan.suite.report.baseline
    runs = results.runs
    return page(
        "report.html",
        suite=plan.suite,
        synthetic=[table.title for table in tables if table.synthetic],
        all_synthetic=all(table.synthetic for table in tables),
        now=now,
        headline=list(headline(results, plan)),
        answers=list(answers(tables, compared, baseline)),
        tables=tables,
        pictures={table.slug: shown.pictures.get(style.slug(table.slug), ()) for table in tables},
        undrawn={table.slug: shown.missing.get(style.slug(table.slug), ()) for table in tables},
        folds={table.slug: details.folds(table, compared, baseline) for table in tables},
        over=[one for one in over if one.parts],
        descriptions=described,
        ablations={table.slug: ablation(table) for table in tables},
        run_pages=linked,
        statistics=explained(),
        runs=runs.to_dict("records"),
        failed=runs[runs["status"] == "failed"].to_dict("records"),
        skipped=results.skipped.to_dict("records"),
        environments={key: dict(flat(described)) for key, described in results.environments.items()},
        environment_runs=runs["environment"].value_counts().to_dict(),
        provenance=dict(flat(provenance)),
        metrics=_metrics(tables),
        model_notes={m: models.entry(m).notes for m in models.names() if m in plan.suite.models},
    )


def _metrics(tables: list[Table]) -> list[tuple[str, Metric]]:
    """Return each metric definition once, with the task it belongs to."""
    found = {column.metric.signature: (table.task, column.metric) for table in tables for column in table.columns}
    return list(found.values())
