"""finit: a one-shot task among the available ones, and the link that enables it, as `initctl enable` makes it."""

from ...door.system import System
from ...door.tree import ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from ...records import Hook

CONF = "azure-provisioning.conf"
FOLDER = "/etc/finit.d"
AVAILABLE = FOLDER + "/available"
ENABLED = FOLDER + "/enabled"  # where a distro has it; else the links lie in the folder itself


def present(system: System) -> bool:
    """Is there a file of ours?"""
    return system.exists("%s/%s" % (AVAILABLE, CONF)) or bool(links(system))


def enable(system: System, hook: "Hook") -> None:
    """Write the task and link it where finit reads what is enabled."""
    from ..unit import unit

    system.write("%s/%s" % (AVAILABLE, CONF), unit("finit/" + CONF, hook), owner=ROOT)
    if system.is_dir(ENABLED):
        system.link("../available/" + CONF, "%s/%s" % (ENABLED, CONF))
    else:
        system.link("available/" + CONF, "%s/%s" % (FOLDER, CONF))


def links(system: System) -> "List[str]":
    """Our entry among what is enabled, be it a link or a file."""
    paths = ["%s/%s" % (folder, CONF) for folder in (FOLDER, ENABLED)]
    return [path for path in paths if system.stat(path, follow=False) is not None]


def files(system: System) -> "List[str]":
    """Task and link."""
    path = "%s/%s" % (AVAILABLE, CONF)
    return ([path] if system.exists(path) else []) + links(system)


def disable(system: System) -> "List[str]":
    """Unlink what finit would read at the next boot."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Take task and link away."""
    for path in links(system) + ["%s/%s" % (AVAILABLE, CONF)]:
        system.unlink(path)
