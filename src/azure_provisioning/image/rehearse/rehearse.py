"""A first boot without Azure, without root and without a VM: the real install and the real story, in a scratch root or
on a scratch copy of an image, against an Azure on loopback. Shows what Azure was asked, and what would have changed."""

import errno
import os
import shutil
import socket
import sys
import tempfile

from ...azure.identity import AZURE_ASSET_TAG, DMI, EFI
from ...console import Console
from ...door.budget import USUAL, limited
from ...door.system import System
from ...door.tree import Tree
from ...errors import GuestError, ProvisionError
from ...init import table
from ...story.boot import begin
from ...story.provision import provision
from ..check.interpreter import lack_of_hook
from ..install.install import install
from ..root import check_root
from . import shell
from .difference import show_changes
from .fake_azure import VM_ID, FakeAzure
from .scratch import Scratch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

# What a small distro with systemd looks like to us before we come.
IMAGE = {
    "/etc/hostname": "image\n",
    "/etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\timage\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/group": "root:x:0:\nadm:x:4:\nsudo:x:27:\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\n",
    "/etc/shells": "/bin/sh\n",
    "/usr/bin/sudo": "",
    "/etc/sudoers": "@includedir /etc/sudoers.d\n",
    "/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n",
    "/bin/sh": "",
    "/usr/lib/systemd/systemd": "",
    "/usr/bin/python3": "",
}
# What the kernel of a VM on Azure tells.
FIRMWARE = {
    DMI + "/chassis_asset_tag": AZURE_ASSET_TAG + "\n",
    DMI + "/product_uuid": VM_ID + "\n",
    EFI + "/fw_platform_size": "64\n",
}
SECRETS = ("/etc/shadow", "/etc/gshadow", "/etc/sudoers")
# A rehearsal is watched by somebody: its clock is faster than the wall's, and what takes ten minutes is ended.
SPEED = 10.0
DEADLINE = 600.0  # seconds of that clock


class Guest(Scratch):
    """A scratch copy of an image whose whole network is the Azure of this command, and whose seconds are short."""

    def __init__(self, image: Tree, place: str, azure: FakeAzure) -> None:
        super().__init__(image, place)
        self.azure = azure

    def monotonic(self) -> float:
        """Seconds of the rehearsal's clock."""
        return super().monotonic() * SPEED

    def sleep(self, seconds: float) -> None:
        """Wait so many of them."""
        super().sleep(seconds / SPEED)

    def connect(self, host: str, port: int, seconds: float) -> "socket.socket":
        """As in every System; and Azure is told that it is us, and no other process of this machine."""
        if (host, port) != self.azure.server_address:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        open_connection = super().connect
        connection = open_connection(host, port, seconds / SPEED)
        self.azure.announced.add(connection.getsockname())
        return Hasty(connection.family, connection.type, connection.proto, connection.detach())


class Hasty(socket.socket):
    """A connection whose timeouts are in seconds of the rehearsal's clock."""

    def settimeout(self, seconds: "Optional[float]") -> None:
        """As in every socket."""
        super().settimeout(None if seconds is None else seconds / SPEED)


def rehearse(
    program: bytes, console: Console, faults: "Tuple[str, ...]", root: "Optional[str]" = None
) -> "Tuple[int, List[str]]":
    """(the exit code that `run` would have had, the lines of the report) for the image at `root`, or for a small one of
    our own. The image is only read, and nothing is left behind. Raises ProvisionError if it cannot be installed into.
    """
    place = tempfile.mkdtemp(prefix="azure-provisioning-")
    try:
        if root is None:
            root = os.path.join(place, "image")
            make_image(root)
        check_root(System(root))
        os.mkdir(os.path.join(place, "copy"))
        with FakeAzure(faults, answers_all=False, speed=SPEED) as azure:
            system = Guest(Tree(root), os.path.join(place, "copy"), azure)
            check_readable(system)
            fill(system, FIRMWARE)
            with limited(system, USUAL):
                code = first_boot(system, console, program, azure)
            lines = ["What Azure was asked:"]
            lines += ["%s %s -> %s" % (seen.method, seen.target, seen.status or "nothing") for seen in azure.requests]
            lines += ["    " + report for report in azure.reports]
        return code, lines + ["", "What changed:"] + list(show_changes(system))
    finally:
        shutil.rmtree(place)


def become_root(program: str, arguments: "List[str]") -> None:
    """Start anew in a user namespace where we are root and every owner can be given, if this machine lets us.

    Returns if we are root already, or it does not: then what is made stays our own, as for every plain user.
    """
    tools = System()
    unshare = tools.find_program("unshare")
    if os.geteuid() == 0 or unshare is None:
        return
    enter = [unshare, "--user", "--map-root-user", "--map-auto"]  # the ranges of /etc/subuid, by newuidmap
    try:
        tools.run([*enter, "--", sys.executable, "-I", "-S", "-c", ""], seconds=10)
    except GuestError:
        return
    os.execv(unshare, [*enter, "--", sys.executable, "-I", "-S", program, *arguments])  # noqa: S606


def make_image(root: str) -> None:
    """The image for who has none."""
    os.mkdir(root)
    fill(System(root), IMAGE)
    System(root).link("/usr/lib/systemd/systemd", "/sbin/init")


def check_readable(system: Scratch) -> None:
    """Raises ProvisionError if the files that only root may read are not for us: the story would be another."""
    for path in SECRETS:
        try:
            system.read(path)
        except GuestError as error:
            raise ProvisionError(str(error), advice="rehearse as root, or as the owner of the image") from error


def fill(system: System, files: "Dict[str, str]") -> None:
    """Write the files."""
    for path, text in files.items():
        system.write(path, text, mode=0o755 if "/bin/" in path or "/lib/" in path else 0o644)


def first_boot(system: Scratch, console: Console, program: bytes, azure: FakeAzure) -> int:
    """Install, unless the image has that behind it, and boot; returns the exit code."""
    name, links = table.find_hook(system)
    if links:
        console.say("installed for %s already: %s" % (name, " ".join(links)))
    else:
        console.say("installing into a scratch copy of the image")
        install(system, console, program)
    lack = lack_of_hook(system)
    if lack:
        console.say("%s: the shell part is played, by this machine's tools" % lack)
        azure.recognize, azure.speed = shell.is_own_connection, 1.0
        console.say("the first boot of VM %s" % VM_ID)
        return shell.play(system, console, program, azure.endpoint)
    console.say("the first boot of VM %s, by a clock that runs %d times as fast" % (VM_ID, SPEED))
    boot = begin(system, console)
    if boot is None:
        return 0
    host, _, port = azure.endpoint.partition(":")
    boot.options.imds = boot.options.wireserver = (host, int(port))
    boot.options.given += ("wireserver",)
    boot.options.deadline = min(boot.options.deadline, DEADLINE)
    return provision(boot)
