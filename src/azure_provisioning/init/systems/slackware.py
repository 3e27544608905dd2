"""Slackware's rc.d: a script that is enabled by its executable bit, and a call in rc.local."""

from ...door.system import System
from ...door.tree import ROOT
from .. import block
from ..usual import NAME, Obstacle, before_hook
from ..usual import left_to_do as left_to_do
from ..usual import restart_command as restart_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Tuple

    from ...records import Hook

FOLDER = "/etc/rc.d"
SCRIPT = FOLDER + "/rc." + NAME
CALLER = FOLDER + "/rc.local"  # rc.M runs it, or sources it in older releases, so our lines must not exit


def present(system: System) -> bool:
    """Is there a script of ours, or a call in rc.local?"""
    return system.exists(SCRIPT) or is_called(system)


def enable(system: System, hook: "Hook") -> None:
    """Write the script and have rc.local call it."""
    from ..unit import unit
    from . import rc_local

    system.write(SCRIPT, unit("slackware/rc.azure-provisioning", hook), mode=0o755, owner=ROOT)
    rc_local.put_call(system, CALLER, unit("slackware/azure-provisioning.rc.local", hook))


def links(system: System, service: str = NAME) -> "List[str]":
    """The script if it is executable and called; another service's if it is executable."""
    if service != NAME:
        path = "%s/rc.%s" % (FOLDER, service)
        return [path] if system.is_program(path) else []
    return [SCRIPT] if system.is_program(SCRIPT) and is_called(system) and system.is_program(CALLER) else []


def files(system: System) -> "List[str]":
    """The script, and the one that calls it."""
    return [path for path in (SCRIPT, CALLER) if system.exists(path)]


def disable(system: System) -> "List[str]":
    """Remove the executable bit, as Slackware disables a script."""
    found = links(system)
    for path in found:
        system.write(path, system.read(path) or b"", mode=0o644, owner=ROOT)
    return found


def remove(system: System) -> None:
    """Remove call and script."""
    if is_called(system):
        block.take_block(system, CALLER)
    system.unlink(SCRIPT)


def is_called(system: System) -> bool:
    """Does rc.local call the script?"""
    return SCRIPT in (block.find_block(system, CALLER) or "")


def services(system: System) -> "Dict[str, str]":
    """The executable scripts `rc.NAME`."""
    names = [name for name in system.list(FOLDER) if name.startswith("rc.")]
    paths = {name[3:]: "%s/%s" % (FOLDER, name) for name in names}
    return {name: path for name, path in paths.items() if system.is_program(path)}


def enable_command(system: System, service: str) -> "Tuple[str, ...]":
    """Make the script executable, as Slackware enables it."""
    path = "%s/rc.%s" % (FOLDER, service)
    return ("chmod", "+x", path) if system.exists(path) else ()


def unreached(system: System, links: "List[str]") -> "Iterator[Obstacle]":
    """rc.M starts sshd in rc.inet2, and rc.local at its end; it is for the runlevels with services."""
    from .. import inittab

    level = inittab.boot_level(system)
    if level in inittab.WITHOUT_SERVICES:
        yield Obstacle(inittab.without_services(level), inittab.choose("3"), sure=True)
    for name in ("sshd", "dropbear"):
        if system.is_program("%s/rc.%s" % (FOLDER, name)):
            yield before_hook("rc." + name)
