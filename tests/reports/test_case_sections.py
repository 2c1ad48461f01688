"""Case studies as they stand on a page."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness.cases import Case, CaseStudy, Remark, Side, case_studies
from harness.comparison import compare
from harness.reports.case_sections import case_sections
from harness.reports.layout import build
from harness.reports.sheets import Sheet
from harness.reports.tables import Table
from harness.results import collect
from tests.reports import fakes

GAIN = Case("v_1", "largest gain", "0.40", Side(0.84, 0.05, 0.44), Side(0.31, 0.02, 0.09))
LOSS = Case("v_2", "largest loss", "-0.60", Side(-0.5, 0.1, 0.1), Side(0.1, 0.1, 0.7))
STUDY = CaseStudy(
    dataset="toy",
    task="regression",
    model="LMF",
    synthetic=False,
    names=("LMF", "LMF-fg"),
    seeds=(1, 2),
    cases=(GAIN, LOSS),
    utterances=40,
    better=0.525,
    median_gain=-0.0123,
    rule="By a rule.",
)


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    plan = fakes.plan([fakes.dataset()], models=("LMF",), seeds=(1, 2))
    return build(fakes.compared(plan, fakes.filled(plan)), plan)


def column(sheet: Sheet, label: str) -> list[str]:
    place = [head.label for head in sheet.columns].index(label)
    return [line.cells[place] for line in sheet.lines]


def test_what_is_known_of_an_utterance_stands_beside_it(tables: list[Table]) -> None:
    texts = {"toy": {"v_1": "是吗？挺好。"}}
    remarks = {"v_1": Remark("Really? Good.", "", "Serious"), "v_9": Remark("", "Loud", "")}
    (section,) = case_sections(tables, [STUDY], texts, remarks)
    assert column(section.sheet, "Text") == ["是吗？挺好。", ""]
    assert column(section.sheet, "Translation") == ["Really? Good.", ""]
    assert column(section.sheet, "Visual") == ["Serious", ""]
    assert "Acoustic" not in [head.label for head in section.sheet.columns]


def test_numbers_and_which_model_is_nearer(tables: list[Table]) -> None:
    (section,) = case_sections(tables, [STUDY], {}, {})
    sheet = section.sheet
    assert [line.name for line in sheet.lines] == ["v_1", "v_2"]
    assert column(sheet, "Truth") == ["0.40", "-0.60"]
    assert column(sheet, "LMF") == ["0.84 ± 0.05", "-0.50 ± 0.10"]
    assert sheet.lines[0].cells[-5:] == ("0.84 ± 0.05", "0.44", "0.31 ± 0.02", "0.09", "LMF-fg")
    assert column(sheet, "Nearer") == ["LMF-fg", "LMF"]
    assert "By a rule." in section.sentences
    assert "52.5 % of all 40 utterances" in section.sentences[1]
    assert "feature file" in section.sentences[2]


def test_equal_errors_are_nobodys_and_one_seed_has_no_spread(tables: list[Table]) -> None:
    even = Side(0.2, math.nan, 0.2)
    study = replace(STUDY, seeds=(7,), cases=(Case("v_3", "middle", "0.00", even, even),))
    (section,) = case_sections(tables, [study], {}, {})
    assert column(section.sheet, "Nearer") == [""]
    assert column(section.sheet, "LMF") == ["0.20"]
    assert "of seed 7" in section.sheet.about


def test_classification_names_the_class_and_its_probability(tables: list[Table]) -> None:
    sure = Case("v_4", "middle", "positive", Side(0.2, 0.0, 0.8, "neutral"), Side(0.9, 0.0, 0.1, "positive"))
    table = replace(tables[0], task="classification")
    (section,) = case_sections([table], [replace(STUDY, task="classification", cases=(sure,))], {}, {})
    assert column(section.sheet, "LMF") == ["neutral 0.20 ± 0.00"]
    assert column(section.sheet, "Miss of LMF") == ["0.80"]
    assert column(section.sheet, "Nearer") == ["LMF-fg"]


def test_a_table_without_a_study_has_no_section(tables: list[Table]) -> None:
    assert case_sections(tables, [replace(STUDY, dataset="other")], {}, {}) == []


def test_from_records_to_a_section() -> None:
    plan = fakes.plan([fakes.dataset()], models=("LMF",), seeds=(1, 2))
    results = collect(plan, fakes.filled(plan).as_store)
    made = build(compare(results, resamples=100), plan)
    (section,) = case_sections(made, case_studies(results, plan), {}, {})
    assert section.sheet.synthetic
    assert set(column(section.sheet, "Chosen as")) == {"largest gain", "middle", "largest loss"}
