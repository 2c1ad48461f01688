"""What of a suite is done, failed, running or missing: read from the store, whoever runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.errors import StoreError
from harness.schedule import Estimates, makespan
from harness.spec import RunSpec
from harness.store import Lease, Leases, RunStore
from harness.store.record import LOG_FILE
from harness.workflow.planning import Planned

__all__ = [
    "StatusRows",
    "expected_seconds",
    "living",
    "outdated",
    "place_of",
    "row_label",
    "run_row",
    "seconds_left",
    "status_rows",
]

_GUESS_AGAIN_SECONDS = 60.0


def status_rows(planned: Planned) -> list[dict[str, Any]]:
    """Return one row a run: what it is, whether it is done, failed, running or missing, and what is known of it.

    ``reason`` says why a run failed, and ``log`` where what it printed can be read; ``where`` and ``progress`` who
    works on a running one, and how far it is.
    """
    return StatusRows(planned)()


@dataclass
class StatusRows:
    """The rows of `status_rows`, cheap to ask for again and again.

    What is done stays done. The rest is looked at only where something has changed: whatever becomes of a run, a folder
    appears, goes or changes its name beside the place of its record, and with that the time of the folder around it.

    Parameters
    ----------
    planned : Planned
    clock : callable
        Monotonic seconds.
    """

    planned: Planned
    clock: Callable[[], float] = time.monotonic
    _runs: tuple[RunSpec, ...] = ()
    _rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    _open: dict[Path, list[RunSpec]] = field(default_factory=dict)
    _times: dict[Path, tuple[int | None, bool]] = field(default_factory=dict)
    _held: dict[str, Lease] = field(default_factory=dict)
    _guesses: Mapping[str, float] = field(default_factory=dict)
    _guessed: float | None = None

    def __post_init__(self) -> None:
        self._runs = self.planned.plan.runs
        for run in self._runs:
            self._open.setdefault(self.planned.store.folder(run).parent, []).append(run)

    def __call__(self) -> list[dict[str, Any]]:
        """Look at the store, and return one row a run, in the order of the plan."""
        # Before the records: what ends in between shows as running once more, never as missing.
        self._held = {lease.run_id: lease for lease in living(self.planned.store.leases)}
        for folder, runs in self._open.items():
            if runs and self._has_changed(folder):
                self._open[folder] = [run for run in runs if self._look(run)]
        return [self._shown(self._rows[run.run_id], run) for run in self._runs]

    def left(self) -> float | None:
        """Guess the seconds until nothing is missing, from the latest look, with the workers that there are now.

        Returns
        -------
        float or None
            None where nobody works, or nobody knows.
        """
        unfinished = [run for runs in self._open.values() for run in runs]
        working = [run for run in unfinished if run.run_id in self._held]
        if not working:
            return None
        self._guess(unfinished)
        beat = self.planned.store.leases.beat_seconds
        waiting = [
            self._guesses.get(run.run_id)
            for run in unfinished
            if run.run_id not in self._held and self._rows[run.run_id]["status"] == "missing"
        ]
        # Counted beats tell how long a run has gone on, by no clock that two hosts would have to share.
        running = [(self._guesses.get(run.run_id), self._held[run.run_id].beat * beat) for run in working]
        return seconds_left(running, waiting, len(working))

    def _has_changed(self, folder: Path) -> bool:
        """Tell whether the time of a folder has moved, and once more at the next look.

        A file system counts time in steps: what happens in the step of a look, but after it, moves the time no further.
        """
        try:
            now = folder.stat().st_mtime_ns
        except OSError:
            now = None
        before, twice = self._times.get(folder, (-1, False))
        self._times[folder] = (now, now == before)
        return now != before or not twice

    def _look(self, run: RunSpec) -> bool:
        """Write the row of a run, and tell whether it can still change."""
        store = self.planned.store
        status, reason, log = store.status(run), "", ""
        if status == "failed":
            try:
                failure = store.failure(run)
            except StoreError as error:
                reason = error.what
            else:
                reason = f"{failure.kind}: {failure.reason}" if failure else ""
                path = failure.folder / LOG_FILE if failure else None
                log = str(path) if path is not None and path.is_file() else ""
        told = {"status": status, "reason": reason, "where": "", "progress": "", "log": log}
        self._rows[run.run_id] = {**run_row(run), **told}
        return status != "done"

    def _shown(self, row: dict[str, Any], run: RunSpec) -> dict[str, Any]:
        lease = self._held.get(run.run_id)
        if lease is None or row["status"] == "done":
            return row
        said = lease.about.get("progress") or {}
        progress = f"epoch {said['epoch']}/{run.max_epochs}" if "epoch" in said else "starting"
        return {**row, "status": "running", "where": place_of(lease), "progress": progress}

    def _guess(self, runs: Sequence[RunSpec]) -> None:
        """Guess what runs take; where a guess is missing, again a minute later, when there may be more records."""
        now = self.clock()
        if self._guessed is not None:
            complete = all(run.run_id in self._guesses for run in runs)
            if complete or now - self._guessed < _GUESS_AGAIN_SECONDS:
                return
        self._guessed = now
        self._guesses = expected_seconds(self.planned.store, runs)


def living(leases: Leases) -> list[Lease]:
    """Return the leases of those that are still at work, as far as this process has seen yet."""
    return [lease for lease in leases.all() if leases.is_held(lease.run_id)]


def place_of(lease: Lease) -> str:
    """Say where the holder of a lease works: host, device and engine."""
    about = lease.about
    return f"{about.get('host', '?')} {about.get('device', '?')} ({about.get('engine', '?')})"


def expected_seconds(store: RunStore, runs: Iterable[RunSpec]) -> dict[str, float]:
    """Return by run id what runs will about take in seconds; those of which nobody knows are left out."""
    estimates = Estimates(store)
    return {run.run_id: seconds for run in runs if (seconds := estimates.seconds(run)) is not None}


def seconds_left(
    running: Sequence[tuple[float | None, float]],
    waiting: Sequence[float | None],
    workers: int,
    typical: float | None = None,
) -> float | None:
    """Guess the seconds until some runs have ended.

    Parameters
    ----------
    running : sequence of (float or None, float)
        What each is expected to take, and what it has taken.
    waiting : sequence of float or None
        What each is expected to take.
    workers : int
        Runs side by side, at least as many as are running.
    typical : float, optional
        What a run takes of which nothing is expected; the default is the mean of what is expected of the others.

    Returns
    -------
    float or None
        None where there is nothing to go by: nothing is known, or all has taken longer than expected.
    """
    known = [guess for guess in (*(expected for expected, _ in running), *waiting) if guess is not None]
    if typical is None and known:
        typical = fmean(known)
    if typical is None:
        return None
    rest = [max(0.0, (typical if expected is None else expected) - taken) for expected, taken in running]
    others = sorted((typical if expected is None else expected for expected in waiting), reverse=True)
    left = makespan([*rest, *others], max(1, workers, len(running)))
    return left if left > 0 else None


def outdated(planned: Planned) -> int:
    """Count runs without a record for which one made from other sources, data or hyper-parameters exists."""
    store = planned.store
    return sum(count > 0 for count in store.relatives(r for r in planned.plan.runs if store.status(r) == "missing"))


def run_row(run: RunSpec) -> dict[str, Any]:
    """Return what a listing says of every run."""
    return {
        "dataset": run.data.dataset,
        "setting": run.data.setting,
        "task": run.task,
        "model": run.model,
        "variant": run.variant,
        "seed": run.seed,
        "run_id": run.run_id,
    }


def row_label(row: Mapping[str, Any]) -> str:
    """Name the run of a row as `RunSpec.label` does."""
    suffix = "" if row["variant"] == "original" else f"-{row['variant']}"
    return f"{row['model']}{suffix} {row['dataset']} {row['task']} seed {row['seed']}"
