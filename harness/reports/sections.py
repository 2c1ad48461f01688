"""What stands after the tables: answers over models, variants ranked, and the paper's means beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.comparison import PAPER_SEEDS, Comparison, Ranking
from harness.reports.details import named, records
from harness.reports.numbers import between, p_value, plain, ratio, signed
from harness.reports.sheets import Head, Line, Sheet, heads, ruled
from harness.reports.tables import Table
from harness.wording import listing

__all__ = ["Section", "marked", "over_models", "published", "ranked", "ranking_rows"]


_RANKING = [
    *("dataset", "task", "metric", "synthetic", "variant", "mean_rank", "models", "chi2", "p", "floor", "f_p"),
    "critical_difference",
]


@dataclass(frozen=True)
class Section:
    """One table's part of such an answer: sentences, then the figures behind them."""

    heading: str
    sentences: tuple[str, ...]
    sheet: Sheet


def over_models(tables: Sequence[Table], compared: Comparison) -> list[Section]:
    """Return, per table, whether each variant helps over its models; empty with fewer than two models."""
    rows_of = [(table, _of(table, compared.models)) for table in tables]
    return [_over(table, rows, compared.alpha) for table, rows in rows_of if rows]


def _over(table: Table, rows: Sequence[dict[str, Any]], alpha: float) -> Section:
    frame = table.contrasts
    compared = frame[~frame["duplicate"].astype(bool) & frame["mean"].notna()]
    models = compared["model"].unique()
    each = "its mean delta over seeds" if (compared["n"] > 1).any() else "the delta of its one seed"
    return Section(
        table.heading,
        (
            f"The blocks are the models of this table: {listing(list(models))}, each with {each}. "
            "What is asked is whether other models of this kind would gain too; models that share most of their code "
            "are less independent than the tests assume.",
        ),
        Sheet(
            slug=f"{table.slug}-models",
            caption=f"{table.title}, {table.task}: mean deltas over models; + is an improvement.",
            about=(
                f"Interval: Student's t over models at {100 * (1 - alpha):g} %. Wilcoxon p: exact signed-rank test, "
                "beside the smallest value that so many models allow. Holm p and Benjamini-Hochberg's q: within the "
                "family of all metrics of a contrast on this data set and task, shown here or not; metrics that are "
                f"one on this data count once. Verdict: from Holm p at {alpha:g}; cannot tell where so few models "
                "could not have been told apart from chance in this family, whatever they had done. Sign p: do more "
                "models gain than lose? Not adjusted. Accuracies and F1 in percent."
            ),
            synthetic=table.synthetic,
            first="Contrast",
            columns=heads(
                *(Head("Metric", words=True), "Models", "Mean Δ", "Interval", "Better", "Worse", "Equal"),
                *("Wilcoxon p", "floor", "Holm p", "q", Head("family", title="tests adjusted together")),
                *("Sign p", Head("Verdict", words=True)),
            ),
            lines=ruled(_over_line(row, table) for row in rows),
        ),
    )


def _over_line(row: dict[str, Any], table: Table) -> Line:
    metric = table.metrics[row["metric"]]
    return Line(
        row["contrast"],
        (
            *(table.labels[row["metric"]], str(row["models"]), signed(row["mean"], metric)),
            *(between(row["low"], row["high"], metric), str(row["better"]), str(row["worse"]), str(row["equal"])),
            *(p_value(row["wilcoxon"]), p_value(row["floor"]), p_value(row["holm"]), p_value(row["q"])),
            *(str(row["family"]), p_value(row["sign"]), row["verdict"]),
        ),
        holds=row["verdict"] in {"better", "worse"},
    )


def marked(models: pd.DataFrame, tables: Sequence[Table]) -> pd.DataFrame:
    """Return the answers over models with a column that says which data are synthetic."""
    synthetic = {table.dataset: table.synthetic for table in tables}
    return models.assign(synthetic=[synthetic[name] for name in models["dataset"]])


def ranked(tables: Sequence[Table], compared: Comparison) -> list[Section]:
    """Return, per table, how its variants rank over models; empty without three variants over two models."""
    rankings_of = [(table, _rankings_of(table, compared)) for table in tables]
    return [_ranked(table, rankings, compared.alpha) for table, rankings in rankings_of if rankings]


def _rankings_of(table: Table, compared: Comparison) -> list[Ranking]:
    here = [one for one in compared.rankings if (one.dataset, one.task) == (table.dataset, table.task)]
    return [one for one in here if one.metric in table.metrics]


