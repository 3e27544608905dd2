"""A system that runs from memory, as Alpine's diskless one: what it is to remember goes into an archive, by `lbu`."""

from ..door.system import System
from ..init import manifest
from ..story import state
from .command import Command

PROGRAM = "/usr/local/sbin/azure-provisioning"


def keep(system: System) -> Command:
    """The command that has the archive hold what is ours outside /etc, and writes it; empty on any other system."""
    if not (system.volatile("/") and system.find_program("lbu")):
        return Command()
    program = (manifest.values(system, "program") or [PROGRAM])[0]
    return Command("lbu", "include").on(program, state.FOLDER).then(Command("lbu", "commit"))


def first(system: System) -> str:
    """What a person does before such a machine is powered off, to be followed by that; empty on any other system."""
    command = keep(system)
    return "this system runs from memory: `%s`, then " % command if command else ""
