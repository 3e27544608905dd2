"""Which commands of the guest belong to busybox: their options differ from those of the full tools."""

from ..door.system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional


def find_applet(system: System, name: str) -> "Optional[str]":
    """The path of the command `name` if it is busybox's; else None."""
    path = system.find_program(name)
    return path if path and is_busybox(system, path) else None


def find_tool(system: System, name: str) -> "Optional[str]":
    """The path of the command `name` if it is not busybox's; else None."""
    path = system.find_program(name)
    return None if path and is_busybox(system, path) else path


def is_busybox(system: System, path: str) -> bool:
    """Is `path` a symlink or a hard link to busybox?"""
    if any(step.rpartition("/")[2].startswith("busybox") for step in system.chain(path)):
        return True
    busybox, here = system.find_program("busybox"), system.stat(path)
    there = system.stat(busybox) if busybox else None
    return here is not None and there is not None and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
