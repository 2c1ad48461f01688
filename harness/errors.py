"""The error tree of the harness: every message says what is wrong, where, and what to do.

Three branches, one per exit code that the command line can give:

* `InputError` -- the question was bad (usage, suite, data set definition, feature file): exit code 2;
* `StoreError` -- the place to write to is bad (unwritable folder, full disk): exit code 2;
* `RunError` -- the question was good and the answer is a failure (a run that diverged or crashed): exit code 1.
"""

from __future__ import annotations

__all__ = ["DataError", "HarnessError", "InputError", "RunError", "StoreError"]


class HarnessError(Exception):
    """Base class of everything the harness raises on purpose.

    Parameters
    ----------
    what : str
        What is wrong, as one sentence without a full stop.
    where : str, optional
        The file, field or command that it is wrong in.
    hint : str, optional
        What the reader can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what, where, hint)
        self.what = what
        self.where = where
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.hint))

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.hint:
            lines.append(f"  do:    {self.hint}")
        return "\n".join(lines)


def _rebuild(kind: type[HarnessError], what: str, where: str, hint: str) -> HarnessError:
    """Build an error again on the other side of a process boundary."""
    return kind(what, where=where, hint=hint)


class InputError(HarnessError):
    """The question was bad: an unknown name, a wrong YAML field, a missing file."""

    exit_code = 2


class DataError(InputError):
    """A feature file or a data set definition cannot be used as it is."""


class StoreError(HarnessError):
    """The runs, reports or cache folder cannot be written or holds something unreadable."""

    exit_code = 2


class RunError(HarnessError):
    """A run was started properly and failed: diverged, crashed, ran past its time limit."""

    exit_code = 1
