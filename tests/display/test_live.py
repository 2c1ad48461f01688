from __future__ import annotations

import codecs
import fcntl
import io
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.display.live import RunDisplay
from harness.executors import Elsewhere, Failed, Finished, Progress, PutBack, Started
from harness.spec import RunSpec
from harness.store import Leases
from tests.display.screen import Screen, terminal
from tests.helpers import make_spec

RUNS = [make_spec(seed=seed, max_epochs=200) for seed in range(60)]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lines_of(total: int, *, quiet: bool = False, clock: Clock | None = None, **options: Any) -> tuple[RunDisplay, Any]:
    """Return a display that writes to a file, and a function that takes what it has written."""
    file = io.StringIO()
    console = Console(file=file, highlight=False, markup=False, emoji=False, width=40, _environ={})

    def taken() -> list[str]:
        text = file.getvalue()
        file.seek(0)
        file.truncate()
        return text.splitlines()

    return RunDisplay(total, quiet=quiet, console=console, clock=clock or Clock(), **options), taken


def test_one_line_for_each_end_where_there_is_no_terminal() -> None:
    a, b, c, d = RUNS[:4]
    display, taken = lines_of(4)
    with display:
        display(Started(a, 0))
        display(Progress(a, 0, 1.0, {"epoch": 1}))
        assert taken() == []
        display(PutBack(a, 0, 2.0, "out of memory"))
        assert taken() == [f"[0/4] put back {a.label}: out of memory"]
        display(Finished(a, 0, 70.0))
        assert taken() == [f"[1/4] {a.label}: 1 min 10 s, about 3 min 30 s left"]
        display(Failed(b, 0, 1.0, "error", "a [red]bad[/red]\nvalue"))
        assert taken() == [f"[2/4] failed {b.label}: a [red]bad[/red] value"]
        display(Elsewhere(c, "done"))
        assert taken()[0].startswith(f"[3/4] {c.label}: done by another process, about ")
        display(Elsewhere(d, "failed", "a reason"))
        assert taken() == [f"[4/4] failed {d.label}, in another process: a reason"]


def test_quiet_tells_failures_only() -> None:
    display, taken = lines_of(4, quiet=True)
    with display:
        for event in (Started(RUNS[0], 0), PutBack(RUNS[0], 0, 1.0, "r"), Finished(RUNS[0], 0, 1.0)):
            display(event)
        display(Elsewhere(RUNS[1], "done"))
        assert taken() == []
        display(Failed(RUNS[2], 0, 1.0, "error", "r"))
        display(Elsewhere(RUNS[3], "failed", "s"))
        assert [line.split()[:2] for line in taken()] == [["[3/4]", "failed"], ["[4/4]", "failed"]]


def left(display: RunDisplay) -> str:
    """Return what the header says of the time left."""
    return next((word for word in display.picture().words if word.endswith("left")), "")


def test_the_time_left_follows_what_is_expected() -> None:
    clock = Clock()
    expected = {run.run_id: 100.0 for run in RUNS[:4]}
    display, _ = lines_of(4, clock=clock, workers=2, expected=expected)
    assert left(display) == "~3 min 20 s left"  # two after two
    clock.now += 1.0
    display(Started(RUNS[0], 0))
    display(Started(RUNS[1], 1))
    clock.now += 50.0
    assert left(display) == "~2 min 30 s left"
    clock.now += 0.5  # counted down between two guesses
    assert left(display) == "~2 min 30 s left"
    clock.now += 49.5
    for run in RUNS[:2]:
        display(Finished(run, 0, 100.0))
    clock.now += 1.0
    assert left(display) == "~1 min 40 s left"


def test_the_time_left_is_empty_until_something_is_known() -> None:
    clock = Clock()
    display, _ = lines_of(5, clock=clock, workers=1)
    display(Started(RUNS[0], 0))
    clock.now += 30.0
    assert left(display) == ""
    display(Finished(RUNS[0], 0, 30.0))
    clock.now += 1.0
    assert left(display) == "~2 min 0 s left"  # four more like it
    display(Finished(RUNS[1], 0, 10.0))
    clock.now += 1.0
    assert left(display) == "~1 min 0 s left"  # three of the mean, 20 s


