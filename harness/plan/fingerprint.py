"""The fingerprint of the sources that can change a run's numbers."""

from __future__ import annotations

import functools
from pathlib import Path

from harness.sources import fingerprint_of

__all__ = ["sources_fingerprint"]

_ROOMS = ("data", "models", "training")


@functools.cache
def sources_fingerprint() -> str:
    """Hash the sources that can change a run's numbers: the rooms `data`, `models` and `training`.

    Comments, docstrings and layout are left out, so that better words cost no retraining.
    """
    package = Path(__file__).parents[1]
    return fingerprint_of((path for room in _ROOMS for path in (package / room).rglob("*.py")), package)
