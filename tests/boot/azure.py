"""The fake Azure of the lab: IMDS and WireServer as the guest sees them, with a log of every request and its time."""

import base64
import json
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Optional, Tuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from .sealed import IMDS, WIRESERVER, Sealed

# A public key without a private one.
_BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0 " + b"boot lab: a key without a secret"
TEST_KEY = "ssh-ed25519 %s boot-lab" % base64.b64encode(_BLOB).decode()


@dataclass(frozen=True)
class Vm:
    """The data that Azure has about one VM."""

    vm_id: str
    computer: str
    container: str
    instance: str
    incarnation: str = "3"
    generation: int = 1
    user: str = "azureuser"
    ssh_key: str = TEST_KEY
    password: str = ""  # only on the DVD; empty: sshd must refuse passwords

    def uuid(self) -> str:
        """The SMBIOS uuid: generation 1 has the bytes of the first three fields swapped."""
        return str(uuid.UUID(bytes=uuid.UUID(self.vm_id).bytes_le)) if self.generation == 1 else self.vm_id


def vm(number: int, generation: int = 1) -> Vm:
    """The VM with this number, with its own ids and name."""
    return Vm(
        "4e9f6b0%x-1c2d-4a3b-8c5d-6e7f80910a1b" % number,
        "web-%02d" % number,
        "c0ffee0%x-7a6b-4c5d-9e8f-001122334455" % number,
        "d00dfee%x-3b2a-4f1e-8d7c-5544332211aa._web-%02d" % (number, number),
        str(number + 2),
        generation,
    )


@dataclass
class Seen:
    """One request that reached the fake Azure, or a bare connection (no method)."""

    at: float
    to: str
    method: str = ""
    path: str = ""
    body: str = ""
    status: int = 0

    def __str__(self) -> str:
        return "%s %s %s -> %s" % (self.to, self.method or "connection", self.path, self.status or "no answer")


@dataclass
class Azure:
    """IMDS and WireServer for one VM. `before` and `after` are called around each answer, with the request."""

    sealed: Sealed
    vm: Vm
    wireserver: str = WIRESERVER
    before: Callable[[Seen], None] = lambda seen: None
    after: Callable[[Seen], None] = lambda seen: None
    seen: List[Seen] = field(default_factory=list)
    connections: List[Seen] = field(default_factory=list)
    _servers: List[ThreadingHTTPServer] = field(default_factory=list)

    def start(self) -> None:
        """Take the addresses, and answer from now on."""
        self.sealed.hold(IMDS + "/32", WIRESERVER + "/32")
        for to, address in (("imds", IMDS), ("wireserver", self.wireserver)):
            self._servers.append(_serve(self, to, address))

    def stop(self) -> None:
        """Stop answering; the addresses stay, so that a connection is refused."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers.clear()

    def readies(self) -> List[Seen]:
        """The accepted reports of Ready."""
        return [seen for seen in self.seen if _health(seen).get("State") == "Ready" and seen.status == 200]

    def failures(self) -> List[str]:
        """The descriptions of the NotReady reports."""
        reports = [_health(seen) for seen in self.seen]
        return [report.get("Description", "") for report in reports if report.get("State") == "NotReady"]

    def wrong_ids(self) -> List[str]:
        """Wrong ids in any health report, one on each line."""
        machine = self.vm
        want = {
            "ContainerId": machine.container,
            "InstanceId": machine.instance,
            "GoalStateIncarnation": machine.incarnation,
        }
        got = [(tag, _health(seen).get(tag)) for seen in self.seen if "comp=health" in seen.path for tag in want]
        return ["%s is %r" % (tag, value) for tag, value in got if value != want[tag]]

    def answer(self, seen: Seen, headers: Dict[str, str]) -> Tuple[int, str, bytes]:
        """Status, content type and body for one request."""
        if seen.to == "imds":
            if headers.get("metadata", "").lower() != "true":
                return 400, "application/json", b'{"error": "Bad request. Required metadata header not specified"}'
            return _imds(self.vm, seen.path)
        if seen.method == "GET" and "comp=goalstate" in seen.path:
            return 200, "text/xml; charset=utf-8", goal_state(self.vm).encode()
        if seen.method == "GET" and "comp=versions" in seen.path:
            return 200, "text/xml", VERSIONS.encode()
        if seen.method == "GET" and "comp=config" in seen.path:
            return 200, "text/xml", CONFIGS[seen.path.rpartition("type=")[2]].encode()
        if seen.method == "POST" and "comp=health" in seen.path:
            stale = _health(seen).get("GoalStateIncarnation") != self.vm.incarnation
            return (410 if stale else 200), "text/xml", b""
        return 404, "text/plain", b""


def _imds(machine: Vm, path: str) -> Tuple[int, str, bytes]:
    document = instance(machine)
    if path.startswith("/metadata/instance?"):
        return 200, "application/json; charset=utf-8", json.dumps(document).encode()
    # A leaf as text, as the origin's unit requests it.
    leaf: Any = document
    for part in path.partition("?")[0][len("/metadata/instance/") :].split("/"):
        named = leaf if isinstance(leaf, dict) else {str(index): value for index, value in enumerate(leaf or ())}
        leaf = named.get(part)
    if leaf is None:
        return 404, "application/json", b'{"error": "Not found"}'
    return 200, "text/plain; charset=utf-8", (leaf if isinstance(leaf, str) else json.dumps(leaf)).encode()


def instance(machine: Vm) -> Dict[str, Any]:
    """The IMDS document of a VM."""
    return {
        "compute": {
            "azEnvironment": "AzurePublicCloud",
            "customData": "",
            "location": "westeurope",
            "name": machine.computer,
            "osType": "Linux",
            "tags": "",
            "userData": "",
            "vmId": machine.vm_id,
            "osProfile": {
                "adminUsername": machine.user,
                "computerName": machine.computer,
                "disablePasswordAuthentication": "false" if machine.password else "true",
            },
            "publicKeys": [{"keyData": machine.ssh_key, "path": "/home/%s/.ssh/authorized_keys" % machine.user}],
        },
        "extended": {"compute": {"hasCustomData": False, "ppsType": "None"}},
        "network": {
            "interface": [
                {
                    "ipv4": {
                        "ipAddress": [{"privateIpAddress": "10.77.0.10", "publicIpAddress": ""}],
                        "subnet": [{"address": "10.77.0.0", "prefix": "24"}],
                    },
                    "ipv6": {"ipAddress": []},
                    "macAddress": "000D3A000001",
                }
            ]
        },
    }


def goal_state(machine: Vm) -> str:
    """The goal state of a VM, with the CRLF line ends of the real one."""
    text = GOAL_STATE % (machine.incarnation, machine.container, machine.instance)
    return text.replace("\n", "\r\n")


GOAL_STATE = """<?xml version="1.0" encoding="utf-8"?>
<GoalState xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="goalstate10.xsd">
  <Version>2012-11-30</Version>
  <Incarnation>%s</Incarnation>
  <Machine>
    <ExpectedState>Started</ExpectedState>
    <StopRolesDeadlineHint>300000</StopRolesDeadlineHint>
    <ExpectHealthReport>FALSE</ExpectHealthReport>
  </Machine>
  <Container>
    <ContainerId>%s</ContainerId>
    <RoleInstanceList>
      <RoleInstance>
        <InstanceId>%s</InstanceId>
        <State>Started</State>
        <Configuration>
          <HostingEnvironmentConfig>http://168.63.129.16:80/machine?comp=config&amp;type=host</HostingEnvironmentConfig>
          <SharedConfig>http://168.63.129.16:80/machine?comp=config&amp;type=shared</SharedConfig>
        </Configuration>
      </RoleInstance>
    </RoleInstanceList>
  </Container>
