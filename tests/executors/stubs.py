"""What workers run in the tests of the executors: small, quick, and mostly ill-behaved."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from harness.errors import DataError, RunError, StoreError
from harness.executors.worker import THREAD_VARIABLES, Report
from harness.store import RunStore
from harness.training.job import Job
from tests.helpers import fill_draft

SPECIAL_SEED = 666
"""`by_seed` and its kin misbehave for this seed only."""


def good(job: Job, report: Report) -> None:
    assert job.draft is not None
    sys.stdout.write("a word on stdout\n")
    os.write(2, b"a word on descriptor 2\n")
    report({"epoch": 1, "train_loss": 1.0, "valid_loss": 2.0, "best": True})
    fill_draft(
        job.draft,
        job.spec,
        pid=os.getpid(),
        threads={v: os.environ.get(v) for v in THREAD_VARIABLES},
        device=job.device,
        oom_score_adj=Path("/proc/self/oom_score_adj").read_text().strip(),
    )
    RunStore(job.runs_dir).publish(job.spec, job.draft)


def trivial(job: Job, report: Report) -> None:
    del report
    assert job.draft is not None
    (job.draft / "record.json").write_text("{}")
    RunStore(job.runs_dir).publish(job.spec, job.draft)


def _special(job: Job) -> bool:
    return job.spec.seed == SPECIAL_SEED


def killed(job: Job, report: Report) -> None:
    if _special(job):
        sys.stdout.write("last words\n")
        os.kill(os.getpid(), signal.SIGKILL)
    good(job, report)


def segfault(job: Job, report: Report) -> None:
    if _special(job):
        ctypes.string_at(0)
    good(job, report)


def leaves(job: Job, report: Report) -> None:
    if _special(job):
        os._exit(3)
    good(job, report)


def raises(job: Job, report: Report) -> None:
    if _special(job):
        raise ValueError("a bad value")
    good(job, report)


def diverges(job: Job, report: Report) -> None:
    if _special(job):
        raise RunError("the loss is NaN in epoch 2", hint="lower the learning rate")
    good(job, report)


def bad_data(job: Job, report: Report) -> None:
    if _special(job):
        raise DataError("the cache is gone")
    good(job, report)


def exits(job: Job, report: Report) -> None:
    if _special(job):
        sys.exit(0)
    good(job, report)


def returns_nothing(job: Job, report: Report) -> None:
    if not _special(job):
        good(job, report)


def hangs(job: Job, report: Report) -> None:
    if _special(job):
        report({"epoch": 1})
        time.sleep(600)
    good(job, report)


def always_hangs(job: Job, report: Report) -> None:
    report({"pid": os.getpid()})
    time.sleep(600)


def hangs_in_c(job: Job, report: Report) -> None:
    """Hold the GIL in C: no Python thread of this process can do anything any more."""
    report({"pid": os.getpid()})
    ctypes.PyDLL(None).sleep(600)


def publishes_then_hangs(job: Job, report: Report) -> None:
    good(job, report)
    report({"published": True})
    time.sleep(600)


def publishes_then_dies(job: Job, report: Report) -> None:
    good(job, report)
    os.kill(os.getpid(), signal.SIGKILL)


def disk_full(job: Job, report: Report) -> None:
    if _special(job):
        raise OSError(errno.ENOSPC, "No space left on device")
    time.sleep(600)


def disk_full_in_words(job: Job, report: Report) -> None:
    raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


def store_broken(job: Job, report: Report) -> None:
    raise StoreError("the store is broken", where="here")


def chatty(job: Job, report: Report) -> None:
    for epoch in range(2000):
        report({"epoch": epoch, "padding": "x" * 200})
    good(job, report)


def state(job: Job, report: Report) -> None:
    """Report what a worker finds itself in."""
    main: Any = sys.modules["__main__"]
    report(
        {
            "pid": os.getpid(),
            "group": os.getpgid(0),
            "sigint_ignored": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
            "faulthandler": faulthandler.is_enabled(),
            "main_file": getattr(main, "__file__", None),
            "threads": {name: os.environ.get(name) for name in THREAD_VARIABLES},
            "server": os.getppid(),
        }
    )
    good(job, report)


def _start_a_child(report: Report) -> None:
    report({"child": subprocess.Popen(["sleep", "600"]).pid})


def dies_and_leaves_a_child(job: Job, report: Report) -> None:
    _start_a_child(report)
    os.kill(os.getpid(), signal.SIGKILL)


def raises_and_leaves_a_child(job: Job, report: Report) -> None:
    _start_a_child(report)
    raise ValueError("a bad value")


def publishes_and_leaves_a_child(job: Job, report: Report) -> None:
    _start_a_child(report)
    good(job, report)


def hangs_and_leaves_a_child(job: Job, report: Report) -> None:
    _start_a_child(report)
    time.sleep(600)


def special_hangs(job: Job, report: Report) -> None:
    if _special(job):
        always_hangs(job, report)
    good(job, report)


def computes(job: Job, report: Report) -> None:
    """Use CPU time for longer than the stall limit of the tests, without a word."""
    end = time.monotonic() + 4.0
    while time.monotonic() < end:
        sum(range(10_000))
    good(job, report)


def leaks(job: Job, report: Report) -> None:
    kept = []
    while _special(job):
        kept.append(bytearray(os.urandom(1) * 20_000_000))
        time.sleep(0.01)
    good(job, report)


def special_is_large(job: Job, report: Report) -> None:
    """Hold 200 MB, and stay long enough to be looked at."""
    kept = bytearray(b"x" * 200_000_000) if _special(job) else b""
    time.sleep(2.0)
    good(job, report)
    del kept


class OutOfMemoryError(RuntimeError):
    """Bears the name of torch's own."""


def out_of_memory(job: Job, report: Report) -> None:
    if _special(job):
        time.sleep(0.2)
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    time.sleep(1.0)
    good(job, report)


def waits_for_two(job: Job, report: Report) -> None:
    time.sleep(0.5)
    good(job, report)


def takes_a_moment(job: Job, report: Report) -> None:
    time.sleep(0.3)
    good(job, report)


def fails_after_a_moment(job: Job, report: Report) -> None:
    time.sleep(1.5)
    raise ValueError("a bad value")


def raises_and_stays(job: Job, report: Report) -> None:
    """Fail, and leave a thread behind that keeps the process alive."""
    if _special(job):
        threading.Thread(target=time.sleep, args=(600,)).start()
        raise ValueError("the true reason")
    good(job, report)
