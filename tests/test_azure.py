"""`make azure-test` with a stand-in for `az`: its calls, and that nothing is left after any failure.

No test uses Azure itself. The stand-ins are in azure/pretended.sh: az, ssh and ssh-keyscan on PATH.
"""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, NamedTuple, Tuple

from tests import TOP
from tests.azure.cloud import is_name

GROUP = "provisioning-test"
DEBIAN = ("--image", "debian")
# The requests to az for one image, in order.
BEGIN = ["account show", "group exists", "group create"]
IMAGE = [
    "storage account create",
    "storage container create",
    "storage blob upload",
    "storage blob url",
    "image create",
]
VM = ["vm create", "vm get-instance-view", "vm boot-diagnostics get-boot-log"]
CAPTURE = ["vm deallocate", "vm generalize", "image create"]
END = ["group delete", "group exists"]
WHOLE = BEGIN + IMAGE + VM + CAPTURE + VM + VM + END


class Cloud:
    """One subscription, with the stand-ins that answer for it."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        bin_folder = self.folder / "bin"
        bin_folder.mkdir(parents=True)
        for name in ("az", "ssh", "ssh-keyscan"):
            (bin_folder / name).symlink_to(Path(TOP) / "tests" / "azure" / "pretended.sh")
        (self.folder / "tmp").mkdir()
        self.vhd = self.folder / "debian.vhd"
        self.vhd.write_bytes(b"conectix")
        self.path = "%s:%s" % (bin_folder, os.environ["PATH"])

    def start(self, *words: str, group: str = GROUP) -> "subprocess.Popen[bytes]":
        """The command, called as by `make azure-test`."""
        argv = [sys.executable, "-m", "tests.azure", group, "--vhd", "debian=%s" % self.vhd, "--pause", "0.01"]
        return subprocess.Popen(
            argv + ["--logs", str(self.folder / "logs")] + list(words),
            cwd=TOP,
            env={"PATH": self.path, "TMPDIR": str(self.folder / "tmp"), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def play(self, *words: str, group: str = GROUP) -> "Tuple[int, str]":
        """(exit code, its output)."""
        child = self.start(*words, group=group)
        printed, _ = child.communicate(timeout=120)
        return child.returncode, printed.decode("utf-8", "replace")

    def say(self, name: str, text: str) -> None:
        """Change the stand-ins' answers."""
        (self.folder / name).write_text(text)

    def asked(self, program: str = "az") -> "List[List[str]]":
        """The argv of every call."""
        try:
            lines = (self.folder / "asked").read_text().splitlines()
        except FileNotFoundError:
            return []
        calls = [line.split("\037")[:-1] for line in lines]
        return [call[1:] for call in calls if call[0] == program]

    def verbs(self) -> "List[str]":
        """The verbs of the calls of az, without options."""
        return [re.sub(r" -.*", "", " ".join(call)) for call in self.asked()]

    def group_is_there(self) -> bool:
        return (self.folder / "group").exists()

    def left_over(self) -> "List[str]":
        """What the command left in its temporary folder."""
        return os.listdir(str(self.folder / "tmp"))

    def secrets(self) -> "List[str]":
        """The passwords that az received."""
        return [path.read_text() for path in self.folder.glob("vm-*/password")]

    def logs(self) -> str:
        return "".join(path.read_text() for path in (self.folder / "logs").glob("*"))


class End(NamedTuple):
    """How a run with one failure ended."""

    number: int
    code: int
    printed: str
    cloud: Cloud


