"""What the fault tests share: drivers as processes, and what a store must look like afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.spec import RunSpec
from harness.store import RunStore
from tests.cli.tools import MARK, Started, check_whole
from tests.faults.stubs import JOURNAL
from tests.helpers import make_spec

__all__ = ["Driver", "Place", "journal", "overlaps", "tree"]

END_SECONDS = 60.0


@dataclass
class Place:
    """A folder with a store, its journal, and what its drivers are told.

    Parameters
    ----------
    folder : Path
        The store is below it.
    seeds : sequence of int
        Of the runs.
    options : mapping
        What the drivers are told otherwise than by default.
    """

    folder: Path
    seeds: Sequence[int]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def specs(self) -> list[RunSpec]:
        """One spec a seed, of three to six epochs."""
        return [make_spec(seed=seed, max_epochs=3 + seed % 4) for seed in self.seeds]

    @property
    def store(self) -> RunStore:
        return RunStore(self.folder / "runs")

    @property
    def statuses(self) -> list[str]:
        """The status of every run, in the order of the seeds."""
        return [self.store.status(spec) for spec in self.specs]

    def start(self, *, mark: str | None = None, env: Mapping[str, str] | None = None, **changes: Any) -> Driver:
        """Start a driver."""
        told: dict[str, Any] = {"stub": "writes", "workers": 2, "time_limit": None, "stall_limit": None, "broken": []}
        told |= {"root": str(self.store.root), "specs": [spec.model_dump(mode="json") for spec in self.specs]}
        path = self.folder.parent / f"options-{uuid.uuid4().hex}.json"
        path.write_text(json.dumps(told | dict(self.options) | changes), encoding="utf-8")
        return Driver(path, mark or uuid.uuid4().hex, env or {})

    def run(self, **changes: Any) -> Driver:
        """Run a driver to its end."""
        driver = self.start(**changes)
        try:
            driver.end(END_SECONDS)
            assert driver.orphans() == []
        finally:
            driver.close()
        return driver

    def check(self) -> None:
        """Assert that every run is done, and that there is nothing else: no failure, no draft, no lease."""
        assert set(self.statuses) == {"done"}
        check_whole(self.store, after_the_end=True)
        assert [str(path) for path in self.store.root.rglob("*") if _is_litter(path, self.store.root)] == []


def _is_litter(path: Path, root: Path) -> bool:
    """Tell whether something is not of a record: the store's own folders may stay, empty."""
    inside = path.relative_to(root).parts
    return inside[0].startswith(".") and len(inside) > 1


def tree(root: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def journal(place: Place) -> list[tuple[str, str, float, float]]:
    """Return run id, what happened, monotonic and wall clock time, as the stubs wrote them down."""
    return [json.loads(line) for line in (place.folder / JOURNAL).read_text(encoding="utf-8").splitlines()]


def overlaps(place: Place) -> tuple[int, list[str]]:
    """Return from the journal how many runs began, and those of which two were under way at once."""
    running: set[str] = set()
    twice = []
    begun = 0
    for run_id, what, *_ in sorted(journal(place), key=lambda line: line[2]):
        if what == "begins":
            begun += 1
            if run_id in running:
                twice.append(run_id)
            running.add(run_id)
        else:
            running.discard(run_id)
    return begun, twice


class Driver(Started):
    """A driver, and every process that came from it."""

    def __init__(self, options: Path, mark: str, env: Mapping[str, str]) -> None:
        self.mark = mark
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.faults.driver", str(options)],
            env={**os.environ, MARK: mark, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it has said of runs so far; `end` reads it."""
        return [json.loads(line) for line in self.said.splitlines() if line.startswith('{"event"')]

    @property
    def words(self) -> str:
        """What else it has said: messages for people, tracebacks."""
        return "".join(line for line in self.said.splitlines(keepends=True) if not line.startswith('{"event"'))

    def told(self, event: str) -> list[dict[str, Any]]:
        """Return the events of one kind."""
        return [line for line in self.events if line["event"] == event]
