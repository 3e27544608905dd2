"""What the steps of a first boot need in the image: for host name, account, and the size of the disk."""

import re
from typing import Iterator

from ...config import PATH
from ...errors import GuestError
from ...guest.account import choose_shell
from ...guest.accounts import GROUP, PASSWD
from ...guest.applets import find_applet, find_tool
from ...guest.hostname import STORES
from ..command import Command
from . import home
from .disk import read_fstab
from .finding import Finding, error, ok, warning
from .interpreter import lack_of_all, who_runs
from .serial import LOADERS, SOURCES, command_lines
from .subject import Image


def check_hostname(image: Image) -> "Iterator[Finding]":
    """A name in the store of a declarative distro cannot be written."""
    if not image.options.hostname:
        return
    target = image.system.readlink("/etc/hostname") or ""
    if target.startswith(STORES):
        message = "/etc/hostname belongs to the distro's configuration (%s)" % target
        yield error("hostname", message, image.append(PATH, Command("echo", "hostname = no")))
    else:
        yield ok("hostname", "/etc/hostname can be written")


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
    try:
        shell = choose_shell(system)
    except GuestError as missing_shell:
        yield error("account", "the administrator would have no shell: %s" % missing_shell)
        return
    problem = home.find_problem(image)
    if problem:
        yield error("account", "the administrator's home cannot be made: " + problem.message, problem.remedy)
        return
    tool = "useradd" if find_tool(system, "useradd") else "adduser" if find_applet(system, "adduser") else ""
    yield ok("account", "made%s by %s, with %s" % (where, tool or "editing the files", shell))


def check_growth(image: Image) -> "Iterator[Finding]":
    """The tools that grow the root file system to the size of the VM's disk."""
    if not image.options.grow_root:
        return
    system = image.system
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
    else:
        yield ok("grow-root", "the tools to grow the root file system are there")


def is_on_lvm(image: Image) -> bool:
    """Does fstab or the boot loader use a logical volume for `/`? Names of dm-crypt are similar, but without a dash."""
    sources = [line.source for line in read_fstab(image) if line.point == "/"]
    loaders = command_lines(image, LOADERS) or command_lines(image, SOURCES)
    lines = [line for _, found in loaders for line in found]
    sources += [word for line in lines for word in re.findall(r"\broot=(/dev/\S+)", line)]
    lvm = any(
        re.match(r"/dev/mapper/[^/-]+-|/dev/(?!mapper/|disk/|[hsv]d)[\w.+-]+/[\w.+-]+$", word) for word in sources
    )
    return lvm or any(re.search(r"\brd\.lvm\.lv=", line) for line in lines)
