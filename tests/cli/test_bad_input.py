"""Questions that make no sense: exit code 2, one screen that says what, where and what to do, and nothing lost."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from harness.executors import available_cores
from tests.cli.conftest import Finished
from tests.cli.tools import (
    TINY_DATA,
    Answer,
    Place,
    ask,
    enlarge,
    mounted,
    read_only,
    refused,
    write_suite,
    write_yaml,
)

Raw: TypeAlias = dict[str, dict[str, Any]]


def run(finished: Finished, suite: Path | str, *options: str | Path) -> Answer:
    """Ask for a run into the finished store: its fixture sees to it that nothing there changes."""
    return ask("run", "--suite", suite, *finished.place.options, *options)


# -- What a suite says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": ["LF-DN"]}, ["unknown model 'LF-DN'", "did you mean 'LF-DNN'", "where:", "TFN, LMF, MFN"]),
        ({"variants": ["fgg"]}, ["variants.0", "'fg'", "'fgg'"]),
        ({"datasets": ["mosey"]}, ["unknown data set 'mosey'", "did you mean 'mosei'", "datasets of the suite"]),
        ({"datasets": ["no/such.yaml"]}, ["no such data set definition", "no/such.yaml"]),
        ({"datasets": [3]}, ["datasets.0"]),
        ({"report": {"metrics": ["Acc-9"]}}, ["unknown metric 'Acc-9'", "report.metrics", "Acc-3"]),
        ({"report": {"metrics": ["Acc-7"]}}, ["unknown metric 'Acc-7'"]),  # another convention's
        ({"report": {"alfa": 0.1}}, ["report.alfa: unknown field"]),
        ({"hyper": {"LMF": {"rnak": 3}}}, ["no hyper-parameter 'rnak'", "did you mean 'rank'", "hyper.LMF.rnak"]),
        ({"hyper": {"LMF": {"rank": "three"}}}, ["hyper.LMF.rank", "'three'"]),
        ({"hyper": {"LMF": {"learning_rate": float("nan")}}}, ["finite", "hyper.LMF.learning_rate"]),
        ({"hyper": {"*": {"learning_rate": float("inf")}}}, ["finite", "hyper.*.learning_rate"]),
        ({"hyper": {"*": {"batch_sise": 3}}}, ["'batch_sise'", "did you mean 'batch_size'", "hyper.*.batch_sise"]),
        ({"hyper": {"LMG": {"rank": 3}}}, ["unknown model 'LMG'", "hyper.LMG"]),
        ({"modles": ["LMF"]}, ["modles: unknown field", "did you mean 'models'"]),
        ({"models": None}, ["models: required"]),
        ({"models": []}, ["models: List should have at least 1 item"]),
        ({"max_epochs": "many"}, ["max_epochs", "'many'"]),
        ({"max_epochs": 0}, ["max_epochs"]),
        ({"seeds": ["one"]}, ["1 field(s)", "seeds.0", "'one'"]),
        ({"seeds": [2**32]}, ["seeds.0"]),
        ({"seeds": [1, 2, 1]}, ["seeds", "1 is listed twice"]),
        ({"time_limit": 0}, ["time_limit"]),
        ({"threads": 4096}, ["4096 threads", "core(s)"]),
        ({"datasets": [dict(TINY_DATA), dict(TINY_DATA)]}, ["listed twice"]),
        ({"datasets": [dict(TINY_DATA), {**TINY_DATA, "title": "synthetic, again"}]}, ["two data sets are named"]),
        ({"datasets": ["synthetic", {"base": "synthetic"}]}, ["two data sets are named 'synthetic'"]),
    ],
)
def test_a_suite_that_makes_no_sense(
    finished: Finished, tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    answer = run(finished, write_suite(tmp_path / "s.yaml", **changes))
    refused(answer, *words, "where:", "do:")
    assert answer.out == ""


HEAD = b"name: x\ndatasets: [synthetic]\nmodels: [LMF]\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"- LMF\n- TFN\n", ["expected a mapping", "list"]),
        (b"", ["expected a mapping"]),
        (b"just words", ["expected a mapping"]),
        (b"name: [x\nmodels: }", ["not valid YAML", "line 2"]),
        (b"name: x\n\tmodels: y", ["not valid YAML", "line 2"]),
        (bytes(range(256)), ["not UTF-8"]),
        (b"\x80\x04}.", ["not UTF-8"]),
        (b"name: x\x00y", ["not valid YAML"]),
        (b"name: !!python/object/apply:os.system ['touch canary']", ["not valid YAML", "line 1"]),
        (HEAD + b"models: [TFN]\n", ["'models' is given twice", "line 4"]),
        (HEAD + b"hyper:\n  LMF: {rank: 3}\n  LMF: {rank: 4}\n", ["'LMF' is given twice", "line 6"]),
        (HEAD + b"seeds: [" + b"9" * 5000 + b"]\n", ["not valid YAML"]),
        (HEAD + b"title: 2024-02-31\n", ["not valid YAML"]),
        (HEAD + b"title: " + b"[" * 5000, ["not valid YAML"]),
        (b"1: 2\n" + HEAD, ["1:"]),
    ],
)
def test_a_file_that_is_no_suite(finished: Finished, tmp_path: Path, content: bytes, words: list[str]) -> None:
    suite = tmp_path / "s.yaml"
    suite.write_bytes(content)
    refused(run(finished, suite), *words, str(suite), "do:")
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("suite", "words"),
    [
        ("quik", ["unknown suite 'quik'", "did you mean 'quick'", "mosi-utterance, paper, quick"]),
        ("none.yaml", ["cannot read the file: No such file", "none.yaml"]),
        ("no/folder/none", ["cannot read the file", "no/folder/none"]),
        ("folder.yaml", ["Is a directory", "folder.yaml"]),
        ("", ["unknown suite ''"]),
    ],
)
def test_a_suite_that_is_not_there(finished: Finished, suite: str, words: list[str]) -> None:
    Path("folder.yaml").mkdir()
    refused(run(finished, suite), *words, "where:", "do:")


# -- What the command line says ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--models", "LMG"], ["unknown model 'LMG'", "did you mean 'LMF'", "--models"]),
        (["--models", "TFN"], ["'TFN' is not among the suite's models", "LF-DNN, LMF"]),
        (["--models", ","], ["nothing is named", "--models"]),
        (["--variants", "x"], ["'x' is not among the suite's variants", "--variants", "original, fg"]),
        (["--variants", "v"], ["'v' is not among the suite's variants"]),
        (["--datasets", "mosi"], ["'mosi' is not among", "--datasets", "synthetic-tiny"]),
        (["--seeds", "1,one"], ["not 'one'", "--seeds"]),
        (["--seeds", "-1"], ["not '-1'", "--seeds"]),
        (["--seeds", "1.5"], ["not '1.5'"]),
        (["--seeds", str(2**32)], ["2**32"]),
        (["--seeds", "9" * 5000], ["2**32"]),
        (["--seeds", ""], ["nothing is named", "--seeds"]),
        (["--workers", "4096"], ["4096 worker(s)", "--workers", "leave --workers out"]),
        (["--workers", "0"], ["at least one worker", "--workers"]),
        (["--workers", "two"], ["--workers"]),
        (["--executor", "rya"], ["--executor", "rya", "local"]),
        (["--device", "tpu"], ["--device", "tpu", "cuda"]),
        (["--format", "xml"], ["--format", "xml", "json"]),
        (["--nodes", "2"], ["--nodes"]),
    ],
)
def test_options_that_make_no_sense(finished: Finished, options: list[str], words: list[str]) -> None:
    refused(run(finished, finished.suite, *options), *words)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["rum"], ["rum"]),
        (["run"], ["--suite"]),
        (["data", "describe", "--datasets", "mosey"], ["unknown data set 'mosey'", "do:"]),
        (["data", "describe", "--table", "3"], ["--table"]),
        (["data", "check"], ["harness data check"]),
        (["data", "check", "nothing.pkl"], ["No such file", "nothing.pkl"]),
        (["data", "check", "."], ["Is a directory"]),
        (["data", "synthesize", "x.pkl", "--like", "sim"], ["'sim' is not a shipped data set", "did you mean 'sims'"]),
        (["data", "synthesize", "x.pkl", "--train", "0"], ["--train"]),
        (["data", "synthesize", ".", "--force"], ["that is a folder"]),
    ],
)
def test_commands_that_make_no_sense(argv: list[str], words: list[str]) -> None:
    answer = ask(*argv)
    refused(answer, *words)
    assert answer.out == ""
    assert list(Path.cwd().iterdir()) == []


def test_cuda_where_there_is_none(place: Place, tmp_path: Path) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there may be a CUDA device here")
    answer = ask("run", "--suite", write_suite(tmp_path / "s.yaml"), *place.options, "--device", "cuda")
    refused(answer, "no CUDA device", "do:")


AUDIO_ONLY = {"name": "synthetic-audio", "synthetic": {**TINY_DATA["synthetic"], "like": "mosei"}}


def test_a_variant_that_splits_nothing_is_refused_when_asked_for_by_name(finished: Finished, tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "s.yaml", datasets=[AUDIO_ONLY], variants=["original", "a", "v"])
    refused(run(finished, suite, "--variants", "v"), "'v' splits nothing in synthetic-audio", "--variants", "do:")


def test_a_suite_with_nothing_to_run_says_why(finished: Finished, tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "s.yaml", datasets=[AUDIO_ONLY], variants=["v"])
    refused(run(finished, suite), "nothing to run", "-v does not apply", "do:")


# -- Data set definitions ------------------------------------------------------------------------------------------

SETTINGS = {"unaligned": {"file": "mine.pkl", "lengths": {"text": 4, "audio": 6, "vision": 5}}}
MINE: dict[str, Any] = {"base": "sims", "name": "mine", "title": "Mine", "samples": None, "source": "ask its author"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"groups": {"audio": {"A": 10, "B": 20}}}, ["groups.audio add up to 30, but widths.audio is 33"]),
        ({"widths": {"audio": 34}}, ["groups.audio add up to 33, but widths.audio is 34"]),
        ({"groups": {"audio": {"A": 0, "B": 33}}}, ["groups.audio.A"]),
        ({"groups": {"text": {"A": 768}}}, ["groups.text"]),
        ({"convention": "simms"}, ["convention", "'sims'"]),
        ({"name": "../evil"}, ["name"]),
        ({"label_range": [1, -1]}, ["label_range must rise"]),
        ({"base": "simms"}, ["'simms' is not a shipped data set", "did you mean 'sims'"]),
        ({"lenghts": 3}, ["lenghts: unknown field"]),
        ({"settings": {"unaligned": {"file": None}}}, ["settings.unaligned.file is missing"]),
    ],
)
def test_a_definition_that_makes_no_sense(
    finished: Finished, tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    path = write_yaml(tmp_path / "definitions" / "mine.yaml", {**MINE, "settings": SETTINGS, **changes})
    suite = write_suite(tmp_path / "s.yaml", datasets=["definitions/mine.yaml"])
    refused(run(finished, suite), *words, str(path), "do:")
    refused(ask("data", "describe", "--datasets", path), *words, str(path))


def test_a_missing_feature_file_stops_a_suite_before_its_first_run(finished: Finished, tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "s.yaml", datasets=[dict(TINY_DATA), "sims"], seeds=[3])
    said = ("SIMS/Processed/unaligned_39.pkl", "c9e20c13ec0454d9", "MMSA project", "harness run --suite quick")
    answer = run(finished, suite, "--data-dir", tmp_path / "data")
    refused(answer, *said, f"{tmp_path}/data/SIMS/Processed", "--data-dir")
    refused(run(finished, suite), *said, "no data folder was named", "HARNESS_DATA_DIR")
    both = write_suite(tmp_path / "both.yaml", datasets=["sims", "mosei"])
    refused(run(finished, both, "--data-dir", tmp_path), *said, "2 feature files", "MOSEI/Processed/unaligned_50.pkl")


# -- Feature files -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Raw:
    """A feature file in the layout of CH-SIMS; copy it before changing it."""
    path = tmp_path_factory.mktemp("cli-raw") / "raw.pkl"
    sizes = ("--train", "12", "--valid", "6", "--test", "6")
    lengths = ("--text-length", "4", "--audio-length", "6", "--vision-length", "5")
    answer = ask("data", "synthesize", path, *sizes, *lengths)
    assert answer.code == 0, answer.err
    with path.open("rb") as file:
        content: Raw = pickle.load(file)
    return content


class Evil:
    """Pickled as a call."""

    def __init__(self, function: Callable[..., Any], *args: str) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, ...]]:
        return self.call


def _dumped(raw: Raw, change: Callable[[Raw], object]) -> bytes:
    change(raw)
    return pickle.dumps(raw, protocol=4)


def _narrower(raw: Raw, modality: str, width: int) -> None:
    for split in raw.values():
        split[modality] = split[modality][:, :, :width]


def _nan_label(raw: Raw) -> None:
    raw["train"]["regression_labels"][3] = np.nan


def _emptied(raw: Raw) -> None:
    raw["test"] = {key: value[:0] for key, value in raw["test"].items()}


def _unequal(raw: Raw) -> None:
    raw["valid"]["audio"] = raw["valid"]["audio"][:-1]


FILES: dict[str, tuple[Callable[[Raw], bytes], list[str]]] = {
    "cut short": (lambda raw: pickle.dumps(raw, protocol=4)[:5000], ["cut short", "SHA-256"]),
    "cut to nothing": (lambda raw: b"", ["the file is empty"]),
    "words": (lambda raw: b"id,text,label\n1,fine,0.5\n", ["not a pickle"]),
    "zip": (lambda raw: b"PK\x03\x04" + bytes(40), ["a zip archive"]),
    "a list": (lambda raw: pickle.dumps([1, 2, 3]), ["holds a list, not a dictionary"]),
    "os.system": (
        partial(_dumped, change=lambda raw: raw.update(note={"x": Evil(os.system, "touch canary")})),
        ["posix.system", "refused"],
    ),
    "eval": (
        lambda raw: pickle.dumps({**raw, "train": Evil(eval, "open('canary', 'w').close()")}, protocol=2),
        ["eval", "refused"],
    ),
    "no valid split": (partial(_dumped, change=lambda raw: raw.pop("valid")), ["valid: the split is missing"]),
    "no audio": (partial(_dumped, change=lambda raw: raw["train"].pop("audio")), ["train: missing: audio"]),
    "audio too narrow": (
        partial(_dumped, change=partial(_narrower, modality="audio", width=32)),
        ["train.audio: 32 features wide; mine has 33", "3 named groups add up to that"],
    ),
    "text too narrow": (
        partial(_dumped, change=partial(_narrower, modality="text", width=300)),
        ["train.text: 300 features wide; mine has 768"],
    ),
    "NaN label": (partial(_dumped, change=_nan_label), ["train.regression_labels: labels that are NaN"]),
    "empty split": (partial(_dumped, change=_emptied), ["test: the split is empty"]),
    "unequal lengths": (partial(_dumped, change=_unequal), ["valid: unequal lengths", "audio has 5"]),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_feature_file_that_cannot_be_used(finished: Finished, tmp_path: Path, raw: Raw, kind: str) -> None:
    write, words = FILES[kind]
    file = tmp_path / "data" / "mine.pkl"
    file.parent.mkdir()
    file.write_bytes(write(copy.deepcopy(raw)))
    definition = write_yaml(tmp_path / "mine.yaml", {**MINE, "settings": SETTINGS})
    suite = write_suite(tmp_path / "s.yaml", datasets=[dict(TINY_DATA), "mine.yaml"], seeds=[3])
    cache = tmp_path / "cache"
    answer = run(finished, suite, "--data-dir", file.parent, "--cache-dir", cache)
    refused(answer, *words, str(file), "do:")
    assert "[1/" not in answer.err  # not even a run of the data set that is sound
    converted = [p for p in (cache / "features").iterdir() if p.is_dir() and not p.name.startswith(".")]
    assert len(converted) <= 1  # that of the sound one
    refused(ask("data", "check", file, "--dataset", definition), *words, str(file), "do:")
    assert list(Path.cwd().iterdir()) == []


def test_a_feature_file_that_is_a_folder(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "data" / "mine.pkl").mkdir(parents=True)
    write_yaml(tmp_path / "mine.yaml", {**MINE, "settings": SETTINGS})
    suite = write_suite(tmp_path / "s.yaml", datasets=["mine.yaml"])
    refused(run(finished, suite, "--data-dir", tmp_path / "data"), "mine.pkl", "ask its author")


# -- Folders and disks ---------------------------------------------------------------------------------------------

HINTS = {"runs": "--runs-dir", "reports": "--reports-dir", "cache": "--cache-dir"}


def instead(place: Place, which: str, folder: Path) -> tuple[str | Path, ...]:
    """Return the options of all three folders with one of them replaced."""
    return (*place.options, f"--{which}-dir", folder)


@pytest.mark.parametrize("below", ["", "deeper/still"])
@pytest.mark.parametrize("which", HINTS)
def test_a_file_where_a_folder_is_needed(finished: Finished, tmp_path: Path, which: str, below: str) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    answer = ask("run", "--suite", finished.suite, *instead(finished.place, which, tmp_path / "file" / below))
    refused(answer, str(tmp_path / "file"), HINTS[which])
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("which", HINTS)
def test_a_folder_that_cannot_be_written(finished: Finished, tmp_path: Path, which: str) -> None:
    with read_only(tmp_path / "locked") as folder:
        answer = ask("run", "--suite", finished.suite, *instead(finished.place, which, folder))
    refused(answer, str(tmp_path / "locked"), HINTS[which])


def test_a_synthetic_file_into_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with read_only(tmp_path / "locked") as folder:
        refused(ask("data", "synthesize", folder / "x.pkl"), str(folder))


def test_no_room_for_the_records(place: Place, tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "s.yaml", models=["LF-DNN"], variants=["original"])
    with mounted(tmp_path / "disk", "size=1m") as disk:
        options = instead(place, "runs", disk)
        answer = ask("run", "--suite", suite, *options)
        refused(answer, "too little space for the records of 2 runs", "MiB are free", str(disk), "--runs-dir")
        assert "[1/" not in answer.err
        assert [path for path in disk.rglob("*") if path.is_file()] == []
        enlarge(disk)
        answer = ask("run", "--suite", suite, *options, "--no-report")
        assert answer.code == 0, answer.err
        assert len(list(Place(disk, place.reports, place.cache).store.records())) == 2


@pytest.mark.parametrize("what", ["writing", "converting"])
def test_no_room_for_features(place: Place, tmp_path: Path, raw: Raw, what: str) -> None:
    data: tuple[str, ...] = ()
    if what == "converting":
        data = ("--data-dir", str(tmp_path))
        (tmp_path / "mine.pkl").write_bytes(pickle.dumps(raw, protocol=4))
        write_yaml(tmp_path / "mine.yaml", {**MINE, "settings": SETTINGS})
        suite = write_suite(tmp_path / "s.yaml", datasets=["mine.yaml"])
    else:
        suite = write_suite(tmp_path / "s.yaml")
    with mounted(tmp_path / "disk", "size=1m") as disk:
        answer = ask("run", "--suite", suite, *data, *instead(place, "cache", disk))
        refused(answer, f"too little space for {what} the feature file", "MiB are free", str(disk), "--cache-dir")
        assert [path for path in disk.rglob("*") if path.suffix in {".npy", ".pkl", ".tmp"}] == []
    assert list(place.store.records()) == []


def test_no_room_for_the_report(finished: Finished, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=8k") as disk:
        answer = ask("run", "--suite", finished.suite, *instead(finished.place, "reports", disk))
        refused(answer, "cannot write the report: No space left on device", str(disk), "--reports-dir")
        assert [path for path in disk.rglob("*") if path.is_file()] == []
    assert "8 done, 0 failed, 0 missing" in answer.err  # the runs are done all the same
    assert ask("report", "--suite", finished.suite, *finished.place.options).code == 0


def test_more_threads_than_cores(finished: Finished, tmp_path: Path) -> None:
    cores = available_cores()
    suite = write_suite(tmp_path / "s.yaml", threads=cores)
    refused(run(finished, suite, "--workers", "2"), f"{2 * cores} cores", f"only {cores}", "--workers")
