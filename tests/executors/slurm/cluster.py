"""A real Slurm cluster of one host in a temporary folder: slurmctld and slurmd, no munge, accounting or systemd."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Cluster", "reason_not_to", "running"]

CONF = """
ClusterName=harness
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ReturnToService=2
MinJobAge=3
KillWait=2
SchedulerParameters=sched_interval=1,sched_min_interval=50000,batch_sched_delay=0,bf_interval=1
NodeName={host} NodeHostname={hostname} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# Nothing is to be done with control groups; the word for that came with 23.02, before it an unused plugin will do.
CGROUP_CONF = "CgroupPlugin={plugin}\n"
PATIENCE = 30.0


def reason_not_to() -> str:
    """Say why no cluster can be started here; nothing if one can."""
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "squeue", "srun") if not shutil.which(name)]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian's package slurm-wlm has them)"
    return "" if os.geteuid() == 0 else "slurmd starts jobs as their owner, for which it must be root"


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs; its commands find it by the variable SLURM_CONF."""

    folder: Path
    node: str

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @staticmethod
    def call(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout

    def cut(self) -> None:
        """Let the node fail, and come back."""
        self.call("scontrol", "update", f"NodeName={self.node}", "State=DOWN", "Reason=test")
        back = ("scontrol", "update", f"NodeName={self.node}", "State=RESUME")
        done = subprocess.run(back, capture_output=True, text=True, timeout=PATIENCE)
        # On a slow machine the node may have registered again by itself: then there is nothing to resume.
        assert done.returncode == 0 or "Invalid node state" in done.stderr, done.stderr

    def wait_until_idle(self) -> None:
        """Wait until nothing runs and the node takes jobs."""
        end = time.monotonic() + PATIENCE
        said = ""
        while time.monotonic() < end:
            answer = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True)
            said = answer.stdout.strip() or answer.stderr
            if said == "idle":
                return
            time.sleep(0.1)
        logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.log")))
        raise AssertionError(f"the cluster is not ready but {said}\n{logs}")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the two daemons, and kill them with all that came from them."""
        daemons = []
        try:
            for name in ("slurmctld", "slurmd"):
                with (self.folder / f"{name}.log").open("wb") as log:
                    command = [name, "-D", "-f", str(self.conf)]
                    daemons.append(psutil.Popen(command, stdout=log, stderr=log, start_new_session=True))
            self.wait_until_idle()
            yield
        finally:
            # slurmstepd is no child of slurmd and hides its environment: only Slurm itself can end it.
            with suppress(AssertionError, subprocess.SubprocessError):
                self.call("scancel", "--quiet", "--user=root")
                self.wait_until_idle()
            for daemon in daemons:
                for process in [daemon, *daemon.children(recursive=True)]:
                    process.kill()
            for process in self._left():
                process.kill()
            for daemon in daemons:
                daemon.wait(PATIENCE)

    def _left(self) -> Iterator[psutil.Process]:
        """Go through what jobs of this cluster left behind; the processes of a job do not stay below slurmd."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                environment = process.environ()
                if "SLURM_JOB_ID" in environment and environment.get("SLURM_CONF") == str(self.conf):
                    yield process


def make(folder: Path) -> Cluster:
    """Write the files of a cluster."""
    hostname = platform.node()
    host = hostname.partition(".")[0]
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = (one.getsockname()[1], other.getsockname()[1])
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    text = CONF.format(
        folder=folder,
        host=host,
        hostname=hostname,
        ports=ports,
        cores=psutil.cpu_count() or 1,
        memory=psutil.virtual_memory().total // 2**20 * 9 // 10,
    )
    (folder / "slurm.conf").write_text(text)
    version = re.search(r"(\d+)\.(\d+)", Cluster.call("slurmd", "-V"))
    modern = version is not None and (int(version[1]), int(version[2])) >= (23, 2)
    (folder / "cgroup.conf").write_text(CGROUP_CONF.format(plugin="disabled" if modern else "cgroup/v1"))
    return Cluster(folder, host)


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Start a cluster in an empty folder, known to Slurm's commands through the environment, and stop it."""
    cluster = make(folder)
    root = str(Path(__file__).resolve().parents[3])
    changes = {
        "SLURM_CONF": str(cluster.conf),
        # The nodes import the stubs of the tests.
        "PYTHONPATH": os.pathsep.join(path for path in (root, os.environ.get("PYTHONPATH", "")) if path),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        with cluster.running():
            yield cluster
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
