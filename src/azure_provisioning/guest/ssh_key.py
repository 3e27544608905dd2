"""An SSH public key as people and Azure write it: wrapped, with CRLF line ends, several in one text."""

import binascii
import re
from typing import List, NamedTuple, Tuple

# The kinds that sshd takes by default, and how many fields such a key has.
FIELDS = {
    "ssh-ed25519": 2,
    "ssh-rsa": 3,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}
ED25519_SIZE = 32  # bytes of a public key
POINTS = {"nistp256": 65, "nistp384": 97, "nistp521": 133}  # bytes of an uncompressed point on each curve
UNCOMPRESSED = b"\4"
RSA_BITS = range(1024, 16384 + 1)
TEXT_LIMIT = 64 << 10  # characters of one text
BLOB_LIMIT = 8 << 10  # base64 characters of one key; RSA with 16384 bits has 2800
COMMENT_LIMIT = 200
SSH2 = re.compile(r"---- BEGIN SSH2 PUBLIC KEY ----(.*?)---- END SSH2 PUBLIC KEY ----", re.DOTALL)


class SshKey(NamedTuple):
    """One key. Two keys are the same if kind and blob are equal."""

    kind: str
    blob: str
    comment: str

    def line(self) -> str:
        """The key as a line of an authorized_keys file."""
        return " ".join(filter(None, self)) + "\n"


def read_keys(text: str) -> "Tuple[List[SshKey], List[str]]":
    """(the keys in a text, what is wrong with the rest of it).

    Line ends and blanks inside a blob are removed. A key is complete when the lengths inside it say so; the rest of the
    line is its comment. A key with options before it is refused.
    """
    lines = [line.split() for line in re.split(r"[\r\n]+", unfold(text[:TEXT_LIMIT])) if line.strip()]
    keys, problems = [], []
    while lines:
        words = lines.pop(0)
        kind, rest, blob = words[0], words[1:], ""
        if kind not in FIELDS:
            problems.append("not a kind of key: %s" % ascii(kind[:40]))
            continue
        while not is_complete(kind, blob) and len(blob) <= BLOB_LIMIT:
            if rest:
                blob += rest.pop(0)
            elif lines and lines[0][0] not in FIELDS:
                rest = lines.pop(0)
            else:
                break
        if is_complete(kind, blob):
            keys.append(SshKey(kind, blob, printable(" ".join(rest))))
        else:
            problems.append("an %s key is damaged" % kind)
    return keys, problems


def unfold(text: str) -> str:
    """The same text with every key in RFC 4716 form as one line."""

    def flat(found: "re.Match[str]") -> str:
        body = re.sub(r"\\\r?\n", "", found.group(1))
        blob = "".join(line.strip() for line in re.split("[\r\n]+", body) if ":" not in line)
        kinds = [kind for kind in FIELDS if is_complete(kind, blob)]
        return "%s %s\n" % (kinds[0] if kinds else "unknown", blob)

    return SSH2.sub(flat, text)


def is_complete(kind: str, blob: str) -> bool:
    """Is this the base64 of a whole key of that kind, no byte less or more, which sshd would load?"""
    if len(blob) % 4 or not re.match(r"[A-Za-z0-9+/]+={0,2}\Z", blob):
        return False
    fields = fields_of(blob)
    return len(fields) == FIELDS[kind] and fields[0] == kind.encode() and all(fields) and is_valid(kind, fields[1:])


def fields_of(blob: str) -> "List[bytes]":
    """The fields of a key (RFC 4253, 6.6), at most one more than any kind has; none if a length is wrong."""
    data = binascii.a2b_base64(blob)
    fields: "List[bytes]" = []
    place = 0
    while place < len(data) and len(fields) <= max(FIELDS.values()):
        end = place + 4 + int.from_bytes(data[place : place + 4], "big")
        if place + 4 > len(data) or end > len(data):
            return []
        fields.append(data[place + 4 : end])
        place = end
    return fields


def is_valid(kind: str, fields: "List[bytes]") -> bool:
    """Do the fields after the kind have the sizes that OpenSSH demands (sshkey.c)? A number may not be negative."""
    if kind == "ssh-rsa":
        return all(field[0] < 0x80 for field in fields) and rsa_bits(fields) in RSA_BITS
    if "ed25519" in kind:
        return len(fields[0]) == ED25519_SIZE
    curve = fields[0].decode("ascii", "replace")
    size = POINTS.get(curve, 0)
    return "-%s" % curve in kind and len(fields[1]) == size and fields[1].startswith(UNCOMPRESSED)


def rsa_bits(fields: "List[bytes]") -> int:
    """The length of an RSA key's modulus, the last of its fields."""
    return int.from_bytes(fields[-1], "big").bit_length()


def printable(comment: str) -> str:
    """A comment that fits on one line."""
    return "".join(char for char in comment if char.isprintable())[:COMMENT_LIMIT].strip()
