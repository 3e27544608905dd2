"""A guest and an Azure in virtual time: no socket, no waiting, and faults from a seed.

The story, the transport and the fake Azure's handler are the real ones. Only the clock, the connections, the disk's
faults and the guest's own tools are simulated here.
"""

import errno
import io
import os
import random
import shutil
import socket
from contextlib import suppress
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from azure_provisioning.azure.drives import POINT
from azure_provisioning.azure.media import FILE
from azure_provisioning.azure.ovf import NAMESPACE
from azure_provisioning.door.system import System
from azure_provisioning.door.tree import FILE_LIMIT, Place
from azure_provisioning.errors import GuestError
from azure_provisioning.image.rehearse.fake_azure import Handler, Platform
from azure_provisioning.image.rehearse.faults import FAULTS, FOR_EVER

PIPE_LIMIT = 4 << 20  # bytes that a server can send to a client that does not read
LATENCY = 0.001  # seconds
FIRST_BOOT = 1700000000.0  # by the guest's clock
PASSWORD = "P4ssw0rd of the DVD"
HASH = "$y$of the tool$"
PASSING = sorted(name for name, fault in FAULTS.items() if fault.times < FOR_EVER)


class Killed(BaseException):
    """The power failed. A BaseException, because no code in the program may handle it."""


class Trouble:
    """The faults in one life of a VM; the seed determines all of them."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.faults = tuple(rng.choice(PASSING) for _ in range(rng.choice((0, 0, 1, 2, 4, 8))))
        self.network_up_at = [rng.choice((0.0, 0.5, 7.0, 65.0, 400.0, 2000.0)) for _ in range(3)] + [0.0]
        self.kills = [rng.randrange(1, 90) if rng.random() < 0.4 else 0 for _ in range(3)] + [0]
        self.full_disk = [self._window(rng) for _ in range(3)] + [(0, 0)]
        self.moods = [self._moods(rng) for _ in range(3)] + [[]]

    @staticmethod
    def _moods(rng: random.Random) -> List[str]:
        """The results of tools, one after another, during one boot; afterwards tools work."""
        if rng.random() > 0.5:
            return []
        return [rng.choice(("", "", "fails", "lies", "half", "hangs", "killed", "missing")) for _ in range(12)]

    @staticmethod
    def _window(rng: random.Random) -> Tuple[int, int]:
        """The numbers of the writes that fail with a full disk."""
        if rng.random() > 0.25:
            return (0, 0)
        first = rng.randrange(1, 30)
        return (first, first + rng.choice((1, 2, 3, 100)))


class VirtualSystem(System):
    """One boot of a guest: its clock moves only when it waits, and its disk and power may fail."""

    def __init__(self, root: str, platform: Platform, trouble: Trouble, boot: int) -> None:
        super().__init__(root)
        boot = min(boot, len(trouble.kills) - 1)
        self.platform = platform
        self.now = 0.0
        self.network_up_at = trouble.network_up_at[boot]
        self.dies_at = trouble.kills[boot]
        self.full = trouble.full_disk[boot]
        self.points = 0
        self.writes = 0
        self.locks: List[int] = []
        self.started = FIRST_BOOT + 5000.0 * boot
        self.moods = list(trouble.moods[boot])
        self.failures = 0  # of tools, in this boot

    def point(self) -> None:
        """A point at which the power may fail."""
        self.points += 1
        if self.points == self.dies_at:
            raise Killed

    def lock(self, path: str) -> Optional[int]:
        taken = super().lock(path)
        if taken is not None:
            self.locks.append(taken)
        return taken

    def power_off(self) -> None:
        """Release what the kernel releases at the end of this boot."""
        for lock in self.locks:
            os.close(lock)
        shutil.rmtree(self.root + "/run", ignore_errors=True)

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.started + self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def hostname(self) -> str:
        return "image"

    def read(self, path: str, limit: int = FILE_LIMIT, *, head: bool = False, follow: bool = True) -> Optional[bytes]:
        if path == "/proc/uptime":
            return b"%.2f 0.00\n" % self.now
        return super().read(path, limit, head=head, follow=follow)

    @property
    def can_run(self) -> bool:
        return True

    def execute(
        self,
        argv: Sequence[str],
        seconds: float = 60.0,
        secret: bytes = b"",
        environment: Optional[Dict[str, str]] = None,
    ) -> Tuple[int, str]:
        """Run a stand-in: it works, or fails as the seed demands."""
        self.point()
        mood = self.moods.pop(0) if self.moods else ""
        self.failures += bool(mood)
        if mood == "missing":
            raise GuestError("command cannot be started", command=argv[0], error="No such file or directory")
        if mood == "fails":
            return 1, "cannot do it\n"
        printed = None
        if mood != "lies":
            printed = TOOLS[argv[0].rpartition("/")[2]](self, argv, secret, mood in ("half", "hangs", "killed"))
        self.point()
        if mood == "hangs":
            self.now += seconds
            raise GuestError("command took too long", command=argv[0], seconds=seconds)
        return {"half": 1, "killed": -9}.get(mood, 0), printed or ""

    def put(self, path: str, data: str) -> None:
        """Write like a tool: in one step, by the guest's clock, and without our own code."""
        place = self.path(path)
        with open(place + ".tool", "w", encoding="utf-8") as file:
            file.write(data)
        os.utime(place + ".tool", (self.time(), self.time()))
        os.rename(place + ".tool", place)
        self.point()

    def put_line(self, path: str, line: str) -> None:
        """Replace the lines of the same name by this one; a missing file is ignored."""
        old = super().read(path)
        if old is not None:
            name = line.partition(":")[0] + ":"
            kept = [other for other in old.decode("utf-8").splitlines(True) if not other.startswith(name)]
            self.put(path, "".join(kept) + line)

    def connect(self, host: str, port: int, seconds: float) -> Any:
        self.point()
        if self.now < self.network_up_at:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        self.now += LATENCY
        return VirtualConnection(self)

    def _replace(self, verb: str, path: str, make: Callable[[Place, Place], None], *, follow: bool) -> None:
        self.writes += 1
        full = self.full[0] <= self.writes < self.full[1]

        def make_or_fail(spare: Place, place: Place) -> None:
            make(spare, place)
            self.point()
            if full:
                raise OSError(errno.ENOSPC, "No space left on device")

        self.point()
        super()._replace(verb, path, make_or_fail, follow=follow)
        self.point()

    def unlink(self, path: str) -> bool:
        self.point()
        gone = super().unlink(path)
        self.point()
        return gone


