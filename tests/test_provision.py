"""A first boot, judged by the requests to Azure and the files on disk."""

import errno
import io
import json
import os
import resource
import signal
import socket
import subprocess
import time
import unittest
from functools import partial
from typing import Dict, List, Optional, Tuple
from xml.dom import minidom

from azure_provisioning.azure.identity import AZURE_ASSET_TAG, DMI, EFI
from azure_provisioning.errors import GuestError
from azure_provisioning.guest.sshd import DROP_IN
from azure_provisioning.image.rehearse.fake_azure import CONTAINER_ID, GOAL_STATE, INSTANCE, INSTANCE_ID, VM_ID
from azure_provisioning.image.rehearse.faults import BY_JSON, FAILED, FAULTS, FOR_EVER
from azure_provisioning.story.state import swap
from azure_provisioning.story.status import wait_for_end
from tests.guests import (
    AZURE_VM,
    HOOK,
    OTHER_VM_ID,
    STATE,
    FastSystem,
    GuestTest,
    ScriptedPeer,
    asked,
    http,
    snapshot,
    start_story,
    wait_until,
)
from tests.simulation import OVF

GOOD = ("imds 200", "goalstate 200", "health 200")
SWAPPED_VM_ID = "527c2691-029f-fe4c-b1f4-a4da7ebac2cf"  # VM_ID as generation 1 firmware shows it
HOPELESS = {name for name, fault in FAULTS.items() if fault.ends.startswith(FAILED)}
NO_REPORT = ("report-refused", "json-health-refused")  # both report endpoints are closed
# Faults that cause no further request.
UNSEEN = {"goal-state-bom", "goal-state-namespace", "json-health-refused"}
UNSEEN |= {name for name in FAULTS if name.endswith(("-slow", "-late"))}


class StoryTest(GuestTest):
    def setUp(self) -> None:
        super().setUp()
        self.fill(AZURE_VM)
        self.install_hook()

    def assert_ready(self, code: int, name: str = "rehearsal") -> None:
        """The complete result of a successful first boot."""
        self.assertEqual(code, 0, self.story)
        self.assertEqual(self.text("/etc/hostname"), name + "\n")
        self.assertIn("ready_at", self.facts(), self.story)
        self.assertIn("configured_at", self.facts())
        self.assertNotIn("error_reason", self.facts())
        self.assertFalse(self.system.is_link(HOOK), self.story)
        self.assertEqual([path for path in snapshot(self.root) if path.endswith(".azure-provisioning")], [])

    def assert_failed(self, code: int) -> None:
        """The result of a boot that another one must continue."""
        self.assertEqual(code, 1, self.story)
        self.assertTrue(self.system.is_link(HOOK), self.story)
        self.assertNotIn("ready_at", self.facts())
        self.assertIn("FAILED: ", self.story)

    def description(self, report: str) -> str:
        """The description of a NotReady report, as the portal shows it."""
        parsed = minidom.parseString(report.encode("utf-8"))
        self.assertEqual(parsed.getElementsByTagName("State")[0].firstChild.nodeValue, "NotReady")  # type: ignore
        self.assertEqual(parsed.getElementsByTagName("SubStatus")[0].firstChild.nodeValue, "ProvisioningFailed")  # type: ignore
        return "".join(str(child.nodeValue) for child in parsed.getElementsByTagName("Description")[0].childNodes)


class FirstBootTest(StoryTest):
    speed = 4.0

    def test_first_boot(self) -> None:
        azure = self.azure()
        self.assert_ready(self.boot())
        self.assertEqual(asked(azure), GOOD)
        self.assertEqual(self.text("/etc/hosts"), "127.0.0.1\tlocalhost\n127.0.1.1\trehearsal\n")
        self.assertEqual(self.facts()["vm_id"], VM_ID)
        self.assertEqual(len(azure.reports), 1)
        self.assertIn("<State>Ready</State></Health>", azure.reports[0])
        self.assertRegex(self.story, r"(?m)^azure-provisioning: Azure accepted Ready after [0-9.]+ s$")

    def test_second_boot_asks_nothing(self) -> None:
        azure = self.azure()
        self.boot()
        del azure.requests[:]
        before, start = snapshot(self.root), len(self.story)
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(asked(azure), ())
        self.assertEqual(snapshot(self.root), before)
        self.assertEqual(self.story[start:], "")

    def test_headers_on_the_wire(self) -> None:
        azure = self.azure()
        self.boot()
        host = {"Host": azure.endpoint, "Connection": "close"}
        self.assertEqual(azure.requests[0].headers, dict(host, Metadata="true"))
        self.assertEqual(azure.requests[1].headers, dict(host, **{"x-ms-version": "2012-11-30"}))
        report = {"x-ms-version": "2012-11-30", "x-ms-agent-name": "azure-provisioning"}
        report.update({"Content-Type": "text/xml;charset=utf-8", "Content-Length": str(len(azure.reports[0]))})
        self.assertEqual(azure.requests[2].headers, dict(host, **report))

    def test_order(self) -> None:
        """When the report arrives, the name is set and *configured* recorded. *ready* is not, and the hook is
        enabled."""
        seen: "List[object]" = []

        def health(connection: socket.socket) -> None:
            seen.append(self.text("/etc/hostname"))
            seen.append("configured_at" in self.facts())
            seen.append("ready_at" in self.facts())
            seen.append(self.system.is_link(HOOK))
            connection.sendall(http())

        goal_state = GOAL_STATE % {"incarnation": 5, "container_id": CONTAINER_ID, "instance_id": INSTANCE_ID}
        wireserver = self.peer(http(goal_state.encode("ascii")), health)
        imds = self.peer(http(json.dumps(INSTANCE).encode("ascii")))
        self.options(imds="127.0.0.1:%d" % imds.port, wireserver="127.0.0.1:%d" % wireserver.port)
        self.assert_ready(self.boot())
        self.assertEqual(seen, ["rehearsal\n", True, False, True])
        self.assertEqual(len(wireserver.requests), 2)
        self.assertIn(b"<GoalStateIncarnation>5</GoalStateIncarnation>", wireserver.requests[1])

    def test_late_network(self) -> None:
        goal_state = GOAL_STATE % {"incarnation": 1, "container_id": CONTAINER_ID, "instance_id": INSTANCE_ID}
        answers = (b"", http(json.dumps(INSTANCE).encode("ascii")), http(goal_state.encode("ascii")), http())
        late = ScriptedPeer(answers, late=0.4)
        self.addCleanup(late.close)
        self.options(imds="127.0.0.1:%d" % late.port, wireserver="127.0.0.1:%d" % late.port)
        self.assert_ready(self.boot())
        self.assertIn("waiting for the network: no answer from Azure", self.story)
        self.assertNotIn("goes over", self.story)

    def test_network_card_is_named(self) -> None:
        """Azure answers only on a VM's first card. With two cards, the line names the one in use."""
        head, row = "Iface\n", "%s\t%s\t00000000\t0005\t0\t0\t%d\t%s\t0\t0\t0\n"
        rows = [row % ("eth0", "0" * 8, 100, "0" * 8), row % ("eth1", "0100007F", 0, "F" * 8)]
        self.fill({"/proc/net/route": head + "".join(rows)})
        self.options(deadline="60", imds="127.0.0.1:9", wireserver="127.0.0.1:9")
        self.assertEqual(self.boot(), 1)
        self.assertRegex(self.story, r"waiting for the network: no answer .* \(127.0.0.1 goes over eth1\)\n")
        self.assertRegex(
            self.story, r"still waiting for the network after 3\d s: no answer .* \(127.0.0.1 goes over eth1\)\n"
        )


