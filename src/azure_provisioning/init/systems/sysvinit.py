"""System V init with runlevel folders: Debian and Devuan with insserv or without, chkconfig distros, Yocto.

One LSB script serves them all. On the running system, or inside a chroot, the distro's own tool enables it; in an image
the same links, and the same lines in startpar's file, are written by hand.
"""

from contextlib import suppress

from ...door.system import System
from ...door.text import is_digits
from ...door.tree import ROOT
from ...errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Tuple

    from ...records import Hook

NAME = "azure-provisioning"
SCRIPT = "/etc/init.d/" + NAME
DEPEND = "/etc/init.d/.depend.start"
RUNLEVELS = "2345"
SSH_SERVERS = ("ssh", "sshd", "dropbear")


def present(system: System) -> bool:
    """Is there a script of ours that is not OpenRC's, and runlevel folders that it could be for?"""
    return has_script(system) and bool(runlevel_folders(system))


def has_script(system: System) -> bool:
    """Is there a script of ours that is not OpenRC's?"""
    head = (system.read(SCRIPT) or b"").split(b"\n", 1)[0]
    return bool(head) and b"openrc-run" not in head


def enable(system: System, hook: "Hook") -> None:
    """Write the script, and have runlevels 2 to 5 start it before sshd."""
    write_script(system, hook)
    command, before = tool(system), links(system)
    if command:
        with suppress(GuestError):  # a tool that is broken: what it should have done is done below
            system.run(command)
    for link in links(system):
        if link not in before:
            system.adopt(link)
    if not links(system):
        for folder in runlevel_folders(system):
            link_into(system, folder)
    for link in links(system):
        system.link(system.readlink(link) or "../init.d/" + NAME, link)  # root's, whoever has made it
    order_before_ssh(system)


def links(system: System) -> "List[str]":
    """Our start links, whatever their numbers are."""
    return numbered_links(system, "S")


def files(system: System) -> "List[str]":
    """The script, its links, and the list of startpar."""
    return [path for path in (SCRIPT, DEPEND) if system.exists(path)] + links(system)


def disable(system: System) -> "List[str]":
    """Unlink what a boot would follow."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Take links, startpar's lines and the script away."""
    for path in links(system) + numbered_links(system, "K"):
        system.unlink(path)
    lines = read_depend(system)
    if lines:
        system.write(DEPEND, write_depend(without(lines)))
    system.unlink(SCRIPT)


def write_script(system: System, hook: "Hook") -> None:
    """Put the LSB script in place."""
    from ..unit import unit

    system.write(SCRIPT, unit("sysvinit/" + NAME, hook), mode=0o755, owner=ROOT)


def tool(system: System) -> "List[str]":
    """The command of the distro's own tool that enables the script; empty where none may be run or there is none.

    Yocto's update-rc.d is a shell script with another idea of defaults: it would start us after sshd.
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
    """Do the runlevel folders lie where chkconfig distros have them?"""
    return system.is_dir("/etc/rc.d/init.d")


def runlevel_folders(system: System) -> "List[str]":
    """The folders of runlevels 2 to 5 that this guest has."""
    top = "/etc/rc.d" if system.is_dir("/etc/rc.d/rc3.d") else "/etc"
    folders = ["%s/rc%s.d" % (top, runlevel) for runlevel in RUNLEVELS]
    return [folder for folder in folders if system.is_dir(folder)]


def numbered_links(system: System, letter: str) -> "List[str]":
    """Our start (S) or kill (K) links."""
    found = []
    for folder in runlevel_folders(system):
        names = [name for name in system.list(folder) if name[:1] == letter and name[3:] == NAME]
        found += ["%s/%s" % (folder, name) for name in names]
    return found


def link_into(system: System, folder: str) -> None:
    """Link the script into one runlevel, with the number that this kind of distro gives it, but before sshd.

    Of two scripts with the same number the one whose name sorts first is started first, and ours sorts before sshd's.
    """
    names = system.list(folder)
    number = min([default_number(system)] + [int(name[1:3]) for name in names if is_ssh_link(name)])
    system.link("../init.d/" + NAME, "%s/S%02d%s" % (folder, number, NAME))


def is_ssh_link(name: str) -> bool:
    """Is this the start link of an SSH server?"""
    return name[:1] == "S" and is_digits(name[1:3]) and name[3:] in SSH_SERVERS


def default_number(system: System) -> int:
    """1 as insserv and Debian's update-rc.d give it, 50 as the script asks of chkconfig; Yocto has its network at 1 and
    sshd at 9."""
    if is_chkconfig(system):
        return 50
    return 1 if system.exists("/usr/sbin/insserv") or system.is_dir("/usr/share/insserv") or is_debian(system) else 5


def is_debian(system: System) -> bool:
    """Is there Debian's update-rc.d, which is in Perl and gives every script the number 1?"""
    update = system.read("/usr/sbin/update-rc.d", head=True) or b""
    return b"perl" in update.split(b"\n", 1)[0]


# -- startpar: `.depend.start` as insserv writes it. What is not named there is not started, link or no link. --------


def order_before_ssh(system: System) -> None:
    """Name us in startpar's file if there is one: after what sshd waits for now, and sshd after us."""
    lines = read_depend(system)
    if not lines or any(NAME in words for key, words in lines if key == "TARGETS ="):
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
    for server in SSH_SERVERS:  # a server that waited for nothing had no line
        if targets and server in targets[0] and server + ":" not in servers:
            ordered.append((server + ":", [NAME]))
    if awaited:
        ordered.append((NAME + ":", list(awaited)))
    system.write(DEPEND, write_depend(ordered))


def read_depend(system: System) -> "List[Tuple[str, List[str]]]":
    """The lines of startpar's file as (`TARGETS =` or `name:`, words); none if there is no such file."""
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
