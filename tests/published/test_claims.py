"""The typed claims: what they name exists, and what they state stands in the words quoted."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

import harness.published
from harness.errors import InputError
from harness.published import Claim, load

CLAIMS = load().claims
SHIPPED = Path(harness.published.__file__).parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the tables."""
    for path in SHIPPED.glob("*.csv"):
        shutil.copy(path, tmp_path)
    return tmp_path


def write(folder: Path, **changes: str) -> None:
    """Write a file of claims that has one line, a copy of the first with changes."""
    path = folder / "claims.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        line = next(csv.DictReader(stream))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, line.keys())
        writer.writeheader()
        writer.writerow(line | changes)


def test_names_are_unique_and_sections_in_order() -> None:
    assert len(CLAIMS) > 40
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
    sections = list(dict.fromkeys(claim.section for claim in CLAIMS))
    assert sections == ["Abstract", "1", "3.3", "4.1", "4.1.2", "4.1.4", "4.1.5", "4.2", "4.3", "4.4", "4.5", "5"]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_is_whole(claim: Claim) -> None:
    assert claim.quote == " ".join(claim.quote.split())
    assert claim.reading
    assert all(value.text in claim.quote for value in claim.values)
    rows = {cell.model for number in claim.tables for cell in load().table(number) if cell.own}
    columns = {cell.metric for number in claim.tables for cell in load().table(number)}
    assert set(claim.models) <= rows
    assert set(claim.metrics) | set(claim.beside) <= columns


@pytest.mark.parametrize(
    "claim", [one for one in CLAIMS if one.kind == "numbers" and one.id != "sims-f1-by"], ids=lambda claim: claim.id
)
def test_models_stand_in_the_quote_in_their_order(claim: Claim) -> None:
    # The paper spells MulT as MuT there; "It" and "they" go back to the sentence before.
    names = [claim.quote.find(model.replace("MulT", "MuT")) for model in claim.models]
    assert names == sorted(names)
    assert min(names) >= 0 or claim.quote.startswith("It ")


def test_five_models_share_a_sentence_and_the_next() -> None:
    by_id = {claim.id: claim for claim in CLAIMS}
    assert by_id["sims-f1-by"].models == by_id["sims-accuracy-by"].models


def test_a_contrast_is_asked_for_and_given() -> None:
    by_id = {claim.id: claim for claim in CLAIMS}
    assert by_id["vision-above-audio"].contrast == ("v", "a")
    with pytest.raises(ValueError, match="sims-clips names no contrast"):
        _ = by_id["sims-clips"].contrast


def test_a_copy_is_read_from_its_folder(folder: Path) -> None:
    write(folder, values="1; 2,000; 3.50", models="TFN; LMF", quote="other words")  # "every" asks for no values
    (claim,) = load(folder).claims
    assert claim.quote == "other words"
    assert claim.models == ("TFN", "LMF")
    assert [str(value.value) for value in claim.values] == ["1", "2000", "3.50"]


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("id", "", "empty or stands twice"),
        ("kind", "boast", "'boast' where one of"),
        ("kind", "untold", "of kind untold needs reason"),
        ("kind", "numbers", "needs models and metrics and values"),
        ("kind", "datasets", "needs against"),
        ("baseline", "", "needs baseline"),
        ("tables", "four", "'four' where a whole number"),
        ("variant", "t", "'t' where one of"),
        ("values", "3.x", "not a printed number: '3.x'"),
        ("values", "–", "a dash is no value"),
    ],
)
def test_a_bad_line_is_refused(folder: Path, field: str, text: str, words: str) -> None:
    write(folder, **{field: text})
    with pytest.raises(InputError) as caught:
        load(folder)
    assert words in str(caught.value)
    assert "claims.csv:2" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "numbers", "models": "TFN; LMF", "metrics": "F1", "values": "1.00"}, "1 instead of 2"),
        ({"kind": "count", "places": "1/sims/total", "values": "1; 2"}, "2 instead of 1"),
        ({"kind": "extremes", "models": "TFN", "metrics": "F1", "values": "1.00"}, "1 instead of 2"),
        ({"kind": "datasets", "tables": "5; 7", "against": "4"}, "1 instead of 2"),
        ({"kind": "order", "places": "1/sims/total"}, "1 instead of 0"),
        ({"kind": "limited", "tables": "4; 5", "metrics": "F1", "beside": "Acc-2"}, "2 instead of 1"),
        ({"kind": "setting", "models": "TFN", "places": "aligned; unaligned"}, "2 instead of 1"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(folder: Path, changes: dict[str, str], words: str) -> None:
    write(folder, **changes)
    with pytest.raises(InputError, match=words):
        load(folder)


def test_a_name_that_stands_twice_is_refused(folder: Path) -> None:
    path = folder / "claims.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines[:2], lines[1]]), encoding="utf-8")
    with pytest.raises(InputError, match="empty or stands twice"):
        load(folder)
