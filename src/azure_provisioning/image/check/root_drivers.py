"""Does the initramfs have the drivers of the root disk?"""

import re
from typing import Iterator, List, Optional, Tuple

from ...door.system import System
from ...errors import GuestError
from ..command import Command
from .finding import Finding, error, ok, warning
from .initramfs import UnreadableError, file_names
from .initrd import look_into, rebuild
from .kernel import NVME, NVME_SIZES, Kernel, find_kernel, flavour, has_image, module
from .subject import Image

INITRAMFS_LIMIT = 256 << 20  # bytes
INITRAMFS = ("initrd.img-%s", "initramfs-%s.img", "initrd-%s", "initrd-%s.img", "initramfs-%s")
UNIFIED = ("/boot/EFI/Linux", "/boot/efi/EFI/Linux", "/efi/EFI/Linux")
NAMELESS_INITRAMFS = re.compile(r"(initramfs|initrd)([-.][a-z]+)*$")
SCSI = ("hv_vmbus", "hv_storvsc", "sd_mod")  # the controller's driver finds the disk, and sd_mod makes it /dev/sda
BUSES = ("hv_vmbus", "pci_hyperv")  # these find the controller
IDE = ("ata_piix", "sd_mod")  # that of a VM of generation 1
NVME_LOST = ": %s, where the root disk is not found" % NVME_SIZES


def drivers_of_disk(kernel: Kernel) -> "Tuple[List[str], List[str]]":
    """(the drivers that every VM needs for its root disk, those for sizes with NVMe), of those the kernel has."""
    nvme = ["hv_vmbus", *NVME] if kernel.has_all(("hv_vmbus", *NVME)) else []
    if kernel.has_all(SCSI):
        return list(SCSI), nvme
    if kernel.has_all(IDE):
        return [] if nvme else list(IDE), nvme
    return nvme, []


def without_initramfs(image: Image, version: str, drivers: "List[str]", remedy: Command, *, every: bool) -> Finding:
    """The finding for a missing initramfs, if drivers of the disk, that of `every` VM or not, are modules."""
    names = " and ".join(drivers)
    unified = find_unified(image.system)
    if unified:
        return warning("initramfs", "it cannot be determined whether the initramfs in %s has %s" % (unified, names))
    if not has_image(image.system, version):
        message = "there is no initramfs in /boot: it cannot be determined whether it has %s" % names
        return warning("initramfs", message)
    message = "%s is a module, and there is no initramfs in /boot that could load it" % drivers[0]
    return error("initramfs", message, remedy) if every else warning("initramfs", message + NVME_LOST, remedy)


def check_initramfs(image: Image) -> "Iterator[Finding]":
    """The disk's driver is needed before the root file system is mounted."""
    kernel = image.once(find_kernel)
    if kernel is None:
        return  # check_drivers has reported it
    needed, useful = drivers_of_disk(kernel)
    if not needed and not useful:
        return
    needed = [name for name in needed if name not in kernel.built_in]
    useful = [name for name in useful if name not in kernel.built_in and name not in needed]
    if not needed and not useful:
        yield ok("initramfs", "the disk's driver is built into the kernel")
        return
    found = find_initramfs(image.system, kernel.version)
    modules = [name for name in dict.fromkeys((*SCSI, *NVME, *needed)) if name in kernel.modules]
    remedy = rebuild(image, kernel.version, modules, there=found is not None)
    lost = "the root disk is not found"
    drivers = [name for name in needed or useful if name not in BUSES] or (needed or useful)[-1:]
    if found is None:
        yield without_initramfs(image, kernel.version, drivers, remedy, every=bool(needed))
        return
    lacking, has_modules = set(needed + useful), False
    try:
        data = image.system.read(found, limit=INITRAMFS_LIMIT) or b""
        for name in file_names(data, lambda files, size: image.system.spend(found or "", files, size)):
            one = module(name)
            has_modules = has_modules or one is not None
            lacking.discard(one or "")
            if not lacking:
                break  # the rest need not be unpacked
    except (UnreadableError, GuestError) as problem:
        message = "it cannot be determined whether %s has %s: %s" % (found, " and ".join(drivers), problem)
        yield warning("initramfs", message, look_into(image, found, drivers))
        return
    missing = [name for name in needed if name in lacking]
    if missing and not has_modules:
        message = "%s has no modules, and %s is a module: %s" % (found, drivers[0], lost)
        yield error("initramfs", message, remedy)
    elif missing:
        yield error("initramfs", "%s lacks %s: %s" % (found, " and ".join(missing), lost), remedy)
    elif lacking:
        names = " and ".join(name for name in useful if name in lacking)
        yield warning("initramfs", "%s lacks %s%s" % (found, names, NVME_LOST), remedy)
    else:
        yield ok("initramfs", "%s has the disk's driver" % found)


def find_initramfs(system: System, version: str) -> "Optional[str]":
    """The initramfs of a kernel: with its version in the name, or else without one."""
    names = system.list("/boot")
    for form in (form % word for word in (version, flavour(version)) for form in INITRAMFS):
        if form in names and system.stat("/boot/" + form):
            return "/boot/" + form
    for name in names:
        if NAMELESS_INITRAMFS.match(name) and "fallback" not in name and system.stat("/boot/" + name):
            return "/boot/" + name
    return None


def find_unified(system: System) -> "Optional[str]":
    """A file of the EFI partition with a kernel and its initramfs: a unified kernel image."""
    paths = ["%s/%s" % (folder, name) for folder in UNIFIED for name in system.list(folder) if name.endswith(".efi")]
    return paths[0] if paths else None
