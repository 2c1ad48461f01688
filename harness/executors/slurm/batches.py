"""What was submitted and may still be in the queue: one folder per array below the engine's folder.

A folder holds ``runs.json`` (the run ids in the order of the array), and submitit's job files and logs. Its name is a
random token, which the jobs carry as their comment, and which is written before anything is submitted: whatever is
killed when, a job that the queue shows under our name can be told by its comment and its index. Nothing is ever
rewritten, so that harness processes which share the folder need no lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shlex
import shutil
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import InputError, StoreError
from harness.executors.slurm import queue
from harness.executors.slurm.queue import Entry, QueueError
from harness.store import write_json
from harness.store.disk import read_json, writing

__all__ = ["Batches", "cancel", "queue_states"]

_RUNS_FILE = "runs.json"
_SUBMITTED = "_submission.sh"
"""How submitit names its script, behind the job's number, once sbatch has taken it."""
_LOG_LINES = 30


@dataclass
class Batches:
    """The submissions of one store.

    Parameters
    ----------
    folder : Path
        The engine's folder. Where the nodes see it under another path than here, nothing works.
    """

    folder: Path
    _runs: dict[str, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name that all jobs of this folder have in the queue."""
        return f"harness-{hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:8]}"

    def queue(self) -> dict[str, list[Entry]]:
        """Return what the queue holds of each run, oldest submission first.

        Raises
        ------
        QueueError
            If the controller does not answer.
        """
        found: dict[str, list[Entry]] = {}
        for entry in sorted(self._entries(), key=lambda entry: entry.number):
            runs = self._runs_of(entry.comment)
            if entry.index < len(runs):
                found.setdefault(runs[entry.index], []).append(entry)
        return found

    def submit(
        self,
        run_ids: Sequence[str],
        function: Callable[..., None],
        arguments: Sequence[Sequence[Any]],
        parameters: Mapping[str, Any],
    ) -> list[tuple[str, str]]:
        """Submit one array, and return each run's job id with the token of the folder.

        Parameters
        ----------
        run_ids : sequence of str
        function : callable
            What each job calls; importable on the nodes.
        arguments : sequence
            Its arguments, one sequence per run.
        parameters : mapping
            As submitit's executor for Slurm takes them.

        Raises
        ------
        QueueError
            If ``sbatch`` refuses; nothing was submitted then.
        StoreError
            If the folder cannot be written.
        """
        slurm, refused = _submitit()
        token = uuid.uuid4().hex[:12]
        place = self.folder / token
        with writing(place, "cannot write the files of a Slurm job"):
            place.mkdir(parents=True)
            write_json(place / _RUNS_FILE, {"runs": list(run_ids)})
            try:
                # exec: bash would die of the SIGTERM of a time limit before Python has stopped its run.
                executor = slurm(place, python=f"exec {shlex.quote(sys.executable)}")
                executor.update_parameters(**parameters, job_name=self.name, comment=token)
                # submitit repeats on stderr what sbatch says, across any live display.
                with contextlib.redirect_stderr(io.StringIO()):
                    jobs = executor.map_array(function, *zip(*arguments, strict=True))
            except refused as error:
                # After any end of sbatch but a plain no, jobs may be in the queue, and need their files.
                if getattr(error.__cause__, "returncode", 0) > 0:
                    shutil.rmtree(place, ignore_errors=True)
                raise _refusal(str(error), parameters) from error
        return [(job.job_id, token) for job in jobs]

    def log(self, job_id: str, token: str) -> list[str]:
        """Return the last lines that a job wrote; none where it wrote nothing, or its files are gone."""
        lines: list[str] = []
        for stream in ("err", "out"):
            path = self.folder / token / f"{job_id}_0_log.{stream}"
            with contextlib.suppress(OSError):
                lines += path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        return lines

    def tidy(self) -> None:
        """Remove the files of submissions of which nothing is in the queue any more.

        Raises
        ------
        QueueError
            If the controller does not answer.
        """
        # Before the queue is asked: what another process submits after this line is not among these.
        submitted = [path.parent for path in self.folder.glob(f"*/*{_SUBMITTED}")]
        live = {entry.comment for entry in self._entries() if entry.live}
        for place in submitted:
            if place.name not in live:
                shutil.rmtree(place, ignore_errors=True)

    def _entries(self) -> list[Entry]:
        """Return our jobs with their tokens as comments, also where a site's plug-in puts its own words there."""
        entries = queue.ask(self.name)
        if all(self._runs_of(entry.comment) for entry in entries):
            return entries
        names = {path.name: path.parent.name for path in self.folder.glob(f"*/*{_SUBMITTED}")}
        return [
            entry
            if self._runs_of(entry.comment)
            else replace(entry, comment=names.get(f"{entry.number}{_SUBMITTED}", ""))
            for entry in entries
        ]

    def _runs_of(self, token: str) -> list[str]:
        if token not in self._runs:
            # What a site puts there may be anything, a path included.
            if not token.isalnum():
                return []
            try:
                runs = read_json(self.folder / token / _RUNS_FILE)["runs"]
            except (StoreError, KeyError):
                return []
            self._runs[token] = [str(run) for run in runs]
        return self._runs[token]


def queue_states(folder: Path) -> dict[str, str]:
    """Return Slurm's state of each run that waits or runs: ``PENDING``, ``RUNNING``, ...

    Empty where nothing was submitted, or Slurm is not installed.

    Parameters
    ----------
    folder : Path
        The engine's folder of a store.

    Raises
    ------
    QueueError
        If the controller does not answer.
    """
    if not queue.has_slurm() or not folder.is_dir():
        return {}
    live = {run: [e for e in entries if e.live] for run, entries in Batches(folder).queue().items()}
    return {run: entries[-1].state for run, entries in live.items() if entries}


def cancel(folder: Path) -> list[str]:
    """Cancel every job that was submitted for a store, whoever watches it; return the ids of the runs.

    Parameters
    ----------
    folder : Path
        The engine's folder of a store.

    Raises
    ------
    QueueError
        If the controller does not answer.
    """
    if not folder.is_dir():
        return []
    live = {run: [e for e in entries if e.live] for run, entries in Batches(folder).queue().items()}
    # Whole arrays: all of an array is ours, and a few ids do for thousands of jobs.
    queue.scancel({str(entry.number) for entries in live.values() for entry in entries})
    return sorted(run for run, entries in live.items() if entries)


def _submitit() -> tuple[type[Any], tuple[type[Exception], ...]]:
    """Return submitit's executor and the errors by which it says that sbatch has refused."""
    if not shutil.which("sbatch") or not shutil.which("srun"):
        raise QueueError(
            "there is no sbatch on this machine", where="PATH", hint="run this on a login node of the cluster"
        )
    try:
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ImportError as error:
        raise InputError(
            f"the executor slurm needs submitit: {error}",
            where="--executor slurm",
            hint="pip install 'msa-harness[slurm]'",
        ) from error
    return SlurmExecutor, (FailedJobError, FailedSubmissionError)


def _refusal(said: str, parameters: Mapping[str, Any]) -> QueueError:
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in said.splitlines() if line.strip()]
    hint = "change the options of the executor; what was submitted before goes on, and the same command adopts it"
    if "partition" in said.lower() and (known := queue.partitions()):
        hint = f"name one of the partitions {', '.join(known)}, or leave it out for the default"
    asked = ", ".join(f"{key}={value}" for key, value in sorted(parameters.items()) if value not in (None, [], {}))
    return QueueError(f"sbatch refuses the jobs: {'; '.join(lines) or 'no reason given'}", where=asked, hint=hint)
