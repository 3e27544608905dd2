"""Does the kernel have Hyper-V's drivers? Can it read the provisioning DVD?"""

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Set

from ...azure.drives import KINDS
from ...door.system import System
from ...door.text import is_digits, lines_in
from .finding import NOTHING, Finding, error, ok, warning
from .modprobe import Bar, find_bars, let_in, read_bars
from .subject import Image

TOPS = ("/lib/modules", "/usr/lib/modules")
LIST_LIMIT = 4 << 20  # bytes of modules.dep; those of distros have less than one MiB
IMAGES = ("vmlinuz-%s", "vmlinux-%s", "Image-%s", "kernel-%s", "bzImage-%s")
CONFIG = {
    "hv_vmbus": "CONFIG_HYPERV_VMBUS",  # up to 6.17 CONFIG_HYPERV
    "hv_netvsc": "CONFIG_HYPERV_NET",
    "hv_storvsc": "CONFIG_HYPERV_STORAGE",
    "hv_utils": "CONFIG_HYPERV_UTILS",
    "sd_mod": "CONFIG_BLK_DEV_SD",
    "ata_piix": "CONFIG_ATA_PIIX",
    "nvme": "CONFIG_BLK_DEV_NVME",
    "pci_hyperv": "CONFIG_PCI_HYPERV",
    "sr_mod": "CONFIG_BLK_DEV_SR",
    "udf": "CONFIG_UDF_FS",
    "isofs": "CONFIG_ISO9660_FS",
}
PTP = "CONFIG_PTP_1588_CLOCK"  # without it hv_utils gives no clock to chrony
NVME = ("pci_hyperv", "nvme")
NVME_SIZES = "VM sizes of version 6 and later (Dsv6, Easv6, ...) have NVMe disks only"
UNPROVEN = "there is no modules.dep of the kernel %s: it cannot be determined whether %s can be loaded"
NO_KERNEL = "there is no kernel in the image: it cannot be determined whether %s"


class Kernel(NamedTuple):
    """A kernel of the image."""

    version: str
    built_in: Set[str]  # modules that are part of it
    modules: Set[str]  # loadable modules; `-` is `_` in all names
    needs: Dict[str, List[str]]  # by module: the others that it needs
    config: Dict[str, str]  # of Hyper-V's options: "y", "m", or "n" if not set
    listed: bool  # has the image a list of its modules? If not, `modules` are those of the configuration

    def has(self, name: str) -> bool:
        """Does it have this driver, built in or as a module?"""
        return name in self.built_in or name in self.modules

    def has_all(self, names: "Sequence[str]") -> bool:
        """Does it have all of them?"""
        return all(map(self.has, names))

    def unproven(self, names: "Sequence[str]") -> "List[str]":
        """Those that its configuration makes modules, while the image has no list of modules."""
        return [] if self.listed else [name for name in names if name in self.modules - self.built_in]

    def bars(self, image: Image, bars: "List[Bar]", name: str) -> "List[Bar]":
        """Those of the bars that keep it from loading a driver."""
        return find_bars(image, bars, name, self.needs.get(name, ())) if name in self.modules else []

    def option(self, name: str) -> str:
        """The option of the kernel's configuration for a driver."""
        if name == "hv_vmbus" and not has_vmbus_option(self.version, self.config):
            return "CONFIG_HYPERV"
        return CONFIG[name]


def find_kernel(system: System) -> "Optional[Kernel]":
    """The kernel that would boot: the newest with an image in /boot; None if no kernel is found."""
    versions = {name for top in TOPS for name in system.list(top) if system.exists("%s/%s/modules.dep" % (top, name))}
    versions |= set(filter(is_version, names_of_configs(system)))
    versions = versions or set(names_of_configs(system))  # a kernel without modules, known by its flavour
    bootable = [version for version in versions if has_image(system, version)]
    if not versions:
        return None
    version = max(bootable or versions, key=natural)
    config = read_config(system, version)
    built_in, modules = (drivers_of(version, config, value) for value in ("y", "m"))
    known, needs = bool(config), {}
    folders = ["%s/%s" % (top, version) for top in TOPS]
    listed_modules = any(system.exists(folder + "/modules.dep") for folder in folders)
    if listed_modules:
        modules = set()  # those of the configuration may be in a package that is not in the image
    for folder in folders:
        listed = set(filter(None, map(module, read_lines(system, folder + "/modules.builtin"))))
        known = known or bool(listed)
        built_in |= listed
        for line in read_lines(system, folder + "/modules.dep"):
            path, _, others = line.partition(":")
            name = module(path)
            if name in CONFIG and not system.exists(path if path.startswith("/") else folder + "/" + path):
                name = None  # listed, but not in the image
            if name:
                modules.add(name)
                needs[name] = list(filter(None, map(module, others.split())))
    if not known and "sd_mod" not in modules:
        built_in.add("sd_mod")  # in many kernels it is, and nothing here says what is
    return Kernel(version, built_in, modules, needs, config, listed_modules)


