"""The provisioning DVD: the content of its document, and how it is present or missing.

`python3 -m tests.test_media IMAGE` mounts an image for real. The test runs that in its own mount namespace.
"""

import base64
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from typing import Dict, List, Optional, Sequence, Tuple

from azure_provisioning.azure import drives
from azure_provisioning.azure.media import read_media
from azure_provisioning.azure.ovf import NAMESPACE, Media, parse_ovf
from azure_provisioning.door.system import System
from azure_provisioning.errors import BadReply, GuestError
from tests import TOP
from tests.tools import ToolTest

PASSWORD = "s3cret & <never> seen"  # as XML text in OVF
CUSTOM_DATA = b"#!/bin/sh\necho \xff custom\n" * 9

OVF = """<?xml version="1.0" encoding="utf-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1"
 xmlns:wa="http://schemas.microsoft.com/windowsazure" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <wa:ProvisioningSection><wa:Version>1.0</wa:Version>
  <LinuxProvisioningConfigurationSet xmlns="http://schemas.microsoft.com/windowsazure">
   <ConfigurationSetType>LinuxProvisioningConfiguration</ConfigurationSetType>
   <HostName> rehearsal
   </HostName>
   <UserName>azureuser</UserName>
   <UserPassword>s3cret &amp; &lt;never&gt; seen</UserPassword>
   <DisableSshPasswordAuthentication>false</DisableSshPasswordAuthentication>
   <CustomData>%s</CustomData>
   <SSH><PublicKeys>
    <PublicKey><Fingerprint>AA</Fingerprint><Path>/home/x</Path><Value>ssh-rsa AAAA a</Value></PublicKey>
    <PublicKey><Fingerprint>BB</Fingerprint><Path>/home/x</Path><Value /></PublicKey>
    <PublicKey><Value>ssh-rsa BBBB b</Value></PublicKey>
   </PublicKeys></SSH>
  </LinuxProvisioningConfigurationSet>
 </wa:ProvisioningSection>
 <wa:PlatformSettingsSection><wa:Version>1.0</wa:Version>
  <PlatformSettings xmlns="http://schemas.microsoft.com/windowsazure">
   <KmsServerHostname>kms.core.windows.net</KmsServerHostname>
   <ProvisionGuestAgent>true</ProvisionGuestAgent>
   <GuestAgentPackageName xsi:nil="true" />
   <PreprovisionedVm>false</PreprovisionedVm><PreprovisionedVMType>None</PreprovisionedVMType>
  </PlatformSettings>
 </wa:PlatformSettingsSection>
</Environment>
""" % base64.encodebytes(CUSTOM_DATA).decode("ascii")


def changed(old: str, new: str) -> bytes:
    """The document with one change."""
    assert OVF.count(old) == 1, old
    return OVF.replace(old, new).encode("utf-8")


