"""The other endpoint for the health report: JSON, without any goal state, hence without ids that could be stale.

Microsoft's azure-init reports so and in no other way (libazureinit/src/health.rs); that 201 is the usual answer and
503 means "not yet" is in its issue 186.
"""

from .. import __version__
from ..door.system import System
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
    problem: str,
    seconds: float,
    say: "Callable[[str], None]",
    still: "Callable[[ProvisionError], None]" = lambda error: None,
) -> Reply:
    """Report Ready, or with a `problem` NotReady, once and within `seconds`; the reply is one of acceptance (2xx).

    Raises Unreachable or BadReply, both worth another try.
    """
    document, seconds = health_json(problem).encode("ascii"), min(REPORT_SECONDS, seconds)
    reply = exchange(system, peer, REQUEST, HEADERS, document, seconds=seconds, status_only=True, still=still)
    accept(reply, peer)
    say("Response: %d %s (JSON)" % (reply.status, reply.reason))
    return reply


def health_json(problem: str) -> str:
    """The report; its description is cut to 512 characters, and has no lone surrogates, which are no text."""
    if not problem:
        return '{"state": "Ready"}'
    description = problem[:LIMIT].encode("utf-8", "replace").decode("utf-8")
    details = '{"subStatus": "ProvisioningFailed", "description": %s}' % quote(description)
    return '{"state": "NotReady", "details": %s}' % details
