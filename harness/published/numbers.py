"""Printed numbers: their text, their value, and whether another number would have been printed the same."""

from __future__ import annotations

import decimal
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

__all__ = ["Printed", "parse", "parse_cell"]

_NUMBER = re.compile(
    r"""(?P<sign>[+\u2212-])?               # a minus is printed as U+2212 or as a hyphen
        (?P<mantissa>(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)(?:\.\d+)?)
        (?:\u00d710\^(?:(?P<bare>-?\d{1,3})|\{(?P<braced>-?\d{1,3})\}))?
        (?P<percent>%)?""",
    re.VERBOSE | re.ASCII,
)
_BRACES = str.maketrans("", "", "{}")
_DASHES = frozenset("-\u2212\u2013\u2014")  # hyphen, minus, en dash, em dash


@dataclass(frozen=True)
class Printed:
    """A number as it is printed.

    Attributes
    ----------
    text : str
        As it stands in the paper.
    value : Decimal
        What it says, trailing zeros included; for a percentage the number before the sign.
    digits : int
        How many significant digits are printed: all of the mantissa's but leading zeros, trailing zeros included.
    percent : bool
        Whether a percent sign follows.
    """

    text: str
    value: Decimal
    digits: int
    percent: bool = False

    @property
    def plain(self) -> str:
        """The text without the braces of an exponent."""
        return self.text.translate(_BRACES)

    @property
    def decimals(self) -> int:
        """Decimal places that are printed: 2 for 80.60; negative where the last digit stands left of the point."""
        exponent = self.value.as_tuple().exponent
        assert isinstance(exponent, int)  # no printed number is infinite
        return -exponent

    @property
    def unit(self) -> Decimal:
        """What one step of the last printed digit is worth: 0.01 for 80.60, 1000 for 5.72×10^5."""
        return Decimal((0, (1,), -self.decimals))

    @property
    def signed(self) -> bool:
        """Whether a sign is printed, plus or minus."""
        return self.text[0] in "+-\u2212"

    def agrees(self, value: int | Decimal | Fraction) -> bool:
        """Whether `value`, rounded to as many significant digits (halves away from zero), equals every printed digit.

        Exact in decimal arithmetic: binary floating point has no say in it.
        """
        context = decimal.Context(prec=self.digits, rounding=decimal.ROUND_HALF_UP)
        if isinstance(value, Fraction):
            return context.divide(Decimal(value.numerator), Decimal(value.denominator)) == self.value
        return context.create_decimal(value) == self.value


def parse(text: str) -> Printed | None:
    """Read a printed number; None for a dash, which says that there is none.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> parse("1.36×10^{11}").value
    Decimal('1.36E+11')
    """
    stripped = text.strip()
    if stripped in _DASHES:
        return None
    found = _NUMBER.fullmatch(stripped)
    if found is None:
        raise ValueError(f"not a printed number: {text!r}")
    minus = "-" if found["sign"] in ("-", "\u2212") else ""
    mantissa = found["mantissa"].replace(",", "")
    value = Decimal(f"{minus}{mantissa}E{found['bare'] or found['braced'] or 0}")
    # A number that is all zeros shows as many digits as it has places: 0.00 is 0 to the second.
    digits = len(mantissa.replace(".", "").lstrip("0")) or len(mantissa.replace(".", ""))
    return Printed(stripped, value, digits, found["percent"] is not None)


def parse_cell(text: str, count: int = 1) -> tuple[Printed | None, ...]:
    """Read a printed cell that has room for `count` numbers with slashes between them.

    A lone dash in a cell of several says that all are absent.

    Raises
    ------
    ValueError
        If the cell holds another number of numbers, or anything else.

    Examples
    --------
    >>> [number and str(number.value) for number in parse_cell("-/86.50", 2)]
    [None, '86.50']
    """
    parts = text.split("/")
    if len(parts) == 1 and parse(text) is None:
        return (None,) * count
    if len(parts) != count:
        raise ValueError(f"{len(parts)} number(s) in {text!r} where {count} belong")
    return tuple(parse(part) for part in parts)
