from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.data import files, fingerprint, load_definition, locate
from harness.data.storage import write_atomically
from harness.errors import DataError


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file that is not from the future for an old one: nobody can set its time of change back."""
    monkeypatch.setattr(files, "_SETTLED_NS", -1)


def aged(path: Path, content: bytes, seconds: int = 10) -> Path:
    path.write_bytes(content)
    then = time.time_ns() - seconds * 10**9
    os.utime(path, ns=(then, then))
    return path


@pytest.mark.usefixtures("settled")
def test_the_fingerprint_is_the_sha256_and_is_remembered(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = aged(tmp_path / "f", b"content")
    expected = hashlib.sha256(b"content").hexdigest()
    assert fingerprint(path, cache_dir) == expected
    link = tmp_path / "link"
    link.symlink_to(path)
    with monkeypatch.context() as patched:
        patched.setattr(files, "_digest", lambda _path: "read again")
        assert fingerprint(path, cache_dir) == expected
        assert fingerprint(link, cache_dir) == expected
    aged(path, b"CONTENT", 5)
    assert fingerprint(path, cache_dir) == hashlib.sha256(b"CONTENT").hexdigest()


@pytest.mark.usefixtures("settled")
def test_a_file_with_its_time_set_back_is_noticed(tmp_path: Path, cache_dir: Path) -> None:
    path = aged(tmp_path / "f", b"one")
    then = path.stat().st_mtime_ns
    fingerprint(path, cache_dir)
    assert list((cache_dir / "fingerprints").iterdir())
    time.sleep(0.05)  # longer than the clock's tick
    with path.open("r+b") as file:
        file.write(b"two")
    os.utime(path, ns=(then, then))
    assert fingerprint(path, cache_dir) == hashlib.sha256(b"two").hexdigest()


def test_a_file_that_was_just_changed_is_not_remembered_whatever_its_time_says(tmp_path: Path, cache_dir: Path) -> None:
    fingerprint(aged(tmp_path / "f", b"one"), cache_dir)
    assert not (cache_dir / "fingerprints").exists()


@pytest.mark.usefixtures("settled")
def test_a_replaced_file_of_same_size_and_time_is_noticed(tmp_path: Path, cache_dir: Path) -> None:
    path = aged(tmp_path / "f", b"one")
    fingerprint(path, cache_dir)
    status = path.stat()
    other = tmp_path / "other"
    other.write_bytes(b"two")
    os.utime(other, ns=(status.st_mtime_ns, status.st_mtime_ns))
    other.replace(path)
    assert fingerprint(path, cache_dir) == hashlib.sha256(b"two").hexdigest()


@pytest.mark.usefixtures("settled")
def test_a_file_from_the_future_is_not_remembered(tmp_path: Path, cache_dir: Path) -> None:
    path = aged(tmp_path / "f", b"one", seconds=-60)
    fingerprint(path, cache_dir)
    assert not (cache_dir / "fingerprints").exists()


@pytest.mark.usefixtures("settled")
def test_a_damaged_memory_is_no_obstacle(tmp_path: Path, cache_dir: Path) -> None:
    path = aged(tmp_path / "f", b"one")
    digest = fingerprint(path, cache_dir)
    for note in (cache_dir / "fingerprints").iterdir():
        note.write_text("[]", encoding="utf-8")
    assert fingerprint(path, cache_dir) == digest


def test_a_file_that_changes_meanwhile_is_an_error(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = aged(tmp_path / "f", b"one")

    def grow(path: Path) -> str:
        path.write_bytes(b"longer")
        return "digest"

    monkeypatch.setattr(files, "_digest", grow)
    with pytest.raises(DataError, match="changed while"):
        fingerprint(path, cache_dir)


def test_no_file_no_fingerprint(tmp_path: Path, cache_dir: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        fingerprint(tmp_path / "nowhere", cache_dir)


def test_a_missing_feature_file_says_all_that_helps(tmp_path: Path, cache_dir: Path) -> None:
    mosei = load_definition("mosei")
    with pytest.raises(DataError) as caught:
        locate(mosei, "unaligned", tmp_path, cache_dir)
    text = str(caught.value)
    for part in (
        "MOSEI/Processed/unaligned_50.pkl",
        str(tmp_path),
        str(mosei.settings["unaligned"].sha256),
        "github.com/thuiar/MMSA",
        "harness run --suite quick",
        "HARNESS_DATA_DIR",
    ):
        assert part in text
    with pytest.raises(DataError, match="no data folder was named"):
        locate(mosei, "unaligned", None, cache_dir)
    with pytest.raises(DataError, match="no aligned setting"):
        locate(load_definition("sims"), "aligned", tmp_path, cache_dir)


def test_a_feature_file_is_found_below_the_data_folder_or_by_its_whole_path(tmp_path: Path, cache_dir: Path) -> None:
    path = tmp_path / "MOSI" / "Processed" / "utterance.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert locate(load_definition("mosi-utterance"), "unaligned", tmp_path, cache_dir) == path
    own = load_definition({"base": "mosi-utterance", "name": "own", "settings": {"unaligned": {"file": str(path)}}})
    assert locate(own, "unaligned", None, cache_dir) == path


def test_a_synthetic_file_is_generated_once(cache_dir: Path) -> None:
    block = {"samples": {"train": 3, "valid": 3, "test": 3}, "lengths": {"text": 2, "audio": 2, "vision": 2}}
    definition = load_definition({"name": "synthetic-x", "synthetic": block})
    path = locate(definition, "unaligned", None, cache_dir)
    assert "synthetic" in path.name
    before = path.stat().st_mtime_ns
    assert locate(definition, "unaligned", None, cache_dir) == path
    assert path.stat().st_mtime_ns == before
    other = load_definition({"name": "synthetic-x", "synthetic": block | {"seed": 1}})
    assert locate(other, "unaligned", None, cache_dir) != path


def test_the_name_of_a_synthetic_file_follows_the_code_that_makes_it(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = {"samples": {"train": 3, "valid": 3, "test": 3}}
    before = locate(load_definition({"synthetic": tiny}), "unaligned", None, cache_dir)
    monkeypatch.setattr("harness.data.synthetic._sources", lambda: "0" * 16)
    after = locate(load_definition({"synthetic": tiny}), "unaligned", None, cache_dir)
    assert after != before
    assert after.read_bytes() == before.read_bytes()


CHILD = """
import sys, time
from pathlib import Path
from harness.data import files, load_definition, locate
generate = files.generate
def slowly(definition):
    print("generating", flush=True)
    time.sleep(0.5)
    return generate(definition)
files.generate = slowly
tiny = {"samples": {"train": 3, "valid": 3, "test": 3}}
print(locate(load_definition({"synthetic": tiny}), "unaligned", None, Path(sys.argv[1])).stat().st_ino)
"""


def test_two_processes_generate_a_synthetic_file_once(cache_dir: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(cache_dir)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(child.communicate(timeout=60)[0] for child in children).split()
    assert said.count("generating") == 1
    assert len(set(said)) == 2
    assert len(said) == 3


def test_the_draft_of_a_killed_writer_is_removed_once_it_is_old(tmp_path: Path) -> None:
    old, young = tmp_path / ".f[1].abc.tmp", tmp_path / ".f[1].def.tmp"
    for draft in (old, young):
        draft.write_bytes(b"half")
    os.utime(old, (0, 0))
    write_atomically(tmp_path / "f[1]", lambda file: file.write(b"whole"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".f[1].def.tmp", "f[1]"]
