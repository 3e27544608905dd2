"""OpenRC: a script of its own and a link in a runlevel, under any PID 1. Also on Debian and Devuan."""

from itertools import takewhile

from ...door.system import System
from ...door.text import active_lines, read_bytes
from ...door.tree import ROOT
from ..usual import INSTALL, NAME, Obstacle, before_hook, ssh_servers
from ..usual import left_to_do as left_to_do
from ..usual import restart_command as restart_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Set, Tuple

    from ...records import Hook

FOLDER = "/etc/init.d"
SCRIPT = FOLDER + "/" + NAME
RUNLEVELS = "/etc/runlevels"
ORDER = ("sysinit", "boot", "default")  # in which a boot goes through them


def present(system: System) -> bool:
    """Is there an OpenRC script of ours?"""
    return b"openrc-run" in read_bytes(system, SCRIPT).split(b"\n", 1)[0]


def enable(system: System, hook: "Hook") -> None:
    """Write the script and link it into the default runlevel, as `rc-update add` does."""
    from ..unit import unit

    runner = system.find_program("openrc-run") or "/sbin/openrc-run"
    script = unit("openrc/" + NAME, hook).replace("#!/sbin/openrc-run\n", "#!%s\n" % runner, 1)
    system.write(SCRIPT, script, mode=0o755, owner=ROOT)
    system.link(SCRIPT, "%s/default/%s" % (RUNLEVELS, NAME))


def links(system: System, service: str = NAME) -> "List[str]":
    """The link in any runlevel."""
    paths = ["%s/%s/%s" % (RUNLEVELS, runlevel, service) for runlevel in system.list(RUNLEVELS)]
    return [path for path in paths if system.is_link(path)]


def files(system: System) -> "List[str]":
    """Script and links."""
    return ([SCRIPT] if present(system) else []) + links(system)


def disable(system: System) -> "List[str]":
    """Remove the links that a boot would follow."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Remove script and links."""
    for path in links(system):
        system.unlink(path)
    if present(system):
        system.unlink(SCRIPT)


def services(system: System) -> "Dict[str, str]":
    """The services of the runlevels that every boot goes through."""
    found: "Dict[str, str]" = {}
    for runlevel in ORDER:
        for name in system.list("%s/%s" % (RUNLEVELS, runlevel)):
            path = "%s/%s/%s" % (RUNLEVELS, runlevel, name)
            if system.is_program(path):  # a dangling link starts nothing
                found.setdefault(name, path)
    return found


def enable_command(system: System, service: str) -> "Tuple[str, ...]":
    """`rc-update add`, for a script that OpenRC accepts."""
    path = "%s/%s" % (FOLDER, service)
    link = "%s/default/%s" % (RUNLEVELS, service)
    if system.is_program(path) and system.is_link(link) and not system.is_program(link):  # rc-update leaves it as it is
        return ("ln", "-sf", path, RUNLEVELS + "/default/")
    if system.is_program(path):
        return ("rc-update", "add", service, "default")
    return ("chmod", "+x", path) if system.exists(path) else ()


def unreached(system: System, links: "List[str]") -> "Iterator[Obstacle]":
    """No link has a script that OpenRC accepts, or no boot enters its runlevel."""
    from .. import inittab
    from ..detection import find_base

    good = [link for link in links if system.is_program(link)]
    if not good:
        yield Obstacle("%s leads to no executable file: OpenRC starts nothing else" % links[0], INSTALL, sure=True)
        return
    runner = (system.read_text(good[0]) or "").split("\n", 1)[0][2:].split(" ")[0]
    if not system.is_program(runner):
        yield Obstacle("%s is for %s, which is missing" % (good[0], runner), INSTALL, sure=True)
    level = inittab.boot_level(system) if find_base(system) == "sysvinit" else None
    if level in inittab.WITHOUT_SERVICES:
        usual = "3" if "3" in usual_levels(system) else "2"
        yield Obstacle(inittab.without_services(level), inittab.choose(usual), sure=True)
        return
    levels = [link.split("/")[-2] for link in good]
    called = called_runlevels(system, level)
    if called is not None and not set(levels) & called:
        remedy = INSTALL if "default" in called or not system.exists(inittab.PATH) else add_default(system, level or "")
        yield Obstacle("no boot goes to the runlevel %s, where the hook is" % levels[0], remedy, sure=True)
    earlier = list(takewhile(lambda level: level not in levels, ORDER))
    started = services(system)
    for path in [started[server] for server in ssh_servers(started)]:
        if path.split("/")[-2] in earlier:
            yield before_hook(path)


def usual_levels(system: System) -> "Set[str]":
    """The runlevels of sysvinit in which OpenRC enters its runlevel `default` by name; empty with Debian's wrapper."""
    from .. import inittab

    found = [levels for _, levels, _, what in inittab.entries(system) if what.endswith("openrc default")]
    return set("".join(found))


def add_default(system: System, level: str) -> "Tuple[str, ...]":
    """The command that has inittab enter the runlevel `default`."""
    from .. import inittab

    process = (inittab.find_rc(system, level) if level else "") or "/sbin/openrc default"
    return inittab.add(system, level, process)


def called_runlevels(system: System, level: "Optional[str]") -> "Optional[Set[str]]":
    """The runlevels that inittab and the scripts of PID 1 enter; None if openrc-init does it itself.

    `level`: sysvinit's runlevel of the boot: the lines for others do not count.
    """
    import re

    from .. import inittab
    from ..detection import S6_SCRIPTS, find_base

    if find_base(system) == "openrc":
        return None
    callers = ["/etc/inittab", "/etc/init.d/rc", "/etc/init.d/rcS", "/etc/runit/1", "/etc/runit/2"]
    callers += [folder + "/rc.init" for folder in S6_SCRIPTS]
    text = b"\n".join(active_lines(system, path) for path in callers).decode("utf-8", "replace")
    if level is not None:
        lines = inittab.run_at_boot(system, level)
        called = [word for line in lines for word in line.split() if word in callers]
        text = "\n".join(lines + [active_lines(system, path).decode("utf-8", "replace") for path in called])
    if re.search(r"openrc\s+[\"']?\$", text):
        return None  # the runlevel is in a variable
    return set(re.findall(r"openrc\s+([a-z][\w-]*)", text))
