"""Does the method help over models? Per printed table and metric, from the authors' own rows alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from harness.published import Tables
from harness.reanalysis.deltas import Delta, deltas, is_defect
from harness.reanalysis.outcome import Effect, Summary
from harness.spec import Variant
from harness.statistics import OverRows, adjust_rows, over_rows

__all__ = ["CONTRASTS", "Side", "effects", "side", "summaries"]

Side = Literal["better", "worse", "open", "untold"]
"""What a test over rows says; see `side`."""

CONTRASTS: tuple[tuple[int, Variant, Variant], ...] = (
    *((table, "fg", "original") for table in (4, 5, 6, 7)),
    *((8, variant, "original") for variant in ("fg", "a", "v")),
    *((8, "v", "a"), (8, "fg", "v")),
)
"""Result table, variant, baseline: what the text says something about."""


def effects(tables: Tables, alpha: float = 0.05) -> tuple[Effect, ...]:
    """Test every contrast of `CONTRASTS` in every metric, over the models of its table.

    The unit is the model: one printed mean per model and variant, so the printed tables have no other replication.
    MAE is turned, so that + is an improvement everywhere; differences are taken in decimals, so that those that are
    equal on paper are ties in the ranks. Costs are no metrics. Either half of has-0 / non-0 is a metric of its own.

    Families, for Holm: all metrics of one contrast on one data set and task. That is the unit of which the text
    speaks ("the results on CH-SIMS ..."), and the largest one that can find anything: ten rows reach p = 0.00195, so in
    a family of all 26 metrics of Tables 4 to 7 even ten improvements of ten (adjusted 0.051) would not count.
    The original and -fg rows of Table 8 repeat those of Table 5; an effect that is the same in both, model for
    model, counts once in the family.

    Columns with MMSA's defect are computed, marked and stay in the family: they were printed, and leaving them out
    afterwards would favour the others.

    Parameters
    ----------
    tables : Tables
    alpha : float
        One minus the level of the intervals.

    Returns
    -------
    tuple of Effect
        By table, contrast and column; those without a single row left out.
    """
    found = [
        effect for table, variant, baseline in CONTRASTS for effect in _raw(tables, table, variant, baseline, alpha)
    ]
    families: dict[tuple[str, str, str, str], list[Effect]] = {}
    for effect in found:
        families.setdefault((effect.dataset, effect.task, effect.variant, effect.baseline), []).append(effect)
    adjusted: dict[tuple[object, ...], Effect] = {}
    for family in families.values():
        adjusted |= zip(map(_place, family), _adjust(tables, family), strict=True)
    return tuple(adjusted[_place(effect)] for effect in found)


def side(rows: OverRows, alpha: float = 0.05) -> Side:
    """Return what the Wilcoxon test says after Holm.

    *open* is not rejected: it may be chance. *untold*: rows so few could not have been rejected in this family,
    whatever they had been. Rows of which none has changed are open.
    """
    if rows.equal and not rows.better and not rows.worse:
        return "open"
    verdict = rows.wilcoxon.verdict(alpha)
    if verdict == "cannot tell":
        return "untold"
    if verdict == "not rejected":
        return "open"
    return "better" if rows.wilcoxon.w_plus > rows.wilcoxon.w_minus else "worse"


def summaries(found: Iterable[Effect], alpha: float = 0.05) -> tuple[Summary, ...]:
    """Sum effects up by table and contrast, in their order."""
    groups: dict[tuple[int, Variant, Variant], list[Effect]] = {}
    for effect in found:
        if not effect.defect:
            groups.setdefault((effect.table, effect.variant, effect.baseline), []).append(effect)
    return tuple(
        Summary(
            table=group[0].table,
            dataset=group[0].dataset,
            task=group[0].task,
            variant=group[0].variant,
            baseline=group[0].baseline,
            improved=sum(effect.rows.better for effect in group),
            declined=sum(effect.rows.worse for effect in group),
            unchanged=sum(effect.rows.equal for effect in group),
            better=_on(group, "better", alpha),
            worse=_on(group, "worse", alpha),
            untold=_on(group, "untold", alpha),
        )
        for group in groups.values()
    )


def _on(group: Sequence[Effect], wanted: Side, alpha: float) -> tuple[str, ...]:
    return tuple(effect.metric for effect in group if side(effect.rows, alpha) == wanted)


def _raw(tables: Tables, table: int, variant: Variant, baseline: Variant, alpha: float) -> list[Effect]:
    """Return the effects of one contrast, not adjusted."""
    columns: dict[str, list[Delta]] = {}
    for delta in deltas(tables, table, variant, baseline):
        columns.setdefault(delta.metric, []).append(delta)
    return [
        Effect(
            table=table,
            dataset=column[0].cell.dataset,
            task=column[0].cell.task,
            metric=metric,
            unit="points" if column[0].cell.percent else "",
            variant=variant,
            baseline=baseline,
            models=tuple(delta.model for delta in column),
            deltas=tuple(float(delta.value) for delta in column),
            rows=over_rows([float(delta.value) for delta in column], alpha),
            family="",
            defect=is_defect(column[0].cell),
        )
        for metric, column in columns.items()
    ]


def _adjust(tables: Tables, family: Sequence[Effect]) -> list[Effect]:
    """Adjust a family, counting an effect that two tables repeat once, and name it."""
    same = [_identity(effect) for effect in family]
    adjusted = adjust_rows([effect.rows for effect in family], same)
    first = family[0]
    title = next((size.row for size in tables.sizes if size.dataset == first.dataset), first.dataset)
    numbers = sorted({effect.table for effect in family})
    where = f"Table {numbers[0]}" if len(numbers) == 1 else f"Tables {' and '.join(map(str, numbers))}, repeats once"
    name = f"{first.variant} against {first.baseline}, {title}, {first.task}: {len(set(same))} metrics ({where})"
    return [replace(effect, rows=rows, family=name) for effect, rows in zip(family, adjusted, strict=True)]


def _place(effect: Effect) -> tuple[object, ...]:
    return effect.table, effect.variant, effect.baseline, effect.metric


def _identity(effect: Effect) -> tuple[object, ...]:
    return effect.metric, effect.models, effect.deltas
