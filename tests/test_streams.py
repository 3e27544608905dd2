"""Standard input, output and error are closed or full: an exit code, one line, no traceback, and the boot completes."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import Dict, List, Tuple

from azure_provisioning.azure.identity import DMI
from tests.guests import BuiltTest
from tests.images import PYTHON
from tests.test_cli import SealedTest

CLOSE = ("<&-", ">&-", "2>&-")
CLOSED = [" ".join(some) for count in (1, 2, 3) for some in itertools.combinations(CLOSE, count)]
FULL = [">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full"]
NO_STDOUT = "\\Aazure-provisioning: stdout cannot be written \\(error=[^\n]+\\)\n\\Z"

# The verbs for an image, the exit code of each, and whether stdout has the answer.
VERBS: "List[Tuple[str, int, bool]]" = [
    ("status", 0, True),
    ("status --json", 0, True),
    ("check", 1, True),
    ("check --json", 1, True),
    ("install", 0, True),
    ("generalize --yes", 0, True),
    ("uninstall", 0, True),
    ("--version", 0, True),
    ("--help", 0, True),
    ("rehearse --fault list", 0, True),
    ("rehearse --fault no-such", 2, False),
    ("no-such-verb", 2, False),
]


IMAGES = dict.fromkeys(("status", "check", "install", "generalize"), "plain")
IMAGES["uninstall"] = "installed"


class StreamsTest(BuiltTest):
    def call(self, words: str, how: str) -> "Tuple[int, str, str]":
        """(exit code, stdout, stderr) of the built file, on a new copy of an image, installed or not."""
        argv = words.split()
        if argv[0] in IMAGES:
            shutil.rmtree(self.root + "/image", ignore_errors=True)
            shutil.copytree(self.root + "/" + IMAGES[argv[0]], self.root + "/image", symlinks=True)
            argv += ["--root", self.root + "/image"]
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" ' + how, "sh", sys.executable, "-I", "-S", self.program, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        return done.returncode, done.stdout, done.stderr

    def test_matrix(self) -> None:
        for folder in ("/plain", "/installed"):
            files = dict(PYTHON, **{"/etc/hostname": "x\n", "/var/log/syslog": "x\n", "/usr/lib/systemd/systemd": ""})
            self.fill({folder + path: text for path, text in files.items()})
            self.fill({folder + "/sbin/init": "-> ../usr/lib/systemd/systemd", folder + "/bin/sh": ""})
        subprocess.check_output(
            [sys.executable, "-I", "-S", self.program, "install", "--root", self.root + "/installed"],
            stderr=subprocess.DEVNULL,
        )
        for words, code, answers in VERBS:
            for how in CLOSED + FULL:
                with self.subTest(words=words, how=how):
                    found, out, err = self.call(words, how)
                    no_stdout = re.search(r"(^| )>", how) is not None
                    self.assertEqual(found, 1 if answers and no_stdout else code, err)
                    self.assertEqual(out == "", no_stdout or not answers)
                    self.assertNotRegex(err, "Traceback|Exception")
                    if answers and no_stdout and "2>" not in how:
                        self.assertRegex(
                            "".join(line + "\n" for line in err.splitlines() if "stdout" in line), NO_STDOUT
                        )

    def test_reader_has_ended(self) -> None:
        """A reader such as `head` closes early: no failure, and no message."""
        for words, code, _ in VERBS[:4] + VERBS[7:10]:
            with self.subTest(words):
                reader, writer = os.pipe()
                os.close(reader)
                argv = [sys.executable, "-I", "-S", self.program, *words.split()]
                self.fill({"/etc/hostname": "x\n", "/bin/sh": ""})
                argv += [] if words.startswith(("-", "rehearse")) else ["--root", self.root]
                with os.fdopen(writer, "w") as gone:
                    done = subprocess.run(argv, stdout=gone, stderr=subprocess.PIPE, universal_newlines=True)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertNotRegex(done.stderr, "Traceback|Exception|stdout")

    def test_files_do_not_get_descriptors_0_to_2(self) -> None:
        """Output to a descriptor that the caller closed must not reach a file that was opened later."""
        code = (
            "import os, runpy, sys\n"
            "sys.argv = [%r, '--version']\n"
            "try:\n"
            "    runpy.run_path(sys.argv[0], run_name='__main__')\n"
            "except SystemExit:\n"
            "    pass\n"
            "os.dup2(os.open(%r, os.O_WRONLY | os.O_CREAT), 9)\n"
            "print([os.get_inheritable(n) for n in (0, 1, 2)], os.read(0, 1), file=os.fdopen(9, 'w'))\n"
            "for n in (1, 2):\n"
            "    try:\n"
            "        os.write(n, b'x')\n"
            "    except OSError:\n"
            "        continue\n"
            "    os._exit(9)\n"
            "os._exit(0)\n" % (self.program, self.root + "/seen")
        )
        # A lost answer ends in os._exit, which is caught here to look at the open descriptors.
        code = "import os\nos_exit = os._exit\ndef stay(code):\n    raise SystemExit(code)\nos._exit = stay\n" + code
        code = code.replace("    os._exit(9)", "    os_exit(9)").replace("\nos._exit(0)", "\nos_exit(0)")
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-I", "-S", "-c", code],
            stdin=subprocess.DEVNULL,
        )
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.text("/seen"), "[True, True, True] b''\n")


class SealedStreamsTest(SealedTest):
    """A boot, and the reports."""

    CLEAR = "rm -rf /var/lib/azure-provisioning; "
    LATER = "sleep 1; " + CLEAR  # when the previous boot's child has ended
    STORY = ["imds 200", "goalstate 200", "health 200"]

    def test_first_and_second_boot(self) -> None:
        """With each of them closed or full: Ready, once."""
        ways = CLOSED + FULL
        commands: "List[Tuple[object, ...]]" = [(["run"], [], self.CLEAR + 'exec "$@" ' + how) for how in ways]
        for how, ended in zip(ways, self.run_sealed(*commands)):
            with self.subTest(how):
                self.assertEqual((ended[0], ended[1], ended[4]), (0, "", self.STORY), ended)
                self.assertNotRegex(str(ended[2]), "Traceback|Exception")

    def test_detach_returns_at_once(self) -> None:
        """Also without open descriptors, and on a machine without /dev/null."""
        # The program itself may be below /dev.
        bare = "mkdir /run/shm && mount --bind /dev/shm /run/shm && mount -t tmpfs none /dev && mkdir /dev/shm && "
        bare += "mount --bind /run/shm /dev/shm && [ ! -e /dev/null ] || exit 9; "
        ways = [self.LATER + way for way in ('exec "$@" <&- >&- 2>&-', bare + 'exec "$@"')]
        for ended in self.run_sealed(*[(["run", "--detach"], [], way) for way in ways]):
            self.assertEqual((ended[0], ended[1], ended[4]), (0, "", self.STORY), ended)

    def test_not_on_azure(self) -> None:
        self.fill({DMI + "/chassis_asset_tag": "none\n"})
        ways: "List[Tuple[object, ...]]" = [
            (argv, [], 'exec "$@" ' + how) for argv in (["run"], ["report", "ready"]) for how in CLOSED + FULL
        ]
        for (argv, _, _), ended in zip(ways, self.run_sealed(*ways)):
            self.assertEqual((ended[0], ended[1], ended[4]), (int(argv != ["run"]), "", []), ended)
            self.assertNotIn("Traceback", str(ended[2]))

    def test_report(self) -> None:
        ways: "List[Tuple[object, ...]]" = [
            (["report", "ready"], [], 'exec "$@" ' + how) for how in (*CLOSED[:3], CLOSED[-1], FULL[2])
        ]
        for ended in self.run_sealed(*ways):
            self.assertEqual((ended[0], ended[1], ended[4]), (0, "", self.STORY[1:]), ended)


def heed_signals() -> None:
    """Signals that a shell's background or nohup leaves ignored."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


