"""One HTTP exchange over TCP, limited in bytes and in total time; and the rules for retries.

Not `http.client`: its timeout is for each read, so a peer that sends a byte now and then can hold it for ever. It also
needs `email` and `ssl`, which cost every boot 20 ms and which minimal Pythons lack. There is no code to follow a
redirect or to use a proxy.
"""

import socket
from collections import namedtuple

from ..door.system import System
from ..door.text import is_digits
from ..errors import BadReply, ProvisionError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Iterator, Optional, TypeVar

    Answer = TypeVar("Answer")

CONNECT_SECONDS = 5.0
# One exchange, from connecting to the end of the answer. The WireServer closes a connection after about 30 s, and
# cloud-init gives a report 60 s (canonical/cloud-init commit 6f369c09b); IMDS may take 30 s (Azure/azure-init issue
# 63).
ANSWER_SECONDS = 35.0
REPORT_SECONDS = 65.0
STILL_SECONDS = 10.0  # between two messages that there is no answer yet
REST_SECONDS = 2.0  # for the rest of an answer after a status other than 2xx
HEAD_LIMIT = 64 << 10  # bytes
BODY_LIMIT = 1 << 20  # bytes
REFUSAL_LIMIT = 4096  # bytes of the body of an answer with a status other than 2xx
SAID_LIMIT, BEGIN_LIMIT = 200, 40  # characters of an answer: in the log, and in a report
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between tries
LONGEST_RETRY_AFTER = 30.0  # seconds, whatever the peer asks for


class Peer(namedtuple("Peer", "name host port")):
    """A server to talk to: a name for people, an IPv4 address and a port."""

    __slots__ = ()

    name: str
    host: str
    port: int

    def __str__(self) -> str:
        return "%s at %s:%d" % self


class Reply(namedtuple("Reply", "status reason headers body")):
    """An HTTP answer; header names are lower-case."""

    __slots__ = ()

    status: int
    reason: str
    headers: "Dict[str, str]"
    body: bytes


def exchange(
    system: System,
    peer: Peer,
    request: str,
    headers: "Dict[str, str]",
    body: bytes = b"",
    seconds: float = ANSWER_SECONDS,
    *,
    status_only: bool = False,
    still: "Callable[[ProvisionError], None]" = lambda error: None,
) -> Reply:
    """Send `request` ("GET /path") and return the answer, whatever its status, within `seconds`.

    `still` is called now and then while there is no answer.

    With `status_only` the rest of a 2xx after its first line is not read, and cannot spoil it. With another status the
    body is what arrives soon, at most 4 KiB. Raises Unreachable without an answer in time, BadReply if the answer is
    not HTTP or too large.
    """
    ends = system.monotonic() + seconds
    lines = [request + " HTTP/1.1", "Host: %s" % host_header(peer), "Connection: close"]
    lines += ["%s: %s" % item for item in headers.items()]
    if body:
        lines.append("Content-Length: %d" % len(body))
    message = "\r\n".join(lines + ["", ""]).encode("ascii") + body
    try:
        connection = system.connect(peer.host, peer.port, min(seconds, CONNECT_SECONDS))
    except OSError as error:
        raise unreachable("connection", peer, error) from error
    try:
        connection.settimeout(max(0.001, ends - system.monotonic()))
        connection.sendall(message)
        return receive(Stream(system, connection, ends, lambda: still(not_yet(peer))), status_only=status_only)
    except OSError as error:
        raise unreachable("read", peer, error) from error
    except ValueError as error:
        raise BadReply("unusable answer from %s" % peer.name, problem=str(error)) from error
    finally:
        connection.close()


def reach(system: System, peer: Peer, seconds: float) -> None:
    """Return if the peer accepts a TCP connection within `seconds`; raises Unreachable. Sends no request."""
    try:
        system.connect(peer.host, peer.port, min(seconds, CONNECT_SECONDS)).close()
    except OSError as error:
        raise unreachable("connection", peer, error) from error