class ElsewhereSystem(FastSystem):
    """A guest in a cloud whose WireServer is at ELSEWHERE, which only a lease names. No packet leaves loopback."""

    def __init__(self, root: str, port: int) -> None:
        super().__init__(root)
        self.port = port  # the WireServer's real address, on loopback
        self.refused = 0  # connections to the usual address

    def connect(self, host: str, port: int, seconds: float) -> socket.socket:
        if host == ELSEWHERE:
            return super().connect("127.0.0.1", self.port, seconds)
        if host == "127.0.0.1":
            return super().connect(host, port, seconds)
        self.refused += 1
        self.write(LEASE, "OPTION_245=0a000002\n")
        raise OSError(errno.ECONNREFUSED, "Connection refused")


ELSEWHERE = "10.0.0.2"
LEASE = "/run/systemd/netif/leases/2"


class ElsewhereTest(StoryTest):
    system: ElsewhereSystem

    def setUp(self) -> None:
        super().setUp()
        self.cloud = self.azure(deadline=120)
        self.system = ElsewhereSystem(self.root, self.cloud.server_address[1])
        self.options(imds=self.cloud.endpoint, deadline=120)

    def test_wireserver_address_from_the_lease(self) -> None:
        self.fill({LEASE: "OPTION_245=0a000002\n"})
        self.assert_ready(self.boot())
        self.assertEqual((asked(self.cloud), self.system.refused), (GOOD, 0))

    def test_lease_after_the_first_try(self) -> None:
        """A networkd that sends the new name has no lease file for a moment, just before the report."""
        self.assert_ready(self.boot())
        self.assertEqual((asked(self.cloud), self.system.refused), (GOOD, 1))


class FaultTest(StoryTest):
    def test_every_fault(self) -> None:
        """Each ends with one accepted Ready in time. None delays a boot past its deadline."""
        for name in sorted(set(FAULTS) - HOPELESS):
            with self.subTest(name):
                self.setUp()
                by_json = FAULTS[name].ends == BY_JSON or name == "json-health-503"
                self.system = FastSystem(self.root, speed=30.0)
                others = ("goal-state-for-ever-404",) if name == "json-health-503" else ()
                azure = self.azure(name, *others, deadline=75 if by_json else 300)
                started = self.system.monotonic()
                self.assert_ready(self.boot())
                self.assertLess(self.system.monotonic() - started, 300, self.story)
                self.assertEqual(len(azure.reports), 2 if name == "report-ended" else 1)
                self.assertRegex(azure.reports[0], '<State>Ready</State>|"state": "Ready"')
                if name not in UNSEEN:
                    self.assertGreater(len(azure.requests), 3, "the fault was not met")

    def test_all_faults_at_once(self) -> None:
        slow = {name for name in FAULTS if name.endswith(("-silent", "-drips", "-flood", "-slow", "-late", "-ended"))}
        quick = {name for name in FAULTS if FAULTS[name].times < FOR_EVER} - slow - {"imds-gone", "imds-slow-start"}
        azure = self.azure(*sorted(quick), deadline=600)
        self.assert_ready(self.boot())
        self.assertEqual(len(azure.reports), 1)

    def test_refused_for_ever(self) -> None:
        azure = self.azure(*NO_REPORT, deadline=20)
        started = self.system.monotonic()
        self.assert_failed(self.boot())
        self.assertLess(self.system.monotonic() - started, 80)
        self.assertEqual(azure.reports, [])
        self.assertIn("configured_at", self.facts())
        self.assertRegex(self.facts()["error_reason"], " querying WireServer$")
        self.assertRegex(
            self.story, r"FAILED: http error 403 querying WireServer \(http_code=403\)\. .+\. The next boot tries again"
        )

        azure.troubles["health"] = []
        del azure.requests[:]
        self.assert_ready(self.boot())
        self.assertEqual(asked(azure), ("goalstate 200", "health 200"))  # configured facts are not requested again

    def test_permanent_captive_portal(self) -> None:
        self.system = FastSystem(self.root, speed=8.0)
        azure = self.azure("imds-portal-for-ever", deadline=30)
        self.assert_failed(self.boot())
        self.assertEqual(len(azure.reports), 1)
        text = self.description(azure.reports[0])
        self.assertRegex(
            text,
            r"^result=error\|reason=error parsing IMDS metadata\|agent=azure-provisioning/[0-9.]+\|vm_id=%s"
            r"\|timestamp=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\|problem=not JSON\|" % VM_ID,
        )
        self.assertEqual(self.text("/etc/hostname"), "image\n")
        self.assertNotIn("configured_at", self.facts())
        self.assertEqual(self.facts()["error_reason"], "error parsing IMDS metadata")

        azure.troubles["imds"] = []
        self.assert_ready(self.boot())
        self.assertEqual(len(azure.reports), 2)

    def test_unreachable(self) -> None:
        self.system = FastSystem(self.root, speed=40.0)
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % nobody.getsockname()[1]
            self.options(imds=address, wireserver=address, deadline=120)
            started = self.system.monotonic()
            self.assert_failed(self.boot())
        took = self.system.monotonic() - started
        self.assertTrue(60 < took < 240, took)
        self.assertEqual(self.story.count("FAILED: no answer from Azure"), 1)
        self.assertTrue(1 <= self.story.count("still waiting for the network after") <= 4, self.story)
        self.assertEqual(self.story.count("waiting for the network: "), 1)
        self.assertEqual(self.facts()["error_reason"], "no answer from Azure")
        self.assertLess(int(self.facts()["error.seconds"]), 110)  # a quarter of the time is reserved for the report
        self.assertEqual(self.text("/etc/hostname"), "image\n")

    def test_only_imds_is_unreachable(self) -> None:
        azure = self.azure()
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            self.options(imds="127.0.0.1:%d" % nobody.getsockname()[1], wireserver=azure.endpoint, deadline=20)
            self.assert_failed(self.boot())
        self.assertEqual(len(azure.reports), 1)
        self.assertIn("|reason=connection error querying IMDS|", self.description(azure.reports[0]))


