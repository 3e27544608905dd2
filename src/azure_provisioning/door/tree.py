"""Reads the guest's files: the part of `System` that a settled boot needs.

A guest is the running machine (root `/`) or a mounted image. Paths are always paths in the guest. Symlinks are followed
inside the root, so that an absolute one in an image never leads out of it.

The owner of a folder can replace its entries while we read. So the kernel never gets a whole path: each folder on the
way is opened relative to its parent, and never through a symlink (see `Tree.reach`). openat2(2) could do that in one
call, but only with ctypes, which minimal Pythons lack and which takes longer to load than it would save.
"""

import errno
import os
import stat

from ..errors import GuestError, LoopError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional

    from .budget import Budget

USUAL = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
SEARCH = USUAL + ("/run/wrappers/bin", "/run/current-system/sw/bin", "/run/current-system/profile/bin")  # NixOS, Guix
FILE_LIMIT = 1 << 20  # bytes; on a healthy system no file that is read whole is larger
LINKS_LIMIT = 40  # as the kernel's
STEPS_LIMIT = 1024  # folders entered for one path; the kernel's longest path has twice as many
ABSENT = (errno.ENOENT, errno.ENOTDIR)
ROOT = (0, 0)  # uid and gid of files that are wholly ours

ENTER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC  # needs no permission to list the folder
# Do not follow a symlink, do not wait for the other end of a pipe, do not acquire a controlling terminal.
CAREFUL = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Place:
    """A name in an open folder of the guest; `path` is its path in the guest, without symlinks on the way.

    Methods raise OSError. A context manager, which closes the folder.
    """

    def __init__(self, folder: "Optional[int]", name: str, path: str, *, shared: bool = False) -> None:
        self._folder = folder
        self.name = name
        self.path = path
        self._shared = shared  # the folder belongs to another object, which closes it

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None and not self._shared:
            os.close(self._folder)
        self._folder = None

    @property
    def folder(self) -> int:
        """The descriptor of the folder. Raises FileNotFoundError if there is no such folder."""
        if self._folder is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._folder

    def beside(self, name: str) -> "Place":
        """Another name in the same folder, which this object keeps open."""
        return Place(self.folder, name, os.path.join(os.path.dirname(self.path), name), shared=True)

    def stat(self) -> os.stat_result:
        """The status of the file, of a symlink itself."""
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)

    def open(self, flags: int, mode: int = 0o600) -> int:
        """Open the file; returns the descriptor. A symlink is refused, and a pipe or device is not waited for."""
        return os.open(self.name, flags | CAREFUL, mode, dir_fd=self.folder)

    def open_regular(self, flags: int) -> "Optional[int]":
        """Open a regular file; None for anything else.

        Checked before, because opening some devices has side effects, and after, because it may have been replaced.
        """
        if not stat.S_ISREG(self.stat().st_mode):
            return None
        descriptor = self.open(flags)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        return None

    def remove(self) -> None:
        """Remove the file or symlink if it exists."""
        try:
            os.unlink(self.name, dir_fd=self.folder)
        except OSError as error:
            if error.errno not in ABSENT:
                raise

    def sync(self) -> None:
        """Make the names in the folder durable."""
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.folder)
        try:
            os.fsync(folder)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some file systems (FUSE) have no fsync for folders
                raise
        finally:
            os.close(folder)


