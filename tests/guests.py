"""Guests for the tests: scratch roots with the files that a story needs, and a clock faster than the wall's."""

import io
import shutil
import socket
import tempfile
import time
import unittest
from typing import Dict, Optional, Tuple

from azure_provisioning.azure.identity import AZURE_ASSET_TAG, DMI
from azure_provisioning.config import PATH as OPTIONS
from azure_provisioning.console import Console
from azure_provisioning.image.fake_azure import VM_ID, FakeAzure
from azure_provisioning.system import System

OTHER_VM_ID = "aaaaaaaa-9f02-4cfe-b1f4-a4da7ebac2cf"

# A machine on Azure, as far as the story looks at it.
AZURE_VM = {
    DMI + "/chassis_asset_tag": AZURE_ASSET_TAG + "\n",
    DMI + "/product_uuid": VM_ID.upper() + "\n",
    "/etc/hostname": "image\n",
    "/etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\timage\n",
}


class FastSystem(System):
    """A guest whose seconds are short: `speed` of them pass in one second, in every sleep, timeout and deadline."""

    def __init__(self, root: str, speed: float = 20.0) -> None:
        super().__init__(root)
        self.speed = speed

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


class GuestTest(unittest.TestCase):
    """Has a scratch root, `self.system`, and what was written to the console, `self.story`."""

    def setUp(self) -> None:
        self.root = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.system = FastSystem(self.root)
        self.stream = io.StringIO()
        self.console = Console(self.stream)

    @property
    def story(self) -> str:
        return self.stream.getvalue()

    def fill(self, files: "Dict[str, str]") -> None:
        """Write files into the root. "-> target" makes a symlink, a path under a bin folder a program."""
        for path, text in files.items():
            if text.startswith("-> "):
                self.system.link(text[3:], path)
            else:
                self.system.write(path, text, mode=0o755 if "bin/" in path or "/init.d/" in path else 0o644)

    def text(self, path: str) -> "Optional[str]":
        """The text of a file in the root, None if there is none."""
        return self.system.read_text(path)

    def azure(self, *faults: str, **options: object) -> FakeAzure:
        """An Azure on loopback that the guest's options point to, until the test ends."""
        azure = FakeAzure(faults)
        self.addCleanup(azure.__exit__)
        azure.__enter__()
        self.options(imds=azure.endpoint, wireserver=azure.endpoint, **options)
        return azure

    def options(self, **options: object) -> None:
        """Write the options file."""
        self.system.write(OPTIONS, "".join("%s = %s\n" % option for option in sorted(options.items())))


def asked(azure: FakeAzure) -> "Tuple[str, ...]":
    """What was asked of Azure, in short: `imds 200`, `goalstate 200`, `health 410`."""
    kinds = {"/metadata/instance": "imds", "/machine?comp=goalstate": "goalstate", "/machine?comp=health": "health"}
    found = []
    for request in azure.requests:
        kind = next(kind for target, kind in kinds.items() if request.target.startswith(target))
        found.append("%s %d" % (kind, request.status))
    return tuple(found)
