"""What is going to be done to a guest: found and shown first, then done in this order.

Every path is reached step by step from the root of the guest, and never through a symlink that a user may have put
there. What is found may be gone when its turn comes, and what is done may be done again.
"""

import os
import stat
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Callable, Iterator, List, NamedTuple, Set, Tuple

from ..console import Console
from ..errors import GuestError, ProvisionError
from ..folder import IN_THE_WAY, open_folder
from ..system import System

TREE_DEPTH = 200  # folders in one another that are removed; each is held open meanwhile


class Change(NamedTuple):
    """One of the things to do."""

    what: str  # "remove /etc/ssh/ssh_host_rsa_key"
    make: Callable[[], None]


class Plan:
    """The changes, in order; what could not be looked into; and what a person should know."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.changes: "List[Change]" = []
        self.problems: "List[str]" = []
        self.notes: "List[str]" = []
        self._places: "Set[str]" = set()

    # -- found ----------------------------------------------------------------------------------------------------

    @contextmanager
    def looking(self) -> "Iterator[None]":
        """What cannot be looked into is a problem, which is told, and no reason to leave the rest undone.

        Behind a link that a user has put in our way lies nothing that the image keeps by itself: that is only noted.
        """
        try:
            yield
        except GuestError as error:
            told = self.notes if error.reason == IN_THE_WAY else self.problems
            told.append(str(error))

    def look(self, folder: str) -> "List[Tuple[str, os.stat_result]]":
        """(name, what it is) of all that lies in a folder; nothing if there is no such folder."""
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
        """Is nothing planned yet for this place? /var/mail is often a link to /var/spool/mail."""
        with self.looking():
            place = join(self.system.path(os.path.dirname(path)), os.path.basename(path))
            if place not in self._places:
                self._places.add(place)
                return True
        return False

    # -- to be done -----------------------------------------------------------------------------------------------

    def add(self, what: str, make: "Callable[[], None]") -> None:
        """One more thing to do, in words and as a function, which raises GuestError if it cannot be done."""
        self.changes.append(Change(what, make))

    def remove(self, path: str) -> None:
        """Remove what lies at a path, with all below it, if anything does. A symlink is removed, not followed."""
        with self.looking():
            if self.system.stat(path, follow=False) is not None and self.is_new(path):
                self.add("remove " + path, lambda: remove(self.system, path))

    def empty(self, path: str) -> None:
        """Leave a file where it is, without content."""
        if self.is_new(path):
            self.add("empty " + path, lambda: empty(self.system, path))

    def rewrite(self, path: str, change: "Callable[[str], str]") -> None:
        """Give a text file that is there the text that `change` makes of its own."""

        def make() -> None:
            now = self.system.read_text(path)
            if now is not None:
                self.system.write(path, change(now))

        with self.looking():
            text = self.system.read_text(path)
            if text is not None and change(text) != text:
                self.add("change " + path, make)

    def carry_out(self, console: Console) -> int:
        """Do all of it; what fails is told, and the rest done. Returns how many things failed."""
        failed = 0
        for change in self.changes:
            try:
                change.make()
            except ProvisionError as error:
                failed += 1
                console.warn("could not %s: %s" % (change.what, error))
        return failed


def join(folder: str, name: str) -> str:
    """A path in a folder, which may be the root."""
    return folder.rstrip("/") + "/" + name


def remove(system: System, path: str) -> None:
    """Remove what lies at a path now. Raises GuestError."""
    if system.stat(path, follow=False) is None:
        return
    folder, name = os.path.split(path)
    with open_folder(system, folder) as opened:
        if opened.remove(name, TREE_DEPTH):
            system.touched.append(path)


def empty(system: System, path: str) -> None:
    """Take the content from the file at a path. Raises GuestError."""
    if system.stat(path, follow=False) is None:
        return
    folder, name = os.path.split(path)
    with open_folder(system, folder) as opened:
        if opened.empty(name):
            system.touched.append(path)
