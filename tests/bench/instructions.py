"""The instructions of a boot, counted by callgrind on this machine: a figure that does not depend on its load.

The count is for the Python that runs this. Two builds of one version differ by a third if only one was built with
profiling, as Debian's is. Compare figures of one Python.

No VM is needed. The boots run in their own namespaces of mounts, network, names and processes, chrooted into a small
tree with this machine's /usr. They ask an Azure at Azure's own addresses on the namespace's loopback. Needs root, and
Debian's `valgrind` and `iproute2`.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from http.server import HTTPServer
from pathlib import Path
from typing import Dict, List, Sequence

from azure_provisioning.azure.identity import AZURE_ASSET_TAG, DMI
from azure_provisioning.image.rehearse.fake_azure import VM_ID, FakeAzure, Handler, Platform
from tests import TOP

from .peers import LEAST

PYTHON = os.path.realpath(sys.executable)
NEEDED = {"valgrind": "valgrind", "unshare": "util-linux", "mount": "util-linux", "ip": "iproute2"}
ADDRESSES = ("168.63.129.16", "169.254.169.254")
SPACES = ("--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--propagation", "private")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")  # of this machine
COUNTER = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=yes")
PREFIX = "/opt"
RUN = (PYTHON, "-I", "-S", PREFIX + "/sbin/azure-provisioning", "run")
FILES = {
    DMI + "/chassis_asset_tag": AZURE_ASSET_TAG + "\n",
    DMI + "/product_uuid": VM_ID + "\n",
    "/etc/hostname": "image\n",
    "/etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\timage\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/group": "root:x:0:\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\n",
}
BARE, ORIGIN, SOURCE, COMPILED = (
    "bare interpreter",
    "origin's script",
    "first boot, from source",
    "first boot, compiled",
)
SETTLED_SOURCE, SETTLED = "settled boot, from source", "settled boot, compiled"
GOALS = {SOURCE: 450, COMPILED: 170, SETTLED: 60}  # millions, of a Python 3.11 that was built without profiling


def missing() -> List[str]:
    """What is missing on this machine, one on each line."""
    lines = [] if os.geteuid() == 0 else ["root is needed (namespaces): run it with sudo"]
    packages = sorted({package for tool, package in NEEDED.items() if shutil.which(tool) is None})
    if packages:
        lines.append("Debian packages are missing: apt-get install --no-install-recommends " + " ".join(packages))
    return lines


def measure(program: Path) -> Dict[str, int]:
    """The instructions of each boot, and of the programs compared with it."""
    with tempfile.TemporaryDirectory(prefix="azure-provisioning-bench-") as scratch:
        argv = ["unshare", *SPACES, sys.executable, "-m", "tests.bench.instructions", scratch, str(program)]
        done = subprocess.run(argv, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    found: Dict[str, int] = json.loads(done.stdout.decode("ascii"))
    return found


def show(found: Dict[str, int]) -> None:
    """A row for each, in millions, with the project's own goal."""
    print("\n%-28s%16s%10s" % ("instructions, millions", "Python " + sys.version.split()[0], "goal"))
    for name, count in found.items():
        print("%-28s%16.1f%10s" % (name, count / 1e6, GOALS.get(name, "")))


# -- inside the room --------------------------------------------------------------------------------------------------


class RoomAzure(FakeAzure):
    """The Azure of the rehearsal, at Azure's addresses."""

    def __init__(self) -> None:
        Platform.__init__(self)
        HTTPServer.__init__(self, ("0.0.0.0", 80), Handler)


class Room:
    """A machine that runs only the counted programs."""

    def __init__(self, scratch: str, program: str) -> None:
        if [name for _, name in socket.if_nameindex()] != ["lo"]:
            raise SystemExit("this is not a network of our own")
        for address in ADDRESSES:
            must("ip", "address", "add", address + "/32", "dev", "lo")
        must("ip", "link", "set", "lo", "up")
        must("mount", "-t", "tmpfs", "none", scratch)
        self.root, self.program = scratch, program
        for path in SYSTEM + (() if sys.prefix.startswith("/usr") else (os.path.realpath(sys.prefix),)):
            self.borrow(path)
        for folder in ("dev", "proc", "run", "tmp", "var/lib"):
            os.makedirs(os.path.join(scratch, folder))
        must("mount", "-t", "proc", "proc", scratch + "/proc")
        for device in ("null", "urandom"):
            open(scratch + "/dev/" + device, "w").close()
            must("mount", "--bind", "/dev/" + device, scratch + "/dev/" + device)
        shutil.copy(program, scratch + "/program")
        shutil.copy(str(Path(__file__).parent / "origin.py"), scratch + "/origin.py")

    def borrow(self, path: str) -> None:
        """Make a file of this machine readable at the same path."""
        place = self.root + path
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.islink(path):
            os.symlink(os.readlink(path), place)
        elif os.path.isdir(path):
            os.makedirs(place)
            must("mount", "--rbind", path, place)
            must("mount", "-o", "remount,bind,ro", place)
        elif os.path.exists(path):
            shutil.copy(path, place)

    def fresh(self, shell: str = "") -> None:
        """The original image with the program installed. `shell` then runs on it."""
        socket.sethostname("image")
        shutil.rmtree(self.root + "/var/lib/azure-provisioning", ignore_errors=True)
        for path, text in FILES.items():
            os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
            with open(self.root + path, "w") as file:
                file.write(text)
        install = [PYTHON, "-I", "/program", "install", "--init", "systemd", "--prefix", PREFIX]
        self.run(install)
        self.run(["/bin/sh", "-e", "-c", shell])

    def run(self, argv: Sequence[str]) -> str:
        """Run a program in the namespaces; returns its output. It must succeed."""
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=self.enter,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        )
        printed = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            raise SystemExit("%s: exit code %d: %s" % (" ".join(argv), done.returncode, printed))
        return printed

    def enter(self) -> None:
        """Enter the namespaces."""
        os.chroot(self.root)
        os.chdir("/")

    def count(self, *argv: str) -> int:
        """The instructions of a program and of everything that it starts."""
        output = self.run([*COUNTER, *argv])
        counts = [int(number) for number in re.findall(r"^==\d+== Collected : (\d+)$", output, re.M)]
        if not counts:
            raise SystemExit("callgrind did not tell: %s" % output)
        return sum(counts)


def work(scratch: str, program: str) -> Dict[str, int]:
    """Count all of them."""
    room, found = Room(scratch, program), {}
    least, uncompiled = LEAST, LEAST + "; rm /var/lib/azure-provisioning/boot-*"
    with RoomAzure() as azure:
        found[BARE] = room.count(PYTHON, "-I", "-S", "-c", "pass")
        found[ORIGIN] = room.count(PYTHON, "/origin.py")
        for shell, first, later in ((uncompiled, SOURCE, SETTLED_SOURCE), (least, COMPILED, SETTLED)):
            room.fresh(shell)
            del azure.reports[:]
            found[first] = room.count(*RUN)
            with open(room.root + "/etc/hostname") as file:
                name = file.read().strip()
            if len(azure.reports) != 1 or name != "rehearsal" or os.uname().nodename != name:
                raise SystemExit("%s: %d reports, and the name is %s" % (first, len(azure.reports), name))
            found[later] = room.count(*RUN)
    return found


def must(*argv: str) -> None:
    """Run a program of this machine, which must succeed."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit("%s failed: %s" % (" ".join(argv), done.stdout.decode("utf-8", "replace")))


if __name__ == "__main__":
    print(json.dumps(work(*sys.argv[1:])))
