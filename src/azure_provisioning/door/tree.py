"""The guest's files as they are: the reading half of `System`, which is all that a Ready VM's boot needs.

A guest is the running machine (root `/`) or an image that is mounted somewhere. Paths are always those that the guest
itself would use; symlinks are followed inside the root, so that an absolute one in an image never leads out of it.

Whoever owns a folder can swap what is in it while we look. So no path is handed to the kernel as a whole: each folder
on the way is opened in the one before it, and never through a symlink (see `Tree.reach`). openat2(2) could do that in
one call, but only by ctypes, which small Pythons lack and which takes longer to load than it would save.
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
FILE_LIMIT = 1 << 20  # bytes; no file that is read whole is larger on a healthy system
LINKS_LIMIT = 40  # as the kernel's
STEPS_LIMIT = 1024  # folders that are entered for one path; a path of the kernel's longest has twice as many
ABSENT = (errno.ENOENT, errno.ENOTDIR)
ROOT = (0, 0)  # uid and gid of what is wholly ours

ENTER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC  # needs no right to list the folder
# Neither follow a link, nor wait for the other end of a pipe, nor become the owner of a terminal.
CAREFUL = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Place:
    """A name in an open folder of the guest; `path` is how the guest calls it, with no symlink on the way.

    Methods raise OSError. A context manager: at its end the folder is closed.
    """

    def __init__(self, folder: "Optional[int]", name: str, path: str, *, shared: bool = False) -> None:
        self._folder = folder
        self.name = name
        self.path = path
        self._shared = shared  # with others, who close it

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
        """Another name in the same folder, for as long as this one holds it open."""
        return Place(self.folder, name, os.path.join(os.path.dirname(self.path), name), shared=True)

    def stat(self) -> os.stat_result:
        """What lies here, be it a symlink."""
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)

    def open(self, flags: int, mode: int = 0o600) -> int:
        """Open what lies here; returns the descriptor. A symlink is refused, and a pipe or device is not waited for."""
        return os.open(self.name, flags | CAREFUL, mode, dir_fd=self.folder)

    def open_regular(self, flags: int) -> "Optional[int]":
        """Open the regular file that lies here, and nothing else: None for what is none.

        Looked at before, because opening some devices does something, and after, because it may have been swapped.
        """
        if not stat.S_ISREG(self.stat().st_mode):
            return None
        descriptor = self.open(flags)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        return None

    def remove(self) -> None:
        """Remove the file or symlink that lies here, if any does."""
        try:
            os.unlink(self.name, dir_fd=self.folder)
        except OSError as error:
            if error.errno not in ABSENT:
                raise

    def sync(self) -> None:
        """Make the names in the folder as durable as what they name."""
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.folder)
        try:
            os.fsync(folder)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some file systems (FUSE) know no fsync of a folder
                raise
        finally:
            os.close(folder)


class Tree:
    """One guest, to be looked at."""

    budget: "Optional[Budget]" = None  # how much work that may be, if there is a limit

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.realpath(root)
        self.called = self.root  # in a message: a scratch copy goes by the name of its image
        self._top: "Optional[int]" = None

    def __del__(self) -> None:
        if getattr(self, "_top", None) is not None:
            os.close(self._top)  # type: ignore[arg-type]

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

    @property
    def top(self) -> int:
        """The root, opened once: whoever owns a folder above it may swap that one too. Raises OSError."""
        if self._top is None:
            self._top = os.open(self.root, ENTER)
        return self._top

    def reach(self, path: str, *, follow: bool = True, wary: bool = False) -> Place:
        """The place that `path` names, with its folder opened step by step from the root.

        `follow`: also through a symlink in the last place. `wary`: not through a symlink that anybody but root, and who
        runs this, may have put there. Raises GuestError for what is no path and for too many links or folders, and
        OSError for a folder that may not be entered. A folder that does not exist is found out when the place is used.
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
                if part in (".", ".."):  # the former at the end of a link to the folder that it lies in
                    # By the names that were found to be folders, from the root: only one folder is open at a time.
                    todo += split(inside if part == "." else os.path.dirname(inside))
                    left, here, inside = here, self.top, ""
                    self._leave(left)  # once it is no longer `here`: a signal may end this between any two steps
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
                elif todo:  # there is no such folder, hence no link further on
                    missing = os.path.normpath("/".join([below] + todo[::-1]))
                    return Place(None, os.path.basename(missing), missing)
                else:
                    place = Place(here, part, below, shared=here == self.top)
                    here = self.top  # it is the place's to close
                    return place
            return Place(self.top, ".", "/", shared=True)
        finally:
            self._leave(here)

    def _leave(self, folder: int) -> None:
        """Close a folder that was entered, but never the root."""
        if folder != self.top:
            os.close(folder)

    def spend(self, path: str, steps: int = 1, size: int = 0) -> None:
        """Count work on `path`. Raises GuestError if it is too much."""
        if self.budget is not None:
            self.budget.spend(path, steps, size)

    def look(self, path: str, *, whole: bool = False) -> None:
        """Called before `path`, which has no symlink in it, is looked at, and with `whole` before it is read or listed.

        For a scratch copy that is filled as it is looked at; a guest has its files.
        """

    def path(self, path: str, *, follow: bool = True) -> str:
        """Where `path` of the guest lies on this machine: to be compared or shown, and not to be opened."""
        try:
            with self.reach(path, follow=follow) as place:
                return self.root.rstrip("/") + place.path if place.path != "/" else self.root
        except OSError as error:
            raise broken("read file", path, error) from error

    # -- questions ------------------------------------------------------------------------------------------------

    def stat(self, path: str, *, follow: bool = True) -> "Optional[os.stat_result]":
        """What lies at `path`, or None. Raises GuestError if that cannot be known (a folder one may not enter)."""
        try:
            with self.reach(path, follow=follow) as place:
                return place.stat()
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise broken("read file", path, error) from error

    def exists(self, path: str) -> bool:
        """Is there anything at the end of `path`, through all symlinks?"""
        return self.stat(path) is not None

    def is_link(self, path: str) -> bool:
        """Is there a symlink at `path`, wherever it leads?"""
        return self.readlink(path) is not None

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
        """The text of the symlink at `path`; None if there is none."""
        try:
            with self.reach(path, follow=False) as place:
                return os.readlink(place.name, dir_fd=place.folder)
        except OSError as error:
            if error.errno in ABSENT + (errno.EINVAL,):  # the last: something else
                return None
            raise broken("read file", path, error) from error

    def attributes(self, path: str) -> "List[str]":
        """The names of the extended attributes of the file or folder at `path`; none where there are no such."""
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

    def read(self, path: str, limit: int = FILE_LIMIT, *, head: bool = False, follow: bool = True) -> "Optional[bytes]":
        """The content of the regular file at `path`; None if there is none.

        Raises GuestError for what is no regular file, may not be read, or has more than `limit` bytes; with `head` a
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
        """The content as text. Bytes that are no UTF-8 survive a `write` of the same text."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8", "surrogateescape")


IN_THE_WAY = "a symlink is in the way"


def no_attributes(_descriptor: int) -> "List[str]":
    """What a CPython before 3.11.3 knows of extended attributes where it was built with musl (Alpine, Void)."""
    return []


list_attributes: "Callable[[int], List[str]]" = getattr(os, "listxattr", no_attributes)


def split(path: str) -> "List[str]":
    """The names in a path, the last first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def step(folder: int, name: str, *, enter: bool) -> "tuple[Optional[str], Optional[int]]":
    """(the target if `name` in an open folder is a symlink, its descriptor if it is to be entered and is a folder).

    Neither if it is a file, or nothing. Raises OSError.
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
    """Can nobody but root, and who runs this, have put the symlink `link` into an open folder?"""
    return only_root_writes(os.fstat(folder)) and os.stat(link, dir_fd=folder, follow_symlinks=False).st_uid in (
        0,
        os.geteuid(),
    )


def only_root_writes(found: os.stat_result) -> bool:
    """Can nobody but root, and who runs this, change what lies in a folder, or at least not what others put there?"""
    writable = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    return found.st_uid in (0, os.geteuid()) and not writable


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
