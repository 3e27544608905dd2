"""System V init with runlevel folders: Debian and Devuan with or without insserv, chkconfig distros, Yocto.

All use one LSB script. On the running system, or inside a chroot, the distro's own tool enables it. In an image we make
the same links, and write the same lines into startpar's file.
"""

import re
from contextlib import suppress

from ...door.system import System
from ...door.text import active_lines, is_digits, read_bytes, read_text
from ...door.tree import ROOT
from ...errors import GuestError
from ..usual import INSTALL, NAME, SSH_SERVERS, Obstacle, before_hook, in_turn, unordered
from ..usual import left_to_do as left_to_do
from ..usual import restart_command as restart_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Set, Tuple

    from ...records import Hook

SCRIPT = "/etc/init.d/" + NAME
DEPEND = "/etc/init.d/.depend.start"
RUNLEVELS = "2345"
START = re.compile(r"S[0-9][0-9].")


def present(system: System) -> bool:
    """Is there a script of ours other than OpenRC's, and a runlevel folder for it?"""
    return has_script(system) and bool(runlevel_folders(system))


def has_script(system: System) -> bool:
    """Is there a script of ours other than OpenRC's?"""
    head = read_bytes(system, SCRIPT).split(b"\n", 1)[0]
    return bool(head) and b"openrc-run" not in head


def enable(system: System, hook: "Hook") -> None:
    """Write the script, and have runlevels 2 to 5 start it before sshd."""
    write_script(system, hook)
    for link in numbered_links(system, "K", runlevel_folders(system)):  # update-rc.d adds to no links that are there
        system.unlink(link)
    command, before = tool(system), links(system)
    if command:
        with suppress(GuestError):  # if the tool is broken, the links are made below
            system.run(command)
    for link in links(system):
        if link not in before:
            system.adopt(link)
    found = links(system)
    for folder in runlevel_folders(system):
        if not found or folder.endswith("/rc%s.d" % default_runlevel(system)) and not in_folder(found, folder):
            link_into(system, folder)
    for link in links(system):
        good = system.readlink(link) if system.is_program(link) else None
        system.link(good or "../init.d/" + NAME, link)  # make it root's, whoever made it
    order_before_ssh(system)


def links(system: System, service: str = NAME) -> "List[str]":
    """The start links, with any number: ours in runlevels 2 to 5, another service's in all."""
    if service == NAME:
        return numbered_links(system, "S", runlevel_folders(system))
    top = "/etc/rc.d" if system.is_dir("/etc/rc.d/rc3.d") else "/etc"
    found = numbered_links(system, "S", ["%s/rc%s.d" % (top, runlevel) for runlevel in "S0123456"], service)
    job = "/etc/init/%s.conf" % service  # upstart's
    return found + ([job] if system.exists(job) else [])


def files(system: System) -> "List[str]":
    """The script, its links, and startpar's file."""
    return [path for path in (SCRIPT, DEPEND) if system.exists(path)] + links(system)


def disable(system: System) -> "List[str]":
    """Remove the links that a boot would follow."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Remove links, startpar's lines and the script."""
    for path in links(system) + numbered_links(system, "K", runlevel_folders(system)):
        system.unlink(path)
    lines = read_depend(system)
    if lines:
        system.write(DEPEND, write_depend(without(lines)))
    system.unlink(SCRIPT)


def write_script(system: System, hook: "Hook") -> None:
    """Write the LSB script."""
    from ..unit import unit

    system.write(SCRIPT, unit("sysvinit/" + NAME, hook), mode=0o755, owner=ROOT)


def tool(system: System) -> "List[str]":
    """The command of the distro's own tool that enables the script; empty if there is none, or it may not run.

    Yocto's update-rc.d is a shell script with other defaults: it would start us after sshd.
    """
    if system.root != "/":
        return []
    chkconfig = system.find_program("chkconfig")
    if chkconfig and is_chkconfig(system):
        return [chkconfig, "--add", NAME]
    update = system.find_program("update-rc.d")
    if update and b"perl" in (system.read(update, head=True) or b"").split(b"\n", 1)[0]:
        return [update, NAME, "defaults"]
    return []


