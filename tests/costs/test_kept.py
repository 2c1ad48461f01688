"""Costs of whole plans: the printed ones, what shares a count and what does not, and files that are gone or broken."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness import costs, models
from harness.costs import CellCosts, CellKey, RunCounter, kept, plan_costs
from harness.errors import InputError
from harness.models.text import VARIABLE
from harness.plan import Plan, Selection, load_datasets, make_plan, narrow
from harness.published import own_results
from harness.spec import RunSpec, Suite
from harness.suites import load_suite
from tests.costs.tools import BERT, LENGTHS
from tests.reports import fakes

SHORT: Mapping[str, Any] = {"name": "synthetic-short", "synthetic": {"like": "sims", "lengths": LENGTHS}}
LF_DNN: CellKey = ("synthetic-short", "unaligned", "regression", "LF-DNN", "original")


def planned(*, sha256: str = "0" * 64, datasets: Sequence[Mapping[str, Any]] = (SHORT,), **fields: Any) -> Plan:
    """Plan short runs of LF-DNN; `fields` are the suite's."""
    given = {"name": "t", "datasets": datasets, "models": ["LF-DNN"], "variants": ["original"], "seeds": [1], **fields}
    suite = Suite.model_validate(given)
    return make_plan(suite, load_datasets(suite, Path()), lambda _dataset, _setting: sha256)


