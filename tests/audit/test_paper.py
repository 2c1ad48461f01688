"""The paper's own tables: what the rules find there, and findings that come and go with single printed cells."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from harness.audit import SEVERITIES, Finding, audit, count_costs, printed_costs
from harness.audit.costs import CostKey, Counted
from harness.published import Tables, load, own_results, parse

OWN, DELTA, MMSA = "reproduction", "delta", "mmsa"
Edit = Callable[[Tables], Tables]


@functools.cache
def found() -> tuple[Finding, ...]:
    return audit(load())


def brief(findings: tuple[Finding, ...]) -> Counter[tuple[str, int, str, str]]:
    return Counter((f.kind, f.table, f.row, f.column) for f in findings)


def test_errors_and_warnings_in_the_paper() -> None:
    assert [(f.severity, f.kind, f.table, f.row, f.column, f.printed, f.expected) for f in found()][:8] == [
        ("error", "nested", 4, "#Graph-MFN-fg", "Acc-5", "52.74", "at least 52.92"),
        ("error", "delta", 5, "Δ_{fg} of Graph-MFN", "Acc-3", "−0.10", "-0.12"),
        ("error", "definition", 6, "21 of 21 rows", "Acc-2/non-0", "27.02 to 28.86", "62.05 at the least"),
        ("error", "definition", 7, "27 of 27 rows", "Acc-2/non-0", "53.56 to 58.19", "70.91 at the least"),
        ("warning", "delta", 4, "Δ_{fg} of ALMT", "Params", "+0.39%", "+0.34%"),
        ("warning", "f1-balance", 5, "MuT*", "F1", "79.66", "from 69.75 to 79.42"),
        ("warning", "seed-mean", 5, "#MuT-fg", "Acc-3", "65.45", "65.43 or 65.47"),
        ("warning", "underline", 8, "#LMF-v", "Corr", "0.564", "0.570 of #LMF-a"),
    ]


def test_notes_on_the_paper() -> None:
    notes = Counter(f.kind for f in found()[8:])
    assert notes == {"underline-missing": 8, "sign": 5, "spelling": 1, "sub-features": 1}
    assert {f.severity for f in found()[8:]} == {"note"}


def test_the_five_seeds_are_borne_out_by_the_other_values() -> None:
    (finding,) = [f for f in found() if f.kind == "seed-mean"]
    assert "153 of 153 other own accuracies" in finding.certainty
    assert "41% would by chance" in finding.certainty
    # 65.45 % of 7 x 457 answers is 2093.7, and 2094 print 65.46 %, or with each seed rounded first 65.45 %.
    assert finding.why.endswith("of 1 to 10 seeds, 7, 8, 9 and 10 could print it")


def test_a_row_of_mmsa_is_no_error_of_this_paper() -> None:
    (finding,) = [f for f in found() if f.kind == "f1-balance"]
    assert (finding.row, finding.severity) == ("MuT*", "warning")
    assert "taken over from MMSA's results page" in finding.certainty


def test_a_label_that_does_not_fit_its_numbers_says_what_does() -> None:
    for finding, rows in zip([f for f in found() if f.kind == "definition"], (21, 27), strict=True):
        assert f"{rows} of them can be right as MMSA computes the metric" in finding.why
        assert f"{rows} values of F1/non-0 are too low for the definition" in finding.why


def test_a_proper_f1_is_left_out_of_the_definition_finding() -> None:
    after = audit(load().reprinted(7, ("LMF", "original", MMSA), "F1", "77.59/80.00"))
    (finding,) = [f for f in after if (f.kind, f.table) == ("definition", 7)]
    assert "26 values of F1/non-0" in finding.why


def test_what_else_could_give_an_impossible_f1_is_said() -> None:
    (finding,) = [f for f in found() if f.kind == "f1-balance"]
    assert "labels and predictions swapped, could be this" in finding.certainty


def test_findings_are_plain_data_in_a_fixed_order() -> None:
    ranks = [(SEVERITIES.index(f.severity), f.table) for f in found()]
    assert ranks == sorted(ranks)
    for finding in found():
        assert json.loads(json.dumps(finding.as_dict())) == finding.as_dict()
        assert all(str(value) for value in finding.as_dict().values())


# A single printed cell of the paper with another text, and the findings that this brings.
@pytest.mark.parametrize(
    ("table", "row", "column", "text", "kind", "where", "severity"),
    [
        (4, ("LF-DNN", "fg", DELTA), "MAE", "+0.002", "delta", ("Δ_{fg} of LF-DNN", "MAE"), "error"),
        (4, ("LF-DNN", "fg", DELTA), "MAE", "+0.001", "delta", ("Δ_{fg} of LF-DNN", "MAE"), "warning"),
        (4, ("LF-DNN", "fg", DELTA), "Acc-2", "+1.33/+0.48", "delta", ("Δ_{fg} of LF-DNN", "Acc-2/non-0"), "error"),
        (5, ("TFN", "fg", DELTA), "MAE", "−0.026", "delta", ("Δ_{fg} of TFN", "MAE"), "error"),
        (4, ("TMT", "fg", DELTA), "FLOPs", "+61.00%", "delta", ("Δ_{fg} of TMT", "FLOPs"), "error"),
        (5, ("TFN", "fg", DELTA), "Corr", "–", "delta-missing", ("Δ_{fg} of TFN", "Corr"), "warning"),
        (5, ("TFN", "fg", DELTA), "Corr", "0.062", "sign", ("Δ_{fg} of TFN", "Corr"), "note"),
        (8, ("TFN", "fg", OWN), "Corr", "0.635", "repeat", ("#TFN-fg", "Corr"), "error"),
        (5, ("TFN", "original", MMSA), "Acc-5", "65.13", "nested", ("TFN*", "Acc-3"), "warning"),
        (4, ("ALMT", "original", "paper"), "Acc-7", "55.97", "nested", ("ALMT", "Acc-5"), "warning"),
        (4, ("LMF", "original", OWN), "Corr", "1.001", "range", ("#LMF", "Corr"), "error"),
        (5, ("LMF", "original", OWN), "MAE", "2.441", "range", ("#LMF", "MAE"), "error"),
        (7, ("LMF", "original", OWN), "F1-3", "106.87", "range", ("#LMF", "F1-3"), "error"),
        (7, ("LMF", "original", OWN), "F1-3", "81.00", "f1-accuracy", ("#LMF", "F1-3"), "error"),
        (7, ("LMF", "original", OWN), "F1-3", "44.00", "f1-accuracy", ("#LMF", "F1-3"), "error"),
        (4, ("LMF", "original", MMSA), "F1", "84.94/83.36", "f1-balance", ("LMF*", "F1/has-0"), "warning"),
        (7, ("LMF", "original", MMSA), "F1", "77.59/44.00", "f1-balance", ("LMF*", "F1/non-0"), "warning"),
        (4, ("LMF", "original", MMSA), "Acc-2", "63.54/83.48", "halves", ("LMF*", "Acc-2/non-0"), "warning"),
        (4, ("LMF", "original", MMSA), "Acc-2", "80.54/75.00", "halves", ("LMF*", "Acc-2/non-0"), "warning"),
        (6, ("LMF", "original", MMSA), "Acc-2", "71.90/37.20", "halves", ("LMF*", "Acc-2/non-0"), "warning"),
        (5, ("LMF", "original", OWN), "Acc-3", "92.92", "neutral", ("#LMF", "Acc-2"), "error"),
        (7, ("LMF", "original", OWN), "Acc-3", "67.67", "seed-mean", ("#LMF", "Acc-3"), "warning"),
        (7, ("LMF", "original", MMSA), "Acc-3", "66.88", "seed-mean", ("LMF*", "Acc-3"), "warning"),
        (5, ("LMF", "fg", OWN), "FLOPs", "5.37×10^8", "cost-order", ("#LMF-fg", "FLOPs"), "warning"),
        (8, ("TFN", "a", OWN), "Corr", "<u>0.581</u>", "underline", ("#TFN-a", "Corr"), "warning"),
        (8, ("TFN", "v", OWN), "Corr", "0.626", "underline-missing", ("#TFN-v", "Corr"), "note"),
    ],
)
def test_a_changed_cell_brings_its_finding(
    table: int, row: tuple[str, str, str], column: str, text: str, kind: str, where: tuple[str, str], severity: str
) -> None:
    wanted = (kind, table, *where)
    assert wanted not in brief(found())
    after = audit(load().reprinted(table, row, column, text))
    assert wanted in brief(after)
    assert {f.severity for f in after if (f.kind, f.table, f.row, f.column) == wanted} == {severity}


@pytest.mark.parametrize(
    ("table", "row", "column", "text", "kind", "where"),
    [
        (4, ("Graph-MFN", "fg", OWN), "Acc-7", "51.92", "nested", ("#Graph-MFN-fg", "Acc-5")),
        (5, ("MulT", "original", MMSA), "F1", "78.66", "f1-balance", ("MuT*", "F1")),
        (5, ("MulT", "fg", OWN), "Acc-3", "65.47", "seed-mean", ("#MuT-fg", "Acc-3")),
        (5, ("Graph-MFN", "fg", DELTA), "Acc-3", "−0.12", "delta", ("Δ_{fg} of Graph-MFN", "Acc-3")),
        (4, ("ALMT", "fg", DELTA), "Params", "+0.34%", "delta", ("Δ_{fg} of ALMT", "Params")),
        (8, ("LMF", "v", OWN), "Corr", "0.564", "underline", ("#LMF-v", "Corr")),
        (8, ("TMT", "a", OWN), "Acc-2", "<u>78.56</u>", "underline-missing", ("#TMT-a", "Acc-2")),
        (5, ("TMT", "fg", DELTA), "Acc-3", "+2.40", "sign", ("Δ_{fg} of TMT", "Acc-3")),
    ],
)
def test_a_mended_cell_takes_its_finding_away(
    table: int, row: tuple[str, str, str], column: str, text: str, kind: str, where: tuple[str, str]
) -> None:
    wanted = (kind, table, *where)
    assert wanted in brief(found())
    assert wanted not in brief(audit(load().reprinted(table, row, column, text)))


def test_a_tie_for_the_best_can_be_called_second() -> None:
    # LMF-a and another row print MAE 0.442; a lone best is not second.
    lone = load().reprinted(8, ("LMF", "a", OWN), "MAE", "<u>0.441</u>")
    assert ("underline", 8, "#LMF-a", "MAE") not in brief(found())
    assert ("underline", 8, "#LMF-a", "MAE") in brief(audit(lone))


def test_a_proper_non_zero_score_leaves_the_definition_finding() -> None:
    after = audit(load().reprinted(6, ("LMF", "original", MMSA), "Acc-2", "71.90/80.00"))
    assert ("definition", 6, "20 of 21 rows", "Acc-2/non-0") in brief(after)


def network(model: str, /, **changes: object) -> Edit:
    return lambda tables: replace(
        tables,
        networks=tuple(replace(n, **changes) if n.model == model else n for n in tables.networks),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        (
            lambda t: replace(t, sizes=(replace(t.sizes[0], total=parse("22,857")), t.sizes[1])),
            ("sum", 1, "MOSEI", "Total"),
        ),
        (
            lambda t: replace(t, sizes=(replace(t.sizes[0], test=parse("4,658")), t.sizes[1])),
            ("size", 1, "MOSEI", "Test"),
        ),
        (
            lambda t: replace(t, sub_features=(replace(t.sub_features[0], dimension=parse("75")), *t.sub_features[1:])),
            ("width", 2, "MOSEI audio", "Dimension"),
        ),
        (
            lambda t: replace(t, sub_features=(replace(t.sub_features[2], text="ZCR, MFCC, CTQ"),)),
            ("sub-features", 2, "CH-SIMS audio", "Fine-grained features"),
        ),
        (
            lambda t: replace(t, sub_features=(replace(t.sub_features[2], text="ZCR, MFCC"),)),
            ("sub-features", 2, "CH-SIMS audio", "Fine-grained features"),
        ),
        (network("TMT", text="LSTM"), ("network", 3, "TMT", "Text")),
        (network("TMT", classification=True), ("network", 3, "TMT", "Classification")),
        (network("TMT", regression=False), ("network", 3, "TMT", "Regression")),
        (network("MLF-DNN", regression=True), ("network", 3, "MLF-DNN", "Regression")),
        (network("TMT", model="TNT", row="TNT"), ("network", 3, "TNT", "Model")),
        (network("TMT", model="TNT"), ("network", 3, "TMT", "Model")),
        (network("TMT", row="TM-T"), ("spelling", 3, "TM-T", "Model")),
        (
            lambda t: replace(t, cells=tuple(replace(c, setting="aligned") if c.setting else c for c in t.cells)),
            ("setting", 4, "#LMF", "Data Setting"),
        ),
        (
            lambda t: replace(t, cases=(replace(t.cases[0], truth=parse("-0.62")),)),
            ("case", 9, "example 1", "L(Ori)"),
        ),
        (
            lambda t: replace(t, cases=(replace(t.cases[0], truth=parse("-1.60")),)),
            ("range", 9, "example 1", "GT"),
        ),
    ],
)
def test_changed_descriptions_bring_their_finding(edit: Edit, wanted: tuple[str, int, str, str]) -> None:
    assert wanted not in brief(found())
    assert wanted in brief(audit(edit(load())))


def as_printed() -> dict[CostKey, Counted]:
    """Counts that equal every printed cost."""
    flops = own_results("FLOPs")
    return {key: Counted(int(params.value), int(flops[key].value), {}) for key, params in own_results("Params").items()}


def odd_percentage(costs: dict[CostKey, Counted]) -> Finding:
    (finding,) = [f for f in audit(load(), costs) if f.kind == "delta" and f.column == "Params"]
    return finding


def test_counts_are_told_with_the_odd_percentage_and_make_no_other_finding() -> None:
    costs = as_printed()
    assert len(costs) == 42
    assert list(printed_costs(load(), costs)) == []
    assert len(audit(load(), costs)) == len(found())
    assert (odd_percentage(costs).severity, odd_percentage(costs).expected) == ("warning", "+0.34%")
    assert odd_percentage(costs).certainty.endswith("88,700,000, equal both to every printed digit and give +0.34%")
    key = ("mosei", "ALMT", "fg")
    unrounded = costs | {key: replace(costs[key], params=89_045_930)}
    assert odd_percentage(unrounded).certainty.endswith("and give +0.39%")
    other = costs | {key: replace(costs[key], params=89_055_930)}  # prints 8.91, so it cannot stand for the authors'
    assert "our counts" not in odd_percentage(other).certainty


@pytest.mark.parametrize(("factor", "severity"), [(Decimal("1.003"), "warning"), (Decimal("1.2"), "error")])
def test_a_count_that_is_not_the_printed_one(factor: Decimal, severity: str) -> None:
    key = ("mosei", "TFN", "fg")
    costs = as_printed()
    costs |= {key: replace(costs[key], flops=int(costs[key].flops * factor), causes={"FLOPs": "the moon"})}
    (finding,) = printed_costs(load(), costs)
    assert (finding.kind, finding.row, finding.column, finding.severity) == ("cost", "#TFN-fg", "FLOPs", severity)
    assert "(the moon)" in finding.why
    # with three digits, as the paper prints them
    assert re.fullmatch(r"\d\.\d\d\u00d710\^(\d|\{\d\d\})", finding.expected)
    assert f"{costs[key].flops:,}" in finding.why
    assert "83 of 84" in finding.certainty


@pytest.mark.slow
def test_our_costs_beside_the_paper() -> None:
    costs = count_costs(load())
    after = [f for f in audit(load(), costs) if f not in found()]
    assert [(f.severity, f.kind, f.table, f.row, f.column, f.printed) for f in after] == [
        ("warning", "delta", 4, "Δ_{fg} of ALMT", "Params", "+0.39%"),  # says what our counts give
        ("warning", "cost", 4, "#Graph-MFN-fg", "FLOPs", "2.11×10^9"),
        ("warning", "cost", 4, "#Self-MM-fg", "FLOPs", "1.36×10^{11}"),
    ]
