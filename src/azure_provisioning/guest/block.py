"""A block of our lines in a configuration file of the guest, marked so that it can be replaced and removed."""

from ..door.marks import BEGIN, END, split


def without_block(text: str) -> str:
    """The text without our block."""
    parts = split(text)
    return parts[0] + parts[2][1:] if parts else text


def begin_with(text: str, lines: str) -> str:
    """The text with `lines` at the top, for files in which the first of two settings counts."""
    return BEGIN + lines + END + "\n" + without_block(text)


def end_with(text: str, lines: str) -> str:
    """The text with `lines` at the end, for files in which the last of two rules counts."""
    before = without_block(text)
    return before + ("\n" if before and not before.endswith("\n") else "") + BEGIN + lines + END + "\n"
