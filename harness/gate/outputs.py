"""The gate's verdict for other programs: JSON, JUnit XML and SARIF.

A red row is a failure, one that cannot be judged an error; amber and stale rows pass and say so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from harness import __version__
from harness.gate.findings import sound
from harness.gate.numbers import cell_text, row_sentence
from harness.gate.rows import CostRow, Judgement, MetricRow, Verdict

__all__ = ["as_data", "as_json", "as_junit", "as_sarif", "lines_of"]

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_RULES: dict[Verdict, tuple[str, str, str]] = {
    "RED": (
        "drift/red",
        "error",
        "A metric got worse by more than its floor, and seeds do not explain it; or a cost has changed.",
    ),
    "CANNOT JUDGE": ("drift/cannot-judge", "error", "There is nothing to compare, or not with what is there."),
    "AMBER": ("drift/amber", "warning", "A loss that seeds may explain, or one that is too small to matter."),
    "STALE": ("drift/stale", "note", "A metric is better than the baseline allows for: the baseline is out of date."),
}


def as_data(judgement: Judgement) -> dict[str, Any]:
    """Return the judgement as plain data; what is not defined is null."""
    return {
        "schema_version": 1,
        "suite": judgement.suite,
        "exit_code": judgement.exit_code,
        "summary": judgement.summary,
        "alpha": judgement.options.alpha,
        "family": judgement.family,
        "problems": list(judgement.problems),
        "notes": list(judgement.notes),
        "rows": [_metric_data(row) for row in judgement.rows],
        "costs": [{**asdict(row), "cell": "/".join(row.cell), **_place(row)} for row in judgement.costs],
    }


def as_json(judgement: Judgement) -> str:
    """Return the judgement as JSON."""
    return sound(json.dumps(as_data(judgement), indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def as_junit(judgement: Judgement) -> str:
    """Return the judgement as JUnit XML: a test suite a cell, a test case a row; problems are errors of their own."""
    from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

    top = JUnitXml(name=f"harness gate {judgement.suite}")
    suites: dict[str, TestSuite] = {}
    for row in judgement.every:
        name = cell_text(row.cell)
        suite = suites.setdefault(name, TestSuite(_xml(name)))
        case = TestCase(_xml(row.metric if isinstance(row, MetricRow) else row.name), classname=_xml(name), time=0.0)
        said = _xml(row_sentence(row))
        if row.verdict == "RED":
            case.result = [_told(Failure, said, "drift")]
        elif row.verdict == "CANNOT JUDGE":
            case.result = [_told(Error, said, "cannot judge")]
        else:
            case.system_out = f"{row.verdict}: {said}"
        suite.add_testcase(case)
    if judgement.problems:
        suite = suites.setdefault("problems", TestSuite("problems"))
        for number, problem in enumerate(judgement.problems, 1):
            case = TestCase(f"problem {number}", classname="problems", time=0.0)
            case.result = [_told(Error, _xml(problem), "cannot judge")]
            suite.add_testcase(case)
    for suite in suites.values():
        top.add_testsuite(suite)
    # The package has types, but not everywhere.
    count: Callable[[], None] = top.update_statistics
    write: Callable[[], bytes] = top.tostring
    count()
    return write().decode("utf-8")


def as_sarif(judgement: Judgement, baseline: str, lines: dict[str, int]) -> str:
    """Return the judgement as SARIF 2.1.0, for GitHub's code scanning and other readers.

    Parameters
    ----------
    judgement : Judgement
    baseline : str
        The baseline's path in the repository, with slashes: results point into it.
    lines : dict
        The line of every cell there (`lines_of`).
    """
    from sarif_pydantic import (
        ArtifactLocation,
        Level,
        Location,
        LogicalLocation,
        Message,
        PhysicalLocation,
        Region,
        ReportingDescriptor,
        Result,
        Run,
        Sarif,
        Tool,
        ToolDriver,
    )

    def found(verdict: Verdict, text: str, place: str, line: int) -> Result:
        rule, level, _ = _RULES[verdict]
        physical = PhysicalLocation(
            artifact_location=ArtifactLocation(uri=quote(baseline)), region=Region(start_line=line)
        )
        location = Location(physical_location=physical, logical_locations=[LogicalLocation(fully_qualified_name=place)])
        return Result(rule_id=rule, level=Level(level), message=Message(text=text), locations=[location])

    results = [
        found(row.verdict, row_sentence(row), "/".join(row.cell), lines.get("/".join(row.cell), 1))
        for row in judgement.every
        if row.verdict in _RULES
    ]
    results += [found("CANNOT JUDGE", problem, judgement.suite, 1) for problem in judgement.problems]
    rules = [ReportingDescriptor(id=rule, short_description=Message(text=text)) for rule, _, text in _RULES.values()]
    driver = ToolDriver(name="msa-harness gate", version=__version__, rules=rules)
    told = Sarif(
        version="2.1.0",
        schema_uri="https://json.schemastore.org/sarif-2.1.0.json",
        runs=[Run(tool=Tool(driver=driver), results=results)],
    )
    return json.dumps(told.model_dump(mode="json", by_alias=True, exclude_none=True), indent=1) + "\n"


def lines_of(text: str, cells: list[str]) -> dict[str, int]:
    """Return the line, from 1, on which each cell stands in the text of a baseline."""
    wanted = {f'"{cell}": {{': cell for cell in cells}
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if (cell := wanted.get(line.strip())) is not None:
            found[cell] = number
    return found


def _metric_data(row: MetricRow) -> dict[str, Any]:
    tested = row.found
    return {
        "cell": "/".join(row.cell),
        **_place(row),
        "metric": row.metric,
        "reference": _number(row.reference),
        "new": _number(row.new),
        "difference": _number(row.difference),
        "margin": _number(row.margin),
        "floor": row.floor,
        "p": _number(row.p),
        "p_better": _number(row.p_better),
        "method": tested.method if tested else None,
        "n_reference": tested.n_reference if tested else None,
        "n_new": tested.n_new if tested else None,
        "cells": row.sample.cells if row.sample else None,
        "exact": row.exact or None,
        "rescored": row.rescored,
        "verdict": row.verdict,
        "why": row.why,
    }


def _place(row: MetricRow | CostRow) -> dict[str, str]:
    return dict(zip(("dataset", "setting", "task", "model", "variant"), row.cell, strict=True))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _told(kind: Any, message: str, what: str) -> Any:
    told = kind(message, what)
    told.text = message
    return told


def _xml(text: str) -> str:
    """Drop what XML cannot hold at all, escaped or not."""
    return _NOT_XML.sub("", text)