</GoalState>
"""


# The documents that the goal state points to. Only the big agents read them, and no more than this.
CONFIGS = {
    "host": """<HostingEnvironmentConfig version="1.0.0.0"><Deployment name="lab" guid="{0}"><Service name="lab"/>
<ServiceInstance name="lab.0"/></Deployment><Incarnation number="1" instance="lab" guid="{0}"/><Role name="lab"/>
</HostingEnvironmentConfig>""",
    "shared": """<SharedConfig version="1.0.0.0"><Deployment name="lab"/></SharedConfig>""",
}

VERSIONS = """<?xml version="1.0" encoding="utf-8"?>
<Versions><Preferred><Version>2015-04-05</Version></Preferred>
<Supported><Version>2015-04-05</Version><Version>2012-11-30</Version></Supported></Versions>
"""


def ovf(machine: Vm) -> str:
    """The ovf-env.xml on the provisioning DVD of a VM."""
    password = "<UserPassword>%s</UserPassword>" % escape(machine.password) if machine.password else ""
    return """<?xml version="1.0" encoding="utf-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure">
<wa:ProvisioningSection><wa:Version>1.0</wa:Version>
<LinuxProvisioningConfigurationSet xmlns="http://schemas.microsoft.com/windowsazure">
<ConfigurationSetType>LinuxProvisioningConfiguration</ConfigurationSetType>
<HostName>%s</HostName><UserName>%s</UserName>%s
<DisableSshPasswordAuthentication>%s</DisableSshPasswordAuthentication>
</LinuxProvisioningConfigurationSet></wa:ProvisioningSection>
<wa:PlatformSettingsSection><wa:Version>1.0</wa:Version>
<PlatformSettings xmlns="http://schemas.microsoft.com/windowsazure"><ProvisionGuestAgent>false</ProvisionGuestAgent>
<PreprovisionedVm>false</PreprovisionedVm></PlatformSettings></wa:PlatformSettingsSection>
</Environment>
""" % (machine.computer, machine.user, password, "false" if machine.password else "true")


def _health(seen: Seen) -> Dict[str, str]:
    if seen.method != "POST" or "comp=health" not in seen.path:
        return {}
    try:
        elements = list(ElementTree.fromstring(seen.body.encode()).iter())
    except ElementTree.ParseError:
        return {"State": "malformed"}
    return {re.sub(r"^\{.*\}", "", element.tag): (element.text or "").strip() for element in elements}


def _serve(azure: Azure, to: str, address: str) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def setup(self) -> None:
            azure.connections.append(Seen(time.monotonic(), to))
            super().setup()

        def respond(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            seen = Seen(time.monotonic(), to, self.command, self.path, self.rfile.read(size).decode("utf-8", "replace"))
            azure.seen.append(seen)
            azure.before(seen)
            status, kind, body = azure.answer(seen, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
            seen.status = status
            azure.after(seen)

        do_GET = do_POST = respond  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        # A killed guest leaves half-open connections. They are no error worth a message.

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    server = Server((address, 80), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = azure.sealed.listen(address, 80)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def requests(azure: Azure, since: Optional[float] = None) -> List[str]:
    """The request log as lines, with seconds since a moment."""
    start = since if since is not None else (azure.seen[0].at if azure.seen else 0.0)
    return ["%7.2f  %s" % (seen.at - start, seen) for seen in azure.seen]
