"""A constant database in the format of cdb(5): s6-rc stores in one which services a name stands for."""

import struct

from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

TABLES = 2048  # bytes of the pointers to the hash tables: 256 pairs of (offset, number of slots)


def records(data: bytes) -> "Dict[bytes, bytes]":
    """{key: value} of all records. Raises GuestError if it is not such a database, or damaged."""
    if len(data) < TABLES:
        raise GuestError("not a constant database", bytes=len(data))
    end = min(struct.unpack_from("<I", data, 8 * number)[0] for number in range(256))  # of the records
    found, place = {}, TABLES
    while place < end:
        if place + 8 > len(data):
            raise GuestError("the constant database is damaged", at=place)
        key, value = struct.unpack_from("<II", data, place)
        middle, place = place + 8 + key, place + 8 + key + value
        if place > end or end > len(data):
            raise GuestError("the constant database is damaged", at=place)
        found[data[middle - key : middle]] = data[middle:place]
    return found
