"""OpenRC: a native script and a link in a runlevel, on whatever PID 1 it runs under. Debian and Devuan too."""

from ...door.system import System
from ...door.tree import ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from ...records import Hook

NAME = "azure-provisioning"
SCRIPT = "/etc/init.d/" + NAME
RUNLEVELS = "/etc/runlevels"


def present(system: System) -> bool:
    """Is there a script of ours for OpenRC?"""
    return b"openrc-run" in (system.read(SCRIPT) or b"").split(b"\n", 1)[0]


def enable(system: System, hook: "Hook") -> None:
    """Write the script and link it into the default runlevel; that is all that `rc-update add` does."""
    from ..unit import unit

    runner = system.find_program("openrc-run") or "/sbin/openrc-run"
    script = unit("openrc/" + NAME, hook).replace("#!/sbin/openrc-run\n", "#!%s\n" % runner, 1)
    system.write(SCRIPT, script, mode=0o755, owner=ROOT)
    system.link(SCRIPT, "%s/default/%s" % (RUNLEVELS, NAME))


def links(system: System) -> "List[str]":
    """Our entry in any runlevel."""
    paths = ["%s/%s/%s" % (RUNLEVELS, runlevel, NAME) for runlevel in system.list(RUNLEVELS)]
    return [path for path in paths if system.is_link(path)]


def files(system: System) -> "List[str]":
    """Script and links."""
    return ([SCRIPT] if present(system) else []) + links(system)


def disable(system: System) -> "List[str]":
    """Unlink what a boot would follow."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Take script and links away."""
    for path in links(system):
        system.unlink(path)
    if present(system):
        system.unlink(SCRIPT)