class HangupTest(BuiltTest):
    """The signals that end a command early."""

    def start(self, *argv: str, before: str = "") -> "subprocess.Popen[str]":
        environment: "Dict[str, str]" = dict(os.environ, TMPDIR=self.root)
        story = subprocess.Popen(
            ["/bin/sh", "-c", before + 'exec "$@"', "sh", sys.executable, "-I", self.program, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            env=environment,
            preexec_fn=heed_signals,
        )
        assert story.stderr is not None
        while "first boot" not in story.stderr.readline():
            self.assertIsNone(story.poll())
        time.sleep(0.2)
        return story

    def test_scratch_copy_is_removed(self) -> None:
        """The scratch copy contains the image's shadow. A second signal does not interrupt the clean-up of the
        first."""
        signals = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGXCPU)
        for number, again in [(number, number) for number in signals] + [(signal.SIGHUP, signal.SIGTERM)]:
            with self.subTest(number=number):
                story = self.start("rehearse", "--fault", "imds-silent")
                self.assertTrue(os.listdir(self.root))
                story.send_signal(number)
                story.send_signal(again)
                out, ended = story.communicate()
                self.assertEqual((story.returncode, out), (130, ""), ended)
                self.assertTrue(ended.endswith("azure-provisioning: interrupted\n"), ended)
                self.assertNotIn("Traceback", ended)
                self.assertEqual(os.listdir(self.root), [])

    def test_ignored_hangup_stays_ignored(self) -> None:
        """As nohup does."""
        story = self.start("rehearse", "--fault", "imds-throttled", before="trap '' HUP; ")
        story.send_signal(signal.SIGHUP)
        _, ended = story.communicate()
        self.assertEqual(story.returncode, 0, ended)
