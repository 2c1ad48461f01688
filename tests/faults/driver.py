"""A process that runs the executor as the command line does, with stubs, and says what it is told, a line an event.

Started as ``python -m tests.faults.driver OPTIONS``, where OPTIONS is a file of JSON that `tests.faults.tools` writes.
Imports nothing heavy, so that it is up in a fraction of a second.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.executors import Elsewhere, Event, Failed, Finished, LocalExecutor, Started, base
from harness.spec import RunSpec
from harness.store import RunStore
from harness.training.job import Job
from tests.faults import stubs

STUBS = stubs.__name__


def say(**what: Any) -> None:
    # One system call a line, so that a kill leaves whole lines only.
    os.write(1, (json.dumps(what) + "\n").encode())


def observe(event: Event) -> None:
    words: dict[str, Any] = {"run_id": event.spec.run_id, "at": time.monotonic()}
    if isinstance(event, Started):
        say(event="started", **words)
    elif isinstance(event, Finished):
        say(event="finished", **words)
    elif isinstance(event, Failed):
        say(event="failed", kind=event.kind, reason=event.reason, **words)
    elif isinstance(event, Elsewhere):
        say(event=f"elsewhere {event.status}", **words)


def _failing(number: int) -> Any:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fails


def break_down(what: list[str]) -> None:
    """Take away what some file systems lack."""
    if "links" in what:
        os.link = _failing(errno.EPERM)
    if "locks" in what:
        fcntl.flock = _failing(errno.ENOLCK)


def peak_memory() -> int:
    """Return the most bytes that this process ever held; not ru_maxrss, which begins with what its parent held."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def main(path: str) -> int:
    options = json.loads(Path(path).read_text(encoding="utf-8"))
    setattr(base, "available_cores", lambda: 8)  # noqa: B010 - mypy takes no other function in its place
    break_down(options["broken"])
    say(event="up", clock=time.time())
    root = Path(options["root"])
    jobs = [Job(RunSpec.model_validate(spec), Path("features"), root) for spec in options["specs"]]
    executor = LocalExecutor(
        options["workers"],
        options["time_limit"],
        f"{STUBS}:{options['stub']}",
        preload=(STUBS,),
        stall_limit=options["stall_limit"],
    )
    store = RunStore(root)
    try:
        store.prepare()
        outcome = executor.run(jobs, store, observer=observe)
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    say(
        event="end",
        done=[spec.run_id for spec in (*outcome.done, *outcome.already)],
        failed=[spec.run_id for spec in outcome.failed],
        not_run=[spec.run_id for spec in outcome.not_run],
        peak_memory=peak_memory(),
    )
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
