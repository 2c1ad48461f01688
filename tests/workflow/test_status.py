from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.plan import Plan
from harness.spec import RunSpec
from harness.store import Lease, RunStore, Status
from harness.workflow import Planned, status_rows
from harness.workflow.status import StatusRows, expected_seconds, row_label, run_row, seconds_left
from tests.helpers import fake_record, make_spec

RUNS = tuple(make_spec(seed=seed, model=model) for model in ("LMF", "TFN") for seed in range(4))


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path / "runs")
    made.prepare()
    return made


def planned(store: RunStore) -> Planned:
    return Planned(cast(Plan, SimpleNamespace(runs=RUNS)), store, {}, {})


def fail(store: RunStore, spec: RunSpec, reason: str, *, log: bool = True) -> None:
    draft = store.begin(spec)
    if log:
        (draft / "log.txt").write_text("last words\n")
    store.fail(spec, draft, kind="error", reason=reason)


def statuses(rows: list[dict[str, Any]]) -> list[str]:
    return [row["status"][0] for row in rows]


def test_rows_say_who_works_why_it_failed_and_where_the_log_is(store: RunStore) -> None:
    fake_record(store, RUNS[0])
    fail(store, RUNS[1], "bad")
    fail(store, RUNS[2], "worse", log=False)
    store.leases.take(RUNS[3].run_id, {"host": "node-7", "device": "cpu", "engine": "local", "progress": {"epoch": 2}})
    store.leases.take(RUNS[4].run_id, {"host": "node-7", "device": "cpu", "engine": "local"})
    rows = status_rows(planned(store))
    assert "".join(statuses(rows)) == "dffrrmmm"
    assert rows[1]["reason"] == "error: bad"
    assert Path(rows[1]["log"]).read_text() == "last words\n"
    assert (rows[2]["reason"], rows[2]["log"]) == ("error: worse", "")
    assert (rows[3]["where"], rows[3]["progress"]) == ("node-7 cpu (local)", "epoch 2/3")
    assert rows[4]["progress"] == "starting"
    assert len({tuple(row) for row in rows}) == 1
    assert [row_label(row) for row in rows] == [run.label for run in RUNS]
    assert row_label(run_row(make_spec(variant="fg"))) == make_spec(variant="fg").label


def test_every_change_is_seen(store: RunStore) -> None:
    look = StatusRows(planned(store))
    assert "".join(statuses(look())) == "mmmmmmmm"
    fake_record(store, RUNS[0])
    fail(store, RUNS[4], "bad")
    assert "".join(statuses(look())) == "dmmmfmmm"
    fail(store, RUNS[4], "worse")
    assert look()[4]["reason"] == "error: worse"
    for _ in range(3):
        assert "".join(statuses(look())) == "dmmmfmmm"
    fake_record(store, RUNS[4])
    fake_record(store, RUNS[1])
    assert "".join(statuses(look())) == "ddmmdmmm"


def test_a_change_in_the_same_step_of_the_clock_is_seen_one_look_later(store: RunStore) -> None:
    look, folder = StatusRows(planned(store)), store.folder(RUNS[0]).parent
    fake_record(store, RUNS[0])
    before = folder.stat()
    look()
    fake_record(store, RUNS[1])
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "".join(statuses(look())) == "ddmmmmmm"


def test_what_has_not_changed_is_not_looked_at(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    status = RunStore.status

    def counted(self: RunStore, spec: RunSpec) -> Status:
        asked.append(spec.run_id)
        return status(self, spec)

    monkeypatch.setattr(RunStore, "status", counted)
    fake_record(store, RUNS[0])
    asked.clear()
    look = StatusRows(planned(store))
    for number in (8, 7, 0, 0):
        look()
        assert len(asked) == number
        asked.clear()
    fake_record(store, RUNS[5])
    asked.clear()
    look()
    assert set(asked) == {run.run_id for run in RUNS[4:]}


def test_a_lease_without_a_beat_for_long_is_nobodys(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    store.leases.clock = lambda: now[0]
    lease = Lease(RUNS[0].run_id, "another-host.boot.1.1.1.a", 3, {"host": "another-host"})
    monkeypatch.setattr(store.leases, "all", lambda: [lease])
    monkeypatch.setattr(store.leases, "_read", lambda _run_id: lease)
    look = StatusRows(planned(store))
    assert look()[0]["status"] == "running"
    now[0] = 61.0
    assert look()[0]["status"] == "missing"


def test_time_left_from_records_and_beats(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    look = StatusRows(planned(store), clock=lambda: now[0])
    look()
    assert look.left() is None  # nobody works
    store.leases.take(RUNS[1].run_id, {})
    look()
    assert look.left() is None  # nobody knows
    fake_record(store, RUNS[0], wall_seconds=100.0)
    look()
    assert look.left() is None  # and asks again a minute later
    now[0] = 61.0
    # 3 of LMF, and 4 of TFN that count as much; one of them has run for two beats.
    monkeypatch.setattr(store.leases, "beat_seconds", 5.0)
    store.leases.beat()
    store.leases.beat()
    look()
    assert look.left() == pytest.approx(690.0)
    fail(store, RUNS[4], "bad")
    look()
    assert look.left() == pytest.approx(590.0)  # what failed is not waited for


def test_expected_seconds_lack_what_nobody_knows(store: RunStore) -> None:
    fake_record(store, RUNS[0], wall_seconds=7.0)
    assert expected_seconds(store, RUNS) == {run.run_id: 7.0 for run in RUNS[:4]}


@pytest.mark.parametrize(
    ("running", "waiting", "workers", "typical", "left"),
    [
        ([], [], 1, None, None),
        ([], [], 1, 5.0, None),
        ([(None, 3.0)], [None], 1, None, None),
        ([(None, 3.0)], [None], 1, 10.0, 17.0),
        ([(10.0, 3.0)], [], 1, None, 7.0),
        ([(10.0, 30.0)], [], 1, None, None),
        ([(10.0, 30.0)], [5.0], 1, None, 5.0),
        ([(10.0, 4.0), (10.0, 0.0)], [4.0, 2.0], 2, None, 12.0),
        ([(10.0, 0.0), (20.0, 0.0)], [], 1, None, 20.0),  # more run than were said to
        ([(10.0, 0.0)], [None, 20.0], 1, None, 45.0),  # the mean of what is expected
        ([(10.0, 0.0)], [None, 20.0], 1, 1.0, 31.0),
    ],
)
def test_seconds_left(
    running: list[tuple[float | None, float]],
    waiting: list[float | None],
    workers: int,
    typical: float | None,
    left: float | None,
) -> None:
    assert seconds_left(running, waiting, workers, typical) == left
