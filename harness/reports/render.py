"""Write a report: one self-contained HTML file, LaTeX fragments, and the numbers behind both as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness import models
from harness.disk import replace_file
from harness.errors import StoreError
from harness.metrics import Metric
from harness.reports import latex
from harness.reports.latex import TEMPLATES
from harness.reports.numbers import duration, p_value, plain, signed
from harness.reports.summary import headline, verdicts
from harness.reports.tables import Table, build, cell_name
from harness.results import Results

if TYPE_CHECKING:
    from harness.plan import Plan

__all__ = ["render"]


def render(
    results: Results, plan: Plan, out_dir: Path, *, now: datetime, provenance: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write ``<out_dir>/<suite>/index.html`` and its ``tables`` folder; each file appears whole or not at all.

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

    Returns
    -------
    list of Path
        The files written, `index.html` first.

    Raises
    ------
    StoreError
        If a file cannot be written.
    """
    tables = build(results, plan)
    folder = out_dir / plan.suite.name
    files = {"index.html": _html(results, plan, tables, now, provenance or {})}
    for table in tables:
        files[f"tables/{table.slug}.tex"] = latex.fragment(table)
        files[f"tables/{table.slug}.csv"] = _csv(table.summary)
        files[f"tables/{table.slug}-contrasts.csv"] = _csv(table.contrasts)
    title = plan.suite.title or plan.suite.name
    files["tables/tables.tex"] = latex.document(title, [table.slug for table in tables], now)
    files["tables/runs.csv"] = _csv(results.runs)
    return [_write(folder / name, text) for name, text in files.items()]


def _html(results: Results, plan: Plan, tables: list[Table], now: datetime, provenance: Mapping[str, Any]) -> str:
    report = plan.suite.report
    runs = results.runs
    template = _environment().get_template("report.html")
    return template.render(
        suite=plan.suite,
        synthetic=[table.title for table in tables if table.synthetic],
        all_synthetic=all(table.synthetic for table in tables),
        now=now,
        headline=list(headline(results, plan)),
        verdicts=list(verdicts(tables, report.baseline, report.alpha)),
        tables=tables,
        contrast_rows={table.slug: list(_contrast_rows(table)) for table in tables},
        runs=runs.to_dict("records"),
        failed=runs[runs["status"] == "failed"].to_dict("records"),
        skipped=results.skipped.to_dict("records"),
        environments={key: dict(_flat(described)) for key, described in results.environments.items()},
        environment_runs=runs["environment"].value_counts().to_dict(),
        provenance=dict(_flat(provenance)),
        metrics=_metrics(tables),
        model_notes={m: models.entry(m).notes for m in models.names() if m in plan.suite.models},
    )


def _metrics(tables: list[Table]) -> list[tuple[str, Metric]]:
    """Return each metric definition once, with the task it belongs to."""
    found = {column.metric.signature: (table.task, column.metric) for table in tables for column in table.columns}
    return list(found.values())


def _contrast_rows(table: Table) -> Iterator[dict[str, Any]]:
    """Yield the comparisons of a table as printed, without rows that repeat another and without those of no pair."""
    metrics = {column.metric.name: column.metric for column in table.columns}
    for row in table.contrasts.to_dict("records"):
        metric = metrics[row["metric"]]
        if row["duplicate"] or row["n"] == 0:
            continue
        yield {str(key): value for key, value in row.items()} | {
            "name": cell_name(row["model"], row["variant"]),
            "delta": signed(row["mean"], metric),
            "spread": plain(row["sd"], metric),
            "interval": [signed(row["low"], metric), signed(row["high"], metric)] if row["low"] == row["low"] else [],
            "p": p_value(row["p"]),
            "holm": p_value(row["holm"]),
            "exact": p_value(row["exact"]),
            "floor": p_value(row["floor"]),
            "d": f"{row['d']:.2f}" if row["d"] == row["d"] else "",
        }


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested mappings as dotted names, so that any provenance can be listed."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        elif inner is not None and inner != "":
            yield f"{prefix}{key}", str(inner)


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, lineterminator="\n")


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda file: file.write(text.encode("utf-8")))
    except OSError as error:
        raise StoreError(
            f"cannot write the report: {error.strerror or error}",
            where=str(path),
            hint="check space and permissions there, or name another folder with --reports-dir",
        ) from error
    return path


def _number(text: str) -> str:
    """Return a printed number with a typographic minus."""
    return text.replace("-", "−")


def _whole(value: Any) -> str:
    return "" if pd.isna(value) else f"{int(value):,}".replace(",", "\u202f")


def _seconds(value: Any) -> str:
    return "" if pd.isna(value) else duration(float(value))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "whole": _whole, "seconds": _seconds}
    # The style sheet is ours and part of the page: no second file, nothing fetched.
    environment.globals["style"] = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))  # noqa: S704
    return environment
