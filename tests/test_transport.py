"""One HTTP exchange, with peers on loopback that send exactly these bytes; and the number of tries."""

import os
import socket
import time
from contextlib import suppress
from typing import Dict, List, Tuple
from unittest import mock

from azure_provisioning.azure.transport import Peer, Reply, accept, exchange, persist, reach
from azure_provisioning.door.system import System
from azure_provisioning.errors import BadReply, ProvisionError, Unreachable
from tests.guests import Answer, GuestTest, ScriptedPeer, http

HEAD = b"HTTP/1.1 200 OK\r\n"
PATIENCE = 6.0  # seconds on a busy machine, for what takes under one on an idle machine and never ends if broken
ENOUGH = 16 << 20  # bytes; a client that reads more of a flood has no limit (sockets buffer some of it)


def slowly(data: bytes, pause: float = 0.05) -> "Answer":
    """An answer that arrives one byte at a time."""

    def answer(connection: socket.socket) -> None:
        for place in range(len(data)):
            connection.sendall(data[place : place + 1])
            time.sleep(pause)

    return answer


def silent(connection: socket.socket) -> None:
    """An answer that never comes; ends when the client hangs up."""
    connection.recv(1)


class Flood:
    """An endless answer: `head`, then `part` as long as the client reads. Counts the bytes read."""

    def __init__(self, head: bytes, part: bytes) -> None:
        self.head = head
        self.part = part
        self.sent = 0

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(self.head)
        while self.sent < 8 << 30:
            connection.sendall(self.part)
            self.sent += len(self.part)


