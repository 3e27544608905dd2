"""Writes results: to stdout, or to a file on the host. The story goes to stderr, through the console."""

import os
import sys

from .console import may_colour, paint, printable
from .errors import ProvisionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, TextIO, Tuple


def show(lines: "List[str]", colours: "Tuple[Tuple[str, str], ...]" = ()) -> None:
    """Print result lines to stdout, in any encoding. Raises ProvisionError.

    Their text is mostly not ours: each stays on one line, and cannot control a terminal. Tabs stay. If the reader has
    ended, such as `head`, that is not an error.
    """
    colours = colours if may_colour(sys.stdout) else ()
    try:
        for line in lines:
            plain = "\t".join(map(printable, line.split("\t"))).encode("ascii", "backslashreplace").decode("ascii")
            sys.stdout.write(paint(plain, colours) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        return
    except OSError as error:
        raise ProvisionError("stdout cannot be written", error=error.strerror) from error


def width_of(stream: "TextIO") -> int:
    """The columns of a terminal; 0 for anything else, where lines are not wrapped."""
    return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0


def write_file(path: str, data: bytes, *, own: bool = False) -> None:
    """Write a result to a file on the host, in place of an older one; `own`: a new file that only this user may read.

    Raises ProvisionError.
    """
    flags = os.O_EXCL if own else os.O_TRUNC
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600 if own else 0o666), "wb") as file:
            file.write(data)
    except FileExistsError as error:
        raise ProvisionError("%s exists already" % path, advice="remove it, or name another by --output") from error
    except OSError as error:
        raise ProvisionError("failure to write %s" % path, error=error.strerror) from error
