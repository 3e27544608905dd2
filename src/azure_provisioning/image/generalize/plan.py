"""The changes to a guest: found and shown first, then carried out in the same order.

Every path is reached step by step from the root of the guest, and never through a symlink that a user may have made. A
file may be gone when its turn comes, and every change can be repeated.
"""

import os
import stat
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Callable, Dict, Iterator, List, NamedTuple, Set, Tuple

from ...console import Console
from ...door.files import is_below
from ...door.folder import open_folder
from ...door.system import Mount, System
from ...door.tree import IN_THE_WAY
from ...errors import GuestError, ProvisionError
from ..root import NOT_THE_IMAGES

TREE_DEPTH = 200  # nested folders that are removed; each is open meanwhile
NETWORKED = ("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "glusterfs", "afs")


class Change(NamedTuple):
    """One change."""

    what: str  # "remove /etc/ssh/ssh_host_rsa_key"
    make: Callable[[], object]


class Plan:
    """The changes in order, what could not be examined, and notes for the user."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.changes: "List[Change]" = []
        self.problems: "List[str]" = []
        self.notes: "List[str]" = []
        self._real_paths: "Set[str]" = set()
        self._mounts = find_mounts(system)
        self._reported: "Set[str]" = set()  # the mount points that were reported

    # -- found ----------------------------------------------------------------------------------------------------

    @contextmanager
    def looking(self) -> "Iterator[None]":
        """Record an error as a problem, and continue with the rest.

        Behind a symlink made by a user there is nothing that the image stores itself: that is only noted.
        """
        try:
            yield
        except GuestError as error:
            if self.system.budget is not None:
                self.system.budget.settle()  # too much work is not the problem of one path
            messages = self.notes if error.reason == IN_THE_WAY else self.problems
            messages.append(str(error))

    def look(self, folder: str) -> "List[Tuple[str, os.stat_result]]":
        """(name, status) of the entries of a folder; empty if there is no such folder."""
        found = []
        with self.looking():
            if self.system.is_dir(folder):
                with open_folder(self.system, folder) as opened:
                    for name in opened.list():
                        what = opened.stat(name)
                        if what is not None:
                            found.append((name, what))
        return found

    def files(self, folder: str, *patterns: str) -> "List[str]":
        """The paths of the regular files in a folder whose names match one of the patterns."""
        return [
            join(folder, name)
            for name, what in self.look(folder)
            if stat.S_ISREG(what.st_mode) and any(fnmatchcase(name, pattern) for pattern in patterns)
        ]

    def is_new(self, path: str) -> bool:
        """Is nothing planned yet for this path? /var/mail is often a link to /var/spool/mail."""
        with self.looking():
            real = join(self.system.path(os.path.dirname(path)), os.path.basename(path))
            if real not in self._real_paths:
                self._real_paths.add(real)
                return True
        return False

    # -- mounts ---------------------------------------------------------------------------------------------------

    def is_own(self, path: str) -> bool:
        """Do `path` and everything below it belong to the guest? Mount points are reported, once each.

        What is mounted inside an image belongs to the host. On the running machine a disk belongs to it, but a folder
        is removed either as a whole or not at all.
        """
        root = "" if self.system.root == "/" else self.system.root
        real = self.system.path(path, follow=False)[len(root) :]
        if root and is_below(real, *NOT_THE_IMAGES):
            return False
        points = [point for point in self._mounts if is_below(point, real) or (root and is_below(real, point))]
        for point in points:
            self._tell(point)
        return not points

    def enters(self, folder: str) -> bool:
        """Does a folder inside another one still belong to the guest? A mount point is reported."""
        mount = self._mounts.get(folder)
        if mount is None:
            return True
        is_disk = mount.inside == "/" and mount.kind not in NETWORKED and not mount.kind.startswith("fuse")
        if self.system.root == "/" and is_disk:
            return True
        self._tell(folder)
        return False

    def _tell(self, point: str) -> None:
        if point not in self._reported:
            self._reported.add(point)
            self.problems.append("something is mounted at %s: it is left unchanged" % point)

    # -- changes --------------------------------------------------------------------------------------------------

    def add(self, what: str, make: "Callable[[], object]") -> None:
        """Add a change: a description and a function, which raises GuestError if it fails."""
        self.changes.append(Change(what, make))

    def remove(self, path: str) -> None:
        """Remove what is at a path, with everything below it. A symlink is removed, not followed."""
        with self.looking():
            if self.system.stat(path, follow=False) is not None and self.is_own(path) and self.is_new(path):
                self.add("remove " + path, lambda: remove(self.system, path))

    def empty(self, path: str) -> None:
        """Empty a file, but keep it."""
        if self.is_own(path) and self.is_new(path):
            self.add("empty " + path, lambda: empty(self.system, path))

    def rewrite(self, path: str, change: "Callable[[str], str]") -> None:
        """Replace the content of an existing text file by what `change` returns for it."""

        def make() -> None:
            now = self.system.read_text(path)
            if now is not None:
                self.system.write(path, change(now))

        with self.looking():
            text = self.system.read_text(path)
            if text is not None and change(text) != text and self.is_own(path):
                self.add("change " + path, make)

    def carry_out(self, console: Console) -> int:
        """Carry out all changes; a failure is reported, and the rest continues. Returns the number of failures."""
        failed = 0
        for change in self.changes:
            try:
                change.make()
            except ProvisionError as error:
                failed += 1
                console.warn("could not %s: %s" % (change.what, error))
        return failed


def find_mounts(system: System) -> "Dict[str, Mount]":
    """The mounts below the root of a guest, by their path in the guest."""
    root = "" if system.root == "/" else system.root
    mounts = [mount for mount in System().mounts() if mount.point.startswith(root + "/") and mount.point != "/"]
    return {mount.point[len(root) :]: mount for mount in mounts}


def join(folder: str, name: str) -> str:
    """The path of a name in a folder, which may be the root."""
    return folder.rstrip("/") + "/" + name


def remove(system: System, path: str) -> None:
    """Remove what is at a path. Raises GuestError."""
    if system.stat(path, follow=False) is None:
        return
    folder, name = os.path.split(path)
    with open_folder(system, folder) as opened:
        if opened.remove(name, TREE_DEPTH):
            system.touched.append(path)


def empty(system: System, path: str) -> None:
    """Empty the file at a path. Raises GuestError."""
    if system.stat(path, follow=False) is None:
        return
    folder, name = os.path.split(path)
    with open_folder(system, folder) as opened:
        if opened.empty(name):
            system.touched.append(path)
