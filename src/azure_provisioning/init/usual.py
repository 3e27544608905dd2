"""The answers that most modules of `systems/` share, and the type that `unreached` returns."""

import stat
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Tuple

    from ..door.system import System

NAME = "azure-provisioning"
SSH_SERVERS = ("ssh", "sshd", "dropbear")
INSTALL = (NAME, "install")


class Obstacle(namedtuple("Obstacle", "message remedy sure")):
    """Why a boot would not reach the hook.

    `remedy`: the command that repairs it, run in the image; `INSTALL` is this program; empty if none is known.
    `sure`: no boot reaches it. Else that is uncertain, or it runs too late to hold back sshd.
    """

    __slots__ = ()

    message: str
    remedy: "Tuple[str, ...]"
    sure: bool


def left_to_do(_system: "System") -> "Optional[str]":
    """Nothing: a boot reads the files themselves."""
    return None


def restart_command(_system: "System", _service: str) -> "Tuple[str, ...]":
    """None: it depends on what started the service."""
    return ()


def unreached(system: "System", links: "List[str]") -> "Iterator[Obstacle]":
    """Reports if the target of the links is missing."""
    if not any(is_file(system, link) for link in links):
        yield Obstacle("%s leads nowhere" % links[0], INSTALL, sure=True)


def in_turn(first: str, second: str) -> "Tuple[str, ...]":
    """Two commands as one: the second is run if the first succeeds. Both are of words that are plain for a shell."""
    return ("sh", "-c", "%s && %s" % (first, second))


def is_file(system: "System", path: str) -> bool:
    """Is it a regular file, with all symlinks followed? A link to /dev/null is none."""
    found = system.stat(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def files_in(system: "System", folder: str, ending: str = "") -> "Dict[str, str]":
    """{name without the ending: path} of the readable files in a folder; plain folders are left out."""
    found = {}
    for name in system.list(folder):
        path = "%s/%s" % (folder, name)
        if name.endswith(ending) and system.exists(path) and (system.is_link(path) or not system.is_dir(path)):
            found[name[: len(name) - len(ending)]] = path
    return found


def unordered(server: str, manager: str, remedy: "Tuple[str, ...]" = ()) -> Obstacle:
    """An SSH server that does not wait for us. We replace the image's host keys and restart it soon after."""
    message = "%s starts %s in parallel: it has the host keys of the image until the hook has made new ones"
    return Obstacle(message % (manager, server), remedy, sure=False)


def before_hook(path: str, remedy: "Tuple[str, ...]" = ()) -> Obstacle:
    """The same of one that is started before us, by what lies at `path`."""
    return Obstacle("%s is started before the hook, with the host keys of the image" % path, remedy, sure=False)


def unlisted(system: "System") -> "Iterator[Obstacle]":
    """The same of each SSH server that the guest has, where scripts start it that only a shell can read."""
    message = "if a script starts %s, it has the host keys of the image until the hook has made new ones"
    for server in SSH_SERVERS:
        if system.find_program(server):
            yield Obstacle(message % server, (), sure=False)


def ssh_servers(services: "Optional[Dict[str, str]]") -> "List[str]":
    """The SSH servers among the services."""
    return [name for name in SSH_SERVERS if name in (services or {})]
