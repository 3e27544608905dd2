"""How much work a guest may be: its files, which others wrote, could be made to keep us busy for ever.

Whoever looks at a guest with a limit spends steps and bytes on the way. It is the same work on every machine, so that
an image is refused everywhere or nowhere; only what counts neither is ended by time, and that far behind.
"""

import time
from collections import namedtuple
from contextlib import contextmanager

from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Optional

    from .tree import Tree


class Limits(namedtuple("Limits", "steps size seconds")):
    """What one piece of work may take."""

    __slots__ = ()

    steps: int  # parts of paths that are followed, names that are listed, lines and files of what holds many
    size: int  # bytes that are read or unpacked
    seconds: float  # of a processor: a slow disk, or a program that is awaited, is not the image's doing


# A check, a step of a first boot, a plan. What a large but honest image takes is in tests/test_budget.py.
USUAL = Limits(500000, 192 << 20, 20.0)


class Budget:
    """What is left of some limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.steps = 0
        self.size = 0
        self.ends = time.process_time() + limits.seconds
        self.problem: "Optional[GuestError]" = None

    def spend(self, what: str, steps: int = 1, size: int = 0) -> None:
        """Count work on `what`. Raises GuestError when it is too much, and at every later call."""
        self.steps += steps
        self.size += size
        over = self.steps > self.limits.steps or self.size > self.limits.size or time.process_time() > self.ends
        if over and self.problem is None:
            self.problem = GuestError("too much work", path=what)
        self.settle()

    def settle(self) -> None:
        """Raises GuestError if it was too much, for whoever takes a file that cannot be read for an empty one."""
        if self.problem is not None:
            raise self.problem


@contextmanager
def limited(tree: "Tree", limits: Limits = USUAL) -> "Iterator[Budget]":
    """Let nobody do more than this to the tree meanwhile. What an outer limit has left is the same afterwards."""
    outer, tree.budget = tree.budget, Budget(limits)
    try:
        yield tree.budget
    finally:
        tree.budget = outer
