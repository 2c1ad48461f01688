"""Processes that stay: they import once, then run one function after the other for the benchmark."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Self

__all__ = ["Child", "ChildError", "share", "started"]

_context = multiprocessing.get_context("spawn")
_PATIENCE = 20.0


class ChildError(RuntimeError):
    """A function failed in a child; the message is the child's traceback."""


class Child:
    """A fresh Python process; leaving the context ends it.

    Parameters
    ----------
    modules : sequence of str
        What it imports at its start; `receive` tells when it has.
    quiet : bool
        Send the child's stderr to the null device.
    """

    def __init__(self, modules: Sequence[str], *, quiet: bool = False) -> None:
        self.connection, theirs = _context.Pipe()
        self.process = _context.Process(target=_serve, args=(tuple(modules), quiet, theirs))
        self.process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.connection.close()
        if kind is not None:
            self.process.kill()
        self.process.join(_PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        self.process.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self.process.pid is not None, "it was started"
        return self.process.pid

    def send(self, function: Callable[..., Any], *args: Any) -> None:
        """Start a module's function in the child."""
        self.connection.send((function, args))

    def receive(self) -> Any:
        """Wait for what was sent last and return its result.

        Raises
        ------
        ChildError
            If it failed, or the child died.
        """
        try:
            good, content = self.connection.recv()
        except EOFError:
            self.process.join()
            raise ChildError(f"a benchmark process ended with exit code {self.process.exitcode}") from None
        if not good:
            raise ChildError(f"in a benchmark process:\n{content}")
        return content

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a module's function in the child and return its result."""
        self.send(function, *args)
        return self.receive()


@contextlib.contextmanager
def started(count: int, modules: Sequence[str], *, quiet: bool = False) -> Iterator[list[Child]]:
    """Start children side by side and wait until all have their imports."""
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(Child(modules, quiet=quiet)) for _ in range(count)]
        for child in children:
            child.receive()
        yield children


def share(children: Sequence[Child], function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run ``function(*task)`` for all tasks, the next one always in the child that is free first; keep their order."""
    waiting = deque(enumerate(tasks))
    free = deque(children)
    busy: dict[Any, tuple[int, Child]] = {}
    results: dict[int, Any] = {}
    while waiting or busy:
        while waiting and free:
            number, task = waiting.popleft()
            child = free.popleft()
            child.send(function, *task)
            busy[child.connection] = (number, child)
        for connection in wait(list(busy)):
            number, child = busy.pop(connection)
            results[number] = child.receive()
            free.append(child)
    return [results[number] for number in range(len(tasks))]


def _serve(modules: tuple[str, ...], quiet: bool, connection: Any) -> None:
    if quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    function: Callable[..., Any] = _import
    args: tuple[Any, ...] = modules
    while True:
        try:
            reply = (True, function(*args))
        except Exception:  # noqa: BLE001 -- whatever it is, the benchmark shows it and stops
            reply = (False, traceback.format_exc())
        try:
            connection.send(reply)
            function, args = connection.recv()
        except (EOFError, OSError):  # the benchmark is done, or gone
            return


def _import(*modules: str) -> None:
    for module in modules:
        importlib.import_module(module)
