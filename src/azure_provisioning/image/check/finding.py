"""The result of a check."""

from typing import NamedTuple

from ..command import Command

NOTHING = Command()

# Whom an error about logins keeps out: everybody, all who have only a key, or some users.
EVERYBODY, WITH_KEYS, SOME = "everybody", "with keys", "some"


class Doubt(str):
    """A problem that may be none: a warning."""


class Finding(NamedTuple):
    """One finding.

    `level` is "ok", "warning", or "error": a VM from this image would not reach Ready, nobody could log in to it, or an
    option has a mistake, so that it would be set up with a default.
    `id` is stable, for scripts. `remedy` is a command that repairs it; empty if none is known.
    `scope`: one of EVERYBODY, WITH_KEYS and SOME, for an error about logins.
    """

    level: str
    id: str
    message: str
    remedy: Command = NOTHING
    scope: str = EVERYBODY


def ok(name: str, message: str) -> Finding:
    """Nothing is wrong."""
    return Finding("ok", name, message)


def warning(name: str, message: str, remedy: Command = NOTHING) -> Finding:
    """A problem, or an unknown, with which the VM still comes up."""
    return Finding("warning", name, message, remedy)


def error(name: str, message: str, remedy: Command = NOTHING, scope: str = EVERYBODY) -> Finding:
    """The VM would not reach Ready, or nobody could log in to it."""
    return Finding("error", name, message, remedy, scope)