def is_chkconfig(system: System) -> bool:
    """Are the runlevel folders where chkconfig distros have them?"""
    return system.is_dir("/etc/rc.d/init.d")


def runlevel_folders(system: System) -> "List[str]":
    """The existing folders of runlevels 2 to 5."""
    top = "/etc/rc.d" if system.is_dir("/etc/rc.d/rc3.d") else "/etc"
    folders = ["%s/rc%s.d" % (top, runlevel) for runlevel in RUNLEVELS]
    return [folder for folder in folders if system.is_dir(folder)]


def numbered_links(system: System, letter: str, folders: "List[str]", service: str = NAME) -> "List[str]":
    """A service's start (S) or kill (K) links in some folders."""
    found = []
    for folder in folders:
        names = [name for name in system.list(folder) if name[:1] == letter and name[3:] == service]
        found += ["%s/%s" % (folder, name) for name in names]
    return found


def in_folder(paths: "List[str]", folder: str) -> bool:
    """Is one of the links in this folder?"""
    return any(path.rpartition("/")[0] == folder for path in paths)


def link_into(system: System, folder: str) -> None:
    """Link the script into one runlevel, with the distro's usual number, but before sshd.

    Scripts with the same number are started in the order of their names, and ours sorts before sshd's.
    """
    names = system.list(folder)
    number = min([default_number(system)] + [int(name[1:3]) for name in names if is_ssh_link(name)])
    system.link("../init.d/" + NAME, "%s/S%02d%s" % (folder, number, NAME))


def is_ssh_link(name: str) -> bool:
    """Is this the start link of an SSH server?"""
    return name[:1] == "S" and is_digits(name[1:3]) and name[3:] in SSH_SERVERS


def default_number(system: System) -> int:
    """1 as insserv and Debian's update-rc.d set it, 50 as the script requests from chkconfig, 5 on Yocto, which starts
    its network at 1 and sshd at 9."""
    if is_chkconfig(system):
        return 50
    return 1 if system.exists("/usr/sbin/insserv") or system.is_dir("/usr/share/insserv") or is_debian(system) else 5


def is_debian(system: System) -> bool:
    """Is this Debian's update-rc.d, which is in Perl and gives every script the number 1?"""
    update = system.read("/usr/sbin/update-rc.d", head=True) or b""
    return b"perl" in update.split(b"\n", 1)[0]


# -- what a boot starts -----------------------------------------------------------------------------------------------


def services(system: System) -> "Dict[str, str]":
    """What rcS.d and the default runlevel link to, unless startpar leaves it out, and upstart's jobs.

    rc and startpar skip a script that is not executable.
    """
    from ..detection import find_base

    if find_base(system) == "runit":  # Debian's runit, which runs the scripts without a runit service
        from . import runit

        return runit.services(system)
    found: "Dict[str, str]" = {}
    listed = startpar_targets(system)
    for top in ("/etc/rc.d", "/etc"):
        for path in start_links(system, top + "/rcS.d") + start_links(system, top + "/rcsysinit.d"):
            found.setdefault(plain_name(path), path)
        for path in start_links(system, "%s/rc%s.d" % (top, default_runlevel(system))):
            if listed is None or plain_name(path) in listed:
                found.setdefault(plain_name(path), path)
    for name in system.list("/etc/init"):
        if name.endswith(".conf") and system.exists("/etc/init/" + name) and not is_manual(system, "/etc/init/" + name):
            found.setdefault(name[: -len(".conf")], "/etc/init/" + name)
    return found


def start_links(system: System, folder: str) -> "List[str]":
    """The paths of the start links in a folder whose target is executable."""
    paths = ["%s/%s" % (folder, name) for name in system.list(folder) if START.match(name)]
    return [path for path in paths if system.is_program(path)]


def plain_name(path: str) -> str:
    """The service's name from the path of its start link."""
    return path.rpartition("/")[2][3:]


