"""customData and userData: what the user gave the VM along. Kept, and run only where the options say so."""

from typing import List, Tuple

from ..errors import GuestError
from ..state import FOLDER
from ..system import System
from ..text import lines_in
from ..tree import ROOT

SECONDS = 1800.0  # for a program to run
SHOWN_LINES = 200  # of its output, in the log


def save_data(system: System, name: str, data: bytes) -> str:
    """Keep `data` as the file `name` ("customData", "userData"), decoded, for root alone. Raises GuestError."""
    system.make_dirs(FOLDER, owner=ROOT)
    system.write("%s/%s" % (FOLDER, name), data, mode=0o600, owner=ROOT)
    return "%d bytes kept in %s/%s" % (len(data), FOLDER, name)


def run_data(system: System, name: str, seconds: float = SECONDS) -> Tuple[int, List[str]]:
    """Run the kept file by the interpreter of its `#!` line: (exit code, the last lines that it printed).

    By its interpreter, because the file is 0600 and may lie on a file system that executes nothing. Raises GuestError
    if it is no script, cannot be started, or takes too long.
    """
    path = "%s/%s" % (FOLDER, name)
    head = (system.read(path, head=True) or b"").split(b"\n", 1)[0].decode("utf-8", "replace")
    words = head[2:].strip().split(None, 1) if head.startswith("#!") else []
    if not words:
        raise GuestError("%s is to be run, but does not begin with #!" % name)
    code, printed = system.execute(words + [path], seconds)
    return code, lines_in(printed)[-SHOWN_LINES:]
