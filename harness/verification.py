"""Records made again: whether the same spec gives the same bits here and now, and if not, from which epoch on."""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from harness.data.use import using
from harness.errors import InputError, StoreError
from harness.executors import LocalExecutor, Observer, ignore
from harness.spec import RunSpec
from harness.store import Record, RunStore
from harness.workflow import Folders, Planned, RunOptions, make_jobs

__all__ = ["Check", "Verdict", "compare_records", "sample_runs", "verify"]

Verdict: TypeAlias = Literal["bit-equal", "within tolerance", "different", "failed"]
_LOSSES = ("train_loss", "valid_loss")
_KEYS = ["split", "id"]


@dataclass(frozen=True)
class Check:
    """One record against the same run made again.

    Attributes
    ----------
    spec : RunSpec
    verdict : str
        ``bit-equal``: every prediction and every loss; ``within tolerance``: no prediction differs by more than that;
        ``different``; ``failed``: there is no second record.
    difference : float
        The largest absolute difference of two predictions (scores or logits); NaN where they cannot be paired.
    epoch : int or None
        The first whose training or validation loss differs.
    environment : tuple of str
        Names of what differs between the two environments.
    reason : str
        Why the second run failed, or what cannot be compared.
    """

    spec: RunSpec
    verdict: Verdict
    difference: float = math.nan
    epoch: int | None = None
    environment: tuple[str, ...] = ()
    reason: str = ""


def sample_runs(runs: Sequence[RunSpec], count: int | None, seed: int) -> list[RunSpec]:
    """Draw runs so that different models come first; all of them where `count` is None.

    Within a model the draw is at random by `seed`, and models take turns in an order that is drawn as well.
    """
    rng = random.Random(seed)  # noqa: S311 -- a sample, not a secret
    by_model: dict[str, list[RunSpec]] = {}
    for run in sorted(runs, key=lambda run: run.run_id):
        by_model.setdefault(run.model, []).append(run)
    piles = list(by_model.values())
    rng.shuffle(piles)
    for pile in piles:
        rng.shuffle(pile)
    drawn: list[RunSpec] = []
    while any(piles):
        drawn.extend(pile.pop() for pile in piles if pile)
    return drawn if count is None else drawn[:count]


def verify(
    planned: Planned,
    folders: Folders,
    *,
    count: int | None,
    seed: int = 0,
    tolerance: float = 1e-5,
    workers: int | None = None,
    device: str | None = None,
    observer: Observer = ignore,
) -> Iterator[Check]:
    """Run a sample of a suite's records again in a store of their own, and compare; the records are not touched.

    Parameters
    ----------
    planned : Planned
        With its feature files.
    folders : Folders
        The second records go below the cache folder, and are removed at the end.
    count : int or None
        How many; None for all.
    seed : int
        Of the draw.
    tolerance : float
        Largest absolute difference of two predictions that counts as equal.
    workers, observer
        As in `harness.workflow.run_suite`.
    device : str, optional
        Where to train; the default is the kind of device that each record was made on.

    Raises
    ------
    InputError
        If the suite has no record, or its data do not fit.
    KeyboardInterrupt
        If the second runs were interrupted.
    """
    done = [run for run in planned.plan.runs if planned.store.status(run) == "done"]
    if not done:
        raise InputError(
            "the suite has no record to run again", where=f"suite '{planned.plan.suite.name}'", hint="run it first"
        )
    chosen = sample_runs(done, count, seed)
    folders.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="verify-", dir=folders.cache, ignore_cleanup_errors=True) as place:
        store = RunStore(Path(place))
        store.prepare()
        # Never from a checkpoint, neither of the first run nor of this one.
        options = RunOptions(checkpoint_seconds=None)
        jobs = make_jobs(planned, folders, chosen, options=options)
        jobs = [replace(job, device=device or _device_of(job.spec, planned.store)) for job in jobs]
        executor = LocalExecutor(
            workers=workers, resources=lambda run: planned.plan.suite.resources_of(run.model), engine="verify"
        )
        with using(job.features for job in jobs):
            outcome = executor.run([replace(job, runs_dir=store.root) for job in jobs], store, observer=observer)
        if outcome.interrupted:
            raise KeyboardInterrupt
        for run in chosen:
            yield _checked(run, planned.store, store, tolerance)


def _device_of(run: RunSpec, store: RunStore) -> str:
    """Return the kind of device that a record was made on: ``cpu`` or ``cuda``."""
    with suppress(StoreError):
        if (record := store.record(run)) is not None:
            return "cpu" if record.provenance().get("environment", {}).get("device", "cpu") == "cpu" else "cuda"
    return "cpu"


def _checked(run: RunSpec, first: RunStore, second: RunStore, tolerance: float) -> Check:
    again = second.record(run)
    if again is None:
        failure = second.failure(run)
        return Check(run, "failed", reason=failure.reason if failure else "it was not run")
    try:
        record = first.record(run)
        if record is None:
            return Check(run, "failed", reason="the record is gone")
        return compare_records(record, again, tolerance)
    except StoreError as error:
        return Check(run, "different", reason=error.what)


def compare_records(record: Record, again: Record, tolerance: float) -> Check:
    """Compare two records of one run.

    Raises
    ------
    StoreError
        If one of them is damaged.
    """
    epoch = _first_epoch(record.history(), again.history())
    environment = tuple(_differing(record.provenance(), again.provenance()))
    difference, reason = _largest_difference(record.predictions(), again.predictions())
    verdict: Verdict = "different"
    if difference == 0.0 and epoch is None:
        verdict = "bit-equal"
    elif difference <= tolerance:
        verdict = "within tolerance"
    return Check(record.spec, verdict, difference, epoch, environment, reason)


def _first_epoch(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> int | None:
    for number, (one, other) in enumerate(zip(first, second, strict=False), start=1):
        if any(one.get(name) != other.get(name) for name in _LOSSES):
            return number
    return None if len(first) == len(second) else min(len(first), len(second)) + 1


def _largest_difference(first: pd.DataFrame, second: pd.DataFrame) -> tuple[float, str]:
    """Return the largest difference of two predictions of one utterance, or NaN and why there is none."""
    columns = [name for name in first.columns if name not in _KEYS]
    if list(first.columns) != list(second.columns) or len(first) != len(second):
        return math.nan, "they predict different things"
    one, other = (frame.sort_values(_KEYS, kind="stable").reset_index(drop=True) for frame in (first, second))
    if not one[_KEYS].equals(other[_KEYS]):
        return math.nan, "they predict different utterances"
    left, right = one[columns].to_numpy(dtype=np.float64), other[columns].to_numpy(dtype=np.float64)
    if np.array_equal(left, right):  # no subtraction: equal infinities are equal
        return 0.0, ""
    return float(np.max(np.abs(left - right))), ""


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of what differs between two environments, packages by their own."""
    one, other = (_flat(record.get("environment") or {}) for record in (first, second))
    yield from (name for name in sorted({*one, *other}) if one.get(name) != other.get(name))


def _flat(environment: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in environment.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat
