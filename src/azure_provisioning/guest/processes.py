"""What runs in this guest, as /proc tells it."""

from typing import Iterator, List, NamedTuple

from ..errors import GuestError
from ..system import System
from ..text import is_digits


class Process(NamedTuple):
    """One that runs; an applet goes by its own name, not by that of busybox."""

    pid: int
    name: str
    argv: List[str]


def processes(system: System) -> "Iterator[Process]":
    """All that run; one that ends meanwhile is left out."""
    for pid in system.list("/proc"):
        if not is_digits(pid):
            continue
        try:
            name = (system.read_text("/proc/%s/comm" % pid) or "").strip()
            cmdline = system.read_text("/proc/%s/cmdline" % pid) or ""
        except GuestError:
            continue  # it has ended
        argv = cmdline[: -1 if cmdline.endswith("\0") else None].split("\0")  # each word ends with a zero byte
        if name == "busybox" and len(argv) > 1:
            argv = argv[1:]
            name = argv[0].rpartition("/")[2]
        yield Process(int(pid), name, argv)


def is_daemon(system: System, pid: int) -> bool:
    """Does nothing but PID 1 look after it?"""
    try:
        return "\nPPid:\t1\n" in (system.read_text("/proc/%d/status" % pid) or "")
    except GuestError:
        return False  # it has ended
