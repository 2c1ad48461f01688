"""Bad content of the CSV files is refused with file and line."""

from __future__ import annotations

import csv
import io
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness.published
from harness.errors import InputError
from harness.published import load, parse
from harness.published.cells import read_cells

MAE = "8,1,#LF-DNN,LF-DNN,original,reproduction,sims,regression,,MAE"
SHIPPED = Path(harness.published.__file__).parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the tables."""
    for path in SHIPPED.glob("*.csv"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def alter(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_copy_reads_the_same(folder: Path) -> None:
    assert load(folder) == load()


def test_an_altered_copy_says_what_it_says(folder: Path) -> None:
    alter(folder, "table8.csv", "Corr \\uparrow,Corr,,0.680", "Corr \\uparrow,Corr,,0.068")
    different = [new for old, new in zip(load().cells, load(folder).cells, strict=True) if old != new]
    assert [(cell.row, str(cell.value)) for cell in different] == [("#MulT-v", "0.068")]


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("table4.csv", "has-0/non-0,80.60/82.74,", "has-0/non-0,80.60,", "1 number(s) in '80.60' where 2 belong"),
        ("table4.csv", ",80.60/82.74,", ",8O.60/82.74,", "not a printed number: '8O.60'"),
        ("table4.csv", ",80.60/82.74,,", ",80.60/82.74,81.60/82.74,", "a correction needs a reason"),
        ("table4.csv", ",80.60/82.74,,", ",80.60/82.74,,because", "a correction needs a reason"),
        ("table4.csv", ",80.60/82.74,,", ",80.60/82.74,", "14 fields instead of 15"),
        ("table4.csv", ",has-0/non-0,80.60/82.74", ",both,80.60/82.74", "'both' where one of"),
        ("table4.csv", "F1 (%)↑,F1,has-0/non-0,80.85", "F1 (%)↑,F,has-0/non-0,80.85", "not one of a column"),
        ("table4.csv", "F1 (%)↑,F1,has-0/non-0,80.85", "Acc-2↑,Acc-2,has-0/non-0,80.85", "two cells"),
        (
            "table5.csv",
            "regression,,Acc-2 (%) \\uparrow,Acc-2,,77.02",
            "regression,Mixed,Acc-2↑,Acc-2,,77.02",
            "'Mixed'",
        ),
        ("table8.csv", MAE, MAE.replace(",LF-DNN", ",TFN"), "label '#LF-DNN' is not"),
        ("table8.csv", MAE, MAE.replace("original,reproduction", "original,mmsa"), "source 'mmsa'"),
        ("table8.csv", MAE, MAE.replace(",LF-DNN,original", "-a,LF-DNN,a"), "do not go together"),
        ("table8.csv", MAE, MAE.replace("8,1,", "8,41,"), "do not go together"),
        ("table8.csv", MAE, MAE.replace("8,1,", "8,0,"), "'0' where a whole number"),
        ("table8.csv", MAE, MAE.replace("8,1,", "5,1,"), "a line of Table 5 in the file of Table 8"),
        ("table8.csv", MAE, MAE.replace(",,MAE", ',,"MAE" '), "expected after"),
        ("table1.csv", "CH-SIMS,sims", "CH-SIMS,SIMS", "'SIMS' where one of"),
        ("table1.csv", ",457,", ",–,", "a dash where a number belongs"),
        ("table2.csv", "sims,audio", "sims,sound", "'sound' where one of"),
        ("table3.csv", "TMT,TMT,BERT,MLP,MLP,✓,–", "TMT,TMT,BERT,MLP,MLP,✓,x", "'x' where one of"),
        ("table9.csv", "3,V,Example", "3,S,Example", "'S' where one of"),
        ("table9.csv", "3,T,GT,0.40", "3,T,L(Fg),0.40", "example 3 has two cells T L(Fg)"),
        ("captions.csv", "table,caption", "number,caption", "the first line must be table,caption"),
    ],
)
def test_bad_lines(folder: Path, name: str, old: str, new: str, words: str) -> None:
    alter(folder, name, old, new)
    path = folder / name
    line = next(n for n, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if new in text)
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        load(folder)
    assert caught.value.where == f"{path}:{line}"
    assert caught.value.hint


def test_a_missing_cell_of_the_case_study(folder: Path) -> None:
    alter(folder, "table9.csv", "2,T,GT,0.00,,\n", "")
    with pytest.raises(InputError, match=r"cell of the case study is missing: \(2, 'T', 'GT'\)"):
        load(folder)


def test_a_missing_or_unreadable_file(folder: Path) -> None:
    (folder / "table7.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot read a published table") as caught:
        load(folder)
    assert caught.value.where == str(folder / "table7.csv")
    (folder / "table6.csv").unlink()
    with pytest.raises(InputError, match="cannot read a published table"):
        load(folder)
    (folder / "table4.csv").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="the first line must be") as caught:
        load(folder)
    assert caught.value.where.endswith("table4.csv:1")


@given(text=st.text(st.characters(exclude_categories=["Cs"])) | st.text("0123456789.,-−+–—/×^{}%<u>", max_size=8))
def test_any_text_in_a_cell_is_read_as_it_stands_or_refused_with_its_line(scratch: Path, text: str) -> None:
    header = (SHIPPED / "table8.csv").read_text(encoding="utf-8").splitlines()[0]
    row = [
        "8",
        "1",
        "#TMT-v",
        "TMT",
        "v",
        "reproduction",
        "sims",
        "regression",
        "",
        "MAE \\downarrow",
        "MAE",
        "",
        text,
        "",
        "",
    ]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerow(row)
    with (scratch / "table8.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(f"{header}\n{out.getvalue()}")
    bare = text[3:-4] if re.fullmatch(r"<u>[^<>]+</u>", text) else text
    try:
        wanted = parse(bare)
    except ValueError:
        with pytest.raises(InputError) as caught:
            read_cells(8, scratch)
        assert re.fullmatch(re.escape(str(scratch / "table8.csv")) + r":\d+", caught.value.where)
    else:
        (cell,) = read_cells(8, scratch)
        assert (cell.text, cell.printed, cell.underlined) == (text, wanted, bare != text)
