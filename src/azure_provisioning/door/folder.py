"""A folder of the guest that is held open: what lies in it is reached by descriptor, and never through a symlink.

For places that a user of the guest may write to, such as his home. On a VM that was captured from another one he can
be at work while we are, and swap a folder that we looked at for a link to one of root's.
"""

import os
import stat
from collections import namedtuple
from contextlib import contextmanager

from ..errors import GuestError
from .attributes import copy_attributes, mount_of
from .files import fill, spare_name
from .system import System
from .tree import FILE_LIMIT, Place, broken, check_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Optional

FOLDER = os.O_RDONLY | os.O_DIRECTORY
DEPTH_LIMIT = 32  # of a tree that is removed


class Owner(namedtuple("Owner", "uid gid")):
    """Whom a file belongs to. Who is not root gives nothing away: what he makes stays his own."""

    __slots__ = ()

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

    def at(self, name: str) -> Place:
        """The place of a name in it. Raises GuestError for what is no name of a file."""
        if not name or "/" in name or name in (".", ".."):
            raise GuestError("not the name of a file", name=ascii(name))
        check_path(name)
        path = self.path.rstrip("/") + "/" + name
        self.system.spend(path)
        self.system.look(path)
        return Place(self.descriptor, name, path, shared=True)

    # -- questions ------------------------------------------------------------------------------------------------

    def status(self) -> os.stat_result:
        """Mode and owner of the folder itself."""
        with telling("look at", self.path):
            return os.fstat(self.descriptor)

    def stat(self, name: str) -> "Optional[os.stat_result]":
        """What lies at `name`, be it a symlink; None if nothing does."""
        place = self.at(name)
        with telling("look at", place.path):
            try:
                return place.stat()
            except FileNotFoundError:
                return None

    def list(self) -> "List[str]":
        """The names in it, sorted."""
        self.system.look(self.path, whole=True)
        with telling("list", self.path):
            names = os.listdir(self.descriptor)
        self.system.spend(self.path, len(names))
        return sorted(names)

    def readlink(self, name: str) -> str:
        """The text of a symlink."""
        place = self.at(name)
        with telling("read", place.path):
            return os.readlink(name, dir_fd=self.descriptor)

    def enter(self, name: str) -> "Folder":
        """Open the folder `name`; a symlink is refused."""
        place = self.at(name)
        with telling("enter", place.path):
            return Folder(self.system, place.open(FOLDER), place.path)

    def read(self, name: str, limit: int = FILE_LIMIT) -> "Optional[bytes]":
        """The content of a regular file; None if nothing is there.

        A symlink is refused, and so is a file of several names: it may be a hard link to one that is not this user's.
        """
        place = self.at(name)
        self.system.look(place.path, whole=True)
        with telling("read", place.path):
            try:
                descriptor = place.open_regular(os.O_RDONLY)
            except FileNotFoundError:
                return None
            if descriptor is None:
                raise GuestError("not a plain file", path=place.path)
            with os.fdopen(descriptor, "rb") as file:
                if os.fstat(descriptor).st_nlink != 1:
                    raise GuestError("not a plain file", path=place.path)
                data = file.read(limit + 1)
        self.system.spend(place.path, size=len(data))
        if len(data) > limit:
            raise GuestError("file too large", path=place.path, limit=limit)
        return data

    # -- changes --------------------------------------------------------------------------------------------------

    def own(self, mode: int, owner: Owner) -> bool:
        """Give the folder itself a mode and an owner; True if that changed anything."""
        with telling("change", self.path):
            return settle(self.descriptor, mode, owner)

    def make(self, name: str, mode: int, owner: Owner) -> "Folder":
        """Make the folder `name` and open it; one that is there is opened as it is."""
        place = self.at(name)
        with telling("make the folder", place.path):
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
        place = self.at(name)
        old = self.stat(name)
        if old is not None and self.read(name, limit=max(FILE_LIMIT, len(data))) == data:
            if stat.S_IMODE(old.st_mode) == mode and (owns(old, owner) or os.geteuid() != 0):
                return False
        spare = self.at(spare_name(name))
        with telling("write", place.path):
            self.remove(spare.name)
            with os.fdopen(spare.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
                if old is not None:
                    copy_attributes(place, file.fileno())
                settle(file.fileno(), mode, owner)
                fill(file, data)
            self.rename(spare.name, name)
        return True

    def link(self, name: str, target: str, owner: Owner) -> None:
        """Make `name` a symlink to `target`."""
        with telling("link", self.at(name).path):
            os.symlink(target, name, dir_fd=self.descriptor)
            if os.geteuid() == 0:
                os.chown(name, owner.uid, owner.gid, dir_fd=self.descriptor, follow_symlinks=False)

    def rename(self, old: str, new: str) -> None:
        """Give `old` the name `new`, in one step and for good. An empty folder may be in the way."""
        with telling("write", self.at(new).path):
            os.rename(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
            os.fsync(self.descriptor)

    def remove(self, name: str, depth: int = DEPTH_LIMIT) -> bool:
        """Remove what lies at `name` and all below it, for good; True if anything did. What is mounted there stays."""
        found = self.stat(name)
        if found is None:
            return False
        self.system.guard(self.descriptor, self.path)
        self._remove(name, found, depth)
        with telling("remove", self.at(name).path):
            os.fsync(self.descriptor)
        return True

    def _remove(self, name: str, found: os.stat_result, depth: int) -> None:
        place = self.at(name)
        if not stat.S_ISDIR(found.st_mode):
            with telling("remove", place.path):
                place.remove()
            return
        if depth == 0:
            raise GuestError("too many folders in one another", path=place.path)
        with self.enter(name) as inner:
            if mount_of(inner.descriptor) != mount_of(self.descriptor):
                raise GuestError("something is mounted here", path=place.path)
            for below in inner.list():
                lower = inner.stat(below)
                if lower is not None:
                    inner._remove(below, lower, depth - 1)
        with telling("remove", place.path):
            os.rmdir(name, dir_fd=self.descriptor)

    def empty(self, name: str) -> bool:
        """Take all content from the file `name`, which whoever has it open goes on writing; False if it had none.

        A symlink is refused, and a file of several names only loses this one: another may be a file that is not a log.
        A file that something is mounted on is refused: it is not this folder's.
        """
        place, found = self.at(name), self.stat(name)
        if found is None or found.st_size == 0:
            return False
        self.system.guard(self.descriptor, self.path)
        with telling("empty", place.path):
            descriptor = place.open_regular(os.O_WRONLY)
            if descriptor is None:
                raise GuestError("not a plain file", path=place.path)
            with os.fdopen(descriptor, "wb") as file:
                if mount_of(descriptor) != mount_of(self.descriptor):
                    raise GuestError("something is mounted here", path=place.path)
                if os.fstat(descriptor).st_nlink == 1:
                    file.truncate(0)
                    os.fsync(descriptor)
                    return True
        return self.remove(name)


def open_folder(system: System, path: str) -> Folder:
    """Open the folder at `path` of the guest, step by step from the root. Raises GuestError.

    A symlink on the way is followed where only root can have put it (an image may keep /home elsewhere), else refused.
    """
    with telling("enter", path), system.reach(path, wary=True) as place:
        return Folder(system, place.open(FOLDER), place.path)


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