class FailureTest(StoryTest):
    def break_hostname(self, target: str) -> None:
        """Make the distro's configuration own the hostname: its step fails for good."""
        self.system.link(target, "/etc/hostname")

    def repair(self) -> None:
        self.system.unlink("/etc/hostname")
        self.fill({"/etc/hostname": "image\n"})

    def test_failed_step_is_reported(self) -> None:
        azure = self.azure()
        self.break_hostname("/nix/store/a|b'c<d>&e")
        self.assert_failed(self.boot())
        self.assertEqual(asked(azure), GOOD)
        text = self.description(azure.reports[0])
        self.assertTrue(
            text.startswith("result=error|'reason=the hostname belongs to the distro''s configuration'|"), text
        )
        self.assertIn("|path=/etc/hostname|'target=/nix/store/a|b''c<d>&e'|", text)
        self.assertIn("c&lt;d&gt;&amp;e", azure.reports[0])
        self.assertNotIn("trying again", self.story)  # it would fail the same way
        self.assertIn("The next boot would fail the same way", self.story)
        self.assertNotIn("configured_at", self.facts())
        self.assertTrue(self.facts()["step.hostname"].startswith("failed "))

        self.repair()
        self.assert_ready(self.boot())
        self.assertEqual(len(azure.reports), 2)

    def test_description_is_cut(self) -> None:
        azure = self.azure()
        self.break_hostname("/nix/store/" + "&" * 2000)
        self.assert_failed(self.boot())
        self.assertEqual(len(self.description(azure.reports[0])), 512)
        self.assertGreater(azure.reports[0].count("&amp;"), 200)

    def test_failed_report_does_not_hide_the_failure(self) -> None:
        self.azure(*NO_REPORT, deadline=15)
        self.break_hostname("/nix/store/x")
        self.assert_failed(self.boot())
        self.assertEqual(self.facts()["error_reason"], "the hostname belongs to the distro's configuration")
        self.assertIn("FAILED: the hostname belongs to", self.story)
        self.assertIn("warning: the failure could not be reported: http error 40", self.story)

    def test_bug_is_reported_and_raised(self) -> None:
        class Broken(FastSystem):
            def hostname(self) -> str:
                raise ZeroDivisionError("a bug")

        azure = self.azure()
        self.system = Broken(self.root)
        with self.assertRaises(ZeroDivisionError):
            self.boot()
        self.assertIn("reason=unhandled exception|", self.description(azure.reports[0]))
        self.assertIn("ZeroDivisionError", self.description(azure.reports[0]))
        self.assertTrue(self.system.is_link(HOOK))

    def test_bugs_and_failures_before_the_first_step(self) -> None:
        """Other agents, the lock and the local part: Azure gets a report, whatever else fails."""

        class Broken(FastSystem):
            broken = ""
            trouble: "Exception" = ZeroDivisionError("a bug")

            def find_program(self, *names: str) -> "Optional[str]":
                if self.broken == "rivals" and "waagent" in names:
                    raise self.trouble
                return super().find_program(*names)

            def lock(self, path: str) -> "Optional[int]":
                if self.broken == "lock":
                    raise self.trouble
                return super().lock(path)

            def write(self, path: str, *more: object, **named: object) -> bool:
                if self.broken == "prepare" and path == STATE:
                    raise self.trouble
                return super().write(path, *more, **named)  # type: ignore[arg-type]

        self.azure()
        for broken in ("rivals", "lock", "prepare"):
            for trouble in (ZeroDivisionError("a bug"), GuestError("no way in")):
                if (broken, type(trouble)) == ("prepare", GuestError):
                    continue  # a state that cannot be written is a warning
                with self.subTest(broken, trouble=trouble):
                    self.setUp()
                    azure = self.azure()
                    self.system = Broken(self.root, self.speed)
                    self.system.broken, self.system.trouble = broken, trouble
                    if isinstance(trouble, GuestError):
                        self.assert_failed(self.boot())
                        self.assertIn("reason=no way in|", self.description(azure.reports[0]))
                    else:
                        with self.assertRaises(ZeroDivisionError) as caught:
                            self.boot()
                        self.assertTrue(getattr(caught.exception, "reported", False))
                        self.assertIn("exception=ZeroDivisionError", self.description(azure.reports[0]))
                        self.assertIn("FAILED: unhandled exception", self.story)
                    self.assertEqual(len(azure.reports), 1)
                    self.assertEqual("error_reason" in self.facts(), broken != "prepare")
                    self.system.broken = ""
                    self.assert_ready(self.boot())

    def test_bug_in_the_report_does_not_hide_the_failure(self) -> None:
        """The state and the console have the failure. The bug is not marked as reported, so the shell reports it."""

        class Broken(FastSystem):
            def connect(self, host: str, port: int, seconds: float) -> socket.socket:
                if self.is_reported:
                    raise ZeroDivisionError("a bug")
                return super().connect(host, port, seconds)

            is_reported = False

            def write(self, path: str, *more: object, **named: object) -> bool:
                if path == STATE and "error_reason" in str(more[0]):
                    self.is_reported = True
                return super().write(path, *more, **named)  # type: ignore[arg-type]

        azure = self.azure()
        self.break_hostname("/nix/store/x")
        self.system = Broken(self.root, self.speed)
        with self.assertRaises(ZeroDivisionError) as caught:
            self.boot()
        self.assertFalse(getattr(caught.exception, "reported", False))
        self.assertEqual(azure.reports, [])
        self.assertEqual(self.facts()["error_reason"], "the hostname belongs to the distro's configuration")
        self.assertIn("FAILED: the hostname belongs to", self.story)

    def test_bug_in_the_console_does_not_hide_the_failure(self) -> None:
        class Broken(io.StringIO):
            def write(self, text: str) -> int:
                if "FAILED" in text or "hosts: " in text:
                    raise ZeroDivisionError("a bug")
                return super().write(text)

        azure = self.azure()
        self.console.stream = Broken()
        with self.assertRaises(ZeroDivisionError):
            self.boot()
        self.assertIn("exception=ZeroDivisionError", self.description(azure.reports[0]))
        self.assertEqual(self.facts()["error_reason"], "unhandled exception")

    def test_bug_after_ready_keeps_ready(self) -> None:
        class Broken(FastSystem):
            def write(self, path: str, *more: object, **named: object) -> bool:
                if path == STATE and "ready_at" in str(more[0]):
                    raise ZeroDivisionError("a bug")
                return super().write(path, *more, **named)  # type: ignore[arg-type]

        azure = self.azure()
        self.system = Broken(self.root, self.speed)
        with self.assertRaises(ZeroDivisionError) as caught:
            self.boot()
        self.assertTrue(getattr(caught.exception, "reported", False))
        self.assertEqual(len(azure.reports), 1)
        self.assertIn("<State>Ready</State></Health>", azure.reports[0])

    def test_unwritable_hosts_is_a_warning(self) -> None:
        azure = self.azure()
        self.system.unlink("/etc/hosts")
        os.mkdir(self.system.path("/etc/hosts"))
        self.assert_ready(self.boot())
        self.assertIn("warning: hosts: ", self.story)
        self.assertEqual(asked(azure), GOOD)

    def test_full_disk(self) -> None:
        """Nothing can be written: the report is true, and every file is unchanged."""
        azure = self.azure()
        before = snapshot(self.root)

        def fill_disk() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

        story = start_story(self.root, "run", prepare=fill_disk)
        _, err = story.communicate()
        self.assertEqual(story.returncode, 1, err)
        self.assertRegex(self.description(azure.reports[0]), r"reason=.*\bwrite\b.*\|path=/etc/hostname\|")
        self.assertIn("the state cannot be saved", err)
        self.assertNotIn("Traceback", err)
        after = snapshot(self.root)
        for path, content in before.items():
            self.assertEqual(after[path], content, path)
        self.assertEqual([path for path in after if path.endswith(".azure-provisioning")], [])

    @unittest.skipIf(os.getuid() == 0, "as root no folder is read-only: a plain user's run of the suite tests it")
    def test_read_only_etc(self) -> None:
        azure = self.azure()
        etc = self.system.path("/etc")
        os.chmod(etc, 0o555)
        self.addCleanup(os.chmod, etc, 0o755)
        self.assert_failed(self.boot())
        self.assertRegex(self.description(azure.reports[0]), r"reason=.*\bwrite\b.*\|path=/etc/hostname\|")
        os.chmod(etc, 0o755)
        self.assert_ready(self.boot())


