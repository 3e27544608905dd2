"""A file's text, cut as the C programs cut it that read the same file.

`str.splitlines` and `str.split` know more ends and blanks: a form feed in a comment would begin a rule of its own, and
a no-break space would make two words of one.
"""

import stat

from ..errors import GuestError, LoopError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

    from .tree import Tree

LINE_LIMIT = 4096  # bytes
BLANKS = " \t\r\v\f"  # isspace(3) in the C locale, within a line


def lines_in(text: str) -> "List[str]":
    """The lines, without their ends: a newline alone ends one."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def words_in(line: str) -> "List[str]":
    """The words between blanks."""
    words = line.encode("utf-8", "surrogateescape").split()
    return [word.decode("utf-8", "surrogateescape") for word in words]


def is_digits(text: str, most: int = 18) -> bool:
    """Is it written in the digits of ASCII, and in at most so many? `str.isdigit` knows hundreds that `int` refuses."""
    return 0 < len(text) <= most and not set(text) - set("0123456789")


# -- of a guest's files: what is no regular file has no text, and what cannot be read raises GuestError ---------------


def read_bytes(tree: "Tree", path: str, head: int = 0) -> bytes:
    """The content of a file; with `head` no more than its first so many bytes."""
    try:
        found = tree.stat(path)
    except LoopError:
        return b""
    if found is None or not stat.S_ISREG(found.st_mode):
        return b""
    return (tree.read(path, limit=head, head=True) if head else tree.read(path)) or b""


def read_text(tree: "Tree", path: str) -> str:
    """The text of a file. Bytes that are no UTF-8 survive a `write` of the same text."""
    return read_bytes(tree, path).decode("utf-8", "surrogateescape")


def read_line(tree: "Tree", path: str) -> str:
    """What a file of one line says, such as those of sysfs: in ASCII, without blanks around it."""
    return (tree.read(path, limit=LINE_LIMIT) or b"").decode("ascii", "replace").strip()


def line_or_empty(tree: "Tree", path: str) -> str:
    """The same, for a boot alone: what cannot be read is empty too."""
    try:
        return read_line(tree, path)
    except GuestError:
        return ""


def active_lines(tree: "Tree", path: str) -> bytes:
    """The lines of a script that do something: several init systems ship scripts with the others' lines as comments."""
    return without_comments(read_bytes(tree, path))


def without_comments(script: bytes) -> bytes:
    """The lines that are no comments."""
    return b"\n".join(line for line in script.split(b"\n") if not line.lstrip().startswith(b"#"))


def read_uptime(tree: "Tree") -> "Optional[float]":
    """Seconds since the kernel began; None where it does not say."""
    words = line_or_empty(tree, "/proc/uptime").split()
    try:
        return float(words[0])
    except (IndexError, ValueError):
        return None
