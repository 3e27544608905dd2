"""The guest's files as they are: the reading half of `System`, which is all that a Ready VM's boot needs.

A guest is the running machine (root `/`) or an image that is mounted somewhere. Paths are always those that the guest
itself would use; symlinks are followed inside the root, so that an absolute one in an image never leads out of it.
"""

import errno
import os
import stat

from .errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

USUAL = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
SEARCH = USUAL + ("/run/wrappers/bin", "/run/current-system/sw/bin", "/run/current-system/profile/bin")  # NixOS, Guix
FILE_LIMIT = 1 << 20  # bytes; no file that is read whole is larger on a healthy system
LINKS_LIMIT = 40  # as the kernel's
ABSENT = (errno.ENOENT, errno.ENOTDIR)


class Tree:
    """One guest, to be looked at."""

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.realpath(root)
        self.called = self.root  # in a message: a scratch copy goes by the name of its image

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
        check_path(path)
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
            raise broken("read file", path, error) from error

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
            raise broken("list folder", path, error) from error

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
            raise broken("read file", path, error) from error
        if len(data) > limit:
            raise GuestError("file too large", path=path, limit=limit)
        return data

    def read_text(self, path: str) -> "Optional[str]":
        """The content as text. Bytes that are no UTF-8 survive a `write` of the same text."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8", "surrogateescape")


def check_path(path: str) -> None:
    """Raises GuestError for what the kernel takes for no path: the guest's files name others, and may say anything."""
    try:
        fit = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # 3.6: only with LC_ALL=C
        fit = False
    if not fit:
        raise GuestError("not a path", path=ascii(path))


def broken(verb: str, path: str, error: OSError) -> GuestError:
    """The expected failure of what was to be done to `path`, and what the kernel said."""
    return GuestError("failure to %s" % verb, path=path, error=error.strerror or str(error))
