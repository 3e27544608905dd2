"""Random bytes that the host gives each VM, for a kernel that has none yet when it makes the host keys."""

from ..door.system import System

TABLE = "/sys/firmware/acpi/tables/OEM0"  # Hyper-V's; readable by root only
LIMIT = 64 << 10  # bytes


def mix_entropy(system: System) -> str:
    """Mix the host's random bytes into the kernel's; returns what was done. Raises GuestError.

    They only add to what is there, and are not counted as entropy: a wrong table does no harm.
    """
    data = system.read(TABLE, limit=LIMIT, head=True)
    if not data:
        return "the host gives none"
    if not system.feed_random(data):
        return "the kernel is not this guest's"
    return "%d bytes from the host" % len(data)
