"""Which shared libraries does a program or module of an image need, and are they installed? Reads ELF files: elf(5).

Nothing is executed: the loader's folders are the usual ones, and those in its configuration.
"""

import re
import struct
from typing import Dict, Iterator, List, NamedTuple, Optional

from ...door.system import System
from ...errors import GuestError

FILE_LIMIT = 64 << 20  # bytes of a file
FILES_LIMIT = 200  # files, for one module
ENTRIES_LIMIT = 4096  # headers or entries of a file
LOAD, DYNAMIC = 1, 2  # p_type
END, NEEDED, STRTAB, RPATH, RUNPATH = 0, 1, 5, 15, 29  # d_tag
TOPS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/lib32", "/usr/lib32")


class Wants(NamedTuple):
    """What a file requests from the loader."""

    libraries: "List[str]"
    folders: "List[str]"  # with $ORIGIN in them


def missing_libraries(system: System, path: str, known: "Optional[Dict[str, Wants]]" = None) -> "List[str]":
    """The missing libraries among those that a file needs, directly or not; empty if it is not an ELF file.

    `known`: the needs of files that were read before; the files read here are added.
    """
    folders, known = library_folders(system), {} if known is None else known
    missing: "List[str]" = []
    seen, todo = {path}, [path]
    while todo and len(seen) < FILES_LIMIT:
        place = todo.pop()
        if place not in known:
            try:
                known[place] = read_wants(system.read(place, limit=FILE_LIMIT) or b"")
            except GuestError:
                continue  # too large or unreadable: its needs are unknown
        wants, own = known[place], place.rpartition("/")[0]
        near = [re.sub(r"\$(ORIGIN|\{ORIGIN\})", own, folder) for folder in wants.folders]
        for library in wants.libraries:
            found = find_library(system, library, [*near, *folders])
            if found is None and library not in missing:
                missing.append(library)
            elif found is not None and found not in seen:
                seen.add(found)
                todo.append(found)
    return missing


def find_library(system: System, name: str, folders: "List[str]") -> "Optional[str]":
    """The path of a library; None if it is in none of the folders."""
    if "/" in name:
        return name if system.exists(name) else None
    return next((folder + "/" + name for folder in folders if system.exists(folder + "/" + name)), None)


def library_folders(system: System) -> "List[str]":
    """The loader's folders: the common ones, Debian's by architecture, and those in ld.so.conf or musl's file."""
    found = [top for top in TOPS if system.is_dir(top)]
    found += [top + "/" + name for top in found[:] for name in system.list(top) if "-linux-" in name]
    files = ["/etc/ld.so.conf"] + ["/etc/ld.so.conf.d/" + name for name in system.list("/etc/ld.so.conf.d")]
    files += ["/etc/" + name for name in system.list("/etc") if re.match(r"ld-musl-\w+\.path\Z", name)]
    for path in files:
        try:
            text = (system.read(path, head=True) or b"").decode("utf-8", "replace")
        except GuestError:
            continue
        found += [word for word in re.split(r"[\s:,]+", text) if word.startswith("/")]
    return found


def read_wants(data: bytes) -> Wants:
    """The needs of an ELF file for any machine; empty if it is damaged, or another file."""
    if data[:4] != b"\x7fELF" or len(data) < 64 or data[4] not in (1, 2) or data[5] not in (1, 2):
        return Wants([], [])
    try:
        return read_dynamic(data, "<" if data[5] == 1 else ">", wide=data[4] == 2)
    except (struct.error, ValueError, OverflowError):  # the last: an offset beyond any file
        return Wants([], [])


def read_dynamic(data: bytes, order: str, *, wide: bool) -> Wants:
    """The same. Raises struct.error or ValueError for a damaged file."""
    where, size, count = (32, 54, 56) if wide else (28, 42, 44)
    (start,) = struct.unpack_from(order + ("Q" if wide else "I"), data, where)
    (step,), (total,) = (struct.unpack_from(order + "H", data, place) for place in (size, count))
    loads, dynamic = [], None
    for number in range(min(total, ENTRIES_LIMIT)):
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(order + "IIQQQQ", data, start + number * step)
        else:
            kind, offset, address, _, length = struct.unpack_from(order + "IIIII", data, start + number * step)
        if kind == LOAD:
            loads.append((address, offset, length))
        elif kind == DYNAMIC:
            dynamic = (offset, length)
    if dynamic is None:
        return Wants([], [])
    tags: "Dict[int, List[int]]" = {}
    for tag, value in entries(data, order, dynamic[0], dynamic[1], wide=wide):
        tags.setdefault(tag, []).append(value)
    table = next((offset + tags[STRTAB][0] - address for address, offset, length in loads
                  if address <= tags.get(STRTAB, [-1])[0] < address + length), None)  # fmt: skip
    if table is None:
        return Wants([], [])
    names = {tag: [text_at(data, table + value) for value in tags.get(tag, [])] for tag in (NEEDED, RPATH, RUNPATH)}
    folders = [folder for value in names[RPATH] + names[RUNPATH] for folder in value.split(":") if folder]
    return Wants(names[NEEDED], folders)


def entries(data: bytes, order: str, offset: int, length: int, *, wide: bool) -> "Iterator[List[int]]":
    """(tag, value) of the entries of the dynamic section."""
    size = 16 if wide else 8
    for number in range(min(length // size, ENTRIES_LIMIT)):
        tag, value = struct.unpack_from(order + ("qQ" if wide else "iI"), data, offset + number * size)
        if tag == END:
            return
        yield [tag, value]


def text_at(data: bytes, place: int) -> str:
    """The text at an offset, up to its NUL. Raises ValueError if it is missing or too long."""
    if place < 0:
        raise ValueError("before the file")
    return data[place : data.index(b"\0", place, place + 4096)].decode("utf-8", "surrogateescape")
