"""Who holds the accounts' locks. A user who suspends a running `passwd` would block everybody, so it is resumed."""

import os
import re
import signal
import stat
from contextlib import suppress

from ..door.system import System
from ..door.tree import SEARCH
from ..errors import GuestError
from .processes import acts_as_root

RECORDS = "/proc/locks"
WRITER = re.compile(r"(?m)^[0-9]+: POSIX +\S+ +WRITE +([1-9][0-9]*) ")


def wake_holders(system: System, path: str) -> bool:
    """Resume the suspended processes that hold the POSIX lock on the file at `path`; True if there was one."""
    try:
        pids = sorted(set(WRITER.findall(system.read_text(RECORDS) or "")))
    except GuestError:
        return False
    woken = [wake(system, pid) for pid in pids if has_open(system, pid, path)]
    return any(woken)


def wake(system: System, pid: str) -> bool:
    """Resume this process if it is a suspended program of root's; True if it was.

    Nothing else is ever done to it: a setuid program may be in the middle of changing root's files.
    """
    try:
        if not is_stopped(system, pid) or not acts_as_root(system, int(pid)) or not is_roots(system, pid):
            return False
    except GuestError:
        return False  # it has ended
    if system.live:
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGCONT)
    return True


def is_stopped(system: System, pid: str) -> bool:
    """Was it stopped by a signal, not by a debugger?"""
    return "\nState:\tT " in (system.read_text("/proc/%s/status" % pid) or "")


def is_roots(system: System, pid: str) -> bool:
    """Does it run a program that only root can write, from one of the usual folders?"""
    program = system.readlink("/proc/%s/exe" % pid) or ""
    found = system.stat(program) if os.path.dirname(program) in SEARCH else None
    return found is not None and stat.S_ISREG(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022


def has_open(system: System, pid: str, path: str) -> bool:
    """Does the process have this file open? Compares names, because btrfs and overlayfs have two device numbers."""
    try:
        folder = "/proc/%s/fd" % pid
        return any(system.readlink(folder + "/" + name) == path for name in system.list(folder))
    except (GuestError, OSError):
        return False  # it has ended


def is_gone(system: System, pid: str) -> bool:
    """Has the tool with this pid ended? Another user may have the pid by now. Unknown, so False, without /proc."""
    return system.exists("/proc/1") and not acts_as_root(system, int(pid))
