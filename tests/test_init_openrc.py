"""OpenRC: its own kind of script, and a link in a runlevel."""

from azure_provisioning.init.table import disable
from tests.images import ImageTest, listing

SCRIPT = "/etc/init.d/azure-provisioning"
DEFAULT = "/etc/runlevels/default/azure-provisioning"


class OpenrcTest(ImageTest):
    def test_files(self) -> None:
        for image, runner in (
            ("openrc on sysvinit", "/sbin/openrc-run"),
            ("openrc on busybox", "/sbin/openrc-run"),
            ("openrc of debian", "/usr/sbin/openrc-run"),  # with /sbin -> usr/sbin
            ("openrc-init", "/usr/bin/openrc-run"),  # Artix
        ):
            with self.subTest(image):
                self.empty()
                self.image(image)
                before = listing(self.root)
                self.install()
                text = self.text(SCRIPT) or ""
                self.assertEqual(text.splitlines()[0], "#!" + runner)
                self.assertIn("\nPYTHON=/usr/bin/python3\nPROGRAM=/usr/local/sbin/azure-provisioning\n", text)
                self.assertEqual(self.mode_at(SCRIPT), 0o755)
                self.assertEqual(self.system.readlink(DEFAULT), SCRIPT)  # as rc-update writes it
                etc = {path for path in listing(self.root) if path not in before and path.startswith("/etc/")}
                self.assertEqual(etc - {"/etc/init.d"}, {SCRIPT, DEFAULT})

    def test_disable_in_any_runlevel(self) -> None:
        self.image("openrc on busybox")
        self.install()
        boot = "/etc/runlevels/boot/azure-provisioning"
        self.fill({boot: "-> " + SCRIPT})
        self.assertEqual(self.hook(), ("openrc", [boot, DEFAULT]))
        self.assertEqual(disable(self.system), [boot, DEFAULT])
        self.assertEqual(self.hook(), ("openrc", []))
        self.assertTrue(self.text(SCRIPT))
        self.assertTrue(self.system.is_link("/etc/runlevels/default/sshd"))

    def test_stacked_runlevel(self) -> None:
        """`rc-update --stack`: a folder of links, and one of them is a runlevel."""
        self.image("openrc on busybox")
        self.fill({"/etc/runlevels/azure/default": "-> ../default"})
        before = listing(self.root)
        self.install()
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_lsb_script_is_replaced(self) -> None:
        """An LSB script with our name, from before the image was converted, is not OpenRC's."""
        self.image("openrc of debian")
        self.fill({SCRIPT: "#!/bin/sh\n"})
        self.assertEqual(self.hook(), ("sysvinit", []))
        self.install()
        self.assertEqual(self.hook(), ("openrc", [DEFAULT]))
