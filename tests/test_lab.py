"""The boot lab's verdicts, and the logs that its table names. The boots themselves are `make boot-test`."""

import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

if sys.version_info >= (3, 8):
    from tests.boot.__main__ import keep_logs
    from tests.boot.images import IMAGES
    from tests.boot.table import Played, judge, quicker, show


def played(story: str, logs: str = "", **figures: float) -> "Played":
    """A story that passed on the image `busybox`."""
    return Played(IMAGES["busybox"], story, "ok", "", logs, figures, 60.0)


@unittest.skipIf(sys.version_info < (3, 8), "the boot lab takes Python 3.8")
class LabTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def test_late_boot_keeps_its_logs(self) -> None:
        """It passed while it was played, and its folder goes with the lab's: the table names one that exists."""
        scratch = Path(self.folder) / "scratch"
        for name in ("busybox-never", "busybox-plain"):
            (scratch / name).mkdir(parents=True)
            (scratch / name / "console-1.log").write_text("Linux version\n")
        logs = Path(self.folder) / "cache" / "logs"
        both = [
            played("plain", str(logs / "busybox-plain"), login=9.0, sshd=9.0),
            played("never", str(logs / "busybox-never"), login=40.0, sshd=40.0, prepare=3.0),
        ]
        judged = judge(both)
        for one in judged:
            keep_logs(one, scratch)
        self.assertEqual([one.verdict for one in judged], ["ok", "FAILED"])
        (named,) = [line.partition("logs: ")[2] for line in "\n".join(show(judged)).splitlines() if "logs: " in line]
        self.assertEqual(os.listdir(named), ["console-1.log"])
        self.assertFalse((logs / "busybox-plain").exists())

    def test_figures_of_one_play_belong_together(self) -> None:
        """A slow machine's own part is allowed for. The part of another play would not fit."""
        plain = played("plain", login=10.0, sshd=10.0)
        slow, again = (
            played("down", login=25.0, sshd=25.0, prepare=3.0),
            played("down", login=23.0, sshd=23.0, prepare=7.0),
        )
        self.assertEqual(judge([plain, slow])[1].verdict, "FAILED")
        self.assertEqual(judge([plain, quicker(slow, again)])[1].verdict, "ok")
        self.assertEqual(quicker(again, slow), again)
