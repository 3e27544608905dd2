"""Accounts of the image that everybody can log in to: a VM on Azure has a public address within minutes."""

from typing import Iterator, List

from ...guest.accounts import Account, all_accounts, password_field
from ...guest.password import verify_sha512
from ..command import Command
from .finding import Finding, ok, warning
from .subject import Image

KNOWN = ("root", "toor", "password", "admin", "changeme", "alpine", "voidlinux", "live", "artix", "slackware", "linux")
ACCOUNTS_LIMIT = 8  # whose passwords are guessed: each guess is some milliseconds of work


def check_passwords(image: Image) -> "Iterator[Finding]":
    """An empty password, one that everybody knows, or one that only its maker does."""
    empty: "List[str]" = []
    hashed: "List[Account]" = []
    for account in all_accounts(image.system):
        field = password_field(image.system, account.name)
        if account.password == "":
            field = ""
        if field == "":
            empty.append(account.name)
        elif field[0] not in "!*x" or field.startswith("xx"):
            hashed.append(account)
    if empty:
        message = "no password is needed for: %s" % " ".join(empty)
        yield warning("passwords", message, lock(image, empty[0]))
    for account in hashed:
        if hashed.index(account) < ACCOUNTS_LIMIT and is_known(image, account):
            message = "everybody knows the password of %s" % account.name
        else:
            message = "%s has a password, the same in every VM" % account.name
        yield warning("passwords", message, lock(image, account.name))
    if not empty and not hashed:
        yield ok("passwords", "no account of the image has one")


def lock(image: Image, name: str) -> Command:
    """The command that takes the password from an account."""
    return image.inside(Command("passwd", "-l").on(name))


def is_known(image: Image, account: Account) -> bool:
    """Is it one of the usual ones? Only told for sha512-crypt, which this program knows itself."""
    field = password_field(image.system, account.name)
    return any(verify_sha512(word.encode(), field) for word in (account.name, *KNOWN))
