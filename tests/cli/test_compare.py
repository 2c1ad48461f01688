"""``harness compare`` on records that nobody trained: what stands where, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness import workflow
from harness.comparison import compare
from harness.plan import Selection
from harness.results import collect
from harness.spec import RunSpec
from harness.store import RunStore, write_json
from tests.cli.tools import TINY_DATA, Answer, ask, refused, write_suite
from tests.helpers import fill_draft

LEVELS = ["seeds", "models", "ranks", "paper"]
AUDIO_ALONE = {"name": "synthetic-audio", "synthetic": {**TINY_DATA["synthetic"], "like": "mosei"}}


class Made:
    """A suite whose records are written by hand, and the command asked about it."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        fields = {"variants": ["original", "fg", "a", "v"], "seeds": [1, 2, 3]} | changes
        self.suite = write_suite(folder / "made.yaml", **fields)
        self.store = RunStore(folder / "runs")
        folders = workflow.Folders(None, self.store.root, folder / "reports", folder / "cache")
        self.plan = workflow.plan_suite(str(self.suite), Selection(), folders, need_data=False).plan

    def fill(self, runs: Sequence[RunSpec] | None = None, *, constant: str = "") -> Made:
        """Write records in which LMF-fg is far better than LMF and all else alike; one variant may be constant."""
        self.store.prepare()
        for run in self.plan.runs if runs is None else runs:
            draft = self.store.begin(run)
            fill_draft(draft, run)
            _predict(draft, run, constant=run.variant == constant)
            self.store.publish(run, draft)
        return self

    def ask(self, *options: str) -> Answer:
        return ask("compare", "--suite", self.suite, "--runs-dir", str(self.store.root), "--resamples", "100", *options)