def test_the_time_left_is_never_negative() -> None:
    clock = Clock()
    display, _ = lines_of(2, clock=clock, expected={RUNS[0].run_id: 10.0})
    display(Started(RUNS[0], 0))
    display(Started(RUNS[1], 1))
    clock.now += 500.0
    assert left(display) == ""  # both are late: nobody knows
    for run in RUNS[:2]:
        display(Finished(run, 0, 500.0))
    clock.now += 500.0
    assert left(display) == ""


def test_a_run_that_was_put_back_waits_again() -> None:
    clock = Clock()
    display, _ = lines_of(1, clock=clock, expected={RUNS[0].run_id: 100.0})
    display(Started(RUNS[0], 0))
    clock.now += 60.0
    assert left(display) == "~40 s left"
    display(PutBack(RUNS[0], 0, 60.0, "lost"))
    clock.now += 1.0
    assert left(display) == "~1 min 40 s left"


def other(leases: Leases, run: RunSpec, **about: Any) -> None:
    assert leases.take(
        run.run_id, {"label": run.label, "host": "node-7", "device": "cuda:1", "engine": "slurm", **about}
    )


def test_runs_of_other_processes_are_shown_and_share_the_work(tmp_path: Path) -> None:
    clock = Clock()
    theirs, leases = Leases(tmp_path), Leases(tmp_path)
    expected = {run.run_id: 100.0 for run in RUNS[:4]}
    display, taken = lines_of(4, clock=clock, workers=1, expected=expected, leases=leases)
    other(theirs, RUNS[1], progress={"epoch": 4})
    other(theirs, RUNS[9])  # of another suite
    display(Started(RUNS[0], 0))
    console, screen = terminal(80, 24)
    console.print(display.picture())
    at = next(row for row, line in enumerate(screen.lines) if line.startswith("2 in other processes"))
    told = {line.partition(" node-7")[0].strip(): line.split()[-1] for line in screen.lines[at + 1 : at + 3]}
    assert told == {RUNS[1].label: "4", RUNS[9].label: "starting"}
    # Two that run and two that wait, on two workers: that of the other process is one.
    assert left(display) == "~3 min 20 s left"
    display(Elsewhere(RUNS[1], "done"))
    console, screen = terminal(80, 24)
    console.print(display.picture())
    assert any(line.startswith("1 in other processes") for line in screen.lines)
    assert len(taken()) == 1


def filled(console: Console, workers: int, info: Mapping[str, Any] | None = None, device: str = "cpu") -> RunDisplay:
    clock = Clock()
    expected = {run.run_id: 300.0 for run in RUNS}
    display = RunDisplay(len(RUNS), workers=workers, expected=expected, console=console, clock=clock)
    for worker in range(workers):
        display(Started(RUNS[worker], worker, device=device))
        if info is not None:
            display(Progress(RUNS[worker], worker, 0.0, info))
    clock.now += 65.0
    return display


def shown(
    width: int, height: int, workers: int, info: Mapping[str, Any] | None = None, device: str = "cpu"
) -> list[str]:
    console, screen = terminal(width, height)
    with filled(console, workers, info, device) as display:
        del display
        lines = screen.lines
        assert screen.scrolled == 0
    assert (screen.lines, screen.cursor, screen.column) == ([], True, 0)
    return lines


def test_a_terminal_shows_a_row_for_each_worker() -> None:
    info = {"epoch": 12, "train_loss": 0.5, "valid_loss": 0.61234, "best": True}
    lines = shown(100, 24, 16, info, "cuda:0")
    assert lines[0].endswith("0/60 runs, ~18 min 55 s left, 1 min 5 s so far")
    assert lines[1].split() == ["#", "device", "16", "running", "epoch", "valid", "loss", "time", "expected"]
    assert len(lines) == 18
    assert lines[2].split() == ["0", "cuda:0", *RUNS[0].label.split(), "12/200", "0.6123", "*", "1:05", "5:00"]
    assert "device" not in shown(100, 24, 1, info)[1]
    assert "*" not in "".join(shown(100, 24, 1, {**info, "best": False}))
    assert "starting" in shown(100, 24, 1)[2]
    assert "nan" in shown(100, 24, 1, {**info, "valid_loss": float("nan")})[2]


def test_forty_columns_keep_what_matters() -> None:
    lines = shown(40, 24, 3, {"epoch": 12, "valid_loss": 0.61234})
    assert lines[0] == "0/60 runs, ~1 h 38 min left"
    assert lines[2].startswith("0  LF-DNN")
    assert lines[2].split()[-3:] == [RUNS[0].label.split()[-1], "12/200", "1:05"]


