"""Conversions of a feature file that are killed, meet each other, or run out of disk: whole entries, and no litter."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.data import cache_folder, generate, load_features, open_features, write_pickle
from harness.data.files import fingerprint
from harness.errors import DataError
from harness.executors.server import start_process, start_server
from tests.cli.tools import enlarge, mounted
from tests.faults.converter import DEFINITION, SETTING, convert
from tests.faults.tools import tree

CONVERTER = "tests.faults.converter"
SECONDS = 30.0


@dataclass(frozen=True)
class Calm:
    """A feature file, and what an undisturbed conversion makes of it."""

    file: Path
    entry: str
    files: dict[str, bytes]
    seconds: float

    def is_whole(self, cache: Path) -> bool:
        """Tell whether an entry is there; assert that it is the right one if so."""
        folder = cache / "features" / self.entry
        try:
            load_features(folder)
        except DataError:
            return False
        found = tree(folder)
        # The findings come after the arrays, and a kill may lie in between.
        assert {name: content for name, content in self.files.items() if not name.startswith("check-")}.items() <= (
            found.items()
        )
        return True

    def size(self) -> int:
        return sum(map(len, self.files.values()))

    def opens(self, cache: Path) -> None:
        """Assert that the next opening gives the undisturbed arrays."""
        open_features(self.file, DEFINITION, SETTING, cache)
        found = tree(cache / "features" / self.entry)
        # Who is killed while he writes down the findings leaves their draft, some bytes, beside them.
        drafts = {name: content for name, content in found.items() if name.startswith(".check-")}
        assert sum(map(len, drafts.values())) < 4096
        assert {name: content for name, content in found.items() if name not in drafts} == self.files

    def completes(self, cache: Path) -> None:
        """Assert the same, and that nothing else is left."""
        self.opens(cache)
        assert sorted(path.name for path in (cache / "features").iterdir()) == [self.entry, f"{self.entry}.lock"]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    folder = tmp_path_factory.mktemp("conversion")
    file = folder / "features.pkl"
    write_pickle(generate(DEFINITION), file)
    process = Converting(file, folder / "cache")
    began = time.monotonic()
    assert process.end() == "done"
    seconds = time.monotonic() - began
    entry = cache_folder(folder / "cache", fingerprint(file, folder / "cache"))
    return Calm(file, entry.name, tree(entry), seconds)


class Converting:
    """A process that converts; it has begun when this returns."""

    def __init__(self, file: Path, cache: Path, broken: Sequence[str] = ()) -> None:
        start_server((CONVERTER,))
        self.process, self.said = start_process(convert, file, cache, list(broken))
        assert self.hear() == "begins"

    def hear(self) -> str:
        """Return what it says next; nothing if it has died."""
        assert self.said.poll(SECONDS), "it hangs"
        try:
            return str(self.said.recv())
        except EOFError:
            return ""

    def end(self) -> str:
        """Wait for its end; return what it said last."""
        said = self.hear()
        self.process.join(SECONDS)
        assert not self.process.is_alive()
        return said

    def kill(self) -> str:
        self.process.kill()
        return self.end()


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def kill_often(calm: Calm, folder: Path, kills: int, seed: int) -> int:
    """Kill conversions at random moments, in one cache until one was faster; return how many were killed at work."""
    rng = random.Random(seed)
    at_work = caches = 0
    cache = folder / "cache-0"
    for _ in range(kills):
        converting = Converting(calm.file, cache)
        time.sleep(rng.uniform(0, calm.seconds))
        if converting.kill() == "":
            at_work += 1
        leftovers = list(cache.rglob(".*tmp*"))
        assert len(leftovers) <= 2, leftovers
        assert size_of(cache) < 2.1 * calm.size()
        if calm.is_whole(cache):
            calm.completes(cache)
            caches += 1
            cache = folder / f"cache-{caches}"
    calm.completes(cache)
    return at_work


def test_a_few_kills(calm: Calm, tmp_path: Path) -> None:
    assert kill_often(calm, tmp_path, 6, seed=6) >= 4


@pytest.mark.slow
def test_forty_kills(calm: Calm, tmp_path: Path) -> None:
    assert kill_often(calm, tmp_path, 40, seed=40) >= 20


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_of_two_that_convert_at_once_one_is_killed(calm: Calm, tmp_path: Path, share: float) -> None:
    first, second = (Converting(calm.file, tmp_path) for _ in range(2))
    time.sleep(share * calm.seconds)
    first.kill()
    assert second.end() == "done"
    assert calm.is_whole(tmp_path)
    calm.completes(tmp_path)


def test_without_locks_what_a_kill_leaves_is_swept_once_there_are_locks(calm: Calm, tmp_path: Path) -> None:
    """Without locks nobody can tell a dead conversion from a living one, and all leave it alone."""
    first, second = (Converting(calm.file, tmp_path, ["locks"]) for _ in range(2))
    time.sleep(0.5 * calm.seconds)
    first.kill()
    assert second.end() == "done"
    calm.opens(tmp_path)
    shutil.rmtree(tmp_path / "features" / calm.entry)
    calm.completes(tmp_path)


def test_four_that_convert_at_once_without_locks(calm: Calm, tmp_path: Path) -> None:
    all_of_them = [Converting(calm.file, tmp_path, ["locks"]) for _ in range(4)]
    assert [converting.end() for converting in all_of_them] == ["done"] * 4
    calm.completes(tmp_path)


def test_a_disk_that_fills_up_in_the_middle(calm: Calm, tmp_path: Path) -> None:
    """Asking for the space first is left out: somebody else may have taken it since."""
    for share in (0.0, 0.3, 0.9):
        size = 64 * 2**10 + int(share * calm.size())
        with mounted(tmp_path / f"disk-{share}", f"size={size}") as disk:
            said = Converting(calm.file, disk, ["space"]).end()
            assert said.startswith("cannot write there: No space left on device"), said
            assert "--cache-dir" in said
            assert size_of(disk / "features") == 0
            assert not calm.is_whole(disk)
            enlarge(disk)
            assert Converting(calm.file, disk).end() == "done"
            calm.completes(disk)
