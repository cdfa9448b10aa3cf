"""A SLURM of two nodes on loopback: Debian's daemons, started as children of the tests and ended with them.

Nothing outside of ``root`` is written: munge has a key and a socket of its own there, and clients find the
configuration by ``SLURM_CONF``. Needs root (daemons start jobs as users), Debian's packages, and apt where
they are missing. Memory limits are not enforced: there is no cgroup plugin.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from accounts import WITH, WITHOUT, Accounts

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
DAEMONS = ("munged", "slurmctld", "slurmd", "srun", "setpriv")
NODES = ("n1", "n2")
SECONDS = 60.0  # for anything that should take a few

# Nodes claim more cores than there may be (config_overrides); requeued jobs start after cred_expire seconds.
CONFIGURATION = """\
ClusterName=prunelab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={root}/munge.socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool.%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
{accounting}
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=600
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 State=UNKNOWN\n"
PARTITION = "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"


class Absent(Exception):
    """No SLURM can be brought up here; the message says why."""


def obtained(packages: Sequence[str] = PACKAGES, programs: Sequence[str] = DAEMONS) -> None:
    """See that the daemons are there, from apt where they are not."""
    if os.geteuid() != 0:
        raise Absent("SLURM's daemons need root")
    if all(shutil.which(name) for name in programs):
        return
    apt = shutil.which("apt-get")
    if apt is None:
        raise Absent(f"not Debian, and {', '.join(programs)} are not all installed")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        asked = [apt, *words]
        done = subprocess.run(asked, env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise Absent(f"apt-get {words[0]} failed: {last}")


class Cluster:
    """A controller and two nodes, while it is open; ``accounting``: also slurmdbd with its database."""

    def __init__(self, root: Path, accounting: bool = False) -> None:
        self.root, self.accounting = root, accounting
        self.environment = {**os.environ, "SLURM_CONF": str(root / "slurm.conf")}
        self._started = ExitStack()
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    def open(self) -> "Cluster":
        """Write the configuration, start the daemons and wait for the nodes."""
        self._configure()
        key, munge = self.root / "munge.key", self.root / "munge.socket"
        files = ("--key-file", key, "--socket", munge, "--pid-file", self.root / "munged.pid")
        logs = ("--log-file", self.root / "munged.log", "--seed-file", self.root / "munged.seed")
        self._start("munged", "--foreground", "--force", *files, *logs)
        until(munge.exists, "munge has no socket")
        if self.accounting:
            self._keep_accounts()
        self._start("slurmctld", "-D", "-f", self.root / "slurm.conf")
        for node in NODES:
            self._begin(node)
        until(self._idle, "the nodes did not come up")
        return self

    def close(self) -> None:
        """Cancel what runs, and end the daemons, the last one started first."""
        with self._started:
            self.ask("scancel", "--user=root")
            until(lambda: not self.ask("squeue", "--noheader"), "jobs did not end")

    def die(self, node: str) -> None:
        """A node's sudden death: nothing of it is left, and the controller finds that it is down."""
        daemon = self._nodes[node]
        daemon.kill()
        daemon.wait()
        for task in tasks(self.root, SLURMD_NODENAME=node):
            with suppress(ProcessLookupError, FileNotFoundError):  # it ended with another one
                for process in (step_of(task), task):
                    os.kill(process, signal.SIGKILL)
        self.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=died")

    def revive(self, node: str) -> None:
        """The node again, after it was repaired."""
        self._begin(node)
        self.ask("scontrol", "update", f"nodename={node}", "state=resume")

    def ask(self, *words: object) -> str:
        """What a command of SLURM's prints."""
        done = subprocess.run(
            [str(word) for word in words], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """What SLURM knows of a job, by its own names."""
        said = self.ask("scontrol", "--oneliner", "show", "job", number)
        return dict(pair.split("=", 1) for pair in said.split() if "=" in pair)

    def over(self, number: str, seconds: float = SECONDS) -> dict[str, str]:
        """What SLURM knows of a job once it has ended for good."""
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        until(lambda: self.job(number)["JobState"] in ended, f"job {number} does not end", seconds)
        return self.job(number)

    def _keep_accounts(self) -> None:
        accounts = Accounts(self.root, *self.ports[-2:])
        self._start(*accounts.server())
        until(accounts.socket.exists, "the database has no socket")
        accounts.admit()
        self._start("slurmdbd", "-D")
        until(lambda: listens(accounts.port), "slurmdbd does not listen")
        self.ask("sacctmgr", "--immediate", "--quiet", "add", "cluster", "prunelab")

    def _begin(self, node: str) -> None:
        (self.root / f"spool.{node}").mkdir(exist_ok=True)
        self._nodes[node] = self._start("slurmd", "-D", "-f", self.root / "slurm.conf", "-N", node)

    def _idle(self) -> bool:
        if not (self.root / "state" / "job_state").exists() and not self._answers():
            return False
        return self.ask("sinfo", "--noheader", "--Node", "--format=%t").split() == ["idle"] * len(NODES)

    def _answers(self) -> bool:
        """Whether the controller listens: clients ask a silent one for half a minute."""
        return listens(self.ports[0])

    def _configure(self) -> None:
        for name in ("state", *(f"spool.{node}" for node in NODES)):
            (self.root / name).mkdir(parents=True)
        key = self.root / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        host, self.ports = socket.gethostname(), free_ports(1 + len(NODES) + 2)
        accounting = WITH.format(root=self.root, port=self.ports[-2]) if self.accounting else WITHOUT
        places = {"host": host, "root": self.root, "controller": self.ports[0]}
        text = CONFIGURATION.format(**places, accounting=accounting)
        for name, port in zip(NODES, self.ports[1:], strict=False):
            text += NODE.format(name=name, host=host, port=port)
        (self.root / "slurm.conf").write_text(text + PARTITION)

    def _start(self, *words: object) -> "subprocess.Popen[bytes]":
        """A daemon in the foreground, which the kernel ends when the tests die."""
        with (self.root / "daemons.log").open("a") as log:
            told = [str(shutil.which("setpriv")), "--pdeathsig", "TERM", *map(str, words)]
            started = subprocess.Popen(
                told,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.callback(ended, started)
        return started


def ended(process: "subprocess.Popen[bytes]") -> None:
    """Ask a daemon to end, and see that it does."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tasks(root: Path, **said: str) -> list[int]:
    """The processes that jobs of this SLURM run, whose environment says this, the latest first."""
    wanted = {f"{name}={value}" for name, value in said.items()} | {f"SLURM_CONF={root / 'slurm.conf'}"}
    found = list[int]()
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            environment = (place / "environ").read_bytes().decode(errors="replace").split("\0")
            if wanted <= set(environment) and any(each.startswith("SLURM_JOB_ID=") for each in environment):
                found.append(int(place.name))
    return sorted(found, reverse=True)


def step_of(task: int) -> int:
    """The ``slurmstepd`` above a task; the task itself where there is none."""
    above = task
    while above > 1:
        status = (Path("/proc") / str(above) / "status").read_text()
        if "slurmstepd" in status.splitlines()[0]:
            return above
        above = int(status.split("PPid:")[1].split()[0])
    return task


def listens(port: int) -> bool:
    """Whether anybody does, on this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


def until(holds: Callable[[], object], complaint: str, seconds: float = SECONDS) -> None:
    """Wait for something to hold; an AssertionError with the complaint when it takes too long."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, complaint
        time.sleep(0.2)