# -- the guest's tools: the changes that the real ones make to the files, or half of them ----------------------------

Tool = Callable[[VirtualSystem, Sequence[str], bytes, bool], Optional[str]]


def useradd(system: VirtualSystem, argv: Sequence[str], _secret: bytes, half: bool) -> None:
    """In the order of the shadow suite. If interrupted, it leaves its lock, and a partly written file."""
    name = argv[-1]
    if not system.exists("/home"):
        os.mkdir(system.path("/home"))
    system.put("/etc/passwd.lock", "4711\n")
    system.put_line("/etc/passwd", "%s:x:1000:1000::/home/%s:%s\n" % (name, name, argv[argv.index("-s") + 1]))
    if half and system.time() % 2 < 1:
        system.put("/etc/shadow+", "half of i")
        return
    system.put_line("/etc/shadow", "%s:!:19000:0:99999:7:::\n" % name)
    if half:
        return
    if "-g" not in argv:
        system.put_line("/etc/group", "%s:x:1000:\n" % name)
        system.put_line("/etc/gshadow", "%s:!::\n" % name)
    for path in ("/etc/subuid", "/etc/subgid"):
        system.put_line(path, "%s:100000:65536\n" % name)
    os.unlink(system.path("/etc/passwd.lock"))


def chpasswd(system: VirtualSystem, _argv: Sequence[str], secret: bytes, half: bool) -> None:
    name, _, password = secret.decode("utf-8").rstrip("\n").partition(":")
    lines = (system.read_text("/etc/shadow") or "").splitlines()
    fields = [line.split(":") for line in lines]
    for line in fields:
        if line[0] == name:
            line[1] = HASH + password[::-1].encode("utf-8").hex()
    system.put("/etc/nshadow" if half else "/etc/shadow", "".join(":".join(line) + "\n" for line in fields))


