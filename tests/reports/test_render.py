"""The rendered report: structure by an HTML parser, numbers by recomputation, LaTeX by a real compile."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparison import compare
from harness.errors import StoreError
from harness.plan import Plan
from harness.reports import Extras, render, render_statistics
from harness.reports.latex import escape
from harness.reports.numbers import duration, p_value
from harness.results import collect
from tests.html import parse, text_of
from tests.latex import compile_tex
from tests.reports import fakes

NASTY = r"Set & co: 100% #1_a $x^2~\ {b} <script>alert(1)</script> 中文 情感"
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def nasty_plan(**changes: Any) -> Plan:
    datasets = [
        fakes.dataset("synthetic-toy", title=NASTY),
        fakes.dataset("mosi-utterance", title="Real set", synthetic=False, vision_groups=False),
    ]
    given: dict[str, Any] = {"tasks": ("regression", "classification"), "name": "full", "title": NASTY}
    return fakes.plan(datasets, **(given | changes))


def damaged_store(plan: Plan) -> fakes.FakeStore:
    """Some runs failed, some missing, some from another environment, one with constant predictions."""
    store = fakes.filled(plan, fakes.typical_error)
    runs = plan.runs
    for run in (runs[3], runs[30]):
        store.records.pop(run.run_id)
        store.fail(run, "the loss became NaN <script>alert(2)</script> & worse")
    for run in runs[20:25]:
        store.records.pop(run.run_id)
    store.records[runs[10].run_id].environment = "bbbb2222"
    store.records[runs[0].run_id].frame["pred"] = 0.3
    return store


def rendered(plan: Plan, store: fakes.FakeStore, out: Path) -> Path:
    provenance = {"harness": "0.1.0", "git": {"commit": "abc", "clean": True}}
    results = collect(plan, store.as_store)
    page, *_ = render(results, plan, out, now=NOW, provenance=provenance, resamples=fakes.RESAMPLES)
    return page


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A report with everything that can go wrong in it. Read only."""
    plan = nasty_plan()
    return plan, rendered(plan, damaged_store(plan), tmp_path_factory.mktemp("reports"))


def test_the_page_is_valid_and_needs_nothing_else(full: tuple[Plan, Path]) -> None:
    document = parse(full[1])
    for element in document.iter():
        for name in ("src", "action", "data", "srcset"):
            assert element.get(name) is None, f"{element.tag} {name}={element.get(name)}"
    assert not document.findall(".//link")
    assert len(list(document.iter("script"))) == 1, "ours"
    assert "url(" not in full[1].read_text(encoding="utf-8")


