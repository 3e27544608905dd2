"""Would a VM from this image come up on Azure, and could its user log in? Reads only, and changes nothing."""

import textwrap
from typing import Callable, Iterator, List, Tuple

from ...console import printable
from ...door.budget import USUAL, Limits, limited
from ...door.system import System
from ...errors import GuestError
from ...init import declared
from ..root import check_root
from . import (
    administrator,
    agents,
    become_root,
    clock,
    dhcp,
    disk,
    hook,
    interpreter,
    kernel,
    labels,
    leftovers,
    options,
    passwords,
    rights,
    root_drivers,
    second_card,
    serial,
    ssh,
    sshd_settings,
)
from .finding import Finding, warning
from .subject import Image

# The checks in the order of a first boot, each with the id for a file that cannot be read.
CHECKS: "Tuple[Tuple[str, Callable[[Image], Iterator[Finding]]], ...]" = (
    ("init", hook.check_init),
    ("hook", hook.check_hook),
    ("program", hook.check_program),
    ("python", interpreter.check_python),
    ("program", rights.check_rights),
    ("selinux", labels.check_labels),
    ("options", options.check_options),
    ("ready-gates", options.check_gates),
    ("other-agent", agents.check_agents),
    ("kernel", kernel.check_drivers),
    ("initramfs", root_drivers.check_initramfs),
    ("root-filesystem", disk.check_root_filesystem),
    ("fstab", disk.check_fstab),
    ("swap", disk.check_swap),
    ("dhcp", dhcp.check_dhcp),
    ("accelerated-networking", second_card.check_second_card),
    ("dvd", kernel.check_dvd),
    ("serial-console", serial.check_console),
    ("serial-getty", serial.check_getty),
    ("hostname", administrator.check_hostname),
    ("account", administrator.check_account),
    ("privilege", become_root.check_privilege),
    ("grow-root", administrator.check_growth),
    ("sshd", ssh.check_server),
    ("host-keys", ssh.check_host_keys),
    ("sshd-config", sshd_settings.check_config),
    ("clock", clock.check_clock),
    ("state", leftovers.check_leftovers),
    ("network-pinned", leftovers.check_network),
    ("authorized-keys", leftovers.check_keys),
    ("passwords", passwords.check_passwords),
)
# An initramfs is unpacked completely if it lacks a driver: half a GiB with all firmware takes seconds, except with
# bzip2.
LARGE = {"initramfs": Limits(USUAL.steps, 1 << 30, 30.0)}
INDENT = 9  # columns for the level
NARROWEST = 40  # columns of a terminal below which lines are not wrapped
COLOURS = (("ok", "32"), ("warning", "33"), ("error", "31"))  # green, yellow, red
LEVELS = ("error", "warning", "ok")  # worst first
# Errors with these ids keep the administrator out; all others keep the VM from Ready. A boot uses the default for an
# option that it cannot read: that VM comes up, but not as intended.
LOGIN = ("sshd", "host-keys", "sshd-config", "privilege", "login")
UNMET = ("options",)
# A warning with one of these ids may turn out to be such an error; with one of the second only if it says UNKNOWN.
DOUBTFUL = (
    "hook",
    "init",
    "kernel",
    "initramfs",
    "root-filesystem",
    "fstab",
    "selinux",
    "sshd",
    "sshd-config",
    "account",
)
UNSURE = ("python", "program", "ready-gates", "other-agent", "dhcp", "host-keys")
UNKNOWN = "cannot be determined"


def check(system: System) -> "List[Finding]":
    """All findings. Raises ProvisionError if the root has no Linux system, or is not readable."""
    found: "List[Finding]" = []
    with limited(system) as budget:
        check_root(system)
        image = Image(system)
        budget.settle()
    if image.init in declared.TEXTS:
        message = "this system is made from a declaration: what a VM of it would do cannot be determined from its files"
        return [warning("init", message, image.ours("install"))]
    for name, look in CHECKS:
        before = len(found)
        try:
            with limited(system, LARGE.get(name, USUAL)) as budget:
                found += look(image)
                budget.settle()
        except GuestError as problem:
            if budget.problem:  # a check may have taken it for a missing file
                del found[before:]
            found.append(warning(name, "%s: %s" % (UNKNOWN, problem)))
    return found


