"""Modules that are blocked from loading, by modprobe.d and the kernel's command line."""

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ...door.pattern import matches
from ...guest.boot_loader import loaders
from ..command import Command
from .subject import Image

FOLDERS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
# What follows the name of a `blacklist` is ignored.
LINE = re.compile(r"(?m)^[ \t]*(?:(blacklist)[ \t]+(\S+)|(install|alias)[ \t]+(\S+)[ \t]+(\S.*)).*$")
PARAMETER = re.compile(r"(?<![\w.])((?:modprobe\.|module_|rd\.driver\.)blacklist)=([\w,-]+)")
# Only for dracut's initramfs, where these are needed. A driver that is loaded by name there does not mind.
DRACUT = "rd.driver.blacklist"
EARLY = ("hv_vmbus", "hv_storvsc", "sd_mod", "ata_piix", "pci_hyperv", "nvme")
# By which the kernel asks for a file system. Other modules are asked for by their device.
ALIASES = {"udf": "fs_udf", "isofs": "fs_iso9660"}
# Programs of an `install` that load nothing.
IDLE = ("true", "false", ":", "exit", "echo", "printf", "logger", "null")  # /dev/null is no program
SHELLS = ("sh", "bash", "dash", "ash")
LOADS = re.compile(r"\b(?:modprobe|insmod|kmod)\b")
PLAIN = re.compile(r"[\w:*?-]+\Z", re.ASCII)


class Bar(NamedTuple):
    """What blocks modules from loading."""

    path: str
    line: str  # the text
    verb: str  # or the parameter
    pattern: str  # of the modules, or of the alias; `-` is `_`
    sure: bool = True  # or does it only perhaps block them?

    def stops(self, name: str) -> bool:
        """Does the line count for a module itself?"""
        if self.verb == "alias":
            return matches(ALIASES.get(name, ""), self.pattern)
        if self.verb == DRACUT:
            return name in EARLY and name == self.pattern
        return matches(name, self.pattern) if self.verb == "install" else name == self.pattern

    def stops_others(self, needs: "Sequence[str]") -> bool:
        """Does it count for any module that another needs?"""
        return self.verb in ("install", "module_blacklist") and any(map(self.stops, needs))


def read_bars(image: Image) -> "List[Bar]":
    """Everything that blocks modules."""
    return [*bars_of_files(image), *bars_of_loader(image)]


def find_bars(image: Image, bars: "List[Bar]", name: str, needs: "Sequence[str]") -> "List[Bar]":
    """Those that block a module, which `needs` others; those that are sure come first.

    `blacklist` ignores the aliases of a module, by which the kernel loads all of these: `fs-udf` when a DVD is mounted,
    else that of the device. `install x /bin/false` applies to everything, also when another module needs it
    (modprobe.d(5)).
    """
    image.system.spend(FOLDERS[0], len(bars) * (1 + len(needs)) // 16)
    found = [bar for bar in bars if bar.stops(name) or bar.stops_others(needs)]
    return [bar for bar in found if bar.sure] + [bar for bar in found if not bar.sure]


def bars_of_files(image: Image) -> "Iterator[Bar]":
    """The lines in modprobe.d. Of the `install` lines for a name only the first is followed."""
    followed: "Dict[str, Optional[bool]]" = {}
    for path in files(image):
        for match in LINE.finditer(image.text(path).replace("\\\n", " ")):
            verb, word, rest = match.group(1) or match.group(3), match.group(2) or match.group(4), match.group(5) or ""
            pattern = word.replace("-", "_")
            loads = is_loading(rest) if verb == "install" else False
            if verb == "install" and (loads or followed.setdefault(pattern, loads) != loads):
                followed.setdefault(pattern, loads)
                continue
            if verb == "alias" and ALIASES.get(rest.split()[0].replace("-", "_")):
                continue  # another name of the driver itself
            yield Bar(path, " ".join(match.group(0).split()), verb, pattern, loads is not None)


def is_loading(command: str) -> "Optional[bool]":
    """Does the command of an `install` load a module? None if that is unknown."""
    if LOADS.search(command):
        return True
    words = [word.rpartition("/")[2] for word in re.split(r"[\s;\"']+", command)]
    if words[0] in SHELLS and words[1:2] == ["-c"]:
        words = words[2:]
    return False if words and words[0] in IDLE else None


def bars_of_loader(image: Image) -> "Iterator[Bar]":
    """The parameters that are on every command line of a boot loader for everyday use."""
    for usual in image.once(loaders):
        every = [dict.fromkeys(parameters(line)) for _, line in usual]
        for name, module in every[0]:
            known = name != DRACUT or image.system.find_program("dracut") is not None
            if known and all((name, module) in each for each in every):
                line = "%s=%s" % (name, module)
                yield Bar(usual[0][0], line, name, module.replace("-", "_"), name != DRACUT)


def parameters(line: str) -> "Iterator[Tuple[str, str]]":
    """(parameter, module) of a kernel's command line."""
    for name, modules in PARAMETER.findall(line):
        for module in modules.split(","):
            yield name, module


def files(image: Image) -> "List[str]":
    """The files that are read: a file in an earlier folder hides those of the same name in later ones."""
    found: "Dict[str, str]" = {}
    for folder in FOLDERS:
        for name in image.system.list(folder):
            if name.endswith(".conf"):
                found.setdefault(name, "%s/%s" % (folder, name))
    return [found[name] for name in sorted(found)]


def let_in(image: Image, bars: "List[Bar]") -> Command:
    """The command that removes only these lines from the files; empty if a boot loader has one of them."""
    command = Command()
    for path in sorted({bar.path for bar in bars}):
        if not path.endswith(".conf") or "/modprobe.d/" not in path:
            return Command()
        lines = sorted({(bar.verb, bar.pattern) for bar in bars if bar.path == path})
        if "\\\n" in image.text(path) or not all(PLAIN.match(pattern) for _, pattern in lines):
            step = image.edit(path)
        else:
            step = Command("sed", "-i", *(word for line in lines for word in ("-e", deleted(*line))))
            step = step.on(image.place(path))
        command = command.then(step) if command else step
    return command


def deleted(verb: str, pattern: str) -> str:
    """The script of sed that deletes a line of a file."""
    name = pattern.replace("_", "[-_]").replace("*", "[*]")
    return "/^[[:blank:]]*%s[[:blank:]][[:blank:]]*%s\\([[:blank:]].*\\)*$/d" % (verb, name)
