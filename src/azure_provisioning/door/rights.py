"""Who besides root may change a file: by its own owner and mode, or by those of a folder above it.

No entry of a POSIX ACL grants more than the group bits of the mode show. So the ACL only matters where these let root's
group write.
"""

import os
import stat
from collections import namedtuple

from ..errors import GuestError
from .attributes import ACLS
from .tree import LINKS_LIMIT, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Optional, Tuple


class Danger(namedtuple("Danger", "path who slight")):
    """A file or folder that somebody besides root may write to."""

    __slots__ = ()

    path: str  # in the image, with symlinks resolved
    who: str  # "the user 1000", "the group 50", "everybody"
    slight: bool  # a folder that a group may write to: such a group is often empty

    @property
    def words(self) -> str:
        """In words: `the user 1000 may write to /etc`."""
        return "%s may write to %s" % (self.who, self.path)


def find_dangers(tree: Tree, path: str) -> "Iterator[Danger]":
    """The files and folders on the way to `path` that others than root may write to, from `/` on.

    Targets of symlinks are included. A symlink itself cannot be changed, only replaced through its folder. A device, a
    pipe or a socket is no danger: nothing is ever read from one or run.
    """
    root = keeper(tree)
    for place, found in way(tree, path):
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            return
        who = find_writer(found, root) or find_listed(tree, place, found)
        if who:
            yield Danger(place, who, stat.S_ISDIR(found.st_mode) and who.startswith("the group"))


def keeper(tree: Tree) -> "Tuple[int, int]":
    """(uid, gid) that count as root's: in a mounted image those of its top folder.

    An image that an ordinary user builds belongs to that user as a whole.
    """
    found = None if tree.root == "/" else tree.stat("/")
    if found is None:
        return (0, 0)
    others = [tree.stat(path) for path in ("/etc", "/usr")]
    whole = all(other is None or other.st_uid == found.st_uid for other in others)
    return (found.st_uid, found.st_gid) if whole else (0, 0)


def find_writer(found: os.stat_result, root: "Tuple[int, int]") -> "Optional[str]":
    """Who besides root and `root` may write to the file; None if nobody may."""
    if found.st_uid not in (0, root[0]):
        return "the user %d" % found.st_uid
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    if found.st_mode & stat.S_IWGRP and (found.st_gid not in (0, root[1]) or not stat.S_ISDIR(found.st_mode)):
        return "the group %d" % found.st_gid
    return None


def find_listed(tree: Tree, path: str, found: os.stat_result) -> "Optional[str]":
    """In words, whether an access list may let others write to a folder with the group's write bit set."""
    if found.st_mode & stat.S_IWGRP and ACLS[0] in tree.attributes(path):
        return "the users of an access list"
    return None


def way(tree: Tree, path: str) -> "Iterator[Tuple[str, os.stat_result]]":
    """(path with symlinks resolved, its status) of each folder and file on the way to `path`.

    Ends at the first that does not exist. Raises GuestError for a loop of symlinks.
    """
    here, links = "/", 0
    todo = ["/"] + [part for part in path.split("/") if part]
    while todo:
        part = todo.pop(0)
        if part in (".", ".."):
            here = os.path.dirname(here) if part == ".." else here
            continue
        place = os.path.join(here, part)
        found = tree.stat(place, follow=False)
        if found is None:
            return
        if not stat.S_ISLNK(found.st_mode):
            here = place
            yield here, found
            continue
        links += 1
        if links > LINKS_LIMIT:
            raise GuestError("too many levels of symbolic links", path=path)
        target = tree.readlink(place) or ""
        if target.startswith("/"):
            here = "/"
        todo[:0] = [piece for piece in target.split("/") if piece]
