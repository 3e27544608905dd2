"""`check`, `rehearse` and the boot agree, image by image, with and without a Python."""

import json
import os
import re
import shutil
import sys
from typing import Dict, List, NamedTuple, Optional, Tuple

from azure_provisioning.config import PATH as OPTIONS
from azure_provisioning.guest.accounts import find_account
from azure_provisioning.image.check import check
from azure_provisioning.init.table import find_hook
from azure_provisioning.story.verify import NOBODY
from tests.images import IMAGES, Result, cli
from tests.shells import MACHINE, PROGRAM, ShellTest, find
from tests.sound import GOOD

KEYS = "/home/azureuser/.ssh/authorized_keys"
LOGIN = {
    "/usr/sbin/sshd": "#!/bin/sh\nexit 1\n",
    "/usr/bin/ssh-keygen": "#!/bin/sh\nmkdir -p /etc/ssh\necho new >/etc/ssh/ssh_host_ed25519_key\n",
    "/etc/sudoers": "@includedir /etc/sudoers.d\n",
    "/usr/bin/sudo": "#!/bin/sh\n: a sudo such as /opt/bin/sudo\n",
    "/etc/ssh/sshd_config": "Port 22\n",
}


# What a hardened image has in addition, and an sshd that reports its settings.
SYSTEMD = {path: text for path, text in GOOD.items() if "networkd" in path or "/etc/systemd" in path}
SYSTEMD["/usr/sbin/sshd"] = "#!/bin/sh\nsed '/^Match/,$d' /etc/ssh/sshd_config\n"
# Settings of sshd, whether they lock the administrator out, and whether a boot still reaches Ready.
BARRED = (
    ("DenyUsers *\n", True, False),
    ("Port 22\n", False, True),
    ("PubkeyAuthentication no\n", True, False),
    ("AuthenticationMethods publickey,password\n", True, False),
    ("AllowGroups root\n", True, False),
    ("DenyGroups wheel\n", True, False),
    ("AllowUsers ann\n", True, False),
    ("ListenAddress 127.0.0.1\n", True, False),
    ("Match User ann\nDenyUsers *\n", False, True),
)


class Outcome(NamedTuple):
    """The outcome of a first boot, according to each of the three."""

    ready: bool
    account: bool
    keys: "Optional[str]"  # the text of the file, or None if it is missing
    becomes_root: bool