def is_manual(system: System, job: str) -> bool:
    """Does upstart start a job only on request? See `manual` in init(5)."""
    lines = active_lines(system, job) + b"\n" + active_lines(system, job[: -len(".conf")] + ".override")
    return any(line.split() == [b"manual"] for line in lines.split(b"\n"))


def default_runlevel(system: System) -> str:
    """The runlevel of a boot: inittab's, upstart's, or Yocto's under busybox, which has none itself."""
    from .. import inittab

    level = inittab.boot_level(system)
    if level is not None:
        return level
    match = re.search(r"(?m)^env DEFAULT_RUNLEVEL=([0-9])", read_text(system, "/etc/init/rc-sysinit.conf"))
    if match:
        return match.group(1)
    return "5" if b"rc5.d" in active_lines(system, "/etc/init.d/rcS") else "2"


def startpar_targets(system: System) -> "Optional[Set[str]]":
    """The only services that a makefile-style boot starts (Debian's /etc/init.d/rc); None for another kind of boot."""
    files = ["/etc/init.d/.depend." + name for name in ("boot", "start", "stop")]
    if system.exists("/etc/init.d/.legacy-bootordering") or not all(read_text(system, path) for path in files):
        return None
    if not system.find_program("startpar"):
        return None
    return next((set(words) for key, words in read_depend(system) if key == "TARGETS ="), set())


def enable_command(system: System, service: str) -> "Tuple[str, ...]":
    """The distro's own tool."""
    if not system.exists("/etc/init.d/" + service):
        return ()
    if not system.is_program("/etc/init.d/" + service):
        return ("chmod", "+x", "/etc/init.d/" + service)
    if boots_without_services(system):
        return choose_level(system)
    if system.find_program("chkconfig"):
        return ("chkconfig", service, "on")
    return by_update(system, service) if system.find_program("update-rc.d") else ()


def boots_without_services(system: System) -> bool:
    """Is the runlevel of the boot one for single users, or one that halts or reboots?"""
    from .. import inittab
    from ..detection import find_base

    return default_runlevel(system) in inittab.WITHOUT_SERVICES and find_base(system) == "sysvinit"


def choose_level(system: System) -> "Tuple[str, ...]":
    """The command that has the image boot to a runlevel with services, the distro's usual one if something runs it."""
    from .. import inittab

    usual = "3" if is_chkconfig(system) else "2"
    return inittab.choose(next((level for level in usual + RUNLEVELS if inittab.runs_scripts(system, level)), usual))


def by_update(system: System, service: str) -> "Tuple[str, ...]":
    """update-rc.d: `defaults` does nothing if there are links; `enable`, which only Debian's has, turns K into S."""
    folders = ["/etc/rc%s.d" % level for level in "S0123456"]
    found = {key: numbered_links(system, key, folders, service) for key in "SK"}
    here = "/etc/rc%s.d" % default_runlevel(system)
    if not found["S"] + found["K"] or in_folder(found["S"], here):
        return ("update-rc.d", service, "defaults")  # with insserv it writes startpar's file too
    if is_debian(system) and any(in_folder(found["K"], folder) for folder in ("/etc/rcS.d", here)):
        return ("update-rc.d", service, "enable")
    return in_turn("update-rc.d -f %s remove" % service, "update-rc.d %s defaults" % service)


# -- does a boot reach it? --------------------------------------------------------------------------------------------


def unreached(system: System, links: "List[str]") -> "Iterator[Obstacle]":
    """The boot's runlevel has no link to it or is not run, startpar's file does not name it, or sshd starts before."""
    from .. import inittab

    level = default_runlevel(system)
    if boots_without_services(system):
        yield Obstacle(inittab.without_services(level), choose_level(system), sure=True)
        return
    here = [link for link in links if "/rc%s.d/" % level in link]
    if not here:
        message = "the image boots to runlevel %s, in which there is no link to the hook" % level
        yield Obstacle(message, INSTALL, sure=True)
        return
    if not system.is_program(here[0]):
        yield Obstacle("%s leads to no executable file" % here[0], INSTALL, sure=True)
    if not inittab.runs_scripts(system, level):
        command = inittab.find_rc(system, level)
        remedy = inittab.add(system, level, command) if command else ()
        yield Obstacle("nothing in /etc/inittab runs the scripts of runlevel %s" % level, remedy, sure=True)
    targets = startpar_targets(system)
    if targets is not None and NAME not in targets:
        yield Obstacle("%s does not name the hook: startpar starts nothing else" % DEPEND, INSTALL, sure=True)
        return
    yield from unheld(system, here[0])


