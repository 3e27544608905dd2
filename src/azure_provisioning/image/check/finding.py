"""The result of a check."""

from typing import NamedTuple

from ..command import Command

NOTHING = Command()


class Finding(NamedTuple):
    """One finding.

    `level` is "ok", "warning", or "error": a VM from this image would not reach Ready, nobody could log in to it, or an
    option has a mistake, so that it would be set up with a default.
    `id` is stable, for scripts. `remedy` is a command that repairs it; empty if none is known.
    """

    level: str
    id: str
    message: str
    remedy: Command = NOTHING


def ok(name: str, message: str) -> Finding:
    """Nothing is wrong."""
    return Finding("ok", name, message)


def warning(name: str, message: str, remedy: Command = NOTHING) -> Finding:
    """A problem, or an unknown, with which the VM still comes up."""
    return Finding("warning", name, message, remedy)


def error(name: str, message: str, remedy: Command = NOTHING) -> Finding:
    """The VM would not reach Ready, or nobody could log in to it."""
    return Finding("error", name, message, remedy)
