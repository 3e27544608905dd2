"""`status`: for scripts, and for people."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest
from typing import Any, Dict
from xml.etree import ElementTree

from azure_provisioning.azure.identity import AZURE_ASSET_TAG, DMI, EFI
from azure_provisioning.image.rehearse.fake_azure import VM_ID
from azure_provisioning.story import status, timeline
from azure_provisioning.story.state import PATH as STATE
from tests.guests import OTHER_VM_ID, FastSystem, catches, wait_until
from tests.images import ImageTest, built_file, cli, listing

KEYS = {
    "state", "version", "azure", "vm_id", "hook", "configured", "configured_at", "ready", "ready_at", "steps",
    "last_error",
}  # fmt: skip
CONFIGURED = "vm_id=%s\nconfigured_at=2026-11-24T20:00:00Z\nstep.hostname=ok 0.123\nstep.keys=warning 1.000\n" % VM_ID
READY = CONFIGURED + "ready_at=2026-11-24T20:00:05Z\n"
FAILED = (
    "vm_id=%s\nerror_reason=no such key\nerror_at=2026-11-24T20:00:07Z\nerror_boot=this-boot\nerror.path=/etc/x\n"
    "error.text=a=b \x1b[31m\n" % VM_ID
)
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class StatusTest(ImageTest):
    def setUp(self) -> None:
        super().setUp()
        self.image("systemd")

    def on_azure(self, vm_id: str = VM_ID) -> None:
        """Put the firmware of a generation 2 VM on Azure into the root."""
        self.fill({DMI + "/chassis_asset_tag": AZURE_ASSET_TAG + "\n", DMI + "/product_uuid": vm_id.upper() + "\n"})
        self.fill({EFI + "/fw_platform_size": "64\n"})

    def status(self) -> "Dict[str, Any]":
        """The JSON, which is the only output. Nothing is written."""
        before = listing(self.root)
        result = cli("status", "--root", self.root, "--json")
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertEqual(listing(self.root), before)
        found = json.loads(result.out)
        self.assertEqual(set(found), KEYS)
        return dict(found)

    def text_status(self) -> str:
        """The same for a person."""
        result = cli("status", "--root", self.root)
        self.assertEqual((result.code, result.err), (0, ""))
        return result.out

    def test_unreadable_vm_id(self) -> None:
        """The state may belong to the VM from which the image was captured: a plain user cannot determine that."""
        self.on_azure()
        self.fill({STATE: READY})
        os.unlink(self.root + DMI + "/product_uuid")
        os.mkdir(self.root + DMI + "/product_uuid")  # unreadable, as the kernel's file is for plain users
        found = self.status()
        self.assertEqual((found["ready"], found["configured"], found["ready_at"]), (None, None, None))
        self.assertIn("Ready       cannot be determined: only root may read which VM this is\n", self.text_status())
        result = cli("status", "--root", self.root, "--wait")
        self.assertEqual(result.code, 1)
        self.assertIn("it cannot be determined", result.err)

    def test_nothing_known(self) -> None:
        found = self.status()
        self.assertRegex(found.pop("version"), r"^\d+\.\d+")
        expected: Dict[str, object] = {
            "state": "none",
            "azure": None, "vm_id": None, "hook": {"enabled": False, "mechanism": None, "path": None}, "steps": [],
            "configured": False, "configured_at": None, "ready": False, "ready_at": None, "last_error": None,
        }  # fmt: skip
        self.assertEqual(found, expected)

    def test_platform(self) -> None:
        self.on_azure()
        self.assertEqual((self.status()["azure"], self.status()["vm_id"]), (True, VM_ID))
        self.fill({DMI + "/chassis_asset_tag": "No Asset Tag\n"})
        self.assertIs(self.status()["azure"], False)
        self.assertIn("on Azure    no\n", self.text_status())
        os.unlink(self.root + DMI + "/chassis_asset_tag")
        self.assertIsNone(self.status()["azure"])
        self.fill({"/etc/azure-provisioning.conf": "platform = azure\n"})
        self.assertIs(self.status()["azure"], True)

    def test_hook(self) -> None:
        self.install()
        link = "/etc/systemd/system/multi-user.target.wants/azure-provisioning.service"
        self.assertEqual(self.status()["hook"], {"enabled": True, "mechanism": "systemd", "path": link})
        self.assertIn("runs at the next boot (systemd: %s)" % link, self.text_status())
        self.system.unlink(link)
        self.assertEqual(self.status()["hook"], {"enabled": False, "mechanism": "systemd", "path": None})
        self.assertIn("boot hook   off\n", self.text_status())

    def test_configured(self) -> None:
        self.on_azure()
        self.fill({STATE: CONFIGURED})
        found = self.status()
        self.assertEqual((found["configured"], found["configured_at"]), (True, "2026-11-24T20:00:00Z"))
        self.assertEqual((found["ready"], found["ready_at"]), (False, None))
        steps = [
            {"name": "hostname", "result": "ok", "seconds": 0.123},
            {"name": "keys", "result": "warning", "seconds": 1.0},
        ]
        self.assertEqual(found["steps"], steps)
        self.assertIn("not accepted yet", self.text_status())

    def test_ready(self) -> None:
        self.on_azure()
        self.fill({STATE: READY})
        found = self.status()
        self.assertEqual((found["configured"], found["ready"]), (True, True))
        self.assertEqual(found["ready_at"], "2026-11-24T20:00:05Z")
        self.assertIn("accepted at 2026-11-24T20:00:05Z", self.text_status())

    def test_times_are_rfc_3339(self) -> None:
        self.on_azure()
        self.fill({STATE: READY})
        for key in ("configured_at", "ready_at"):
            self.assertRegex(self.status()[key], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_failed(self) -> None:
        self.on_azure()
        self.fill({STATE: FAILED})
        self.assertEqual(
            self.status()["last_error"],
            {
                "reason": "no such key",
                "details": {"path": "/etc/x", "text": "a=b \x1b[31m"},
                "remedy": "See the log (/var/log/azure-provisioning.log)",
                "at": "2026-11-24T20:00:07Z",
            },
        )
        self.assertIn("2026-11-24T20:00:07Z: no such key (path=/etc/x", self.text_status())
        self.assertIn("\nwhat to do  See the log (/var", self.text_status())
        self.assertNotIn("\x1b", self.text_status())

    def test_another_vm(self) -> None:
        """The state is about the VM that this image was made from. Nothing is known about the current VM."""
        self.on_azure(OTHER_VM_ID)
        self.fill({STATE: READY})
        found = self.status()
        self.assertEqual((found["vm_id"], found["ready"], found["configured"]), (OTHER_VM_ID, False, False))
        self.assertEqual((found["steps"], found["last_error"]), ([], None))

    def test_same_vm_in_the_other_byte_order(self) -> None:
        fields = VM_ID.split("-")
        for index in range(3):
            fields[index] = "".join(reversed([fields[index][at : at + 2] for at in range(0, len(fields[index]), 2)]))
        self.assertNotEqual("-".join(fields), VM_ID)
        self.on_azure("-".join(fields))
        self.fill({STATE: READY})
        self.assertIs(self.status()["ready"], True)

    def test_id_has_the_byte_order_of_azure(self) -> None:
        """The id that IMDS returned before counts. Otherwise generation 1, without EFI, swaps the bytes of three
        fields."""
        swapped = "527c2691-029f-fe4c-b1f4-a4da7ebac2cf"
        self.on_azure(swapped.upper())
        self.assertEqual(self.status()["vm_id"], swapped)
        self.fill({STATE: READY + "vm_id_azure=%s\n" % VM_ID})
        self.assertEqual(self.status()["vm_id"], VM_ID)
        self.system.unlink(EFI + "/fw_platform_size")
        os.rmdir(self.root + EFI)
        for state in (READY, READY + "vm_id_azure=%s\n" % OTHER_VM_ID, READY + "vm_id_azure=%s\n" % VM_ID):
            self.fill({STATE: state})
            self.assertEqual(self.status()["vm_id"], VM_ID)
            self.assertIn("VM          %s\n" % VM_ID, self.text_status())

    def test_imds_has_another_id(self) -> None:
        self.on_azure()
        self.fill({STATE: READY + "vm_id_imds=%s\n" % OTHER_VM_ID})
        found = json.loads(cli("status", "--root", self.root, "--json").out)
        self.assertEqual(set(found) - KEYS, {"vm_id_imds"})
        self.assertEqual((found["vm_id"], found["vm_id_imds"]), (VM_ID, OTHER_VM_ID))
        self.assertIn("VM          %s (but IMDS has %s)\n" % (VM_ID, OTHER_VM_ID), self.text_status())

    def test_image_shows_its_former_vm(self) -> None:
        """For an image mounted on another machine, no firmware is read."""
        self.fill({STATE: READY})
        self.assertEqual((self.status()["vm_id"], self.status()["ready"]), (VM_ID, True))

    def test_unusable_state(self) -> None:
        self.on_azure()
        for text in ("", "\0" * 4096, "ready_at", "ready_at=now\n", "<html>", "vm_id=%s\nready_at=x" % ("9" * 100000)):
            with self.subTest(text[:20]):
                self.fill({STATE: text})
                self.assertIs(self.status()["ready"], False)

    def test_pipes_do_not_block(self) -> None:
        """A pipe in place of a file: the answer does not wait for it."""
        paths = (STATE, DMI + "/chassis_asset_tag", DMI + "/product_uuid", "/etc/azure-provisioning.conf")
        for path in paths:
            os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
            os.mkfifo(self.root + path)
        result = cli("status", "--root", self.root, "--json")
        self.assertEqual((result.code, json.loads(result.out)["azure"]), (0, None))

    def test_wait_ends_with_the_boot(self) -> None:
        """With an exit code for scripts: 0 is Ready, 1 failed."""
        self.on_azure()
        for facts, code, word in ((READY, 0, "ready: "), (FAILED, 1, "failed: no such key")):
            self.fill({STATE: facts, BOOT_ID: "this-boot\n"})
            started = time.monotonic()
            result = cli("status", "--root", self.root, "--wait")
            self.assertEqual((result.code, result.out[: len(word)]), (code, word))
            self.assertLess(time.monotonic() - started, 5)

    def test_wait_waits(self) -> None:
        """It ignores a failure of an earlier boot, and ends when a boot would have given up."""
        self.on_azure()
        self.fill({STATE: FAILED, BOOT_ID: "another-boot\n"})
        argv = [sys.executable, "-I", "-S", built_file(), "status", "--root", self.root, "--wait", "--json"]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, universal_newlines=True)
        try:
            with self.assertRaises(subprocess.TimeoutExpired):
                child.wait(0.8)
            self.system.write(STATE, READY)
            out, _ = child.communicate(timeout=10)
        finally:
            child.kill()
            child.wait()
        self.assertEqual((child.returncode, json.loads(out)["ready"]), (0, True))

    def test_wait_is_for_this_vm(self) -> None:
        """In an image captured from a Ready VM, Ready is the former VM's."""
        self.on_azure()
        self.install()
        self.fill({STATE: READY.replace("vm_id=", "vm_id=0")})
        system = FastSystem(self.root, speed=10000)
        started = system.monotonic()
        status.wait_for_end(system)
        self.assertGreater(system.monotonic() - started, 900)

    def test_wait_is_interrupted(self) -> None:
        self.on_azure()
        self.install()
        argv = [sys.executable, "-I", "-S", built_file(), "status", "--root", self.root, "--wait"]
        child = subprocess.Popen(argv, stderr=subprocess.PIPE, universal_newlines=True)
        try:
            self.assertTrue(wait_until(lambda: catches(child.pid, signal.SIGTERM)))
            with self.assertRaises(subprocess.TimeoutExpired):
                child.wait(0.8)
            child.terminate()
            _, printed = child.communicate(timeout=10)
        finally:
            child.kill()
            child.wait()
        self.assertEqual((child.returncode, printed), (130, "azure-provisioning: interrupted\n"))

    def test_wait_gives_up(self) -> None:
        self.install()
        self.fill({"/etc/azure-provisioning.conf": "deadline = 300\nplatform = azure\n"})
        system = FastSystem(self.root, speed=1000)
        started = system.monotonic()
        status.wait_for_end(system)
        self.assertTrue(300 <= system.monotonic() - started <= 3000)

    def test_wait_ends_outside_azure(self) -> None:
        self.fill({DMI + "/chassis_asset_tag": "another cloud\n"})
        system = FastSystem(self.root, speed=1)
        started = system.monotonic()
        status.wait_for_end(system)
        self.assertLess(system.monotonic() - started, 60)


