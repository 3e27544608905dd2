"""Guests for the tests: scratch roots with the files that a boot needs, and a clock that runs faster than real time.

Also the environment of a guest: an Azure on loopback, a peer that sends exactly what a test defines, and a sealed room.
"""

import io
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from contextlib import suppress
from typing import Callable, Dict, List, Optional, Tuple, Union

from azure_provisioning.azure.identity import AZURE_ASSET_TAG, DMI, EFI
from azure_provisioning.config import PATH as OPTIONS
from azure_provisioning.console import Console
from azure_provisioning.door.system import System
from azure_provisioning.image.rehearse.fake_azure import VM_ID, FakeAzure
from azure_provisioning.story.boot import begin
from azure_provisioning.story.provision import provision
from tests import TOP
from tests.server import SCRATCH, server

OTHER_VM_ID = "aaaaaaaa-9f02-4cfe-b1f4-a4da7ebac2cf"

# A machine on Azure, as far as a boot reads it.
AZURE_VM = {
    DMI + "/chassis_asset_tag": AZURE_ASSET_TAG + "\n",
    DMI + "/product_uuid": VM_ID.upper() + "\n",
    EFI + "/fw_platform_size": "64\n",
    "/etc/hostname": "image\n",
    "/etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\timage\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/group": "root:x:0:\nsudo:x:27:\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\n",
    "/etc/sudoers": "@includedir /etc/sudoers.d\n",
    "/usr/bin/sudo": "",
    "/bin/sh": "",
}
HOOK = "/etc/systemd/system/multi-user.target.wants/azure-provisioning.service"
STATE = "/var/lib/azure-provisioning/state"


class FastSystem(System):
    """A guest with short seconds: `speed` of them pass in each real one, in every sleep, timeout and deadline."""

    def __init__(self, root: str, speed: float = 20.0) -> None:
        super().__init__(root)
        self.speed = speed
        self.locks: "List[int]" = []

    def lock(self, path: str) -> "Optional[int]":
        lock = super().lock(path)
        if lock is not None:
            self.locks.append(lock)
        return lock

    def release_locks(self) -> None:
        """Release the locks, as the end of a process does, for the next boot in this process."""
        while self.locks:
            os.close(self.locks.pop())

    def monotonic(self) -> float:
        return time.monotonic() * self.speed

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self.speed)

    def connect(self, host: str, port: int, seconds: float) -> "socket.socket":
        return FastSocket(super().connect(host, port, seconds / self.speed), self.speed)


class FastSocket(socket.socket):
    """A connection whose timeouts are in the guest's seconds."""

    def __init__(self, connection: socket.socket, speed: float) -> None:
        super().__init__(connection.family, connection.type, connection.proto, fileno=connection.detach())
        self.speed = speed

    def settimeout(self, seconds: "Optional[float]") -> None:
        super().settimeout(None if seconds is None else seconds / self.speed)


WITH_ATTRIBUTES = unittest.skipUnless(hasattr(os, "setxattr"), "this Python has no extended attributes")


class GuestTest(unittest.TestCase):
    """Has a scratch root, `self.system`, and the console's output, `self.story`."""

    speed = 20.0  # guest seconds in a real one; a lower value is steadier for a class whose tests do not wait

    def setUp(self) -> None:
        self.root = tempfile.mkdtemp(prefix="azure-provisioning-test-", dir=SCRATCH)
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.open_root()
        self.stream = io.StringIO()
        self.console = Console(self.stream)

    def open_root(self) -> None:
        """A system on the present root: a system that is open already would not see a root that replaces it."""
        self.system = FastSystem(self.root, self.speed)
        self.addCleanup(self.system.release_locks)

    @property
    def story(self) -> str:
        return self.stream.getvalue()

    def fill(self, files: "Dict[str, str]") -> None:
        """Write files into the root. A text that begins with "-> " makes a symlink; a file in bin is a program."""
        for path, text in files.items():
            if text.startswith("-> "):
                self.system.link(text[3:], path)
            else:
                self.system.write(path, text, mode=0o755 if "bin/" in path or "/init.d/" in path else 0o644)

    def text(self, path: str) -> "Optional[str]":
        """The text of a file in the root; None if it does not exist."""
        return self.system.read_text(path)

    def azure(self, *faults: str, **options: object) -> FakeAzure:
        """An Azure on loopback that the guest's options point to, until the test ends."""
        azure = FakeAzure(faults, speed=self.system.speed)
        self.addCleanup(azure.__exit__)
        azure.__enter__()
        self.options(imds=azure.endpoint, wireserver=azure.endpoint, **options)
        return azure

    def options(self, **options: object) -> None:
        """Write the options file."""
        self.system.write(OPTIONS, "".join("%s = %s\n" % option for option in sorted(options.items())))

    def boot(self, *, force: bool = False) -> int:
        """One boot of the guest: the exit code of `run`."""
        try:
            boot = begin(self.system, self.console, force=force)
            return provision(boot) if boot else 0
        finally:
            self.system.release_locks()

    def install_hook(self) -> None:
        """The hook of systemd, as `install` leaves it, with the unit that the hook starts."""
        unit = "/etc/systemd/system/azure-provisioning.service"
        self.fill({unit: "[Service]\n", HOOK: "-> " + unit})

    def facts(self) -> "Dict[str, str]":
        """The state file's lines."""
        lines = (self.text(STATE) or "").splitlines()
        return {key: value for key, _, value in (line.partition("=") for line in lines)}

    def peer(self, *answers: "Answer") -> "ScriptedPeer":
        """A peer on loopback that answers each connection with the next of these; the last one is repeated."""
        peer = ScriptedPeer(answers)
        self.addCleanup(peer.close)
        return peer