def natural(version: str) -> "List[object]":
    """A sort key by which 5.10 comes after 5.9."""
    parts = re.split(r"([0-9]+)", version)
    return [(0, int(part), "") if is_digits(part, len(part)) else (1, 0, part) for part in parts if part]


def is_version(name: str) -> bool:
    """Is this a version, and not the name of a flavour?"""
    return is_digits(name[:1])


def names_of_configs(system: System) -> "List[str]":
    """What follows `config-` in the names of the files in /boot."""
    return [name[len("config-") :] for name in system.list("/boot") if name.startswith("config-")]


def is_config_of(name: str, version: str) -> bool:
    """Is it the kernel's: `virt` for 6.12.58-0-virt on Alpine, `generic-5.15.19.x64` for 5.15.19 on Slackware?"""
    if name == version or is_version(name):
        return name == version
    return version.endswith("-" + name) or re.sub(r"\.x64$", "", name).endswith("-" + version)


def read_lines(system: System, path: str) -> "List[str]":
    """The lines of one of depmod's lists."""
    lines = lines_in((system.read(path, limit=LIST_LIMIT) or b"").decode("utf-8", "replace"))
    system.spend(path, len(lines))
    return lines


def module(path: str) -> "Optional[str]":
    """The module of a file such as `kernel/fs/udf/udf.ko.xz`; None for another file."""
    match = re.search(r"(?:^|/)([^/]+)\.ko(?:\.(?:gz|xz|zst|bz2))?$", path)
    return match.group(1).replace("-", "_") if match else None


def read_config(system: System, version: str) -> "Dict[str, str]":
    """The kernel's configuration for each driver's option, and those of Hyper-V: "y", "m", or "n" if not set."""
    names = [name for name in names_of_configs(system) if is_config_of(name, version)]
    paths = ["/boot/config-" + name for name in sorted(names, key=version.__ne__)]  # that with the version first
    paths += ["%s/%s/config" % (top, version) for top in TOPS]
    found: "Dict[str, str]" = {}
    for line in (line for path in paths for line in read_lines(system, path)):
        match = re.match(r"(?:# )?(CONFIG_\w+)(?:=([ym])$| (is not set)$)", line)
        if match and (match.group(1) in (PTP, *CONFIG.values()) or match.group(1).startswith("CONFIG_HYPERV")):
            found.setdefault(match.group(1), match.group(2) or "n")
    return found


def has_vmbus_option(version: str, config: "Dict[str, str]") -> bool:
    """Does the bus have its own option? From 6.18 on CONFIG_HYPERV is not a driver (drivers/hv/Kconfig)."""
    return "CONFIG_HYPERV_VMBUS" in config or (is_version(version) and natural(version) >= natural("6.18"))


def drivers_of(version: str, config: "Dict[str, str]", value: str) -> "Set[str]":
    """The drivers of CONFIG whose option has this value."""
    options = dict(CONFIG, hv_vmbus=CONFIG["hv_vmbus"] if has_vmbus_option(version, config) else "CONFIG_HYPERV")
    return {name for name, key in options.items() if config.get(key) == value}


