"""What a reader must know to read a table right, as plain sentences made from the results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from harness.metrics import Metric
from harness.models.text import UNREAD
from harness.wording import counted, listing

if TYPE_CHECKING:
    from harness.plan import Cell, Plan

__all__ = ["notes_for", "seeds_text"]

_PAIR = 2


def notes_for(
    cells: Sequence[Cell],
    plan: Plan,
    metrics: Sequence[tuple[Metric, bool]],
    summary: pd.DataFrame,
    contrast: pd.DataFrame,
    slug: str,
) -> Iterator[str]:
    """Yield the notes of one table: what the numbers are, how they were tested, what is marked, what is missing.

    `summary` and `contrast` are the table's rows of `harness.comparison.Comparison`, `slug` names its files.
    """
    seeds = plan.suite.seeds
    if cells[0].dataset.synthetic is not None:
        yield "Synthetic data, drawn by the harness: these numbers say nothing about the models on real videos."
    spread = "mean ± standard deviation (n − 1)" if len(seeds) > 1 else "value"
    yield (
        f"Each cell: {spread} over {seeds_text(seeds)} on the test split; n counts the runs behind it, as done/asked "
        "where some are missing. Accuracies and F1 in percent. "
        "Best value per column in bold, second best underlined; values that print equal share the mark."
    )
    yield from _delta_notes(plan, metrics, contrast, slug)
    yield from _interval_notes(plan, summary, slug)
    yield from _alias_notes(cells)
    yield from _wiring_notes(plan, cells)
    yield from _encoder_notes(cells)
    yield from _gap_notes(cells, summary)
    remarks: dict[tuple[str, bool], list[str]] = {}
    for metric, defect in metrics:
        if metric.note:
            remarks.setdefault((metric.note, defect), []).append(metric.name)
    for (remark, defect), names in remarks.items():
        yield f"{'‡ ' if defect else ''}{listing(names)}: {remark.rstrip('.')}."


def seeds_text(seeds: Sequence[int]) -> str:
    """Return ``seeds 1111 to 1115`` for a run of numbers, else the list."""
    if len(seeds) == 1:
        return f"one seed ({seeds[0]})"
    ordered = sorted(seeds)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{len(seeds)} seeds ({ordered[0]} to {ordered[-1]})"
    return f"{len(seeds)} seeds ({listing([str(seed) for seed in ordered])})"


def _delta_notes(
    plan: Plan, metrics: Sequence[tuple[Metric, bool]], contrast: pd.DataFrame, slug: str
) -> Iterator[str]:
    baseline, alpha = plan.suite.report.baseline, plan.suite.report.alpha
    paired = contrast[contrast["n"] > 0]
    if not len(paired):
        if len(plan.suite.variants) > 1:
            yield f"No delta rows: no variant has a run whose seed the {baseline} model has too."
        return
    lower = listing([metric.name for metric, _ in metrics if not metric.higher_is_better])
    exception = f" ({lower}: {baseline} minus variant)" if lower else ""
    most = paired[paired["n"] == paired["n"].max()].iloc[0]
    over = "mean over paired seeds of " if most["n"] > 1 else ""
    yield f"Δ rows: {over}variant minus {baseline}{exception}, so + is always an improvement."
    if most["n"] < _PAIR:
        yield "With one pair of runs no difference can be tested: no daggers."
        return
    largest = int(contrast["family"].max())
    yield (
        f"† p < {alpha:g} in a two-sided paired t test over seeds, Holm-adjusted within data set, task, metric and "
        f"variant (families of up to {counted(largest, 'model')}). No dagger is no proof of no "
        f"difference: with {most['n']} pairs, before any adjustment, a mean delta must reach "
        f"{most['detectable']:.2f} standard deviations of the deltas to be found with probability 0.8, and the exact "
        f"sign-flip p, which stands beside and decides nothing, cannot go below {most['floor']:.4g}."
    )
    if paired["n"].min() < most["n"]:
        yield "Where runs are missing there are fewer pairs, which can show less still."
    yield (
        f"Every comparison with its p values, effect size and smallest detectable delta, and Benjamini-Hochberg's q, "
        f"stands in {slug}-contrasts.csv."
    )


def _interval_notes(plan: Plan, summary: pd.DataFrame, slug: str) -> Iterator[str]:
    drawn = summary[summary["low"].notna()]
    if len(drawn):
        yield (
            f"{100 * (1 - plan.suite.report.alpha):g} % intervals of the means stand in {slug}.csv: a bootstrap over "
            "seeds and test utterances together, or Student's t over seeds where seeds are most of the variance; the "
            "column method says which."
        )
    bare = summary[(summary["n"] > 1) & summary["low"].isna()]
    if len(bare):
        cells, metrics = len(bare[["model", "setting", "variant"]].drop_duplicates()), bare["metric"].unique()
        yield (
            f"No interval for {counted(cells, 'cell')} in {listing(list(metrics))}: runs on different "
            "test utterances, or a metric that is not defined on resampled ones."
        )


def _alias_notes(cells: Sequence[Cell]) -> Iterator[str]:
    for variant, kept in dict.fromkeys((cell.variant, cell.alias_of) for cell in cells if cell.alias_of):
        yield (
            f"= {cells[0].dataset.name} splits one modality only, so -{variant} and -{kept} are the same runs: shown "
            "under both names, ranked and tested once."
        )


def _wiring_notes(plan: Plan, cells: Sequence[Cell]) -> Iterator[str]:
    """Say which of the open choices of the fine-grained method the table was made with."""
    if not any(run.split for cell in cells for run in cell.runs):
        return
    options = plan.suite.finegrained
    shared = (
        "one set of W_Q, W_K and W_V for all groups, as the paper's printed costs need"
        if options.qkv == "shared"
        else "one set of W_Q, W_K and W_V per group, as in Equations 7 to 9 of the paper"
    )
    over = "over the groups at each step" if options.attention == "groups" else "over time within each group"
    scale = "scores divided by the square root of h" if options.scale == "sqrt_h" else "scores not scaled"
    own = "; the groups of MFN and Graph-MFN keep cell states of their own" if options.cell_states == "own" else ""
    yield f"Fine-grained wiring: {shared}; attention {over}; {scale}{own}."


def _encoder_notes(cells: Sequence[Cell]) -> Iterator[str]:
    """Name the text encoders, and what was repeated for models that pack by the text lengths."""
    named: dict[str, list[str]] = {}
    repeated: dict[str, list[str]] = {}
    for cell in cells:
        for run in cell.runs[:1]:
            if run.text_encoder is not None:
                weights = run.text_encoder.sha256
                size = f"{run.text_encoder.config['num_hidden_layers']} layers, {run.text_encoder.width} wide"
                how = f"{size}, weights {weights[:12]}" if weights else "weights drawn at random from each run's seed"
                if weights == UNREAD:
                    how = f"{size}, not read on this machine"
                named.setdefault(f"{run.text_encoder.name}, {how}", []).append(cell.model)
            if run.data.repeated:
                repeated.setdefault(listing(run.data.repeated), []).append(cell.model)
    for encoder, names in named.items():
        yield f"Text encoder of {listing(list(dict.fromkeys(names)))}: {encoder}."
    for modalities, names in repeated.items():
        models = listing(list(dict.fromkeys(names)))
        yield f"{models}: the single step of {modalities} is repeated to the text length, by which the model packs."


def _gap_notes(cells: Sequence[Cell], summary: pd.DataFrame) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    absent = [
        name for name in dict.fromkeys(c.model for c in cells) if all(c.skipped for c in cells if c.model == name)
    ]
    for cell in cells:
        if cell.skipped and cell.model not in absent:
            reasons.setdefault(cell.skipped, []).append(f"{cell.model} {cell.variant}")
    if absent:
        why = dict.fromkeys(cell.skipped.rstrip(".") for cell in cells if cell.model in absent)
        yield f"Not in this table: {'; '.join(why)}."
    for reason, names in reasons.items():
        shown = listing(names) if len(names) <= 4 else f"{len(names)} cells"
        yield f"— {shown}: {reason.rstrip('.')}."
    have = set(summary[["model", "setting", "variant"]].itertuples(index=False, name=None))
    asked = [cell for cell in cells if not cell.skipped]
    bare = [cell for cell in asked if (cell.model, cell.setting, cell.variant) not in have]
    if bare:
        every = "every cell" if len(bare) == len(asked) else counted(len(bare), "cell")
        yield f"— no finished run yet in {every}: left empty, never filled from elsewhere."
    if len(summary) and bool((summary["undefined"] > 0).any()):
        undefined = listing(list(dict.fromkeys(summary.loc[summary["undefined"] > 0, "metric"])))
        yield (
            f"{undefined}: not defined for some runs (such as the correlation of constant predictions); a small k/n "
            "gives the number of runs that the mean is over."
        )
    if len(summary) and any(math.isnan(sd) for sd in summary.loc[summary["n"] == 1, "sd"]):
        yield "One run has no standard deviation: none is printed."
