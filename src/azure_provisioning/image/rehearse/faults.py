"""The faults that the Azure of a rehearsal produces on request, and how a boot with each of them ends."""

import re
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Callable, Dict, List, NamedTuple, Tuple

if TYPE_CHECKING:
    from .fake_azure import Handler

Trouble = Callable[["Handler"], bool]  # true if it has answered

READY = "Ready"
BY_JSON = "Ready, reported by JSON"
FAILED = "FAILED: "  # followed by the reason
FOR_EVER = 1 << 16

PORTAL = b"<!DOCTYPE html><html><body>Please log in to the guest network</body></html>"
DOCTYPE = b'<!DOCTYPE GoalState [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
BAD_VERSION = b'{ "error": "Bad request. api-version is invalid or was not specified in the request.'


class Fault(NamedTuple):
    """A fault, and the answers that it affects."""

    kind: str  # the affected answers: "imds", "goalstate", "health" (the report), "json"; separated by blanks
    times: int
    troubles: "Tuple[Trouble, ...]"  # one after another
    says: str
    ends: str = READY  # how the boot ends with no other fault


def no_trouble(_handler: "Handler") -> bool:
    """Leave the answer to the handler."""
    return False


def status(code: int, **headers: str) -> "Trouble":
    """Answer with this status and an empty body."""

    def trouble(handler: "Handler") -> bool:
        handler.send(code, b"", **headers)
        return True

    return trouble


def document(body: bytes, kind: str = "text/xml") -> "Trouble":
    """Answer 200 with this body."""

    def trouble(handler: "Handler") -> bool:
        handler.send(200, body, kind)
        return True

    return trouble


def changed(change: "Callable[[bytes], bytes]") -> "Trouble":
    """Answer with the goal state, changed."""
    return lambda handler: bool(document(change(handler.server.current_goal_state()))(handler))


def bytes_only(data: bytes) -> "Trouble":
    """Answer with these raw bytes."""
    return lambda handler: handler.raw(data)


def half(head: str, body: bytes, *, stays_open: bool = False) -> "Trouble":
    """Answer with a status and only a part of a body of 500 bytes; then hang up, or wait for the client to do so."""
    code = int(head[:3])

    def trouble(handler: "Handler") -> bool:
        handler.raw(("HTTP/1.1 %s\r\nContent-Length: 500\r\n\r\n" % head).encode("ascii") + body, code)
        if stays_open:
            handler.server.pause(120)
        return True

    return trouble


def late(seconds: float) -> "Trouble":
    """Process the request at once, and answer after this many seconds."""

    def trouble(handler: "Handler") -> bool:
        handler.late = seconds
        return False

    return trouble


def ended(handler: "Handler") -> bool:
    """Process the request, and close the connection after 30 s without an answer, like the WireServer."""
    handler.late, handler.hangs_up = 30.0, True
    return False


def ends_at(newest: str, refusal: "Trouble") -> "Trouble":
    """Refuse versions of IMDS's API that are newer than `newest`."""

    def trouble(handler: "Handler") -> bool:
        asked = re.findall(r"[?&]api-version=([^&]*)", handler.path)
        return refusal(handler) if asked and asked[0] > newest else False

    return trouble


def stack_hub(handler: "Handler") -> bool:
    """The 400 of Azure Stack Hub, which lists the versions that it supports."""
    body = BAD_VERSION + b'", "newest-versions": [ "2021-05-01", "2021-03-01", "2021-02-01" ] }'
    handler.send(400, body, "application/json; charset=utf-8")
    return True


def reset(handler: "Handler") -> bool:
    """Reset the connection."""
    handler.note(0)
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    return True


def silence(handler: "Handler") -> bool:
    """Read the request and never answer."""
    handler.note(0)
    handler.close_connection = True
    handler.server.pause(120)
    return True


def drip(handler: "Handler") -> bool:
    """One byte of the head each second, for ever."""
    handler.note(0)
    handler.close_connection = True
    with suppress(OSError):  # the client has closed it, as intended
        for byte in b"HTTP/1.1 200 OK\r\nX-Drip: ".replace(b" ", b" " * 80, 1) + b"x" * 4096:
            handler.connection.sendall(bytes([byte]))
            if handler.server.pause(1):
                break
    return True