class WhichMachineTest(StoryTest):
    speed = 4.0

    def test_password_login_is_kept_without_a_key(self) -> None:
        self.fill({"/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n"})
        azure = self.azure()
        keys = azure.instance["compute"]["publicKeys"]
        azure.instance["compute"]["publicKeys"] = []
        self.boot()
        self.assertFalse(self.system.exists(DROP_IN))
        azure.instance["compute"]["publicKeys"] = keys
        os.unlink(self.root + STATE)
        self.assertEqual(self.boot(), 0, self.story)
        self.assertIn("PasswordAuthentication no\n", self.text(DROP_IN) or "")

    def test_not_azure(self) -> None:
        azure = self.azure()
        for tag in ("No Asset Tag\n", "\n", AZURE_ASSET_TAG[:-1] + "\n", "7783-7084-3265-9085-8269-3286-77x", "\xff\0"):
            self.fill({DMI + "/chassis_asset_tag": tag})
            before = snapshot(self.root)
            with self.subTest(tag):
                self.assertEqual(self.boot(), 0)
                self.assertEqual(snapshot(self.root), before)
        self.assertEqual(asked(azure), ())
        self.assertIn("not on Azure, nothing to do (the chassis asset tag is 'No Asset Tag')", self.story)

    def test_not_azure_but_forced(self) -> None:
        self.azure()
        self.fill({DMI + "/chassis_asset_tag": "No Asset Tag\n"})
        self.assert_ready(self.boot(force=True))

    def test_ready_but_forced(self) -> None:
        azure = self.azure()
        self.boot()
        self.install_hook()
        self.assert_ready(self.boot(force=True))
        self.assertEqual(asked(azure), GOOD + GOOD)

    def without_dmi(self) -> None:
        for name in ("chassis_asset_tag", "product_uuid"):
            self.system.unlink(DMI + "/" + name)

    def test_no_dmi_is_not_azure(self) -> None:
        azure = self.azure()
        self.without_dmi()
        before = snapshot(self.root)
        self.assertEqual(self.boot(), 0)
        self.assertEqual(snapshot(self.root), before)
        self.assertEqual(asked(azure), ())

    def test_no_dmi_but_hyperv(self) -> None:
        azure = self.azure()
        self.without_dmi()
        self.system.make_dirs("/sys/bus/vmbus/devices")
        self.assert_ready(self.boot())
        self.assertEqual(self.facts()["vm_id"], VM_ID)  # as IMDS returned it
        self.assertEqual(asked(azure), GOOD)

    def test_no_dmi_but_platform_option(self) -> None:
        azure = self.azure(platform="azure")
        self.without_dmi()
        self.assert_ready(self.boot())
        del azure.requests[:]
        self.install_hook()
        self.assert_ready(self.boot())
        self.assertEqual(asked(azure), ("imds 200",))  # the first request returns the id, and nothing else is needed

    def test_invalid_ids(self) -> None:
        for vm_id in ("0" * 8 + "-0000-0000-0000-" + "0" * 12, "F" * 8 + "-FFFF-FFFF-FFFF-" + "F" * 12, "None", ""):
            with self.subTest(vm_id):
                self.setUp()
                azure = self.azure()
                self.fill({DMI + "/product_uuid": vm_id + "\n"})
                self.assert_ready(self.boot())
                self.assertEqual(self.facts()["vm_id"], VM_ID)
                self.assertEqual(asked(azure), GOOD)

    def test_imds_has_another_id(self) -> None:
        """It is reported, but nothing is refused. Another byte order or capitals are the same id."""
        for vm_id in (OTHER_VM_ID, OTHER_VM_ID.upper(), VM_ID.upper(), swap(VM_ID)):
            other = vm_id.lower() == OTHER_VM_ID
            with self.subTest(vm_id):
                self.setUp()
                azure = self.azure()
                azure.instance["compute"]["vmId"] = vm_id
                self.assertEqual(self.boot(), 0, self.story)
                self.assertEqual((self.facts()["vm_id"], asked(azure)), (VM_ID, GOOD))
                self.assertEqual(self.facts().get("vm_id_imds"), OTHER_VM_ID if other else None)
                said = "warning: IMDS has the VM id %s, the firmware %s\n" % (OTHER_VM_ID, VM_ID)
                self.assertEqual(said in self.story, other, self.story)
        self.fill({STATE: "vm_id=%s\nvm_id_imds=%s\n" % (VM_ID, OTHER_VM_ID)})
        self.assert_ready(self.boot())
        self.assertNotIn("vm_id_imds", self.facts())

    def test_no_id_at_all(self) -> None:
        azure = self.azure()
        self.system.unlink(DMI + "/product_uuid")
        del azure.instance["compute"]["vmId"]
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(self.text("/etc/hostname"), "rehearsal\n")
        self.assertEqual(len(azure.reports), 1)
        self.assertIn("state cannot be saved", self.story)

    def test_same_vm_by_another_spelling(self) -> None:
        for spelling in (VM_ID, VM_ID.upper(), SWAPPED_VM_ID, SWAPPED_VM_ID.upper()):
            with self.subTest(spelling):
                self.setUp()
                azure = self.azure()
                self.fill({STATE: "vm_id=%s\nconfigured_at=x\nready_at=y\n" % spelling})
                self.assertEqual(self.boot(), 0)
                self.assertEqual(asked(azure), ())
                self.assertFalse(self.system.is_link(HOOK))  # was left over
                self.assertEqual(self.text("/etc/hostname"), "image\n")

    def test_state_of_another_vm(self) -> None:
        azure = self.azure()
        self.fill({STATE: "vm_id=%s\nconfigured_at=x\nready_at=y\nstep.hostname=ok 1.0\n" % OTHER_VM_ID})
        self.assert_ready(self.boot())
        self.assertEqual(asked(azure), GOOD)
        self.assertEqual(self.facts()["previous_vm_id"], OTHER_VM_ID)
        self.assertNotEqual(self.facts()["ready_at"], "y")

    def test_specialised_disk(self) -> None:
        azure = self.azure()
        del azure.instance["compute"]["osProfile"]
        self.fill({STATE: "vm_id=%s\nconfigured_at=x\nready_at=y\n" % OTHER_VM_ID})
        self.assert_ready(self.boot(), name="image")
        self.assertEqual(self.text("/etc/hosts"), AZURE_VM["/etc/hosts"])
        self.assertEqual(len(azure.reports), 1)

    def test_no_profile_and_no_state(self) -> None:
        azure = self.azure()
        del azure.instance["compute"]["osProfile"]
        self.assert_ready(self.boot(), name="rehearsal-0")

    def test_configured_before_and_not_reported(self) -> None:
        azure = self.azure()
        self.fill({STATE: "vm_id=%s\nconfigured_at=x\n" % VM_ID})
        self.assert_ready(self.boot(), name="image")
        self.assertEqual(asked(azure), ("goalstate 200", "health 200"))

    def test_configured_before_and_no_dmi(self) -> None:
        """It gets its id from IMDS, and does not repeat what was applied to this VM."""
        azure = self.azure(platform="azure")
        self.without_dmi()
        self.fill({STATE: "vm_id=%s\nconfigured_at=x\n" % VM_ID})
        self.assert_ready(self.boot(), name="image")
        self.assertEqual(asked(azure), GOOD)

    def test_pre_provisioned(self) -> None:
        for pool in ("Running", "Savable", "PreprovisionedOSDisk", "Something\x1b[2J"):
            with self.subTest(pool):
                self.setUp()
                azure = self.azure()
                azure.instance["extended"]["compute"] = {"ppsType": pool}
                self.assertEqual(self.boot(), 1)
                self.assertEqual(asked(azure), ("imds 200",))
                self.assertEqual(self.text("/etc/hostname"), "image\n")
                self.assertTrue(self.system.is_link(HOOK))
                self.assertNotIn("configured_at", self.facts())
                self.assertIn("this VM is pre-provisioned (%s" % pool[:9], self.story)
                self.assertNotIn("\x1b", self.story)

    def test_every_boot(self) -> None:
        azure = self.azure(every_boot="yes")
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(asked(azure), GOOD)
        self.assertTrue(self.system.is_link(HOOK))
        self.fill({DMI + "/product_uuid": OTHER_VM_ID + "\n"})  # an image of this VM
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(asked(azure), GOOD + GOOD)
        self.assertEqual(self.facts()["vm_id"], OTHER_VM_ID)

    def test_folders_in_memory_fail_first(self) -> None:
        """Read-only images keep some folders in memory. The serial console shows the consequence."""

        class Forgetful(FastSystem):
            kinds: "Dict[str, str]" = {}

            def volatile(self, path: str) -> str:
                return self.kinds.get(path, "")

        own = os.path.dirname(STATE)
        for kinds, said in (
            ({"/etc": "tmpfs"}, "/etc is on a tmpfs, which is lost at reboot: after that nobody can log in"),
            ({"/home": "tmpfs"}, "/home is on a tmpfs, which is lost at reboot: after that nobody can log in"),
            (
                {"/etc": "tmpfs", own: "tmpfs"},
                "are on a tmpfs, which is lost at reboot: every boot sets this VM up again",
            ),
            ({own: "tmpfs"}, own + " is on a tmpfs, which is lost at reboot, although what is set up stays"),
            ({}, ""),
        ):
            with self.subTest(kinds):
                self.setUp()
                self.azure()
                self.system = Forgetful(self.root, self.speed)
                self.system.kinds = kinds
                self.assert_ready(self.boot())
                self.assertEqual("which is lost at reboot" in self.story, bool(said))
                self.assertIn(said, self.story)

    def test_account_of_another_vm(self) -> None:
        for user, is_warned in (("root", False), ("alice", True)):  # a refused account belongs to no VM
            with self.subTest(user):
                self.setUp()
                azure = self.azure(every_boot="yes")
                azure.instance["compute"]["osProfile"] = {"computerName": "rehearsal", "adminUsername": user}
                self.assertEqual(self.boot(), 0 if is_warned else 1, self.story)
                self.fill({DMI + "/product_uuid": OTHER_VM_ID + "\n"})
                self.boot()
                self.assertEqual(
                    "the account %s belongs to another VM, and stays" % user in self.story, is_warned, self.story
                )

    def test_sshd_allows_other_users_only(self) -> None:
        azure = self.azure()
        azure.instance["compute"]["osProfile"] = {"computerName": "rehearsal", "adminUsername": "alice"}
        self.fill({"/etc/ssh/sshd_config": "AllowUsers bob\n"})
        self.assert_ready(self.boot())
        self.assertIn("warning: this image's sshd will not let alice in: AllowUsers bob", self.story)

    def test_unusable_state(self) -> None:
        for content in (b"\0" * 512, b"\xff\xfe", b"nonsense\n", b"ready_at=now\n", b"vm_id=\n" + b"x" * (1 << 20)):
            with self.subTest(content[:20]):
                self.setUp()
                azure = self.azure()
                self.system.write(STATE, content)
                self.assert_ready(self.boot())
                self.assertEqual(asked(azure), GOOD)
                self.assertEqual(self.system.read(STATE + ".corrupt"), content[: 64 << 10])
                self.assertIn("saved as state.corrupt, and ignored", self.story)

    def test_empty_state(self) -> None:
        self.azure()
        self.fill({STATE: ""})
        self.assert_ready(self.boot())
        self.assertIsNone(self.text(STATE + ".corrupt"))

    def test_state_is_a_folder(self) -> None:
        azure = self.azure()
        self.system.make_dirs(STATE)
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(len(azure.reports), 1)
        self.assertIn("state cannot be saved", self.story)

    def test_other_agent_is_running(self) -> None:
        azure = self.azure()
        wants = os.path.dirname(HOOK)
        self.fill({"/usr/sbin/waagent": "", "/lib/systemd/system/waagent.service": "[Service]\n"})
        self.fill({wants + "/waagent.service": "-> /lib/systemd/system/waagent.service"})
        self.fill({"/proc/sys/kernel/random/boot_id": "a boot\n"})
        before = snapshot(self.root)
        self.assertEqual(self.boot(), 1)
        changed = {path for path, thing in snapshot(self.root).items() if before.get(path) != thing}
        self.assertEqual({path for path in changed if not path.startswith("/var/lib")} - {"/var"}, set())
        self.assertEqual(self.facts()["error_reason"], "another agent would provision this VM")
        self.assertEqual(asked(azure), ())
        self.assertIn("nothing was done: waagent would provision too", self.story)
        began = time.monotonic()
        wait_for_end(FastSystem(self.root, speed=100.0))  # what `status --wait` prints: there is nothing to wait for
        self.assertLess(time.monotonic() - began, 5)
        self.fill({"/etc/systemd/system/waagent.service": "-> /dev/null"})  # masked since
        self.assert_ready(self.boot())


