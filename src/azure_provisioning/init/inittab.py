"""sysvinit's /etc/inittab: the runlevel of a boot, what runs in it, and the commands that mend both. See inittab(5)."""

import re

from ..door.text import active_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from ..door.system import System

PATH = "/etc/inittab"
EARLY = ("sysinit", "boot", "bootwait")  # in every boot
WITHOUT_SERVICES = ("", "0", "1", "6", "S", "s")  # asked for on the console, halt, single user, reboot
BUSYBOX = "::wait:"  # for a line of busybox's, which has no runlevels


def entries(system: "System") -> "List[List[str]]":
    """The entries: id, runlevels, action, process."""
    text = active_lines(system, PATH).decode("utf-8", "surrogateescape")
    return [fields for fields in (line.strip().split(":", 3) for line in text.split("\n")) if len(fields) == 4]


def boot_level(system: "System") -> "Optional[str]":
    """The runlevel of `initdefault`, the highest of several; None if there is no such entry."""
    levels = [fields[1] for fields in entries(system) if fields[2] == "initdefault"]
    return max(levels[0], default="") if levels else None


def without_services(level: "Optional[str]") -> str:
    """In words: the boot's runlevel is one of WITHOUT_SERVICES."""
    if not level:
        return "/etc/inittab names no runlevel for the boot: the console is asked for one"
    return "the image boots to runlevel %s, which starts no services" % level


def run_at_boot(system: "System", level: str) -> "List[str]":
    """The processes that a boot to a runlevel starts."""
    return [what for _, levels, action, what in entries(system) if action in EARLY or not levels or level in levels]


def choose(level: str) -> "Tuple[str, ...]":
    """The command that sets the runlevel of a boot."""
    return ("sed", "-i", r"s/^\([^#:]*\):[^:]*:initdefault:/\1:%s:initdefault:/" % level, PATH)


def add(system: "System", level: str, process: str) -> "Tuple[str, ...]":
    """The command that adds an entry for a process, with an id that no other has; for busybox without a level."""
    taken = {fields[0] for fields in entries(system)}
    names = [letter + level for letter in "lrabcdefgh"]
    name = next((name for name in names if name not in taken), names[0])
    head = "%s:%s:wait:" % (name, level) if level else BUSYBOX
    return ("sed", "-i", "$a " + head + process, PATH)


def find_rc(system: "System", level: str) -> str:
    """The command that runs the scripts of a runlevel, as in the entry of another runlevel; empty if none is known."""
    for _, levels, _, what in entries(system):
        words = what.split()
        if "rc" in re.split(r"[\s/]+", what) and words[-1] in levels:
            return " ".join(words[:-1] + [level])
    return next(("%s %s" % (path, level) for path in ("/etc/init.d/rc", "/etc/rc.d/rc") if system.is_program(path)), "")


def runs_scripts(system: "System", level: str) -> bool:
    """Does something run the scripts that are linked in rcN.d?"""
    from .detection import S6_SCRIPTS, find_base

    if find_base(system) == "runit":  # its stage 2 does, or detection would have returned runit
        return True
    text = active_lines(system, PATH)
    for _, levels, _, what in entries(system):
        if level in levels and "rc" in re.split(r"[\s/]+", what) and what.split()[-1] == level:
            return True
    if find_base(system) == "busybox" or not text:
        callers = ["/etc/init.d/rcS", "/etc/init.d/rc"] + [folder + "/rc.init" for folder in S6_SCRIPTS]
        callers += ["/etc/init/rc.conf", "/etc/init/rc-sysinit.conf"]
        called = b"\n".join(active_lines(system, path) for path in callers)
        return b"rc%s.d" % level.encode() in called or b"/rc " in called + text or b"rc5.d" in called
    return system.exists("/etc/init/rc.conf")
