"""The guest: the only access to its files, its programs, its clock and its network.

tree.py has what only reads. A settled boot needs nothing from this module.
"""

import errno
import os
import re
import signal
import stat
from collections import namedtuple
from contextlib import contextmanager, suppress

from ..errors import GuestError
from .files import Files, is_below
from .programs import close_inherited, open_nothing, pass_over
from .tree import broken

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Callable, Iterator, List, Optional, Sequence


class Mount(namedtuple("Mount", "number device inside point kind source options")):
    """A line of /proc/self/mountinfo."""

    __slots__ = ()

    number: str  # the kernel's own for this mount
    device: str  # "8:1": major and minor number
    inside: str  # the folder of the file system that is mounted: "/" except for bind mounts
    point: str  # the mount point
    kind: str  # "ext4"
    source: str  # "/dev/sda1", or any other word
    options: str  # of the file system, separated by commas


class System(Files):
    """One guest: its files and programs, and functions that change the running machine."""

    # How the init system starts a service: init knows, and the guest asks. Set by whoever knows both.
    ask_arguments: "Optional[Callable[[System, Sequence[str], Sequence[str]], Optional[List[str]]]]" = None

    def lock(self, path: str) -> "Optional[int]":
        """Take the lock file at `path`: its descriptor, to be kept open, or None if another process has it."""
        import fcntl

        lock = self._open_lock(path)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                return None
            raise broken("lock file", path, error) from error
        return lock

    def sign_lock(self, lock: int, text: str) -> None:
        """Write who holds the lock into its file. It is only for messages, so an error is ignored."""
        with suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, text.encode("ascii"), 0)

    @contextmanager
    def lock_record(self, path: str, seconds: float) -> "Iterator[None]":
        """Hold the lock of lckpwdf(3), a POSIX lock on the file at `path`. Raises GuestError after `seconds`."""
        import fcntl

        lock, ends = self._open_lock(path), self.monotonic() + seconds
        try:
            while True:
                try:
                    fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno not in (errno.EACCES, errno.EAGAIN) or self.monotonic() >= ends:
                        raise broken("lock file", path, error) from error
                self.sleep(0.1)
            yield
        finally:
            os.close(lock)

    def _open_lock(self, path: str) -> int:
        """Open a lock file, and make it if it is missing. Raises GuestError, also for a pipe or device."""
        self.make_dirs(os.path.dirname(path))
        try:
            with self.reach(path) as place:
                with suppress(FileExistsError):
                    return place.open(os.O_RDWR | os.O_CREAT | os.O_EXCL)
                lock = place.open_regular(os.O_RDWR)
        except OSError as error:
            raise broken("lock file", path, error) from error
        if lock is None:
            raise GuestError("not a regular file", path=path)
        return lock

    def target(self, path: str) -> "Optional[os.stat_result]":
        """The target of a link in /proc such as `exe`: the kernel knows it, whatever the link's text says. None:
        gone."""
        if self.root != "/":
            return self.stat(path)
        try:
            with self.reach(path, follow=False) as place:
                return os.stat(place.name, dir_fd=place.folder)
        except OSError:
            return None

    def hang_up(self, pid: int) -> bool:
        """Send SIGHUP to a process, which then reads its files again; False if this guest is not the running
        machine."""
        if not self.live:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
        return True

    def feed_random(self, data: bytes) -> bool:
        """Mix `data` into the kernel's random pool; False if the kernel is not this guest's. Raises GuestError."""
        if self.root != "/":
            return False
        path = "/dev/urandom"
        found = self.stat(path)
        if found is None or not stat.S_ISCHR(found.st_mode):  # a chroot without devices: do not make a file there
            raise GuestError("no random device", path=path)
        try:
            with open(path, "wb", buffering=0) as device:
                device.write(data)
        except OSError as error:
            raise broken("write file", path, error) from error
        return True

    def detach(self) -> bool:
        """Continue in a child with its own session and without the caller's terminal and files; True in the child.

        The caller returns after setsid: an init system may kill what is still in the caller's session.
        """
        before = signal.signal(signal.SIGHUP, pass_over)  # the caller's terminal may close before setsid
        gone, leaving = os.pipe()
        if os.fork():
            os.close(leaving)
            os.read(gone, 1)  # its end
            os.close(gone)
            signal.signal(signal.SIGHUP, before)
            return False
        os.setsid()
        os.close(gone)
        os.close(leaving)
        nothing = open_nothing()
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        if nothing > 2:
            os.close(nothing)
        close_inherited()
        return True

    def power_off(self) -> None:
        """Switch the running machine off at once, so that no service writes again what was removed.

        Before that the disks are synced and remounted read-only, with the kernel's SysRq keys (its
        admin-guide/sysrq.rst). Raises GuestError.
        """
        if not self.live or not has_first_pids():
            raise GuestError("only the running machine can be powered off")
        os.sync()
        with suppress(OSError):
            for key, seconds in (("u", 2.0), ("o", 10.0)):  # each write returns before the action is complete
                with open("/proc/sysrq-trigger", "w") as trigger:
                    trigger.write(key)
                self.sleep(seconds)
        self.run(["poweroff", "-f"])

    def boot_id(self) -> str:
        """The kernel's random id of this boot; empty if there is none."""
        return (self.read_text("/proc/sys/kernel/random/boot_id") or "").strip()

    def sync(self) -> None:
        """Wait until everything that we and our tools wrote is on the disk."""
        if self.live:
            os.sync()

    def volatile(self, path: str) -> str:
        """The kind of file system under `path` if it is lost at reboot ("tmpfs"); empty if not, or unknown.

        An image may be built on a tmpfs, so this only applies to the running system.
        """
        if self.root != "/":
            return ""
        place = self.path(path)
        above = [mount for mount in self.mounts() if is_below(place, mount.point)]
        if not above:
            return ""
        found = max(above, key=lambda mount: len(mount.point))
        if found.kind == "overlay":  # lasts as long as its upper layer: in Yocto's read-only images that is a tmpfs
            upper = [word[len("upperdir=") :] for word in found.options.split(",") if word.startswith("upperdir=")]
            return self.volatile(upper[0]) if upper and upper[0] != path else ""
        return found.kind if found.kind in ("tmpfs", "ramfs") else ""

    def mounts(self) -> "List[Mount]":
        """The mounts in the kernel's order: of two at one mount point, the later hides the earlier."""
        found = []
        for line in (self.read_text("/proc/self/mountinfo") or "").split("\n"):
            left, _, right = line.partition(" - ")
            words, ends = left.split(" "), right.split(" ")
            if len(words) >= 6 and len(ends) >= 3:
                inside, point = plain(words[3]), plain(words[4])
                found.append(Mount(words[0], words[2], inside, point, ends[0], plain(ends[1]), ends[2]))
        return found

    def hostname(self) -> str:
        """The name of the running kernel."""
        return os.uname().nodename

    def set_hostname(self, name: str) -> bool:
        """Set the name of the running kernel; False if the kernel is not this guest's. Raises GuestError.

        A chroot on another machine must never rename that machine, but one with its own UTS namespace may be renamed.
        """
        import socket

        if not self.live and not (self.root == "/" and has_own_uts()):
            return False
        try:
            socket.sethostname(name)
        except OSError as error:
            raise GuestError("the running hostname cannot be set", name=name, error=error.strerror) from error
        return True

    def connect(self, host: str, port: int, seconds: float) -> "socket.socket":
        """A TCP connection, made within `seconds`; raises OSError. No other code sends packets."""
        import socket

        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.settimeout(seconds)
            connection.connect((host, port))
        except OSError:
            connection.close()
            raise
        return connection


def plain(word: str) -> str:
    """A word of /proc/self/mountinfo, in which blanks and backslashes are octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), word)


def has_first_pids() -> bool:
    """Is this the initial process namespace, not a container (include/linux/proc_ns.h)?"""
    try:
        return os.readlink("/proc/self/ns/pid") == "pid:[%d]" % 0xEFFFFFFC
    except OSError:
        return False


def has_own_uts() -> bool:
    """Is this another hostname namespace than the initial one (include/linux/proc_ns.h)?"""
    try:
        return os.readlink("/proc/self/ns/uts") != "uts:[%d]" % 0xEFFFFFFE
    except OSError:
        return False
