"""The reading of printed numbers, and of cells that hold two of them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.published import Printed, parse, parse_cell

MANTISSAS = st.from_regex(r"[1-9]\.[0-9]{0,6}[0-9]", fullmatch=True)
EXPONENTS = st.integers(0, 15)
SIGNS = {"": 1, "+": 1, "-": -1, "−": -1}
DASHES = ("–", "—", "-", "−")


def read(text: str) -> Printed:
    printed = parse(text)
    assert printed is not None
    return printed


@st.composite
def spelt(draw: st.DrawFn) -> tuple[str, Decimal, int]:
    """A number in any form that the paper prints, its value, and its decimal places."""
    sign = draw(st.sampled_from(list(SIGNS)))
    coefficient, places = draw(st.integers(0, 10**7)), draw(st.integers(0, 4))
    exponent = draw(st.none() | st.integers(-9, 15))
    digits = str(coefficient).rjust(places + 1, "0")
    whole, fraction = digits[: len(digits) - places], digits[len(digits) - places :]
    if draw(st.booleans()):
        whole = f"{int(whole):,}"
    power = "" if exponent is None else draw(st.sampled_from([f"×10^{exponent}", f"×10^{{{exponent}}}"]))
    text = sign + whole + ("." if places else "") + fraction + power + draw(st.sampled_from(["", "%"]))
    value = SIGNS[sign] * Decimal(coefficient).scaleb((exponent or 0) - places)
    return text, value, places - (exponent or 0)


@given(spelt())
def test_any_printed_form_keeps_its_text_value_and_precision(number: tuple[str, Decimal, int]) -> None:
    text, value, decimals = number
    printed = read(text)
    assert (printed.text, printed.value, printed.decimals) == (text, value, decimals)
    assert printed.unit == Fraction(10) ** -decimals
    assert printed.percent is text.endswith("%")
    assert printed.signed is (not text[0].isdigit())
    assert parse_cell(text) == (printed,)


@given(spelt() | st.sampled_from(DASHES), spelt() | st.sampled_from(DASHES))
def test_any_two_forms_make_a_cell_of_two(
    left: str | tuple[str, Decimal, int], right: str | tuple[str, Decimal, int]
) -> None:
    texts = [part if isinstance(part, str) else part[0] for part in (left, right)]
    cell = parse_cell("/".join(texts), 2)
    assert [part and part.text for part in cell] == [None if text in DASHES else text for text in texts]


def test_a_number_keeps_its_text_value_and_precision() -> None:
    printed = read("2.70×10^{11}")
    assert (printed.text, printed.value, printed.digits) == ("2.70×10^{11}", Decimal("2.70E11"), 3)
    assert (printed.plain, printed.decimals, printed.unit) == ("2.70×10^11", -9, Decimal("1E9"))
    assert read("8.70×10^8").value == 870_000_000
    assert (read("−0.48%").value, read("−0.48%").digits, read("−0.48%").percent) == (Decimal("-0.48"), 2, True)
    assert (read("0.709").digits, read("0.709").decimals) == (3, 3)
    assert read("16,326").value == 16326


@pytest.mark.parametrize("dash", [*DASHES, " – "])
def test_a_dash_is_no_number(dash: str) -> None:
    assert parse(dash) is None
    assert parse_cell(dash, 2) == (None, None)


@pytest.mark.parametrize(
    "text",
    ["", " ", "80.60/82.74", "5.72x10^5", "1e5", "5.72×10^{5", "1×10^9999", "٣", "1 000", "1,00", "0,123", "--", "nan"],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a printed number"):
        parse(text)


@pytest.mark.parametrize(("text", "count"), [("80.60", 2), ("−86.50", 2), ("1.0/2.0", 1), ("1.0/2.0/3.0", 2)])
def test_a_cell_holds_as_many_numbers_as_it_should(text: str, count: int) -> None:
    with pytest.raises(ValueError, match=r"number\(s\) in"):
        parse_cell(text, count)


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
    value = Fraction(printed.value) + shift * Fraction(printed.unit)
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
