"""The key-value pool as the host reads it, and the texts in it."""

import csv
import fcntl
import os
import re
import threading
import time
import unittest
from typing import List, Tuple

from azure_provisioning.azure.description import describe_failure, describe_success
from azure_provisioning.azure.kvp import KEY, POOL, RECORD_SIZE, make_record, put_record, write_report
from azure_provisioning.errors import GuestError, ProvisionError
from tests.guests import GuestTest


class PoolTest(GuestTest):
    def setUp(self) -> None:
        super().setUp()
        self.system.write("/proc/uptime", "100.25 150.00\n")

    def pool(self) -> "List[Tuple[str, str]]":
        """The pairs that the host reads."""
        data = self.system.read(POOL, limit=1 << 23) or b""
        self.assertEqual(len(data) % RECORD_SIZE, 0)
        records = [data[at : at + RECORD_SIZE] for at in range(0, len(data), RECORD_SIZE)]
        texts = [(record[:512].rstrip(b"\0"), record[512:].rstrip(b"\0")) for record in records]
        return [(key.decode("utf-8"), value.decode("utf-8")) for key, value in texts]

    def age(self, seconds: float) -> None:
        """Set the time of the pool's last change."""
        os.utime(self.system.path(POOL), (time.time() - seconds,) * 2)

    def test_no_daemon(self) -> None:
        self.assertIn("hv_kvp_daemon", write_report(self.system, "x"))
        self.system.make_dirs("/var/lib/hyperv")
        self.assertIn("hv_kvp_daemon", write_report(self.system, "x"))
        self.assertEqual(self.system.list("/var/lib/hyperv"), [])

    def test_second_report_replaces_the_first(self) -> None:
        self.system.write(POOL, b"", mode=0o644)
        inode = os.stat(self.system.path(POOL)).st_ino
        write_report(self.system, "result=error")
        self.assertEqual(self.pool(), [(KEY, "result=error")])
        self.assertIn("written", write_report(self.system, "result=success"))
        self.assertIn("already", write_report(self.system, "result=success"))
        self.assertEqual(self.pool(), [(KEY, "result=success")])
        self.assertEqual(os.stat(self.system.path(POOL)).st_ino, inode)

    def test_records_of_others_are_kept_in_place(self) -> None:
        first, last = make_record("CLOUD_INIT|1", "a"), make_record("z" * 300, "b")
        self.system.write(POOL, first + make_record(KEY, "old") + last + make_record(KEY, "older"))
        write_report(self.system, "new")
        self.assertEqual(self.pool(), [("CLOUD_INIT|1", "a"), (KEY, "new"), ("z" * 254, "b")])

    def test_pool_of_an_earlier_boot(self) -> None:
        self.system.write(POOL, make_record("OLD", "a"))
        self.age(101)
        write_report(self.system, "new")
        self.assertEqual(self.pool(), [(KEY, "new")])
        self.system.write(POOL, make_record("YOUNG", "a"))
        self.age(99)
        write_report(self.system, "new")
        self.assertEqual(self.pool(), [("YOUNG", "a"), (KEY, "new")])
        self.system.unlink("/proc/uptime")
        self.age(10000)
        write_report(self.system, "newer")
        self.assertEqual(self.pool(), [("YOUNG", "a"), (KEY, "newer")])

    def test_partial_record_is_dropped(self) -> None:
        self.system.write(POOL, make_record("A", "a") + make_record(KEY, "torn")[:700])
        write_report(self.system, "new")
        self.assertEqual(self.pool(), [("A", "a"), (KEY, "new")])

    def test_cut_between_characters(self) -> None:
        self.system.write(POOL, b"")
        for text, kept in (
            ("\u00e9" * 2000, "\u00e9" * 511),
            ("x" + "\u00e9" * 2000, "x" + "\u00e9" * 510),
            ("\U0001f600" * 2000, "\U0001f600" * 255),
            ("a\0b\udc80c", "a?b?c"),
            ("x" * 1022, "x" * 1022),
        ):
            write_report(self.system, text)
            self.assertEqual(self.pool(), [(KEY, kept)])

    def test_full(self) -> None:
        pool = make_record("A", "a") * 1024
        with self.assertRaises(GuestError):
            put_record(pool, KEY, "x")
        self.system.write(POOL, pool + b"x" * RECORD_SIZE)
        with self.assertRaises(GuestError):
            write_report(self.system, "x")

    def test_pool_is_a_folder(self) -> None:
        self.system.make_dirs(POOL)
        with self.assertRaises(GuestError):
            write_report(self.system, "x")

    def test_wait_for_the_lock_is_bounded(self) -> None:
        self.system.write(POOL, b"")
        with open(self.system.path(POOL), "r+b") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with self.assertRaises(GuestError) as caught:
                write_report(self.system, "x")
            self.assertEqual(caught.exception.reason, "file is locked")
            timer = threading.Timer(0.1, fcntl.flock, (held, fcntl.LOCK_UN))
            timer.start()
            self.assertIn("written", write_report(self.system, "x"))
            timer.join()


class DescriptionTest(unittest.TestCase):
    def test_success(self) -> None:
        text = describe_success("abc", 0)
        self.assertRegex(
            text, r"^result=success\|agent=azure-provisioning/[^|]+\|vm_id=abc\|timestamp=1970-01-01T00:00:00Z$"
        )

    def test_failure(self) -> None:
        error = ProvisionError("command failed", output="it's | broken\n", code=1)
        text = describe_failure(error, None, 0)
        fields = next(csv.reader([text], delimiter="|", quotechar="'"))
        expected = ["result=error", "reason=command failed", "vm_id=unknown", "output=it's | broken\n", "code=1"]
        self.assertEqual([field for field in fields if not re.match("agent|timestamp|documentation", field)], expected)
        self.assertEqual(fields[-1], "documentation_url=https://aka.ms/linuxprovisioningerror")

    def test_link_is_left_out_if_too_long(self) -> None:
        lengths = [len(describe_failure(ProvisionError("x", output="y" * size), "abc", 0)) for size in range(500)]
        self.assertLessEqual(max(lengths[:340]), 512)
        self.assertNotIn("documentation", describe_failure(ProvisionError("x", output="y" * 400), "abc", 0))
