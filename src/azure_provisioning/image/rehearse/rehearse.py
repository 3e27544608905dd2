"""A first boot without Azure, root or a VM: the real install and the real story, in a scratch root or on a scratch copy
of an image, against an Azure on loopback. Shows the requests to Azure, and what would change."""

import errno
import os
import shutil
import socket
import sys
import tempfile
import threading

from ... import config
from ...azure.identity import AZURE_ASSET_TAG, DMI, EFI
from ...console import Console
from ...door.budget import USUAL, limited
from ...door.system import Mount, System
from ...door.tree import Tree
from ...errors import GuestError, ProvisionError
from ...init import manifest, table
from ...story import status, timeline
from ...story.boot import Boot, begin
from ...story.provision import provision
from ...story.state import State
from ..check import check
from ..check.interpreter import lack_of_hook
from ..install.install import install
from ..root import check_root
from . import shell, verdict
from .case import Case, describe, insert_dvd
from .difference import show_changes
from .fake_azure import VM_ID, FakeAzure
from .scratch import Scratch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Set, Tuple

    from ..check.finding import Finding

# A small distro with systemd, before we are installed.
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
# What the kernel of a VM on Azure reports.
FIRMWARE = {
    DMI + "/chassis_asset_tag": AZURE_ASSET_TAG + "\n",
    DMI + "/product_uuid": VM_ID + "\n",
    EFI + "/fw_platform_size": "64\n",
}
SECRETS = ("/etc/shadow", "/etc/gshadow", "/etc/sudoers")
# A person waits for a rehearsal: its clock is faster than real time, and it ends after ten of its minutes.
SPEED = 10.0
DEADLINE = 600.0  # seconds of that clock
NOTICE_SECONDS = 10.0  # between two lines about what it waits for
SPANS_LIMIT = 200  # requests in the timeline
USUAL_CASE = Case()
INSTALLED = ("hook", "program")  # ids of `check` that an `install` resolves


class Guest(Scratch):
    """A scratch copy of an image, whose only network is this command's Azure, and whose clock is faster."""

    def __init__(self, image: Tree, folder: str, azure: FakeAzure, scale: float) -> None:
        super().__init__(image, folder)
        self.azure = azure
        self.scale = scale  # seconds of its clock for one that is shown
        self.shown: "Optional[float]" = None  # the seconds until Ready, as the boot has shown them
        self.dvd: "Optional[Mount]" = None

    def mounts(self) -> "List[Mount]":
        """The DVD, if there is one; nothing of the host."""
        return [self.dvd] if self.dvd else super().mounts()

    def monotonic(self) -> float:
        """Seconds of the rehearsal's clock."""
        return super().monotonic() * SPEED

    def passed(self, since: float) -> float:
        """As in System; the verdict repeats it."""
        self.shown = super().passed(since) / self.scale
        return self.shown

    def sleep(self, seconds: float) -> None:
        """Wait this many seconds of the rehearsal's clock."""
        super().sleep(seconds / SPEED)

    def connect(self, host: str, port: int, seconds: float) -> "socket.socket":
        """As in System; also tells the Azure that the connection is ours, not another process's."""
        if (host, port) != self.azure.server_address:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        open_connection = super().connect
        connection = open_connection(host, port, seconds / SPEED)
        self.azure.announced.add(connection.getsockname())
        return Hasty(connection.family, connection.type, connection.proto, connection.detach())


class Hasty(socket.socket):
    """A connection whose timeouts are in seconds of the rehearsal's clock."""

    def settimeout(self, seconds: "Optional[float]") -> None:
        """As in socket."""
        super().settimeout(None if seconds is None else seconds / SPEED)


class Rehearsal:
    """The result of a rehearsal."""

    def __init__(self, azure: FakeAzure, system: Guest) -> None:
        self.azure = azure
        self.system = system
        self.code = 0  # the exit code of `run`, not of the rehearsal
        self.started = 0.0  # by the rehearsal's clock
        self.boot: "Optional[Boot]" = None
        self.installed = False  # did `install` run on the image, even if the hook is off?
        self.findings: "Optional[List[Finding]]" = None  # of `check`
        self.state = State(system)  # after the boot
        self.taken: "Set[str]" = set()  # successful steps
        self.changes: "List[str]" = []  # as a diff
        self.changed = 0  # paths
        self.verdict = verdict.Verdict("", 1)  # until there is one

    def look(self) -> None:
        """Read the results of the boot, before the copy is removed."""
        self.state = State(self.system)
        self.taken = {name for name, result, _ in self.state.steps() if result == "ok"}
        if self.boot is None and config.load(self.system)[0].wants("ssh_keys"):
            self.taken.add("ssh_keys")  # the shell implementation records no steps, and needs the keys for Ready
        self.changes = list(show_changes(self.system))
        self.changed = sum(1 for _ in self.system.changes())

    def requests(self) -> "List[str]":
        """The requests to Azure, and the reports that it accepted."""
        lines = ["Requests to Azure:"]
        lines += ["%s %s -> %s" % (seen.method, seen.target, seen.status or "nothing") for seen in self.azure.requests]
        for report in self.azure.reports:
            lines += ["    " + line for line in describe(report)]
        return lines

    def spans(self) -> "List[timeline.Span]":
        """The steps of the boot, with the requests."""
        scale = self.system.scale
        found = [
            span._replace(seconds=span.seconds / scale, at=None if span.at is None else span.at / scale)
            for span in status.find_spans(self.state)
        ]
        for seen, at in list(zip(self.azure.requests, self.azure.asked_at))[:SPANS_LIMIT]:
            name = "%s %s" % (seen.method, seen.target.partition("?api-version")[0])
            after = max(0.0, at * SPEED - self.started) / scale
            found.append(timeline.Span(name, "request", 0.0, after, str(seen.status or "no answer")))
        return found

    def lines(self, *, with_diff: bool) -> "List[str]":
        """The report on stdout."""
        lines = self.requests() + ["", "Timeline:"]
        lines += timeline.as_lines([span for span in self.spans() if span.result != "request"])
        return lines + (["", "What changed:", *self.changes] if with_diff else [])


