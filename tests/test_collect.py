"""`collect`: the data for a bug report in one file, without secrets."""

import os

from azure_provisioning.guest.gates import FOLDER
from azure_provisioning.story.provision import LOG
from azure_provisioning.story.state import PATH as STATE
from tests.images import cli, listing
from tests.sound import CheckTest

UNIT = "/etc/systemd/system/azure-provisioning.service"
HIDDEN = "the-token-is-hunter2"
LINES = (
    "2026-11-24T20:00:00Z ---- 0.9, VM 1 ----",
    "2026-11-24T20:00:01Z hostname: web1, written to /etc/hostname",
    "2026-11-24T20:00:02Z 10-gate: " + HIDDEN,
    "2026-11-24T20:00:02Z 20 my gate: " + HIDDEN,
    "2026-11-24T20:00:02Z gone-gate: " + HIDDEN,
    "2026-11-24T20:00:03Z customData: " + HIDDEN,
    "2026-11-24T20:00:04Z FAILED: ready gate failed (gate=10-gate, code=3): %s. The next boot tries again" % HIDDEN,
    "2026-11-24T20:00:05Z password: $6$salt$" + HIDDEN,
)


class CollectTest(CheckTest):
    def setUp(self) -> None:
        super().setUp()
        self.output = self.root + ".report"
        self.addCleanup(self.remove_output)
        self.fill({LOG: "\n".join(LINES) + "\n", STATE: "vm_id=a\nready_at=b\nstep.hostname=ok 0.5\n"})
        for name in ("10-gate", "20 my gate"):
            self.fill({"%s/%s" % (FOLDER, name): "#!/bin/sh\necho %s\n" % HIDDEN})
        self.fill(
            {"/var/lib/azure-provisioning/customData": HIDDEN, "/etc/azure-provisioning.conf": "deadline = 300\n"}
        )

    def remove_output(self) -> None:
        if os.path.exists(self.output):
            os.unlink(self.output)

    def collect(self) -> str:
        before = listing(self.root)
        result = cli("collect", "--root", self.root, "--output", self.output)
        self.assertEqual((result.code, result.out), (0, ""), result.err)
        self.assertEqual(listing(self.root), before)
        with open(self.output, encoding="ascii") as file:
            return file.read()

    def test_all_parts_are_collected(self) -> None:
        text = self.collect()
        for part in ("==== check", "ok       python: ", "==== status", '"state": "ready"', "deadline = 300", "vm_id=a"):
            self.assertIn(part, text)
        for part in (
            "==== " + LOG,
            "hostname: web1",
            "10-gate: -rw",
            "ExecStart=",
            UNIT,
        ):
            self.assertIn(part, text)
        self.assertEqual(os.stat(self.output).st_mode & 0o7777, 0o600)

    def test_no_secret(self) -> None:
        text = self.collect()
        self.assertNotIn("hunter2", text)
        self.assertIn("10-gate: (what it printed is left out)", text)
        self.assertIn("FAILED: ready gate failed (gate=10-gate, code=3)\n", text)

    def test_existing_file_is_not_overwritten(self) -> None:
        """No existing file is overwritten, even through a link."""
        with open(self.output, "w") as file:
            file.write("precious\n")
        result = cli("collect", "--root", self.root, "--output", self.output)
        self.assertEqual((result.code, result.out), (1, ""))
        self.assertIn("exists already", result.err)

    def test_hostile(self) -> None:
        """Pipes in place of files, and text that controls a terminal."""
        self.fill({LOG: "\x1b[31m\x00 hostname: \udcff".encode("utf-8", "replace").decode("latin-1") * 100000})
        for path in (STATE, "/etc/azure-provisioning.conf"):
            os.unlink(self.root + path)
            os.mkfifo(self.root + path)
        text = self.collect()
        self.assertEqual({char for char in text if not char.isprintable()}, {"\n"})
        self.assertLess(len(text), 4 << 20)
