"""The health report over both endpoints: XML first (goal_state.py), JSON later (json_health.py)."""

from itertools import product

from ..door.system import System
from ..errors import BadReply, ProvisionError, Unreachable
from ..records import Outcome
from .goal_state import report_by_goal_state
from .transport import ANSWER_SECONDS, Peer, Reply, persist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Sequence, Tuple

    Say = Callable[[str], None]
    Notice = Callable[[ProvisionError], None]
    Way = Callable[[System, Peer, Outcome, float, Say, Notice], Reply]


def report_by_json(system: System, peer: Peer, outcome: Outcome, seconds: float, say: "Say", still: "Notice") -> Reply:
    """Calls json_health.py, which few boots load."""
    from . import json_health

    return json_health.report_by_json(system, peer, outcome, seconds, say, still)


def report_health(
    system: System,
    peers: "Callable[[], Sequence[Peer]]",
    outcome: Outcome,
    until: float,
    say: "Say",
    notice: "Notice",
    protocol: str = "auto",
) -> None:
    """Report the outcome; returns when Azure has accepted it (2xx).

    Each try uses the next of `peers()` and `protocol`: "goalstate", "json", or "auto". "auto" uses the goal state at
    first, and both in turn when a third of the time is over. `peers` is called for each try: a client that sends the
    new name may have no lease at the first. `notice` is called for each failed try, and for one that takes long. At
    `until` (monotonic), raises the failure that says most.
    """
    both: "Sequence[Way]" = (report_by_json, report_by_goal_state)
    first = both[:1] if protocol == "json" else both[1:]
    later = system.monotonic() + (until - system.monotonic()) / 3
    way: "Optional[Tuple[Way, Peer]]" = None  # the endpoint and the peer that were asked last
    failures: "Dict[Tuple[Way, Peer], ProvisionError]" = {}  # the last failure of each

    def attempt(seconds: float) -> Reply:
        nonlocal way
        ways = list(product(both if protocol == "auto" and system.monotonic() >= later else first, peers()))
        way = ways[(ways.index(way) + 1) % len(ways) if way in ways else 0]
        try:
            return way[0](system, way[1], outcome, seconds, say, notice)
        except (Unreachable, BadReply) as error:
            if isinstance(error, BadReply) or way not in failures or seconds >= ANSWER_SECONDS:
                failures[way] = error
            raise

    try:
        persist(system, attempt, until, notice)
    except (Unreachable, BadReply) as error:
        raise weightiest([failure for tried, failure in failures.items() if tried[0] is first[0]], error) from error


def weightiest(failures: "Sequence[ProvisionError]", last: ProvisionError) -> ProvisionError:
    """The failure to show to people, of those from the endpoint that was asked first: an answer says more than none.

    A missing second endpoint (404) or another dead address of the WireServer is not the reason.
    """
    answers: "List[ProvisionError]" = [failure for failure in failures if isinstance(failure, BadReply)]
    return (answers or list(failures) or [last])[-1]
