"""dinit: a service description, and a link in a folder of names that `boot`, or a dependency of it, waits for."""

import os
import re

from ...door.system import System
from ...door.text import read_text
from ...door.tree import ROOT
from ..usual import INSTALL, NAME, SSH_SERVERS, Obstacle, is_file, ssh_servers, unordered
from ..usual import left_to_do as left_to_do

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Tuple

    from ...records import Hook

SERVICE = "/etc/dinit.d/" + NAME
# The folders of descriptions; the last is Chimera's and Artix's.
FOLDERS = ("/etc/dinit.d", "/run/dinit.d", "/usr/local/lib/dinit.d", "/lib/dinit.d", "/usr/lib/dinit.d")
BOOT = "/etc/dinit.d/boot.d"
ENVIRONMENT = "/etc/dinit/environment"
# The service that mounts the file systems: Chimera's; Artix's; that of dinit's own examples. Name only what exists: a
# missing dependency would keep dinit from loading us.
MOUNTED = ("local.target", "loginready", "filesystems")
COMMAND = re.compile(r"(?m)^[ \t]*command[ \t]*[:=](.*)$")
RUNNING_AS = ((FOLDERS[0], "*", r"run-as[ \t]*[=:][ \t]*%s(?::|\Z)"),)
STARTS = ("depends-on", "depends-ms", "waits-for", "prepared-by")  # each takes a name; with `.d` a folder of names
VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"?|\\(.)|(\s*#.*)|([^"\\#]+|#)', re.DOTALL)
VARIABLE = re.compile(r"\$(?:(\$)|/?\{([A-Za-z0-9_]+)(?:(:?[-+])([^}\s]*))?\}|/?([A-Za-z0-9_]+))")


def present(system: System) -> bool:
    """Is there a service of ours?"""
    return system.exists(SERVICE) or bool(links(system))


def enable(system: System, hook: "Hook") -> None:
    """Write the service and have `boot` start it, before sshd."""
    from ..unit import unit

    lines = [unit("dinit/" + NAME, hook)]
    lines += ["waits-for = %s\n" % name for name in MOUNTED if find_service(system, name)][:1]
    lines += ["before = %s\n" % name for name in SSH_SERVERS if find_service(system, name)]
    system.write(SERVICE, "".join(lines), owner=ROOT)
    folders = boot_folders(system)
    chosen = sorted(folders, key=lambda folder: (folder != BOOT, not folder.startswith("/etc/")))[:1]
    for folder in chosen:
        system.link("../" + NAME if folder == BOOT else SERVICE, "%s/%s" % (folder, NAME))


def links(system: System, service: str = NAME) -> "List[str]":
    """The link in any folder that `boot` waits for; only its name counts."""
    paths = ["%s/%s" % (folder, service) for folder in boot_folders(system)]
    return [path for path in paths if system.stat(path, follow=False) is not None]


def files(system: System) -> "List[str]":
    """Service and links."""
    return ([SERVICE] if system.exists(SERVICE) else []) + links(system)


def disable(system: System) -> "List[str]":
    """Remove the links that dinit would read at the next boot."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Remove service and links."""
    for path in links(system) + ["%s/%s" % (BOOT, NAME), SERVICE]:
        system.unlink(path)


def services(system: System) -> "Dict[str, str]":
    """The services that `boot` depends on or waits for, directly or not, each with its description."""
    if not find_service(system, "boot"):  # the usual folders
        folders = [folder + "/boot.d" for folder in FOLDERS]
        return {name: "%s/%s" % (folder, name) for folder in reversed(folders) for name in system.list(folder)}
    return {name: path for name, (path, _) in reached(system).items() if name != "boot"}


def restart_command(_system: System, service: str) -> "Tuple[str, ...]":
    """dinit's own tool."""
    return ("dinitctl", "restart", service)


def enable_command(system: System, service: str) -> "Tuple[str, ...]":
    """The link that `dinitctl enable` makes."""
    path, folders = find_service(system, service), boot_folders(system)
    if not path or not folders:
        return ()
    folder = BOOT if BOOT in folders else folders[0]
    return ("ln", "-sf", "../" + service if path.rpartition("/")[0] + "/boot.d" == folder else path, folder + "/")


