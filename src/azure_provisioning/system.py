"""The guest: the only door to its files, its commands, its clock and its network.

A guest is the running machine (root `/`) or an image that is mounted somewhere. Paths are always those that the guest
itself would use; symlinks are followed inside the root, so that an absolute one in an image never leads out of it.
"""

import errno
import os
import stat
import time
from functools import partial

from .errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import BinaryIO, Callable, List, Optional, Sequence, Union

SEARCH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
FILE_LIMIT = 1 << 20  # bytes; no file that is read whole is larger on a healthy system
LINKS_LIMIT = 40  # as the kernel's
ABSENT = (errno.ENOENT, errno.ENOTDIR)


class Busy(Exception):
    """Something is mounted on the file that was to be replaced; it can only be written in place."""


class System:
    """One guest. Every method that writes is atomic, fsynced, and does no harm when it is repeated."""

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.realpath(root)
        self.touched = []  # type: List[str]  # what was changed, in order, as the guest names it
        self.made = []  # type: List[str]  # the folders that were made, outermost first
        self._undo = None  # type: Optional[List[Callable[[], None]]]

    # -- where ----------------------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Is this the running machine, and not an image or a chroot on another one? Without /proc: no."""
        if self.root != "/":
            return False
        try:
            first, here = os.stat("/proc/1/root/."), os.stat("/.")
        except OSError:
            return False
        return (first.st_dev, first.st_ino) == (here.st_dev, here.st_ino)

    def path(self, path: str, follow: bool = True) -> str:
        """Where `path` of the guest lies on this machine. `follow`: also through a symlink in the last place."""
        if self.root == "/" and not follow:
            return path
        inside = "/"  # the part that is resolved, as the guest sees it
        todo = [part for part in path.split("/") if part not in ("", ".")]
        links = 0
        while todo:
            part = todo.pop(0)
            if part == "..":
                inside = os.path.dirname(inside)
                continue
            here = self._outside(os.path.join(inside, part))
            if (todo or follow) and os.path.islink(here):
                links += 1
                if links > LINKS_LIMIT:
                    raise GuestError("too many levels of symbolic links", path=path)
                target = os.readlink(here)
                if target.startswith("/"):
                    inside = "/"
                todo[:0] = [part for part in target.split("/") if part not in ("", ".")]
                continue
            inside = os.path.join(inside, part)
        return self._outside(inside)

    def _outside(self, inside: str) -> str:
        return inside if self.root == "/" else self.root + inside.rstrip("/")

    # -- questions ------------------------------------------------------------------------------------------------

    def stat(self, path: str, follow: bool = True) -> "Optional[os.stat_result]":
        """What lies at `path`, or None. Raises GuestError if that cannot be known (a folder one may not enter)."""
        try:
            return os.lstat(self.path(path, follow=follow))
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise broken("look at", path, error) from error

    def exists(self, path: str) -> bool:
        """Is there anything at the end of `path`, through all symlinks?"""
        return self.stat(path) is not None

    def is_link(self, path: str) -> bool:
        """Is there a symlink at `path`, wherever it leads?"""
        found = self.stat(path, follow=False)
        return found is not None and stat.S_ISLNK(found.st_mode)

    def is_dir(self, path: str) -> bool:
        """Is there a folder at the end of `path`?"""
        found = self.stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def is_program(self, path: str) -> bool:
        """Is there a regular file at the end of `path` that somebody may execute?"""
        found = self.stat(path)
        return found is not None and stat.S_ISREG(found.st_mode) and bool(found.st_mode & 0o111)

    def list(self, path: str) -> "List[str]":
        """The names in the folder at `path`, sorted; none if there is no such folder."""
        try:
            return sorted(os.listdir(self.path(path)))
        except OSError as error:
            if error.errno in ABSENT:
                return []
            raise broken("list", path, error) from error

    def readlink(self, path: str) -> "Optional[str]":
        """The text of the symlink at `path`; None if there is none."""
        return os.readlink(self.path(path, follow=False)) if self.is_link(path) else None

    def chain(self, path: str) -> "List[str]":
        """`path` and what the symlinks at its end lead to, one after another, as the guest names them."""
        steps = [path]
        while len(steps) <= LINKS_LIMIT:
            target = self.readlink(steps[-1])
            if target is None:
                break
            steps.append(os.path.normpath(os.path.join(os.path.dirname(steps[-1]), target)))
        return steps

    def find_program(self, *names: str) -> "Optional[str]":
        """The first of `names` that the guest can run: an absolute path, or a name looked up in the usual folders."""
        for name in names:
            for path in [name] if name.startswith("/") else [folder + "/" + name for folder in SEARCH]:
                if self.is_program(path):
                    return path
        return None

    def read(self, path: str, limit: int = FILE_LIMIT, head: bool = False) -> "Optional[bytes]":
        """The content of the regular file at `path`; None if there is none.

        Raises GuestError for what is no regular file, may not be read, or has more than `limit` bytes; with `head` a
        larger file gives its first `limit` bytes.
        """
        found = self.stat(path)
        if found is None:
            return None
        if not stat.S_ISREG(found.st_mode):  # never open a device or a pipe that an image puts in our way
            raise GuestError("not a regular file", path=path)
        try:
            with open(self.path(path), "rb") as file:
                data = file.read(limit + (0 if head else 1))
        except OSError as error:
            raise broken("read", path, error) from error
        if len(data) > limit:
            raise GuestError("file too large", path=path, limit=limit)
        return data

    def read_text(self, path: str) -> "Optional[str]":
        """The content as text. Bytes that are no UTF-8 survive a `write` of the same text."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8", "surrogateescape")

    # -- changes --------------------------------------------------------------------------------------------------

    def write(self, path: str, data: "Union[bytes, str]", mode: "Optional[int]" = None) -> bool:
        """Put `data` at `path`, whole or not at all; True if that changed anything.

        Mode, owner and extended attributes of a file that is replaced stay, but `mode` wins; a new file gets `mode` or
        0644. Missing folders are made. A file that cannot be replaced because something is mounted on it is written in
        place. Raises GuestError.
        """
        content = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
        old = self.stat(path)
        if old is not None and not stat.S_ISREG(old.st_mode):  # a rename would take the place of /dev/null, for one
            raise GuestError("not a regular file", path=path)
        if old is not None and old.st_size == len(content) and mode in (None, stat.S_IMODE(old.st_mode)):
            if self.read(path, limit=max(FILE_LIMIT, len(content))) == content:
                return False

        def make(spare: str) -> None:
            with os.fdopen(os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
                if old is not None:
                    copy_owner(old, file.fileno())
                    copy_attributes(self.path(path), file.fileno())
                kept = 0o644 if old is None else stat.S_IMODE(old.st_mode)
                os.fchmod(file.fileno(), kept if mode is None else mode)
                fill(file, content)

        try:
            self._replace("write", path, make, follow=True)
        except Busy:
            try:
                with open(self.path(path), "r+b") as file:
                    file.truncate()
                    fill(file, content)
            except OSError as error:
                raise broken("write", path, error) from error
        if old is None:
            self._label(path)
        return True

    def link(self, target: str, path: str) -> bool:
        """Make `path` a symlink to `target` (kept as written); True if that changed anything. Raises GuestError."""
        if self.readlink(path) == target:
            return False
        self._replace("link", path, lambda spare: os.symlink(target, spare), follow=False)
        self._label(path)
        return True

    def _replace(self, verb: str, path: str, make: "Callable[[str], None]", *, follow: bool) -> None:
        """Let `make` fill a spare place, then give it the name `path` in one step."""
        self.make_dirs(os.path.dirname(path))
        place = self.path(path, follow=follow)
        self._remember(place)
        self.touched.append(path)
        # One name, so that a killed run leaves at most one behind, for the next to replace. The leading dot and the
        # ending keep every boot system from taking it for a script or a unit.
        folder, name = os.path.split(place)
        spare = os.path.join(folder, ".%s.azure-provisioning" % name)
        try:
            remove_if_there(spare)
            make(spare)
            os.rename(spare, place)
            sync_folder(place)
        except OSError as error:
            if error.errno == errno.EBUSY and os.path.ismount(place):
                raise Busy() from error
            raise broken(verb, path, error) from error
        finally:
            discard(spare)

    def unlink(self, path: str) -> bool:
        """Remove the file or symlink at `path`; True if there was one. Raises GuestError."""
        if self.stat(path, follow=False) is None:
            return False
        place = self.path(path, follow=False)
        self._remember(place)
        try:
            os.unlink(place)
            sync_folder(place)
        except OSError as error:
            raise broken("remove", path, error) from error
        self.touched.append(path)
        return True

    def make_dirs(self, path: str, mode: int = 0o755) -> None:
        """Make the folder `path` and those above it that are missing. Raises GuestError."""
        parts = [part for part in path.split("/") if part]
        for count in range(1, len(parts) + 1):
            folder = "/" + "/".join(parts[:count])
            place = self.path(folder)
            try:
                os.mkdir(place)
                os.chmod(place, mode)  # whatever the umask of a boot script is
                sync_folder(place)
            except FileExistsError:
                if not self.is_dir(folder):
                    raise GuestError("not a folder", path=folder)
                continue
            except OSError as error:
                raise broken("make the folder", folder, error) from error
            self.made.append(folder)
            if self._undo is not None:
                self._undo.append(partial(os.rmdir, place))

    def remove_dir(self, path: str) -> bool:
        """Remove the folder at `path` if it is there and empty; True if that was done."""
        try:
            os.rmdir(self.path(path, follow=False))
        except OSError as error:
            if error.errno in ABSENT + (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                return False
            raise broken("remove", path, error) from error
        return True

    def begin(self) -> None:
        """From now on note every change in `touched` and `made`, and how to take it back."""
        self._undo = []
        self.touched, self.made = [], []

    def roll_back(self) -> None:
        """Take back what was changed since `begin`, newest first, as far as the guest lets us."""
        changes, self._undo = self._undo or [], None
        for undo in reversed(changes):
            try:
                undo()
            except (OSError, GuestError):
                continue  # a full or failing disk: what can be taken back, is

    def commit(self) -> None:
        """The changes since `begin` stay."""
        self._undo = None

    def _remember(self, place: str) -> None:
        """Note how to bring back what lies at `place` (resolved, on this machine)."""
        if self._undo is None:
            return
        inside = place if self.root == "/" else place[len(self.root) :]
        old = self.stat(inside, follow=False)
        if old is None:
            self._undo.append(lambda: remove_if_there(place))
        elif stat.S_ISLNK(old.st_mode):
            target = os.readlink(place)
            self._undo.append(lambda: ignore(self.link(target, inside)))
        elif stat.S_ISREG(old.st_mode):
            data, mode = self.read(inside, limit=16 * FILE_LIMIT) or b"", stat.S_IMODE(old.st_mode)
            self._undo.append(lambda: ignore(self.write(inside, data, mode)))

    def _label(self, path: str) -> None:
        """Give a new file the SELinux label that the policy wants, where there is a policy."""
        if self.live and self.exists("/sys/fs/selinux/enforce"):
            restorecon = self.find_program("restorecon")
            if restorecon:
                self.run([restorecon, path], check=False)

    # -- the running machine --------------------------------------------------------------------------------------

    def run(self, argv: "Sequence[str]", seconds: float = 60.0, check: bool = True) -> int:
        """Run a program of the guest, without a shell and without input; returns its exit code.

        Raises GuestError if it cannot be started, takes longer than `seconds`, or (with `check`) fails; the last line
        that it printed is in the details. Nothing that lies in an image is ever run.
        """
        import subprocess  # here, because a boot that finds everything done must not pay for it
        import tempfile

        if self.root != "/":
            raise GuestError("nothing in an image is executed", command=argv[0])
        environment = {"PATH": ":".join(SEARCH), "LC_ALL": "C", "HOME": "/root"}
        # A file and not a pipe: a grandchild that keeps a pipe open would hold us.
        with tempfile.TemporaryFile() as output:
            try:
                code = subprocess.call(
                    argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, timeout=seconds
                )
            except subprocess.TimeoutExpired as error:
                raise GuestError("command took too long", command=argv[0], seconds=seconds) from error
            except OSError as error:
                raise GuestError("command cannot be started", command=argv[0], error=error.strerror) from error
            output.seek(0)
            lines = output.read(FILE_LIMIT).decode("utf-8", "replace").strip().splitlines()
        if check and code != 0:
            raise GuestError("command failed", command=argv[0], code=code, output=lines[-1] if lines else "")
        return code

    def lock(self, path: str) -> "Optional[int]":
        """Take the lock file at `path`: its descriptor, to be kept open, or None if another process has it."""
        import fcntl

        self.make_dirs(os.path.dirname(path))
        try:
            lock = os.open(self.path(path), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return None
        except OSError as error:
            raise broken("lock", path, error) from error
        return lock

    def detach(self) -> bool:
        """Go on in a child with a session of its own and no terminal, pipe or file of the caller; True in the child."""
        if os.fork():
            return False
        os.setsid()
        nothing = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        if nothing > 2:
            os.close(nothing)
        return True

    def boot_id(self) -> str:
        """What tells one boot of this machine from another; empty where the kernel does not say."""
        return (self.read_text("/proc/sys/kernel/random/boot_id") or "").strip()

    def sync(self) -> None:
        """Have the disk take everything that was written, by our tools too."""
        if self.live:
            os.sync()

    def volatile(self, path: str) -> str:
        """The kind of file system under `path` if a reboot forgets it ("tmpfs"); empty if it lasts, or nobody knows."""
        place, best, kind = self.path(path), "", ""
        try:
            with open("/proc/self/mounts") as mounts:
                for line in mounts:
                    _, point, fstype = line.split(" ")[:3]
                    inside = place == point or place.startswith(point.rstrip("/") + "/")
                    if inside and len(point) >= len(best):
                        best, kind = point, fstype
        except (OSError, ValueError):
            return ""
        return kind if kind in ("tmpfs", "ramfs") else ""

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


def broken(verb: str, path: str, error: OSError) -> GuestError:
    """The expected failure that says which file it was and what the kernel said."""
    return GuestError("cannot %s %s" % (verb, path), error=error.strerror or str(error))


def has_own_uts() -> bool:
    """Does this process have another hostname namespace than PID 1?"""
    try:
        return os.readlink("/proc/self/ns/uts") != os.readlink("/proc/1/ns/uts")
    except OSError:
        return False


def remove_if_there(place: str) -> None:
    """Remove a file of ours that may not exist."""
    try:
        os.unlink(place)
    except OSError as error:
        if error.errno not in ABSENT:
            raise


def discard(place: str) -> None:
    """Remove what is left of a write that failed. If even that fails, the next write to the same file does it."""
    try:
        os.unlink(place)
    except OSError:
        return


def ignore(_changed: bool) -> None:
    """Nobody asks an undo whether it changed anything."""


def fill(file: "BinaryIO", content: bytes) -> None:
    """Write, and wait until the disk has it."""
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def sync_folder(place: str) -> None:
    """Make the name of `place` as durable as its content."""
    folder = os.open(os.path.dirname(place), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems (FUSE) know no fsync of a folder
            raise
    finally:
        os.close(folder)


def copy_owner(old: os.stat_result, descriptor: int) -> None:
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)


def copy_attributes(place: str, descriptor: int) -> None:
    """Extended attributes: SELinux labels, ACLs, capabilities. A file system without them is no error."""
    unsupported = (errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES)
    try:
        for name in os.listxattr(place):
            os.setxattr(descriptor, name, os.getxattr(place, name))
    except OSError as error:
        if error.errno not in unsupported:
            raise
