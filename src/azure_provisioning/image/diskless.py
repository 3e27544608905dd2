"""A system that runs from memory, as Alpine's diskless one: what it is to remember goes into an archive, by `lbu`."""

from ..door.system import System
from ..init import manifest
from ..story import state
from .command import Command

PROGRAM = "/usr/local/sbin/azure-provisioning"
NEXT = "the next boot uses this up; power off and capture now"


def keep(system: System) -> Command:
    """The command that has the archive hold what is ours outside /etc, and writes it; empty on any other system."""
    if not (system.volatile("/") and system.find_program("lbu")):
        return Command()
    program = (manifest.values(system, "program") or [PROGRAM])[0]
    return Command("lbu", "include").on(program, state.FOLDER).then(Command("lbu", "commit"))


def next_step(system: System) -> str:
    """What a person does next with a machine that is to become an image."""
    command = keep(system)
    if command:
        return "this system runs from memory: `%s`, then power off and capture" % command
    return NEXT
