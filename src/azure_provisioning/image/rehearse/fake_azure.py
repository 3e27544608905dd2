"""An Azure on loopback: IMDS and WireServer as a VM sees them, with faults on request.

It is as strict as the real one where that is known: IMDS requires its header, and a report must quote the current goal
state. Every request is recorded, for a rehearsal or a test to examine.
"""

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Callable, Dict, List, NamedTuple, Set, Tuple

from ...door.text import is_digits
from .faults import FAULTS, Trouble, no_trouble

VM_ID = "91267c52-9f02-4cfe-b1f4-a4da7ebac2cf"
CONTAINER_ID = "7b324f53-983a-43bc-b919-1775d6077608"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJlaGVhcnNhbCBrZXksIG5vYm9keSBoYXMgaXQhISEh rehearsal"
INSTANCE_ID = "fbb84507-46cd-4f4e-bd78-a2edaa9d059b._rehearsal"

INSTANCE: "Dict[str, Dict[str, object]]" = {
    "compute": {
        "azEnvironment": "AzurePublicCloud",
        "location": "westeurope",
        "name": "rehearsal_0",
        "osProfile": {
            "adminUsername": "azureuser",
            "computerName": "rehearsal",
            "disablePasswordAuthentication": "true",
        },
        "osType": "Linux",
        "publicKeys": [{"keyData": KEY + "\r\n", "path": "/home/azureuser/.ssh/authorized_keys"}],
        "userData": "",
        "vmId": VM_ID,
    },
    "extended": {"compute": {"hasCustomData": False, "ppsType": "None"}},
}

GOAL_STATE = """<?xml version="1.0" encoding="utf-8"?>
<GoalState xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="goalstate10.xsd">\r
  <Version>2012-11-30</Version>\r
  <Incarnation>%(incarnation)s</Incarnation>\r
  <Machine><ExpectedState>Started</ExpectedState></Machine>\r
  <Container>\r
    <ContainerId>%(container_id)s</ContainerId>\r
    <RoleInstanceList>\r
      <RoleInstance><InstanceId>%(instance_id)s</InstanceId><State>Started</State></RoleInstance>\r
    </RoleInstanceList>\r
  </Container>\r
</GoalState>
"""


STRANGER_SECONDS = 10.0  # for the first byte of a client that may be unknown


class Request(NamedTuple):
    """One request, and the status of its answer (0: none)."""

    method: str
    target: str
    headers: Dict[str, str]
    body: str
    status: int


class Platform:
    """The data of this Azure, and the requests that it got.

    `faults` are names of FAULTS; each affects as many answers as it says, in the given order.
    """

    answers_all = True  # else only clients whose address was announced
    speed = 1.0  # of the guest's clock: its seconds in each real one
    recognize: "Callable[[Tuple[str, int]], bool]" = staticmethod(lambda _address: False)  # or these addresses

    def __init__(self, faults: "Tuple[str, ...]" = ()) -> None:
        self.instance: "Dict[str, Dict[str, object]]" = json.loads(json.dumps(INSTANCE))
        self.incarnation = 1
        self.goal_state = GOAL_STATE
        self.requests: "List[Request]" = []
        self.asked_at: "List[float]" = []  # the time (monotonic) of each
        self.reports: "List[str]" = []  # the bodies of accepted reports
        self.closing = threading.Event()
        self.troubles: "Dict[str, List[Trouble]]" = {"imds": [], "goalstate": [], "health": [], "json": []}
        for fault in (FAULTS[name] for name in faults):
            for kind in fault.kind.split():
                self.troubles[kind] += list(fault.troubles) * fault.times
        self.announced: "Set[Tuple[str, int]]" = set()
        self._lock = threading.Lock()

    def pause(self, seconds: float) -> bool:
        """Wait this many seconds of the guest's clock. True if this Azure closes meanwhile."""
        return self.closing.wait(seconds / self.speed)

    def next_trouble(self, kind: str) -> "Trouble":
        """The fault for the next answer of this kind; usually none."""
        with self._lock:
            return self.troubles[kind].pop(0) if self.troubles[kind] else no_trouble

    def keep(self, request: Request) -> None:
        """Record a request."""
        with self._lock:
            self.requests.append(request)
            self.asked_at.append(time.monotonic())

    def current_goal_state(self) -> bytes:
        """The current goal state."""
        text = self.goal_state % {
            "incarnation": self.incarnation,
            "container_id": CONTAINER_ID,
            "instance_id": INSTANCE_ID,
        }
        return text.encode("utf-8")

    def knows(self, address: "Tuple[str, int]") -> bool:
        """May a client at this address get an answer? An announced one only once: later the port may be another's."""
        if self.answers_all:
            return True
        with self._lock:
            known = address in self.announced
            self.announced.discard(address)
        return known or self.recognize(address)


