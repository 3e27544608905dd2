"""What `install` wrote down of itself: the init system, the links that enable the hook, the folders it made.

Python's lack too, for src/essential.sh.
"""

from ..door.tree import ROOT, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, List, Tuple

    from ..door.system import System

PATH = "/var/lib/azure-provisioning/install"


def read(tree: Tree) -> "List[Tuple[str, str]]":
    """The (key, value) pairs, in order; none if nothing was installed by `install`. Raises GuestError."""
    lines = (tree.read_text(PATH) or "").split("\n")
    return [(key, value) for key, _, value in (line.partition("=") for line in lines) if value]


def values(tree: Tree, key: str) -> "List[str]":
    """The values of one key: `init`, `link`, `folder`, `program`, `python`, or `lacks`: of the modules a boot loads."""
    return [value for found, value in read(tree) if found == key]


def write(system: "System", pairs: "Iterable[Tuple[str, str]]") -> None:
    """Write the pairs down. Raises GuestError."""
    system.write(PATH, "".join("%s=%s\n" % pair for pair in pairs), mode=0o644, owner=ROOT)
