"""One run as it is handed to a worker process: plain data, cheap to import and to pickle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.spec import RunSpec

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """What a worker needs to make one record.

    Attributes
    ----------
    spec : RunSpec
    features : Path
        The converted feature cache of the run's file.
    runs_dir : Path
        The root of the run store.
    device : str
        ``cpu`` or ``cuda``, as torch names it.
    encoder : Path or None
        The folder of the run's text encoder; None where it has none, or one with random weights.
    plugin : Path or None
        The file or folder that the run's model comes from; None where it is built in or installed.
    draft : Path or None
        The folder to write into; an executor sets it, and None asks the run to begin one itself.
    checkpoint_seconds : float or None
        Write the training state at the end of an epoch when this long has passed since the last time, or since the
        run's start, so that a run that is killed goes on from there; 0 after every epoch, None never.
    """

    spec: RunSpec
    features: Path
    runs_dir: Path
    device: str = "cpu"
    encoder: Path | None = None
    plugin: Path | None = None
    draft: Path | None = None
    checkpoint_seconds: float | None = 60.0
