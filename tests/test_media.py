"""The provisioning DVD: what its document says, and the ways on which it can be there or not.

`python3 -m tests.test_media IMAGE` mounts an image for real; the test runs that in a mount namespace of its own.
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

from azure_provisioning.azure import media
from azure_provisioning.azure.media import Media, parse_ovf, read_media
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
    """The document with one place changed."""
    assert OVF.count(old) == 1, old
    return OVF.replace(old, new).encode("utf-8")


class DocumentTest(unittest.TestCase):
    def test_everything(self) -> None:
        found = parse_ovf(OVF.encode("utf-8"))
        self.assertEqual(found.password.reveal() if found.password else None, PASSWORD)
        keys = ("ssh-rsa AAAA a", "ssh-rsa BBBB b")
        self.assertEqual(found._replace(password=None), ("rehearsal", "azureuser", None, True, CUSTOM_DATA, keys, ""))

    def test_nothing_secret_shows(self) -> None:
        found = parse_ovf(OVF.encode("utf-8"))
        shown = "%r %s" % (found, found)
        self.assertIn("rehearsal", shown)
        for secret in ("s3cret", "custom", "echo"):
            self.assertNotIn(secret, shown)

    def test_prefixes_do_not_matter(self) -> None:
        prefixed = OVF.replace('tionSet xmlns="http://schemas.microsoft.com/windowsazure"', "tionSet")
        for name in ("LinuxProvisioningConfigurationSet", "HostName", "UserName", "UserPassword", "CustomData"):
            prefixed = prefixed.replace("<" + name, "<ns1:" + name).replace("</" + name, "</ns1:" + name)
        prefixed = prefixed.replace("xmlns:xsi", 'xmlns:ns1="http://schemas.microsoft.com/windowsazure" xmlns:xsi')
        found = parse_ovf(prefixed.encode("utf-8"))
        self.assertEqual((found.hostname, found.custom_data), ("rehearsal", CUSTOM_DATA))

    def test_what_may_be_missing_or_odd(self) -> None:
        password = "<UserPassword>s3cret &amp; &lt;never&gt; seen</UserPassword>"
        flag = "<DisableSshPasswordAuthentication>false</DisableSshPasswordAuthentication>"
        pool = "<PreprovisionedVm>false</PreprovisionedVm><PreprovisionedVMType>None</PreprovisionedVMType>"
        cases: "List[Tuple[bytes, str, object]]" = [
            (changed(password, ""), "password", None),
            (changed(password, "<UserPassword/>"), "password", None),
            (changed(password, "<UserPassword>*</UserPassword>"), "password", None),
            (changed(password, "<UserPassword>REDACTED</UserPassword>"), "password", None),
            (changed(flag, ""), "password_login", None),
            (changed(flag, flag.replace("false", " TRUE ")), "password_login", False),
            (changed(flag, flag.replace("false", "perhaps")), "password_login", None),
            (changed("<UserName>azureuser</UserName>", ""), "user", ""),
            (changed(" rehearsal\n", ""), "hostname", ""),
            (changed(" rehearsal\n", "<x>no</x> caf\u00e9"), "hostname", "caf\u00e9"),
            (changed(pool, ""), "pool", ""),
            (changed(pool, pool.replace("None", "Savable")), "pool", "Savable"),
            (changed(pool, pool.replace("false", "true")), "pool", "Running"),
            (changed(pool, pool.replace("None", "Unknown")), "pool", ""),
            (b"\xef\xbb\xbf" + OVF.encode("utf-8"), "hostname", "rehearsal"),
            (OVF.replace('"utf-8"', '"utf-16"').encode("utf-16"), "hostname", "rehearsal"),
        ]
        for document, field, value in cases:
            with self.subTest(field=field, value=value):
                self.assertEqual(getattr(parse_ovf(document), field), value)

    def test_custom_data_of_the_largest_size(self) -> None:
        data = bytes(range(256)) * 256
        text = "\r\n ".join(base64.b64encode(data).decode("ascii")[at : at + 76] for at in range(0, 87384, 76))
        start, end = OVF.index("<CustomData>") + 12, OVF.index("</CustomData>")
        self.assertEqual(parse_ovf((OVF[:start] + text + OVF[end:]).encode("utf-8")).custom_data, data)
        self.assertIsNone(parse_ovf((OVF[:start] + OVF[end:]).encode("utf-8")).custom_data)

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
            (changed("<CustomData>", "<CustomData>!"), bad),
            (changed("<CustomData>", "<CustomData>A"), bad),
            (changed("<CustomData>", "<CustomData>\u0660\u0660\u0660\u0660"), bad),
            (changed(name, name + name), odd + multiple % "UserName"),
            (OVF.replace("LinuxProv", "Windows").encode("utf-8"), odd + missing % "LinuxProvisioningConfigurationSet"),
            (OVF.replace(media.NAMESPACE, "urn:x").encode("utf-8"), odd + missing % "ProvisioningSection"),
        ]
        for document, reason in cases:
            with self.subTest(document=document[:60], reason=reason):
                with self.assertRaises(BadReply) as caught:
                    parse_ovf(document)
                self.assertEqual(caught.exception.reason, reason)
                for secret in ("s3cret", "IyEv"):
                    self.assertNotIn(secret, str(caught.exception))

    def test_mutations_end_in_a_record_or_our_own_error(self) -> None:
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

    def test_large_documents_take_no_time(self) -> None:
        started = time.monotonic()
        for filling in ("<a>" * 300000, "x<!---->" * 120000, "&amp;" * 200000, "<HostName/>" * 90000):
            with self.assertRaises(BadReply):
                parse_ovf(changed("<HostName> rehearsal", "<HostName>%s<" % filling))
        self.assertLess(time.monotonic() - started, 20)


class DriveTest(ToolTest):
    """What `mount` is asked and what comes of it, with a `mount` that is told how to behave."""

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
            ["mount -t udf -o %s /dev/sr0 %s" % (options, media.POINT), "umount %s" % media.POINT],
        )
        self.assertFalse(self.system.exists(media.POINT))

    def test_second_file_system(self) -> None:
        self.problems = {"udf": "mount: unknown filesystem type 'udf'"}
        found, _ = read_media(self.system)
        self.assertIsNotNone(found)

    def test_nothing_there(self) -> None:
        empty = dict.fromkeys(media.KINDS, "mount: /dev/sr0: no medium found on /dev/sr0.")
        no_udf = dict(self.problems, udf="mounting /dev/sr0 on %s failed: No such device" % media.POINT)
        for problems, word in ((empty, "no medium found"), (no_udf, "No such device")):
            self.problems = problems
            found, why = read_media(self.system)
            self.assertIsNone(found)
            self.assertIn(word, why)
            self.assertFalse(self.system.exists(media.POINT))
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

    def test_a_drive_that_hangs_is_asked_once(self) -> None:
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

    def test_mounted_by_an_automounter(self) -> None:
        mounts = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n33 20 11:0 / /media/my\\040dvd ro - udf /dev/sr0 ro\n"
        self.fill({"/proc/self/mountinfo": mounts, "/media/my dvd/OVF-ENV.XML": OVF})
        found, how = read_media(self.system)
        self.assertEqual((found.hostname if found else None, how), ("rehearsal", "/dev/sr0 at /media/my dvd"))
        self.assertEqual(self.tools.ran, [])

    def test_left_mounted_by_a_run_that_was_killed(self) -> None:
        mounts = "33 20 11:0 / %s ro - udf /dev/sr0 ro\n" % media.POINT
        self.fill({"/proc/self/mountinfo": mounts, media.POINT + "/ovf-env.xml": OVF})
        self.assertIsNotNone(read_media(self.system)[0])
        self.assertEqual(self.tools.ran_words(), ["umount %s" % media.POINT])

    def test_unmounted_whatever_is_on_it(self) -> None:
        for document in ("x" * ((1 << 20) + 1), "-> /etc/shadow"):
            self.document = document
            found, why = read_media(self.system)
            self.assertEqual((found, self.mounted), (None, False), why)
        self.document = "<broken"
        with self.assertRaises(BadReply):
            read_media(self.system)
        self.assertFalse(self.mounted)

    def test_busy_at_the_end(self) -> None:
        busy = {"umount": 1, "umount -l": 0}

        def refuse(argv: "List[str]", stdin: bytes) -> "Tuple[int, str]":
            return (1, "target is busy\n") if "-l" not in argv or busy["umount -l"] else self.unmount(argv, stdin)

        self.tools.add("umount", refuse, "/bin")
        self.assertEqual(read_media(self.system)[1], "/dev/sr0")
        busy["umount -l"] = 1
        self.assertIn("stays mounted", read_media(self.system)[1])


class LoopSystem(System):
    """A scratch root in which `mount` really mounts: an image file, in the place of the drive."""

    def __init__(self, root: str, image: str) -> None:
        super().__init__(root)
        self.image = image

    def execute(
        self,
        argv: "Sequence[str]",
        seconds: float = 60.0,
        secret: bytes = b"",
        environment: "Optional[Dict[str, str]]" = None,
    ) -> "Tuple[int, str]":
        places = {"/dev/sr0": self.image, media.POINT: self.path(media.POINT)}
        outside = [os.path.basename(argv[0])] + [places.get(word, word) for word in argv[1:]]
        if "-o" in outside:
            outside[outside.index("-o") + 1] += ",loop"
        child = subprocess.run(outside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
        return child.returncode, child.stdout.decode("utf-8", "replace")


class RealMountTest(unittest.TestCase):
    def test_image(self) -> None:
        """An image of the same kind as Azure's, mounted by the kernel, or refused by one that has no udf."""
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
        argv = ["unshare", "--mount", sys.executable, "-m", "tests.test_media", image]
        printed = subprocess.check_output(argv, cwd=TOP, timeout=120).decode("utf-8")
        with open("/proc/filesystems") as file:  # only now: mounting loads the module
            has_udf = "udf" in file.read()
        if has_udf:
            self.assertEqual(printed, "Media(hostname='rehearsal', user='azureuser', ...) /dev/sr0\n")
        else:
            self.assertRegex(printed, "^None /dev/sr0: cannot be mounted .*unknown filesystem type 'udf'")


def main() -> None:
    """Read the image that is named, and print what came of it."""
    scratch = tempfile.mkdtemp(prefix="azure-provisioning-test-")
    try:
        system = LoopSystem(scratch, sys.argv[1])
        for path, text in {"/dev/sr0": "", "/bin/mount": "", "/bin/umount": ""}.items():
            system.write(path, text, mode=0o755)
        print(*read_media(system))
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