def unreached(system: System, links: "List[str]") -> "Iterator[Obstacle]":
    """The link has no description, or an older install wrote it, and it does not hold back sshd."""
    if not find_service(system, NAME):
        yield Obstacle("%s leads nowhere" % links[0], INSTALL, sure=True)
        return
    held = [value for key, value, _ in settings(system, NAME) if key == "before"]
    for server in ssh_servers(services(system)):
        if server not in held:
            yield unordered(server, "dinit", INSTALL)


# -- service descriptions: dinit-service(5) --------------------------------------------------------------------------


def find_service(system: System, name: str) -> "Optional[str]":
    """The path of the description of that name: for `getty@tty1` it is `getty`, with an argument."""
    plain = name.partition("@")[0] or name
    if "/" in plain or plain.startswith("."):
        return None
    return next((path for path in (folder + "/" + plain for folder in FOLDERS) if is_file(system, path)), None)


def boot_folders(system: System) -> "List[str]":
    """The folders in which a name makes a boot start the service: those of `boot` first, without duplicates."""
    return list(dict.fromkeys(folder for _, folders in reached(system).values() for folder in folders))


def reached(system: System) -> "Dict[str, Tuple[str, List[str]]]":
    """{service: (its description, its folders of names)} of every service that a boot starts, `boot` first."""
    found: "Dict[str, Tuple[str, List[str]]]" = {}
    todo = ["boot"]
    while todo:
        name = todo.pop(0)
        path = find_service(system, name) if name not in found else None
        if path is None:
            continue
        folders = []
        for key, value, here in settings(system, name):
            if key in STARTS:
                todo.append(value)
            elif key.endswith(".d") and key[:-2] in STARTS and value:
                folders.append(os.path.normpath(os.path.join(here, value)))
                todo += [each for each in system.list(folders[-1]) if not each.startswith(".")]
        found[name] = (path, folders)
    return found


def settings(system: System, name: str) -> "List[Tuple[str, str, str]]":
    """(key, value, the folder of the file with the line) of a service's description and of its includes.

    Each file is read once, even if files include one another.
    """
    path = find_service(system, name)
    variables = environment(system)
    argument = name.partition("@")[2]
    if argument:
        variables["1"] = argument
    found = []
    paths = [path] if path else []
    for path in paths:  # includes add to it
        here = os.path.dirname(path)
        lines = re.sub(r"\\\n(?=[ \t])", " ", read_text(system, path)).split("\n")
        for line in map(str.strip, lines):
            setting = re.match(r"([\w.-]+)\s*(?:\+?=|:)(.*)", line, re.DOTALL)
            include = re.match(r"@include(?:-opt)?\s+(.*)", line, re.DOTALL)
            if setting:
                found.append((setting.group(1), substitute(unquote(setting.group(2)), variables), here))
            elif include:
                other = os.path.normpath(os.path.join(here, substitute(unquote(include.group(1)), variables)))
                if other not in paths and is_file(system, other):
                    paths.append(other)
    return found


def unquote(text: str) -> str:
    """A value without its quotes, backslashes and comment, and without blanks at its ends."""
    value = ""
    for quoted, escaped, comment, plain in VALUE.findall(text.strip()):
        if comment:
            break
        value += re.sub(r"\\(.)", r"\1", quoted) + escaped + plain
    return value.strip()


def substitute(text: str, variables: "Dict[str, str]") -> str:
    """A value with its variables replaced. One that is not set is empty, or the default of `${NAME:-word}`."""

    def value_of(match: "re.Match[str]") -> str:
        dollar, name, operator, word, bare = match.groups()
        if dollar:
            return "$"
        value = variables.get(name or bare)
        is_set = bool(value) if (operator or "").startswith(":") else value is not None
        if operator and operator.endswith("+"):
            return word if is_set else ""
        return word if operator and not is_set else value or ""

    return VARIABLE.sub(value_of, text)


def environment(system: System) -> "Dict[str, str]":
    """The variables in dinit's environment file: dinit(8)."""
    pairs = [line.strip().partition("=") for line in read_text(system, ENVIRONMENT).split("\n")]
    return {key.strip(): value for key, equals, value in pairs if equals and not key.startswith(("#", "!"))}
