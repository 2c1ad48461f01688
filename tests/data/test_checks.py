from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.data import CheckReport, check, generate, load_definition
from harness.data.values import blocks
from harness.errors import DataError
from harness.spec import DatasetSpec

DEFINITION = load_definition(
    {
        "name": "synthetic-checks",
        "synthetic": {
            "samples": {"train": 12, "valid": 6, "test": 8},
            "lengths": {"text": 3, "audio": 5, "vision": 4},
        },
    }
)
CLEAN = generate(DEFINITION)
Break = Callable[[dict[str, Any]], object]


def report(change: Break | None = None, definition: DatasetSpec = DEFINITION) -> CheckReport:
    raw = copy.deepcopy(CLEAN)
    if change is not None:
        change(raw)
    return check(raw, definition, "unaligned", file="f.pkl")


def put(split: str, key: str, index: Any, value: Any) -> Break:
    return lambda raw: raw[split][key].__setitem__(index, value)


def swap(split: str, key: str, value: Any) -> Break:
    return lambda raw: raw[split].__setitem__(key, value(raw[split][key]) if callable(value) else value)


def drop(split: str, *keys: str) -> Break:
    return lambda raw: [raw[split].pop(key) for key in keys]


def test_a_clean_file_has_no_findings() -> None:
    clean = report()
    assert clean.findings == ()
    assert clean.ok
    assert clean.summary["train"]["samples"] == 12
    assert clean.summary["valid"]["shapes"]["audio"] == [6, 5, 33]
    clean.raise_if_bad()


