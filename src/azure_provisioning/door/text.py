"""A file's text, cut as the C programs cut it that read the same file.

`str.splitlines` and `str.split` know more ends and blanks: a form feed in a comment would begin a rule of its own, and
a no-break space would make two words of one.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

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
