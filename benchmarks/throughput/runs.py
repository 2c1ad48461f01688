"""What one side says of the runs it made; both say the same things, so that they can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["MismatchError", "Pass", "Run", "check_equal"]


class MismatchError(RuntimeError):
    """The two sides did not do the same work, so their times cannot be compared."""


@dataclass(frozen=True)
class Run:
    """One run.

    Parameters
    ----------
    label : str
        Model, data set, task, seed.
    epochs : int
        Epochs trained, by early stopping.
    seconds : float
        From its start to its end, loading included, in the process that made it.
    training : float
        Seconds of that in training and validation passes, with what happens at an epoch's end.
    sleep : float
        Seconds of that in a fixed sleep.
    predictions : mapping
        Test sample's id to its prediction (a single-precision number).
    """

    label: str
    epochs: int
    seconds: float
    training: float
    sleep: float
    predictions: Mapping[str, float]


@dataclass(frozen=True)
class Pass:
    """A list of runs made once by one side: its wall time without the side's start, and the runs in their order."""

    seconds: float
    runs: tuple[Run, ...]

    def share_not_training(self, workers: int) -> float:
        """Part of the workers' time that went into anything but training and validation, waiting included."""
        return 1 - sum(run.training for run in self.runs) / (self.seconds * min(workers, len(self.runs)))


def check_equal(ours: Sequence[Run], theirs: Sequence[Run]) -> None:
    """Demand equal runs: the same epochs, and for every test sample the same bits.

    Raises
    ------
    MismatchError
        If anything differs.
    """
    if len(ours) != len(theirs):
        raise MismatchError(f"{len(ours)} runs of the harness, {len(theirs)} of MMSA")
    for mine, other in zip(ours, theirs, strict=True):
        if mine.epochs != other.epochs:
            raise MismatchError(f"{mine.label}: {mine.epochs} epochs in the harness, {other.epochs} in MMSA")
        if set(mine.predictions) != set(other.predictions) or not mine.predictions:
            raise MismatchError(f"{mine.label}: the two sides predicted for different samples")
        differing = [name for name, value in mine.predictions.items() if value != other.predictions[name]]
        if differing:
            raise MismatchError(
                f"{mine.label}: {len(differing)} of {len(mine.predictions)} test predictions differ, "
                f"the first that of {differing[0]}"
            )