def rehearse(
    program: bytes, console: Console, faults: "Tuple[str, ...]", root: "Optional[str]" = None, case: Case = USUAL_CASE
) -> Rehearsal:
    """A first boot of the image at `root`, or of a small built-in one, as the VM in `case`.

    The image is only read, and nothing is left behind. Raises ProvisionError if the installation fails.
    """
    folder = tempfile.mkdtemp(prefix="azure-provisioning-")
    try:
        own = root is None
        if root is None:
            root = os.path.join(folder, "image")
            make_image(root)
        check_root(System(root))
        os.mkdir(os.path.join(folder, "copy"))
        with FakeAzure(faults, answers_all=False, speed=SPEED) as azure:
            case.apply(azure)
            # The clock multiplies processor time too; without faults that is all, so it is divided again.
            system = Guest(Tree(root), os.path.join(folder, "copy"), azure, 1.0 if faults else SPEED)
            check_readable(system)
            fill(system, FIRMWARE)
            document = case.document()
            if document is not None:
                system.dvd = insert_dvd(system, document)
            done = Rehearsal(azure, system)
            threading.Thread(target=tell_of_waiting, args=(azure, console), daemon=True).start()
            with limited(system, USUAL):
                first_boot(done, console, program)
        done.look()
        if not own:
            found = check.check(System(root))
            done.findings = [finding for finding in found if done.installed or finding.id not in INSTALLED]
        done.verdict = verdict.judge(done, case)
        console.say(done.verdict.text)
        return done
    finally:
        shutil.rmtree(folder)


def tell_of_waiting(azure: FakeAzure, console: Console) -> None:
    """Print now and then how long this has taken, and the last request, until this Azure closes."""
    waited = 0.0
    while not azure.closing.wait(NOTICE_SECONDS):
        waited += NOTICE_SECONDS
        last = azure.requests[-1] if azure.requests else None
        asked = "no request yet" if last is None else "last request: %s %s" % (last.method, last.target)
        answered = "" if last is None or last.status else ", not answered"
        console.say("%d s, of at most %d s; %s%s" % (waited, DEADLINE / SPEED, asked, answered))


def become_root(program: str, arguments: "List[str]") -> None:
    """Start again in a user namespace, where we are root and can set any owner, if this machine allows it.

    Returns if we are root already, or if it does not: then all files belong to us, as for every ordinary user.
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
    """The built-in image, for people who have none."""
    os.mkdir(root)
    fill(System(root), IMAGE)
    System(root).link("/usr/lib/systemd/systemd", "/sbin/init")


def check_readable(system: Scratch) -> None:
    """Raises ProvisionError if we may not read the files that only root may read: the story would differ."""
    for path in SECRETS:
        try:
            system.read(path)
        except GuestError as error:
            raise ProvisionError(str(error), advice="rehearse as root, or as the owner of the image") from error


def fill(system: System, files: "Dict[str, str]") -> None:
    """Write the files."""
    for path, text in files.items():
        system.write(path, text, mode=0o755 if "/bin/" in path or "/lib/" in path else 0o644)


def first_boot(done: Rehearsal, console: Console, program: bytes) -> None:
    """Install, unless the image has a hook already, and boot."""
    system, azure = done.system, done.azure
    name, links = table.find_hook(system)
    done.installed = name is not None or bool(manifest.read(system))
    if links:
        console.say("installed for %s already: %s" % (name, " ".join(links)))
    else:
        what = "the hook is off, so installing again" if done.installed else "installing"
        console.say(what + " into a scratch copy of the image")
        install(system, console, program)
    lack = lack_of_hook(system)
    if lack:
        console.say("%s: running the shell implementation, with this machine's tools" % lack)
        azure.recognize, azure.speed = shell.is_own_connection, 1.0
        done.started, system.scale = system.monotonic(), SPEED  # its clock is real time
        console.say("the first boot of VM %s" % VM_ID)
        done.code = shell.play(system, console, program, azure.endpoint)
        return
    console.say("the first boot of VM %s, with a clock that is %d times as fast" % (VM_ID, SPEED))
    done.boot = boot = begin(system, console)
    if boot is None:
        return
    done.started = boot.started
    host, _, port = azure.endpoint.partition(":")
    boot.options.imds = boot.options.wireserver = (host, int(port))
    boot.options.given += ("wireserver",)
    boot.options.deadline = min(boot.options.deadline, DEADLINE)
    done.code = provision(boot)
