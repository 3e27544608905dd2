"""The Hyper-V key-value pool, which the guest writes and the host reads: the second way to report a boot.

hv_kvp_daemon keeps the pool. The host reads it when it gets the health report, so it must be written before that
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
KEY_LIMIT, VALUE_LIMIT = 254, 1022  # bytes: longer ones do not survive the kernel's conversion to UTF-16
RECORDS_LIMIT = 1024


def write_report(system: System, text: str) -> str:
    """Put `text` into the pool as this boot's only report; returns what was done, or why nothing was done.

    Records of an earlier boot are dropped first. A longer text is cut at 1022 bytes. Raises GuestError.
    """
    found = system.stat(POOL)
    if found is None:
        return "no key-value pool here: hv_kvp_daemon does not run"
    began = boot_time(system)
    stale = began is not None and found.st_mtime < began  # only once in a boot: writing changes the time

    def change(old: bytes) -> bytes:
        return put_record(b"" if stale else old, KEY, text)

    changed = system.amend(POOL, change, limit=RECORDS_LIMIT * RECORD_SIZE)
    return ("written to %s" if changed else "in %s already") % POOL


def boot_time(system: System) -> "Optional[float]":
    """When this boot began, in seconds since 1970 by the current clock; None if the kernel does not say."""
    uptime = read_uptime(system)
    return None if uptime is None else system.time() - uptime


def put_record(pool: bytes, key: str, value: str) -> bytes:
    """The pool with one record of this key, in place of the first old one, else at the end.

    An incomplete record at the end, which a crash may leave, is dropped. Raises GuestError if there is no room.
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
    """Text as at most `limit` bytes of UTF-8, with no character cut in half. NUL and lone surrogates become `?`."""
    encoded = text.replace("\0", "?").encode("utf-8", "replace")
    return encoded[:limit].decode("utf-8", "ignore").encode("utf-8")
