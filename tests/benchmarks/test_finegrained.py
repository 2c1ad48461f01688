"""The benchmark of a fine-grained step: that it runs each side on the same footing and adds up right."""

from __future__ import annotations

import pytest

from benchmarks import finegrained
from benchmarks.finegrained import SIDES, Row, as_table, made_up, measure, ready, specs_for
from harness.models.finegrained import FineGrainedExtractor

ROW = Row("MFN", "sims", 32, "", {"original": (1.0, 2.0, 4.0), "loop": (3.0, 8.0, 8.0), "batched": (2.0, 2.0, 5.0)})


def test_ratios_pair_the_steps_of_a_turn() -> None:
    assert ROW.median("loop") == 8.0
    assert ROW.ratio("loop") == 3.0
    assert ROW.ratio("batched") == 1.25


def test_the_table_shows_every_figure() -> None:
    assert as_table([ROW]).splitlines()[-1] == "| MFN | sims | 32 |  | 2000.0 | 8000.0 | 2000.0 | 3.00 | 1.25 |"


def test_true_shapes_and_batches() -> None:
    specs = specs_for("mosei", "ALMT", "stub")
    assert specs is not None
    original, fine = specs
    assert (original.split, fine.split) == ((), ("audio",))
    assert original.hyper == fine.hyper
    batch = next(made_up(original).in_order())
    assert batch.text.shape == (64, 3, 50)
    assert batch.audio.shape == (64, 50, 74)
    assert (batch.text[:, 1].sum(dim=1) >= 10).all()
    assert batch.text[0, 1].sum() == 50


def test_a_model_without_such_a_run_is_left_out() -> None:
    assert specs_for("mosei", "MLF-DNN", "stub") is None
    assert measure("mosei", "MLF-DNN", "stub", 1) is None


def test_every_step_counts_the_optimiser() -> None:
    specs = specs_for("synthetic", "MulT", "stub")
    assert specs is not None
    assert {spec.hyper["update_epochs"] for spec in specs} == {1}


def test_both_sides_learn_the_same_model() -> None:
    specs = specs_for("synthetic", "LF-DNN", "stub")
    assert specs is not None
    batches = made_up(specs[1])
    sides = [ready(specs[1], batches, batched=flag) for flag in (True, False)]
    for recipe, flag in zip(sides, (True, False), strict=True):
        site = recipe.model.get_submodule("Model.audio_subnet")
        assert isinstance(site, FineGrainedExtractor)
        assert site.batched == flag
    states = [recipe.model.state_dict() for recipe in sides]
    assert all((states[0][name] == states[1][name]).all() for name in states[0])


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--models", "MFN", "--datasets", "synthetic", "--steps", "2", "--encoder", "stub"]
    assert finegrained.main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert printed[-1].startswith("| MFN | synthetic | 32 |")


def test_each_side_gets_its_steps() -> None:
    row = measure("synthetic", "MFN", "stub", 2)
    assert row is not None
    assert tuple(row.seconds) == SIDES
    assert all(len(seconds) == 2 for seconds in row.seconds.values())
