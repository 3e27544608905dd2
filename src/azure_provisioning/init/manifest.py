"""What `install` wrote down of itself: the init system, the links that enable the hook, and the folders that it made."""

from ..system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, List, Tuple

PATH = "/var/lib/azure-provisioning/install"


def read(system: System) -> "List[Tuple[str, str]]":
    """The (key, value) pairs, in order; none if nothing was installed by `install`. Raises GuestError."""
    lines = (system.read_text(PATH) or "").splitlines()
    return [(key, value) for key, _, value in (line.partition("=") for line in lines) if value]


def values(system: System, key: str) -> "List[str]":
    """The values of one key: `init`, `link`, `folder`, `program`, `python`."""
    return [value for found, value in read(system) if found == key]


def write(system: System, pairs: "Iterable[Tuple[str, str]]") -> None:
    """Write the pairs down. Raises GuestError."""
    system.write(PATH, "".join("%s=%s\n" % pair for pair in pairs), mode=0o644)
