"""The Instance Metadata Service: what Azure knows of this VM, as one JSON document."""

import json

from ..door.system import System
from ..errors import BadReply
from ..records import Instance
from .transport import Peer, accept, exchange

VERSION = "2021-08-01"  # has osProfile and userData; cloud-init asks for it too (sources/azure/imds.py)
OLD_VERSION = "2019-06-01"  # for a cloud that answers 400 to the newer one


def fetch_instance(system: System, peer: Peer, seconds: float) -> Instance:
    """Ask once, within `seconds` in all. Raises Unreachable or BadReply, both worth another try."""
    ends = system.monotonic() + seconds
    reply = exchange(system, peer, request(VERSION, "&extended=true"), {"Metadata": "true"}, seconds=seconds)
    if reply.status == 400 and system.monotonic() < ends:
        left = ends - system.monotonic()
        reply = exchange(system, peer, request(OLD_VERSION), {"Metadata": "true"}, seconds=left)
    return parse_instance(accept(reply, peer).body)


def request(version: str, extra: str = "") -> str:
    """The request line for one version of the API."""
    return "GET /metadata/instance?api-version=%s%s" % (version, extra)


def parse_instance(body: bytes) -> Instance:
    """The instance that a JSON document describes; raises BadReply for anything else."""
    try:
        # No number is needed, and as an integer one of a million digits would take minutes.
        document = json.loads(body.decode("utf-8-sig"), parse_int=float)
    except (ValueError, RecursionError) as error:
        raise BadReply("error parsing IMDS metadata", problem=type(error).__name__) from error
    return Instance.from_json(document)
