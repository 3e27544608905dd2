"""The guest: the only door to its files, its commands, its clock and its network.

What only looks is in tree.py. Nothing here is needed by the boot of a VM that is Ready.
"""

import errno
import os
import re
import select
import signal
import stat
import subprocess
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import (
    TYPE_CHECKING,
    BinaryIO,
    Callable,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
    cast,
)

from ..errors import GuestError
from .tree import ABSENT, FILE_LIMIT, ROOT, SEARCH, Place, Tree, broken

if TYPE_CHECKING:
    import socket


CHUNK = 64 << 10  # bytes that are read at once: what a pipe holds
LOCK_SECONDS = 10.0  # for another program to let go of a file
ACLS = ("system.posix_acl_access", "system.posix_acl_default")
RIGHTS = (*ACLS, "security.capability")
UNSUPPORTED = (errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES)  # what a file system without attributes says
REAP_SECONDS = 5.0  # for a killed program to end


class Mount(NamedTuple):
    """A line of /proc/self/mountinfo."""

    number: str  # the kernel's own for this mount
    device: str  # "8:1": major and minor number
    inside: str  # which folder of the file system is mounted: "/" but for bind mounts
    point: str  # where
    kind: str  # "ext4"
    source: str  # "/dev/sda1", or any other word
    options: str  # of the file system, separated by commas


class BusyError(Exception):
    """Something is mounted on the file that was to be replaced; it can only be written in place."""


