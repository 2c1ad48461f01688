"""How numbers are printed: one rule for HTML and LaTeX, with a plain minus that each turns into its own."""

from __future__ import annotations

import math

from harness.metrics import Metric

__all__ = ["between", "duration", "p_value", "percent", "plain", "power", "printed", "ratio", "signed"]

_SMALLEST_P = 0.0001


def printed(value: float, metric: Metric) -> float:
    """Return the value as it is printed (percent, rounded), so that what looks equal is ranked equal."""
    return round(value * 100, 2) if metric.percent else round(value, 3)


def plain(value: float, metric: Metric) -> str:
    """Return percent with 2 decimals, MAE and Corr with 3; an empty string for NaN."""
    if math.isnan(value):
        return ""
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{printed(value, metric) + 0.0:.{2 if metric.percent else 3}f}"


def signed(value: float, metric: Metric) -> str:
    """Return the same with an explicit sign, which a printed zero does not have."""
    text = plain(value, metric)
    return text if not text or text.startswith("-") or float(text) == 0 else f"+{text}"


def between(low: float, high: float, metric: Metric, *, sign: bool = True) -> str:
    """Return the ends of an interval as ``-1.20 to +0.35``; an empty string where either is NaN."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return " to ".join((signed if sign else plain)(end, metric) for end in (low, high))


def ratio(value: float) -> str:
    """Return a number without unit, such as an effect size, with two decimals; an empty string for NaN."""
    return "" if math.isnan(value) else f"{value + 0.0:.2f}"


def power(count: int) -> str:
    """Return a count with three significant digits, as ``5.72e5``; zero as it is."""
    if count == 0:
        return "0"
    digits, _, exponent = f"{count:.2e}".partition("e")
    return f"{digits}e{int(exponent)}"


def percent(before: int, after: int) -> str:
    """Return by how much a count has grown, in percent with two decimals and an explicit sign, which zero has not."""
    if before == 0:
        return ""
    text = f"{100 * (after - before) / before:+.2f}"
    return text.lstrip("+-") if float(text) == 0 else text


def p_value(p: float) -> str:
    """Return a p value with four decimals, or what it is below; an empty string for NaN."""
    if math.isnan(p):
        return ""
    return f"<{_SMALLEST_P}" if p < _SMALLEST_P else f"{p:.4f}"


def duration(seconds: float) -> str:
    """Return a time as people say it: ``4.2 s``, ``3 min 07 s``, ``2 h 05 min``; an empty string for NaN."""
    if math.isnan(seconds):
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
