"""Which of the image's own programs run as root.

Any user can give a process any name and arguments, and can make its folder in /proc belong to root. The kernel sets its
user ids and the file that it executes: a process counts only if both are right.
"""

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..door.system import System
from ..door.text import is_digits
from ..door.tree import SEARCH
from ..errors import GuestError

# Includes folders for programs that no shell looks for.
FOLDERS = SEARCH + ("/usr/lib/systemd", "/lib/systemd", "/run/current-system/systemd/lib/systemd")
MANY = ("busybox", "dropbearmulti")  # several programs in one file: the arguments select one
ACCOUNTS = {"systemd-networkd": "systemd-network"}  # the daemons that do not run as root
OTHERS_MAY_WRITE = 0o022
UIDS = re.compile(r"(?m)^Uid:((?:\t\d+){4})$")  # real, effective, saved, file system
PARENT = re.compile(r"(?m)^PPid:\t(\d+)$")

Files = Dict[Tuple[int, int], str]  # (device, inode) of a program: its name, or "" for a file that holds several


class Process(NamedTuple):
    """A running process; an applet has its own name, not that of busybox."""

    pid: int
    parent: int
    name: str
    argv: List[str]


def processes(system: System, *names: str) -> "Iterator[Process]":
    """The processes that execute the image's own program of one of these names, as root or as the daemon's account."""
    files = find_files(system, names)
    for pid in system.list("/proc") if files else ():
        process = look(system, int(pid), files, names) if is_digits(pid) else None
        if process is not None:
            yield process


def find_process(system: System, pid: int, *names: str) -> "Optional[Process]":
    """The process with this pid, if it is one of those."""
    return look(system, pid, find_files(system, names), names)


def hang_up(system: System, process: Process) -> bool:
    """Send SIGHUP if the pid still belongs to the same process; True if it was sent."""
    return find_process(system, process.pid, process.name) == process and system.hang_up(process.pid)


def find_files(system: System, names: "Sequence[str]") -> Files:
    """The programs of these names that belong to root, and the files that hold several programs."""
    found: Files = {}
    for name in [*names, *MANY]:
        for path in (folder + "/" + name for folder in FOLDERS):
            what = system.stat(path)
            if what is not None and system.is_program(path) and is_roots_own(system, path):
                key = (what.st_dev, what.st_ino)
                single = name not in MANY and system.chain(path)[-1].endswith("/" + name)
                found[key] = name if single and found.get(key, name) == name else ""
    return found


def is_roots_own(system: System, path: str) -> bool:
    """Does `path` belong to root, or to the owner of the whole scratch tree, and can nobody else write to it?"""
    root, what = system.stat("/"), system.stat(path)
    return bool(root and what and what.st_uid in (0, root.st_uid) and not what.st_mode & OTHERS_MAY_WRITE)


def look(system: System, pid: int, files: Files, names: "Sequence[str]") -> "Optional[Process]":
    """The process with this pid, if it executes one of these files under one of these names as the right user."""
    executed = system.target("/proc/%d/exe" % pid)
    name = files.get((executed.st_dev, executed.st_ino)) if executed is not None else None
    if name is None:
        return None
    try:
        status = system.read_text("/proc/%d/status" % pid) or ""
        cmdline = system.read_text("/proc/%d/cmdline" % pid) or ""
    except GuestError:
        return None  # it has ended
    argv = cmdline[: -1 if cmdline.endswith("\0") else None].split("\0")  # each word ends with a zero byte
    words = [word.rpartition("/")[2] for word in argv[:2]]  # `udhcpc -i eth0`, `busybox udhcpc -i eth0`
    name = name or next((word for word in words if word in names), None)
    uids, parent = UIDS.search(status), PARENT.search(status)
    if not (name and uids and parent) or set(map(int, uids.group(1).split())) not in allowed(system, name):
        return None
    return Process(pid, int(parent.group(1)), name, argv)


def allowed(system: System, name: str) -> "List[set[int]]":
    """The user ids that this daemon may have, all four the same."""
    from .accounts import find_account  # accounts imports this module

    account = find_account(system, ACCOUNTS[name]) if name in ACCOUNTS else None
    return [{0}] + ([{account.uid}] if account else [])


def acts_as_root(system: System, pid: int) -> bool:
    """Does this process have root's rights? A passwd that any user started has them too."""
    try:
        uids = UIDS.search(system.read_text("/proc/%d/status" % pid) or "")
    except GuestError:
        return False  # it has ended
    return uids is not None and uids.group(1).split()[1] == "0"
