"""Buildroot's rcS, which runs `/etc/init.d/S??*` in order: the LSB script, and a link that sorts before sshd's."""

from ...door.system import System
from ...door.text import active_lines
from ..usual import INSTALL, NAME, Obstacle, before_hook
from ..usual import left_to_do as left_to_do
from ..usual import restart_command as restart_command
from . import sysvinit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Tuple

    from ...records import Hook

FOLDER = "/etc/init.d"
LINK = FOLDER + "/S45azure-provisioning"  # after S40network and S41dhcpcd, before S50sshd and S50dropbear


def present(system: System) -> bool:
    """Is there a script of ours, and no runlevel folder for it?"""
    return sysvinit.has_script(system) and not sysvinit.runlevel_folders(system)


def enable(system: System, hook: "Hook") -> None:
    """Write the script, and the link for rcS."""
    sysvinit.write_script(system, hook)
    system.link(NAME, LINK)


def links(system: System, service: str = NAME) -> "List[str]":
    """The link among the scripts that rcS runs, with any number."""
    return sysvinit.numbered_links(system, "S", [FOLDER], service)


def files(system: System) -> "List[str]":
    """Script and link."""
    return links(system) + [path for path in [sysvinit.SCRIPT] if system.exists(path)]


def disable(system: System) -> "List[str]":
    """Remove the links that a boot would follow."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Remove script and links."""
    for path in links(system) + [sysvinit.SCRIPT]:
        system.unlink(path)


def services(system: System) -> "Dict[str, str]":
    """The scripts that rcS runs."""
    return {sysvinit.plain_name(path): path for path in sysvinit.start_links(system, FOLDER)}


def enable_command(system: System, service: str) -> "Tuple[str, ...]":
    """Make its script executable."""
    scripts = links(system, service)
    return ("chmod", "+x", scripts[0]) if scripts and system.exists(scripts[0]) else ()


def unreached(system: System, links: "List[str]") -> "Iterator[Obstacle]":
    """rcS is not executable, inittab does not run it, the link has no target, or sshd's sorts before it."""
    if not any(system.is_program(link) for link in links):
        yield Obstacle("%s leads to no executable file" % links[0], INSTALL, sure=True)
    if not system.is_program(FOLDER + "/rcS"):
        yield Obstacle(FOLDER + "/rcS is not executable", ("chmod", "+x", FOLDER + "/rcS"), sure=True)
    if system.exists("/etc/inittab") and b"rcS" not in active_lines(system, "/etc/inittab"):  # busybox's default
        yield Obstacle("nothing in /etc/inittab runs /etc/init.d/rcS", (), sure=True)
    servers = [name for name in system.list(FOLDER) if sysvinit.is_ssh_link(name)]
    if servers and servers[0] < links[0].rpartition("/")[2]:
        yield before_hook(servers[0], INSTALL)
