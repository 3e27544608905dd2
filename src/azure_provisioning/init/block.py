"""A block of our lines in a file of the user's, marked so that it can be removed without a trace.

It goes to the top, after a first line that names the interpreter: there it is reached, whatever the other lines do. If
the file was created or made executable for it, a line of the block says so.
"""

import stat

from ..door.marks import BEGIN, END, split
from ..door.system import System
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

ABSENT = "# before: no such file\n"
MODE = "# before: mode "


def find_block(system: System, path: str) -> "Optional[str]":
    """The lines between the marks in the file at `path`; None if there are none, or it cannot be read."""
    try:
        parts = split(system.read_text(path) or "")
    except GuestError:
        return None
    return parts[1] if parts else None


def put_block(system: System, path: str, lines: str, *, first: str = "", executable: bool = False) -> None:
    """Put `lines` at the top of the file at `path`, in place of an older block.

    A missing file is created, with `first` above the block. `executable`: everybody may execute the file. Raises
    GuestError.
    """
    found = system.stat(path)
    text = system.read_text(path)
    parts = split(text or "")
    if parts:
        before, old, after = parts
        lines = note_of(old) + lines
    elif text is None:
        before, after = first, "\n"
        lines = ABSENT + lines
    else:
        head, newline, tail = text.partition("\n") if text.startswith("#!") else ("", "", text)
        before, after = (head + newline, "\n" + tail) if newline or not head else (head + "\n", "")
        if executable and found is not None and not found.st_mode & 0o111:
            lines = "%s%04o\n" % (MODE, stat.S_IMODE(found.st_mode)) + lines
    mode = 0o644 if found is None else stat.S_IMODE(found.st_mode)
    system.write(path, before + BEGIN + lines + END + after, mode=mode | 0o111 if executable else mode)


def take_block(system: System, path: str) -> bool:
    """Remove our lines from the file at `path`, and restore it as it was; True if there were any."""
    parts = split(system.read_text(path) or "")
    if not parts:
        return False
    before, lines, after = parts
    text = before + after[1:] if after else before[:-1]  # the file did not end with a newline
    if lines.startswith(ABSENT) and text == before and before.count("\n") < 2:  # nothing was added to it
        return system.unlink(path)
    note = note_of(lines)
    mode = int(note[len(MODE) :], 8) if note.startswith(MODE) else None
    return system.write(path, text, mode=mode)


def note_of(lines: str) -> str:
    """The line of a block that says how the file was before; empty if it only gained the block."""
    first = lines.split("\n", 1)[0] + "\n"
    if first.startswith(MODE):
        digits = first[len(MODE) :].strip()
        if len(digits) != 4 or set(digits) - set("01234567"):
            raise GuestError("the marks of azure-provisioning were changed", line=first.strip())
        return first
    return first if first == ABSENT else ""
