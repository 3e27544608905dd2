"""Does the kernel have Hyper-V's drivers, the disk's where the boot needs it, and can it read the provisioning DVD?"""

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from ...azure.drives import KINDS
from ...door.system import System
from ...door.text import is_digits, lines_in
from ...errors import GuestError
from ..command import Command
from .finding import Finding, error, ok, warning
from .initramfs import UnreadableError, file_names
from .subject import Image

TOPS = ("/lib/modules", "/usr/lib/modules")
LIST_LIMIT = 4 << 20  # bytes of modules.dep; a distro's has less than one MiB
INITRAMFS_LIMIT = 256 << 20  # bytes
IMAGES = ("vmlinuz-%s", "vmlinux-%s", "Image-%s", "kernel-%s", "bzImage-%s")
INITRAMFS = ("initrd.img-%s", "initramfs-%s.img", "initrd-%s", "initrd-%s.img", "initramfs-%s")
NAMELESS_INITRAMFS = re.compile(r"(initramfs|initrd)([-.][a-z]+)*$")
CONFIG = {
    "hv_vmbus": "CONFIG_HYPERV",
    "hv_netvsc": "CONFIG_HYPERV_NET",
    "hv_storvsc": "CONFIG_HYPERV_STORAGE",
    "hv_utils": "CONFIG_HYPERV_UTILS",
    "ata_piix": "CONFIG_ATA_PIIX",
    "nvme": "CONFIG_BLK_DEV_NVME",
    "sr_mod": "CONFIG_BLK_DEV_SR",
    "udf": "CONFIG_UDF_FS",
    "isofs": "CONFIG_ISO9660_FS",
}
NO_KERNEL = "there is no kernel in the image: nobody can tell whether %s"


class Kernel(NamedTuple):
    """A kernel of the image."""

    version: str
    built_in: Set[str]  # modules that are part of it
    modules: Set[str]  # those that can be loaded; `-` is `_` in all names

    def has(self, name: str) -> bool:
        """Is this driver in it, one way or the other?"""
        return name in self.built_in or name in self.modules


def find_kernel(system: System) -> "Optional[Kernel]":
    """The kernel that would boot: of those with an image in /boot the newest; None if there is none to look at."""
    boot = set(system.list("/boot"))
    versions = {name for top in TOPS for name in system.list(top) if system.exists("%s/%s/modules.dep" % (top, name))}
    versions |= {name[len("config-") :] for name in boot if name.startswith("config-")}
    bootable = [version for version in versions if any(form % version in boot for form in IMAGES)]
    if not versions:
        return None
    version = max(bootable or versions, key=natural)
    built_in, modules = read_config(system, "/boot/config-" + version)
    for top in TOPS:
        folder = "%s/%s" % (top, version)
        built_in |= set(filter(None, map(module, read_lines(system, folder + "/modules.builtin"))))
        for line in read_lines(system, folder + "/modules.dep"):
            path = line.partition(":")[0]
            name = module(path)
            if name in CONFIG and not system.exists(path if path.startswith("/") else folder + "/" + path):
                name = None  # named, and left out of the image
            modules.discard(module(path) or "")
            if name:
                modules.add(name)
    return Kernel(version, built_in, modules)


def natural(version: str) -> "List[object]":
    """A key by which 5.10 sorts after 5.9."""
    parts = re.split(r"([0-9]+)", version)
    return [(0, int(part), "") if is_digits(part, len(part)) else (1, 0, part) for part in parts if part]


def read_lines(system: System, path: str) -> "List[str]":
    """The lines of one of depmod's lists."""
    lines = lines_in((system.read(path, limit=LIST_LIMIT) or b"").decode("utf-8", "replace"))
    system.spend(path, len(lines))
    return lines


def module(path: str) -> "Optional[str]":
    """The module that a file is: `kernel/fs/udf/udf.ko.xz`; None if it is none."""
    match = re.search(r"(?:^|/)([^/]+)\.ko(?:\.(?:gz|xz|zst|bz2))?$", path)
    return match.group(1).replace("-", "_") if match else None


