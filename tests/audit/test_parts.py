"""The arithmetic under the bounds, against enumeration and the metrics themselves."""

from __future__ import annotations

import itertools
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from harness.audit.classes import TEST_CLASSES, definition_of
from harness.audit.costs import Counted, printed_costs
from harness.audit.finding import rounded
from harness.audit.seeds import printable
from harness.audit.two_classes import f1_range
from harness.metrics import weighted_f1
from harness.published import load

SLACK = 1.1e-4


@pytest.mark.parametrize("by_predictions", [False, True])
def test_every_confusion_matrix_is_in_range_and_the_ends_are_reached(by_predictions: bool) -> None:
    truth = np.repeat([0, 1], [7, 4])
    scores: dict[float, list[float]] = {}
    for right, wrong in itertools.product(range(8), range(5)):
        pred = np.concatenate([np.repeat([0, 1], [right, 7 - right]), np.repeat([0, 1], [wrong, 4 - wrong])])
        f1 = weighted_f1(pred, truth) if by_predictions else weighted_f1(truth, pred)
        scores.setdefault(float(np.mean(truth == pred)), []).append(f1)
    spans = {share: f1_range(7, 4, share, by_predictions=by_predictions) for share in scores}
    assert all(spans[share][0] <= f1 <= spans[share][1] for share, found in scores.items() for f1 in found)
    reached = sum(max(found) >= spans[share][1] - 3 * SLACK for share, found in scores.items())
    assert reached >= 3
    assert spans[1.0] == pytest.approx((1.0, 1.0), abs=3 * SLACK)


def test_the_defective_score_has_no_second_class() -> None:
    # All of the first class right, some or none of the second taken for it: 2 w^2 / (1 + w) to w.
    low, high = f1_range(6, 4, 0.6, defect=True)
    assert (low, high) == pytest.approx((0.45, 0.6), abs=1e-3)


@pytest.mark.parametrize(("count", "seeds"), [(3, 2), (7, 3), (46, 2)])
def test_printable_is_what_enumeration_prints(count: int, seeds: int) -> None:
    one = [round(right / count, 4) for right in range(count + 1)]
    wanted = {
        f"{round(float(np.mean(values)) * 100, 2):.2f}"
        for values in itertools.combinations_with_replacement(one, seeds)
        # a mean half-way between two prints goes either way in binary; printable allows both
        if round(sum(values) * 10_000) % seeds * 2 != seeds
    }
    could = {f"{Decimal(p) / 100:.2f}" for p in range(10_001) if printable(Decimal(p) / 100, count, seeds)}
    assert wanted <= could
    assert len(could) <= 2 * len(wanted) + 2 * count
    if seeds % 2:
        assert could == wanted


@pytest.mark.parametrize(("count", "reached"), [(457, 4064), (388, 3435), (4659, 10_001), (3634, 10_001)])
def test_how_many_percentages_five_seeds_reach(count: int, reached: int) -> None:
    assert sum(printable(Decimal(p) / 100, count) for p in range(10_001)) == reached


def test_class_counts_add_up_to_the_test_splits() -> None:
    for dataset, classes in TEST_CLASSES.items():
        samples = definition_of(dataset).samples
        assert samples is not None
        assert classes.total == samples["test"]


def test_halves_are_rounded_away_from_zero() -> None:
    assert [str(rounded(Fraction(n, 200), 2)) for n in (1, -1, 3, -3, 2)] == ["0.01", "-0.01", "0.02", "-0.02", "0.01"]


@pytest.mark.parametrize(
    ("text", "count", "wanted"),
    [
        ("2.11×10^9", 2_115_543_040, "2.12×10^9"),
        ("1.36×10^{11}", 136_529_967_616, "1.37×10^{11}"),
        ("9.98×10^9", 9_996_000_000, "1.00×10^{10}"),
    ],
)
def test_a_count_is_written_like_the_printed_one(text: str, count: int, wanted: str) -> None:
    key = ("mosei", "TFN", "fg")
    tables = load().reprinted(4, ("TFN", "fg", "reproduction"), "FLOPs", text)
    (params,) = [
        c.value for c in tables.cells if c.own and c.table == 4 and c.row == "#TFN-fg" and c.column == "Params"
    ]
    assert params is not None
    (finding,) = printed_costs(tables, {key: Counted(int(params), count, {})})
    assert (finding.printed, finding.expected) == (text, wanted)
    assert f"{count:,}" in finding.why
