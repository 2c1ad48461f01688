"""Pages of single runs: what stands on them, by an HTML parser, and when they are written again."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd
import pytest

from harness.errors import StoreError
from harness.metrics import Metric, metrics_for
from harness.plan import Plan
from harness.reports.run_pages import MOST_ROWS, run_pages
from harness.results import Predictions, Results, RunDetails, collect
from harness.spec import Convention, Task
from harness.store import Record
from tests.html import parse, text_of
from tests.reports import fakes

NASTY = r"Set & co: 100% #1_a $x^2$ <script>alert(1)</script> 中文"


def small_plan(**changes: Any) -> Plan:
    given: dict[str, Any] = {"models": ("LF-DNN",), "variants": ("original",), "seeds": (1111, 1112)}
    return fakes.plan((fakes.dataset(title=NASTY),), **(given | changes))


def hashed(results: Results) -> Results:
    """What real records have: hashes of their files, without which no page can be known to be as it was."""
    details = {
        run: replace(told, files={"predictions.parquet": f"sha of {run}"}) for run, told in results.details.items()
    }
    return replace(results, details=details)


def written(plan: Plan, store: fakes.FakeStore, folder: Path) -> tuple[Results, dict[str, str]]:
    results = hashed(collect(plan, store.as_store))
    return results, run_pages(results, plan, folder)


def table(document: Element, section: str, place: int = 0) -> list[list[str]]:
    found = document.findall(f".//section[@id='{section}']//table")[place]
    return [[text_of(cell) for cell in row] for row in found.findall(".//tbody/tr")]


def facts(document: Element, section: str) -> dict[str, str]:
    return {
        text_of(pair.find("dt")): text_of(pair.find("dd"))
        for pair in document.findall(f".//section[@id='{section}']//dl/div")
    }


def test_done_and_failed_runs_have_pages_and_missing_ones_have_none(tmp_path: Path) -> None:
    plan = small_plan(seeds=(1, 2, 3))
    store = fakes.FakeStore()
    store.add(plan.runs[0])
    store.fail(plan.runs[1])
    _, addresses = written(plan, store, tmp_path)
    ids = [run.run_id for run in plan.runs[:2]]
    assert addresses == {run_id: f"runs/{run_id}.html" for run_id in ids}
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(f"{run_id}.html" for run_id in ids)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_page_is_whole_valid_and_leads_back(tmp_path: Path, task: Any) -> None:
    plan = small_plan(tasks=(task,), title=NASTY)
    _, addresses = written(plan, fakes.filled(plan), tmp_path)
    document = parse(tmp_path / addresses[plan.runs[0].run_id])
    links = [link.get("href", "") for link in document.iter("a")]
    ids = [element.get("id") for element in document.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert "../index.html#runs" in links
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert all(element.get("src") is None for element in document.iter())
    assert all("Synthetic data." in text_of(caption) for caption in document.iter("caption"))
    assert NASTY in text_of(document.find(".//header"))
    assert [text_of(element)[:2] for element in document.iter("script")] == ["/*"], "a name became a script"


def test_metrics_are_those_of_the_tables_and_mmsas_stands_where_it_differs(tmp_path: Path) -> None:
    plan = small_plan(tasks=("classification",))
    results = hashed(collect(plan, fakes.filled(plan).as_store))
    run = plan.runs[0].run_id
    mine = results.values["run_id"] == run
    changed = results.values.assign(mmsa=results.values["value"].round(4))
    changed.loc[mine & (changed["metric"] == "Acc-3"), "mmsa"] = 0.1234
    addresses = run_pages(replace(results, values=changed), plan, tmp_path)
    shown = {row[0]: row[1:3] for row in table(parse(tmp_path / addresses[run]), "metrics")}
    values = dict(zip(changed[mine]["metric"], changed[mine]["value"], strict=True))
    assert {name: value for name, (value, _) in shown.items()} == {
        name: f"{100 * value:.4f}" for name, value in values.items()
    }
    assert {name: other for name, (_, other) in shown.items() if other} == {"Acc-3": "12.34"}


def test_predictions_come_with_the_largest_error_first(tmp_path: Path) -> None:
    plan = small_plan()
    run = plan.runs[0]
    store = fakes.filled(plan)
    frame = pd.DataFrame(
        {
            "id": ["a<b>", "b", "c"],
            "split": "test",
            "label": np.array([1.0, 0.0, -2.0], dtype=np.float32),
            "pred": np.array([1.5, -3.0, -2.0], dtype=np.float32),
        }
    )
    store.add(run, frame=frame)
    _, addresses = written(plan, store, tmp_path)
    document = parse(tmp_path / addresses[run.run_id])
    assert table(document, "predictions", 1) == [
        ["b", "0.000", "−3.000", "−3.000", "3.000"],
        ["a<b>", "1.000", "1.500", "0.500", "0.500"],
        ["c", "−2.000", "−2.000", "0.000", "0.000"],
    ]
    spread = {row[0]: row[1:] for row in table(document, "predictions", 0)}
    assert spread["Error"] == ["3", "−0.833", f"{statistics.stdev([0.5, -3, 0]):.3f}", "−3.000", "0.000", "0.500"]


def test_classes_come_with_their_probabilities(tmp_path: Path) -> None:
    plan = small_plan(tasks=("classification",))
    run = plan.runs[0]
    store = fakes.filled(plan)
    frame = pd.DataFrame({"id": ["a", "b", "c"], "split": "test", "label": [2, 0, 0]})
    logits = np.log(np.array([[0.1, 0.1, 0.8], [0.2, 0.5, 0.3], [0.7, 0.2, 0.1]]))
    store.add(run, frame=frame.assign(**{f"logit_{i}": logits[:, i] for i in range(3)}))
    _, addresses = written(plan, store, tmp_path)
    document = parse(tmp_path / addresses[run.run_id])
    assert table(document, "predictions", 1) == [
        ["b", "negative", "neutral", "0.200", "0.500", "0.300", "0.800"],
        ["c", "negative", "negative", "0.700", "0.200", "0.100", "0.300"],
        ["a", "positive", "positive", "0.100", "0.100", "0.800", "0.200"],
    ]
    assert table(document, "predictions", 0) == [
        ["negative", "1", "1", "0", "2", "50.0"],
        ["neutral", "0", "0", "0", "0", ""],
        ["positive", "0", "0", "1", "1", "100.0"],
    ]


def test_of_many_predictions_the_worst_are_listed_and_the_page_says_so(tmp_path: Path) -> None:
    plan = small_plan(seeds=(1,))
    run = plan.runs[0]
    results = hashed(collect(plan, fakes.filled(plan).as_store))
    n = MOST_ROWS + 5
    error = np.arange(n) / n
    error[3] = np.nan
    ids = np.array([f"u{i}" for i in range(n)], dtype=object)
    many = Predictions("regression", "mosei", ids, np.zeros(n), error)
    addresses = run_pages(replace(results, predictions={run.run_id: many}), plan, tmp_path)
    document = parse(tmp_path / addresses[run.run_id])
    rows = table(document, "predictions", 1)
    assert len(rows) == MOST_ROWS
    assert rows[0] == ["u3", "0.000", "", "", ""], "a prediction that is no number is the worst"
    assert {row[0] for row in rows} == {"u3", *(f"u{i}" for i in range(n - MOST_ROWS + 1, n))}
    assert "1\u202f000 utterances of 1\u202f005 with the largest errors" in "".join(document.itertext())


def test_history_log_and_provenance_are_there(tmp_path: Path) -> None:
    plan = small_plan()
    run = plan.runs[0]
    results, _ = written(plan, fakes.filled(plan), tmp_path)
    told = results.details[run.run_id]
    history = (
        {"epoch": 1, "train_loss": 0.5, "valid_loss": 0.25, "learning_rate": 1e-3, "seconds": 2.0, "best": True},
        {"epoch": 2, "train_loss": 0.125, "valid_loss": None, "learning_rate": 1e-4, "seconds": 61.0, "best": False},
    )
    hidden = {"host": "some-machine", "worker_pid": 4711}
    made = {**told.provenance(), **hidden}
    record = cast(Record, SimpleNamespace(history=lambda: history, provenance=lambda: made))
    changed = replace(told, record=record, files={"history.jsonl": "another"})
    addresses = run_pages(replace(results, details={**results.details, run.run_id: changed}), plan, tmp_path)
    path = tmp_path / addresses[run.run_id]
    document = parse(path)
    assert table(document, "history") == [
        ["1", "0.5000", "0.2500", "0.001", "2.0", "best"],
        ["2", "0.1250", "", "0.0001", "61.0", ""],
    ]
    assert text_of(document.find(".//section[@id='log']//pre")) == "epoch 1 <b>of</b> 3"
    assert facts(document, "provenance")["packages.torch"] == "2.13.0"
    assert facts(document, "asked")["groups.audio"] == "zcr 1, mfcc 3"
    assert "some-machine" not in path.read_text(encoding="utf-8"), "a report is passed on"


def test_a_failed_run_says_why_and_where(tmp_path: Path) -> None:
    plan = small_plan()
    run = plan.runs[1]
    store = fakes.FakeStore()
    store.fail(run, f"the loss became NaN {NASTY}")
    _, addresses = written(plan, store, tmp_path)
    document = parse(tmp_path / addresses[run.run_id])
    failure = text_of(document.find(".//section[@id='failure']"))
    assert f"No record (diverged). the loss became NaN {NASTY}" in failure
    assert "Traceback: the loss became NaN" in failure
    assert document.find(".//section[@id='predictions']") is None


def test_a_lone_prediction_has_no_spread(tmp_path: Path) -> None:
    plan = small_plan(seeds=(1,))
    store = fakes.filled(plan)
    store.add(plan.runs[0], frame=fakes.predictions(plan.runs[0], 1.0, n=1))
    results = hashed(collect(plan, store.as_store))
    found = Predictions("regression", "mosei", np.array(["u"], dtype=object), np.ones(1), np.ones(1))
    addresses = run_pages(replace(results, predictions={plan.runs[0].run_id: found}), plan, tmp_path)
    document = parse(tmp_path / addresses[plan.runs[0].run_id])
    assert table(document, "predictions", 0)[0] == ["Truth", "1", "1.000", "", "1.000", "1.000", "1.000"]


def test_every_column_has_a_head(tmp_path: Path) -> None:
    plan = small_plan(tasks=("regression", "classification"))
    _, addresses = written(plan, fakes.filled(plan), tmp_path)
    for address in addresses.values():
        heads = [text_of(head) for head in parse(tmp_path / address).findall(".//thead//th")]
        assert heads
        assert all(heads)


def test_no_page_says_where_on_the_machine_a_run_was(tmp_path: Path) -> None:
    plan = small_plan()
    done, failed = plan.runs
    store = fakes.FakeStore()
    store.add(done)
    store.fail(failed, "no such file: '/home/alice/data/mosi.pkl'")
    results = hashed(collect(plan, store.as_store))
    log = "/home/alice/.venv/lib/python3.11/site-packages/torch/nn/modules/linear.py:9: UserWarning: 4/5 of a/b\n"
    details = {run: replace(told, log=log) for run, told in results.details.items()}
    addresses = run_pages(replace(results, details=details), plan, tmp_path)
    for run in (done, failed):
        path = tmp_path / addresses[run.run_id]
        assert "alice" not in path.read_text(encoding="utf-8")
        told = text_of(parse(path).find(".//section[@id='log']//pre"))
        assert told == "…/torch/nn/modules/linear.py:9: UserWarning: 4/5 of a/b"
    failure = text_of(parse(tmp_path / addresses[failed.run_id]).find(".//section[@id='failure']"))
    assert "No record (diverged). no such file: '…/mosi.pkl'" in failure
    assert "Traceback: no such file: '…/mosi.pkl'" in failure


def test_a_record_that_cannot_be_read_has_a_page_that_says_so(tmp_path: Path) -> None:
    plan = small_plan()
    run = plan.runs[0]
    store = fakes.filled(plan)
    store.add(run, frame=fakes.predictions(run, 1.0).drop(columns="pred"))
    _, addresses = written(plan, store, tmp_path)
    assert "cannot be used" in text_of(parse(tmp_path / addresses[run.run_id]).find(".//section[@id='failure']"))


def stamps(folder: Path) -> dict[str, int]:
    return {path.stem: path.stat().st_ino for path in folder.glob("runs/*.html")}


def change_log(results: Results, run: str) -> Results:
    told: RunDetails = replace(results.details[run], log="another")
    return replace(results, details={**results.details, run: told})


def change_metric(results: Results, run: str) -> Results:
    values = results.values.assign(value=results.values["value"].where(results.values["run_id"] != run, 0.5))
    return replace(results, values=values)


def change_hash(results: Results, run: str) -> Results:
    told = replace(results.details[run], files={"predictions.parquet": "another"})
    return replace(results, details={**results.details, run: told})


@pytest.mark.parametrize("change", [change_log, change_metric, change_hash])
def test_only_the_page_of_what_changed_is_written_again(tmp_path: Path, change: Any) -> None:
    plan = small_plan()
    results, _ = written(plan, fakes.filled(plan), tmp_path)
    before = stamps(tmp_path)
    run_pages(results, plan, tmp_path)
    assert stamps(tmp_path) == before
    run_pages(change(results, plan.runs[0].run_id), plan, tmp_path)
    after = stamps(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {plan.runs[0].run_id}


def test_another_title_of_the_suite_or_other_code_writes_all_pages_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = small_plan()
    results, _ = written(plan, fakes.filled(plan), tmp_path)
    first = stamps(tmp_path)
    run_pages(results, replace(plan, suite=plan.suite.model_copy(update={"title": "Renamed"})), tmp_path)
    second = stamps(tmp_path)
    monkeypatch.setattr("harness.reports.run_pages._made_by", lambda: "tomorrow's code")
    run_pages(results, plan, tmp_path)
    third = stamps(tmp_path)
    assert not set(first.items()) & set(second.items())
    assert not set(second.items()) & set(third.items())


@pytest.mark.parametrize(
    "change", [{"signature": "MAE|another recipe|v2"}, {"higher_is_better": True}, {"name": "renamed"}]
)
def test_another_definition_of_a_metric_writes_the_pages_of_its_task_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    plan = small_plan(tasks=("regression", "classification"), seeds=(1,))
    results, _ = written(plan, fakes.filled(plan), tmp_path)
    before = stamps(tmp_path)

    def changed(task: Task, convention: Convention) -> tuple[Metric, ...]:
        return tuple(replace(one, **change) if one.name == "MAE" else one for one in metrics_for(task, convention))

    monkeypatch.setattr("harness.reports.run_pages.metrics_for", changed)
    run_pages(results, plan, tmp_path)
    after = stamps(tmp_path)
    regression = {run.run_id for run in plan.runs if run.task == "regression"}
    assert {name for name in after if after[name] != before[name]} == regression


def test_other_names_of_classes_write_the_pages_that_print_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = small_plan(tasks=("regression", "classification"), seeds=(1,))
    results, _ = written(plan, fakes.filled(plan), tmp_path)
    before = stamps(tmp_path)
    monkeypatch.setattr("harness.reports.run_pages.SENTIMENTS", ("bad", "so so", "good"))
    run_pages(results, plan, tmp_path)
    after = stamps(tmp_path)
    classified = {run.run_id for run in plan.runs if run.task == "classification"}
    assert {name for name in after if after[name] != before[name]} == classified


def test_pages_of_other_runs_go_and_what_people_keep_there_stays(tmp_path: Path) -> None:
    plan = small_plan()
    written(plan, fakes.filled(plan), tmp_path)
    kept = tmp_path / "runs" / "notes.html"
    kept.write_text("<p>mine</p>", encoding="utf-8")
    fewer = small_plan(seeds=(1112,))
    written(fewer, fakes.filled(fewer), tmp_path)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(
        [f"{fewer.runs[0].run_id}.html", "notes.html"]
    )


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    plan = small_plan()
    with pytest.raises(StoreError, match="cannot write the report"):
        written(plan, fakes.filled(plan), tmp_path)