def _ranked(table: Table, rankings: Sequence[Ranking], alpha: float) -> Section:
    variants = list(dict.fromkeys(variant for one in rankings for variant in one.variants))
    blocks = max((one.blocks for one in rankings), key=len)
    sentences = [
        f"The blocks are the models {listing(blocks)}: within each the variants are ranked by their means, 1 the best. "
        f"Two variants differ where their mean ranks lie Nemenyi's critical difference at {alpha:g} or more apart, "
        "which is asked only where Friedman's test rejects at that level."
    ]
    apart = [f"{one.metric}: {listing(_apart(one, alpha))}" for one in rankings if _apart(one, alpha)]
    silent = [one.metric for one in rankings if not _apart(one, alpha)]
    if apart:
        sentences.append(f"{'; '.join(apart)}.")
    if silent:
        sentences.append(f"No two variants are told apart in {listing(silent)}.")
    return Section(
        table.heading,
        tuple(sentences),
        Sheet(
            slug=f"{table.slug}-ranks",
            caption=f"{table.title}, {table.task}: mean ranks of the variants over models, 1 the best.",
            about=(
                "Friedman: chi-square corrected for ties, an approximation that is good from about ten models; p not "
                "adjusted for the number of metrics; floor: the p of models that all agree. Not told apart: groups of "
                "variants, best first, whose mean ranks span less than the critical difference."
            ),
            synthetic=table.synthetic,
            first="Metric",
            columns=heads(
                *("Models", *variants, "χ²", "Friedman p", "floor", "Critical difference"),
                Head("Not told apart", words=True),
            ),
            lines=tuple(_rank_line(one, variants, table) for one in rankings),
        ),
    )


def _apart(one: Ranking, alpha: float) -> list[str]:
    """Return the pairs that differ, the better variant first."""
    if not one.friedman.p < alpha:
        return []
    ranks = one.nemenyi.mean_ranks
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    return [
        f"{one.variants[i]} above {one.variants[j]}"
        for place, i in enumerate(order)
        for j in order[place + 1 :]
        if ranks[j] - ranks[i] >= one.nemenyi.critical_difference
    ]


def _rank_line(one: Ranking, variants: Sequence[str], table: Table) -> Line:
    ranks = dict(zip(one.variants, map(ratio, one.nemenyi.mean_ranks), strict=True))
    groups = " ".join(f"({', '.join(one.variants[i] for i in group)})" for group in one.nemenyi.groups)
    return Line(
        table.labels[one.metric],
        (
            *(str(len(one.blocks)), *(ranks.get(name, "") for name in variants), ratio(one.friedman.statistic)),
            *(p_value(one.friedman.p), p_value(one.friedman.floor), ratio(one.nemenyi.critical_difference), groups),
        ),
    )


def ranking_rows(rankings: Sequence[Ranking]) -> pd.DataFrame:
    """Return rankings as a frame: one row per data set, task, metric and variant."""
    rows = [
        {
            **{name: getattr(one, name) for name in ("dataset", "task", "metric", "synthetic")},
            "variant": variant,
            "mean_rank": rank,
            "models": len(one.blocks),
            "chi2": one.friedman.statistic,
            "p": one.friedman.p,
            "floor": one.friedman.floor,
            "f_p": one.friedman.f_p,
            "critical_difference": one.nemenyi.critical_difference,
        }
        for one in rankings
        for variant, rank in zip(one.variants, one.nemenyi.mean_ranks, strict=True)
    ]
    return pd.DataFrame(rows, columns=_RANKING)


def published(tables: Sequence[Table], compared: Comparison) -> list[Section]:
    """Return, per table, the paper's printed means beside ours; empty where the paper prints none of its cells."""
    once = compared.printed[~compared.printed["duplicate"].astype(bool)]
    rows_of = [(table, _of(table, once)) for table in tables]
    return [_published(table, rows, compared.alpha) for table, rows in rows_of if rows]


def _published(table: Table, rows: Sequence[dict[str, Any]], alpha: float) -> Section:
    readings = [row["reading"] for row in rows]
    counts = [f"{reading} {readings.count(reading)}" for reading in dict.fromkeys(readings)]
    return Section(
        table.heading,
        (f"Of {len(rows)} printed means: {', '.join(counts)}.",),
        Sheet(
            slug=f"{table.slug}-printed",
            caption=f"{table.title}, {table.task}: printed means of the paper's own runs, and ours.",
            about=(
                "The paper prints means alone, so their spread is taken to be ours. Difference: ours minus printed, in "
                f"the metric's own direction. Prediction interval at {100 * (1 - alpha):g} %: where a mean over "
                f"{PAPER_SEEDS} further seeds of ours would fall. Equivalence p: two one-sided t tests within ± the "
                f"margin. Reading: equivalent (p below {alpha:g}), differs (outside the prediction interval), both, or "
                "cannot tell (neither). Not adjusted for the number of means."
            ),
            synthetic=table.synthetic,
            first="Model",
            columns=heads(
                *(Head("Metric", words=True), Head("Table", title="table of the paper"), "Printed", "Ours", "n"),
                *("Difference", "Prediction interval", "Equivalence p", "Margin", Head("Reading", words=True)),
            ),
            lines=ruled(_printed_line(row, table) for row in rows),
        ),
    )


def _printed_line(row: dict[str, Any], table: Table) -> Line:
    metric = table.metrics[row["metric"]]
    return Line(
        named(row, table),
        (
            *(table.labels[row["metric"]], str(row["table"]), plain(row["printed"], metric)),
            *(plain(row["ours"], metric), str(row["n"]), signed(row["difference"], metric)),
            *(between(row["low"], row["high"], metric, sign=False), p_value(row["equivalence"])),
            *(plain(row["margin"], metric), row["reading"]),
        ),
    )


def _of(table: Table, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table, in the metrics that it shows."""
    place = (frame["dataset"] == table.dataset) & (frame["task"] == table.task)
    return records(frame[place & frame["metric"].isin(list(table.metrics))])
