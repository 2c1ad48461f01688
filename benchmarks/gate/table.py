"""The three parts as Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from benchmarks.gate.breaks import Verdict
from benchmarks.gate.patches import BREAKS
from benchmarks.gate.real import Repetition
from benchmarks.gate.simulation import AIMS, ALPHA, FAMILIES, POWER, Alarms, Caught
from harness.gate import Judgement
from harness.gate.rows import VERDICTS

__all__ = ["aa_table", "alarm_table", "breaks_table", "crosswise_line", "power_table"]


_MOST_CELLS = 3


def alarm_table(rows: Sequence[Alarms]) -> str:
    """Return false-alarm rates in percent; bold where more than two standard errors above the aim."""
    head = ["reference : new", "seeds", "noise", *(f"family of {family}, %" for family in FAMILIES)]
    body = (
        [one.design.counts, one.design.seeds, one.noise, *(_rate(one, family) for family in FAMILIES)] for one in rows
    )
    families = " / ".join(f"{rows[0].counts[family][1]:,}" for family in FAMILIES) if rows else "0"
    title = (
        f"False alarms under no change, without floors: families with a loss below {ALPHA:g} after Holm (aim: at most "
        f"{ALPHA:.0%}), with their Monte Carlo standard error; {families} families a cell; bold: more than two "
        "standard errors above the aim; * no part of the aim"
    )
    return _table(title, head, body)


def power_table(rows: Sequence[Caught]) -> str:
    """Return shifts that are caught, beside what ``harness gate explain`` says."""
    head = [
        "reference : new",
        "seeds",
        *(f"family of {family}, sd" for family in FAMILIES),
        *(f"explain, {family}" for family in FAMILIES),
        "aim for one",
    ]
    body = []
    for one in rows:
        shifts = [f"{one.shifts[family]:.2f} ± {one.errors[family]:.2f}" for family in FAMILIES]
        told = [f"{one.told[family]:.2f}" for family in FAMILIES]
        body.append([one.design.counts, one.design.seeds, *shifts, *told, _aim(one)])
    title = (
        f"Shift of one comparison that its family's first Holm step at {ALPHA:g} finds with power {POWER:g}, in sd of "
        "one run's noise (normal), without floors"
    )
    return _table(title, head, body)


def aa_table(rows: Sequence[Repetition]) -> str:
    """Return the gates on unchanged code, and how many were not green."""
    head = ["repetition", "seeds", "exit code", *(verdict.lower() for verdict in VERDICTS), "smallest p after Holm"]
    body = [
        [
            *(number, f"{one.seeds[0]} to {one.seeds[-1]}", one.judgement.exit_code),
            *(one.judgement.count(verdict) or "" for verdict in VERDICTS),
            f"{one.smallest:.2g}",
        ]
        for number, one in enumerate(rows, start=1)
    ]
    passed = sum(one.judgement.exit_code == 0 and not one.judgement.count("RED") for one in rows)
    family = rows[0].judgement.family if rows else 0
    title = (
        f"Unchanged code, other seeds: {passed} of {len(rows)} gates pass (family of {family} comparisons; Params and "
        "MACs are among the green rows)"
    )
    return _table(title, head, body)


def crosswise_line(judgements: Sequence[Judgement]) -> str:
    """Say how many of the gates between all sets of seeds were red, and how many could not judge."""
    codes = [one.exit_code for one in judgements]
    return (
        f"Every set of seeds against every other, {len(codes)} gates which are not independent: {codes.count(1)} red, "
        f"{codes.count(2)} cannot judge"
    )


def breaks_table(rows: Sequence[Verdict]) -> str:
    """Return the verdicts on broken code, a column a case."""
    cases = list(dict.fromkeys(row.case for row in rows))
    head = ["what is broken", "should be red", "rows whose bits moved", *cases]
    body = []
    for name in dict.fromkeys(row.name for row in rows):
        found = {row.case: row for row in rows if row.name == name}
        moved = max(row.moved for row in found.values())
        told = [_verdict(found[case]) if case in found else "" for case in cases]
        body.append([BREAKS[name].title, "yes" if BREAKS[name].harmful else "no", moved, *told])
    family = rows[0].family if rows else 0
    return _table(f"Broken code, a family of {family} comparisons: verdict, rows, smallest p after Holm", head, body)


def _verdict(row: Verdict) -> str:
    said = ", ".join(f"{row.counts[verdict]} {verdict.lower()}" for verdict in VERDICTS if row.counts.get(verdict))
    if row.red:
        most = sorted(row.red.items(), key=lambda item: (not item[0].startswith("mean"), -item[1]))
        where = ", ".join(f"{cell} {count}" for cell, count in most[:_MOST_CELLS])
        more = f" and {len(most) - _MOST_CELLS} cells more" if len(most) > _MOST_CELLS else ""
        said += f"; red: {where}{more}"
    if row.rescored:
        said += f"; {row.rescored} by the same predictions"
    word = {0: "pass", 1: "**drift**", 2: "cannot judge"}[row.exit_code]
    return f"{word}: {said} (p {row.smallest:.2g})"


def _rate(one: Alarms, family: int) -> str:
    rate, error = one.rate(family), one.error(family)
    text = f"{100 * rate:.3f} ± {100 * error:.3f}"
    return f"**{text}**" if rate - 2 * error > ALPHA else text


def _aim(one: Caught) -> str:
    aim = AIMS.get(one.design.counts)
    if aim is None or one.design.correlation is not None:
        return ""
    shift = one.shifts[1]
    return f"{aim:g}: {'met' if math.isfinite(shift) and shift - 2 * one.errors[1] <= aim else 'missed'}"


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return f"{title}\n\n" + "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
