"""What workers run in these tests: light to import, slow enough to be hit in the middle, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from harness.executors.worker import Report
from harness.spec import RunSpec
from harness.store import RunStore, write_json
from harness.training.job import Job

SPECIAL_SEED = 666
"""Stubs that misbehave do so for this seed only."""
JOURNAL = "journal.txt"
"""Beside the runs folder: who began and ended which run, by the clock that all processes share and by their own."""
LATE = "late.bin"
"""What a process writes into a draft that has no business there any more."""

_PART_BYTES = 10_000
_PAUSE = 0.006
_LOG_BLOCK = b"x" * 99 + b"\n"

if "faketime" in os.environ.get("LD_PRELOAD", ""):
    # libfaketime 0.9.10 refuses clock_nanosleep, which Python's sleep is, where it leaves the monotonic clock alone.
    def _sleep(seconds: Any) -> None:
        select.select([], [], [], seconds)

    time.sleep = _sleep


def writes(job: Job, report: Report) -> None:
    """Write one file an epoch, each in two halves with a pause in between, and publish."""
    assert job.draft is not None
    _note(job, "begins")
    for epoch in range(1, job.spec.max_epochs + 1):
        content = _content(job.spec, epoch)
        with (job.draft / _name(epoch)).open("wb", buffering=0) as file:
            file.write(content[: _PART_BYTES // 2])
            time.sleep(_PAUSE)
            file.write(content[_PART_BYTES // 2 :])
        sys.stdout.write(f"epoch {epoch}\n")
        report({"epoch": epoch})
        time.sleep(_PAUSE)
    write_json(job.draft / "record.json", _record(job.spec))
    RunStore(job.runs_dir).publish(job.spec, job.draft)
    _note(job, "ends")


def _name(epoch: int) -> str:
    return f"part-{epoch}.bin"


def _content(spec: RunSpec, epoch: int) -> bytes:
    return hashlib.shake_128(f"{spec.run_id} {epoch}".encode()).digest(_PART_BYTES)


def _record(spec: RunSpec) -> dict[str, Any]:
    epochs = range(1, spec.max_epochs + 1)
    return {
        "schema_version": 1,
        "run_id": spec.run_id,
        "status": "done",
        "spec": spec.model_dump(mode="json"),
        "metrics": {},
        "files": {_name(epoch): hashlib.sha256(_content(spec, epoch)).hexdigest() for epoch in epochs},
    }


def _note(job: Job, what: str) -> None:
    line = json.dumps([job.spec.run_id, what, time.monotonic(), time.time()]) + "\n"
    journal = os.open(job.runs_dir.parent / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(journal, line.encode())
    os.close(journal)


def _special(job: Job) -> bool:
    return job.spec.seed == SPECIAL_SEED


def writes_slowly(job: Job, report: Report) -> None:
    """Take half a second and more; the special one hangs after its first word."""
    for _ in range(4):
        time.sleep(0.15)
        report({"epoch": 0})
        if _special(job):
            time.sleep(600)
    writes(job, report)


def remounts(job: Job, report: Report) -> None:
    """Let the disk of the store turn read-only in the middle of a run, as a kernel does that sees it fail."""
    if _special(job):
        _let_go_of_the_log()
        subprocess.run(["mount", "-o", "remount,ro", str(job.runs_dir.parent)], check=True)
    writes(job, report)


def removes_the_store(job: Job, report: Report) -> None:
    if _special(job):
        shutil.rmtree(job.runs_dir)
    writes(job, report)


def replaces_the_store(job: Job, report: Report) -> None:
    if _special(job):
        shutil.rmtree(job.runs_dir)
        job.runs_dir.write_text("a file now")
    writes(job, report)


def deletes_its_draft(job: Job, report: Report) -> None:
    assert job.draft is not None
    if _special(job):
        shutil.rmtree(job.draft)
    writes(job, report)


def deletes_its_draft_and_dies(job: Job, report: Report) -> None:
    assert job.draft is not None
    if _special(job):
        shutil.rmtree(job.draft)
        os.kill(os.getpid(), signal.SIGKILL)
    writes(job, report)


def stops(job: Job, report: Report) -> None:
    """Be stopped as by a debugger, or a shell's Ctrl-Z."""
    if _special(job):
        report({"epoch": 1})
        os.kill(os.getpid(), signal.SIGSTOP)
    writes(job, report)


def leaves_a_daemon(job: Job, report: Report) -> None:
    """Start a process in a session of its own that holds everything open and goes on writing into the draft."""
    if _special(job) and os.fork() == 0:
        assert job.draft is not None
        os.setsid()
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with suppress(OSError):
                (job.draft / LATE).write_bytes(b"late")
            time.sleep(0.001)
        os._exit(0)
    writes(job, report)


def closes_its_descriptors(job: Job, report: Report) -> None:
    """Close what it did not open, as libraries do that turn a process into a daemon."""
    if _special(job):
        os.closerange(3, 1024)
    writes(job, report)


def closes_its_descriptors_and_hangs(job: Job, report: Report) -> None:
    if _special(job):
        os.closerange(3, 1024)
        time.sleep(600)
    writes(job, report)


def writes_garbage(job: Job, report: Report) -> None:
    """Write bytes that are no message, as C code does that holds a wrong descriptor."""
    if _special(job):
        os.write(_pipe(report), (12).to_bytes(4, "big") + b"not a pickle")
    writes(job, report)


def promises_a_long_message(job: Job, report: Report) -> None:
    """Begin a message that never ends, and hang."""
    if _special(job):
        os.write(_pipe(report), (2**30).to_bytes(4, "big") + b"the beginning")
        time.sleep(600)
    writes(job, report)


def says_something_else(job: Job, report: Report) -> None:
    """Send a message of another kind than agreed."""
    if _special(job):
        _connection(report).send("a word")
    writes(job, report)


def fills_its_log(job: Job, report: Report) -> None:
    if _special(job):
        for _ in range(80):
            os.write(1, _LOG_BLOCK * 10_000)
        os.write(2, b"last words\n")
        os.kill(os.getpid(), signal.SIGKILL)
    writes(job, report)


def _connection(report: Report) -> Any:
    """Return the pipe to the main process, which no well-behaved target ever sees."""
    (cell,) = report.__closure__ or ()
    return cell.cell_contents


def _pipe(report: Report) -> int:
    return int(_connection(report).fileno())


def _let_go_of_the_log() -> None:
    """A file system with files that are open for writing cannot be made read-only."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
