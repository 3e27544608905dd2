"""A file's text, split into lines and words as the C programs that read the same file do.

`str.splitlines` and `str.split` accept more separators: a form feed in a comment would begin a new line, and a no-break
space would split a word.
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
    """The lines, without their ends: only a newline ends one."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def words_in(line: str) -> "List[str]":
    """The words between blanks."""
    words = line.encode("utf-8", "surrogateescape").split()
    return [word.decode("utf-8", "surrogateescape") for word in words]


def is_digits(text: str, most: int = 18) -> bool:
    """Is it at most `most` ASCII digits? `str.isdigit` accepts hundreds of others that `int` refuses."""
    return 0 < len(text) <= most and not set(text) - set("0123456789")


# -- files of a guest: anything but a regular file has no text; an unreadable one raises GuestError --------------------


def read_bytes(tree: "Tree", path: str, head: int = 0) -> bytes:
    """The content of a file; with `head` only its first bytes, that many."""
    try:
        found = tree.stat(path)
    except LoopError:
        return b""
    if found is None or not stat.S_ISREG(found.st_mode):
        return b""
    return (tree.read(path, limit=head, head=True) if head else tree.read(path)) or b""


def read_text(tree: "Tree", path: str) -> str:
    """The text of a file. Bytes that are not UTF-8 survive a `write` of the same text."""
    return read_bytes(tree, path).decode("utf-8", "surrogateescape")


def read_line(tree: "Tree", path: str) -> str:
    """The text of a one-line file, such as those of sysfs: in ASCII, without blanks around it."""
    return (tree.read(path, limit=LINE_LIMIT) or b"").decode("ascii", "replace").strip()


def line_or_empty(tree: "Tree", path: str) -> str:
    """The same, for boots only: empty if it cannot be read."""
    try:
        return read_line(tree, path)
    except GuestError:
        return ""


def active_lines(tree: "Tree", path: str) -> bytes:
    """The lines of a script without comments: some init systems ship scripts with another's lines commented out."""
    return without_comments(read_bytes(tree, path))


def without_comments(script: bytes) -> bytes:
    """The lines that are not comments."""
    return b"\n".join(line for line in script.split(b"\n") if not line.lstrip().startswith(b"#"))


def read_uptime(tree: "Tree") -> "Optional[float]":
    """Seconds since the kernel started; None if the kernel does not say."""
    words = line_or_empty(tree, "/proc/uptime").split()
    try:
        return float(words[0])
    except (IndexError, ValueError):
        return None