def read_config(system: System, path: str) -> "Tuple[Set[str], Set[str]]":
    """(the drivers of CONFIG that are built in, those that are modules), as the kernel's configuration has them."""
    values = dict(line.split("=", 1) for line in read_lines(system, path) if line.startswith("CONFIG_"))
    built_in = {name for name, key in CONFIG.items() if values.get(key) == "y"}
    return built_in, {name for name, key in CONFIG.items() if values.get(key) == "m"}


def forbidden(image: Image) -> "Dict[str, str]":
    """The modules that modprobe.d keeps from being loaded, each with the file that says so.

    `blacklist` is for udev, which loads drivers for devices; `install x /bin/false` is for everybody (modprobe.d(5)).
    """
    found = {}
    for folder in ("/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"):
        for name in image.system.list(folder):
            if name.endswith(".conf"):
                text = image.text("%s/%s" % (folder, name))
                pattern = r"(?m)^[ \t]*(?:blacklist\s+(hv[_-]\w+)\s*$|install\s+(\S+)\s+(?:/usr)?/bin/(?:true|false)\b)"
                for words in re.findall(pattern, text):
                    found["".join(words).replace("-", "_")] = "%s/%s" % (folder, name)
    return found


def check_drivers(image: Image) -> "Iterator[Finding]":
    """Without its network card a VM never reaches Azure."""
    kernel = image.once(find_kernel)
    if kernel is None:
        yield warning("kernel", NO_KERNEL % "it has Hyper-V's drivers (CONFIG_HYPERV, CONFIG_HYPERV_NET, ...)")
        return
    barred = forbidden(image)
    lacking = [name for name in ("hv_vmbus", "hv_netvsc") if not kernel.has(name)]
    if not kernel.has("hv_storvsc") and not (kernel.has("ata_piix") or kernel.has("nvme")):
        lacking.append("hv_storvsc")
    for name in lacking:
        yield error("kernel", "the kernel %s lacks %s (%s)" % (kernel.version, name, CONFIG[name]))
    for name in ("hv_vmbus", "hv_netvsc", "hv_storvsc"):
        if name in barred and name in kernel.modules:
            yield error("kernel", "%s keeps %s from being loaded" % (barred[name], name), image.remove(barred[name]))
            lacking.append(name)
    if not kernel.has("hv_storvsc") and "hv_storvsc" not in lacking:
        yield warning(
            "kernel", "the kernel %s lacks hv_storvsc: most sizes of VM have their disk there" % kernel.version
        )
    if not kernel.has("hv_utils"):
        message = "the kernel %s lacks hv_utils: Azure cannot shut the VM down gently, nor set its clock"
        yield warning("kernel", message % kernel.version)
    if not lacking:
        yield ok("kernel", "the kernel %s has Hyper-V's drivers" % kernel.version)


def check_initramfs(image: Image) -> "Iterator[Finding]":
    """The disk's driver must be there before the root file system is."""
    kernel = image.once(find_kernel)
    if kernel is None or not kernel.has("hv_storvsc"):
        return  # check_drivers said so
    if {"hv_vmbus", "hv_storvsc"} <= kernel.built_in:
        yield ok("initramfs", "the disk's driver is built into the kernel")
        return
    found = find_initramfs(image.system, kernel.version)
    if found is None:
        has_image = any(form % kernel.version in image.system.list("/boot") for form in IMAGES)
        if has_image:
            message = "hv_storvsc is a module, and there is no initramfs in /boot that could load it"
            yield error("initramfs", message, rebuild(image))
        else:
            yield warning("initramfs", "there is no initramfs in /boot: nobody can tell whether it has hv_storvsc")
        return
    lacking, has_modules = {"hv_vmbus", "hv_storvsc"} - kernel.built_in, False
    try:
        data = image.system.read(found, limit=INITRAMFS_LIMIT) or b""
        for name in file_names(data, lambda files, size: image.system.spend(found or "", files, size)):
            one = module(name)
            has_modules = has_modules or one is not None
            lacking.discard(one or "")
            if not lacking:
                break  # with the rest to be unpacked
    except (UnreadableError, GuestError) as problem:
        message = "nobody can tell whether %s has hv_storvsc: %s" % (found, problem)
        yield warning("initramfs", message, list_command(image, found))
        return
    missing = sorted(lacking, reverse=True)
    if missing and not has_modules:
        message = "%s has no modules at all, and %s is one: the root disk is not found" % (found, missing[-1])
        yield error("initramfs", message, rebuild(image))
    elif missing:
        message = "%s lacks %s: the root disk is not found" % (found, " and ".join(missing))
        yield error("initramfs", message, rebuild(image))
    else:
        yield ok("initramfs", "%s has the disk's driver" % found)


