"""What is compared with what: never across models, data sets or tasks unless asked, and one run counted once."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from harness.comparison import Contrast, Side, cell_name, contrasts, intervals, parse_side, second_level
from harness.comparison.pairs import cells_of, pairs
from harness.errors import InputError
from harness.results import CELL
from harness.spec import Variant
from tests.comparison import made
from tests.reports import fakes

MODELS = ("LMF", "LF-DNN", "MLF-DNN")
FINE = {"LMF": [0.2, 0.4, 0.3, 0.7, 0.6], "LF-DNN": [1.0, 2.0, 3.0, 4.0, 5.0], "MLF-DNN": [2.1, 2.1, 2.4, 2.3, 2.6]}
ONES = [0.1, 0.2, 0.3, 0.4, 0.5]


def found_pairs(*cells: made.Rows, asked: Contrast) -> list[tuple[Any, ...]]:
    """Return (data set, setting, task, base model, base variant, model, variant) of every pair, with its base there."""
    given = []
    for pair in pairs(cells_of(made.frame(*cells)), asked):
        assert pair.base is not None
        base, other = pair.base.names, pair.other.names
        assert (base["model"], base["variant"]) == pair.base_name
        assert (base["dataset"], base["task"]) == (other["dataset"], other["task"])
        place = (other["dataset"], other["setting"], other["task"])
        given.append((*place, base["model"], base["variant"], other["model"], other["variant"]))
    return given


def every(
    datasets: tuple[str, ...] = ("toy", "other"), tasks: tuple[str, ...] = ("regression", "classification")
) -> list[made.Rows]:
    return [
        made.rows(model, variant, ONES, dataset=dataset, task=task)
        for dataset in datasets
        for task in tasks
        for model in MODELS
        for variant in ("original", "fg", "v")
    ]


def test_a_variant_is_compared_within_model_data_set_and_task() -> None:
    given = found_pairs(*every(), asked=Contrast())
    assert len(given) == len(set(given)) == 2 * 2 * 3 * 2
    assert all(base == model and variant == "original" for *_, base, variant, model, _ in given)
    assert {other for *_, other in given} == {"fg", "v"}


def test_a_variant_is_compared_within_its_setting() -> None:
    cells = [made.rows("LMF", "original", ONES, setting="aligned"), made.rows("LMF", "fg", ONES, setting="unaligned")]
    (pair,) = pairs(cells_of(made.frame(*cells)), Contrast())
    assert pair.base is None


def test_one_variant_alone_against_another() -> None:
    given = found_pairs(*every(), asked=Contrast(Side("v"), Side("fg")))
    assert {(base, other) for *_, base, _, other in given} == {("v", "fg")}
    assert len(given) == 2 * 2 * 3


def test_a_model_is_compared_with_all_others_in_its_variant() -> None:
    given = found_pairs(*every(), asked=Contrast(Side("fg", "LMF")))
    assert len(given) == 2 * 2 * 2
    assert {row[3:] for row in given} == {("LMF", "fg", "LF-DNN", "fg"), ("LMF", "fg", "MLF-DNN", "fg")}


def test_models_are_compared_across_settings() -> None:
    cells = [made.rows("LMF", "original", ONES, setting="unaligned"), made.rows("TMT", "fg", ONES, setting="aligned")]
    given = found_pairs(*cells, asked=Contrast(Side("original", "LMF"), Side("fg", "TMT")))
    assert given == [("toy", "aligned", "regression", "LMF", "original", "TMT", "fg")]


def test_a_model_with_two_settings_is_a_base_once() -> None:
    cells = [
        *(made.rows("LMF", "original", ONES, setting=setting) for setting in ("unaligned", "aligned")),
        made.rows("TMT", "original", ONES),
    ]
    (pair,) = pairs(cells_of(made.frame(*cells)), Contrast(Side("original", "LMF")))
    assert pair.base is not None
    assert pair.base.names["setting"] == "unaligned"


def test_two_variants_of_one_model_can_be_named() -> None:
    given = found_pairs(*every(), asked=Contrast(Side("v", "LMF"), Side("fg", "LMF")))
    assert {row[3:] for row in given} == {("LMF", "v", "LMF", "fg")}
    assert len(given) == 2 * 2


def test_a_missing_baseline_is_no_crash() -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"))
    results, store = made.results(plan)
    for run in plan.cells[0].runs:
        store.records.pop(run.run_id)
    values = results.values[results.values["variant"] == "fg"]
    found = contrasts(values)
    assert len(found) == values["metric"].nunique()
    assert set(found["n"]) == {0}
    assert found[["mean", "p", "holm", "q", "low", "high", "d", "exact", "floor"]].isna().all().all()
    assert set(found["verdict"]) == {"cannot tell"}
    assert set(found["family"]) == {0}
    assert set(found["note"]) == {"no pairs"}
    results = type(results)(values, results.runs, results.skipped, {}, predictions=results.predictions)
    cells, differences = intervals(results, [Contrast()], resamples=100)
    assert len(cells) == len(found)
    assert differences.empty
    assert second_level(results, resamples=100).empty


def test_seeds_of_one_side_alone_are_no_pair() -> None:
    cells = made.frame(
        made.rows("LMF", "original", ONES[:3], seeds=(1, 2, 3)), made.rows("LMF", "fg", ONES[:3], seeds=(4, 5, 6))
    )
    row = made.only(contrasts(cells))
    assert (row["n"], row["note"], row["verdict"]) == (0, "no pairs", "cannot tell")
    assert math.isnan(row["mean"])


class TestAliases:
    """Where one modality alone is split, -fg and -a (or -v) are the same runs."""

    CELLS = (
        *(
            made.rows(model, "original", [x + shift for x in ONES])
            for model, shift in zip(MODELS, (0, 1, 2), strict=True)
        ),
        *(
            made.rows(model, variant, numbers, alias_of=alias, duplicate=bool(alias))
            for model, numbers in FINE.items()
            for variant, alias in (("fg", ""), ("a", "fg"))
        ),
    )
    VALUES = made.frame(*CELLS)

    def test_the_second_name_carries_the_figures_of_the_first(self) -> None:
        found = contrasts(self.VALUES)
        first, second = (found[found["variant"] == name].reset_index(drop=True) for name in ("fg", "a"))
        assert len(first) == len(second) == len(MODELS)
        assert second["duplicate"].all()
        assert not first["duplicate"].any()
        named = ["variant", "alias_of", "duplicate", "contrast"]
        assert first.drop(columns=named).equals(second.drop(columns=named))
        assert set(found["family"]) == {len(MODELS)}
        assert first["holm"].notna().all()

    def test_one_family_is_made_of_them(self) -> None:
        alone = contrasts(self.VALUES[self.VALUES["variant"] != "a"])
        both = contrasts(self.VALUES)
        assert both[~both["duplicate"]]["holm"].to_list() == alone["holm"].to_list()

    def test_asked_for_by_its_second_name_it_is_no_duplicate(self) -> None:
        found = contrasts(self.VALUES, Contrast(b=Side("a")))
        assert set(found["variant"]) == {"a"}
        assert not found["duplicate"].any()
        wanted = contrasts(self.VALUES, Contrast(b=Side("fg")))
        assert found["holm"].to_list() == wanted["holm"].to_list()
        assert set(found["family"]) == {len(MODELS)}

    @pytest.mark.parametrize(("a", "b"), [("fg", "a"), ("a", "fg")])
    def test_against_each_other_they_are_the_same_runs(self, a: Variant, b: Variant) -> None:
        found = contrasts(self.VALUES, Contrast(Side(a), Side(b)))
        assert len(found) == len(MODELS)
        assert set(found["note"]) == {"the same runs"}
        assert set(found["n"]) == {0}
        assert set(found["verdict"]) == {"cannot tell"}
        assert not found["significant"].any()
        assert found["p"].isna().all()

    def test_they_do_not_enter_the_family_of_a_real_comparison(self) -> None:
        apart = made.frame(
            *self.CELLS,
            *(
                made.rows("TFN", variant, numbers)
                for variant, numbers in (("original", ONES), ("fg", ONES[::-1]), ("a", [0.1, 0.1, 0.2, 0.2, 0.2]))
            ),
        )
        found = contrasts(apart, Contrast(Side("fg"), Side("a")))
        real = made.only(found, model="TFN")
        assert (real["family"], real["holm"]) == (1, real["p"])
        assert set(found.loc[found["model"] != "TFN", "family"]) == {1}
        assert found.loc[found["model"] != "TFN", "holm"].isna().all()

    def test_named_with_their_model_they_are_the_same_runs_too(self) -> None:
        row = made.only(contrasts(self.VALUES, Contrast(Side("fg", "LMF"), Side("a", "LMF"))))
        assert (row["note"], row["n"]) == ("the same runs", 0)

    def test_no_interval_and_no_test_over_items_is_made_of_them_twice(self) -> None:
        plan = fakes.plan([fakes.dataset(vision_groups=False)], models=("LMF", "TFN"))
        results, _ = made.results(plan)
        assert set(intervals(results, [Contrast()], resamples=100)[1]["variant"]) == {"fg"}
        assert set(second_level(results, resamples=100)["variant"]) == {"fg"}
        same = Contrast(Side("fg"), Side("a"))
        assert intervals(results, [same], resamples=100)[1].empty
        assert second_level(results, same, resamples=100).empty


class TestSides:
    """What can be written after --a and --b."""

    @pytest.mark.parametrize(
        ("text", "side"),
        [
            *((variant, Side(variant)) for variant in fakes.VARIANTS),
            ("LMF", Side("original", "LMF")),
            ("LF-DNN", Side("original", "LF-DNN")),
            ("LF-DNN-a", Side("a", "LF-DNN")),
            ("MLF-DNN-v", Side("v", "MLF-DNN")),
            ("LMF-fg", Side("fg", "LMF")),
        ],
    )
    def test_every_spelling(self, text: str, side: Side) -> None:
        assert parse_side(text, MODELS, option="--a") == side
        assert str(side) == text

    @pytest.mark.parametrize("text", ["", "LMF-original", "lmf", "LMF-", "-fg", "LMF-fg-a", "TFN", "FG", "LMF fg"])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(InputError) as caught:
            parse_side(text, MODELS, option="--b")
        assert repr(text) in caught.value.what or f"'{text}'" in caught.value.what
        assert caught.value.where == "--b"
        for word in (*MODELS, *fakes.VARIANTS):
            assert word in str(caught.value.hint)

    def test_names_are_written_as_in_the_paper(self) -> None:
        assert [cell_name("LMF", variant) for variant in fakes.VARIANTS] == ["LMF", "LMF-fg", "LMF-a", "LMF-v"]

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            (Side("original"), Side("original")),
            (Side("fg", "LMF"), Side("fg", "LMF")),
            (Side("original"), Side("fg", "LMF")),
            (Side("original", "LMF"), Side("fg")),
        ],
    )
    def test_sides_that_make_no_sense_together(self, a: Side, b: Side) -> None:
        with pytest.raises(ValueError, match=r"compared with"):
            Contrast(a, b)


def test_cells_are_the_groups_of_the_values() -> None:
    results, _ = made.results(fakes.plan([fakes.dataset("one", vision_groups=False), fakes.dataset("two")]))
    values = results.values.sample(frac=1, random_state=1)
    groups = dict(iter(values.groupby(CELL, sort=False)))
    cells = cells_of(values)
    assert [tuple(cell.names.values()) for cell in cells] == list(groups)
    for cell in cells:
        block = groups[tuple(cell.names.values())]
        assert list(cell.names) == CELL
        assert list(cell.runs) == sorted(set(block["seed"]))
        assert cell.runs == dict(zip(block["seed"], block["run_id"], strict=True))
        assert list(cell.values) == list(dict.fromkeys(block["metric"]))
        for metric, found in cell.values.items():
            rows = block[block["metric"] == metric].set_index("seed")
            pd.testing.assert_series_equal(found, rows["value"], check_exact=True)
            assert cell.higher_is_better[metric] == rows["higher_is_better"].iloc[0]
