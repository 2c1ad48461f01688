"""The lines of ``harness compare`` as a person reads them: rounded, in the units of the tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.comparison import SAME_RUNS, Comparison, cell_name
from harness.metrics import Metric, definition
from harness.reports.details import records
from harness.reports.numbers import between, p_value, plain, ratio, signed

__all__ = ["item_lines", "model_lines", "paper_lines", "rank_line", "seed_lines"]


def _place(row: Mapping[str, Any]) -> dict[str, object]:
    return {"dataset": row["dataset"], "task": _task(row["task"]), "metric": row["metric"]}


def _metric(row: Mapping[str, Any]) -> Metric:
    metric = definition(row["metric"])
    assert metric is not None  # the frame was made of them
    return metric


def _task(task: str) -> str:
    return {"regression": "reg", "classification": "cls"}.get(task, task)


def _what(row: Mapping[str, Any]) -> str:
    one = cell_name(row["model"], row["variant"])
    if row["baseline_model"] == row["model"] and row["baseline"] == "original":
        return one
    return f"{one} against {cell_name(row['baseline_model'], row['baseline'])}"


def seed_lines(found: Comparison) -> list[dict[str, object]]:
    """Return the first level: one line per comparison and metric."""
    rows: list[dict[str, object]] = []
    for row in records(found.contrasts):
        metric = _metric(row)
        if row["duplicate"] or (row["n"] == 0 and row["note"] != SAME_RUNS):
            continue
        rows.append(
            _place(row)
            | {
                "what": _what(row),
                "n": row["n"],
                "delta": signed(row["mean"], metric),
                _level(found): between(row["low"], row["high"], metric),
                "by": {"two-level bootstrap": "2-level", "t over seeds": "t"}.get(row["method"], ""),
                "d": ratio(row["d"]),
                "p": p_value(row["p"]),
                "Holm": p_value(row["holm"]),
                "family": row["family"],
                "exact": p_value(row["exact"]),
                "floor": p_value(row["floor"]),
                "needed": "" if math.isnan(row["needed"]) else f"{row['needed']:.0f}",
                "verdict": row["verdict"] if not row["note"] else f"{row['verdict']} ({row['note']})",
            }
        )
    return rows


def model_lines(found: Comparison) -> list[dict[str, object]]:
    """Return the answers over models."""
    rows: list[dict[str, object]] = []
    for row in records(found.models):
        metric = _metric(row)
        rows.append(
            _place(row)
            | {
                "what": row["contrast"],
                "models": row["models"],
                "delta": signed(row["mean"], metric),
                _level(found): between(row["low"], row["high"], metric),
                "+": row["better"],
                "-": row["worse"],
                "Wilcoxon": p_value(row["wilcoxon"]),
                "Holm": p_value(row["holm"]),
                "family": row["family"],
                "floor": p_value(row["floor"]),
                "sign": p_value(row["sign"]),
                "verdict": row["verdict"],
            }
        )
    return rows


def _level(found: Comparison) -> str:
    return f"{100 * (1 - found.alpha):g} % interval"


def rank_line(one: Mapping[str, Any], alpha: float) -> dict[str, object]:
    """Return one ranking, given as JSON has it."""
    groups = [" ".join(group) for group in one["not_told_apart"]]
    told = one["p"] is not None and one["p"] < alpha  # Nemenyi is asked only where Friedman rejects
    ranks = sorted(one["mean_ranks"].items(), key=lambda item: item[1])
    return _place(one) | {
        "models": len(one["blocks"]),
        "mean ranks": ", ".join(f"{variant} {rank:.2f}" for variant, rank in ranks),
        "Friedman p": p_value(one["p"]),
        "floor": p_value(one["floor"]),
        "critical difference": f"{one['critical_difference']:.2f}",
        "not told apart": "; ".join(groups) if told else "all",
    }


def paper_lines(found: Comparison) -> list[dict[str, object]]:
    """Return the paper's means beside ours."""
    rows: list[dict[str, object]] = []
    for row in records(found.printed):
        metric = _metric(row)
        rows.append(
            _place(row)
            | {
                "what": cell_name(row["model"], row["variant"]),
                "printed": plain(row["printed"], metric),
                "ours": plain(row["ours"], metric),
                "n": row["n"],
                "difference": signed(row["difference"], metric),
                "prediction": between(row["low"], row["high"], metric, sign=False),
                "equivalence p": p_value(row["equivalence"]),
                "verdict": row["reading"],
            }
        )
    return rows


def item_lines(found: Comparison) -> list[dict[str, object]]:
    """Return the second level, beside the verdict of the first."""
    return [
        _place(row)
        | {
            "what": _what(row),
            "utterances": row["items"],
            "seeds": row["seeds"],
            "randomization": p_value(row["randomization"]),
            "by": row["per_seed"],
            "p by seed": ", ".join(p_value(p) for p in row["per_seed_p"]),
            "below": f"{row['below_alpha']}/{len(row['per_seed_p'])}" if row["per_seed_p"] else "",
            "Holm over seeds": p_value(row["holm"]),
            "verdict": row["verdict"],
        }
        for row in records(found.items)
    ]
