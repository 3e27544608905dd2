"""The rc.local of a system whose manager we know nothing of: a marked block in the script that runs at the end."""

import re

from ...door.system import System
from ...door.text import BLANKS, active_lines
from ...errors import GuestError
from .. import block
from ..usual import NAME, Obstacle
from ..usual import left_to_do as left_to_do
from ..usual import restart_command as restart_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Optional, Tuple

    from ...records import Hook

# Red Hat, Slackware; most; Artix with s6 and with dinit.
PATHS = ("/etc/rc.d/rc.local", "/etc/rc.local", "/etc/s6/rc.local", "/etc/dinit.d/config/rc.local")
# Who could run one that does not exist yet: CRUX, BSD-style, Void, Debian, systemd, upstart, busybox, System V.
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
    """Is there a block of ours that is not Slackware's?"""
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
    """Take the block out; a shell that is reading the file goes on in the old one."""
    return [path for path in links(system) if block.take_block(system, path)]


def remove(system: System) -> None:
    """The block is all that there is of us."""
    for path in hooks(system):
        block.take_block(system, path)


def hooks(system: System) -> "List[str]":
    """The files with a block of ours that starts the program, and not Slackware's script; each by one of its names."""
    found = {system.path(path): path for path in reversed(PATHS) if " run --detach " in block_of(system, path)}
    return [path for path in PATHS if path in found.values()]


def block_of(system: System, path: str) -> str:
    """Our block in the file at `path`, if any."""
    return block.find_block(system, path) or ""


def called(system: System) -> "Optional[str]":
    """The path of the rc.local that some script would run if there were one."""
    for caller in CALLERS:
        text = active_lines(system, caller)
        for path in PATHS:
            if re.search(rb"%s(?![\w.-])" % path.replace(".", "[.]").encode(), text):
                return path
    return None


def put_call(system: System, path: str, lines: str) -> None:
    """Have the rc.local at `path` begin with `lines`, and be executable.

    Raises GuestError for a script that no shell runs, and for one with commands that somebody has switched off.
    """
    text = system.read_text(path)
    if text is not None and text.startswith("#!"):
        words = text.split("\n", 1)[0][2:].split()
        names = [word.rpartition("/")[2] for word in words]
        if not set(names[:2]) & set(SHELLS):
            raise GuestError("this rc.local is no shell script", path=path)
    if text is not None and not system.is_program(path) and block.find_block(system, path) is None and commands(text):
        raise GuestError("this rc.local is switched off: `chmod +x` would switch on what else is in it", path=path)
    block.put_block(system, path, lines, first=FIRST, executable=True)


def commands(text: str) -> "List[str]":
    """The lines of a script that do something."""
    lines = [line.strip(BLANKS) for line in text.split("\n")]
    return [line for line in lines if line and not line.startswith("#") and line not in ("exit 0", ":", "true")]


def services(_system: System) -> None:
    """What a boot starts is in scripts, which only a shell can read."""


def enable_command(_system: System, _service: str) -> "Tuple[str, ...]":
    """A line in some script: which is not known."""
    return ()


def unreached(system: System, links: "List[str]") -> "Iterator[Obstacle]":
    """Nothing is known to run it."""
    if not called(system):
        yield Obstacle("it cannot be determined whether anything runs %s" % links[0], (), sure=False)
