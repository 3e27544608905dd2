"""The kernel's IPv4 routes: /proc/net/route, proc(5)."""

import sys
from collections import namedtuple

from .tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

IS_UP = 1  # linux/route.h, RTF_UP


class Route(namedtuple("Route", "card target mask metric")):
    """An active route; numbers are in the order of a written address."""

    __slots__ = ()

    card: str
    target: int
    mask: int
    metric: int


def read_routes(system: Tree) -> "List[Route]":
    """The active routes, in the kernel's order."""
    found = []
    for line in (system.read_text("/proc/net/route") or "").split("\n")[1:]:
        words = line.split()
        try:
            if len(words) >= 8 and int(words[3], 16) & IS_UP:
                found.append(Route(words[0], to_number(words[1]), to_number(words[7]), int(words[6])))
        except ValueError:
            continue
    return found


def to_number(text: str) -> int:
    """The number of an address in the processor's byte order. Raises ValueError."""
    return int.from_bytes(int(text, 16).to_bytes(4, sys.byteorder), "big") if len(text) == 8 else int("no address")


def card_to(system: Tree, address: str) -> str:
    """The network card over which packets to an IPv4 address go; empty if there is no route."""
    number = int.from_bytes(bytes(map(int, address.split("."))), "big")
    ways = [route for route in read_routes(system) if number & route.mask == route.target]
    return max(ways, key=lambda route: (route.mask, -route.metric)).card if ways else ""
