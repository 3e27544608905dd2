"""finit: a task in `available`, and the link that `initctl enable` would make."""

from azure_provisioning.init.systems.finit import services
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

    def test_file_has_one_line(self) -> None:
        """A one-shot that ends before sshd's runlevel begins, without a condition that may never hold."""
        self.image("finit of debian")
        self.install()
        (line,) = [line for line in (self.text(FLAT) or "").splitlines() if not line.startswith("#")]
        command = "/usr/bin/python3 -I -S /usr/local/sbin/azure-provisioning run --detach"
        self.assertEqual(line, "task [S] name:azure-provisioning %s -- Azure Provisioning" % command)

    def test_shell_without_setsid(self) -> None:
        """finit kills what remains of a task's session: without setsid the shell must stay in the foreground."""
        for tool, line in (("/usr/bin/setsid", "task [S] "), ("/usr/bin/nohup", "task [2345] ")):
            self.empty()
            self.image("finit of debian", python=False)
            self.fill({tool: "", "/bin/sh": "", "/usr/bin/wget": ""})
            self.install()
            text = self.text(FLAT) or ""
            self.assertIn(line, text)
            self.assertEqual("run --detach" in text, "[S]" in line, text)

    def test_services(self) -> None:
        """By the files' names, and by the programs in them: /etc/finit.conf may contain all services."""
        self.image("finit of debian")
        self.fill({"/etc/finit.conf": "service [S2] cgroup.x:mem.max:10M nowarn <!> @a:b log waagent -daemon -- x\n"})
        self.fill({"/etc/finit.d/mine.conf": "sysv pid:!/run/x /etc/init.d/foo -- x y\nrunlevel 3\n"})
        found = services(self.system)
        self.assertEqual((found["waagent"], found["foo"]), ("/etc/finit.conf", "/etc/finit.d/mine.conf"))
        self.assertEqual(sorted(found), ["foo", "mine", "sshd", "waagent"])

    def test_regular_file_in_place_of_the_link(self) -> None:
        """A service that a person put there is also enabled. Its removal disables it."""
        self.image("finit of debian")
        before = listing(self.root)
        self.install()
        self.system.unlink(FLAT)
        self.fill({FLAT: "task azure\n"})
        self.assertEqual(disable(self.system), [FLAT])
        self.fill({FLAT: "task azure\n"})
        self.uninstall()
        self.assertEqual(listing(self.root), before)
