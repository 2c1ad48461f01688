"""The audit as a report: structure by an HTML parser, numbers by recomputation, LaTeX by a real compile."""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit import RULES, Counted, Finding, audit
from harness.audit.costs import CostKey
from harness.audit.finding import Rule
from harness.audit.report import render_audit, words
from harness.audit.report.costs import cost_lines, said_of_costs
from harness.audit.report.entries import entries, grouped
from harness.audit.report.printed import Spot, corrections, printed_tables
from harness.audit.report.scope import checked, covered, numbers_looked_at
from harness.errors import StoreError
from harness.published import Tables, load, own_results
from harness.reanalysis import effects, judge
from tests.audit.toy import MODEL, simulate
from tests.html import parse, text_of
from tests.latex import compile_tex

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
NASTY = r"Set & co: 100% #1_a $x^2$ ~\ {b} <script>alert(1)</script> 中文"
KNOWN = ("mosei", "Graph-MFN", "fg")


def counted() -> dict[CostKey, Counted]:
    """Counts that equal every printed cost but one, whose difference has a known cause."""
    flops = own_results("FLOPs")
    same = {key: Counted(int(params.value), int(flops[key].value), {}) for key, params in own_results("Params").items()}
    return same | {KNOWN: replace(same[KNOWN], flops=2 * same[KNOWN].flops, causes={"FLOPs": "the moon & 5 %"})}


def nasty() -> Tables:
    paper = load()
    first = replace(paper.claims[0], quote=NASTY, reading=NASTY)
    return replace(paper, captions={**paper.captions, 4: NASTY}, claims=(first, *paper.claims[1:]))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Finding, ...], Path]:
    """A report of the paper with costs, and with a caption and a claim full of special characters. Read only."""
    tables, costs = nasty(), counted()
    findings = audit(tables, costs)
    page, *_ = render_audit(tables, findings, tmp_path_factory.mktemp("reports"), now=NOW, costs=costs)
    return findings, page


@functools.cache
def section(page: Path, place: str) -> str:
    return text_of(parse(page).find(f".//section[@id='{place}']"))


def test_the_page_is_valid_and_needs_nothing_else(full: tuple[tuple[Finding, ...], Path]) -> None:
    document = parse(full[1])
    for element in document.iter():
        for name in ("src", "href", "action", "data", "srcset"):
            value = element.get(name)
            assert value is None or value.startswith("#"), f"{element.tag} {name}={value}"
    assert not document.findall(".//link")
    assert len(list(document.iter("script"))) == 1, "ours"
    assert not re.search(r"url\((?!#)|@import", full[1].read_text(encoding="utf-8"))


def test_anchors_lead_somewhere_and_tables_are_headed(full: tuple[tuple[Finding, ...], Path]) -> None:
    document = parse(full[1])
    ids = [e.get("id") for e in document.iter() if e.get("id")]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert {e.get("href", "")[1:] for e in document.iter("a")} <= set(ids)
    for table in document.iter("table"):
        assert text_of(table.find("caption"))
        assert all(head.get("scope") for head in table.iter("th"))


def test_special_characters_are_text(full: tuple[tuple[Finding, ...], Path]) -> None:
    caption = parse(full[1]).find(".//caption[@id='t4-caption']")
    assert text_of(caption) == "Table 4. " + NASTY.replace("$x^2$", "x2")
    assert "<script>alert" not in full[1].read_text(encoding="utf-8")


def test_the_summary_counts_the_findings(full: tuple[tuple[Finding, ...], Path]) -> None:
    findings, page = full
    counts = Counter(finding.severity for finding in findings)
    told = section(page, "summary")
    for severity, count in counts.items():
        assert f"{count} {severity}s (" in told
    assert f"{len(RULES)} rules were applied" in told
    assert "Of 84 printed Params and FLOPs, 83 equal" in told
    assert f"Of {len(load().claims)} claims of the text" in told


def test_every_finding_is_told_with_what_is_printed_and_expected(full: tuple[tuple[Finding, ...], Path]) -> None:
    findings, page = full
    labelled = entries(findings)
    assert sorted(f.why for entry in labelled for f in entry.findings) == sorted(f.why for f in findings)
    document = parse(page)
    for entry in labelled:
        told = text_of(document.find(f".//article[@id='{entry.label}']"))
        for finding in entry.findings:
            assert str(words.html(finding.printed).striptags()) in told
            assert str(words.html_prose(finding.expected).striptags()) in told
        assert str(words.html_prose(entry.first.certainty).striptags()) in told


def test_findings_are_grouped_by_severity_then_table(full: tuple[tuple[Finding, ...], Path]) -> None:
    for severity, by_table in grouped(entries(full[0])):
        assert [table for table, _ in by_table] == sorted({table for table, _ in by_table})
        labels = [entry.label for _, found in by_table for entry in found]
        assert labels == [f"{severity[0].upper()}{i}" for i in range(1, len(labels) + 1)]


