"""finit: a one-shot task in `available`, and the link that enables it, as `initctl enable` makes it."""

from ...door.system import System
from ...door.text import read_text
from ...door.tree import ROOT
from ..usual import NAME, files_in
from ..usual import left_to_do as left_to_do
from ..usual import unreached as unreached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Tuple

    from ...records import Hook

CONF = NAME + ".conf"
FOLDER = "/etc/finit.d"
AVAILABLE = FOLDER + "/available"
ENABLED = FOLDER + "/enabled"  # on some distros; else the links are in the folder itself
MAIN = "/etc/finit.conf"


def present(system: System) -> bool:
    """Is there a file of ours?"""
    return system.exists("%s/%s" % (AVAILABLE, CONF)) or bool(links(system))


def enable(system: System, hook: "Hook") -> None:
    """Write the task, and link it into the folder of enabled ones."""
    from ..unit import unit

    system.write("%s/%s" % (AVAILABLE, CONF), unit("finit/" + CONF, hook), owner=ROOT)
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


def services(system: System) -> "Dict[str, str]":
    """The files of finit.d, the terminals with a login in their lines, and networking: finit itself runs `ifup -a` if
    it is installed."""
    found = dict(files_in(system, ENABLED, ".conf"), **files_in(system, FOLDER, ".conf"))
    for path in [MAIN, *found.values()]:
        for words in (line.split() for line in read_text(system, path).split("\n")):
            if words[:1] == ["tty"]:
                for name in (word.rpartition("/")[2].lstrip("@") for word in words[1:]):
                    if name.startswith("tty") or name == "console":
                        found.setdefault(name, path)
    if system.find_program("ifup"):
        found.setdefault("networking", "/etc/network/interfaces")
    return found


def restart_command(_system: System, service: str) -> "Tuple[str, ...]":
    """finit's own tool."""
    return ("initctl", "restart", service)


def enable_command(system: System, service: str) -> "Tuple[str, ...]":
    """The link that `initctl enable` makes."""
    name = service + ".conf"
    if not system.exists("%s/%s" % (AVAILABLE, name)):
        return ()
    folder = ENABLED if system.is_dir(ENABLED) else FOLDER
    return ("ln", "-s", "%s/%s" % (AVAILABLE, name), folder + "/")
