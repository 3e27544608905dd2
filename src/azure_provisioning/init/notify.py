"""Notifies a manager that holds the boot until we are ready."""

import os

from ..errors import GuestError


def release_boot() -> None:
    """Tell a systemd that waits for us (Type=notify) to continue. See sd_notify(3)."""
    address = os.environ.pop("NOTIFY_SOCKET", "")  # removed, so that programs that we start do not see it
    if not address:
        return
    import socket

    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect(address)
            manager.send(b"READY=1")
    except OSError as error:
        raise GuestError("systemd cannot be notified that the boot may continue", error=error.strerror) from error