class FakeAzure(Platform, ThreadingMixIn, HTTPServer):
    """Both services of a platform, on one port on loopback. Use as a context manager."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, faults: "Tuple[str, ...]" = (), *, answers_all: bool = True, speed: float = 1.0) -> None:
        Platform.__init__(self, faults)
        HTTPServer.__init__(self, ("127.0.0.1", 0), Handler)
        self.answers_all = answers_all
        self.speed = speed

    def __enter__(self) -> "FakeAzure":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    @property
    def endpoint(self) -> str:
        """The address and port, in the form of the options `imds` and `wireserver`."""
        return "127.0.0.1:%d" % self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that hangs up during a fault: that is intended."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "FakeAzure"
    late = 0.0  # seconds before the answer, after the request was processed
    hangs_up = False  # close the connection instead of that answer

    def handle(self) -> None:
        """Answer and record the requests of known clients. Other processes on this machine could disturb the rehearsal.

        A client is announced after it has connected and before it sends, hence the wait for its first byte.
        """
        if not self.server.answers_all:
            self.connection.settimeout(STRANGER_SECONDS)
            self.rfile.peek(1)  # type: ignore[attr-defined] # a BufferedReader, as StreamRequestHandler makes it
            self.connection.settimeout(None)
        if self.server.knows(self.client_address):
            super().handle()

    def do_GET(self) -> None:
        """IMDS and the goal state."""
        if self.path.startswith("/metadata/instance?"):
            self.answer("imds", self.imds)
        elif self.path.startswith("/metadata/instance/"):
            self.answer("imds", self.leaf)
        elif self.path in ("/machine?comp=goalstate", "/machine/?comp=goalstate"):
            self.answer("goalstate", self.goal_state)
        else:
            self.send(404, b"")

    def do_POST(self) -> None:
        """The health report."""
        self.body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), 1 << 20)).decode("utf-8")
        if self.path in ("/machine?comp=health", "/machine/?comp=health"):
            self.answer("health", self.health)
        elif self.path == "/provisioning/health":
            self.answer("json", self.json_health)
        else:
            self.send(404, b"")

    def answer(self, kind: str, right: "Callable[[], None]") -> None:
        """The right answer, or a fault."""
        if not self.server.next_trouble(kind)(self):
            right()

    def imds(self) -> None:
        """The instance document; strict about its header, like the real one."""
        if self.headers.get("Metadata", "") != "true":
            self.send(400, b'{"error": "Bad request. Required metadata header not specified"}')
        else:
            self.send(200, json.dumps(self.server.instance).encode("utf-8"), "application/json; charset=utf-8")

    def leaf(self) -> None:
        """One value of the instance document as text, as the shell implementation requests it."""
        place, _, query = self.path[len("/metadata/instance/") :].partition("?")
        found: object = self.server.instance
        for name in place.split("/"):
            if isinstance(found, list):
                found = dict(enumerate(found)).get(int(name)) if is_digits(name, 3) else None
            else:
                found = found.get(name) if isinstance(found, dict) else None
        if self.headers.get("Metadata", "") != "true" or "format=text" not in query.split("&"):
            self.send(400, b"")
        elif isinstance(found, str):
            self.send(200, found.encode("utf-8"), "text/plain; charset=utf-8")
        else:
            self.send(404, b"")

    def goal_state(self) -> None:
        """The goal state; strict about its header."""
        if "x-ms-version" not in self.headers:
            self.send(400, b"")
        else:
            self.send(200, self.server.current_goal_state(), "text/xml; charset=utf-8")

    def health(self) -> None:
        """Accepts a report that quotes the current goal state; 410 Gone for another incarnation."""
        quoted = [
            ("GoalStateIncarnation", str(self.server.incarnation), 410),
            ("ContainerId", CONTAINER_ID, 400),
            ("InstanceId", INSTANCE_ID, 400),
        ]
        for element, value, status in quoted:
            if "<%s>%s</%s>" % (element, value, element) not in self.body:
                self.send(status, b"")
                return
        self.server.reports.append(self.body)
        self.send(200, b"")

    def json_health(self) -> None:
        """Accepts a report without ids; strict about its headers and its format."""
        headers = (self.headers.get("Content-Type", ""), "x-ms-guest-agent-name" in self.headers)
        try:
            report = json.loads(self.body)
        except ValueError:
            report = None
        if headers != ("application/json", True) or not is_json_report(report):
            self.send(400, b"")
            return
        self.server.reports.append(self.body)
        self.send(201, b"")

    def send(self, status: int, body: bytes, kind: str = "text/html", **headers: str) -> None:
        """One complete answer."""
        self.note(status)
        if self.late:
            self.server.pause(self.late)
        if self.hangs_up:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def note(self, status: int) -> None:
        """Record the request with its status."""
        body = getattr(self, "body", "")
        self.server.keep(Request(self.command, self.path, dict(self.headers.items()), body, status))

    def raw(self, data: bytes, status: int = 0) -> bool:
        """Send bytes as they are, then close the connection."""
        self.note(status)
        self.close_connection = True
        with suppress(OSError):  # the client has closed it, as intended
            self.wfile.write(data)
        return True

    def log_message(self, format: str, *_: object) -> None:
        """No log on standard error: the requests are recorded."""


def is_json_report(report: object) -> bool:
    """Only Ready, or NotReady with a sub-status and a description."""
    if not isinstance(report, dict):
        return False
    details = report.get("details")
    if report.get("state") == "Ready":
        return details is None
    return (
        report.get("state") == "NotReady"
        and isinstance(details, dict)
        and details.get("subStatus") in ("ProvisioningFailed", "Provisioning")
        and isinstance(details.get("description"), str)
    )
