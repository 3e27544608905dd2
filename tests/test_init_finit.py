"""finit: a task in `available`, and the link that `initctl enable` would make."""

from azure_provisioning.init.table import disable
from tests.images import ImageTest, listing

CONF = "azure-provisioning.conf"
AVAILABLE = "/etc/finit.d/available/" + CONF
FLAT, ENABLED = "/etc/finit.d/" + CONF, "/etc/finit.d/enabled/" + CONF


class FinitTest(ImageTest):
    def test_files(self) -> None:
        for image, link, target in (
            ("finit of debian", FLAT, "available/" + CONF),
            ("finit with enabled", ENABLED, "../available/" + CONF),
        ):
            with self.subTest(image):
                self.empty()
                self.image(image)
                before = listing(self.root)
                self.install()
                self.assertEqual(self.system.readlink(link), target)
                self.assertEqual(self.text(link), self.text(AVAILABLE))
                etc = {path for path in listing(self.root) if path not in before and path.startswith("/etc/")}
                self.assertEqual(etc, {AVAILABLE, link})
                self.assertEqual(self.hook(), ("finit", [link]))
                self.assertEqual(disable(self.system), [link])
                self.assertEqual(self.hook(), ("finit", []))
                self.assertTrue(self.text(AVAILABLE))

    def test_one_line_that_finit_reads(self) -> None:
        """A one-shot, in the runlevels of a booting machine, without a condition that may never be met."""
        self.image("finit of debian")
        self.install()
        (line,) = [line for line in (self.text(FLAT) or "").splitlines() if not line.startswith("#")]
        command = "/usr/bin/python3 -I -S /usr/local/sbin/azure-provisioning run"
        self.assertEqual(line, "task [2345] name:azure-provisioning %s -- Azure Provisioning" % command)

    def test_file_instead_of_a_link(self) -> None:
        """As a person may have put it there: it is enabled too, and disabled by its removal."""
        self.image("finit of debian")
        before = listing(self.root)
        self.install()
        self.system.unlink(FLAT)
        self.fill({FLAT: "task azure\n"})
        self.assertEqual(disable(self.system), [FLAT])
        self.fill({FLAT: "task azure\n"})
        self.uninstall()
        self.assertEqual(listing(self.root), before)
