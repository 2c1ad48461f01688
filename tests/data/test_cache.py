from __future__ import annotations

import copy
import errno
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import namedtuple
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data import Features, cache_folder, generate, load_definition, load_features, open_features, write_pickle
from harness.data import cache as cache_module
from harness.data.cache import _time_mean
from harness.data.values import blocks
from harness.errors import DataError, StoreError
from harness.spec import SPLITS, DatasetSpec

DEFINITION = load_definition(
    {
        "name": "synthetic-cache",
        "synthetic": {
            "samples": {"train": 20, "valid": 7, "test": 9},
            "lengths": {"text": 3, "audio": 5, "vision": 4},
        },
    }
)
Usage = namedtuple("Usage", "total used free")

CHILD = """
import json, sys, time
from pathlib import Path
from harness.data import cache, open_features
from harness.spec import DatasetSpec
mode, path, where, definition = sys.argv[1:]
convert, write = cache._convert, cache._write_features
def slow_convert(raw, sha256, folder):
    print("converting", flush=True)
    if mode == "slow":
        time.sleep(0.5)
    convert(raw, sha256, folder)
def stuck_write(array, key, folder):
    names = write(array, key, folder)
    if mode == "stuck" and key == "audio":
        print("stuck", flush=True)
        time.sleep(60)
    return names
cache._convert, cache._write_features = slow_convert, stuck_write
definition = DatasetSpec.model_validate(json.loads(definition))
print(len(open_features(Path(path), definition, "unaligned", Path(where)).splits["train"]))
"""


@pytest.fixture
def raw() -> dict[str, Any]:
    return generate(DEFINITION)


@pytest.fixture
def pkl(tmp_path: Path, raw: dict[str, Any]) -> Path:
    path = tmp_path / "data" / "f.pkl"
    write_pickle(raw, path)
    return path


def start(mode: str, path: Path, cache_dir: Path) -> subprocess.Popen[str]:
    definition = DEFINITION.model_dump_json()
    command = [sys.executable, "-c", CHILD, mode, str(path), str(cache_dir), definition]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_holds(features: Features, raw: dict[str, Any]) -> None:
    for name in SPLITS:
        split, want = features.splits[name], raw[name]
        assert split.ids == tuple(want["id"])
        assert split.raw_text == tuple(want["raw_text"])
        for key in ("text", "text_bert", "audio", "vision"):
            np.testing.assert_array_equal(split.arrays[key], want[key])
        for key in ("audio_lengths", "vision_lengths"):
            np.testing.assert_array_equal(split.arrays[key], want[key])
        for suffix in ("", "_T", "_A", "_V"):
            np.testing.assert_array_equal(split.labels[f"regression{suffix}"], want[f"regression_labels{suffix}"])
            np.testing.assert_array_equal(
                split.labels[f"classification{suffix}"], want[f"classification_labels{suffix}"]
            )
            assert split.labels[f"regression{suffix}"].dtype == np.float32
            assert split.labels[f"classification{suffix}"].dtype == np.int64


def leftovers(cache_dir: Path) -> list[Path]:
    return list(cache_dir.rglob(".*tmp*"))


def test_conversion_keeps_everything(pkl: Path, raw: dict[str, Any], cache_dir: Path) -> None:
    features = open_features(pkl, DEFINITION, "unaligned", cache_dir)
    assert_holds(features, raw)
    assert features.folder == cache_folder(cache_dir, features.sha256)
    assert features.shapes == DEFINITION.shapes("unaligned")
    assert features.findings == ()
    assert len(features.splits["valid"]) == 7
    assert leftovers(cache_dir) == []
    assert not features.splits["train"].arrays["audio"].flags.writeable
    again = load_features(features.folder)
    assert_holds(again, raw)
    assert again.shapes == features.shapes


