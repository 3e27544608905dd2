"""The serial console, the only view of a VM that you cannot log in to: does the kernel write to it, and does it have a
login?"""

import re
from typing import Iterator, List, Tuple

from ...guest import boot_loader
from ...guest.boot_loader import LOADERS as LOADERS
from ...guest.boot_loader import SOURCES as SOURCES
from ...guest.boot_loader import kernel_lines, loaders
from ...init.systems import openrc, systemd
from ..command import Command
from .finding import Finding, ok, warning
from .machine import machine_of
from .subject import Image

PORTS = {"x86": "ttyS0", "arm64": "ttyAMA0"}  # Azure's, by architecture
# Possible names of a service for a login on the port.
GETTYS = ("serial-getty@%s", "agetty.%s", "agetty-%s", "getty@%s", "getty-%s", "%s")
# How sed finds those lines, by a part of the file's path: the setting goes to their end.
EDITS = (
    ("/grub.cfg", "linux[16efi]*[[:space:]]"),
    ("/menu.lst", "kernel[[:space:]]"),
    ("/loader/entries/", "options[[:space:]]"),
    ("/limine.c", "[A-Za-z_]*[Cc][Mm][Dd][Ll][Ii][Nn][Ee][[:space:]]*[:=]"),
    ("linux", "[Aa][Pp][Pp][Ee][Nn][Dd][[:space:]]"),  # extlinux, syslinux
)
# The tools that generate the loader's files from a source, on a system that runs.
GENERATORS = (
    ("/etc/default/grub", ("update-grub",)),
    ("/etc/default/grub", ("grub2-mkconfig", "-o", "/boot/grub2/grub.cfg")),
    ("/etc/default/grub", ("grub-mkconfig", "-o", "/boot/grub/grub.cfg")),
    ("/etc/update-extlinux.conf", ("update-extlinux",)),
)
VARIABLES = (("/etc/default/grub", "GRUB_CMDLINE_LINUX"), ("/etc/update-extlinux.conf", "default_kernel_opts"))


def command_lines(image: Image, places: "Tuple[Tuple[str, str], ...]") -> "List[Tuple[str, List[str]]]":
    """(file, its command lines) for each place that has some."""
    return boot_loader.command_lines(image.system, places)


def ports(image: Image) -> "List[str]":
    """Possible names of the serial port: one if the image's architecture is known, else all."""
    kind = image.once(machine_of)
    return [PORTS[kind]] if kind else list(PORTS.values())


def names_port(image: Image, form: str, text: str) -> bool:
    """Does a text contain the serial port, in this form?"""
    return any(re.search(form % port, text) for port in ports(image))


def has_console(image: Image, lines: "List[str]") -> bool:
    """Does any of the command lines send the kernel's messages to the serial port?"""
    return any(names_port(image, r"\bconsole=%s\b", line) for line in lines)


def find_console(image: Image) -> str:
    """The file of a boot loader of which all entries for everyday use do that; empty if there is none."""
    for entries in image.once(loaders):
        if all(has_console(image, [line]) for _, line in entries):
            return entries[0][0]
    return ""


def check_console(image: Image) -> "Iterator[Finding]":
    """`console=ttyS0`, on ARM `ttyAMA0`, on the kernel's command line."""
    sources, entries = command_lines(image, SOURCES), [one for each in image.once(loaders) for one in each]
    setting = "console=" + ports(image)[0]
    named = find_console(image)
    silent = list(dict.fromkeys(path for path, line in entries if not has_console(image, [line])))
    if named:
        yield ok("serial-console", "%s is in %s" % (setting, named))
    elif entries and has_console(image, [line for _, line in entries]):
        message = "only some entries of the boot loader have %s: it cannot be determined whether a boot uses one"
        yield warning("serial-console", message % setting, fix(image, silent))
    elif entries:
        yield warning(
            "serial-console", "%s has no %s: boot diagnostics stay empty" % (silent[0], setting), fix(image, silent)
        )
    elif sources and not any(has_console(image, lines) for _, lines in sources):
        yield warning(
            "serial-console", "%s has no %s: boot diagnostics stay empty" % (sources[0][0], setting), fix(image, [])
        )
    elif sources:
        yield ok("serial-console", "%s is in %s" % (setting, sources[0][0]))
    else:
        message = "no boot loader that is known is in the image: it cannot be determined whether the kernel is given %s"
        yield warning("serial-console", message % setting)