@pytest.mark.parametrize(
    ("change", "level", "where", "message", "count"),
    [
        (lambda raw: raw.pop("valid"), "error", "valid", "split is missing", 1),
        (lambda raw: raw.__setitem__("test", [1]), "error", "test", "is a list", 1),
        (lambda raw: raw.__setitem__("test", {}), "error", "test", "missing: id, raw_text, audio", 6),
        (drop("train", "vision"), "error", "train", "missing: vision", 1),
        (drop("train", "text", "text_bert"), "error", "train", "text or text_bert", 1),
        (lambda raw: raw["valid"].update({k: v[:0] for k, v in raw["valid"].items()}), "error", "valid", "empty", 1),
        (swap("train", "audio", lambda a: a[:-1]), "error", "train", "audio has 11", 1),
        (swap("train", "audio_lengths", [1] * 5), "error", "train", "audio_lengths has 5", 1),
        (swap("train", "audio", lambda a: a[:, 0]), "error", "train.audio", "3 axes", 1),
        (swap("train", "audio", lambda a: a.astype(str)), "error", "train.audio", "expected numbers", 1),
        (swap("train", "audio", lambda a: list(a)), "error", "train.audio", "numpy array", 1),
        (swap("train", "audio", lambda a: a[:, :, :-1]), "error", "train.audio", "32 features wide", 1),
        (swap("train", "audio", lambda a: a[:, :, :-1]), "error", "train.audio", "3 named groups", 1),
        (swap("train", "audio", lambda a: a[:, :0]), "error", "train.audio", "nothing in an array", 1),
        (
            swap("train", "audio", lambda a: a[:, :-1]),
            "error",
            "train.audio",
            "4 steps long, but the definition says 5",
            1,
        ),
        (
            swap("train", "audio", lambda a: a[:, :-1]),
            "error",
            "train.audio",
            "settings.unaligned.lengths.audio to 4",
            1,
        ),
        (swap("test", "text_bert", lambda a: a[:, :, :-1]), "error", "test.text_bert", "lengths.text to 2", 1),
        (swap("train", "audio", lambda a: a[:, :-1]), "error", "audio", "splits differ in steps", 1),
        (drop("test", "text"), "error", "text", "splits differ in steps", 1),
        (put("test", "audio", (slice(2), 0, 0), -np.inf), "note", "test.audio", "becomes 0, as in MMSA", 2),
        (put("test", "audio", (slice(3), 0, 0), np.inf), "warning", "test.audio", "+inf", 3),
        (put("test", "audio", (0, slice(4), 0), np.nan), "warning", "test.audio", "mean over time becomes 0", 4),
        (put("test", "text", (0, 0, slice(4)), np.nan), "warning", "test.text", "NaN: MMSA leaves them", 4),
        (put("test", "vision", (0, 0, 0), -np.inf), "warning", "test.vision", "-inf: MMSA leaves", 1),
        (
            swap("test", "vision", lambda a: a.astype(np.float64) + 1e300),
            "warning",
            "test.vision",
            "float32",
            8 * 4 * 709,
        ),
        (put("train", "regression_labels", slice(2), np.nan), "error", "train.regression_labels", "NaN", 2),
        (put("train", "regression_labels", 0, 1.2), "error", "train.regression_labels", "outside -1 to 1", 1),
        (put("train", "regression_labels_A", 0, -9), "error", "train.regression_labels_A", "outside", 1),
        (swap("train", "regression_labels", lambda a: ["x"] * len(a)), "error", "train.regression_labels", "number", 1),
        (put("train", "classification_labels", 0, 3), "error", "train.classification_labels", "other than 0, 1, 2", 1),
        (drop("train", "classification_labels"), "note", "train.classification_labels", "cannot run", 1),
        (drop("train", "regression_labels_V"), "error", "train.regression_labels_V", "labels per modality", 1),
        (
            swap("train", "classification_labels", lambda a: (a + 1) % 3),
            "note",
            "train.classification_labels",
            "sign",
            12,
        ),
        (put("train", "id", 1, "synthetic_000$_$0"), "error", "train.id", "synthetic_000$_$0", 1),
        (swap("train", "id", lambda a: np.stack([a, a], 1)), "error", "train.id", "one text a sample", 1),
        (put("test", "id", 1, "synthetic_000$_$0"), "warning", "train and test", "leakage", 1),
        (put("test", "text_bert", (0, 0, 0), 1.5), "error", "test.text_bert", "whole numbers", 1),
        (put("test", "text_bert", (0, 1, 0), 2), "error", "test.text_bert", "mask", 1),
        (swap("test", "text_bert", lambda a: a[:, :2]), "error", "test.text_bert", "ids, mask, segments", 1),
        (put("test", "audio_lengths", 0, 6), "warning", "test.audio_lengths", "outside 0 to 5", 1),
        (swap("test", "vision_lengths", ["x"] * 8), "error", "test.vision_lengths", "whole number", 1),
        (put("test", "vision_lengths", 0, np.inf), "error", "test.vision_lengths", "whole number", 1),
        (put("test", "vision_lengths", 0, 2**60), "error", "test.vision_lengths", "whole number", 1),
        (put("test", "vision_lengths", 0, 10**400), "error", "test.vision_lengths", "whole number", 1),
        (swap("test", "regression_labels", lambda a: [1j] * len(a)), "error", "test.regression_labels", "number", 1),
        (swap("test", "regression_labels", lambda a: [[0.5, 1]] * 8), "error", "test.regression_labels", "number", 1),
        (drop("test", "vision_lengths"), "warning", "test", "no vision_lengths", 1),
        (
            lambda raw: raw["test"].update({k: v[:6] for k, v in raw["test"].items()}),
            "note",
            "test",
            "6 samples; the definition says 8",
            1,
        ),
    ],
)
def test_each_fault_is_found(change: Break, level: str, where: str, message: str, count: int) -> None:
    found = report(change)
    matching = [f for f in found.findings if f.level == level and f.where == where and message in f.message]
    assert matching, found.findings
    assert matching[0].count == count
    assert found.ok == (not any(f.level == "error" for f in found.findings))


def test_a_file_with_other_harmless_forms_is_fine() -> None:
    def change(raw: dict[str, Any]) -> None:
        for split in raw.values():
            split["id"] = np.array([name.encode() for name in split["id"]], dtype=object)
            split["raw_text"] = list(split["raw_text"])
            split["regression_labels"] = list(split["regression_labels"])
            split["classification_labels"] = split["classification_labels"].astype(object).reshape(-1, 1)
            split["audio"] = split["audio"].astype(">f8")
            split["audio_lengths"] = np.array(split["audio_lengths"], dtype=np.uint8)
            split["more"] = object()

    assert report(change).findings == ()


def test_the_real_file_of_mosei_is_as_long_as_the_definition_says() -> None:
    assert load_definition("mosei").settings["unaligned"].lengths["vision"] == 500  # and not 375, as MMSA's json has it