def accept(reply: Reply, peer: Peer) -> Reply:
    """The reply if its status is 2xx; else raises BadReply."""
    if 200 <= reply.status < 300:
        return reply
    raise BadReply(
        "http error %d querying %s" % (reply.status, peer.name),
        retry_after=parse_retry_after(reply.headers.get("retry-after", "")),
        said=excerpt(reply.body, SAID_LIMIT),
        http_code=reply.status,
    )


def describe(reply: Reply) -> str:
    """An answer that cannot be used, in words: `200 text/html, begins "<html>"`."""
    kind = excerpt(reply.headers.get("content-type", "").partition(";")[0].encode("utf-8"), BEGIN_LIMIT)
    begins = excerpt(reply.body, BEGIN_LIMIT)
    return "%d %s, %s" % (reply.status, kind or "of no type", 'begins "%s"' % begins if begins else "empty")


def excerpt(data: bytes, limit: int) -> str:
    """The first `limit` characters of a text from outside, on one line; unprintable ones become `?`."""
    words = data[: 4 * limit].decode("utf-8", "replace").split()
    return "".join(char if char.isprintable() else "?" for char in " ".join(words)[:limit])


def persist(
    system: System, attempt: "Callable[[float], Answer]", until: float, notice: "Callable[[ProvisionError], None]"
) -> "Answer":
    """Call `attempt` with the seconds that are left until it succeeds; returns its result.

    The pause between tries grows from 0.1 to 2 seconds, and is at least what the peer asked for. `notice` is called for
    each failed try. If the next try would come after `until` (monotonic), raises the last failure. A last try that had
    little time and got no answer does not count: the failure before it says more.
    """
    pause = FIRST_PAUSE
    last: "Optional[ProvisionError]" = None
    while True:
        left = max(0.5, until - system.monotonic())
        try:
            return attempt(left)
        except (Unreachable, BadReply) as error:
            asked = error.retry_after if isinstance(error, BadReply) else None
            wait = max(asked or 0.0, pause)
            if last is None or left >= ANSWER_SECONDS or isinstance(error, BadReply):
                last = error
            if system.monotonic() + wait >= until:
                raise last from error
            notice(error)
            system.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE)


class Stream:
    """What a peer sends, read before one deadline. Reading after it raises OSError (a timeout)."""

    def __init__(
        self, system: System, connection: "socket.socket", ends: float, still: "Callable[[], None]" = lambda: None
    ) -> None:
        self.system = system
        self.connection = connection
        self.ends = ends
        self.still = still  # called after every 10 s without data
        self.rest = b""

    def more(self) -> bytes:
        """The next bytes; empty when the peer has closed the connection."""
        while True:
            left = self.ends - self.system.monotonic()
            if left <= 0:
                raise TimeoutError("the answer is not complete in time")
            self.connection.settimeout(min(left, STILL_SECONDS))
            try:
                return self.connection.recv(64 << 10)
            except socket.timeout:
                if left <= STILL_SECONDS:
                    raise
            self.still()

    def line(self) -> str:
        """One line, without its line end."""
        while b"\n" not in self.rest:
            if len(self.rest) > HEAD_LIMIT:
                raise ValueError("a line of more than %d bytes" % HEAD_LIMIT)
            chunk = self.more()
            if not chunk:
                raise ValueError("the answer ends in its head" if self.rest else "an empty answer")
            self.rest += chunk
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode("latin-1").rstrip("\r")

    def take(self, count: int) -> "Iterator[bytes]":
        """Exactly `count` bytes, in pieces as they arrive."""
        if count > BODY_LIMIT:
            raise ValueError("a body of more than %d bytes" % BODY_LIMIT)
        left = count
        while left:
            chunk = self.rest or self.more()
            if not chunk:
                raise ValueError("%d of %d bytes of the body arrived" % (count - left, count))
            self.rest = chunk[left:]
            left -= len(chunk[:left])
            yield chunk[: len(chunk) - len(self.rest)]

    def all(self) -> "Iterator[bytes]":
        """Everything until the peer closes the connection, in pieces as they arrive."""
        chunk = self.rest or self.more()
        while chunk:
            yield chunk
            chunk = self.more()


