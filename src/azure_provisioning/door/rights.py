"""Who but root may change a file: by the file's own owner and mode, or by those of a folder on the way to it.

No entry of a POSIX ACL gives more than the group's bits of the mode show: only where these let root's group write, the
list has to be looked for.
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
    """A file or folder that somebody else than root may write to."""

    __slots__ = ()

    path: str  # in the image, without a symlink in it
    who: str  # "the user 1000", "the group 50", "everybody"
    slight: bool  # a folder that a group may write to: such a group is often empty

    @property
    def words(self) -> str:
        """In words: `the user 1000 may write to /etc`."""
        return "%s may write to %s" % (self.who, self.path)


def find_dangers(tree: Tree, path: str) -> "Iterator[Danger]":
    """What on the way to `path`, with what its symlinks lead to, others than root may write to; from `/` on.

    A symlink itself cannot be changed, only replaced by those who may write to its folder.
    """
    root = keeper(tree)
    for place, found in way(tree, path):
        who = find_writer(found, root) or find_listed(tree, place, found)
        if who:
            yield Danger(place, who, stat.S_ISDIR(found.st_mode) and who.startswith("the group"))


def keeper(tree: Tree) -> "Tuple[int, int]":
    """(uid, gid) that are as good as root's: of an image that is mounted, those of its top folder.

    An image that a plain user builds is all his own.
    """
    found = None if tree.root == "/" else tree.stat("/")
    if found is None:
        return (0, 0)
    others = [tree.stat(path) for path in ("/etc", "/usr")]
    whole = all(other is None or other.st_uid == found.st_uid for other in others)
    return (found.st_uid, found.st_gid) if whole else (0, 0)


def find_writer(found: os.stat_result, root: "Tuple[int, int]") -> "Optional[str]":
    """Who beside root, and who counts as root, may write to what lies there; None if nobody may."""
    if found.st_uid not in (0, root[0]):
        return "the user %d" % found.st_uid
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    if found.st_mode & stat.S_IWGRP and (found.st_gid not in (0, root[1]) or not stat.S_ISDIR(found.st_mode)):
        return "the group %d" % found.st_gid
    return None


def find_listed(tree: Tree, path: str, found: os.stat_result) -> "Optional[str]":
    """Whether an access list may let others write to a folder that root's group may write to, in words."""
    if found.st_mode & stat.S_IWGRP and ACLS[0] in tree.attributes(path):
        return "the users of an access list"
    return None


def way(tree: Tree, path: str) -> "Iterator[Tuple[str, os.stat_result]]":
    """(path without a symlink in it, what lies there) of each folder and file that one comes by on the way to `path`.

    It ends early where nothing is. Raises GuestError for a circle of links.
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
