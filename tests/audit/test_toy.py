"""No rule objects to tables that are what they claim to be."""

from __future__ import annotations

import functools
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit import RULES, Rule, audit
from harness.audit.deltas import deltas
from harness.published import Tables
from tests.audit.toy import MODEL, ORIGINAL, signed, simulate

FG = (MODEL, "fg", "reproduction")
DELTA = (MODEL, "fg", "delta")


@functools.cache
def toy() -> Tables:
    return simulate(0)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_is_silent_on_consistent_tables(rule: Rule) -> None:
    assert list(rule(toy())) == []


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 2**32))
def test_no_bound_is_broken_by_simulated_runs(seed: int) -> None:
    assert audit(simulate(seed)) == ()


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 2**32))
def test_mmsas_defective_columns_break_the_definition_and_nothing_else(seed: int) -> None:
    found = audit(simulate(seed, defect=True))
    assert {(finding.kind, finding.table) for finding in found} <= {("definition", 6), ("definition", 7)}


def test_the_defect_is_seen_where_models_are_good() -> None:
    found = audit(simulate(3, defect=True))
    assert [(f.kind, f.table, f.row, f.column, f.severity) for f in found] == [
        ("definition", 6, "2 of 2 rows", "Acc-2/non-0", "error"),
        ("definition", 7, "2 of 2 rows", "Acc-2/non-0", "error"),
    ]


def test_a_mean_over_four_seeds_is_told_from_five() -> None:
    found = audit(simulate(0, seeds=4))
    assert {finding.kind for finding in found} == {"seed-mean"}
    assert {finding.severity for finding in found} == {"warning"}  # the assumption is not borne out


scores = st.decimals(0, 100, places=2)


@settings(deadline=None)
@given(scores, scores, st.integers(-30, 30))
def test_differences_of_scores(old: Decimal, new: Decimal, shift: int) -> None:
    exact = new - old
    tables = toy().reprinted(5, ORIGINAL, "Acc-3", str(old)).reprinted(5, FG, "Acc-3", str(new))
    tables = tables.reprinted(5, DELTA, "Acc-3", signed(exact + shift * Decimal("0.01")))
    severity = {0: [], 1: ["warning"]}.get(abs(shift), ["error"])
    assert [finding.severity for finding in deltas(tables)] == severity


counts = st.tuples(st.integers(100, 999), st.integers(3, 12))


@settings(deadline=None)
@given(counts, st.integers(100, 999))
def test_growth_in_percent(old: tuple[int, int], new: int) -> None:
    digits, power = old
    growth = (Decimal(new) / Decimal(digits) - 1) * 100
    printed = growth.quantize(Decimal("0.01"), rounding="ROUND_HALF_UP")

    def table(number: Decimal) -> Tables:
        tables = toy().reprinted(5, ORIGINAL, "Params", f"{Decimal(digits) / 100:.2f}×10^{power}")
        tables = tables.reprinted(5, FG, "Params", f"{Decimal(new) / 100:.2f}×10^{power}")
        return tables.reprinted(5, DELTA, "Params", f"{signed(number)}%")

    assert list(deltas(table(printed))) == []
    # Half a unit of three digits in either number moves the growth by less than 20 points.
    assert [finding.severity for finding in deltas(table(printed + 20))] == ["error"]
