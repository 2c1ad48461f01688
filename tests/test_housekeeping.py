from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.data.cache import cache_folder
from harness.errors import StoreError
from harness.housekeeping import in_cache, in_runs, remove
from harness.plan import Plan
from harness.spec import RunSpec
from harness.store import RunStore
from tests.helpers import fake_record
from tests.reports import fakes
from tests.store.tools import fail, failing


@pytest.fixture
def made(tmp_path: Path) -> tuple[Plan, RunStore]:
    """Records of two runs, a failure of the third, nothing of the fourth; and what other sources have left."""
    plan = fakes.plan([fakes.dataset()], models=("LMF",), variants=("original", "fg"), seeds=(1, 2))
    store = RunStore(tmp_path / "runs")
    store.prepare()
    older = [run.model_copy(update={"sources": "older"}) for run in plan.runs]
    for run in (*plan.runs[:2], *older[:3]):
        fake_record(store, run)
    fail(store, plan.runs[2])
    fail(store, older[3])
    for run_id in (plan.runs[3].run_id, older[3].run_id, plan.runs[0].run_id):
        store.checkpoints.write(run_id, lambda file: file.write(b"state"))
    return plan, store


def older_run(plan: Plan) -> RunSpec:
    return plan.runs[3].model_copy(update={"sources": "older"})


def test_what_other_suites_have_made_is_theirs(made: tuple[Plan, RunStore]) -> None:
    plan, store = made
    before = kinds(plan, store, outdated=True)
    longer = plan.runs[0].model_copy(update={"max_epochs": 77})
    fake_record(store, longer)
    fail(store, longer.model_copy(update={"hyper": {**longer.hyper, "batch_size": 7}}))
    store.checkpoints.write("f" * 16, lambda file: file.write(b"of another suite"))
    assert kinds(plan, store, outdated=True) == before
    then = time.time() - 31 * 24 * 3600
    os.utime(store.checkpoints.path("f" * 16), (then, then))
    assert kinds(plan, store, outdated=True) == sorted([*before, "checkpoint"])


def test_a_guess_about_the_data_makes_no_record_outdated(made: tuple[Plan, RunStore]) -> None:
    plan, store = made
    before = kinds(plan, store, outdated=True)
    run = plan.runs[0]
    fake_record(store, run.model_copy(update={"data": run.data.model_copy(update={"sha256": "9" * 64})}))
    assert kinds(plan, store, outdated=True) == [*before, "outdated record"]
    guessed = in_runs(plan, store, failures=False, outdated=True, records=False, knows_data=lambda _: False)
    assert sorted(item.kind for item in guessed) == before


def kinds(plan: Plan, store: RunStore, **asked: bool) -> list[str]:
    failures, outdated, records = (asked.get(name, False) for name in ("failures", "outdated", "records"))
    found = in_runs(plan, store, failures=failures, outdated=outdated, records=records)
    return sorted(item.kind for item in found)


def test_what_is_listed_is_what_was_asked_for(made: tuple[Plan, RunStore]) -> None:
    plan, store = made
    assert kinds(plan, store) == []
    assert kinds(plan, store, failures=True) == ["failure"]
    assert kinds(plan, store, outdated=True) == ["checkpoint"] + ["outdated record"] * 4
    assert kinds(plan, store, records=True) == ["record"] * 2
    assert sum(item.size for item in in_runs(plan, store, failures=False, outdated=False, records=True)) > 1000


def test_removing_outdated_records_leaves_those_of_today(made: tuple[Plan, RunStore]) -> None:
    plan, store = made
    items = in_runs(plan, store, failures=False, outdated=True, records=False)
    gone, left = remove(items, store.leases.is_held)
    assert (gone, left) == (items, [])
    assert kinds(plan, store, outdated=True) == []
    assert [store.status(run) for run in plan.runs] == ["done", "done", "failed", "missing"]
    assert {run_id for run_id, _, _ in store.checkpoints.all()} == {plan.runs[3].run_id, older_run(plan).run_id}
    assert not list(store.root.rglob("*.removed"))


