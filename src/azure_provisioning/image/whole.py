"""Is a built file undamaged? Two independent checks: the digest of its content, and the exact form of its archive.

The build writes the archive in only one form, from which any damaged byte deviates. It also writes a digest of the
scripts and of all members into the package. `zipfile` would only check the members, and minimal Pythons lack it.
"""

import binascii
import hashlib
import re
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

PACKAGE = b"azure_provisioning/__init__.py"
DIGEST = re.compile(rb'(\nDIGEST = ")([0-9a-f]{16})"')
# The records of a zip (APPNOTE.TXT 4.3.7, 4.3.12, 4.3.16), each with the fixed values that build_zipapp.py uses.
MEMBER = struct.Struct("<4s5H3L2H")
ENTRY = struct.Struct("<4s4B4H3L5H2L")
END = struct.Struct("<4s4H2LH")
STORED, FIRST_DATE, MODE = 0, 33, 0o100644 << 16
VERSION, UNIX = 20, 3


def find_damage(program: bytes) -> str:
    """What is wrong with the content of a built file; empty if nothing is."""
    try:
        head, members = take_apart(program)
    except (struct.error, ValueError):
        return "it is damaged: its archive cannot be read"
    if put_together(head, members) != program:
        return "it is damaged: its archive is not as built"
    recorded = digest_of(program)
    if not recorded or compute_digest(head, members) != recorded:
        return "it is damaged: its content is not as built"
    return ""


def digest_of(program: bytes) -> str:
    """The digest in the file, which identifies the build; empty if it has none."""
    found = DIGEST.search(program)
    return found.group(2).decode("ascii") if found else ""


def take_apart(program: bytes) -> "Tuple[bytes, List[Tuple[bytes, bytes]]]":
    """(the scripts before the archive, the name and content of each member). Raises ValueError, struct.error."""
    count, size, start = END.unpack(program[-END.size :])[4:7]
    members: "List[Tuple[bytes, bytes]]" = []
    head, here, left = program, start, len(program)
    for _ in range(count):
        fields = ENTRY.unpack_from(program, here)
        name = program[here + ENTRY.size : here + ENTRY.size + fields[12]]
        length, place = fields[11], fields[18]
        if not members:
            head = program[:place]
        left -= length
        if left < 0:  # overlapping members, which could take for ever
            raise ValueError("more than there is")
        begins = place + MEMBER.size + len(name)
        members.append((name, program[begins : begins + length]))
        here += ENTRY.size + len(name)
    if here != start + size or not members:
        raise ValueError("no directory")
    return head, members


def put_together(head: bytes, members: "List[Tuple[bytes, bytes]]") -> bytes:
    """The file as build_zipapp.py writes it. Raises struct.error if a value does not fit into its record."""
    data, entries = [head], []
    place = len(head)
    for name, content in members:
        common = (STORED, 0, FIRST_DATE, binascii.crc32(content), len(content), len(content), len(name), 0)
        data += [MEMBER.pack(b"PK\3\4", VERSION, 0, *common), name, content]
        entries += [ENTRY.pack(b"PK\1\2", VERSION, UNIX, VERSION, 0, 0, *common, 0, 0, 0, MODE, place), name]
        place += MEMBER.size + len(name) + len(content)
    directory = b"".join(entries)
    count = len(members)
    return b"".join(data + [directory, END.pack(b"PK\5\6", 0, 0, count, count, len(directory), place, 0)])


def compute_digest(head: bytes, members: "List[Tuple[bytes, bytes]]") -> str:
    """The digest that build_zipapp.py writes into the package."""
    digest = hashlib.sha256(head)
    for name, content in members:
        built = DIGEST.sub(rb'\1"', content) if name == PACKAGE else content
        digest.update(b"%s %d\n%s" % (name, len(built), built))
    return digest.hexdigest()[:16]
