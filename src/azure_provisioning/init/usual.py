"""What most init systems answer alike, for the modules of `systems/`; and what `unreached` answers with."""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Tuple

    from ..door.system import System

NAME = "azure-provisioning"
SSH_SERVERS = ("ssh", "sshd", "dropbear")
INSTALL = (NAME, "install")


class Obstacle(namedtuple("Obstacle", "message remedy sure")):
    """Why a boot would not come to the hook.

    `remedy`: the words of the command that mends it, in the image; `INSTALL` is this program; empty if none is known.
    `sure`: no boot comes to it. Else that is uncertain, or it comes too late to hold back sshd.
    """

    __slots__ = ()

    message: str
    remedy: "Tuple[str, ...]"
    sure: bool


def left_to_do(_system: "System") -> "Optional[str]":
    """Nothing: a boot reads the files themselves."""
    return None


def restart_command(_system: "System", _service: str) -> "Tuple[str, ...]":
    """None that is known without asking what has started it."""
    return ()


def unreached(system: "System", links: "List[str]") -> "Iterator[Obstacle]":
    """What the links lead to is missing."""
    if not any(system.exists(link) for link in links):
        yield Obstacle("%s leads nowhere" % links[0], INSTALL, sure=True)


def files_in(system: "System", folder: str, ending: str = "") -> "Dict[str, str]":
    """{name without the ending: path} of what lies in a folder and can be read; what only a folder there has, not."""
    found = {}
    for name in system.list(folder):
        path = "%s/%s" % (folder, name)
        if name.endswith(ending) and system.exists(path) and (system.is_link(path) or not system.is_dir(path)):
            found[name[: len(name) - len(ending)]] = path
    return found


def unordered(server: str, manager: str) -> Obstacle:
    """An SSH server that does not wait for us. The host keys of the image are replaced, and it is told, soon after."""
    message = "%s starts %s beside the hook: until the hook has made others, it has the host keys of the image"
    return Obstacle(message % (manager, server), (), sure=False)


def ssh_servers(services: "Optional[Dict[str, str]]") -> "List[str]":
    """The SSH servers among the services."""
    return [name for name in SSH_SERVERS if name in (services or {})]
