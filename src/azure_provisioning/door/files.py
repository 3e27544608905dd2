"""Changes to the guest's files. tree.py reads them."""

import errno
import os
import stat
from contextlib import suppress

from ..errors import GuestError
from .attributes import copy_attributes, copy_owner, is_own, mount_of, remove_rights
from .journal import Journal
from .programs import Programs
from .tree import ABSENT, FILE_LIMIT, ROOT, Place, broken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Callable, List, Optional, Tuple, Union

    from .labels import Labels

LOCK_SECONDS = 10.0  # how long a file locked by another program is waited for


class BusyError(Exception):
    """Something is mounted on the file that was to be replaced, so it can only be written in place."""


class Files(Programs):
    """Every method that writes is atomic, calls fsync, and is safe to repeat."""

    def __init__(self, root: str = "/") -> None:
        super().__init__(root)
        self.touched: "List[str]" = []  # the paths that were changed, in order, in the guest
        self.made: "List[str]" = []  # the folders that were made, outermost first
        self.journal = Journal()
        self.in_place = self.root == "/"  # may a file that something is mounted on be written in place?
        self.one_mount = False  # is everything below another mount point left unchanged?
        self.spared: "Tuple[str, ...]" = ()  # folders in which nothing is changed
        self.labels: "Optional[Labels]" = None  # of SELinux, in an image

    def write(
        self,
        path: str,
        data: "Union[bytes, str]",
        mode: "Optional[int]" = None,
        owner: "Optional[Tuple[int, int]]" = None,
    ) -> bool:
        """Put `data` at `path`, whole or not at all; True if that changed anything.

        A file that is replaced keeps its mode, owner and extended attributes, but `mode` wins; a new file gets `mode`
        or 0644. Missing folders are made. A file on which something is mounted is written in place, but never in an
        image: there it may be a file of the host. A file with an `owner` is wholly ours (see `_write_own`). Raises
        GuestError.
        """
        content = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
        if owner is not None:
            return self._write_own(path, content, 0o644 if mode is None else mode, owner)
        old = self.stat(path)
        if old is not None and not stat.S_ISREG(old.st_mode):  # a rename would replace /dev/null, for one
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
                file.flush()  # before the mode: a write clears the setuid bit
                os.fchmod(file.fileno(), kept if mode is None else mode)
                os.fsync(file.fileno())

        try:
            self._replace("write file", path, make, follow=True)
        except BusyError as busy:
            if not self.in_place:
                raise GuestError("something is mounted here", path=path) from busy
            self._change(path, lambda file: refill(file, content))
            self.touched.append(path)
        if old is None:
            self.relabel(path)
        return True

    def _write_own(self, path: str, content: bytes, mode: int, owner: "Tuple[int, int]") -> bool:
        """Put `content` at `path` in a file to which nobody else has rights: with this owner and mode, without an ACL.

        Always a new file, and never through a symlink: whoever had rights to the old one may have it open. Only root
        can change the owner: for another user the file stays that user's.
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

    def _is_own(self, path: str, mode: int, owner: "Tuple[int, int]") -> bool:
        """Do only `owner` and `mode` give rights to the file at `path`?"""
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
        """Make `path` a symlink of root's to `target`, stored as given; True if that changed anything. Raises
        GuestError."""
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

    def _replace(self, verb: str, path: str, make: "Callable[[Place, Place], None]", *, follow: bool) -> None:
        """Let `make(spare, place)` fill a temporary file, then rename it in one step."""
        self.make_dirs(os.path.dirname(path))
        try:
            with self.reach(path, follow=follow) as place:
                self.guard(place.folder, place.path)
                self.journal.keep_file(self, place)
                spare = place.beside(spare_name(place.name))
                try:
                    spare.remove()
                    make(spare, place)
                    os.rename(spare.name, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
                    self.touched.append(path)
                    place.sync()
                finally:
                    discard(spare)
        except OSError as error:
            if error.errno == errno.EBUSY and follow:
                raise BusyError() from error
            raise broken(verb, path, error) from error

    def amend(self, path: str, change: "Callable[[bytes], bytes]", limit: int = FILE_LIMIT) -> bool:
        """Give the file at `path` the content that `change` returns for the old one, in place; True if it differs.

        For a file that another program keeps open, so that its inode must stay. Both kinds of lock that such a program
        may use are held meanwhile. A power loss may leave it half written. Raises GuestError, also if there is no such
        regular file, if it has more than `limit` bytes, or if its lock is not free within 10 seconds.
        """

        def amended(file: "BinaryIO") -> bool:
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
        """Open the regular file at `path` to change it in place; returns the result of `change`."""
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

    def _hold(self, file: "BinaryIO", path: str) -> None:
        """Lock an open file until it is closed, with flock and with fcntl: the two locks are independent."""
        import fcntl

        until = self.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:  # POSIX allows EACCES for fcntl
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
                self.journal.keep_file(self, place)
                os.unlink(place.name, dir_fd=place.folder)
                place.sync()
        except OSError as error:
            if error.errno in ABSENT:
                return False
            raise broken("remove file", path, error) from error
        self.touched.append(path)
        return True

    def adopt(self, path: str) -> None:
        """Record that a tool of the guest has just made the file at `path`, as a change of our own."""
        self.journal.keep_absence(self, path)
        self.touched.append(path)

    def make_dirs(self, path: str, mode: int = 0o755, owner: "Optional[Tuple[int, int]]" = None) -> None:
        """Make the folder `path` and those above it that are missing. Raises GuestError.

        A folder with an `owner` is wholly ours: an existing one is given to that owner, and nobody else may write to
        it.
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
                    before = os.umask(0)  # a boot script may set any; a killed run must not leave another mode
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
            if not self.live:
                self._label(folder)
            self.journal.keep_no_folder(self, place.path)

    def _own_folder(self, path: str, owner: "Tuple[int, int]") -> None:
        """Remove the right to write to the folder at `path` from everybody but its `owner`."""
        try:
            with self.reach(path) as place:
                folder = place.open(os.O_RDONLY | os.O_DIRECTORY)
                try:
                    found = os.fstat(folder)
                    mode = stat.S_IMODE(found.st_mode)
                    if is_own(folder, mode & ~0o7022, owner):
                        return
                    self.guard(folder, place.path)
                    self.journal.keep_rights(self, place.path, mode, (found.st_uid, found.st_gid))
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
                place.sync()
        except OSError as error:
            if error.errno in ABSENT + (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                return False
            raise broken("remove file", path, error) from error
        return True

    def guard(self, descriptor: int, path: str) -> None:
        """Raises GuestError if an open file or folder, at `path` without symlinks, must not be changed."""
        if is_below(path, *self.spared):
            raise GuestError("nothing is changed here", path=path)
        if self.one_mount and mount_of(descriptor) != mount_of(self.top):
            raise GuestError("something is mounted here", path=path)

    def begin(self) -> None:
        """From now on, record every change in `touched` and `made`, and how to undo it."""
        self.journal.begin()
        self.touched, self.made = [], []

    def roll_back(self) -> None:
        """Undo the changes since `begin`, as far as the guest allows it."""
        self.budget = None  # undoing must work even if a limit was exceeded
        self.journal.roll_back()

    def commit(self) -> None:
        """Keep the changes since `begin`."""
        self.journal.commit()

    def relabel(self, path: str, *, below: bool = False) -> None:
        """Give a new file, with `below` all files below it too, the label of the guest's SELinux policy, if it has
        one."""
        if not self.live:
            self._label(path)
        elif self.exists("/sys/fs/selinux/enforce"):
            restorecon = self.find_program("restorecon")
            if restorecon:
                self.run([restorecon] + (["-R"] if below else []) + [path], check=False)

    def _label(self, path: str) -> None:
        """Label a new file in an image, without the image's own tools."""
        if self.labels is None and not self.exists("/etc/selinux/config"):
            return
        if self.labels is None:
            from .labels import Labels

            self.labels = Labels(self)
        self.labels.give(self, path)


def is_below(path: str, *folders: str) -> bool:
    """Is a path one of the folders, or inside one?"""
    return any((path + "/").startswith(folder.rstrip("/") + "/") for folder in folders)


def spare_name(name: str) -> str:
    """The name of a file while it is being filled.

    It is always the same, so that a killed run leaves at most one such file, which the next run replaces. With the
    leading dot and the ending no boot system takes it for a script or a unit.
    """
    return ".%s.azure-provisioning" % name


def discard(place: Place) -> None:
    """Remove the rest of a failed write. If that fails too, the next write to the same file removes it."""
    with suppress(OSError):
        place.remove()


def fill(file: "BinaryIO", content: bytes) -> None:
    """Write, and wait until the data is on the disk."""
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def refill(file: "BinaryIO", content: bytes) -> bool:
    """Replace the content of an open file, in place; always True, for `_change`."""
    file.seek(0)
    file.truncate()
    fill(file, content)
    return True
