from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.executors import base


@pytest.mark.parametrize(("cores", "threads", "workers"), [(8, 1, 8), (8, 3, 2), (8, 8, 1), (1, 1, 1)])
def test_default_workers_fill_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, workers: int
) -> None:
    monkeypatch.setattr(base, "available_cores", lambda: cores)
    assert base.workers_for(threads) == workers


def test_what_does_not_fit_is_refused_with_the_number_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "available_cores", lambda: 8)
    with pytest.raises(InputError, match=r"need 9 cores, but only 8") as caught:
        base.workers_for(3, 3)
    assert "2 worker(s)" in caught.value.hint
    with pytest.raises(InputError, match="16 threads"):
        base.workers_for(16)
    with pytest.raises(InputError, match="at least one"):
        base.workers_for(1, 0)


@given(cores=st.integers(1, 256), threads=st.integers(1, 64), workers=st.none() | st.integers(-1, 300))
def test_never_more_threads_than_cores(cores: int, threads: int, workers: int | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "available_cores", lambda: cores)
        try:
            count = base.workers_for(threads, workers)
        except InputError:
            assert threads > cores or (workers is not None and (workers < 1 or workers * threads > cores))
        else:
            assert count >= 1
            assert count * threads <= cores
            assert workers is None or count == workers


def test_importing_the_executors_does_not_import_torch() -> None:
    code = "import sys, harness.executors; sys.exit('torch' in sys.modules or 'MMSA' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
