"""The init systems, one module each, all with the same functions:

    present(system) -> bool      is there any file of our hook, enabled or not?
    enable(system, hook) -> None write the hook and have the next boot start it
    links(system) -> list        the paths that make a boot start it, as they are now
    files(system) -> list        every file that is the hook or has lines of it: what a boot reads, and runs as root
    disable(system) -> list      the once-only mechanism: the paths that were changed so that no boot starts it again
    remove(system) -> None       every trace of the hook

Most disable by unlinking what `links` finds. Nothing is ever reloaded: these systems have read their list of services
before they start us, and a reload from inside could lose jobs; runit, which watches its list, is told by a file.
"""

from importlib import import_module

from ..door.system import System
from ..errors import ProvisionError
from . import manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, Protocol, Tuple

    from ..records import Hook

    class InitSystem(Protocol):
        """What a module of this folder offers."""

        def present(self, system: System) -> bool: ...
        def enable(self, system: System, hook: Hook) -> None: ...
        def links(self, system: System) -> List[str]: ...
        def files(self, system: System) -> List[str]: ...
        def disable(self, system: System) -> List[str]: ...
        def remove(self, system: System) -> None: ...


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


def disable(system: System) -> "List[str]":
    """Take the hook out of the boot sequence; returns what was changed.

    Of the init system that `install` wrote down: it leaves no other one's hook. A package wrote nothing down: of any.
    """
    names = [name for name in manifest.values(system, "init") if name in NAMES] or NAMES
    return [path for name in names for path in load(name).disable(system)]
