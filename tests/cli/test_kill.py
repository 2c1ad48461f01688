"""Kill -9 of the main process at random moments: running again gives the store of a run that nobody disturbed.

A life is one command, ended by SIGKILL or by itself; a round is as many lives as it takes to complete one store.
Rounds follow each other, each in fresh folders, until enough kills have been made.
"""

from __future__ import annotations

import itertools
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from harness.store import Record, RunStore
from tests.cli.tools import Place, Started, ask, check_whole, write_suite

RUNS = 8
START_SECONDS = 5.0
"""About what planning, generating and converting the data and the fork server's imports take."""
OF_THE_PROCESS = {"wall_seconds", "peak_memory_bytes", "files"}
"""Fields of a record that no two processes give alike."""


def content(record: Record) -> dict[str, Any]:
    """Return everything of a record that must not depend on what happened to its process."""
    ids, features = record.features()
    return {
        "record": {key: value for key, value in record.data.items() if key not in OF_THE_PROCESS},
        "files": {name: record.data["files"][name] for name in ("predictions.parquet", "features.safetensors")},
        "predictions": record.predictions().to_dict("list"),
        "history": [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in record.history()],
        "ids": ids,
        "features": {name: (array.shape, array.tobytes()) for name, array in features.items()},
    }


def contents(store: RunStore) -> dict[str, dict[str, Any]]:
    return {record.run_id: content(record) for record in store.records()}


def pause(command: Started, until: Callable[[], bool], step: float) -> bool:
    """Wait for something, or for the command's end; return whether it came."""
    while command.process.poll() is None:
        if until():
            return True
        time.sleep(step)
    return False


def wait(command: Started, seconds: float) -> None:
    end = time.monotonic() + seconds
    pause(command, lambda: time.monotonic() >= end, 0.0005)


def at_the_start(command: Started, store: RunStore, rng: random.Random) -> None:
    wait(command, rng.uniform(0, START_SECONDS))


def in_training(command: Started, store: RunStore, rng: random.Random) -> None:
    if pause(command, appearance(store, ".tmp/*/log.txt"), 0.005):
        wait(command, rng.uniform(0, 0.4))


def at_publishing(command: Started, store: RunStore, rng: random.Random) -> None:
    """Wait for a draft that is a whole record, or for a new record; then hit within some milliseconds."""
    trained = appearance(store, ".tmp/*/log.txt")
    seen = appearance(store, ".tmp/*/record.json", "*/*/*/record.json")
    if pause(command, trained, 0.005) and pause(command, seen, 0.0002):
        wait(command, rng.uniform(0, 0.004))


def appearance(store: RunStore, *patterns: str) -> Callable[[], bool]:
    """Return what tells whether new files are there; drafts of an earlier life stay until the next one sweeps them."""

    def found() -> set[Path]:
        return {path for pattern in patterns for path in store.root.glob(pattern)}

    before = found()
    return lambda: bool(found() - before)


Moment: TypeAlias = Callable[[Started, RunStore, random.Random], None]
MOMENTS: tuple[Moment, ...] = (in_training, at_the_start, at_publishing)


def one_round(suite: Path, place: Place, moments: Iterator[Moment], kills: int, rng: random.Random) -> Counter[str]:
    """Complete one store in spite of at most `kills` kills; return how many there were of each kind."""
    counts: Counter[str] = Counter()
    while counts.total() < kills:
        command = Started("run", "--suite", suite, *place.options)
        try:
            moment = next(moments)
            moment(command, place.store, rng)
            command.process.kill()
            code = command.end()
            assert command.orphans() == []
        finally:
            command.close()
        check_whole(place.store, after_the_end=code == 0)
        if code == 0:  # it was faster
            break
        assert code == -signal.SIGKILL, command.said
        counts[moment.__name__] += 1
    else:
        answer = ask("run", "--suite", suite, *place.options)
        assert answer.code == 0, answer.err
    check_whole(place.store, after_the_end=True)
    assert (place.reports / "tiny" / "index.html").is_file()
    return counts


def campaign(folder: Path, kills: int, seed: int) -> tuple[Counter[str], int]:
    """Kill so many times, hold the store of each round against an undisturbed one; return kills and rounds."""
    suite = write_suite(folder / "tiny.yaml", max_epochs=4)
    calm = Place(folder / "calm" / "runs", folder / "calm" / "reports", folder / "calm" / "cache")
    answer = ask("run", "--suite", suite, *calm.options)
    assert answer.code == 0, answer.err
    expected = contents(calm.store)
    assert len(expected) == RUNS

    rng = random.Random(seed)
    moments = itertools.cycle(MOMENTS)
    counts: Counter[str] = Counter()
    rounds = 0
    while counts.total() < kills:
        rounds += 1
        root = folder / f"round-{rounds}"
        place = Place(root / "runs", root / "reports", root / "cache")
        counts += one_round(suite, place, moments, kills - counts.total(), rng)
        found = contents(place.store)
        assert found.keys() == expected.keys()
        for run_id, parts in expected.items():
            for name, part in parts.items():
                assert found[run_id][name] == part, f"{name} of {run_id} in round {rounds}"
    return counts, rounds


def test_no_worker_outlives_the_main_process(place: Place, tmp_path: Path) -> None:
    endless = {"max_epochs": 10**9, "hyper": {"*": {"batch_size": 8, "early_stop": 10**9}}}
    command = Started("run", "--suite", write_suite(tmp_path / "endless.yaml", **endless), *place.options)
    try:
        assert pause(command, appearance(place.store, ".tmp/*/log.txt"), 0.005), command.said
        time.sleep(0.5)
        # Itself, the resource tracker, the fork server and a worker at least: else nothing would be seen below.
        assert len(command.family()) >= 4
        command.process.kill()
        command.end()
        assert command.orphans(5.0) == []
    finally:
        command.close()
    assert list(place.store.records()) == []


def test_three_kills(tmp_path: Path) -> None:
    counts, _ = campaign(tmp_path, 3, seed=3)
    assert counts.total() == 3


@pytest.mark.slow
def test_two_dozen_kills(tmp_path: Path) -> None:
    counts, rounds = campaign(tmp_path, 24, seed=24)
    sys.stdout.write(f"{counts.total()} kills in {rounds} rounds: {dict(counts)}\n")  # shown with -s or -rP
    assert counts.total() == 24
    assert all(counts[moment.__name__] >= 4 for moment in MOMENTS)
