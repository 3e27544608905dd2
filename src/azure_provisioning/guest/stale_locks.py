"""What an interrupted account tool left in /etc: locks, and half-written files that make busybox wait for ever.

A name alone proves nothing: people keep backups such as `/etc/passwd.20240101`. A file is removed only if its owner,
its type and its content are what a tool would have left. Anything else stays, and blocks nobody.
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
# Half-written files, and what they were to become: the shadow suite and busybox write `+`, PAM the others.
DRAFTS = dict([(path + "+", path) for path in FILES] + [("/etc/npasswd", PASSWD), ("/etc/nshadow", SHADOW)])
# The shadow suite's own files, which it links to the locks.
CLAIM = re.compile(r"(?:passwd|group|shadow|gshadow|subuid|subgid)\.([1-9][0-9]*)\Z")
PIDS = 1 << 22  # the most that a kernel has; a date, such as 20240101, is none
NUMBER_BYTES = 16  # of a lock: a pid, and perhaps a zero byte or newline
WAIT_SECONDS = 30.0
WRITE_SECONDS = 2.0  # after this time a half-written file that no process has open is stale
EMPTY_SECONDS = 60.0  # after this time a lock without a pid is stale


def clear_leftovers(system: System) -> None:
    """Remove stale files, and wait for those that may be in use. Raises GuestError if they stay."""
    ends = system.monotonic() + WAIT_SECONDS
    wake_holders(system, LOCK)  # the tools wait for this lock themselves
    for path in LOCKS + tuple(DRAFTS):
        while is_there(system, path):
            if system.monotonic() >= ends:
                raise GuestError("the accounts are locked", path=path, seconds=int(WAIT_SECONDS))
            system.sleep(0.5)
    for name in system.list("/etc"):
        claim = CLAIM.match(name)
        if claim and is_claim_of(system, "/etc/" + name, claim.group(1)) and is_gone(system, claim.group(1)):
            system.unlink("/etc/" + name)


def is_claim_of(system: System, path: str, pid: str) -> bool:
    """Is it what the shadow suite makes for a lock? Empty if its process ended before it wrote the number there."""
    owner, found = owner_of(system, path), system.stat(path, follow=False)
    private = found is not None and stat.S_IMODE(found.st_mode) == 0o600
    return owner == pid or (owner == "" and private and int(pid) <= PIDS)


def is_there(system: System, path: str) -> bool:
    """Is a tool working with the file at `path`? A stale file is removed, and a suspended tool is resumed."""
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
    """Was it written before this boot, or before the clock was set back?"""
    now, uptime = system.time(), read_uptime(system)
    return found.st_mtime > now + EMPTY_SECONDS or (uptime is not None and found.st_mtime < now - uptime)


def owner_of(system: System, path: str) -> "Optional[str]":
    """The pid of the process that made a lock: empty if it was not written yet; None if this is not a lock.

    The shadow suite writes the pid and a zero byte to a file that only root can use, then links that file to the lock.
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
    """Is it a regular file that belongs to the owner of /etc?"""
    folder = system.stat("/etc")
    return stat.S_ISREG(found.st_mode) and folder is not None and found.st_uid == folder.st_uid


def is_draft(system: System, path: str, found: "os.stat_result") -> bool:
    """Does it have at most one line that the real file lacks? A tool changes one at a time; a backup may have more."""
    if not is_plain(system, found) or found.st_nlink > 1:
        return False
    try:
        lines = (system.read(path) or b"").split(b"\n")
        known = (system.read(DRAFTS[path]) or b"").split(b"\n")
    except GuestError:
        return False
    return len(set(lines) - set(known) - {b""}) <= 1


def is_in_use(system: System, path: str, found: "os.stat_result") -> bool:
    """Is it new, or open in a process? Such a process is resumed. Without /proc, it counts as in use."""
    pids = [name for name in system.list("/proc") if is_digits(name)]
    users = [pid for pid in pids if acts_as_root(system, int(pid)) and has_open(system, pid, path)]
    for pid in users:
        wake(system, pid)
    return bool(users) or not pids or found.st_mtime >= system.time() - WRITE_SECONDS
