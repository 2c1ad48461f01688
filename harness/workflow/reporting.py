"""From records to a suite's report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from harness import provenance
from harness.spec import RunSpec
from harness.workflow.planning import Folders, Planned

__all__ = ["ReportOptions", "make_report"]


@dataclass(frozen=True)
class ReportOptions:
    """What a user may ask of a report: figures and costs (else the suite's choice), whose cases, utterances, notes.

    ``style`` is the layout of the LaTeX tables, the harness's or the paper's; ``progress`` is told of the models whose
    costs are being counted.
    """

    figures: bool | None = None
    costs: bool | None = None
    case_model: str | None = None
    case_ids: tuple[str, ...] = ()
    case_notes: Path | None = None
    style: Literal["harness", "paper"] = "harness"
    progress: Callable[[Sequence[RunSpec]], Iterable[RunSpec]] = iter


def make_report(planned: Planned, folders: Folders, options: ReportOptions | None = None) -> list[Path]:
    """Render a suite's report from its records; return the files written, the page first.

    Raises
    ------
    InputError
        If the notes cannot be read, or no such model or utterance can be shown.
    StoreError
        If a file cannot be written.
    """
    # pandas and scipy take a second to import, which only a report should pay.
    from harness.cases import read_remarks
    from harness.costs import CellCosts, CellKey, plan_costs
    from harness.figures import cached_features
    from harness.memo import Memo
    from harness.reports import Extras, render
    from harness.results import collect

    options = options or ReportOptions()
    plan, asked = planned.plan, planned.plan.suite.report
    costs: dict[CellKey, CellCosts] = {}
    uncounted: dict[CellKey, str] = {}
    if asked.costs if options.costs is None else options.costs:
        costs = plan_costs(plan, folders.cache, progress=options.progress, refused=uncounted.__setitem__)
    extras = Extras(
        figures=asked.figures if options.figures is None else options.figures,
        features=cached_features(plan, folders.cache),
        remarks=read_remarks(options.case_notes) if options.case_notes else {},
        case_model=options.case_model,
        case_ids=options.case_ids,
        costs=costs,
        uncounted=uncounted,
        style=options.style,
    )
    memo = Memo(folders.cache / "memo" / plan.suite.name)
    results = collect(plan, planned.store, memo)
    files = render(
        results,
        plan,
        folders.reports,
        now=datetime.now(UTC),
        provenance=provenance.of_report(),
        extras=extras,
        memo=memo,
    )
    memo.save()
    return files
