"""Each fault of a rehearsal: a boot with it ends as its line says. The real first boot, in virtual time."""

import io
import json
import re
import shutil
import tempfile
import unittest
from typing import List, NamedTuple, Tuple

from azure_provisioning.console import Console
from azure_provisioning.door.system import System
from azure_provisioning.image.rehearse.fake_azure import Platform, Request
from azure_provisioning.image.rehearse.faults import BY_JSON, FAILED, FAULTS, READY, describe_faults
from azure_provisioning.image.rehearse.rehearse import FIRMWARE, IMAGE
from azure_provisioning.story.boot import begin
from azure_provisioning.story.provision import provision
from azure_provisioning.story.state import State
from tests.server import SCRATCH
from tests.simulation import Trouble, VirtualSystem

RATE = 5  # requests per second that IMDS allows for a VM


class Calm(Trouble):
    """No faults but Azure's."""

    def __init__(self) -> None:
        super().__init__(0)
        self.network_up_at, self.kills, self.full_disk, self.moods = [0.0], [0], [(0, 0)], [[]]


class Clocked(Platform):
    """Records the guest's time of each request."""

    system: VirtualSystem
    times: "List[Tuple[float, str]]"

    def keep(self, request: Request) -> None:
        super().keep(request)
        self.times.append((self.system.now, request.target))


class End(NamedTuple):
    """The outcome of a boot."""

    code: int
    story: str
    platform: Clocked
    seconds: float
    reason: str


def boot(*faults: str) -> End:
    """A first boot with these faults."""
    root = tempfile.mkdtemp(prefix="azure-provisioning-test-", dir=SCRATCH)
    try:
        system = System(root)
        for path, text in {**IMAGE, **FIRMWARE}.items():
            system.write(path, text, mode=0o755 if "/bin/" in path else 0o644)
        platform = Clocked(faults)
        platform.times = []
        platform.system = VirtualSystem(root, platform, Calm(), 0)
        stream = io.StringIO()
        begun = begin(platform.system, Console(stream))
        assert begun is not None
        try:
            code = provision(begun)
        finally:
            platform.system.power_off()
        return End(code, stream.getvalue(), platform, platform.system.now, State(system).facts.get("error_reason", ""))
    finally:
        shutil.rmtree(root)


class FaultTest(unittest.TestCase):
    def test_each_fault_ends_as_described(self) -> None:
        for name, fault in FAULTS.items():
            with self.subTest(name):
                end = boot(name)
                self.assertLess(end.seconds, 900 + 5, end.story)
                if fault.ends.startswith(FAILED):
                    self.assertEqual((end.code, FAILED + end.reason), (1, fault.ends), end.story)
                    line = re.findall(r"(?m)^azure-provisioning: (FAILED: .*)$", end.story)
                    self.assertRegex("".join(line), r"^%s \(.+\)\. [A-Z].+\. The next boot tries again$" % fault.ends)
                    continue
                self.assertEqual(end.code, 0, end.story)
                ready = ["json" if report.startswith("{") else "xml" for report in end.platform.reports]
                twice = 2 if name == "report-ended" else 1  # the first one cannot be detected
                self.assertEqual(ready, {READY: ["xml"] * twice, BY_JSON: ["json"]}[fault.ends], end.story)

    def test_each_fault_takes_effect(self) -> None:
        """Each fault costs a request or time, except the faults that change nothing."""
        plain = boot()
        harmless = {
            "goal-state-bom",
            "goal-state-namespace",
            "json-health-503",
            "json-health-slow",
            "json-health-refused",
        }
        for name in sorted(set(FAULTS) - harmless):
            end = boot(name)
            more = len(end.platform.requests) - len(plain.platform.requests), end.seconds - plain.seconds
            self.assertTrue(more[0] > 0 or more[1] > 20, name)

    def test_json_faults_take_effect(self) -> None:
        for name in ("json-health-503", "json-health-slow"):
            end = boot("goal-state-for-ever-404", name)
            self.assertEqual(
                (end.code, [json.loads(report) for report in end.platform.reports]), (0, [{"state": "Ready"}])
            )

    def test_slow_peer_is_asked_once(self) -> None:
        """IMDS, the goal state and the report each have their own time limit; a processed report is not sent again."""
        for name in sorted(FAULTS):
            if name.endswith(("-slow", "-late")):
                targets = [request.target for request in boot(name).platform.requests]
                self.assertEqual(len(targets), 3, name)
        end = boot("imds-slow", "goal-state-slow", "report-late")
        self.assertEqual((end.code, len(end.platform.requests), len(end.platform.reports)), (0, 3, 1))

    def test_message_every_30_seconds(self) -> None:
        """Also while an answer is pending: the console shows that the boot continues, and why it waits."""
        end = boot("imds-silent", "goal-state-silent", "report-late")
        self.assertEqual(end.code, 0, end.story)
        for awaited, peer in (("IMDS", "IMDS"), ("the WireServer", "WireServer")):
            self.assertIn("waiting for %s: no answer yet from %s" % (awaited, peer), end.story)
            self.assertRegex(end.story, "still waiting for %s after 3[0-9] s: no answer yet from %s" % (awaited, peer))
        self.assertIn("still waiting for the WireServer after 6", end.story)
        self.assertNotIn("FAILED", end.story)

    def test_rate(self) -> None:
        """IMDS allows 5 requests per second for a VM, even if each try falls back through every version."""
        for faults in (("imds-half-refusal",), ("imds-2019", "imds-gone"), ("imds-forbidden",), ("imds-old-api",) * 60):
            times = [at for at, target in boot(*faults).platform.times if target.startswith("/metadata")]
            most = max(len([at for at in times if first <= at < first + 1]) for first in times)
            self.assertLessEqual(most, RATE, (faults, times[:20]))
            self.assertGreater(len(times), 2)

    def test_each_fault_is_described(self) -> None:
        lines = describe_faults()
        self.assertEqual([line.split()[0] for line in lines], sorted(FAULTS))
        for line in lines:
            self.assertRegex(line, r"^[a-z0-9-]+ +[^ ].*; ends: (Ready|FAILED: [a-z])")
            self.assertLess(len(line), 132)


class VersionTest(unittest.TestCase):
    def test_older_clouds(self) -> None:
        table = {
            "imds-stack-hub": ["2021-08-01+", "2021-05-01+"],
            "imds-2019": ["2021-08-01+", "2021-05-01+", "2019-06-01"],
            "imds-half-refusal": ["2021-08-01+", "2021-05-01+", "2019-06-01"],
            "imds-open-refusal": ["2021-08-01+", "2021-05-01+"],
            "imds-busy": ["2021-08-01+", "2021-08-01+"],
        }
        for name, versions in table.items():
            found = []
            for request in boot(name).platform.requests:
                asked = re.findall(r"api-version=([0-9-]+)(&extended=true)?", request.target)
                found += ["%s%s" % (version, "+" if extended else "") for version, extended in asked]
            self.assertEqual(found, versions, name)