def find_initramfs(system: System, version: str) -> "Optional[str]":
    """The initramfs of a kernel, by its version or, where there is no other, without one."""
    names = system.list("/boot")
    for form in INITRAMFS:
        if form % version in names:
            return "/boot/" + form % version
    for name in names:
        if NAMELESS_INITRAMFS.match(name) and "fallback" not in name and system.stat("/boot/" + name):
            return "/boot/" + name
    return None


def rebuild(image: Image) -> Command:
    """The command that makes the initramfs anew, with the drivers, where the tool for it is known."""
    system = image.system
    if system.find_program("update-initramfs"):
        modules = image.place("/etc/initramfs-tools/modules")
        added = Command("printf", "%s\\n", "hv_vmbus", "hv_storvsc").onto(modules)
        return added.then(image.inside(Command("update-initramfs", "-u")))
    if system.find_program("dracut"):
        drivers = ("--add-drivers", "hv_vmbus hv_storvsc hv_netvsc")
        return image.inside(Command("dracut", "--force", "--no-hostonly", *drivers, "--regenerate-all"))
    if system.find_program("mkinitcpio"):
        modules = image.place("/etc/mkinitcpio.conf.d/hyperv.conf")
        added = Command("echo", "MODULES+=(hv_vmbus hv_storvsc)").into(modules)
        return added.then(image.inside(Command("mkinitcpio", "-P")))
    if system.find_program("mkinitfs"):
        modules = image.place("/etc/mkinitfs/features.d/hyperv.modules")
        return Command("echo", "kernel/drivers/hv/*.ko* kernel/drivers/scsi/hv_storvsc.ko*").into(modules)
    return Command()


def list_command(image: Image, path: str) -> Command:
    """The command with which a person can look into an initramfs."""
    for tool in ("lsinitramfs", "lsinitrd", "lsinitcpio"):
        if image.system.find_program(tool):
            return image.inside(Command(tool).on(path)).piped(Command("grep", "hv_storvsc"))
    return Command()


def check_dvd(image: Image) -> "Iterator[Finding]":
    """The password and the customData are only on the provisioning DVD, which is UDF."""
    if not image.options.wants("password", "custom_data"):
        return
    if image.system.find_program("mount") is None:
        yield warning("dvd", "there is no mount program: passwords and customData cannot be read")
        return
    kernel = image.once(find_kernel)
    if kernel is None:
        yield warning("dvd", NO_KERNEL % "it can read the provisioning DVD (CONFIG_UDF_FS, CONFIG_BLK_DEV_SR)")
        return
    barred = forbidden(image)
    lacking = [name for name in ("sr_mod", "udf", "isofs") if not kernel.has(name)]
    lacking += [name for name in ("sr_mod", "udf", "isofs") if name in barred and name in kernel.modules]
    for name in lacking:
        what = CONFIG[name] if name not in barred else barred[name]
        if name == "isofs" and "udf" not in lacking:
            continue  # the DVD is UDF; the other is a second chance
        message = "the kernel cannot use %s (%s): passwords and customData cannot be read" % (name, what)
        yield warning("dvd", message, image.remove(barred[name]) if name in barred else Command())
    if not set(lacking) - {"isofs"}:
        yield ok("dvd", "the kernel can read the provisioning DVD (%s)" % ", ".join(KINDS))
