"""One real cluster for all tests of a process."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from tests.executors.ray.cluster import Cluster, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed (it is in the test extra)")
    with running() as started:
        yield started
