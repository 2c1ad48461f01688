"""Kill -9 of any process of two drivers that share a store: driver, fork server, resource tracker, worker.

A round is one store, worked on by two drivers that are started again whenever they are gone, until all runs have a
record or the kills are used up. Then one driver completes the store undisturbed. Rounds follow each other, each in a
fresh folder, until enough kills have been made.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest

from harness.executors import Event, Finished, LocalExecutor, Outcome
from harness.training.job import Job
from tests.cli.tools import MARK
from tests.faults.driver import STUBS
from tests.faults.tools import END_SECONDS, Driver, Place, tree

RUNS = 25
LONGEST_PAUSE = 1.0
# How often each is chosen where it is there: workers are there for a part of the time only.
KINDS = {"driver": 2, "fork server": 2, "resource tracker": 1, "worker": 6}
PATIENCE = 3
"""Processes that a driver loses at the start before it may give up, at least."""
REASONS = (
    "the process was killed by SIGKILL",
    "the process ended with exit code 255",  # of a run whose fork server died: nobody knows its exit code
)


def kind_of(process: psutil.Process) -> str:
    """Name the part that a process of a driver's family plays."""
    words = " ".join(process.cmdline())
    if "tests.faults.driver" in words:
        return "driver"
    if "resource_tracker" in words:
        return "resource tracker"
    # A worker is a fork of the fork server, and has its command line.
    parent = process.parent()
    return "fork server" if parent and "tests.faults.driver" in " ".join(parent.cmdline()) else "worker"


def family(mark: str) -> dict[str, list[psutil.Process]]:
    """Return the living processes that bear a mark, by kind."""
    sign = f"{MARK}={mark}".encode()
    found: dict[str, list[psutil.Process]] = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if sign in path.read_bytes():
                process = psutil.Process(int(path.parent.name))
                found.setdefault(kind_of(process), []).append(process)
        except (OSError, psutil.Error):
            continue
    return found


@dataclass
class Round:
    """One store under fire."""

    place: Place
    rng: random.Random
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    drivers: list[Driver] = field(default_factory=list)
    killed: Counter[str] = field(default_factory=Counter)
    shots: list[tuple[int, str]] = field(default_factory=list)
    """Session, which is the driver's process id, and kind of all that were killed."""

    def fire(self, kills: int) -> None:
        """Kill until there is nothing left to disturb, and at most so many times."""
        while self.killed.total() < kills and set(self.place.statuses) != {"done"}:
            while len(self.living()) < 2:
                self.drivers.append(self.place.start(mark=self.mark))
            time.sleep(self.rng.uniform(0, LONGEST_PAUSE))
            self._kill_one()

    def living(self) -> list[Driver]:
        return [driver for driver in self.drivers if driver.process.poll() is None]

    def cease(self) -> None:
        """Kill the drivers that are left and hear what all of them have said."""
        for driver in self.living():
            driver.process.kill()
        for driver in self.drivers:
            code = driver.end(END_SECONDS)
            shots = [kind for session, kind in self.shots if session == driver.process.pid]
            said = f"{shots}\n{driver.said}"
            if code == -signal.SIGKILL:
                continue
            assert "Traceback" not in driver.words, said
            if code == 2:
                # Who is shot at whenever he starts a process gives up, and says why.
                assert "died at their start" in driver.words, said
                assert shots.count("fork server") + shots.count("worker") >= PATIENCE, said
            else:
                # It ended by itself, knowing of failures or of none.
                assert code in {0, 1}, said
        assert self.drivers[0].orphans() == []

    def close(self) -> None:
        for driver in self.drivers:
            driver.close()

    def _kill_one(self) -> None:
        there = family(self.mark)
        if not there:
            return
        (kind,) = self.rng.choices(sorted(there), [KINDS[name] for name in sorted(there)])
        victim = self.rng.choice(sorted(there[kind], key=lambda process: process.pid))
        try:
            session = os.getsid(victim.pid)
            victim.kill()
        except (psutil.NoSuchProcess, ProcessLookupError):  # it was faster
            return
        self.shots.append((session, kind))
        self.killed[kind] += 1


def check_round(fired: Round, calm: dict[str, bytes]) -> Counter[str]:
    """Let a last driver complete the store, hold it against an undisturbed one; return the failures on the way."""
    place, failures = fired.place, Counter[str]()
    for driver in fired.drivers:
        for event in driver.told("failed"):
            assert event["kind"] == "crash", event
            assert event["reason"].startswith(REASONS), event
            failures[event["reason"].partition(" (")[0]] += 1
        ends = [run_id for end in driver.told("end") for run_id in end["done"]]
        reported = {event["run_id"] for event in driver.told("finished")} | set(ends)
        recorded = {spec.run_id for spec in place.specs if place.store.status(spec) == "done"}
        assert reported <= recorded, "reported done, and no record is there"
    for spec in place.specs:
        if place.store.status(spec) == "failed":
            failure = place.store.failure(spec)
            assert failure is not None
            assert (failure.kind, failure.reason.startswith(REASONS)) == ("crash", True), failure
    # Half of a record, wherever it lies, would show here before the last driver can mend it.
    assert len(list(place.store.records())) == place.statuses.count("done")
    assert place.store.unreadable == []
    last = place.run()
    assert last.process.returncode == 0, last.said
    place.check()
    assert tree(place.store.root) == calm
    return failures


