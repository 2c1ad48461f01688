"""What the typed tables hold, against values and sums typed by hand and against themselves."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from harness import metrics, models
from harness.data.definitions import load_definition
from harness.errors import InputError
from harness.published import Cell, Tables, frame, load, own_results

OWN = "reproduction"
TMT_REASON = "minus sign of a dash and a slash"

# Column sums over the authors' own rows, added up from the paper's text by another program.
SUMS = {
    4: {
        "Acc-2/has-0": "1621.60",
        "Acc-2/non-0": "1846.92",
        "F1/has-0": "1628.44",
        "F1/non-0": "1843.93",
        "Acc-5": "1175.93",
        "Acc-7": "1144.75",
        "MAE": "12.355",
        "Corr": "16.260",
    },
    5: {"Acc-2": "1564.40", "F1": "1563.64", "Acc-3": "1308.97", "Acc-5": "806.77", "MAE": "8.620", "Corr": "11.788"},
    6: {
        "Acc-2/has-0": "998.33",
        "Acc-2/non-0": "391.25",
        "F1/has-0": "985.56",
        "F1/non-0": "404.07",
        "Acc-3": "941.21",
        "F1-3": "910.83",
    },
    7: {
        "Acc-2/has-0": "1412.79",
        "Acc-2/non-0": "1009.76",
        "F1/has-0": "1414.96",
        "F1/non-0": "982.07",
        "Acc-3": "1237.23",
        "F1-3": "1156.11",
    },
    8: {"Acc-2": "3128.37", "F1": "3125.67", "MAE": "17.228", "Corr": "23.618"},
}

# The same over the rows that were taken over from MMSA's page, in the order of the columns.
MMSA_SUMS = {
    4: ("729.56", "755.11", "732.63", "753.89", "482.63", "469.39", "5.061", "6.591"),
    5: ("629.62", "630.20", "518.99", "320.12", "3.497", "4.618"),
    6: ("500.03", "197.57", "494.41", "201.51", "468.22", "452.15"),
    7: ("712.18", "510.31", "711.74", "491.45", "619.55", "520.29"),
}

# Every difference that the printed rows do not give, found by eye: table, model, metric, printed, recomputed.
ODD_DELTAS = {
    (4, "ALMT", "Params", "+0.39%", "0.34"),
    (5, "Graph-MFN", "Acc-3", "−0.10", "-0.12"),
    (5, "ALMT", "FLOPs", "+3.13%", "3.12"),
}


def value(tables: Tables, table: int, model: str, variant: str, source: str, metric: str) -> str | None:
    cell = tables.rows(table)[model, variant, source][metric]
    return None if cell.value is None else str(cell.value)


@pytest.mark.parametrize(
    ("table", "rows", "models_in_it", "metrics_in_it"),
    [(4, 44, 11, 10), (5, 40, 10, 8), (6, 28, 7, 6), (7, 36, 9, 6), (8, 40, 10, 4)],
)
def test_counts(table: int, rows: int, models_in_it: int, metrics_in_it: int) -> None:
    cells = load().table(table)
    assert len(load().rows(table)) == len({cell.place for cell in cells}) == rows
    assert len({cell.model for cell in cells}) == models_in_it
    assert len(cells) == rows * metrics_in_it
    per_model = Counter((cell.variant, cell.source) for cell in cells if cell.metric == cells[0].metric)
    if table == 8:
        assert per_model == {(variant, OWN): 10 for variant in ("original", "fg", "a", "v")}
    else:
        taken = per_model.pop(("original", "mmsa")) + per_model.pop(("original", "paper"), 0)
        assert taken == models_in_it
        assert per_model == dict.fromkeys([("original", OWN), ("fg", OWN), ("fg", "delta")], models_in_it)


def test_the_unmarked_rows_are_those_of_the_two_newest_models() -> None:
    rows = {(cell.table, cell.row) for cell in load().cells if cell.source == "paper"}
    assert rows == {(4, "ALMT"), (4, "TMT"), (5, "ALMT"), (5, "TMT")}


def column_sums(table: int, source: str) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for cell in load().table(table):
        if cell.source == source and cell.column not in {"Params", "FLOPs"}:
            sums[cell.metric] = sums.get(cell.metric, Decimal(0)) + (cell.value or 0)
    return sums


@pytest.mark.parametrize("table", SUMS)
def test_column_sums(table: int) -> None:
    assert column_sums(table, OWN) == {metric: Decimal(total) for metric, total in SUMS[table].items()}
    if table in MMSA_SUMS:
        assert list(column_sums(table, "mmsa").values()) == [Decimal(total) for total in MMSA_SUMS[table]]


@pytest.mark.parametrize(
    ("table", "model", "variant", "source", "metric", "wanted"),
    [
        (4, "LF-DNN", "original", "mmsa", "Acc-2/has-0", "80.60"),
        (4, "LF-DNN", "original", "mmsa", "Acc-2/non-0", "82.74"),
        (4, "MISA", "original", "mmsa", "Corr", "0.752"),
        (4, "MISA", "fg", OWN, "F1/non-0", "84.74"),
        (4, "MISA", "fg", "delta", "F1/has-0", "0.02"),
        (4, "MISA", "original", OWN, "FLOPs", "2.73E+11"),
        (4, "MulT", "fg", "delta", "MAE", "-0.001"),
        (4, "ALMT", "original", "paper", "F1/non-0", "86.86"),
        (4, "Graph-MFN", "fg", OWN, "Acc-7", "52.92"),
        (4, "TMT", "original", "paper", "Acc-5", None),
        (5, "TMT", "original", "paper", "MAE", None),
        (5, "TMT", "fg", "delta", "Acc-3", "2.40"),
        (5, "LF-DNN", "original", "mmsa", "Params", None),
        (6, "TFN", "fg", "delta", "Acc-3", "-0.82"),
        (6, "LMF", "fg", "delta", "F1/non-0", "-0.01"),
        (7, "MFN", "original", "mmsa", "F1-3", None),
        (7, "MLMF", "original", "mmsa", "F1-3", "70.45"),
        (7, "MulT", "fg", OWN, "Acc-2/has-0", "82.97"),
        (8, "MulT", "v", OWN, "Corr", "0.680"),
        (8, "LF-DNN", "a", OWN, "F1", "77.21"),
    ],
)
def test_values(table: int, model: str, variant: str, source: str, metric: str, wanted: str | None) -> None:
    assert value(load(), table, model, variant, source, metric) == wanted


@pytest.mark.parametrize(
    ("row", "column", "text", "meant", "value_of_half"),
    [
        (("TMT", "original", "paper"), "Acc-2", "−86.50", "-/86.50", "86.50"),
        (("TMT", "original", "paper"), "F1", "−86.50", "-/86.50", "86.50"),
        (("TMT", "original", OWN), "Acc-2", "−83.68", "-/83.68", "83.68"),
        (("TMT", "original", OWN), "F1", "−83.69", "-/83.69", "83.69"),
        (("TMT", "fg", OWN), "Acc-2", "−83.21", "-/83.21", "83.21"),
        (("TMT", "fg", OWN), "F1", "−83.14", "-/83.14", "83.14"),
    ],
)
def test_the_lost_slash_is_put_back(
    row: tuple[str, str, str], column: str, text: str, meant: str, value_of_half: str
) -> None:
    cells = load().rows(4)[row]
    for half, wanted in (("has-0", None), ("non-0", Decimal(value_of_half))):
        cell = cells[f"{column}/{half}"]
        assert (cell.text, cell.corrected, cell.value) == (text, meant, wanted)
        assert TMT_REASON in cell.reason


def test_nothing_else_was_corrected_among_the_results() -> None:
    """And without a correction the text is what was read."""
    assert sum(bool(cell.corrected) for cell in load().cells) == 12
    delta = load().rows(4)["TMT", "fg", "delta"]
    assert (delta["Acc-2/has-0"].value, delta["Acc-2/non-0"].value) == (None, Decimal("-0.47"))
    assert (delta["F1/non-0"].text, delta["F1/non-0"].corrected) == ("−/−0.55", "")


def test_no_score_is_negative_and_no_percentage_above_100() -> None:
    for cell in load().cells:
        if cell.source != "delta" and cell.value is not None:
            assert cell.value > 0
            assert cell.column in {"Params", "FLOPs"} or cell.value < (100 if cell.percent else 1), cell


def test_differences_follow_from_the_rows_above_them() -> None:
    odd = set()
    for table in (4, 5, 6, 7):
        rows = load().rows(table)
        for (model, _, source), deltas in rows.items():
            if source != "delta":
                continue
            for metric, delta in deltas.items():
                before, after = (rows[model, variant, OWN][metric].value for variant in ("original", "fg"))
                assert (before is None) == (after is None) == (delta.printed is None)
                if before is None or after is None or delta.printed is None:
                    continue
                change = before - after if metric == "MAE" else after - before
                if metric in {"Params", "FLOPs"}:
                    change = (100 * change / before).quantize(Decimal("0.01"))
                if change != delta.value:
                    odd.add((table, model, metric, delta.printed.text, str(change)))
    assert odd == ODD_DELTAS


def test_differences_without_a_plus_keep_their_text() -> None:
    bare = {
        (cell.table, cell.model, cell.metric)
        for cell in load().cells
        if cell.source == "delta" and cell.printed is not None and not cell.printed.signed
    }
    assert bare == {(4, "MFN", "FLOPs"), (5, "ALMT", "F1"), (5, "TMT", "Acc-3"), (5, "TMT", "MAE"), (5, "TMT", "Corr")}


def test_the_ablation_repeats_the_rows_of_table_5() -> None:
    repeated = load().rows(5)
    for key, cells in load().rows(8).items():
        for metric, cell in cells.items():
            if key in repeated:
                assert cell.printed == repeated[key][metric].printed


def test_underlines() -> None:
    underlined = [cell for cell in load().cells if cell.underlined]
    assert {cell.table for cell in underlined} == {8}
    assert len(underlined) == 35
    assert not any(cell.model == "TETFN" for cell in underlined)
    cell = load().rows(8)["Self-MM", "a", OWN]["MAE"]
    assert (cell.text, cell.underlined, cell.value) == ("<u>0.424</u>", True, Decimal("0.424"))


def test_tags_are_names_that_the_harness_knows() -> None:
    assert {cell.model for cell in load().cells} == set(models.names())
    for cell in load().cells:
        convention = load_definition(cell.dataset).convention
        known = {metric.name: metric for metric in metrics.metrics_for(cell.task, convention)}
        assert cell.metric in {*known, "Params", "FLOPs"}
        if cell.metric in known:
            assert cell.percent is known[cell.metric].percent
            arrow = "↑" if known[cell.metric].higher_is_better else "↓"
            assert cell.heading.replace("\\uparrow", "↑").replace("\\downarrow", "↓").endswith(arrow)


def test_tables_belong_to_a_data_set_and_a_task() -> None:
    wanted = {
        4: ("mosei", "regression"),
        5: ("sims", "regression"),
        6: ("mosei", "classification"),
        7: ("sims", "classification"),
        8: ("sims", "regression"),
    }
    assert {(cell.table, cell.dataset, cell.task) for cell in load().cells} == {
        (t, *rest) for t, rest in wanted.items()
    }


def test_data_set_sizes_and_sub_features_are_those_of_the_definitions() -> None:
    for size in load().sizes:
        counts = {"train": size.train.value, "valid": size.valid.value, "test": size.test.value}
        samples = load_definition(size.dataset).samples
        assert samples is not None
        assert counts == {str(split): count for split, count in samples.items()}
        assert sum(counts.values()) == size.total.value
    for row in load().sub_features:
        definition = load_definition(row.dataset)
        groups = definition.groups.get("audio" if row.modality == "audio" else "vision", {})
        assert tuple(name.replace(" ", "") for name in row.names) == tuple(groups)
        assert row.dimension.value == definition.widths["audio" if row.modality == "audio" else "vision"]
    (misspelt,) = (row for row in load().sub_features if row.corrected)
    assert "MECF" in misspelt.text
    assert "MCEP" in misspelt.names
    assert "COVAREP" in misspelt.reason


def test_tasks_are_those_of_the_registry() -> None:
    rows = {row.model: row for row in load().networks}
    assert set(rows) == set(models.names())
    for name, row in rows.items():
        assert row.regression is ("regression" in models.entry(name).tasks)
        assert row.classification is ("classification" in models.entry(name).tasks)
    tetfn = rows["TETFN"]
    assert (tetfn.text, tetfn.acoustics, tetfn.vision) == ("BERT", "L-C", "L-C")


def test_the_case_study_is_put_together() -> None:
    cases = load().cases
    assert [(case.acoustic, case.visual) for case in cases] == [
        ("Slow", "Smile"),
        ("Fast", "Normal"),
        ("Low voice", "Serious"),
    ]
    assert cases[2].text == "是吗？挺好，为民除害。 (Really? That is good, it is a relief for the people.)"
    assert [str(case.truth.value) for case in cases] == ["-0.60", "0.00", "0.40"]
    assert [str(case.original.value.value) for case in cases] == ["0.02", "0.82", "0.84"]
    assert [str(case.fg.value.value) for case in cases] == ["-0.55", "-0.03", "0.31"]
    for case in cases:
        assert len(case.reasons) == 3
        for prediction in (case.original, case.fg):
            assert abs(prediction.value.value - case.truth.value) == prediction.error.value


@pytest.mark.parametrize("column", ["Params", "FLOPs"])
def test_the_cost_columns_hold_every_own_row_of_both_tables(column: str) -> None:
    results = own_results(column)
    assert Counter(dataset for dataset, _, _ in results) == {"mosei": 22, "sims": 20}
    assert {variant for _, _, variant in results} == {"original", "fg"}
    assert all(printed.digits == 3 for printed in results.values())
    for cell in load().cells:
        if cell.column == column:
            assert (cell.printed is None) == (cell.source in {"mmsa", "paper"})


def test_own_results_of_a_metric() -> None:
    assert own_results("Acc-2")["sims", "TFN", "fg"].text == "79.87"
    assert own_results("Acc-2/non-0")["mosei", "TFN", "fg"].text == "82.77"
    assert ("mosei", "TMT", "fg") not in own_results("Acc-2/has-0")


def test_a_cell_can_be_printed_otherwise() -> None:
    tables = load()
    key = ("TMT", "fg", OWN)
    changed = tables.reprinted(4, key, "Acc-2", "80.00/83.21")
    assert value(changed, 4, *key, "Acc-2/has-0") == "80.00"
    assert changed.rows(4)[key]["Acc-2/non-0"].corrected == ""
    different = [(old, new) for old, new in zip(tables.cells, changed.cells, strict=True) if old != new]
    assert [new.metric for _, new in different] == ["Acc-2/has-0", "Acc-2/non-0"]
    assert value(tables, 4, *key, "Acc-2/has-0") is None
    assert changed.reprinted(8, ("TMT", "v", OWN), "MAE", "<u>0.426</u>").rows(8)["TMT", "v", OWN]["MAE"].underlined


@pytest.mark.parametrize(
    ("column", "text", "words"),
    [("Acc-2", "80.00", "where 2 belong"), ("MAE", "o.5", "not a printed number"), ("Acc-3", "1.00", "no such cell")],
)
def test_a_cell_cannot_be_printed_as_nonsense(column: str, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load().reprinted(4, ("TMT", "fg", OWN), column, text)


def test_a_frame_has_a_line_a_number() -> None:
    table = frame(load().table(4))
    assert len(table) == 440
    line = table[(table["row"] == "#TMT") & (table["metric"] == "F1/non-0")].iloc[0]
    assert (line["value"], line["decimals"], line["digits"], line["number"]) == (83.69, 2, 4, "83.69")
    assert (line["half"], line["setting"], line["text"]) == ("non-0", "aligned", "−83.69")
    absent = table[table["column"] == "Params"]
    assert absent["value"].isna().sum() == absent["decimals"].isna().sum() == 11
    assert list(frame([]).columns) == list(table.columns)
    assert set(table.columns) - set(Cell.__dataclass_fields__) == {
        "metric",
        "number",
        "value",
        "decimals",
        "digits",
        "percent",
    }


def test_reading_the_tables_imports_nothing_heavy() -> None:
    code = "import sys, harness.published as p; p.load(); print({'pandas', 'torch', 'MMSA'} & set(sys.modules))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == "set()\n"
