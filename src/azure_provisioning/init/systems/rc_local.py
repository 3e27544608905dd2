"""The rc.local of a system with an unknown manager: a marked block in the script that runs at the end of a boot."""

import re

from ...door.system import System
from ...door.text import BLANKS, active_lines
from ...errors import GuestError
from .. import block
from ..usual import NAME, Obstacle, unlisted
from ..usual import left_to_do as left_to_do
from ..usual import restart_command as restart_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Optional, Tuple

    from ...records import Hook

# Red Hat, Slackware; most; Artix with s6 and with dinit.
PATHS = ("/etc/rc.d/rc.local", "/etc/rc.local", "/etc/s6/rc.local", "/etc/dinit.d/config/rc.local")
# Scripts that may run a missing rc.local: CRUX, BSD-style, Void, Debian, systemd, upstart, busybox, System V.
CALLERS = (
    "/etc/rc.multi",
    "/etc/rc",
    "/etc/rc.d/rc",
    "/etc/rc.d/rc.multi",
    "/etc/rc.d/rc.M",
    "/etc/runit/2",
    "/etc/init.d/rc.local",
    "/usr/lib/systemd/system/rc-local.service",
    "/lib/systemd/system/rc-local.service",
    "/etc/init/rc-local.conf",
    "/etc/init.d/rcS",
    "/etc/inittab",
)
SHELLS = ("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "yash")
FIRST = "#!/bin/sh\n"


def present(system: System) -> bool:
    """Is there a block of ours, other than Slackware's?"""
    return bool(hooks(system))


def enable(system: System, hook: "Hook") -> None:
    """Put the block into the rc.local that this system runs. Raises GuestError if it runs none."""
    from ..unit import unit

    path = next((path for path in PATHS if system.exists(path)), None) or called(system)
    if path is None:
        raise GuestError("no rc.local is run here", looked_for=" ".join(PATHS))
    put_call(system, path, unit("rc-local/azure-provisioning", hook))


def links(system: System, service: str = NAME) -> "List[str]":
    """The rc.local that has our block, if it is executable."""
    return [path for path in hooks(system) if system.is_program(path)] if service == NAME else []


def files(system: System) -> "List[str]":
    """The scripts that have our block."""
    return hooks(system)


def disable(system: System) -> "List[str]":
    """Remove the block; a shell that is reading the file keeps the old one."""
    return [path for path in links(system) if block.take_block(system, path)]


def remove(system: System) -> None:
    """Remove the block: there is nothing else."""
    for path in hooks(system):
        block.take_block(system, path)


def hooks(system: System) -> "List[str]":
    """The files with a block that starts the program, except Slackware's script; each by one of its names."""
    found = {system.path(path): path for path in reversed(PATHS) if " run --detach " in block_of(system, path)}
    return [path for path in PATHS if path in found.values()]


def block_of(system: System, path: str) -> str:
    """Our block in the file at `path`, if any."""
    return block.find_block(system, path) or ""


def called(system: System) -> "Optional[str]":
    """The path of the rc.local that some script would run if it existed."""
    for caller in CALLERS:
        text = active_lines(system, caller)
        for path in PATHS:
            if re.search(rb"%s(?![\w.-])" % path.replace(".", "[.]").encode(), text):
                return path
    return None


def put_call(system: System, path: str, lines: str) -> None:
    """Put `lines` at the top of the rc.local at `path`, and make it executable.

    Raises GuestError for a script that is not a shell's, and for one with commands that is switched off.
    """
    text = system.read_text(path)
    if text is not None and text.startswith("#!"):
        words = text.split("\n", 1)[0][2:].split()
        names = [word.rpartition("/")[2] for word in words]
        if not set(names[:2]) & set(SHELLS):
            raise GuestError("this rc.local is not a shell script", path=path)
    if text is not None and not system.is_program(path) and block.find_block(system, path) is None and commands(text):
        raise GuestError("this rc.local is not executable: `chmod +x` would enable its other lines too", path=path)
    block.put_block(system, path, lines, first=FIRST, executable=True)


def commands(text: str) -> "List[str]":
    """The lines of a script that have an effect."""
    lines = [line.strip(BLANKS) for line in text.split("\n")]
    return [line for line in lines if line and not line.startswith("#") and line not in ("exit 0", ":", "true")]


def services(_system: System) -> None:
    """Not known: scripts start the services, and only a shell can read scripts."""


def enable_command(_system: System, _service: str) -> "Tuple[str, ...]":
    """None: it is not known which script would start it."""
    return ()


def unreached(system: System, links: "List[str]") -> "Iterator[Obstacle]":
    """Nothing known runs it, or it does not hold back sshd, as Void's stage 2 would."""
    if not called(system):
        yield Obstacle("it cannot be determined whether anything runs %s" % links[0], (), sure=False)
    if not any(path.encode() in active_lines(system, "/etc/runit/2") for path in links):
        yield from unlisted(system)
