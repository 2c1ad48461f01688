"""What lies beside the page: every table as LaTeX, in the house's layout or the paper's, and the numbers as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pandas as pd

from harness.comparison import Comparison
from harness.reports import latex, paper_style, sections
from harness.reports.ablation import ablation
from harness.reports.private import without_paths
from harness.reports.sections import Section
from harness.reports.sheets import Sheet
from harness.reports.tables import Table
from harness.results import Results

if TYPE_CHECKING:
    from harness.costs import CellCosts, CellKey

__all__ = ["Style", "latex_files", "made_by", "number_files"]

Style: TypeAlias = Literal["harness", "paper"]
"""Whose layout the LaTeX tables have: ours, with spread and tests, or the paper's, with means alone."""


def latex_files(
    title: str,
    tables: Sequence[Table],
    described: Sequence[Sheet],
    answers: Sequence[Section],
    costs: Mapping[CellKey, CellCosts],
    *,
    style: Style,
    baseline: str,
    made: str,
    now: datetime,
) -> dict[str, str]:
    """Return the fragments, in the order of the paper's tables, and the document that inputs all of them.

    Parameters
    ----------
    title : str
        Of the document.
    tables, described, answers
        Results; data and models (Tables 1 to 3); cases (Table 9) and whatever else stands after the results.
    costs : mapping
        What was counted, for the paper's layout; ours has it in the tables.
    style : {"harness", "paper"}
    baseline : str
        The variant that others are compared with.
    made : str
        What rendered them.
    now : datetime
    """
    fragments = {sheet.slug: latex.sheet(sheet, made=made) for sheet in described}
    for table in tables:
        marked = ablation(table)
        if style == "paper":
            fragments[table.slug] = paper_style.fragment(table, costs, baseline=baseline, made=made)
            if marked is not None:
                fragments[marked.slug] = paper_style.ablation_fragment(marked, made=made)
            continue
        fragments[table.slug] = latex.fragment(table, made=made)
        if marked is not None:
            fragments[marked.slug] = latex.fragment(marked, made=made)
    for section in answers:
        # On the page these sentences stand above the sheet; a fragment has to carry them itself.
        told = replace(section.sheet, about=" ".join((*section.sentences, section.sheet.about)))
        fragments[told.slug] = latex.sheet(told, made=made)
    document = latex.document(title, list(fragments), now)
    return {f"{name}.tex": text for name, text in fragments.items()} | {"tables.tex": document}


def number_files(results: Results, tables: Sequence[Table], compared: Comparison) -> dict[str, str]:
    """Return the numbers behind tables and answers as CSV."""
    files = {}
    for table in tables:
        files[f"{table.slug}.csv"] = _csv(table.summary)
        files[f"{table.slug}-contrasts.csv"] = _csv(table.contrasts)
        files[f"{table.slug}-items.csv"] = _csv(_listed(table.items, "per_seed_p"))
    files["runs.csv"] = _csv(results.runs.assign(reason=results.runs["reason"].map(without_paths)))
    files["models.csv"] = _csv(sections.marked(compared.models, tables))
    files["rankings.csv"] = _csv(sections.ranking_rows(compared.rankings))
    files["printed.csv"] = _csv(compared.printed)
    return files


def made_by(provenance: Mapping[str, Any]) -> str:
    """Return what rendered a report in a few words: version, commit, and whether anything was changed after it."""
    return ", ".join(_maker(provenance))


def _maker(provenance: Mapping[str, Any]) -> Iterator[str]:
    if version := provenance.get("harness"):
        yield f"harness {version}"
    if git := provenance.get("git"):
        yield f"commit {str(git['commit'])[:10]}{'' if git['clean'] else ' with changes'}"


def _listed(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the frame with one column's lists written out, as a CSV can hold them."""
    return frame.assign(**{column: [";".join(f"{value:.6g}" for value in values) for values in frame[column]]})


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, lineterminator="\n")
