"""What a job does on its node, where that needs no Slurm."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.executors.slurm import task
from harness.executors.slurm.task import TaskOptions, run_job
from harness.spec import Resources
from harness.store import RunStore
from harness.training.job import Job
from tests.helpers import make_spec

OPTIONS = TaskOptions(Resources(), "tests.executors.stubs:good", (), None)


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGCONT, signal.SIGUSR2)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_node_that_does_not_see_the_runs_folder_makes_none(tmp_path: Path) -> None:
    job = Job(make_spec(), tmp_path, tmp_path / "runs")
    with pytest.raises(SystemExit, match="does not see the runs folder"):
        run_job(job, OPTIONS)
    assert not (tmp_path / "runs").exists()


def test_a_node_that_does_not_see_the_encoder_says_so_in_the_store(tmp_path: Path) -> None:
    job = Job(make_spec(), tmp_path, tmp_path / "runs", encoder=tmp_path / "encoder")
    job.runs_dir.mkdir()
    with pytest.raises(SystemExit, match="does not see"):
        run_job(job, OPTIONS)
    failure = RunStore(job.runs_dir).failure(job.spec)
    assert failure is not None
    assert failure.kind == "error"
    assert str(tmp_path / "encoder") in failure.reason


def test_the_id_of_a_job_is_what_scancel_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    assert task._job_id() == "15"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert task._job_id() == "12_3"
