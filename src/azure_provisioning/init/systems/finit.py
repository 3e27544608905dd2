"""finit: a one-shot task in `available`, and the link that enables it, as `initctl enable` makes it.

It is a task of runlevel S. finit waits for those, at most two minutes, before it goes to the runlevel in which sshd is
(its src/sm.c, sm_check_bootstrap). When the task has ended, finit kills what is left of its session.
"""

import re
from collections import namedtuple
from itertools import takewhile

from ...door.system import System
from ...door.text import read_text
from ...door.tree import ROOT
from .. import usual
from ..usual import INSTALL, NAME, SSH_SERVERS, files_in, unordered
from ..usual import left_to_do as left_to_do

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Tuple

    from ...records import Hook
    from ..usual import Obstacle

CONF = NAME + ".conf"
FOLDER = "/etc/finit.d"
AVAILABLE = FOLDER + "/available"
ENABLED = FOLDER + "/enabled"  # on some distros; else the links are in the folder itself
MAIN = "/etc/finit.conf"
KINDS = ("service", "task", "run", "sysv")
COMMAND = re.compile(r"(?m)^[ \t]*(?:service|task|run)[ \t](.*)$")
RUNNING_AS = tuple(
    (folder, names, r".*[ \t]@%s[: \t]") for folder, names in (("/etc", "finit.conf"), (FOLDER, "*.conf"))
)
OPTION = re.compile(r"[\[<:@]|(log|pid|cgroup|nowarn|norestart|respawn)([:.]|$)|[a-z_]+:")  # its src/service.c


class Stanza(namedtuple("Stanza", "program names early")):
    """A line that starts a program. `names`: its own, and the program's. `early`: it is started in runlevel S too."""

    __slots__ = ()

    program: str
    names: "Tuple[str, ...]"
    early: bool


def present(system: System) -> bool:
    """Is there a file of ours?"""
    return system.exists("%s/%s" % (AVAILABLE, CONF)) or bool(links(system))


def enable(system: System, hook: "Hook") -> None:
    """Write the task, and link it into the folder of enabled ones."""
    from ..unit import unit

    text = unit("finit/" + CONF, hook)
    if not can_leave(system, hook.python):
        text = text.replace("[S]", "[2345]").replace(" run --detach", " run")
    system.write("%s/%s" % (AVAILABLE, CONF), text, owner=ROOT)
    if system.is_dir(ENABLED):
        system.link("../available/" + CONF, "%s/%s" % (ENABLED, CONF))
    else:
        system.link("available/" + CONF, "%s/%s" % (FOLDER, CONF))


def links(system: System, service: str = NAME) -> "List[str]":
    """The entry among the enabled tasks, a link or a file."""
    paths = ["%s/%s.conf" % (folder, service) for folder in (FOLDER, ENABLED)]
    return [path for path in paths if system.stat(path, follow=False) is not None]


def files(system: System) -> "List[str]":
    """Task and link."""
    path = "%s/%s" % (AVAILABLE, CONF)
    return ([path] if system.exists(path) else []) + links(system)


def disable(system: System) -> "List[str]":
    """Remove the links that finit would read at the next boot."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Remove task and links."""
    for path in links(system) + ["%s/%s" % (AVAILABLE, CONF)]:
        system.unlink(path)


def can_leave(system: System, python: str) -> bool:
    """Can the program have a child in another session? A shell needs a tool for that."""
    from ..unit import SHELL

    return python != SHELL or bool(system.find_program("setsid"))


def services(system: System) -> "Dict[str, str]":
    """The files of finit.d, the programs and the terminals of their lines, and `ifup -a`, which finit itself runs where
    there is one."""
    found = enabled(system)
    for path in [MAIN, *found.values()]:
        for stanza in stanzas(system, path):
            found.setdefault(stanza.names[0], path)
        for words in (line.split() for line in read_text(system, path).split("\n")):
            if words[:1] == ["tty"]:
                for name in (word.rpartition("/")[2].lstrip("@") for word in words[1:]):
                    if name.startswith("tty") or name == "console":
                        found.setdefault(name, path)
    if system.find_program("ifup"):
        found.setdefault("networking", "/etc/network/interfaces")
    return found


def enabled(system: System) -> "Dict[str, str]":
    """{name: path} of the files that finit reads besides `MAIN`."""
    return dict(files_in(system, ENABLED, ".conf"), **files_in(system, FOLDER, ".conf"))


def stanzas(system: System, path: str) -> "Iterator[Stanza]":
    """What the lines of a file start."""
    for line in read_text(system, path).split("\n"):
        words = line.partition(" -- ")[0].split()
        if words[:1] and words[0] in KINDS:
            options = list(takewhile(OPTION.match, words[1:]))
            for program in words[1 + len(options) :][:1]:
                named = [option[len("name:") :] for option in options if option.startswith("name:")]
                levels = "".join(option for option in options if option.startswith("[")).upper()
                names = tuple(named + [program.rpartition("/")[2]])
                yield Stanza(program, names, ("S" in levels) != ("!" in levels))


def restart_command(_system: System, service: str) -> "Tuple[str, ...]":
    """finit's own tool."""
    return ("initctl", "restart", service)


def enable_command(system: System, service: str) -> "Tuple[str, ...]":
    """The link that `initctl enable` makes."""
    name = service + ".conf"
    if not system.exists("%s/%s" % (AVAILABLE, name)):
        return ()
    folder = ENABLED if system.is_dir(ENABLED) else FOLDER
    return ("ln", "-sf", "%s/%s" % (AVAILABLE, name), folder + "/")


def unreached(system: System, links: "List[str]") -> "Iterator[Obstacle]":
    """The link leads nowhere; or sshd is started in runlevel S too, or the hook, of an older install, is not."""
    yield from usual.unreached(system, links)
    ours = list(stanzas(system, links[0]))
    early = all(stanza.early for stanza in ours)
    mends = not early and can_leave(system, ours[0].program)
    for path in [MAIN, *enabled(system).values()]:
        for stanza in stanzas(system, path):
            if stanza.early or not early:
                for server in sorted(set(SSH_SERVERS) & set(stanza.names)):
                    yield unordered(server, "finit", INSTALL if mends else ())