def test_findings_are_marked_where_they_stand(full: tuple[tuple[Finding, ...], Path]) -> None:
    findings, page = full
    document = parse(page)
    tables = {table.number: table for table in printed_tables(load(), entries(findings))}
    placed = [f for f in findings if f.table >= 4 and f.table <= 8]
    label_of = {finding: entry.label for entry in entries(findings) for finding in entry.findings}
    assert placed
    for finding in placed:
        anchor = tables[finding.table].anchors[finding.table, finding.row, finding.column]
        (spot,) = [e for e in document.iter() if e.get("id") == anchor]
        assert label_of[finding] in [link.get("href", "")[1:] for link in spot.iter("a")]
        if finding.kind in ("nested", "delta", "seed-mean", "sign"):
            assert str(words.html(finding.printed).striptags()) in text_of(spot)


def test_the_tables_are_the_printed_ones(full: tuple[tuple[Finding, ...], Path]) -> None:
    table = parse(full[1]).find(".//table[@id='t5']")
    assert table is not None
    rows = [[text_of(cell) for cell in line] for line in table.findall("./tbody/tr")]
    assert rows[0] == ["LF-DNN*", "77.02", "77.27", "64.33", "39.74", "0.446", "0.555", "—", "—"]
    assert len(rows) == len({cell.place for cell in load().table(5)})


@pytest.mark.parametrize(
    ("row", "column", "text", "anchor"),
    [
        (("LF-DNN", "original", "reproduction"), "Acc-5", "45.00", "t4-r2-c3"),
        (("LF-DNN", "fg", "delta"), "Acc-2", "+1.33/+0.48", "t4-r4-c1"),
    ],
)
def test_a_planted_contradiction_is_marked(row: tuple[str, str, str], column: str, text: str, anchor: str) -> None:
    before = {spot.anchor for spot in spots(load())}
    assert anchor not in before
    after = load().reprinted(4, row, column, text)
    (spot,) = [spot for spot in spots(after) if spot.anchor == anchor]
    assert (spot.text, spot.severity) == (text, "E")


def spots(tables: Tables) -> list[Spot]:
    found = printed_tables(tables, entries(audit(tables)))
    return [spot for table in found for row in table.rows for spot in row.spots]


def test_corrections_name_every_corrected_cell() -> None:
    cells = {(cell.table, cell.text, cell.corrected) for cell in load().cells if cell.corrected}
    told = {(one.table, text, meant) for one in corrections(load()) for _, text, meant in one.places}
    assert cells <= told
    assert len(cells) == len([cell for cell in told if cell[0] == 4])
    assert {reason for case in load().cases for reason in case.reasons} <= {one.reason for one in corrections(load())}


def test_costs_stand_beside_ours_or_it_is_said_that_they_do_not(full: tuple[tuple[Finding, ...], Path]) -> None:
    assert "the moon & 5 %" in section(full[1], "costs")
    assert "were not compared" in said_of_costs(cost_lines(load(), None))
    assert "84 equal" in said_of_costs(cost_lines(load(), counted() | {KNOWN: exact()}))
    (line,) = [one for one in cost_lines(load(), counted()) if not all(pair.agrees for pair in one.pairs)]
    assert (line.dataset, line.row, [pair.agrees for pair in line.pairs]) == ("MOSEI", "#Graph-MFN-fg", [True, False])


def exact() -> Counted:
    return Counted(int(own_results("Params")[KNOWN].value), int(own_results("FLOPs")[KNOWN].value), {})


def test_files_hold_the_numbers(full: tuple[tuple[Finding, ...], Path]) -> None:
    findings, page = full
    stored = json.loads((page.parent / "findings.json").read_text(encoding="utf-8"))
    assert stored == [finding.as_dict() for finding in findings]
    frame = pd.read_csv(page.parent / "effects.csv", keep_default_na=False)
    assert len(frame) == len(effects(load()))
    for line in frame.to_dict("records"):
        deltas = [float(part.rsplit(" ", 1)[1]) for part in line["deltas"].split("; ")]
        assert np.mean(deltas) == pytest.approx(line["mean"], abs=1e-9)
        assert (sum(d > 0 for d in deltas), sum(d < 0 for d in deltas)) == (line["better"], line["worse"])
    claims = pd.read_csv(page.parent / "claims.csv", keep_default_na=False)
    assert list(claims["support"]) == [one.support for one in judge(nasty())]


def test_the_page_shows_effects_and_claims(full: tuple[tuple[Finding, ...], Path]) -> None:
    table = parse(full[1]).find(".//section[@id='reanalysis']//table")
    assert table is not None
    first = effects(load())[0]
    (line,) = [row for row in table.findall("./tbody/tr") if text_of(row[1]) == first.metric]
    assert text_of(line[3]) == f"{first.rows.mean.mean:+.2f}"
    assert text_of(line[8]) == f"{first.rows.wilcoxon.p:.4f}"
    pictures = parse(full[1]).findall(".//section[@id='reanalysis']//figure")
    assert len(pictures) == len({effect.table for effect in effects(load())})
    articles = parse(full[1]).findall(".//section[@id='claims']/article")
    assert len(articles) == len(load().claims)
    for article, one in zip(articles[1:], judge(load())[1:], strict=True):
        assert text_of(article.find("h3")).lower().startswith(one.support)
        assert all(str(words.html_prose(text).striptags()) in text_of(article) for text in one.evidence)


