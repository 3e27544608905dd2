"""The command lines that a guest's boot loader gives to the kernel."""

import re

from ..door.system import System
from ..door.text import read_text
from .sshd_config import matching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Tuple

LILO = r"(?m)^[ \t]*(?:append|root)[ \t]*=.*$"
IMAGES = 27  # that lilo can have
LIMINE = ("/boot", "/boot/limine", "/boot/EFI/*", "/boot/efi", "/boot/efi/EFI/*", "/efi", "/efi/EFI/*")
# The boot loader's files: (path, the lines with a kernel's command line).
LOADERS = (
    ("/boot/grub/grub.cfg", r"(?m)^[ \t]*linux(?:16|efi)?\s.*$"),
    ("/boot/grub2/grub.cfg", r"(?m)^[ \t]*linux(?:16|efi)?\s.*$"),
    ("/boot/grub2/grubenv", r"(?m)^kernelopts=.*$"),
    ("/boot/grub/menu.lst", r"(?m)^[ \t]*kernel\s.*$"),
    ("/boot/loader/entries/*.conf", r"(?m)^[ \t]*options\s.*$"),
    ("/boot/efi/loader/entries/*.conf", r"(?m)^[ \t]*options\s.*$"),
    ("/efi/loader/entries/*.conf", r"(?m)^[ \t]*options\s.*$"),
    ("/boot/extlinux.conf", r"(?mi)^[ \t]*append\s.*$"),
    ("/boot/extlinux/extlinux.conf", r"(?mi)^[ \t]*append\s.*$"),
    ("/boot/syslinux/*.cfg", r"(?mi)^[ \t]*append\s.*$"),
    ("/etc/lilo.conf", LILO),
    ("/etc/elilo.conf", LILO),
    ("/boot/efi/EFI/*/elilo.conf", LILO),
    ("/boot/cmdline.txt", r"(?m)^.+$"),
    # Started by the UEFI shell: a kernel with its command line.
    ("/boot/startup.nsh", r"(?m)^.*\b(?:root|console)=.*$"),
    ("/boot/efi/startup.nsh", r"(?m)^.*\b(?:root|console)=.*$"),
    ("/efi/startup.nsh", r"(?m)^.*\b(?:root|console)=.*$"),
    *((folder + "/limine.c*", r"(?mi)^[ \t]*(?:kernel_)?cmdline[ \t]*[:=].*$") for folder in LIMINE),  # .conf and .cfg
)
# The sources from which the loader's files are generated when the kernel changes.
SOURCES = (
    ("/etc/default/grub", r"(?m)^[ \t]*GRUB_CMDLINE_LINUX(?:_DEFAULT)?=.*$"),
    ("/etc/update-extlinux.conf", r"(?m)^[ \t]*default_kernel_opts=.*$"),
    ("/etc/kernel/cmdline", r"(?m)^.+$"),
)
# An entry that is not for everyday use, by a word of its command line.
RESCUE = re.compile(
    r"(?:^|[\s\"'])(?:single|recovery|rescue|emergency|[sS1]|systemd\.unit=(?:rescue|emergency)\.target|init=/bin/\w*sh)"
    r"(?=[\s\"']|$)"
)
ENTRIES = "/loader/entries/"  # a folder with a file for each entry, by the Boot Loader Specification


def command_lines(system: System, places: "Tuple[Tuple[str, str], ...]") -> "List[Tuple[str, List[str]]]":
    """(file, its command lines) for each place that has some."""
    found = []
    for pattern, form in places:
        for path in matching(system, pattern):
            lines = lines_of(path, form, read_text(system, path))
            if lines:
                found.append((path, lines))
    return found


def lines_of(path: str, form: str, text: str) -> "List[str]":
    """The command lines in a loader's file: one for each entry."""
    if ENTRIES in path:  # the specification joins several lines
        return list(filter(None, [" ".join(re.findall(form, text))]))
    if path.endswith("lilo.conf"):
        usual, *images = re.split(r"(?m)^[ \t]*(?:image|other)[ \t]*=", text, maxsplit=IMAGES)
        lines = [re.findall(form, usual) + re.findall(form, image) for image in images or [""]]
        return [" ".join(re.sub(r"[ \t]*=[ \t]*", "=", line, count=1) for line in words) for words in lines if words]
    return re.findall(form, text)


def all_lines(system: System) -> "List[str]":
    """All command lines in the loader's files, or else in their sources."""
    return [line for _, found in command_lines(system, LOADERS) or command_lines(system, SOURCES) for line in found]


def everyday(entries: "List[Tuple[str, str]]") -> "List[Tuple[str, str]]":
    """Of these (file, command line) those that a boot uses without a hand: no rescue, and no test of the memory."""
    usual = [(path, line) for path, line in entries if "rescue" not in path and not RESCUE.search(line)] or entries
    return [(path, line) for path, line in usual if "root=" in line] or usual


def loaders(system: System) -> "List[List[Tuple[str, str]]]":
    """The entries for everyday use as (file, command line), for each loader in the image."""
    found: "Dict[str, List[Tuple[str, str]]]" = {}
    for path, lines in command_lines(system, LOADERS):
        folder = path.rpartition("/")[0] + "/"
        found.setdefault(folder if folder.endswith(ENTRIES) else path, []).extend((path, line) for line in lines)
    return [everyday(entries) for entries in found.values()]


def kernel_lines(system: System) -> "List[str]":
    """The command lines for everyday use, by the loader's files or else by their sources."""
    entries = [(path, line) for path, found in command_lines(system, LOADERS) for line in found]
    entries = [(path, line) for path, line in entries if "$kernelopts" not in line]  # those are in grubenv
    return [line for _, line in everyday(entries)] or [" ".join(found) for _, found in command_lines(system, SOURCES)]
