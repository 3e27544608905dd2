"""The init systems, one module each, all with the same functions:

    present(system) -> bool      is there any file of our hook, enabled or not?
    enable(system, hook) -> None write the hook and have the next boot start it
    links(system) -> list        the paths that make a boot start it, as they are now
    disable(system) -> list      the once-only mechanism: the paths that were changed so that no boot starts it again
    remove(system) -> None       every trace of the hook

Most disable by unlinking what `links` finds. Nothing is ever reloaded: these systems have read their list of services
before they start us, and a reload from inside could lose jobs; runit, which watches its list, is told by a file.
"""

from ..errors import ProvisionError
from ..system import System
from . import buildroot, busybox, dinit, finit, openrc, rc_local, runit, s6, slackware, systemd, sysvinit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Protocol, Tuple

    from ..records import Hook

    class InitSystem(Protocol):
        """What a module of this folder offers."""

        def present(self, system: System) -> bool: ...
        def enable(self, system: System, hook: Hook) -> None: ...
        def links(self, system: System) -> List[str]: ...
        def disable(self, system: System) -> List[str]: ...
        def remove(self, system: System) -> None: ...


SYSTEMS: "Dict[str, InitSystem]" = {
    "systemd": systemd,
    "sysvinit": sysvinit,
    "buildroot": buildroot,
    "openrc": openrc,
    "runit": runit,
    "s6": s6,
    "dinit": dinit,
    "finit": finit,
    "busybox": busybox,
    "slackware": slackware,
    "rc-local": rc_local,
}
NAMES = tuple(SYSTEMS)  # what `--init` knows


def choose(system: System, name: "Optional[str]") -> "Tuple[str, InitSystem]":
    """The init system called `name`, or the one that this guest has. Raises ProvisionError."""
    from .detection import find_init  # only install needs it, no boot

    found = name or find_init(system)
    if found is None:
        raise ProvisionError("no init system was found in %s" % system.called, advice="name one with --init")
    if found not in SYSTEMS:
        raise ProvisionError(
            "this system is made from a declaration",
            advice="`install` prints what to add to it; --init overrides",
            found=found,
        )
    return found, SYSTEMS[found]


def find_hook(system: System) -> "Tuple[Optional[str], List[str]]":
    """(the init system that has a hook of ours, the links that enable it); enabled ones first."""
    found = None
    for name, module in SYSTEMS.items():
        links = module.links(system)
        if links:
            return name, links
        if found is None and module.present(system):
            found = name
    return found, []


def disable(system: System) -> "List[str]":
    """Take the hook out of the boot sequence, whichever init system has it; returns what was changed."""
    return [path for module in SYSTEMS.values() for path in module.disable(system)]