def asked(azure: FakeAzure) -> "Tuple[str, ...]":
    """The requests to Azure, in short: `imds 200`, `goalstate 200`, `health 410`."""
    kinds = {"/metadata/instance": "imds", "/machine?comp=goalstate": "goalstate", "/machine?comp=health": "health"}
    found = []
    for request in azure.requests:
        kind = next(kind for target, kind in kinds.items() if request.target.startswith(target))
        found.append("%s %d" % (kind, request.status))
    return tuple(found)


Answer = Union[bytes, Callable[[socket.socket], None]]


class ScriptedPeer:
    """Accepts connections on loopback, records the requests, and answers with bytes or by calling a function."""

    def __init__(self, answers: "Tuple[Answer, ...]", late: float = 0.0) -> None:
        self.late = late  # seconds until it listens; until then, connections are refused
        self.answers = list(answers)
        self.requests: "List[bytes]" = []
        self.connections = 0
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.bind(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        if not late:
            self.listener.listen(16)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
            self.thread.join(10)  # before the close: musl's accept would wait on the number of another file
        self.listener.close()

    def _serve(self) -> None:
        time.sleep(self.late)
        if self.late:
            self.listener.listen(16)
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0) if self.answers else b""
            threading.Thread(target=self._answer, args=(connection, answer), daemon=True).start()

    def _answer(self, connection: socket.socket, answer: Answer) -> None:
        connection.settimeout(10)
        with connection, suppress(OSError):
            request = read_request(connection)
            if not request:
                return  # a connection that only tested whether the port is open
            self.requests.append(request)
            if callable(answer):
                answer(connection)
            else:
                connection.sendall(answer)


def read_request(connection: socket.socket) -> bytes:
    """A whole HTTP request: head, and the announced body."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(4096)
        if not chunk:
            return data
        data += chunk
    match = re.search(rb"(?i)\r\ncontent-length: *(\d+)", data)
    length = data.index(b"\r\n\r\n") + 4 + (int(match.group(1)) if match else 0)
    while len(data) < length:
        chunk = connection.recv(4096)
        if not chunk:
            break
        data += chunk
    return data


def http(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    """A well-formed answer."""
    lines = ["HTTP/1.1 " + status, "Content-Length: %d" % len(body)] + list(headers) + ["", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def snapshot(root: str) -> "Dict[str, Tuple[str, int, bytes]]":
    """Everything under a root: path -> (kind, mode, content or target)."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            place = os.path.join(folder, name)
            status = os.lstat(place)
            kind, content = "other", b""
            if stat.S_ISLNK(status.st_mode):
                kind, content = "link", os.fsencode(os.readlink(place))
            elif stat.S_ISDIR(status.st_mode):
                kind = "folder"
            elif stat.S_ISREG(status.st_mode):
                kind = "file"
                with open(place, "rb") as file:
                    content = file.read()
            found[place[len(root) :]] = (kind, stat.S_IMODE(status.st_mode), content)
    return found


class BuiltTest(GuestTest):
    """Has the built program, at `self.program`."""

    program = ""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.program = server().path


STORY = """
import sys
sys.path.insert(0, %(top)r)
import tests
from azure_provisioning import console
from azure_provisioning.door import system
from tests.guests import FastSystem


class Here(FastSystem):
    def __init__(self, _root="/"):
        super().__init__(%(root)r, %(speed)r)


system.System = Here
console.DEVICE = %(root)r + "/dev/console"
from azure_provisioning import cli
from azure_provisioning.story import run

assert run.System is Here
sys.exit(cli.main(%(argv)r))
"""


def start_story(
    root: str, *argv: str, speed: float = 20.0, prepare: "Optional[Callable[[], object]]" = None
) -> "subprocess.Popen[str]":
    """The command line `argv` in a separate process, for which the scratch root is the running machine."""
    code = STORY % {"top": TOP, "root": root, "speed": speed, "argv": list(argv)}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        preexec_fn=prepare,
    )


def heed_signals() -> None:
    """For the start of a child process: do not inherit signals that nohup or a shell's background job ignores."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def catches(pid: int, number: int) -> bool:
    """Does a process handle a signal itself?"""
    with open("/proc/%d/status" % pid) as file:
        caught = re.findall(r"(?m)^SigCgt:\s*([0-9a-f]+)$", file.read())
    return bool(int(caught[0], 16) >> number - 1 & 1)


def wait_until(condition: "Callable[[], object]", seconds: float = 10.0) -> bool:
    """Wait for a condition; False if it did not become true in time."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.005)
    return True
