"""Goal states, good and bad; the bytes of the report; and the order of endpoints when they disagree."""

import socket
import time
from typing import List, Tuple, Union
from xml.dom import minidom

from azure_provisioning.azure.goal_state import health_document, parse_goal_state
from azure_provisioning.azure.report import report_health
from azure_provisioning.azure.transport import Peer
from azure_provisioning.errors import BadReply, ProvisionError
from azure_provisioning.image.rehearse.fake_azure import CONTAINER_ID, GOAL_STATE, INSTANCE_ID, FakeAzure
from azure_provisioning.records import SUCCESS, GoalState, Outcome
from tests.guests import Answer, GuestTest, asked, http

PLAIN = GOAL_STATE % {"incarnation": 7, "container_id": CONTAINER_ID, "instance_id": INSTANCE_ID}
RIGHT = GoalState("7", CONTAINER_ID, INSTANCE_ID)


def small(incarnation: str = "7", container: str = "c", roles: str = "") -> str:
    """A goal state with only the required values."""
    roles = roles or "<RoleInstance><InstanceId>i</InstanceId></RoleInstance>"
    return (
        "<GoalState><Incarnation>%s</Incarnation><Container><ContainerId>%s</ContainerId><RoleInstanceList>%s"
        "</RoleInstanceList></Container></GoalState>" % (incarnation, container, roles)
    )


