"""Which services does a boot of this image start? Read from the links and lists of its init system."""

import re
from typing import Callable, Dict, List, Optional, Set

from ...door.system import System
from ...errors import GuestError
from ...init.detection import active_lines, find_base
from ...init.rivals import text
from ...init.systems import dinit, runit, sysvinit

UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
NOT_STARTED = ("rescue", "emergency", "shutdown", "reboot", "poweroff", "halt", "kexec", "initrd", "sleep", "suspend")
DINIT_BOOT = ("/etc/dinit.d/boot.d", "/usr/lib/dinit.d/boot.d", "/lib/dinit.d/boot.d")
S6_SETS = ("/etc/s6/adminsv/default/contents.d", "/etc/s6/sv/default/contents.d")
FINIT = ("/etc/finit.d", "/etc/finit.d/enabled")


def find_services(system: System, init: "Optional[str]") -> "Optional[Dict[str, str]]":
    """The services by name, each with the path that has it started; None if this init system keeps no list we know.

    Raises GuestError if a folder cannot be read.
    """
    find = FINDERS.get(init or "")
    return find(system) if find else None


def of_systemd(system: System) -> "Dict[str, str]":
    """What any target wants that a boot can reach, unless it is masked or not there; `.service` is left out.

    Scripts of System V without a unit of their name are started too, by a generator.
    """
    found: "Dict[str, str]" = {}
    for folder in UNIT_FOLDERS:
        for wants in system.list(folder):
            target, dot, ending = wants.rpartition(".")
            if ending not in ("wants", "requires") or target.split(".")[0] in NOT_STARTED:
                continue
            for name in system.list("%s/%s" % (folder, wants)):
                if find_unit(system, name):
                    found.setdefault(strip(name), "%s/%s/%s" % (folder, wants, name))
    for folder in sysvinit.runlevel_folders(system):
        for name in system.list(folder):
            if is_start(name) and not any(
                has_unit(system, name[3:] + ending) for ending in (".service", ".sh.service")
            ):
                found.setdefault(name[3:], "%s/%s" % (folder, name))
    return found


def strip(name: str) -> str:
    """A unit's name without `.service`."""
    return name[: -len(".service")] if name.endswith(".service") else name


def has_unit(system: System, name: str) -> bool:
    """Is there a unit file of this name, be it masked?"""
    return any(system.stat("%s/%s" % (folder, name), follow=False) is not None for folder in UNIT_FOLDERS)


def find_unit(system: System, name: str) -> "Optional[str]":
    """The path of the unit that counts, `x@.service` for `x@y.service` too; None if there is none, or it is masked (an
    empty file does that too)."""
    head, at, tail = name.partition("@")
    names = [name] + ([head + "@." + tail.rpartition(".")[2]] if at else [])
    for wanted in names:
        for folder in UNIT_FOLDERS:
            path = "%s/%s" % (folder, wanted)
            if system.stat(path, follow=False) is not None:
                try:
                    return path if system.read(path, 1, head=True) else None
                except GuestError:  # a link to /dev/null
                    return None
    return None


def is_start(name: str) -> bool:
    """Is this the name of a start link: `S05sshd`?"""
    return re.match(r"S[0-9][0-9].", name) is not None


def of_sysvinit(system: System) -> "Dict[str, str]":
    """The start links of rcS.d and the default runlevel, and upstart's jobs; not what startpar leaves out."""
    if find_base(system) == "runit":  # Debian's, which runs the scripts that it has no service for
        return of_runit(system)
    found: "Dict[str, str]" = {}
    listed = startpar_targets(system)
    for top in ("/etc/rc.d", "/etc"):
        for name in start_links(system, top + "/rcS.d") + start_links(system, top + "/rcsysinit.d"):
            found.setdefault(name.rpartition("/")[2][3:], name)
        for name in start_links(system, "%s/rc%s.d" % (top, default_runlevel(system))):
            if listed is None or name.rpartition("/")[2][3:] in listed:
                found.setdefault(name.rpartition("/")[2][3:], name)
    for name in system.list("/etc/init"):
        if name.endswith(".conf"):
            found.setdefault(name[: -len(".conf")], "/etc/init/" + name)
    return found


def start_links(system: System, folder: str) -> "List[str]":
    """The paths of the start links in a folder."""
    return ["%s/%s" % (folder, name) for name in system.list(folder) if is_start(name)]