class Watched:
    """Counts a plan and remembers which runs were built for it, and which cells were refused."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.counted: list[RunSpec] = []
        self.refused: dict[CellKey, str] = {}

    def __call__(self, plan: Plan) -> dict[CellKey, CellCosts]:
        self.counted, self.refused = [], {}
        return plan_costs(plan, self.cache, progress=self._progress, refused=self.refused.__setitem__)

    def _progress(self, runs: Sequence[RunSpec]) -> Iterable[RunSpec]:
        assert runs, "nobody watches nothing"
        for run in runs:
            self.counted.append(run)
            yield run


@pytest.fixture
def counter(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_printed_costs_come_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    suite, base = load_suite("paper")
    suite, datasets = narrow(suite, load_datasets(suite, base), Selection(models=("LF-DNN", "LMF", "TMT")))
    found = plan_costs(make_plan(suite, datasets, lambda _dataset, _setting: "0" * 64), tmp_path)
    checked = 0
    for (dataset, _setting, task, model, variant), cell in found.items():
        params = own_results("Params").get((dataset, model, variant)) if task == "regression" else None
        flops = own_results("FLOPs").get((dataset, model, variant)) if task == "regression" else None
        if params and flops:
            assert params.agrees(cell.params_paper), (dataset, model, variant)
            assert flops.agrees(cell.macs_paper), (dataset, model, variant)
            checked += 1
    assert checked == 2 * 3 * 2  # data sets, models, original and -fg
    aliased = found["mosei", "unaligned", "regression", "LF-DNN", "a"]
    assert aliased == found["mosei", "unaligned", "regression", "LF-DNN", "fg"]
    assert aliased.batch_size == 64
    assert aliased.params > found["mosei", "unaligned", "regression", "LF-DNN", "original"].params


@pytest.mark.parametrize("variant", ["original", "fg"])
@pytest.mark.parametrize("name", ["ALMT", "MulT"])
def test_counts_are_those_of_a_run(counter: Watched, name: str, variant: str) -> None:
    plan = planned(models=[name], variants=[variant], text_encoder={"random": dict(BERT)})
    (cell,) = counter(plan).values()
    (run,) = plan.runs
    whole = RunCounter().count(run)
    size = run.hyper["batch_size"]
    assert cell == CellCosts(whole.trainable, whole.traced.macs, whole.paper.params, size * whole.paper.macs, size)


def test_what_is_kept_is_not_counted_again(counter: Watched) -> None:
    plan = planned(models=["LF-DNN", "LMF"], variants=["original", "fg", "a"], tasks=["regression", "classification"])
    first = counter(plan)
    assert len(first) == len(counter.counted) == 12
    assert counter(plan) == first
    assert counter.counted == []


@pytest.mark.parametrize(
    "changed",
    [
        {"seeds": [2, 3]},
        {"threads": 2},
        {"max_epochs": 9},
        {"sha256": "1" * 64},
        {"finegrained": {"qkv": "per_head"}},  # which an original has none of
        {"datasets": [{**SHORT, "name": "synthetic-again"}]},
    ],
)
def test_what_changes_no_cost_shares_a_count(counter: Watched, changed: Mapping[str, Any]) -> None:
    (first,) = counter(planned()).values()
    (second,) = counter(planned(**changed)).values()
    assert (second, counter.counted) == (first, [])


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"hyper": {"LF-DNN": {"batch_size": 7}}}, "macs_paper"),
        ({"hyper": {"LF-DNN": {"hidden_dims": [16, 32, 64]}}}, "params"),
        ({"datasets": [{**SHORT, "synthetic": {"like": "sims", "lengths": {"text": 9}}}]}, "macs"),
        ({"datasets": [{"name": "synthetic-en", "synthetic": {"like": "mosei"}}]}, "params"),
        ({"tasks": ["classification"]}, "params"),
        ({"variants": ["fg"]}, "params"),
        ({"variants": ["v"]}, "params"),
        ({"models": ["LMF"]}, "params"),
    ],
)
def test_what_changes_a_cost_is_counted(counter: Watched, changed: Mapping[str, Any], field: str) -> None:
    (first,) = counter(planned()).values()
    (second,) = counter(planned(**changed)).values()
    assert len(counter.counted) == 1
    assert getattr(second, field) != getattr(first, field)


def test_the_wiring_and_the_groups_of_a_variant_are_counted(counter: Watched) -> None:
    groups = {"audio": {"first": 16, "second": 17}}
    plans = [
        planned(variants=["a"]),
        planned(variants=["a"], finegrained={"qkv": "per_head"}),
        planned(variants=["a"], datasets=[{**SHORT, "groups": groups}]),
    ]
    found = [next(iter(counter(plan).values())).params for plan in plans]
    assert len(set(found)) == 3


def test_the_architecture_of_a_text_encoder_is_counted_and_not_its_weights(counter: Watched) -> None:
    def encoded(**changes: int) -> RunSpec:
        return planned(models=["ALMT"], text_encoder={"random": dict(BERT) | changes}).runs[0]

    deeper, run = encoded(num_hidden_layers=3), encoded()
    assert run.text_encoder is not None
    pretrained = run.model_copy(update={"text_encoder": run.text_encoder.model_copy(update={"sha256": "1" * 64})})
    assert kept._key(pretrained) == kept._key(run)
    assert kept._key(deeper) != kept._key(run)


@pytest.mark.parametrize("code", ["sources", "room"])
def test_other_code_counts_again(counter: Watched, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    counter(planned())
    if code == "sources":
        monkeypatch.setattr("harness.plan.cell.sources_fingerprint", lambda: "other")
    else:
        monkeypatch.setattr(kept, "_counted_by", lambda: ("other",))
    counter(planned())
    assert len(counter.counted) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b'{"params": 1, "macs": 2', b"\xff\xfe", b"null", b'{"params": 1, "macs": 2}', b"[1, 2, 3, 4, 5]"],
)
def test_a_broken_file_is_counted_again(counter: Watched, content: bytes) -> None:
    first = counter(planned())
    (path,) = (counter.cache / "costs").iterdir()
    path.write_bytes(content)
    assert counter(planned()) == first
    assert len(counter.counted) == 1
    assert json.loads(path.read_bytes())["params"] == first[LF_DNN].params


@pytest.mark.parametrize("field", ["params", "batch_size"])
@pytest.mark.parametrize("value", [1.5, "12", True, None])
def test_a_kept_number_of_another_kind_is_counted_again(counter: Watched, field: str, value: object) -> None:
    first = counter(planned())
    (path,) = (counter.cache / "costs").iterdir()
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {field: value}), encoding="utf-8")
    assert counter(planned()) == first


def test_a_model_that_cannot_be_counted_costs_no_other_its_numbers(
    counter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = models.build

    def fails(run: RunSpec, **given: Any) -> Any:
        if run.model == "LMF":
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        if run.model == "MFN":
            raise InputError("no such layer", hint="leave it out")
        return build(run, **given)

    plan = planned(models=["LF-DNN", "LMF", "MFN"])
    with monkeypatch.context() as patch:
        patch.setattr(models, "build", fails)
        assert list(counter(plan)) == [LF_DNN]
    assert {cell[3]: reason for cell, reason in counter.refused.items()} == {
        "LMF": "RuntimeError: mat1 and mat2 shapes cannot be multiplied",
        "MFN": "no such layer",
    }
    # A failure is not kept: the model may have been mended.
    assert len(counter(plan)) == 3
    assert [run.model for run in counter.counted] == ["LMF", "MFN"]


def test_every_refused_cell_is_told(counter: Watched) -> None:
    """Runs without hyper-parameters, aliases among them; cells that do not exist are no news."""
    plan = fakes.plan([fakes.dataset(vision_groups=False)], models=["LF-DNN"])
    assert counter(plan) == {}
    assert {cell[4] for cell in counter.refused} == {"original", "fg", "a"}
    assert not (counter.cache / "costs").exists()
    assert plan_costs(plan, counter.cache) == {}


def test_a_cache_that_cannot_be_written_costs_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert list(plan_costs(planned(), tmp_path / "file")) == [LF_DNN]


@pytest.mark.parametrize("kept_before", [True, False])
def test_torch_is_imported_only_to_count(tmp_path: Path, kept_before: bool) -> None:
    script = f"""
import sys
from pathlib import Path
from harness.costs import plan_costs
from harness.plan import load_datasets, make_plan
from harness.spec import Suite
suite = Suite.model_validate({dict(planned().suite.model_dump(mode="json"))!r})
plan = make_plan(suite, load_datasets(suite, Path()), lambda _dataset, _setting: "0" * 64)
print(len(plan_costs(plan, Path({str(tmp_path)!r}))), "torch" in sys.modules)
"""
    if kept_before:
        plan_costs(planned(), tmp_path)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", str(not kept_before)]


def test_the_room_gives_what_it_names_and_nothing_else() -> None:
    assert all(getattr(costs, name) is not None for name in costs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'cost_rows'"):
        costs.cost_rows  # type: ignore[attr-defined]  # noqa: B018
