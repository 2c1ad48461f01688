"""What stands folded below a table: every comparison, every interval, and the second level."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from harness.comparison import MARGINS, SAME_RUNS, Comparison, cell_name
from harness.reports.numbers import between, p_value, plain, ratio, signed
from harness.reports.sheets import Head, Line, Sheet, heads, ruled
from harness.reports.tables import Table

__all__ = ["comparisons", "folds", "means", "named", "records", "second_level"]


_BY = {"two-level bootstrap": "two-level", "t over seeds": "t"}
_REMARKS = {
    "one pair": "one pair of runs",
    "constant": "every delta is the same",
    "no difference": "every delta is zero",
}


def folds(table: Table, compared: Comparison, baseline: str) -> list[tuple[str, Sheet]]:
    """Return what folds out below a table, each under its title; what has no line is left out."""
    compares = comparisons(table, compared, baseline)
    found = (
        (f"{len(compares.lines) if compares else 0} comparisons with {baseline}", compares),
        ("Means with intervals", means(table, compared)),
        ("Second level: the same models on other utterances", second_level(table, compared)),
    )
    return [(title, sheet) for title, sheet in found if sheet is not None]


def comparisons(table: Table, compared: Comparison, baseline: str) -> Sheet | None:
    """Return the first level of a table: every comparison that has a pair of runs, repeated ones once."""
    rows = [
        row for row in records(table.contrasts) if not row["duplicate"] and (row["n"] > 0 or row["note"] == SAME_RUNS)
    ]
    if not rows:
        return None
    return Sheet(
        slug=f"{table.slug}-contrasts",
        caption=f"{table.title}, {table.task}: variant against {baseline}, seed by seed; + is an improvement.",
        about=(
            f"Interval of the mean Δ at {_level(compared)}, not adjusted: by a bootstrap over seeds and test "
            f"utterances together ({compared.resamples:,} resamples; two-level), or by Student's t over seeds where "
            "seeds are most of the variance (t). d: paired Cohen's d with Hedges' correction. p: paired t test. Holm "
            "p: adjusted for the tests of its family; the verdict comes from it. Exact p: sign-flip test, beside the "
            "smallest value that n pairs allow. Detectable Δ: the true mean delta that the t test finds with "
            "probability 0.8 before adjustment, if deltas vary as they do here; where no difference is shown, a "
            "smaller one may well be there. Seeds needed: with so many the t test finds a true delta of "
            f"{100 * MARGINS[True]:g} point ({MARGINS[False]:g} of MAE and Corr) in the same way. Accuracies and F1 in "
            "percent."
        ),
        synthetic=table.synthetic,
        first="Model",
        columns=heads(
            *(Head("Metric", words=True), "n", "Mean Δ", "sd", f"{_level(compared)} interval", Head("by", words=True)),
            *("d", "p", "Holm p", Head("family", title="tests adjusted together"), "Exact p", "floor"),
            *("Detectable Δ", "Seeds needed", Head("Verdict", words=True)),
        ),
        lines=ruled(_compared(row, table) for row in rows),
    )


def means(table: Table, compared: Comparison) -> Sheet | None:
    """Return the mean of every cell with its interval, laid out as the table of scores; None without intervals."""
    frame = table.summary
    if not frame["low"].notna().any():
        return None
    kept = frame[~frame["duplicate"].astype(bool)]
    by_cell: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in records(kept):
        by_cell.setdefault((row["model"], row["setting"], row["variant"]), []).append(row)
    blocks = list(by_cell.values())
    models = [block[0]["model"] for block in blocks]
    lines = tuple(
        _mean_line(block, table, opens=model != before)
        for block, model, before in zip(blocks, models, [None, *models[:-1]], strict=True)
    )
    return Sheet(
        slug=f"{table.slug}-means",
        caption=f"{table.title}, {table.task}: mean over n seeds with its {_level(compared)} interval.",
        about=(
            f"Intervals over seeds and test utterances together ({compared.resamples:,} bootstrap resamples); where "
            "seeds are most of the variance, Student's t over seeds, marked t. Two models share seeds and utterances, "
            "so overlapping intervals do not say that they are alike: the comparisons do. Accuracies and F1 in percent."
        ),
        synthetic=table.synthetic,
        first="Model",
        columns=heads("n", *table.labels.values()),
        lines=lines,
    )


def second_level(table: Table, compared: Comparison) -> Sheet | None:
    """Return the tests over test utterances, each beside the first level's answer; None if none was made."""
    rows = records(table.items)
    if not rows:
        return None
    return Sheet(
        slug=f"{table.slug}-items",
        caption=f"{table.title}, {table.task}: second level, over test utterances.",
        about=(
            "The trained models are taken as they are and asked whether they would differ on other utterances; nothing "
            "is said about other seeds, and a p alone is no verdict. Randomization: both models' predictions swapped "
            f"at random, utterance by utterance, for all seeds together ({compared.resamples:,} times, so no p is "
            f"below {table.items['randomization_floor'].max():.2g}). By seed: McNemar's test for accuracies, "
            "Williams' t for Corr, on the two models of one seed. None of these is adjusted for the number of tests. "
            "What the first level says, over seeds, stands at the right and decides."
        ),
        synthetic=table.synthetic,
        first="Model",
        columns=heads(
            *(Head("Metric", words=True), "Utterances", "Seeds", "Randomization p"),
            *(Head("Test by seed", words=True), "p by seed", f"below {compared.alpha:g}"),
            *(Head("Holm p", title="over seeds"), Head("First level", words=True, title="over seeds")),
        ),
        lines=ruled(_second(row, table) for row in rows),
    )


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame by column name."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _level(compared: Comparison) -> str:
    return f"{100 * (1 - compared.alpha):g} %"


