"""runit: a service directory, and a link to it among the services that runsvdir starts. Void, Artix, Debian and others.

The file `down` in the service directory disables it, not the removal of the link: runsvdir looks at its list every few
seconds, and would end us at once.
"""

from ...door.system import System
from ...door.text import active_lines
from ...door.tree import ROOT
from ..usual import INSTALL, NAME, Obstacle, ssh_servers, unordered
from ..usual import left_to_do as left_to_do
from ..usual import restart_command as restart_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Tuple

    from ...records import Hook

SERVICES = ("/etc/runit/sv", "/etc/sv")  # Artix; Void, Debian and runit's default
SETS = "/etc/runit/runsvdir"  # sets of services, each a folder of links; a boot starts `default`
FLAT = ("/etc/service", "/var/service", "/service")  # if there are no sets
SUPERVISE = ("control", "lock", "ok", "pid", "stat", "status", "status.new", "pid.new", "stat.new")
SCAN_SECONDS = 15.0  # for runsvdir, which scans every 5 s, to find a new link


def present(system: System) -> bool:
    """Is there a service directory of ours, or a link to one?"""
    return any(system.stat(folder) is not None for folder in folders(system)) or bool(entries(system))


def enable(system: System, hook: "Hook") -> None:
    """Write the service directory and link it into the set of the boot.

    A running runsvdir would start it at once. So it is down until runsv has examined it.
    """
    from ..unit import unit

    home = next((folder for folder in SERVICES if system.is_dir(folder)), SERVICES[-1]) + "/" + NAME
    system.make_dirs(home, owner=ROOT)
    system.write(home + "/run", unit("runit/" + NAME, hook), mode=0o755, owner=ROOT)
    running = set_of_boot(system)
    if running is not None:
        link = running + "/" + NAME
        starts = system.live and not system.is_link(link)
        if starts:
            clean(system, home)
            system.write(home + "/down", "", owner=ROOT)
        good = system.readlink(link) if system.is_dir(link) else None
        system.link(good or home, link)
        if starts:
            wait_for_runsv(system, home)
    system.unlink(home + "/down")


def links(system: System, service: str = NAME) -> "List[str]":
    """The link in any set of services; ours only if the service is not down."""
    if service == NAME and any(system.stat(folder + "/down") is not None for folder in folders(system)):
        return []
    return entries(system, service)


def files(system: System) -> "List[str]":
    """The programs that runsv runs, and the other files that it reads."""
    found = ["%s/%s" % (home, name) for home in folders(system) for name in system.list(home)]
    return [path for path in found if not system.is_dir(path)] + entries(system)


def disable(system: System) -> "List[str]":
    """Stop runsv from starting it at the next boot; the running service continues to its end."""
    if not links(system):
        return []
    return [folder + "/down" for folder in folders(system) if system.write(folder + "/down", "", owner=ROOT)]


def remove(system: System) -> None:
    """Remove links and service directory, with runsv's own files in it."""
    for link in entries(system):
        system.unlink(link)
    for home in folders(system):
        clean(system, home)
        for name in ("run", "down"):
            system.unlink("%s/%s" % (home, name))
        system.remove_dir(home)


def folders(system: System) -> "List[str]":
    """Our existing service directories."""
    homes = [folder + "/" + NAME for folder in SERVICES]
    return [home for home in homes if system.is_dir(home)]


def entries(system: System, service: str = NAME) -> "List[str]":
    """The links in sets of services, whether the service is down or not. `current` is a link to a set itself."""
    sets = ["%s/%s" % (SETS, name) for name in system.list(SETS)]
    lists = [folder for folder in sets + list(FLAT) if system.is_dir(folder) and not system.is_link(folder)]
    return [path for path in ("%s/%s" % (folder, service) for folder in lists) if system.is_link(path)]


def set_of_boot(system: System) -> "Optional[str]":
    """The folder of the services that a boot starts; None if there is none."""
    chosen = (system.read_text("/etc/runit/default.runsvdir") or "").strip()  # Debian
    sets = ["%s/%s" % (SETS, name) for name in (chosen, "default") if name and "/" not in name]
    return next((folder for folder in sets + list(FLAT) if system.is_dir(folder)), None)


def clean(system: System, home: str) -> None:
    """Remove what a runsv that has ended left in the service directory; the next one creates it again."""
    for name in SUPERVISE:
        system.unlink("%s/supervise/%s" % (home, name))
    if not system.is_link(home + "/supervise"):
        system.remove_dir(home + "/supervise")


def wait_for_runsv(system: System, home: str) -> None:
    """Return when runsv has read `down`, or after a time limit if no runsvdir runs."""
    system.becomes(lambda: system.exists(home + "/supervise/ok"), SCAN_SECONDS)


def services(system: System) -> "Dict[str, str]":
    """The services of the boot's set without a `down` file; Debian's runit also runs System V scripts."""
    from . import sysvinit

    found: "Dict[str, str]" = {}
    folder = set_of_boot(system) or ""
    for name in system.list(folder) if folder else []:
        path = "%s/%s" % (folder, name)
        if system.is_program(path + "/run") and not system.exists(path + "/down"):
            found.setdefault(name, path + "/run")
    scripts = []
    if b"/etc/rcS.d" in active_lines(system, "/etc/runit/1"):
        scripts += sysvinit.start_links(system, "/etc/rcS.d")
    if b"/etc/rc2.d" in active_lines(system, "/etc/runit/2") and not system.exists("/etc/runit/no.emulate.sysv"):
        links = sysvinit.start_links(system, "/etc/rc2.d")
        scripts += [link for link in links if not system.is_dir("/etc/sv/" + sysvinit.plain_name(link))]
    for link in scripts:
        found.setdefault(sysvinit.plain_name(link), link)
    return found


def enable_command(system: System, service: str) -> "Tuple[str, ...]":
    """Link its directory, or remove the file `down`; for Debian's System V scripts their own tool."""
    home = next((path for path in (folder + "/" + service for folder in SERVICES) if system.is_dir(path)), None)
    running = set_of_boot(system) or SETS + "/default"
    if home is None:
        from . import sysvinit

        return sysvinit.enable_command(system, service)
    if not system.is_program(home + "/run"):
        return ("chmod", "+x", home + "/run") if system.exists(home + "/run") else ()
    if system.exists(home + "/down"):
        return ("rm", home + "/down")
    return ("ln", "-sf", home, running + "/")


def unreached(system: System, links: "List[str]") -> "Iterator[Obstacle]":
    """It is not in the boot's set, or its `run` is not executable; and runit starts services in no order."""
    folder = set_of_boot(system)
    here = [link for link in links if link.rpartition("/")[0] == folder]
    if not here:
        yield Obstacle("%s is not in the set of services that boots" % links[0], INSTALL, sure=True)
    elif not system.is_program(here[0] + "/run"):
        yield Obstacle("%s/run is not executable" % here[0], INSTALL, sure=True)
    for server in ssh_servers(services(system)):
        yield unordered(server, "runit")
