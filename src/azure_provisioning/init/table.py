"""The init systems, one module each, all with the same functions:

    present(system) -> bool      is there any file of our hook, enabled or not?
    enable(system, hook) -> None write the hook and have the next boot start it
    links(system) -> list        the paths that now make a boot start it; `links(system, service)` those of another
                                 service, which may still be off for another reason
    files(system) -> list        every file of the hook, or with lines of it: a boot reads them, and runs them as root
    disable(system) -> list      stop later boots from starting it again: the paths that were changed
    remove(system) -> None       remove every trace of the hook
    services(system) -> dict     the services that a boot starts, by name, each with a file that proves it; None if that
                                 is not known. One that is masked, down, not executable or not linked does not count
    unreached(system, links)     the reasons why a boot would not reach the hook, each an `Obstacle` (see usual.py)
    enable_command(system, service) -> tuple
                                 the command that has a boot start a service; empty if there is none
    restart_command(system, service) -> tuple
                                 the command that restarts a running service; empty if none is known
    left_to_do(system)           what to do by hand before a boot uses what was written; None if nothing

`usual.py` has the answers that most of them share.

Most of them disable the hook by removing what `links` finds. Nothing is ever reloaded: these systems have read their
list of services before they start us, and a reload from inside could lose jobs. runit, which watches its list, gets a
file instead.
"""

from importlib import import_module

from ..door.system import System
from ..errors import ProvisionError
from . import manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional, Protocol, Tuple

    from ..records import Hook
    from .usual import Obstacle

    class InitSystem(Protocol):
        """What each module of systems/ provides."""

        def present(self, system: System) -> bool: ...
        def enable(self, system: System, hook: Hook) -> None: ...
        def links(self, system: System, service: str = ...) -> List[str]: ...
        def files(self, system: System) -> List[str]: ...
        def disable(self, system: System) -> List[str]: ...
        def remove(self, system: System) -> None: ...
        def services(self, system: System) -> Optional[Dict[str, str]]: ...
        def unreached(self, system: System, links: List[str]) -> Iterator[Obstacle]: ...
        def enable_command(self, system: System, service: str) -> Tuple[str, ...]: ...
        def restart_command(self, system: System, service: str) -> Tuple[str, ...]: ...
        def left_to_do(self, system: System) -> Optional[str]: ...


NAMES = (  # the values of `--init`
    "systemd",
    "sysvinit",
    "buildroot",
    "openrc",
    "runit",
    "s6",
    "dinit",
    "finit",
    "busybox",
    "slackware",
    "rc-local",
)
LEAVE_ROOT = ("systemd", "finit")  # they leave a root that fstab does not list as the kernel mounted it


def load(name: str) -> "InitSystem":
    """The module of one of `NAMES`. A boot loads only one: each costs time, above all without compiled modules."""
    module: "Any" = import_module(".systems." + name.replace("-", "_"), __package__)
    init_system: "InitSystem" = module
    return init_system


def choose(system: System, name: "Optional[str]") -> "Tuple[str, InitSystem]":
    """The init system called `name`, or the one that this guest has. Raises ProvisionError."""
    from .detection import find_init  # only install needs it, not a boot

    found = name or find_init(system)
    if found is None:
        raise ProvisionError("no init system was found in %s" % system.called, advice="name one with --init")
    if found not in NAMES:
        raise ProvisionError(
            "this system is made from a declaration",
            advice="`install` prints what to add to it; --init overrides",
            found=found,
        )
    return found, load(found)


def find_hook(system: System) -> "Tuple[Optional[str], List[str]]":
    """(the init system that has our hook, the links that enable it); an enabled hook is preferred."""
    found = None
    for name in NAMES:
        module = load(name)
        links = module.links(system)
        if links:
            return name, links
        if found is None and module.present(system):
            found = name
    return found, []


def find_services(system: System) -> "Optional[Dict[str, str]]":
    """The services that a boot of this guest starts; None if its init system keeps no list. Without one: of any."""
    from .detection import find_init

    found = find_init(system)
    names = NAMES if found is None else [{"nixos": "systemd"}.get(found, found)]
    lists = [load(name).services(system) for name in names if name in NAMES]
    known = [each for each in lists if each is not None]
    return {name: path for each in known for name, path in each.items()} if known else None


def restart_command(system: System, service: str) -> "Tuple[str, ...]":
    """The command by which the running init system restarts a service; empty if it has none."""
    from .detection import find_running

    name = find_running(system)
    return load(name).restart_command(system, service) if name in NAMES else ()


def left_to_do(system: System) -> "List[str]":
    """What to do by hand before a boot uses what `install`, `uninstall` or `generalize` wrote."""
    return [left for left in (load(name).left_to_do(system) for name in NAMES) if left]


def disable(system: System) -> "List[str]":
    """Disable the hook for later boots; returns the paths that were changed.

    For the init system that `install` recorded, as there is no other hook then. A package records none: for all of
    them.
    """
    return [path for module in recorded(system) for path in module.disable(system)]


def recorded(system: System) -> "List[InitSystem]":
    """The modules of the init systems that may have our hook, all of them loaded."""
    names = [name for name in manifest.values(system, "init") if name in NAMES] or NAMES
    return [load(name) for name in names]