def unheld(system: System, link: str) -> "Iterator[Obstacle]":
    """The SSH servers that are not started after our link: by a number, by startpar, or by another than rc."""
    from ..detection import find_base

    folder, _, name = link.rpartition("/")
    lines = None if startpar_targets(system) is None else read_depend(system)
    for server, path in services(system).items():
        if server not in SSH_SERVERS:
            continue
        home, _, other = path.rpartition("/")
        if home == folder and lines is not None:
            if NAME not in waited_for(lines, server):
                yield unordered(server, "startpar", INSTALL)
        elif home == folder:
            if other < name:
                yield before_hook(other, INSTALL)
        elif home == "/etc/init" or find_base(system) == "runit":
            yield unordered(server, "upstart" if home == "/etc/init" else "runit")
        else:  # in rcS.d, say
            yield before_hook(path)


# -- startpar: `.depend.start` as insserv writes it. A service that it does not name is not started, even with a link.
# --


def order_before_ssh(system: System) -> None:
    """Add us to startpar's file if there is one: after the services that sshd waits for, and before sshd."""
    lines = read_depend(system)
    listed = {word for key, words in lines if key == "TARGETS =" for word in words}
    if not lines or (NAME in listed and all(NAME in waited_for(lines, each) for each in listed & set(SSH_SERVERS))):
        return
    lines = without(lines)
    servers = {key for key, _ in lines if key in [name + ":" for name in SSH_SERVERS]}
    awaited: "Dict[str, None]" = {}  # a set that keeps the order
    for key, words in lines:
        if key in servers:
            awaited.update((word, None) for word in words if word + ":" not in servers)
    ordered = []
    for key, words in lines:
        first, last = [NAME] * (key == "TARGETS ="), [NAME] * (key in servers)
        ordered.append((key, first + words + last))
    targets = [words for key, words in ordered if key == "TARGETS ="]
    for server in SSH_SERVERS:  # a server that waited for nothing has no line
        if targets and server in targets[0] and server + ":" not in servers:
            ordered.append((server + ":", [NAME]))
    if awaited:
        ordered.append((NAME + ":", list(awaited)))
    system.write(DEPEND, write_depend(ordered))


def waited_for(lines: "List[Tuple[str, List[str]]]", service: str) -> "Set[str]":
    """What startpar has started when it starts the service."""
    waits, found, todo = dict(lines), {service}, [service]
    while todo:
        new = set(waits.get(todo.pop() + ":", [])) - found
        found |= new
        todo += new
    return found - {service}


def read_depend(system: System) -> "List[Tuple[str, List[str]]]":
    """The lines of startpar's file as (`TARGETS =` or `name:`, words); empty if there is no such file."""
    lines = []
    for line in (system.read_text(DEPEND) or "").split("\n"):
        for mark in ("=", ":"):
            key, found, rest = line.partition(mark)
            if found:
                lines.append((key.rstrip() + (" =" if mark == "=" else ":"), rest.split()))
                break
    return lines


def write_depend(lines: "List[Tuple[str, List[str]]]") -> str:
    """The text of startpar's file."""
    return "".join(" ".join([key] + words) + "\n" for key, words in lines)


def without(lines: "List[Tuple[str, List[str]]]") -> "List[Tuple[str, List[str]]]":
    """The lines without us."""
    kept = [(key, [word for word in words if word != NAME]) for key, words in lines if key != NAME + ":"]
    return [(key, words) for key, words in kept if words or key.endswith(" =")]