def check_drivers(image: Image) -> "Iterator[Finding]":
    """Without a driver for its network card a VM never reaches Azure."""
    kernel = image.once(find_kernel)
    if kernel is None:
        yield warning("kernel", NO_KERNEL % "it has Hyper-V's drivers (CONFIG_HYPERV, CONFIG_HYPERV_NET, ...)")
        return
    lacking = [name for name in ("hv_vmbus", "hv_netvsc") if not kernel.has(name)]
    if not kernel.has("nvme"):
        lacking += [] if kernel.has("hv_storvsc") or kernel.has("ata_piix") else ["hv_storvsc"]
        lacking += [] if kernel.has("sd_mod") else ["sd_mod"]
    for name in lacking:
        yield error("kernel", "the kernel %s lacks %s (%s)" % (kernel.version, name, kernel.option(name)))
    if kernel.config.get("CONFIG_HYPERV_VTL_MODE") == "y":  # its help in drivers/hv/Kconfig
        lacking.append("VTL0")
        message = "the kernel %s is made for VTL2 (CONFIG_HYPERV_VTL_MODE): it does not boot as an ordinary guest"
        yield error("kernel", message % kernel.version)
    for finding in check_bars(image, kernel):
        yield finding
        lacking += [finding.message] * (finding.level == "error")
    yield from check_useful(kernel, lacking)
    unproven = kernel.unproven(("hv_vmbus", "hv_netvsc", "hv_storvsc", "sd_mod", *NVME, "hv_utils"))
    if unproven:
        yield warning("kernel", UNPROVEN % (kernel.version, ", ".join(unproven)))
    elif not lacking:
        yield ok("kernel", "the kernel %s has Hyper-V's drivers" % kernel.version)


def check_useful(kernel: Kernel, lacking: "List[str]") -> "Iterator[Finding]":
    """Drivers without which only some VMs do not come up, unless they are among the `lacking` ones."""
    for name in ("hv_storvsc", "sd_mod"):
        if not kernel.has(name) and name not in lacking:
            message = "the kernel %s lacks %s: most VM sizes need it for their disk" % (kernel.version, name)
            yield warning("kernel", message)
    for name in NVME:
        if not kernel.has(name):
            message = "the kernel %s lacks %s (%s): %s" % (kernel.version, name, CONFIG[name], NVME_SIZES)
            yield warning("kernel", message)
    if not kernel.has("hv_utils"):
        message = "the kernel %s lacks hv_utils: Azure cannot shut the VM down cleanly, nor set its clock"
        yield warning("kernel", message % kernel.version)


def check_bars(image: Image, kernel: Kernel) -> "Iterator[Finding]":
    """Is an installed driver blocked from loading?"""
    every = read_bars(image)
    for name in ("hv_vmbus", "hv_netvsc", "hv_storvsc", "sd_mod", "hv_utils", *NVME):
        bars = kernel.bars(image, every, name)
        if bars:
            message = describe_bar(bars[0], name)
            if name in NVME:
                message += ": " + NVME_SIZES
            level = warning if name == "hv_utils" or name in NVME or not bars[0].sure else error
            yield level("kernel", message, let_in(image, bars))


def describe_bar(bar: Bar, name: str) -> str:
    """The block in words."""
    if not bar.sure:
        return "it cannot be determined whether `%s` in %s lets %s be loaded" % (bar.line, bar.path, name)
    return "`%s` in %s keeps %s from being loaded" % (bar.line, bar.path, name)


def has_image(system: System, version: str) -> bool:
    """Is the kernel in /boot: under its version, or under its flavour, as on Alpine?"""
    names = system.list("/boot")
    return any(form % version in names or form % flavour(version) in names for form in IMAGES)


def flavour(version: str) -> str:
    """`lts` of `6.6.58-0-lts`."""
    return version.rpartition("-")[2]


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
    every = read_bars(image)
    barred = {name: kernel.bars(image, every, name) for name in ("sr_mod", "udf", "isofs")}
    lacking = [name for name in barred if not kernel.has(name) or barred[name]]
    for name in lacking:
        if name == "isofs" and "udf" not in lacking:
            continue  # the DVD is UDF; isofs is only a fallback
        if barred[name]:
            message, remedy = describe_bar(barred[name][0], name), let_in(image, barred[name])
        else:
            message, remedy = "the kernel cannot use %s (%s)" % (name, CONFIG[name]), NOTHING
        yield warning("dvd", message + ": passwords and customData cannot be read", remedy)
    unproven = kernel.unproven(("sr_mod", "udf"))
    if unproven:
        yield warning("dvd", UNPROVEN % (kernel.version, ", ".join(unproven)))
    elif not set(lacking) - {"isofs"}:
        yield ok("dvd", "the kernel can read the provisioning DVD (%s)" % ", ".join(KINDS))
