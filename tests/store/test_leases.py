from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.errors import StoreError
from harness.store import Lease, Leases, RunStore
from harness.store.owners import owner
from tests.store.tools import failing

ABOUT = {"label": "LMF", "engine": "local"}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def made(folder: Path, clock: Clock | None = None) -> Leases:
    return Leases(folder / ".leases", beat_seconds=3600.0, clock=clock or time.monotonic)


def foreign(folder: Path, run_id: str = "r", *, beat: int = 1, holder: str = "elsewhere.boot.1.1.1.abc") -> Path:
    """Write a lease as a process of another host would."""
    path = folder / ".leases" / f"{run_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"holder": holder, "beat": beat, "about": ABOUT}))
    return path


def dead_holder() -> str:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    name = f"{owner(child.pid)}.abcdef"
    child.kill()
    child.wait()
    return name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".leases").iterdir())


def test_one_of_two_gets_it_and_the_other_after_it_was_given_back(tmp_path: Path) -> None:
    one, two = made(tmp_path), made(tmp_path)
    assert one.take("r", ABOUT)
    assert not two.take("r", ABOUT)
    assert two.is_held("r")
    two.release("r")
    assert one.is_held("r"), "only its holder gives it back"
    one.release("r")
    assert not two.is_held("r")
    assert two.take("r", ABOUT)
    assert names(tmp_path) == ["r.json"]


def test_what_it_says(tmp_path: Path) -> None:
    leases = made(tmp_path)
    leases.take("r", ABOUT)
    leases.say("r", progress={"epoch": 3})
    leases.say("another", progress={"epoch": 9})
    assert leases.all()[0].about == ABOUT
    leases.beat()
    (lease,) = leases.all()
    assert (lease.run_id, lease.beat, lease.about) == ("r", 1, {**ABOUT, "progress": {"epoch": 3}})
    assert names(tmp_path) == ["r.json"]


def test_the_lease_of_a_dead_process_is_taken_over_at_once(tmp_path: Path) -> None:
    foreign(tmp_path, holder=dead_holder())
    leases = made(tmp_path)
    assert leases.all() == []
    assert not leases.is_held("r")
    assert leases.take("r", ABOUT)
    assert len(leases.all()) == 1


def test_a_silent_lease_of_another_host_is_taken_over_after_a_minute_of_watching(tmp_path: Path, clock: Clock) -> None:
    foreign(tmp_path)
    leases = made(tmp_path, clock)
    assert not leases.take("r", ABOUT)
    clock.now = 59.0
    assert not leases.take("r", ABOUT)
    clock.now = 61.0
    assert leases.take("r", ABOUT)


def test_a_lease_that_beats_is_never_stale_and_no_wall_clock_takes_part(tmp_path: Path, clock: Clock) -> None:
    path = foreign(tmp_path)
    leases = made(tmp_path, clock)
    for beat in range(2, 10):
        assert leases.is_held("r")
        foreign(tmp_path, beat=beat)
        os.utime(path, (0, 0))  # as if its host lived in 1970
        clock.now += 50.0
    assert not leases.take("r", ABOUT)


def test_a_stale_lease_that_comes_to_life_under_our_hands_is_put_back(tmp_path: Path, clock: Clock) -> None:
    foreign(tmp_path, beat=1)
    leases = made(tmp_path, clock)
    stale = Lease("r", "elsewhere.boot.1.1.1.abc", 1, ABOUT)
    foreign(tmp_path, beat=2)
    assert not leases._evict(stale)
    assert [lease.beat for lease in leases.all()] == [2]
    assert names(tmp_path) == ["r.json"]


def test_a_holder_that_slept_finds_out_and_leaves_the_new_one_alone(tmp_path: Path) -> None:
    slept = made(tmp_path)
    slept.take("r", ABOUT)
    foreign(tmp_path, beat=7)
    slept.beat()
    slept.release("r")
    (lease,) = slept.all()
    assert (lease.holder, lease.beat) == ("elsewhere.boot.1.1.1.abc", 7)


def test_an_unreadable_lease_is_live_until_it_has_been_watched_for_long(tmp_path: Path, clock: Clock) -> None:
    foreign(tmp_path).write_text("")
    leases = made(tmp_path, clock)
    assert not leases.take("r", ABOUT)
    clock.now = 100.0
    assert leases.take("r", ABOUT)


def test_the_heart_beats_by_itself_and_stops_when_nothing_is_held(tmp_path: Path) -> None:
    leases = Leases(tmp_path / ".leases", beat_seconds=0.02)
    leases.take("r", ABOUT)
    end = time.monotonic() + 5
    while leases.all()[0].beat < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert leases.all()[0].beat >= 3
    leases.release("r")
    while leases._thread is not None and time.monotonic() < end:
        time.sleep(0.01)
    assert leases._thread is None
    assert leases.take("r", ABOUT)
    assert leases._thread is not None
    leases.release("r")


def test_sweeping_leaves_the_living_and_the_strangers(tmp_path: Path) -> None:
    leases = made(tmp_path)
    leases.take("ours", ABOUT)
    foreign(tmp_path, "theirs")
    foreign(tmp_path, "dead", holder=dead_holder())
    (tmp_path / ".leases" / f".{dead_holder()}").write_text("half")
    (tmp_path / ".leases" / f".{owner(os.getpid())}.abc123").write_text("half")
    leases.sweep()
    assert sorted(lease.run_id for lease in leases.all()) == ["ours", "theirs"]
    assert len(names(tmp_path)) == 3


def test_a_file_system_without_hard_links_does_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    one, two = made(tmp_path), made(tmp_path)
    assert one.take("r", ABOUT)
    assert not two.take("r", ABOUT)
    one.release("r")
    assert two.take("r", ABOUT)
    assert names(tmp_path) == ["r.json"]


def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", failing(errno.ENOSPC))
    with pytest.raises(StoreError, match="lease"):
        made(tmp_path).take("r", ABOUT)


def test_many_processes_and_every_run_has_one_holder(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from harness.store import Leases\n"
        "leases = Leases(Path(sys.argv[1]) / '.leases')\n"
        "print(*[i for i in range(200) if leases.take(str(i), {})], flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    racers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    taken: list[str] = []
    for racer in racers:
        assert racer.stdout is not None
        taken += racer.stdout.readline().split()
    for racer in racers:
        racer.communicate()
    assert sorted(map(int, taken)) == list(range(200))


def test_the_store_sweeps_them(tmp_path: Path) -> None:
    foreign(tmp_path, "dead", holder=dead_holder())
    store = RunStore(tmp_path)
    store.prepare()
    assert names(tmp_path) == []
    assert store.leases.folder == tmp_path / ".leases"
    assert psutil.pid_exists(os.getpid())


def test_a_temporary_file_of_another_boot_is_swept_once_it_is_old(tmp_path: Path) -> None:
    folder = tmp_path / "leases"
    folder.mkdir()
    host, _, rest = owner(os.getpid()).split(".", 2)
    left, fresh = (folder / f".{host}.{boot}.{rest}.0123456789ab" for boot in ("0ld0b007", "0ld0b008"))
    for path in (left, fresh):
        path.write_text("{}")
    then = time.time() - 8 * 24 * 3600
    os.utime(left, (then, then))
    Leases(folder).sweep()
    assert not left.exists()
    assert fresh.exists()
