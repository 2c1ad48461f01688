"""Runs on a Slurm cluster: job arrays submitted through submitit, and an outcome that is read from the store.

`SlurmExecutor` submits and watches, `task` is what a job does on its node, `batches` keeps what was submitted,
`queue` asks Slurm. Accounting (``sacct``) is not needed.
"""

from __future__ import annotations

from harness.executors.slurm.batches import cancel, queue_states
from harness.executors.slurm.executor import SlurmExecutor
from harness.executors.slurm.queue import QueueError

__all__ = ["QueueError", "SlurmExecutor", "cancel", "queue_states"]
