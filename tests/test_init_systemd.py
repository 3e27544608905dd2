"""systemd: a unit, a link, a preset, and nothing else."""

from azure_provisioning.init.table import disable
from tests.images import ImageTest

UNIT = "/etc/systemd/system/azure-provisioning.service"
PRESET = "/etc/systemd/system-preset/10-azure-provisioning.preset"
WANTS = "/etc/systemd/system/multi-user.target.wants/azure-provisioning.service"


class SystemdTest(ImageTest):
    def setUp(self) -> None:
        super().setUp()
        self.image("systemd")

    def test_files(self) -> None:
        self.install()
        self.assertEqual(self.system.readlink(WANTS), UNIT)  # as systemctl writes it
        lines = (self.text(UNIT) or "").splitlines()
        for line in (
            "Type=notify",
            "ExecStart=/usr/bin/python3 -I -S /usr/local/sbin/azure-provisioning run",
            "RemainAfterExit=yes",
            "UMask=0022",
            "WantedBy=multi-user.target",
        ):
            self.assertIn(line, lines)
        preset = [line for line in (self.text(PRESET) or "").splitlines() if not line.startswith("#")]
        self.assertEqual(preset, ["enable azure-provisioning.service"])
        self.assertEqual((self.mode_at(UNIT), self.mode_at(PRESET)), (0o644, 0o644))

    def test_changed_unit_is_rewritten(self) -> None:
        self.install()
        good = self.text(UNIT)
        self.fill({UNIT: "[Service]\nExecStart=/bin/false\n", PRESET: "disable azure-provisioning.service\n"})
        self.install()
        self.assertEqual(self.text(UNIT), good)
        self.assertNotIn("disable azure", self.text(PRESET) or "")

    def test_alias_is_replaced(self) -> None:
        """If the unit is a link, its target is not written."""
        self.fill({"/usr/lib/systemd/system/other.service": "theirs", UNIT: "-> /usr/lib/systemd/system/other.service"})
        self.install()
        self.assertEqual(self.text("/usr/lib/systemd/system/other.service"), "theirs")
        self.assertFalse(self.system.is_link(UNIT))

    def test_disable(self) -> None:
        """Removes every link in /etc, with any target. The unit, the preset and a packager's link stay."""
        self.install()
        other = "/etc/systemd/system/graphical.target.requires/azure-provisioning.service"
        static = "/usr/lib/systemd/system/multi-user.target.wants/azure-provisioning.service"
        theirs = "/etc/systemd/system/multi-user.target.wants/ssh.service"
        self.fill({other: "-> " + UNIT, static: "-> ../azure-provisioning.service"})
        self.assertEqual(sorted(disable(self.system)), sorted([WANTS, other]))
        self.assertEqual(self.hook(), ("systemd", []))
        self.assertTrue(self.system.is_link(static) and self.system.is_link(theirs))
        self.assertTrue(self.text(UNIT) and self.text(PRESET))
        self.assertEqual(disable(self.system), [])

    def test_unit_of_a_package_is_kept(self) -> None:
        """A package's unit in /usr counts as present. Uninstall does not touch it."""
        packaged = "/usr/lib/systemd/system/azure-provisioning.service"
        self.fill({packaged: "[Service]\n"})
        self.assertEqual(self.hook(), ("systemd", []))
        self.install()
        self.uninstall()
        self.assertEqual(self.text(packaged), "[Service]\n")
