"""Accounts of the image that everybody can log in to: a VM on Azure has a public address within minutes."""

from typing import Dict, Iterator, List

from ...guest.accounts import all_accounts, password_fields
from ...guest.password import verify_sha512
from ..command import Command
from .finding import Finding, ok, warning
from .subject import Image

KNOWN = ("root", "toor", "password", "admin", "changeme", "alpine", "voidlinux", "live", "artix", "slackware", "linux")
ACCOUNTS_LIMIT = 8  # accounts whose password is guessed: each guess takes some milliseconds
SHOWN = 32  # accounts with a password, in one run


def check_passwords(image: Image) -> "Iterator[Finding]":
    """An empty password, a well-known one, or any at all."""
    fields = password_fields(image.system)
    empty: "List[str]" = []
    hashed: "Dict[str, str]" = {}
    for account in all_accounts(image.system):
        field = "" if account.password == "" else fields.get(account.name, "")
        if field == "":
            empty.append(account.name)
        elif field[0] not in "!*x" or field.startswith("xx"):
            hashed[account.name] = field
    if empty:
        more = " and %d more" % (len(empty) - SHOWN) if len(empty) > SHOWN else ""
        message = "no password is needed for: %s%s" % (" ".join(empty[:SHOWN]), more)
        yield warning("passwords", message, lock(image, empty[0]))
    for number, name in enumerate(hashed):
        if number == SHOWN:
            yield warning("passwords", "%d more accounts have a password" % (len(hashed) - SHOWN))
            break
        if number < ACCOUNTS_LIMIT and is_known(name, hashed[name]):
            message = "everybody knows the password of %s" % name
        else:
            message = "%s has a password, the same in every VM" % name
        yield warning("passwords", message, lock(image, name))
    if not empty and not hashed:
        yield ok("passwords", "no account of the image has one")


def lock(image: Image, name: str) -> Command:
    """The command that locks an account's password."""
    return image.inside(Command("passwd", "-l").on(name))


def is_known(name: str, field: str) -> bool:
    """Is it a well-known password? Only detected for sha512-crypt, which this program implements."""
    return any(verify_sha512(word.encode("utf-8", "surrogateescape"), field) for word in (name, *KNOWN))
