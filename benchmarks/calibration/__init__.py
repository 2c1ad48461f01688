"""Whether the harness's verdicts and intervals keep their error rates, where the truth is known.

Simulated studies (`simulation`) go through the harness's own functions: daggers by `harness.comparison.contrasts` on a
frame of values, intervals by `harness.statistics.two_level_bootstraps`. ``python -m benchmarks.calibration --write``
puts the figures where the reports show them. Promised, and checked: without an effect, with normal seed noise, at most
5 % of families get a dagger; with 457 utterances and a seed sd of up to 2.5 points, at least 93 % of the intervals hold
the truth.

The JSON (`figures`) holds ``settings`` and a list of rows for each part; a rate is an object of ``count``, ``of``,
``rate`` and the bounds ``low`` and ``high``.

| part | a row is | fields |
|---|---|---|
| ``stars`` | a setting and a metric | `stars.FamilyRates`; ``detectable``: the mean delta found with power 0.8 |
| ``coverage`` | a setting, a metric, what of | `coverage.Coverage`; ``by_t``: share shown as t over seeds |
| ``methods`` | a method and a setting | `naive.MethodRate` |
| ``power`` | a number of seeds and an effect | `power.Power` |
| ``floors`` | a number of seeds | `power.floors` |
"""
