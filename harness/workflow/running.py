"""From a plan to records: which runs, in which order, by whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeAlias

from harness.data import Finding, open_features
from harness.data.use import using
from harness.disk import need_space
from harness.errors import InputError
from harness.executors import Executor, LocalExecutor, Observer, Outcome, ignore, workers_for
from harness.plan import Source
from harness.schedule import Estimates, longest_first, makespan
from harness.spec import Resources, RunSpec
from harness.store import Status
from harness.training.fit import check_features
from harness.training.job import Job
from harness.workflow.planning import Folders, Planned
from harness.workflow.status import run_row

__all__ = ["Engine", "RunOptions", "dry_run", "make_jobs", "run_suite"]

Engine: TypeAlias = Literal["local", "ray", "slurm"]
Device: TypeAlias = Literal["auto", "cpu", "cuda"]
_SPACE_HINT = "free some space, or name another folder with --runs-dir: finished runs are kept"


@dataclass(frozen=True)
class RunOptions:
    """How a suite's runs are made; none of it changes a number.

    Attributes
    ----------
    engine : str
        ``local``, ``ray`` or ``slurm``.
    workers : int, optional
        Most runs at once; the default is as many as fit.
    device : str, optional
        ``auto``, ``cpu`` or ``cuda`` in the place of the suite's choice.
    retry_failed : bool
        Whether runs that failed before are tried again.
    checkpoint_seconds : float, optional
        How often a long run writes its state down; 0 after every epoch, None never.
    address : str, optional
        An existing Ray cluster.
    partition, account : str, optional
        Slurm's.
    """

    engine: Engine = "local"
    workers: int | None = None
    device: Device | None = None
    retry_failed: bool = False
    checkpoint_seconds: float | None = 60.0
    address: str | None = None
    partition: str | None = None
    account: str | None = None

    @property
    def tried(self) -> frozenset[Status]:
        """The statuses of runs that will be tried."""
        return frozenset({"missing", "failed"} if self.retry_failed else {"missing"})


def dry_run(planned: Planned, options: RunOptions) -> tuple[list[dict[str, Any]], int, float | None]:
    """List what a suite would run, and estimate how long that takes.

    Returns
    -------
    list of dict
        One row a run: data set, task, model, variant, seed, run id, status, seconds by the newest record of its kind.
    int
        How many of them would be tried.
    float or None
        Seconds until the end, started longest first; None where some run to try has no record of its kind.
    """
    estimates = Estimates(planned.store)
    rows = [
        {**run_row(run), "status": planned.store.status(run), "seconds": estimates.seconds(run)}
        for run in planned.plan.runs
    ]
    waiting = [row["seconds"] for row in rows if row["status"] in options.tried]
    if options.engine == "local":
        slots = workers_for(planned.plan.suite.threads, options.workers)
    else:  # as many as other machines give, which nobody here can know
        slots = options.workers or max(1, len(waiting))
    known = [seconds for seconds in waiting if seconds is not None]
    expected = makespan(sorted(known, reverse=True), slots) if len(known) == len(waiting) else None
    return rows, len(waiting), expected


def _ignore(_source: Source, _finding: Finding) -> None:
    """Notice nothing."""


def run_suite(
    planned: Planned,
    folders: Folders,
    options: RunOptions | None = None,
    *,
    observer: Observer = ignore,
    notice: Callable[[Source, Finding], None] = _ignore,
) -> Outcome:
    """Run what a suite's store does not hold yet, the longest first; tell `notice` what is odd about the data.

    Failed runs stay failed unless ``retry_failed``; they come back under ``failed`` of the outcome then as before.

    Raises
    ------
    StoreError
        If the runs or cache folder cannot be written, or has too little space for the records to come.
    DataError
        If a feature file does not fit its definition.
    InputError
        If there are not enough cores, or the engine cannot be used.
    """
    options = options or RunOptions()
    plan, store = planned.plan, planned.store
    if options.engine == "local":
        workers_for(plan.suite.threads, options.workers)
    store.prepare()
    statuses = {run.run_id: store.status(run) for run in plan.runs}
    estimates = Estimates(store)
    runs = longest_first([run for run in plan.runs if statuses[run.run_id] in options.tried], estimates)
    need_space(store.root, estimates.disk(runs), f"the records of {len(runs)} runs", hint=_SPACE_HINT)
    device = _choose_device(options.device or plan.suite.device, options.engine) if runs else "cpu"
    jobs = make_jobs(planned, folders, runs, device=device, options=options, notice=notice)
    with using(job.features for job in jobs):
        outcome = _executor(planned, options, device).run(jobs, store, observer=observer)
    outcome.already.extend(run for run in plan.runs if statuses[run.run_id] == "done")
    if not options.retry_failed:
        outcome.failed.extend(run for run in plan.runs if statuses[run.run_id] == "failed")
    return outcome


def make_jobs(
    planned: Planned,
    folders: Folders,
    runs: Sequence[RunSpec],
    *,
    device: str = "cpu",
    options: RunOptions | None = None,
    notice: Callable[[Source, Finding], None] = _ignore,
) -> list[Job]:
    """Convert and check the feature files that `runs` need, and return a job for each, in their order.

    Raises
    ------
    DataError
        If a feature file does not fit its definition, or a run does not fit it.
    StoreError
        If the cache folder cannot be written.
    """
    options = options or RunOptions()
    needed: dict[tuple[str, str], list[RunSpec]] = {}
    for run in runs:
        needed.setdefault((run.data.dataset, run.data.setting), []).append(run)
    features: dict[tuple[str, str], Path] = {}
    for source in planned.plan.sources:
        key = (source.dataset.name, source.setting)
        if key not in needed:
            continue
        opened = open_features(planned.files[key], source.dataset, source.setting, folders.cache)
        features[key] = opened.folder
        for finding in opened.findings:
            notice(source, finding)
        for run in needed[key]:
            check_features(run, opened)
    return [
        Job(
            run,
            features[run.data.dataset, run.data.setting],
            planned.store.root,
            device,
            encoder=planned.encoders.get(run.text_encoder.sha256 or "") if run.text_encoder else None,
            plugin=planned.plugins.get(run.plugin.sha256) if run.plugin else None,
            checkpoint_seconds=options.checkpoint_seconds,
        )
        for run in runs
    ]


def _executor(planned: Planned, options: RunOptions, device: str) -> Executor:
    """Return who runs the specs; engines of other machines are imported where they are asked for."""
    suite = planned.plan.suite

    def resources(run: RunSpec) -> Resources:
        return suite.resources_of(run.model)

    if options.engine == "slurm":
        from harness.executors.slurm import SlurmExecutor

        return SlurmExecutor(
            planned.store.engine_folder("slurm"),
            partition=options.partition,
            account=options.account,
            max_parallel=options.workers,
            resources=resources,
        )
    if options.engine == "ray":
        from harness.executors.ray_executor import RayExecutor

        return RayExecutor(address=options.address, workers=options.workers, resources=resources)
    devices = _gpus() if device == "cuda" else ()
    workers = options.workers
    if devices and workers is None:
        # As many as the smallest share of a GPU lets on them: a run that names none takes a whole one.
        share = min(suite.resources_of(model).gpus or 1.0 for model in suite.models)
        workers = min(workers_for(suite.threads), int(len(devices) / share))
    return LocalExecutor(workers=workers, resources=resources, devices=devices)


def _gpus() -> tuple[str, ...]:
    import torch

    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))


def _choose_device(asked: Device, engine: Engine) -> str:
    # A CPU build of torch sees no GPU, and need not be imported to find that out.
    if asked == "cpu" or (asked == "auto" and metadata.version("torch").endswith("+cpu")):
        return "cpu"
    if asked == "cuda" and engine != "local":
        return "cuda"  # of the nodes, which have one even where this machine has none
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise InputError(
            "this torch sees no CUDA device", where="device", hint="set device to cpu or auto, or install a CUDA build"
        )
    return "cpu"