class System(Tree):
    """One guest, to be changed. Every method that writes is atomic, fsynced, and does no harm when it is repeated."""

    def __init__(self, root: str = "/") -> None:
        super().__init__(root)
        self.touched: "List[str]" = []  # what was changed, in order, as the guest names it
        self.made: "List[str]" = []  # the folders that were made, outermost first
        self._undo: "Optional[List[Callable[[], None]]]" = None
        self.in_place = self.root == "/"  # may a file that something is mounted on be written in place?
        self.one_mount = False  # is what is mounted somewhere below the root left as it is?
        self.spared: "Tuple[str, ...]" = ()  # folders in which nothing is changed

    # -- changes --------------------------------------------------------------------------------------------------

    def write(
        self,
        path: str,
        data: Union[bytes, str],
        mode: Optional[int] = None,
        owner: Optional[Tuple[int, int]] = None,
    ) -> bool:
        """Put `data` at `path`, whole or not at all; True if that changed anything.

        Mode, owner and extended attributes of a file that is replaced stay, but `mode` wins; a new file gets `mode` or
        0644. Missing folders are made. A file that cannot be replaced because something is mounted on it is written in
        place, but never in an image: there it is a file of the machine that the image is mounted on. A file with an
        `owner` is wholly ours (see `_write_own`). Raises GuestError.
        """
        content = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
        if owner is not None:
            return self._write_own(path, content, 0o644 if mode is None else mode, owner)
        old = self.stat(path)
        if old is not None and not stat.S_ISREG(old.st_mode):  # a rename would take the place of /dev/null, for one
            raise GuestError("not a regular file", path=path)
        if old is not None and old.st_size == len(content) and mode in (None, stat.S_IMODE(old.st_mode)):
            if self.read(path, limit=max(FILE_LIMIT, len(content))) == content:
                return False

        def make(spare: Place, place: Place) -> None:
            with os.fdopen(spare.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
                if old is not None:
                    copy_owner(old, file.fileno())
                    copy_attributes(place, file.fileno())
                kept = 0o644 if old is None else stat.S_IMODE(old.st_mode)
                file.write(content)
                file.flush()  # before the mode: a write takes the setuid bit away
                os.fchmod(file.fileno(), kept if mode is None else mode)
                os.fsync(file.fileno())

        try:
            self._replace("write file", path, make, follow=True)
        except BusyError as busy:
            if not self.in_place:
                raise GuestError("something is mounted here", path=path) from busy
            self._change(path, lambda file: refill(file, content))
        if old is None:
            self.relabel(path)
        return True

    def _write_own(self, path: str, content: bytes, mode: int, owner: Tuple[int, int]) -> bool:
        """Put `content` at `path` as a file that nobody else has a right to: of `owner`, `mode` and no ACL.

        Always a new file, and never through a symlink: whoever had a right to the old one may have it open. Only root
        can give a file away: what another makes stays his.
        """
        old = self.stat(path, follow=False)
        found = None if old is None or stat.S_ISLNK(old.st_mode) else old
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise GuestError("not a regular file", path=path)
        if found is not None and found.st_size == len(content) and self._is_own(path, mode, owner):
            if self.read(path, limit=max(FILE_LIMIT, len(content)), follow=False) == content:
                return False

        def make(spare: Place, place: Place) -> None:
            with os.fdopen(spare.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
                if found is not None:
                    copy_attributes(place, file.fileno())
                remove_rights(file.fileno())
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), *owner)
                os.fchmod(file.fileno(), mode)
                fill(file, content)

        self._replace("write file", path, make, follow=False)
        if found is None:
            self.relabel(path)
        return True

    def _is_own(self, path: str, mode: int, owner: Tuple[int, int]) -> bool:
        """Has nobody but `owner` another right to the file at `path` than `mode` says?"""
        try:
            with self.reach(path, follow=False) as place:
                descriptor = place.open_regular(os.O_RDONLY)
                if descriptor is None:
                    return False
                try:
                    return is_own(descriptor, mode, owner)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise broken("read file", path, error) from error

    def link(self, target: str, path: str) -> bool:
        """Make `path` a symlink of root to `target` (kept as written); True if that was a change. Raises GuestError."""
        found = self.stat(path, follow=False)
        if found and self.readlink(path) == target and (os.geteuid() != 0 or (found.st_uid, found.st_gid) == ROOT):
            return False

        def make(spare: Place, _place: Place) -> None:
            os.symlink(target, spare.name, dir_fd=spare.folder)
            if os.geteuid() == 0:
                os.chown(spare.name, *ROOT, dir_fd=spare.folder, follow_symlinks=False)

        self._replace("make link", path, make, follow=False)
        self.relabel(path)
        return True

    def _replace(self, verb: str, path: str, make: Callable[[Place, Place], None], *, follow: bool) -> None:
        """Let `make(spare, place)` fill the spare place, then give that the name of the other in one step."""
        self.make_dirs(os.path.dirname(path))
        try:
            with self.reach(path, follow=follow) as place:
                self.guard(place.folder, place.path)
                self._remember(place)
                self.touched.append(path)
                spare = place.beside(spare_name(place.name))
                try:
                    spare.remove()
                    make(spare, place)
                    os.rename(spare.name, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
                    place.sync()
                finally:
                    discard(spare)
        except OSError as error:
            if error.errno == errno.EBUSY and follow:
                raise BusyError() from error
            raise broken(verb, path, error) from error

    def amend(self, path: str, change: "Callable[[bytes], bytes]", limit: int = FILE_LIMIT) -> bool:
        """Give the file at `path` the content that `change` makes of the old one, in place; True if it is another.

        For a file that another program keeps open, so that its inode must stay. Both kinds of lock that such a program
        may know are held meanwhile. Power loss may leave it half written. Raises GuestError: also if there is no such
        regular file, if it has more than `limit` bytes, or if its lock is not free within 10 seconds.
        """

        def amended(file: BinaryIO) -> bool:
            self._hold(file, path)
            content = file.read(limit + 1)
            if len(content) > limit:
                raise GuestError("file too large", path=path, limit=limit)
            new = change(content)
            return new != content and refill(file, new)

        changed = self._change(path, amended)
        if changed:
            self.touched.append(path)
        return changed

    def _change(self, path: str, change: "Callable[[BinaryIO], bool]") -> bool:
        """Open the regular file at `path` to be changed in place; returns what `change` does."""
        try:
            with self.reach(path) as place:
                self.look(place.path, whole=True)
                descriptor = place.open_regular(os.O_RDWR)
                if descriptor is None:
                    raise GuestError("not a regular file", path=path)
                with os.fdopen(descriptor, "r+b") as file:
                    self.guard(descriptor, place.path)
                    return change(file)
        except FileNotFoundError as error:
            raise GuestError("not a regular file", path=path) from error
        except OSError as error:
            raise broken("write file", path, error) from error

    def _hold(self, file: BinaryIO, path: str) -> None:
        """Lock an open file until it is closed, by flock and by fcntl: the two do not see one another."""
        import fcntl

        until = self.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:  # EACCES, as POSIX lets fcntl say
                if self.monotonic() >= until:
                    raise GuestError("file is locked", path=path, seconds=LOCK_SECONDS) from error
                self.sleep(0.1)
            else:
                return

    def unlink(self, path: str) -> bool:
        """Remove the file or symlink at `path`; True if there was one. Raises GuestError."""
        try:
            with self.reach(path, follow=False) as place:
                place.stat()
                self.guard(place.folder, place.path)
                self._remember(place)
                os.unlink(place.name, dir_fd=place.folder)
                place.sync()
        except OSError as error:
            if error.errno in ABSENT:
                return False
            raise broken("remove file", path, error) from error
        self.touched.append(path)
        return True

    def adopt(self, path: str) -> None:
        """Count what a tool of the guest has just made at `path` among our own changes."""
        if self._undo is not None:
            self._undo.append(partial(self._take_away, path))
        self.touched.append(path)

    def make_dirs(self, path: str, mode: int = 0o755, owner: Optional[Tuple[int, int]] = None) -> None:
        """Make the folder `path` and those above it that are missing. Raises GuestError.

        A folder with an `owner` is wholly ours: one that is there is given to him, and nobody else may write to it.
        """
        if not self.is_dir(path):
            self._make_dirs(path, mode)
        if owner is not None:
            self._own_folder(path, owner)

    def _make_dirs(self, path: str, mode: int) -> None:
        parts = [part for part in path.split("/") if part]
        for count in range(1, len(parts) + 1):
            folder = "/" + "/".join(parts[:count])
            try:
                with self.reach(folder) as place:
                    if not self.is_dir(folder):
                        self.guard(place.folder, place.path)
                    before = os.umask(0)  # a boot script may have any; and never, killed in between, another mode
                    try:
                        os.mkdir(place.name, mode, dir_fd=place.folder)
                    finally:
                        os.umask(before)
                    place.sync()
            except FileExistsError as error:
                if not self.is_dir(folder):
                    raise GuestError("not a folder", path=folder) from error
                continue
            except OSError as error:
                raise broken("make folder", folder, error) from error
            self.made.append(folder)
            if self._undo is not None:
                self._undo.append(partial(self._take_dir_away, place.path))

    def _own_folder(self, path: str, owner: Tuple[int, int]) -> None:
        """Take every right to write to the folder at `path` from all but its `owner`."""
        try:
            with self.reach(path) as place:
                folder = place.open(os.O_RDONLY | os.O_DIRECTORY)
                try:
                    found = os.fstat(folder)
                    mode = stat.S_IMODE(found.st_mode)
                    if is_own(folder, mode & ~0o7022, owner):
                        return
                    self.guard(folder, place.path)
                    if self._undo is not None:
                        self._undo.append(partial(self._give_back, place.path, mode, (found.st_uid, found.st_gid)))
                    remove_rights(folder)
                    if os.geteuid() == 0:
                        os.fchown(folder, *owner)
                    os.fchmod(folder, mode & ~0o7022)
                    os.fsync(folder)
                finally:
                    os.close(folder)
        except OSError as error:
            raise broken("change folder", path, error) from error
        if path not in self.made:
            self.touched.append(path)

    def remove_dir(self, path: str) -> bool:
        """Remove the folder at `path` if it is there and empty; True if that was done."""
        try:
            with self.reach(path, follow=False) as place:
                self.look(place.path, whole=True)
                self.guard(place.folder, place.path)
                os.rmdir(place.name, dir_fd=place.folder)
        except OSError as error:
            if error.errno in ABSENT + (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                return False
            raise broken("remove file", path, error) from error
        return True

    def guard(self, descriptor: int, path: str) -> None:
        """Raises GuestError if an open file or folder, `path` without a link in it, is to be left as it is."""
        if is_below(path, *self.spared):
            raise GuestError("nothing is changed here", path=path)
        if self.one_mount and mount_of(descriptor) != mount_of(self.top):
            raise GuestError("something is mounted here", path=path)

    def begin(self) -> None:
        """From now on note every change in `touched` and `made`, and how to take it back."""
        self._undo = []
        self.touched, self.made = [], []

    def roll_back(self) -> None:
        """Take back what was changed since `begin`, newest first, as far as the guest lets us."""
        changes, self._undo = self._undo or [], None
        self.budget = None  # whatever it was that was too much
        for undo in reversed(changes):
            try:
                undo()
            except (OSError, GuestError):
                continue  # a full or failing disk: what can be taken back, is

    def commit(self) -> None:
        """The changes since `begin` stay."""
        self._undo = None

    def _remember(self, place: Place) -> None:
        """Note how to bring back what lies at a place."""
        if self._undo is None:
            return
        path = place.path
        old = self.stat(path, follow=False)
        if old is None:
            self._undo.append(partial(self._take_away, path))
        elif stat.S_ISLNK(old.st_mode):
            target, keeper = self.readlink(path) or "", (old.st_uid, old.st_gid)
            self._undo.append(lambda: self._put_back_link(path, target, keeper))
        elif stat.S_ISREG(old.st_mode):
            data, mode = self.read(path, limit=16 * FILE_LIMIT, follow=False) or b"", stat.S_IMODE(old.st_mode)
            keeper = (old.st_uid, old.st_gid)
            self._undo.append(lambda: self._put_back(path, data, mode, keeper))

    def _take_away(self, path: str) -> None:
        """Remove a file that may not exist."""
        with self.reach(path, follow=False) as place:
            place.remove()

    def _take_dir_away(self, path: str) -> None:
        """Remove a folder, if nothing is in it by now."""
        with self.reach(path, follow=False) as place:
            os.rmdir(place.name, dir_fd=place.folder)

    def _put_back_link(self, path: str, target: str, owner: Tuple[int, int]) -> None:
        """Bring a symlink back, as it was."""
        self.link(target, path)
        if os.geteuid() == 0:
            with self.reach(path, follow=False) as place:
                os.chown(place.name, *owner, dir_fd=place.folder, follow_symlinks=False)

    def _put_back(self, path: str, data: bytes, mode: int, owner: Tuple[int, int]) -> None:
        """Bring a file back, also where a link has taken its place: a write would go through that."""
        if self.is_link(path):
            self._take_away(path)
        self.write(path, data, mode)
        self._give_back(path, mode, owner)

    def _give_back(self, path: str, mode: int, owner: Tuple[int, int]) -> None:
        """Let a file or folder have the owner and the mode that it had."""
        with self.reach(path, follow=False) as place:
            descriptor = place.open(os.O_RDONLY)
            try:
                if os.geteuid() == 0:
                    os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)

    def relabel(self, path: str, below: bool = False) -> None:
        """Give a new file, and perhaps all `below` it, the SELinux label that the policy wants, where there is one."""
        if self.live and self.exists("/sys/fs/selinux/enforce"):
            restorecon = self.find_program("restorecon")
            if restorecon:
                self.run([restorecon] + (["-R"] if below else []) + [path], check=False)

    # -- the running machine --------------------------------------------------------------------------------------

    @property
    def can_run(self) -> bool:
        """May the guest's programs be run? Not those of an image: it may be of another machine's kind, or hostile."""
        return self.root == "/"

    def run(self, argv: Sequence[str], seconds: float = 60.0, check: bool = True, secret: bytes = b"") -> int:
        """Run a program of the guest, without a shell; returns its exit code.

        `secret` is what it reads on standard input, which is otherwise empty. Raises GuestError if it cannot be
        started, takes longer than `seconds`, or (with `check`) fails; the last line that it printed is in the details.
        """
        code, printed = self.execute(argv, seconds, secret)
        if check and code != 0:
            raise GuestError("command failed", command=argv[0], code=code, output=last_line(printed))
        return code

    def ask(self, argv: Sequence[str], seconds: float = 60.0) -> str:
        """Run a program as `run` does, and return what it printed. Raises GuestError."""
        code, printed = self.execute(argv, seconds)
        if code != 0:
            raise GuestError("command failed", command=argv[0], code=code, output=last_line(printed))
        return printed

    def execute(
        self,
        argv: Sequence[str],
        seconds: float = 60.0,
        secret: bytes = b"",
        environment: Optional[Dict[str, str]] = None,
    ) -> Tuple[int, str]:
        """Run a program of the guest: (its exit code, the last MiB that it printed).

        It has a session of its own, which is ended after `seconds`, and knows nothing of our environment but what is
        given. Raises GuestError if it cannot be started or takes too long.
        """
        if not self.can_run:
            raise GuestError("nothing in an image is executed", command=argv[0])
        surroundings = dict({"PATH": ":".join(SEARCH), "LC_ALL": "C", "HOME": "/root"}, **(environment or {}))
        start, end = os.pipe()
        with os.fdopen(start, "rb", buffering=0) as output:
            try:
                child = subprocess.Popen(
                    argv, stdin=subprocess.PIPE, stdout=end, stderr=end, env=surroundings, start_new_session=True
                )
            except OSError as error:
                raise GuestError("command cannot be started", command=argv[0], error=error.strerror) from error
            finally:
                os.close(end)
            try:
                printed = listen(child, output, secret, seconds)
            except subprocess.TimeoutExpired as error:
                raise GuestError("command took too long", command=argv[0], seconds=seconds) from error
            finally:
                end_group(child)
                hand_over(output)
            return child.returncode, printed.decode("utf-8", "replace")

    def lock(self, path: str) -> Optional[int]:
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
    def lock_record(self, path: str, seconds: float) -> Iterator[None]:
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

    def target(self, path: str) -> Optional[os.stat_result]:
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

    def mounts(self) -> List[Mount]:
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

    def monotonic(self) -> float:
        """Seconds on a clock that nobody sets."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since 1970. At a first boot this clock may be wrong by years."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def is_below(path: str, *folders: str) -> bool:
    """Is a path one of the folders, or in one?"""
    return any((path + "/").startswith(folder.rstrip("/") + "/") for folder in folders)


def plain(word: str) -> str:
    """A word of /proc/self/mountinfo, in which blanks and backslashes are octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), word)


