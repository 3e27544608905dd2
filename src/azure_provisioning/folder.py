"""A folder of the guest that is held open: what lies in it is reached by descriptor, and never through a symlink.

For places that a user of the guest may write to, such as his home. On a VM that was captured from another one he can
be at work while we are, and swap a folder that we looked at for a link to one of root's.
"""

import os
import stat
from contextlib import contextmanager, suppress
from typing import Iterator, List, NamedTuple, Optional

from .errors import GuestError
from .system import System, copy_attributes, fill
from .tree import FILE_LIMIT, LINKS_LIMIT, broken, check_path

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DEPTH_LIMIT = 32  # of a tree that is removed
IN_THE_WAY = "a symlink is in the way"


class Owner(NamedTuple):
    """Whom a file belongs to. Who is not root gives nothing away: what he makes stays his own."""

    uid: int
    gid: int


ROOT = Owner(0, 0)


class Folder:
    """One open folder; `path` is how the guest calls it. Every method takes a name in it, and raises GuestError."""

    def __init__(self, system: System, descriptor: int, path: str) -> None:
        self.system = system
        self.descriptor = descriptor
        self.path = path

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def _name(self, name: str) -> str:
        if not name or "/" in name or name in (".", ".."):
            raise GuestError("not the name of a file", name=ascii(name))
        check_path(name)
        path = self.path.rstrip("/") + "/" + name
        self.system.look(path)
        return path

    # -- questions ------------------------------------------------------------------------------------------------

    def status(self) -> os.stat_result:
        """Mode and owner of the folder itself."""
        with telling("look at", self.path):
            return os.fstat(self.descriptor)

    def stat(self, name: str) -> "Optional[os.stat_result]":
        """What lies at `name`, be it a symlink; None if nothing does."""
        with telling("look at", self._name(name)):
            try:
                return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def list(self) -> "List[str]":
        """The names in it, sorted."""
        self.system.look(self.path, whole=True)
        with telling("list", self.path):
            return sorted(os.listdir(self.descriptor))

    def readlink(self, name: str) -> str:
        """The text of a symlink."""
        with telling("read", self._name(name)):
            return os.readlink(name, dir_fd=self.descriptor)

    def enter(self, name: str) -> "Folder":
        """Open the folder `name`; a symlink is refused."""
        path = self._name(name)
        with telling("enter", path):
            return Folder(self.system, os.open(name, OPEN_FOLDER, dir_fd=self.descriptor), path)

    def read(self, name: str, limit: int = FILE_LIMIT) -> "Optional[bytes]":
        """The content of a regular file; None if nothing is there.

        A symlink is refused, and so is a file of several names: it may be a hard link to one that is not this user's.
        """
        path = self._name(name)
        self.system.look(path, whole=True)
        if self.stat(name) is None:
            return None
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with telling("read", path), os.fdopen(os.open(name, flags, dir_fd=self.descriptor), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise GuestError("not a plain file", path=path)
            data = file.read(limit + 1)
        if len(data) > limit:
            raise GuestError("file too large", path=path, limit=limit)
        return data

    # -- changes --------------------------------------------------------------------------------------------------

    def own(self, mode: int, owner: Owner) -> bool:
        """Give the folder itself a mode and an owner; True if that changed anything."""
        with telling("change", self.path):
            return settle(self.descriptor, mode, owner)

    def make(self, name: str, mode: int, owner: Owner) -> "Folder":
        """Make the folder `name` and open it; one that is there is opened as it is."""
        path = self._name(name)
        with telling("make the folder", path):
            try:
                os.mkdir(name, 0o700, dir_fd=self.descriptor)
            except FileExistsError:
                return self.enter(name)
            folder = self.enter(name)
            folder.own(mode, owner)
            os.fsync(self.descriptor)
            return folder

    def write(self, name: str, data: bytes, mode: int, owner: Owner) -> bool:
        """Put `data` at `name`, whole or not at all; True if that changed anything. A symlink there is refused."""
        path = self._name(name)
        old = self.stat(name)
        if old is not None and self.read(name, limit=max(FILE_LIMIT, len(data))) == data:
            if stat.S_IMODE(old.st_mode) == mode and (owns(old, owner) or os.geteuid() != 0):
                return False
        spare = ".%s.azure-provisioning" % name  # one name, so that a killed run leaves at most one behind
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with telling("write", path):
            self.remove(spare)
            with os.fdopen(os.open(spare, flags, 0o600, dir_fd=self.descriptor), "wb") as file:
                if old is not None:
                    self._copy_attributes(name, file.fileno())
                settle(file.fileno(), mode, owner)
                fill(file, data)
            self.rename(spare, name)
        return True

    def _copy_attributes(self, name: str, target: int) -> None:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.descriptor)
        try:
            copy_attributes(source, target)
        finally:
            os.close(source)

    def link(self, name: str, target: str, owner: Owner) -> None:
        """Make `name` a symlink to `target`."""
        with telling("link", self._name(name)):
            os.symlink(target, name, dir_fd=self.descriptor)
            if os.geteuid() == 0:
                os.chown(name, owner.uid, owner.gid, dir_fd=self.descriptor, follow_symlinks=False)

    def rename(self, old: str, new: str) -> None:
        """Give `old` the name `new`, in one step and for good. An empty folder may be in the way."""
        with telling("write", self._name(new)):
            os.rename(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
            os.fsync(self.descriptor)

    def remove(self, name: str, depth: int = DEPTH_LIMIT) -> bool:
        """Remove what lies at `name` and all below it, for good; True if anything did. What is mounted there stays."""
        found = self.stat(name)
        if found is None:
            return False
        self._remove(name, found, depth)
        with telling("remove", self._name(name)):
            os.fsync(self.descriptor)
        return True

    def _remove(self, name: str, found: os.stat_result, depth: int) -> None:
        path = self._name(name)
        if not stat.S_ISDIR(found.st_mode):
            with telling("remove", path), suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.descriptor)
            return
        if depth == 0:
            raise GuestError("too many folders in one another", path=path)
        with self.enter(name) as inner:
            if inner.status().st_dev != self.status().st_dev:
                raise GuestError("something is mounted here", path=path)
            for below in inner.list():
                lower = inner.stat(below)
                if lower is not None:
                    inner._remove(below, lower, depth - 1)
        with telling("remove", path):
            os.rmdir(name, dir_fd=self.descriptor)

    def empty(self, name: str) -> bool:
        """Take all content from the file `name`, which whoever has it open goes on writing; False if it had none.

        A symlink is refused, and a file of several names only loses this one: another may be a file that is not a log.
        """
        path, found = self._name(name), self.stat(name)
        if found is None or found.st_size == 0:
            return False
        if not stat.S_ISREG(found.st_mode):
            raise GuestError("not a plain file", path=path)
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with telling("empty", path), os.fdopen(os.open(name, flags, dir_fd=self.descriptor), "wb") as file:
            opened = os.fstat(file.fileno())
            if not stat.S_ISREG(opened.st_mode):
                raise GuestError("not a plain file", path=path)
            if opened.st_nlink == 1:
                file.truncate(0)
                os.fsync(file.fileno())
                return True
        return self.remove(name)


