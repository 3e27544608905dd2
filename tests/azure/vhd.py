"""The images under test: built by the boot lab, but finished like an image for Azure."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, List

from ..boot import disk, needs, trees
from ..boot.images import IFUPDOWN, IMAGES, NETWORKD, SERIAL_GETTY, Image
from ..boot.scene import Disks, Wrong
from .cloud import Failed

MEBIBYTES = 2048
NEEDED = {"mmdebstrap": "mmdebstrap", "qemu-img": "qemu-utils", "sfdisk": "fdisk", "grub-mkimage": "grub-common"}

FINISH = r"""
echo image > /etc/hostname
printf '127.0.0.1\tlocalhost\n127.0.1.1\timage\n' > /etc/hosts
printf 'LABEL=root / ext4 defaults 0 1\n' > /etc/fstab
printf 'hv_vmbus\nhv_storvsc\nhv_netvsc\nhv_utils\nudf\n' >> /etc/initramfs-tools/modules
update-initramfs -u
mkdir -p /boot/grub
set -- /boot/vmlinuz-* /boot/initrd.img-*
cat > /boot/grub/grub.cfg <<END
serial --unit=0 --speed=115200
terminal_output console serial
linux $1 root=LABEL=root ro console=tty0 console=ttyS0,115200n8
initrd $2
boot
END
"""
SYSTEMD_SERIAL = "systemctl --quiet enable serial-getty@ttyS0.service\n"
TOOLS = ("fdisk", "e2fsprogs")  # grow the disk


def make(name: str, program: Path, mirror: str, scratch: Path, say: Callable[[str], None]) -> Path:
    """A fixed VHD of an image with the program installed. Raises Failed."""
    image = table(mirror)[name]
    folder = scratch / (name + ".image")
    folder.mkdir()
    tree, raw, vhd = folder / "tree", folder / "disk.img", scratch / (name + ".vhd")
    try:
        source = trees.grown(image, say)
        subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(tree)], check=True)
        Disks(image, program, folder).install(tree, [])
        say("%s: the disk" % name)
        disk.make_bootable(tree, raw, MEBIBYTES)
        disk.fixed_vhd(raw, vhd)
    except (OSError, RuntimeError, Wrong, subprocess.CalledProcessError) as error:
        raise Failed("the image %s cannot be made: %s" % (name, error))
    shutil.rmtree(str(folder))
    return vhd


def table(mirror: str) -> Dict[str, Image]:
    """The images by name. `mirror` is Devuan's."""
    debian = replace(
        IMAGES["networkd"],
        name="azure-debian",
        packages=IMAGES["networkd"].packages + TOOLS,
        setup=NETWORKD + SYSTEMD_SERIAL + FINISH,
        lab=False,
    )
    devuan = replace(
        IMAGES["sysvinit"],
        name="azure-devuan",
        release="daedalus",
        packages=IMAGES["sysvinit"].packages + TOOLS,
        setup=IFUPDOWN + SERIAL_GETTY + FINISH,
        lab=False,
        mirror=mirror,
    )
    return {"debian": debian, "devuan": devuan}


def missing() -> List[str]:
    """What this machine lacks to build them, one on each line."""
    os.environ["PATH"] = needs.PATH
    lines = [] if os.geteuid() == 0 else ["root is needed to make the trees: run it with sudo, or give it --vhd"]
    packages = sorted({package for tool, package in NEEDED.items() if shutil.which(tool) is None})
    if not (disk.GRUB / "boot.img").exists():
        packages.append("grub-pc-bin")
    if packages:
        lines.append("Debian packages are missing: apt-get install --no-install-recommends " + " ".join(packages))
    return lines
