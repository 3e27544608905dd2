"""The WireServer: goal state and health report, as in Microsoft's "Creating generalized images without a provisioning
agent". No versions are negotiated: that would cost a request and tell nothing."""

from itertools import product

from ..door.system import System
from ..errors import BadReply, ProvisionError
from ..records import GoalState
from .description import LIMIT
from .markup import walk
from .transport import Peer, Reply, accept, exchange, persist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Sequence, Tuple

    Road = Callable[[System, Peer, str, float, Callable[[str], None]], Reply]

GOAL_STATE = "GET /machine?comp=goalstate"
HEALTH = "POST /machine?comp=health"
VERSION = {"x-ms-version": "2012-11-30"}
REPORT = {
    "x-ms-version": "2012-11-30",
    "x-ms-agent-name": "azure-provisioning",
    "Content-Type": "text/xml;charset=utf-8",
}
ID_LIMIT = 512  # characters; real ones have less than 120

INCARNATION = ("GoalState", "Incarnation")
CONTAINER_ID = ("GoalState", "Container", "ContainerId")
ROLE_INSTANCE = ("GoalState", "Container", "RoleInstanceList", "RoleInstance")
INSTANCE_ID = ROLE_INSTANCE + ("InstanceId",)


def report_health(
    system: System,
    peers: "Callable[[], Sequence[Peer]]",
    problem: str,
    until: float,
    say: "Callable[[str], None]",
    notice: "Callable[[ProvisionError], None]",
    protocol: str = "auto",
) -> None:
    """Report Ready, or with a `problem` NotReady, and return when Azure accepted it (2xx).

    Each try asks the next of `peers()`, by `protocol`: "goalstate", "json", or "auto", which is the goal state at
    first, and both in turn when a third of the time is over. Who the peers are is asked each time: a client that sends
    the new name may have no lease at the first try. Raises the last failure at `until` (monotonic).
    """
    both = [report_by_json, report_by_goal_state]
    first = both[:1] if protocol == "json" else both[1:]
    later = system.monotonic() + (until - system.monotonic()) / 3
    way: "Optional[Tuple[Road, Peer]]" = None

    def attempt(seconds: float) -> Reply:
        nonlocal way
        ways = list(product(both if protocol == "auto" and system.monotonic() >= later else first, peers()))
        way = ways[(ways.index(way) + 1) % len(ways) if way in ways else 0]
        return way[0](system, way[1], problem, seconds, say)

    persist(system, attempt, until, notice)


def report_by_json(system: System, peer: Peer, problem: str, seconds: float, say: "Callable[[str], None]") -> Reply:
    """One try without a goal state. Raises Unreachable or BadReply."""
    from .health import report_health_json  # few boots come here

    reply = report_health_json(system, peer, problem, seconds)
    say("Response: %d %s (JSON)" % (reply.status, reply.reason))
    return reply


def report_by_goal_state(
    system: System, peer: Peer, problem: str, seconds: float, say: "Callable[[str], None]"
) -> Reply:
    """One try, with a new goal state to quote, because 410 Gone means that the quoted one is of yesterday, and an early
    one may lack its ids. Raises Unreachable or BadReply."""
    ends = system.monotonic() + seconds
    goal_state = fetch_goal_state(system, peer, seconds)
    say("ContainerId: %s" % goal_state.container_id)
    say("InstanceId: %s" % goal_state.instance_id)
    document = health_document(goal_state, problem).encode("utf-8")
    left = max(0.5, ends - system.monotonic())
    # The status alone: Azure that says 2xx has accepted, and must not be told again because the rest did not come.
    reply = exchange(system, peer, HEALTH, REPORT, document, seconds=left, status_only=True)
    say("Response: %d %s" % (reply.status, reply.reason))
    return accept(reply, peer)


def fetch_goal_state(system: System, peer: Peer, seconds: float) -> GoalState:
    """Ask once. Raises Unreachable, or BadReply for an answer that cannot be quoted; both are worth another try."""
    return parse_goal_state(accept(exchange(system, peer, GOAL_STATE, VERSION, seconds=seconds), peer).body)


def parse_goal_state(document: bytes) -> GoalState:
    """The incarnation and the ids of the first role instance, stripped; raises BadReply if one is missing.

    Namespaces do not matter. A document type is refused: goal states have none, and entities could blow up.
    """
    found: "Dict[Tuple[str, ...], List[str]]" = {}
    open_elements: "List[str]" = []
    complete = set()

    def start(name: str, _attributes: "Dict[str, str]") -> None:
        open_elements.append(name.rpartition(":")[2])

    def end(_name: str) -> None:
        if len(open_elements) <= len(INSTANCE_ID):
            complete.add(tuple(open_elements))
        open_elements.pop()

    def characters(text: str) -> None:
        where = tuple(open_elements[:6])
        if where in complete or (where == INSTANCE_ID and ROLE_INSTANCE in complete):
            return  # only the first of each counts
        if where in (INCARNATION, CONTAINER_ID, INSTANCE_ID):
            found.setdefault(where, []).append(text)

    walk(document, "unusable goal state", start, end, characters)
    ids = {where: "".join(parts).strip() for where, parts in found.items()}
    for where in (INCARNATION, CONTAINER_ID, INSTANCE_ID):
        if not 0 < len(ids.get(where, "")) <= ID_LIMIT:
            raise BadReply("unusable goal state", problem="no usable %s" % where[-1])
    return GoalState(ids[INCARNATION], ids[CONTAINER_ID], ids[INSTANCE_ID])


def health_document(goal_state: GoalState, problem: str = "") -> str:
    """The report: Ready, or NotReady with ProvisioningFailed and the problem, cut to 512 characters."""
    state, details = "Ready", ""
    if problem:
        state = "NotReady"
        details = "<Details><SubStatus>ProvisioningFailed</SubStatus><Description>%s</Description></Details>" % escape(
            problem[:LIMIT]  # before escaping: the platform takes 4096 bytes (WALinuxAgent, wire.py)
        )
    return (
        "<Health><GoalStateIncarnation>%s</GoalStateIncarnation><Container><ContainerId>%s</ContainerId>"
        "<RoleInstanceList><Role><InstanceId>%s</InstanceId><Health><State>%s</State>%s</Health></Role>"
        "</RoleInstanceList></Container></Health>"
        % (
            escape(goal_state.incarnation),
            escape(goal_state.container_id),
            escape(goal_state.instance_id),
            state,
            details,
        )
    )


def escape(text: str) -> str:
    """Text for an XML element; what XML 1.0 cannot hold (control characters, lone surrogates) becomes `?`."""
    fit = "".join(
        char
        if char in "\t\n\r" or (char >= " " and not "\ud800" <= char <= "\udfff" and char not in "\ufffe\uffff")
        else "?"
        for char in text
    )
    return fit.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
