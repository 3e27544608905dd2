"""Colour for a terminal, unless its user does not want any: https://no-color.org."""

import os
from typing import TextIO

CODES = {"green": "32", "yellow": "33", "red": "31"}


def wanted(stream: TextIO) -> bool:
    """Is it a terminal that shows colours, and is NO_COLOR unset or empty?"""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def paint(text: str, colour: str) -> str:
    """The text in a colour."""
    return "\033[%sm%s\033[0m" % (CODES[colour], text)
