"""What Slurm says of our jobs: one call of ``squeue`` for all of them, and ``scancel``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.errors import InputError

__all__ = ["Entry", "QueueError", "array_limit", "ask", "has_slurm", "partitions", "scancel"]

# Other states, held and suspended ones included, mean that a job may still run.
_ENDED = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)
_FORMAT = "%i|%K|%T|%k"  # id, index in its array, state, comment
_CALL_SECONDS = 120.0  # Slurm's own commands give up after a few times MessageTimeout, 10 s as a rule
_ARRAY_LIMIT = 1001  # Slurm's default of MaxArraySize
_IDS_AT_ONCE = 500


class QueueError(InputError):
    """Slurm does not answer, or refuses."""


@dataclass(frozen=True)
class Entry:
    """A job as the queue shows it; one that has ended stays there for MinJobAge, five minutes as a rule.

    Attributes
    ----------
    job_id : str
        As ``scancel`` takes it: ``12``, or ``12_3`` in an array.
    index : int
        Place in its array; 0 without one.
    state : str
        Slurm's long name, such as ``PENDING``.
    comment : str
        What the job was submitted with.
    """

    job_id: str
    index: int
    state: str
    comment: str

    @property
    def live(self) -> bool:
        """Whether the job waits or runs."""
        return self.state not in _ENDED

    @property
    def number(self) -> int:
        """The number of its submission: later ones have larger numbers."""
        return int(self.job_id.partition("_")[0])


def has_slurm() -> bool:
    """Tell whether Slurm's commands are installed here."""
    return shutil.which("squeue") is not None


def ask(name: str) -> list[Entry]:
    """Return the jobs of a name, the ended ones that Slurm still knows included.

    By name and not by id, because ``squeue`` refuses a question that names a job which it has forgotten.

    Raises
    ------
    QueueError
        If the controller does not answer.
    """
    said = _call("squeue", "--noheader", "--array", "--states=all", f"--name={name}", f"--format={_FORMAT}")
    return list(_parse(said))


def scancel(job_ids: Iterable[str]) -> None:
    """Cancel jobs; those that have ended by now are no error.

    Raises
    ------
    QueueError
        If the controller does not answer.
    """
    ids = sorted(job_ids)
    for start in range(0, len(ids), _IDS_AT_ONCE):
        _call("scancel", "--quiet", *ids[start : start + _IDS_AT_ONCE])


def array_limit() -> int:
    """Return how many jobs one array can have; Slurm's default where the controller does not say."""
    try:
        found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _call("scontrol", "show", "config"), re.MULTILINE)
    except QueueError:
        found = None
    return max(1, int(found[1])) if found else _ARRAY_LIMIT


def partitions() -> list[str]:
    """Return the names of the cluster's partitions; nothing where it cannot be asked."""
    try:
        return sorted(set(_call("sinfo", "--noheader", "--format=%R").split()))
    except QueueError:
        return []


def _parse(said: str) -> Iterator[Entry]:
    for line in said.splitlines():
        fields = line.split("|", 3)
        # Pending parts of an array whose line was not spread, or words of a site's wrapper: no job of which to speak.
        if len(fields) == 4 and re.fullmatch(r"\d+(_\d+)?", fields[0]):
            job_id, index, state, comment = fields
            yield Entry(job_id, int(index) if index.isdecimal() else 0, state, comment)


def _call(*command: str) -> str:
    # SQUEUE_STATES and its kin, which people set for themselves, would filter the answer.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    try:
        answer = subprocess.run(  # noqa: S603 - Slurm's own commands, found as every user of Slurm finds them
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_CALL_SECONDS,
            env=environment,
            check=False,
            start_new_session=True,  # Ctrl-C is for us to answer
        )
    except FileNotFoundError:
        raise QueueError(
            f"there is no {command[0]} on this machine", where="PATH", hint="run this on a login node of the cluster"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QueueError(f"Slurm cannot be asked: {error}", where=command[0]) from error
    if answer.returncode:
        said = answer.stderr.strip() or f"exit code {answer.returncode}"
        raise QueueError(f"Slurm refuses or does not answer: {said}", where=command[0])
    return answer.stdout
