"""The record that `install` writes: the init system, the links that enable the hook, the folders it made.

It also lists the modules that Python lacks, for src/essential.sh.
"""

from ..door.tree import ROOT, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, List, Tuple

    from ..door.system import System

PATH = "/var/lib/azure-provisioning/install"


def read(tree: Tree) -> "List[Tuple[str, str]]":
    """The (key, value) pairs, in order; empty if `install` has not run. Raises GuestError."""
    lines = (tree.read_text(PATH) or "").split("\n")
    return [(key, value) for key, _, value in (line.partition("=") for line in lines) if value]


def values(tree: Tree, key: str) -> "List[str]":
    """The values of a key: `init`, `link`, `folder`, `program`, `python`, or `lacks` (modules that Python lacks)."""
    return [value for found, value in read(tree) if found == key]


def write(system: "System", pairs: "Iterable[Tuple[str, str]]") -> None:
    """Write the record. Raises GuestError."""
    system.write(PATH, "".join("%s=%s\n" % pair for pair in pairs), mode=0o644, owner=ROOT)
