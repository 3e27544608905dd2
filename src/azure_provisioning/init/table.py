"""The init systems, one module each, all with the same functions:

    present(system) -> bool      is there any file of our hook, enabled or not?
    enable(system, hook) -> None write the hook and have the next boot start it
    links(system) -> list        the paths that make a boot start it, as they are now; `links(system, service)` those of
                                 another service, which may be off for some other reason
    files(system) -> list        every file that is the hook or has lines of it: what a boot reads, and runs as root
    disable(system) -> list      the once-only mechanism: the paths that were changed so that no boot starts it again
    remove(system) -> None       every trace of the hook
    services(system) -> dict     what a boot starts, by name, each with a file that says so; None if that is not known.
                                 What is masked, down, no program or not linked is not started
    unreached(system, links)     the reasons why a boot would not come to the hook, each an `Obstacle` (see usual.py)
    enable_command(system, service) -> tuple
                                 the words that have a boot start a service; empty if it is not there, or none are known
    restart_command(system, service) -> tuple
                                 the words that have one that runs be started anew; empty if none are known
    left_to_do(system)           what a person has to do until a boot goes by what was written; None if nothing

`usual.py` has what most of them answer alike.

Most disable by unlinking what `links` finds. Nothing is ever reloaded: these systems have read their list of services
before they start us, and a reload from inside could lose jobs; runit, which watches its list, is told by a file.
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
        """What a module of this folder offers."""

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


NAMES = (  # what `--init` knows
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


def load(name: str) -> "InitSystem":
    """The module of one of `NAMES`. A boot loads one: each takes time, most of all where nothing is kept compiled."""
    module: "Any" = import_module(".systems." + name.replace("-", "_"), __package__)
    init_system: "InitSystem" = module
    return init_system


def choose(system: System, name: "Optional[str]") -> "Tuple[str, InitSystem]":
    """The init system called `name`, or the one that this guest has. Raises ProvisionError."""
    from .detection import find_init  # only install needs it, no boot

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
    """(the init system that has a hook of ours, the links that enable it); enabled ones first."""
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
    """What a boot of this guest starts; None if its init system keeps no list. Without an init system: any's list."""
    from .detection import find_init

    found = find_init(system)
    names = NAMES if found is None else [{"nixos": "systemd"}.get(found, found)]
    lists = [load(name).services(system) for name in names if name in NAMES]
    known = [each for each in lists if each is not None]
    return {name: path for each in known for name, path in each.items()} if known else None


def restart_command(system: System, service: str) -> "Tuple[str, ...]":
    """The words by which the init system that runs is told to start a service anew; empty if it has no such."""
    from .detection import find_running

    name = find_running(system)
    return load(name).restart_command(system, service) if name in NAMES else ()


def left_to_do(system: System) -> "List[str]":
    """What a person has to do until a boot goes by what `install`, `uninstall` or `generalize` has written."""
    return [left for left in (load(name).left_to_do(system) for name in NAMES) if left]


def disable(system: System) -> "List[str]":
    """Take the hook out of the boot sequence; returns what was changed.

    Of the init system that `install` wrote down: it leaves no other one's hook. A package wrote nothing down: of any.
    """
    names = [name for name in manifest.values(system, "init") if name in NAMES] or NAMES
    return [path for name in names for path in load(name).disable(system)]
