"""Judgements follow from the printed cells: change the cells, and they change."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from harness.published import Cell, Claim, Printed, Tables, load, parse
from harness.reanalysis import Judged, Support, effects, judge
from harness.reanalysis.claims import JUDGES
from harness.reanalysis.over_models import Material
from tests.reanalysis.tools import ENOUGH, changed, judged, own_values

OWN = "reproduction"
Edit = Callable[[Tables], Tables]
Row = tuple[int, tuple[str, str, str], str, str]


@functools.cache
def paper() -> dict[str, Judged]:
    return {one.claim.id: one for one in judge(load())}


def cells(*edits: Row) -> Edit:
    """Print other texts."""

    def edit(tables: Tables) -> Tables:
        for table, row, column, text in edits:
            tables = tables.reprinted(table, row, column, text)
        return tables

    return edit


def fg_is(better: int, *numbers: int, variant: str = "fg", base: str = "original") -> Edit:
    """Make a variant better (1), as good (0) or worse (-1) than another one, beyond doubt."""

    def edit(tables: Tables) -> Tables:
        before = own_values(tables)

        def new(cell: Cell) -> Decimal | None:
            if not (cell.own and cell.variant == variant and cell.table in numbers and cell.column in ENOUGH):
                return None
            old = before.get((cell.table, cell.model, base, cell.metric))
            return None if old is None else old + better * Decimal(ENOUGH[cell.column])

        return changed(tables, new)

    return edit


def originals_as_taken_over(tables: Tables) -> Tables:
    taken = {
        (cell.table, cell.model, cell.metric): cell.value for cell in tables.cells if cell.source in ("mmsa", "paper")
    }
    return changed(
        tables,
        lambda cell: (
            taken.get((cell.table, cell.model, cell.metric)) if cell.own and cell.variant == "original" else None
        ),
    )


def setting(model: str, name: str) -> Edit:
    def edit(tables: Tables) -> Tables:
        return replace(
            tables,
            cells=tuple(replace(c, setting=name) if c.model == model and c.setting else c for c in tables.cells),
        )

    return edit


def total_of(dataset: str, text: str) -> Edit:
    return lambda tables: replace(
        tables, sizes=tuple(replace(s, total=number(text)) if s.dataset == dataset else s for s in tables.sizes)
    )


def train_of(dataset: str, text: str) -> Edit:
    return lambda tables: replace(
        tables, sizes=tuple(replace(s, train=number(text)) if s.dataset == dataset else s for s in tables.sizes)
    )


def width_of(modality: str, text: str) -> Edit:
    return lambda tables: replace(
        tables,
        sub_features=tuple(
            replace(row, dimension=number(text)) if (row.dataset, row.modality) == ("sims", modality) else row
            for row in tables.sub_features
        ),
    )


def named(modality: str, count: int) -> Edit:
    return lambda tables: replace(
        tables,
        sub_features=tuple(
            replace(row, names=("X",) * count) if (row.dataset, row.modality) == ("sims", modality) else row
            for row in tables.sub_features
        ),
    )


def scored(example: int, arm: str, text: str) -> Edit:
    def edit(tables: Tables) -> Tables:
        return replace(
            tables,
            cases=tuple(
                replace(case, **{arm: replace(getattr(case, arm), value=number(text))})
                if case.number == example
                else case
                for case in tables.cases
            ),
        )

    return edit


def number(text: str) -> Printed:
    found = parse(text)
    assert found is not None
    return found


# What the paper's own tables say, read off them by eye or counted by hand where a number is exact.
PAPER: dict[str, Support] = {
    "abstract-all": "not supported",
    "typical": "partly supported",
    "mosei-significant": "not supported",
    "mosei-classification": "cannot be told",
    "mosei-largest": "supported",
    "mosei-fine": "partly supported",
    "mosei-aligned": "supported",
    "sims-all": "partly supported",
    "sims-richer": "partly supported",
    "sims-classification": "partly supported",
    "fine-others": "not supported",
    "intro-existing": "partly supported",
    "reproduction": "not supported",
    "parameters-grow": "supported",
    "cost-advantage": "not supported",
    "audio-alone": "not supported",
    "vision-alone": "supported",
    "vision-above-audio": "supported",
    "both-below-vision": "not supported",
    "distinct": "cannot be told",
    "mult-best": "supported",
    "conclusion-several": "cannot be told",
}


@pytest.mark.parametrize(("name", "support"), PAPER.items())
def test_the_paper(name: str, support: Support) -> None:
    assert paper()[name].support == support


def test_every_number_that_the_text_repeats_stands_in_the_tables() -> None:
    kinds = {"numbers", "count", "sum", "extremes", "exceed", "top"}
    repeated = [one for one in paper().values() if one.claim.kind in kinds]
    assert len(repeated) > 12
    assert {one.support for one in repeated} == {"supported"}


def test_every_claim_is_judged_in_order_with_reasons() -> None:
    assert [one.claim for one in paper().values()] == list(load().claims)
    for one in paper().values():
        assert one.evidence
        assert one.strength
        assert all(words.strip() and "nan" not in words for words in (*one.evidence, one.strength))


LF4, LF5 = (4, ("LF-DNN", "fg", OWN)), (5, ("LF-DNN", "fg", OWN))
TMT4 = (4, ("TMT", "fg", OWN))

CHANGES: list[tuple[str, Edit, Support]] = [
    # Numbers, counts and ranks.
    ("sims-accuracy-by", cells((5, ("TFN", "fg", OWN), "Acc-2", "79.86")), "partly supported"),
    ("sims-accuracy-by", cells((5, ("TFN", "fg", OWN), "Acc-2", "–")), "partly supported"),
    ("lf-dnn-by", cells((*LF5, "Acc-3", "66.12"), (*LF5, "Acc-5", "41.76")), "contradicted"),
    ("mosei-largest", cells((4, ("TETFN", "fg", OWN), "Acc-2", "82.20/85.11")), "contradicted"),
    ("mult-highest", cells((7, ("TFN", "fg", OWN), "F1", "83.06/54.69")), "partly supported"),
    ("acc5-range", cells((5, ("MFN", "fg", OWN), "Acc-5", "40.25")), "partly supported"),
    ("acc5-others", cells((5, ("TETFN", "fg", OWN), "Acc-5", "43.90")), "partly supported"),
    (
        "mult-best",
        cells((5, ("MulT", "fg", OWN), "Acc-2", "75.00"), (5, ("MulT", "fg", OWN), "F1", "75.00")),
        "contradicted",
    ),
    ("mosei-aligned", setting("TMT", "unaligned"), "partly supported"),
    ("mult-unaligned", setting("MulT", "aligned"), "contradicted"),
    ("sims-clips", total_of("sims", "2,282"), "contradicted"),
    ("sims-widths", width_of("audio", "34"), "partly supported"),
    ("sims-vision-sum", width_of("vision", "710"), "partly supported"),
    ("sims-audio-sum", named("audio", 4), "partly supported"),
    # Single cells without a number in the text.
    (
        "sims-classification",
        cells((7, ("LMF", "fg", OWN), "Acc-3", "67.67"), (7, ("LMF", "fg", OWN), "F1-3", "63.60")),
        "supported",
    ),
    ("sims-classification", cells((7, ("LMF", "fg", OWN), "Acc-2", "76.15/57.42")), "not supported"),
    ("sims-classification", fg_is(-1, 7), "contradicted"),
    ("fine-others", fg_is(-1, 4), "contradicted"),  # seven of seven models: p = 2 ** -6
    ("fine-others", fg_is(0, 4), "not supported"),
    ("abstract-all", fg_is(1, 4, 5, 6, 7), "supported"),
    ("lf-dnn-limited", cells((*LF5, "Acc-2", "81.00")), "not supported"),
    ("lf-dnn-limited", cells((*LF5, "Acc-2", "77.58")), "partly supported"),
    ("lf-dnn-limited", cells((*LF5, "Acc-2", "77.58"), (*LF5, "Acc-5", "37.00")), "contradicted"),
    ("lf-dnn-limited", cells((*LF5, "Acc-2", "–")), "cannot be told"),
    ("reproduction", originals_as_taken_over, "supported"),
    ("parameters-grow", cells((*LF5, "Params", "6.35×10^5")), "partly supported"),
    (
        "cost-advantage",
        cells((*LF4, "Params", "5.73×10^5"), (*TMT4, "Params", "4.48×10^6"), (*TMT4, "FLOPs", "4.56×10^9")),
        "partly supported",
    ),
    ("sims-smaller", train_of("sims", "16,327"), "contradicted"),
    ("sims-richer", named("vision", 11), "supported"),
    ("case-polarity", scored(1, "original", "−0.02"), "contradicted"),
    ("case-intensity", scored(2, "fg", "−0.83"), "partly supported"),
    # Tests over models.
    ("typical", fg_is(1, 4, 5, 6, 7), "supported"),
    ("typical", fg_is(0, 4, 5, 6, 7), "not supported"),
    ("typical", fg_is(-1, 4, 5, 6, 7), "contradicted"),
    ("sims-two-class", fg_is(-1, 5), "contradicted"),
    ("mosei-classification", fg_is(1, 6), "cannot be told"),  # seven rows could not, whatever they are
    ("audio-alone", fg_is(1, 8, variant="a"), "supported"),
    ("vision-above-audio", fg_is(-1, 8, variant="v", base="a"), "contradicted"),
    ("both-below-vision", fg_is(-1, 8, base="v"), "supported"),
    ("both-below-vision", fg_is(1, 8, base="v"), "contradicted"),
    ("sims-more", fg_is(1, 5, 7), "supported"),
    ("sims-more", fg_is(1, 4, 6), "contradicted"),
    # Nothing printed decides these.
    ("distinct", fg_is(1, 4, 5, 6, 7), "cannot be told"),
    ("conclusion-several", fg_is(-1, 4, 5, 6, 7), "cannot be told"),
]


@pytest.mark.parametrize(("name", "edit", "support"), CHANGES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CHANGES)])
def test_changed_cells_change_the_judgement(name: str, edit: Edit, support: Support) -> None:
    before, after = paper()[name], judged(edit(load()), name)
    assert after.support == support
    if before.claim.kind != "untold":
        assert after.evidence != before.evidence


def test_every_kind_of_judge_is_seen_to_change() -> None:
    kinds = {claim.id: claim.kind for claim in load().claims}
    changed_kinds = {kinds[name] for name, _, support in CHANGES if support != paper()[name].support}
    assert changed_kinds == set(JUDGES) - {"untold"}


def test_exceptions_are_named() -> None:
    words = " ".join(paper()["sims-classification"].evidence)
    assert "30 of 32 cells improve, 2 decline" in words
    assert "LMF Acc-3 -0.09 (Table 7), LMF F1-3 -1.25 (Table 7)" in words
    assert "Acc-3 TMT; Acc-5 TETFN" in " ".join(paper()["mult-best"].evidence)


def test_a_majority_the_other_way_that_may_be_chance_is_no_contradiction() -> None:
    # Three of the seven models decline in more metrics than they improve in, and two improve in more.
    assert "6 of 14 cells improve, 7 decline, 1 stay the same." in paper()["fine-others"].evidence
    assert "1 of the 14 changes of an accuracy is smaller than one test utterance." in paper()["fine-others"].strength


def test_several_metrics_are_enough_where_no_table_is_left_out() -> None:
    # In Table 8, Acc-2 and F1 are better with -v than with -a, MAE and Corr could be chance.
    assert sum(words.endswith(": better.") for words in paper()["vision-above-audio"].evidence) == 2
    # One table of two that can tell: Table 5 has five such metrics, Table 4 none.
    assert judged(fg_is(0, 4)(load()), "intro-existing").support == "partly supported"
    assert judged(fg_is(1, 4)(load()), "intro-existing").support == "supported"


def test_what_more_tables_at_once_would_leave_is_said() -> None:
    # Ten improvements of ten give 2 ** -9; over 22 tests Holm makes 0.043 of it.
    assert "Holm over all 22 tests at once, instead of table by table, leaves 3." in paper()["typical"].evidence


def test_the_ratio_of_mean_improvements() -> None:
    # 15.67 and 3.56 points in all, added up by hand from Table 8.
    assert "Over the original, Acc-2: -v +1.57 points, -a +0.36 points, 4.4 times as much." in (
        paper()["vision-above-audio"].evidence
    )


def test_the_smallest_p_is_in_the_strength() -> None:
    assert "Table 6: 7 models, whose smallest possible p after Holm is 0.0938." in (
        paper()["mosei-classification"].strength
    )


def test_a_stricter_level_leaves_less() -> None:
    assert (
        Counter(one.support for one in judge(load(), 0.001))["supported"]
        < Counter(one.support for one in paper().values())["supported"]
    )


NOTHING_IS_WRONG = {"numbers", "count", "sum", "setting"}
"""Kinds that state what must be there: nothing in its place is another number."""


def test_absent_rows_leave_nothing_to_judge() -> None:
    empty = replace(load(), cells=(), sizes=(), sub_features=(), cases=())
    supports = {one.claim.id: one.support for one in judge(empty) if one.claim.kind not in NOTHING_IS_WRONG}
    assert set(supports.values()) == {"cannot be told"}
    assert len(supports) > 20


def test_a_claim_without_its_contrast_is_refused() -> None:
    (claim,) = (claim for claim in load().claims if claim.id == "typical")
    material = Material(load(), effects(load()), 0.05)
    broken: Claim = replace(claim, variant=None)
    with pytest.raises(ValueError, match="typical names no contrast"):
        JUDGES[claim.kind](material, broken)
