"""Fixtures for faults: a store of one's own, an undisturbed one to hold it against, and small disks."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.executors import base
from tests.faults.stubs import SPECIAL_SEED
from tests.faults.tools import Driver, Place, tree

SECONDS = 90
SLOW_SECONDS = 600
SEEDS = (1, SPECIAL_SEED, 2, 3, 4, 5)


@pytest.fixture(autouse=True)
def _enough_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "available_cores", lambda: 8)


@pytest.fixture(autouse=True)
def _deadline(request: pytest.FixtureRequest) -> Iterator[None]:
    """End a test that waits for ever: what a fault brings about may be just that."""

    def ring(number: int, frame: object) -> None:
        raise TimeoutError("the test took too long")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SLOW_SECONDS if request.node.get_closest_marker("slow") else SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "place"
    folder.mkdir()
    return Place(folder, SEEDS)


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a store with the same runs as that of `place`, which nobody disturbed."""
    quiet = Place(tmp_path_factory.mktemp("calm") / "place", SEEDS)
    quiet.folder.mkdir()
    driver = quiet.run()
    assert driver.process.returncode == 0, driver.said
    quiet.check()
    return tree(quiet.store.root)


@pytest.fixture
def start() -> Iterator[Callable[..., Driver]]:
    """Start drivers that end with the test, whatever becomes of it."""
    started: list[Driver] = []

    def begin(place: Place, **changes: object) -> Driver:
        started.append(place.start(**changes))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for driver in started:
        driver.close()