class NameTest(StoryTest):
    speed = 4.0

    def name_from(self, computer_name: object, resource_name: object) -> "str":
        self.setUp()
        azure = self.azure()
        azure.instance["compute"]["osProfile"] = {"computerName": computer_name, "adminUsername": "a"}
        azure.instance["compute"]["name"] = resource_name
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(len(azure.reports), 1, self.story)
        self.assertIn("ready_at", self.facts())
        return (self.text("/etc/hostname") or "").rstrip("\n")

    def test_names(self) -> None:
        emoji = "\U0001f600" * 300
        table = [
            ("web-1", "vm_0", "web-1"),
            ("Web-1.Example", "vm_0", "Web-1.Example"),
            (" web-1\n", "vm_0", "web-1"),
            ("", "vm_0", "vm-0"),
            (None, "vm_0", "vm-0"),
            (17, "vm_0", "vm-0"),
            ({"a": 1}, "vm_0", "vm-0"),
            (emoji, "vm_0", "vm-0"),
            (emoji, emoji, "image"),
            ("...", "---", "image"),
            ("", "", "image"),
            ("\ud800", "\udfff", "image"),
            ("a\ud800b", "vm", "a-b"),
            ("a" * 64, "vm", "a" * 63),
            ("; rm -rf /", "vm", "rm-rf"),
            ("../../etc/passwd", "vm", "etc-passwd"),
            ("a\nb", "vm", "a-b"),
        ]
        for computer_name, resource_name, expected in table:
            with self.subTest("%r, %r" % (computer_name, resource_name)):
                self.assertEqual(self.name_from(computer_name, resource_name), expected)

    def test_refused_names_are_reported(self) -> None:
        self.name_from("\U0001f600" * 300, "\x1b[2J")
        self.assertIn("is not usable as a host name", self.story)
        self.assertEqual(self.name_from("...", "..."), "image")
        self.assertIn("warning: Azure gave no usable name: the image's own", self.story)
        self.assertTrue(self.story.isascii() if hasattr(self.story, "isascii") else True)
        self.assertNotIn("\x1b", self.story)


