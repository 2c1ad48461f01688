"""Disks that fill up, turn read-only, or go away: a clear word and exit code 2, nothing half-written, and then on."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.executors import LocalExecutor
from harness.training.job import Job
from tests.cli.tools import Place as Folders
from tests.cli.tools import ask, check_whole, mounted, refused, snapshot, write_suite
from tests.faults.conftest import SEEDS
from tests.faults.stubs import JOURNAL
from tests.faults.tools import Driver, Place, overlaps, tree
from tests.store.tools import failing

PAGE = 4096
FREE_SPACE = "free some space"
STUBS = "tests.faults.stubs"
Start = Callable[..., Driver]


def run(place: Place, seeds: tuple[int, ...]) -> None:
    """Run some of a place's seeds in this process, one after the other."""
    jobs = [Job(spec, Path("features"), place.store.root) for spec in place.specs if spec.seed in seeds]
    LocalExecutor(1, 20.0, f"{STUBS}:writes", preload=(STUBS,)).run(jobs, place.store)


def refused_run(place: Place, seed: int) -> StoreError | None:
    """Run one seed; return the store's refusal, if it refuses."""
    try:
        run(place, (seed,))
    except StoreError as error:
        return error
    return None


def nothing_half_written(place: Place) -> None:
    """Assert that what is there is whole, and that no draft, lease or temporary file is."""
    check_whole(place.store, after_the_end=True)
    assert list((place.store.root / ".leases").iterdir()) == []


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True, timeout=20)


def left_free(folder: Path, pages: int) -> Path:
    """Fill a disk but for some pages; return the file that does."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - pages * PAGE))
    return filler


@pytest.mark.parametrize("what", ["pages", "names"])
def test_a_disk_that_is_full_at_any_step_of_a_run(tmp_path: Path, what: str) -> None:
    """Page by page and name by name: the lease, the draft, its files, the folders around the record."""
    refusals = 0
    for room in range(40):
        limit = "size=1m" if what == "pages" else f"size=1m,nr_inodes={room + 10}"
        with mounted(tmp_path / f"disk-{room}", limit) as disk:
            if full_once(Place(disk, SEEDS), room if what == "pages" else None):
                refusals += 1
            else:
                assert refusals >= 5
                return
    pytest.fail("it never went well")


def full_once(place: Place, pages: int | None) -> bool:
    """Run once with little room, and once more with enough; return whether the first try was refused."""
    done, asked = place.specs[0], place.specs[2]
    place.store.prepare()
    (place.folder / JOURNAL).write_bytes(b"")
    kept, filler = {}, None
    if pages is not None:
        run(place, (done.seed,))
        kept = snapshot(place.store.folder(done))
        filler = left_free(place.folder, pages)
    refusal = refused_run(place, asked.seed)
    if refusal is None:
        return False
    assert "No space left" in refusal.what, refusal
    assert FREE_SPACE in refusal.hint
    assert snapshot(place.store.folder(done)) == kept
    nothing_half_written(place)
    assert place.store.status(asked) == "missing"
    if filler is None:
        remount(place.folder, "nr_inodes=10000")
    else:
        filler.unlink()
    run(place, (asked.seed,))
    assert place.store.status(asked) == "done"
    assert snapshot(place.store.folder(done)) == kept
    nothing_half_written(place)
    return True


def test_a_full_disk_without_hard_links_leaves_no_empty_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty lease has no holder that could be asked: others would watch it for a minute."""
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    with mounted(tmp_path / "disk", "size=1m") as disk:
        place = Place(disk, SEEDS)
        (disk / JOURNAL).write_bytes(b"")
        for pages in range(3):
            place.store.prepare()
            filler = left_free(disk, pages)
            with pytest.raises(StoreError, match="No space left"):
                run(place, (1,))
            nothing_half_written(place)
            filler.unlink()
        run(place, (1,))
        assert place.store.status(place.specs[0]) == "done"


def test_a_store_that_turns_read_only_in_the_middle_of_a_run(
    tmp_path: Path, calm: dict[str, bytes], start: Start
) -> None:
    with mounted(tmp_path / "disk", "size=8m") as disk:
        place = Place(disk, SEEDS, {"workers": 1})
        driver = start(place, stub="remounts")
        assert driver.end(30) == 2
        assert "Read-only file system" in driver.words
        assert "--runs-dir" in driver.words
        assert "Traceback" not in driver.words
        assert driver.orphans() == []
        assert place.statuses == ["done"] + ["missing"] * 5, "what was done before stays, and nothing else began"
        check_whole(place.store, after_the_end=False)

        again = start(place)
        assert again.end(30) == 2
        assert "cannot use the runs folder: Read-only file system" in again.words
        assert again.told("started") == []

        remount(disk, "rw")
        assert start(place).end(30) == 0
        place.check()
        assert tree(place.store.root) == calm


