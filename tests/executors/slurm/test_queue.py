"""What is read from squeue and asked of Slurm, with scripts in the place of Slurm's commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.executors.slurm import QueueError, SlurmExecutor, cancel, queue, queue_states
from harness.executors.slurm.batches import Batches
from harness.spec import Resources
from harness.store import RunStore, write_json
from harness.training.job import Job
from tests.helpers import make_spec


class Fakes:
    """A folder of scripts that is the whole PATH but for the shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def add(self, name: str, said: str = "", *, code: int = 0, error: str = "") -> Path:
        calls = self.folder / f"{name}.calls"
        script = self.folder / name
        script.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$*\" >>{calls}\nenv >{self.folder}/{name}.env\n"
            f"cat <<'END'\n{said}\nEND\necho '{error}' >&2\nexit {code}\n"
        )
        script.chmod(0o755)
        return calls


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    made = Fakes(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}/bin")
    return made


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def batch(folder: Path, token: str, *runs: str, submitted: bool = True) -> Path:
    place = folder / token
    place.mkdir(parents=True)
    write_json(place / "runs.json", {"runs": list(runs)})
    if submitted:
        (place / "7_submission.sh").touch()
    return place


def test_entries_are_read_from_squeue(fakes: Fakes) -> None:
    fakes.add(
        "squeue", "7_0|0|RUNNING|abc\n7_1|1|PENDING|a|b\n9|N/A|TIMEOUT|(null)\n7_[2-9%4]|2-9|PENDING|abc\nwelcome!\n"
    )
    first, second, third = queue.ask("name")
    assert (first.job_id, first.index, first.state, first.comment, first.live) == ("7_0", 0, "RUNNING", "abc", True)
    assert (second.index, second.comment, second.number) == (1, "a|b", 7)
    assert (third.job_id, third.index, third.live) == ("9", 0, False)


@pytest.mark.parametrize("state", ["CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUE_HOLD", "SPECIAL_EXIT"])
def test_states_that_are_no_end(state: str) -> None:
    assert queue.Entry("1", 0, state, "").live


