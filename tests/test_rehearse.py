"""`rehearse`: a first boot to look at, which needs nothing and leaves nothing."""

import os
import re
import shutil
import sys
import tempfile
import unittest
from typing import List

from azure_provisioning.image.fake_azure import CONTAINER_ID, FAULTS, INSTANCE_ID
from tests.images import Result, built_file, call


class RehearseTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def rehearse(self, *faults: str) -> Result:
        """Run it with a temporary folder of its own, which is empty again afterwards."""
        argv = [sys.executable, "-I", "-S", built_file(), "rehearse"]
        for fault in faults:
            argv += ["--fault", fault]
        proxy = "http://127.0.0.1:1"
        result = call(argv, TMPDIR=self.folder, http_proxy=proxy, HTTP_PROXY=proxy, all_proxy=proxy)
        self.assertEqual(os.listdir(self.folder), [])
        self.assertNotIn("Traceback", result.err)
        return result

    def requests(self, result: Result) -> "List[str]":
        """What Azure was asked, in order."""
        return [line for line in result.out.splitlines() if re.match(r"(GET|POST|PUT) /", line)]

    def test_first_boot(self) -> None:
        name = os.uname().nodename
        result = self.rehearse()
        self.assertEqual(result.code, 0, result)
        self.assertEqual(os.uname().nodename, name)
        kinds = [re.sub(r"\?api-version=[\d-]+\S*", "", line) for line in self.requests(result)]
        self.assertEqual(kinds[-2:], ["GET /machine?comp=goalstate -> 200", "POST /machine?comp=health -> 200"])
        self.assertIn("GET /metadata/instance -> 200", kinds)
        self.assertIn(CONTAINER_ID, result.out)
        self.assertIn(INSTANCE_ID, result.out)
        self.assertIn("Ready", result.out)

    def test_diff(self) -> None:
        """As `diff -u` writes it: what changed, and what the boot took away again is not in it."""
        out = self.rehearse().out
        self.assertIn("--- /etc/hostname\n+++ /etc/hostname\n@@ -1 +1 @@\n-image\n+rehearsal\n", out)
        self.assertIn("+++ /etc/systemd/system/azure-provisioning.service\n", out)
        self.assertIn("+++ /var/lib/azure-provisioning/state\n", out)
        self.assertNotRegex(out, r"\+\+\+ [^\n]*multi-user\.target\.wants")  # disabled again
        self.assertRegex(out, r"\+\+\+ /usr/local/sbin/azure-provisioning\n@@[^\n]*\n\+\(binary, \d+ bytes\)")
        self.assertNotIn(self.folder, out)

    def test_fault_list(self) -> None:
        result = self.rehearse("list")
        self.assertEqual(result, Result(0, "".join(name + "\n" for name in sorted(FAULTS)), ""))

    def test_fault_that_does_not_exist(self) -> None:
        result = self.rehearse("goal-state-not-yet", "nonsense")
        self.assertEqual((result.code, result.out), (2, ""))
        self.assertIn("fault=nonsense", result.err)

    def test_trouble(self) -> None:
        """Two at once: each is seen in what Azure was asked, and one Ready is accepted."""
        result = self.rehearse("imds-broken", "goal-state-empty")
        self.assertEqual(result.code, 0, result)
        requests = self.requests(result)
        self.assertTrue(any("/metadata/instance" in line and line.endswith("-> 500") for line in requests), requests)
        self.assertGreater(sum("comp=goalstate" in line for line in requests), 1)
        self.assertEqual([line for line in requests if line.startswith("POST")], ["POST /machine?comp=health -> 200"])
