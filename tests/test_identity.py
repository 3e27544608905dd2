"""Whether this is Azure, and which VM it is, from the firmware, in any form."""

import os
import unittest
from typing import Optional

from azure_provisioning.azure.identity import AZURE_ASSET_TAG, DMI, VMBUS, identify, read_vm_id
from tests.guests import GuestTest

UUID = "00112233-4455-6677-8899-aabbccddeeff"


class IdentityTest(GuestTest):
    def azure_by(self, platform: str = "auto") -> "Optional[bool]":
        return identify(self.system, platform)[0]

    def test_asset_tag(self) -> None:
        for content, azure in (
            (AZURE_ASSET_TAG.encode("ascii") + b"\n", True),
            (AZURE_ASSET_TAG.encode("ascii"), True),
            (b" " + AZURE_ASSET_TAG.encode("ascii") + b" \r\n", True),
            (b"", False),
            (b"\n", False),
            (b"No Asset Tag\n", False),
            (AZURE_ASSET_TAG.encode("ascii") * 2, False),
            (AZURE_ASSET_TAG.encode("ascii")[:-1], False),
            (b"\xff" + AZURE_ASSET_TAG.encode("ascii"), False),
            (b"\0" * 100, False),
        ):
            with self.subTest(content):
                self.system.write(DMI + "/chassis_asset_tag", content)
                self.assertIs(self.azure_by(), azure)
                self.assertIs(self.azure_by("azure"), azure)  # the firmware's id has precedence
        self.system.make_dirs(VMBUS)
        self.assertIs(self.azure_by(), False)

    def test_no_dmi(self) -> None:
        self.assertIsNone(self.azure_by())
        self.assertIs(self.azure_by("azure"), True)
        self.system.make_dirs(VMBUS)
        self.assertIs(self.azure_by(), True)

    def test_unusable_dmi_is_ignored(self) -> None:
        self.system.write(DMI + "/chassis_asset_tag", b"x" * 100000)
        self.assertIsNone(self.azure_by())
        self.system.unlink(DMI + "/chassis_asset_tag")
        os.mkfifo(self.root + DMI + "/chassis_asset_tag")
        self.assertIsNone(self.azure_by())  # a boot does not wait for somebody to write to it

    def test_sysfs_links_are_followed(self) -> None:
        self.fill({"/sys/class/dmi/id": "-> ../../devices/virtual/dmi/id"})
        self.fill({"/sys/devices/virtual/dmi/id/chassis_asset_tag": AZURE_ASSET_TAG})
        self.assertIs(self.azure_by(), True)

    def test_vm_id(self) -> None:
        for content, expected in (
            (UUID, UUID),
            (UUID.upper() + "\n", UUID),
            ("  %s\r\n" % UUID, UUID),
            ("00000000-0000-0000-0000-000000000000", None),
            ("ffffffff-ffff-ffff-ffff-ffffffffffff", None),
            ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", None),
            ("0fffffff-ffff-ffff-ffff-ffffffffffff", "0fffffff-ffff-ffff-ffff-ffffffffffff"),
            ("", None),
            ("None", None),
            ("Not Settable", None),
            (UUID[:-1], None),
            (UUID + "0", None),
            (UUID.replace("-", ""), None),
            (UUID.replace("a", "g"), None),
            (UUID.replace("0", "\u0660"), None),
            (UUID + "\n" + UUID, None),
            ("-" * 36, None),
            ("{%s}" % UUID, None),
        ):
            with self.subTest(content):
                self.system.write(DMI + "/product_uuid", content)
                self.assertEqual(read_vm_id(self.system), expected)

    @unittest.skipIf(os.getuid() == 0, "root may read everything: a plain user's run of the suite tests it")
    def test_vm_id_is_unreadable(self) -> None:
        self.fill({DMI + "/product_uuid": UUID})
        os.chmod(self.root + DMI + "/product_uuid", 0)
        self.assertIsNone(read_vm_id(self.system))
