"""What a check found out."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One line of the answer.

    `level` is "ok", "warning", or "error": a VM from this image would not reach Ready, or nobody could log in to it.
    `id` is stable, for scripts. `remedy` is what to do, a command where one
    is known, else empty.
    """

    level: str
    id: str
    message: str
    remedy: str = ""


def ok(name: str, message: str) -> Finding:
    """All is well."""
    return Finding("ok", name, message)


def warning(name: str, message: str, remedy: str = "") -> Finding:
    """Not as it should be, or nobody can tell; the VM comes up all the same."""
    return Finding("warning", name, message, remedy)


def error(name: str, message: str, remedy: str = "") -> Finding:
    """The VM would not reach Ready, or nobody could log in to it."""
    return Finding("error", name, message, remedy)
