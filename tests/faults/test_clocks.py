"""Clocks that differ between processes, and jump: with Debian's faketime, which leaves the monotonic clock alone.

File times stay the kernel's, as on a network file system whose server has a clock of its own.
"""

from __future__ import annotations

import functools
import itertools
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from harness.disk import replace_file
from tests.faults.stubs import SPECIAL_SEED
from tests.faults.tools import Driver, Place, journal, overlaps, tree

Start = Callable[..., Driver]
HOUR = 3600.0
DAY = 24 * HOUR


@functools.cache
def library() -> str:
    """Return the library that fakes the clock, as the program of that name loads it."""
    program = shutil.which("faketime")
    if program is None:
        pytest.skip("Debian's package faketime is not installed")
    asked = [program, "-m", "-f", "+0s", "printenv", "LD_PRELOAD"]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=20)
    if said.returncode or not said.stdout.strip():
        pytest.skip(f"faketime does not work here: {said.stderr.strip()}")
    return said.stdout.strip()


def clock(**settings: str) -> dict[str, str]:
    return {
        "LD_PRELOAD": library(),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
        "NO_FAKE_STAT": "1",
        **settings,
    }


def set_clock(file: Path, seconds: float) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(f"{seconds:+.0f}\n")
    draft.replace(file)


def offset(driver: Driver) -> float:
    """Return by how much the clock of a driver was ahead when it came up, to some seconds."""
    (up,) = driver.told("up")
    return float(up["clock"]) - time.time()


def test_two_drivers_whose_clocks_are_a_day_apart_share_a_store(
    tmp_path: Path, calm: dict[str, bytes], place: Place, start: Start
) -> None:
    many = Place(place.folder, [*place.seeds, *range(10, 24)])
    early, late = (start(many, env=clock(FAKETIME=hours)) for hours in ("-11h", "+13h"))
    assert [driver.end(60) for driver in (early, late)] == [0, 0]
    assert abs(offset(early) + 11 * HOUR) < 120
    assert abs(offset(late) - 13 * HOUR) < 120
    assert overlaps(many) == (len(many.seeds), []), "each run was done once"
    assert all(driver.told("finished") for driver in (early, late)), "both had a share"
    many.check()
    assert calm.items() <= tree(many.store.root).items()


def test_a_driver_from_another_day_takes_no_live_lease_and_no_live_draft(place: Place, start: Start) -> None:
    hanging = Place(place.folder, [SPECIAL_SEED])
    at_work = start(hanging, stub="writes_slowly")
    at_work.wait_for("started")
    (lease,) = place.store.leases.all()
    drafts = set((place.store.root / ".tmp").iterdir())
    assert len(drafts) == 1
    for days in ("+400d", "-400d"):
        # What sweeps at its start, and would take over what it holds for dead.
        other = start(place, env=clock(FAKETIME=days), specs=[])
        assert other.end(30) == 0
        assert abs(offset(other)) > 300 * DAY
        assert set((place.store.root / ".tmp").iterdir()) == drafts
        assert [there.holder for there in place.store.leases.all()] == [lease.holder]
    at_work.process.kill()
    at_work.end(30)


def test_a_clock_that_is_ahead_of_the_disk_s_takes_no_file_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Feature files, notes and reports are written by `replace_file`, which removes drafts once they are old."""
    path = tmp_path / "file"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + DAY)

    def write(file: IO[bytes]) -> None:
        file.write(b"half")
        replace_file(path, lambda other: other.write(b"another process, another clock"))
        file.write(b" and half")

    replace_file(path, write)
    assert path.read_bytes() == b"half and half"
    assert list(tmp_path.iterdir()) == [path]


def test_jumps_of_a_day_change_no_limit_and_no_result(place: Place, calm: dict[str, bytes], start: Start) -> None:
    now = place.folder / "clock"
    set_clock(now, 0)
    env = clock(FAKETIME_TIMESTAMP_FILE=str(now))
    driver = start(place, stub="writes_slowly", env=env, time_limit=2.5, stall_limit=1.8)
    driver.wait_for("started")
    for days in itertools.cycle((1, -1, 2, 0)):
        if driver.process.poll() is not None:
            break
        set_clock(now, days * DAY)
        time.sleep(0.1)
    assert driver.end(30) == 1
    (failed,) = driver.told("failed")
    began = {event["run_id"]: event["at"] for event in driver.told("started")}
    special = next(spec.run_id for spec in place.specs if spec.seed == SPECIAL_SEED)
    assert failed["run_id"] == special, "it hangs, and nothing else was ended"
    assert failed["kind"] == "timeout"
    assert 1.8 < failed["at"] - began[special] < 6.0
    clocks = [wall for *_, wall in journal(place)]
    assert max(clocks) - min(clocks) > DAY / 2, "the runs have seen the jumps"
    assert place.run().process.returncode == 0
    place.check()
    assert tree(place.store.root) == calm
