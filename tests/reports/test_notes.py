"""What a table says of how it was made: wiring, text encoders, repeated steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.plan import load_datasets, make_plan
from harness.reports.latex import fragment
from harness.reports.layout import build
from harness.suites import load_suite
from tests.reports import fakes


def notes_of(suite_name: str, **changes: Any) -> Iterator[str]:
    """The notes below the first table of a shipped suite of which nothing was run."""
    suite, base = load_suite(suite_name)
    suite = suite.model_copy(update=changes)
    plan = make_plan(suite, load_datasets(suite, base), lambda _dataset, _setting: "0" * 64)
    yield from build(fakes.compared(plan, fakes.FakeStore()), plan)[0].notes


def test_random_encoders_are_called_random() -> None:
    told = [note for note in notes_of("all-models") if note.startswith("Text encoder")]
    assert len(told) == 1
    assert "MISA, Self-MM, TETFN and ALMT: random BERT (1 layer, 48 wide)" in told[0]
    assert "weights drawn at random from each run's seed" in told[0]


def test_weights_that_no_one_has_read_here_have_no_hash() -> None:
    told = [note for note in notes_of("paper") if note.startswith("Text encoder")]
    assert told
    assert all("not read on this machine" in note and "weights 0000" not in note for note in told)


def test_repeated_steps_are_told() -> None:
    told = [note for note in notes_of("mosi-bert", text_encoder={}) if "repeated" in note]
    assert told == [
        "MISA: the single step of audio and vision is repeated to the text length, by which the model packs."
    ]


def test_suites_without_either_say_nothing_of_it() -> None:
    assert not [note for note in notes_of("quick") if "encoder" in note or "repeated" in note]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ("one set of W_Q, W_K and W_V for all groups", "over the groups at each step", "square root of h")),
        ({"qkv": "per_head"}, ("one set of W_Q, W_K and W_V per group, as in Equations 7 to 9",)),
        ({"attention": "time", "scale": "none"}, ("over time within each group", "not scaled")),
    ],
)
def test_the_wiring_is_told(options: dict[str, str], words: tuple[str, ...]) -> None:
    suite, _ = load_suite("quick")
    finegrained = type(suite.finegrained).model_validate(options)
    told = [note for note in notes_of("quick", finegrained=finegrained) if note.startswith("Fine-grained wiring")]
    assert len(told) == 1
    assert all(word in told[0] for word in words)


def test_a_table_of_originals_says_nothing_of_wiring() -> None:
    assert not [note for note in notes_of("quick", variants=("original",)) if "wiring" in note]


def test_models_that_do_not_do_a_task_share_one_note() -> None:
    told = [note for note in notes_of("all-models") if note.startswith("Not in this table")]
    assert told == [
        "Not in this table: MLF-DNN does no regression (Table 3); MTFN does no regression (Table 3); "
        "MLMF does no regression (Table 3)."
    ]
    assert not [note for note in notes_of("all-models") if note.startswith("— M")]


def test_a_table_in_parts_has_its_notes_once() -> None:
    suite, base = load_suite("all-models")
    plan = make_plan(suite, load_datasets(suite, base), lambda _dataset, _setting: "0" * 64)
    written = fragment(build(fakes.compared(plan, fakes.FakeStore()), plan)[0])
    parts = written.count(r"\begin{table}")
    assert parts > 1
    assert written.count("Fine-{}grained wiring") == 1
    assert written.count("The notes stand below part") == parts - 1
