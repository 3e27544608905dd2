"""An open folder of the guest: its files are reached by descriptor, and never through a symlink.

For folders that a user of the guest may write to, such as a home. On a VM made from a captured image the user may run
programs at the same time, and replace a folder that we checked with a symlink to one of root's.
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
DEPTH_LIMIT = 32  # of a folder that is removed


class Owner(namedtuple("Owner", "uid gid")):
    """The owner of a file. Only root can change one: what another user makes stays that user's."""

    __slots__ = ()

    uid: int
    gid: int


ROOT = Owner(0, 0)


class Folder:
    """One open folder; `path` is its path in the guest. Every method takes a name in it, and raises GuestError."""

    def __init__(self, system: System, descriptor: int, path: str) -> None:
        self.system = system
        self.descriptor = descriptor
        self.path = path

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def at(self, name: str) -> Place:
        """The place of a name in it. Raises GuestError for an invalid file name."""
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
        """The status of `name`, of a symlink itself; None if nothing is there."""
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

        A symlink is refused, and so is a file with several names: it may be a hard link to another user's file.
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
        """Set the mode and owner of the folder itself; True if that changed anything."""
        with telling("change", self.path):
            return settle(self.descriptor, mode, owner)

    def make(self, name: str, mode: int, owner: Owner) -> "Folder":
        """Make the folder `name` and open it; an existing one is opened unchanged."""
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
        """Put `data` at `name`, whole or not at all; True if that changed anything. An existing symlink is refused."""
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
        """Rename `old` to `new` in one step, and wait for the disk. May replace an empty folder."""
        with telling("write", self.at(new).path):
            os.rename(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
            os.fsync(self.descriptor)

    def remove(self, name: str, depth: int = DEPTH_LIMIT) -> bool:
        """Remove `name` and everything below it, and wait for the disk; True if it existed. Raises at a mount point."""
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
            raise GuestError("too many nested folders", path=place.path)
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
        """Truncate the file `name`, so that programs can go on writing to it; False if it was empty or missing.

        A symlink is refused. Of a file with several names only this name is removed: the others may belong to a file
        that is not a log. A file on which something is mounted is refused: it does not belong to this folder.
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

    A symlink on the way is followed only if root made it (an image may keep /home elsewhere), else refused.
    """
    with telling("enter", path), system.reach(path, wary=True) as place:
        return Folder(system, place.open(FOLDER), place.path)


def owns(found: os.stat_result, owner: Owner) -> bool:
    """Does this file belong to `owner`?"""
    return (found.st_uid, found.st_gid) == tuple(owner)


def settle(descriptor: int, mode: int, owner: Owner) -> bool:
    """Set the mode and, as root, the owner of an open file; True if that changed anything."""
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
    """Turn an error of the kernel into a GuestError that names the file."""
    try:
        yield
    except OSError as error:
        raise broken(verb, path, error) from error
