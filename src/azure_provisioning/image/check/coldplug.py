"""Does something load the network card's driver, where neither systemd nor Debian's packages bring a udev?"""

import re
from typing import Iterator

from ...guest.sshd_config import matching
from ..command import Command
from .finding import Finding, warning
from .kernel import find_kernel
from .serial import LOADERS, command_lines
from .subject import Image

DRIVER = "hv_netvsc"
INITS = ("openrc", "buildroot")
LOADING = re.compile(r"udev|mdev|hwdrivers|plug")  # in the name of a service
IN_SCRIPTS = re.compile(r"modalias|udevd|\bhv[-_]netvsc\b")
# A udev in the initramfs loads it too, as does Alpine's with one of these features.
WITH_UDEV = ("dracut", "update-initramfs")
FEATURES = re.compile(r"(?m)^[ \t]*features=.*\b(?:network|hyperv)\b")
LISTS = ("/etc/modules", "/etc/conf.d/modules", "/etc/modules-load.d/*.conf",
         "/lib/modules-load.d/*.conf", "/usr/lib/modules-load.d/*.conf")  # fmt: skip
SCRIPTS = ("/etc/inittab", "/etc/init.d/rcS", "/etc/rc.local", "/etc/local.d/*.start")


def check_driver(image: Image) -> "Iterator[Finding]":
    """A driver that is a module, and nothing that loads it: then there is no card."""
    kernel = image.once(find_kernel)
    if image.init not in INITS or kernel is None or DRIVER in kernel.built_in or DRIVER not in kernel.modules:
        return
    if not is_loaded(image):
        message = "%s is a module, and nothing was found that loads it in a boot: without it there is no eth0"
        yield warning("dhcp", message % DRIVER, load(image))


def is_loaded(image: Image) -> bool:
    """Is there any sign that a boot loads the driver?"""
    services = image.services or {}
    if any(map(LOADING.search, services)) or image.system.find_program(*WITH_UDEV):
        return True
    paths = [path for pattern in (*LISTS, *SCRIPTS) for path in matching(image.system, pattern)]
    if IN_SCRIPTS.search(image.active(*paths, *services.values())):
        return True
    words = [word for _, found in command_lines(image, LOADERS) for line in found for word in line.split()]
    asked = any(DRIVER in word and "blacklist" not in word for word in words)
    return asked or bool(FEATURES.search(image.active("/etc/mkinitfs/mkinitfs.conf")))


def load(image: Image) -> Command:
    """The command that has a boot load it; empty if none is known."""
    if image.init == "openrc" and image.system.is_program("/etc/init.d/hwdrivers"):
        return image.inside(Command("rc-update", "add", "hwdrivers", "sysinit"))
    if "modules" in (image.services or {}):
        return image.append("/etc/modules", Command("echo", DRIVER))
    return Command()