def campaign(folder: Path, kills: int, seed: int) -> tuple[Counter[str], Counter[str], int]:
    """Kill so many times; return the kills by kind of process, the failures by reason, and the number of rounds."""
    quiet = Place(folder / "calm", range(RUNS))
    quiet.folder.mkdir()
    assert quiet.run().process.returncode == 0
    quiet.check()
    calm = tree(quiet.store.root)

    rng = random.Random(seed)
    killed, failures, rounds = Counter[str](), Counter[str](), 0
    while killed.total() < kills:
        rounds += 1
        place = Place(folder / f"round-{rounds}", range(RUNS))
        place.folder.mkdir()
        fired = Round(place, rng)
        try:
            fired.fire(kills - killed.total())
            fired.cease()
        finally:
            fired.close()
        killed += fired.killed
        failures += check_round(fired, calm)
    return killed, failures, rounds


Record = Callable[[str, object], None]


@pytest.fixture(autouse=True)
def _only_where_processes_can_be_seen() -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("processes are found by their environment, which /proc shows")


def tell(record_property: Record, kills: int, seed: int, folder: Path) -> Counter[str]:
    began = time.monotonic()
    killed, failures, rounds = campaign(folder, kills, seed)
    took = time.monotonic() - began
    table = ", ".join(f"{kind} {killed[kind]}" for kind in KINDS)
    words = "; ".join(f"{reason}: {count}" for reason, count in failures.most_common()) or "none"
    # Shown with -s or -rP.
    sys.stdout.write(
        f"\n{killed.total()} kills (seed {seed}) in {rounds} rounds of {RUNS} runs, {took:.0f} s: {table}\n"
        f"failures on the way, all made good: {words}\n"
    )
    record_property("kills", dict(killed))
    record_property("failures", dict(failures))
    return killed


def server_id() -> int:
    """Return the process id of this process's fork server."""
    return int(getattr(forkserver._forkserver, "_forkserver_pid"))  # noqa: B009 - nor does mypy know it


def run_here(place: Place, on_first_end: Callable[[], None]) -> Outcome:
    """Run a place's jobs one by one in this process, and do something between the first and the second."""
    ended: list[Event] = []

    def observe(event: Event) -> None:
        if isinstance(event, Finished):
            ended.append(event)
            if len(ended) == 1:
                on_first_end()

    jobs = [Job(spec, Path("features"), place.store.root) for spec in place.specs]
    return LocalExecutor(1, 20.0, f"{STUBS}:writes", preload=(STUBS,)).run(jobs, place.store, observer=observe)


def test_a_fork_server_that_dies_while_it_is_asked_for_a_process(place: Place) -> None:
    def stop_and_kill() -> None:
        """Let it take the next request and die without an answer."""
        server = server_id()
        os.kill(server, signal.SIGSTOP)
        threading.Timer(0.2, os.kill, (server, signal.SIGKILL)).start()

    outcome = run_here(place, stop_and_kill)
    assert (len(outcome.done), outcome.failed, outcome.not_run) == (len(place.seeds), [], [])
    place.check()


def test_a_fork_server_that_died_between_two_runs_comes_back_as_it_was(place: Place) -> None:
    killed: list[int] = []

    def kill() -> None:
        killed.append(server_id())
        psutil.Process(killed[0]).kill()
        os.waitid(os.P_PID, killed[0], os.WEXITED | os.WNOWAIT)

    outcome = run_here(place, kill)
    assert (len(outcome.done), outcome.failed, outcome.not_run) == (len(place.seeds), [], [])
    assert server_id() not in killed
    assert psutil.Process(server_id()).environ()["HARNESS_PRELOAD"] == STUBS, "else every run imports torch by itself"
    place.check()


def test_a_dozen_kills(tmp_path: Path, record_property: Record) -> None:
    assert tell(record_property, 12, 12, tmp_path).total() == 12


@pytest.mark.slow
def test_two_hundred_kills(tmp_path: Path, record_property: Record) -> None:
    killed = tell(record_property, 200, 200, tmp_path)
    assert killed.total() == 200
    assert set(killed) == set(KINDS)
    assert all(killed[kind] >= 20 for kind in KINDS)
