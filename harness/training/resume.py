"""Going on after a kill: the state of a run at an epoch's end, written to disk and read back.

A state goes on only in the environment that made it (libraries and hardware, `harness.provenance.environment_key`): the
numbers of a record are then those of a run that nobody disturbed. Any other, a damaged or a truncated one is left
alone, and the run starts over. No checkpoint, and no disk that takes none, ever ends a run.
"""

from __future__ import annotations

import logging
import resource
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from harness import provenance
from harness.store import LOG_FILE
from harness.store.checkpoints import Checkpoints
from harness.training.faults import is_out_of_memory
from harness.training.job import Job
from harness.training.loop import Trainer

__all__ = ["SavedState"]

_log = logging.getLogger(__name__)
_SCHEMA_VERSION = 1
_COST_FACTOR = 20.0
"""How many times longer than the last write the next one is waited for: writing takes less than a 20th of a run."""


class SavedState:
    """The state of one run on disk, and what of the run stands in it: its log, its time, its memory.

    Parameters
    ----------
    job : Job
        With the draft that it writes into.
    checkpoints : Checkpoints
        Where states lie.
    clock : callable
        Seconds; the run starts now.

    Attributes
    ----------
    resumed_from : list of int
        The epochs after which the run was continued.
    """

    def __init__(self, job: Job, checkpoints: Checkpoints, clock: Callable[[], float] = time.perf_counter) -> None:
        self.resumed_from: list[int] = []
        self._job = job
        self._run_id = job.spec.run_id
        self._checkpoints = checkpoints
        self._clock = clock
        self._started = self._written = clock()
        self._cost = 0.0
        self._earlier_seconds = 0.0
        self._earlier_peak = 0

    @property
    def seconds(self) -> float:
        """Seconds that the run has taken so far, all parts together; work that a kill undid is not among them."""
        return self._earlier_seconds + self._clock() - self._started

    @property
    def peak_memory(self) -> int:
        """Bytes of main memory that the run's processes held at most, of all parts the largest.

        It is the resident set of the whole process as the kernel counts it, so that pages which it shares with others
        are among it: libraries, what the fork server has loaded, feature arrays mapped from the cache.
        """
        unit = 1 if sys.platform == "darwin" else 1024
        return max(self._earlier_peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)

    def restore(self, trainer: Trainer) -> bool:
        """Put the run's last state, if there is one that fits, into its fresh trainer.

        Returns
        -------
        bool
            False if the state broke off halfway: the trainer must be built anew.

        Raises
        ------
        MemoryError, torch.cuda.OutOfMemoryError, RuntimeError
            If there is no memory for it: the state may be a good one.
        """
        state = self._read()
        if state is None:
            return True
        try:
            trainer.load_state_dict(state["trainer"], share=True)
            self.resumed_from = [*map(int, state["resumed_from"]), trainer.epoch]
            self._earlier_seconds = float(state["seconds"])
            self._earlier_peak = int(state["peak_memory_bytes"])
            earlier_log = str(state["log"])
        except Exception as error:
            # Whatever else is wrong with a state, the run can do without it.
            if is_out_of_memory(error):
                raise
            self.resumed_from, self._earlier_seconds, self._earlier_peak = [], 0.0, 0
            _start_over(_said(error))
            return False
        _put_before(self._log_file, earlier_log)
        _log.info(
            "continued after epoch %d, with %.1f s of work done before; the log up to there stands above",
            trainer.epoch,
            self._earlier_seconds,
        )
        return True

    def after_epoch(self, trainer: Trainer) -> None:
        """Write the state down if it is time to: the job says how often, and the last write how dear it is."""
        every, now = self._job.checkpoint_seconds, self._clock()
        if every is None or (every > 0 and now - self._written < max(every, _COST_FACTOR * self._cost)):
            return
        try:
            self._write(trainer)
        except Exception as error:  # noqa: BLE001 -- a state on disk is a help, never a reason to end a run
            _log.warning("the state after epoch %d could not be written: %s", trainer.epoch, _said(error))
        self._written = self._clock()
        self._cost = self._written - now

    def _write(self, trainer: Trainer) -> None:
        state = {
            "schema_version": _SCHEMA_VERSION,
            "run_id": self._run_id,
            "environment_key": self._environment_key,
            "device": self._job.device,
            "seconds": self.seconds,
            "peak_memory_bytes": self.peak_memory,
            "resumed_from": self.resumed_from,
            "log": _text(self._log_file),
            "trainer": trainer.state_dict(share=True),
        }
        self._checkpoints.write(self._run_id, lambda file: torch.save(state, file), size=_size(state))

    def _read(self) -> dict[str, Any] | None:
        """Return the run's last state, or None where there is none or not one to go on from."""
        try:
            file = self._checkpoints.open(self._run_id)
            if file is None:
                return None
            with file:
                # torch writes checksums and reads past them: a flipped bit would go into the weights.
                with zipfile.ZipFile(file) as archive:
                    damaged = archive.testzip()
                if damaged is not None:
                    raise ValueError(f"the checksum of {damaged} is wrong")
                file.seek(0)
                state = torch.load(file, map_location="cpu", weights_only=True)
            why = self._unfit(state)
            if not why:
                return dict(state)
        except Exception as error:
            # Readers of damaged files raise what they like.
            if is_out_of_memory(error):
                raise
            why = _said(error)
        _start_over(why)
        return None

    def _unfit(self, state: Mapping[str, Any]) -> str:
        """Say why the run cannot go on from a state; empty if it can."""
        kind, here = str(state["device"]).partition(":")[0], self._job.device.partition(":")[0]
        if state["schema_version"] != _SCHEMA_VERSION:
            return f"its schema version is {state['schema_version']}, not {_SCHEMA_VERSION}"
        if state["run_id"] != self._run_id:
            return f"it is that of run {state['run_id']}"
        if kind != here:
            return f"it was made on {kind}, and this is {here}"
        if state["environment_key"] != self._environment_key:
            return f"it was made in environment {state['environment_key']}, and this is {self._environment_key}"
        return ""

    @cached_property
    def _environment_key(self) -> str:
        return provenance.environment_key(provenance.environment(self._job.device))

    @property
    def _log_file(self) -> Path:
        assert self._job.draft is not None
        return self._job.draft / LOG_FILE


def _start_over(why: str) -> None:
    _log.warning("the state of an earlier attempt cannot be continued, the run starts over: %s", why)


def _said(error: Exception) -> str:
    """Return the first line of an error, which may be a page long in torch."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # a run in its caller's own process logs as the caller likes
        return ""


def _put_before(path: Path, earlier: str) -> None:
    """Put the log of an earlier process before what this one has logged: the same file, open at its end elsewhere."""
    if earlier:
        path.write_text(earlier + _text(path), encoding="utf-8", newline="")


def _size(value: Any) -> int:
    """Return the bytes of all tensors in nested containers."""
    if isinstance(value, torch.Tensor):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, (list, tuple)) else 0
