from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.executors import available_cores, base, workers_for


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def system(root: Path, groups: str, files: Mapping[str, str]) -> Path:
    """Lay out the kernel's files below `root`: the groups of the process, and what is in the tree of groups."""
    for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{name}": files[name] for name in files}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1000 1000000", 1),
        ("1600000 100000", 8),
        ("0 100000", 8),
        ("100000 0", 8),
        ("nonsense", 8),
        ("", 8),
    ],
)
@pytest.mark.parametrize("groups", ["0::/", "0::/docker/abc", "0::/../.."])
def test_the_quota_of_version_2(tmp_path: Path, groups: str, quota: str, cores: int) -> None:
    assert available_cores(system(tmp_path, groups, {"cpu.max": quota})) == cores


@pytest.mark.parametrize(
    ("quota", "cores"), [("-1", 8), ("200000", 2), ("250000", 3), ("5000", 1), ("900000", 8), ("", 8)]
)
@pytest.mark.parametrize("groups", ["4:cpu,cpuacct:/", "2:cpuacct,cpu:/docker/abc\n0::/"])
def test_the_quota_of_version_1(tmp_path: Path, groups: str, quota: str, cores: int) -> None:
    root = system(tmp_path, groups, {"cpu/cpu.cfs_quota_us": quota, "cpu/cpu.cfs_period_us": "100000"})
    assert available_cores(root) == cores


def test_every_group_on_the_way_up_counts(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        "0::/user/job",
        {
            "cpu.max": "max 100000",
            "user/cpu.max": "300000 100000",
            "user/job/cpu.max": "600000 100000",
            "other/cpu.max": "100000 100000",
        },
    )
    assert available_cores(root) == 3


def test_groups_of_other_controllers_do_not_count(tmp_path: Path) -> None:
    root = system(
        tmp_path, "3:cpuset:/\n4:memory:/", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}
    )
    assert available_cores(root) == 8


def test_affinity_counts_where_it_is_narrower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert available_cores(system(tmp_path, "0::/", {"cpu.max": "400000 100000"})) == 1


def test_a_system_without_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert available_cores(tmp_path) == 8
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert available_cores(tmp_path) == (os.cpu_count() or 1)


def test_workers_fit_into_the_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = system(tmp_path, "0::/", {"cpu.max": "400000 100000"})
    monkeypatch.setattr(base, "available_cores", lambda: available_cores(root))
    assert workers_for(2) == 2


def test_cores_of_this_very_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@given(line=st.text(max_size=30), quota=st.text(max_size=20))
def test_odd_files_of_the_kernel_are_no_error(tmp_path_factory: pytest.TempPathFactory, line: str, quota: str) -> None:
    root = tmp_path_factory.mktemp("system")
    for name, text in (("proc/self/cgroup", line), ("sys/fs/cgroup/cpu.max", quota)):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
        assert 1 <= available_cores(root) <= 8
