"""A system that runs from memory, such as diskless Alpine: `lbu` stores what it should keep in an archive."""

from ..door.system import System
from ..init import manifest
from ..story import state
from .command import Command

PROGRAM = "/usr/local/sbin/azure-provisioning"


def keep(system: System) -> Command:
    """The command that adds our files outside /etc to the archive, and writes it; empty on any other system."""
    if not (system.volatile("/") and system.find_program("lbu")):
        return Command()
    program = (manifest.values(system, "program") or [PROGRAM])[0]
    return Command("lbu", "include").on(program, state.FOLDER).then(Command("lbu", "commit"))


def first(system: System) -> str:
    """The step before such a machine is powered off, with a comma at the end; empty on any other system."""
    command = keep(system)
    return "this system runs from memory: `%s`, then " % command if command else ""