class AgreementTest(ShellTest):
    places = [sys.base_prefix] if sys.base_prefix != "/usr" else []

    def make(self, name: str, python: bool, files: "Optional[Dict[str, str]]" = None) -> None:
        """The bootable image called `name`: with busybox and a real shell, with or without a Python."""
        shutil.rmtree(self.root)
        os.mkdir(self.root)
        self.furnish(find("busybox") or "")
        self.open_root()
        for place in self.places:
            os.makedirs(self.root + place, exist_ok=True)
        laid = dict(MACHINE, **LOGIN)
        laid.update({path: text for path, text in GOOD.items() if "python" in path} if python else {})
        laid.update({"/usr/bin/python3": "-> python3.11"} if python else {})
        laid.update(IMAGES[name])
        laid.update(files or {})
        for path, text in laid.items():
            place = self.system.path(path, follow=False)
            if not os.path.lexists(place):
                self.fill({path: text})
            if "bin/" in path and not os.path.islink(place):
                os.chmod(place, 0o4755 if path.endswith(("/sudo", "/doas")) else 0o755)

    def asked(self, *words: str) -> "Dict[str, str]":
        """The level of each finding of `check`; the worst of several with one id."""
        levels: "Dict[str, str]" = {}
        for finding in json.loads(cli("check", "--json", "--root", self.root).out):
            found = [levels.get(finding["id"], "ok"), finding["level"]]
            levels[finding["id"]] = max(found, key=["ok", "warning", "error"].index)
        return levels

    def checked(self) -> Outcome:
        """According to `check`."""
        levels = self.asked()
        able = levels["python"] != "error" and levels["account"] == "ok"
        return Outcome(
            levels["python"] != "error", able, KEY_TEXT if able else None, able and levels["privilege"] == "ok"
        )

    def rehearsed(self) -> Outcome:
        """According to the events of `rehearse`. Its verdict also covers findings that only `check` has."""
        rehearsal = cli("rehearse", "--root", self.root)
        self.assertNotIn("Traceback", rehearsal.err)
        if "Health: Ready\n" in rehearsal.out:
            self.check_verdict(rehearsal)
        self.rehearsal = rehearsal.err
        shown = dict(re.findall(r"(?m)^\+\+\+ (\S+)\n((?:(?:@@|[-+ ](?!\+\+ |-- ))[^\n]*\n)*)", rehearsal.out + "\n"))
        self.shown = shown
        keys = re.findall(r"(?m)^\+(.*)$", shown.get(KEYS, ""))
        rule = "azureuser ALL" in shown.get("/etc/sudoers.d/zz-azure-provisioning", "")
        return Outcome(
            "Health: Ready\n" in rehearsal.out,
            "\n+azureuser:" in shown.get("/etc/passwd", ""),
            "".join(line + "\n" for line in keys) or None,
            rule,
        )

    def check_verdict(self, rehearsal: Result) -> None:
        """The last line of a rehearsal whose boot reached Ready; it names the worst finding of `check`."""
        findings = json.loads(cli("check", "--json", "--root", self.root).out)
        there = find_hook(self.system)[0]
        errors = [(found["id"], found["message"]) for found in findings if found["level"] == "error"]
        errors = [error for error in errors if there or error[0] not in ("hook", "program")]
        fatal = [error for error in errors if error[0] not in check.LOGIN]
        ready = r"would reach Ready in \d{1,2}\.\d s"
        said = ready + " as azureuser with 1 key[;,] "
        if fatal:
            said = re.escape("would not reach Ready: %s: %s; " % fatal[0])
        elif errors:
            said = ready + ", but let nobody in: " + re.escape("%s: %s; " % errors[0])
        self.assertRegex(rehearsal.err, "This image " + said)
        self.assertEqual(rehearsal.code, 1 if errors else 0, rehearsal.err)

    def booted(self, argv: "List[str]", options: str = "") -> Outcome:
        """According to a boot."""
        self.add(*argv, fresh=False, options=options)
        rehearsal = self.boot_result = self.play()[0]
        return Outcome(
            rehearsal.code == 0 and any("<State>Ready</State>" in report for report in rehearsal.reports),
            find_account(self.system, "azureuser") is not None,
            self.text(KEYS),
            self.system.exists("/etc/sudoers.d/zz-azure-provisioning"),
        )

    def compare(self, python: bool, files: "Optional[Dict[str, str]]" = None) -> None:
        """Install, compare all three, and boot by the command of the hook."""
        installed = cli("install", "--root", self.root)
        checked, rehearsed = self.checked(), self.rehearsed()
        hook = [os.path.realpath(sys.executable), "-I", "-S"] if python else ["/bin/sh"]
        if installed.code == 0:
            self.assertTrue(find_hook(self.system)[1])
        else:
            shutil.copy(self.program, self.root + PROGRAM)
            hook = ["/bin/sh"]
        booted = self.booted(hook + [PROGRAM, "run"])
        self.assertEqual(checked, booted, self.boot_result)
        self.assertEqual(rehearsed, booted, (self.rehearsal, self.boot_result))
        self.assertEqual(installed.code == 0, booted.ready, installed)

    def test_every_image_without_python(self) -> None:
        for name in IMAGES:
            with self.subTest(name):
                self.make(name, False, {"/bin/wget": ""})
                self.choose("dash", "busybox wget")
                self.compare(False)
                self.assertTrue(self.system.exists("/etc/ssh/ssh_host_ed25519_key"))

    def test_every_image_with_python(self) -> None:
        for name in IMAGES:
            with self.subTest(name):
                self.make(name, True)
                self.compare(True)

    def test_no_http_client(self) -> None:
        self.make("busybox alone", False)
        for client in ("wget", "curl", "nc"):
            if os.path.lexists(self.root + "/bin/" + client):
                os.unlink(self.root + "/bin/" + client)
        self.compare(False)

    def test_missing_files(self) -> None:
        """No sudo; no accounts."""
        for gone in (["/usr/bin/sudo"], ["/etc/passwd"]):
            with self.subTest(gone):
                self.make("busybox alone", False)
                self.choose("dash", "busybox wget")
                for path in gone:
                    os.unlink(self.root + path)
                levels = self.asked()
                self.assertEqual(cli("install", "--root", self.root).code, 0)
                rehearsed = self.rehearsed()
                booted = self.booted(["/bin/sh", PROGRAM, "run"])
                self.assertEqual(rehearsed, booted, (self.rehearsal, self.boot_result))
                self.assertEqual(levels["account"] == "ok", booted.ready)
                self.assertEqual(levels["privilege"] == "ok", booted.becomes_root or gone == ["/etc/passwd"])

    def test_lock_outs(self) -> None:
        """A boot asks sshd, or reaches Ready if it cannot ask; `check` and `rehearse` report which."""
        hook = [os.path.realpath(sys.executable), "-I", "-S", PROGRAM, "run"]
        for config, shut, ready in BARRED:
            for options in ("", "login = warn\n"):
                with self.subTest(config=config, options=options):
                    rehearsal, checked = self.verdicts(
                        True, {**SYSTEMD, "/etc/ssh/sshd_config": config, OPTIONS: options}
                    )
                    booted = self.booted(hook, options)
                    self.assertEqual(booted.ready, ready or bool(options), self.boot_result)
                    self.assertEqual(NOBODY in "".join(self.boot_result.reports), not booted.ready)
                    self.assertEqual(
                        "A boot would report `%s`" % NOBODY in rehearsal.err, not booted.ready, rehearsal.err
                    )
                    self.assertEqual("would reach Ready" in rehearsal.err, booted.ready, rehearsal.err)
                    self.assertEqual("let nobody in: " in rehearsal.err, shut, rehearsal.err)
                    self.assertEqual(rehearsal.code, 1 if shut else 0)
                    if "ann" not in config:  # a name that `check` does not know
                        self.assertEqual(checked.err.endswith(" would let nobody in\n"), shut, checked.err)
                        self.assertEqual(checked.code, rehearsal.code)

    def test_lock_outs_without_python(self) -> None:
        """The shell implementation asks sshd about the account, too."""
        sshd = "#!/bin/sh\ncase $* in *-T*) tr A-Z a-z </etc/ssh/sshd_config ;; esac\n"
        for config, shut, ready in BARRED[:7]:
            with self.subTest(config):
                files = {**SYSTEMD, "/etc/ssh/sshd_config": config, "/bin/wget": "", "/usr/sbin/sshd": sshd}
                rehearsal, checked = self.verdicts(False, files)
                self.assertEqual(self.booted(["/bin/sh", PROGRAM, "run"]).ready, ready, self.boot_result)
                said = "would reach Ready in \\d+\\.\\d s as " if ready else "would not reach Ready: " + NOBODY
                self.assertRegex(rehearsal.err, said)
                self.assertEqual(rehearsal.code, int(shut), rehearsal)
                if "ann" not in config:  # a name that `check` does not know
                    self.assertEqual(checked.code, int(shut), checked)

    def test_no_ssh_server(self) -> None:
        """sshd is missing or not started: a boot reaches Ready."""
        hook = [os.path.realpath(sys.executable), "-I", "-S", PROGRAM, "run"]
        for gone in ("/usr/sbin/sshd", "/etc/systemd/system/multi-user.target.wants/ssh.service"):
            with self.subTest(gone):
                rehearsal, checked = self.verdicts(True, SYSTEMD, gone)
                self.assertTrue(self.booted(hook).ready, self.boot_result)
                self.assertRegex(rehearsal.err, r"would reach Ready in \d+\.\d s, but let nobody in: sshd: ")
                self.assertTrue(checked.err.endswith(" would let nobody in\n"), checked.err)
                self.assertEqual((rehearsal.code, checked.code), (1, 1))

    def verdicts(self, python: bool, files: "Dict[str, str]", gone: str = "") -> "Tuple[Result, Result]":
        """The reports of `rehearse` and `check` on an image with systemd and these files, after `install`."""
        self.make("systemd", python, files)
        os.chmod(self.root + "/usr/lib/systemd/systemd-networkd", 0o755)
        if gone:
            os.unlink(self.root + gone)
        if not python:
            self.choose("dash", "busybox wget")
        installed = cli("install", "--root", self.root)
        self.assertEqual(installed.code, 0, installed.err)
        return cli("rehearse", "--root", self.root), cli("check", "--root", self.root)

    def test_sudo_is_doas(self) -> None:
        """Alpine's doas-sudo-shim, and keys in the file that the start options of sshd name."""
        shim = {"/usr/bin/sudo": '#!/bin/sh\nexec doas "$@"\n', "/usr/bin/doas": "#!/bin/sh\n"}
        shim["/etc/default/ssh"] = "SSHD_OPTS='-o AuthorizedKeysFile=.ssh/others'\n"
        shim["/usr/sbin/sshd"] = '#!/bin/sh\n[ "$1" = -o ] && echo "authorizedkeysfile ${2#*=}"\n'
        self.make("debian without insserv", False, {**shim, "/etc/init.d/ssh": SSH_SCRIPT})
        self.choose("dash", "busybox wget")
        rehearsed, shown = self.rehearsed(), self.shown
        booted = self.booted(["/bin/sh", PROGRAM, "run"])
        self.assertIn("+permit nopass azureuser\n", shown["/etc/doas.conf"])
        self.assertIn(KEY_TEXT, shown["/home/azureuser/.ssh/others"])
        self.assertEqual(rehearsed, booted, (self.rehearsal, self.boot_result))
        self.assertEqual(self.text("/etc/doas.conf"), "permit nopass azureuser\n")
        self.assertEqual(self.text("/home/azureuser/.ssh/others"), KEY_TEXT)


SSH_SCRIPT = "#!/bin/sh\n. /etc/default/ssh\nstart-stop-daemon --start --exec /usr/sbin/sshd -- $SSHD_OPTS\n"
KEY_TEXT = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJlaGVhcnNhbCBrZXksIG5vYm9keSBoYXMgaXQhISEh rehearsal\n"
