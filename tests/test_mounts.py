"""Mounts inside an image do not belong to it.

`generalize` reports them and does not change them, in an image and on the running machine. Nothing writes to a host
file that is mounted over one of the image.
"""

import os
import subprocess
import sys
from typing import Dict

from tests import TOP
from tests.images import ImageTest, listing

# The host's folders, and where they are mounted in the image.
MOUNTED = {
    "/home/ann/data": "folder",
    "/var/log/host": "folder",
    "/var/lib/dhcp": "folder",
    "/run": "folder",
    "/etc/hostname": "file",
    "/etc/machine-id": "file",
}
HOSTS = {
    "folder/dhclient.eth0.leases": "lease {}\n",
    "folder/syslog": "the host's log\n",
    "folder/syslog.1": "an older one\n",
    "folder/systemd/netif/leases/2": "ADDRESS=10.0.0.4\n",
    "folder/.bash_history": "secret\n",
    "file": "the-host\n",
}
IMAGE = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
    "/etc/group": "root:x:0:\nann:x:1000:\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n",
    "/etc/hostname": "image\n",
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/etc/ssh/ssh_host_rsa_key": "x",
    "/home/ann/data/own": "",
    "/var/log/own.log": "x\n",
    "/var/log/host/none": "",
    "/var/lib/dhcp/none": "",
    "/run/none": "",
    "/proc/none": "",
}
CODE = """
import os, sys
sys.path.insert(0, sys.argv[1])
import tests
from azure_provisioning import cli, reasons, usage, verbs
from azure_provisioning.image.generalize import agent, generalize
from azure_provisioning.image.install import install
from azure_provisioning.image.rehearse import difference
from azure_provisioning.init import arguments, table
import encodings.idna, textwrap, binascii, hashlib, importlib, tempfile
for name in table.NAMES:
    table.load(name)
words = sys.argv[3:]
if words[0] == "inside":
    os.chroot(sys.argv[2])
    os.chdir("/")
    words = words[1:]
else:
    words += ["--root", sys.argv[2]]
verbs.own_file = lambda: b"the program"
sys.exit(cli.main(words))
"""