class DocumentTest(unittest.TestCase):
    def test_every_field(self) -> None:
        found = parse_ovf(OVF.encode("utf-8"))
        self.assertEqual(found.password.reveal() if found.password else None, PASSWORD)
        keys = ("ssh-rsa AAAA a", "ssh-rsa BBBB b")
        self.assertEqual(
            found._replace(password=None),
            ("rehearsal", "azureuser", None, True, CUSTOM_DATA, keys, "", False, True, ()),
        )

    def test_secrets_are_not_shown(self) -> None:
        found = parse_ovf(OVF.encode("utf-8"))
        shown = "%r %s" % (found, found)
        self.assertIn("rehearsal", shown)
        for secret in ("s3cret", "custom", "echo"):
            self.assertNotIn(secret, shown)

    def test_prefixes_are_ignored(self) -> None:
        prefixed = OVF.replace('tionSet xmlns="http://schemas.microsoft.com/windowsazure"', "tionSet")
        for name in ("LinuxProvisioningConfigurationSet", "HostName", "UserName", "UserPassword", "CustomData"):
            prefixed = prefixed.replace("<" + name, "<ns1:" + name).replace("</" + name, "</ns1:" + name)
        prefixed = prefixed.replace("xmlns:xsi", 'xmlns:ns1="http://schemas.microsoft.com/windowsazure" xmlns:xsi')
        found = parse_ovf(prefixed.encode("utf-8"))
        self.assertEqual((found.hostname, found.custom_data), ("rehearsal", CUSTOM_DATA))

    def test_missing_and_odd_fields(self) -> None:
        password = "<UserPassword>s3cret &amp; &lt;never&gt; seen</UserPassword>"
        flag = "<DisableSshPasswordAuthentication>false</DisableSshPasswordAuthentication>"
        pool = "<PreprovisionedVm>false</PreprovisionedVm><PreprovisionedVMType>None</PreprovisionedVMType>"
        cases: "List[Tuple[bytes, str, object]]" = [
            (changed(password, ""), "password", None),
            (changed(password, "<UserPassword/>"), "password", None),
            (changed(password, "<UserPassword> </UserPassword>"), "password", None),
            (changed(password, "<UserPassword>*</UserPassword>"), "password", None),
            (changed(password, "<UserPassword>REDACTED</UserPassword>"), "password", None),
            # A password that is not mentioned is allowed (cloud-init, WALinuxAgent).
            (changed(flag, ""), "password_login", True),
            (changed(flag, flag.replace("false", " ")), "password_login", True),
            (changed(flag, "").replace(password.encode("ascii"), b""), "password_login", None),
            (
                changed(flag, "").replace(password.encode("ascii"), b"<UserPassword>*</UserPassword>"),
                "password_login",
                None,
            ),
            (changed(flag, flag.replace("false", " TRUE ")), "password_login", False),
            (changed(flag, flag.replace("false", "perhaps")), "password_login", None),
            (changed("<UserName>azureuser</UserName>", ""), "user", ""),
            (changed(" rehearsal\n", ""), "hostname", ""),
            (changed(" rehearsal\n", "<x>no</x> caf\u00e9"), "hostname", "caf\u00e9"),
            (changed(pool, ""), "pool", ""),
            (changed(pool, pool.replace("None", "Savable")), "pool", "Savable"),
            (changed(pool, pool.replace("false", "true")), "pool", "Running"),
            (changed(pool, pool.replace("None", "Unknown")), "pool", ""),
            (changed(pool, pool + "<ProvisionGuestProxyAgent>true</ProvisionGuestProxyAgent>"), "proxy_agent", True),
            (changed(pool, pool + "<ProvisionGuestProxyAgent>0</ProvisionGuestProxyAgent>"), "proxy_agent", False),
            (b"\xef\xbb\xbf" + OVF.encode("utf-8"), "hostname", "rehearsal"),
            (OVF.replace('"utf-8"', '"utf-16"').encode("utf-16"), "hostname", "rehearsal"),
        ]
        for document, field, value in cases:
            with self.subTest(field=field, value=value):
                self.assertEqual(getattr(parse_ovf(document), field), value)

    def test_largest_custom_data(self) -> None:
        data = bytes(range(256)) * 256
        text = "\r\n ".join(base64.b64encode(data).decode("ascii")[at : at + 76] for at in range(0, 87384, 76))
        start, end = OVF.index("<CustomData>") + 12, OVF.index("</CustomData>")
        self.assertEqual(parse_ovf((OVF[:start] + text + OVF[end:]).encode("utf-8")).custom_data, data)
        self.assertIsNone(parse_ovf((OVF[:start] + OVF[end:]).encode("utf-8")).custom_data)

    def test_only_the_bad_field_is_dropped(self) -> None:
        flag = "<DisableSshPasswordAuthentication>false"
        pooled, agent = (
            "<PreprovisionedVm>false",
            "<PreprovisionedVm>false</PreprovisionedVm><ProvisionGuestProxyAgent>",
        )
        table = {
            changed("<CustomData>", "<CustomData>!"): ("custom_data", "CustomData is not base64"),
            changed("<CustomData>", "<CustomData>A"): ("custom_data", "CustomData is not base64"),
            changed("<CustomData>", "<CustomData>\u0660\u0660\u0660\u0660"): (
                "custom_data",
                "CustomData is not base64",
            ),
            changed(flag, flag + "?"): ("password_login", "DisableSshPasswordAuthentication is neither true nor false"),
            changed(pooled, pooled + "?"): ("", "PreprovisionedVm is neither true nor false"),
            changed(pooled + "</PreprovisionedVm>", agent + "yes</ProvisionGuestProxyAgent>"): (
                "",
                "ProvisionGuestProxyAgent is neither true nor false",
            ),
        }
        whole = parse_ovf(OVF.encode("utf-8"))
        for document, (field, problem) in table.items():
            found = parse_ovf(document)
            self.assertEqual(found.problems, (problem,))
            self.assertEqual(found.password.reveal() if found.password else None, PASSWORD)
            expected = whole._replace(
                password=found.password, problems=found.problems, **({field: None} if field else {})
            )
            self.assertEqual(found, expected)
            self.assertTrue(found.promises_custom_data)

    def test_refused(self) -> None:
        missing, multiple = "missing configuration for '%s'", "multiple configuration matches for '%s' (2)"
        bad = "error parsing ovf-env.xml"
        odd = "unexpected metadata parsing ovf-env.xml: "
        name = "<UserName>azureuser</UserName>"
        cases = [
            (b"", bad),
            (b"\0", bad),
            (b"<html><body>no</body></html>", odd + missing % "ProvisioningSection"),
            (OVF.encode("utf-8")[:-20], bad),
            (OVF.encode("utf-8") + b"\0", bad),
            (changed("?>", "?><!DOCTYPE Environment [<!ENTITY a 'aaa'>]>"), bad),
            (changed('"utf-8"', '"no-such"'), bad),
            (changed('"utf-8"', '"utf-7"'), bad),
            (changed("azureuser", "azure&user;"), bad),
            (changed(name, name + name), odd + multiple % "UserName"),
            (
                changed(" <wa:ProvisioningSection>", " <wa:ProvisioningSection/><wa:ProvisioningSection>"),
                odd + multiple % "ProvisioningSection",
            ),
            (
                changed("  <LinuxProv", "<wa:LinuxProvisioningConfigurationSet/><LinuxProv"),
                odd + multiple % "LinuxProvisioningConfigurationSet",
            ),
            (
                changed(" <wa:PlatformSettingsSection>", "<wa:PlatformSettingsSection/><wa:PlatformSettingsSection>"),
                odd + multiple % "PlatformSettingsSection",
            ),
            (OVF.replace("LinuxProv", "Windows").encode("utf-8"), odd + missing % "LinuxProvisioningConfigurationSet"),
            (OVF.replace(NAMESPACE, "urn:x").encode("utf-8"), odd + missing % "ProvisioningSection"),
        ]
        for document, reason in cases:
            with self.subTest(document=document[:60], reason=reason):
                with self.assertRaises(BadReply) as caught:
                    parse_ovf(document)
                self.assertEqual(caught.exception.reason, reason)
                for secret in ("s3cret", "IyEv"):
                    self.assertNotIn(secret, str(caught.exception))

    def test_mutations_return_a_record_or_bad_reply(self) -> None:
        chance, good = random.Random(1), OVF.encode("utf-8")
        for _ in range(400):
            data = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                at = chance.randrange(len(data))
                data[at : at + chance.randrange(30)] = bytes(chance.choice(b"<>&;\"'/x \0\xff") for _ in range(3))
            try:
                self.assertIsInstance(parse_ovf(bytes(data)), Media)
            except BadReply:
                continue

    def test_large_documents_are_parsed_in_time(self) -> None:
        started = time.monotonic()
        for filling in ("<a>" * 300000, "x<!---->" * 120000, "&amp;" * 200000, "<HostName/>" * 90000):
            with self.assertRaises(BadReply):
                parse_ovf(changed("<HostName> rehearsal", "<HostName>%s<" % filling))
        self.assertLess(time.monotonic() - started, 20)


