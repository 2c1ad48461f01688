"""What a plan is made of: sources, cells, and what the user picked."""

from __future__ import annotations

from dataclasses import dataclass

from harness.spec import DatasetSpec, RunSpec, SettingName, Suite, Task, Variant

__all__ = ["Cell", "Plan", "Selection", "Source"]


@dataclass(frozen=True)
class Source:
    """One feature file that a suite needs: a data set in one setting."""

    dataset: DatasetSpec
    setting: SettingName


@dataclass(frozen=True)
class Selection:
    """What a user picked on the command line; empty means everything. Seeds need not be the suite's own."""

    datasets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Cell:
    """A model in one variant on one data set and task: a place in a table, with its runs.

    Parameters
    ----------
    dataset, setting, task, model, variant
        Where the cell stands.
    alias_of : Variant or None
        Another variant of the same table whose runs these are: counted once, shown twice.
    runs : tuple of RunSpec
        One run a seed; empty if the cell does not exist.
    skipped : str
        Why the cell does not exist; empty if it does.
    """

    dataset: DatasetSpec
    setting: SettingName
    task: Task
    model: str
    variant: Variant
    alias_of: Variant | None
    runs: tuple[RunSpec, ...]
    skipped: str = ""

    @property
    def heading(self) -> str:
        """What its table is called: title and task, with the word synthetic where the data is."""
        title = self.dataset.title
        named = self.dataset.synthetic is not None and "synthetic" not in title.lower()
        return f"{title}{' (synthetic data)' if named else ''}, {self.task}"

    @property
    def slug(self) -> str:
        """What the files of its table are called, with the word synthetic where the data is."""
        name = self.dataset.name
        named = self.dataset.synthetic is not None and "synthetic" not in name
        return f"{'synthetic-' if named else ''}{name}-{self.task}"


@dataclass(frozen=True)
class Plan:
    """A suite expanded: its cells in table order."""

    suite: Suite
    cells: tuple[Cell, ...]

    @property
    def runs(self) -> tuple[RunSpec, ...]:
        """Every run once, in the order of the cells."""
        return tuple({run.run_id: run for cell in self.cells for run in cell.runs}.values())

    @property
    def sources(self) -> tuple[Source, ...]:
        """The feature files that the runs need."""
        named = {(c.dataset.name, c.setting): Source(c.dataset, c.setting) for c in self.cells if c.runs}
        return tuple(named.values())
