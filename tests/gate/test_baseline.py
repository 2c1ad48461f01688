from __future__ import annotations

import json
import math
import re
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError, StoreError
from harness.gate import Baseline, baseline, make_baseline, read, write
from harness.gate.baseline import parse
from harness.metrics import metrics_for
from harness.plan import Plan
from tests.gate import made
from tests.reports import fakes


def text_of(content: Baseline, folder: Path, name: str = "base.json") -> str:
    write(content, folder / name)
    return (folder / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of a baseline: one cell, values with many digits, and one that is not defined."""

    def value(cell: object, seed: int, metric: str) -> float:
        return math.nan if metric == "Corr" and seed == 1111 else 0.7 + seed / 7e5

    return text_of(made.baseline(value=value), tmp_path_factory.mktemp("baseline"))


def refused(text: str, *words: str) -> None:
    with pytest.raises(InputError) as told:
        parse(text, "base.json")
    for word in words:
        assert word in str(told.value)
    assert told.value.where == "base.json"
    assert told.value.hint


def test_a_baseline_comes_back_as_it_was_written(tmp_path: Path) -> None:
    content = made.baseline(made.plan(models=("LF-DNN", "TFN"), variants=("original", "fg")))
    write(content, tmp_path / "deep" / "base.json")
    assert read(tmp_path / "deep" / "base.json") == content


def test_its_means_and_spreads_are_those_of_the_standard_library() -> None:
    content = made.baseline()
    (cell,) = content.cells.values()
    assert list(content.cells) == ["/".join(made.PLACE)]
    assert set(cell.metrics) == {metric.name for metric in metrics_for("regression", "mosei")}
    values = [0.6 + made.NOISE[seed % 5] for seed in made.SEEDS]
    mae = cell.metrics["MAE"]
    assert mae.values == {str(seed): value for seed, value in zip(made.SEEDS, values, strict=True)}
    assert mae.mean == pytest.approx(statistics.mean(values))
    assert mae.sd == pytest.approx(statistics.stdev(values))
    assert not mae.higher_is_better
    assert cell.metrics["Acc-5"].signature == "Acc-5|class:round|clip:2|v1"
    assert cell.costs == {"params": 1_000, "macs": 2_000, "params_paper": 900, "macs_paper": 64_000}
    assert content.data["toy/unaligned"].test == made.TEST
    assert set(content.environments) == set(cell.environments.values()) == {"aaaa1111"}


def test_records_read_from_a_store_make_a_baseline_too(tmp_path: Path) -> None:
    from tests.comparison.made import results

    asked = made.plan(variants=("original", "fg"))
    found, _ = results(asked, items=60)
    content = make_baseline(asked, found, {}, {})
    text_of(content, tmp_path)
    assert content.data["toy/unaligned"].test == 60
    assert {cell.costs for cell in content.cells.values()} == {None}
    kept = found.values[(found.values["variant"] == "fg") & (found.values["metric"] == "MAE")]
    held = content.cells["toy/unaligned/regression/LF-DNN/fg"].metrics["MAE"]
    assert sorted(kept["value"]) == sorted(value for value in held.values.values() if value is not None)
    assert held.mean == pytest.approx(kept["value"].mean())


def test_what_is_not_defined_is_null_and_no_part_of_the_mean(whole: str) -> None:
    held = parse(whole, "").cells["/".join(made.PLACE)].metrics["Corr"]
    kept = [value for value in held.values.values() if value is not None]
    assert held.values["1111"] is None
    assert held.mean == pytest.approx(statistics.mean(kept))
    assert "NaN" not in whole


def test_one_seed_has_a_mean_and_no_sd() -> None:
    held = made.baseline(made.plan(seeds=[1111])).cells["/".join(made.PLACE)].metrics["MAE"]
    assert held.sd is None
    assert held.mean == 0.6 + made.NOISE[1111 % 5]


def test_writing_again_and_cells_in_another_order_give_equal_bytes(tmp_path: Path) -> None:
    asked = made.plan(models=("TFN", "LF-DNN"), variants=("fg", "original"))
    first = text_of(made.baseline(asked), tmp_path)
    suite = asked.suite.model_copy(update={"seeds": asked.suite.seeds[::-1], "models": ("LF-DNN", "TFN")})
    turned = Plan(suite=suite, cells=asked.cells[::-1])
    assert text_of(made.baseline(turned), tmp_path, "other.json") == first
    assert text_of(read(tmp_path / "base.json"), tmp_path, "third.json") == first
    assert text_of(made.baseline(asked), tmp_path) == first


def test_seeds_in_another_order_give_equal_bytes(tmp_path: Path) -> None:
    asked = made.plan()
    found = made.results(asked)
    first = text_of(make_baseline(asked, found, {}, {}), tmp_path)
    values = found.values.sample(frac=1, random_state=3)
    assert text_of(make_baseline(asked, replace(found, values=values), {}, {}), tmp_path) == first


def test_the_file_is_made_for_a_diff(whole: str) -> None:
    assert whole.endswith("}\n")
    assert json.dumps(json.loads(whole), indent=1, sort_keys=True, ensure_ascii=False) + "\n" == whole
    assert max(map(len, whole.splitlines())) < 120


def test_only_environments_that_a_cell_names_are_kept() -> None:
    asked = made.plan()
    found = made.results(asked)
    more = replace(found, environments={**found.environments, "cccc3333": {"python": "2.7"}})
    assert set(make_baseline(asked, more, {}, {}).environments) == {"aaaa1111"}


def test_an_alias_is_left_out_beside_what_it_stands_for() -> None:
    asked = made.plan(
        datasets=[fakes.dataset(vision_groups=False)],
        variants=("original", "fg", "a", "v"),
    )
    assert [key.split("/")[-1] for key in made.baseline(asked).cells] == ["original", "fg"]


@given(st.data())
def test_the_checksum_sees_every_edit_of_a_value(whole: str, data: st.DataObject) -> None:
    values = [found.span(1) for found in re.finditer(r'": ("[^"]*"|[-0-9.e]+|true|false|null)', whole)]
    start, end = data.draw(st.sampled_from(values))
    at = data.draw(st.integers(start, end - 1))
    edited = whole[:at] + data.draw(st.sampled_from("0123456789abcdef.-e")) + whole[at + 1 :]
    try:
        same = json.loads(edited) == json.loads(whole)
    except ValueError:
        same = False
    # The last of 17 digits may be another name of the same number.
    if same:
        assert parse(edited, "") == parse(whole, "")
    else:
        refused(edited)


@given(st.data())
def test_no_line_can_be_taken_out(whole: str, data: st.DataObject) -> None:
    lines = whole.splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    refused("".join(lines[:at] + lines[at + 1 :]))


def test_an_edit_by_hand_is_told_with_the_way_back(whole: str) -> None:
    refused(whole.replace('"test": 1000', '"test": 10'), "checksum", "git checkout")


def test_other_line_ends_are_no_edit(whole: str) -> None:
    assert parse(whole.replace("\n", "\r\n"), "") == parse(whole, "")


@pytest.mark.parametrize("version", ["2", "0", '"1"', "null", "[1]"])
def test_another_schema_version_is_refused(whole: str, version: str) -> None:
    refused(whole.replace('"schema_version": 1', f'"schema_version": {version}'), "schema version", "reads 1")


@pytest.mark.parametrize("text", ["", "{", "model,metric\n", "<<<<<<< HEAD\n{}", "[" * 100_000])
def test_what_is_not_json_is_refused(text: str) -> None:
    refused(text, "not JSON")


def test_no_depth_of_nesting_is_a_crash() -> None:
    for depth in range(100, 1_100):
        refused(f'{{"schema_version": 1, "x": {"[" * depth}{"]" * depth}}}')


@pytest.mark.parametrize("text", ["[]", "{}", '"schema_version"', "1", "null", '{"cells": {}}'])
def test_what_is_no_baseline_is_refused(text: str) -> None:
    refused(text, "no baseline")


def test_a_field_that_is_wrong_under_a_right_checksum_is_named(whole: str) -> None:
    content = json.loads(whole)
    del content["sha256"]
    content["cells"]["/".join(made.PLACE)]["threads"] = 0
    content["sha256"] = baseline._checksum(content)
    refused(json.dumps(content), "threads")


def test_a_missing_file_a_folder_and_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    for name, word in (("none.json", "no such baseline"), ("", "cannot read"), ("bytes.json", "UTF-8")):
        with pytest.raises(InputError, match=word):
            read(tmp_path / name)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write the baseline"):
        write(made.baseline(), tmp_path / "file" / "base.json")


@pytest.mark.parametrize("status", ["failed", "missing"])
def test_runs_that_are_not_done_leave_no_baseline(status: str) -> None:
    asked = made.plan()
    found = made.results(asked, undone={asked.runs[2].label: status})
    with pytest.raises(InputError, match="1 of 5 runs are not done") as told:
        make_baseline(asked, found, {}, {})
    assert asked.runs[2].label in str(told.value)


def test_a_suite_without_runs_leaves_no_baseline() -> None:
    asked = made.plan(datasets=[fakes.dataset(vision_groups=False, groups={})], variants=("fg",))
    with pytest.raises(InputError, match="nothing to compare"):
        make_baseline(asked, made.results(asked), {}, {})
