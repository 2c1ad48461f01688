"""What a person sees: runs while they go on, listings as text, JSON or CSV, errors in three lines."""

from __future__ import annotations

from harness.display.listing import Format, counting, err, print_error, print_json, print_rows, seconds_text
from harness.display.live import RunDisplay
from harness.display.watch import watch

__all__ = [
    "Format",
    "RunDisplay",
    "counting",
    "err",
    "print_error",
    "print_json",
    "print_rows",
    "seconds_text",
    "watch",
]
