"""Damaged input of every kind: `python3 -m tests.fuzz [MINUTES [SEED]]`, and `--replay TARGET:NUMBER` for one case.

Only the program's own errors are allowed, in bounded time and memory, and data of others must survive an edit. The
target and the number alone determine a case. All files are in a scratch root; nothing is sent.
"""

import argparse
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple
from xml.dom import minidom

from azure_provisioning import config
from azure_provisioning.azure import endpoint, goal_state, imds, json_document, kvp
from azure_provisioning.azure.ovf import NAMESPACE, parse_ovf
from azure_provisioning.azure.transport import ANSWER_SECONDS, BODY_LIMIT, Peer, exchange
from azure_provisioning.console import Console
from azure_provisioning.door.system import System
from azure_provisioning.errors import ProvisionError
from azure_provisioning.guest import account, authorized_keys, dns, hostname, hosts, password, privilege, ssh_key, sshd
from azure_provisioning.guest.accounts import find_account, password_field
from azure_provisioning.guest.sshd_config import settings
from azure_provisioning.image.install.install import install, uninstall
from azure_provisioning.image.rehearse.fake_azure import GOAL_STATE, INSTANCE, KEY, VM_ID
from azure_provisioning.records import SUCCESS, Outcome, Secret
from azure_provisioning.story import status
from azure_provisioning.story.provision import make_profile
from azure_provisioning.story.settled import is_settled
from azure_provisioning.story.state import FOLDER, State
from tests.guests import AZURE_VM, STATE
from tests.server import SCRATCH

CASE_SECONDS = 5.0  # of processor time: a busy machine must not fail, an endless loop must
MEMORY = 512 << 20  # bytes more than at the start
SIZE = 3 << 20  # bytes of an input
SHOWN = 4000  # bytes of a failing input
USER = "azureuser"
PASSWORD = "correct horse battery"


class TooSlow(BaseException):
    """A case exceeded its time. No handler of the program may treat it as an error of its own."""


class Wrong(Exception):
    """The result violates a promise."""


class Target(NamedTuple):
    """Code that reads others' files: good inputs by their paths, and the function that reads them."""

    corpus: Dict[str, bytes]
    words: Tuple[bytes, ...]  # the elements of this format
    run: Callable[["FuzzSystem", str, bytes, random.Random], None]


class FuzzSystem(System):
    """A guest without programs. Its clock moves only when it waits, and its one connection returns the given bytes."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.now = 0.0
        self.connection: Any = None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def connect(self, host: str, port: int, seconds: float) -> Any:
        return self.connection

    def lay(self, path: str, data: bytes) -> None:
        """Write a file, without waiting for the disk."""
        place = self.path(path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(data)


# -- how input is damaged ------------------------------------------------------------------------------------------

ODD = (
    b"", b"\0", b"\n", b"\r\n", b"\r", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\x0b",
    b"\x1c", b" ", b"\t", b":", b"=", b",", b"\"", b"'", b"\\", b"%", b"%s", b"{}", b"/", b"..", b"../../../etc/passwd",
    b"-1", b"0", b"1e400", b"4294967295", b"4294967296", b"18446744073709551616", b"9" * 5000, "\u00b2\u0663".encode(),
    b"NaN", b"null", b"true", b"<", b"&", b"]]>", b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&a;", b"*", b"+", b"!", b"#",
)  # fmt: skip


def damage(data: bytes, words: Tuple[bytes, ...], rng: random.Random) -> bytes:
    """The input with one to eight changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        data = rng.choice(CHANGES)(data, words, rng)[:SIZE]
    return data


def spot(data: bytes, rng: random.Random) -> Tuple[int, int]:
    """A part of the input: usually a small one."""
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((0, 1, 1, 2, 4, 16, 100, len(data))))


def flip(data: bytes, _words: Tuple[bytes, ...], rng: random.Random) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def cut_out(data: bytes, _words: Tuple[bytes, ...], rng: random.Random) -> bytes:
    start, end = spot(data, rng)
    return data[:start] + data[end:]


def put_in(data: bytes, words: Tuple[bytes, ...], rng: random.Random) -> bytes:
    start, end = spot(data, rng)
    return data[:start] + rng.choice(rng.choice((words, ODD)) or ODD) + data[rng.choice((start, end)) :]


