"""What the steps of a first boot need in the image: for host name, account, and the size of the disk."""

import re
from typing import Iterator, List, Set

from ...config import PATH
from ...door.flags import is_fixed
from ...door.text import words_in
from ...errors import GuestError
from ...guest.account import choose_shell
from ...guest.accounts import (
    GROUP,
    GSHADOW,
    LOGIN_DEFS,
    PASSWD,
    SHADOW,
    all_accounts,
    all_groups,
    uid_max,
    uid_min,
)
from ...guest.applets import find_applet, find_tool
from ...guest.boot_loader import all_lines
from ...guest.hostname import STORES
from ...guest.root_disk import GROWERS
from ..command import Command
from . import home
from .disk import read_fstab
from .finding import Finding, error, ok, warning
from .interpreter import lack_of_all, who_runs
from .subject import Image

# Of Arch's, systemd's and Alpine's initramfs: the name that the opened device gets.
NAMED_BY_LOADER = re.compile(r"\b(?:cryptdevice=[^\s:]+:|rd\.luks\.name=[^\s=]+=|cryptdm=)([^\s:\"']+)")
MAPPER = "/dev/mapper/"
# File systems whose name in fstab says what the root is; `auto`, an overlay or a network's says nothing about the disk.
KINDS = (*GROWERS, "ext2", "f2fs", "jfs", "reiserfs", "bcachefs")
PACKAGES = {"ext3": "ext", "ext4": "ext", "xfs": "xfs", "btrfs": "btrfs"}  # with the tools of `GROWERS`


def check_hostname(image: Image) -> "Iterator[Finding]":
    """A name in the store of a declarative distro cannot be written."""
    if not image.options.hostname:
        return
    target = image.system.readlink("/etc/hostname") or ""
    unchangeable = find_fixed(image, "/etc", "/etc/hostname")
    if target.startswith(STORES):
        message = "/etc/hostname belongs to the distro's configuration (%s)" % target
        yield error("hostname", message, image.append(PATH, Command("echo", "hostname = no")))
    elif unchangeable:
        yield fixed(image, "hostname", unchangeable)
    else:
        yield ok("hostname", "/etc/hostname can be written")


def find_fixed(image: Image, *paths: str) -> "List[str]":
    """Those that not even root can change."""
    return [path for path in paths if is_fixed(image.system, path)]


def fixed(image: Image, name: str, paths: "List[str]") -> Finding:
    """The finding about files that not even root can change."""
    message = "not even root can change %s (chattr +i or +a)" % " and ".join(paths)
    return error(name, message, Command("chattr", "-ia", *map(image.place, paths)))


def check_account(image: Image) -> "Iterator[Finding]":
    """The files of accounts, a shell, and a place for the home."""
    system = image.system
    if not image.options.account:
        yield warning("account", "account = no: only accounts of the image can log in")
        return
    where = who_runs(image)
    needed = (PASSWD,) if find_tool(system, "useradd") else (PASSWD, GROUP)  # groupadd creates a missing file
    missing = [path for path in needed if not system.read_text(path)]
    if where is None:
        why, remedy = lack_of_all(image)
        yield error("account", "no boot makes one: %s" % why, remedy)
        return
    if missing:
        yield error("account", "no account can be made without %s" % " and ".join(missing))
        return
    unchangeable = find_fixed(image, "/etc", PASSWD, GROUP, SHADOW, GSHADOW)
    if unchangeable:
        yield fixed(image, "account", unchangeable)
        return
    try:
        shell = choose_shell(system)
    except GuestError as missing_shell:
        yield error("account", "the administrator would have no shell: %s" % missing_shell)
        return
    tool = "useradd" if find_tool(system, "useradd") else "adduser" if find_applet(system, "adduser") else ""
    if not has_free_uid(image, tool):
        message = "no uid is free for the administrator: all from UID_MIN to UID_MAX are taken (%s)" % LOGIN_DEFS
        yield error("account", message, image.edit(LOGIN_DEFS))
        return
    problem = home.find_problem(image)
    if problem:
        yield error("account", "the administrator's home cannot be made: " + problem.message, problem.remedy)
        return
    yield ok("account", "made%s by %s, with %s" % (where, tool or "editing the files", shell))


def has_free_uid(image: Image, tool: str) -> bool:
    """Is there a uid for a new account? useradd may give its group another number; busybox has limits of its own."""
    system = image.system
    if tool == "adduser":
        return True
    taken = {account.uid for account in all_accounts(system)}
    if not tool:
        taken |= {group.gid for group in all_groups(system)}
    return any(number not in taken for number in range(uid_min(system), uid_max(system) + 1))


def check_growth(image: Image) -> "Iterator[Finding]":
    """The tools that grow the root file system to the size of the VM's disk."""
    if not image.options.grow_root:
        return
    system = image.system
    kind = next((line.kind for line in read_fstab(image) if line.point == "/"), "")
    if not system.find_program("growpart", "sfdisk"):
        yield warning("grow-root", "neither growpart nor sfdisk: the disk keeps the image's size", image.add("grow"))
    elif not system.find_program("resize2fs", "xfs_growfs", "btrfs"):
        yield warning(
            "grow-root", "no resize2fs, xfs_growfs or btrfs: the disk keeps the image's size", image.add("ext")
        )
    elif is_on_lvm(image) and not system.find_program("lvm"):
        yield warning(
            "grow-root", "the root is on LVM, and there is no lvm: it keeps the image's size", image.add("lvm")
        )
    elif is_encrypted(image):
        yield warning("grow-root", "the root is encrypted by dm-crypt: it keeps the image's size")
    elif kind in KINDS and kind not in GROWERS:
        yield warning("grow-root", "a root of type %s cannot be grown: it keeps the image's size" % kind)
    elif kind in GROWERS and not system.find_program(GROWERS[kind][0]):
        message = "the root is of type %s, and there is no %s: it keeps the image's size" % (kind, GROWERS[kind][0])
        yield warning("grow-root", message, image.add(PACKAGES[kind]))
    else:
        yield ok("grow-root", "the tools to grow the root file system are there")


def root_sources(image: Image) -> "List[str]":
    """The devices that fstab and the boot loader name for `/`."""
    sources = [line.source for line in read_fstab(image) if line.point == "/"]
    return sources + [word for line in image.once(all_lines) for word in re.findall(r"\broot=(/dev/\S+)", line)]


def is_encrypted(image: Image) -> bool:
    """Is a root of dm-crypt used? Its name is in crypttab(5), on the command line, or of the form of Fedora's."""
    names = {words[0] for words in map(words_in, image.active("/etc/crypttab").split("\n")) if words}
    names |= {name for line in image.once(all_lines) for name in NAMED_BY_LOADER.findall(line)}
    return any(is_crypt(word, names) for word in root_sources(image))


def is_crypt(source: str, names: "Set[str]") -> bool:
    """Is the device one of these dm-crypt devices, or called like one?"""
    name = source[len(MAPPER) :] if source.startswith(MAPPER) else ""
    return name in names or name.startswith("luks-")


def is_on_lvm(image: Image) -> bool:
    """Is a logical volume used for `/`? Names of dm-crypt are similar, but without a dash, or with `luks-`."""
    form = r"/dev/mapper/[^/-]+-|/dev/(?!mapper/|disk/|[hsv]d)[\w.+-]+/[\w.+-]+$"
    lvm = any(re.match(form, word) for word in root_sources(image)) and not is_encrypted(image)
    return lvm or any(re.search(r"\brd\.lvm\.lv=", line) for line in image.once(all_lines))
