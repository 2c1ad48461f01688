"""A suite's numbers over time: versions of a baseline in git, or several files, and where a metric changes."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import InputError
from harness.gate.baseline import Baseline, parse, read
from harness.gate.numbers import cell_order

__all__ = ["Point", "Series", "Version", "change_points", "from_files", "from_git", "series_of"]

_FIELDS = "%H%x1f%cI%x1f%s"
_SHORT = 8


@dataclass(frozen=True)
class Version:
    """A baseline as it was: at a commit, with its date (ISO 8601) and subject, or in a file, by its name."""

    label: str
    when: str
    subject: str
    baseline: Baseline


@dataclass(frozen=True)
class Point:
    """One metric in one version: mean and sd over so many seeds, accuracies and F1 as fractions."""

    version: int
    mean: float
    sd: float
    seeds: int


@dataclass(frozen=True)
class Series:
    """One metric of one cell over the versions that have it.

    Attributes
    ----------
    cell, metric : str
    higher_is_better : bool
    points : tuple of Point
        The oldest first.
    changes : tuple of int
        Places in `points` at which a new level begins.
    """

    cell: str
    metric: str
    higher_is_better: bool
    points: tuple[Point, ...]
    changes: tuple[int, ...]


def from_git(path: Path) -> tuple[list[Version], list[str]]:
    """Return every committed version of a baseline, the oldest first, and what was left out and why.

    Raises
    ------
    InputError
        If the file is in no git checkout, or was never committed.
    """
    place = path.resolve()
    log = _git(place.parent, "log", "--follow", "--name-only", "-z", f"--format=%x1e{_FIELDS}", "--", place.name)
    versions, left_out = [], []
    top = Path(_git(place.parent, "rev-parse", "--show-toplevel").strip())
    for entry in filter(str.strip, log.split("\x1e")):
        head, _, names = entry.partition("\0")
        commit, when, subject = head.split("\x1f", 2)
        name = names.strip("\0\n") or place.relative_to(top).as_posix()
        try:
            text = _git(top, "show", f"{commit}:{name}")
            versions.append(Version(commit[:_SHORT], when, subject, parse(text, f"{name} at {commit[:_SHORT]}")))
        except InputError as error:
            left_out.append(f"{commit[:_SHORT]}: {error.what}")
    if not versions:
        raise InputError(
            "no committed version of this baseline can be read" if left_out else "the baseline was never committed",
            where=str(path),
            hint="commit it, or name several files",
        )
    return versions[::-1], left_out[::-1]


def from_files(paths: Sequence[Path]) -> list[Version]:
    """Return the baselines of several files, in the order given.

    Raises
    ------
    InputError
        If one cannot be read, or they are of different suites.
    """
    versions = [Version(path.name, "", "", read(path)) for path in paths]
    suites = sorted({version.baseline.suite for version in versions})
    if len(suites) > 1:
        raise InputError(
            f"the baselines are of different suites: {', '.join(suites)}",
            where=", ".join(map(str, paths)),
            hint="name baselines of one suite",
        )
    return versions


def series_of(versions: Sequence[Version]) -> list[Series]:
    """Return the series of every metric of every cell; one whose definition has changed begins anew there."""
    found: dict[tuple[str, str], list[tuple[str, bool, Point]]] = {}
    for number, version in enumerate(versions):
        for cell, held in version.baseline.cells.items():
            for metric, known in held.metrics.items():
                if known.mean is None:
                    continue
                seeds = sum(value is not None for value in known.values.values())
                point = Point(number, known.mean, math.nan if known.sd is None else known.sd, seeds)
                rows = found.setdefault((cell, metric), [])
                if rows and rows[-1][0] != known.signature:
                    rows.clear()
                rows.append((known.signature, known.higher_is_better, point))
    return [
        Series(cell, metric, rows[-1][1], (points := tuple(row[2] for row in rows)), change_points(points))
        for (cell, metric), rows in sorted(found.items(), key=lambda item: (cell_order(item[0][0]), item[0][1]))
        if rows
    ]


def change_points(points: Sequence[Point]) -> tuple[int, ...]:
    """Return where a series moves to another level and stays there for two versions or more.

    By the pruned exact search (PELT; Killick, Fearnhead and Eckley 2012; the package ruptures) on means in units of
    their standard error over seeds, with a penalty that a series without changes passes once in a thousand.
    """
    if len(points) < 4:
        return ()
    means = np.array([point.mean for point in points])
    errors = np.array([point.sd**2 / point.seeds for point in points])
    noise = float(np.sqrt(np.nanmean(errors))) if np.isfinite(errors).any() else 0.0
    if noise == 0.0:  # a spread that was never seen: every lasting difference is a change
        noise = max(float(np.abs(means).max()), 1e-300) * 1e-9
    from ruptures import Pelt

    penalty = 10.5 + 1.6 * math.log(len(points))
    signal = ((means - means[0]) / noise).reshape(-1, 1)
    ends = Pelt(model="l2", min_size=2, jump=1).fit(signal).predict(pen=penalty)
    return tuple(int(end) for end in ends[:-1])


def _git(folder: Path, *words: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)  # noqa: S603 - git's own words
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InputError(
            f"git cannot tell the history: {said[-1] if said else error}",
            where=str(folder),
            hint="name a file of a checkout, or several baseline files",
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        what = f"git cannot be asked: {error}"
        raise InputError(what, where=str(folder), hint="install git, or name several baseline files") from error
    return done.stdout.decode("utf-8", "replace")
