"""Which Python of an image can run us? Judged by names, because nothing in an image is executed."""

import re
import sys

from .. import OLDEST
from ..config import TABLE
from ..door.system import System
from ..errors import ProvisionError
from ..init.unit import SHELL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

    from ..config import Options

USUAL = ("/usr/bin/python3", "/usr/local/bin/python3", "/bin/python3", "/usr/libexec/platform-python")
NAMED = re.compile(r"(?:platform-)?python|pypy")
PROGRAM_LIMIT = 32 << 20  # bytes of a program that are searched
FOLDERS = ("/usr/bin", "/usr/local/bin")
WITHOUT = "a boot continues in the shell, which sets no password, stores no customData and grows no disk"
CLIENTS = ("curl", "wget", "nc")  # with which the shell implementation sends requests


def find_interpreter(system: System, wanted: "Optional[str]") -> str:
    """The interpreter for the boot hook: a Python, or the shell if the image has none. Raises ProvisionError."""
    try:
        return find_python(system, wanted)
    except ProvisionError:
        if wanted is None and system.is_program(SHELL):
            return SHELL
        raise


def unheard_options(options: "Options") -> "List[str]":
    """The options in the file that need Python, which the shell implementation does not support."""
    return [row[0] for row in TABLE if row[3] and row[0] in options.given and options.wants(row[0])]


def find_python(system: System, wanted: "Optional[str]") -> str:
    """The absolute path in the guest of an interpreter that is new enough: `wanted`, or the first that is found.

    Raises ProvisionError if there is none.
    """
    if wanted is not None:
        if not wanted.startswith("/") or not system.is_program(wanted):
            raise ProvisionError(
                "this is not a program of the image",
                advice="`install --python` takes its path in the image",
                path=wanted,
            )
        if is_too_old(system, wanted):
            raise ProvisionError("this Python is too old: 3.6 or newer is needed", path=wanted)
        return wanted
    for path in list(USUAL) + versioned(system):
        if system.is_program(path) and not is_too_old(system, path):
            return path
    if system.live and sys.executable and system.is_program(sys.executable):
        return sys.executable
    raise ProvisionError(
        "no Python 3.6 or newer was found in %s" % system.called,
        advice="install the distro's python3 package there, or name one with `install --python`",
    )


def versioned(system: System) -> "List[str]":
    """`/usr/bin/python3.12` and the like, newest first."""
    found = []
    for folder in FOLDERS:
        for name in system.list(folder):
            match = re.match(r"python3\.?([0-9]{1,3})\Z", name)
            if match:
                found.append((int(match.group(1)), folder + "/" + name))
    return [path for _, path in sorted(found, reverse=True)]


def is_python(system: System, path: str) -> bool:
    """Is a program a Python, by its names or its content?"""
    if any(NAMED.match(step.rpartition("/")[2]) for step in system.chain(path)):
        return True
    content = system.read(path, limit=PROGRAM_LIMIT, head=True) or b""
    marks = (b"python",) if content.startswith(b"#!") else (b"Py_BytesMain", b"Py_Main", b"libpython")
    return any(mark in content for mark in marks)


def is_too_old(system: System, path: str) -> bool:
    """Does the path, or a symlink on the way, name a version before 3.6? A name without a version may be any."""
    for step in system.chain(path):
        match = re.search(r"/python([0-9])\.?([0-9]{1,3})\Z", step)
        if match:
            return (int(match.group(1)), int(match.group(2))) < OLDEST
    return False