def flood(handler: "Handler") -> bool:
    """Eight gigabytes, or as much of them as the client reads."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    handler.note(200)
    handler.close_connection = True
    with suppress(OSError):  # the client has closed it, as intended
        handler.connection.sendall(head)
        for _ in range(8 << 10):
            handler.connection.sendall(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
    return True


def move_on(handler: "Handler") -> bool:
    """The goal state changes between the request for it and the report."""
    handler.server.incarnation += 1
    return False


def at_imds(times: int, says: str, *troubles: "Trouble", ends: str = READY) -> Fault:
    """A fault of IMDS."""
    return Fault("imds", times, troubles, says, ends)


def at_goal_state(times: int, says: str, *troubles: "Trouble", ends: str = READY) -> Fault:
    """A fault of the WireServer's goal state."""
    return Fault("goalstate", times, troubles, says, ends)


def at_report(times: int, says: str, *troubles: "Trouble", ends: str = READY) -> Fault:
    """A fault of the answer to the report that quotes the goal state."""
    return Fault("health", times, troubles, says, ends)


def at_json(times: int, says: str, *troubles: "Trouble") -> Fault:
    """A fault of the JSON endpoint, which is used only if the goal state's fails for a third of the time."""
    return Fault("json", times, troubles, says, READY)


def no_role(xml: bytes) -> bytes:
    """A goal state without a role, as an early one may be."""
    return xml.replace(b"RoleInstance>", b"Other>")


def no_ids(xml: bytes) -> bytes:
    """A goal state whose container has no id."""
    return re.sub(b"<ContainerId>[^<]*", b"<ContainerId>  ", xml)


def with_namespace(xml: bytes) -> bytes:
    """A goal state with a namespace."""
    return xml.replace(b"<GoalState ", b'<GoalState xmlns="urn:x" ')


BUSY = half("503 Service Unavailable\r\nRetry-After: 1", b"<html>")
SILENT = "takes the request, and never answers"
DRIPS = "sends one byte a second"
FLOOD = "sends 8 GB"
IN_THE_WAY = "a guest network's login page answers"

