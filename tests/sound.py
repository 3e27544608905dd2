"""An image that has everything `check` looks for, and tests that remove something from it."""

import functools
import gzip
import os
import re
import shutil
import sys
import tempfile
from typing import Dict, List, Optional, Sequence, Set, Tuple
from unittest import mock

from azure_provisioning.image.check import check, interpreter
from azure_provisioning.image.check.finding import Finding
from tests.images import ImageTest
from tests.server import SCRATCH

KERNEL = "6.1.0-2"
DRIVERS = {
    "hv_vmbus": "drivers/hv/hv_vmbus",
    "hv_utils": "drivers/hv/hv_utils",
    "hv_netvsc": "drivers/net/hyperv/hv_netvsc",
    "hv_storvsc": "drivers/scsi/hv_storvsc",
    "sd_mod": "drivers/scsi/sd_mod",
    "nvme": "drivers/nvme/host/nvme",
    "pci_hyperv": "drivers/pci/controller/pci-hyperv",
    "sr_mod": "drivers/scsi/sr_mod",
    "udf": "fs/udf/udf",
    "isofs": "fs/isofs/isofs",
}
DISK = ("hv_vmbus", "hv_storvsc", "sd_mod", "pci_hyperv", "nvme")
INITRAMFS = "/boot/initrd.img-" + KERNEL
MODULES = "/usr/lib/modules/" + KERNEL
LIBRARY = "/usr/lib/python3.11"
NETWORK = "[Match]\nName=e*\nDriver=hv_netvsc\n\n[Network]\nDHCP=ipv4\n"
GRUB = "menuentry 'x' {\n\tlinux /boot/vmlinuz root=UUID=0 ro console=tty0 console=ttyS0,115200\n}\n"

# Together with the image "systemd" of tests/images.py: a complete image.
GOOD: Dict[str, str] = {
    "/usr/lib/systemd/system/multi-user.target": "[Unit]\n",
    "/usr/lib/systemd/system/default.target": "-> multi-user.target",
    "/usr/lib/systemd/system/serial-getty@.service": "[Service]\n",
    "/usr/lib/systemd/system/ssh.service": "[Service]\n",
    "/usr/lib/systemd/system/systemd-networkd.service": "[Service]\n",
    "/usr/lib/systemd/systemd-networkd": "",
    "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "-> /lib/systemd/system/"
    "systemd-networkd.service",
    "/etc/systemd/network/50-dhcp.network": NETWORK,
    "/etc/machine-id": "",
    "/usr/bin/python3.11": "\x7fELF PyInit__socket\0PyInit_pyexpat\0PyInit_select\0PyInit_binascii\0",
    LIBRARY + "/lib-dynload/_posixsubprocess.cpython-311-x86_64-linux-gnu.so": "",
    LIBRARY + "/lib-dynload/math.so": "",
    LIBRARY + "/lib-dynload/fcntl.cpython-311.so": "",
    "/boot/vmlinuz-" + KERNEL: "",
    "/boot/grub/grub.cfg": GRUB,
    MODULES + "/modules.builtin": "kernel/drivers/rtc/rtc-cmos.ko\n",
    MODULES + "/modules.dep": "".join("kernel/%s.ko.xz: kernel/x.ko\n" % path for path in DRIVERS.values()),
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\nuser:!:19000:0:99999:7:::\n",
    "/etc/group": "root:x:0:\nsudo:x:27:\nuser:x:1000:\n",
    "/etc/fstab": "# <file system>\nUUID=0 / ext4 defaults 0 1\n",
    "/etc/hostname": "image\n",
    "/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n",
    "/bin/sh": "",
    "/usr/bin/mount": "",
    **{"/usr/bin/" + name: "" for name in interpreter.TOOLS},
    "/usr/bin/sudo": "",
    "/usr/bin/ssh-keygen": "",
    "/usr/sbin/sshd": "",
    "/usr/sbin/sfdisk": "",
    "/usr/sbin/resize2fs": "",
    "/usr/bin/apt-get": "",
}
GOOD.update(("%s/kernel/%s.ko.xz" % (MODULES, path), "") for path in DRIVERS.values())
GOOD.update(("%s/%s.py" % (LIBRARY, name), "") for name in interpreter.NEEDED if not name.startswith("_"))
for _name in ("binascii", "pyexpat", "select", "math", "fcntl", "sys", "time", "errno", "itertools", "marshal"):
    del GOOD["%s/%s.py" % (LIBRARY, _name)]


def cpio(*names: str) -> bytes:
    """An archive with empty files of these names, in the format of an initramfs."""
    data = b""
    for name in (*names, "TRAILER!!!"):
        size = len(name) + 1
        head = b"070701" + b"".join(b"%08X" % number for number in (0, 0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0, size, 0))
        entry = head + name.encode() + b"\0"
        data += entry + b"\0" * (-len(entry) % 4)
    return data