def listen(child: "subprocess.Popen[bytes]", output: BinaryIO, secret: bytes, seconds: float) -> bytes:
    """Give a program its `secret`, and return the last MiB that it printed; raises TimeoutExpired.

    No file takes it, since no folder is sure to have the space. It is over when the program has ended, though what it
    started may keep the pipe open, and go on printing.
    """
    stdin = cast(BinaryIO, child.stdin)
    ends, pause, late = time.monotonic() + seconds, 0.001, 0
    printed, readers, writers = bytearray(), [output], [stdin]
    while True:
        ended = child.poll() is not None
        ready, takers, _ = select.select(readers, writers, [], 0 if ended else pause)
        if takers:
            try:
                secret = secret[os.write(stdin.fileno(), secret[: select.PIPE_BUF]) :] if secret else b""
            except BrokenPipeError:
                secret = b""  # it has read enough: its exit code tells
            if not secret:
                writers = []
                stdin.close()
        for _ in ready:
            chunk = os.read(output.fileno(), CHUNK)
            readers = readers if chunk else []
            printed += chunk
            late += len(chunk) if ended else 0
            if len(printed) > 2 * FILE_LIMIT:
                del printed[:-FILE_LIMIT]
        if ended and (not ready or not readers or late > FILE_LIMIT):
            return bytes(printed[-FILE_LIMIT:])
        if time.monotonic() >= ends:
            stdin.close()
            raise subprocess.TimeoutExpired(child.args, seconds)
        pause = 0.001 if ready else min(2 * pause, 0.05)


