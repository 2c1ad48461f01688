"""The typed tables against the paper's text, and the reading of printed numbers."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness import models
from harness.published import DATASET_OF_TABLE, Printed, load, own_results, parse

PAPER = Path(__file__).resolve().parents[3] / "shared" / "paper" / "paper.txt"
MANTISSAS = st.from_regex(r"[1-9]\.[0-9]{0,6}[0-9]", fullmatch=True)
EXPONENTS = st.integers(0, 15)


def read(text: str) -> Printed:
    printed = parse(text)
    assert printed is not None
    return printed


@pytest.mark.parametrize("column", ["Params", "FLOPs"])
def test_the_cost_columns_hold_every_row_of_both_tables(column: str) -> None:
    results = own_results(column)
    assert len(results) == 42
    assert Counter(dataset for dataset, _, _ in results) == {"mosei": 22, "sims": 20}
    assert {variant for _, _, variant in results} == {"original", "fg"}
    assert {model for _, model, _ in results} <= set(models.names())
    assert all(printed.digits == 3 for printed in results.values())


def test_cells_are_unique_and_belong_to_known_tables() -> None:
    keys = Counter((c.table, c.row if c.variant != "delta" else c.model, c.variant, c.column) for c in load())
    assert set(keys.values()) == {1}
    assert {c.table for c in load()} <= set(DATASET_OF_TABLE)


def test_only_rows_of_the_authors_have_costs() -> None:
    for cell in load():
        assert (cell.printed is None) == (not cell.own and cell.variant != "delta"), cell


def test_what_was_typed_stands_in_the_papers_text() -> None:
    if not PAPER.is_file():
        pytest.skip("the paper's text is not at hand")
    tables = re.split(r"\nTable (\d)\n", PAPER.read_text(encoding="utf-8"))
    texts = {int(number): text for number, text in zip(tables[1::2], tables[2::2], strict=True)}
    for cell in load():
        rows = [line.split("\t") for line in texts[cell.table].splitlines() if line.startswith(cell.row + "\t")]
        wanted = cell.printed.text if cell.printed else None
        column = {"Params": 7, "FLOPs": 8}[cell.column]
        assert any((row[column] if row[column] not in "–—" else None) == wanted for row in rows), cell


def test_a_number_keeps_its_text_value_and_precision() -> None:
    printed = read("2.70×10^{11}")
    assert (printed.text, printed.value, printed.digits) == ("2.70×10^{11}", Decimal("2.70E11"), 3)
    assert printed.plain == "2.70×10^11"
    assert read("8.70×10^8").value == 870_000_000
    assert (read("−0.48%").value, read("−0.48%").digits, read("−0.48%").percent) == (Decimal("-0.48"), 2, True)
    assert read("0.709").digits == 3


@pytest.mark.parametrize("dash", ["–", "—", "", " – "])
def test_a_dash_is_no_number(dash: str) -> None:
    assert parse(dash) is None


@pytest.mark.parametrize("text", ["80.60/82.74", "5.72x10^5", "1e5", "5.72×10^{5", "٣", "1 000", "nan"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a printed number"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value", "agrees"),
    [
        ("1.36×10^{11}", 136_499_999_999, True),
        ("1.36×10^{11}", 136_500_000_000, False),  # halves go up
        ("1.37×10^{11}", 136_500_000_000, True),
        ("1.00×10^6", 999_500, True),
        ("1.00×10^6", 995_000, False),  # three digits of it are 9.95
        ("2.11×10^9", 2_115_543_040, False),
        ("4.65×10^6", 4_650_780, True),
    ],
)
def test_agreement_is_to_every_printed_digit(text: str, value: int, agrees: bool) -> None:
    assert read(text).agrees(value) is agrees


@given(MANTISSAS, EXPONENTS)
def test_a_printed_number_agrees_with_itself_in_both_spellings(mantissa: str, exponent: int) -> None:
    plain, braced = read(f"{mantissa}×10^{exponent}"), read(f"{mantissa}×10^{{{exponent}}}")
    assert plain.value == braced.value
    assert plain.agrees(plain.value)
    assert braced.agrees(Fraction(plain.value))


@given(MANTISSAS, EXPONENTS, st.fractions(min_value=Fraction(-3, 2), max_value=Fraction(3, 2)))
def test_agreement_is_being_less_than_half_a_unit_away(mantissa: str, exponent: int, shift: Fraction) -> None:
    """Except just below a power of ten, where a smaller number has finer digits."""
    printed = read(f"{mantissa}×10^{exponent}")
    unit = Fraction(Decimal((0, (1,), exponent - (printed.digits - 1))))
    value = Fraction(printed.value) + shift * unit
    assume(value >= Fraction(Decimal(10) ** exponent))
    assert printed.agrees(value) is (Fraction(-1, 2) <= shift < Fraction(1, 2))


@given(st.integers(1, 10**15), st.integers(2, 6))
def test_rounding_is_that_of_the_number_written_in_scientific_notation(value: int, digits: int) -> None:
    """Half up, against arithmetic on whole numbers."""
    exponent = len(str(value)) - 1
    unit = 10 ** max(0, exponent - (digits - 1))
    rounded = (value + unit // 2) // unit * unit if unit > 1 else value
    top = len(str(rounded)) - 1
    shown = f"{Decimal(rounded) / Decimal(10) ** top:.{digits - 1}f}"
    assert read(f"{shown}×10^{top}").agrees(value)
    assert not read(f"{shown}×10^{top + 1}").agrees(value)