class DriveTest(ToolTest):
    """The arguments of `mount` and the results, with a configurable stand-in."""

    def setUp(self) -> None:
        super().setUp()
        self.fill({"/sys/block/sda/dev": "8:0\n", "/sys/block/sr0/dev": "11:0\n", "/sys/block/sr0/size": "2097151\n"})
        self.mounted = False
        self.problems = {"iso9660": "mount: wrong fs type, bad option, bad superblock on /dev/sr0"}
        self.document = OVF
        self.tools.add("mount", self.mount, "/bin")
        self.tools.add("umount", self.unmount, "/bin")

    def mount(self, argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
        kind = argv[argv.index("-t") + 1]
        if kind in self.problems:
            return 32, self.problems[kind] + "\n"
        folder = self.system.stat(argv[-1])
        assert folder is not None and folder.st_mode & 0o777 == 0o700
        self.mounted = True
        self.fill({argv[-1] + "/ovf-env.xml": self.document})
        return 0, ""

    def unmount(self, argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
        self.mounted = False
        self.system.unlink(argv[-1] + "/ovf-env.xml")
        return 0, ""

    def test_read(self) -> None:
        found, how = read_media(self.system)
        self.assertEqual((found.hostname if found else None, how), ("rehearsal", "/dev/sr0"))
        options = "ro,nosuid,nodev,noexec"
        self.assertEqual(
            self.tools.ran_words(),
            ["mount -t udf -o %s /dev/sr0 %s" % (options, drives.POINT), "umount %s" % drives.POINT],
        )
        self.assertFalse(self.system.exists(drives.POINT))

    def test_mount_point(self) -> None:
        """In /var/lib if possible, because SELinux's policy allows it (not in an init script's folder in /run)."""
        self.assertIsNotNone(read_media(self.system)[0])
        folder = self.system.stat("/var/lib/azure-provisioning")
        assert folder is not None
        self.assertEqual(folder.st_mode & 0o7777, 0o755)
        shutil.rmtree(self.root + "/var")
        self.fill({"/var": ""})  # as if it were not writable
        self.assertIsNotNone(read_media(self.system)[0])
        self.assertEqual([argv[-1] for argv in self.tools.ran], [drives.POINT] * 2 + [drives.SPARE_POINT] * 2)
        self.assertEqual(self.system.list("/run/azure-provisioning"), [])

    def test_second_file_system_is_tried(self) -> None:
        self.problems = {"udf": "mount: unknown filesystem type 'udf'"}
        found, _ = read_media(self.system)
        self.assertIsNotNone(found)

    def test_no_dvd_in_the_drive(self) -> None:
        empty = dict.fromkeys(drives.KINDS, "mount: /dev/sr0: no medium found on /dev/sr0.")
        no_udf = dict(self.problems, udf="mounting /dev/sr0 on %s failed: No such device" % drives.POINT)
        for problems, word in ((empty, "no medium found"), (no_udf, "No such device")):
            self.problems = problems
            found, why = read_media(self.system)
            self.assertIsNone(found)
            self.assertIn(word, why)
            self.assertFalse(self.system.exists(drives.POINT))
        self.system.write("/sys/block/sr0/size", "0\n")
        self.assertEqual(read_media(self.system), (None, "/dev/sr0: no medium"))
        self.system.unlink("/bin/mount")
        self.system.write("/sys/block/sr0/size", "4\n")
        self.assertEqual(read_media(self.system), (None, "/dev/sr0: no program to mount with"))

    def test_no_drive(self) -> None:
        os.rename(self.system.path("/sys/block/sr0"), self.system.path("/sys/block/vdb"))
        self.assertEqual(read_media(self.system), (None, "no DVD drive"))
        shutil.rmtree(self.system.path("/sys"))
        self.assertEqual(read_media(self.system), (None, "no DVD drive"))
        self.system.write("/dev/sr0", "")
        self.assertIsNotNone(read_media(self.system)[0])

    def test_hanging_drive_is_tried_once(self) -> None:
        def hang(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            raise GuestError("command took too long", command=argv[0], seconds=20)

        self.tools.add("mount", hang, "/bin")
        found, why = read_media(self.system)
        self.assertIsNone(found)
        self.assertIn("took too long", why)
        self.assertEqual(len(self.tools.ran), 1)

    def test_second_drive(self) -> None:
        self.fill({"/sys/block/sr0/size": "0\n", "/sys/block/sr10/size": "8\n", "/sys/block/sr2/size": "8\n"})
        self.assertEqual(read_media(self.system)[1], "/dev/sr2")

    def disk(self, name: str, signature: str = "CD001", **files: str) -> None:
        """A small disk with only such a file system."""
        folder = "/sys/block/%s/" % name
        sizes = {folder + "size": "2048\n", folder + "dev": "254:%d\n" % (ord(name[-1]) % 50), folder + "ro": "0\n"}
        self.fill(sizes)
        self.fill({folder + path.replace("_", "/"): text for path, text in files.items()})
        self.signatures[name] = signature

    def read_disk(self, argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
        """The output of `dd` for a disk."""
        name = argv[1].partition("=/dev/")[2]
        if self.signatures[name] == "hangs":
            raise GuestError("command took too long", command=argv[0], seconds=10)
        text = "\0\0BEA01\1\0\0\0%s\1\0\0" % self.signatures[name] if self.signatures[name] else "\0" * 100
        return (0, text + "16+0 records in\n") if self.signatures[name] != "fails" else (1, "dd: Input/output error\n")

    def no_drive(self) -> None:
        """No DVD drive, and a stand-in for dd with the content of each disk."""
        shutil.rmtree(self.system.path("/sys/block"))
        self.signatures: "Dict[str, str]" = {}
        self.problems = {}
        self.tools.add("dd", self.read_disk, "/bin")

    def test_dvd_as_a_disk(self) -> None:
        """A small or read-only one with such a file system, beside any others."""
        self.no_drive()
        for name, signature, kind in (
            ("vdb", "CD001", "iso9660"),
            ("sdc", "NSR02", "udf"),
            ("nvme0n2", "NSR03", "udf"),
        ):
            with self.subTest(name):
                shutil.rmtree(self.system.path("/sys"), ignore_errors=True)
                self.fill(
                    {"/sys/block/sda/dev": "8:0\n", "/sys/block/sda/size": "62914560\n", "/sys/block/sda/sda1/x": ""}
                )
                self.disk(name, signature)
                del self.tools.ran[:]
                found, how = read_media(self.system)
                self.assertEqual((found.hostname if found else None, how), ("rehearsal", "/dev/" + name))
                options = "ro,nosuid,nodev,noexec"
                self.assertEqual(
                    self.tools.ran_words(),
                    [
                        "dd if=/dev/%s bs=2048 skip=16 count=16" % name,
                        "mount -t %s -o %s /dev/%s %s" % (kind, options, name, drives.POINT),
                        "umount %s" % drives.POINT,
                    ],
                )
        self.disk("sdb", size="62914560\n", ro="1\n")
        self.assertEqual(drives.find_drives(self.system), ["sdb", "nvme0n2"])

    def test_drive_before_disk(self) -> None:
        self.no_drive()
        for name in ("nvme0n1", "sdb", "vdb", "vda"):
            self.disk(name)
        self.fill({"/sys/block/sr0/size": "0\n"})
        self.assertEqual(drives.find_drives(self.system), ["sr0", "vda", "vdb", "sdb", "nvme0n1"])
        self.assertEqual(read_media(self.system)[1], "/dev/vda")
        self.document = "x"
        self.fill({"/sys/block/sr0/size": "4096\n"})
        with self.assertRaises(BadReply):  # that is the DVD, but damaged
            read_media(self.system)

    def test_disks_that_are_not_read(self) -> None:
        """In use, partitioned, large, or another kind of device: nothing on it is read."""
        mounts = "20 1 %s / %s rw - %s %s rw\n"
        cases: "List[Tuple[Dict[str, str], Dict[str, str]]]" = [
            ({"size": "62914560\n"}, {}),
            ({"size": "0\n"}, {}),
            ({"size": "-1\n", "ro": "1\n"}, {}),
            ({"size": "x\n", "ro": "1\n"}, {}),
            ({"dev": "\n"}, {}),
            ({"vdb1_size": "1\n"}, {}),
            ({"holders_dm-0": ""}, {}),
            ({}, {"/proc/self/mountinfo": mounts % ("254:48", "/", "iso9660", "/dev/root")}),
            ({}, {"/proc/self/mountinfo": mounts % ("0:30", "/data", "btrfs", "/dev/vdb")}),
            ({}, {"/proc/swaps": "Filename\tType\n/dev/vdb                   partition\t1024\t0\t-2\n"}),
        ]
        for files, others in cases:
            with self.subTest(files=files, others=others):
                self.setUp()
                self.no_drive()
                self.disk("vdb")
                self.assertEqual(drives.find_drives(self.system), ["vdb"])
                self.disk("vdb", **files)
                self.fill(others)
                self.assertEqual(read_media(self.system), (None, "no DVD drive"))
                self.assertEqual(self.tools.ran, [])
        self.disk("vdb", size="x\n")
        for name in ("loop0", "dm-0", "md0", "zram0", "fd0", "mmcblk0", "vdb1", "ram0", "nbd0", "sdaaa"):
            self.disk(name)
        self.assertEqual(drives.find_drives(self.system), [])

    def test_disks_without_a_dvd(self) -> None:
        self.no_drive()
        table = {"vda": "", "vdb": "hangs", "vdc": "fails", "vdd": "XX001"}
        for name, signature in table.items():
            self.disk(name, signature)
        found, why = read_media(self.system)
        self.assertIsNone(found)
        for words in (
            "/dev/vda: neither UDF nor ISO 9660 on it",
            "/dev/vdb: command took too long",
            "/dev/vdc: cannot be read (code=1)",
            "/dev/vdd: neither UDF",
        ):
            self.assertIn(words, why)
        self.assertEqual({argv[0] for argv in self.tools.ran}, {"dd"})
        self.disk("vde")
        self.assertEqual(read_media(self.system)[1], "/dev/vde")
        self.system.unlink("/bin/dd")
        self.assertIn("no program to read it with", read_media(self.system)[1])

    def test_many_disks_are_bounded(self) -> None:
        self.no_drive()
        for letter in "abcdefghijklmnopqrstuvwxyz":
            self.disk("vd" + letter, "")
        read_media(self.system)
        self.assertEqual(len(self.tools.ran), 16)

    def test_disk_left_mounted_by_a_killed_run(self) -> None:
        self.no_drive()
        self.disk("vdb")
        mounts = "33 20 254:48 / %s ro - iso9660 /dev/vdb ro\n" % drives.POINT
        self.fill({"/proc/self/mountinfo": mounts, drives.POINT + "/ovf-env.xml": OVF})
        self.assertIsNotNone(read_media(self.system)[0])
        self.assertEqual(self.tools.ran_words(), ["umount %s" % drives.POINT])

    def test_mounted_by_an_automounter(self) -> None:
        mounts = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n33 20 11:0 / /media/my\\040dvd ro - udf /dev/sr0 ro\n"
        self.fill({"/proc/self/mountinfo": mounts, "/media/my dvd/OVF-ENV.XML": OVF})
        found, how = read_media(self.system)
        self.assertEqual((found.hostname if found else None, how), ("rehearsal", "/dev/sr0 at /media/my dvd"))
        self.assertEqual(self.tools.ran, [])

    def test_left_mounted_by_a_killed_run(self) -> None:
        mounts = "33 20 11:0 / %s ro - udf /dev/sr0 ro\n" % drives.POINT
        self.fill({"/proc/self/mountinfo": mounts, drives.POINT + "/ovf-env.xml": OVF})
        self.assertIsNotNone(read_media(self.system)[0])
        self.assertEqual(self.tools.ran_words(), ["umount %s" % drives.POINT])

    def test_unmounted_after_any_content(self) -> None:
        for document in ("x" * ((1 << 20) + 1), "-> /etc/shadow"):
            self.document = document
            found, why = read_media(self.system)
            self.assertEqual((found, self.mounted), (None, False), why)
        self.document = "<broken"
        with self.assertRaises(BadReply):
            read_media(self.system)
        self.assertFalse(self.mounted)

    def test_busy_at_unmount(self) -> None:
        busy = {"umount": 1, "umount -l": 0}

        def refuse(argv: "List[str]", stdin: bytes) -> "Tuple[int, str]":
            return (1, "target is busy\n") if "-l" not in argv or busy["umount -l"] else self.unmount(argv, stdin)

        self.tools.add("umount", refuse, "/bin")
        self.assertEqual(read_media(self.system)[1], "/dev/sr0")
        busy["umount -l"] = 1
        self.assertIn("stays mounted", read_media(self.system)[1])


class LoopSystem(System):
    """A scratch root in which `mount` really mounts an image file in place of the drive."""

    def __init__(self, root: str, image: str, drive: str) -> None:
        super().__init__(root)
        self.image = image
        self.drive = drive

    def execute(
        self,
        argv: "Sequence[str]",
        seconds: float = 60.0,
        secret: bytes = b"",
        environment: "Optional[Dict[str, str]]" = None,
    ) -> "Tuple[int, str]":
        places = {"/dev/" + self.drive: self.image, drives.POINT: self.path(drives.POINT)}
        places["if=/dev/" + self.drive] = "if=" + self.image
        outside = [os.path.basename(argv[0])] + [places.get(word, word) for word in argv[1:]]
        if "-o" in outside:
            outside[outside.index("-o") + 1] += ",loop"
        child = subprocess.run(outside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
        return child.returncode, child.stdout.decode("utf-8", "replace")


class RealMountTest(unittest.TestCase):
    def test_image(self) -> None:
        """An image of the same kind as Azure's, mounted by the kernel, or refused if the kernel has no udf."""
        if os.geteuid() != 0:
            self.skipTest("only root can mount")
        for program in ("genisoimage", "unshare", "mount"):
            if shutil.which(program) is None:
                self.skipTest("no %s" % program)
        scratch = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, scratch)
        os.mkdir(scratch + "/content")
        with open(scratch + "/content/ovf-env.xml", "w") as file:
            file.write(OVF)
        image = scratch + "/dvd.iso"
        subprocess.check_call(["genisoimage", "-quiet", "-udf", "-o", image, scratch + "/content"])
        for drive in ("sr0", "vdb"):
            argv = ["unshare", "--mount", sys.executable, "-m", "tests.test_media", image, drive]
            printed = subprocess.check_output(argv, cwd=TOP, timeout=120).decode("utf-8")
            with open("/proc/filesystems") as file:  # only known now: mounting loads the module
                has_udf = "udf" in file.read()
            if has_udf:
                self.assertEqual(printed, "Media(hostname='rehearsal', user='azureuser', ...) /dev/%s\n" % drive)
            else:
                self.assertRegex(printed, "^None /dev/%s: cannot be mounted .*unknown filesystem type 'udf'" % drive)

    def test_signatures_of_real_images(self) -> None:
        """With the real dd, on files made by the tools. This machine's disks are not read."""
        scratch = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, scratch)
        os.mkdir(scratch + "/content")
        made = {
            "genisoimage": (["-quiet", "-o", "IMAGE", scratch + "/content"], ("iso9660",)),
            "genisoimage -udf": (["-quiet", "-o", "IMAGE", scratch + "/content"], ("udf", "iso9660")),
            "mkudffs": (["--utf8", "-b", "2048", "IMAGE"], ("udf",)),
            "mke2fs": (["-q", "-t", "ext4", "IMAGE"], ()),
        }
        tried = 0
        for tool, (arguments, kinds) in made.items():
            program = shutil.which(tool.split()[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
            if program is None:
                continue
            tried += 1
            image = scratch + "/image"
            with open(image, "wb") as file:
                file.truncate(8 << 20)
            argv = [program, *tool.split()[1:], *(image if word == "IMAGE" else word for word in arguments)]
            subprocess.check_call(argv, stdout=subprocess.DEVNULL)
            system = LoopSystem(scratch, image, "vdb")
            system.write("/bin/dd", "", mode=0o755)
            with self.subTest(tool):
                if kinds:
                    self.assertEqual(drives.find_kinds(system, "vdb"), kinds)
                else:
                    with self.assertRaises(GuestError):
                        drives.find_kinds(system, "vdb")
        if not tried:
            self.skipTest("no tool here makes such an image: the signatures were not read by a real dd")


def main() -> None:
    """Read the named image, and print the result."""
    scratch = tempfile.mkdtemp(prefix="azure-provisioning-test-")
    try:
        system = LoopSystem(scratch, *sys.argv[1:])
        files = {"/dev/sr0": "", "/bin/mount": "", "/bin/umount": "", "/bin/dd": ""}
        if system.drive != "sr0":
            del files["/dev/sr0"]
            folder = "/sys/block/%s/" % system.drive
            files.update({folder + "size": "4096", folder + "dev": "254:16", folder + "ro": "0"})
        for path, text in files.items():
            system.write(path, text, mode=0o755)
        print(*read_media(system))
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
