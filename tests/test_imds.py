"""The requests to IMDS, and the result of any answer."""

import json
import time
from typing import Optional, Tuple

from azure_provisioning.azure import imds
from azure_provisioning.azure.transport import Peer
from azure_provisioning.errors import BadReply, ProvisionError
from azure_provisioning.image.rehearse.fake_azure import INSTANCE, VM_ID
from azure_provisioning.records import Instance
from tests.guests import GuestTest, http

BODY = json.dumps(INSTANCE).encode("ascii")
QUERY = "GET /metadata/instance?api-version=%s"
NEW, STACK, OLD = QUERY % "2021-08-01&extended=true", QUERY % "2021-05-01&extended=true", QUERY % "2019-06-01"
RIGHT = (VM_ID, "rehearsal", "rehearsal_0")


def summary(instance: Instance) -> "Tuple[Optional[str], str, str]":
    """The identity of an instance; test_records.py tests the rest."""
    return instance.vm_id, instance.computer_name, instance.resource_name


class ParseTest(GuestTest):
    def test_understood(self) -> None:
        table = [
            (BODY, RIGHT),
            (b"\xef\xbb\xbf" + BODY, RIGHT),
            (b" \r\n" + BODY + b"\n", RIGHT),
            (b'{"compute": {"name": "a"}}', (None, "", "a")),
            (b'{"compute": {"x": 1}}', (None, "", "")),
            (b'{"compute": {"name": "a", "name": "b"}}', (None, "", "b")),
            (b'{"compute": {"name": "a", "n": %s}}' % (b"9" * 900000), (None, "", "a")),
            (b'{"compute": {"name": "a", "n": 1e%s}}' % (b"9" * 9), (None, "", "a")),
            (b'{"compute": {"name": "\\ud800"}}', (None, "", "?")),
            ('{"compute": {"name": "m\xfcller"}}'.encode("utf-8"), (None, "", "m\xfcller")),
        ]
        for body, expected in table:
            started = time.monotonic()
            with self.subTest(body[:80]):
                self.assertEqual(summary(imds.parse_instance(body)), expected)
            self.assertLess(time.monotonic() - started, 2)

    def test_refused(self) -> None:
        table = [
            b"",
            b" ",
            b"null",
            b"[]",
            b'"compute"',
            b"17",
            b"{}",
            b'{"compute": null}',
            b'{"compute": {}}',
            b'{"compute": []}',
            b'{"compute": "x"}',
            b'{"Compute": {"name": "a"}}',
            b'[{"compute": {"name": "a"}}]',
            b'{"error": "Bad request"}',
            b"<!DOCTYPE html><html><body>Please log in</body></html>",
            BODY[:-1],
            BODY[: len(BODY) // 2],
            BODY + b"x",
            BODY + BODY,
            b"\0" + BODY,
            BODY.decode("ascii").encode("utf-16"),
            BODY.decode("ascii").encode("utf-32"),
            b'{"compute": {"name": "m\xfcller"}}',
            b"[" * 1000000,
            b'{"a":' * 200000,
            b'{"compute": {"name": "a\nb"}}',
            b'{"compute": {"name": "a", "n": NaN}}',
            bytes(range(256)) * 100,
        ]
        for body in table:
            started = time.monotonic()
            with self.subTest(body[:80]), self.assertRaises(BadReply) as caught:
                imds.parse_instance(body)
            self.assertEqual(caught.exception.reason, "error parsing IMDS metadata")
            self.assertLess(time.monotonic() - started, 2)


class FetchTest(GuestTest):
    def fetch(self, *answers: bytes) -> Instance:
        self.scripted = self.peer(*answers)
        return imds.fetch_instance(self.system, Peer("IMDS", "127.0.0.1", self.scripted.port), 10.0)

    def expect(self, *targets: str) -> None:
        head = "%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\nMetadata: true\r\n\r\n"
        expected = [(head % (target, self.scripted.port)).encode("ascii") for target in targets]
        self.assertEqual(self.scripted.requests, expected)

    def test_bytes_on_the_wire(self) -> None:
        self.assertEqual(summary(self.fetch(http(BODY))), RIGHT)
        self.expect("GET /metadata/instance?api-version=2021-08-01&extended=true")

    def test_older_version_after_400(self) -> None:
        self.assertEqual(summary(self.fetch(http(b"", "400 Bad Request"), http(BODY))), RIGHT)
        self.expect(NEW, STACK)
        refused = http(b"", "400 Bad Request")
        self.assertEqual(summary(self.fetch(refused, refused, http(BODY))), RIGHT)
        self.expect(NEW, STACK, OLD)

    def test_version_named_in_the_400(self) -> None:
        """The newest known version. The body may be cut off. With `extended=true` if that version supports it."""
        table = {
            '["2021-05-01", "2021-03-01", "2021-02-01"]': (NEW, STACK, OLD),
            '["2020-10-01","2020-09-01","2020-07-15"]': (NEW, QUERY % "2020-10-01", STACK, OLD),
            '[\r\n "2021-02-01",\r\n "2021-03-01" ]': (NEW, QUERY % "2021-03-01" + "&extended=true", STACK, OLD),
            '["2099-01-01", "2023-11-15"]': (NEW, QUERY % "2023-11-15" + "&extended=true", STACK, OLD),
            '["2099-01-01"]': (NEW, STACK, OLD),
            '["2019-06-01"]': (NEW, OLD, STACK),
            '["2018-02-01", "2017-04-02"]': (NEW, STACK, OLD),
            '["2020-06-01", "2020-0': (NEW, QUERY % "2020-06-01", STACK, OLD),
            '["2020-06-01 HTTP/1.1\\r\\nX: y", "../x?y#z"]': (NEW, STACK, OLD),
            '[20200601, {"2020-06-01": 1}': (NEW, QUERY % "2020-06-01", STACK, OLD),
            "[]": (NEW, STACK, OLD),
            '"2020-06-01"': (NEW, QUERY % "2020-06-01", STACK, OLD),
            "[": (NEW, STACK, OLD),
        }
        for named, targets in table.items():
            body = '{ "error": "Bad request. api-version is invalid", "newest-versions": %s }' % named
            whole = http(body.encode("ascii"), "400 Bad")
            for status, answer in (("whole", whole), ("cut off", whole[:-2])):
                with self.subTest(named, status=status), self.assertRaises(BadReply):
                    self.fetch(answer)
                self.expect(*targets)

    def test_invalid_answer_is_described(self) -> None:
        table = {
            http(b"<html>", "200 OK", "Content-Type: text/html; charset=utf-8"): '200 text/html, begins "<html>"',
            http(b"<html>\n\t<body>\0\x1b[2J" + b"x" * 99): '200 of no type, begins "<html> <body>??[2J'
            + "x" * 22
            + '"',
            http(b"", "204 No Content"): "204 of no type, empty",
            http(b"{}", "200 OK", "Content-Type: application/json"): '200 application/json, begins "{}"',
        }
        for answer, words in table.items():
            with self.assertRaises(BadReply) as caught:
                self.fetch(answer)
            self.assertEqual(caught.exception.reason, "error parsing IMDS metadata")
            self.assertEqual(caught.exception.details["answer"], words)
            self.assertNotIn("Error", str(caught.exception))

    def test_no_other_status_changes_the_version(self) -> None:
        for status in ("404 Not Found", "429 Too Many", "500 Oops", "503 Busy", "302 Found", "410 Gone"):
            with self.subTest(status), self.assertRaises(BadReply):
                self.fetch(http(BODY, status), http(BODY))
            self.assertEqual(len(self.scripted.requests), 1)

    def test_both_versions_refused(self) -> None:
        with self.assertRaises(ProvisionError) as caught:
            self.fetch(http(b"", "400 Bad Request"))
        self.assertEqual(str(caught.exception), "http error 400 querying IMDS (http_code=400)")
        self.expect(NEW, STACK, OLD)
