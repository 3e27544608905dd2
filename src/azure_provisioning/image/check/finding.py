"""What a check found out."""

from typing import NamedTuple

from ..command import Command

NOTHING = Command()


class Finding(NamedTuple):
    """One line of the answer.

    `level` is "ok", "warning", or "error": a VM from this image would not reach Ready, nobody could log in to it, or an
    option has a mistake, so that it would be set up with a default.
    `id` is stable, for scripts. `remedy` is the command that mends it where one is known, else empty.
    """

    level: str
    id: str
    message: str
    remedy: Command = NOTHING


def ok(name: str, message: str) -> Finding:
    """All is well."""
    return Finding("ok", name, message)


def warning(name: str, message: str, remedy: Command = NOTHING) -> Finding:
    """Not as it should be, or that cannot be determined; the VM comes up all the same."""
    return Finding("warning", name, message, remedy)


def error(name: str, message: str, remedy: Command = NOTHING) -> Finding:
    """The VM would not reach Ready, or nobody could log in to it."""
    return Finding("error", name, message, remedy)
