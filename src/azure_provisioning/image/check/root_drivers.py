"""Does the initramfs have the drivers of the root disk?"""

import re
from typing import Iterator, List, NamedTuple, Optional, Set, Tuple

from ...door.system import System
from ...door.text import read_text
from ...errors import GuestError
from ..command import Command
from .finding import Finding, error, ok, warning
from .initramfs import UnreadableError, file_names
from .initrd import look_into, rebuild
from .kernel import NVME, NVME_SIZES, TOPS, Kernel, find_kernel, flavour, has_image, is_version, module, natural
from .subject import Image

INITRAMFS_LIMIT = 256 << 20  # bytes
INITRAMFS = ("initrd.img-%s", "initramfs-%s.img", "initrd-%s", "initrd-%s.img", "initramfs-%s")
UNIFIED = ("/boot/EFI/Linux", "/boot/efi/EFI/Linux", "/efi/EFI/Linux")
NAMELESS_INITRAMFS = re.compile(r"(initramfs|initrd)([-.][a-z]+)*$")
SCSI = ("hv_vmbus", "hv_storvsc", "sd_mod")  # the controller's driver finds the disk, and sd_mod makes it /dev/sda
BUSES = ("hv_vmbus", "pci_hyperv")  # these find the controller
IDE = ("ata_piix", "sd_mod")  # that of a VM of generation 1
VERSION = re.compile(r"(?:^|/)lib/modules/([0-9][^/]*)/")  # modprobe only looks in the folder of its kernel
NVME_LOST = ": %s, where the root disk is not found" % NVME_SIZES


class Archive(NamedTuple):
    """What was found in an initramfs."""

    path: str
    modules: Set[str]  # of the kernel that boots, or of a folder without a version
    versions: Set[str]  # of other kernels with modules
    problem: str  # why it was not read to its end; empty if it was read as far as necessary


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
    remedy = rebuild(image, kernel.version, modules, there=bool(found))
    drivers = [name for name in needed or useful if name not in BUSES] or (needed or useful)[-1:]
    if not found:
        yield without_initramfs(image, kernel.version, drivers, remedy, every=bool(needed))
        return
    wanted = {*needed, *useful}
    wanted.update(other for name in needed + useful for other in kernel.needs.get(name, ()) if other in kernel.modules)
    archives = [look(image.system, path, kernel.version, wanted) for path in found]
    archive = max(archives, key=lambda one: len(one.modules & wanted))
    if archive.problem:
        message = "it cannot be determined whether %s has %s: %s" % (
            archive.path,
            " and ".join(drivers),
            archive.problem,
        )
        yield warning("initramfs", message, look_into(image, archive.path, drivers))
        return
    missing, without = lacks(kernel, archive, needed), lacks(kernel, archive, useful)
    if missing:
        yield without_drivers(image, kernel, archive, " and ".join(missing), drivers, remedy)
    elif without:
        yield warning("initramfs", "%s lacks %s%s" % (archive.path, " and ".join(without), NVME_LOST), remedy)
    else:
        yield ok("initramfs", "%s has the disk's driver" % archive.path)


def without_drivers(
    image: Image, kernel: Kernel, archive: Archive, missing: str, drivers: "List[str]", remedy: Command
) -> Finding:
    """The finding for an initramfs without drivers that every VM needs."""
    lost = "the root disk is not found"
    other = ""
    if archive.versions and not archive.modules:
        other = "modules are of the kernel %s" % max(archive.versions, key=natural)
        here = any(image.system.exists("%s/%s/modules.dep" % (top, one)) for top in TOPS for one in archive.versions)
        if here and kernel.version not in archive.path:
            message = "it cannot be determined whether %s, whose %s, is that of %s" % (
                archive.path,
                other,
                kernel.version,
            )
            return warning("initramfs", message, remedy)
        other = " (its %s)" % other
    elif not archive.modules:
        message = "%s has no modules, and %s is a module: %s" % (archive.path, drivers[0], lost)
        return error("initramfs", message, remedy)
    return error("initramfs", "%s lacks %s: %s%s" % (archive.path, missing, lost, other), remedy)


def lacks(kernel: Kernel, archive: Archive, names: "List[str]") -> "List[str]":
    """Those of the drivers that are not in it, and a module for each of the others that cannot be loaded alone."""
    found = [name for name in names if name not in archive.modules]
    for name in names:
        others = kernel.needs.get(name, ()) if name in archive.modules else ()
        absent = [one for one in others if one in kernel.modules and one not in archive.modules and one not in names]
        found += ["%s (for %s)" % (one, name) for one in absent[:1]]
    return found


def look(system: System, path: str, version: str, wanted: "Set[str]") -> Archive:
    """Look into an initramfs until the `wanted` modules are found: those that a kernel of this version would load."""
    archive = Archive(path, set(), set(), "")
    try:
        data = system.read(path, limit=INITRAMFS_LIMIT) or b""
        for name in file_names(data, lambda files, size: system.spend(path, files, size)):
            one, folder = module(name), VERSION.search(name)
            if one and folder and is_version(version) and folder.group(1) != version:
                archive.versions.add(folder.group(1))
            elif one:
                archive.modules.add(one)
                if wanted <= archive.modules:
                    break  # the rest need not be unpacked
    except (UnreadableError, GuestError) as problem:
        return archive._replace(problem=str(problem))
    return archive


def find_initramfs(system: System, version: str) -> "List[str]":
    """The initramfs of a kernel, with its version or name in its own name; or else all without a version."""
    names = [name for name in system.list("/boot") if system.exists("/boot/" + name)]
    base = ["%s/%s/pkgbase" % (top, version) for top in TOPS]  # Arch's file: linux-lts
    words = (version, *filter(None, (read_text(system, path).strip() for path in base)), flavour(version))
    for form in (form % word for word in words for form in INITRAMFS):
        if form in names:
            return ["/boot/" + form]
    nameless = [name for name in names if NAMELESS_INITRAMFS.match(name) and "fallback" not in name]
    return ["/boot/" + name for name in nameless if not system.is_dir("/boot/" + name)]


def find_unified(system: System) -> "Optional[str]":
    """A file of the EFI partition with a kernel and its initramfs: a unified kernel image."""
    paths = ["%s/%s" % (folder, name) for folder in UNIFIED for name in system.list(folder) if name.endswith(".efi")]
    return paths[0] if paths else None
