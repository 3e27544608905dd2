"""The Instance Metadata Service: the facts that Azure has about this VM, in one JSON document."""

from ..door.system import System
from ..errors import BadReply
from ..records import Instance
from . import json_document
from .transport import ANSWER_SECONDS, Peer, Reply, accept, describe, exchange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List

    from ..errors import ProvisionError

VERSION = "2021-08-01"  # has osProfile and userData; cloud-init asks for it too (sources/azure/imds.py)
STACK_VERSION = "2021-05-01"  # the newest of Azure Stack Hub
OLD_VERSION = "2019-06-01"  # the oldest that cloud-init asks for
# Other versions that a cloud may name, with the same document: Microsoft's page on IMDS, "Supported API versions".
KNOWN = [
    "2019-06-04",
    "2019-08-01",
    "2019-08-15",
    "2019-11-01",
    "2020-06-01",
    "2020-07-15",
    "2020-09-01",
    "2020-10-01",
    "2020-12-01",
    "2021-01-01",
    "2021-02-01",
    "2021-03-01",
    "2021-10-01",
    "2021-11-01",
    "2021-11-15",
    "2021-12-13",
    "2023-07-01",
    "2023-11-15",
    "2024-03-15",
    "2024-07-17",
    "2025-04-07",
]
# With `extended=true` IMDS fails instead of answering with a part of its data (Azure/azure-init issue 134); cloud-init
# asks for it from this version on (IMDS_EXTENDED_VER_MIN).
EXTENDED_FROM = "2021-03-01"
PAUSE = 0.3  # seconds before asking for another version: a VM may send 5 requests a second


def fetch_instance(
    system: System, peer: Peer, seconds: float, still: "Callable[[ProvisionError], None]" = lambda error: None
) -> Instance:
    """Ask once, within `seconds` in all; after a 400 ask again for an older version of the API.

    `still` is called now and then while there is no answer.

    Raises Unreachable or BadReply, both worth another try.
    """
    ends = system.monotonic() + seconds
    reply = ask(system, peer, VERSION, seconds, still)
    if reply.status == 400:
        for version in older_versions(reply.body):
            left = ends - system.monotonic() - PAUSE
            if left <= 0 or reply.status != 400:
                break
            system.sleep(PAUSE)
            reply = ask(system, peer, version, left, still)
    try:
        return parse_instance(accept(reply, peer).body)
    except BadReply as error:
        if reply.status < 300:
            error.details["answer"] = describe(reply)
        raise


def ask(system: System, peer: Peer, version: str, seconds: float, still: "Callable[[ProvisionError], None]") -> Reply:
    """One request for one version of the API."""
    extra = "&extended=true" if version >= EXTENDED_FROM else ""
    request = "GET /metadata/instance?api-version=%s%s" % (version, extra)
    headers, seconds = {"Metadata": "true"}, min(ANSWER_SECONDS, seconds)
    return exchange(system, peer, request, headers, seconds=seconds, still=still)


def older_versions(refusal: bytes) -> "List[str]":
    """Versions to try after a 400 with this body, which may be cut off: the newest one that it names and we know, then
    those of Azure Stack Hub and of older clouds."""
    named = refusal.decode("utf-8", "replace").partition('"newest-versions"')[2].partition("]")[0]
    known = sorted(set(named.split('"')[1::2]) & {STACK_VERSION, OLD_VERSION, *KNOWN})
    return list(dict.fromkeys([*known[-1:], STACK_VERSION, OLD_VERSION]))


def parse_instance(body: bytes) -> Instance:
    """The instance in a JSON document; raises BadReply for anything else."""
    try:
        document = json_document.parse(body)
    except ValueError as error:
        problem = "JSON too deep" if "nested values" in str(error) else "not JSON"
        raise BadReply("error parsing IMDS metadata", problem=problem) from error
    return Instance.from_json(document)
