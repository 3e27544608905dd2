"""A sealed network: the lab's own namespace, without a route out, which has Azure's addresses.

No packet can reach the real addresses: the namespace has a loopback and one tap device for the guest, and no link to
the outside. It is deleted at the end in any case.
"""

import ctypes
import itertools
import os
import re
import socket
import subprocess
import threading
from pathlib import Path
from typing import Callable, Dict, List, Optional, TypeVar

WIRESERVER = "168.63.129.16"
IMDS = "169.254.169.254"
ELSEWHERE = "10.77.0.2"  # the address of a WireServer elsewhere
GATEWAY = "10.77.0.1"
GUEST = "10.77.0.10"
# Azure's option 121: the default route again, and one to each of its own addresses.
ROUTES = ",".join("%s,%s" % (target, GATEWAY) for target in ("0.0.0.0/0", WIRESERVER + "/32", IMDS + "/32"))
MAC = "00:0d:3a:00:00:01"

_CLONE_NEWNET = 0x40000000
_numbers = itertools.count(1)
_living: Dict[str, "Sealed"] = {}

T = TypeVar("T")


class Sealed:
    """One sealed network with at most one DHCP server. Use it as a context manager."""

    def __init__(self, log: Path) -> None:
        self.name = "azlab-%d-%d" % (os.getpid(), next(_numbers))
        self.log = log
        self._dhcp: Optional["subprocess.Popen[bytes]"] = None

    def __enter__(self) -> "Sealed":
        _living[self.name] = self
        _run("ip", "netns", "add", self.name)
        _run("ip", "-n", self.name, "link", "set", "lo", "up")
        _run("ip", "-n", self.name, "tuntap", "add", "tap0", "mode", "tap")
        self.hold(GATEWAY + "/24", ELSEWHERE + "/24")
        _run("ip", "-n", self.name, "link", "set", "tap0", "up")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_dhcp()
        subprocess.run(["ip", "netns", "delete", self.name], stderr=subprocess.DEVNULL, check=False)
        _living.pop(self.name, None)

    def hold(self, *addresses: str) -> None:
        """Give the tap these addresses if it lacks them. Without them, packets to Azure are dropped here."""
        for address in addresses:
            _run("ip", "-n", self.name, "address", "replace", address, "dev", "tap0")

    def start_dhcp(self, wireserver: str = WIRESERVER) -> None:
        """Answer DHCP from now on; option 245 names the WireServer."""
        command = [
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--interface=tap0",
            "--bind-interfaces",
            "--dhcp-authoritative",
            "--no-ping",
            "--leasefile-ro",
            "--user=root",
            "--pid-file=",
            "--log-dhcp",
            "--log-facility=-",
            "--dhcp-range=%s,%s,255.255.255.0,infinite" % (GUEST, GUEST),
            "--dhcp-host=%s,%s" % (MAC, GUEST),
            "--dhcp-option=3," + GATEWAY,
            "--dhcp-option=6," + GATEWAY,
            "--dhcp-option=121," + ROUTES,
            "--dhcp-option-force=245," + wireserver,
        ]
        with open(self.log, "ab") as log:
            self._dhcp = subprocess.Popen(self.command(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop_dhcp(self) -> None:
        """Stop answering DHCP."""
        if self._dhcp is not None:
            self._dhcp.kill()
            self._dhcp.wait()
            self._dhcp = None

    def was_given(self, name: str) -> bool:
        """Did a DHCP request carry this name? Azure's DNS would then have it."""
        return bool(
            re.search(r"client provides name: %s$" % re.escape(name), self.log.read_text("utf-8", "replace"), re.M)
        )

    def command(self, argv: List[str]) -> List[str]:
        """The argv that runs this argv inside, and ends with the lab."""
        return ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.name] + argv

    def inside(self, function: Callable[[], T]) -> T:
        """Call a function in a thread inside. A socket that it makes belongs there, wherever it is used later."""
        answers: List[T] = []
        errors: List[BaseException] = []

        def enter() -> None:
            try:
                with open("/run/netns/" + self.name) as namespace:
                    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "cannot enter " + self.name)
                answers.append(function())
            except BaseException as error:  # noqa: BLE001 - handed to the caller, whose thread it concerns
                errors.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return answers[0]

    def listen(self, address: str, port: int) -> socket.socket:
        """A listening TCP socket inside. It may be bound before its address exists."""

        def make() -> socket.socket:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND
            listener.bind((address, port))
            listener.listen(16)
            return listener

        return self.inside(make)

    def banner(self, port: int, seconds: float) -> bytes:
        """The greeting of a server in the guest, or empty."""

        def greet() -> bytes:
            with socket.create_connection((GUEST, port), seconds) as connection:
                connection.settimeout(seconds)
                return connection.recv(64)

        try:
            return self.inside(greet)
        except OSError:
            return b""


def sweep() -> None:
    """Delete what remains of this process's namespaces, and of earlier labs that were killed."""
    for sealed in list(_living.values()):
        sealed.__exit__()
    names = subprocess.run(["ip", "netns", "list"], stdout=subprocess.PIPE, check=False).stdout.decode()
    for name, pid in re.findall(r"^(azlab-(\d+)-\d+)\b", names, re.M):
        if not os.path.isdir("/proc/" + pid):
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL, check=False)


def _run(*argv: str) -> None:
    subprocess.run(argv, stdin=subprocess.DEVNULL, check=True)
