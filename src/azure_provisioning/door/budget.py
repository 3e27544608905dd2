"""Limits for the work on a guest: others wrote its files, and could make them keep us busy for ever.

Code that reads a guest with a limit counts steps and bytes. They are the same on every machine, so an image is refused
everywhere or nowhere. The time limit is far higher, for work that neither of them counts.
"""

import time
from collections import namedtuple
from contextlib import contextmanager

from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Optional

    from .tree import Tree

# Between two looks at the processor time, which is a system call; spend() is called at every step of a path.
CLOCK_SECONDS = 0.1


class Limits(namedtuple("Limits", "steps size seconds")):
    """The limits for one piece of work."""

    __slots__ = ()

    steps: int  # parts of paths followed, names listed, lines and entries of large files
    size: int  # bytes that are read or unpacked
    seconds: float  # of processor time: a slow disk or a program that we wait for does not count


# A check, a step of a first boot, a plan. tests/test_budget.py has what a large but honest image takes.
USUAL = Limits(500000, 192 << 20, 20.0)


class Budget:
    """The work done so far under some limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.steps = 0
        self.size = 0
        self.ends = time.process_time() + limits.seconds
        self.next_look = time.monotonic() + min(limits.seconds, CLOCK_SECONDS)
        self.problem: "Optional[GuestError]" = None

    def spend(self, what: str, steps: int = 1, size: int = 0) -> None:
        """Count work on `what`. Raises GuestError when it exceeds a limit, and at every later call."""
        self.steps += steps
        self.size += size
        if (self.steps > self.limits.steps or self.size > self.limits.size or self._is_late()) and self.problem is None:
            self.problem = GuestError("too much work", path=what)
        self.settle()

    def _is_late(self) -> bool:
        now = time.monotonic()
        if now < self.next_look:
            return False
        self.next_look = now + CLOCK_SECONDS
        return time.process_time() > self.ends

    def settle(self) -> None:
        """Raises GuestError if a limit was exceeded: some callers treat a file that cannot be read as empty."""
        if self.problem is not None:
            raise self.problem


@contextmanager
def limited(tree: "Tree", limits: Limits = USUAL) -> "Iterator[Budget]":
    """Limit the work on the tree inside the `with` block. An outer limit continues afterwards as it was."""
    outer, tree.budget = tree.budget, Budget(limits)
    try:
        yield tree.budget
    finally:
        tree.budget = outer
