"""Modules that are blocked from loading, by modprobe.d and the kernel's command line."""

import re
from typing import Dict, List, NamedTuple

from ..command import Command
from .serial import LOADERS, command_lines
from .subject import Image

FOLDERS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
# What follows the name of a `blacklist` is ignored; `install` counts with a program that does nothing.
LINE = re.compile(r"(?m)^[ \t]*(?:(blacklist)[ \t]+(\S+)|(install)[ \t]+(\S+)[ \t]+(?:/usr)?/bin/(?:true|false)\b).*$")
PARAMETER = re.compile(r"\b((?:modprobe\.|module_)blacklist)=([\w,-]+)")


class Bar(NamedTuple):
    """What blocks a module from loading."""

    path: str
    line: str  # the text


def find_bars(image: Image) -> "Dict[str, List[Bar]]":
    """The blocked modules, each with what blocks it; `-` is `_` in all names.

    `blacklist` ignores the aliases of a module, by which the kernel loads all of these: `fs-udf` when a DVD is mounted,
    else that of the device. `install x /bin/false` applies to everything (modprobe.d(5)).
    """
    found: "Dict[str, List[Bar]]" = {}
    for path in files(image):
        for match in LINE.finditer(image.text(path).replace("\\\n", " ")):
            name = (match.group(2) or match.group(4)).replace("-", "_")
            found.setdefault(name, []).append(Bar(path, " ".join(match.group(0).split())))
    for path, lines in command_lines(image, LOADERS):
        for name, words in (words for line in lines for words in PARAMETER.findall(line)):
            for word in words.split(","):
                found.setdefault(word.replace("-", "_"), []).append(Bar(path, "%s=%s" % (name, word)))
    return found


def files(image: Image) -> "List[str]":
    """The files that are read: a file in an earlier folder hides those of the same name in later ones."""
    found: "Dict[str, str]" = {}
    for folder in FOLDERS:
        for name in image.system.list(folder):
            if name.endswith(".conf"):
                found.setdefault(name, "%s/%s" % (folder, name))
    return [found[name] for name in sorted(found)]


def let_in(image: Image, name: str, bars: "List[Bar]") -> Command:
    """The command that removes only these lines from the files; empty if a boot loader has one of them."""
    command = Command()
    module = name.replace("_", "[-_]")
    for path in sorted({bar.path for bar in bars}):
        if not path.endswith(".conf") or "/modprobe.d/" not in path:
            return Command()
        lines = ["/^[[:blank:]]*%s[[:blank:]][[:blank:]]*%s\\([[:blank:]].*\\)*$/d" % (verb, module)
                 for verb in ("blacklist", "install")]  # fmt: skip
        step = Command("sed", "-i", "-e", lines[0], "-e", lines[1]).on(image.place(path))
        command = command.then(step) if command else step
    return command