def hand_over(output: BinaryIO) -> None:
    """Let a `cat` read on from a pipe that a program left to what it started: that would fail, or stop, without one."""
    ready, _, _ = select.select([output], [], [], 0)
    if ready and not os.read(output.fileno(), CHUNK):
        return  # nobody has it any more
    reader = ["/bin/sh", "-c", "exec 3<&0; cat <&3 >/dev/null 2>&1 3<&- &"]  # no child of ours: nobody waits for it
    with suppress(OSError):
        subprocess.call(reader, stdin=output, env={"PATH": ":".join(SEARCH)}, start_new_session=True, cwd="/")


def last_line(printed: str) -> str:
    """The last line that a program printed: where it says why it failed."""
    return printed.strip().rpartition("\n")[2]


def end_group(child: "subprocess.Popen[bytes]") -> None:
    """End a program that is still there, and all that it started."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel, on a broken drive, ends when it can
            child.wait(REAP_SECONDS)


def pass_over(_number: int, _frame: object) -> None:
    """Let a signal change nothing; a program that is started meanwhile is ended by it as always."""


def open_nothing() -> int:
    """/dev/null, or on a machine without one a pipe that nobody else has: there is nothing to read either."""
    try:
        return os.open("/dev/null", os.O_RDWR)
    except OSError:
        reader, writer = os.pipe()
        os.close(writer)
        return reader


def close_inherited() -> None:
    """Close what the caller had open above 2, such as debconf's 3. Nothing that this program opens is inheritable."""
    for descriptor in range(3, 256):
        with suppress(OSError):  # not open
            if os.get_inheritable(descriptor):
                os.close(descriptor)