def receive(stream: Stream, *, status_only: bool = False) -> Reply:
    """Read one answer, or only the first line of a 2xx with `status_only`.

    Raises ValueError if it is not HTTP (RFC 7230) or too large.
    """
    status = 100
    while 100 <= status < 200:  # interim answers, such as 100 Continue, come before the final one
        version, _, rest = stream.line().partition(" ")
        code, _, reason = rest.strip().partition(" ")
        if not version.startswith("HTTP/1.") or len(code) != 3 or not is_digits(code) or code < "100":
            raise ValueError("not an HTTP answer")
        status = int(code)
        headers: "Dict[str, str]" = {}
        if status >= 300:
            return Reply(status, reason, headers, receive_refusal(stream, headers))
        if status_only and status >= 200:
            return Reply(status, reason, headers, b"")
        read_headers(stream, headers)
    body = bytearray()
    if status != 204:
        for piece in read_body(stream, headers):
            body += piece
            if len(body) > BODY_LIMIT:
                raise ValueError("a body of more than %d bytes" % BODY_LIMIT)
    return Reply(status, reason, headers, bytes(body))


def receive_refusal(stream: Stream, headers: "Dict[str, str]") -> bytes:
    """The part of the body that arrives soon, for a status other than 2xx. The status counts, whatever follows it."""
    stream.ends = min(stream.ends, stream.system.monotonic() + REST_SECONDS)
    body = bytearray()
    try:
        read_headers(stream, headers)
        for piece in read_body(stream, headers):
            body += piece
            if len(body) >= REFUSAL_LIMIT:
                break
    except (OSError, ValueError):
        pass  # cut off, late, or not HTTP: the part that arrived is used
    return bytes(body[:REFUSAL_LIMIT])


def read_headers(stream: Stream, headers: "Dict[str, str]") -> None:
    """Add the header lines up to the empty one to `headers`. Of two with the same name, the last counts."""
    size = 0
    while True:
        line = stream.line()
        size += len(line)
        if size > HEAD_LIMIT:
            raise ValueError("a head of more than %d bytes" % HEAD_LIMIT)
        if not line:
            return
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()


def read_body(stream: Stream, headers: "Dict[str, str]") -> "Iterator[bytes]":
    """The body that these headers announce, in pieces as they arrive. Raises ValueError if it differs."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        yield from read_chunks(stream)
        return
    length = headers.get("content-length")
    if length is None:
        yield from stream.all()
    elif is_digits(length):
        yield from stream.take(int(length))
    else:
        raise ValueError("a Content-Length of %r" % length[:40])


def read_chunks(stream: Stream) -> "Iterator[bytes]":
    """A body in chunked transfer coding; its trailers are not read."""
    while True:
        size = stream.line().partition(";")[0].strip()
        if not size or len(size) > 8 or set(size.lower()) - set("0123456789abcdef"):
            raise ValueError("a chunk size of %r" % size[:40])
        if int(size, 16) == 0:
            return
        yield from stream.take(int(size, 16))
        stream.line()


def parse_retry_after(value: str) -> "Optional[float]":
    """The seconds of a Retry-After header, at most 30. A date is ignored, because the clock may be wrong at boot."""
    if not is_digits(value, 9):
        return None
    return min(float(value), LONGEST_RETRY_AFTER)


def host_header(peer: Peer) -> str:
    """The peer in a Host header: with the port only if it is not 80."""
    return peer.host if peer.port == 80 else "%s:%d" % (peer.host, peer.port)


def not_yet(peer: Peer) -> Unreachable:
    """The message for a peer that takes long."""
    return Unreachable("no answer yet from %s" % peer.name)


def unreachable(stage: str, peer: Peer, error: OSError) -> Unreachable:
    """The error for a connection that failed or broke."""
    slow = isinstance(error, TimeoutError) or "timed out" in str(error)
    return Unreachable(
        "%s %s querying %s" % (stage, "timeout" if slow else "error", peer.name),
        endpoint="%s:%d" % (peer.host, peer.port),
        error=error.strerror or str(error),
    )
