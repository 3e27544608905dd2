"""The topics of the manual besides the verbs: options, checks, files, `status`; one table each, as text and as rows.

The man pages, `help TOPIC` and the tests use the same rows.
"""

import textwrap
from typing import Callable, Dict, List, NamedTuple, Tuple

from . import config, reasons
from .story import state
from .story.status import STATES

WIDTH, NARROWEST = 80, 40  # columns of `help TOPIC`


class Setting(NamedTuple):
    """One key of the options file."""

    key: str
    values: str  # the allowed values
    default: str
    says: str
    example: str  # a value that is not the default


WORDS = (
    "auto",
    "azure",
    "goalstate",
    "json",
    "new",
    "no",
    "keep",
    "run",
    "yes",
    "require",
    "warn",
)  # the words that options take


def list_settings() -> List[Setting]:
    """The options, from the table in config.py."""
    found = []
    for key, default, parse, _, says in config.TABLE:
        if parse is config.seconds:
            values, example = "seconds", "1500"
        elif parse is config.endpoint:
            values, example = "IPv4[:PORT]", "10.0.0.4:80"
        else:
            words = [word for word in WORDS if is_value(parse, word)]
            values, example = " or ".join(words), [word for word in words if word != default][-1]
        found.append(Setting(key, values, default, says.replace("`", ""), example))
    return found


def is_value(parse: "Callable[[str], object]", word: str) -> bool:
    """Does an option accept this word?"""
    try:
        parse(word)
    except ValueError:
        return False
    return True


# Each id of `check`, with its description.
CHECKS = (
    ("init", "the init system of the image, and that there is a hook for it"),
    (
        "hook",
        "installed, enabled and reached: masks, presets, default target or runlevel, what runs it, `.depend.start`, a "
        "`down` file",
    ),
    ("program", "the file that the hook runs exists, is undamaged, and only root may change it"),
    ("python", "the interpreter exists, is new enough, and has every module that is needed"),
    ("options", "keys and values of /etc/azure-provisioning.conf that are not understood"),
    ("ready-gates", "a file in ready.d that is not executable, or that others than root may change"),
    ("other-agent", "another provisioning agent would set the VM up too, or left files"),
    (
        "kernel",
        "the drivers that a VM on Azure needs (hv_vmbus, hv_netvsc, hv_storvsc, sd_mod, hv_utils, nvme, pci_hyperv)",
    ),
    ("initramfs", "the boot can load the driver of the disk"),
    ("root-filesystem", "/ is writable and persistent"),
    ("fstab", "no disk has a name that does not exist on Azure"),
    ("swap", "no swap on the OS disk, which is remote and throttled"),
    ("dhcp", "a DHCP client is installed, is started, and configures eth0"),
    ("dvd", "the kernel can read the provisioning DVD (sr_mod, udf): passwords and customData are on it"),
    ("serial-console", "console=ttyS0 on the kernel's command line"),
    ("serial-getty", "a login on the serial console"),
    (
        "accelerated-networking",
        "the DHCP client ignores the second card, which has the address of eth0",
    ),
    ("selinux", "our files have labels if a boot loads a policy, or /.autorelabel exists"),
    ("hostname", "the name can be written"),
    ("account", "the tools that make an account, and a shell for it"),
    ("privilege", "sudo or doas"),
    ("grow-root", "the tools that grow the root disk"),
    ("sshd", "an SSH server is installed and started"),
    ("host-keys", "something makes the SSH host keys"),
    ("sshd-config", "what keeps sshd from starting, and settings of sshd that keep the administrator out"),
    ("clock", "something sets the clock, and the hardware clock is treated as UTC"),
    ("state", "what a VM left behind: state, customData"),
    ("machine-id", "the id of one machine, for all VMs"),
    ("leases", "DHCP leases of one machine"),
    ("random-seed", "a random seed for all VMs"),
    ("histories", "shell histories"),
    ("network-pinned", "a network card is named by its address, but every VM has another"),
    ("authorized-keys", "left-over SSH keys"),
    ("passwords", "an account of the image has an empty, well-known or any password"),
)