def has_own_uts() -> bool:
    """Is this another hostname namespace than the one that the kernel began with (include/linux/proc_ns.h)?"""
    try:
        return os.readlink("/proc/self/ns/uts") != "uts:[%d]" % 0xEFFFFFFE
    except OSError:
        return False


def spare_name(name: str) -> str:
    """What a file is called while it is filled.

    One name, so that a killed run leaves at most one behind, for the next to replace. The leading dot and the ending
    keep every boot system from taking it for a script or a unit.
    """
    return ".%s.azure-provisioning" % name


def discard(place: Place) -> None:
    """Remove what is left of a write that failed. If even that fails, the next write to the same file does it."""
    with suppress(OSError):
        place.remove()


def mount_of(descriptor: int) -> str:
    """What tells the mount that an open file is on from all others: two bind mounts of a disk have one st_dev.

    The kernel's number of it (proc(5), fdinfo); without /proc no more than the number of the file system.
    """
    try:
        with open("/proc/self/fdinfo/%d" % descriptor) as info:
            for line in info:
                if line.startswith("mnt_id:"):
                    return line
    except OSError:
        pass  # no /proc
    return "file system %d" % os.fstat(descriptor).st_dev


def fill(file: BinaryIO, content: bytes) -> None:
    """Write, and wait until the disk has it."""
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def refill(file: BinaryIO, content: bytes) -> bool:
    """Give an open file another content, in place; True, because that changes it."""
    file.seek(0)
    file.truncate()
    fill(file, content)
    return True


