"""A systemd socket that listens for sshd: the service that it starts, and its addresses. See systemd.socket(5)."""

import re
from typing import Iterator, List, Optional

from ...guest.sshd_session import LOOPBACK, hosts_in
from ...init.systems.systemd import accepts, find_unit, setting_words, unit_settings
from ..command import Command
from .finding import EVERYBODY, Finding, error, warning
from .subject import Image

SOCKETS = ("ssh.socket", "sshd.socket")
VENDOR = ("/usr/lib/systemd/system", "/lib/systemd/system")  # what `systemctl revert` goes back to
LOCAL = re.compile(r"/|@|vsock:")  # sockets that no network reaches
PORT = re.compile(r"(?a)(?:.*:)?(\d+)\Z")


def find_socket(image: Image) -> "Optional[str]":
    """The socket that the boot starts, if it starts no sshd of its own."""
    if image.init != "systemd" or image.starts("ssh", "sshd"):
        return None
    return image.starts(*SOCKETS)


def find_obstacle(image: Image, socket: str) -> "Iterator[Finding]":
    """The service that the socket starts is missing or masked: systemd then does not start the socket."""
    system = image.system
    if find_unit(system, socket) is None:
        return
    plain = socket.rpartition(".")[0]
    named = setting_words(system, socket, "Service")
    service = plain + "@.service" if accepts(system, socket) else named[-1] if named else plain + ".service"
    if find_unit(system, service) is None:
        message = "%s starts %s, which is masked or missing: nobody can log in" % (socket, service)
        masked = system.readlink("/etc/systemd/system/" + service) is not None
        yield error("sshd", message, image.inside(Command("systemctl", "unmask", service)) if masked else Command())


def find_addresses(image: Image, socket: str) -> "Iterator[Finding]":
    """Can the socket be reached from outside, at the usual port?"""
    streams: "List[str]" = []
    for key, value in unit_settings(image.system, socket):
        if key == "ListenStream":
            streams = [*streams, value] if value else []
    vendor = any(image.system.exists("%s/%s" % (folder, socket)) for folder in VENDOR)
    remedy = image.inside(Command("systemctl", "revert", socket)) if vendor else Command()
    shown = " ".join(streams)
    reached = [stream for stream in streams if not LOCAL.match(stream) and not is_loopback(stream)]
    if streams and not reached:
        message = "%s, ListenStream=%s: it cannot be reached from outside" % (socket, shown)
        yield error("sshd-config", message, remedy, EVERYBODY)
    ports = [match.group(1) for match in map(PORT.match, reached) if match]
    if ports and "22" not in ports:
        yield warning(
            "sshd-config", "%s, ListenStream=%s: Azure's usual rules let only 22 in" % (socket, shown), remedy
        )


def is_loopback(stream: str) -> bool:
    """Is it an address that only this machine reaches? A port alone is none."""
    return ":" in stream and all(map(LOOPBACK.match, hosts_in(stream)))
