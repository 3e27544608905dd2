"""customData and userData: what the user gave the VM along. Kept, and run only where the options say so."""

from typing import List, Tuple

from ..door.system import System
from ..door.text import lines_in
from ..door.tree import ROOT
from ..errors import LastingError

SECONDS = 1800.0  # for a program to run
SHOWN_LINES = 200  # of its output, in the log


def save_data(system: System, path: str, data: bytes) -> str:
    """Keep `data`, decoded, as the file at `path`, for root alone. Raises GuestError."""
    system.make_dirs(path.rpartition("/")[0], owner=ROOT)
    system.write(path, data, mode=0o600, owner=ROOT)
    return "%d bytes kept in %s" % (len(data), path)


def run_data(system: System, path: str, seconds: float = SECONDS) -> Tuple[int, List[str]]:
    """Run the kept file by the interpreter of its `#!` line: (exit code, the last lines that it printed).

    By its interpreter, because the file is 0600 and may lie on a file system that executes nothing. Raises GuestError
    if it is no script, cannot be started, or takes too long.
    """
    head = (system.read(path, head=True) or b"").split(b"\n", 1)[0].decode("utf-8", "replace")
    words = head[2:].strip().split(None, 1) if head.startswith("#!") else []
    if not words:
        raise LastingError("%s is to be run, but does not begin with #!" % path.rpartition("/")[2])
    code, printed = system.execute(words + [path], seconds)
    return code, lines_in(printed)[-SHOWN_LINES:]
