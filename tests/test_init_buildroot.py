"""Buildroot: a script that sorts between those of the network and of sshd."""

from azure_provisioning.init.table import disable
from tests.images import ImageTest, listing

SCRIPT = "/etc/init.d/azure-provisioning"
LINK = "/etc/init.d/S45azure-provisioning"


class BuildrootTest(ImageTest):
    def test_files(self) -> None:
        for image in ("buildroot", "buildroot on sysvinit"):
            with self.subTest(image):
                self.empty()
                self.image(image)
                before = listing(self.root)
                self.install()
                self.assertEqual(self.system.readlink(LINK), "azure-provisioning")
                self.assertTrue((self.text(SCRIPT) or "").startswith("#!/bin/sh\n"))
                self.assertTrue(self.system.is_program(LINK))
                etc = {path for path in listing(self.root) if path not in before and path.startswith("/etc/")}
                self.assertEqual(etc, {SCRIPT, LINK})

    def test_order(self) -> None:
        """rcS runs S??* in the shell's order, and ignores other names, such as our temporary file."""
        self.image("buildroot")
        self.install()
        self.fill({"/etc/init.d/S50dropbear": "", "/etc/init.d/S41dhcpcd": ""})
        names = [name for name in self.system.list("/etc/init.d") if name[:1] == "S"]
        self.assertEqual(names, ["S40network", "S41dhcpcd", "S45azure-provisioning", "S50dropbear", "S50sshd"])
        self.assertFalse(SCRIPT.endswith(".sh"))  # those are sourced

    def test_disable(self) -> None:
        self.image("buildroot")
        self.install()
        self.assertEqual(disable(self.system), [LINK])
        self.assertEqual(self.hook(), ("buildroot", []))
        self.assertTrue(self.text(SCRIPT))

    def test_link_with_another_number_is_found(self) -> None:
        self.image("buildroot")
        before = listing(self.root)
        self.install()
        self.system.unlink(LINK)
        self.fill({"/etc/init.d/S60azure-provisioning": "-> azure-provisioning"})
        self.assertEqual(self.hook(), ("buildroot", ["/etc/init.d/S60azure-provisioning"]))
        self.uninstall()
        self.assertEqual(listing(self.root), before)