def test_what_somebody_works_on_is_not_listed_and_not_removed(made: tuple[Plan, RunStore]) -> None:
    plan, store = made
    items = in_runs(plan, store, failures=True, outdated=False, records=False)
    assert store.leases.take(plan.runs[2].run_id, {})
    assert kinds(plan, store, failures=True) == []
    gone, left = remove(items, store.leases.is_held)
    assert (gone, left) == ([], items)
    assert store.status(plan.runs[2]) == "failed"
    store.leases.release(plan.runs[2].run_id)


def test_a_removal_that_was_broken_off_leaves_no_half_record_and_is_found_again(
    made: tuple[Plan, RunStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = made
    items = in_runs(plan, store, failures=False, outdated=False, records=True)
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", failing(5))
        with pytest.raises(StoreError, match="cannot remove it"):
            remove(items)
    assert [store.status(run) for run in plan.runs[:2]].count("done") == 1
    assert sum(1 for _ in store.records()) == 4
    assert "rubbish" in kinds(plan, store, outdated=True)


def test_what_is_gone_already_is_no_error(made: tuple[Plan, RunStore]) -> None:
    plan, store = made
    items = in_runs(plan, store, failures=True, outdated=True, records=True)
    remove(items)
    assert remove(items) == ([], [])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache folder with something of every kind; what is old was not used for 40 days."""
    folder = tmp_path / "cache"
    today, older = cache_folder(folder, "a" * 64), folder / "features" / f"{'a' * 64}-0123456789abcdef"
    for path in (
        today / "train" / "audio.npy",
        older / "train" / "audio.npy",
        folder / "features" / f"{'a' * 64}-x.lock",
        folder / "synthetic" / "synthetic-1.pkl",
        folder / "costs" / "1.json",
        folder / "costs" / "2.json",
        folder / "memo" / "quick",
        folder / "verify-abc" / "runs" / "x",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
    for path in (older, folder / "verify-abc"):
        age(path, 40.0)
    return folder


def age(path: Path, days: float) -> None:
    then = time.time() - days * 24 * 3600
    for each in [*path.rglob("*"), path]:
        os.utime(each, (then, then))


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (
            lambda cache: in_cache(cache),
            [
                "converted features",
                "counted costs",
                "old converted features",
                "old verification",
                "results of a report",
                "synthetic data",
            ],
        ),
        (lambda cache: in_cache(cache, old=True), ["old converted features", "old verification"]),
        (lambda cache: in_cache(cache, unused_for=30.0), ["old converted features", "old verification"]),
        (lambda cache: in_cache(cache, unused_for=50.0), []),
    ],
)
def test_the_cache_by_kind_and_age(cache: Path, listing: Callable[[Path], list[object]], expected: list[str]) -> None:
    assert sorted(item.kind for item in listing(cache)) == expected  # type: ignore[attr-defined]


def test_an_emptied_cache_holds_locks_alone(cache: Path) -> None:
    remove(in_cache(cache))
    assert {path.suffix for path in cache.rglob("*") if path.is_file()} == {".lock", ".use"}
    assert in_cache(cache) == []


def test_arrays_that_a_run_maps_stay(cache: Path) -> None:
    """Another process than this one uses them: locks of one process would not keep it out itself."""
    (item,) = [item for item in in_cache(cache) if item.kind == "converted features"]
    script = "import sys; from pathlib import Path; from harness.data.use import hold; hold(Path(sys.argv[1])); print()"
    command = [sys.executable, "-uc", f"{script}; input()", str(item.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        assert remove([item]) == ([], [item])
        assert item.path.is_dir()
        process.kill()
    assert remove([item]) == ([item], [])


def test_no_cache_is_an_empty_one(tmp_path: Path) -> None:
    assert in_cache(tmp_path / "none") == []