def open_for_ever(data: bytes) -> Answer:
    """An answer after which the connection stays open until the client closes it."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.recv(1)

    return answer


def role(instance_id: str) -> str:
    return "<RoleInstance><InstanceId>%s</InstanceId><State>Started</State></RoleInstance>" % instance_id


class ParseTest(GuestTest):
    def test_understood(self) -> None:
        many = "".join(role("i%d" % number) for number in range(3000))
        table: "List[Tuple[Union[bytes, str], GoalState]]" = [
            (PLAIN.encode("ascii"), RIGHT),
            (b"\xef\xbb\xbf" + PLAIN.encode("ascii"), RIGHT),
            (PLAIN.replace('encoding="utf-8"', 'encoding="utf-16"').encode("utf-16"), RIGHT),
            (PLAIN.replace("<GoalState ", '<GoalState xmlns="urn:x" ').encode("ascii"), RIGHT),
            (
                PLAIN.replace("Incarnation>", "a:Incarnation>").replace("<GoalState ", '<GoalState xmlns:a="urn:x" '),
                RIGHT,
            ),
            (
                PLAIN.replace(
                    "<Container>", "<Container><RemoteAccessInfo><ContainerId>x</ContainerId></RemoteAccessInfo>"
                ),
                RIGHT,
            ),
            (PLAIN.replace("<Machine>", "<Machine><Incarnation>99</Incarnation>"), RIGHT),
            (small(" \r\n 7\t", "\n c \n", role("  i\r\n")), GoalState("7", "c", "i")),
            (small(roles=role("first") + role("second")), GoalState("7", "c", "first")),
            (small(roles=many), GoalState("7", "c", "i0")),
            (
                small(roles="<RoleInstance><InstanceId>a</InstanceId><InstanceId>b</InstanceId></RoleInstance>"),
                GoalState("7", "c", "a"),
            ),
            (small(container="<![CDATA[c&<d]]>"), GoalState("7", "c&<d", "i")),
            (small(container="a<!-- not this -->b<?nor this?>c"), GoalState("7", "abc", "i")),
            (small(container="a&amp;b&#228;&lt;"), GoalState("7", "a&b\xe4<", "i")),
            (small(incarnation="18446744073709551616"), GoalState("18446744073709551616", "c", "i")),
            (small(incarnation="0"), GoalState("0", "c", "i")),
            (small(roles=role("_.-" + "x" * 509)), GoalState("7", "c", "_.-" + "x" * 509)),
            ("<!-- first a comment -->" + small() + "\n\n<!-- and a last one -->\n", GoalState("7", "c", "i")),
        ]
        for document, expected in table:
            data = document if isinstance(document, bytes) else document.encode("utf-8")
            with self.subTest(data[:200]):
                self.assertEqual(parse_goal_state(data), expected)

    def test_refused(self) -> None:
        bomb = "<!DOCTYPE a [<!ENTITY a0 'ha'>%s]>" % "".join(
            "<!ENTITY a%d '%s'>" % (number, ("&a%d;" % (number - 1)) * 10) for number in range(1, 12)
        )
        deep = "<a>" * 100000
        table = [
            ("", ""),
            (" ", ""),
            ("\0" * 100, ""),
            ("{}", ""),
            ("<html><body>log in</body></html>", "no usable Incarnation"),
            ("<GoalState/>", "no usable Incarnation"),
            (PLAIN[:-10], ""),
            (PLAIN[: len(PLAIN) // 2], ""),
            (PLAIN + "\0", ""),
            ("\n" + PLAIN, ""),
            (PLAIN + PLAIN, ""),
            (PLAIN.replace("RoleInstance>", "Other>"), "no usable InstanceId"),
            (PLAIN.replace(CONTAINER_ID, ""), "no usable ContainerId"),
            (PLAIN.replace(CONTAINER_ID, " \r\n\t "), "no usable ContainerId"),
            (PLAIN.replace(CONTAINER_ID, "<!-- c -->"), "no usable ContainerId"),
            (
                PLAIN.replace("<ContainerId>", "<ContainerID>").replace("</ContainerId>", "</ContainerID>"),
                "no usable ContainerId",
            ),
            (PLAIN.replace(CONTAINER_ID, "<b>%s</b>" % CONTAINER_ID), "no usable ContainerId"),
            (PLAIN.replace("<Incarnation>7</Incarnation>", ""), "no usable Incarnation"),
            (PLAIN.replace("<Incarnation>7</Incarnation>", "<Incarnation/>"), "no usable Incarnation"),
            (small(roles=role("") + role("second")), "no usable InstanceId"),
            (small(roles="<RoleInstance/>" + role("second")), "no usable InstanceId"),
            (small(container="x" * 513), "no usable ContainerId"),
            (small(container="x" * 1000000), "no usable ContainerId"),
            (small(container="&undefined;"), ""),
            (small(container="&#0;"), ""),
            (small(container="a\x01b"), ""),
            ("<!DOCTYPE GoalState>" + small(), "it has a document type"),
            ('<!DOCTYPE GoalState SYSTEM "http://127.0.0.1:1/x">' + small(), "it has a document type"),
            (
                "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + small(container="&x;"),
                "it has a document type",
            ),
            (bomb + small(container="&a11;"), "it has a document type"),
            (deep, ""),
            (deep + "</a>" * 100000, "no usable Incarnation"),
            (small(container=deep + "</a>" * 100000), "no usable ContainerId"),
            ('<?xml version="1.0" encoding="no-such-one"?>' + small(), "unknown encoding"),
            ('<?xml version="1.0" encoding="utf-7"?>' + small(), ""),
            ('<?xml version="1.0" encoding="hex"?>' + small(), ""),
            ('<?xml version="1.0" encoding="idna"?>' + small(), ""),
        ]
        for document, problem in table:
            started = time.monotonic()
            with self.subTest(document[:200]), self.assertRaises(BadReply) as caught:
                parse_goal_state(document.encode("utf-8"))
            self.assertEqual(caught.exception.reason, "unusable goal state")
            self.assertIn(problem, caught.exception.details["problem"])
            self.assertLess(time.monotonic() - started, 5, document[:200])
        with self.assertRaises(BadReply):
            parse_goal_state(small(container="\xe4").encode("latin-1"))


class DocumentTest(GuestTest):
    def test_ready(self) -> None:
        self.assertEqual(
            health_document(GoalState("7", "c", "i"), SUCCESS),
            "<Health><GoalStateIncarnation>7</GoalStateIncarnation><Container><ContainerId>c</ContainerId>"
            "<RoleInstanceList><Role><InstanceId>i</InstanceId><Health><State>Ready</State></Health></Role>"
            "</RoleInstanceList></Container></Health>",
        )

    def test_not_ready(self) -> None:
        self.assertIn(
            "<Health><State>NotReady</State><Details><SubStatus>ProvisioningFailed</SubStatus>"
            "<Description>a &lt;b&gt; &amp; c</Description></Details></Health>",
            health_document(GoalState("7", "c", "i"), Outcome("a <b> & c")),
        )
        self.assertIn("<State>NotReady</State>", health_document(GoalState("7", "c", "i"), Outcome("")))  # empty text

    def description(self, problem: str) -> str:
        """The description of a report, as an XML parser reads its bytes."""
        document = health_document(GoalState("1", "c", "i"), Outcome(problem)).encode("utf-8")
        parsed = minidom.parseString(document)
        return "".join(str(child.nodeValue) for child in parsed.getElementsByTagName("Description")[0].childNodes)

    def test_description_is_cut_to_512_before_escaping(self) -> None:
        for char in ("x", "&", "<", ">", "]", "\xe4", "\U0001f600"):
            self.assertEqual(self.description(char * 5000), char * 512)
            self.assertEqual(self.description(char * 512), char * 512)
        longest = health_document(GoalState("1", "c", "i"), Outcome("&" * 600))
        self.assertEqual(longest.count("&amp;"), 512)

    def test_characters_invalid_in_xml(self) -> None:
        self.assertEqual(self.description("a\0b\x01c\x1bd\ud800e\udfff\ufffe\uffff\x7f"), "a?b?c?d?e???\x7f")
        self.assertEqual(self.description("tab\tline\nend"), "tab\tline\nend")
        self.assertEqual(self.description("]]> -- <![CDATA["), "]]> -- <![CDATA[")

    def test_ids_are_escaped(self) -> None:
        document = health_document(GoalState("<1>", "a&b", "</Role>"), SUCCESS)
        self.assertIn("<GoalStateIncarnation>&lt;1&gt;<", document)
        self.assertIn("<ContainerId>a&amp;b<", document)
        self.assertIn("<InstanceId>&lt;/Role&gt;<", document)


class ReportTest(GuestTest):
    def report(self, *peers: Peer, outcome: Outcome = SUCCESS, seconds: float = 600.0, protocol: str = "auto") -> None:
        """Report, and keep all messages in `self.said`."""
        self.said: "List[str]" = []
        self.heard: "List[ProvisionError]" = []
        until = self.system.monotonic() + seconds
        report_health(self.system, lambda: peers, outcome, until, self.said.append, self.heard.append, protocol)

    def dead(self) -> Peer:
        """An address that refuses connections, until the test ends."""
        holder = socket.socket()
        self.addCleanup(holder.close)
        holder.bind(("127.0.0.1", 0))
        return Peer("WireServer", "127.0.0.1", holder.getsockname()[1])

    def at(self, azure: FakeAzure) -> Peer:
        return Peer("WireServer", "127.0.0.1", azure.server_address[1])

    def test_bytes_on_the_wire(self) -> None:
        goal_state = http(small(container="a&amp;b").encode("ascii"))
        peer = self.peer(goal_state, http(b"", "201 Created"))
        self.report(Peer("WireServer", "127.0.0.1", peer.port))
        host = b"Host: 127.0.0.1:%d\r\nConnection: close\r\n" % peer.port
        body = (
            b"<Health><GoalStateIncarnation>7</GoalStateIncarnation><Container><ContainerId>a&amp;b</ContainerId>"
            b"<RoleInstanceList><Role><InstanceId>i</InstanceId><Health><State>Ready</State></Health></Role>"
            b"</RoleInstanceList></Container></Health>"
        )
        self.assertEqual(
            peer.requests,
            [
                b"GET /machine?comp=goalstate HTTP/1.1\r\n" + host + b"x-ms-version: 2012-11-30\r\n\r\n",
                b"POST /machine?comp=health HTTP/1.1\r\n"
                + host
                + b"x-ms-version: 2012-11-30\r\nx-ms-agent-name: azure-provisioning\r\n"
                + b"Content-Type: text/xml;charset=utf-8\r\nContent-Length: %d\r\n\r\n" % len(body)
                + body,
            ],
        )

    def test_ids_and_response_are_logged(self) -> None:
        azure = self.azure()
        self.report(self.at(azure))
        self.assertEqual(self.said, ["ContainerId: " + CONTAINER_ID, "InstanceId: " + INSTANCE_ID, "Response: 200 OK"])

    def test_stale_incarnation_is_fetched_again(self) -> None:
        azure = self.azure("report-stale")
        self.report(self.at(azure))
        self.assertEqual(asked(azure), ("goalstate 200", "health 410", "goalstate 200", "health 200"))
        self.assertIn("<GoalStateIncarnation>1<", azure.requests[1].body)
        self.assertIn("<GoalStateIncarnation>2<", azure.requests[3].body)

    def test_every_status_but_2xx_is_tried_again(self) -> None:
        for status in ("199 x", "300 x", "302 Found", "400 x", "401 x", "403 x", "404 x", "410 Gone", "429 x", "500 x"):
            with self.subTest(status):
                goal_state = http(small().encode("ascii"))
                first = http(b"", status) if status[0] != "1" else http(b"", status) + http(b"", "503 x")
                peer = self.peer(goal_state, first, goal_state, http())
                self.report(Peer("WireServer", "127.0.0.1", peer.port))
                self.assertEqual(len(peer.requests), 4)
                self.assertEqual(len(self.heard), 1)

    def test_accepted_statuses(self) -> None:
        for status in ("200 OK", "201 Created", "202 Accepted", "204 No Content", "299 x"):
            peer = self.peer(http(small().encode("ascii")), http(b"", status))
            self.report(Peer("WireServer", "127.0.0.1", peer.port))
            self.assertEqual(len(peer.requests), 2, status)

    def test_accepted_status_counts_with_a_broken_body(self) -> None:
        """Azure has answered 2xx: another report would be a second Ready of the same boot."""
        head = b"HTTP/1.1 200 OK\r\n"
        table = {
            "cut off in its body": head + b"Content-Length: 100\r\n\r\nhalf",
            "cut off in its head": head + b"Content-",
            "a senseless length": head + b"Content-Length: x\r\n\r\n",
            "too long": head + b"Content-Length: 8589934592\r\n\r\n" + b"x" * 4096,
            "kept open, without a length": open_for_ever(head + b"Connection: keep-alive\r\n\r\n"),
        }
        for name, answer in table.items():
            for protocol in ("goalstate", "json"):
                with self.subTest(name, protocol=protocol):
                    answers = [http(small().encode("ascii"))] * (protocol == "goalstate") + [answer]
                    peer = self.peer(*answers)
                    self.report(Peer("WireServer", "127.0.0.1", peer.port), protocol=protocol)
                    self.assertEqual(len(peer.requests), len(answers))
                    self.assertEqual(self.heard, [])

    def test_peers_are_tried_in_turn(self) -> None:
        dead, azure = self.peer(b""), self.azure("goal-state-not-yet")
        self.report(Peer("WireServer", "127.0.0.1", dead.port), self.at(azure))
        self.assertEqual(len(dead.requests), 3)
        self.assertEqual(asked(azure), ("goalstate 503", "goalstate 503", "goalstate 200", "health 200"))

    def test_goal_state_and_report_have_separate_time_limits(self) -> None:
        """The WireServer may take half a minute for each; but nothing exceeds the deadline."""
        azure = self.azure("goal-state-slow", "report-slow")
        self.report(self.at(azure), seconds=70.0)
        self.assertEqual(asked(azure), ("goalstate 200", "health 200"))
        self.assertEqual(len(azure.reports), 1)
        azure = self.azure("goal-state-silent")
        before = self.system.monotonic()
        with self.assertRaises(ProvisionError):
            self.report(self.at(azure), seconds=10.0)
        self.assertLess(self.system.monotonic() - before, 30)

    def test_slow_report_is_sent_once(self) -> None:
        for fault in ("report-slow", "report-late"):
            with self.subTest(fault):
                azure = self.azure(fault)
                self.report(self.at(azure))
                self.assertEqual((asked(azure), len(azure.reports)), (("goalstate 200", "health 200"), 1))

    def test_dripping_report_is_bounded(self) -> None:
        azure = self.azure("report-drips")
        before = self.system.monotonic()
        self.report(self.at(azure))
        self.assertEqual(asked(azure), ("goalstate 200", "health 0", "goalstate 200", "health 200"))
        self.assertTrue(64 < self.system.monotonic() - before < 90)

    def test_refusal_without_a_body_is_used(self) -> None:
        """Also if the goal state is refused: its Retry-After is respected, and its text is reported."""
        for fault in ("goal-state-busy", "report-busy"):
            with self.subTest(fault):
                azure = self.azure(fault)
                self.report(self.at(azure))
                self.assertEqual(len(azure.reports), 1)
                (error,) = self.heard
                assert isinstance(error, BadReply)
                self.assertEqual((error.reason, error.retry_after), ("http error 503 querying WireServer", 1.0))
                self.assertEqual(error.said, "<html>")

    def test_most_relevant_failure_is_reported(self) -> None:
        """Not the error of the JSON endpoint, which was used last; nor the error of an address without a server."""
        azure = self.azure("wireserver-forbidden")
        with self.assertRaises(ProvisionError) as caught:
            self.report(self.at(azure), seconds=20.0, protocol="goalstate")
        self.assertEqual(caught.exception.reason, "http error 403 querying WireServer")
        for faults in (("report-refused", "json-health-refused"), ("wireserver-forbidden",)):
            azure = self.azure(*faults)
            for peers in ((self.at(azure),), (self.at(azure), self.dead()), (self.dead(), self.at(azure))):
                with self.assertRaises(ProvisionError) as caught:
                    self.report(*peers, seconds=30.0)
                self.assertEqual(caught.exception.reason, "http error 403 querying WireServer")
        with self.assertRaises(ProvisionError) as caught:
            self.report(self.at(self.azure("json-health-refused")), seconds=10.0, protocol="json")
        self.assertEqual(caught.exception.reason, "http error 404 querying WireServer")

    def test_gives_up_at_the_deadline(self) -> None:
        azure = self.azure("report-refused", "json-health-refused")
        before = self.system.monotonic()
        with self.assertRaises(ProvisionError) as caught:
            self.report(self.at(azure), seconds=15.0)
        self.assertRegex(caught.exception.reason, " querying WireServer$")
        self.assertLess(self.system.monotonic() - before, 60)
        self.assertEqual(azure.reports, [])
