"""The time of day: certificates and logs depend on it, a first boot of ours does not."""

import re
from typing import Iterator

from ..command import Command
from .finding import Finding, ok, warning
from .kernel import find_kernel
from .subject import Image

SERVICES = (
    "chrony",
    "chronyd",
    "ntp",
    "ntpd",
    "ntpsec",
    "openntpd",
    "systemd-timesyncd",
    "timesyncd",
    "sntp",
    "busybox-ntpd",
)


def check_clock(image: Image) -> "Iterator[Finding]":
    """Who sets it, and is the hardware's clock taken for UTC, which is what Azure's is?"""
    local = image.text("/etc/adjtime").split("\n")[2:3] == ["LOCAL"]
    local = local or bool(re.search(r"(?m)^[ \t]*clock=[\"']?local", image.text("/etc/conf.d/hwclock")))
    local = local or bool(re.search(r"(?m)^[ \t]*UTC=[\"']?no\b", image.text("/etc/default/rcS")))
    if local:
        yield warning("clock", "the image takes the hardware's clock for local time; Azure's is UTC",
                      image.inside(Command("hwclock", "--systohc", "--utc")))  # fmt: skip
    service = image.starts(*SERVICES)
    kernel = image.once(find_kernel)
    if service:
        yield ok("clock", "%s sets it" % service)
    elif kernel is not None and kernel.has("hv_utils"):
        yield ok("clock", "Azure sets it, by hv_utils")
    else:
        yield warning("clock", "nothing that sets it is started, and hv_utils was not found", image.add("time"))
