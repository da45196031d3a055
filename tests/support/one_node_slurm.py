"""A Slurm of one node on 127.0.0.1, in a temporary folder, with Debian's `slurm-wlm` and `munge`.

    with OneNodeSlurm(folder) as slurm:
        subprocess.run(["sbatch", ...], env={**os.environ, **slurm.environment})

The daemons are ended by their pid files. It runs as root alone: Slurm starts jobs as the users who submit them.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

DAEMONS = ("slurmctld", "slurmd", "munged", "sbatch")
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={munge}/socket,cred_expire=10
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
SlurmdParameters=config_overrides
JobRequeue=1
KillWait=2
MinJobAge=300
MaxArraySize=1001
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=tests Nodes={host} Default=YES MaxTime=60 State=UP
"""


def missing() -> str | None:
    """Why no Slurm can be started here; None where one can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "Slurm runs jobs for others, as root alone"
    absent = [name for name in DAEMONS if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") is None]
    return f"{', '.join(absent)} not installed (Debian: apt-get install slurm-wlm munge)" if absent else None


class OneNodeSlurm:
    """The daemons, from `with` to its end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.munge = folder, folder / "munge"
        self.environment = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": os.environ["PATH"] + ":/usr/sbin",
        }

    def __enter__(self) -> "OneNodeSlurm":
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=socket.gethostname().split(".")[0], ports=_free_ports(2), folder=self.folder, munge=self.munge
            )
        )
        try:
            self._start_munge()
            self._start("slurmctld", "-c")
            self._start("slurmd")
            self._wait(lambda: "idle" in self("sinfo", "--noheader", "--format=%T"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if (self.folder / "slurmd.pid").exists():
            self("scancel", "--me", "--signal=KILL", "--full")
            self("scancel", "--me")
            self._wait(lambda: not self("squeue", "--noheader", "--states=all", "--format=%T").count("ING\n"))
        for name in ("slurmd", "slurmctld"):
            _end(self.folder / f"{name}.pid")
        _end(self.munge / "pid")

    def __call__(self, *words: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(words, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def _start_munge(self) -> None:
        """A key and a socket of this cluster's own; munged refuses to run as root."""
        for parent in self.munge.parents:  # it must reach its folder, and pytest's are for their owner alone
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
        self.munge.mkdir()
        (self.munge / "key").write_bytes(secrets.token_bytes(128))
        (self.munge / "key").chmod(0o400)
        for path in (self.munge / "key", self.munge):
            shutil.chown(path, "munge", "munge")
        files = [f"--{name}-file={self.munge / name}" for name in ("key", "pid", "log", "seed")]
        subprocess.run(
            ["runuser", "-u", "munge", "--", "munged", f"--socket={self.munge / 'socket'}", *files],
            env={**os.environ, **self.environment},
            check=True,
            timeout=60,
        )

    def _start(self, *words: str) -> None:
        subprocess.run(words, env={**os.environ, **self.environment}, check=True, timeout=60)

    def _wait(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not true():
            if time.monotonic() > end:
                logs = (
                    (self.folder / "slurmctld.log").read_text()[-2000:],
                    (self.folder / "slurmd.log").read_text()[-2000:],
                )
                raise RuntimeError("it did not happen within a minute\n" + "".join(logs))
            time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _end(pid_file: Path) -> None:
    """End a daemon and wait until it has ended."""
    try:
        process = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(process, number)
            for _ in range(100):
                time.sleep(0.1)
                os.kill(process, 0)
        except ProcessLookupError:
            return
