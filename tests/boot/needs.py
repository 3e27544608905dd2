"""What the lab needs on its host, and how to install it."""

import os
import shutil
from typing import List

PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "dnsmasq": "dnsmasq-base",
    "genisoimage": "genisoimage",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keyscan": "openssh-client",
    "setpriv": "util-linux",
}
# debugfs, dnsmasq and others are for root only, and not on every root's PATH.
PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


def missing() -> List[str]:
    """What is missing, one on each line, with a remedy."""
    lines = []
    if os.geteuid() != 0:
        lines.append("root is needed (network namespaces, tap devices, distro trees): run it with sudo")
    if os.uname().machine != "x86_64":
        lines.append("an x86_64 machine is needed: the images are made for it")
    packages = sorted({package for tool, package in PACKAGES.items() if shutil.which(tool, path=PATH) is None})
    if packages:
        lines.append("Debian packages are missing: apt-get install --no-install-recommends " + " ".join(packages))
    if not os.path.exists("/dev/net/tun"):
        lines.append("/dev/net/tun is missing: modprobe tun, or give the container that device")
    return lines