def test_a_table_without_findings_renders(tmp_path: Path) -> None:
    tables = replace(simulate(0), claims=())
    page, *_ = render_audit(tables, audit(tables), tmp_path, now=NOW)
    told = section(page, "summary")
    assert "They found nothing to object to." in told
    assert "No rule found anything" in section(page, "findings")
    assert "were not compared" in section(page, "costs")


def test_rendering_twice_gives_the_same_bytes(full: tuple[tuple[Finding, ...], Path], tmp_path: Path) -> None:
    tables, costs = nasty(), counted()
    again, *_ = render_audit(tables, audit(tables, costs), tmp_path, now=NOW, costs=costs)
    files = [path for path in full[1].parent.rglob("*") if path.is_file()]
    assert len(files) > 15
    for path in files:
        if path.suffix != ".log":
            assert path.read_bytes() == (again.parent / path.relative_to(full[1].parent)).read_bytes(), path.name


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot write"):
        render_audit(simulate(0), (), tmp_path / "reports", now=NOW)


def test_latex_compiles_without_overfull_boxes(full: tuple[tuple[Finding, ...], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(full[1].parent, tmp_path / "audit"))
    page = compile_tex(folder, "audit.tex").text
    assert "Set & co: 100% #1_a x2" in page
    assert "<script>alert(1)</script>" in page


# ------------------------------------------------------------------------------------------------------------- words


def test_the_papers_notation() -> None:
    assert str(words.html("Δ_{fg} of A_b, 1.36×10^{11} & 2×10^5")) == (
        "Δ<sub>fg</sub> of A_b, 1.36×10<sup>11</sup> &amp; 2×10<sup>5</sup>"
    )
    assert words.tex("Δ_{fg} of A_b") == r"\ensuremath{\Delta}\textsubscript{fg} of A\_b"
    assert str(words.html(r"$I_a^{\text{ZCR}} \in \mathbb{R}^{S_a \times 1}$")) == (
        "I<sub>a</sub><sup>ZCR</sup> ∈ R<sup>S<sub>a</sub> × 1</sup>"
    )
    assert str(words.html_prose("-0.12 in 1111-1115 >= 3")) == "−0.12 in 1111-1115 ≥ 3"


@given(st.text(max_size=60))
def test_any_text_is_escaped(text: str) -> None:
    page = str(words.html(text))
    assert set(re.findall(r"<[^>]*>", page)) <= {"<sub>", "</sub>", "<sup>", "</sup>", '<span class="nb">', "</span>"}
    bare = re.sub(r"\\(?:[&%$#_{}]|[a-z]+(?:\{\})?)", "", str(words.tex(text)))
    assert not set("&%$#_~^") & set(bare)


# ------------------------------------------------------------------------------------------------------------- scope

NONSENSE = ("0.00", "100.00", "55.55", "+777.77", "−777.77", "0.001", "1.99×10^30")


def test_every_rule_says_what_it_claims_and_covers() -> None:
    found = checked(load(), RULES, counted())
    assert len(found) == len(RULES) + 1
    assert [one.name for one in found if not one.claim or not one.covers] == []
    assert Counter(f for one in found for f in one.findings) == Counter(audit(load(), counted()))
    assert numbers_looked_at(load(), RULES)[1] == sum(cell.printed is not None for cell in load().cells)


@functools.cache
def toy() -> Tables:
    """One model, own rows and differences, and nothing that a rule objects to."""
    return simulate(0)


SEVERAL = ("definitions", "underlines", "mae_and_accuracies")
"""Rules that weigh several cells: nonsense in a single one of this small table need not be enough."""


@pytest.mark.parametrize("rule", [rule for rule in RULES if covered(rule, load())], ids=lambda rule: rule.__name__)
def test_a_rule_objects_to_nonsense_in_what_it_covers_and_nowhere_else(rule: Rule) -> None:
    tables = toy()
    inside = {(cell.table, cell.variant, cell.source, cell.column) for cell in covered(rule, tables)}
    everywhere = dict.fromkeys((cell.table, cell.variant, cell.source, cell.column) for cell in tables.cells)
    objects = {place for place in everywhere if any(list(rule(planted)) for planted in spoilt(tables, place))}
    assert objects - inside == set()
    assert rule.__name__ in SEVERAL or objects == inside


def spoilt(tables: Tables, place: tuple[int, str, str, str]) -> list[Tables]:
    table, variant, source, column = place
    *_, last = [c for c in tables.cells if (c.table, c.variant, c.source, c.column) == place]
    pair = last.half is not None
    texts = [f"{text}/{text}" if pair else text for text in NONSENSE]
    texts += [f"{a}/{b}" for a, b in (("0.00", "100.00"), ("100.00", "0.00"))] if pair else []
    return [tables.reprinted(table, (MODEL, variant, source), column, text) for text in texts]
