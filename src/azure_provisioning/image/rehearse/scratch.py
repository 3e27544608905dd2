"""A scratch copy of an image, filled as it is read: the image is not changed, and only files that are used are copied.
A folder that is listed has all its names; a file that is not read has only its size and mode.
"""

import hashlib
import os
import stat
from typing import Dict, Iterator, NamedTuple, Optional, Set, Tuple

from ...door.system import System
from ...door.tree import Tree, broken
from ...errors import GuestError

# Empty at a boot; in a mounted image they are often the build machine's own.
VOLATILE = ("/dev", "/proc", "/run", "/sys", "/tmp")  # noqa: S108
CONTENT_LIMIT = 16 << 20  # bytes of one file: the highest limit of all readers
SIZE_LIMIT = 1 << 30  # apparent bytes of a file, which takes no space
NAMES_LIMIT = 100000  # in one folder
DEPTH_LIMIT = 200  # nested folders: reading and removing the copy is recursive
NAME_SHOWN = 80  # characters of such a path in a message
COPY_STEPS = 10  # of a budget: copying a file takes this many times as long as reading its status


class Thing(NamedTuple):
    """A file, folder or link at a path."""

    mode: int  # with the type, as in lstat
    owner: Tuple[int, int]  # uid and gid
    content: bytes  # of a file, or the target of a link


