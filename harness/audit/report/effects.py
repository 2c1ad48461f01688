"""The re-analysis as sentences, sheets and frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from harness.audit.classes import definition_of
from harness.reanalysis import Effect, Judged, Summary, summaries
from harness.reanalysis.effects import side
from harness.reports.numbers import p_value
from harness.reports.sheets import Head, Line, Sheet, heads, ruled
from harness.wording import listing

__all__ = ["VERDICTS", "Contrasted", "claims_frame", "contrast_name", "contrasted", "effects_frame", "said_of_claims"]

VERDICTS = {"better": "better", "worse": "worse", "open": "no difference shown", "untold": "cannot tell"}
"""What the adjusted test says, in words; `harness.reanalysis.effects.side` explains each."""

_SUPPORTS = {
    "supported": "{} supported",
    "partly supported": "{} partly supported",
    "not supported": "{} not supported",
    "contradicted": "{} contradicted",
    "cannot be told": "{} beyond what its tables can tell",
}
_DEFECT = "\u2021"


@dataclass(frozen=True)
class Contrasted:
    """What one printed table says over its models: sentences, a sheet, and the effects behind both."""

    table: int
    title: str
    sentences: tuple[str, ...]
    sheet: Sheet
    effects: tuple[Effect, ...]


def contrasted(effects: Sequence[Effect], alpha: float) -> tuple[Contrasted, ...]:
    """Return the effects table by table, in the order given."""
    found = []
    for table, group in groupby(effects, key=lambda effect: effect.table):
        kept = tuple(group)
        title = f"Table {table}, {kept[0].task} on {definition_of(kept[0].dataset).title}"
        sentences = tuple(_sentence(summary, kept) for summary in summaries(kept, alpha))
        found.append(Contrasted(table, title, sentences, _sheet(kept, title, alpha), kept))
    return tuple(found)


def contrast_name(of: Effect | Summary) -> str:
    """Return ``-fg against original``."""
    return f"-{of.variant} against {'original' if of.baseline == 'original' else f'-{of.baseline}'}"


def said_of_claims(judged: Sequence[Judged]) -> str:
    """Count the claims by how far the tables bear them out; empty without any."""
    counts = {support: sum(one.support == support for one in judged) for support in _SUPPORTS}
    said = [words.format(counts[support]) for support, words in _SUPPORTS.items() if counts[support]]
    return f"Of {len(judged)} claims of the text: {listing(said)}." if judged else ""


def effects_frame(effects: Sequence[Effect], alpha: float) -> pd.DataFrame:
    """Return a line per effect, with the deltas it came from."""
    named = ("table", "dataset", "task", "metric", "unit", "variant", "baseline", "defect")
    lines = [
        {
            **{name: getattr(one, name) for name in named},
            "models": len(one.models),
            **{name: getattr(one.rows.mean, name) for name in ("mean", "sd", "low", "high")},
            **{name: getattr(one.rows, name) for name in ("better", "worse", "equal")},
            "wilcoxon_v": one.rows.wilcoxon.statistic,
            "wilcoxon_p": one.rows.wilcoxon.p,
            "wilcoxon_floor": one.rows.wilcoxon.floor,
            "holm_p": one.rows.wilcoxon.adjusted,
            "q": one.rows.wilcoxon.q,
            "family": one.family,
            "family_size": one.rows.wilcoxon.family,
            "sign_p": one.rows.sign.p,
            "verdict": VERDICTS[side(one.rows, alpha)],
            "deltas": "; ".join(f"{model} {delta:+.10g}" for model, delta in zip(one.models, one.deltas, strict=True)),
        }
        for one in effects
    ]
    return pd.DataFrame(lines)


def claims_frame(judged: Sequence[Judged]) -> pd.DataFrame:
    """Return a line per claim."""
    lines = [
        {
            **{name: getattr(one.claim, name) for name in ("id", "section", "kind", "quote", "reading")},
            "support": one.support,
            "evidence": " ".join(one.evidence),
            "strength": one.strength,
        }
        for one in judged
    ]
    return pd.DataFrame(lines)


def _sentence(summary: Summary, effects: Sequence[Effect]) -> str:
    contrast = (summary.variant, summary.baseline)
    counts = sorted({len(effect.models) for effect in effects if (effect.variant, effect.baseline) == contrast})
    models = f"{counts[0]} models" if len(counts) == 1 else f"{counts[0]} or {counts[-1]} models"
    cells = summary.improved + summary.declined + summary.unchanged
    same = f", {summary.unchanged} unchanged" if summary.unchanged else ""
    said = f"better in {listing(summary.better)}" if summary.better else "better in no metric"
    said += f", worse in {listing(summary.worse)}" if summary.worse else ""
    few = f" In {listing(summary.untold)}: too few models for so many tests to show anything." if summary.untold else ""
    return (
        f"{contrast_name(summary)}, over {models}: {summary.improved} of {cells} cells improved, {summary.declined} "
        f"declined{same}; by the tests over models {said}.{few}"
    )


def _sheet(effects: Sequence[Effect], title: str, alpha: float) -> Sheet:
    families = list(dict.fromkeys(effect.family for effect in effects))
    defect = (
        f" {_DEFECT}: a column with MMSA's defect, whose numbers do not measure what the text defines."
        if any(effect.defect for effect in effects)
        else ""
    )
    return Sheet(
        slug=f"effects-t{effects[0].table}",
        caption=f"{title}: differences of printed means over models; + is an improvement.",
        about=(
            f"Mean Δ with its {100 * (1 - alpha):g} % interval (Student's t over models): accuracies and F1 in "
            "percentage points, MAE and Corr in their own units. Wilcoxon p: exact signed-rank test, beside the "
            "smallest value that so many models allow (floor). Holm p and Benjamini-Hochberg's q: adjusted within a "
            f"family ({'; '.join(families)}). Sign p: do more models gain than lose? Not adjusted. The verdict comes "
            f"from Holm p at {alpha:g}, and is that nothing can be told where even models that all agree could not "
            f"have been rejected within the family.{defect}"
        ),
        synthetic=False,
        first="Contrast",
        columns=heads(
            *(Head("Metric", words=True), "Models", "Mean Δ", "Interval", "Better", "Worse", "Equal", "Wilcoxon p"),
            *("floor", "Holm p", "q", Head("family", title="tests adjusted together"), "Sign p"),
            Head("Verdict", words=True),
        ),
        lines=ruled(_line(effect, alpha) for effect in effects),
    )


def _line(effect: Effect, alpha: float) -> Line:
    rows, ranks, mean = effect.rows, effect.rows.wilcoxon, effect.rows.mean
    decimals = 2 if effect.unit == "points" else 4
    holm, q = (math.nan if value is None else value for value in (ranks.adjusted, ranks.q))
    says = side(rows, alpha)
    return Line(
        contrast_name(effect),
        (
            f"{effect.metric}{_DEFECT if effect.defect else ''}",
            *(str(mean.n), _signed(mean.mean, decimals)),
            "" if math.isnan(mean.low) else f"{_signed(mean.low, decimals)} to {_signed(mean.high, decimals)}",
            *(str(rows.better), str(rows.worse), str(rows.equal), p_value(ranks.p), p_value(ranks.floor)),
            *(p_value(holm), p_value(q), str(ranks.family), p_value(rows.sign.p), VERDICTS[says]),
        ),
        holds=says in {"better", "worse"},
    )


def _signed(value: float, decimals: int) -> str:
    """Return a number with its sign, which a printed zero does not have; an empty string for NaN."""
    if math.isnan(value):
        return ""
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text
