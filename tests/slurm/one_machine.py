"""A Slurm cluster on one machine, with virtual nodes, for as long as a command runs.

``python tests/slurm/one_machine.py FOLDER COMMAND...`` keeps configuration, state and logs in FOLDER, which must
be short (sockets lie in it) and on this machine, and ends with the status of the command. It needs the daemons of
Slurm and munge, but neither root nor systemd, and leaves no process behind: whatever the cluster started becomes
a child of this process when its parent ends, and is killed at the end.
"""

from __future__ import annotations

import ctypes
import getpass
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from string import Template

import psutil

NODES = ("n1", "n2", "n3")
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=64000 Gres=gpu:1"
TEMPLATE = Path(__file__).with_name("slurm.conf")
PR_SET_CHILD_SUBREAPER = 36
SECONDS_TO_START = 60


def main(folder: Path, command: list[str]) -> int:
    """Start a cluster, run a command on it, and return the command's exit status."""
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # Daemons lie in sbin, which is not on the path of a plain user.
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin"
    os.environ["SLURM_CONF"] = str(write_configuration(folder))
    try:
        start_daemons(folder)
        wait_until_idle()
        return status_of(subprocess.Popen(command))
    finally:
        kill_descendants()


def adopt_orphans() -> None:
    """Become the parent of every descendant whose parent ends, as daemons do."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this kernel lets no process adopt orphans, so that none could be ended")


def write_configuration(folder: Path) -> Path:
    """Write slurm.conf, the file of its GPUs and the key of munge; return the first."""
    (folder / "state").mkdir(parents=True)
    (folder / "munge.key").write_bytes(secrets.token_bytes(1024))
    (folder / "munge.key").chmod(0o400)
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
    host, (controller_port, *node_ports) = socket.gethostname().split(".")[0], free_ports(1 + len(NODES))
    nodes = [NODE.format(name=n, host=host, port=p) for n, p in zip(NODES, node_ports, strict=True)]
    filled = Template(TEMPLATE.read_text()).substitute(
        folder=folder, host=host, user=getpass.getuser(), controller_port=controller_port, nodes="\n".join(nodes)
    )
    (folder / "slurm.conf").write_text(filled)
    return folder / "slurm.conf"


def free_ports(n: int) -> list[int]:
    """Return ports on which no process listens now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def start_daemons(folder: Path) -> None:
    """Start munged, the controller and the nodes; each goes into the background by itself."""
    places = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munged.pid", "log-file": "munged.log"}
    munge_flags = [f"--{flag}={folder / name}" for flag, name in {**places, "seed-file": "munge.seed"}.items()]
    # --force: the folder may be of a kind (group-writable, private) that munge warns of.
    subprocess.run(["munged", "--force", *munge_flags], check=True)
    subprocess.run(["slurmctld"], check=True)
    for node in NODES:
        subprocess.run(["slurmd", "-N", node], check=True)


def wait_until_idle() -> None:
    """Return when all nodes take jobs."""
    deadline = time.monotonic() + SECONDS_TO_START
    while (states := node_states()) != ["idle"] * len(NODES):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the nodes are {states}; see the logs beside {os.environ['SLURM_CONF']}")
        time.sleep(0.1)


def node_states() -> list[str]:
    """Return the state of each node; none while the controller does not answer."""
    answer = subprocess.run(["sinfo", "-h", "-N", "-p", "main", "-o", "%t"], capture_output=True, text=True)
    return answer.stdout.split()


def status_of(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process, and for orphans that end before it; return its exit status."""
    while True:
        pid, status = os.wait()
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode


def kill_descendants() -> None:
    """Kill everything that was started, until there is no child left; the state of the cluster is not needed again."""
    with suppress(ChildProcessError):
        while True:
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            os.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
