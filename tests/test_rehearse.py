"""`rehearse`: a first boot to look at, which needs nothing and leaves nothing behind."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from typing import Dict, List, Tuple
from xml.etree import ElementTree

from azure_provisioning.image.check import check
from azure_provisioning.image.rehearse.case import PASSWORD, Case
from azure_provisioning.image.rehearse.fake_azure import CONTAINER_ID, INSTANCE_ID, KEY
from azure_provisioning.image.rehearse.faults import describe_faults
from tests.distro.trees import cache
from tests.guests import AZURE_VM, HOOK
from tests.images import IMAGES as INITS
from tests.images import ImageTest, Result, built_file, call, cli, listing
from tests.sound import GOOD, MODULES

NETWORK = "/etc/systemd/network/50-dhcp.network"
SSHD = ("/usr/sbin/sshd", "/usr/bin/ssh-keygen", "/etc/ssh/sshd_config")


class RehearseTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def rehearse(self, *faults: str) -> Result:
        """Run it with its own temporary folder, which must be empty afterwards."""
        argv = [sys.executable, "-I", "-S", built_file(), "rehearse"]
        for fault in faults:
            argv += ["--fault", fault]
        proxy = "http://127.0.0.1:1"
        result = call(argv, TMPDIR=self.folder, http_proxy=proxy, HTTP_PROXY=proxy, all_proxy=proxy)
        self.assertEqual(os.listdir(self.folder), [])
        self.assertNotIn("Traceback", result.err)
        return result

    def requests(self, result: Result) -> "List[str]":
        """The requests to Azure, in order."""
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
        """As `diff -u` writes it: the changes, without those that the boot itself reverted."""
        out = self.rehearse().out
        self.assertIn("--- /etc/hostname\n+++ /etc/hostname\n@@ -1 +1 @@\n-image\n+rehearsal\n", out)
        self.assertIn("+++ /etc/systemd/system/azure-provisioning.service\n", out)
        self.assertIn("+++ /var/lib/azure-provisioning/state\n", out)
        self.assertNotRegex(out, r"\+\+\+ [^\n]*multi-user\.target\.wants")  # disabled again
        self.assertRegex(out, r"\+\+\+ /usr/local/sbin/azure-provisioning\n@@[^\n]*\n\+\(binary, \d+ bytes\)")
        self.assertNotIn(self.folder, out)

    def test_fault_list(self) -> None:
        result = self.rehearse("list")
        self.assertEqual(result, Result(0, "".join(line + "\n" for line in describe_faults()), ""))

    def test_unknown_fault(self) -> None:
        result = self.rehearse("goal-state-not-yet", "nonsense")
        self.assertEqual((result.code, result.out), (2, ""))
        self.assertIn("fault=nonsense", result.err)

    def test_verdict(self) -> None:
        """The last line on stderr."""
        for faults, said in (
            ((), r"This image would reach Ready in \d+\.\d s as azureuser with 1 key; \d+ paths would change\. "),
            (("imds-throttled",), r"This image would reach Ready in [1-9]\d*\.\d s as azureuser with 1 key; "),
        ):
            printed = self.rehearse(*faults).err
            last = printed.splitlines()[-1]
            shown = re.findall(r"(?:accepted Ready after|would reach Ready in) ([0-9.]+) s", printed)
            self.assertEqual(shown[:1], shown[1:], printed)  # the boot and the verdict use one clock
            self.assertRegex(last, r"\Aazure-provisioning: " + said)
            self.assertIn("Not rehearsed: useradd, host keys, gates, DHCP, drivers.", last)

    def test_timeline(self) -> None:
        out = self.rehearse().out
        part = out.partition("\nTimeline:\n")[2].partition("\n\nWhat changed:\n")[0].splitlines()
        names = [line.split()[1] for line in part[:-1]]
        self.assertEqual(names[:2] + names[-2:], ["wait", "fetch", "kvp", "report"])
        self.assertRegex(part[-1], r"^total +\d+\.\d{3} s$")

    def test_output_in_files(self) -> None:
        """The diff, and the timeline as a picture. Neither is then on stdout."""
        place = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, place)
        argv = [sys.executable, "-I", "-S", built_file(), "rehearse"]
        shown = call([*argv, "--diff", place + "/diff", "--svg", place + "/plot.svg"])
        self.assertEqual(shown.code, 0, shown.err)
        with open(place + "/diff") as file:
            self.assertIn("-image\n+rehearsal\n", file.read())
        with open(place + "/plot.svg", "rb") as file:
            words = "".join(ElementTree.fromstring(file.read()).itertext())
        for word in ("fetch", "account", "GET /metadata/instance", "POST /machine", "This image would reach Ready"):
            self.assertIn(word, words)
        for result in (shown, call([*argv, "--no-diff"])):
            self.assertIn("Requests to Azure:", result.out)
            self.assertNotIn("What changed:", result.out)

    def test_trouble(self) -> None:
        """Two faults: both show in the requests, and one Ready is accepted."""
        result = self.rehearse("imds-broken", "goal-state-empty")
        self.assertEqual(result.code, 0, result)
        requests = self.requests(result)
        self.assertTrue(any("/metadata/instance" in line and line.endswith("-> 500") for line in requests), requests)
        self.assertGreater(sum("comp=goalstate" in line for line in requests), 1)
        self.assertEqual([line for line in requests if line.startswith("POST")], ["POST /machine?comp=health -> 200"])


class ImageRehearsalTest(ImageTest):
    """`--root`: the image is only read. The output shows what a boot would change in it."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def system_image(self, name: str = "systemd", **files: str) -> None:
        """An image with accounts, a program that would report being run, and a home.

        The systemd image has all that `check` requires, except a kernel. The others have a Python and sshd.
        """
        self.image(name)
        whole = {path: text for path, text in GOOD.items() if not path.startswith(("/boot/vmlinuz", MODULES))}
        kept = whole if name == "systemd" else [path for path in whole if "python" in path or path in SSHD]
        self.fill({path: whole[path] for path in kept})
        if name == "systemd":
            self.make_program("/usr/lib/systemd/systemd-networkd")
        self.fill({path: text for path, text in AZURE_VM.items() if path.startswith(("/etc", "/usr", "/bin"))})
        self.fill({"/usr/sbin/useradd": "#!/bin/sh\ntouch %s/ran\n" % self.folder})
        self.fill(files)

    def rehearse(self, *arguments: str) -> Result:
        """Run it. The image and its times do not change, and nothing stays in the temporary folder."""
        before = listing(self.root), times(self.root)
        argv = [sys.executable, "-I", "-S", built_file(), "rehearse", "--root", self.root] + list(arguments)
        result = call(argv, TMPDIR=self.folder)
        self.assertEqual((listing(self.root), times(self.root)), before)
        self.assertEqual(os.listdir(self.folder), [])
        self.assertNotIn("Traceback", result.err)
        self.assertNotIn(self.folder, result.err + result.out)
        return result

    def write(self, name: str, content: bytes) -> str:
        """A file of the host, beside the image."""
        path = self.root + "." + name
        with open(path, "wb") as file:
            file.write(content)
        self.addCleanup(os.unlink, path)
        return path

    def test_options_of_a_vm(self) -> None:
        """User, name, keys, password, customData and userData: as for a VM created with them."""
        self.system_image()
        keys = [KEY, KEY.replace("ISEh ", "ISEi ")]
        result = self.rehearse(
            *("--user", "ann", "--computer-name", "web-1", "--password-login"),
            *("--ssh-key", self.write("pub", ("# mine\n%s\n\n%s\n" % tuple(keys)).encode("ascii"))),
            *("--custom-data", self.write("custom", b"#!/bin/sh\necho custom\n")),
            *("--user-data", self.write("user", b"user \xff data\n")),
        )
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("as ann with 2 keys and a password; ", result.err.splitlines()[-1])
        self.assertIn("-image\n+web-1\n", result.out)
        self.assertIn("+++ /home/ann/.ssh/authorized_keys\n", result.out)
        for key in keys:
            self.assertIn("+%s\n" % key, result.out)
        self.assertIn("+ann:(a hash):", result.out)
        self.assertIn("/customData\n@@ -0,0 +1,2 @@\n+#!/bin/sh\n+echo custom\n", result.out)
        self.assertIn("+++ /var/lib/azure-provisioning/userData\n", result.out)
        self.assertNotIn("azureuser", result.out + result.err)
        self.assertNotIn(PASSWORD, result.out + result.err)
        self.assertNotRegex(result.out, r"(?m)^(new|changed) \w+ /(sys|run)")

    def test_gates_are_not_run(self) -> None:
        """Gates are named as not rehearsed. One that no boot could start also fails here, with the boot's reason."""
        self.system_image()
        self.fill({"/etc/azure-provisioning.conf": "custom_data = run\nuser_data = run\n"})
        path = self.write("data", b"#!/bin/sh -e\nexit 3\n")
        result = self.rehearse("--custom-data", path, "--user-data", path)
        self.assertIn("accepted Ready", result.err)
        self.assertIn("DHCP, drivers, the program in customData, the program in userData. ", result.err)
        self.assertIn("custom_data: 20 bytes kept in /var/lib/azure-provisioning/customData, and not run", result.err)
        self.assertNotIn("the program in userData", self.rehearse("--custom-data", path).err)
        for data, said in (
            (b"echo\n", "customData is to be run, but does not begin with #!"),
            (b"#cloud-config\n", "it_is=cloud-config"),
            (b"MIME-Version: 1.0\n", "it_is=a MIME archive"),
            (b"#!/usr/bin/none\n", "command cannot be started (command=/usr/bin/none"),
        ):
            result = self.rehearse("--custom-data", self.write("%d" % len(said), data))
            self.assertEqual(result.code, 1, result.err)
            self.assertIn(said, result.err)
            self.assertIn("This image would not reach Ready: ", result.err.splitlines()[-1])
        self.fill({"/etc/azure-provisioning.conf": "custom_data = yes\n"})
        self.assertNotIn("the program in", self.rehearse("--custom-data", path).err)

    def test_password_alone(self) -> None:
        self.system_image()
        result = self.rehearse("--password-login")
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("as azureuser with a password; ", result.err.splitlines()[-1])
        self.assertIn("+azureuser:(a hash):", result.out)
        self.assertNotIn("authorized_keys", result.out)

    def test_own_dvd(self) -> None:
        """It is read like a real one. A damaged one causes no traceback."""
        self.system_image()
        document = Case(user="ann", password_login=True, computer_name="web-1", custom_data=b"data\n").document() or b""
        result = self.rehearse("--password-login", "--dvd", self.write("xml", document))
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("DVD: read from /dev/sr0", result.err)
        self.assertIn("+azureuser:(a hash):", result.out)  # IMDS first
        self.assertIn("/var/lib/azure-provisioning/customData\n", result.out)
        broken = self.rehearse("--password-login", "--dvd", self.write("broken", document[:200]))
        self.assertIn("error parsing ovf-env.xml", broken.err)

    def test_invalid_files(self) -> None:
        self.system_image()
        os.mkfifo(self.root + ".fifo")
        self.addCleanup(os.unlink, self.root + ".fifo")
        private = self.write("key", b"-----BEGIN OPENSSH PRIVATE KEY-----\nx\n")
        for option, path, said in (
            ("--ssh-key", self.root + ".no", "there is no file"),
            ("--ssh-key", private, "is a private key: name the file that ends with .pub"),
            ("--custom-data", self.root + ".fifo", "not a regular file"),
            ("--custom-data", self.write("large", b"x" * 70000), "too large"),
        ):
            result = self.rehearse(option, path)
            self.assertEqual((result.code, result.out), (1, ""))
            self.assertIn(said, result.err)

    def test_verdict_agrees_with_check(self) -> None:
        """Where check has an error, no rehearsal promises a working VM. The exit code is 1."""
        drop_in, options = "/etc/ssh/sshd_config.d/a.conf", "/etc/azure-provisioning.conf"
        boot = "A boot would report `nobody can log in`, not Ready; "
        ready = r"would reach Ready in \d+\.\d s"
        nothing: "Dict[str, str]" = {}
        for files, gone, said in (
            ({drop_in: "DenyUsers *\n"}, (), r"let nobody in: DenyUsers \*\. " + boot),
            ({drop_in: "PubkeyAuthentication no\n"}, (), "let nobody in: PubkeyAuthentication no. " + boot),
            ({drop_in: "AuthenticationMethods publickey,password\n"}, (), "let nobody in: .*publickey,.*" + boot),
            ({drop_in: "DenyGroups sudo\n"}, (), "let nobody in: DenyGroups sudo. " + boot),
            ({drop_in: "AllowUsers ann\n"}, (), "let nobody in: AllowUsers ann. " + boot),
            ({drop_in: "DenyUsers *\n", options: "login = warn\n"}, (), ready + r", but let nobody in: DenyUsers \*; "),
            ({drop_in: "ListenAddress 127.0.0.1\n"}, (), "let nobody in: ListenAddress 127.0.0.1. " + boot),
            ({drop_in: "MaxSessions 0\n"}, (), "let nobody in: MaxSessions 0. " + boot),
            (nothing, ("/usr/sbin/sshd",), ready + ", but let nobody in: sshd: no SSH server is in the image: "),
            (nothing, ("/usr/bin/sudo",), ready + " as azureuser with 1 key, but azureuser cannot become root: "),
            ({options: "deadline = x\n"}, (), ready + ".* with 1 key, and a default where an option has a mistake; "),
            (nothing, (NETWORK,), "would not reach Ready: dhcp: .*no file of systemd/network asks for DHCP"),
            (
                {drop_in: "Match User *\nPubkeyAuthentication no\n"},
                (),
                "let nobody in: PubkeyAuthentication no. " + boot,
            ),
            ({drop_in: "Match User ann\nPubkeyAuthentication no\n"}, (), ready + " as azureuser with 1 key; "),
        ):
            with self.subTest(said):
                self.empty()
                self.system_image(**files)
                for path in gone:
                    os.unlink(self.root + path)
                result = self.rehearse()
                self.assertRegex(result.err.splitlines()[-1], "This image [^;]*" + said)
                self.install()
                checked = cli("check", "--root", self.root)
                shut = 1 if "AllowUsers ann" in said else checked.code
                self.assertEqual(result.code, shut, (result.err, checked))
                self.assertEqual(self.rehearse().code, shut)

    def test_verdict_is_about_this_vm(self) -> None:
        """A password works where keys do not, and a listed name works where others do not."""
        self.system_image(**{"/etc/ssh/sshd_config.d/a.conf": "PubkeyAuthentication no\nAllowUsers ann\n"})
        last = self.rehearse("--user", "ann", "--password-login").err.splitlines()[-1]
        self.assertRegex(last, "would reach Ready in .* as ann with a password; ")
        last = self.rehearse("--user", "ann").err.splitlines()[-1]
        self.assertIn("would let nobody in: PubkeyAuthentication no. A boot would report", last)

    def test_lock_outs_for_passwords_too(self) -> None:
        """An sshd that does not start, or cannot be reached, is no better for a VM with a password."""
        for path, text in (
            ("/etc/ssh/sshd_config.d/a.conf", "PermitRootLogin\nPasswordAuthentication perhaps\n"),
            ("/etc/ssh/sshd_not_to_be_run", ""),
        ):
            with self.subTest(path, text=text):
                self.empty()
                self.system_image(**{path: text})
                if not text:
                    self.fill({"/lib/systemd/system/ssh.service": "[Unit]\nConditionPathExists=!%s\n" % path})
                result = self.rehearse("--password-login")
                self.assertIn(", but let nobody in: sshd-config: ", result.err.splitlines()[-1])
                self.assertEqual(result.code, 1)
        self.empty()
        self.system_image(**{"/etc/ssh/sshd_config.d/a.conf": "ListenAddress 127.0.0.1\n"})
        self.assertIn("would let nobody in: ListenAddress", self.rehearse("--password-login").err.splitlines()[-1])
        self.empty()
        self.system_image(**{"/etc/ssh/sshd_config.d/a.conf": "RevokedKeys /nowhere\n"})
        last = self.rehearse("--password-login").err.splitlines()[-1]
        self.assertRegex(last, "would reach Ready in .* as azureuser with a password; ")

    def test_disabled_hook(self) -> None:
        """Masked or switched off: the rehearsal continues with a new `install`. The verdict is about the image."""
        unit = "/etc/systemd/system/azure-provisioning.service"
        for path, target in ((unit, "/dev/null"), (HOOK, "")):
            with self.subTest(path):
                self.empty()
                self.system_image()
                self.install()
                os.unlink(self.root + path)
                if target:
                    os.symlink(target, self.root + path)
                result = self.rehearse()
                self.assertEqual(result.code, 1, result.err)
                self.assertIn("the hook is off, so installing again into a scratch copy", result.err)
                self.assertRegex(result.err.splitlines()[-1], "This image would not reach Ready: hook: ")

    def test_verdict_counts_findings_of_check(self) -> None:
        """The same for an image with and without a hook."""
        self.system_image()
        self.assertRegex(self.rehearse().err, r"check: \d+ errors, \d+ warnings?\.\n\Z")
        findings = json.loads(cli("check", "--json", "--root", self.root).out)
        errors = sum(finding["level"] == "error" and finding["id"] not in ("hook", "program") for finding in findings)
        self.assertIn("check: %d error" % errors, self.rehearse().err)

    def check_verdict(self, root: str, result: Result) -> None:
        """After a boot that reached Ready, the verdict names the first error of `check` that prevents Ready."""
        findings = json.loads(cli("check", "--json", "--root", root).out)
        errors = [found for found in findings if found["level"] == "error" and found["id"] not in ("hook", "program")]
        fatal = [found for found in errors if found["id"] not in check.LOGIN + check.UNMET]
        last = result.err.splitlines()[-1]
        self.assertEqual(result.code, 1 if errors else 0, result.err)
        if fatal:
            said = "This image would not reach Ready: %s: %s; " % (fatal[0]["id"], fatal[0]["message"])
        else:
            said = ", but let nobody in: " if errors else "This image would reach Ready in "
        self.assertIn(said, last)

    def test_every_init_system(self) -> None:
        for name in INITS:
            with self.subTest(name):
                self.empty()
                self.system_image(name)
                result = self.rehearse()
                self.check_verdict(self.root, result)
                self.assertIn("Azure accepted Ready", result.err)
                self.assertIn("POST /machine?comp=health -> 200\n", result.out)
                self.assertIn("-image\n+rehearsal\n", result.out)
                self.assertNotRegex(result.out, r"\+\+\+ [^\n]*(wants|runlevels|rc\d\.d)/")

    def test_rights(self) -> None:
        self.system_image()
        out = self.rehearse().out
        owner = ", owner %d:%d"
        root, user = (owner % (0, 0), owner % (1000, 1000)) if os.geteuid() == 0 else ("", "")
        self.assertIn("new file /home/azureuser/.ssh/authorized_keys, mode 0600%s\n" % user, out)
        self.assertIn("new folder /home/azureuser/.ssh, mode 0700%s\n" % user, out)
        self.assertIn("new file /etc/sudoers.d/zz-azure-provisioning, mode 0440%s\n" % root, out)
        self.assertNotIn("/run", out.replace("run --", ""))

    def test_installed_program_is_rehearsed(self) -> None:
        """The installed program is rehearsed: here with a hook that stays."""
        self.system_image()
        self.install("--every-boot", "--prefix", "/opt")
        result = self.rehearse()
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("installed for systemd already", result.err)
        self.assertNotIn("multi-user.target.wants", result.out)
        self.assertNotIn("/usr/local/sbin/azure-provisioning", result.out)
        self.uninstall()
        self.fill({"/etc/azure-provisioning.conf": ""})
        self.install()
        self.assertRegex(
            self.rehearse().out, r"removed link [^\n]*multi-user.target.wants/azure-provisioning.service\n"
        )

    def test_options_of_the_image_apply(self) -> None:
        self.system_image()
        self.fill(
            {"/etc/azure-provisioning.conf": "account = no\nssh_keys = no\nimds = 10.0.0.1\nwireserver = 10.0.0.1\n"}
        )
        result = self.rehearse()
        self.assertEqual(result.code, 0, result.err)
        self.assertNotIn("azureuser:", result.out)
        self.assertNotIn("/etc/azure-provisioning.conf", result.out)

    def test_no_program_of_the_image_is_executed(self) -> None:
        self.system_image()
        self.fill({"/etc/azure-provisioning/ready.d/gate": "#!/bin/sh\ntouch %s/ran\n" % self.folder})
        os.chmod(self.system.path("/etc/azure-provisioning/ready.d/gate"), 0o755)
        result = self.rehearse()  # searches for files that the run would have made
        self.assertIn("gate: not run, nothing in an image is executed", result.err)

    def test_secrets(self) -> None:
        secret = "$y$j9T$abcdefghijklmnopqrstuv$ABCDEFG"
        self.system_image()
        self.fill({"/etc/shadow": "root:%s:19000:0:99999:7:::\nold:!%s:1::::::\n" % (secret, secret)})
        self.fill({"/etc/gshadow": "root:*::\nsudo:%s::\n" % secret})
        result = self.rehearse()
        self.assertNotIn(secret, result.out + result.err)
        self.assertIn(" root:(a hash):19000:", result.out)
        self.assertIn("+azureuser:*:", result.out)

    def test_terminal(self) -> None:
        """The image's text does not control it."""
        self.system_image()
        self.fill({"/etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\timage\n# \x1b]0;title\x07\n"})
        out = self.rehearse().out
        self.assertNotIn("\x1b", out)
        self.assertIn(" # \\x1b]0;title\\x07\n", out)
        self.assertIn("+127.0.1.1\trehearsal\n", out)

    def test_skeleton_is_only_named(self) -> None:
        self.system_image()
        self.fill({"/etc/skel/.profile": "# a long text\n"})
        out = self.rehearse().out
        self.assertRegex(out, r"new file /home/azureuser/.profile, mode 0644[^\n]*, a copy of /etc/skel/.profile\n")
        self.assertNotIn("a long text", out)

    def test_links_stay_inside(self) -> None:
        """An absolute link is resolved inside the image. This machine's files are neither shown nor written."""
        outside = tempfile.mkdtemp(prefix="azure-provisioning-test-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, outside)
        with open(outside + "/hosts", "w") as file:
            file.write("127.0.0.1 precious\n")
        self.system_image()
        os.unlink(self.system.path("/etc/hosts"))
        os.symlink(outside + "/hosts", self.root + "/etc/hosts")
        os.symlink(outside, self.root + "/home")
        os.makedirs(self.root + outside)
        result = self.rehearse()
        self.assertEqual(result.code, 0, result.err)
        self.assertNotIn("precious", result.out)
        self.assertIn("new file %s/hosts, mode 0644" % outside, result.out)
        self.assertIn("new file %s/azureuser/.ssh/authorized_keys" % outside, result.out)
        self.assertEqual(listing(outside), {"/hosts": ("file", 0o644, b"127.0.0.1 precious\n")})

    def test_bounded(self) -> None:
        """Neither large files nor unused ones are copied."""
        self.system_image("insserv")
        for path in ("/usr/bin/huge", "/etc/motd", "/usr/sbin/update-rc.d"):  # the first line of the last file is read
            with open(self.root + path, "ab") as file:
                file.truncate(1 << 40)
        os.mkfifo(self.root + "/etc/nologin")
        os.mkdir(self.root + "/srv", 0)  # root can always read it; a plain user could not enter
        before = times(self.root)
        argv = [sys.executable, "-I", "-S", built_file(), "rehearse", "--root", self.root]
        result = call(argv, seconds=20, TMPDIR=self.folder)
        self.assertEqual(result.code, 1, result.err)
        self.assertIn("nobody can log in (key=/etc/nologin, ", result.err)
        self.assertEqual((times(self.root), os.listdir(self.folder)), (before, []))
        self.assertNotIn("huge", result.out)
        self.assertNotIn("/srv", result.out)
        os.chmod(self.root + "/srv", 0o755)

    def test_existing_account(self) -> None:
        """Its home and keys come from the image, and one key is added."""
        uid, gid = os.geteuid() or 1000, os.getegid() or 1000
        if uid == 65534:
            self.skipTest("as nobody: this account is refused, so what happens to one that is there was not seen")
        self.system_image()
        with open(self.root + "/etc/passwd", "a") as file:
            file.write("azureuser:x:%d:%d::/home/azureuser:/bin/sh\n" % (uid, gid))
        with open(self.root + "/etc/login.defs", "w") as file:
            file.write("UID_MIN %d\n" % min(uid, 1000))
        self.fill({"/home/azureuser/.ssh/authorized_keys": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQ old\n"})
        for path in ("/home/azureuser", "/home/azureuser/.ssh", "/home/azureuser/.ssh/authorized_keys"):
            os.chmod(self.root + path, 0o700 if path.endswith((".ssh", "user")) else 0o600)
            os.chown(self.root + path, uid, gid)
        result = self.rehearse()
        self.assertEqual(result.code, 0, result.err)
        keys = result.out.partition("--- /home/azureuser/.ssh/authorized_keys\n")[2]
        self.assertRegex(keys, r"\A[^\n]*\n@@[^\n]*\n ssh-rsa [^\n]* old\n\+ssh-ed25519 ")

    def test_trouble(self) -> None:
        self.system_image()
        result = self.rehearse("--fault", "imds-broken")
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("-> 500\n", result.out)

    def test_exit_code_is_that_of_the_boot(self) -> None:
        """A failure is shown as at a boot, with its changes."""
        self.system_image()
        self.fill({"/etc/azure-provisioning.conf": "deadline = 10\n"})
        result = self.rehearse("--fault", "report-refused", "--fault", "json-health-refused")
        self.assertEqual(result.code, 1, result.err)
        self.assertIn("FAILED: ", result.err)
        self.assertIn("+error_reason=", result.out)
        self.assertIn("new link /etc/systemd/system/multi-user.target.wants/azure-provisioning.service", result.out)

    def test_other_agent(self) -> None:
        self.system_image()
        self.fill({"/usr/sbin/waagent": ""})
        self.fill({"/lib/systemd/system/waagent.service": "[Service]\n"})
        self.fill({"/etc/systemd/system/multi-user.target.wants/waagent.service": "-> /x"})
        result = self.rehearse()
        self.assertEqual(result.code, 1)
        self.assertIn("waagent would provision too", result.err)

    def test_not_an_image(self) -> None:
        result = call([sys.executable, "-I", "-S", built_file(), "rehearse", "--root", self.folder])
        self.assertEqual((result.code, result.out), (2, ""))
        printed = r"\Aazure-provisioning: %s is not the root of a Linux system[^\n]*\n\Z" % self.folder
        self.assertRegex(result.err, printed)

    def test_messages_name_the_image(self) -> None:
        self.image("systemd", python=False)
        result = self.rehearse()
        self.assertEqual(result.code, 1)
        self.assertIn("no Python 3.6 or newer was found in %s" % self.root, result.err)

    def plain(self, *before: str) -> Result:
        """Run it as the user nobody; `before` is a command that runs first."""
        program = os.path.join(self.folder, "program")
        shutil.copy(built_file(), program)
        argv = [*before, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-I", "-S"]
        try:
            return call(argv + [program, "rehearse", "--root", self.root], TMPDIR=self.folder)
        finally:
            os.unlink(program)
            self.assertEqual(os.listdir(self.folder), [])

    def give_to_nobody(self) -> None:
        """As if no user had built the image."""
        os.chown(self.root, 65534, 65534)
        for folder, folders, files in os.walk(self.root):
            for name in folders + files:
                os.chown(os.path.join(folder, name), 65534, 65534, follow_symlinks=False)

    def ready_for_nobody(self) -> None:
        if os.geteuid() != 0 or not os.path.exists("/usr/bin/python3"):
            self.skipTest("only root can play another user: a plain user's rehearsal was not seen")
        os.chmod(self.folder, 0o777)
        os.chmod(self.root, 0o755)
        self.system_image()
        os.chmod(self.root + "/etc/shadow", 0o600)

    def test_plain_user(self) -> None:
        """Without a namespace owners cannot be set. Files that the user may not read end the rehearsal at once."""
        self.ready_for_nobody()
        result = self.plain()
        self.assertEqual((result.code, result.out), (1, ""))
        self.assertIn("path=/etc/shadow, error=Permission denied): rehearse as root, or as the owner", result.err)
        self.give_to_nobody()
        result = self.plain()
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("new folder /home/azureuser/.ssh, mode 0700\n", result.out)

    def test_plain_user_with_a_namespace(self) -> None:
        """Owners can be set if newuidmap has a range, here from an /etc/subuid that only this test sees."""
        self.ready_for_nobody()
        if shutil.which("newuidmap") is None or "--map-auto" not in call(["unshare", "--help"]).out:
            self.skipTest("no newuidmap, or an unshare without --map-auto: user namespaces were not tried")
        self.give_to_nobody()
        self.fill({"/ranges": "nobody:100000:65536\n"})
        ranges = self.root + "/ranges"
        mount = 'for file in /etc/subuid /etc/subgid; do mount --bind "$0" $file || exit 99; done; exec "$@"'
        result = self.plain("unshare", "--mount", "sh", "-c", mount, ranges)
        if result.code == 99:
            self.skipTest("nothing can be mounted here: user namespaces were not tried")
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("new folder /home/azureuser/.ssh, mode 0700, owner 1000:1000\n", result.out)

    def test_colour_only_on_a_terminal(self) -> None:
        self.system_image()
        self.assertNotIn("\x1b", self.rehearse().out)
        for environment, coloured in (
            ({"TERM": "xterm"}, True),
            ({"TERM": "xterm", "NO_COLOR": "1"}, False),
            ({"TERM": "dumb"}, False),
        ):
            outer, inner = pty.openpty()
            argv = [sys.executable, "-I", "-S", built_file(), "rehearse", "--root", self.root]
            child = subprocess.Popen(argv, stdout=inner, stderr=subprocess.DEVNULL, env=environment)
            os.close(inner)
            shown = b""
            while True:
                try:
                    data = os.read(outer, 65536)
                except OSError:
                    break  # the other end is closed
                if not data:
                    break
                shown += data
            os.close(outer)
            self.assertEqual(child.wait(), 0)
            self.assertEqual(b"\x1b[32m+\x1b[0mrehearsal" in shown, coloured, environment)
            self.assertEqual(b"\x1b" in shown, coloured, environment)

    def test_real_trees(self) -> None:
        """Roots made by Debian's own packages, if `make distro-test` has left any."""
        found = sorted(cache().iterdir()) if cache().is_dir() else []
        roots = [root for root in found if (root / "etc").is_dir() and not root.name.endswith(".unfinished")]
        if not roots:
            self.skipTest("no tree of real packages is there: see `make distro-test`")
        if not os.access(str(roots[0] / "etc/shadow"), os.R_OK):
            self.skipTest("the trees of real packages are root's")
        for root in roots[:: max(1, len(roots) // 6)]:
            with self.subTest(root.name):
                before = times(str(root / "etc")), times(str(root / "var"))
                result = call([sys.executable, "-I", "-S", built_file(), "rehearse", "--root", str(root)])
                self.check_verdict(str(root), result)
                self.assertIn("Azure accepted Ready", result.err)
                self.assertEqual((times(str(root / "etc")), times(str(root / "var"))), before)
                self.assertIn("azureuser", result.out)


def times(root: str) -> "Dict[str, Tuple[int, int]]":
    """The times of everything below a root. Reading it from outside does not change them."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            seen = os.lstat(os.path.join(folder, name))
            found[os.path.join(folder, name)] = (seen.st_mtime_ns, seen.st_ctime_ns)
    return found