def modules(*names: str) -> "List[str]":
    """The paths of these modules in an initramfs."""
    return ["usr/lib/modules/%s/kernel/%s.ko.xz" % (KERNEL, DRIVERS[name]) for name in names]


COMPLETE = False  # `python3 -m tests --complete`: every check at every look, which takes ten times as long


@functools.lru_cache(maxsize=None)
def checks_for(name: str) -> "Tuple[Tuple[str, object], ...]":
    """The checks that may give a finding with this id: its text is in their module, or in one that this imports."""
    quoted = '"%s"' % name
    chosen = []
    for row in check.CHECKS:
        modules = reached(row[1].__module__)
        if row[0] == name or any(quoted in source_of(module) for module in modules):
            chosen.append(row)
    return tuple(chosen)


def reached(module: str) -> "Set[str]":
    """The modules of `check` that a module imports, directly or not, and itself."""
    package = check.__name__.rpartition(".")[0]
    found, todo = {module}, [module]
    while todo:
        lists = re.findall(r"^from \. import (\([^)]*\)|.*)|^from \.(\w+) import", source_of(todo.pop()), re.MULTILINE)
        names = {"%s.%s" % (package, word) for both in lists for word in re.findall(r"\w+", " ".join(both))}
        new = {name for name in names if name in sys.modules} - found - {package + ".packages"}  # has packages' names
        found |= new
        todo += new
    return found


@functools.lru_cache(maxsize=None)
def source_of(module: str) -> str:
    """The text of a loaded module."""
    with open(str(sys.modules[module].__file__), encoding="utf-8") as file:
        return file.read()


class CheckTest(ImageTest):
    """Has a complete image, made once and copied."""

    folder = ""
    template = ""
    compared = False  # in this test

    @classmethod
    def tearDownClass(cls) -> None:
        if cls.folder:
            shutil.rmtree(cls.folder)

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def start(self) -> None:
        """Restore the image."""
        shutil.rmtree(self.root)
        if self.template:
            shutil.copytree(self.template, self.root, symlinks=True)
            self.open_root()
            return
        os.mkdir(self.root)
        self.open_root()
        self.make()
        folder = type(self).folder = tempfile.mkdtemp(prefix="azure-provisioning-test-", dir=SCRATCH)
        shutil.copytree(self.root, folder + "/image", symlinks=True)
        type(self).template = folder + "/image"

    def make(self) -> None:
        """Fill the root."""
        self.image("systemd")
        self.fill(GOOD)
        for path in ("/usr/lib/systemd/systemd-networkd",):
            self.make_program(path)
        os.chmod(self.root + "/usr/bin/sudo", 0o4755)
        self.system.write(INITRAMFS, gzip.compress(cpio("init", *modules(*DISK))))
        self.install()

    def gone(self, *paths: str) -> None:
        """Remove files or folders."""
        for path in paths:
            place = self.system.path(path, follow=False)
            if os.path.isdir(place) and not os.path.islink(place):
                shutil.rmtree(place)
            else:
                os.unlink(place)

    def make_device(self, path: str) -> None:
        """A file of a special type that everybody may write to: only root could make a device."""
        place = self.system.path(path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if not os.path.exists(place):
            os.mkfifo(place)
            os.chmod(place, 0o666)

    def fill_private(self, path: str, text: str) -> None:
        """A file that only root may read."""
        self.fill({path: text})
        os.chmod(self.root + path, 0o600)

    def findings(self, name: str) -> "List[Finding]":
        """The findings with an id, by the checks that may give them; once in a test and with COMPLETE, by all."""
        with mock.patch.object(check, "CHECKS", checks_for(name)):
            found = [finding for finding in check.check(self.system) if finding.id == name]
        if COMPLETE or not self.compared:
            self.compared = True
            self.assertEqual(found, [finding for finding in check.check(self.system) if finding.id == name])
        return found

    def good(self, name: str, pattern: str = ".") -> None:
        """All findings with this id are ok."""
        found = self.findings(name)
        self.assertEqual({finding.level for finding in found}, {"ok"}, found)
        self.assertRegex(" ".join(finding.message for finding in found), pattern)

    def bad(
        self,
        name: str,
        level: str,
        pattern: str,
        files: "Optional[Dict[str, str]]" = None,
        gone: "Sequence[str]" = (),
    ) -> str:
        """This change to a complete image causes one finding of this level; returns the remedy."""
        self.start()
        self.good(name)
        self.gone(*gone)
        self.fill(files or {})
        found = [finding for finding in self.findings(name) if finding.level != "ok"]
        self.assertEqual([finding.level for finding in found], [level], (pattern, found))
        self.assertRegex(found[0].message, pattern)
        return found[0].remedy
