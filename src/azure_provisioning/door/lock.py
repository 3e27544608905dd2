"""One at a time: whoever works on this machine holds the lock, and has written into it who he is.

What the last holder wrote stays, for the next one to know what has happened before.
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
SECONDS = 10.0  # for which a command that a person has called waits
PAUSE = 0.2  # seconds between two tries
SIGNATURE = re.compile(r"([1-9][0-9]{0,9}) (run|install|uninstall|generalize|report)\n\Z")


class Holder(namedtuple("Holder", "pid verb")):
    """A process that holds the lock, or was the last to hold it."""

    __slots__ = ()

    pid: int
    verb: str


class Turn(namedtuple("Turn", "descriptor before")):
    """The lock, while this process lives: the kernel takes it back when the descriptor is closed."""

    __slots__ = ()

    descriptor: int
    before: "Optional[Holder]"  # who held it last, if he said


def take(system: System, verb: str) -> "Optional[Turn]":
    """Take the lock for `verb`; None if another process has it. Raises GuestError."""
    descriptor = system.lock(PATH)
    if descriptor is None:
        return None
    turn = Turn(descriptor, find_holder(system))
    sign(system, turn, verb)
    return turn


def sign(system: System, turn: Turn, verb: str) -> None:
    """Write down that it is this process that holds the lock: again in a child, which goes by another number."""
    system.sign_lock(turn.descriptor, "%d %s\n" % (os.getpid(), verb))


def find_holder(system: System) -> "Optional[Holder]":
    """Who holds the lock, or held it last; None if the file does not say."""
    try:
        match = SIGNATURE.match(system.read_text(PATH) or "")
    except GuestError:
        return None
    return Holder(int(match.group(1)), match.group(2)) if match else None


def wait_for_turn(system: System, verb: str, say: "Callable[[str], None]") -> None:
    """Take the lock of the running machine for `verb`, until this process ends; an image has none.

    Raises ProvisionError if it is not free within 10 s.
    """
    if not system.live:
        return
    ends, told = system.monotonic() + SECONDS, ""
    while take(system, verb) is None:
        holder = find_holder(system)
        if system.monotonic() >= ends:
            raise ProvisionError(
                "nothing was done: %s is at work here" % describe(holder),
                advice="wait for its end; `status --wait` returns when a first boot is over",
            )
        line = describe(holder) + " is at work: waiting for it"
        if line != told:
            told = line
            say(line)
        system.sleep(PAUSE)


def describe(holder: "Optional[Holder]") -> str:
    """The holder, in words."""
    return "another process" if holder is None else "`%s` (process %d)" % (holder.verb, holder.pid)
