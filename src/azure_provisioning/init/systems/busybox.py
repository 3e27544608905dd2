"""busybox init alone, or a System V init without runlevel folders: a line in `/etc/inittab`."""

from ...door.system import System
from .. import block
from ..usual import NAME, unlisted
from ..usual import left_to_do as left_to_do
from ..usual import restart_command as restart_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Tuple

    from ...records import Hook
    from ..usual import Obstacle

INITTAB = "/etc/inittab"
ENTRY = "\n::once:"
SYSV_ENTRY = "\naz:12345:once:"  # System V init needs an id and runlevels
# What busybox init does without an inittab. If we create the file, it must have these lines too (its init/init.c).
DEFAULT = """::sysinit:/etc/init.d/rcS
::askfirst:-/bin/sh
tty2::askfirst:-/bin/sh
tty3::askfirst:-/bin/sh
tty4::askfirst:-/bin/sh
::ctrlaltdel:reboot
::shutdown:umount -a -r
::shutdown:swapoff -a
::restart:init
"""


def present(system: System) -> bool:
    """Is there a line of ours?"""
    return bool(links(system))


def enable(system: System, hook: "Hook") -> None:
    """Have init start us once, beside the consoles. It reads its file when it starts, before everything else."""
    from ..unit import unit

    text = system.read_text(INITTAB)
    lines = unit("busybox/azure-provisioning.inittab", hook)
    if text is None or DEFAULT in (block.find_block(system, INITTAB) or ""):
        lines += DEFAULT
    elif ":initdefault:" in text:
        lines = lines.replace(ENTRY, SYSV_ENTRY)
    block.put_block(system, INITTAB, lines)


def links(system: System, service: str = NAME) -> "List[str]":
    """The file, if it has our line."""
    return [INITTAB] if service == NAME and block.find_block(system, INITTAB) is not None else []


def files(system: System) -> "List[str]":
    """The file that init reads."""
    return links(system)


def disable(system: System) -> "List[str]":
    """Remove our line."""
    return [INITTAB] if block.take_block(system, INITTAB) else []


def remove(system: System) -> None:
    """Remove our line: there is nothing else."""
    disable(system)


def services(_system: System) -> None:
    """Not known: scripts start the services, and only a shell can read scripts."""


def enable_command(_system: System, _service: str) -> "Tuple[str, ...]":
    """None: it is not known which script would start it."""
    return ()


def unreached(system: System, _links: "List[str]") -> "Iterator[Obstacle]":
    """init reads its file itself, and runs its lines: ours after the scripts, and in parallel with others."""
    return unlisted(system)