@unittest.skipIf(shutil.which("ssh-keygen") is None, "no ssh-keygen: azure-test has no keys to log in with")
class AzureTest(unittest.TestCase):
    def setUp(self) -> None:
        self.scratch = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.scratch)
        self.cloud = Cloud(self.scratch + "/0")

    def assert_gone(self, cloud: Cloud) -> None:
        """No group and no temporary folder are left, and no secret is stored."""
        self.assertFalse(cloud.group_is_there())
        self.assertEqual(cloud.left_over(), [])
        for secret in cloud.secrets():
            self.assertNotIn(secret, cloud.logs())
            for program in ("az", "ssh", "ssh-keyscan"):
                self.assertNotIn(secret, " ".join(sum(cloud.asked(program), [])))

    def test_whole_trial(self) -> None:
        code, printed = self.cloud.play()
        self.assertEqual(code, 0, printed)
        self.assertEqual(self.cloud.verbs(), WHOLE)
        self.assert_gone(self.cloud)
        rows = re.findall(r"(?m)^(debian|devuan) +(\w+) +\d+  (\w+)", printed)
        passed = ["image", "key", "capture", "password", "captured"]
        self.assertEqual(rows, [("devuan", "image", "skipped")] + [("debian", what, "ok") for what in passed])
        self.assertIn("5 passed, 0 failed, 1 skipped", printed)

    def test_calls_of_az(self) -> None:
        self.assertEqual(self.cloud.play(*DEBIAN, "--location", "northeurope", "--size", "Standard_A1_v2")[0], 0)
        calls = self.cloud.asked()
        for call in calls:
            self.assertIn("--only-show-errors", call)
            for word in ("--location", "--size"):
                if word in call:
                    self.assertIn(call[call.index(word) + 1], ("northeurope", "Standard_A1_v2"))
            if call[0] in ("vm", "image"):
                self.assertEqual(call[call.index("--resource-group") + 1], GROUP)
            if call[:2] == ["group", "delete"]:
                self.assertEqual(call, ["group", "delete", "--name", GROUP, "--yes", "--only-show-errors"])
        upload = next(call for call in calls if call[:3] == ["storage", "blob", "upload"])
        self.assertEqual(upload[upload.index("--type") + 1], "page")
        images = [call for call in calls if call[:2] == ["image", "create"]]
        self.assertEqual([call[call.index("--hyper-v-generation") + 1] for call in images], ["V1", "V1"])
        self.assertEqual(
            [call[call.index("--source") + 1].partition(":")[0] for call in images], ["https", "debian-key"]
        )
        made = [call for call in calls if call[:2] == ["vm", "create"]]
        self.assertEqual(
            [call[call.index("--name") + 1] for call in made], ["debian-key", "debian-password", "debian-captured"]
        )
        used = [call[call.index("--image") + 1].rpartition("/")[2] for call in made]
        self.assertEqual(used, ["debian", "debian", "debian-key-captured"])
        for call in made:
            self.assertEqual(call[call.index("--enable-agent") + 1], "false")
            self.assertEqual("--admin-password" in call, "debian-password" in call)
            self.assertEqual("--ssh-key-values" in call, "debian-password" not in call)

    def test_password(self) -> None:
        """It is random, valid for Azure, and only in a file that only its owner can read."""
        code, printed = self.cloud.play(*DEBIAN)
        self.assertEqual(code, 0, printed)
        secrets = self.cloud.secrets()
        self.assertEqual(len(secrets), 1)
        self.assertRegex(secrets[0], r"\AAa1-[0-9a-f]{32}\Z")
        self.assertEqual((self.cloud.folder / "vm-debian-password" / "password.mode").read_text(), "600\n")
        self.assertNotIn(secrets[0], printed)
        self.assert_gone(self.cloud)
        other = Cloud(self.scratch + "/1")
        other.play(*DEBIAN)
        self.assertNotEqual(other.secrets(), secrets)

    def test_group_is_removed_after_any_failure(self) -> None:
        """The group is removed after a failure of any call of az; a group that is not ours is never removed."""

        def play(number: int) -> End:
            cloud = Cloud("%s/%d" % (self.scratch, number))
            cloud.say("fail", "%d\n" % number)
            return End(number, *cloud.play(*DEBIAN), cloud)

        with ThreadPoolExecutor(4) as pool:
            ends = list(pool.map(play, range(1, len(WHOLE) + 1)))
        for end in ends:
            verb = WHOLE[end.number - 1]
            with self.subTest(number=end.number, verb=verb):
                self.assert_gone(end.cloud)
                self.assertNotIn("Traceback", end.printed)
                verbs = end.cloud.verbs()
                self.assertEqual(verbs[: end.number], WHOLE[: end.number])
                made = end.number > len(BEGIN) - 1
                self.assertEqual("group delete" in verbs, made)
                if made:
                    self.assertEqual(verbs[-2:], END)
                if verb.endswith("get-boot-log") or end.number > len(WHOLE) - len(END):
                    self.assertEqual(end.code, 0, end.printed)  # the repeated request is answered
                else:
                    self.assertEqual(end.code, 1, end.printed)
                    self.assertIn("FAILED: az %s: ERROR: (OperationNotAllowed)" % verb, end.printed)

    def test_other_images_continue_after_a_failure(self) -> None:
        """The other images are still tried, but nothing is captured from this one."""
        self.cloud.say("fail", "%d\n" % (len(BEGIN + IMAGE) + 1))
        code, printed = self.cloud.play(*DEBIAN)
        self.assertEqual(code, 1, printed)
        self.assertRegex(printed, r"(?m)^debian +key +\d+  FAILED: az vm create: ")
        self.assertRegex(printed, r"(?m)^debian +password +\d+  ok$")
        self.assertIn("2 passed, 1 failed, 0 skipped", printed)

    def test_existing_group_is_refused(self) -> None:
        self.cloud.say("group", "")
        code, printed = self.cloud.play(*DEBIAN)
        self.assertEqual(code, 1, printed)
        self.assertIn("exists already", printed)
        self.assertEqual(self.cloud.verbs(), BEGIN[:2])
        self.assertTrue(self.cloud.group_is_there())

    def test_group_that_cannot_be_removed_is_reported(self) -> None:
        numbers = [len(WHOLE) - 1, len(WHOLE) + 1]
        self.cloud.say("fail", "".join("%d\n" % number for number in numbers))
        code, printed = self.cloud.play(*DEBIAN)
        self.assertEqual(code, 1, printed)
        self.assertIn("MAY STILL BE THERE", printed)
        self.assertIn("az group delete --name %s --yes" % GROUP, printed)

    def test_signals(self) -> None:
        """Interrupted while the group or a VM is created: the group is removed, and the table is printed."""
        for number, sign in (
            (len(BEGIN), signal.SIGTERM),
            (len(BEGIN + IMAGE) + 1, signal.SIGINT),
            (len(BEGIN + IMAGE) + 2, signal.SIGHUP),
        ):
            with self.subTest(number=number, sign=sign):
                cloud = Cloud("%s/signal-%d" % (self.scratch, number))
                cloud.say("hang", "%d\n" % number)
                child = cloud.start(*DEBIAN)
                while child.poll() is None and not (cloud.folder / "hangs").exists():
                    time.sleep(0.02)
                child.send_signal(sign)
                printed, _ = child.communicate(timeout=60)
                self.assertEqual(child.returncode, 128 + sign, printed)
                self.assertEqual(cloud.verbs()[number:], END)
                self.assert_gone(cloud)
                self.assertIn(b"failed, 0 skipped", printed)

    def test_second_signal_does_not_interrupt_removal(self) -> None:
        """Nothing interrupts the removal of the group."""
        self.cloud.say("hang", "%d\n" % (len(WHOLE) - 1))
        child = self.cloud.start(*DEBIAN)
        while child.poll() is None and not (self.cloud.folder / "hangs").exists():
            time.sleep(0.02)
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            child.send_signal(sign)
        time.sleep(0.3)
        self.assertIsNone(child.poll())
        self.assertEqual(self.cloud.verbs()[-1], "group delete")
        # The pretended removal ends, as Azure can end it; the second try succeeds.
        hanging = [path for path in glob.glob("/proc/[0-9]*/stat") if _parent(path) == child.pid]
        self.assertEqual(len(hanging), 1)
        os.kill(int(hanging[0].split("/")[2]), signal.SIGKILL)
        printed, _ = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 0, printed)
        self.assert_gone(self.cloud)

    def test_wrong_answers(self) -> None:
        for number, (name, text, why) in enumerate(
            (
                ("say-vm-create", "{}", "no publicIpAddress in the answer"),
                ("say-vm-create", '{"publicIpAddress": "-oProxyCommand=id"}', "is no address"),
                ("say-vm-create", "made it", "the answer is no JSON"),
                ("say-vm-get-instance-view", "{}", "no statuses in the answer"),
                (
                    "say-vm-get-instance-view",
                    '{"instanceView": {"statuses": [{"code": "ProvisioningState/updating"}]}}',
                    "the portal shows ProvisioningState/updating",
                ),
                ("say-vm-boot-diagnostics", "login: ", "does not say that Azure accepted Ready"),
                (
                    "say-vm-boot-diagnostics",
                    "azure-provisioning: FAILED: no answer from Azure",
                    "does not say that Azure accepted Ready",
                ),
                (
                    "say-vm-boot-diagnostics",
                    "Azure accepted Ready after 1.0 s",
                    "no host key of the console is offered",
                ),
                ("say-image-create", "[]", "no id in the answer"),
                ("say-storage-blob", '"http://elsewhere"', "no address in the answer"),
                ("say-group-exists", "null", "exists already"),
            ),
            1,
        ):
            with self.subTest(name=name, why=why):
                cloud = Cloud("%s/%d" % (self.scratch, number))
                cloud.say(name, text)
                code, printed = cloud.play(*DEBIAN)
                self.assertEqual(code, 1, printed)
                self.assertIn(why, printed)
                self.assertNotIn("Traceback", printed)
                self.assert_gone(cloud)

    def test_host_key_shared_by_two_vms(self) -> None:
        """An image with a host key passes it on to every VM."""
        self.cloud.say("same-host-key", "")
        code, printed = self.cloud.play(*DEBIAN)
        self.assertEqual(code, 1, printed)
        for what in ("password", "captured"):
            self.assertRegex(printed, r"(?m)^debian +%s +\d+  FAILED: a host key is that of another VM$" % what)

    def test_boot_log_as_json(self) -> None:
        """Some releases of az print the log as a JSON string; it must be decoded, or no host key is found."""
        self.cloud.say("say-vm-boot-diagnostics", '"azure-provisioning: FAILED: x\\r\\nmore"')
        self.cloud.play(*DEBIAN)
        self.assertEqual(
            (self.cloud.folder / "logs" / "debian-key.log").read_bytes(), b"azure-provisioning: FAILED: x\r\nmore"
        )

    def test_names(self) -> None:
        """An invalid name ends the command before any request."""
        bad = ("", "a", "-group", "group-", "a b", "x;id", "$(id)", "a" * 41, "1group", "group\n", "gr\u00fcppe", "..")
        self.assertEqual([name for name in bad if is_name(name)], [])
        self.assertEqual([name for name in ("abc", GROUP, "A-9", "a" * 40) if not is_name(name)], [])
        for group, words in (
            ("x;id", ()),
            (GROUP, ("--location", "west europe")),
            (GROUP, ("--devuan", "file:///x")),
            (GROUP, ("--image", "other")),
            (GROUP, ("--vhd", "debian=/none")),
        ):
            code, printed = self.cloud.play(*words, group=group)
            self.assertEqual(code, 2, printed)
        self.assertEqual(self.cloud.asked(), [])

    def test_no_az(self) -> None:
        (self.cloud.folder / "bin" / "az").unlink()
        self.cloud.path = str(self.cloud.folder / "bin")
        code, printed = self.cloud.play(*DEBIAN)
        self.assertEqual(code, 1, printed)
        self.assertIn("`az` is missing", printed)


