"""The Hyper-V key-value pool that the guest writes and the host reads: the second way in which a boot is reported.

hv_kvp_daemon keeps the pool; the host collects it when it gets the health report, so it has to be written before
(cloud-init, sources/helpers/azure.py). Format: cloud-init, reporting/handlers.py, and azure-init, doc/kvp.md.
"""

from ..door.system import System
from ..door.text import read_uptime
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

POOL = "/var/lib/hyperv/.kvp_pool_1"
KEY = "PROVISIONING_REPORT"
KEY_SIZE, VALUE_SIZE = 512, 2048  # bytes of a record, zero-padded
RECORD_SIZE = KEY_SIZE + VALUE_SIZE
KEY_LIMIT, VALUE_LIMIT = 254, 1022  # bytes: more than that does not survive the kernel's conversion to UTF-16
RECORDS_LIMIT = 1024


def write_report(system: System, text: str) -> str:
    """Put `text` into the pool as this boot's one report; returns what was done, or why nothing was.

    What is left from an earlier boot is dropped first. A longer text is cut at 1022 bytes. Raises GuestError.
    """
    found = system.stat(POOL)
    if found is None:
        return "no key-value pool here: hv_kvp_daemon does not run"
    began = boot_time(system)
    stale = began is not None and found.st_mtime < began  # never again in this boot: writing makes the pool younger

    def change(old: bytes) -> bytes:
        return put_record(b"" if stale else old, KEY, text)

    changed = system.amend(POOL, change, limit=RECORDS_LIMIT * RECORD_SIZE)
    return ("written to %s" if changed else "in %s already") % POOL


def boot_time(system: System) -> "Optional[float]":
    """When this boot began, in seconds since 1970 by the clock as it is now; None if the kernel does not say."""
    uptime = read_uptime(system)
    return None if uptime is None else system.time() - uptime


def put_record(pool: bytes, key: str, value: str) -> bytes:
    """The pool with one record of this key, in the place of the first that it had; else at the end.

    Half a record at the end, which a crash may leave, is dropped. Raises GuestError if there is no room.
    """
    new = make_record(key, value)
    records: "List[bytes]" = []
    for at in range(0, len(pool) - RECORD_SIZE + 1, RECORD_SIZE):
        record = pool[at : at + RECORD_SIZE]
        if record[:KEY_SIZE] != new[:KEY_SIZE]:
            records.append(record)
        elif new not in records:
            records.append(new)
    if new not in records:
        records.append(new)
    if len(records) > RECORDS_LIMIT:
        raise GuestError("the key-value pool is full", path=POOL, records=RECORDS_LIMIT)
    return b"".join(records)


def make_record(key: str, value: str) -> bytes:
    """One record: key and value, each cut to what the host can read and padded with zeros."""
    return cut(key, KEY_LIMIT).ljust(KEY_SIZE, b"\0") + cut(value, VALUE_LIMIT).ljust(VALUE_SIZE, b"\0")


def cut(text: str, limit: int) -> bytes:
    """Text as UTF-8 of at most `limit` bytes, with no character halved. What UTF-8 cannot hold, and NUL, become `?`."""
    encoded = text.replace("\0", "?").encode("utf-8", "replace")
    return encoded[:limit].decode("utf-8", "ignore").encode("utf-8")
