"""The gate's verdict for people on GitHub and GitLab: a Markdown comment, a step summary, annotations.

GitHub takes a step summary of 1 MiB at most and shows ten annotations of a kind per step: the worst come first, and
what is left out is said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.gate.numbers import cell_text, difference_text, p_text, row_sentence, value_text
from harness.gate.rows import VERDICTS, CostRow, Judgement, MetricRow, Verdict
from harness.wording import counted

__all__ = ["COMMENT_MARK", "LONGEST_SUMMARY", "MOST_ANNOTATIONS", "as_annotations", "as_markdown", "worst_first"]

COMMENT_MARK = "<!-- harness gate {suite} -->"
"""The first line of a comment, so that the next one can replace it."""
LONGEST_SUMMARY = 2**20
MOST_ANNOTATIONS = 10
_LONGEST_COMMENT = 60_000
_ROOM = 700
"""Bytes for headings and for what says that something is left out."""
_ICONS: dict[Verdict, str] = {"RED": "🔴", "CANNOT JUDGE": "⚪", "AMBER": "🟠", "STALE": "🔵", "GREEN": "🟢"}
_KINDS: dict[Verdict, str] = {"RED": "error", "CANNOT JUDGE": "error", "AMBER": "warning", "STALE": "notice"}
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@$-])")
_LINKS = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\d)")
"""GitHub looks for people and issues in what is rendered, so that a backslash keeps none of them out."""


def worst_first(judgement: Judgement) -> list[MetricRow | CostRow]:
    """Return all rows, by verdict, the largest losses in margins first."""

    def excess(row: MetricRow | CostRow) -> float:
        if isinstance(row, CostRow) or row.found is None or not row.margin > 0:
            return float("-inf") if not isinstance(row, CostRow) else float("inf")
        return -row.found.difference / row.margin

    return sorted(judgement.every, key=lambda row: (VERDICTS.index(row.verdict), -excess(row)))


def as_markdown(judgement: Judgement, *, longest: int = _LONGEST_COMMENT) -> str:
    """Return a comment of `longest` bytes at most: the verdict, what is not green in a table, the rest folded.

    Rows that do not fit are left out from the end, which is the greenest, and counted.
    """
    top = [COMMENT_MARK.format(suite=judgement.suite), "", f"### {_heading(judgement)}", ""]
    notes = ["", *[f"<sub>{_escaped(note)}</sub>  " for note in (*_rule(judgement), *judgement.notes)], ""]
    head = [
        "| | cell | metric | baseline | now | difference | margin | p (Holm) |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    rows = worst_first(judgement)
    loud = [row for row in rows if row.verdict != "GREEN"]
    quiet = [row for row in rows if row.verdict == "GREEN"]
    left = longest - _size([*top, *notes]) - _ROOM
    told, left = _fitting([f"- ⚪ {_escaped(problem)}" for problem in judgement.problems], left)
    if dropped := len(judgement.problems) - len(told):
        told.append(f"- ⚪ … and {counted(dropped, 'more reason')} why the gate cannot judge.")
    shown, left = _fitting([_line(row) for row in loud], left)
    calm = _fitting([_line(row) for row in quiet], left)[0] if len(shown) == len(loud) else []
    body = [*told, ""] if told else []
    body += [*head, *shown, ""] if shown else []
    if dropped := len(loud) - len(shown):
        body += [f"… and {counted(dropped, 'more row')} that {'is' if dropped == 1 else 'are'} not green.", ""]
    if calm:
        title = f"{counted(len(quiet), 'green row')}" + ("" if len(calm) == len(quiet) else f", the first {len(calm)}")
        body += [f"<details><summary>{title}</summary>", "", *head, *calm, "", "</details>"]
    elif quiet:
        body += [f"{counted(len(quiet), 'green row')}, not listed."]
    return "\n".join([*top, *body, *notes])


def as_annotations(judgement: Judgement, baseline: str, lines: dict[str, int]) -> list[str]:
    """Return GitHub's workflow commands, at most ten of a kind, the worst first; they point into the baseline file."""
    found: dict[str, list[str]] = {}
    for problem in judgement.problems:
        found.setdefault("error", []).append(_command("error", baseline, 1, "gate cannot judge", problem))
    for row in worst_first(judgement):
        if (kind := _KINDS.get(row.verdict)) is not None:
            line = lines.get("/".join(row.cell), 1)
            title = f"{row.verdict.lower()}: {row.metric if isinstance(row, MetricRow) else row.name}"
            found.setdefault(kind, []).append(_command(kind, baseline, line, title, row_sentence(row)))
    told = []
    for kind, commands in found.items():
        kept = commands
        if len(commands) > MOST_ANNOTATIONS:
            rest = len(commands) - MOST_ANNOTATIONS + 1
            more = f"and {rest} more of this kind: see the step summary"
            kept = [*commands[: MOST_ANNOTATIONS - 1], _command(kind, baseline, 1, "gate", more)]
        told += kept
    return told


def _heading(judgement: Judgement) -> str:
    icon = {0: "🟢", 1: "🔴", 2: "⚪"}[judgement.exit_code]
    return f"{icon} harness gate, suite {_escaped(judgement.suite)}: {_escaped(judgement.summary)}"


def _rule(judgement: Judgement) -> Sequence[str]:
    alpha = judgement.options.alpha
    return (
        f"Red: a loss beyond its floor with a one-sided p below {alpha:g} after Holm over {judgement.family} "
        "comparisons. A loss beyond the margin is red whatever else happens. What a green row could have seen: "
        "harness gate explain.",
    )


def _fitting(asked: Sequence[str], left: int) -> tuple[list[str], int]:
    lines = []
    for line in asked:
        size = _size([line])
        if size > left:
            break
        left -= size
        lines.append(line)
    return lines, left


def _line(row: MetricRow | CostRow) -> str:
    if isinstance(row, CostRow):
        then, now = ("" if value is None else f"{value:,}" for value in (row.reference, row.new))
        cells = [cell_text(row.cell), row.name, then, now or row.why, "", "exact", ""]
    else:
        metric = row.metric
        now = value_text(row.new, metric)
        told = [value_text(row.reference, metric), row.why if row.verdict == "CANNOT JUDGE" else now]
        cells = [
            cell_text(row.cell),
            metric,
            *told,
            difference_text(row),
            value_text(row.margin, metric),
            p_text(row.p),
        ]
    return f"| {_ICONS[row.verdict]} | " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Escape what Markdown or HTML would read as markup, a mention of a person included."""
    return _LINKS.sub("<!-- -->", _MARKUP.sub(r"\\\1", " ".join(text.split())))


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _command(kind: str, file: str, line: int, title: str, message: str) -> str:
    def data(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    def value(text: str) -> str:
        return data(text).replace(":", "%3A").replace(",", "%2C")

    return f"::{kind} file={value(file)},line={line},title={value(title)}::{data(message)}"