@pytest.mark.parametrize("stub", ["removes_the_store", "replaces_the_store"])
def test_a_runs_folder_that_goes_away(place: Place, calm: dict[str, bytes], start: Start, stub: str) -> None:
    driver = start(place, stub=stub, workers=1)
    code = driver.end(30)
    assert "Traceback" not in driver.words
    assert driver.orphans() == []
    if stub == "replaces_the_store":
        assert code == 2
        assert "a file stands where a folder is needed" in driver.words
        assert place.store.root.read_text() == "a file now"
        place.store.root.unlink()
    else:
        # The folder is made again: the run at hand has lost its draft and fails, those after it are done.
        assert code == 1, driver.said
        assert place.statuses == ["missing", "failed", *["done"] * 4]
    assert start(place).end(30) == 0
    place.check()
    assert tree(place.store.root) == calm


def test_without_links_and_locks_two_drivers_share_a_store(place: Place, calm: dict[str, bytes], start: Start) -> None:
    drivers = [start(place, broken=["links", "locks"]) for _ in range(2)]
    assert [driver.end(30) for driver in drivers] == [0, 0]
    assert overlaps(place) == (len(SEEDS), [])
    place.check()
    assert tree(place.store.root) == calm


def test_without_links_and_locks_what_a_killed_driver_held_is_taken_over(
    place: Place, calm: dict[str, bytes], start: Start
) -> None:
    broken = {"broken": ["links", "locks"]}
    killed = start(place, stub="writes_slowly", **broken)
    killed.wait_for("started")
    killed.process.kill()
    assert killed.end(30) == -9
    began = time.monotonic()
    assert start(place, **broken).end(30) == 0
    assert time.monotonic() - began < 20
    place.check()
    assert tree(place.store.root) == calm


# -- The real command line -----------------------------------------------------------------------------------------


def test_the_command_line_on_a_disk_that_fills_up_and_turns_read_only(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "tiny.yaml", models=["LF-DNN"], variants=["original"], seeds=[1, 2, 3])
    with mounted(tmp_path / "disk", "size=24m") as disk:
        folders = Folders(disk / "runs", tmp_path / "reports", tmp_path / "cache")
        one_at_a_time = ("--workers", "1", "--no-report")
        fillers: list[Path] = []
        somebody = threading.Thread(target=fill_after_the_first_record, args=(folders, disk, fillers))
        somebody.start()
        answer = ask("run", "--suite", suite, *folders.options, *one_at_a_time)
        somebody.join()
        refused(answer, "No space left on device", str(disk), FREE_SPACE)
        done = list(folders.store.records())
        assert 1 <= len(done) < 3
        nothing_half_written_in(folders)
        kept = snapshot(*(record.folder for record in done))

        fillers[0].unlink()
        answer = ask("run", "--suite", suite, *folders.options, *one_at_a_time)
        assert answer.code == 0, answer.err
        assert len(list(folders.store.records())) == 3
        nothing_half_written_in(folders)
        assert {path: seen for path, seen in snapshot(folders.runs).items() if path in kept} == kept

        remount(disk, "ro")
        before = snapshot(folders.runs)
        answer = ask("run", "--suite", suite, *folders.options)
        refused(answer, "cannot use the runs folder: Read-only file system", "--runs-dir")
        assert "[1/" not in answer.err
        listed = ask("status", "--suite", suite, *folders.options[:2], *folders.options[4:])
        assert listed.code == 0
        assert "3 done, 0 failed, 0 missing" in listed.err
        assert ask("report", "--suite", suite, *folders.options).code == 0
        assert (folders.reports / "tiny" / "index.html").is_file()
        assert snapshot(folders.runs) == before


def fill_after_the_first_record(folders: Folders, disk: Path, fillers: list[Path]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and not list(folders.runs.glob("*/*/*/record.json")):
        time.sleep(0.005)
    fillers.append(left_free(disk, 0))


def nothing_half_written_in(folders: Folders) -> None:
    check_whole(folders.store, after_the_end=True)
    assert list((folders.runs / ".leases").iterdir()) == []