class ExchangeTest(GuestTest):
    def setUp(self) -> None:
        super().setUp()
        self.plain = System(self.root)  # the wall clock: the timed exchanges are short

    def ask(self, *answers: "Answer", seconds: float = 5.0, body: bytes = b"") -> Reply:
        """Ask a peer with this answer."""
        self.scripted = self.peer(*answers)
        peer = Peer("WireServer", "127.0.0.1", self.scripted.port)
        return exchange(self.plain, peer, "POST /x" if body else "GET /x", {"A-Header": "b"}, body, seconds=seconds)

    def test_request_on_the_wire(self) -> None:
        self.ask(http())
        self.ask_bytes(b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\nA-Header: b\r\n\r\n")
        self.ask(http(), body=b"<a/>")
        self.ask_bytes(
            b"POST /x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\nA-Header: b\r\n"
            b"Content-Length: 4\r\n\r\n<a/>"
        )

    def ask_bytes(self, expected: bytes) -> None:
        self.assertEqual(self.scripted.requests, [expected % self.scripted.port])

    def test_usual_port_is_not_in_host(self) -> None:
        peer = self.peer(http())

        class Elsewhere(System):
            def connect(self, host: str, port: int, seconds: float) -> socket.socket:
                return super().connect("127.0.0.1", peer.port, seconds)

        exchange(Elsewhere(self.root), Peer("IMDS", "192.0.2.7", 80), "GET /", {})
        self.assertIn(b"\r\nHost: 192.0.2.7\r\n", peer.requests[0])

    def test_accepted_answers(self) -> None:
        table = [
            (http(b"body"), 200, b"body"),
            (http(b""), 200, b""),
            (http(b"body") + b"and more than was promised", 200, b"body"),
            (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
            (HEAD + b"\r\nuntil the end", 200, b"until the end"),
            (b"HTTP/1.1 200\r\ncontent-length:4\r\n\r\nbody", 200, b"body"),
            (b"HTTP/1.1 200 \nCONTENT-LENGTH:   4  \n\nbody", 200, b"body"),
            (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\n\r\n", 200, b"body"),
            (
                HEAD + b"Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n000\r\nTrailer: x\r\n\r\n",
                200,
                b"0123456789",
            ),
            (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 200, b"body"),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\nX: y\r\n\r\n" + http(b"body"), 200, b"body"),
            (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, b""),
            (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b""),
            (http(b"gone", "410 Gone"), 410, b"gone"),
            (http(b"", "503 Service Unavailable"), 503, b""),
            (HEAD + b"no colon here\r\nContent-Length: 4\r\n\r\nbody", 200, b"body"),
            (HEAD + b"X: " + b"x" * 60000 + b"\r\nContent-Length: 4\r\n\r\nbody", 200, b"body"),
            (HEAD + b"Content-Length: 4\r\nX: \xff\xfe\0\r\n\r\nb\0\xffy", 200, b"b\0\xffy"),
            (http(b"x" * (1 << 20)), 200, b"x" * (1 << 20)),
        ]
        for answer, status, body in table:
            with self.subTest(answer=answer[:80]):
                reply = self.ask(answer)
                self.assertEqual((reply.status, reply.body), (status, body))

    def test_refused_answers(self) -> None:
        table = {
            b"": "an empty answer",
            b"\r\n\r\n": "not an HTTP answer",
            b"SSH-2.0-OpenSSH_9.6\r\n": "not an HTTP answer",
            b"<html></html>\n": "not an HTTP answer",
            b"HTTP/2 200 OK\r\n\r\n": "not an HTTP answer",
            b"HTTP/1.1 2000 OK\r\n\r\n": "not an HTTP answer",
            b"HTTP/1.1 +20 OK\r\n\r\n": "not an HTTP answer",
            b"HTTP/1.1 20x OK\r\n\r\n": "not an HTTP answer",
            b"HTTP/1.1 000 OK\r\n\r\n": "not an HTTP answer",
            b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n": "",
            b"HTTP/1.1\r\n\r\n": "not an HTTP answer",
            b"HTTP/1.1 200 OK": "the answer ends in its head",
            HEAD: "an empty answer",
            HEAD + b"Content-Length: 4\r\n": "an empty answer",
            HEAD + b"Content-Length: 4\r\n\r\nbod": "3 of 4 bytes of the body arrived",
            HEAD + b"Content-Length: -1\r\n\r\n": "a Content-Length of '-1'",
            HEAD + b"Content-Length: +4\r\n\r\nbody": "a Content-Length of '+4'",
            HEAD + b"Content-Length: 4, 4\r\n\r\nbody": "a Content-Length of '4, 4'",
            HEAD + b"Content-Length: 0x4\r\n\r\nbody": "a Content-Length of '0x4'",
            HEAD + b"Content-Length: \xb2\r\n\r\nbo": "",
            HEAD + b"Content-Length: \r\n\r\nbody": "a Content-Length of ''",
            HEAD + b"Content-Length: " + b"9" * 60000 + b"\r\n\r\n": "a Content-Length of '" + "9" * 40 + "'",
            HEAD + b"Content-Length: 8589934592\r\n\r\nx": "a body of more than 1048576 bytes",
            HEAD + b"Content-Length: 1048577\r\n\r\nx": "a body of more than 1048576 bytes",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n": "an empty answer",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbo": "2 of 4 bytes of the body arrived",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n": "an empty answer",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n-4\r\nbody\r\n": "a chunk size of '-4'",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x4\r\nbody\r\n": "a chunk size of '0x4'",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n\r\nbody\r\n": "a chunk size of ''",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n": "a chunk size of 'fffffffff'",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n": "a body of more than 1048576 bytes",
            b"HTTP/1.1 100 Continue\r\n\r\n": "an empty answer",
        }
        for answer, problem in table.items():
            with self.subTest(answer=answer[:80]), self.assertRaises(BadReply) as caught:
                self.ask(answer)
            self.assertIn(problem, caught.exception.details["problem"], answer[:80])

    def test_floods_are_cut_off(self) -> None:
        part = b"x" * (64 << 10)
        table = {
            "8 GB": Flood(HEAD + b"Content-Length: 8589934592\r\n\r\n", part),
            "chunks": Flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + part + b"\r\n"),
            "until the end": Flood(HEAD + b"\r\n", part),
            "a status line": Flood(b"HTTP/1.1 200 ", part),
            "a header line": Flood(HEAD + b"X: ", part),
            "header lines": Flood(HEAD, b"X: y\r\n" * 8192),
            "a chunk size": Flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n4;", part),
        }
        for name, flood in table.items():
            with self.subTest(name), self.assertRaises(BadReply):
                self.ask(flood)
            self.assertLess(flood.sent, ENOUGH, name)

    def test_endless_interim_answers_use_one_try(self) -> None:
        started = time.monotonic()
        with self.assertRaises(ProvisionError):
            self.ask(Flood(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 512), seconds=0.4)
        self.assertLess(time.monotonic() - started, PATIENCE)

    def test_time_limit_includes_the_whole_answer(self) -> None:
        table = {
            "silence": silent,
            "head drips": slowly(HEAD + b"X: " + b"x" * 1000),
            "body drips": slowly(HEAD + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000, 0.004),
            "end drips": slowly(HEAD + b"\r\n" + b"x" * 1000, 0.004),
            "chunks drip": slowly(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 400, 0.004),
        }
        for name, answer in table.items():
            started = time.monotonic()
            with self.subTest(name), self.assertRaises(Unreachable) as caught:
                self.ask(answer, seconds=0.3)
            took = time.monotonic() - started
            self.assertEqual(caught.exception.reason, "read timeout querying WireServer", name)
            self.assertTrue(0.25 < took < PATIENCE, "%s took %.2f s" % (name, took))

    def test_late_byte_does_not_extend_the_limit(self) -> None:
        def late(connection: socket.socket) -> None:
            time.sleep(0.9)
            connection.sendall(b"H")
            silent(connection)

        started = time.monotonic()
        with self.assertRaises(Unreachable):
            self.ask(late, seconds=1.0)
        self.assertLess(time.monotonic() - started, 1.7)

    def test_peer_that_does_not_read_uses_one_try(self) -> None:
        with socket.socket() as listener:  # only queues the connection
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            peer = Peer("WireServer", "127.0.0.1", listener.getsockname()[1])
            started = time.monotonic()
            with self.assertRaises(Unreachable):
                exchange(self.plain, peer, "POST /", {}, b"x" * (32 << 20), seconds=0.3)
            self.assertLess(time.monotonic() - started, PATIENCE)

    def test_default_time_limit_of_a_try(self) -> None:
        peer = self.peer(silent)
        started = self.system.monotonic()
        with self.assertRaises(Unreachable):
            exchange(self.system, Peer("IMDS", "127.0.0.1", peer.port), "GET /", {})
        took = self.system.monotonic() - started
        self.assertTrue(34.9 < took < 35 + PATIENCE * self.speed, took)

    def test_status_without_its_body(self) -> None:
        """A status other than 2xx counts from its first line, whatever follows, and without a wait."""
        busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n"
        refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 500\r\n\r\n"
        table: "List[Tuple[bytes, int, bytes, str]]" = [
            (busy + b"Content-Length: 500\r\n\r\nhalf", 503, b"half", "7"),
            (busy + b"Transfer-Encoding: chunked\r\n\r\nff\r\nhalf", 503, b"half", "7"),
            (busy + b"Transfer-Encoding: chunked\r\n\r\n2\r\nha\r\n2\r\nlf\r\n0\r\n\r\n", 503, b"half", "7"),
            (busy + b"Content-Length: x\r\n\r\nhalf", 503, b"", "7"),
            (busy + b"X-Cut", 503, b"", "7"),
            (busy, 503, b"", "7"),
            (b"HTTP/1.1 503 Busy\r\n", 503, b"", ""),
            (refusal + b"half", 400, b"half", ""),
            (refusal, 400, b"", ""),
            (refusal.replace(b"500", b"8589934592") + b"x" * 10000, 400, b"", ""),
            (b"HTTP/1.1 404 No\r\n\r\n" + b"x" * 10000, 404, b"x" * 4096, ""),
        ]
        for answer, status, body, retry_after in table:
            with self.subTest(answer=answer[:80]):
                reply = self.ask(answer)
                self.assertEqual((reply.status, reply.body), (status, body))
                self.assertEqual(reply.headers.get("retry-after", ""), retry_after)

        def half_and_open(connection: socket.socket) -> None:
            connection.sendall(refusal + b"half")
            silent(connection)

        def half_and_reset(connection: socket.socket) -> None:
            connection.sendall(refusal + b"half")
            time.sleep(0.1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()

        slow: "List[Answer]" = [half_and_open, half_and_reset, slowly(refusal + b"x" * 500, 0.0), slowly(busy, 0.05)]
        for late in slow:
            started = time.monotonic()
            self.assertIn(self.ask(late, seconds=30.0).status, (400, 503))
            self.assertLess(time.monotonic() - started, 2 + PATIENCE)

    def test_refusal_with_endless_headers(self) -> None:
        for head in (b"HTTP/1.1 500 No\r\n\r\n", b"HTTP/1.1 500 No\r\nX: ", b"HTTP/1.1 500 No\r\n"):
            flood = Flood(head, b"X: y\r\n" * 8192)
            self.assertEqual(self.ask(flood).status, 500)
            self.assertLess(flood.sent, ENOUGH)

    def test_no_server(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]  # bound but not listening: refuses, and no other process gets the port
            peer = Peer("IMDS", "127.0.0.1", port)
            with self.assertRaises(Unreachable) as caught:
                exchange(self.plain, peer, "GET /", {})
            self.assertEqual(caught.exception.reason, "connection error querying IMDS")
            self.assertEqual(caught.exception.details["endpoint"], "127.0.0.1:%d" % port)
            with self.assertRaises(Unreachable) as caught:
                reach(self.plain, peer, 1)
            self.assertEqual(caught.exception.details["error"], "Connection refused")

    def test_connection_is_not_accepted(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            fillers = []
            for _ in range(3):  # a full queue: the kernel drops further connections
                filler = socket.socket()
                self.addCleanup(filler.close)
                filler.setblocking(False)
                filler.connect_ex(address)
                fillers.append(filler)
            started = time.monotonic()
            with self.assertRaises(Unreachable) as caught:
                exchange(self.plain, Peer("IMDS", *address), "GET /", {}, seconds=0.3)
            self.assertEqual(caught.exception.reason, "connection timeout querying IMDS")
            self.assertLess(time.monotonic() - started, PATIENCE)

    def test_reset(self) -> None:
        def reset(connection: socket.socket) -> None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()

        with self.assertRaises(Unreachable) as caught:
            self.ask(reset)
        self.assertEqual(caught.exception.reason, "read error querying WireServer")

    def test_redirect_is_not_followed(self) -> None:
        target = self.peer(http(b"you should not be here"))
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"):
            reply = self.ask(http(b"", status, "Location: http://127.0.0.1:%d/" % target.port))
            self.assertEqual(reply.status, int(status[:3]))
            with self.assertRaises(BadReply):
                accept(reply, Peer("IMDS", "127.0.0.1", 80))
        self.assertEqual(target.connections, 0)

    def test_proxy_is_not_used(self) -> None:
        proxy = self.peer(http(b"from the proxy"))
        url = "http://127.0.0.1:%d" % proxy.port
        names = ("http_proxy", "https_proxy", "all_proxy")
        environment = dict.fromkeys(names + tuple(name.upper() for name in names), url)
        with mock.patch.dict(os.environ, environment):
            os.environ.pop("no_proxy", None)
            os.environ.pop("NO_PROXY", None)
            self.assertEqual(self.ask(http(b"from the peer")).body, b"from the peer")
        self.assertEqual(proxy.connections, 0)

    def test_connections_are_closed(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for answer in (http(), b"nonsense\n", silent):
            with suppress(ProvisionError):
                self.ask(answer, seconds=0.1)
            self.scripted.close()
        deadline = time.monotonic() + 2  # for the peer's threads to close
        while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before)


class VirtualSystem(System):
    """A guest whose time passes only while it sleeps."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.now = 1000.0
        self.slept: "List[float]" = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds


class PersistTest(GuestTest):
    def setUp(self) -> None:
        super().setUp()
        self.virtual = VirtualSystem(self.root)
        self.heard: "List[str]" = []

    def refuse(self, headers: "Dict[str, str]", tries: int) -> None:
        """Ask a peer that answers 503 with these headers `tries` times, and then 200."""
        self.given: "List[float]" = []

        def attempt(seconds: float) -> Reply:
            self.given.append(seconds)
            status = 503 if len(self.given) <= tries else 200
            return accept(Reply(status, "", headers, b""), Peer("IMDS", "127.0.0.1", 80))

        persist(self.virtual, attempt, 1000.0 + 60, lambda error: self.heard.append(str(error)))

    def test_pauses_grow(self) -> None:
        self.refuse({}, 8)
        self.assertEqual(self.virtual.slept, [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0])
        self.assertEqual(self.heard, ["http error 503 querying IMDS (http_code=503)"] * 8)

    def test_tries_end_before_the_limit(self) -> None:
        with self.assertRaises(BadReply) as caught:
            self.refuse({}, 1000)
        self.assertEqual(caught.exception.reason, "http error 503 querying IMDS")
        self.assertTrue(1057 < self.virtual.now < 1060, self.virtual.now)
        self.assertTrue(all(0.5 <= seconds <= 60 for seconds in self.given), self.given)

    def test_short_last_try_is_not_the_reason(self) -> None:
        """An expired half-second limit is not the reason of the failure."""

        def attempt(seconds: float) -> None:
            if seconds < 30:
                self.virtual.now += seconds
                raise Unreachable("read timeout querying IMDS")
            accept(Reply(403, "", {}, b"<b>no\0</b>"), Peer("IMDS", "127.0.0.1", 80))

        with self.assertRaises(BadReply) as caught:
            persist(self.virtual, attempt, 1000.0 + 60, lambda error: None)
        self.assertEqual(caught.exception.reason, "http error 403 querying IMDS")
        self.assertEqual(caught.exception.said, "<b>no?</b>")

    def test_retry_after(self) -> None:
        table = {
            "3": 3.0,
            "0": 0.1,
            "30": 30.0,
            "31": 30.0,
            "86400": 30.0,
            "999999999": 30.0,
            "9" * 5000: 0.1,
            "-5": 0.1,
            "1.5": 0.1,
            "Wed, 21 Oct 2015 07:28:00 GMT": 0.1,
            "": 0.1,
            "soon": 0.1,
            "\xb2": 0.1,
        }
        for value, pause in table.items():
            with self.subTest(value[:40]):
                self.setUp()
                self.refuse({"retry-after": value}, 1)
                self.assertEqual(self.virtual.slept, [pause])

    def test_pauses_grow_despite_retry_after_0(self) -> None:
        """`Retry-After: 0` at every try must not cause a hundred tries in ten seconds."""
        self.refuse({"retry-after": "0"}, 7)
        self.assertEqual(self.virtual.slept, [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])

    def test_other_failures_are_not_tried_again(self) -> None:
        def attempt(_seconds: float) -> None:
            self.heard.append("tried")
            raise ProvisionError("something else")

        with self.assertRaises(ProvisionError):
            persist(self.virtual, attempt, 2000.0, lambda error: None)
        self.assertEqual(self.heard, ["tried"])

    def test_retry_after_from_the_wire(self) -> None:
        peer = self.peer(http(b"", "503 Busy", "Retry-After: 7"), http(b"", "429 Slow", "RETRY-AFTER:8"), http(b"done"))
        system = VirtualSystem(self.root)
        address = Peer("IMDS", "127.0.0.1", peer.port)
        reply = persist(
            system,
            lambda seconds: accept(exchange(system, address, "GET /", {}, seconds=seconds), address),
            system.now + 100,
            lambda error: None,
        )
        self.assertEqual(reply.body, b"done")
        self.assertEqual(system.slept, [7.0, 8.0])


class ScriptedPeerTest(GuestTest):
    def test_peer_counts_connections(self) -> None:
        """The tests above need this to see that no client connected."""
        peer: ScriptedPeer = self.peer(http(b"one"), http(b"two"))
        bodies = [exchange(self.system, Peer("x", "127.0.0.1", peer.port), "GET /", {}).body for _ in range(3)]
        self.assertEqual(bodies, [b"one", b"two", b"two"])
        self.assertEqual(peer.connections, 3)
