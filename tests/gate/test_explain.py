from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from scipy import stats

from harness.errors import InputError
from harness.gate.explain import Sight, seeds_for, sights
from harness.gate.samples import meeting
from harness.spec import GateOptions
from harness.statistics import detectable_drift
from tests.gate import made

ONE = GateOptions(metrics=("Acc-5",))
SD = 0.0038729833462074204
"""Of `made.NOISE`: 0.003873."""


def seen(
    options: GateOptions = ONE, seeds: Sequence[int] = made.OTHER_SEEDS, margin: float | None = None, power: float = 0.8
) -> list[Sight]:
    return list(sights(made.baseline(), options, seeds, margin=margin, power=power))


@pytest.mark.parametrize(
    ("seeds", "wanted"),
    [
        *((made.SEEDS, (5, 5, True)), (made.OTHER_SEEDS, (5, 5, False)), (made.SEEDS[:2], (2, 2, True))),
        *((made.SEEDS[:1], (5, 1, False)), ((*made.SEEDS, 1, 2), (5, 5, True)), ((*made.SEEDS[:2], 9), (5, 3, False))),
    ],
)
def test_seeds_meet_as_the_judge_lets_them_meet(seeds: tuple[int, ...], wanted: tuple[int, int, bool]) -> None:
    assert meeting(made.baseline().seeds, seeds) == wanted
    asked = made.plan(seeds=seeds, gate={"metrics": ["Acc-5"]})
    with made.few_draws():
        (row,) = made.judged(made.moved(-0.001), asked=asked, reference=made.plan()).rows
    assert row.found is not None
    assert (row.found.n_reference, row.found.n_new) == wanted[:2]
    assert (len(row.found.tests) == 2) == wanted[2]


def test_what_is_seen_of_one_metric_is_the_noncentral_ts() -> None:
    (row,) = seen(GateOptions(metrics=("Acc-5",), floors={"*": 0.0}))
    assert (row.cell, row.metric, row.floor) == ("/".join(made.PLACE), "Acc-5", 1 / made.TEST)
    assert row.sd == pytest.approx(SD)
    power = float(stats.nct.sf(stats.t.isf(0.01, 8), 8, row.shift / SD * math.sqrt(5 / 2)))
    assert power == pytest.approx(0.8, abs=0.03)


def test_all_metrics_share_the_level() -> None:
    everything = seen(GateOptions())
    assert [row.metric for row in everything] == sorted(row.metric for row in everything)
    assert len(everything) == 9
    wanted = detectable_drift(5, 5, 0.01 / 9, paired=False, floor=0.005 / SD)
    for row in everything:
        assert row.shift / row.sd == pytest.approx(wanted, rel=0.02)


def test_a_large_floor_is_what_a_loss_must_pass() -> None:
    (row,) = seen(GateOptions(metrics=("Acc-5",), floors={"Acc-5": 10 * SD}))
    assert row.floor == 10 * SD
    assert row.shift == pytest.approx((10 + stats.norm.ppf(0.8) * math.sqrt(2 / 5)) * SD, rel=5e-3)


def test_more_power_and_fewer_runs_see_only_the_larger_losses() -> None:
    plain = seen()[0].shift
    assert seen(power=0.95)[0].shift > plain
    assert seen(seeds=made.SEEDS[:2])[0].shift > 1.5 * plain


def test_a_spread_that_was_never_seen_leaves_the_floor() -> None:
    still = made.baseline(value=lambda *_: 0.75)
    (row,) = sights(still, ONE, made.SEEDS)
    assert (row.sd, row.shift) == (0.0, 0.005)
    one = made.baseline(made.plan(seeds=[1111]))
    (row,) = sights(one, ONE, made.SEEDS)
    assert math.isnan(row.sd)
    assert math.isnan(row.shift)


def test_a_metric_that_was_never_defined_has_no_numbers() -> None:
    (row,) = sights(made.baseline(value=lambda *_: math.nan), ONE, made.SEEDS)
    assert math.isnan(row.mean)
    assert math.isnan(row.shift)


@pytest.mark.parametrize("shift", [1.0, 1.5, 3.0])
def test_the_seeds_that_are_asked_for_are_enough_and_one_less_is_not(shift: float) -> None:
    n = seeds_for(shift, 0.01)
    assert n is not None

    def power(seeds: int) -> float:
        critical = stats.t.isf(0.01, 2 * seeds - 2)
        return float(stats.nct.sf(critical, 2 * seeds - 2, shift * math.sqrt(seeds / 2)))

    # The simulation is good to a percent, and Welch's t asks for a little more where runs are few.
    assert power(n) > 0.79
    assert power(n - 2) < 0.8


def test_a_loss_that_no_number_of_seeds_finds_has_none() -> None:
    assert seeds_for(0.05, 0.01) is None
    assert seen(margin=1e-6)[0].seeds is None


def test_no_more_than_200_seeds_are_proposed() -> None:
    assert seeds_for(0.295, 0.01) is None


def test_a_wished_margin_comes_with_its_seeds_and_none_within_the_floor() -> None:
    (row,) = seen(margin=0.008)
    assert row.seeds == seeds_for(float(f"{0.008 / SD:.2g}"), 0.01)
    assert seen(margin=0.005)[0].seeds is None
    assert seen()[0].seeds is None


def test_the_seeds_of_a_margin_near_the_floor_are_enough_to_pass_the_floor() -> None:
    options = GateOptions(metrics=("Acc-5",), floors={"Acc-5": 0.01})
    (row,) = seen(options, margin=0.0105)
    assert row.seeds is None or (
        detectable_drift(row.seeds, row.seeds, 0.01, paired=False, floor=0.01 / SD) * SD <= 0.0105 * 1.02
    )


@pytest.mark.parametrize("power", [0.0, 0.01, 1.0, 1.5, math.nan])
def test_a_power_that_makes_no_sense_is_refused(power: float) -> None:
    with pytest.raises(InputError, match="power") as told:
        seen(power=power)
    assert told.value.where == "--power"


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_margin_that_makes_no_sense_is_refused(margin: float) -> None:
    with pytest.raises(InputError, match="margin") as told:
        seen(margin=margin)
    assert told.value.where == "--margin"


def test_metrics_that_the_baseline_lacks_are_refused() -> None:
    with pytest.raises(InputError, match=r"gate\.metrics"):
        seen(GateOptions(metrics=("F1-3",)))


def test_cells_come_as_in_tables_the_original_first() -> None:
    known = made.baseline(made.plan(models=("TFN", "LF-DNN"), variants=("v", "fg", "a", "original")))
    cells = [row.cell.split("/")[-2:] for row in sights(known, ONE, made.SEEDS)]
    each = [[model, variant] for model in ("LF-DNN", "TFN") for variant in ("original", "fg", "a", "v")]
    assert cells == [["*", "*"], *each]
