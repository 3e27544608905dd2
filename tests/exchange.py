"""`python3 -m tests.exchange A B`: exchanges the names of two files, again and again, until the process is ended.

The owner of a folder can do this while another process works in it: both names exist at any moment (renameat2(2)).
"""

import ctypes
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import Iterator

from tests import TOP

AT_FDCWD, RENAME_EXCHANGE = -100, 2
LONGEST = 60  # seconds, if the process is not ended earlier


def exchange(one: str, other: str) -> None:
    """Exchange once. Raises OSError, also if the C library or the file system lacks the call."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):  # glibc before 2.28
        raise OSError(0, "no renameat2 in the C library")
    names = os.fsencode(one), os.fsencode(other)
    if library.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextmanager
def exchanging(one: str, other: str) -> Iterator[None]:
    """Another process exchanges the two files inside the block. Raises OSError if that is not possible."""
    exchange(one, other)
    exchange(one, other)
    child = subprocess.Popen([sys.executable, "-m", "tests.exchange", one, other], cwd=TOP, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        yield
    finally:
        child.kill()
        child.communicate()


def main() -> None:
    """Exchange until the time is over."""
    import time

    ends = time.monotonic() + LONGEST
    print("begun", flush=True)
    while time.monotonic() < ends:
        for _ in range(1000):
            exchange(sys.argv[1], sys.argv[2])


if __name__ == "__main__":
    main()
