"""The name that a DHCP client sends by its own configuration, instead of the machine's name."""

import re
from typing import Dict, Iterator, Tuple

from ...guest.sshd_config import matching
from . import dhcpcd, ifcfg, interfaces
from .azure_card import INTERFACE
from .finding import Finding, warning
from .subject import Image

# By what reads them: the files, and the form of the line. Without a value the machine's name is sent.
NAMES_SENT: "Dict[str, Tuple[Tuple[str, ...], str]]" = {
    "dhclient": (
        ("/etc/dhcp/dhclient.conf", "/etc/dhclient.conf"),
        r"(?:interface[ \t]+\"[^\"\n]*\"[ \t]*\{[ \t]*)?send[ \t]+(?:host-name|fqdn\.fqdn)[ \t]+(?:=[ \t]*)?\".+",
    ),
    "dhcpcd": ((dhcpcd.PATH,), r"hostname[ \t]+[^\s#].*"),
    "NetworkManager": (
        ("/etc/NetworkManager/system-connections/*", *ifcfg.files(INTERFACE)),
        r"(?:dhcp-hostname|DHCP_HOSTNAME)[ \t]*=[ \t]*\S.*",
    ),
    "ifcfg": (
        (*ifcfg.files(INTERFACE), "/etc/sysconfig/network/dhcp"),
        r"(?:DHCP_HOSTNAME|DHCLIENT_HOSTNAME_OPTION)=(?![\"']?AUTO)[\"']?[^\"'\s].*",
    ),
    "rc.inet1": ((ifcfg.INET1,), r"DHCP_HOSTNAME\[[0-9]+\]=[\"']?[^\"'\s].*"),
    "systemd-networkd": (
        ("/etc/systemd/network/*.network", "/etc/systemd/network/*.network.d/*.conf"),
        r"Hostname=\S.*",
    ),
    "interfaces": (
        (interfaces.PATH, interfaces.PATH + ".d/*"),
        r"(?:(?:dhcp-)?hostname[ \t]+|udhcpc_opts[ \t](?:.*[ \t])?(?:-x[ \t]*hostname:|-F[ \t]*))(?![$`])\S.*",
    ),
}


def check_names(image: Image, *readers: str) -> "Iterator[Finding]":
    """Azure's DNS keeps the name of the last request: the first boot publishes the VM's, the second sends this one."""
    for reader in readers:
        patterns, form = NAMES_SENT.get(reader, ((), ""))
        for path in (path for pattern in patterns for path in matching(image.system, pattern)):
            for line in re.findall(r"(?m)^[ \t]*(%s)$" % form, image.text(path)):
                message = "`%s` in %s: from the second boot on Azure's DNS has this name" % (line.strip(), path)
                yield warning("dhcp", message, image.edit(path))
