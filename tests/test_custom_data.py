"""customData with `run`: scripts with any line ends, packed or not. Any other data is identified."""

import gzip
import os
import stat
from typing import List, Tuple

from azure_provisioning.errors import GuestError
from azure_provisioning.guest.custom_data import run_data, save_data
from tests.tools import ToolTest

PATH = "/var/lib/azure-provisioning/customData"
SCRIPT = b"#!/bin/sh -e\necho hello\n"


class CustomDataTest(ToolTest):
    def setUp(self) -> None:
        super().setUp()
        self.seen: "List[Tuple[List[str], object, int]]" = []
        self.tools.add("sh", self.sh, "/bin")

    def sh(self, argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
        mode = stat.S_IMODE(os.stat(self.root + argv[-1]).st_mode)
        self.seen.append((argv, self.system.read(argv[-1]), mode))
        return 7, "one\ntwo\n"

    def run_it(self, data: bytes) -> None:
        save_data(self.system, PATH, data)
        self.assertEqual(run_data(self.system, PATH), (7, ["one", "two"]))
        self.assertEqual(self.system.read(PATH), data)  # kept unchanged
        self.assertEqual(self.system.list("/var/lib/azure-provisioning"), ["customData"])

    def test_script_runs_unchanged(self) -> None:
        self.run_it(SCRIPT)
        self.assertEqual(self.seen, [(["/bin/sh", "-e", PATH], SCRIPT, 0o600)])

    def test_line_ends_and_gzip_are_decoded(self) -> None:
        windows = SCRIPT.replace(b"\n", b"\r\n")
        for data in (windows, gzip.compress(SCRIPT), gzip.compress(windows)):
            with self.subTest(data=data):
                del self.seen[:]
                self.run_it(data)
                self.assertEqual(self.seen, [(["/bin/sh", "-e", PATH + ".run"], SCRIPT, 0o600)])

    def test_data_without_a_script_is_not_run(self) -> None:
        for data, text in (
            (b"#cloud-config\nusers: []\n", "it_is=cloud-config"),
            (gzip.compress(b"#cloud-config\n"), "it_is=cloud-config"),
            (b"Content-Type: multipart/mixed; boundary=x\n", "it_is=a MIME archive"),
            (b"MIME-Version: 1.0\n", "it_is=a MIME archive"),
            (b"#include\nhttp://x\n", "it_is=a list"),
            (b"echo hello\n", "does not begin with #!"),
            (b"", "does not begin with #!"),
            (gzip.compress(SCRIPT)[:-9], "problem=half a gzip"),
            (b"\x1f\x8bnonsense", "problem=damaged gzip"),
            (gzip.compress(b"#!" + b"\0" * (17 << 20)), "problem=more than"),
        ):
            with self.subTest(text=text):
                save_data(self.system, PATH, data)
                with self.assertRaisesRegex(GuestError, text):
                    run_data(self.system, PATH)
        self.assertEqual(self.seen, [])
