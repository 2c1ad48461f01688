"""What is left when the main process is interrupted or killed: whole records, and no process at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.executors import LocalExecutor
from harness.store import RunStore
from harness.training.job import Job
from tests.helpers import make_spec

MARKER = "HARNESS_TEST_MARKER"
MAIN = """
import sys
from pathlib import Path
from harness.executors import LocalExecutor, Progress, Started, base
from harness.store import RunStore
from harness.training.job import Job
from tests.helpers import make_spec

base.available_cores = lambda: 8
root, stub, preload = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = RunStore(root)
store.prepare()
jobs = [Job(make_spec(seed=seed), Path("features"), root) for seed in range(40)]

def observe(event):
    if isinstance(event, Progress):
        print("progress", flush=True)

print("ready", flush=True)
outcome = LocalExecutor(2, None, "tests.executors.stubs:" + stub, preload=(preload,)).run(jobs, store, observer=observe)
print("interrupted" if outcome.interrupted else "finished", len(outcome.done), len(outcome.not_run), flush=True)
"""


class Main:
    """A process that runs the executor, and every process that came from it, found by a mark in the environment."""

    def __init__(self, root: Path, stub: str, preload: str = "tests.executors.stubs") -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, str(root), stub, preload],
            env={**os.environ, MARKER: self.mark, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, word: str, times: int = 1) -> None:
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            times -= line.startswith(word)
            if times == 0:
                return
        raise AssertionError(f"{word!r} never came: {''.join(said)}")

    def family(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARKER) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def left_after(self, seconds: float) -> list[psutil.Process]:
        end = time.monotonic() + seconds
        while (left := self.family()) and time.monotonic() < end:
            time.sleep(0.02)
        return left

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        for process in self.family():
            process.kill()


@pytest.fixture
def mains() -> Iterator[list[Main]]:
    started: list[Main] = []
    yield started
    for main in started:
        main.close()


@pytest.mark.parametrize("stub", ["always_hangs", "hangs_in_c"])
def test_kill_9_of_main_leaves_no_process(tmp_path: Path, mains: list[Main], stub: str) -> None:
    main = Main(tmp_path / "runs", stub)
    mains.append(main)
    main.wait_for("progress", 2)
    # Main, two workers, the fork server and the resource tracker: else the test would pass by seeing nothing.
    assert len(main.family()) == 5
    main.process.kill()
    main.process.wait()
    assert main.left_after(5.0) == []


def test_kill_9_while_the_fork_server_still_imports(tmp_path: Path, mains: list[Main]) -> None:
    main = Main(tmp_path / "runs", "good", preload="tests.executors.slow_import")
    mains.append(main)
    main.wait_for("ready")
    end = time.monotonic() + 10
    while len(main.family()) < 3 and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.3)
    assert len(main.family()) == 3
    main.process.kill()
    main.process.wait()
    assert main.left_after(5.0) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_from_outside_ends_it_cleanly(tmp_path: Path, mains: list[Main], how: signal.Signals) -> None:
    main = Main(tmp_path / "runs", "always_hangs")
    mains.append(main)
    main.wait_for("progress", 2)
    if how is signal.SIGINT:
        os.killpg(main.process.pid, how)  # as a terminal does: to everything in the foreground
    else:
        main.process.send_signal(how)
    said, _ = main.process.communicate(timeout=10)
    assert said.splitlines() == ["interrupted 0 40"]
    assert main.process.returncode == 0
    assert main.left_after(5.0) == []
    assert list((tmp_path / "runs" / ".tmp").iterdir()) == []


def test_kill_9_at_odd_moments_leaves_whole_records_that_a_second_run_completes(
    tmp_path: Path, mains: list[Main]
) -> None:
    store = RunStore(tmp_path / "runs")
    for progress in (1, 3, 4):
        main = Main(store.root, "good")
        mains.append(main)
        main.wait_for("progress", progress)
        main.process.kill()
        main.process.wait()
        assert main.left_after(5.0) == []
        for record in store.records():
            assert len(record.predictions()) == 48
        assert store.unreadable == []
    jobs = [Job(make_spec(seed=seed), Path("features"), store.root) for seed in range(12)]
    store.prepare()
    assert list((store.root / ".tmp").iterdir()) == []
    outcome = LocalExecutor(1, None, "tests.executors.stubs:good", preload=("tests.executors.stubs",)).run(jobs, store)
    assert outcome.already
    assert not outcome.failed
    assert all(store.status(job.spec) == "done" for job in jobs)
