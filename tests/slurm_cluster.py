"""A real Slurm of one node on this machine's loopback, without systemd: munge, controller, node and a stand-in GPU.

All of it lives in one folder and listens on ports of its own; it ends with the block, and with the process that started
it. Commands find it through the environment variable SLURM_CONF.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "setpriv")
# Whatever the machine has, so that a test does not depend on it.
CPUS, MEMORY_MB = 8, 64000

SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
# Without control groups: memory is looked at once a second, and a job that has more than it asked for is ended.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
# Without accounting, finished jobs stay in squeue.
AccountingStorageType=accounting_storage/none
MinJobAge=43200
KillWait=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpus Nodes={host} MaxTime=INFINITE State=UP
"""
# Files that every machine has stand in for those of GPUs; a job that asks for one gets CUDA_VISIBLE_DEVICES.
GRES_CONF = """\
NodeName={host} Name=gpu File=/dev/null
NodeName={host} Name=gpu File=/dev/zero
"""


def missing() -> str | None:
    """Why there can be no cluster here; None if there can."""
    # Daemons lie where a user's PATH may not lead.
    absent = [name for name in NEEDED if shutil.which(name, path=_path()) is None]
    return f"no {', '.join(absent)} (Debian: apt install slurm-wlm munge)" if absent else None


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Cluster:
    """A running cluster; ``environment`` is what its commands need."""

    folder: Path
    node: str
    environment: dict[str, str]

    def command(self, *arguments: str) -> str:
        """The output of one of Slurm's commands. Raises ``CalledProcessError`` if it fails."""
        done = subprocess.run(
            arguments,
            env={**os.environ, **self.environment},
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """What ``scontrol`` knows of every job so far, in the order in which they were sent."""
        shown = self.command("scontrol", "--oneliner", "show", "job")
        found = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in shown.splitlines()]
        return sorted((job for job in found if "JobId" in job), key=lambda job: int(job["JobId"]))


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster whose files are in ``folder``, which must be empty and of a short path (it holds a socket)."""
    host = socket.gethostname().split(".")[0]
    controller, node = _free_ports(2)
    names = {"host": host, "user": getpass.getuser(), "folder": folder, "cpus": CPUS, "memory": MEMORY_MB}
    (folder / "slurm.conf").write_text(SLURM_CONF.format(**names, controller=controller, node=node), encoding="utf-8")
    (folder / "gres.conf").write_text(GRES_CONF.format(**names), encoding="utf-8")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    # Snakemake's plugin takes all SLURM_… from the environment of steps, which would then look in /etc/slurm.
    step = folder / "bin/srun"
    step.parent.mkdir()
    step.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n', encoding="utf-8")
    step.chmod(0o700)
    environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{step.parent}:{_path()}"}
    cluster = Cluster(folder, host, environment)
    with ExitStack() as daemons:
        munge = [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("key-file", "pid-file", "log-file")]
        munge += [f"--seed-file={folder}/munge.seed", f"--socket={folder}/munge.sock"]
        daemons.enter_context(_daemon(cluster, "munged", "--foreground", "--force", *munge))
        _wait(lambda: (folder / "munge.sock").exists(), "munged", folder)
        daemons.enter_context(_daemon(cluster, "slurmctld", "-D", "-c"))
        daemons.enter_context(_daemon(cluster, "slurmd", "-D", "-c", "-N", host))
        _wait(lambda: "idle" in _try(cluster, "sinfo", "--noheader", "--format=%T"), "slurmd", folder)
        try:
            yield cluster
        finally:
            _try(cluster, "scancel", "--user", getpass.getuser())
            _wait(lambda: not _try(cluster, "squeue", "--noheader").strip(), "scancel", folder)


def _try(cluster: Cluster, *arguments: str) -> str:
    try:
        return cluster.command(*arguments)
    except subprocess.SubprocessError:
        return ""


@contextmanager
def _daemon(cluster: Cluster, name: str, *arguments: str) -> Iterator[None]:
    """A process in the foreground, told to end when the block does or this process dies, however it dies."""
    with (cluster.folder / f"{name}.out").open("wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", name, *arguments],
            env={**os.environ, **cluster.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait(ready: object, what: str, folder: Path, seconds: float = 30) -> None:
    """Return when ``ready()``; raise with what the daemons wrote when it takes longer than ``seconds``."""
    end = time.monotonic() + seconds
    while not ready():  # type: ignore[operator]
        if time.monotonic() > end:
            written = "\n".join(f"{file.name}:\n{file.read_text()[-2000:]}" for file in sorted(folder.glob("*.out")))
            raise TimeoutError(f"{what}: nothing after {seconds:.0f} s\n{written}")
        time.sleep(0.1)
