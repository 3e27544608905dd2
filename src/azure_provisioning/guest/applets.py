"""Which of the guest's commands are busybox's: their options are not those of the tools of the same name."""

from ..door.system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional


def find_applet(system: System, name: str) -> "Optional[str]":
    """The command `name`, if the first of that name is busybox's; else None."""
    path = system.find_program(name)
    return path if path and is_busybox(system, path) else None


def find_tool(system: System, name: str) -> "Optional[str]":
    """The command `name`, if the first of that name is not busybox's; else None."""
    path = system.find_program(name)
    return None if path and is_busybox(system, path) else path


def is_busybox(system: System, path: str) -> bool:
    """Does a symlink lead from `path` to busybox, or is it a hard link to it?"""
    if any(step.rpartition("/")[2].startswith("busybox") for step in system.chain(path)):
        return True
    busybox, here = system.find_program("busybox"), system.stat(path)
    there = system.stat(busybox) if busybox else None
    return here is not None and there is not None and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
