"""A suite run as it goes on: a picture on a terminal, lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import fmean
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.display.listing import err, seconds_text
from harness.display.picture import Column, Picture, Section, clock_text, on_screen, one_line
from harness.executors import Elsewhere, Event, Failed, Finished, Progress, PutBack
from harness.spec import RunSpec
from harness.store import Lease, Leases
from harness.workflow.status import living, place_of, seconds_left

__all__ = ["RunDisplay"]

_REDRAW_SECONDS = 0.25
_OTHERS_SECONDS = 2.0
_GUESS_SECONDS = 1.0
_LATEST = 5
_MOST_ROWS = 100
"""No terminal is taller."""
_LEAST = 16


@dataclass
class _Running:
    """A run of this process, as its events tell it."""

    spec: RunSpec
    worker: int
    began: float
    device: str = "cpu"
    info: Mapping[str, Any] = field(default_factory=dict)


class RunDisplay:
    """Watches a suite run: a live picture on a terminal, one line per run that ends elsewhere.

    Parameters
    ----------
    total : int
        Runs that will be tried.
    quiet : bool
        Show failures only.
    workers : int
        Runs side by side, as far as is known before the first has begun.
    expected : mapping, optional
        By run id, the seconds that a run to be tried will about take; it may lack some.
    leases : Leases, optional
        Those of the store, to show what other processes work on.
    console : Console
        Where to show it.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        total: int,
        *,
        quiet: bool = False,
        workers: int = 1,
        expected: Mapping[str, float] | None = None,
        leases: Leases | None = None,
        console: Console = err,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._quiet = quiet
        self._workers = workers
        self._expected = dict(expected or {})
        self._leases = leases
        self._console = console
        self._clock = clock
        self._began = clock()
        # The thread that redraws reads what events write. Nothing is printed under this lock: rich has one of its own,
        # and asks for the picture while it holds it.
        self._lock = threading.Lock()
        # One at a time moves the cursor: rich works out where to begin some time before it writes.
        self._drawing = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._ended: set[str] = set()
        self._failed = 0
        self._latest: deque[tuple[str, str]] = deque(maxlen=_LATEST)
        self._others: dict[str, Lease] = {}
        self._looked: float | None = None
        self._measured: list[float] = []
        self._guess: tuple[float, float | None] | None = None
        self._live: Live | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start watching."""
        if self._total and not self._quiet:
            self._live = self._stack.enter_context(on_screen(self._console, self.picture))
        if self._live is not None:
            done = threading.Event()
            thread = threading.Thread(target=self._redraw, args=(self._live, done), name="display", daemon=True)
            thread.start()
            self._stack.callback(thread.join, 1.0)
            self._stack.callback(done.set)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._live = None
        self._stack.close()

    def __call__(self, event: Event) -> None:
        """Take note of an event, and print a line if it is worth one."""
        if self._live is None and not self._quiet:
            self._look()
        with self._lock:
            self._note(event)
            line = self._line(event)
        if line is not None:
            with self._drawing:
                self._console.print(line, soft_wrap=True)

    def picture(self) -> Picture:
        """Return what a terminal shows now."""
        with self._lock:
            elapsed = seconds_text(self._clock() - self._began)
            words = [f"{len(self._ended)}/{self._total} runs", *([f"{self._failed} failed"] if self._failed else [])]
            if left := self._left():
                words.append(f"~{seconds_text(left)} left")
            sections = [self._section_of_workers(), self._section_of_others(), self._section_of_failures()]
            return Picture(len(self._ended), self._total, [*words, f"{elapsed} so far"], sections)

    def _redraw(self, live: Live, done: threading.Event) -> None:
        while not done.wait(_REDRAW_SECONDS):
            self._look()
            with self._drawing:
                live.refresh()

    def _look(self) -> None:
        """See now and then what other processes work on."""
        now = self._clock()
        if self._leases is None or (self._looked is not None and now - self._looked < _OTHERS_SECONDS):
            return
        self._looked = now
        found = {lease.run_id: lease for lease in living(self._leases)}
        with self._lock:
            self._others = found

    def _note(self, event: Event) -> None:
        spec, run_id = event.spec, event.spec.run_id
        if isinstance(event, Elsewhere):
            self._end(run_id)
            if event.status == "failed":
                self._fail(spec, event.reason)
        elif isinstance(event, (Finished, Failed)):
            self._end(run_id)
            if isinstance(event, Failed):
                self._fail(spec, event.reason)
            else:
                self._measured.append(event.seconds)
        elif isinstance(event, PutBack):
            self._running.pop(run_id, None)
            self._others.pop(run_id, None)  # our own lease of a moment ago
        else:
            began = self._clock() - event.seconds
            known = self._running.setdefault(run_id, _Running(spec, event.worker, began))
            if isinstance(event, Progress):
                known.info = event.info
            else:
                known.device = event.device

    def _end(self, run_id: str) -> None:
        self._running.pop(run_id, None)
        self._ended.add(run_id)

    def _fail(self, spec: RunSpec, reason: str) -> None:
        self._failed += 1
        self._latest.appendleft((spec.label, reason))

    def _line(self, event: Event) -> Text | None:
        """Return what is printed of an event: failures always, the rest as far as nothing else shows it."""
        run, ended = event.spec.label, f"[{len(self._ended)}/{self._total}] "
        if isinstance(event, Failed):
            return Text.assemble(ended, ("failed ", "bold red"), f"{run}: {one_line(event.reason)}")
        if isinstance(event, Elsewhere) and event.status == "failed":
            return Text.assemble(ended, ("failed ", "bold red"), f"{run}, in another process: {one_line(event.reason)}")
        if self._quiet:
            return None
        if isinstance(event, PutBack):
            return Text.assemble(ended, ("put back ", "bold yellow"), f"{run}: {one_line(event.reason)}")
        if self._live is not None or not isinstance(event, (Finished, Elsewhere)):
            return None
        what = seconds_text(event.seconds) if isinstance(event, Finished) else "done by another process"
        left = self._left()
        return Text(f"{ended}{run}: {what}" + (f", about {seconds_text(left)} left" if left else ""))

    def _left(self) -> float | None:
        """Guess the seconds until the end, once a second at most; in between they are counted down."""
        now = self._clock()
        if self._guess is None or now - self._guess[0] >= _GUESS_SECONDS:
            self._guess = (now, self._guessed(now))
        at, left = self._guess
        return None if left is None or len(self._ended) >= self._total else max(0.0, left - (now - at)) or None

    def _guessed(self, now: float) -> float | None:
        running = [(self._expected.get(run_id), now - run.began) for run_id, run in self._running.items()]
        beat = self._leases.beat_seconds if self._leases else 0.0
        # Other processes that work on runs of this suite share what waits.
        shared = {run_id: lease for run_id, lease in self._elsewhere().items() if run_id in self._expected}
        running += [(self._expected[run_id], lease.beat * beat) for run_id, lease in shared.items()]
        busy = self._ended | self._running.keys() | shared.keys()
        waiting: list[float | None] = [guess for run_id, guess in self._expected.items() if run_id not in busy]
        waiting += [None] * (self._total - len(busy) - len(waiting))
        typical = fmean(self._measured) if self._measured else None
        return seconds_left(running, waiting, max(self._workers, len(self._running)) + len(shared), typical)

    def _elsewhere(self) -> dict[str, Lease]:
        mine = self._ended | self._running.keys()
        return {run_id: lease for run_id, lease in self._others.items() if run_id not in mine}

    def _section_of_workers(self) -> Section:
        now = self._clock()
        runs = sorted(self._running.values(), key=lambda run: run.worker)[:_MOST_ROWS]
        devices = ["" if run.device == "cpu" else run.device for run in runs]
        expected = [self._expected.get(run.spec.run_id) for run in runs]
        return Section(
            [
                Column("#", [Text(str(run.worker)) for run in runs], right=True, leave=1),
                Column("device", _texts(devices), leave=3),
                Column(
                    f"{len(self._running)} running", _texts([run.spec.label for run in runs]), middle=True, least=_LEAST
                ),
                Column("epoch", _texts([_epoch(run.info, run.spec) for run in runs])),
                Column("valid loss", [_loss(run.info) for run in runs], leave=4),
                Column("time", _texts([clock_text(now - run.began) for run in runs]), right=True, leave=2),
                Column(
                    "expected",
                    _texts(["" if each is None else clock_text(each) for each in expected]),
                    right=True,
                    leave=5,
                ),
            ]
        )

    def _section_of_others(self) -> Section:
        found = self._elsewhere()
        leases = list(found.values())[:_MOST_ROWS]
        labels = [str(lease.about.get("label", lease.run_id)) for lease in leases]
        epochs = [_epoch(lease.about.get("progress") or {}) for lease in leases]
        return Section(
            [
                Column(f"{len(found)} in other processes", _texts(labels), middle=True, least=_LEAST),
                Column("where", _texts([place_of(lease) for lease in leases]), least=_LEAST, leave=1),
                Column("epoch", _texts(epochs)),
            ]
        )

    def _section_of_failures(self) -> Section:
        title = f"{self._failed} failed" + (", the latest" if self._failed > _LATEST else "")
        return Section(
            [
                Column(title, _texts([label for label, _ in self._latest]), middle=True, least=_LEAST),
                Column("reason", _texts([reason for _, reason in self._latest]), least=_LEAST),
            ]
        )


def _texts(cells: Sequence[str]) -> list[Text]:
    return [Text(one_line(cell)) for cell in cells]


def _epoch(info: Mapping[str, Any], spec: RunSpec | None = None) -> str:
    if not info:
        return "starting"
    return f"{info['epoch']}" + (f"/{spec.max_epochs}" if spec else "") if "epoch" in info else ""


def _loss(info: Mapping[str, Any]) -> Text:
    """Show the validation loss, with a star where it is the lowest so far."""
    loss = info.get("valid_loss")
    if not isinstance(loss, (int, float)):
        return Text()
    return Text.assemble(f"{loss:.4f}", (" *", "bold green") if info.get("best") else "  ")