def open_folder(system: System, path: str) -> Folder:
    """Open the folder at `path` of the guest, step by step from the root. Raises GuestError.

    A symlink on the way is followed where only root can have put it (an image may keep /home elsewhere), else refused.
    """
    with telling("enter", "/"):
        trail = [Folder(system, os.open(system.root, OPEN_FOLDER), "/")]
    try:
        todo = [part for part in path.split("/") if part not in ("", ".")]
        links = 0
        while todo:
            part = todo.pop(0)
            if part == "..":
                if len(trail) > 1:
                    trail.pop().__exit__()
                continue
            found = trail[-1].stat(part)
            if found is None or not stat.S_ISLNK(found.st_mode):
                trail.append(trail[-1].enter(part))
                continue
            links += 1
            if links > LINKS_LIMIT or not is_trusted(trail[-1].status()) or found.st_uid not in (0, os.geteuid()):
                raise GuestError(IN_THE_WAY, path=trail[-1]._name(part))
            target = trail[-1].readlink(part)
            while target.startswith("/") and len(trail) > 1:
                trail.pop().__exit__()
            todo[:0] = [piece for piece in target.split("/") if piece not in ("", ".")]
        return trail.pop()
    finally:
        for folder in trail:
            folder.__exit__()


def is_trusted(found: os.stat_result) -> bool:
    """Can nobody but root (and who runs this) change what lies in a folder?"""
    writable = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    return found.st_uid in (0, os.geteuid()) and not writable


def owns(found: os.stat_result, owner: Owner) -> bool:
    """Does this file belong to `owner`?"""
    return (found.st_uid, found.st_gid) == tuple(owner)


def settle(descriptor: int, mode: int, owner: Owner) -> bool:
    """Give an open file a mode and, as root, an owner; True if that changed anything."""
    found = os.fstat(descriptor)
    moved = os.geteuid() == 0 and not owns(found, owner)
    if moved:
        os.fchown(descriptor, owner.uid, owner.gid)
    if not moved and stat.S_IMODE(found.st_mode) == mode:
        return False
    os.fchmod(descriptor, mode)
    return True


@contextmanager
def telling(verb: str, path: str) -> "Iterator[None]":
    """What the kernel refuses is an expected failure that says which file it was."""
    try:
        yield
    except OSError as error:
        raise broken(verb, path, error) from error
