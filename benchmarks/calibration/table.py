"""The figures as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["as_tables"]

_Row = Mapping[str, Any]


def as_tables(figures: Mapping[str, Any]) -> str:
    """Return all parts; a rate stands before the bounds that its number of repetitions allows."""
    used = figures["settings"]
    head = (
        f"Bounds of rates are exact at {figures['level']:.0%} each. Tests at {used['alpha']:g}, intervals at "
        f"{1 - used['alpha']:g}, families of {used['models']} models, {used['resamples']} resamples."
    )
    return "\n\n".join(
        [
            head,
            _stars(figures["stars"]),
            _coverage(figures["coverage"]),
            _methods(figures["methods"]),
            _power(figures["power"]),
            _floors(figures["floors"]),
        ]
    )


def _stars(rows: Sequence[_Row]) -> str:
    return _table(
        "False daggers: share of families without an effect that get one (* promised to be at most 5 %)",
        ["noise", "profile", "shared", "items", "seeds", "seed sd", "metric", "family, %", "unadjusted, %", "tests, %"],
        (
            [
                *(
                    row["noise"],
                    row["profile"],
                    f"{row['shared']:g}",
                    row["items"],
                    row["seeds"],
                    f"{row['seed_sd']:g}",
                ),
                row["metric"] + "*" * row["promised"],
                _rate(row["family"]),
                _rate(row["unadjusted"]),
                "" if row["single"] is None else f"{100 * row['single']['rate']:.1f}",
            ]
            for row in rows
        ),
    )


def _coverage(rows: Sequence[_Row]) -> str:
    return _table(
        "Two-level intervals: share that holds the truth over seeds and utterances (* promised to be at least 93 %)",
        [
            "items",
            "seeds",
            "seed sd",
            "metric",
            "noise",
            "of",
            "shown, %",
            "by t, %",
            "percentiles, %",
            "t, %",
            "width",
        ],
        (
            [
                *(row["items"], row["seeds"], f"{row['seed_sd']:g}", row["metric"], f"{row['noise_ratio']:.2f}"),
                row["of"] + "*" * row["promised"],
                _rate(row["shown"]),
                f"{100 * row['by_t']:.0f}",
                *(f"{100 * row[name]:.1f}" for name in ("percentiles", "t")),
                f"{row['width']:.4f}",
            ]
            for row in rows
        ),
    )


def _methods(rows: Sequence[_Row]) -> str:
    return _table(
        "Methods beside the harness's own (+)",
        ["method", "what", "items", "seeds", "seed sd", "rate, %"],
        (
            [
                row["method"] + " +" * row["ours"],
                *(row["measures"], row["items"] or "", row["seeds"]),
                "" if row["seed_sd"] is None else f"{row['seed_sd']:g}",
                _rate(row["rate"]),
            ]
            for row in rows
        ),
    )


def _power(rows: Sequence[_Row]) -> str:
    return _table(
        "Power by effect (sd of the delta), all models of a family having it; alone: the only model with an effect",
        ["seeds", "effect", "one test, %", "closed form, %", "dagger, %", "dagger alone, closed form, %"],
        (
            [
                row["seeds"],
                f"{row['effect']:.2f}" + " (power .8)" * row["detectable"],
                _rate(row["single"]),
                f"{100 * row['closed']:.1f}",
                f"{100 * row['daggers']['rate']:.1f}",
                f"{100 * row['closed_alone']:.1f}",
            ]
            for row in rows
        ),
    )


def _floors(rows: Sequence[_Row]) -> str:
    return _table(
        "Floors of the exact tests, and effects found with power .8 (sd of the delta)",
        ["seeds", "sign flip", "Wilcoxon", "one test", "dagger alone"],
        (
            [
                row["seeds"],
                *(f"{row[name]:.3g}" for name in ("sign_flip", "wilcoxon")),
                *(f"{row[name]:.2f}" for name in ("detectable", "detectable_alone")),
            ]
            for row in rows
        ),
    )


def _rate(rate: Mapping[str, float]) -> str:
    return f"{100 * rate['rate']:.1f} ({100 * rate['low']:.1f} to {100 * rate['high']:.1f})"


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return f"{title}\n\n" + "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
