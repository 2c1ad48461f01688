"""Where a run's numbers come from: versions, hardware, threads, git state, data hash, time."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from harness import __version__
from harness.spec import RunSpec

__all__ = ["collect", "environment", "environment_key", "git_state", "of_report"]

_PACKAGES = ("torch", "MMSA", "transformers", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "safetensors")


def collect(spec: RunSpec, device: str) -> dict[str, Any]:
    """Return the provenance of a run, ready for JSON."""
    import torch

    where = environment(device)
    return {
        "harness": __version__,
        "environment": where,
        "environment_key": environment_key(where),
        "git": git_state(),
        "host": socket.gethostname(),
        "worker_pid": os.getpid(),
        "threads": torch.get_num_threads(),
        "seed": spec.seed,
        "data_sha256": spec.data.sha256,
        "synthetic_data": spec.data.synthetic,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def of_report() -> dict[str, Any]:
    """Return what rendered a report: the versions that computed and tested its numbers."""
    return {
        "harness": __version__,
        "git": git_state(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("numpy", "scipy", "pandas")},
    }


def environment(device: str) -> dict[str, Any]:
    """Return what must be equal for two runs to have a chance of equal bits: libraries and hardware."""
    import torch

    described: dict[str, Any] = {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu",
    }
    if device.startswith("cuda"):
        described |= {
            "device": torch.cuda.get_device_name(device),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "driver": _driver(),
            "tf32": {"cudnn": torch.backends.cudnn.allow_tf32, "matmul": torch.backends.cuda.matmul.allow_tf32},
        }
    return described


def environment_key(described: Mapping[str, Any]) -> str:
    """Return 8 hexadecimal digits that differ where equal bits cannot be expected."""
    relevant = {k: v for k, v in described.items() if k not in {"cores", "memory_gib"}}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:8]


@functools.cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _driver() -> str | None:
    try:
        return Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").splitlines()[0]
    except OSError:
        return None


@functools.cache
def git_state() -> dict[str, Any] | None:
    """Commit and cleanliness of the checkout the package lies in, or None for an installed copy."""
    folder = Path(sys.modules["harness"].__file__ or ".").resolve().parent

    def git(*words: str) -> str:
        # A worker may be killed at any moment: without the flag `git status` could leave its index lock behind.
        command = ["git", "--no-optional-locks", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603 -- fixed words

    try:
        if git("ls-files", "--", "__init__.py") == "":
            return None
        return {"commit": git("rev-parse", "HEAD"), "clean": git("status", "--porcelain") == ""}
    except (OSError, subprocess.SubprocessError):
        return None