def test_failures_and_runs_put_back_stand_above_the_picture_and_finished_ones_do_not() -> None:
    console, screen = terminal(60, 20)
    with RunDisplay(9, console=console, clock=Clock()) as display:
        for run in RUNS[:7]:
            display(Failed(run, 0, 1.0, "error", f"[red]损失\x1b[2J {run.seed}"))
        display(Finished(RUNS[7], 0, 1.0))
        display(PutBack(RUNS[8], 0, 1.0, "lost"))
        lines: list[str] = []
        end = time.monotonic() + 10.0
        while not any("8/9 runs" in line for line in lines):  # the picture follows a quarter of a second later
            assert time.monotonic() < end, lines
            time.sleep(0.02)
            with display._drawing:
                lines = screen.lines
        at = next(row for row, line in enumerate(lines) if "8/9 runs" in line)
        above, below = " ".join(lines[:at]), lines[at:]
        assert f"[8/9] put back {RUNS[8].label}: lost" in above
        assert RUNS[7].label not in above
        assert f"[7/9] failed {RUNS[6].label}: [red]损失 [2J 6".replace(" ", "") in above.replace(" ", "")
        assert "7 failed, the latest" in below[1]
        assert [line.split()[-1] for line in below[2:]] == ["6", "5", "4", "3", "2"]
    assert not any("runs" in line for line in screen.lines)
    assert screen.cursor


@pytest.mark.parametrize("name", ["dumb", "ascii"])
def test_terminals_that_cannot_draw_get_lines(name: str) -> None:
    class Ascii(io.StringIO):
        encoding = "ascii" if name == "ascii" else "utf-8"

    file = Ascii()
    environ = {"TERM": "dumb" if name == "dumb" else "xterm"}
    console = Console(file=file, force_terminal=True, color_system=None, _environ=environ)
    with RunDisplay(2, console=console, clock=Clock()) as display:
        display(Finished(RUNS[0], 0, 1.0))
    assert file.getvalue().startswith(f"[1/2] {RUNS[0].label}: 1 s")


SCRIPT = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from pathlib import Path
from harness.display import RunDisplay
from harness.executors import LocalExecutor, base
from harness.store import RunStore
from harness.training.job import Job
from tests.display.stubs import FAILS, HANGS
from tests.helpers import make_spec
base.available_cores = lambda: 2
store = RunStore(Path(sys.argv[1]))
store.prepare()
jobs = [Job(make_spec(seed=seed), Path("features"), store.root) for seed in (1, FAILS, HANGS, 2, HANGS + 1)]
executor = LocalExecutor(2, target="tests.display.stubs:by_seed", preload=("tests.display.stubs",))
with RunDisplay(len(jobs), workers=2, leases=store.leases) as display:
    outcome = executor.run(jobs, store, observer=display)
print("interrupted", outcome.interrupted, len(outcome.done), len(outcome.failed))
"""


def read_until(master: int, screen: Screen, word: str, seconds: float = 60.0) -> None:
    """Show what a program writes until a word stands on the screen."""
    decoder, end = codecs.getincrementaldecoder("utf-8")(), time.monotonic() + seconds
    while not any(word in line for line in screen.lines):
        assert select.select([master], [], [], max(0.0, end - time.monotonic()))[0], screen.lines
        screen.write(decoder.decode(os.read(master, 65536)))


def test_ctrl_c_leaves_a_clean_terminal(tmp_path: Path) -> None:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    before = termios.tcgetattr(slave)
    paths = os.pathsep.join(path for path in sys.path if path)
    # Some test runners set these two, which count for more than the size of the terminal.
    inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**inherited, "PYTHONPATH": paths, "TERM": "xterm-256color"},
    )
    screen = Screen(60, 20)
    try:
        read_until(master, screen, "4/5 runs")
        assert not screen.cursor
        os.write(master, b"\x03")
        read_until(master, screen, "interrupted True 3 1")
        assert process.wait(timeout=30) == 0
        assert termios.tcgetattr(slave) == before
    finally:
        process.kill()
        process.wait()
        os.close(slave)
        os.close(master)
    assert screen.cursor
    assert screen.scrolled == 0
    said = " ".join(screen.lines)
    assert said.startswith("[")
    assert "running" not in said
    assert "seed13:ValueError:[red]坏[2Jvalue" in said.replace(" ", "")
