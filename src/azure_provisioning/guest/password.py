"""The administrator's password: given to a tool on standard input, or as a hash in shadow. We write it nowhere else."""

import hashlib
import os
from typing import Tuple

from ..door.system import System
from ..errors import GuestError, LastingError
from ..records import Secret
from .accounts import find_account, locked, password_field, set_password_field
from .applets import find_tool
from .stale_locks import clear_leftovers

LENGTH_LIMIT = 72  # Azure's
ROUNDS = 5000  # the default of `$6$`
ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def set_password(system: System, name: str, password: Secret) -> str:
    """Set the password of `name`; returns what set it, without the password.

    Raises GuestError: `unsupported password length`, `unsupported password characters`, or that it could not be set.
    Busybox's chpasswd is not used: by default it may hash with DES, which uses only the first eight characters.
    """
    text = check_password(password)
    clear_leftovers(system)
    if find_account(system, name) is None:
        raise GuestError("there is no such account", name=name)
    if verify_sha512(text, password_field(system, name)):
        return "already set"
    problem = by_chpasswd(system, name, text)
    if not problem:
        return "set by chpasswd"
    with locked(system):
        set_password_field(system, name, hash_sha512(text, new_salt()))
    if not verify_sha512(text, password_field(system, name)):
        raise GuestError("the password cannot be set", name=name)
    return "written to shadow (%s)" % problem


def check_password(password: Secret) -> bytes:
    """The password as bytes. Raises GuestError, without the password, if it cannot be typed."""
    text = password.reveal()
    if not 0 < len(text) <= LENGTH_LIMIT:
        raise LastingError("unsupported password length", length=len(text), max_length=LENGTH_LIMIT)
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        data = b""
    if not data or any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text):
        raise LastingError("unsupported password characters", length=len(text))
    return data


def by_chpasswd(system: System, name: str, text: bytes) -> str:
    """Let the shadow suite's chpasswd hash it as the distro is configured; returns why not, empty if it did."""
    tool = find_tool(system, "chpasswd")
    if tool is None or not system.can_run:
        return "no chpasswd"
    before = password_field(system, name)
    try:
        code = system.run([tool], check=False, secret=b"%s:%s\n" % (name.encode("utf-8", "surrogateescape"), text))
    except GuestError as error:
        clear_leftovers(system)
        return error.reason  # never its output, which may have the password
    after = password_field(system, name)
    if code != 0:
        clear_leftovers(system)
        return "chpasswd failed with %d" % code
    return "" if after != before and after[:1] not in ("", "!", "*") else "chpasswd set nothing"


# -- sha512-crypt, as https://www.akkadia.org/drepper/SHA-crypt.txt describes it: `crypt` is gone from Python 3.13 ----


def new_salt() -> str:
    """Sixteen random characters."""
    return "".join(ALPHABET[byte & 63] for byte in os.urandom(16))


def verify_sha512(text: bytes, field: str) -> bool:
    """Is `field` of shadow a sha512-crypt hash of this password, with the usual number of rounds?"""
    parts = field.split("$")
    if len(parts) != 4 or parts[0] or parts[1] != "6":
        return False
    return hash_sha512(text, parts[2]) == field


def hash_sha512(text: bytes, salt: str) -> str:
    """The `$6$` form of a password."""
    grain = salt.encode("utf-8", "replace")[:16]
    other = hashlib.sha512(text + grain + text).digest()
    mixed = hashlib.sha512(text + grain + stretch(other, len(text)))
    length = len(text)
    while length:
        mixed.update(other if length & 1 else text)
        length >>= 1
    digest = mixed.digest()
    secret = stretch(hashlib.sha512(text * len(text)).digest(), len(text))
    spice = stretch(hashlib.sha512(grain * (16 + digest[0])).digest(), len(grain))
    for number in range(ROUNDS):
        step = hashlib.sha512(secret if number & 1 else digest)
        if number % 3:
            step.update(spice)
        if number % 7:
            step.update(secret)
        step.update(digest if number & 1 else secret)
        digest = step.digest()
    return "$6$%s$%s" % (salt[:16], encode(digest))


def stretch(block: bytes, length: int) -> bytes:
    """Repeat `block` and cut it to `length` bytes."""
    return (block * (length // len(block) + 1))[:length]


def encode(digest: bytes) -> str:
    """The 64 bytes in the order and alphabet of crypt."""
    text = ""
    place: "Tuple[int, int, int]" = (0, 21, 42)
    for _ in range(21):
        high, middle, low = (digest[index] for index in place)
        text += letters(high << 16 | middle << 8 | low, 4)
        place = (place[1] + 1, place[2] + 1, place[0] + 1)
    return text + letters(digest[63], 2)


def letters(value: int, count: int) -> str:
    """`count` characters of six bits each, lowest first."""
    return "".join(ALPHABET[value >> 6 * index & 63] for index in range(count))