class ProcessTest(StoryTest):
    def start_two(self) -> "Tuple[subprocess.Popen[str], subprocess.Popen[str]]":
        """Two runs: the first is working, the second waits for it."""
        self.fake = self.azure(*["imds-silent"] * 20)
        first = start_story(self.root, "run")
        self.assertTrue(wait_until(lambda: self.fake.requests))
        second = start_story(self.root, "run")
        assert second.stderr is not None
        self.assertIn("another run is running: waiting for it", second.stderr.readline())
        self.fake.troubles["imds"] = []
        return first, second

    def test_two_at_once(self) -> None:
        first, second = self.start_two()
        err = first.communicate()[1], second.communicate()[1]
        self.assertEqual((first.returncode, second.returncode), (0, 0), err)
        self.assertEqual(len(self.fake.reports), 1)
        self.assertEqual(asked(self.fake)[-3:], GOOD)
        self.assertNotIn("imds 200", asked(self.fake)[:-3])
        self.assertNotIn("accepted Ready", err[1])

    def test_other_run_failed(self) -> None:
        """Then this one does the work."""
        first, second = self.start_two()
        first.kill()
        first.communicate()
        err = second.communicate()[1]
        self.assertEqual(second.returncode, 0, err)
        self.assertEqual(len(self.fake.reports), 1)
        self.assert_ready(0)

    def test_other_run_does_not_end(self) -> None:
        azure = self.azure(deadline=10)
        self.system.lock("/run/azure-provisioning.lock")
        self.assertEqual(self.boot(), 0)
        self.assertIn("the other run is still running: leaving the work to it", self.story)
        self.assertEqual(asked(azure), ())

    def test_terminated(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number=number):
                self.setUp()
                azure = self.azure(*["imds-silent"] * 20)
                os.mkdir(self.system.path("/dev"))
                self.fill({"/dev/console": ""})
                # `nohup` makes all its children ignore SIGHUP.
                story = start_story(self.root, "run", prepare=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL))
                self.assertTrue(wait_until(partial(getattr, azure, "requests")))
                azure.troubles["imds"] = []
                story.send_signal(number)
                out, err = story.communicate()
                self.assertEqual(story.returncode, 130, err)
                self.assertEqual(out, "")
                self.assertTrue(err.endswith("azure-provisioning: interrupted; the next boot continues\n"), err)
                self.assertNotIn("Traceback", err)
                self.assertEqual(
                    self.text("/dev/console"), "azure-provisioning: interrupted; the next boot continues\r\n"
                )
                self.assertTrue(self.system.is_link(HOOK))
                self.assert_ready(self.boot())

    def test_one_line_on_the_console(self) -> None:
        self.azure()
        os.mkdir(self.system.path("/dev"))
        self.fill({"/dev/console": ""})
        err = start_story(self.root, "run").communicate()[1]
        self.assertRegex(self.text("/dev/console") or "", r"^azure-provisioning: Azure accepted Ready [^\n]*\r\n$", err)

    def test_detached(self) -> None:
        """The caller returns at once, even if it reads all output. Another session does the work."""
        azure = self.azure(*["imds-silent"] * 20)
        started = time.monotonic()
        story = start_story(self.root, "run", "--detach")
        err = story.communicate()[1]
        took = time.monotonic() - started
        self.assertEqual(story.returncode, 0, err)
        self.assertEqual(azure.reports, [], "it returned after %.2f s, when all was done" % took)
        azure.troubles["imds"] = []
        children = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if runs(pid, self.root)]
        self.assertEqual(len(children), 1)
        os.kill(children[0], signal.SIGHUP)  # as a closing terminal does
        self.assertEqual(os.getsid(children[0]), children[0])
        for descriptor in range(3):
            self.assertEqual(os.readlink("/proc/%d/fd/%d" % (children[0], descriptor)), "/dev/null")
        self.assertTrue(wait_until(lambda: not self.system.is_link(HOOK)))
        self.assertTrue(wait_until(lambda: not runs(children[0], self.root)))
        self.assert_ready(0)
        self.assertEqual(len(azure.reports), 1)

    def test_detached_and_ready(self) -> None:
        self.azure()
        self.boot()
        story = start_story(self.root, "run", "--detach")
        self.assertEqual(story.communicate(), ("", ""))
        self.assertEqual(story.returncode, 0)


