"""The other endpoint for the health report: JSON without a goal state, so no id can be outdated.

Microsoft's azure-init uses only this one (libazureinit/src/health.rs). Its issue 186 says that 201 is the usual answer
and that 503 means "not yet".
"""

from .. import __version__
from ..door.system import System
from ..records import Outcome
from .description import AGENT, LIMIT
from .json_document import quote
from .transport import REPORT_SECONDS, Peer, Reply, accept, exchange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from ..errors import ProvisionError

REQUEST = "POST /provisioning/health"
HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "%s/%s" % (AGENT, __version__),
    "x-ms-guest-agent-name": "%s/%s" % (AGENT, __version__),
}


def report_by_json(
    system: System,
    peer: Peer,
    outcome: Outcome,
    seconds: float,
    say: "Callable[[str], None]",
    still: "Callable[[ProvisionError], None]" = lambda error: None,
) -> Reply:
    """Report the outcome once and within `seconds`; returns the 2xx reply.

    Raises Unreachable or BadReply, both worth another try.
    """
    document, seconds = health_json(outcome).encode("ascii"), min(REPORT_SECONDS, seconds)
    reply = exchange(system, peer, REQUEST, HEADERS, document, seconds=seconds, status_only=True, still=still)
    accept(reply, peer)
    say("Response: %d %s (JSON)" % (reply.status, reply.reason))
    return reply


def health_json(outcome: Outcome) -> str:
    """The report; its description is cut to 512 characters. Lone surrogates become `?`."""
    if outcome.problem is None:
        return '{"state": "Ready"}'
    description = outcome.problem[:LIMIT].encode("utf-8", "replace").decode("utf-8")
    details = '{"subStatus": "ProvisioningFailed", "description": %s}' % quote(description)
    return '{"state": "NotReady", "details": %s}' % details