def test_links_lead_somewhere_on_the_page_or_to_a_file_beside_it(full: tuple[Plan, Path]) -> None:
    document = parse(full[1])
    ids = [e.get("id") for e in document.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    links = {e.get("href", "") for e in document.iter("a")}
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    files = {link for link in links if not link.startswith("#")}
    assert all((full[1].parent / link).is_file() for link in files)


def test_every_run_that_is_done_or_failed_has_its_page(full: tuple[Plan, Path]) -> None:
    plan, page = full
    missing = {run.run_id for run in plan.runs[20:25]}
    expected = {f"runs/{run.run_id}.html" for run in plan.runs if run.run_id not in missing}
    assert {path.relative_to(page.parent).as_posix() for path in page.parent.glob("runs/*.html")} == expected
    linked = {e.get("href", "") for e in parse(page).iter("a")}
    assert {link for link in linked if link.startswith("runs/")} == expected


def test_data_and_models_are_described(full: tuple[Plan, Path]) -> None:
    section = parse(full[1]).find(".//section[@id='described']")
    told = text_of(section)
    assert NASTY in told
    assert "ZCR (1), MFCC (3)".lower() in told.lower()
    assert section is not None
    assert len(list(section.iter("table"))) == 3


def test_names_are_text_and_never_code(full: tuple[Plan, Path]) -> None:
    document = parse(full[1])
    heading = document.find(".//h1")
    assert heading is not None
    assert NASTY in text_of(heading)
    assert "<script>alert" not in full[1].read_text(encoding="utf-8")


def test_synthetic_data_is_called_so_in_every_caption_and_file(full: tuple[Plan, Path]) -> None:
    document = parse(full[1])
    captions = [text_of(c) for c in document.iter("caption") if NASTY in text_of(c)]
    assert len(captions) >= 4
    assert all(c.startswith("Synthetic data.") for c in captions)
    fragments = sorted(p.name for p in (full[1].parent / "tables").glob("*.tex") if p.name != "tables.tex")
    synthetic = [name for name in fragments if "synthetic" in name]
    assert {"synthetic-toy-regression.tex", "synthetic-toy-classification-cases.tex"} < set(synthetic)
    for name in synthetic:
        assert r"\textbf{Synthetic data.}" in (full[1].parent / "tables" / name).read_text(encoding="utf-8")


def test_summary_counts_what_ran_and_warns(full: tuple[Plan, Path]) -> None:
    summary = parse(full[1]).find(".//section[@id='summary']")
    assert summary is not None
    told = text_of(summary)
    total = len(full[0].runs)
    assert f"{total - 7} of {total} runs done, 2 failed and 5 not run yet" in told
    assert "2 environments." in told
    assert "2 runs failed." in told
    assert "LMF" in told


def rows_of(document: Element, slug: str) -> dict[str, list[str]]:
    table = document.find(f".//section[@id='{slug}']//table[@class='scores']")
    assert table is not None
    rows: dict[str, list[str]] = {}
    for line in table.findall("./tbody/tr"):
        head, *cells = list(line)
        name = text_of(head)
        rows.setdefault(name, [text_of(c) for c in cells])
    return rows


def test_cells_hold_the_numbers_of_the_frames(full: tuple[Plan, Path]) -> None:
    plan, page = full
    rows = rows_of(parse(page), "mosi-utterance-regression")
    frame = pd.read_csv(page.parent / "tables" / "mosi-utterance-regression.csv")
    lmf = frame[(frame["model"] == "LMF") & (frame["variant"] == "fg")]
    mean = {str(name): float(value) for name, value in zip(lmf["metric"], lmf["mean"], strict=True)}
    shown = " | ".join(rows["LMF-fg"])
    assert f"{100 * mean['Acc-7']:.2f}" in shown
    assert f"{mean['MAE']:.3f}" in shown
    assert rows["LMF-fg"][0] == str(len(plan.suite.seeds))


def test_aliases_are_marked_and_missing_cells_are_empty(full: tuple[Plan, Path]) -> None:
    document = parse(full[1])
    rows = rows_of(document, "mosi-utterance-regression")
    assert "LF-DNN-a=" in {name.replace(" ", "") for name in rows}
    assert set(rows["LF-DNN-v"][1:]) == {"—"}
    section = document.find(".//section[@id='mosi-utterance-regression']")
    assert section is not None
    assert "could split" in text_of(section)


def test_classification_shows_mmsas_value_and_the_corrected_one(full: tuple[Plan, Path]) -> None:
    section = parse(full[1]).find(".//section[@id='mosi-utterance-classification']")
    assert section is not None
    told = text_of(section)
    assert "non-0, MMSA" in told
    assert "non-0, corrected" in told
    assert "labels stay {0, 2}" in told


def test_deltas_follow_the_papers_sign_rule(tmp_path: Path) -> None:
    plan = fakes.plan(models=("LMF",), variants=("original", "fg"), name="signs")
    document = parse(rendered(plan, fakes.filled(plan, fakes.typical_error), tmp_path))
    table = document.find(".//table[@class='scores']")
    assert table is not None
    (delta,) = table.findall(".//tr[@class='delta']")
    assert text_of(delta[0]) == "Δ fg of LMF"
    cells = list(delta)[2:]
    assert len(cells) == 9
    assert all("up" in c.get("class", "") for c in cells), "LMF-fg was made better, in MAE as well"
    assert all(text_of(c).startswith("+") for c in cells)
    (original, fg) = table.findall(".//tr[@class='value']")
    assert all("best" in c.get("class", "") for c in list(fg)[2:])
    assert all("second" in c.get("class", "") for c in list(original)[2:])


@pytest.mark.parametrize(
    ("changes", "filled"),
    [
        ({"name": "empty"}, False),
        ({"name": "one-seed", "seeds": (7,), "models": ("A_b&c",)}, True),
        ({"name": "one-metric", "report": {"metrics": ["Corr"]}}, True),
        ({"name": "one-variant", "variants": ("original",)}, True),
    ],
)
def test_partial_suites_render(changes: dict[str, Any], filled: bool, tmp_path: Path) -> None:
    plan = fakes.plan(**changes)
    store = fakes.filled(plan) if filled else fakes.FakeStore()
    document = parse(rendered(plan, store, tmp_path))
    assert document.find(".//section[@id='summary']") is not None
    assert (tmp_path / plan.suite.name / "tables" / "tables.tex").is_file()


def test_rendering_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    plan = fakes.plan(name="twice")
    store = fakes.filled(plan)
    pages = [rendered(plan, store, tmp_path / place) for place in ("a", "b")]
    for first in sorted(pages[0].parent.rglob("*.*")):
        second = pages[1].parent / first.relative_to(pages[0].parent)
        assert first.read_bytes() == second.read_bytes(), first.name
    assert not list(tmp_path.rglob(".*")), "no draft is left behind"


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file", encoding="utf-8")
    plan = fakes.plan(name="x", models=("LMF",))
    with pytest.raises(StoreError, match="cannot write"):
        rendered(plan, fakes.filled(plan), tmp_path / "reports")


def copied(page: Path, folder: Path) -> Path:
    return Path(shutil.copytree(page.parent / "tables", folder / "tables"))


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex"])
def test_the_document_compiles_and_shows_names_and_signs(full: tuple[Plan, Path], engine: str, tmp_path: Path) -> None:
    page = compile_tex(copied(full[1], tmp_path), "tables.tex", engine).text
    assert r"Set & co: 100% #1_a $x^2" in page
    assert "<script>alert(1)</script>" in page
    assert re.search(r"[Δ∆] fg +5 +\+\d", page), "delta rows keep their sign"
    for heading in ("laid out as Table 1", "Ablation on", "on single utterances", "mean ranks of the variants"):
        assert heading in page, heading


def test_fragments_can_be_input_elsewhere(full: tuple[Plan, Path], tmp_path: Path) -> None:
    folder = copied(full[1], tmp_path)
    (folder / "paper.tex").write_text(
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,siunitx,threeparttable,adjustbox,textcomp}"
        r"\begin{document}\input{mosi-utterance-regression}\end{document}",
        encoding="utf-8",
    )
    compile_tex(folder, "paper.tex")


