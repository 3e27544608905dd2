"""A guest and an Azure in virtual time: no socket, no waiting, and trouble from a seed.

The story, the transport and the fake Azure's handler are the real ones. Only the clock, the connections and the disk's
moods are made up here.
"""

import errno
import io
import os
import random
import socket
from typing import Any, Callable, List, Optional, Tuple

from azure_provisioning.image.fake_azure import FAULTS, Handler, Platform
from azure_provisioning.system import System

PIPE_LIMIT = 4 << 20  # bytes that a client which does not read lets a server send
LATENCY = 0.001  # seconds
SHORT_FAULTS = sorted(name for name, (_, times, _) in FAULTS.items() if times < 100)


class Killed(BaseException):
    """The power went. A BaseException, because nothing in the program may handle it."""


class Trouble:
    """What will go wrong in one life of a VM; all of it follows from the seed."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.faults = tuple(rng.choice(SHORT_FAULTS) for _ in range(rng.choice((0, 0, 1, 2, 4, 8))))
        self.network_up_at = [rng.choice((0.0, 0.5, 7.0, 65.0, 400.0, 2000.0)) for _ in range(3)] + [0.0]
        self.kills = [rng.randrange(1, 90) if rng.random() < 0.4 else 0 for _ in range(3)] + [0]
        self.full_disk = [self._window(rng) for _ in range(3)] + [(0, 0)]

    @staticmethod
    def _window(rng: random.Random) -> Tuple[int, int]:
        """The writes, by number, that find the disk full."""
        if rng.random() > 0.25:
            return (0, 0)
        first = rng.randrange(1, 30)
        return (first, first + rng.choice((1, 2, 3, 100)))


class VirtualSystem(System):
    """One boot of a guest: its clock moves only when it waits, and its disk and power may fail it."""

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

    def point(self) -> None:
        """A place where the power may go."""
        self.points += 1
        if self.points == self.dies_at:
            raise Killed

    def lock(self, path: str) -> Optional[int]:
        taken = super().lock(path)
        if taken is not None:
            self.locks.append(taken)
        return taken

    def power_off(self) -> None:
        """What the kernel lets go of when this boot is over."""
        for lock in self.locks:
            os.close(lock)

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1700000000.0 + self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def hostname(self) -> str:
        return "image"

    def connect(self, host: str, port: int, seconds: float) -> Any:
        self.point()
        if self.now < self.network_up_at:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        self.now += LATENCY
        return VirtualConnection(self)

    def _replace(self, verb: str, path: str, make: Callable[[str], None], *, follow: bool) -> None:
        self.writes += 1
        full = self.full[0] <= self.writes < self.full[1]

        def make_or_fail(spare: str) -> None:
            make(spare)
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
        """The platform does not mind."""


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
        """What the handler calls when it makes the client wait."""
        self.delay += seconds
        return False

    def setsockopt(self, *_: object) -> None:
        """The option is the one that makes a close a reset."""

    def close(self) -> None:
        self.events.append((self.delay, RESET))


def answer(platform: Platform, request: bytes) -> List[Tuple[float, bytes]]:
    """What the fake Azure's real handler sends for a request, each part after a number of seconds."""
    client = VirtualClient(request)
    platform.closing = client  # type: ignore[assignment]
    Handler(client, ("127.0.0.1", 1), platform)  # type: ignore[arg-type]
    client.events.append((client.delay, b""))
    return client.events
