"""The command that rebuilds an image's initramfs with the drivers that it lacks."""

from ..command import Command
from .subject import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

# Their paths for mkinitfs, below the kernel's folder of modules.
PLACES = {
    "hv_vmbus": "kernel/drivers/hv",
    "hv_storvsc": "kernel/drivers/scsi/hv_storvsc.ko*",
    "hv_netvsc": "kernel/drivers/net/hyperv",
    "sd_mod": "kernel/drivers/scsi/sd_mod.ko*",
    "ata_piix": "kernel/drivers/ata/ata_piix.ko*",
    "pci_hyperv": "kernel/drivers/pci/controller/pci-hyperv*.ko*",
    "nvme": "kernel/drivers/nvme/host",
}
MKINITFS = "/etc/mkinitfs"


def rebuild(image: Image, version: str, modules: "Sequence[str]", *, there: bool) -> Command:
    """The command that rebuilds a kernel's initramfs with these `modules`; empty if no tool for it is known.

    `there`: does it exist now? In a chroot no tool may ask for the running kernel, which is the host's.
    """
    system = image.system
    of_dracut = system.find_program("dracut") and not system.find_program("mkinitramfs")
    if system.find_program("update-initramfs") and not of_dracut:  # Debian's dracut has one, too
        added = image.append("/etc/initramfs-tools/modules", Command("printf", "%s\\n", *modules))
        return added.then(image.inside(Command("update-initramfs", "-u" if there else "-c", "-k", version)))
    if system.find_program("dracut"):
        lines = ('hostonly="no"', 'add_drivers+=" %s "' % " ".join(modules))
        added = image.put("/etc/dracut.conf.d/hyperv.conf", Command("printf", "%s\\n", *lines))
        return added.then(image.inside(Command("dracut", "--force", "--regenerate-all")))
    if system.find_program("mkinitcpio"):
        listed = Command("echo", "MODULES+=(%s)" % " ".join(modules))
        added = image.put("/etc/mkinitcpio.conf.d/hyperv.conf", listed)
        return added.then(image.inside(Command("mkinitcpio", "-P")))
    if system.find_program("mkinitfs"):
        places = [PLACES[name] for name in modules if name in PLACES]
        added = image.put(MKINITFS + "/features.d/hyperv.modules", Command("printf", "%s\\n", *places))
        chosen = image.append(MKINITFS + "/mkinitfs.conf", Command("echo", 'features="$features hyperv"'))
        return added.then(chosen).then(image.inside(Command("mkinitfs", version)))
    return Command()


def look_into(image: Image, path: str, modules: "Sequence[str]") -> Command:
    """A command that lists which of the modules are in an initramfs; their files have `-` or `_` in the name."""
    pattern = "|".join(modules).replace("_", ".")
    for tool in ("lsinitramfs", "lsinitrd", "lsinitcpio"):
        if image.system.find_program(tool):
            return image.inside(Command(tool).on(path)).piped(Command("grep", "-E", pattern))
    return Command()
