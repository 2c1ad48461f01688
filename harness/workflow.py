"""What the commands do, as functions: from a suite's name to a plan, to runs, to a report. Nothing here prints."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import platformdirs

from harness import provenance
from harness.data import Finding, fingerprint, locate, open_features
from harness.data.definitions import setting_of
from harness.errors import DataError, InputError, StoreError
from harness.executors import LocalExecutor, Observer, Outcome, workers_for
from harness.models import text
from harness.plan import Plan, Selection, Source, load_datasets, make_plan, narrow
from harness.spec import DatasetSpec, EncoderChoice, RunSpec, SettingName, TextEncoder
from harness.store import RunStore
from harness.suites import load_suite
from harness.training.fit import check_features
from harness.training.job import Job

__all__ = [
    "Folders",
    "Planned",
    "ReportOptions",
    "dry_run",
    "make_report",
    "outdated",
    "plan_suite",
    "run_suite",
    "status_rows",
]

_UNKNOWN = "0" * 64


@dataclass(frozen=True)
class Folders:
    """Where things are read and written: feature files, records, reports, converted arrays."""

    data: Path | None
    runs: Path
    reports: Path
    cache: Path

    @classmethod
    def resolve(cls, data: Path | None, runs: Path | None, reports: Path | None, cache: Path | None) -> Folders:
        """Fill what was not named from ``HARNESS_*`` variables, then from the defaults."""

        def pick(named: Path | None, variable: str, default: Path | None) -> Path | None:
            found = os.environ.get(variable)
            return named or (Path(found) if found else default)

        cache_home = Path(platformdirs.user_cache_dir("msa-harness"))
        return cls(
            data=pick(data, "HARNESS_DATA_DIR", None),
            runs=pick(runs, "HARNESS_RUNS_DIR", Path("runs")) or Path("runs"),
            reports=pick(reports, "HARNESS_REPORTS_DIR", Path("reports")) or Path("reports"),
            cache=pick(cache, "HARNESS_CACHE_DIR", cache_home) or cache_home,
        )


@dataclass(frozen=True)
class Planned:
    """A plan with its store and, where they were found, its feature files by (data set, setting).

    ``encoders`` holds the folders of text encoders by the SHA-256 of their weights.
    """

    plan: Plan
    store: RunStore
    files: dict[tuple[str, str], Path]
    encoders: dict[str, Path]


def plan_suite(
    ref: str, pick: Selection, folders: Folders, *, need_data: bool, download: bool | None = None
) -> Planned:
    """Load a suite, narrow it, find its feature files and expand it.

    Parameters
    ----------
    ref : str
        A shipped suite's name or a YAML file.
    pick : Selection
        What the user picked from it.
    folders : Folders
        Where to look.
    need_data : bool
        Whether a missing feature file is an error; without it, the SHA-256 comes from the definition or from the
        records that exist, so that a report can be rendered where the data is not.
    download : bool, optional
        Whether a model hub may be asked for a text encoder, and a missing one is an error; as `need_data` unless given.

    Raises
    ------
    InputError
        If the suite, or what was picked from it, makes no sense.
    DataError
        If feature files are missing; all of them are named before anything runs.
    """
    suite, base = load_suite(ref)
    suite, datasets = narrow(suite, load_datasets(suite, base), pick)
    store = RunStore(folders.runs)
    files: dict[tuple[str, str], Path] = {}
    missing: list[DataError] = []

    def sha256_of(dataset: DatasetSpec, setting: SettingName) -> str:
        try:
            path = locate(dataset, setting, folders.data, folders.cache)
        except DataError as error:
            missing.append(error)
            return _UNKNOWN if need_data else _remembered(dataset, setting, store, error)
        files[dataset.name, setting] = path
        return fingerprint(path, folders.cache)

    encoders: dict[str, Path] = {}

    def encoder_of(choice: EncoderChoice) -> TextEncoder:
        choice = text.choose(choice, os.environ.get(text.VARIABLE))
        needed = need_data if download is None else download
        try:
            found = text.locate(choice, base, download=needed, sha256_of=lambda path: fingerprint(path, folders.cache))
        except InputError:
            if needed:
                raise
            return _remembered_encoder(choice, base, store)
        if found.folder and found.spec.sha256:
            encoders[found.spec.sha256] = found.folder
        return found.spec

    plan = make_plan(suite, datasets, sha256_of, encoder_of)
    if need_data and missing:
        raise _all_missing(missing)
    return Planned(plan, store, files, encoders)


def _remembered_encoder(choice: EncoderChoice, base: Path, store: RunStore) -> TextEncoder:
    """Say what is known of an encoder that is not here: from the records, if they all name the same one."""
    named = text.unread(choice)
    seen = {
        found.model_dump_json(): found
        for record in store.records()
        if (found := record.spec.text_encoder) is not None and found.name == named.name
    }
    if len(seen) == 1:
        return next(iter(seen.values()))
    try:
        return text.describe(choice, base)
    except InputError:
        return named


def _remembered(dataset: DatasetSpec, setting: SettingName, store: RunStore, error: DataError) -> str:
    """Return a SHA-256 for a file that is not here: the published one, or the one that all records name."""
    known = setting_of(dataset, setting).sha256
    if known is not None:
        return known
    seen = {
        record.spec.data.sha256
        for record in store.records()
        if record.spec.data.dataset == dataset.name and record.spec.data.setting == setting
    }
    if len(seen) == 1:
        return seen.pop()
    raise error


def _all_missing(errors: Sequence[DataError]) -> DataError:
    if len(errors) == 1:
        return errors[0]
    listed = "\n  ".join(f"{error.what}\n    {error.where}" for error in errors)
    return DataError(f"{len(errors)} feature files are missing:\n  {listed}", hint=errors[0].hint)


def dry_run(
    planned: Planned, workers: int | None, *, retry_failed: bool = False
) -> tuple[list[dict[str, Any]], int, float | None]:
    """List what a suite would run, and estimate how long that takes.

    Returns
    -------
    list of dict
        One row a run: data set, task, model, variant, seed, run id, status.
    int
        How many of them would be tried.
    float or None
        Seconds until the end, from the mean wall time of records of the same model, data set and variant; None
        where some run to try has no such record.
    """
    rows = [
        {**_run_row(run), "status": planned.store.status(run), "seconds": _typical_seconds(run, planned.store)}
        for run in planned.plan.runs
    ]
    tried = {"missing", "failed"} if retry_failed else {"missing"}
    waiting = [row["seconds"] for row in rows if row["status"] in tried]
    slots = workers_for(planned.plan.suite.threads, workers)
    known = all(seconds is not None for seconds in waiting)
    return rows, len(waiting), (sum(waiting) / min(slots, max(1, len(waiting))) if known else None)


def _typical_seconds(run: RunSpec, store: RunStore) -> float | None:
    """Mean wall time of records whose runs differ in the seed, or in sources, alone in place."""
    cell = store.folder(run).parent
    times = [r.data["wall_seconds"] for r in RunStore(cell).records() if r.spec.variant == run.variant]
    times = [t for t in times if isinstance(t, float) and math.isfinite(t)]
    return sum(times) / len(times) if times else None


def _ignore(_source: Source, _finding: Finding) -> None:
    """Notice nothing."""


def run_suite(
    planned: Planned,
    folders: Folders,
    *,
    workers: int | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    retry_failed: bool = False,
    observer: Observer,
    notice: Callable[[Source, Finding], None] = _ignore,
) -> Outcome:
    """Run what a suite's store does not hold yet; tell `notice` what is odd about the data.

    Failed runs stay failed unless `retry_failed`; they come back under ``failed`` of the outcome then as before.

    Raises
    ------
    StoreError
        If the runs or cache folder cannot be written.
    DataError
        If a feature file does not fit its definition.
    """
    plan, store = planned.plan, planned.store
    workers_for(plan.suite.threads, workers)
    store.prepare()
    tried = {"missing", "failed"} if retry_failed else {"missing"}
    statuses = {run.run_id: store.status(run) for run in plan.runs}
    open_runs = [run for run in plan.runs if statuses[run.run_id] in tried]
    where = _choose_device(device or plan.suite.device) if open_runs else "cpu"
    if where != "cpu" and workers is None:
        workers = 1  # as many processes as there are cores would not fit on one GPU
    executor = LocalExecutor(workers=workers, time_limit=plan.suite.time_limit)
    needed = {(run.data.dataset, run.data.setting) for run in open_runs}
    features: dict[tuple[str, str], Path] = {}
    for source in plan.sources:
        key = (source.dataset.name, source.setting)
        if key in needed:
            opened = open_features(planned.files[key], source.dataset, source.setting, folders.cache)
            features[key] = opened.folder
            for finding in opened.findings:
                notice(source, finding)
            for run in open_runs:
                if (run.data.dataset, run.data.setting) == key:
                    check_features(run, opened)
    jobs = [
        Job(
            run,
            features[run.data.dataset, run.data.setting],
            store.root,
            where,
            encoder=planned.encoders.get(run.text_encoder.sha256 or "") if run.text_encoder else None,
        )
        for run in open_runs
    ]
    outcome = executor.run(jobs, store, observer=observer)
    outcome.already.extend(run for run in plan.runs if statuses[run.run_id] == "done")
    if not retry_failed:
        outcome.failed.extend(run for run in plan.runs if statuses[run.run_id] == "failed")
    return outcome


def _choose_device(asked: Literal["auto", "cpu", "cuda"]) -> str:
    # A CPU build of torch sees no GPU, and need not be imported to find that out.
    if asked == "cpu" or (asked == "auto" and metadata.version("torch").endswith("+cpu")):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise InputError(
            "this torch sees no CUDA device", where="device", hint="set device to cpu or auto, or install a CUDA build"
        )
    return "cpu"


def status_rows(planned: Planned) -> list[dict[str, Any]]:
    """Return one row a run: what it is, whether it is done, failed or missing, and why it failed."""
    rows = []
    for run in planned.plan.runs:
        try:
            failure = planned.store.failure(run)
            reason = f"{failure.kind}: {failure.reason}" if failure else ""
        except StoreError as error:
            reason = error.what
        rows.append({**_run_row(run), "status": planned.store.status(run), "reason": reason})
    return rows


def outdated(planned: Planned) -> int:
    """Count runs without a record for which one made from other sources, data or hyper-parameters exists."""
    store = planned.store
    return sum(store.status(run) == "missing" and store.relatives(run) > 0 for run in planned.plan.runs)


def _run_row(run: RunSpec) -> dict[str, Any]:
    return {
        "dataset": run.data.dataset,
        "setting": run.data.setting,
        "task": run.task,
        "model": run.model,
        "variant": run.variant,
        "seed": run.seed,
        "run_id": run.run_id,
    }


@dataclass(frozen=True)
class ReportOptions:
    """What a user may ask of a report: figures and costs (else the suite's choice), whose cases, utterances, notes.

    ``style`` is the layout of the LaTeX tables, the harness's or the paper's; ``progress`` is told of the models whose
    costs are being counted.
    """

    figures: bool | None = None
    costs: bool | None = None
    case_model: str | None = None
    case_ids: tuple[str, ...] = ()
    case_notes: Path | None = None
    style: Literal["harness", "paper"] = "harness"
    progress: Callable[[Sequence[RunSpec]], Iterable[RunSpec]] = iter


def make_report(planned: Planned, folders: Folders, options: ReportOptions | None = None) -> list[Path]:
    """Render a suite's report from its records; return the files written, the page first.

    Raises
    ------
    InputError
        If the notes cannot be read, or no such model or utterance can be shown.
    StoreError
        If a file cannot be written.
    """
    # pandas and scipy take a second to import, which only a report should pay.
    from harness.cases import read_remarks
    from harness.costs import CellCosts, CellKey, plan_costs
    from harness.figures import cached_features
    from harness.memo import Memo
    from harness.reports import Extras, render
    from harness.results import collect

    options = options or ReportOptions()
    plan, asked = planned.plan, planned.plan.suite.report
    costs: dict[CellKey, CellCosts] = {}
    uncounted: dict[CellKey, str] = {}
    if asked.costs if options.costs is None else options.costs:
        costs = plan_costs(plan, folders.cache, progress=options.progress, refused=uncounted.__setitem__)
    extras = Extras(
        figures=asked.figures if options.figures is None else options.figures,
        features=cached_features(plan, folders.cache),
        remarks=read_remarks(options.case_notes) if options.case_notes else {},
        case_model=options.case_model,
        case_ids=options.case_ids,
        costs=costs,
        uncounted=uncounted,
        style=options.style,
    )
    memo = Memo(folders.cache / "memo" / plan.suite.name)
    results = collect(plan, planned.store, memo)
    files = render(
        results,
        plan,
        folders.reports,
        now=datetime.now(UTC),
        provenance=provenance.of_report(),
        extras=extras,
        memo=memo,
    )
    memo.save()
    return files
