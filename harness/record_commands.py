"""``harness verify``, ``harness export``, ``harness import``: records made again, packed, and read elsewhere."""

from __future__ import annotations

import shlex
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from harness import archive, verification, workflow
from harness.disk import readable_size
from harness.display import Format, RunDisplay, err, print_rows
from harness.errors import InputError
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
from harness.plan import sources_fingerprint
from harness.store import RunStore
from harness.verification import Check
from harness.wording import counted
from harness.workflow import Folders, run_row

__all__ = ["register"]

_SAMPLE = "3"


class Where(StrEnum):
    """Where to train."""

    cpu = "cpu"
    cuda = "cuda"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("verify")(_verify)
    app.command("export")(_export)
    app.command("import")(_import)


def _verify(
    suite: SuiteOption,
    sample: Annotated[str, typer.Option(help="How many records to run again, or all.")] = _SAMPLE,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Largest difference of two predictions that counts as equal.")
    ] = 1e-5,
    workers: Annotated[int | None, typer.Option(help="Runs side by side [cores / threads of a run].")] = None,
    device: Annotated[Where | None, typer.Option(help="Where to train [as each record was].")] = None,
    data_dir: DataDir = None,
    models: Models = None,
    variants: Variants = None,
    seeds: Seeds = None,
    datasets: Datasets = None,
    runs_dir: RunsDir = None,
    cache_dir: CacheDir = None,
    how: FormatOption = Format.table,
) -> None:
    """Run a sample of records again and compare; exit code 1 if one differs. Nothing in the runs folder changes."""
    count = _count(sample)
    folders = Folders.resolve(data_dir, runs_dir, None, cache_dir)
    planned = workflow.plan_suite(suite, selection(models, variants, seeds, datasets), folders, need_data=True)
    total = sum(planned.store.status(run) == "done" for run in planned.plan.runs)
    total = total if count is None else min(count, total)
    with RunDisplay(total, workers=workers or 1) as display:
        checks = list(
            verification.verify(
                planned,
                folders,
                count=count,
                seed=seed,
                tolerance=tolerance,
                workers=workers,
                device=device.value if device else None,
                observer=display,
            )
        )
    print_rows([_row(check) for check in checks], how, title=f"suite {planned.plan.suite.name}, run again")
    counts = Counter(check.verdict for check in checks)
    err.print(", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
    if counts["different"] + counts["failed"]:
        raise typer.Exit(1)


def _count(sample: str) -> int | None:
    if sample == "all":
        return None
    if not sample.isdecimal() or int(sample) < 1:
        raise InputError(f"a number of records, or all, not '{sample}'", where="--sample", hint="write --sample 5")
    return int(sample)


def _row(check: Check) -> dict[str, Any]:
    return {
        **run_row(check.spec),
        "verdict": check.verdict,
        "largest_difference": None if check.difference != check.difference else check.difference,  # NaN
        "first_epoch": check.epoch,
        "environment": ", ".join(check.environment) or "equal",
        "reason": check.reason,
    }


def _export(
    suite: SuiteOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="The archive, such as records.tar.gz.")],
    data_dir: DataDir = None,
    models: Models = None,
    variants: Variants = None,
    seeds: Seeds = None,
    datasets: Datasets = None,
    runs_dir: RunsDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Pack a suite's records, its definition and their environments into one archive."""
    folders = Folders.resolve(data_dir, runs_dir, None, cache_dir)
    planned = workflow.plan_suite(suite, selection(models, variants, seeds, datasets), folders, need_data=False)
    done = archive.export_runs(planned.plan, planned.store, out)
    missing = f"; {counted(done.missing, 'run')} of the suite not in it: not run yet" if done.missing else ""
    failed = f" and {counted(done.failures, 'failure')}" if done.failures else ""
    err.print(f"{counted(done.records, 'record')}{failed}, {readable_size(done.size)}: {out}{missing}", soft_wrap=True)


def _import(
    file: Annotated[Path, typer.Argument(help="An archive made by 'harness export'.")],
    runs_dir: RunsDir = None,
) -> None:
    """Check an archive and put its records into the runs folder; those that are there already stay."""
    runs = Folders.resolve(None, runs_dir, None, None).runs
    if not file.is_file():
        raise InputError("there is no such file", where=str(file), hint="name an archive made by 'harness export'")
    found = archive.import_runs(file, RunStore(runs))
    err.print(
        f"{counted(len(found.new), 'new record')}, {len(found.present)} here already, "
        f"{counted(len(found.failures), 'new failure')}",
        soft_wrap=True,
    )
    for label in found.differing:
        err.print(f"another record is here and stays, its predictions differ: {label}", soft_wrap=True)
    if found.sources - {sources_fingerprint()}:
        err.print(
            "some were made with other sources of data, models or training than this version has: its reports will "
            "not count them",
            soft_wrap=True,
        )
    command = ["harness", "report", "--suite", str(found.suite), "--runs-dir", str(runs)]
    err.print(f"report on them: {shlex.join(command)}", soft_wrap=True)
