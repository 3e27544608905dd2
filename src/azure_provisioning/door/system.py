"""The guest: the only door to its files, its programs, its clock and its network.

What only looks is in tree.py. Nothing here is needed by the boot of a VM that is Ready.
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
    inside: str  # which folder of the file system is mounted: "/" but for bind mounts
    point: str  # where
    kind: str  # "ext4"
    source: str  # "/dev/sda1", or any other word
    options: str  # of the file system, separated by commas


class System(Files):
    """One guest: its files and programs, and of the running machine what changes it."""

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
        """Write into the file of a lock that this process holds who it is: only for a message, so no failure counts."""
        with suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, text.encode("ascii"), 0)

    @contextmanager
    def lock_record(self, path: str, seconds: float) -> "Iterator[None]":
        """Hold the lock that lckpwdf(3) takes: a POSIX one on the file at `path`. Raises GuestError after `seconds`."""
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
        """Open a lock file, made if need be. Raises GuestError, also for a pipe or device that an image has there."""
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
        """What a link of /proc, such as an `exe`, leads to: the kernel knows, its text may say anything. None: gone."""
        if self.root != "/":
            return self.stat(path)
        try:
            with self.reach(path, follow=False) as place:
                return os.stat(place.name, dir_fd=place.folder)
        except OSError:
            return None

    def hang_up(self, pid: int) -> bool:
        """Tell a process of the running machine to read its files again (SIGHUP); False if it is not this guest's."""
        if not self.live:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
        return True

    def feed_random(self, data: bytes) -> bool:
        """Mix `data` into the kernel's random numbers; False if the kernel is not this guest's. Raises GuestError."""
        if self.root != "/":
            return False
        path = "/dev/urandom"
        found = self.stat(path)
        if found is None or not stat.S_ISCHR(found.st_mode):  # a chroot without devices: never make a file of it
            raise GuestError("no random device", path=path)
        try:
            with open(path, "wb", buffering=0) as device:
                device.write(data)
        except OSError as error:
            raise broken("write file", path, error) from error
        return True

    def detach(self) -> bool:
        """Go on in a child with a session of its own and no terminal, pipe or file of the caller; True in the child."""
        before = signal.signal(signal.SIGHUP, pass_over)  # the caller's terminal may go before the child has left it
        if os.fork():
            signal.signal(signal.SIGHUP, before)
            return False
        os.setsid()
        nothing = open_nothing()
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        if nothing > 2:
            os.close(nothing)
        close_inherited()
        return True

    def power_off(self) -> None:
        """Switch the running machine off at once: no service ends, and writes anew what is to be gone.

        The disks are written and read-only by then, by the kernel's own keys (its admin-guide/sysrq.rst). Raises
        GuestError.
        """
        if not self.live or not has_first_pids():
            raise GuestError("only the running machine can be powered off")
        os.sync()
        with suppress(OSError):
            for key, seconds in (("u", 2.0), ("o", 10.0)):  # each returns before it is done
                with open("/proc/sysrq-trigger", "w") as trigger:
                    trigger.write(key)
                self.sleep(seconds)
        self.run(["poweroff", "-f"])

    def boot_id(self) -> str:
        """What tells one boot of this machine from another; empty where the kernel does not say."""
        return (self.read_text("/proc/sys/kernel/random/boot_id") or "").strip()

    def sync(self) -> None:
        """Have the disk take everything that was written, by our tools too."""
        if self.live:
            os.sync()

    def volatile(self, path: str) -> str:
        """The kind of file system under `path` if a reboot forgets it ("tmpfs"); empty if it lasts, or nobody knows.

        An image may well be built on one that forgets: only the running system is asked.
        """
        if self.root != "/":
            return ""
        place = self.path(path)
        above = [mount for mount in self.mounts() if is_below(place, mount.point)]
        if not above:
            return ""
        found = max(above, key=lambda mount: len(mount.point))
        if found.kind == "overlay":  # as lasting as its upper layer: Yocto's read-only images have theirs on a tmpfs
            upper = [word[len("upperdir=") :] for word in found.options.split(",") if word.startswith("upperdir=")]
            return self.volatile(upper[0]) if upper and upper[0] != path else ""
        return found.kind if found.kind in ("tmpfs", "ramfs") else ""

    def mounts(self) -> "List[Mount]":
        """What is mounted, in the kernel's order: of two at one point, the later hides the earlier."""
        found = []
        for line in (self.read_text("/proc/self/mountinfo") or "").split("\n"):
            left, _, right = line.partition(" - ")
            words, ends = left.split(" "), right.split(" ")
            if len(words) >= 6 and len(ends) >= 3:
                inside, point = plain(words[3]), plain(words[4])
                found.append(Mount(words[0], words[2], inside, point, ends[0], plain(ends[1]), ends[2]))
        return found

    def hostname(self) -> str:
        """The name that the running kernel has."""
        return os.uname().nodename

    def set_hostname(self, name: str) -> bool:
        """Give the running kernel a name; False if the kernel is not this guest's. Raises GuestError.

        A chroot on another machine must never rename that machine, but one with a UTS namespace of its own may.
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
        """A TCP connection, made within `seconds`; raises OSError. The one place where packets leave from."""
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
    """Is this the process namespace that the kernel began with, and no container (include/linux/proc_ns.h)?"""
    try:
        return os.readlink("/proc/self/ns/pid") == "pid:[%d]" % 0xEFFFFFFC
    except OSError:
        return False


def has_own_uts() -> bool:
    """Is this another hostname namespace than the one that the kernel began with (include/linux/proc_ns.h)?"""
    try:
        return os.readlink("/proc/self/ns/uts") != "uts:[%d]" % 0xEFFFFFFE
    except OSError:
        return False
