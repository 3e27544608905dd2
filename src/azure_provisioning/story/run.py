"""A boot, from the hook to its exit code."""

import os
from importlib import import_module

from ..console import Console
from ..door.system import System
from ..errors import ProvisionError
from .boot import begin
from .provision import provision

# Library modules that the story imports as it goes. Imported first, so that a missing one is found before any change.
LIBRARY = ("binascii", "fcntl", "fnmatch", "hashlib", "pyexpat", "socket", "struct", "typing")


def run(console: Console, *, detach: bool, force: bool = False) -> int:
    """The story of a boot (see story/provision.py)."""
    console.serial = True
    system = System()
    boot = begin(system, console, force=force)
    if boot is None:
        return 0
    must_be_root(system, "set this VM up")
    for name in LIBRARY:
        import_module(name)
    return provision(boot, detach=detach)


def must_be_root(system: System, what: str) -> None:
    """Raises ProvisionError for other users than root: Azure accepts a report from anybody."""
    if system.root == "/" and os.geteuid() != 0:
        raise ProvisionError("only root can %s" % what)
