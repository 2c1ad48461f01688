"""The reports that the README links to say what the code says now."""

from __future__ import annotations

import csv
import html
import json
from pathlib import Path

from harness.audit import audit
from harness.published import load
from harness.reanalysis import effects, judge
from harness.reports.explained import explained

REPORTS = Path(__file__).resolve().parents[1] / "reports"
AGAIN = "render it again: harness audit --report, python -m benchmarks.calibration --page reports"


def test_the_audit_holds_todays_findings() -> None:
    committed = json.loads((REPORTS / "audit" / "findings.json").read_text(encoding="utf-8"))
    place = ("kind", "table", "row", "column", "printed", "severity")
    there = {tuple(finding[name] for name in place) for finding in committed}
    now = {tuple(finding.as_dict()[name] for name in place) for finding in audit(load())}
    assert now <= there, AGAIN
    assert {finding[0] for finding in there - now} <= {"cost"}, AGAIN


def test_the_audit_holds_todays_reanalysis() -> None:
    def read(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader((REPORTS / "audit" / name).read_text(encoding="utf-8").splitlines()))

    tables = load()
    wanted = [(str(one.table), one.metric, f"{one.rows.wilcoxon.adjusted:.6g}") for one in effects(tables)]
    assert [(row["table"], row["metric"], f"{float(row['holm_p']):.6g}") for row in read("effects.csv")] == wanted, (
        AGAIN
    )
    supports = [(one.claim.id, one.support) for one in judge(tables)]
    assert [(row["id"], row["support"]) for row in read("claims.csv")] == supports, AGAIN


def test_the_page_of_the_statistics_shows_the_simulated_figures() -> None:
    page = html.unescape((REPORTS / "statistics" / "index.html").read_text(encoding="utf-8"))
    shown = explained().simulated
    assert shown is not None
    for sheet in (shown.families, shown.coverage, shown.methods, shown.floors):
        for line in sheet.lines:
            assert line.name in page, AGAIN
            assert all(f"{cell}</td>" in page for cell in line.cells if cell), AGAIN
