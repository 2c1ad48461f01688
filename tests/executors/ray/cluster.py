"""A real Ray cluster on this machine, of nodes that can be killed, or that see less of the disk than others."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

__all__ = ["NO_NAMESPACES", "SETTINGS", "Cluster", "running"]

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listen on the loopback interface only
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AUTH_MODE": "disabled",  # else Ray writes a token into the home folder
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # Ray reads it when it is imported
}
_QUICK_DEATH = {
    # Ray's own are 5 s, 3 s, 10 s and 5: a quarter of a minute until a node counts as dead.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
_STORE_BYTES = 80 * 2**20
_UNSHARE = ("unshare", "--mount") if os.getuid() == 0 else ("unshare", "--map-root-user", "--mount")
_NODE = """
import signal, sys
from ray._private.node import Node
from ray._private.parameter import RayParams

Node(
    RayParams(
        gcs_address=sys.argv[1],
        num_cpus=1,
        object_store_memory=int(sys.argv[2]),
        min_worker_port=0,
        max_worker_port=0,
        node_manager_port=0,
        include_log_monitor=False,
    ),
    head=False,
    shutdown_at_exit=False,
    spawn_reaper=False,
)
signal.pause()
"""
"""What `ray start` would do, which refuses a second node where Ray is told to stay on the loopback interface."""


def _namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run([*_UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


NO_NAMESPACES = "" if _namespaces() else "no mount namespace can be made here (unshare --mount), to hide a folder in"


class Cluster:
    """A head with one CPU, and nodes that tests add; `ray` is the module."""

    def __init__(self) -> None:
        utilities: Any = importlib.import_module("ray.cluster_utils")
        self.ray: Any = importlib.import_module("ray")
        arguments = {"num_cpus": 1, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
        self._cluster = utilities.Cluster(initialize_head=True, head_node_args=arguments)
        self.address: str = self._cluster.address

    @contextmanager
    def node(self, **resources: float) -> Iterator[psutil.Process]:
        """Add a node with one CPU, and remove it at the end; give its raylet."""
        node = self._cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES, resources=resources)
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        try:
            yield raylet
        finally:
            self._cluster.remove_node(node, allow_graceful=False)

    @contextmanager
    def blind_node(self, *hidden: Path) -> Iterator[None]:
        """Add a node in a mount namespace of its own, in which these folders are empty, as without a shared disk."""
        mounts = "".join(f"mount -t tmpfs none '{folder}' && " for folder in hidden)
        before = self.alive()
        process = subprocess.Popen(
            [
                *_UNSHARE,
                "sh",
                "-c",
                f'{mounts} exec "$@"',
                "sh",
                sys.executable,
                "-c",
                _NODE,
                self.address,
                str(_STORE_BYTES),
            ],
            start_new_session=True,
        )
        try:
            self._wait_for(before + 1)
            yield
        finally:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for one in family:
                one.kill()
            process.wait()
            self._wait_for(before)

    def alive(self) -> int:
        """The number of nodes that Ray believes to be alive."""
        return sum(node["Alive"] for node in self._cluster.global_state.node_table())

    def _wait_for(self, number: int) -> None:
        end = time.monotonic() + 60
        while self.alive() != number:
            assert time.monotonic() < end, f"{self.alive()} nodes are alive, not {number}"
            time.sleep(0.2)

    def close(self) -> None:
        self._cluster.shutdown()


@contextmanager
def running() -> Iterator[Cluster]:
    """Start a cluster, and see to it that no process of it is left."""
    temporary = tempfile.mkdtemp(prefix="ray-")  # short: sockets lie in it
    settings = SETTINGS | _QUICK_DEATH | {"RAY_TMPDIR": temporary}
    before = {name: os.environ.get(name) for name in settings}
    handler = signal.getsignal(signal.SIGTERM)
    os.environ.update(settings)
    Path(temporary, "ray").mkdir()
    try:
        cluster = Cluster()
        try:
            yield cluster
        finally:
            cluster.close()
    finally:
        signal.signal(signal.SIGTERM, handler)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
        shutil.rmtree(temporary, ignore_errors=True)