class MountTest(ImageTest):
    def setUp(self) -> None:
        super().setUp()
        self.image("systemd")
        self.fill(IMAGE)
        self.install()
        self.hosts = os.path.join(self.root, "..", os.path.basename(self.root) + "-host")
        os.mkdir(self.hosts)
        self.addCleanup(subprocess.call, ["rm", "-rf", self.hosts])
        for name, text in HOSTS.items():
            os.makedirs(os.path.dirname(os.path.join(self.hosts, name)), exist_ok=True)
            with open(os.path.join(self.hosts, name), "w") as file:
                file.write(text)
        if os.geteuid() == 0:
            os.chown(self.root + "/home/ann", 1000, 1000)

    def run_mounted(self, points: "Dict[str, str]", *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a verb in a mount namespace in which folders of the host are mounted in the image."""
        script = 'cd "$1" && shift\n'
        for point, name in points.items():
            script += 'mount --bind "%s" "%s" || exit 77\n' % (os.path.join(self.hosts, name), self.root + point)
        script += 'mount --rbind /proc "%s/proc" || exit 77\nexec "$@"\n' % self.root
        argv = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
        argv += ["sh", "-c", script, "sh", TOP, sys.executable, "-c", CODE, TOP, self.root, *words]
        try:
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        except OSError as error:
            self.skipTest("no unshare here, so nothing was mounted in an image: %s" % error)
        if done.returncode == 77 or "unshare:" in done.stderr:
            self.skipTest("nothing may be mounted here, so nothing was mounted in an image: " + done.stderr[-200:])
        return done

    def assert_hosts(self) -> None:
        """Everything of the host is unchanged."""
        for name, text in HOSTS.items():
            with open(os.path.join(self.hosts, name)) as file:
                self.assertEqual(file.read(), text, name)

    def test_generalize_an_image(self) -> None:
        done = self.run_mounted(MOUNTED, "generalize", "--user", "ann", "--yes")
        self.assert_hosts()
        self.assertEqual(done.returncode, 1, done.stderr)
        for point in ("/home/ann/data", "/var/log/host", "/var/lib/dhcp", "/etc/hostname", "/etc/machine-id"):
            self.assertIn("something is mounted at %s: it is left unchanged" % point, done.stderr)
        self.assertNotIn("mounted at /run", done.stderr)
        self.assertIn("ann:", self.text("/etc/passwd") or "")  # otherwise its home would never be removed
        self.assertIsNone(self.text("/etc/ssh/ssh_host_rsa_key"))
        self.assertEqual(self.text("/var/log/own.log"), "")
        self.assertNotIn("Traceback", done.stderr)

    def test_generalize_after_unmounting(self) -> None:
        self.run_mounted(MOUNTED, "generalize", "--user", "ann", "--yes")
        done = self.run_mounted({"/run": "folder"}, "generalize", "--user", "ann", "--yes")
        self.assert_hosts()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(self.system.exists("/home/ann"))
        self.assertEqual(self.text("/etc/machine-id"), "")
        self.assertEqual(self.text("/etc/hostname"), "localhost\n")

    def test_generalize_from_inside(self) -> None:
        """The same on the running machine: a bind mount inside a folder does not belong to it."""
        done = self.run_mounted(MOUNTED, "inside", "generalize", "--user", "ann", "--yes")
        self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(done.returncode, 1, done.stderr)
        for name in ("folder/syslog", "folder/syslog.1", "folder/.bash_history", "file"):
            with open(os.path.join(self.hosts, name)) as file:
                self.assertEqual(file.read(), HOSTS[name], name)
        for point in ("/home/ann/data", "/var/log/host", "/etc/hostname", "/etc/machine-id"):
            self.assertIn("something is mounted at %s: it is left unchanged" % point, done.stderr)

    def test_install_and_uninstall(self) -> None:
        """A host file that is mounted over the image's is not written: `install` fails."""
        unit = "/etc/systemd/system/azure-provisioning.service"
        self.uninstall()
        self.fill({unit: ""})
        before = listing(self.root)
        done = self.run_mounted({unit: "file"}, "uninstall")
        self.assert_hosts()
        self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(listing(self.root), before)

    def test_foreign_files_in_the_manifest_are_kept(self) -> None:
        """An image's records may name any file. Files with other names than ours, and files in /run, stay."""
        notes = "init=systemd\nprogram=/run/syslog\nprogram=/etc/hosts\nfolder=/run/systemd/netif\nfolder=/run/empty\n"
        os.mkdir(os.path.join(self.hosts, "folder/empty"))
        for verb in ("install", "uninstall"):
            self.fill({"/var/lib/azure-provisioning/install": notes, "/etc/hosts": "127.0.0.1 localhost\n"})
            done = self.run_mounted({"/run": "folder"}, verb)
            self.assert_hosts()
            self.assertTrue(os.path.isdir(os.path.join(self.hosts, "folder/empty")), done)
            self.assertEqual(self.text("/etc/hosts"), "127.0.0.1 localhost\n")
            self.assertNotIn("Traceback", done.stderr)

    def test_links_into_run(self) -> None:
        """Our folders are links into the host's /run: `install` fails."""
        self.uninstall()
        for path in ("/var/lib/azure-provisioning", "/etc/systemd/system"):
            with self.subTest(path):
                subprocess.check_call(["rm", "-rf", self.root + path])
                self.system.link("/run/systemd", path)
                before = sorted(os.listdir(os.path.join(self.hosts, "folder/systemd")))
                done = self.run_mounted({"/run": "folder"}, "install")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("nothing is changed here (path=/run/systemd", done.stderr)
                self.assertEqual(sorted(os.listdir(os.path.join(self.hosts, "folder/systemd"))), before)
                self.system.unlink(path)