def repeat(data: bytes, _words: Tuple[bytes, ...], rng: random.Random) -> bytes:
    start, end = spot(data, rng)
    return (
        data[:start]
        + data[start:end] * min(rng.choice((2, 2, 3, 10, 100, 1000)), SIZE // (end - start + 1))
        + data[end:]
    )


def many(data: bytes, words: Tuple[bytes, ...], rng: random.Random) -> bytes:
    if rng.random() > 0.05:
        return put_in(data, words, rng)
    start, _ = spot(data, rng)
    word = rng.choice(words + ODD)
    return data[:start] + word * min(rng.choice((1000, 30000, 300000)), SIZE // (len(word) + 1)) + data[start:]


def shuffle(data: bytes, _words: Tuple[bytes, ...], rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def swap_words(data: bytes, words: Tuple[bytes, ...], rng: random.Random) -> bytes:
    there = [word for word in words if word in data]
    return data.replace(rng.choice(there), rng.choice(words + ODD), rng.choice((1, -1))) if there else data


def damage_json(data: bytes, words: Tuple[bytes, ...], rng: random.Random) -> bytes:
    """JSON with other values, of other kinds."""
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return put_in(data, words, rng)
    nodes = list(walk(document))
    if nodes:
        holder, key = rng.choice(nodes)
        odd: "List[Any]" = [None, True, 0, -1.5, "", "x" * 70000, [], {}, [[]], {"": {}}, "\ud800", "a\0b", "false"]
        odd += [word.decode("latin-1") for word in ODD] + [document, holder[key]]
        value = rng.choice(odd)
        holder[key] = json.loads(json.dumps(value)) if rng.random() < 0.9 else [value] * 3
    try:
        return json.dumps(document).encode("ascii")
    except (ValueError, RecursionError):  # the document contains itself
        return data


def walk(node: Any) -> "Iterator[Tuple[Any, Any]]":
    """(container, key) of everything in a JSON document."""
    for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield node, key
        yield from walk(node[key])


CHANGES = (flip, cut_out, put_in, repeat, many, shuffle, swap_words, damage_json)


# -- the readers ---------------------------------------------------------------------------------------------------


def check(condition: object, *facts: object) -> None:
    """Raise Wrong with the facts unless the condition holds."""
    if not condition:
        raise Wrong(" ".join("%.500r" % (fact,) for fact in facts))


def run_goal_state(_system: FuzzSystem, _path: str, data: bytes, _rng: random.Random) -> None:
    found = goal_state.parse_goal_state(data)
    for outcome in (SUCCESS, Outcome(data.decode("latin-1"))):
        document = minidom.parseString(goal_state.health_document(found, outcome).encode("utf-8"))
        for name in ("GoalStateIncarnation", "ContainerId", "InstanceId", "State"):
            check(len(document.getElementsByTagName(name)) == 1, name, found)


def run_imds(_system: FuzzSystem, _path: str, data: bytes, _rng: random.Random) -> None:
    compare_json(data)
    profile = make_profile(imds.parse_instance(data), None)
    name, _ = hostname.choose_name(profile.names)
    check(name is None or 0 < len(name) <= 64, name)
    for key in profile.ssh_keys:
        ssh_key.read_keys(key)
    if profile.user:
        account.check_name(profile.user)


def compare_json(data: bytes) -> None:
    """Our parser agrees with the standard library's, within our limits."""

    def refuse(word: str) -> float:
        raise ValueError(word)  # NaN and Infinity are no JSON (RFC 8259, 6)

    answers = []
    for read in (
        lambda: json.loads(data.decode("utf-8-sig"), parse_int=float, parse_constant=refuse),
        lambda: json_document.parse(data),
    ):
        try:
            answers.append(repr(read()))
        except (ValueError, RecursionError) as error:
            if str(error).startswith("more than "):
                return
            answers.append("refused")
    check(answers[0] == answers[1], *answers)


def run_ovf(_system: FuzzSystem, _path: str, data: bytes, _rng: random.Random) -> None:
    try:
        found = parse_ovf(data)
    except ProvisionError as error:
        check(PASSWORD not in str(error), error)
        raise
    shown = found.password.reveal() if found.password else ""
    check(len(shown) < 8 or shown in (found.hostname, found.user) or shown not in repr(found), found)
    make_profile(imds.parse_instance(b'{"compute": {"name": "x"}}'), found)


def run_lease(system: FuzzSystem, path: str, data: bytes, _rng: random.Random) -> None:
    system.lay(path, data)
    found = endpoint.find_endpoint(system)
    check(found is None or [int(part) < 256 for part in found.split(".")] == [True] * 4, found)


def run_state(system: FuzzSystem, path: str, data: bytes, _rng: random.Random) -> None:
    system.lay(path, data)
    is_settled(system)
    found = status.read_status(system)
    json.loads(status.as_json(found))
    status.as_text(found, status.explain_unknown(system))
    config.load(system)
    state = State(system)
    if state.problem:
        state.set_aside(system)
    state.adopt(VM_ID)
    state.facts["ready_at"] = "then"
    state.save(system)
    check(State(system).has("ready_at", VM_ID), data)


def run_manifest(system: FuzzSystem, path: str, data: bytes, _rng: random.Random) -> None:
    system.lay(path, data)
    system.lay("/usr/lib/systemd/systemd", b"")
    os.symlink("/usr/lib/systemd/systemd", system.path("/sbin/init", follow=False))
    is_settled(system)
    install(system, Console(io.StringIO()), b"#!/bin/sh\n")
    uninstall(system)


def run_accounts(system: FuzzSystem, path: str, data: bytes, _rng: random.Random) -> None:
    lay_guest(system, path, data)
    before = {name: set((system.read(name) or b"").split(b"\n")) for name in ACCOUNTS}
    account.ensure_account(system, USER)
    found = find_account(system, USER)
    check(found is not None and system.is_dir(found.home), found)
    for name, lines in before.items():
        there = (system.read(name) or b"").split(b"\n")
        of_groups = [group.encode("ascii") + b":" for group in account.GROUPS]
        gone = [line for line in lines - set(there) if not line.startswith((USER.encode("ascii") + b":", *of_groups))]
        check(not gone, "lines are gone", name, gone)
    check(account.ensure_account(system, USER) == USER + ": already complete", "not complete after the first time")
    password.set_password(system, USER, Secret(PASSWORD))
    check(password.verify_sha512(PASSWORD.encode(), password_field(system, USER)), "the password does not open")


def run_keys(system: FuzzSystem, path: str, data: bytes, _rng: random.Random) -> None:
    lay_guest(system, path, data)
    account.ensure_account(system, USER)
    found = find_account(system, USER)
    assert found is not None
    if path == "the keys":
        authorized_keys.authorize(system, USER, [data.decode("utf-8", "replace")])
    place = authorized_keys.key_file(found, settings(system, USER))
    before = (system.read(place) or b"").split(b"\n")
    authorized_keys.authorize(system, USER, [KEY, KEY])
    there = (system.read(place) or b"").split(b"\n")
    check(set(before) <= set(there), "lines are gone", set(before) - set(there))
    check(b" ".join(there).count(KEY.split()[1].encode()) >= 1, "no key in", place)
    check("0 added" in authorized_keys.authorize(system, USER, [KEY]), "added again", there)


def run_sshd(system: FuzzSystem, path: str, data: bytes, rng: random.Random) -> None:
    lay_guest(system, path, data)
    sshd.set_password_login(system, allowed=rng.random() < 0.5)


def run_lines(system: FuzzSystem, path: str, data: bytes, _rng: random.Random) -> None:
    """Files in which we change a line or two."""
    lay_guest(system, path, data)
    hosts.resolve_own_name(system, "rehearsal", "image")
    hostname.write_name(system, "rehearsal")
    privilege.grant(system, USER)
    system.mounts()
    dns.find_interfaces(system)
    kvp.put_record(data, kvp.KEY, data.decode("latin-1"))


def run_http(system: FuzzSystem, _path: str, data: bytes, rng: random.Random) -> None:
    system.connection = Connection(system, data, rng)
    reply = exchange(system, Peer("IMDS", "127.0.0.1", 80), "GET /", {"Metadata": "true"})
    check(len(reply.body) <= BODY_LIMIT + 1 and 200 <= reply.status <= 999, reply.status, len(reply.body))


class Connection:
    """A peer that sends these bytes, in parts of any size, after any delay, and then closes, breaks or stays silent."""

    def __init__(self, system: FuzzSystem, data: bytes, rng: random.Random) -> None:
        self.system, self.data, self.rng = system, data, rng
        self.timeout = 0.0
        self.size = rng.choice((1, 7, 1000, 1 << 20)) if len(data) < 5000 else 1 << 16
        self.end = rng.choice(("close", "close", "break", "silence"))
        self.pause = rng.choice((0.0, 0.0, 0.0, 0.3, 20.0))

    def settimeout(self, seconds: float) -> None:
        check(0 < seconds <= ANSWER_SECONDS, "a timeout of", seconds)
        self.timeout = seconds

    def sendall(self, data: bytes) -> None:
        if self.rng.random() < 0.02:
            raise BrokenPipeError(32, "Broken pipe")

    def recv(self, size: int) -> bytes:
        check(self.system.now <= ANSWER_SECONDS * 2, "still reading after", self.system.now)
        if self.pause > self.timeout or (not self.data and self.end == "silence"):
            self.system.now += self.timeout
            raise TimeoutError("timed out")
        self.system.now += self.pause
        if not self.data and self.end == "break":
            raise ConnectionResetError(104, "Connection reset by peer")
        part, self.data = self.data[: min(size, self.size)], self.data[min(size, self.size) :]
        return part

    def close(self) -> None:
        """Does nothing."""


# -- the targets and their inputs ----------------------------------------------------------------------------------

ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid")
GUEST = {
    "/etc/gshadow": "root:*::\nsudo:*::\n",
    "/etc/subuid": "other:100000:65536\n",
    "/etc/login.defs": "UID_MIN 1000\nUID_MAX 60000\nHOME_MODE 0700\nSUB_UID_COUNT 65536\n",
    "/etc/shells": "/bin/sh\n",
    "/etc/skel/.profile": "# profile\n",
    "/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nAuthorizedKeysFile .ssh/authorized_keys\n"
    "Match user x\n\tPasswordAuthentication no\nMatch all\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
    "/etc/rc.conf": 'HOSTNAME="image"\n',
    "/proc/net/route": "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
    "/proc/self/mountinfo": "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:5 / /a\\040b rw shared:1 - tmpfs none rw\n",
    "/home/azureuser/.ssh/authorized_keys": 'command="x",no-pty ' + KEY[:20] + " broken\n# a comment\n",
}
GUEST = dict(AZURE_VM, **GUEST)


def lay_guest(system: FuzzSystem, path: str, data: bytes) -> None:
    """A whole small guest, with one file replaced."""
    for name, text in GUEST.items():
        system.lay(name, text.encode("utf-8"))
        if "bin/" in name:
            os.chmod(system.path(name), 0o755)
    if path.startswith("/"):
        system.lay(path, data)


def words(text: bytes) -> "Tuple[bytes, ...]":
    """The words between the bars."""
    return tuple(text.split(b"|"))


def of_guest(*paths: str) -> "Dict[str, bytes]":
    """Files of the guest, as a corpus."""
    return {path: GUEST[path].encode("utf-8") for path in paths}


OVF = """<?xml version="1.0" encoding="utf-8"?>
<ns0:Environment xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1" xmlns:ns1="%s"><ns1:ProvisioningSection>
<ns1:LinuxProvisioningConfigurationSet><ns1:HostName>vm</ns1:HostName><ns1:UserName>azureuser</ns1:UserName>
<ns1:UserPassword>%s</ns1:UserPassword><ns1:CustomData>I2Nsb3VkLWNvbmZpZwo=</ns1:CustomData><ns1:SSH><ns1:PublicKeys>
<ns1:PublicKey><ns1:Value>%s</ns1:Value></ns1:PublicKey></ns1:PublicKeys></ns1:SSH>
<ns1:DisableSshPasswordAuthentication>true</ns1:DisableSshPasswordAuthentication></ns1:LinuxProvisioningConfigurationSet>
</ns1:ProvisioningSection><ns1:PlatformSettingsSection><ns1:PlatformSettings><ns1:PreprovisionedVm>false
</ns1:PreprovisionedVm></ns1:PlatformSettings></ns1:PlatformSettingsSection></ns0:Environment>
""" % (NAMESPACE, PASSWORD, KEY)
DHCLIENT = b"""lease {
  interface "eth0";
  option unknown-245 a8:3f:81:10;
  option host-name "a\\"b";
  expire 3 2099/12/31 23:59:59;
}
lease { option unknown-245 "bL6 "; expire epoch 4102444800; } # 2100
"""
LEASES = {
    "/run/systemd/netif/leases/2": b"ADDRESS=10.0.0.4\nOPTION_245=a83f8110\n",
    "/var/lib/dhcp/dhclient.eth0.leases": DHCLIENT,
    "/var/lib/dhcpcd/eth0.lease": b"\2\1\6\0" + b"\0" * 232 + endpoint.COOKIE + b"5\1\5\xf5\4\xa8\x3f\x81\x10\xff",
    "/var/lib/wicked/lease-eth0-dhcp-ipv4.xml": b"<lease><unknown-245><code>245</code><data>a8:3f:81:10</data>"
    b"</unknown-245></lease>\n",
}
STATES = (
    b"vm_id=%s\nstep.hosts=ok 0.001\nstep.x=warning 1.5\nconfigured_at=2026-01-01T00:00:00Z\nready_at=then\n"
    % (VM_ID.encode("ascii"))
    + b"error_reason=x\nerror.path=/etc\nprevious_vm_id=y\n"
)
MANIFEST = b"init=systemd\nprogram=/usr/local/sbin/azure-provisioning\npython=/usr/bin/python3\nfolder=/etc/systemd\n"
HTTP = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nRetry-After: 3\r\n\r\nhello",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "close": b"HTTP/1.0 410 Gone\r\nServer: x\r\n\r\neverything until the end",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
}
XML = words(
    b'<|>|</|/>|<!--|-->|<![CDATA[|]]>|<?xml |?>|&lt;|&#0;|&#x1F600;| xmlns="urn:x"|<GoalState>|'
    b"</GoalState>|<Container>|<RoleInstance>|<InstanceId>|utf-8|utf-16|no-such|ns1:HostName|"
    b"ns1:UserPassword|ns1:CustomData|Incarnation"
)
FIELDS = words(
    b":|root|azureuser|azureuser:x:1000:1000::/home/azureuser:/bin/sh\n|x|1000|0|sudo|60000|"
    b"+::::::\n|/home/azureuser|/bin/sh|azureuser:!:::\n|\n|azureuser:*:1:0:::::\n|SUB_UID_MIN|"
    b"UID_MIN 1\n|UID_MAX 1000\n|HOME_MODE 7777\n|/etc|/|/proc/.."
)
SETTINGS = words(
    b'Include |Match |/etc/ssh/*|*|[|?|"|PasswordAuthentication |yes|no|AuthorizedKeysFile |%h|%u|'
    b"%%|none|/etc/ssh/sshd_config|#|all"
)
LINES = words(
    b"127.0.1.1|image|rehearsal|hosts:|myhostname|HOSTNAME=|export |#includedir|"
    b"@includedir /etc/sudoers.d|\\040| - |00000000|\t|localhost|::1"
)

TARGETS: "Dict[str, Target]" = {
    "goal-state": Target(
        {"": GOAL_STATE.encode() % {b"incarnation": b"1", b"container_id": b"c", b"instance_id": b"i"}},
        XML,
        run_goal_state,
    ),
    "imds": Target({"": json.dumps(INSTANCE).encode()}, words(b'"|{|}|[|compute|osProfile|\\ud800'), run_imds),
    "ovf": Target({"": OVF.encode()}, XML, run_ovf),
    "leases": Target(
        LEASES,
        words(b'OPTION_245=|option unknown-245 |{|}|;|"|\\377|expire |epoch|<data>|\xf5|\xff|\0|\x63\x82\x53\x63'),
        run_lease,
    ),
    "state": Target(
        {STATE: STATES, config.PATH: b"deadline = 300\nevery_boot = no\n# x\nimds = 127.0.0.1:80\n"},
        words(b"=|\n|vm_id|step.|error_|ready_at|ok 1|deadline|yes"),
        run_state,
    ),
    "manifest": Target(
        {FOLDER + "/install": MANIFEST},
        words(b"=|\n|link=|folder=|program=|/etc/hostname|/..|/etc|python="),
        run_manifest,
    ),
    "accounts": Target(of_guest(*ACCOUNTS, "/etc/login.defs", "/etc/shells"), FIELDS, run_accounts),
    "keys": Target(
        dict(of_guest("/home/azureuser/.ssh/authorized_keys", "/etc/ssh/sshd_config"), **{"the keys": KEY.encode()}),
        SETTINGS + tuple(KEY.encode().split()),
        run_keys,
    ),
    "sshd": Target(of_guest("/etc/ssh/sshd_config"), SETTINGS, run_sshd),
    "lines": Target(
        of_guest(
            "/etc/hosts",
            "/etc/hostname",
            "/etc/sudoers",
            "/etc/nsswitch.conf",
            "/etc/rc.conf",
            "/proc/net/route",
            "/proc/self/mountinfo",
        ),
        LINES,
        run_lines,
    ),
    "http": Target(
        HTTP,
        words(
            b"\r\n|\n|Content-Length: |Transfer-Encoding: chunked|HTTP/1.1 |chunked|0\r\n|FFFFFFFF|100|200|"
            b"204|:|Retry-After: "
        ),
        run_http,
    ),
}


# -- one case, and many --------------------------------------------------------------------------------------------


def make_case(name: str, number: int) -> "Tuple[str, bytes, random.Random]":
    """(the path, the damaged input, other random choices) of a case."""
    rng = random.Random("%s:%d" % (name, number))
    target = TARGETS[name]
    path = rng.choice(sorted(target.corpus))
    return path, damage(target.corpus[path], target.words, rng), rng


def run_case(name: str, number: int, scratch: str) -> str:
    """Run one case: "" if it was accepted, the reason of the program's own error, or "FAILED" with a traceback."""
    path, data, rng = make_case(name, number)
    root = os.path.join(scratch, "root")
    os.makedirs(os.path.join(root, "etc"))
    os.makedirs(os.path.join(root, "sbin"))
    os.makedirs(os.path.join(root, "usr"))
    signal.setitimer(signal.ITIMER_PROF, CASE_SECONDS)
    try:
        TARGETS[name].run(FuzzSystem(root), path, data, rng)
    except ProvisionError as error:
        return error.reason
    except (Exception, TooSlow):  # noqa: BLE001 # whatever else comes out is what we look for
        return "FAILED\n" + traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        shutil.rmtree(root)
    return ""


def too_slow(*_: object) -> None:
    raise TooSlow("more than %d s" % CASE_SECONDS)


def run(seed: int, ends: Callable[[int], bool]) -> int:
    """Case after case of all targets until it `ends`; the exit code. Prints the figures."""
    started = time.monotonic()
    tried, refused, failed = 0, 0, 0
    slowest = (0.0, "")
    scratch = tempfile.mkdtemp(prefix="azure-provisioning-fuzz-", dir=SCRATCH)
    try:
        while not ends(tried):
            for name in TARGETS:
                number = seed * 1000000007 + tried
                before = time.monotonic()
                result = run_case(name, number, scratch)
                slowest = max(slowest, (time.monotonic() - before, "%s:%d" % (name, number)))
                tried += 1
                refused += bool(result)
                if result.startswith("FAILED"):
                    failed += 1
                    show(name, number, result)
    finally:
        shutil.rmtree(scratch)
    figures = (time.monotonic() - started, len(TARGETS), tried, refused, slowest[1], slowest[0] * 1000)
    print("%.0f s: %d targets, %d inputs, %d of them refused; the slowest, %s, took %d ms" % figures)
    print("%d passed, %d failed" % (tried - failed, failed))
    return 1 if failed or not tried else 0


def show(name: str, number: int, result: str) -> None:
    """A failed case: how to replay it, its input, and the result."""
    path, data, _ = make_case(name, number)
    print("python3 -m tests.fuzz --replay %s:%d" % (name, number))
    print("input%s, %d bytes: %r%s" % (" " + path, len(data), data[:SHOWN], "..." if len(data) > SHOWN else ""))
    print(result, flush=True)


def replay(text: str) -> int:
    """Run one case again."""
    name, _, number = text.partition(":")
    scratch = tempfile.mkdtemp(prefix="azure-provisioning-fuzz-", dir=SCRATCH)
    try:
        result = run_case(name, int(number), scratch)
    finally:
        shutil.rmtree(scratch)
    show(name, int(number), result or "taken")
    return 1 if result.startswith("FAILED") else 0


def bound_memory() -> None:
    """If a case needs more than MEMORY in addition, Python raises MemoryError: a failed case."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, hard))


def main(argv: Optional[List[str]] = None) -> int:
    """Exit code 0 if only errors of the program's own occurred."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.fuzz", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("minutes", nargs="?", type=float, default=1.0)
    parser.add_argument("seed", nargs="?", type=int, default=None, help="default: another each time, printed")
    parser.add_argument("--cases", type=int, help="so many inputs, instead of minutes")
    parser.add_argument("--replay", metavar="TARGET:NUMBER")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGPROF, too_slow)
    bound_memory()
    if arguments.replay:
        return replay(arguments.replay)
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 20)
    print("seed %d" % seed)
    if arguments.cases:
        return run(seed, lambda tried: tried >= arguments.cases)
    ends = time.monotonic() + arguments.minutes * 60
    return run(seed, lambda _: time.monotonic() >= ends)


if __name__ == "__main__":
    sys.exit(main())