def runs(pid: int, root: str) -> bool:
    """Does a process of this root run the story?"""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return root.encode() in file.read()
    except OSError:
        return False


class AzureDetailsTest(StoryTest):
    """Output uses Azure's names. On a partly broken platform only the broken part is missing."""

    SWAPPED = "527c2691-029f-fe4c-b1f4-a4da7ebac2cf"
    POOL = "/var/lib/hyperv/.kvp_pool_1"
    MOUNTS = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n33 20 11:0 / /media/cd ro - udf /dev/sr0 ro\n"
    PLATFORM = "<wa:PlatformSettingsSection><wa:PlatformSettings><wa:ProvisionGuestProxyAgent>true"
    PLATFORM += "</wa:ProvisionGuestProxyAgent></wa:PlatformSettings></wa:PlatformSettingsSection></Environment>"

    def generation_1(self) -> None:
        """Firmware that swaps the bytes of three fields of the id, without EFI."""
        self.fill({DMI + "/product_uuid": self.SWAPPED.upper() + "\n", self.POOL: ""})
        self.system.unlink(EFI + "/fw_platform_size")
        os.rmdir(self.system.path(EFI))

    def dvd(self, document: str) -> None:
        """A DVD mounted by an automounter."""
        self.fill({"/proc/self/mountinfo": self.MOUNTS, "/sys/block/sr0/dev": "11:0\n"})
        self.fill({"/media/cd/ovf-env.xml": document})

    def test_id_of_generation_1(self) -> None:
        self.generation_1()
        azure = self.azure()
        self.assert_ready(self.boot())
        self.assertIn("|vm_id=%s|" % VM_ID, (self.text(self.POOL) or ""))
        self.assertEqual((self.facts()["vm_id"], self.facts()["vm_id_azure"]), (self.SWAPPED, VM_ID))
        self.assertNotIn("vm_id_imds", self.facts())
        azure.requests.clear()
        self.assertEqual(self.boot(), 0)
        self.assertEqual(azure.requests, [])

    def test_id_of_generation_1_before_imds_has_answered(self) -> None:
        self.generation_1()
        azure = self.azure("imds-portal-for-ever", deadline=15)
        self.assert_failed(self.boot())
        self.assertIn("|vm_id=%s|" % VM_ID, self.description(azure.reports[0]))
        self.assertIn("|vm_id=%s|" % VM_ID, self.text(self.POOL) or "")

    def test_id_differs_in_imds(self) -> None:
        """Another machine may answer as IMDS: the firmware's id is shown, with the one from IMDS beside it."""
        self.fill({self.POOL: ""})
        azure = self.azure()
        azure.instance["compute"]["vmId"] = OTHER_VM_ID
        self.assert_ready(self.boot())
        self.assertIn("|vm_id=%s|" % VM_ID, self.text(self.POOL) or "")
        self.assertEqual(self.facts()["vm_id_imds"], OTHER_VM_ID)
        self.assertNotIn("vm_id_azure", self.facts())

    def test_proxy_agent_is_missing(self) -> None:
        for faults in (("wireserver-forbidden",), ("imds-forbidden", "wireserver-forbidden")):
            with self.subTest(faults):
                self.setUp()
                self.dvd(OVF.replace("</Environment>", self.PLATFORM))
                self.azure(*faults, deadline=15)
                self.assert_failed(self.boot())
                (line,) = [line for line in self.story.split("\n") if "FAILED: " in line]
                self.assertIn("http error 403 querying WireServer", line)
                self.assertIn("ProvisionGuestProxyAgent=true", line)
                self.assertIn("put the proxy agent (GuestProxyAgent) into the image", line)
                self.assertEqual(self.facts()["error.ProvisionGuestProxyAgent"], "true")
                self.system.unlink("/sys/block/sr0/dev")  # Azure ejects the DVD
                self.system.unlink("/media/cd/ovf-env.xml")
                self.assert_failed(self.boot())
                self.assertEqual(self.facts()["error.ProvisionGuestProxyAgent"], "true")
        self.setUp()
        self.azure("imds-forbidden", deadline=15)
        self.assert_failed(self.boot())
        self.assertNotIn("ProvisionGuestProxyAgent", self.story)

    def test_invalid_custom_data_is_dropped(self) -> None:
        self.dvd(OVF.replace("I2Nsb3VkLWNvbmZpZwo=", "I2Nsb3VkL!"))
        azure = self.azure(deadline=60)
        self.assert_failed(self.boot())
        self.assertEqual(self.facts()["error_reason"], "failure to read customData while hasCustomData=true")
        self.assertIn("warning: DVD: CustomData is not base64", self.story)
        self.assertRegex(self.text("/etc/shadow") or "", r"azureuser:\$6\$")
        self.assertIn("failure to read customData", self.description(azure.reports[0]))
        self.options(imds=azure.endpoint, wireserver=azure.endpoint, custom_data="no")
        self.assert_ready(self.boot())

    def test_body_of_a_refusal_is_only_in_the_log(self) -> None:
        said = "<p>%s\x1b[2J</p>" % ("no " * 200)
        peer = self.peer(http(said.encode("ascii"), "403 Forbidden"))
        address = "127.0.0.1:%d" % peer.port
        self.options(imds=address, wireserver=address, deadline=10)
        self.assert_failed(self.boot())
        self.assertIn(" and said: <p>no no ", self.story)
        self.assertNotIn("\x1b", self.story)
        self.assertNotIn("no no", self.text(STATE) or "")
        longest = max(len(line) for line in self.story.split("\n") if " said: " in line)
        self.assertLess(longest, 350)
