"""The ablation, like Table 8 of the paper: every variant of every model, with the best values of each model marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.metrics import Metric
from harness.reports.tables import Block, Number, Row, Table
from harness.wording import listing

__all__ = ["MARKS", "SYNTHETIC", "ablation"]

MARKS = "Best value of each model per column in bold, second best underlined; values that print equal share the mark."
"""What an ablation marks."""

SYNTHETIC = "Synthetic data, drawn by the harness: these numbers say nothing about the models on real videos."
"""What stands below every table of data that are not real."""

_FEWEST = 3
_CARRIED = ("= ", "‡ ", "— ")
"""How the notes begin that explain a mark which an ablation shows too."""


def ablation(table: Table) -> Table | None:
    """Return the values of a table alone, marked within each block; None with fewer than three variants that ran.

    Rows that repeat another one's runs neither count as variants nor compete for a mark, as in the table itself.
    """
    shown = {row.alias or row.variant for block in table.blocks for row in block.rows if _ran(row)}
    if len(shown) < _FEWEST:
        return None
    metrics = [column.metric for column in table.columns]
    blocks = tuple(Block(block.model, _marked(block.rows, metrics)) for block in table.blocks)
    return replace(
        table,
        slug=f"{table.slug}-ablation",
        heading=f"{table.heading}, ablation",
        title=f"Ablation on {table.title}",
        costs=(),
        blocks=blocks,
        notes=tuple(_notes(table, blocks)),
    )


def _ran(row: Row) -> bool:
    return row.kind == "value" and not row.empty


def _marked(rows: Sequence[Row], metrics: Sequence[Metric]) -> tuple[Row, ...]:
    """Return the value rows of one block, ranked among themselves by what they print."""
    values = [row for row in rows if row.kind == "value"]
    kept = {row.variant for row in values if not row.alias}
    competing = [row for row in values if row.alias not in kept]
    best = [_best_two(competing, place, metric) for place, metric in enumerate(metrics)]
    return tuple(
        replace(
            row,
            costs=(),
            numbers=tuple(
                replace(number, rank=0 if row.alias in kept else _rank(number, two))
                for number, two in zip(row.numbers, best, strict=True)
            ),
        )
        for row in values
    )


def _best_two(rows: Sequence[Row], place: int, metric: Metric) -> list[float]:
    """Return the best and the second best printed value of a column; nothing where only one row has a value."""
    printed = [float(row.numbers[place].text) for row in rows if row.numbers[place].text]
    return sorted(set(printed), reverse=metric.higher_is_better)[:2] if len(printed) > 1 else []


def _rank(number: Number, best: Sequence[float]) -> int:
    value = float(number.text) if number.text else None
    return best.index(value) + 1 if value in best else 0


def _notes(table: Table, blocks: Sequence[Block]) -> list[str]:
    counts = sorted({row.n for block in blocks for row in block.rows if _ran(row)})
    spread = any(number.sd for block in blocks for row in block.rows for number in row.numbers)
    measure = "mean ± standard deviation (n − 1) of" if spread else "value of"
    return [
        *([SYNTHETIC] if table.synthetic else []),
        f"Each cell: {measure} n runs with different seeds on the test split (n: {listing(counts)}). Accuracies and F1 "
        "in percent.",
        f"{MARKS} The marks compare printed values and are no test: seeds, tests and what they can find stand below "
        f"the table of {table.title}, {table.task}, that has the Δ rows.",
        *(note for note in table.notes if note.startswith(_CARRIED)),
    ]
