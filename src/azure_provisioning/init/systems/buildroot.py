"""Buildroot's rcS, which runs `/etc/init.d/S??*` in order: the LSB script, and a link that sorts before sshd's."""

from ...door.system import System
from . import sysvinit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from ...records import Hook

FOLDER = "/etc/init.d"
LINK = FOLDER + "/S45azure-provisioning"  # after S40network and S41dhcpcd, before S50sshd and S50dropbear


def present(system: System) -> bool:
    """Is there a script of ours, and no runlevel folder that it could be for?"""
    return sysvinit.has_script(system) and not sysvinit.runlevel_folders(system)


def enable(system: System, hook: "Hook") -> None:
    """Write the script and link it where rcS looks."""
    sysvinit.write_script(system, hook)
    system.link(sysvinit.NAME, LINK)


def links(system: System) -> "List[str]":
    """Our entry among the scripts that rcS runs, whatever its number is."""
    names = [name for name in system.list(FOLDER) if name[:1] == "S" and name[3:] == sysvinit.NAME]
    return [FOLDER + "/" + name for name in names]


def files(system: System) -> "List[str]":
    """Script and link."""
    return links(system) + [path for path in [sysvinit.SCRIPT] if system.exists(path)]


def disable(system: System) -> "List[str]":
    """Unlink what a boot would follow."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Take script and link away."""
    for path in links(system) + [sysvinit.SCRIPT]:
        system.unlink(path)