def copy_owner(old: os.stat_result, descriptor: int) -> None:
    """The owner of the file that is replaced."""
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)


def is_own(descriptor: int, mode: int, owner: Tuple[int, int]) -> bool:
    """Has nobody but `owner` another right to an open file than `mode` says? Only root can give files away."""
    found = os.fstat(descriptor)
    if stat.S_IMODE(found.st_mode) != mode:
        return False
    if os.geteuid() == 0 and (found.st_uid, found.st_gid) != owner:
        return False
    return found.st_uid in (owner[0], os.geteuid()) and not set(ACLS) & set(attributes(descriptor))


def remove_rights(descriptor: int) -> None:
    """Take from an open file what gives others a right beside its mode; a folder's own list is the default of it."""
    for name in RIGHTS:
        if name in attributes(descriptor):
            os.removexattr(descriptor, name)


def attributes(descriptor: int) -> List[str]:
    """The names of the extended attributes of an open file; none where the file system has no such."""
    try:
        return os.listxattr(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return []


def copy_attributes(source: Place, descriptor: int) -> None:
    """Extended attributes: SELinux labels, ACLs, capabilities. A file system without them is no error."""
    try:
        old = source.open_regular(os.O_RDONLY)
        if old is None:
            return
        try:
            for name in os.listxattr(old):
                os.setxattr(descriptor, name, os.getxattr(old, name))
        finally:
            os.close(old)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