def aligned(**lengths: int) -> CheckReport:
    """Check the clean file as an aligned one of a definition with these lengths."""
    fields = DEFINITION.model_dump()
    fields["settings"] = {"aligned": {"lengths": {"text": 3, "audio": 3, "vision": 3} | lengths}}
    raw = copy.deepcopy(CLEAN)
    for split in raw.values():
        split.pop("audio_lengths")
        split.pop("vision_lengths")
        for modality, length in lengths.items():
            split[modality] = np.ones((len(split["id"]), length, DEFINITION.widths[modality]), np.float32)  # type: ignore[index]
    return check(raw, DatasetSpec.model_validate(fields), "aligned")


def test_aligned_means_as_many_steps_as_text() -> None:
    assert aligned(audio=3, vision=3).findings == ()
    # The definition says the same as the file, and both are wrong.
    findings = aligned(audio=3, vision=4).findings
    assert [(f.level, f.where) for f in findings] == [("error", f"{split}.vision") for split in CLEAN]
    assert "4 steps long, text 3" in findings[0].message


def test_labels_with_shared_parts_do_not_take_for_ever() -> None:
    laughs: Any = [0.0]
    for _ in range(60):
        laughs = [laughs, laughs]
    odd: Any
    for odd in (laughs, [laughs], [[laughs]], np.zeros(10**4), "0" * 10**6, {}, None):
        for key in ("regression_labels", "classification_labels", "audio_lengths"):
            found = report(swap("test", key, [odd] * 8))
            assert [f.where for f in found.findings if f.level == "error"] == [f"test.{key}"]
    everything: Break = lambda raw: raw.update({"more": {"text": laughs, "audio": laughs}})  # noqa: E731
    assert report(everything).ok


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), SystemError("odd"), ValueError("text")])
def test_content_that_breaks_the_check_is_a_data_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_value: object) -> None:
        raise error

    monkeypatch.setattr("harness.data.checks.numbers", fail)
    with pytest.raises(DataError, match="cannot be checked") as caught:
        report()
    assert caught.value.where == "f.pkl"


def test_an_id_that_cannot_be_written_out_is_a_data_error() -> None:
    with pytest.raises(DataError, match="cannot be checked"):
        report(swap("test", "id", [10**5000 + i for i in range(8)]))


def test_another_sha256_is_a_warning() -> None:
    mosi = load_definition("mosi")
    findings = check({}, mosi, "unaligned", sha256="0" * 64).findings
    assert [f.level for f in findings if f.where == "file"] == ["warning"]
    assert not [
        f
        for f in check({}, mosi, "unaligned", sha256=str(mosi.settings["unaligned"].sha256)).findings
        if f.where == "file"
    ]


def test_an_unknown_setting_is_an_input_error() -> None:
    with pytest.raises(DataError, match="no aligned setting"):
        check(CLEAN, DEFINITION, "aligned")


def test_the_error_fits_on_a_screen_and_rows_put_errors_first() -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["train"]["audio"][0, 0, 0] = np.nan
        for split in raw.values():
            for letter in "TAV":
                split.pop(f"regression_labels_{letter}")
        raw["test"]["regression_labels"][0] = 7

    found = report(change)
    with pytest.raises(DataError, match="10 error") as caught:
        found.raise_if_bad()
    assert len(str(caught.value).splitlines()) <= 14
    assert "and 2 more" in str(caught.value)
    levels = [row["level"] for row in found.as_rows()]
    assert levels == ["error"] * 10 + ["warning"]


@pytest.mark.parametrize(("rows", "starts"), [(1, [0, 2, 4]), (2, [0, 2, 4]), (3, [0, 3]), (5, [0, 5]), (99, [0])])
def test_blocks_cover_the_array_once(rows: int, starts: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.data.values._BLOCK_BYTES", rows * 4 * 6)
    array = np.arange(42.0).reshape(7, 2, 3)
    seen = list(blocks(array))
    np.testing.assert_array_equal(np.concatenate([block for _, block in seen]), array.astype(np.float32))
    assert [start for start, _ in seen] == starts
    assert [len(block) for _, block in blocks(array[:1])] == [1]