class Tree:
    """One guest, for reading."""

    budget: "Optional[Budget]" = None  # limits the work, if set

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.realpath(root)
        self.called = self.root  # in messages: a scratch copy has the name of its image
        self._top: "Optional[int]" = None

    def __del__(self) -> None:
        if getattr(self, "_top", None) is not None:
            os.close(self._top)  # type: ignore[arg-type]

    # -- where ----------------------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Is this the running machine, not an image or a chroot on another one? Without /proc: no."""
        if self.root != "/":
            return False
        try:
            first, here = os.stat("/proc/1/root/."), os.stat("/.")
        except OSError:
            return False
        return (first.st_dev, first.st_ino) == (here.st_dev, here.st_ino)

    @property
    def top(self) -> int:
        """The root, opened once: the owner of a folder above it might replace that one too. Raises OSError."""
        if self._top is None:
            self._top = os.open(self.root, ENTER)
        return self._top

    def reach(self, path: str, *, follow: bool = True, wary: bool = False) -> Place:
        """The place of `path`, with its folder opened step by step from the root.

        `follow`: also follow a symlink at the end. `wary`: do not follow a symlink that anybody but root and the
        running user may have made. Raises GuestError for an invalid path and for too many links or folders, and OSError
        for a folder that may not be entered. A missing folder raises an error only when the place is used.
        """
        check_path(path)
        todo = split(path)
        here, inside = self.top, ""
        steps = links = 0
        try:
            while todo or inside:
                steps += 1
                self.spend(path)
                if steps > STEPS_LIMIT:
                    raise GuestError("too many folders on the way", path=path, limit=STEPS_LIMIT)
                part = todo.pop() if todo else "."
                if part in (".", ".."):  # "." is added at the end of a symlink to its own folder
                    # Start again from the root with the resolved names, so that only one folder is open at a time.
                    todo += split(inside if part == "." else os.path.dirname(inside))
                    left, here, inside = here, self.top, ""
                    self._leave(left)  # only when `here` is another: a signal may end this between any two steps
                    continue
                below = inside + "/" + part
                self.look(below)
                target = lower = None
                if todo or follow:
                    target, lower = step(here, part, enter=bool(todo))
                if target is not None:
                    links += 1
                    if wary and (links > LINKS_LIMIT or not is_trusted(here, part)):
                        raise GuestError(IN_THE_WAY, path=below)
                    if links > LINKS_LIMIT:
                        raise LoopError("too many levels of symbolic links", path=path)
                    todo += split(target)
                    if target.startswith("/"):
                        left, here, inside = here, self.top, ""
                        self._leave(left)
                elif lower is not None:
                    left, here, inside = here, lower, below
                    self._leave(left)
                elif todo:  # there is no such folder, hence no symlink further on
                    missing = os.path.normpath("/".join([below] + todo[::-1]))
                    return Place(None, os.path.basename(missing), missing)
                else:
                    place = Place(here, part, below, shared=here == self.top)
                    here = self.top  # the place closes the folder
                    return place
            return Place(self.top, ".", "/", shared=True)
        finally:
            self._leave(here)

    def _leave(self, folder: int) -> None:
        """Close an entered folder, but never the root."""
        if folder != self.top:
            os.close(folder)

    def spend(self, path: str, steps: int = 1, size: int = 0) -> None:
        """Count work on `path`. Raises GuestError if it exceeds the budget."""
        if self.budget is not None:
            self.budget.spend(path, steps, size)

    def look(self, path: str, *, whole: bool = False) -> None:
        """Called before `path`, without symlinks, is examined; with `whole` before it is read or listed.

        A scratch copy fetches files here as they are needed; a guest has its files already.
        """

    def path(self, path: str, *, follow: bool = True) -> str:
        """The path on the host of `path` in the guest, for comparisons and messages: do not open it."""
        try:
            with self.reach(path, follow=follow) as place:
                return self.root.rstrip("/") + place.path if place.path != "/" else self.root
        except OSError as error:
            raise broken("read file", path, error) from error

    # -- questions ------------------------------------------------------------------------------------------------

    def stat(self, path: str, *, follow: bool = True) -> "Optional[os.stat_result]":
        """The status of `path`, or None. Raises GuestError if it is unknown, in a folder that may not be entered."""
        try:
            with self.reach(path, follow=follow) as place:
                return place.stat()
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise broken("read file", path, error) from error

    def exists(self, path: str) -> bool:
        """Does the file exist, with all symlinks followed?"""
        return self.stat(path) is not None

    def is_link(self, path: str) -> bool:
        """Is `path` a symlink, whatever its target?"""
        return self.readlink(path) is not None

    def is_dir(self, path: str) -> bool:
        """Is it a folder, with all symlinks followed?"""
        found = self.stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def is_program(self, path: str) -> bool:
        """Is it a regular file that somebody may execute, with all symlinks followed?"""
        found = self.stat(path)
        return found is not None and stat.S_ISREG(found.st_mode) and bool(found.st_mode & 0o111)

    def list(self, path: str) -> "List[str]":
        """The names in the folder at `path`, sorted; empty if there is no such folder."""
        try:
            with self.reach(path) as place:
                self.look(place.path, whole=True)
                folder = place.open(os.O_RDONLY | os.O_DIRECTORY)
                try:
                    names = os.listdir(folder)
                finally:
                    os.close(folder)
        except OSError as error:
            if error.errno in ABSENT:
                return []
            raise broken("list folder", path, error) from error
        self.spend(path, len(names))
        return sorted(names)

    def readlink(self, path: str) -> "Optional[str]":
        """The text of the symlink at `path`; None if it is not a symlink."""
        try:
            with self.reach(path, follow=False) as place:
                return os.readlink(place.name, dir_fd=place.folder)
        except OSError as error:
            if error.errno in ABSENT + (errno.EINVAL,):  # the last: not a symlink
                return None
            raise broken("read file", path, error) from error

    def attributes(self, path: str) -> "List[str]":
        """The names of the extended attributes of the file or folder at `path`; empty if it has none."""
        try:
            with self.reach(path) as place:
                if stat.S_IFMT(place.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
                    return []
                descriptor = place.open(os.O_RDONLY)
                try:
                    return list_attributes(descriptor)
                finally:
                    os.close(descriptor)
        except OSError:
            return []

    def chain(self, path: str) -> "List[str]":
        """`path` and the targets of the symlinks at its end, one after another, as paths in the guest."""
        steps = [path]
        while len(steps) <= LINKS_LIMIT:
            target = self.readlink(steps[-1])
            if target is None:
                break
            steps.append(os.path.normpath(os.path.join(os.path.dirname(steps[-1]), target)))
        return steps

    def find_program(self, *names: str) -> "Optional[str]":
        """The first of `names` that the guest can run: an absolute path, or a name in the usual folders."""
        for name in names:
            for path in [name] if name.startswith("/") else [folder + "/" + name for folder in SEARCH]:
                if self.is_program(path):
                    return path
        return None

    def read(self, path: str, limit: int = FILE_LIMIT, *, head: bool = False, follow: bool = True) -> "Optional[bytes]":
        """The content of the regular file at `path`; None if there is none.

        Raises GuestError if it is not a regular file, may not be read, or has more than `limit` bytes; with `head` a
        larger file gives its first `limit` bytes.
        """
        try:
            with self.reach(path, follow=follow) as place:
                self.look(place.path, whole=True)
                descriptor = place.open_regular(os.O_RDONLY)
                if descriptor is None:
                    raise GuestError("not a regular file", path=path)
                with open(descriptor, "rb") as file:
                    data = file.read(limit + (0 if head else 1))
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise broken("read file", path, error) from error
        self.spend(path, size=len(data))
        if len(data) > limit:
            raise GuestError("file too large", path=path, limit=limit)
        return data

    def read_text(self, path: str) -> "Optional[str]":
        """The content as text. Bytes that are not UTF-8 survive a `write` of the same text."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8", "surrogateescape")


IN_THE_WAY = "a symlink is in the way"


def no_attributes(_descriptor: int) -> "List[str]":
    """For a CPython before 3.11.3 built with musl (Alpine, Void), which has no extended attributes."""
    return []


list_attributes: "Callable[[int], List[str]]" = getattr(os, "listxattr", no_attributes)


def split(path: str) -> "List[str]":
    """The names in a path, the last first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def step(folder: int, name: str, *, enter: bool) -> "tuple[Optional[str], Optional[int]]":
    """(the target if `name` in an open folder is a symlink, its descriptor if it is a folder to enter).

    Both None for a file, or if nothing is there. Raises OSError.
    """
    if enter:
        try:
            return None, os.open(name, ENTER, dir_fd=folder)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None, None
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
    try:
        return os.readlink(name, dir_fd=folder), None
    except OSError as error:
        if error.errno not in ABSENT + (errno.EINVAL,):  # the last: not a symlink
            raise
    return None, None


def is_trusted(folder: int, link: str) -> bool:
    """Can only root and the running user have put the symlink `link` into an open folder?"""
    return only_root_writes(os.fstat(folder)) and os.stat(link, dir_fd=folder, follow_symlinks=False).st_uid in (
        0,
        os.geteuid(),
    )


def only_root_writes(found: os.stat_result) -> bool:
    """Can only root and the running user change the entries of a folder, or at least those of others?"""
    writable = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    return found.st_uid in (0, os.geteuid()) and not writable


def check_path(path: str) -> None:
    """Raises GuestError for an invalid path: the guest's files name other files, and may contain anything."""
    try:
        fit = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # 3.6: only with LC_ALL=C
        fit = False
    if not fit:
        raise GuestError("not a path", path=ascii(path))


def broken(verb: str, path: str, error: OSError) -> GuestError:
    """The error for a failed action on `path`, with the kernel's message."""
    return GuestError("failure to %s" % verb, path=path, error=error.strerror or str(error))
