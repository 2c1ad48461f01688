"""Places that cannot be written, and disks that are full."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StoreError
from harness.store import RunStore, write_json
from harness.store.owners import owner
from tests.helpers import fake_record, fill_draft, make_spec
from tests.store.tools import drafts, failing


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for root in (tmp_path / "runs", tmp_path / "runs" / "below"):
        with pytest.raises(StoreError) as caught:
            RunStore(root).prepare()
        assert caught.value.where == str(root)
        assert "a file stands" in caught.value.hint


def test_a_root_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "runs"
    root.mkdir(mode=0o500)
    if os.geteuid() == 0:  # the superuser may write anywhere, so the kernel's answer is put in its mouth
        monkeypatch.setattr(Path, "mkdir", failing(errno.EACCES))
    with pytest.raises(StoreError, match="Permission denied") as caught:
        RunStore(root).prepare()
    assert "--runs-dir" in caught.value.hint


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(
    ("action", "call"),
    [(action, call) for action in ("publish", "fail") for call in ("fsync", "rename", "mkdir")]
    + [("fail", "write_text")],
)
def test_a_full_disk_publishes_nothing(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, action: str, call: str, number: int
) -> None:
    spec = make_spec()
    draft = store.begin(spec)
    fill_draft(draft, spec)
    act: Callable[..., Any] = store.publish
    if action == "fail":
        act = partial(store.fail, kind="error", reason="a reason")
    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else Path, call, failing(number))
        with pytest.raises(StoreError) as caught:
            act(spec, draft)
    assert os.strerror(number) in caught.value.what
    assert "free some space" in caught.value.hint
    assert store.status(spec) == "missing"
    assert list(store.records()) == []
    if action == "publish":
        store.publish(spec, draft)  # once there is room again
        assert store.status(spec) == "done"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if mount is None or subprocess.run([mount, *options], check=False, capture_output=True).returncode:
        pytest.skip("a small file system can be mounted by the superuser only")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    store = RunStore(small_disk / "runs")
    store.prepare()
    fake_record(store, make_spec(seed=1))
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * 2**20)
    draft = store.begin(make_spec(seed=2))
    with pytest.raises(StoreError, match="No space") as caught:
        write_json(draft / "record.json", {"a": "b" * 10_000})
    assert "free some space" in caught.value.hint
    with pytest.raises(StoreError, match="No space"):
        store.prepare()
    filler.unlink()
    store.discard(draft)
    store.prepare()
    assert [record.spec.seed for record in store.records()] == [1]
    assert drafts(store) == []


def test_a_stranger_s_draft_that_cannot_be_removed_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user was killed in a folder that all may write to: removing what is his is refused."""
    store = RunStore(tmp_path / "runs")
    store.prepare()
    with subprocess.Popen(["sleep", "60"]) as process:
        name = owner(process.pid)
        process.kill()
    (store.root / ".tmp" / f"{name}.0123456789ab").mkdir()
    real = os.rename

    def refused(source: Any, target: Any) -> None:
        if str(source).endswith("0123456789ab"):
            raise PermissionError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "rename", refused)
    store.prepare()
    assert (store.root / ".tmp" / f"{name}.0123456789ab").is_dir()
