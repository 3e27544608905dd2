"""Reports the result of a boot: to the key-value pool first, which the host reads only once, then to the WireServer."""

from ..azure import kvp
from ..azure.description import describe_success
from ..azure.endpoint import find_endpoint
from ..azure.report import report_health
from ..azure.transport import Peer
from ..errors import GuestError
from ..records import SUCCESS, Outcome
from .boot import Boot
from .patience import Patience

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List


def wireservers(boot: Boot) -> "List[Peer]":
    """The addresses of the WireServer: from the options, else the one in the lease and the constant one."""
    constant = boot.options.wireserver
    leased = None if boot.options.sets_wireserver else find_endpoint(boot.system)
    places = [(leased, 80)] if leased and leased != constant[0] else []
    return [Peer("WireServer", host, port) for host, port in [*places, constant]]


def report_ready(boot: Boot) -> None:
    """Report Ready until Azure accepts it. Raises the last failure if it does not in time."""
    started = boot.system.monotonic()
    boot.reporting = True
    write_to_pool(boot, describe_success(boot.azure_id, boot.system.time()))
    result = "failed"
    try:
        report(boot, SUCCESS, boot.ends)
        boot.accepted, result = True, "ok"
    finally:
        boot.note_step("report", result, started)


def report(boot: Boot, outcome: Outcome, until: float) -> None:
    """Report the outcome. Raises the last failure if Azure accepts no report in time."""
    report_health(
        boot.system,
        lambda: wireservers(boot),
        outcome,
        until,
        boot.console.say,
        Patience(boot, "the WireServer"),
        protocol=boot.options.protocol,
    )


def write_to_pool(boot: Boot, line: str) -> None:
    """Write the report that the Hyper-V host reads. The host reads it when the health report arrives, so it goes
    first."""
    started = boot.system.monotonic()
    try:
        done, result, said = kvp.write_report(boot.system, line), "ok", ""
    except GuestError as error:
        done, result, said = "warning: %s" % error, "warning", error.without_advice()
    boot.note_step("kvp", result, started, said)
    boot.console.say("kvp: %s" % done)
