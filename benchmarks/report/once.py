"""One report in one fresh process: ``python -m benchmarks.report.once <settings as JSON> <work>``; prints seconds."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

__all__ = ["PARTS", "Clock", "main"]

PARTS = ("import", "plan", "collect", "compare", "figures", "pages", "memo")
"""Where the time goes. *pages* is what is left of rendering: tables, HTML, LaTeX, CSV."""


def main(arguments: list[str]) -> int:
    """Make the report of the records below ``<work>/runs``, with the memo ``<work>/memo``."""
    settings_json, work = arguments[0], Path(arguments[1])
    clock = Clock()
    with clock("import"):
        from datetime import UTC, datetime

        from benchmarks.report.records import plan_of
        from benchmarks.report.settings import Settings
        from harness.memo import Memo
        from harness.reports import Extras, render
        from harness.results import collect
        from harness.store import RunStore

        # The module: the package's attribute of that name is the function.
        rendering = importlib.import_module("harness.reports.render")
    settings = Settings(**json.loads(settings_json))
    with clock("plan"):
        plan = plan_of(settings)
    with clock("memo"):
        memo = Memo(work / "memo")
    with clock("collect"):
        results = collect(plan, RunStore(work / "runs"), memo)
    assert set(results.runs["status"]) == {"done"}, "a synthetic record could not be read"
    clock.watch(rendering, "compare")
    clock.watch(rendering, "gallery", part="figures")
    with clock("pages"):
        render(
            results,
            plan,
            work / "reports",
            now=datetime.now(UTC),
            resamples=settings.resamples,
            extras=Extras(figures=settings.figures),
            memo=memo,
        )
    with clock("memo"):
        memo.save()
    print(json.dumps({"seconds": clock.seconds, "runs": len(results.runs), "settings": asdict(settings)}))
    return 0


class Clock:
    """Seconds by part; what a part inside another takes is not counted for the outer one."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._open: list[str] = []
        self._since = 0.0

    def __call__(self, part: str) -> Clock:
        """Begin a part, inside the one that is open if there is one; it ends with the ``with`` block."""
        self._switch()
        self._open.append(part)
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._switch()
        self._open.pop()

    def _switch(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def watch(self, module: Any, name: str, part: str = "") -> None:
        """Time a function where a module calls it."""
        plain: Callable[..., Any] = getattr(module, name)

        def timed(*args: Any, **named: Any) -> Any:
            with self(part or name):
                return plain(*args, **named)

        setattr(module, name, timed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