class TimelineTest(unittest.TestCase):
    def test_bars_are_in_proportion(self) -> None:
        steps = [
            {"name": "wait", "result": "ok", "seconds": 2.0},
            {"name": "fetch", "result": "ok", "seconds": 1.0},
            {"name": "sudo", "result": "warning", "seconds": 0.0},
        ]
        lines = timeline.as_lines([timeline.Span(**step) for step in steps])  # type: ignore[arg-type]
        self.assertEqual([line.count("#") for line in lines], [timeline.BAR_WIDTH, timeline.BAR_WIDTH // 2, 0])
        self.assertIn("warning", lines[2])

    def test_no_step(self) -> None:
        self.assertEqual(timeline.as_lines([]), [])

    def test_total_and_message(self) -> None:
        """The total lasts until the last step ends: steps may overlap, and there are gaps between them."""
        spans = [
            timeline.Span("wait", "ok", 2.0, 0.5),
            timeline.Span("sudo", "warning", 0.25, 3.0, "no sudo and no doas"),
        ]
        lines = timeline.as_lines(spans)
        self.assertIn("no sudo and no doas", lines[2])
        self.assertRegex(lines[3], r"^total +3\.250 s$")

    def test_picture(self) -> None:
        """Well-formed, with any names. Nothing is drawn outside the picture."""
        spans = [
            timeline.Span("wait", "ok", 2.0, 0.5),
            timeline.Span('gate-<&">\x1b\udcff\ufffe\u202e', "failed", 1e9, None, "x" * 1000 + "</svg>"),
            timeline.Span("sudo", "unheard-of", 0.0, 0.0),
            timeline.Span("GET /x -> 200", "request", 0.001, 4e8),
        ]
        for shown in (spans, [], spans[:1]):
            text = timeline.as_svg("title <&>", shown, ["note\n"])
            picture = ElementTree.fromstring(text.encode("ascii"))
            width, height = int(picture.get("width", "0")), int(picture.get("height", "0"))
            bars = list(picture.iter("{http://www.w3.org/2000/svg}rect"))[1:]
            self.assertEqual(len(bars), len(shown) + len(timeline.COLOURS))
            for bar in bars:
                x, y = float(bar.get("x", "-1")), float(bar.get("y", "-1"))
                self.assertTrue(x >= 0 and x + float(bar.get("width", "-1")) <= width, bar.attrib)
                self.assertTrue(0 <= y < height, bar.attrib)


class StateWordTest(ImageTest):
    """The first word of a status."""

    def setUp(self) -> None:
        super().setUp()
        self.image("systemd")

    def word(self, *, live: bool = False) -> str:
        class Machine(FastSystem):
            @property
            def live(self) -> bool:
                return live

        found = status.read_status(Machine(self.root))
        text = status.as_text(found, status.explain_unknown(self.system))[0]
        self.assertTrue(text.startswith("%s: " % found["state"]), text)
        return str(found["state"])

    def azure(self, tag: str = AZURE_ASSET_TAG) -> None:  # type: ignore[override]
        self.fill({DMI + "/chassis_asset_tag": tag + "\n", DMI + "/product_uuid": VM_ID + "\n"})

    def test_each_word(self) -> None:
        self.assertEqual((self.word(), self.word(live=True)), ("none", "not-azure"))
        self.azure()
        self.assertEqual(self.word(live=True), "none")
        self.install()
        self.assertEqual(self.word(live=True), "waiting")
        self.fill({STATE: CONFIGURED})
        self.assertEqual(self.word(live=True), "waiting")
        self.fill({STATE: FAILED})
        self.assertEqual((self.word(), self.word(live=True)), ("failed", "failed"))
        self.fill({STATE: READY})
        self.assertEqual((self.word(), self.word(live=True)), ("ready", "ready"))
        self.azure("another cloud")
        self.assertEqual((self.word(), self.word(live=True)), ("not-azure", "not-azure"))

    def test_other_agent(self) -> None:
        self.azure()
        self.install()
        self.fill({"/usr/sbin/waagent": "#!/bin/sh\n"})
        unit = "/usr/lib/systemd/system/waagent.service"
        self.fill({unit: "[Service]\nExecStart=/usr/sbin/waagent -daemon\n"})
        self.fill({"/etc/systemd/system/multi-user.target.wants/waagent.service": "-> " + unit})
        self.assertEqual(self.word(live=True), "other-agent")
        started = time.monotonic()
        self.assertEqual(cli("status", "--root", self.root, "--wait").code, 2)
        self.assertLess(time.monotonic() - started, 10)

    def test_running(self) -> None:
        """By the running processes: of Python and of the shell, and of no other verb."""
        self.azure()
        self.install()
        program = "/usr/local/sbin/azure-provisioning"
        for words, expected in (
            (["/usr/bin/python3", "-I", "-S", program, "run", "--detach"], "running"),
            (["/bin/sh", program, "--without-python", "run"], "running"),
            ([program, "status", "--wait"], "waiting"),
            (["vi", program], "waiting"),
            (["run", "run"], "waiting"),
        ):
            self.fill({"/proc/4711/cmdline": "\0".join(words) + "\0"})
            self.assertEqual((self.word(live=True), self.word()), (expected, "waiting"), words)
        self.fill({STATE: FAILED, "/proc/4711/cmdline": program + "\0run\0"})
        self.assertEqual(self.word(live=True), "running")  # the next boot is working on it

    def test_wait_without_a_boot_is_2(self) -> None:
        self.azure()
        self.assertEqual(cli("status", "--root", self.root, "--wait").code, 2)
        self.azure("another cloud")
        self.assertEqual(cli("status", "--root", self.root, "--wait").code, 2)

    def test_wait_ends_for_an_installed_image(self) -> None:
        self.install()
        started = time.monotonic()
        result = cli("status", "--root", self.root, "--wait")
        self.assertLess(time.monotonic() - started, 10)
        self.assertEqual(result.code, 2)
        self.assertIn("did not wait", result.err)
        self.assertNotIn("in the time that a boot may take", result.err)

    def test_why_unknown(self) -> None:
        out = cli("status", "--root", self.root).out
        self.assertIn("on Azure    unknown: an image has no firmware\n", out)
        self.assertIn("VM          unknown: no VM was set up from this image\n", out)

    def test_disabled_hook(self) -> None:
        self.install()
        self.system.unlink("/etc/systemd/system/multi-user.target.wants/azure-provisioning.service")
        self.assertIn("none: the boot hook is installed, but off", cli("status", "--root", self.root).out)

    def test_svg(self) -> None:
        self.fill({STATE: READY + "at.hostname=0.5\nwarning.keys=no key <&>\n"})
        path = self.root + "/plot.svg"
        result = cli("status", "--root", self.root, "--svg", path)
        self.assertEqual(result.code, 0, result.err)
        with open(path, "rb") as file:
            text = "".join(ElementTree.fromstring(file.read()).itertext())
        for word in ("hostname", "keys", "no key <&>", VM_ID):
            self.assertIn(word, text)
        steps = json.loads(cli("status", "--root", self.root, "--json").out)["steps"]
        self.assertEqual(steps[0], {"name": "hostname", "result": "ok", "seconds": 0.123, "at": 0.5})
        self.assertEqual(steps[1]["message"], "no key <&>")
        self.assertEqual(cli("status", "--root", self.root, "--svg", self.root + "/no/plot.svg").code, 1)