def would_fail(findings: "List[Finding]") -> bool:
    """Would a VM not reach Ready, let nobody log in, or be set up with other options than intended?"""
    return any(finding.level == "error" for finding in findings)


def keeps_from_ready(finding: Finding) -> bool:
    """Is it an error with which a VM would not reach Ready?"""
    return finding.level == "error" and finding.id not in LOGIN + UNMET


def as_json(findings: "List[Finding]") -> str:
    """The findings for a script: a list of {level, id, message, remedy}; an unknown remedy is null."""
    import json  # minimal Pythons may lack it, which check reports

    keys = ("level", "id", "message", "remedy")
    return json.dumps([{key: getattr(finding, key) or None for key in keys} for finding in findings], indent=2)


def as_text(findings: "List[Finding]", width: int = 0, *, everything: bool = False) -> "List[str]":
    """The findings as text, problems first; what is fine is only counted, unless `everything` is set.

    Lines are wrapped at `width` columns, if that is not 0; commands stay whole, so that they can be copied.
    """
    lines = []
    for level in LEVELS[: 3 if everything else 2]:
        for finding in findings:
            if finding.level == level:
                lines += show_finding(finding, width)
    fine = sum(finding.level == "ok" for finding in findings)
    if fine and not everything:
        lines.append(
            "%s fine (--all lists %s)" % (("1 thing is", "it") if fine == 1 else ("%d things are" % fine, "them"))
        )
    return lines


def show_finding(finding: Finding, width: int) -> "List[str]":
    """The lines of one finding."""
    wrapped = ["%s: %s" % (finding.id, printable(finding.message))]
    if width >= NARROWEST:
        wrapped = textwrap.wrap(wrapped[0], width - INDENT, break_long_words=False, break_on_hyphens=False)
    lines = [finding.level.ljust(INDENT) + wrapped[0]]
    lines += [" " * INDENT + line for line in wrapped[1:]]
    if finding.remedy:
        lines.append(" " * INDENT + "> " + printable(finding.remedy))
    return lines


def summary(findings: "List[Finding]") -> str:
    """The verdict in one line."""
    return "%s: %s" % (counts(findings), verdict(findings))


def counts(findings: "List[Finding]") -> str:
    """How many problems there are: `1 error, 2 warnings`."""
    levels = [finding.level for finding in findings]
    return ", ".join(count(levels.count(level), level) for level in ("error", "warning"))


def verdict(findings: "List[Finding]") -> str:
    """What would happen to a VM from this image, as a sentence without its full stop."""
    if findings and all(finding.level == "warning" for finding in findings):  # a declarative system
        return "whether a VM from this image would reach Ready " + UNKNOWN
    errors = {finding.id for finding in findings if finding.level == "error"}
    if any(keeps_from_ready(finding) for finding in findings):
        return "a VM from this image would not reach Ready"
    if errors - set(UNMET):
        return "a VM from this image would let nobody in"
    if errors:
        return "a VM from this image would be set up with a default where an option has a mistake"
    doubts = sorted({finding.id for finding in findings if is_doubt(finding)})
    text = "a VM from this image would reach Ready and let its user in"
    if doubts:
        which = "this warning does" if len(doubts) == 1 else "these warnings do"
        text += ", if %s not prevent it: %s" % (which, ", ".join(doubts))
    return text


def is_doubt(finding: Finding) -> bool:
    """Is it a warning with which a VM may not reach Ready, or may let nobody in?"""
    return finding.level == "warning" and (
        finding.id in DOUBTFUL or (finding.id in UNSURE and UNKNOWN in finding.message)
    )


def count(number: int, word: str) -> str:
    """`1 error`, `2 errors`."""
    return "%d %s%s" % (number, word, "" if number == 1 else "s")
