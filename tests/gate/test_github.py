from __future__ import annotations

import html
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.costs import CellKey
from harness.gate import Judgement, MetricRow, Verdict
from harness.gate.github import COMMENT_MARK, MOST_ANNOTATIONS, as_annotations, as_markdown, worst_first
from tests.gate import made

PATH = "baselines/fake.json"
COMMAND = re.compile(r"::(error|warning|notice) file=([^,]*),line=(\d+),title=([^,:]*)::(.*)", re.DOTALL)


def cell(model: str, variant: str = "original") -> CellKey:
    return (*made.PLACE[:3], model, variant)


def many(count: int, *verdicts: Verdict) -> list[MetricRow]:
    return [made.row(verdicts[i % len(verdicts)], i / 1e5, cell=cell(f"M{i}")) for i in range(count)]


def parsed(line: str) -> tuple[str, str, int, str, str]:
    """Read a workflow command as GitHub's runner does: properties and message are unescaped, each by its rule."""
    found = COMMAND.fullmatch(line)
    assert found, line
    assert "\n" not in line
    assert "\r" not in line

    def data(text: str) -> str:
        return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")

    def value(text: str) -> str:
        return data(text.replace("%3A", ":").replace("%2C", ","))

    kind, file, number, title, message = found.groups()
    return kind, value(file), int(number), value(title), data(message)


def rendered(text: str) -> str:
    return str(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text))


def table_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ") and "| cell |" not in line]


def test_the_worst_come_first_and_among_them_the_largest_losses_in_margins() -> None:
    rows = [
        *(made.row("GREEN", 0.009), made.row("STALE", -0.05), made.row("AMBER", 0.012), made.row("CANNOT JUDGE")),
        *(made.row("RED", 0.02), made.row("RED", 0.05, margin=0.1), made.row("RED", 0.03)),
    ]
    got = worst_first(made.judgement(*rows, made.cost_row("RED")))
    assert [row.verdict for row in got] == [*["RED"] * 4, "CANNOT JUDGE", "AMBER", "STALE", "GREEN"]
    assert got[0] == made.cost_row("RED")
    assert [row.difference for row in got[1:4] if isinstance(row, MetricRow)] == [-0.03, -0.02, -0.05]


@pytest.mark.parametrize("count", [0, 1, 10, 11, 300])
def test_there_are_ten_annotations_of_a_kind_at_most_and_the_rest_is_counted(count: int) -> None:
    lines = as_annotations(made.judgement(*many(4 * count, "RED", "AMBER", "STALE", "GREEN")), PATH, {})
    kinds = Counter(parsed(line)[0] for line in lines)
    assert kinds == ({"error": min(count, 10), "warning": min(count, 10), "notice": min(count, 10)} if count else {})
    if count > MOST_ANNOTATIONS:
        assert sum(f"and {count - 9} more of this kind" in line for line in lines) == 3


def test_annotations_are_the_worst_after_what_kept_the_gate_from_judging() -> None:
    judgement = made.judgement(*many(30, "RED"), problems=("runs have failed",))
    told = [parsed(line) for line in as_annotations(judgement, PATH, {})]
    assert len(told) == 10
    assert (told[0][3], told[0][4]) == ("gate cannot judge", "runs have failed")
    assert [line[4].split(",")[0] for line in told[1:9]] == [f"M{i}" for i in range(29, 21, -1)]
    assert told[9][4] == "and 22 more of this kind: see the step summary"


def test_green_rows_are_no_annotations_and_others_point_at_their_line() -> None:
    judgement = made.judgement(made.row("RED"), made.row(), made.cost_row("CANNOT JUDGE", cell=cell("X"), why="none"))
    red, hole = (parsed(line) for line in as_annotations(judgement, PATH, {"/".join(made.PLACE): 17}))
    assert red[:4] == ("error", PATH, 17, "red: Acc-5")
    assert hole[:4] == ("error", PATH, 1, "cannot judge: Params")


NASTY = "100%\r\n::error::a,b:c%0A%25 多"


def test_what_a_command_would_read_as_its_own_is_escaped() -> None:
    row = made.row("CANNOT JUDGE", metric=NASTY, why=NASTY)
    (line,) = as_annotations(made.judgement(row), NASTY, {})
    kind, file, _, title, message = parsed(line)
    assert (kind, file, title) == ("error", NASTY, f"cannot judge: {NASTY}")
    assert message.endswith(NASTY)
    assert "%250A" in line


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_a_command(text: str) -> None:
    (line,) = as_annotations(made.judgement(problems=(text,)), f"{text}.json", {})
    found = parsed(line)
    assert (found[1], found[4]) == (f"{text}.json", text)


def test_the_comment_begins_with_its_mark_and_the_verdict() -> None:
    text = as_markdown(made.judgement(made.row("RED", 0.02), made.row(), notes=("synthetic data",)))
    lines = text.splitlines()
    assert lines[0] == COMMENT_MARK.format(suite="fake") == "<!-- harness gate fake -->"
    assert lines[2].startswith("### 🔴 harness gate, suite fake")
    assert "synthetic data" in text
    assert "1 green row<" in text
    assert [line.split("|")[1].strip() for line in table_rows(text)] == ["🔴", "🟢"]