def mount(system: VirtualSystem, _argv: Sequence[str], _secret: bytes, half: bool) -> None:
    if not half:
        with open(os.path.join(system.path(POINT), FILE), "w", encoding="utf-8") as file:
            file.write(OVF)


def umount(system: VirtualSystem, _argv: Sequence[str], _secret: bytes, half: bool) -> None:
    if not half:
        with suppress(FileNotFoundError):  # the mount had no effect
            os.unlink(os.path.join(system.path(POINT), FILE))


def sudo(system: VirtualSystem, argv: Sequence[str], _secret: bytes, half: bool) -> "Optional[str]":
    """`sudo -n -l -U NAME`: the rules that sudo has read, or the beginning of them."""
    rules = system.read_text("/etc/sudoers.d/zz-azure-provisioning") or ""
    if not rules.startswith(argv[-1] + " "):
        return "User %s is not allowed to run sudo on image.\n" % argv[-1]
    listed = "    (ALL) NOPASSWD: ALL\n" if "NOPASSWD:ALL" in rules else "    (ALL) ALL\n"
    return "User %s may run the following commands on image:\n%s" % (argv[-1], "" if half else listed)


def nothing(_system: VirtualSystem, _argv: Sequence[str], _secret: bytes, _half: bool) -> None:
    """A tool that only reads."""


TOOLS: Dict[str, Tool] = {
    "useradd": useradd,
    "chpasswd": chpasswd,
    "mount": mount,
    "umount": umount,
    "visudo": nothing,
    "sudo": sudo,
}
TOOL_FILES = {"/usr/sbin/useradd", "/usr/sbin/chpasswd", "/usr/sbin/visudo", "/usr/bin/mount", "/usr/bin/umount"}
OVF = """<?xml version="1.0"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="%s"><wa:ProvisioningSection>
<wa:LinuxProvisioningConfigurationSet><wa:HostName>rehearsal</wa:HostName><wa:UserName>azureuser</wa:UserName>
<wa:UserPassword>%s</wa:UserPassword><wa:CustomData>I2Nsb3VkLWNvbmZpZwo=</wa:CustomData>
</wa:LinuxProvisioningConfigurationSet></wa:ProvisioningSection></Environment>
""" % (NAMESPACE, PASSWORD)


class VirtualConnection:
    """A connection to the platform, as the client sees it. The answer is made when the request is complete."""

    def __init__(self, system: VirtualSystem) -> None:
        self.system = system
        self.timeout = 0.0
        self.sent = b""
        self.events: Optional[List[Tuple[float, bytes]]] = None

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def sendall(self, data: bytes) -> None:
        self.system.point()
        self.sent += data

    def recv(self, size: int) -> bytes:
        if self.events is None:
            self.events = answer(self.system.platform, self.sent)
        if not self.events:
            return b""
        delay, data = self.events[0]
        if delay > self.timeout:
            self.events[0] = (delay - self.timeout, data)
            self.system.now += self.timeout
            raise socket.timeout("timed out")
        self.system.now += delay
        if data == RESET:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        self.events[0] = (0.0, data[size:])
        if not data[size:]:
            self.events.pop(0)
        self.system.point()
        return data[:size]

    def close(self) -> None:
        """Does nothing."""


RESET = b"\0reset"


class VirtualClient:
    """The same connection, as the handler of the fake Azure sees it."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.events: List[Tuple[float, bytes]] = []
        self.delay = LATENCY
        self.size = 0

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self.request)

    def sendall(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > PIPE_LIMIT:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        self.events.append((self.delay, bytes(data)))
        self.delay = 0.0

    def wait(self, seconds: float) -> bool:
        """The handler calls this to make the client wait."""
        self.delay += seconds
        return False

    def setsockopt(self, *_: object) -> None:
        """The option that turns a close into a reset."""

    def close(self) -> None:
        self.events.append((self.delay, RESET))


def answer(platform: Platform, request: bytes) -> List[Tuple[float, bytes]]:
    """The output of the fake Azure's real handler for a request, each part after a number of seconds."""
    client = VirtualClient(request)
    platform.closing = client  # type: ignore[assignment]
    Handler(client, ("127.0.0.1", 1), platform)  # type: ignore[arg-type]
    client.events.append((client.delay, b""))
    return client.events
