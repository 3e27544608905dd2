"""A short round of `make fuzz`, and a test that the fuzzer detects errors."""

import os
import subprocess
import sys
import unittest
from typing import List
from unittest import mock

from azure_provisioning.azure import imds
from azure_provisioning.errors import BadReply
from azure_provisioning.guest.accounts import Table
from tests import TOP, fuzz
from tests.guests import GuestTest


class RoundTest(unittest.TestCase):
    def test_short_round(self) -> None:
        """In a separate process, because the fuzzer limits its memory."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "0", "1", "--cases", "600"],
            cwd=TOP,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            env=dict(os.environ, LC_ALL="C"),
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"\n60[0-9] passed, 0 failed\n")

    def test_every_kind_of_input_is_damaged(self) -> None:
        """Undamaged input would test nothing."""
        for name, target in fuzz.TARGETS.items():
            with self.subTest(target=name):
                cases = [fuzz.make_case(name, number) for number in range(60)]
                self.assertEqual({path for path, _, _ in cases}, set(target.corpus))
                changed = [data for path, data, _ in cases if data != target.corpus[path]]
                self.assertGreater(len(changed), 40)


class InstrumentTest(GuestTest):
    """The fuzzer detects errors."""

    def case(self, raised: "BaseException") -> str:
        with mock.patch.object(imds, "parse_instance", side_effect=raised):
            return fuzz.run_case("imds", 1, self.root)

    def test_unexpected_error_fails(self) -> None:
        for raised in (ValueError("x"), KeyError("x"), MemoryError(), RecursionError(), fuzz.TooSlow()):
            self.assertIn("FAILED\nTraceback", self.case(raised))
            self.assertEqual(os.listdir(self.root), [])
        self.assertEqual(self.case(BadReply("no use")), "no use")

    def test_cases_are_reproducible(self) -> None:
        for name in fuzz.TARGETS:
            self.assertEqual(fuzz.make_case(name, 7)[:2], fuzz.make_case(name, 7)[:2])
        self.assertNotEqual(fuzz.make_case("ovf", 7)[1], fuzz.make_case("ovf", 8)[1])

    def test_lost_line_fails(self) -> None:
        put = Table.put

        def careless(table: Table, fields: "List[str]") -> None:
            put(table, fields)
            table.lines = [line for line in table.lines if not line.startswith("root:")]

        with mock.patch.object(Table, "put", careless):
            self.assertIn(
                "lines are gone", "".join(fuzz.run_case("accounts", number, self.root) for number in range(9))
            )

    def test_endless_time_and_memory_fail(self) -> None:
        code = "import signal, sys; sys.path.insert(0, %r); import tests\nfrom tests import fuzz\n" % TOP
        code += "fuzz.CASE_SECONDS = 0.2\nfuzz.bound_memory()\nsignal.signal(signal.SIGPROF, fuzz.too_slow)\n"
        code += "fuzz.TARGETS['x'] = fuzz.Target({'': b'x'}, (b'y',), %s)\n"
        code += "result = fuzz.run_case('x', 1, %r); sys.exit(%%r not in result)\n" % self.root
        for body, seen in (
            ("lambda *_: [None for _ in iter(int, 1) if _]", "TooSlow"),
            ("lambda *_: bytearray(1 << 30)", "MemoryError"),
        ):
            self.assertEqual(subprocess.call([sys.executable, "-c", code % (body, seen)]), 0, seen)
