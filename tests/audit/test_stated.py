"""What the running text states: a finding for each part that the tables do not bear out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.audit.stated import stated
from harness.published import Tables, load, parse

OWN = "reproduction"
Place = tuple[int, str, str, str]


def places(tables: Tables) -> list[Place]:
    return [(f.table, f.row, f.column, f.severity) for f in stated(tables)]


def test_the_paper() -> None:
    assert list(stated(load())) == []


@pytest.mark.parametrize(
    ("table", "row", "column", "text", "place", "printed", "expected"),
    [
        (5, ("TFN", "fg", OWN), "Acc-2", "79.86", (5, "#TFN-fg", "Acc-2"), "3.72", "+3.71"),
        (5, ("TFN", "fg", OWN), "F1", "–", (5, "#TFN-fg", "F1"), "3.20", "nothing"),
        (5, ("MFN", "original", OWN), "Acc-5", "38.61", (5, "#MFN-fg", "Acc-5"), "1.66", "+1.65"),
        (5, ("LF-DNN", "fg", OWN), "Acc-5", "42.06", (5, "#LF-DNN-fg", "Acc-5"), "3.67", "+3.68"),
        (5, ("ALMT", "fg", OWN), "Acc-5", "43.89", (5, "#ALMT-fg", "Acc-5"), "less than the +1.66 of MFN", "+1.66"),
        (
            4,
            ("TETFN", "fg", OWN),
            "Acc-2",
            "81.28/85.11",
            (4, "#TETFN-fg", "Acc-2/has-0"),
            "Self-MM, MulT, LMF",
            "Self-MM +2.68, MulT +2.58, TETFN +1.81",
        ),
        (7, ("MFN", "fg", OWN), "F1", "84.20/55.46", (7, "#MFN-fg", "F1/has-0"), "MulT", "MFN +6.57"),
    ],
)
def test_a_changed_cell_brings_its_finding(
    table: int,
    row: tuple[str, str, str],
    column: str,
    text: str,
    place: tuple[int, str, str],
    printed: str,
    expected: str,
) -> None:
    before = places(load())
    after = list(stated(load().reprinted(table, row, column, text)))
    new = [f for f in after if (f.table, f.row, f.column, f.severity) not in before]
    assert (*place, printed, expected, "error") in [
        (f.table, f.row, f.column, f.printed, f.expected, f.severity) for f in new
    ]


def test_another_model_that_is_best_overall() -> None:
    tables = load()
    for column, text in (("Acc-2", "75.00"), ("F1", "75.00"), ("MAE", "0.500"), ("Corr", "0.400")):
        tables = tables.reprinted(5, ("MulT", "fg", OWN), column, text)
    (finding,) = [f for f in stated(tables) if f.column == "mean rank"]
    assert (finding.table, finding.severity) == (5, "warning")
    assert finding.printed.startswith("MulT ")
    assert "MulT" not in finding.expected


def test_a_list_that_is_not_complete_is_no_finding_and_a_wrong_one_is() -> None:
    tables = load()
    others = tuple(replace(c, setting="aligned") if c.model == "TFN" and c.setting else c for c in tables.cells)
    assert list(stated(replace(tables, cells=others))) == []
    others = tuple(replace(c, setting="unaligned") if c.model == "MFN" and c.setting else c for c in tables.cells)
    assert [(f.row, f.column, f.printed, f.expected) for f in stated(replace(tables, cells=others))] == [
        ("#MFN", "Data Setting", "aligned", "unaligned")
    ]


def test_a_tie_for_the_last_place_is_no_finding() -> None:
    # TETFN's difference becomes LMF's +1.80.
    tied = load().reprinted(4, ("TETFN", "fg", OWN), "Acc-2", "81.27/85.11")
    assert places(tied) == places(load())


def test_counts() -> None:
    other = parse("2,280")
    assert other is not None
    tables = load()
    sizes = tuple(replace(size, total=other) if size.dataset == "sims" else size for size in tables.sizes)
    found = [f for f in stated(replace(tables, sizes=sizes)) if f.severity == "error"]
    assert [(f.table, f.row, f.column, f.printed, f.expected) for f in found] == [
        (1, "CH-SIMS", "Total", "2,281", "2,280")
    ]


def test_sub_features_that_do_not_add_up() -> None:
    tables = load()
    rows = tuple(
        replace(row, names=row.names[1:]) if (row.dataset, row.modality) == ("sims", "vision") else row
        for row in tables.sub_features
    )
    found = [f for f in stated(replace(tables, sub_features=rows)) if f.severity == "error"]
    assert [(f.table, f.row, f.column, f.printed, f.expected) for f in found] == [
        (2, "CH-SIMS vision", "Fine-grained features", "6 of them", "5")
    ]


def test_a_row_that_is_not_there() -> None:
    tables = load()
    found = [f for f in stated(replace(tables, sub_features=tables.sub_features[:3])) if f.severity == "error"]
    assert {(f.table, f.row, f.column, f.expected) for f in found} == {
        (2, "sims", "vision", "nothing"),
        (2, "sims", "vision sub-features", "nothing"),
    }


def test_the_sentence_is_quoted_and_its_reading_given() -> None:
    (first, *_) = stated(load().reprinted(5, ("TFN", "fg", OWN), "Acc-2", "79.86"))
    assert first.kind == "stated"
    assert first.why.startswith('section 4.2 says "The 2-class accuracy of TFN, MFN')
    assert "if the words mean that" in first.certainty


def test_no_claims_no_findings() -> None:
    assert list(stated(replace(load(), claims=()))) == []
