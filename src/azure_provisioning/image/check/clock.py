"""The time of day: certificates and logs depend on it, our first boot does not."""

import re
from typing import Iterator

from ...guest.sshd_config import matching
from ..command import Command
from .finding import Finding, ok, warning
from .kernel import PTP, find_kernel
from .networkd import newest
from .subject import Image

CHRONY = ("chrony", "chronyd")
CHRONY_FILES = ("/etc/chrony.conf", "/etc/chrony/chrony.conf", "/etc/chrony.d/*.conf", "/etc/chrony/conf.d/*.conf")
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
    """What sets the clock, and does the image treat the hardware clock as UTC, as Azure's is?"""
    local = image.text("/etc/adjtime").split("\n")[2:3] == ["LOCAL"]
    local = local or bool(re.search(r"(?m)^[ \t]*clock=[\"']?local", image.text("/etc/conf.d/hwclock")))
    local = local or bool(re.search(r"(?m)^[ \t]*UTC=[\"']?no\b", image.text("/etc/default/rcS")))
    if local:
        yield warning("clock", "the image treats the hardware clock as local time; Azure's is UTC",
                      image.inside(Command("hwclock", "--systohc", "--utc")))  # fmt: skip
    service = image.starts(*SERVICES)
    kernel = image.once(find_kernel)
    utils = kernel is not None and kernel.has("hv_utils") and not kernel.unproven(("hv_utils",))
    if service in CHRONY and kernel is not None and utils:
        yield of_chrony(image, service, has_clocks=kernel.config.get(PTP) != "n")
    elif service:
        yield ok("clock", "%s sets it" % service)
    elif utils:
        yield ok("clock", "Azure sets it, by hv_utils")
    else:
        yield warning("clock", "no service that sets it is started, and hv_utils was not found", image.add("time"))


def of_chrony(image: Image, service: str, *, has_clocks: bool) -> Finding:
    """The host's clock is more accurate than a server: hv_utils provides it as a device, which udev calls
    ptp_hyperv. chronyd exits if it cannot open a device of its configuration.
    """
    paths = [path for pattern in CHRONY_FILES for path in matching(image.system, pattern)]
    device = re.search(r"(?mi)^[ \t]*refclock[ \t]+PHC[ \t]+([^\s:]+)", image.active(*paths))
    rules = newest(image.system, "udev/rules.d", ".rules").values()
    named = any("ptp_hyperv" in image.active(path) for path in rules)
    if device and not has_clocks:
        message = "%s would exit: its configuration has %s, and the kernel has no such clocks (%s)"
        return warning("clock", message % (service, device.group(1), PTP), image.edit(paths[0]))
    if device and device.group(1) == "/dev/ptp_hyperv" and not named:
        message = "%s would exit without /dev/ptp_hyperv, and no udev rule was found that makes it"
        rule = Command("echo", 'SUBSYSTEM=="ptp", ATTR{clock_name}=="hyperv", SYMLINK+="ptp_hyperv"')
        return warning("clock", message % service, image.put("/etc/udev/rules.d/50-ptp-hyperv.rules", rule))
    if device or not paths or not has_clocks:
        return ok("clock", "%s sets it" % service)
    line = "refclock PHC /dev/%s poll 3 dpoll -2 offset 0 stratum 2" % ("ptp_hyperv" if named else "ptp0")
    message = "%s sets it; with a line `refclock PHC` it would use the host's clock, /dev/ptp_hyperv" % service
    return Finding("ok", "clock", message, image.append(paths[0], Command("echo", line)))
