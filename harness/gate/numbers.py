"""How the gate's numbers are written, wherever they stand."""

from __future__ import annotations

import math

from harness.gate.rows import EVERY, CostRow, MetricRow
from harness.metrics import definition
from harness.spec import VARIANTS

__all__ = ["cell_order", "cell_parts", "cell_text", "difference_text", "p_text", "row_sentence", "value_text"]


def cell_parts(name: str) -> tuple[str, str, str, str, str]:
    """Return data set, setting, task, model and variant from the name of a cell in a baseline."""
    dataset, setting, task, model, variant = name.split("/")
    return dataset, setting, task, model, variant


def cell_order(name: str) -> tuple[str, str, str, str, int]:
    """Return what sorts the cells of a baseline as tables do, the original before its variants."""
    dataset, setting, task, model, variant = cell_parts(name)
    known: tuple[str, ...] = VARIANTS
    return dataset, setting, task, model, known.index(variant) if variant in known else len(known)


def cell_text(cell: tuple[str, str, str, str, str]) -> str:
    """Name a cell: ``MulT-fg, synthetic (unaligned), regression``, or the mean of all cells."""
    dataset, setting, task, model, variant = cell
    if model == EVERY:
        return f"mean of all cells, {dataset} ({setting}), {task}"
    return f"{model}{'' if variant == 'original' else f'-{variant}'}, {dataset} ({setting}), {task}"


def value_text(value: float, metric: str, *, signed: bool = False) -> str:
    """Write a value of a metric: percent with two digits, or four digits; empty where there is none."""
    if not math.isfinite(value):
        return ""
    known = definition(metric)
    percent = known is not None and known.percent
    text = f"{value * 100 if percent else value:{'+' if signed else ''}.{2 if percent else 4}f}"
    # A zero has no sign.
    return text.lstrip("+-") if float(text) == 0 else text


def difference_text(row: MetricRow) -> str:
    """Write a difference with its sign."""
    return value_text(row.difference, row.metric, signed=True)


def p_text(p: float) -> str:
    """Write a p value with two digits; empty where there is none."""
    if not math.isfinite(p):
        return ""
    return "<.0001" if p < 1e-4 else f"{p:.2g}"


def row_sentence(row: MetricRow | CostRow) -> str:
    """Say what happened in a row, for an annotation or a test report."""
    where = cell_text(row.cell)
    if isinstance(row, CostRow):
        if row.new is None:
            return f"{where}: {row.name} cannot be judged: {row.why}"
        return f"{where}: {row.name} {row.reference:,} in the baseline, {row.new:,} now"
    if row.verdict == "CANNOT JUDGE":
        return f"{where}: {row.metric} cannot be judged: {row.why}"
    then, now = value_text(row.reference, row.metric), value_text(row.new, row.metric)
    margin, floor = value_text(row.margin, row.metric), value_text(row.floor, row.metric)
    told = f"{where}: {row.metric} {then} in the baseline, {now} now ({difference_text(row)}; "
    told += f"margin {margin}, floor {floor}, p {p_text(row.p)} after Holm"
    told += f", {row.found.method})" if row.found else ")"
    return f"{told}; {row.why}" if row.why else told
