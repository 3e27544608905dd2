"""The command lines that a guest's boot loader gives to the kernel."""

import re

from ..door.system import System
from ..door.text import read_text
from .sshd_config import matching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

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
    ("/etc/lilo.conf", r"(?m)^[ \t]*append\s*=.*$"),
    ("/boot/cmdline.txt", r"(?m)^.+$"),
    # Started by the UEFI shell: a kernel with its command line.
    ("/boot/startup.nsh", r"(?m)^.*\b(?:root|console)=.*$"),
    ("/boot/efi/startup.nsh", r"(?m)^.*\b(?:root|console)=.*$"),
    ("/efi/startup.nsh", r"(?m)^.*\b(?:root|console)=.*$"),
)
# The sources from which the loader's files are generated when the kernel changes.
SOURCES = (
    ("/etc/default/grub", r"(?m)^[ \t]*GRUB_CMDLINE_LINUX(?:_DEFAULT)?=.*$"),
    ("/etc/update-extlinux.conf", r"(?m)^[ \t]*default_kernel_opts=.*$"),
    ("/etc/kernel/cmdline", r"(?m)^.+$"),
)


def command_lines(system: System, places: "Tuple[Tuple[str, str], ...]") -> "List[Tuple[str, List[str]]]":
    """(file, its command lines) for each place that has some."""
    found = []
    for pattern, form in places:
        for path in matching(system, pattern):
            lines = re.findall(form, read_text(system, path))
            if lines:
                found.append((path, lines))
    return found


def all_lines(system: System) -> "List[str]":
    """All command lines in the loader's files, or else in their sources."""
    return [line for _, found in command_lines(system, LOADERS) or command_lines(system, SOURCES) for line in found]


def kernel_lines(system: System) -> "List[str]":
    """The lines for a kernel with a root, by the loader's files or else by their sources."""
    lines = [line for _, found in command_lines(system, LOADERS) for line in found]
    lines = [line for line in lines if "$kernelopts" not in line]  # those are in grubenv
    if lines:
        return [line for line in lines if "root=" in line] or lines  # a test of the memory has none
    return [" ".join(found) for _, found in command_lines(system, SOURCES)]
