"""Only one process works on this machine: it holds the lock, and writes its pid and verb into the lock file.

The text stays afterwards, so that the next process can see who ran before it.
"""

import os
import re
from collections import namedtuple

from ..errors import GuestError, ProvisionError
from .system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

PATH = "/run/azure-provisioning.lock"
SECONDS = 10.0  # how long a command that a person started waits
PAUSE = 0.2  # seconds between two tries
SIGNATURE = re.compile(r"([1-9][0-9]{0,9}) (run|install|uninstall|generalize|report)\n\Z")


class Holder(namedtuple("Holder", "pid verb")):
    """A process that holds the lock, or was the last to hold it."""

    __slots__ = ()

    pid: int
    verb: str


class Turn(namedtuple("Turn", "descriptor before")):
    """The lock, while this process lives: the kernel releases it when the descriptor is closed."""

    __slots__ = ()

    descriptor: int
    before: "Optional[Holder]"  # the last holder, if known


def take(system: System, verb: str) -> "Optional[Turn]":
    """Take the lock for `verb`; None if another process has it. Raises GuestError."""
    descriptor = system.lock(PATH)
    if descriptor is None:
        return None
    turn = Turn(descriptor, find_holder(system))
    sign(system, turn, verb)
    return turn


def sign(system: System, turn: Turn, verb: str) -> None:
    """Write this process into the lock file. Call it again in a child, which has another pid."""
    system.sign_lock(turn.descriptor, "%d %s\n" % (os.getpid(), verb))


def find_holder(system: System) -> "Optional[Holder]":
    """The present or last holder; None if the file does not say."""
    try:
        match = SIGNATURE.match(system.read_text(PATH) or "")
    except GuestError:
        return None
    return Holder(int(match.group(1)), match.group(2)) if match else None


def wait_for_turn(system: System, verb: str, say: "Callable[[str], None]") -> None:
    """Take the lock of the running machine for `verb` until this process ends; does nothing for an image.

    Raises ProvisionError if it is not free within 10 s.
    """
    if not system.live:
        return
    ends, last = system.monotonic() + SECONDS, ""
    while take(system, verb) is None:
        holder = find_holder(system)
        if system.monotonic() >= ends:
            raise ProvisionError(
                "nothing was done: %s is running here" % describe(holder),
                advice="wait until it ends; `status --wait` returns when a first boot is over",
            )
        line = describe(holder) + " is running: waiting for it"
        if line != last:
            last = line
            say(line)
        system.sleep(PAUSE)


def describe(holder: "Optional[Holder]") -> str:
    """The holder, in words."""
    return "another process" if holder is None else "`%s` (process %d)" % (holder.verb, holder.pid)
