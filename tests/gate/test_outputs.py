from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml

from harness.costs import CellKey
from harness.gate import Judgement, write
from harness.gate.numbers import p_text, row_sentence, value_text
from harness.gate.outputs import as_data, as_json, as_junit, as_sarif, lines_of
from tests.gate import made

HOSTILE = "a&b<c>\"'\x00\x1b]]>多模态 \U0001f600"
HOSTILE_CELL: CellKey = ("toy", "unaligned", "regression", HOSTILE, "fg")
LEVELS = {"none", "note", "warning", "error"}
PATH = "baselines/fake.json"


def mixed(**changes: Any) -> Judgement:
    """Every verdict, of metrics and costs, in two cells."""
    other: CellKey = (*made.PLACE[:3], "TFN", "fg")
    given: dict[str, Any] = {"problems": ("1 run has failed", "a cell is gone"), "notes": ("synthetic data",)}
    return made.judgement(
        *(made.row("RED", 0.02), made.row("AMBER", 0.006, metric="MAE"), made.row("CANNOT JUDGE", metric="Corr")),
        *(made.row("STALE", -0.02, cell=other), made.row("GREEN", cell=other, metric="MAE")),
        *(made.cost_row("RED"), made.cost_row("GREEN", name="MACs")),
        made.cost_row("CANNOT JUDGE", cell=other, why="no text encoder"),
        **(given | changes),
    )


def strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def sarif(judgement: Judgement, baseline: str = PATH, lines: dict[str, int] | None = None) -> Any:
    return strict(as_sarif(judgement, baseline, lines or {}))


def test_the_json_is_strict_and_says_what_the_judgement_says() -> None:
    judgement = mixed()
    told = strict(as_json(judgement))
    assert told == json.loads(json.dumps(as_data(judgement)))
    assert (told["exit_code"], told["suite"], told["alpha"], told["family"]) == (2, "fake", 0.01, 5)
    assert told["problems"] == list(judgement.problems)
    assert told["notes"] == ["synthetic data"]
    red, hole = told["rows"][0], told["rows"][2]
    assert (red["cell"], red["model"], red["variant"]) == ("/".join(made.PLACE), "LF-DNN", "original")
    assert (red["verdict"], red["p"], red["method"], red["n_new"]) == ("RED", 0.4, "paired t", 5)
    assert [hole[name] for name in ("new", "difference", "p", "margin", "method", "n_new")] == [None] * 6
    assert [one["verdict"] for one in told["costs"]] == ["RED", "GREEN", "CANNOT JUDGE"]
    assert told["costs"][0]["cell"] == "/".join(made.PLACE)


@given(st.sampled_from([math.nan, math.inf, -math.inf]))
def test_no_number_that_json_lacks_gets_into_it(value: float) -> None:
    changes: dict[str, Any] = dict.fromkeys(("reference", "new", "difference", "p", "p_better", "margin"), value)
    row = strict(as_json(made.judgement(made.row(**changes))))["rows"][0]
    assert {row[name] for name in changes} == {None}


def test_a_real_judgement_goes_through_all_three() -> None:
    judgement = made.judged(made.moved(-0.02, "MAE", "Corr"), costs=made.costs(made.plan()))
    assert len(strict(as_json(judgement))["rows"]) == 9
    assert len(ET.fromstring(as_junit(judgement)).findall(".//testcase")) == 9 + 4
    assert len(sarif(judgement)["runs"][0]["results"]) == judgement.count("RED") + judgement.count("STALE") > 0


def test_the_same_judgement_gives_the_same_bytes() -> None:
    first, again = ((as_json(one), as_junit(one), as_sarif(one, PATH, {})) for one in (mixed(), mixed()))
    assert first == again


def test_junit_counts_failures_and_errors_and_no_row_twice() -> None:
    judgement = mixed()
    text = as_junit(judgement)
    read = JUnitXml.fromstring(text.encode())
    assert (read.tests, read.failures, read.errors, read.skipped) == (len(judgement.every) + 2, 2, 2 + 2, 0)
    suites = list(read)
    assert [(one.name, one.tests, one.failures, one.errors) for one in suites] == [
        ("LF-DNN, toy (unaligned), regression", 5, 2, 1),
        ("TFN-fg, toy (unaligned), regression", 3, 0, 1),
        ("problems", 2, 0, 2),
    ]


def test_junit_says_the_same_to_a_reader_that_knows_nothing_of_the_package() -> None:
    root = ET.fromstring(as_junit(mixed()).encode())
    cases = root.findall(".//testcase")
    failed = {case.get("name") for case in cases if case.find("failure") is not None}
    broken = {case.get("name") for case in cases if case.find("error") is not None}
    assert failed == {"Acc-5", "Params"}
    assert broken == {"Corr", "Params", "problem 1", "problem 2"}
    assert int(root.get("failures", 0)) == len(root.findall(".//failure")) == 2
    assert int(root.get("errors", 0)) == len(root.findall(".//error")) == 4
    amber = next(case for case in cases if case.get("name") == "MAE")
    assert (amber.findtext("system-out") or "").startswith("AMBER: LF-DNN")
    failure = root.find(".//failure")
    assert failure is not None
    assert "78.00 now" in (failure.text or "")


def test_a_judgement_without_rows_is_still_junit() -> None:
    root = ET.fromstring(as_junit(made.judgement(problems=("nothing there",))))
    assert [one.get("message") for one in root.iter("error")] == ["nothing there"]
    assert ET.fromstring(as_junit(made.judgement())).findall(".//testcase") == []