def fix(image: Image, silent: "List[str]") -> Command:
    """The command that adds it to the sources and to these files of the loader; empty if no way is known.

    The tools that generate the files need /dev and /proc, and the disk that the image will be on. So in an image the
    files themselves are changed.
    """
    system, setting = image.system, "console=" + ports(image)[0]
    if system.find_program("grubby") and system.list("/boot/loader/entries"):  # mkconfig does not change these
        return image.inside(Command("grubby", "--update-kernel=ALL", "--args=" + setting))
    sources = [path for path, _ in VARIABLES if system.exists(path)]
    tools = [words for path, words in GENERATORS if path in sources and system.find_program(words[0])]
    steps = [Command(*tools[0])] if system.root == "/" and tools else edits(image, silent, setting)
    if silent and not steps:
        return Command()
    written = {path for path, lines in command_lines(image, SOURCES) if has_console(image, lines)}
    for path, name in VARIABLES:
        if path in sources and path not in written:  # both files are read as shell scripts
            line = Command("echo", '%s="$%s %s"' % (name, name, setting))
            steps.insert(0, image.append(path, line))
    whole = steps[0] if steps else Command()
    for step in steps[1:]:
        whole = whole.then(step)
    return whole


def edits(image: Image, paths: "List[str]", setting: str) -> "List[Command]":
    """The commands that add the setting to the lines with a kernel's command line."""
    found = []
    for path in paths:
        form = next((form for part, form in EDITS if part in path), "")
        if form:
            script = "/^[[:space:]]*%s/s/$/ %s/" % (form, setting)
            found.append(Command("sed", "-i", script).on(image.place(path)))
    return found


def check_getty(image: Image) -> "Iterator[Finding]":
    """A login on the serial port."""
    who, port = find_getty(image), ports(image)[0]
    if who:
        yield ok("serial-getty", "a login on %s: %s" % (port, who))
    elif image.services is None:
        yield warning("serial-getty", "it cannot be determined whether this boot starts a login on %s" % port)
    else:
        yield warning("serial-getty", "there is no login on %s" % port, getty_remedy(image))


def find_getty(image: Image) -> str:
    """What starts a login on the serial port; empty if nothing known does."""
    service = image.starts(*(form % port for form in GETTYS for port in ports(image)), "console", "agetty-console")
    if service:
        place = (image.services or {})[service]
        return service if service in place else place
    if image.init == "systemd":
        lines = image.once(kernel_lines)
        unit = systemd.find_unit(image.system, "serial-getty@%s.service" % ports(image)[0])
        asked = find_console(image) or (has_console(image, lines) and not image.once(loaders))
        if unit and (asked or not lines) and not image.once(systemd.masks_generator):
            return "systemd-getty-generator starts it where the kernel's console is"
        return ""
    inittab = image.active("/etc/inittab")
    lines = serial_lines(image, inittab)
    return "/etc/inittab" if any(":respawn:" in line or ":askfirst:" in line for line in lines) else ""


def serial_lines(image: Image, inittab: str) -> "List[str]":
    """The lines about the serial port. In busybox's the first field is the terminal; `console` is the kernel's."""
    lines = inittab.split("\n")
    return [line for line in lines if names_port(image, "%s", line) or line.startswith("console::")]


def getty_remedy(image: Image) -> Command:
    """The command that adds a login."""
    port = ports(image)[0]
    if image.init == "systemd":
        return image.enable("serial-getty@%s.service" % port)
    if image.init == "openrc" and image.system.exists(openrc.FOLDER + "/agetty"):
        made = Command("ln", "-s", "agetty", "%s/agetty.%s" % (openrc.FOLDER, port))
        return image.inside(made.then(Command("rc-update", "add", "agetty." + port, "default")))
    inittab = image.text("/etc/inittab")
    if ":initdefault:" in inittab:
        line = "S0:2345:respawn:/sbin/getty -L %s 115200 vt100" % port
    elif inittab:
        line = "%s::respawn:/sbin/getty -L %s 115200 vt100" % (port, port)
    else:
        return Command()
    return image.append("/etc/inittab", Command("echo", line))