def _compared(row: dict[str, Any], table: Table) -> Line:
    metric = table.metrics[row["metric"]]
    detectable = row["detectable"] * row["sd"] if row["sd"] > 0 else math.nan
    cells = (
        *(
            table.labels[row["metric"]],
            str(row["n"]),
            signed(row["mean"], metric) + ("†" if row["significant"] else ""),
        ),
        *(plain(row["sd"], metric), between(row["low"], row["high"], metric), _BY.get(row["method"], "")),
        *(ratio(row["d"]), p_value(row["p"]), p_value(row["holm"]), str(row["family"] or "")),
        *(p_value(row["exact"]), p_value(row["floor"]), plain(detectable, metric)),
        "" if math.isnan(row["needed"]) else f"{row['needed']:.0f}",
        _verdict(row),
    )
    return Line(named(row, table), cells, holds=bool(row["significant"]))


def _verdict(row: dict[str, Any]) -> str:
    if row["note"] == SAME_RUNS:
        return SAME_RUNS
    remarks = [_REMARKS.get(row["note"], row["note"])]
    if row["n"] > 1 and pd.isna(row["method"]):
        remarks.append("not tested on the same utterances")
    return ": ".join([row["verdict"], *filter(None, remarks)])


def _mean_line(rows: list[dict[str, Any]], table: Table, *, opens: bool) -> Line:
    found = {row["metric"]: row for row in rows}
    n = max(row["n"] for row in rows)
    cells = (str(n), *(_mean(found.get(name), table) for name in table.metrics))
    return Line(named(rows[0], table), cells, opens=opens)


def _mean(row: dict[str, Any] | None, table: Table) -> str:
    if row is None or math.isnan(row["mean"]):
        return "—"
    metric = table.metrics[row["metric"]]
    ends = between(row["low"], row["high"], metric, sign=False)
    by = " t" if row["method"] == "t over seeds" else ""
    return plain(row["mean"], metric) + (f" ({ends}){by}" if ends else "")


def _second(row: dict[str, Any], table: Table) -> Line:
    by_seed = row["per_seed_p"]
    return Line(
        named(row, table),
        (
            *(table.labels[row["metric"]], str(row["items"]), str(row["seeds"])),
            *(p_value(row["randomization"]), row["per_seed"]),
            *(", ".join(map(p_value, by_seed)), f"{row['below_alpha']} of {len(by_seed)}" if by_seed else ""),
            *(p_value(row["holm"]), row["verdict"]),
        ),
    )


def named(row: dict[str, Any], table: Table) -> str:
    """Return what a frame's row is called: model and variant, and the setting where the table has several."""
    return cell_name(row["model"], row["variant"]) + (f", {row['setting']}" if table.settings else "")