FAULTS: "Dict[str, Fault]" = {
    "imds-not-yet": at_imds(2, "IMDS says 404 twice", status(404)),
    "imds-gone": at_imds(38, "IMDS says 410 for a minute", status(410)),
    "imds-throttled": at_imds(1, "IMDS says 429 and Retry-After", status(429, Retry_After="1")),
    "imds-broken": at_imds(1, "IMDS says 500", status(500)),
    "imds-busy": at_imds(1, "IMDS says 503 and Retry-After, and half a body", BUSY),
    "imds-slow": at_imds(1, "IMDS answers after 30 s", late(30)),
    "imds-slow-start": at_imds(1, "IMDS says 500 twice, then answers after 15 s", status(500), status(500), late(15)),
    "imds-forbidden": at_imds(FOR_EVER, "IMDS says 403", status(403), ends=FAILED + "http error 403 querying IMDS"),
    "imds-old-api": at_imds(1, "IMDS says 400 once", status(400)),
    "imds-stack-hub": at_imds(FOR_EVER, "IMDS ends at 2021-05-01, and says so", ends_at("2021-05-01", stack_hub)),
    "imds-2019": at_imds(FOR_EVER, "IMDS ends at 2019-06-01, and names no version", ends_at("2019-06-01", status(400))),
    "imds-half-refusal": at_imds(
        FOR_EVER, "IMDS ends at 2019-06-01; half of its 400 comes", ends_at("2019-06-01", half("400 No", BAD_VERSION))
    ),
    "imds-open-refusal": at_imds(
        1, "IMDS says 400, and never ends its body", half("400 No", BAD_VERSION, stays_open=True)
    ),
    "imds-redirect": at_imds(1, "IMDS redirects", status(302, Location="http://127.0.0.1:1/")),
    "imds-portal": at_imds(1, IN_THE_WAY + " for IMDS", document(PORTAL, "text/html")),
    "imds-portal-for-ever": at_imds(
        FOR_EVER,
        IN_THE_WAY + " for IMDS, always",
        document(PORTAL, "text/html"),
        ends=FAILED + "error parsing IMDS metadata",
    ),
    "imds-cut-off": at_imds(1, "half an answer of IMDS", half("200 OK", b'{"compute":')),
    "imds-not-http": at_imds(1, "an SSH server answers for IMDS", bytes_only(b"SSH-2.0-OpenSSH_9.6\r\n")),
    "imds-deep": at_imds(1, "JSON of 500000 levels", document(b"[" * 500000, "application/json")),
    "imds-reset": at_imds(1, "IMDS resets the connection", reset),
    "imds-silent": at_imds(1, "IMDS " + SILENT, silence),
    "imds-drips": at_imds(1, "IMDS " + DRIPS, drip),
    "imds-flood": at_imds(1, "IMDS " + FLOOD, flood),
    "goal-state-not-yet": at_goal_state(2, "the WireServer says 503 twice", status(503)),
    "goal-state-busy": at_goal_state(1, "the WireServer says 503 and Retry-After, and half a body", BUSY),
    "goal-state-slow": at_goal_state(1, "the goal state comes after 29 s", late(29)),
    "goal-state-no-role": at_goal_state(2, "a goal state without a role, twice", changed(no_role)),
    "goal-state-no-ids": at_goal_state(1, "a goal state without ids", changed(no_ids)),
    "goal-state-doctype": at_goal_state(
        1, "a goal state with entities", changed(lambda xml: xml.replace(b"?>", b"?>" + DOCTYPE, 1))
    ),
    "goal-state-portal": at_goal_state(1, IN_THE_WAY + " for the WireServer", document(PORTAL, "text/html")),
    "goal-state-empty": at_goal_state(1, "an empty goal state", document(b"")),
    "goal-state-reset": at_goal_state(1, "the WireServer resets the connection", reset),
    "goal-state-silent": at_goal_state(1, "the WireServer " + SILENT, silence),
    "goal-state-drips": at_goal_state(1, "the WireServer " + DRIPS, drip),
    "goal-state-flood": at_goal_state(1, "the WireServer " + FLOOD, flood),
    "goal-state-bom": at_goal_state(1, "a goal state with a BOM", changed(lambda xml: b"\xef\xbb\xbf" + xml)),
    "goal-state-namespace": at_goal_state(1, "a goal state with a namespace", changed(with_namespace)),
    "goal-state-no-encoding": at_goal_state(
        1, "a goal state in no known encoding", changed(lambda xml: xml.replace(b'"utf-8"', b'"no-such"', 1))
    ),
    "goal-state-for-ever-404": at_goal_state(FOR_EVER, "the WireServer has no goal state", status(404), ends=BY_JSON),
    "goal-state-for-ever-410": at_goal_state(FOR_EVER, "its goal state is gone", status(410), ends=BY_JSON),
    "goal-state-for-ever-unusable": at_goal_state(
        FOR_EVER, "its goal state is always a web page", document(PORTAL, "text/html"), ends=BY_JSON
    ),
    "report-stale": at_report(1, "the goal state changes before the report comes", move_on),
    "report-gone-for-ever": at_report(FOR_EVER, "each report is 410", status(410), ends=BY_JSON),
    "report-throttled": at_report(1, "the report is 429 and Retry-After", status(429, Retry_After="1")),
    "report-unavailable": at_report(2, "the report is 503 twice", status(503)),
    "report-busy": at_report(1, "the report is 503 and Retry-After, and half a body", BUSY),
    "report-refused": at_report(FOR_EVER, "each report is 403", status(403), ends=BY_JSON),
    "report-slow": at_report(1, "the report is processed, and answered after 29 s", late(29)),
    "report-late": at_report(1, "the report is processed, and answered after 60 s", late(60)),
    "report-ended": at_report(1, "the report is processed, and the connection ended after 30 s", ended),
    "report-silent": at_report(1, "the WireServer takes the report, and never answers", silence),
    "report-drips": at_report(1, "the answer to the report comes one byte a second", drip),
    "report-reset": at_report(1, "the connection is reset in the report", reset),
    "json-health-503": at_json(2, "the JSON endpoint says 503 twice", status(503)),
    "json-health-slow": at_json(1, "the JSON endpoint answers after 29 s", late(29)),
    "json-health-refused": at_json(FOR_EVER, "there is no JSON endpoint", status(404)),
    "wireserver-slow": Fault(
        "goalstate health json", FOR_EVER, (late(29),), "each answer of the WireServer takes 29 s"
    ),
    "wireserver-forbidden": Fault(
        "goalstate health json",
        FOR_EVER,
        (status(403),),
        "the WireServer says 403 to everything",
        FAILED + "http error 403 querying WireServer",
    ),
}


def describe_faults() -> "List[str]":
    """The faults for people: name, description, and how the boot ends."""
    width = max(map(len, FAULTS))
    return ["%s  %s; ends: %s" % (name.ljust(width), fault.says, fault.ends) for name, fault in sorted(FAULTS.items())]
