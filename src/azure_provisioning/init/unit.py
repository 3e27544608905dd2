"""The files of `units/`, with the paths of this guest's interpreter and program.

In a guest without Python the interpreter is the shell, which has none of Python's options.
"""

import os

from ..errors import GuestError
from ..records import Hook

DEFAULT = Hook(python="/usr/bin/python3", program="/usr/local/sbin/azure-provisioning")
SHELL = "/bin/sh"
ISOLATED = " -I -S"
SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._+-")


def unit(name: str, hook: Hook) -> str:
    """The text of the unit or script `name` ("systemd/azure-provisioning.service"), for `hook`.

    Raises GuestError for a path that would need quotes in a unit or a script.
    """
    for path in hook:
        if not path.startswith("/") or set(path) - SAFE:
            raise GuestError("this path cannot be written into a boot script", path=path)
    text = load(name).decode("utf-8")
    if hook.python == SHELL:
        text = text.replace(ISOLATED, "")
    return text.replace(DEFAULT.python, hook.python).replace(DEFAULT.program, hook.program)


def load(name: str) -> bytes:
    """The file `name` of `units/`: from the zip that this runs from, else from the checkout."""
    loader = __loader__  # type: ignore[name-defined] # of the zip or of the file system: both have get_data
    top = getattr(loader, "archive", None) or os.path.join(os.path.dirname(__file__), *[os.pardir] * 3)
    return bytes(loader.get_data(os.path.join(top, "units", *name.split("/"))))
