"""Write the report: one self-contained page, a LaTeX document, figures, and the numbers behind them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from harness.audit import RULES
from harness.audit.classes import TEST_CLASSES, definition_of
from harness.audit.costs import CostKey, Counted
from harness.audit.finding import SEVERITIES, Finding
from harness.audit.report import words
from harness.audit.report.costs import CostLine, cost_lines, said_of_costs
from harness.audit.report.effects import claims_frame, contrasted, effects_frame, said_of_claims
from harness.audit.report.entries import Entry, entries, grouped
from harness.audit.report.forest import forest
from harness.audit.report.printed import corrections, printed_tables
from harness.audit.report.scope import Checked, checked, numbers_looked_at
from harness.audit.seeds import SEEDS
from harness.figures.figure import save
from harness.published import Tables
from harness.reanalysis import effects, judge
from harness.reports import latex, pages
from harness.wording import counted, listing

__all__ = ["render_audit"]

_TEMPLATES = Path(__file__).parents[1] / "templates"
_MEANING = {
    "error": (
        "An error is impossible or contradictory: of the numbers concerned, or of a number and its label, at least one "
        "cannot be right as printed."
    ),
    "warning": (
        "A warning does not follow from what is printed, but rounding could explain it, it rests on something that the "
        "paper does not state, or it is copied from elsewhere."
    ),
    "note": "A note is about form, such as a missing sign or mark; no value is in question.",
}
_SUPPORT_CLASSES = {"supported": "yes", "partly supported": "part", "not supported": "no", "contradicted": "no"}


def render_audit(
    tables: Tables,
    findings: Sequence[Finding],
    out_dir: Path,
    *,
    now: datetime,
    costs: Mapping[CostKey, Counted] | None = None,
    alpha: float = 0.05,
) -> list[Path]:
    """Write ``<out_dir>/audit``: ``index.html``, ``audit.tex``, ``figures/`` and the numbers as JSON and CSV.

    Parameters
    ----------
    tables : Tables
    findings : sequence of Finding
        From `harness.audit.audit`, in its order.
    out_dir : Path
        The reports folder; it is created if missing.
    now : datetime
        The time to print, with its zone.
    costs : mapping, optional
        Our costs, from `harness.audit.count_costs`; the report says so where they were not counted.
    alpha : float
        Level of the re-analysis.

    Returns
    -------
    list of Path
        The files written, ``index.html`` first.

    Raises
    ------
    StoreError
        If a file cannot be written.
    """
    folder = out_dir / "audit"
    found = effects(tables, alpha)
    judged = judge(tables, alpha)
    over = contrasted(found, alpha)
    figures = save([forest(one, alpha) for one in over], folder / "figures")
    given = {
        **_audited(tables, findings, costs),
        "now": now,
        "over": list(zip(over, figures, strict=True)),
        "judged": judged,
        "claims_summary": said_of_claims(judged),
        "supports": _SUPPORT_CLASSES,
        "assumptions": list(_assumptions(alpha)),
    }
    texts = {
        "index.html": _html(given),
        "audit.tex": _tex(given),
        "findings.json": json.dumps([finding.as_dict() for finding in findings], indent=1, ensure_ascii=False) + "\n",
        "effects.csv": _csv(effects_frame(found, alpha)),
        "claims.csv": _csv(claims_frame(judged)),
    }
    written = [pages.write(folder / name, text) for name, text in texts.items()]
    return written + [path for figure in figures for path in (figure.svg, figure.pdf, figure.csv)]


def _audited(tables: Tables, findings: Sequence[Finding], costs: Mapping[CostKey, Counted] | None) -> dict[str, Any]:
    """Return what the templates show of the audit."""
    labelled = entries(findings)
    lines = cost_lines(tables, costs)
    places = printed_tables(tables, labelled)
    rules = checked(tables, RULES, costs)
    return {
        "audit_summary": list(_summary(tables, findings, lines)),
        "meaning": _MEANING,
        "groups": grouped(labelled),
        "by_label": {entry.label: entry for entry in labelled},
        "tables": places,
        "anchors": {place: anchor for table in places for place, anchor in table.anchors.items()},
        "rules": rules,
        "rule_of": {finding: rule.name for rule in rules for finding in rule.findings},
        "labels_of": {rule.name: _labels(rule, labelled) for rule in rules},
        "cost_lines": lines,
        "costs_said": said_of_costs(lines),
        "corrections": corrections(tables),
    }


def _labels(rule: Checked, labelled: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(entry.label for entry in labelled if entry.first in rule.findings)


def _html(given: Mapping[str, Any]) -> str:
    environment = pages.environment(_TEMPLATES)
    environment.filters |= {"html": words.html, "prose": words.html_prose, "sentence": _sentence}
    own = Markup((_TEMPLATES / "audit.css").read_text(encoding="utf-8"))  # noqa: S704 -- our own style sheet
    drawn = {figure.name: Markup(figure.svg.read_text(encoding="utf-8")) for _, figure in given["over"]}  # noqa: S704
    return environment.get_template("audit.html").render(given, own_style=own, drawn=drawn)


def _tex(given: Mapping[str, Any]) -> str:
    environment = latex.environment(_TEMPLATES)
    environment.filters |= {"set": words.tex, "prose": words.tex_prose, "sentence": _sentence}
    return environment.get_template("audit.tex").render(given)


def _sentence(text: str) -> str:
    """Return words that begin small and have no stop as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def _summary(tables: Tables, findings: Sequence[Finding], lines: tuple[CostLine, ...]) -> Iterator[str]:
    seen, all_of_them = numbers_looked_at(tables, RULES)
    counts = Counter(finding.severity for finding in findings)
    share = f"every one of the {seen:,}" if seen == all_of_them else f"{seen:,} of the {all_of_them:,}"
    yield (
        f"{len(RULES)} rules were applied to Tables 1 to 9. Between them they can object to {share} numbers that "
        "Tables 4 to 8 print, and to what Tables 1, 2, 3 and 9 say."
    )
    if not findings:
        yield "They found nothing to object to."
    for severity in SEVERITIES:
        if counts[severity]:
            named = counted(counts[severity], severity)
            yield f"{named} ({_where(findings, severity)}). {_MEANING[severity]}"
    yield said_of_costs(lines)


