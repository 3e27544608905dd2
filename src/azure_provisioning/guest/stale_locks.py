"""What an interrupted account tool left in /etc: locks, and half-written files that busybox would wait for for ever.

A name alone proves nothing: people keep backups such as `/etc/passwd.20240101`. What is removed is by its owner, its
kind and its content what a tool would have left; anything else stays, and holds up nobody.
"""

import re
import stat

from ..door.system import System
from ..door.text import is_digits, read_uptime
from ..errors import GuestError
from .accounts import GROUP, GSHADOW, LOCK, PASSWD, SHADOW, SUBGID, SUBUID
from .holders import has_open, is_gone, wake, wake_holders
from .processes import acts_as_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Optional

FILES = (PASSWD, GROUP, SHADOW, GSHADOW, SUBUID, SUBGID)
LOCKS = tuple(path + ".lock" for path in FILES)
# Half-written files by what they were to become: `+` is the shadow suite's and busybox's, the others are PAM's.
DRAFTS = dict([(path + "+", path) for path in FILES] + [("/etc/npasswd", PASSWD), ("/etc/nshadow", SHADOW)])
CLAIM = re.compile(r"(?:passwd|group|shadow|gshadow|subuid|subgid)\.([0-9]+)\Z")  # by which the shadow suite locks
NUMBER_BYTES = 16  # of a lock: a process's number, and perhaps a zero byte or newline
WAIT_SECONDS = 30.0
WRITE_SECONDS = 2.0  # a half-written file that nobody has open is given its place by then
EMPTY_SECONDS = 60.0  # a lock that never got its owner's number


def clear_leftovers(system: System) -> None:
    """Remove the stale ones, and wait for those that may be in use. Raises GuestError if they stay."""
    ends = system.monotonic() + WAIT_SECONDS
    wake_holders(system, LOCK)  # which the tools wait for on their own
    for path in LOCKS + tuple(DRAFTS):
        while is_there(system, path):
            if system.monotonic() >= ends:
                raise GuestError("the accounts are locked", path=path, seconds=int(WAIT_SECONDS))
            system.sleep(0.5)
    for name in system.list("/etc"):
        claim = CLAIM.match(name)
        if claim and owner_of(system, "/etc/" + name) == claim.group(1) and is_gone(system, claim.group(1)):
            system.unlink("/etc/" + name)


def is_there(system: System, path: str) -> bool:
    """Is a tool at work on the file at `path`? A stale one is removed, and a tool that is stopped goes on."""
    found = system.stat(path, follow=False)
    if found is None:
        return False
    if path in DRAFTS:
        if not is_from_before(system, found) and is_in_use(system, path, found):
            return True
        if is_draft(system, path, found):
            system.unlink(path)
        return False
    pid = owner_of(system, path)
    if is_from_before(system, found) or (not pid and found.st_mtime < system.time() - EMPTY_SECONDS):
        if pid is not None:
            system.unlink(path)
        return False
    if pid and is_gone(system, pid):
        system.unlink(path)
        return False
    if pid:
        wake(system, pid)
    return True


def is_from_before(system: System, found: "os.stat_result") -> bool:
    """Was it written before this boot, or when the clock was another?"""
    now, uptime = system.time(), read_uptime(system)
    return found.st_mtime > now + EMPTY_SECONDS or (uptime is not None and found.st_mtime < now - uptime)


def owner_of(system: System, path: str) -> "Optional[str]":
    """The number of the process that made a lock: empty if it got no further; None if this is no lock.

    The shadow suite writes it with a zero byte into a file of its own, root's alone, then links that to the lock.
    """
    found = system.stat(path, follow=False)
    if found is None or not is_plain(system, found) or found.st_nlink > 2 or found.st_size > NUMBER_BYTES:
        return None
    try:
        text = (system.read(path, limit=NUMBER_BYTES) or b"").strip(b"\0\n ").decode("ascii", "replace")
    except GuestError:
        return None
    return text if not text or re.match(r"[1-9][0-9]{0,9}\Z", text) else None


def is_plain(system: System, found: "os.stat_result") -> bool:
    """Is it a regular file of whoever owns /etc?"""
    folder = system.stat("/etc")
    return stat.S_ISREG(found.st_mode) and folder is not None and found.st_uid == folder.st_uid


def is_draft(system: System, path: str, found: "os.stat_result") -> bool:
    """Has it at most one line that the real file lacks? A tool changes one at a time; a backup may have more."""
    if not is_plain(system, found) or found.st_nlink > 1:
        return False
    try:
        lines = (system.read(path) or b"").split(b"\n")
        known = (system.read(DRAFTS[path]) or b"").split(b"\n")
    except GuestError:
        return False
    return len(set(lines) - set(known) - {b""}) <= 1


def is_in_use(system: System, path: str, found: "os.stat_result") -> bool:
    """Is it new, or does a process have it open, which is woken? Without /proc, nobody knows."""
    pids = [name for name in system.list("/proc") if is_digits(name)]
    users = [pid for pid in pids if acts_as_root(system, int(pid)) and has_open(system, pid, path)]
    for pid in users:
        wake(system, pid)
    return bool(users) or not pids or found.st_mtime >= system.time() - WRITE_SECONDS
