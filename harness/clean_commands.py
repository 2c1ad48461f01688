"""``harness clean``: what can go from the runs folder and the cache, with its size, and removed when asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from harness import workflow
from harness.disk import readable_size
from harness.display import Format, err, print_rows
from harness.errors import InputError
from harness.housekeeping import Item, in_cache, in_runs, remove
from harness.options import (
    CacheDir,
    DataDir,
    Datasets,
    FormatOption,
    Models,
    RunsDir,
    Seeds,
    SuiteOption,
    Variants,
    selection,
)
from harness.wording import counted
from harness.workflow import Folders

__all__ = ["app"]

app = typer.Typer(help="List and remove old records and cached arrays.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List, and stop.")]


@app.command("runs")
def _runs(
    suite: SuiteOption,
    failures: Annotated[bool, typer.Option("--failures", help="Failed runs as well.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Failed runs and the records of today as well.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    models: Models = None,
    variants: Variants = None,
    seeds: Seeds = None,
    datasets: Datasets = None,
    runs_dir: RunsDir = None,
    cache_dir: CacheDir = None,
    how: FormatOption = Format.table,
) -> None:
    """Remove records of a suite that other sources or data have made, and checkpoints of runs that are done.

    What somebody works on is left alone, and so is what other suites have made.
    """
    folders = Folders.resolve(data_dir, runs_dir, None, cache_dir)
    planned = workflow.plan_suite(suite, selection(models, variants, seeds, datasets), folders, need_data=False)
    items = in_runs(
        planned.plan,
        planned.store,
        failures=failures or everything,
        outdated=True,
        records=everything,
        knows_data=lambda run: (run.data.dataset, run.data.setting) in planned.files,
    )
    _clean(items, planned.store.leases.is_held, how, yes=yes, dry_run=dry_run)


@app.command("cache")
def _cache(
    old: Annotated[bool, typer.Option("--old", help="Only what other versions of the harness have made.")] = False,
    unused_for: Annotated[
        float | None, typer.Option("--unused-for", min=0.0, help="Only what was not used for so many days.")
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    cache_dir: CacheDir = None,
    how: FormatOption = Format.table,
) -> None:
    """Remove converted arrays, synthetic data, counted costs and kept results: all of it can be made again."""
    items = in_cache(Folders.resolve(None, None, None, cache_dir).cache, unused_for=unused_for, old=old)
    _clean(items, lambda _run_id: False, how, yes=yes, dry_run=dry_run)


def _clean(items: Sequence[Item], is_held: Callable[[str], bool], how: Format, *, yes: bool, dry_run: bool) -> None:
    print_rows([_row(item, how) for item in items], how, right=("size",))
    total = f"{counted(len(items), 'item')}, {readable_size(sum(item.size for item in items))}"
    if dry_run or not items:
        err.print(total)
        return
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(
                f"nobody is there to be asked whether {total} may go",
                where="standard input",
                hint="look at the list, then add --yes",
            )
        if not typer.confirm(f"remove {total}?", err=True):
            err.print("nothing was removed")
            return
    gone, left = remove(items, is_held)
    err.print(f"removed {counted(len(gone), 'item')}, {readable_size(sum(item.size for item in gone))}")
    for item in left:
        err.print(f"left alone, since somebody works on it now: {item.name}", soft_wrap=True)


def _row(item: Item, how: Format) -> dict[str, Any]:
    days = None if item.days is None else round(item.days, 1)
    size: int | str = readable_size(item.size) if how is Format.table else item.size
    return {"kind": item.kind, "name": item.name, "size": size, "days_unused": days, "path": str(item.path)}
