"""Finds the init system that starts services, from files and links only, so that it works on an image as well.

PID 1 is not the answer: OpenRC runs under sysvinit, busybox and its own init, and `/sbin/init` has the same name in all
of them. So first the kind of `/sbin/init` is determined, then what reads the service lists under it.
"""

from ..door.system import System
from ..door.text import active_lines, read_bytes, without_comments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

INIT_PATHS = ("/sbin/init", "/usr/sbin/init", "/usr/bin/init", "/etc/init", "/bin/init")
INIT_BYTES = 4 << 20

# A file name in the chain of symlinks from /sbin/init, and what it means.
BY_NAME = {
    "systemd": "systemd",
    "openrc-init": "openrc",
    "runit": "runit",
    "runit-init": "runit",
    "dinit": "dinit",
    "dinit-init": "dinit",
    "s6-init": "s6",
    "s6-linux-init": "s6",
    "finit": "finit",
    "busybox": "busybox",
    "upstart": "sysvinit",
}
# A string that only this program contains.
BY_CONTENT = (
    (b"INIT_VERSION=sysvinit", "sysvinit"),
    (b"BusyBox v", "busybox"),
    (b"/etc/finit.conf", "finit"),
    (b"com.ubuntu.Upstart", "sysvinit"),
    (b"running in %ssystem mode", "systemd"),
    (b"OpenRC init version", "openrc"),
    (b".dinitctl", "dinit"),
)
# An init that is a script, which finally starts the real one.
BY_SCRIPT = ((b"dinit", "dinit"), (b"s6-linux-init", "s6"), (b"runit", "runit"), (b"openrc", "openrc"))

S6_SCRIPTS = ("/etc/s6-linux-init/current/scripts", "/etc/s6/current/scripts")  # upstream, Artix

# What a running manager leaves in /run; checked before any guess from files.
RUNNING = (
    ("/run/systemd/system", "systemd"),
    ("/run/openrc/softlevel", "openrc"),
    ("/run/dinitctl", "dinit"),
    ("/run/finit", "finit"),
    ("/run/s6-rc", "s6"),
    # Debian, Void, Artix. The folder /run/runit alone proves nothing: on Debian the packages of many daemons make it.
    ("/run/runit.stopit", "runit"),
    ("/run/runit/stopit", "runit"),
    ("/run/runit/service", "runit"),
)


def find_init(system: System) -> "Optional[str]":
    """The name of the init system (see `table.NAMES`, and `nixos` and `guix`); None if there is no sign of one."""
    if system.exists("/etc/NIXOS") or (system.is_dir("/nix/store") and system.is_link("/etc/static")):
        return "nixos"
    if system.is_dir("/gnu/store") and (system.exists("/run/current-system") or system.is_dir("/var/guix")):
        return "guix"
    base = find_running(system) or find_base(system)
    if base in ("systemd", "dinit", "finit"):
        return base
    if has_openrc(system, base):
        return "openrc"
    if base == "runit":
        return runit_flavour(system)
    if base == "s6":
        return s6_flavour(system)
    if base == "sysvinit":
        return sysvinit_flavour(system)
    if base == "busybox":
        return busybox_flavour(system)
    return base


def find_running(system: System) -> "Optional[str]":
    """The manager that has left its mark in /run; None in an image, and for managers that leave none."""
    return next((name for marker, name in RUNNING if system.live and system.exists(marker)), None)


def find_base(system: System) -> "Optional[str]":
    """The kind of `/sbin/init`, from the names in its chain of symlinks, else from the content of the file."""
    for path in INIT_PATHS:
        chain = system.chain(path)
        for step in chain[1:] or chain:
            name = step.rpartition("/")[2]
            if name in BY_NAME:
                return BY_NAME[name]
        found = find_in_file(system, path)
        if found:
            return found
    if system.is_program("/etc/runit/1") and system.is_program("/etc/runit/2"):
        return "runit"
    if system.exists("/etc/inittab"):
        return "sysvinit" if ":initdefault:" in (system.read_text("/etc/inittab") or "") else "busybox"
    return None


def find_in_file(system: System, path: str) -> "Optional[str]":
    """The kind of the init program, from its content."""
    content = read_bytes(system, path, INIT_BYTES)
    if content.startswith(b"#!"):
        content = without_comments(content)
        return next((name for mark, name in BY_SCRIPT if mark in content), None)
    return next((name for mark, name in BY_CONTENT if mark in content), None)


def has_openrc(system: System, base: "Optional[str]") -> bool:
    """Does OpenRC read the service lists? Its files alone do not prove it: Slackware and Arch can have them unused."""
    if not system.find_program("openrc-run") or not system.is_dir("/etc/runlevels/default"):
        return False
    if base == "openrc":
        return True
    if b"openrc " in active_lines(system, "/etc/inittab"):  # Gentoo, Alpine: `openrc sysinit`
        return True
    callers = ["/etc/init.d/rc", "/etc/init.d/rcS", "/etc/runit/1", "/etc/runit/2"]  # Debian calls it from scripts
    callers += [folder + "/rc.init" for folder in S6_SCRIPTS]
    return any(b"openrc" in active_lines(system, caller) for caller in callers)


def runit_flavour(system: System) -> str:
    """Debian's second stage runs the scripts of runlevel 2, for at most 90 s, before it starts services."""
    emulates = b"run_sysv_scripts" in active_lines(system, "/etc/runit/2") and system.is_dir("/etc/rc2.d")
    return "sysvinit" if emulates and not system.exists("/etc/runit/no.emulate.sysv") else "runit"


def s6_flavour(system: System) -> str:
    """s6-rc, unless the scripts of s6-linux-init start System V runlevels."""
    for folder in S6_SCRIPTS:
        script = active_lines(system, folder + "/rc.init") + active_lines(system, folder + "/runlevel")
        if b"s6-rc" not in script and b"/etc/init.d/rc" in script:
            return sysvinit_flavour(system)
    return "s6"


def sysvinit_flavour(system: System) -> str:
    """What runs the scripts under a System V init."""
    if system.exists("/etc/slackware-version") or system.exists("/etc/rc.d/rc.M"):
        return "slackware"
    if is_buildroot(system):
        return "buildroot"
    if any(system.is_dir(folder) for folder in ("/etc/rc3.d", "/etc/rc5.d", "/etc/rc.d/rc3.d")):
        return "sysvinit"
    return "rc-local" if system.exists("/etc/rc") or system.exists("/etc/rc.d/rc") else "busybox"


def busybox_flavour(system: System) -> str:
    """What runs the scripts under busybox init: Buildroot's rcS, Yocto's, or nothing."""
    if is_buildroot(system):
        return "buildroot"
    if b"rc5.d" in active_lines(system, "/etc/init.d/rcS") or b"/etc/init.d/rc " in active_lines(
        system, "/etc/inittab"
    ):
        return "sysvinit"
    return "busybox"


def is_buildroot(system: System) -> bool:
    """Does rcS run `/etc/init.d/S??*`?"""
    return b"/etc/init.d/S??" in active_lines(system, "/etc/init.d/rcS")
