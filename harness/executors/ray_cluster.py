"""A Ray cluster to run on: one of our own on this machine, or one that is there; connected quietly."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError
from harness.executors.cores import available_cores

__all__ = ["Node", "connected", "nodes"]

_STORE_BYTES = 100 * 2**20
"""Of the object store of a cluster of our own, near Ray's least: its one node sees every file."""
_KNOCK_SECONDS = 10.0
_QUIET = {
    # Faults of nodes go to stdout even with log_to_driver off; the executor tells of them in events.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Ray warns that it will stop hiding GPUs from tasks that ask for none; this is what it will do.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Node:
    """A node that is alive: its id, its host's name, and all that it has (``CPU``, ``GPU``, ``memory`` in bytes)."""

    id: str
    name: str
    resources: Mapping[str, float]

    def fits(self, needs: Mapping[str, float]) -> bool:
        """Tell whether a run fits on it while nothing else is there."""
        return all(self.resources.get(kind, 0.0) >= amount for kind, amount in needs.items())


def nodes(ray: Any) -> list[Node]:
    """Return the nodes that are alive."""
    return [
        Node(node["NodeID"], node["NodeManagerHostname"], node["Resources"]) for node in ray.nodes() if node["Alive"]
    ]


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Give the module `ray`, connected.

    Without an address a cluster is started on this machine, which listens on the loopback interface only, asks for a
    token, and is stopped at the end. An existing one is left as it is. If this process is killed, its cluster dies
    with it, but for two small agents of Ray's that try to report that for a minute or two.

    Raises
    ------
    InputError
        If Ray is not installed, the cluster cannot be reached or started, or this process uses Ray already.
    KeyboardInterrupt
        If SIGINT or SIGTERM arrives while it starts.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address is not None and "://" in address:
        raise InputError(
            "a Ray cluster cannot be used through a proxy of Ray Client",
            where=address,
            hint="start the harness on a machine of the cluster, with the address auto or HOST:PORT",
        )
    if address is not None and address != "auto":
        _knock(address)
    with _environment(_settings(address)), _own_signals():
        ray = _import()
        if ray.is_initialized():
            raise InputError("this process is connected to Ray already", hint="call ray.shutdown() first")
        folder = tempfile.mkdtemp(prefix="harness-ray-") if address is None else None
        try:
            _connect(ray, address, folder)
            yield ray
        finally:
            ray.shutdown()
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)


def _knock(address: str) -> None:
    """See whether anybody listens at an address: Ray itself would try for minutes, or for ever."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _KNOCK_SECONDS).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"nobody answers there: {error}", where=address, hint="is the cluster running? its address is HOST:PORT"
        ) from error


def _connect(ray: Any, address: str | None, folder: str | None) -> None:
    new = {
        "num_cpus": available_cores(),
        "object_store_memory": _STORE_BYTES,
        "include_dashboard": False,
        "_temp_dir": folder,
    }
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        ray.init(
            address=address or "local",
            configure_logging=False,
            log_to_driver=False,
            **(new if address is None else {}),
        )
    except SystemExit:  # of the handler that Ray sets for SIGTERM
        raise KeyboardInterrupt from None
    # Ray raises what it likes: ConnectionError, RuntimeError, ValueError, its own errors, those of gRPC.
    except Exception as error:
        raise InputError(
            f"Ray cannot be {'started' if address is None else 'reached'}: {error}",
            where=address or "a cluster on this machine",
            hint="" if address is None else "is the cluster running, and is this machine part of it?",
        ) from error


def _import() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise InputError(
            f"Ray cannot be imported: {error}", where="--executor ray", hint="pip install 'msa-harness[ray]'"
        ) from error


def _settings(address: str | None) -> dict[str, str]:
    """Return environment variables for Ray and all that it starts; what the user has set counts first."""
    ours = dict(_QUIET)
    if address is None:
        # By default Ray listens on all interfaces, and writes a token into the home folder.
        ours |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}
        # The local executor in each task looks after the memory, and has words for it.
        ours["RAY_memory_monitor_refresh_ms"] = "0"
    return {name: value for name, value in ours.items() if name not in os.environ}


@functools.cache
def _token() -> str:
    """Return this process's token: Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Put back the handler of SIGTERM, which Ray replaces."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(ValueError):  # not the main thread: then Ray has replaced nothing
            signal.signal(signal.SIGTERM, before)
