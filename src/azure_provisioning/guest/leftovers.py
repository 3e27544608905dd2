"""What an interrupted account tool left in /etc: locks, and half-written files that busybox would wait for for ever."""

import re

from ..errors import GuestError
from ..system import System
from .accounts import GROUP, GSHADOW, PASSWD, SHADOW, SUBGID, SUBUID

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Optional

FILES = (PASSWD, GROUP, SHADOW, GSHADOW, SUBUID, SUBGID)
PATHS = tuple(path + ending for ending in (".lock", "+") for path in FILES) + ("/etc/npasswd", "/etc/nshadow")  # PAM's
CLAIM = re.compile(r"(?:passwd|group|shadow|gshadow|subuid|subgid)\.([0-9]+)\Z")  # by which the shadow suite locks
WAIT_SECONDS = 30.0
WRITE_SECONDS = 2.0  # a half-written file that nobody has open is given its place by then
EMPTY_SECONDS = 60.0  # a lock that never got its owner's number


def clear_leftovers(system: System) -> None:
    """Remove the stale ones, and wait for those that may be in use. Raises GuestError if they stay."""
    ends = system.monotonic() + WAIT_SECONDS
    for path in PATHS:
        while True:
            found = system.stat(path, follow=False)
            if found is None:
                break
            if is_stale(system, path, found):
                system.unlink(path)
                break
            if system.monotonic() >= ends:
                raise GuestError("the accounts are locked", path=path, seconds=int(WAIT_SECONDS))
            system.sleep(0.5)
    for name in system.list("/etc"):
        claim = CLAIM.match(name)
        if claim and is_gone(system, claim.group(1)):
            system.unlink("/etc/" + name)


def is_stale(system: System, path: str, found: "os.stat_result") -> bool:
    """Can nobody be at work on it: from before this boot, empty for a minute, or of a process that is gone?"""
    now, uptime = system.time(), uptime_of(system)
    if found.st_mtime > now + EMPTY_SECONDS:
        return True  # from a time when the clock was another
    if uptime is not None and found.st_mtime < now - uptime:
        return True
    if found.st_size == 0 and found.st_mtime < now - EMPTY_SECONDS:
        return True
    if not path.endswith(".lock"):
        return found.st_mtime < now - WRITE_SECONDS and is_abandoned(system, path)
    try:
        pid = (system.read(path, limit=64, head=True) or b"").strip(b"\0\n ").decode("ascii", "replace")
    except GuestError:
        return False
    return is_gone(system, pid)


def is_gone(system: System, pid: str) -> bool:
    """Is there no process of this number any more? Without /proc, nobody knows."""
    return pid.isdigit() and system.exists("/proc/1") and not system.exists("/proc/" + pid)


def is_abandoned(system: System, path: str) -> bool:
    """Does no process have this file open? Without /proc, nobody knows."""
    pids = [name for name in system.list("/proc") if name.isdigit()]
    for pid in pids:
        folder = "/proc/%s/fd" % pid
        try:
            if any(system.readlink(folder + "/" + name) == path for name in system.list(folder)):
                return False
        except (GuestError, OSError):
            continue  # it has ended
    return bool(pids)


def uptime_of(system: System) -> "Optional[float]":
    """Seconds since the kernel began; None where it does not say."""
    words = (system.read_text("/proc/uptime") or "").split()
    try:
        return float(words[0]) if words else None
    except ValueError:
        return None