def _parent(stat: str) -> int:
    try:
        with open(stat, encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@unittest.skipIf(sys.version_info < (3, 8), "the boot lab takes Python 3.8")
class DiskTest(unittest.TestCase):
    """The uploaded disk, built from a small tree."""

    def test_bootable_fixed_vhd(self) -> None:
        from tests.boot import disk

        tools = ["sfdisk", "mke2fs", "debugfs", "grub-mkimage", "qemu-img"]
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        lacking = [tool for tool in tools if shutil.which(tool, path=path) is None]
        if lacking or not (disk.GRUB / "boot.img").exists():
            self.skipTest("no %s: no disk was made" % ", ".join(lacking or ["grub-pc-bin"]))
        scratch = Path(tempfile.mkdtemp(prefix="azure-provisioning-test-"))
        self.addCleanup(shutil.rmtree, str(scratch))
        before = os.environ["PATH"]
        self.addCleanup(os.environ.__setitem__, "PATH", before)
        os.environ["PATH"] = path
        (scratch / "tree").mkdir()
        (scratch / "tree" / "hello").write_text("world\n")
        raw, vhd = scratch / "disk.img", scratch / "disk.vhd"
        disk.make_bootable(scratch / "tree", raw, 16)
        disk.fixed_vhd(raw, vhd)
        data = vhd.read_bytes()
        self.assertEqual(len(data), (16 << 20) + 512)
        self.assertEqual(data[-512:-504], b"conectix")
        self.assertEqual(data[-512 + 60 : -512 + 64], b"\0\0\0\2")  # type 2: a disk of fixed size
        self.assertEqual(int.from_bytes(data[-512 + 48 : -512 + 56], "big"), 16 << 20)
        self.assertEqual(data[510:512], b"\x55\xaa")
        self.assertEqual((data[446], data[450]), (0x80, 0x83))
        self.assertEqual(int.from_bytes(data[454:458], "little"), 2048)
        self.assertIn(b"GRUB", data[:440])
        self.assertEqual(data[512:513], b"\x52")  # GRUB's first sector after the MBR
        with open(str(scratch / "partition"), "wb") as file:
            file.write(data[1 << 20 : -512])
        self.assertEqual(disk.Disk(scratch / "partition").text("/hello"), "world\n")
        self.assertEqual(sorted(os.listdir(str(scratch))), ["disk.img", "disk.vhd", "partition", "tree"])
