"""The ablation: value rows alone, and marks within each model by what is printed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.reports.ablation import ablation
from harness.reports.latex import fragment
from harness.reports.tables import Number, Row, Table
from tests.reports import fakes, printable


def renumbered(made: Table, values: dict[str, dict[str, str]]) -> Table:
    """The same table, where rows print what is given by label and metric, and nothing else."""
    metrics = list(made.metrics)

    def row(one: Row) -> Row:
        given = values.get(one.label, {})
        return replace(one, numbers=tuple(Number(given.get(name, "")) for name in metrics))

    blocks = tuple(replace(block, rows=tuple(map(row, block.rows))) for block in made.blocks)
    return replace(made, blocks=blocks)


def ranks(table: Table | None, model: str, metric: str) -> dict[str, int]:
    assert table is not None
    place = list(table.metrics).index(metric)
    rows = [row for block in table.blocks if block.model == model for row in block.rows]
    return {row.label: row.numbers[place].rank for row in rows}


@pytest.fixture(scope="module")
def made() -> Table:
    return printable.table(fakes.plan(models=("TFN", "LMF")))


def test_marks_are_within_each_model_and_ties_share_them(made: Table) -> None:
    table = renumbered(
        made,
        {
            "TFN": {"MAE": "0.440", "Corr": "-0.100"},
            "TFN-fg": {"MAE": "0.414", "Corr": "0.300"},
            "TFN-a": {"MAE": "0.434", "Corr": "0.300"},
            "TFN-v": {"MAE": "0.414", "Corr": ""},
            "LMF": {"MAE": "0.900", "Corr": "0.1"},
            "LMF-fg": {"MAE": "0.800"},
        },
    )
    found = ablation(table)
    assert ranks(found, "TFN", "MAE") == {"TFN": 0, "TFN-fg": 1, "TFN-a": 2, "TFN-v": 1}
    assert ranks(found, "TFN", "Corr") == {"TFN": 2, "TFN-fg": 1, "TFN-a": 1, "TFN-v": 0}
    assert ranks(found, "LMF", "MAE") == {"LMF": 2, "LMF-fg": 1, "LMF-a": 0, "LMF-v": 0}
    assert set(ranks(found, "LMF", "Corr").values()) == {0}, "a lone value is neither best nor second"


def test_only_our_values_are_left(made: Table) -> None:
    found = ablation(printable.with_published(printable.with_costs(made)))
    assert found is not None
    assert {row.kind for block in found.blocks for row in block.rows} == {"value"}
    assert [row.label for row in found.blocks[0].rows] == ["#TFN", "#TFN-fg", "#TFN-a", "#TFN-v"]
    assert found.costs == ()
    assert not any(row.costs for block in found.blocks for row in block.rows)
    assert found.slug == f"{made.slug}-ablation"
    numbers = [number for block in found.blocks for row in block.rows for number in row.numbers]
    assert all(number.text and number.sd for number in numbers)
    assert f"\\label{{tab:{made.slug}-ablation}}" in fragment(found)


def test_rows_of_the_same_runs_count_once_and_compete_once() -> None:
    one_modality = fakes.dataset(vision_groups=False)
    plan = fakes.plan([one_modality], models=("LMF",))
    assert ablation(printable.table(plan)) is None, "original and fg, which -a repeats; -v does not apply"
    named = printable.table(fakes.plan(models=("LMF",)))
    rows = tuple(replace(row, alias="fg") if row.variant == "a" else row for row in named.blocks[0].rows)
    found = ablation(replace(named, blocks=(replace(named.blocks[0], rows=rows),)))
    assert found is not None
    repeated = next(row for row in found.blocks[0].rows if row.variant == "a")
    assert {number.rank for number in repeated.numbers} == {0}


def test_variants_that_never_ran_are_no_ablation() -> None:
    plan = fakes.plan(models=("LMF",))
    assert ablation(printable.table(plan, fakes.FakeStore())) is None
    assert ablation(printable.table(fakes.plan(variants=("original", "fg")))) is None


def test_notes_say_what_the_marks_are_and_carry_those_that_explain_others(made: Table) -> None:
    table = replace(made, notes=(*made.notes, "‡ F1: a defect.", "— 1 cell: not run."))
    found = ablation(table)
    assert found is not None
    told = " ".join(found.notes)
    for phrase in ("Synthetic data", "Best value of each model", "second best underlined", "no test", "(n: 5)"):
        assert phrase in told
    assert found.notes[-2:] == ("‡ F1: a defect.", "— 1 cell: not run.")
    assert "Δ rows: mean" not in told
    assert "Synthetic data" not in " ".join((ablation(replace(table, synthetic=False)) or table).notes[:1])