def test_filters_that_a_user_has_set_do_not_hide_jobs(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fakes.add("squeue")
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    monkeypatch.setenv("SLURM_CONF", "somewhere")
    queue.ask("name")
    assert "--name=name" in calls.read_text()
    said = (fakes.folder / "squeue.env").read_text()
    assert "SQUEUE_STATES" not in said
    assert "SLURM_CONF=somewhere" in said


def test_a_controller_that_does_not_answer_is_an_error_in_its_words(fakes: Fakes) -> None:
    fakes.add("squeue", code=1, error="slurm_load_jobs error: Unable to contact slurm controller")
    with pytest.raises(QueueError, match="Unable to contact slurm controller"):
        queue.ask("name")


def test_the_array_limit_is_asked_for(fakes: Fakes) -> None:
    fakes.add("scontrol", "Configuration data\nMaxArraySize            = 51\nMaxJobCount = 10000\n")
    assert queue.array_limit() == 51
    fakes.add("scontrol", "MaxArraySize            = 0\n")
    assert queue.array_limit() == 1
    fakes.add("scontrol", code=1)
    assert queue.array_limit() == 1001


def test_many_ids_are_cancelled_in_several_calls(fakes: Fakes) -> None:
    calls = fakes.add("scancel")
    queue.scancel(str(number) for number in range(1200))
    assert [len(line.split()) - 1 for line in calls.read_text().splitlines()] == [500, 500, 200]


def test_states_are_told_by_token_and_index(fakes: Fakes, tmp_path: Path) -> None:
    folder = tmp_path / "slurm"
    batch(folder, "one", "run-a", "run-b", "run-c")
    batch(folder, "two", "run-c")
    fakes.add(
        "squeue",
        "12_0|0|RUNNING|one\n12_1|1|COMPLETED|one\n12_2|2|NODE_FAIL|one\n13|N/A|PENDING|two\n"
        "14_5|5|RUNNING|one\n15|N/A|RUNNING|strangers\n16|N/A|RUNNING|../slurm/one\n",
    )
    assert queue_states(folder) == {"run-a": "RUNNING", "run-c": "PENDING"}
    cancelled = fakes.add("scancel")
    assert cancel(folder) == ["run-a", "run-c"]
    assert cancelled.read_text().split() == ["--quiet", "12", "13"]


def test_jobs_are_known_by_number_where_a_site_writes_the_comment(fakes: Fakes, tmp_path: Path) -> None:
    batch(tmp_path / "s", "one", "run-a", "run-b")
    fakes.add("squeue", "7_0|0|RUNNING|words of the site\n7_1|1|PENDING|(null)\n")
    assert queue_states(tmp_path / "s") == {"run-a": "RUNNING", "run-b": "PENDING"}


def test_two_stores_have_two_names(tmp_path: Path) -> None:
    assert Batches(tmp_path / "a").name != Batches(tmp_path / "b").name
    assert Batches(tmp_path / "a" / ".." / "b").name == Batches(tmp_path / "b").name


def test_tidy_removes_what_the_queue_has_forgotten(fakes: Fakes, tmp_path: Path) -> None:
    over, live = batch(tmp_path / "s", "over", "a"), batch(tmp_path / "s", "live", "b")
    coming = batch(tmp_path / "s", "coming", "c", submitted=False)
    fakes.add("squeue", "1|N/A|COMPLETED|over\n2|N/A|RUNNING|live\n")
    Batches(tmp_path / "s").tidy()
    assert not over.exists()
    assert live.exists()
    assert coming.exists()


@pytest.mark.usefixtures("nothing")
def test_without_slurm_there_is_no_queue_and_nothing_can_be_submitted(tmp_path: Path) -> None:
    batch(tmp_path / "slurm", "one", "run-a")
    assert queue_states(tmp_path / "slurm") == {}
    assert cancel(tmp_path / "never") == []
    store = RunStore(tmp_path / "runs")
    job = Job(make_spec(), tmp_path, store.root)
    with pytest.raises(QueueError, match="there is no squeue") as caught:
        SlurmExecutor(tmp_path / "slurm").run([job], store)
    assert "login node" in caught.value.hint


def test_without_submitit_the_extra_is_named(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("squeue", "sbatch", "srun", "scontrol"):
        fakes.add(name)
    monkeypatch.setitem(sys.modules, "submitit", None)
    store = RunStore(tmp_path / "runs")
    with pytest.raises(InputError, match="needs submitit") as caught:
        SlurmExecutor(tmp_path / "slurm").run([Job(make_spec(), tmp_path, store.root)], store)
    assert "msa-harness[slurm]" in caught.value.hint


def test_the_words_of_sbatch_are_quoted_and_its_files_removed(
    fakes: Fakes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("squeue", "srun", "scontrol"):
        fakes.add(name)
    fakes.add("sbatch", code=1, error="sbatch: error: Batch job submission failed: Invalid account")
    store = RunStore(tmp_path / "runs")
    executor = SlurmExecutor(tmp_path / "slurm", account="theirs")
    with pytest.raises(QueueError, match="sbatch refuses the jobs: Batch job submission failed: Invalid acc") as caught:
        executor.run([Job(make_spec(), tmp_path, store.root)], store)
    assert "account=theirs" in caught.value.where
    assert list((tmp_path / "slurm").iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_parameters_say_what_a_run_needs(tmp_path: Path) -> None:
    needs = Resources(memory_gib=2.5, time_limit=3600, gpus=0.5)
    executor = SlurmExecutor(tmp_path, resources=lambda _spec: needs, max_parallel=3, extra={"mem-per-cpu": "1G"})
    said = executor.parameters(Job(make_spec(threads=4), tmp_path, tmp_path, device="cuda"), 10)
    assert said["cpus_per_task"] == 4
    assert said["mem"] == "3584M"
    assert said["time"] == 70
    assert said["gpus_per_node"] == 1
    assert said["array_parallelism"] == 3
    assert said["additional_parameters"] == {"mem_per_cpu": "1G"}
    bare = SlurmExecutor(tmp_path).parameters(Job(make_spec(), tmp_path, tmp_path), 10)
    assert bare["time"] is bare["mem"] is bare["gpus_per_node"] is None
    assert bare["array_parallelism"] == 10


def test_options_that_are_ours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="job_name"):
        SlurmExecutor(tmp_path, extra={"job-name": "mine"})
    with pytest.raises(InputError, match="at least one job"):
        SlurmExecutor(tmp_path, max_parallel=0)