def default_runlevel(system: System) -> str:
    """The runlevel that a boot goes to: inittab's, upstart's, or Yocto's under busybox, which knows none."""
    match = re.search(r"(?m)^[^#:\n]*:([0-9]):initdefault:", text(system, "/etc/inittab"))
    if match:
        return match.group(1)
    match = re.search(r"(?m)^env DEFAULT_RUNLEVEL=([0-9])", text(system, "/etc/init/rc-sysinit.conf"))
    if match:
        return match.group(1)
    return "5" if b"rc5.d" in active_lines(system, "/etc/init.d/rcS") else "2"


def startpar_targets(system: System) -> "Optional[Set[str]]":
    """The only services that a makefile-style boot starts (Debian's /etc/init.d/rc); None if this is none."""
    files = ["/etc/init.d/.depend." + name for name in ("boot", "start", "stop")]
    if system.exists("/etc/init.d/.legacy-bootordering") or not all(text(system, path) for path in files):
        return None
    if not system.find_program("startpar"):
        return None
    return next((set(words) for key, words in sysvinit.read_depend(system) if key == "TARGETS ="), set())


def of_openrc(system: System) -> "Dict[str, str]":
    """The services of the runlevels that every boot goes through."""
    found: "Dict[str, str]" = {}
    for runlevel in ("sysinit", "boot", "default"):
        for name in system.list("/etc/runlevels/" + runlevel):
            path = "/etc/runlevels/%s/%s" % (runlevel, name)
            if system.is_program(path):  # a link to nowhere starts nothing
                found.setdefault(name, path)
    return found


def of_buildroot(system: System) -> "Dict[str, str]":
    """The scripts that rcS runs."""
    names = [name for name in system.list("/etc/init.d") if is_start(name)]
    return {name[3:]: "/etc/init.d/" + name for name in names if system.is_program("/etc/init.d/" + name)}


def of_runit(system: System) -> "Dict[str, str]":
    """The services of the set that boots that have no `down` file; Debian's runs scripts of System V too."""
    found: "Dict[str, str]" = {}
    folder = runit.set_of_boot(system) or ""
    for name in system.list(folder) if folder else []:
        path = "%s/%s" % (folder, name)
        if system.is_program(path + "/run") and not system.exists(path + "/down"):
            found.setdefault(name, path + "/run")
    scripts = start_links(system, "/etc/rcS.d") if b"/etc/rcS.d" in active_lines(system, "/etc/runit/1") else []
    if b"/etc/rc2.d" in active_lines(system, "/etc/runit/2") and not system.exists("/etc/runit/no.emulate.sysv"):
        links = start_links(system, "/etc/rc2.d")
        scripts += [link for link in links if not system.is_dir("/etc/sv/" + link.rpartition("/")[2][3:])]
    for link in scripts:
        found.setdefault(link.rpartition("/")[2][3:], link)
    return found


def of_folders(*folders: str) -> "Callable[[System], Dict[str, str]]":
    """A finder for init systems that start whatever has a file in a folder."""

    def find(system: System) -> "Dict[str, str]":
        found: "Dict[str, str]" = {}
        for folder in folders:
            for name in system.list(folder):
                if not system.is_dir("%s/%s" % (folder, name)) or system.is_link("%s/%s" % (folder, name)):
                    found.setdefault(re.sub(r"(\.conf|-srv)\Z", "", name), "%s/%s" % (folder, name))
        return found

    return find


def of_finit(system: System) -> "Dict[str, str]":
    """The files of finit.d; and `ifup -a`, which finit itself runs where there is one."""
    found = of_folders(*FINIT)(system)
    if system.find_program("ifup"):
        found.setdefault("networking", "/etc/network/interfaces")
    return found


def of_dinit(system: System) -> "Dict[str, str]":
    """What `boot` waits for."""
    return of_folders(*(dinit.boot_folders(system) or DINIT_BOOT))(system)


def of_slackware(system: System) -> "Dict[str, str]":
    """The executable scripts `rc.NAME`."""
    names = [name for name in system.list("/etc/rc.d") if name.startswith("rc.")]
    return {name[3:]: "/etc/rc.d/" + name for name in names if system.is_program("/etc/rc.d/" + name)}


FINDERS: "Dict[str, Callable[[System], Dict[str, str]]]" = {
    "systemd": of_systemd,
    "sysvinit": of_sysvinit,
    "openrc": of_openrc,
    "buildroot": of_buildroot,
    "runit": of_runit,
    "dinit": of_dinit,
    "s6": of_folders(*S6_SETS),
    "finit": of_finit,
    "slackware": of_slackware,
}
