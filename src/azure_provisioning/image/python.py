"""Which Python of an image can run us? Told by names, because nothing in an image is executed."""

import re
import sys

from ..errors import ProvisionError
from ..system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

OLDEST = (3, 6)
USUAL = ("/usr/bin/python3", "/usr/local/bin/python3", "/bin/python3", "/usr/libexec/platform-python")
FOLDERS = ("/usr/bin", "/usr/local/bin")


def find_python(system: System, wanted: "Optional[str]") -> str:
    """The absolute path, in the guest, of an interpreter that is new enough: `wanted`, or the first that is found.

    Raises ProvisionError if there is none.
    """
    if wanted is not None:
        if not wanted.startswith("/") or not system.is_program(wanted):
            raise ProvisionError("this is no program of the image", advice="--python takes its path there", path=wanted)
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
        advice="install the distro's python3 package there, or name one with --python",
    )


def versioned(system: System) -> "List[str]":
    """`/usr/bin/python3.12` and the like, newest first."""
    found = []
    for folder in FOLDERS:
        for name in system.list(folder):
            match = re.match(r"python3\.?(\d+)$", name)
            if match:
                found.append((int(match.group(1)), folder + "/" + name))
    return [path for _, path in sorted(found, reverse=True)]


def is_too_old(system: System, path: str) -> bool:
    """Does the path, or a link that it leads through, name a version before 3.6? A name without one may be any."""
    for step in system.chain(path):
        match = re.search(r"/python(\d)\.?(\d+)$", step)
        if match:
            return (int(match.group(1)), int(match.group(2))) < OLDEST
    return False
