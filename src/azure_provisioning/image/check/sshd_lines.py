"""Where a setting of sshd's is, and the command that changes those lines and no others."""

from typing import List, Optional

from ...guest.sshd_config import Line
from ..command import Command
from .subject import Image

COMMENT = "s/^/#/"  # of sed


def place_of(line: Line) -> str:
    """In words: the file and the line."""
    return "%s, line %d" % (line.path, line.number) if line.path else "an option of sshd's start"


def comment_out(image: Image, lines: "List[Line]") -> Command:
    """The command that makes comments of these lines; empty if one is in no file."""
    return change(image, lines, COMMENT)


def change(image: Image, lines: "List[Line]", script: str) -> Command:
    """The command that applies a script of sed to these lines; empty if one is in no file."""
    whole: "Optional[Command]" = None
    if not all(line.path for line in lines):
        return Command()
    for path in sorted({line.path for line in lines}):
        numbers = sorted({line.number for line in lines if line.path == path})
        one = image.edit_lines(path, numbers, script)
        whole = one if whole is None else whole.then(one)
    return whole or Command()
