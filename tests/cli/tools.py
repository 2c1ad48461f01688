"""What the tests of the command line share: asking it as a function, throw-away suites, and watched processes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from harness.cli import run_command
from harness.store import RunStore

__all__ = [
    "MAIN",
    "MARK",
    "TINY_DATA",
    "Answer",
    "Place",
    "Started",
    "ask",
    "check_whole",
    "enlarge",
    "mounted",
    "read_only",
    "refused",
    "snapshot",
    "write_suite",
    "write_yaml",
]

MAIN = "from harness.cli import main; main()"
MARK = "HARNESS_TEST_MARK"
SCREEN = 24
TINY_DATA: Mapping[str, Any] = {
    "name": "synthetic-tiny",
    "synthetic": {
        "like": "sims",
        "samples": {"train": 16, "valid": 8, "test": 8},
        "lengths": {"text": 4, "audio": 6, "vision": 5},
    },
}
TINY: Mapping[str, Any] = {
    "name": "tiny",
    "datasets": [dict(TINY_DATA)],
    "models": ["LF-DNN", "LMF"],
    "variants": ["original", "fg"],
    "seeds": [1, 2],
    "max_epochs": 2,
    "device": "cpu",
    "hyper": {"*": {"batch_size": 8}},
    "report": {"figures": False, "costs": False},  # they take seconds; the tests that are about them ask for them
}


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output as JSON: it must be that and nothing else."""
        rows: list[dict[str, Any]] = json.loads(self.out)
        return rows


@dataclass(frozen=True)
class Place:
    """Folders for one test."""

    runs: Path
    reports: Path
    cache: Path

    @property
    def options(self) -> tuple[str, ...]:
        """All three folders, as `run` takes them."""
        return ("--runs-dir", str(self.runs), "--reports-dir", str(self.reports), "--cache-dir", str(self.cache))

    @property
    def store(self) -> RunStore:
        return RunStore(self.runs)


def ask(*argv: str | Path) -> Answer:
    """Run one command line in this process; unlike capsys it can be used in a fixture of the session."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run_command([str(word) for word in argv])
    return Answer(code, out.getvalue(), err.getvalue())


def refused(answer: Answer, *words: str) -> None:
    """Assert that a command said, on one screen, what was wrong with the question."""
    assert answer.code == 2, answer
    assert "Traceback" not in answer.err
    assert len(answer.err.splitlines()) <= SCREEN, answer.err
    for word in words:
        assert word in answer.err, answer.err


def write_yaml(path: Path, data: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(data), sort_keys=False), encoding="utf-8")
    return path


def write_suite(path: Path, **changes: Any) -> Path:
    """Write the tiny suite with some fields changed; None leaves a field out."""
    return write_yaml(path, {key: value for key, value in {**TINY, **changes}.items() if value is not None})


def snapshot(*folders: Path) -> dict[Path, tuple[int, int, int]]:
    """Identify every file below some folders: a file written again, even with the same content, shows."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def check_whole(store: RunStore, *, after_the_end: bool) -> None:
    """Assert that a store holds whole records and nothing else; drafts may be there until a next command."""
    places = [path for path in store.root.glob("*/*/*") if path.relative_to(store.root).parts[0] != ".tmp"]
    for folder in places:
        data = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        for name, sha256 in data["files"].items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256, folder / name
    assert len(list(store.records())) == len(places)
    assert store.unreadable == []
    if after_the_end and store.root.exists():
        assert list((store.root / ".tmp").iterdir()) == []


class Started:
    """A command in a process and session of its own, and every process that came from it, found by a mark."""

    def __init__(self, *argv: str | Path) -> None:
        self.mark = uuid.uuid4().hex
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", MAIN, *map(str, argv)],
            env={**os.environ, MARK: self.mark, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, word: str) -> None:
        """Wait until a line that holds `word` is printed."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if word in line:
                return
        raise AssertionError(f"{word!r} never came:\n{self.said}")

    def end(self, timeout: float = 60.0) -> int:
        """Wait until it has ended; return the exit code."""
        stream, rest = self.process.stdout, []
        assert stream is not None
        if stream.closed:  # its end was heard already
            return self.process.wait(timeout)
        # Not communicate: it reads past what `wait_for` has read ahead, and loses it.
        reader = threading.Thread(target=lambda: rest.append(stream.read()), daemon=True)
        reader.start()
        reader.join(timeout)
        if reader.is_alive():
            raise subprocess.TimeoutExpired(self.process.args, timeout, self.said)
        self.said += "".join(rest)
        stream.close()
        return self.process.wait(timeout)

    def family(self) -> list[psutil.Process]:
        """Return its living processes."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def orphans(self, seconds: float = 10.0) -> list[psutil.Process]:
        """Return what still lives some seconds after the end."""
        end = time.monotonic() + seconds
        while (left := self.family()) and time.monotonic() < end:
            time.sleep(0.02)
        return left

    def close(self) -> None:
        """End it with everything that came from it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        for process in self.family():
            process.kill()


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount a file system in memory; skip the test where that is not allowed."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("mounting a small file system takes root on Linux")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"mounting is refused here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([umount, "-l", str(folder)], check=True)


def enlarge(folder: Path) -> None:
    """Give what `mounted` made more room."""
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Give a folder that nobody here can write to."""
    if os.geteuid() == 0:  # permissions do not stop root
        with mounted(folder, "ro", "size=64k"):
            yield folder
        return
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    try:
        yield folder
    finally:
        folder.chmod(0o755)
