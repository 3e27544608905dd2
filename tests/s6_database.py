"""A database as s6-rc-compile writes it, as far as we read it: the names in resolve.cdb, in the format of cdb(5)."""

import struct
from typing import Dict, List, Sequence


def resolve_cdb(services: "Sequence[str]", bundles: "Dict[str, Sequence[str]]") -> str:
    """The file, as a text that `fill` writes: each service has a number, and a bundle the numbers of its services."""
    numbers = {name: struct.pack(">I", number) for number, name in enumerate(services)}
    values = {name: numbers[name] for name in services}
    values.update((bundle, b"".join(numbers[name] for name in names)) for bundle, names in bundles.items())
    return cdb({name.encode(): value for name, value in values.items()}).decode("utf-8", "surrogateescape")


def cdb(values: "Dict[bytes, bytes]") -> bytes:
    """A constant database: 256 pointers, the records, the hash tables."""
    data, tables = b"", [[] for _ in range(256)]  # type: ignore[var-annotated]
    for key, value in values.items():
        tables[hashed(key) % 256].append((hashed(key), 2048 + len(data)))
        data += struct.pack("<II", len(key), len(value)) + key + value
    pointers, slots = b"", b""
    for table in tables:
        size = 2 * len(table)
        pointers += struct.pack("<II", 2048 + len(data) + len(slots), size)
        places: "List[bytes]" = [b"\0" * 8] * size
        for number, place in table:
            at = (number >> 8) % size
            while places[at] != b"\0" * 8:
                at = (at + 1) % size
            places[at] = struct.pack("<II", number, place)
        slots += b"".join(places)
    return pointers + data + slots


def hashed(key: bytes) -> int:
    """The hash function of cdb(5)."""
    value = 5381
    for byte in key:
        value = (value * 33 & 0xFFFFFFFF) ^ byte
    return value
