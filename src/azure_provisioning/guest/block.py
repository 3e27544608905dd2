"""Lines of ours in a file of the guest's configuration, marked so that they can be replaced and taken out."""

from ..door.marks import BEGIN, END, split


def without_block(text: str) -> str:
    """The text as it is without our lines."""
    parts = split(text)
    return parts[0] + parts[2][1:] if parts else text


def begin_with(text: str, lines: str) -> str:
    """The text with `lines` before all others, where the first of two settings counts."""
    return BEGIN + lines + END + "\n" + without_block(text)


def end_with(text: str, lines: str) -> str:
    """The text with `lines` after all others, where the last of two rules counts."""
    before = without_block(text)
    return before + ("\n" if before and not before.endswith("\n") else "") + BEGIN + lines + END + "\n"
