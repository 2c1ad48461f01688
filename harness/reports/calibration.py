"""What simulations say of the statistics: the figures that ``python -m benchmarks.calibration`` wrote, typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.errors import InputError
from harness.yamlfile import validate

__all__ = ["CALIBRATION", "Calibration", "Coverage", "Family", "Floor", "Method", "Power", "Rate", "Settings", "load"]

CALIBRATION = Path(__file__).parent / "calibration.json"
_REMAKE = "make the figures again: python -m benchmarks.calibration"


class _Row(BaseModel):
    # What a later version adds is not asked for, and what is asked for must be there.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Rate(_Row):
    """A share of ``of`` simulated repetitions, with its bounds."""

    of: int = Field(gt=0)
    rate: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class _Study(_Row):
    """A made-up study: test utterances, seeds, and how far an accuracy spreads over seeds, in points."""

    items: int = Field(ge=1)
    seeds: int = Field(ge=1)
    seed_sd: float = Field(ge=0)


class Family(_Study):
    """False daggers in whole families without a difference; ``metric`` is one of the simulated ones, or ``any``.

    ``noise`` is how seeds are distributed, ``profile`` whether the variant is right on the same utterances, ``shared``
    the part of the seeds' variance that both arms have in common.
    """

    noise: str
    profile: str
    shared: float
    metric: str
    promised: bool
    family: Rate
    unadjusted: Rate
    single: Rate | None


class Coverage(_Study):
    """How often intervals hold the truth: the shown one, percentiles always, Student's t always; how often t is shown.

    ``of`` is what the interval is of: a mean or a difference.
    """

    metric: str
    of: str
    promised: bool
    shown: Rate
    percentiles: float = Field(ge=0, le=1)
    t: float = Field(ge=0, le=1)
    by_t: float = Field(ge=0, le=1)


class Method(_Row):
    """How often one method errs, or its interval holds the truth; ``ours`` where the harness concludes from it."""

    method: str
    ours: bool
    measures: Literal["false positives", "coverage"]
    seeds: int = Field(ge=1)
    rate: Rate
    items: int | None
    seed_sd: float | None


class Power(_Row):
    """How often an effect, in sd of the deltas, is found: by one test, and by a dagger where a whole family has it.

    ``detectable`` marks the effect that is found with power 0.8, which is there beside a grid that all seeds share.
    """

    seeds: int = Field(ge=2)
    effect: float = Field(ge=0)
    detectable: bool
    single: Rate
    daggers: Rate


class Floor(_Row):
    """What a number of seeds can show: smallest exact p, and effects that are found with power 0.8."""

    seeds: int = Field(ge=2)
    sign_flip: float
    wilcoxon: float
    detectable: float
    detectable_alone: float


class Settings(_Row):
    """What all figures have in common: level of the tests, models of a family, resamples, accuracy of the models."""

    alpha: float = Field(gt=0, lt=1)
    models: int = Field(ge=1)
    resamples: int = Field(ge=1)
    accuracy: float = Field(gt=0, lt=1)


class Calibration(_Row):
    """All of it; ``level`` is that of the bounds of every rate."""

    schema_version: Literal[1] = Field(alias="schema")
    level: float = Field(gt=0, lt=1)
    settings: Settings
    stars: tuple[Family, ...] = Field(min_length=1)
    coverage: tuple[Coverage, ...] = Field(min_length=1)
    methods: tuple[Method, ...] = Field(min_length=1)
    power: tuple[Power, ...] = Field(min_length=1)
    floors: tuple[Floor, ...] = Field(min_length=1)


def load(path: Path = CALIBRATION) -> Calibration | None:
    """Read the simulated figures; None where they were not made.

    Raises
    ------
    InputError
        If the file cannot be read, or lacks something that the page about the statistics shows.
    """
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the simulated figures: {error}", where=str(path), hint=_REMAKE) from error
    if not isinstance(found, dict):
        raise InputError("the simulated figures are not a mapping", where=str(path), hint=_REMAKE)
    return validate(Calibration, found, where=str(path))
