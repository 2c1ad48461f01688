"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness.display import Format
from harness.errors import InputError
from harness.plan import Selection

__all__ = [
    "CacheDir",
    "DataDir",
    "Datasets",
    "FormatOption",
    "Listed",
    "Models",
    "ReportsDir",
    "RunsDir",
    "Seeds",
    "SuiteOption",
    "Variants",
    "selection",
    "split",
]

Listed = list[str]
SuiteOption = Annotated[str, typer.Option("--suite", "-s", help="A shipped suite's name, or a YAML file.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of the feature files [HARNESS_DATA_DIR].", show_default=False)
]
RunsDir = Annotated[
    Path | None, typer.Option("--runs-dir", help="Folder of the records [HARNESS_RUNS_DIR; runs].", show_default=False)
]
ReportsDir = Annotated[
    Path | None,
    typer.Option("--reports-dir", help="Folder of the reports [HARNESS_REPORTS_DIR; reports].", show_default=False),
]
CacheDir = Annotated[
    Path | None,
    typer.Option("--cache-dir", help="Folder of converted arrays [HARNESS_CACHE_DIR].", show_default=False),
]
Models = Annotated[Listed | None, typer.Option("--models", help="Only these, with commas or repeated.")]
Variants = Annotated[Listed | None, typer.Option("--variants", help="Only these of original, fg, a, v.")]
Seeds = Annotated[Listed | None, typer.Option("--seeds", help="Only these seeds.")]
Datasets = Annotated[Listed | None, typer.Option("--datasets", help="Only these data sets.")]
FormatOption = Annotated[Format, typer.Option("--format", help="How listings are printed.")]
_SEED_DIGITS = 10


def split(values: Sequence[str] | None, option: str) -> tuple[str, ...]:
    """Return what a list option names, with commas or repeated, each once.

    Raises
    ------
    InputError
        If the option is there and names nothing.
    """
    parts = (part.strip() for value in values or () for part in value.split(","))
    named = tuple(dict.fromkeys(part for part in parts if part))
    if values and not named:  # an empty shell variable must not mean everything
        raise InputError("nothing is named", where=option, hint="name something, or leave the option out")
    return named


def selection(
    models: Listed | None, variants: Listed | None, seeds: Listed | None, datasets: Listed | None
) -> Selection:
    """Return what the four list options pick from a suite.

    Raises
    ------
    InputError
        If one names nothing, or a seed is no seed.
    """
    numbers = split(seeds, "--seeds")
    for text in numbers:
        if not text.isdecimal() or len(text) > _SEED_DIGITS or int(text) >= 2**32:
            raise InputError(
                f"a seed is a whole number below 2**32, not '{text}'", where="--seeds", hint="write --seeds 1111,1112"
            )
    return Selection(
        split(datasets, "--datasets"),
        split(models, "--models"),
        split(variants, "--variants"),
        tuple(int(text) for text in numbers),
    )