def _where(findings: Sequence[Finding], severity: str) -> str:
    by_table = Counter(finding.table for finding in findings if finding.severity == severity)
    return listing([f"{count} in Table {table}" for table, count in sorted(by_table.items())])


def _assumptions(alpha: float) -> Iterator[str]:
    for name, classes in TEST_CLASSES.items():
        yield (
            f"The test split of {definition_of(name).title} has {classes.negative:,} negative, {classes.neutral:,} "
            f"neutral and {classes.positive:,} positive utterances. The paper does not print this; public descriptions "
            f"of the MMSA files do, and the three add up to the {classes.total:,} of Table 1."
        )
    yield (
        f"Own rows and those taken over from MMSA are means over {SEEDS} seeds, each rounded to four digits first, as "
        "MMSA computes them. The paper does not state the number of seeds, so what rests on it is a warning."
    )
    yield (
        "Metrics are what MMSA and Section 4.1.5 define. Rows taken over from a model's own paper may follow other "
        "definitions, and those from MMSA's results page may be copied as they are, so a bound that fails in either is "
        "a warning."
    )
    yield (
        "The tables were typed in from the paper's text. Bold type did not survive its extraction, and underlines in "
        "part, so what depends on them is weak."
    )
    yield (
        "The re-analysis takes the models of a table for a sample of models of their kind, one printed mean each. "
        "Means are printed without their spread over seeds, so nothing can be said of a single model's change; models "
        f"that share code are less independent than the tests assume. The level is {alpha:g}."
    )


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, lineterminator="\n")