def test_a_second_opening_reads_no_pickle(pkl: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_features(pkl, DEFINITION, "unaligned", cache_dir)

    def never(_path: Path) -> dict[str, Any]:
        raise AssertionError("the pickle was read again")

    monkeypatch.setattr(cache_module, "read_pickle", never)
    assert open_features(pkl, DEFINITION, "unaligned", cache_dir).sha256 == first.sha256
    load_features(first.folder)


def test_another_definition_is_checked_but_not_converted_again(pkl: Path, cache_dir: Path) -> None:
    first = open_features(pkl, DEFINITION, "unaligned", cache_dir)
    before = (first.folder / "meta.json").stat().st_mtime_ns
    fields = DEFINITION.model_dump()
    regrouped = DatasetSpec.model_validate(
        fields | {"groups": {"audio": {"one": 13, "two": 20}}, "samples": {"train": 21}}
    )
    second = open_features(pkl, regrouped, "unaligned", cache_dir)
    assert second.folder == first.folder
    assert [finding.level for finding in second.findings] == ["note"]
    assert (first.folder / "meta.json").stat().st_mtime_ns == before
    narrow = DatasetSpec.model_validate(fields | {"groups": {}, "widths": {"text": 768, "audio": 30, "vision": 709}})
    with pytest.raises(DataError, match="33 features wide"):
        open_features(pkl, narrow, "unaligned", cache_dir)


def test_a_bad_file_is_refused_and_leaves_nothing(raw: dict[str, Any], tmp_path: Path, cache_dir: Path) -> None:
    raw["valid"]["regression_labels"][3] = np.nan
    write_pickle(raw, tmp_path / "bad.pkl")
    with pytest.raises(DataError, match=r"valid\.regression_labels"):
        open_features(tmp_path / "bad.pkl", DEFINITION, "unaligned", cache_dir)
    assert not [p for p in (cache_dir / "features").iterdir() if p.is_dir()]


@pytest.mark.parametrize("damage", ["cut", "gone", "meta", "check"])
def test_a_damaged_entry_is_noticed_and_made_again(
    damage: str, pkl: Path, raw: dict[str, Any], cache_dir: Path
) -> None:
    folder = open_features(pkl, DEFINITION, "unaligned", cache_dir).folder
    victim = folder / "train" / "audio.npy"
    meta = folder / "meta.json"
    if damage == "cut":
        os.truncate(victim, victim.stat().st_size - 1)
    elif damage == "gone":
        victim.unlink()
    elif damage == "meta":
        meta.write_text("{", encoding="utf-8")
    else:
        next(folder.glob("check-*.json")).write_text("[1]", encoding="utf-8")
    if damage != "check":
        with pytest.raises(DataError, match="no whole converted features"):
            load_features(folder)
    assert_holds(open_features(pkl, DEFINITION, "unaligned", cache_dir), raw)
    assert leftovers(cache_dir) == []


def test_an_entry_of_other_code_is_not_taken_for_ones_own(
    pkl: Path, raw: dict[str, Any], cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = open_features(pkl, DEFINITION, "unaligned", cache_dir).folder
    np.save(old / "train" / "audio.npy", np.zeros_like(raw["train"]["audio"]))  # other code, other arrays
    monkeypatch.setattr(cache_module, "_code", lambda: "0" * 16)
    features = open_features(pkl, DEFINITION, "unaligned", cache_dir)
    assert features.folder != old
    assert_holds(features, raw)
    assert old.is_dir()


def test_an_entry_is_tied_to_every_module_that_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(str(cache_module.__file__)).parent
    shutil.copytree(here, tmp_path / "data")
    monkeypatch.setattr(cache_module, "__file__", str(tmp_path / "data" / "cache.py"))
    code = cache_module._code.__wrapped__
    whole = code()
    assert whole == cache_module._code()
    for name in ("cache.py", "checks.py", "values.py", "safe_pickle.py", "stand_ins.py"):
        source = (tmp_path / "data" / name).read_text(encoding="utf-8")
        (tmp_path / "data" / name).write_text(source + "\n# a comment\n", encoding="utf-8")
        assert code() == whole
        (tmp_path / "data" / name).write_text(source + "\nmore = 1\n", encoding="utf-8")
        assert code() != whole
        (tmp_path / "data" / name).write_text(source, encoding="utf-8")


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(_file: object, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


def test_without_locks_nothing_of_others_is_swept(
    pkl: Path, raw: dict[str, Any], cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch)
    sha256 = hashlib.sha256(pkl.read_bytes()).hexdigest()
    same = cache_dir / "features" / f".tmp-{cache_folder(cache_dir, sha256).name}-0123"  # somebody makes it as well
    other = cache_dir / "features" / ".tmp-other-0123"
    same.mkdir(parents=True)
    other.mkdir()
    assert_holds(open_features(pkl, DEFINITION, "unaligned", cache_dir), raw)
    assert same.is_dir()
    assert other.is_dir()


def test_without_locks_the_faster_one_wins(
    pkl: Path, raw: dict[str, Any], cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch)
    write = cache_module._write_split
    inode = 0

    def overtaken(split: dict[str, Any], folder: Path) -> dict[str, list[str]]:
        nonlocal inode
        if not inode:
            inode = -1
            inode = open_features(pkl, DEFINITION, "unaligned", cache_dir).folder.stat().st_ino
        return write(split, folder)

    monkeypatch.setattr(cache_module, "_write_split", overtaken)
    features = open_features(pkl, DEFINITION, "unaligned", cache_dir)
    assert_holds(features, raw)
    assert features.folder.stat().st_ino == inode
    assert leftovers(cache_dir) == []


def test_two_processes_convert_once(pkl: Path, cache_dir: Path) -> None:
    children = [start("slow", pkl, cache_dir) for _ in range(2)]
    outputs = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0], outputs
    said = "".join(out for out, _ in outputs).split()
    assert sorted(said) == ["20", "20", "converting"]


def test_a_kill_in_the_middle_leaves_nothing_behind(pkl: Path, raw: dict[str, Any], cache_dir: Path) -> None:
    child = start("stuck", pkl, cache_dir)
    assert child.stdout is not None
    assert [child.stdout.readline().strip() for _ in range(2)] == ["converting", "stuck"]
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    assert leftovers(cache_dir)
    assert_holds(open_features(pkl, DEFINITION, "unaligned", cache_dir), raw)
    assert leftovers(cache_dir) == []


def test_leftovers_of_other_files_are_swept_unless_they_are_being_made(pkl: Path, cache_dir: Path) -> None:
    features = cache_dir / "features"
    for name in ("dead", "alive"):
        (features / f".tmp-{name}-c0de-0123").mkdir(parents=True)
    with (features / "alive-c0de.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        open_features(pkl, DEFINITION, "unaligned", cache_dir)
    assert [path.name for path in leftovers(cache_dir)] == [".tmp-alive-c0de-0123"]


def test_a_full_disk_is_found_before_the_conversion(
    pkl: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(StoreError, match=r": \d+\.\d MiB are needed, 1\.0 KiB are free") as caught:
        open_features(pkl, DEFINITION, "unaligned", cache_dir)
    assert str(cache_dir) in caught.value.where
    assert leftovers(cache_dir) == []


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(
    pkl: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _array: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "_save", full)
    with pytest.raises(StoreError, match="No space left"):
        open_features(pkl, DEFINITION, "unaligned", cache_dir)
    assert leftovers(cache_dir) == []


def test_a_cache_that_cannot_be_written_is_a_store_error(pkl: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot write"):
        open_features(pkl, DEFINITION, "unaligned", blocked / "cache", sha256="0" * 64)


def test_opening_a_converted_entry_takes_milliseconds(pkl: Path, cache_dir: Path) -> None:
    folder = open_features(pkl, DEFINITION, "unaligned", cache_dir).folder
    best = min(_timed(folder) for _ in range(5))
    assert best < 0.2


def _timed(folder: Path) -> float:
    begin = time.perf_counter()
    load_features(folder)
    return time.perf_counter() - begin


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 6)),
    order=st.permutations([0, 1, 2]),
    rows=st.integers(1, 9),
    seed=st.integers(0, 2**16),
)
def test_the_time_mean_in_blocks_has_the_bits_of_the_whole(
    shape: tuple[int, int, int], order: list[int], rows: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stored = rng.standard_normal([shape[i] for i in order]).astype(np.float32) * 1000
    array = stored.transpose(np.argsort(order)).astype(np.float32)  # any memory order that a file can have
    assert array.shape == shape
    whole = np.mean(np.transpose(array, (1, 0, 2)), axis=0, keepdims=True).transpose(1, 0, 2)
    with mock.patch("harness.data.values._BLOCK_BYTES", rows * 4 * shape[1] * shape[2]):
        parts = [_time_mean(block) for _, block in blocks(array)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def mmsa_split(path: Path, name: str, data: str, *, bert: bool, mean: bool) -> Any:
    from easydict import EasyDict
    from MMSA.data_loader import MMDataset

    args = EasyDict(
        dataset_name=data, featurePath=str(path), custom_feature=None, feature_T=None, feature_A=None, feature_V=None,
        use_bert=bert, need_data_aligned=False, need_normalized=mean, feature_dims=[0, 0, 0], seq_lens=[0, 0, 0],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return MMDataset(args, mode=name)


def assert_mmsas(path: Path, data: str, features: Features) -> None:
    for name in SPLITS:
        plain = mmsa_split(path, name, data, bert=False, mean=False)
        averaged = mmsa_split(path, name, data, bert=True, mean=True)
        split = features.splits[name]
        pairs = {
            "text": plain.text, "text_bert": averaged.text, "audio": plain.audio, "vision": plain.vision,
            "audio_mean": averaged.audio, "vision_mean": averaged.vision,
        }  # fmt: skip
        for key, want in pairs.items():
            assert split.arrays[key].dtype == want.dtype
            assert split.arrays[key].shape == want.shape
            # Equal as integers: the same bits, NaN included.
            np.testing.assert_array_equal(split.arrays[key].view(np.uint32), np.ascontiguousarray(want).view(np.uint32))
        for letter, want in plain.labels.items():
            suffix = "" if letter == "M" else f"_{letter}"
            np.testing.assert_array_equal(split.labels[f"regression{suffix}"], want)
        assert split.ids == tuple(plain.ids)


def test_arrays_are_those_of_mmsas_loader(
    raw: dict[str, Any], tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = copy.deepcopy(raw)
    train = raw["train"]
    train["audio"] = train["audio"].astype(np.float64) * 1.1
    train["audio"][2, 1, 5] = -np.inf
    train["audio"][3, 1, 5] = np.nan
    train["vision"][4, 0, 7] = -np.inf
    train["vision"][5, :, 8] = [np.inf, -np.inf, 0, 1]
    train["vision"] = np.asfortranarray(train["vision"])
    write_pickle(raw, tmp_path / "odd.pkl")
    monkeypatch.setattr("harness.data.values._BLOCK_BYTES", 3 * 4 * 5 * 33)
    features = open_features(tmp_path / "odd.pkl", DEFINITION, "unaligned", cache_dir)
    assert {finding.where for finding in features.findings} == {"train.audio", "train.vision"}
    assert_mmsas(tmp_path / "odd.pkl", "sims", features)


def test_the_real_set_has_the_bits_of_mmsas_loader(mosi_data_dir: Path, cache_dir: Path) -> None:
    path = mosi_data_dir / "MOSI" / "Processed" / "utterance.pkl"
    features = open_features(path, load_definition("mosi-utterance"), "unaligned", cache_dir)
    assert features.findings == ()
    assert_mmsas(path, "mosi", features)