@pytest.mark.parametrize(
    ("verdict", "icon"), [("RED", "🔴"), ("CANNOT JUDGE", "⚪"), ("AMBER", "🟢"), ("STALE", "🟢"), ("GREEN", "🟢")]
)
def test_the_heading_shows_the_exit(verdict: Verdict, icon: str) -> None:
    assert f"### {icon} " in as_markdown(made.judgement(made.row(verdict)))


def test_the_tables_are_tables_for_a_reader_of_markdown() -> None:
    judgement = made.judgement(made.row("RED", 0.02), made.row("CANNOT JUDGE"), made.row(), made.cost_row("RED"))
    page = rendered(as_markdown(judgement))
    assert (page.count("<table>"), page.count("<details>")) == (2, 1)
    assert page.count("<tr>") == 2 + 4
    assert '<td style="text-align:right">78.00</td>' in page
    assert "<td>1,000</td>" in page.replace(' style="text-align:right"', "")


@pytest.mark.parametrize("longest", [3_000, 60_000, 2**20])
@pytest.mark.parametrize("verdicts", [("GREEN",), ("RED",), ("RED", "GREEN", "AMBER", "CANNOT JUDGE")])
def test_five_thousand_rows_stay_within_the_bytes_and_the_rest_is_counted(
    verdicts: tuple[Verdict, ...], longest: int
) -> None:
    text = as_markdown(made.judgement(*many(5_000, *verdicts)), longest=longest)
    assert len(text.encode()) <= longest
    shown = Counter("green" if "🟢" in line else "loud" for line in table_rows(text))
    loud = 5_000 * sum(verdict != "GREEN" for verdict in verdicts) // len(verdicts)
    if loud > shown["loud"]:
        assert f"… and {loud - shown['loud']:,} more rows that are not green." in text
    if 0 < shown["green"] < 5_000 - loud:
        assert f"{5_000 - loud:,} green rows, the first {shown['green']}" in text
    assert sum(shown.values()) > longest / 250 or sum(shown.values()) == 5_000


def test_chinese_names_are_counted_in_bytes() -> None:
    rows = [made.row("RED", cell=cell("多模态情感分析" * 5)) for _ in range(500)]
    assert len(as_markdown(made.judgement(*rows), longest=20_000).encode()) <= 20_000


def test_green_rows_that_are_all_left_out_are_counted() -> None:
    text = as_markdown(made.judgement(*many(4_000, "RED", "RED", "RED", "GREEN")), longest=3_000)
    assert len([line for line in text.splitlines() if "1,000 green rows" in line]) == 1


def test_no_green_row_is_shown_where_one_that_is_not_green_is_left_out() -> None:
    loud = made.row("CANNOT JUDGE", why="x" * 5_000)
    text = as_markdown(made.judgement(loud, *many(20, "GREEN")), longest=5_000)
    assert "… and 1 more row that is not green." in text
    assert "🟢" not in "".join(table_rows(text))


def test_five_thousand_problems_stay_within_the_bytes() -> None:
    problems = tuple(f"the baseline has no toy/unaligned/regression/M{i}/original: write it anew" for i in range(5_000))
    assert len(as_markdown(made.judgement(problems=problems)).encode()) <= 60_000


@pytest.mark.parametrize(
    "name",
    [
        *("a | b", "a\\|b", "`code`", "**bold**", "~~x~~", "# h", "$x$", "[x](http://y.z)", "![i](j)", "line\nbreak"),
        *("<script>alert(1)</script>", "</details>", "<!-- c -->", "&lt;b&gt;", "\\"),
    ],
)
def test_markup_in_names_is_shown_and_not_read(name: str) -> None:
    plain = as_markdown(made.judgement(made.row("RED", cell=cell("X")), problems=("X",), notes=("X",)))
    text = as_markdown(made.judgement(made.row("RED", cell=cell(name)), problems=(name,), notes=(name,)))

    def tags(page: str) -> list[str]:
        return re.findall(r"</?[a-zA-Z]+|<!--", page)

    assert tags(rendered(text)) == tags(rendered(plain))
    # Once as a note, once as a problem, and in a cell of the table.
    shown = html.unescape(re.sub(r"<[^>]+>", "", rendered(text)))
    assert shown.count(" ".join(name.split())) >= 3
    assert f"{' '.join(name.split())}, toy (unaligned), regression\n" in shown


@pytest.mark.parametrize("name", ["@user", "@org/team", "#123"])
def test_a_name_mentions_nobody(name: str) -> None:
    judgement = made.judgement(made.row("RED", cell=cell(name)), problems=(name,))
    visible = re.sub(r"\s+", " ", rendered(as_markdown(judgement)))
    assert name not in visible


def test_a_judgement_without_rows_has_no_table() -> None:
    text = as_markdown(Judgement("fake", made.judgement().options, problems=("nothing there",)))
    assert table_rows(text) == []
    assert "- ⚪ nothing there" in text


def test_what_was_not_counted_says_why_in_the_table() -> None:
    rows: list[Any] = [made.cost_row("CANNOT JUDGE", why="no encoder"), made.row("CANNOT JUDGE")]
    first, second = table_rows(as_markdown(made.judgement(*rows)))
    assert "no run of this cell is done" in first + second
    assert "no encoder" in first + second
