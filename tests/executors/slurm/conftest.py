"""One real cluster for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.executors.slurm.cluster import Cluster, reason_not_to, running


@pytest.fixture(scope="session")
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := reason_not_to():
        pytest.skip(f"no Slurm cluster can be started: {reason}")
    with running(tmp_path_factory.mktemp("slurm") / "cluster") as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster on which nothing runs, before and after the test."""
    yield running_cluster
    running_cluster.call("scancel", "--quiet", "--user=root")
    running_cluster.wait_until_idle()


@pytest.fixture
def features(tmp_path: Path) -> Path:
    folder = tmp_path / "features"
    folder.mkdir()
    return folder