class Scratch(System):
    """The copy of `image` in the empty folder `host_path`, which may be changed in any way."""

    def __init__(self, image: Tree, host_path: str) -> None:
        super().__init__(host_path)
        self.image = image
        self.called = image.root
        if os.geteuid() == 0:  # the owner of the whole image counts as root (door/rights.py)
            found = os.stat(image.root)
            os.chown(host_path, found.st_uid, found.st_gid)
        self._folders = {"/"}  # real folders in the image, so that no symlink is on the way to their entries
        self._brought: Dict[str, Tuple[int, ...]] = {"/": self._look("/")}
        self._listed: Set[str] = set()
        self._filled: Set[str] = set()

    # -- copying ------------------------------------------------------------------------------------------------------

    def look(self, path: str, *, whole: bool = False) -> None:
        """As in Tree: copy what is at `path` (without symlinks on the way), with `whole` including its content."""
        parent = os.path.dirname(path)
        if path.count("/") > DEPTH_LIMIT:
            raise GuestError("too many nested folders", path=path[:NAME_SHOWN], limit=DEPTH_LIMIT)
        if path not in self._brought and parent in self._folders and path not in VOLATILE:
            found = self.image.stat(path, follow=False)
            if found is None:
                return
            self._copy(path, found)
        if whole and path in self._folders:
            self._bring_names(path)
        elif whole and path in self._brought and path not in self._filled:
            self._fill(path)

    def _host_path(self, path: str) -> str:
        return self.root + path.rstrip("/")

    def _copy(self, path: str, found: os.stat_result) -> None:
        """Make a stand-in: with the type, mode and size, and as root the owner, but without content."""
        self.spend(path, COPY_STEPS)
        host_path, mode = self._host_path(path), stat.S_IMODE(found.st_mode)
        try:
            if stat.S_ISDIR(found.st_mode):
                os.mkdir(host_path)
                self._folders.add(path)
                mode |= 0o700
            elif stat.S_ISLNK(found.st_mode):
                os.symlink(self.image.readlink(path) or "", host_path)
            elif stat.S_ISREG(found.st_mode):
                os.close(os.open(host_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                os.truncate(host_path, min(found.st_size, SIZE_LIMIT))
                mode = mode & 0o1777 | 0o400  # no setuid program of an image on this machine
            else:
                os.mkfifo(host_path)  # stands for a device or the like, and is never opened
            if os.geteuid() == 0:
                os.chown(host_path, found.st_uid, found.st_gid, follow_symlinks=False)
            if not stat.S_ISLNK(found.st_mode):
                os.chmod(host_path, mode)
                os.utime(host_path, ns=(found.st_atime_ns, found.st_mtime_ns))
        except OSError as error:
            raise broken("copy file", path, error) from error
        self._brought[path] = self._look(path)

    def _fill(self, path: str) -> None:
        """Give a stand-in the content of the file in the image."""
        if not stat.S_ISREG(self._brought[path][1]) or not os.path.lexists(self._host_path(path)):
            return
        if self._look(path) != self._brought[path]:
            return  # changed by the story
        data = self.image.read(path, CONTENT_LIMIT, head=True, follow=False)
        found = self.image.stat(path, follow=False)
        if data is None or found is None:
            return  # it was replaced since: keep the stand-in
        try:
            self.spend(path, size=len(data))
            host_path, mode = self._host_path(path), self._brought[path][1]
            os.chmod(host_path, 0o600)
            with open(host_path, "r+b") as file:
                file.write(data)
            os.chmod(host_path, stat.S_IMODE(mode))
            os.utime(host_path, ns=(found.st_atime_ns, found.st_mtime_ns))
        except OSError as error:
            raise broken("read file", path, error) from error
        self._filled.add(path)
        self._brought[path] = self._look(path)

    def _look(self, path: str) -> Tuple[int, ...]:
        """A fingerprint that changes whenever the file is rewritten."""
        found = os.lstat(self._host_path(path))
        if stat.S_ISDIR(found.st_mode):
            return (found.st_ino, found.st_mode, found.st_uid, found.st_gid)
        return (found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_mtime_ns)

    def _bring_names(self, path: str) -> None:
        """Copy the names in the folder at `path`."""
        if path in self._listed:
            return
        self._listed.add(path)
        names = self.image.list(path)
        if len(names) > NAMES_LIMIT:
            raise GuestError("too many files in a folder", path=path, limit=NAMES_LIMIT)
        for name in names:
            self.look(os.path.join(path, name))

    # -- changes -----------------------------------------------------------------------------------------------------

    def changes(self) -> Iterator[Tuple[str, Optional[Thing], Optional[Thing]]]:
        """(path, state before, state now) for everything that has changed, sorted; VOLATILE is left out."""
        there = set(self._walk())
        for path in sorted((there | set(self._brought)) - {"/"}):
            if path in there and self._brought.get(path) == self._look(path):
                continue
            before, after = None, None
            if path in self._brought:
                _, mode, uid, gid = self._brought[path][:4]
                before = Thing(mode, (uid, gid), self._original(path, mode))
            if path in there:
                _, mode, uid, gid = self._look(path)[:4]
                after = Thing(mode, (uid, gid), content(self._host_path(path), mode))
            if before != after:
                yield path, before, after

    def _walk(self) -> Iterator[str]:
        """The paths of everything in the copy, without VOLATILE."""
        folders = ["/"]
        while folders:
            path = folders.pop()
            for name in os.listdir(self._host_path(path)):
                below = os.path.join(path, name)
                if below in VOLATILE:
                    continue
                yield below
                if stat.S_ISDIR(os.lstat(self._host_path(below)).st_mode):
                    folders.append(below)

    def contents(self) -> Dict[bytes, str]:
        """The files of the image that were read: {digest of the content: path}."""
        found = {}
        for path in sorted(self._filled & set(self._brought), reverse=True):
            found[digest(self._original(path, self._brought[path][1]))] = path
        return found

    def _original(self, path: str, mode: int) -> bytes:
        """The content of a file of the image, or the target of a link."""
        if stat.S_ISLNK(mode):
            return os.fsencode(self.image.readlink(path) or "")
        return (self.image.read(path, CONTENT_LIMIT, head=True, follow=False) or b"") if stat.S_ISREG(mode) else b""


def digest(data: bytes) -> bytes:
    """A hash that stands for the content of a file, to save memory."""
    return hashlib.sha256(data).digest()


def content(host_path: str, mode: int) -> bytes:
    """The content of a file, or the target of a link, at a path on the host."""
    if stat.S_ISLNK(mode):
        return os.fsencode(os.readlink(host_path))
    if not stat.S_ISREG(mode):
        return b""
    with open(os.open(host_path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        return file.read(CONTENT_LIMIT)