def _predict(draft: Path, run: RunSpec, *, constant: bool) -> None:
    """Put in predictions that do not hang on the run's id, which changes with the harness's own sources."""
    path, record = draft / "predictions.parquet", draft / "record.json"
    frame = pd.read_parquet(path)
    noise = 0.05 if (run.model, run.variant) == ("LMF", "fg") else 0.5
    drawn = np.random.default_rng([*f"{run.model}-{run.variant}".encode(), run.seed]).normal(0, noise, len(frame))
    frame["pred"] = np.float32(0.25) if constant else (frame["label"] + drawn).astype(np.float32)
    frame.to_parquet(path, index=False)
    data = json.loads(record.read_text(encoding="utf-8"))
    data["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    write_json(record, data)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two models in four variants over three seeds."""
    return Made(tmp_path_factory.mktemp("compare")).fill()


@pytest.fixture(scope="module")
def aliased(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Audio alone is split: -a is -fg, and there is no -v."""
    return Made(tmp_path_factory.mktemp("aliased"), datasets=[AUDIO_ALONE]).fill()


def strict(text: str) -> Any:
    """Read JSON as the standard has it, without NaN and Infinity."""

    def never(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=never)


def one(rows: Sequence[Mapping[str, Any]], **named: Any) -> Mapping[str, Any]:
    (row,) = (row for row in rows if all(row[name] == value for name, value in named.items()))
    return row


def test_the_tables_say_what_they_are(made: Made) -> None:
    answer = made.ask()
    assert answer.code == 0, answer.err
    titles = [line.split(",")[0].split(":")[0] for line in answer.out.splitlines() if line[:1].isupper()]
    assert titles == ["Over seeds", "Over models", "Variants ranked over models"]
    line = next(line for line in answer.out.splitlines() if "MAE" in line and "LMF-fg" in line)
    assert "better" in line
    assert line.split()[:4] == ["synthetic-tiny", "reg", "MAE", "LMF-fg"]
    assert answer.out.count("LMF-fg") == 6
    assert "SECOND LEVEL" not in answer.out
    assert "cannot tell" in answer.out, "two models are never enough"


def test_remarks_go_to_standard_error(made: Made) -> None:
    for how in ("table", "json", "csv"):
        answer = made.ask("--format", how)
        for words in ("better", "with 3 seeds a delta of 3.26 sd", "synthetic", "no exact p lies below 0.25"):
            assert words in answer.err
        for words in ("3.26 sd", "say nothing about real data"):
            assert words not in answer.out
        assert ("paper: no run of a cell that the paper prints" in answer.err) == (how != "csv")


def test_json_holds_the_frames_and_nothing_else(made: Made) -> None:
    found = strict(made.ask("--format", "json").out)
    assert list(found) == LEVELS
    results = collect(made.plan, made.store)
    wanted = compare(results, resamples=100)
    for level, frame in (("seeds", wanted.contrasts), ("models", wanted.models)):
        read = pd.DataFrame(found[level])
        assert list(read.columns) == list(frame.columns)
        pd.testing.assert_frame_equal(read, frame.reset_index(drop=True), check_dtype=False)
    assert found["paper"] == []
    rank = one(found["ranks"], metric="MAE")
    assert set(rank["mean_ranks"]) == {"original", "fg", "a", "v"}
    assert rank["blocks"] == ["LF-DNN", "LMF"]
    values = results.values
    row = one(found["seeds"], model="LMF", variant="fg", metric="MAE")
    wide = values[(values["model"] == "LMF") & (values["metric"] == "MAE")].pivot(
        index="seed", columns="variant", values="value"
    )
    assert row["p"] == pytest.approx(stats.ttest_rel(wide["fg"], wide["original"]).pvalue)
    assert row["mean"] == pytest.approx((wide["original"] - wide["fg"]).mean())
    assert row["low"] < row["mean"] < row["high"]


def test_the_second_level_is_there_when_asked_for_and_says_so(made: Made) -> None:
    table = made.ask("--level", "items")
    assert table.out.startswith("SECOND LEVEL")
    assert "nothing is said about other seeds" in table.out
    assert "Over seeds" not in table.out
    rows = strict(made.ask("--level", "items", "--format", "json").out)["items"]
    assert len(rows) == 2 * 3 * 6
    row = one(rows, model="LMF", variant="fg", metric="Corr")
    assert row["per_seed"] == "Williams' t"
    assert len(row["per_seed_p"]) == row["seeds"] == 3
    assert row["items"] == 24
    assert row["verdict"] in ("better", "no difference shown")
    assert row["holm"] is not None


def test_levels_come_in_one_order_however_they_are_asked_for(made: Made) -> None:
    answer = made.ask("--format", "json", "--level", "ranks,models", "--level", "seeds")
    assert list(strict(answer.out)) == ["seeds", "models", "ranks"]


def test_csv_is_one_table(made: Made) -> None:
    lines = list(csv.DictReader(io.StringIO(made.ask("--format", "csv").out)))
    rows = strict(made.ask("--format", "json", "--level", "seeds").out)["seeds"]
    assert lines == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    assert lines


@pytest.mark.parametrize("level", ["ranks", "items"])
def test_csv_holds_one_plain_value_a_cell(made: Made, level: str) -> None:
    lines = list(csv.DictReader(io.StringIO(made.ask("--format", "csv", "--level", level).out)))
    assert lines
    assert not any(bracket in value for line in lines for value in line.values() for bracket in "[]{}")


def test_an_empty_level_is_an_empty_table(made: Made) -> None:
    answer = made.ask("--format", "csv", "--level", "paper")
    assert answer.code == 0
    (header,) = answer.out.splitlines()
    assert header.startswith("dataset,setting,task,model,variant")
    assert "paper: no run of a cell that the paper prints" in answer.err


def test_what_is_not_defined_is_null(tmp_path: Path) -> None:
    made = Made(tmp_path, variants=["original", "fg"]).fill(constant="fg")
    found = strict(made.ask("--format", "json", "--level", "seeds,models,items").out)
    for level in ("seeds", "items"):
        for row in found[level]:
            if row["metric"] == "Corr":
                assert row["holm"] is None
            elif row["metric"] == "MAE":
                assert row["holm"] is not None
    row = one(found["items"], model="LMF", metric="Corr")
    assert (row["randomization"], row["per_seed_p"], row["seeds"]) == (None, [], 0)
    assert one(found["seeds"], model="LMF", metric="Corr")["verdict"] == "cannot tell"
    table = made.ask()
    assert table.code == 0
    assert "nan" not in table.out.lower()
    assert made.ask("--format", "csv").out.lower().count("nan") == 0


def test_sides_can_be_named(made: Made) -> None:
    def asked(*options: str) -> set[tuple[str, str, str, str]]:
        rows = strict(made.ask("--format", "json", "--level", "seeds", *options).out)["seeds"]
        return {(row["baseline_model"], row["baseline"], row["model"], row["variant"]) for row in rows}

    both = ("LF-DNN", "LMF")
    assert asked("--b", "fg") == {(model, "original", model, "fg") for model in both}
    assert asked("--a", "v", "--b", "fg") == {(model, "v", model, "fg") for model in both}
    assert asked("--a", "v") == {(model, "v", model, other) for model in both for other in ("original", "fg", "a")}
    assert asked("--a", "LMF") == {("LMF", "original", "LF-DNN", "original")}
    assert asked("--a", "LMF-v", "--b", "LF-DNN-fg") == {("LMF", "v", "LF-DNN", "fg")}
    assert asked("--b", "LMF-fg") == {("LMF", "original", "LMF", "fg")}
    assert asked("--models", "LMF") == {("LMF", "original", "LMF", other) for other in ("fg", "a", "v")}
    assert "LF-DNN-fg against LMF-v" in made.ask("--a", "LMF-v", "--b", "LF-DNN-fg").out
    assert "LMF-fg against LMF-v" in made.ask("--a", "v", "--b", "fg").out


def test_a_second_name_is_counted_once(aliased: Made) -> None:
    answer = aliased.ask("--format", "json")
    rows = strict(answer.out)["seeds"]
    assert {(row["variant"], row["duplicate"], row["family"]) for row in rows} == {("fg", False, 2), ("a", True, 2)}
    table = aliased.ask()
    assert "LMF-fg" in table.out
    assert "LMF-a" not in table.out
    counts = re.search(r"over seeds: (.*)", table.err)
    assert counts is not None
    assert sum(int(part.split()[0]) for part in counts.group(1).split(", ")) == len(rows) // 2


def test_one_run_under_two_names_is_not_tested(aliased: Made) -> None:
    answer = aliased.ask("--a", "fg", "--b", "a", "--level", "seeds")
    assert answer.code == 0, answer.err
    assert answer.out.count("cannot tell (the same runs)") == 2 * 9
    assert "one run under two names" in answer.err
    rows = strict(aliased.ask("--a", "fg", "--b", "a", "--format", "json").out)["seeds"]
    assert {(row["n"], row["p"], row["note"]) for row in rows} == {(0, None, "the same runs")}


def test_one_seed_is_said_to_test_nothing(made: Made) -> None:
    answer = made.ask("--seeds", "2", "--level", "seeds")
    assert answer.code == 0
    assert "no difference can be tested" in answer.err
    assert "better" not in answer.out


def test_published_means_need_no_pair(tmp_path: Path) -> None:
    made = Made(tmp_path, datasets=["sims"], models=["LMF"], variants=["original"], hyper=None).fill()
    answer = made.ask("--level", "paper")
    assert answer.code == 0, answer.err
    assert "Against the paper's printed means" in answer.out
    assert "synthetic" not in answer.err
    rows = strict(made.ask("--level", "paper", "--format", "json").out)["paper"]
    assert {row["metric"] for row in rows} == {"Acc-2", "Acc-3", "Acc-5", "F1", "MAE", "Corr"}
    assert {(row["table"], row["n"], row["variant"]) for row in rows} == {(5, 3, "original")}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--a", "TFN"], ["'TFN' is neither a variant nor a model", "--a", "LF-DNN, LMF"]),
        (["--b", "lmf-fg"], ["'lmf-fg'", "--b"]),
        (["--a", "fg", "--b", "LMF"], ["--a, --b", "name two variants, or two models"]),
        (["--a", "fg", "--b", "fg"], ["fg cannot be compared with itself"]),
        (["--b", "original"], ["original cannot be compared with itself"]),
        (["--level", "seed"], ["no level 'seed'", "--level", "seeds, models, ranks, paper, items"]),
        (["--format", "csv", "--level", "seeds,models"], ["CSV is one table", "--level"]),
        (["--resamples", "99"], ["--resamples"]),
        (["--format", "xml"], ["--format"]),
    ],
)
def test_questions_that_make_no_sense(made: Made, options: list[str], words: list[str]) -> None:
    answer = made.ask(*options)
    refused(answer, *words)
    assert answer.out == ""


def test_a_variant_that_the_suite_lacks(tmp_path: Path) -> None:
    made = Made(tmp_path, variants=["original", "fg"]).fill()
    for option in ("--a", "--b"):
        refused(made.ask(option, "v"), "the suite has no variant v", option, "fg, original")
    refused(made.ask("--b", "LMF-a"), "the suite has no variant a", "--b")


@pytest.mark.parametrize("kept", ["nothing", "one side", "other seeds"])
def test_no_pair_of_finished_runs(tmp_path: Path, kept: str) -> None:
    made = Made(tmp_path, variants=["original", "fg"])
    seeds: Mapping[str, Mapping[str, Sequence[int]]] = {
        "nothing": {},
        "one side": {"fg": (1, 2, 3)},
        "other seeds": {"original": (1,), "fg": (2, 3)},
    }
    made.fill([run for run in made.plan.runs if run.seed in seeds[kept].get(run.variant, ())])
    done = {"nothing": 0, "one side": 6, "other seeds": 6}[kept]
    answer = made.ask("--format", "json")
    refused(answer, "nothing to compare", f"{done} of 12 runs done", "harness run --suite tiny")
    assert answer.out == ""


def test_models_that_were_picked_make_smaller_families_and_it_is_said(made: Made) -> None:
    whole, part = made.ask(), made.ask("--models", "LMF")
    assert "were picked" in part.err
    assert "were picked" not in whole.err
    assert "family" in whole.out


def test_what_is_said_is_about_what_is_shown(made: Made) -> None:
    answer = made.ask("--level", "models")
    assert "over seeds:" not in answer.err
    assert "95 % interval" in answer.out


def test_a_variant_that_does_not_exist_says_why(aliased: Made) -> None:
    answer = aliased.ask("--b", "v")
    assert answer.code == 2
    assert "does not apply" in answer.err or "no variant" in answer.err
