"""How much a benchmark of reports makes and measures."""

from __future__ import annotations

from dataclasses import dataclass

from harness.comparison import RESAMPLES

__all__ = ["FIGURES", "QUICK", "TABLES", "Settings"]

_ALL = (
    *("LF-DNN", "TFN", "LMF", "MFN", "Graph-MFN", "MulT", "MISA"),
    *("MLF-DNN", "MTFN", "MLMF", "Self-MM", "TETFN", "ALMT", "TMT"),
)


@dataclass(frozen=True)
class Settings:
    """One store of synthetic records, and the report that is made of it."""

    datasets: int
    seeds: int
    figures: bool
    models: tuple[str, ...] = _ALL
    utterances: int = 457
    resamples: int = RESAMPLES


TABLES = Settings(datasets=6, seeds=20, figures=False)
"""10,080 runs: 84 cells on each of six data sets."""
FIGURES = Settings(datasets=2, seeds=5, figures=True)
"""840 runs, with their learned features."""
QUICK = Settings(datasets=1, seeds=2, figures=False, models=("LF-DNN", "LMF"), utterances=40, resamples=200)
"""A smoke test: measures nothing."""
