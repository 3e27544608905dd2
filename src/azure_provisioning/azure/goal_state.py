"""The WireServer's XML: goal state and health report, as in Microsoft's "Creating generalized images without a
provisioning agent". The list of versions is not requested: it would cost a request and change nothing."""

from ..door.system import System
from ..errors import BadReply
from ..records import GoalState, Outcome
from .description import LIMIT
from .markup import walk
from .transport import ANSWER_SECONDS, REPORT_SECONDS, Peer, Reply, accept, describe, exchange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Tuple

    from ..errors import ProvisionError

GOAL_STATE = "GET /machine?comp=goalstate"
HEALTH = "POST /machine?comp=health"
VERSION = {"x-ms-version": "2012-11-30"}
REPORT = {
    "x-ms-version": "2012-11-30",
    "x-ms-agent-name": "azure-provisioning",
    "Content-Type": "text/xml;charset=utf-8",
}
ID_LIMIT = 512  # characters; real ones have fewer than 120

INCARNATION = ("GoalState", "Incarnation")
CONTAINER_ID = ("GoalState", "Container", "ContainerId")
ROLE_INSTANCE = ("GoalState", "Container", "RoleInstanceList", "RoleInstance")
INSTANCE_ID = ROLE_INSTANCE + ("InstanceId",)


def report_by_goal_state(
    system: System,
    peer: Peer,
    outcome: Outcome,
    seconds: float,
    say: "Callable[[str], None]",
    still: "Callable[[ProvisionError], None]" = lambda error: None,
) -> Reply:
    """One try with a new goal state: 410 Gone means that the one quoted is outdated, and an early one may lack its ids.

    Request and report have time limits of their own, together at most `seconds`. Raises Unreachable or BadReply.
    """
    ends = system.monotonic() + seconds
    goal_state = fetch_goal_state(system, peer, seconds, still)
    say("ContainerId: %s" % goal_state.container_id)
    say("InstanceId: %s" % goal_state.instance_id)
    document = health_document(goal_state, outcome).encode("utf-8")
    left = min(REPORT_SECONDS, max(0.5, ends - system.monotonic()))
    # The status alone: with a 2xx Azure has accepted, and must not get a second report because the rest is missing.
    reply = exchange(system, peer, HEALTH, REPORT, document, seconds=left, status_only=True, still=still)
    say("Response: %d %s" % (reply.status, reply.reason))
    return accept(reply, peer)


def fetch_goal_state(
    system: System, peer: Peer, seconds: float, still: "Callable[[ProvisionError], None]" = lambda error: None
) -> GoalState:
    """Ask once. Raises Unreachable, or BadReply for an answer without usable ids; both are worth another try."""
    seconds = min(ANSWER_SECONDS, seconds)
    reply = accept(exchange(system, peer, GOAL_STATE, VERSION, seconds=seconds, still=still), peer)
    try:
        return parse_goal_state(reply.body)
    except BadReply as error:
        error.details["answer"] = describe(reply)
        raise


def parse_goal_state(document: bytes) -> GoalState:
    """The incarnation and the ids of the first role instance, stripped; raises BadReply if one is missing.

    Namespaces are ignored. A document type is refused: goal states have none, and entities can expand without limit.
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


def health_document(goal_state: GoalState, outcome: Outcome) -> str:
    """The report: Ready, or NotReady with ProvisioningFailed and the problem, cut to 512 characters."""
    state, details = "Ready", ""
    if outcome.problem is not None:
        state = "NotReady"
        details = "<Details><SubStatus>ProvisioningFailed</SubStatus><Description>%s</Description></Details>" % escape(
            outcome.problem[:LIMIT]  # before escaping: the platform takes 4096 bytes (WALinuxAgent, wire.py)
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
    """Text for an XML element; characters that XML 1.0 does not allow (control characters, lone surrogates) become
    `?`."""
    fit = "".join(
        char
        if char in "\t\n\r" or (char >= " " and not "\ud800" <= char <= "\udfff" and char not in "\ufffe\uffff")
        else "?"
        for char in text
    )
    return fit.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
