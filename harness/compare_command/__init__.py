"""``harness compare``: the statistics behind the tables."""

from __future__ import annotations

from harness.compare_command.show import Level, parse_levels, show_comparison

__all__ = ["Level", "parse_levels", "show_comparison"]