@pytest.mark.parametrize("verdict", ["RED", "AMBER", "GREEN", "STALE", "CANNOT JUDGE"])
def test_hostile_names_survive_in_every_output(verdict: Any) -> None:
    judgement = made.judgement(made.row(verdict, cell=HOSTILE_CELL, why=HOSTILE), problems=(HOSTILE,))
    kept = HOSTILE.replace("\x00", "").replace("\x1b", "")
    root = ET.fromstring(as_junit(judgement).encode())
    assert next(case.get("classname") for case in root.iter("testcase")) == f"{kept}-fg, toy (unaligned), regression"
    assert [one.get("message") for one in root.iter("error")][-1] == kept
    assert strict(as_json(judgement))["rows"][0]["model"] == HOSTILE
    results = sarif(judgement)["runs"][0]["results"]
    assert results[-1]["message"]["text"] == HOSTILE
    if verdict != "GREEN":
        assert HOSTILE in results[0]["message"]["text"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_gives_xml_and_json_that_can_be_read_back(text: str) -> None:
    judgement = made.judgement(made.row("CANNOT JUDGE", why=text), problems=(text,))
    ET.fromstring(as_junit(judgement).encode())
    assert strict(as_json(judgement))["problems"] == [text]
    assert sarif(judgement)["runs"][0]["results"][-1]["message"]["text"] == text


def test_a_file_name_that_is_not_utf_8_can_be_written() -> None:
    judgement = made.judgement(made.row(), problems=("cannot read data/\udcff.pkl",))
    as_junit(judgement).encode()
    as_sarif(judgement, PATH, {}).encode()
    as_json(judgement).encode()


def test_sarif_has_what_readers_ask_for() -> None:
    told = sarif(mixed(), lines={"/".join(made.PLACE): 3})
    assert told["version"] == "2.1.0"
    assert "sarif-2.1.0" in told["$schema"]
    (run,) = told["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    declared = [rule["id"] for rule in driver["rules"]]
    assert len(set(declared)) == len(declared)
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    for result in run["results"]:
        assert result["ruleId"] in declared
        assert result["level"] in LEVELS
        assert result["message"]["text"]
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        assert physical["artifactLocation"]["uri"] == PATH
        assert physical["region"]["startLine"] >= 1
        assert location["logicalLocations"][0]["fullyQualifiedName"]


def test_sarif_holds_everything_but_green_each_at_its_cell() -> None:
    judgement = mixed()
    results = sarif(judgement, lines={"/".join(made.PLACE): 3})["runs"][0]["results"]
    assert len(results) == len(judgement.every) - judgement.count("GREEN") + len(judgement.problems)
    levels = {result["ruleId"]: result["level"] for result in results}
    assert levels == {
        "drift/red": "error",
        "drift/cannot-judge": "error",
        "drift/amber": "warning",
        "drift/stale": "note",
    }
    lines = [one["locations"][0]["physicalLocation"]["region"]["startLine"] for one in results]
    assert lines == [3, 3, 3, 1, 3, 1, 1, 1]
    assert sarif(made.judgement(made.row()))["runs"][0]["results"] == []


@pytest.mark.parametrize("path", ["my baselines/a.json", "100%25.json", "a#1.json", "基线.json"])
def test_a_path_becomes_a_uri(path: str) -> None:
    result = sarif(made.judgement(made.row("RED")), path)["runs"][0]["results"][0]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.isascii()
    assert " " not in uri
    assert unquote(urlsplit(uri).path) == path


def test_lines_point_at_the_cells(tmp_path: Path) -> None:
    content = made.baseline(made.plan(models=("TFN", "LF-DNN"), variants=("fg", "original")))
    write(content, tmp_path / "base.json")
    text = (tmp_path / "base.json").read_text(encoding="utf-8")
    found = lines_of(text, list(content.cells))
    assert set(found) == set(content.cells)
    for cell, line in found.items():
        assert f'"{cell}"' in text.split("\n")[line - 1]
    assert lines_of(text, ["toy/unaligned/regression/none/original"]) == {}
    assert lines_of("", list(content.cells)) == {}


@pytest.mark.parametrize(
    ("value", "metric", "plain", "signed"),
    [
        *((0.81234, "Acc-5", "81.23", "+81.23"), (-0.00004, "Acc-5", "0.00", "0.00"), (0.0, "MAE", "0.0000", "0.0000")),
        *((-0.01234, "MAE", "-0.0123", "-0.0123"), (math.nan, "Corr", "", ""), (0.7, "unknown", "0.7000", "+0.7000")),
    ],
)
def test_values_are_written_in_their_unit(value: float, metric: str, plain: str, signed: str) -> None:
    assert value_text(value, metric) == plain
    assert value_text(value, metric, signed=True) == signed


def test_p_is_written_with_two_digits() -> None:
    assert [p_text(p) for p in (0.5, 0.0123, 0.00099, 0.00001, 0.0, 1.0, math.nan)] == [
        *("0.5", "0.012", "0.00099", "<.0001", "<.0001", "1", "")
    ]


def test_a_sentence_says_what_happened() -> None:
    said = row_sentence(made.row("RED", 0.02, why="moved"))
    assert said == (
        "LF-DNN, toy (unaligned), regression: Acc-5 80.00 in the baseline, 78.00 now (-2.00; margin 1.00, floor 0.50, "
        "p 0.4 after Holm, paired t); moved"
    )
    assert row_sentence(made.cost_row("RED")).endswith("Params 1,000 in the baseline, 1,234,567 now")
    assert row_sentence(made.cost_row("CANNOT JUDGE", why="no encoder")).endswith("cannot be judged: no encoder")
    assert row_sentence(made.row("CANNOT JUDGE")).endswith("Acc-5 cannot be judged: no run of this cell is done")
