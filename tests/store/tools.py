"""What several tests of the store do to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.spec import RunSpec
from harness.store import RunStore

__all__ = ["drafts", "fail", "failing"]


def drafts(store: RunStore) -> list[Path]:
    return list((store.root / ".tmp").iterdir())


def fail(store: RunStore, spec: RunSpec, reason: str = "no luck") -> None:
    draft = store.begin(spec)
    (draft / "log.txt").write_text("epoch 1\n")
    store.fail(spec, draft, kind="error", reason=reason, traceback="Traceback ...")


def failing(number: int) -> Callable[..., None]:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fails
