"""Answers over models, variants ranked, the paper's means beside ours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.comparison import Comparison
from harness.published import load
from harness.reports.layout import build
from harness.reports.sections import Section, over_models, published, ranked, ranking_rows
from harness.reports.summary import answers
from harness.reports.tables import Table
from harness.spec import RunSpec
from tests.reports import fakes

MANY = tuple(f"M{i}" for i in range(10))
REPORT = {"metrics": ["Acc-7", "MAE"]}


def helps_everyone(run: RunSpec) -> float:
    return 1.0 + MANY.index(run.model) * 0.05 + {"fg": -0.4, "a": -0.2, "v": 0.2}.get(run.variant, 0.0)


@pytest.fixture(scope="module")
def many() -> tuple[list[Table], Comparison]:
    """Ten models that all gain by fg. Read only."""
    plan = fakes.plan(models=MANY, seeds=(1, 2, 3), report=REPORT)
    compared = fakes.compared(plan, fakes.filled(plan, helps_everyone))
    return build(compared, plan), compared


def cells(section: Section, name: str, metric: str) -> dict[str, str]:
    line = next(line for line in section.sheet.lines if (line.name, line.cells[0]) == (name, metric))
    return dict(zip([head.label for head in section.sheet.columns], line.cells, strict=True))


def test_over_models_is_wilcoxons_test_on_the_mean_deltas(many: tuple[list[Table], Comparison]) -> None:
    tables, compared = many
    [section] = over_models(tables, compared)
    shown = cells(section, "v against original", "MAE")
    frame = compared.contrasts
    deltas = frame[(frame["variant"] == "v") & (frame["metric"] == "MAE")]["mean"]
    assert len(deltas) == len(MANY)
    assert shown["Wilcoxon p"] == f"{stats.wilcoxon(deltas, method='exact').pvalue:.4f}"
    assert shown["floor"] == f"{2.0 ** (1 - len(MANY)):.4f}"
    assert (shown["Better"], shown["Worse"]) == (str(int((deltas > 0).sum())), str(int((deltas < 0).sum())))
    assert cells(section, "fg against original", "MAE")["Verdict"] == "better"
    assert "M0, M1" in section.sentences[0]


def test_the_family_over_models_is_said_to_hold_what_is_not_shown(many: tuple[list[Table], Comparison]) -> None:
    tables, compared = many
    [section] = over_models(tables, compared)
    assert {line.cells[0] for line in section.sheet.lines} == {"Acc-7", "MAE"}
    assert int(cells(section, "fg against original", "MAE")["family"]) == compared.models["metric"].nunique() > 2
    assert "shown here or not" in section.sheet.about


def test_two_models_cannot_tell_and_the_summary_says_why() -> None:
    plan = fakes.plan(models=("M0", "M1"), variants=("original", "fg"), report=REPORT)
    compared = fakes.compared(plan, fakes.filled(plan, helps_everyone))
    tables = build(compared, plan)
    [section] = over_models(tables, compared)
    assert cells(section, "fg against original", "MAE")["Verdict"] == "cannot tell"
    [(_, told)] = answers(tables, compared, "original")
    assert told[-1].startswith("Over the 2 models, cannot tell for any contrast in any of 2 metrics (")
    assert "Wilcoxon's p cannot fall below 0.5" in told[-1]


def test_the_summary_answers_over_models_in_one_sentence(many: tuple[list[Table], Comparison]) -> None:
    tables, compared = many
    [(_, told)] = answers(tables, compared, "original")
    assert told[-1].startswith("Over the 10 models, fg against original: better in Acc-7 and MAE; a against original:")


def test_one_model_has_no_section_over_models() -> None:
    plan = fakes.plan(models=("M0",), report=REPORT)
    compared = fakes.compared(plan, fakes.filled(plan, helps_everyone))
    tables = build(compared, plan)
    assert over_models(tables, compared) == ranked(tables, compared) == []


def test_ranks_are_friedmans_over_models(many: tuple[list[Table], Comparison]) -> None:
    tables, compared = many
    [section] = ranked(tables, compared)
    frame = compared.cells
    table = frame[frame["metric"] == "MAE"].pivot_table(index="model", columns="variant", values="mean")
    line = next(line for line in section.sheet.lines if line.name == "MAE")
    shown = dict(zip([head.label for head in section.sheet.columns], line.cells, strict=True))
    expected = stats.friedmanchisquare(*(table[name] for name in fakes.VARIANTS))
    assert shown["χ²"] == f"{expected.statistic:.2f}"
    means = table.rank(axis=1).mean()
    assert {name: shown[name] for name in fakes.VARIANTS} == {name: f"{means[name]:.2f}" for name in fakes.VARIANTS}
    # Demsar's table of critical values: q = 2.569 for four treatments at 0.05.
    assert shown["Critical difference"] == f"{2.569 * np.sqrt(4 * 5 / (6 * len(MANY))):.2f}"
    assert any("fg above v" in sentence for sentence in section.sentences)


def test_rankings_are_written_one_variant_a_row(many: tuple[list[Table], Comparison]) -> None:
    compared = many[1]
    rows = ranking_rows(compared.rankings)
    assert len(rows) == len(compared.rankings) * len(fakes.VARIANTS)
    assert rows.groupby("metric")["mean_rank"].sum().round(6).unique().tolist() == [10.0]


def test_two_variants_are_not_ranked() -> None:
    plan = fakes.plan(models=("M0", "M1"), variants=("original", "fg"), report=REPORT)
    compared = fakes.compared(plan, fakes.filled(plan, helps_everyone))
    assert ranked(build(compared, plan), compared) == []
    assert ranking_rows(compared.rankings).empty


def test_printed_means_stand_beside_ours() -> None:
    data = fakes.dataset("sims", synthetic=False, convention="sims")
    plan = fakes.plan([data], models=("LF-DNN", "LMF"), report={"metrics": ["MAE"]})
    compared = fakes.compared(plan, fakes.filled(plan))
    [section] = published(build(compared, plan), compared)
    shown = cells(section, "LF-DNN-fg", "MAE")
    [cell] = [
        cell
        for cell in load().cells
        if cell.own
        and (cell.table, cell.dataset, cell.model, cell.variant, cell.column) == (5, "sims", "LF-DNN", "fg", "MAE")
    ]
    assert float(shown["Printed"]) == float(cell.value or 0) / (100 if cell.percent else 1)
    assert float(shown["Difference"]) == pytest.approx(float(shown["Ours"]) - float(shown["Printed"]), abs=1.01e-3)
    assert shown["Margin"] == "0.020"
    assert section.sentences == ("Of 8 printed means: differs 8.",)


def test_synthetic_data_is_compared_with_nothing_printed(many: tuple[list[Table], Comparison]) -> None:
    assert published(*many) == []