FILES = (
    ("/usr/local/sbin/azure-provisioning", "the program, as released"),
    (config.PATH, "options, if you write any: see `help options`"),
    ("/etc/azure-provisioning/ready.d/", "programs that must succeed before Ready is reported, in the order of names"),
    (state.PATH, "the state of the VM"),
    ("/var/lib/azure-provisioning/customData, userData", "data passed to the VM, readable by root only"),
    ("/var/lib/azure-provisioning/install, boot-*", "what `install` did; the modules of a boot, compiled"),
    ("/var/log/azure-provisioning.log", "the log of the last boots, with a line between them; readable by root only"),
    ("/run/azure-provisioning.lock", "held by the running command, with its process and verb"),
    ("/etc/sudoers.d/zz-azure-provisioning", "the administrator may use sudo; or doas' configuration"),
    ("/etc/ssh/sshd_config.d/00-azure-provisioning.conf", "whether sshd takes passwords"),
)

# Each key of `status --json`, with its description.
KEYS = (
    ("state", "one word: " + ", ".join(word for word, _, _ in STATES)),
    ("version", "of this program"),
    ("azure", "true, false, or null if unknown"),
    ("vm_id", "the id of this VM, or of the VM that an image was made from, or null"),
    ("vm_id_imds", "the id in IMDS, only if the firmware has another"),
    ("hook", "the boot hook: enabled (true or false), mechanism and path, or null"),
    ("configured, configured_at", "whether, and when, this VM was set up"),
    ("ready, ready_at", "whether, and when, Azure accepted Ready from it"),
    (
        "steps",
        "a list of steps: name, result (ok, warning or failed), seconds, at (seconds since the start), message",
    ),
    ("last_error", "reason, details, remedy and at, or null"),
)

LEADS = {
    "options": "Lines `key = value` in %s. A mistake is a warning, and the default is used." % config.PATH,
    "reasons": "Why a boot fails, and what to do. The console, the portal and `status` show the reason; * is any text.",
    "checks": "What `check` examines, by the id of the finding.",
    "files": "Files of this program, on the machine or in the image.",
    "status": "The word that `status` begins with, and the keys of `status --json`.",
}


def topic(name: str, width: int) -> "List[str]":
    """The lines of `help` about one of `usage.TOPICS`, for a terminal with `width` columns; 0: unknown."""
    width = min(width, WIDTH) if width >= NARROWEST else WIDTH
    lines = textwrap.wrap(LEADS[name], width - 1)
    for term, says in TABLES[name]():
        lines += term.split(" / ")  # several reasons
        lines += textwrap.wrap(says, width - 1, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return lines


def explain_setting(row: Setting) -> str:
    """The description of a key, its values, and an example."""
    says = row.says[0].upper() + row.says[1:]
    return "%s. Values: %s (default: %s). Example: %s = %s" % (says, row.values, row.default, row.key, row.example)


def list_reasons() -> "List[Tuple[str, str]]":
    """Each reason for which a boot fails, with its meaning and remedy."""
    found = []
    for row in (*reasons.ROWS, reasons.ANY):
        says = "%s%s. %s." % (row.means[0].upper(), row.means[1:], row.remedy)
        found.append((" / ".join(row.reasons), says.replace("`", "")))
    return found


TABLES: "Dict[str, Callable[[], List[Tuple[str, str]]]]" = {
    "options": lambda: [(row.key, explain_setting(row)) for row in list_settings()],
    "reasons": list_reasons,
    "checks": lambda: list(CHECKS),
    "files": lambda: list(FILES),
    "status": lambda: (
        [(word, "%s (exit code with --wait: %d)" % (says, code)) for word, code, says in STATES] + list(KEYS)
    ),
}
