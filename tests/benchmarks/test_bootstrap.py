"""The benchmark of the intervals: that both sides do the same work."""

from __future__ import annotations

import pytest

from benchmarks.bootstrap import METRICS, Timing, as_table, loop, made_up, measure
from harness.statistics import two_level_bootstrap
from harness.tallies import tallies


def test_the_loop_is_the_same_bootstrap() -> None:
    label, [arms] = made_up(1, 4, 150)
    looped = loop(label, arms, 400)
    ours = [tallies("regression", "mosei", label, arm) for arm in arms]
    for name in METRICS:
        drawn = sorted(one[name] for one in looped)
        interval = two_level_bootstrap(ours[0][name], ours[1][name], resamples=4000)
        width = interval.bootstrap_high - interval.bootstrap_low
        assert drawn[9] == pytest.approx(interval.bootstrap_low, abs=0.25 * width), name
        assert drawn[389] == pytest.approx(interval.bootstrap_high, abs=0.25 * width), name


def test_ratios_are_per_comparison_and_resample() -> None:
    timing = Timing(10, 100, 5, 50, seconds=2.0, loop_resamples=4, loop_seconds=8.0)
    assert timing.ratio == pytest.approx(0.001)
    assert as_table(timing).splitlines()[-1] == "| 10 | 6 | 100 | 5 | 50 | 2.0 | 2000.0 | 1/1,000 |"


def test_a_small_measurement_runs() -> None:
    timing = measure(2, 3, 40, 50, 2)
    assert timing.seconds > 0
    assert timing.loop_seconds > 0
