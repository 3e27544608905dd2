"""The image's package manager, and its names for what is missing most often."""

from typing import Dict, Tuple

from ...door.system import System
from ..command import Command

# The tool that identifies a package manager, and how it adds a package: the names go to the last command. The first
# tool that is installed counts. Many images have no lists. apt-get would let a recommendation replace the init system.
MANAGERS: "Tuple[Tuple[str, Tuple[Tuple[str, ...], ...]], ...]" = (
    ("apt-get", (("apt-get", "update"), ("apt-get", "install", "-y", "--no-install-recommends"))),
    ("apk", (("apk", "add"),)),
    ("xbps-install", (("xbps-install", "-Sy"),)),
    ("emerge", (("emerge",),)),
    ("pacman", (("pacman", "-Sy", "--noconfirm"),)),
    ("dnf", (("dnf", "install", "-y"),)),
    ("tdnf", (("tdnf", "install", "-y"),)),
    ("zypper", (("zypper", "install", "-y"),)),
    ("yum", (("yum", "install", "-y"),)),
    ("opkg", (("opkg", "update"), ("opkg", "install"))),
    ("slackpkg", (("slackpkg", "install"),)),
)

# The usual package name, and those of managers that use another; empty: no package is known.
NAMES: "Dict[str, Tuple[str, Dict[str, str]]]" = {
    "python": (
        "python3",
        {
            "emerge": "dev-lang/python",
            "pacman": "python",
            "opkg": "python3-core python3-io python3-json python3-xml python3-crypt python3-datetime python3-threading",
        },
    ),
    "dhcp": (
        "dhcpcd",
        {
            "emerge": "net-misc/dhcpcd",
            "dnf": "NetworkManager",
            "yum": "dhclient",
            "tdnf": "systemd-networkd",
            "opkg": "",
            "zypper": "NetworkManager",
        },
    ),  # fmt: skip
    "ssh": (
        "openssh-server",
        {
            "apk": "openssh",
            "xbps-install": "openssh",
            "emerge": "net-misc/openssh",
            "pacman": "openssh",
            "zypper": "openssh",
            "opkg": "openssh",
            "slackpkg": "openssh",
        },
    ),  # fmt: skip
    "sudo": ("sudo", {"emerge": "app-admin/sudo", "apk": "doas"}),
    "curl": ("curl", {"emerge": "net-misc/curl"}),
    "time": ("chrony", {"emerge": "net-misc/chrony", "slackpkg": "ntp"}),
    "grow": (
        "cloud-utils-growpart",
        {
            "apt-get": "cloud-guest-utils",
            "pacman": "cloud-guest-utils",
            "emerge": "sys-apps/util-linux",
            "xbps-install": "util-linux",
            "zypper": "growpart",
            "slackpkg": "",
            "opkg": "sfdisk",
            "yum": "",
        },
    ),  # fmt: skip
    "openrc": ("openrc", {"emerge": "sys-apps/openrc"}),
    "xfs": ("xfsprogs", {"emerge": "sys-fs/xfsprogs", "apk": "xfsprogs-extra"}),
    "btrfs": ("btrfs-progs", {"emerge": "sys-fs/btrfs-progs", "zypper": "btrfsprogs"}),
    "lvm": ("lvm2", {"emerge": "sys-fs/lvm2"}),
    "ext": (
        "e2fsprogs",
        {"emerge": "sys-fs/e2fsprogs", "apk": "e2fsprogs-extra", "opkg": "e2fsprogs-resize2fs"},
    ),
}


def command(system: System, what: str) -> Command:
    """The command, inside the image, that adds `what` (a key of NAMES); empty if it is unknown."""
    for tool, commands in MANAGERS:
        if system.find_program(tool):
            usual, others = NAMES[what]
            names = others.get(tool, usual).split()
            add = Command(*commands[-1], *names) if names else Command()
            return Command(*commands[0]).then(add) if len(commands) > 1 else add
    return Command()
