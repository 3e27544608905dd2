"""SELinux labels for new files in an image: nothing of the image is executed, so no tool of its own can set them.

The image's policy has them by path: selinux(8), file_contexts(5). Where it has none, the label of a file in the same
folder is used, or else of the folder, as the kernel does for a new file.
"""

import os
import stat
from collections import namedtuple

from ..errors import GuestError
from .expression import UnknownError, matches_whole, stem
from .tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

NAME = "security.selinux"
CONFIG = "/etc/selinux/config"
MODES = ("enforcing", "permissive", "disabled")
USUAL = "targeted"
FILE_LIMIT = 16 << 20  # bytes of a policy's list
LABEL_LIMIT = 4096  # bytes
NEIGHBOURS_LIMIT = 50
KINDS = {"--": stat.S_IFREG, "-d": stat.S_IFDIR, "-l": stat.S_IFLNK, "-c": stat.S_IFCHR, "-b": stat.S_IFBLK,
         "-p": stat.S_IFIFO, "-s": stat.S_IFSOCK}  # fmt: skip
NO_LABEL = "<<none>>"


class Rule(namedtuple("Rule", "beginning expression kind label")):
    """A line of file_contexts."""

    __slots__ = ()

    beginning: str
    expression: str
    kind: int  # 0 for any
    label: str


class Policy(namedtuple("Policy", "rules aliases")):
    """The rules of the image's policy; the later of two counts."""

    __slots__ = ()

    rules: "List[Rule]"
    aliases: "List[Tuple[str, str]]"  # (a path, another path whose rules also apply to it)


def is_enabled(tree: Tree) -> bool:
    """Would a boot of this image load a policy? Raises GuestError."""
    lines = (tree.read_text(CONFIG) or "").split("\n")
    values = [line.partition("=")[2].strip().lower() for line in lines if line.startswith("SELINUX=")]
    modes = [mode for value in values for mode in MODES if value.startswith(mode)]  # whatever follows, as in libselinux
    return modes[:1] not in ([], ["disabled"]) and tree.is_dir("/etc/selinux/" + policy_name(tree))


def describe_missing(tree: Tree, labels: "Optional[Labels]") -> str:
    """What to do about files of an image that got no label, in words; empty if nothing."""
    if tree.live or tree.exists("/.autorelabel"):
        return ""
    missing = labels.missing if labels else []
    if not missing:
        return ""
    what = missing[0] if not missing[1:] else "%s, with %d more," % (missing[0], len(missing) - 1)
    return what + " has no SELinux label: create /.autorelabel in the image, or an enforcing boot may refuse it"


def policy_name(tree: Tree) -> str:
    """SELINUXTYPE as libselinux reads it: the last one counts, and a comment after it is part of the name."""
    found = USUAL
    for line in (tree.read_text(CONFIG) or "").split("\n"):
        name, _, value = line.strip().partition("=")
        if name.upper() == "SELINUXTYPE":
            found = value.strip()
    return found


def read_policy(tree: Tree) -> Policy:
    """The rules of the policy that a boot loads; empty if there is none. Raises GuestError."""
    name = policy_name(tree)
    base = "/etc/selinux/%s/contexts/files/file_contexts" % name
    if not name or "/" in name:
        return Policy([], [])
    rules: "List[Rule]" = []
    for ending in ("", ".homedirs", ".local"):
        rules += filter(None, map(read_rule, read_lines(tree, base + ending)))
    aliases = [words for ending in (".subs", ".subs_dist") for words in map(str.split, read_lines(tree, base + ending))]
    rules.sort(key=lambda rule: rule.beginning == rule.expression.replace("\\", ""))  # a plain path wins
    return Policy(rules, [(words[0], words[1]) for words in aliases if len(words) == 2])


def read_lines(tree: Tree, path: str) -> "List[str]":
    """The lines of a list, without comments and empty ones."""
    text = (tree.read(path, limit=FILE_LIMIT) or b"").decode("utf-8", "surrogateescape")
    lines = [line.strip() for line in text.split("\n")]
    tree.spend(path, len(lines) // 16)
    return [line for line in lines if line and not line.startswith("#")]


def read_rule(line: str) -> "Optional[Rule]":
    """The rule in a line; None if it has none."""
    words = line.split()
    if len(words) == 2:
        return Rule(stem(words[0]), words[0], 0, words[1])
    if len(words) == 3 and words[1] in KINDS:
        return Rule(stem(words[0]), words[0], KINDS[words[1]], words[2])
    return None


def label_by_policy(policy: Policy, path: str, kind: int) -> str:
    """The label for a path, of a type as in st_mode; empty if the policy has none, or it cannot be determined here."""
    for alias, other in policy.aliases:
        if path == alias or path.startswith(alias + "/"):
            path = other + path[len(alias) :]
            break
    for rule in reversed(policy.rules):
        if rule.kind in (0, kind) and path.startswith(rule.beginning):
            try:
                if matches_whole(rule.expression, path):
                    return "" if rule.label == NO_LABEL else rule.label
            except UnknownError:
                return ""
    return ""


class Labels:
    """Labels new files in an image; `missing` are the paths that got no label.

    It has no reference to the image, so that an image that is dropped closes its root at once.
    """

    def __init__(self, tree: Tree) -> None:
        self.missing: "List[str]" = []
        self.policy: "Optional[Policy]" = None
        # Nothing to do if no boot loads a policy, or if the whole tree is labelled later.
        try:
            self.wanted = hasattr(os, "setxattr") and is_enabled(tree) and bool(read_label(tree, "/etc"))
        except GuestError:
            self.wanted = False

    def give(self, tree: Tree, path: str) -> None:
        """Label the new file, link or folder at `path`."""
        if not self.wanted:
            return
        try:
            if self.policy is None:
                self.policy = read_policy(tree)
            with tree.reach(path, follow=False) as place:
                kind = stat.S_IFMT(place.stat().st_mode)
                label = label_by_policy(self.policy, place.path, kind) or self.of_neighbour(tree, place.path, kind)
                if label:
                    where = "/proc/self/fd/%d/%s" % (place.folder, place.name)
                    os.setxattr(where, NAME, label.encode("utf-8", "surrogateescape") + b"\0", follow_symlinks=False)
                    return
        except (OSError, GuestError):
            pass  # a file system without labels, or a user who may not set them
        self.missing.append(path)

    def of_neighbour(self, tree: Tree, path: str, kind: int) -> str:
        """The label that most files of the same type in the folder have, else that of the folder."""
        folder, _, own = path.rpartition("/")
        counts: "Dict[str, int]" = {}
        for name in [name for name in tree.list(folder or "/") if name != own][:NEIGHBOURS_LIMIT]:
            found = tree.stat(folder + "/" + name, follow=False)
            label = read_label(tree, folder + "/" + name) if found and stat.S_IFMT(found.st_mode) == kind else ""
            if label:
                counts[label] = counts.get(label, 0) + 1
        return max(sorted(counts), key=lambda label: counts[label]) if counts else read_label(tree, folder or "/")


def read_label(tree: Tree, path: str) -> str:
    """The label at a path, of a symlink itself; empty if it has none."""
    try:
        with tree.reach(path, follow=False) as place:
            where = "/proc/self/fd/%d/%s" % (place.folder, place.name)
            data = os.getxattr(where, NAME, follow_symlinks=False)
    except (OSError, GuestError, AttributeError):  # the last: a Python without extended attributes
        return ""
    return data[:LABEL_LIMIT].rstrip(b"\0").decode("utf-8", "surrogateescape")