def test_the_papers_layout_takes_the_place_of_ours_and_leaves_no_file_of_it(tmp_path: Path) -> None:
    plan = fakes.plan(models=("LMF", "TFN"))
    store = fakes.filled(plan, fakes.typical_error)
    folder = rendered(plan, store, tmp_path).parent / "tables"
    ours = {path.name for path in folder.glob("*.tex")}
    assert {"toy-regression.tex", "toy-regression-ranks.tex"} <= {name.removeprefix("synthetic-") for name in ours}
    results = collect(plan, store.as_store)
    render(results, plan, tmp_path, now=NOW, resamples=fakes.RESAMPLES, extras=Extras(figures=False, style="paper"))
    theirs = {path.name for path in folder.glob("*.tex")}
    assert theirs < ours
    assert not any(name.endswith(("-ranks.tex", "-models.tex")) for name in theirs)
    assert "#LMF" in compile_tex(folder, "tables.tex").text


SPECIAL = set("&%$#_{}~^\\")


@given(st.text(max_size=60))
def test_escaped_text_holds_no_bare_special(text: str) -> None:
    escaped = str(escape(text))
    bare = re.sub(r"\\(?:[&%$#_{}]|text[a-z]+(?:\{\})?|harnessforeign|ensuremath|[a-z]+)", "", escaped)
    assert not set("&%$#_~^") & set(bare), escaped


@given(st.text(alphabet="abcXYZ019.;:()", max_size=40))
def test_plain_text_is_left_alone(text: str) -> None:
    assert str(escape(text)) == text


