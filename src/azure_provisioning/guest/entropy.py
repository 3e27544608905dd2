"""Random bytes that the host gives each VM, mixed in before the kernel has to make the host keys."""

from ..door.system import System

TABLE = "/sys/firmware/acpi/tables/OEM0"  # Hyper-V's; readable by root only
LIMIT = 64 << 10  # bytes


def mix_entropy(system: System) -> str:
    """Mix the host's random bytes into the kernel's pool; returns what was done. Raises GuestError.

    They are not credited as entropy, so a wrong table does no harm.
    """
    data = system.read(TABLE, limit=LIMIT, head=True)
    if not data:
        return "the host provides none"
    if not system.feed_random(data):
        return "the kernel is not this guest's"
    return "%d bytes from the host" % len(data)