@pytest.mark.parametrize(
    ("seconds", "told"), [(4.2, "4.2 s"), (59.96, "1 min 00 s"), (61.0, "1 min 01 s"), (3600.0, "1 h 00 min")]
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_p_values_are_never_zero() -> None:
    assert p_value(0.0) != "0"
    assert p_value(1e-9).startswith("<")
    assert p_value(float("nan")) == ""


def test_every_table_has_its_files(full: tuple[Plan, Path]) -> None:
    names: Sequence[str] = [p.name for p in (full[1].parent / "tables").iterdir()]
    for slug in ("mosi-utterance-regression", "synthetic-toy-classification"):
        assert {f"{slug}.tex", f"{slug}.csv", f"{slug}-contrasts.csv", f"{slug}-items.csv"} <= set(names)
    assert {"runs.csv", "models.csv", "rankings.csv", "printed.csv"} <= set(names)


def test_the_files_hold_the_whole_frames_and_mark_synthetic_data(full: tuple[Plan, Path]) -> None:
    plan, page = full
    found = compare(
        collect(plan, damaged_store(plan).as_store),
        alpha=plan.suite.report.alpha,
        resamples=fakes.RESAMPLES,
        items=False,
    )
    folder = page.parent / "tables"
    contrasts = pd.read_csv(folder / "mosi-utterance-regression-contrasts.csv")
    expected = found.contrasts[
        (found.contrasts["dataset"] == "mosi-utterance") & (found.contrasts["task"] == "regression")
    ]
    assert list(contrasts.columns) == list(expected.columns)
    assert contrasts["q"].to_numpy() == pytest.approx(expected["q"].to_numpy(), nan_ok=True)
    assert contrasts["low"].to_numpy() == pytest.approx(expected["low"].to_numpy(), nan_ok=True)
    models = pd.read_csv(folder / "models.csv")
    assert len(models) == len(found.models)
    assert dict(zip(models["dataset"], models["synthetic"], strict=True)) == {
        "synthetic-toy": True,
        "mosi-utterance": False,
    }
    items = pd.read_csv(folder / "mosi-utterance-regression-items.csv")
    assert max(len(str(p).split(";")) for p in items["per_seed_p"].dropna()) == len(plan.suite.seeds)


def test_the_answers_after_the_tables_stand_in_sections_of_their_own(full: tuple[Plan, Path]) -> None:
    document = parse(full[1])
    for place, phrase in (
        ("over-models", "The blocks are the models"),
        ("ranks", "1 the best"),
        ("statistics", "Holm"),
    ):
        section = document.find(f".//section[@id='{place}']")
        assert section is not None, place
        assert phrase in text_of(section)
    assert document.find(".//section[@id='published']") is None, "the paper prints nothing of these data sets"


def test_wide_tables_scroll_in_regions_with_a_name(full: tuple[Plan, Path]) -> None:
    document = parse(full[1])
    held = [table for region in document.iter("div") for table in region.findall("table")]
    assert held
    assert len(held) == len(list(document.iter("table")))
    regions = [region for region in document.iter("div") if region.find("table") is not None]
    assert all(r.get("tabindex") == "0" and (r.get("aria-label") or r.get("aria-labelledby")) for r in regions)


def test_a_difference_that_holds_is_marked_alike_in_table_comparison_and_file(full: tuple[Plan, Path]) -> None:
    document = parse(full[1])
    slug = "mosi-utterance-regression"
    frame = pd.read_csv(full[1].parent / "tables" / f"{slug}-contrasts.csv")
    held = int((frame["significant"] & ~frame["duplicate"]).sum())
    assert held > 0
    section = document.find(f".//section[@id='{slug}']")
    assert section is not None
    [scores] = section.findall(".//table[@class='scores']")
    assert text_of(scores).count("†") == held
    folded = next(d for d in section.findall("./details") if "comparisons" in text_of(d[0]))
    assert len([row for row in folded.iter("tr") if "holds" in (row.get("class") or "")]) == held


def test_the_page_about_the_statistics_is_valid_and_needs_nothing_else(tmp_path: Path) -> None:
    page = render_statistics(tmp_path, now=NOW)
    assert page == tmp_path / "statistics" / "index.html"
    document = parse(page)
    ids = [e.get("id") for e in document.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    links = {e.get("href", "") for e in document.iter("a")}
    assert all(link[1:] in ids for link in links)
    told = text_of(document)
    for phrase in ("The unit is the seed", "Holm", "2<sup>1−n</sup>".replace("<sup>", "").replace("</sup>", "")):
        assert phrase in told
    assert page.read_bytes() == render_statistics(tmp_path, now=NOW).read_bytes()
