"""System V init: numbers, links, and startpar's file."""

from typing import Dict, List

from azure_provisioning.init.systems import sysvinit
from azure_provisioning.init.table import disable
from tests import images
from tests.images import ImageTest, listing

NAME = "azure-provisioning"
SCRIPT = "/etc/init.d/" + NAME
DEPEND = "/etc/init.d/.depend.start"


class LinksTest(ImageTest):
    def links(self, image: str, more: "Dict[str, str]") -> "List[str]":
        """Our links after an install into the image. Each leads to the script."""
        self.empty()
        self.image(image)
        self.fill(more)
        self.install()
        found = [path for path, (kind, _, _) in listing(self.root).items() if NAME in path and kind == "link"]
        for path in found:
            self.assertEqual(self.system.readlink(path), "../init.d/" + NAME)
            self.assertTrue(self.system.is_program(path), path)
        self.assertEqual(sorted(self.hook()[1]), sorted(found))
        return sorted(found)

    def numbers(self, image: str) -> str:
        """The runlevels and numbers of our links, as `2:05 3:05`."""
        links = self.links(image, {})
        return " ".join("%s:%s" % (link.split("/rc")[-1][0], link.split("/S")[1][:2]) for link in links)

    def test_numbers(self) -> None:
        self.assertEqual(self.numbers("insserv"), "2:01 3:01 4:01 5:01")
        self.assertEqual(self.numbers("debian without insserv"), "2:01 3:01 4:01 5:01")
        self.assertEqual(self.numbers("chkconfig"), "2:50 3:50 4:50 5:50")  # network 10, sshd 55
        self.assertEqual(self.numbers("yocto"), "2:05 3:05 4:05 5:05")  # networking 01, sshd 09
        self.assertEqual(self.numbers("yocto busybox"), "5:05")

    def test_hook_starts_before_an_early_ssh_server(self) -> None:
        for server in ("ssh", "sshd", "dropbear"):
            with self.subTest(server):
                early = {"/etc/rc5.d/S03" + server: images.LINK + server}
                links = self.links("yocto", early)
                self.assertIn("/etc/rc5.d/S03" + NAME, links)
                self.assertIn("/etc/rc3.d/S05" + NAME, links)
                names = [name for name in self.system.list("/etc/rc5.d") if name[:1] == "S"]
                self.assertLess(names.index("S03" + NAME), names.index("S03" + server))

    def test_names_without_a_number(self) -> None:
        odd = {"/etc/rc5.d/Sxxsshd": "", "/etc/rc5.d/S1": "", "/etc/rc5.d/S0asshd": "", "/etc/rc5.d/README": ""}
        self.assertIn("/etc/rc5.d/S05" + NAME, self.links("yocto", odd))

    def test_folders_of_chkconfig(self) -> None:
        self.assertEqual(self.links("chkconfig", {}), ["/etc/rc.d/rc%s.d/S50%s" % (level, NAME) for level in "2345"])
        self.assertIn("/etc/rc.d/init.d/" + NAME, listing(self.root))

    def test_existing_links_are_kept(self) -> None:
        """Numbers chosen by a distro's tool or by a person."""
        theirs = {"/etc/rc2.d/S07" + NAME: images.LINK + NAME}
        self.assertEqual(self.links("insserv", theirs), ["/etc/rc2.d/S07" + NAME])

    def test_kill_links_alone_do_not_enable(self) -> None:
        """As after `update-rc.d disable`: the next install enables it, and uninstall also removes the K links."""
        self.image("insserv")
        before = listing(self.root)
        kills = ["/etc/rc%s.d/K01%s" % (level, NAME) for level in "2345"]
        self.fill(dict.fromkeys(kills, images.LINK + NAME))
        self.assertEqual(self.hook(), (None, []))
        self.install()
        self.assertEqual(self.hook()[1], ["/etc/rc%s.d/S01%s" % (level, NAME) for level in "2345"])
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_kill_links_in_some_runlevels(self) -> None:
        """As after `update-rc.d azure-provisioning disable 2`: `install` restores the link in the default runlevel."""
        for image, folder in (("insserv", "/etc/rc2.d"), ("chkconfig", "/etc/rc.d/rc3.d")):
            with self.subTest(image):
                self.empty()
                self.image(image)
                self.install()
                (start,) = [link for link in self.hook()[1] if link.startswith(folder)]
                self.system.unlink(start)
                self.fill({folder + "/K01" + NAME: images.LINK + NAME})
                self.install()
                self.assertEqual([name for name in self.system.list(folder) if NAME in name], [start.split("/")[-1]])
                self.assertEqual(len(self.hook()[1]), 4)

    def test_enable_command(self) -> None:
        """How Debian's and Yocto's update-rc.d treat existing links: `defaults` adds none, and `enable` only turns a K
        into an S, in the script's own runlevels."""
        afresh = ("sh", "-c", "update-rc.d -f ssh remove && update-rc.d ssh defaults")
        perl, shell = "#! /usr/bin/perl\n", "#!/bin/sh\n"
        enable, defaults = ("update-rc.d", "ssh", "enable"), ("update-rc.d", "ssh", "defaults")
        for links, program, expected in (
            ("", perl, defaults),
            ("2/K01 3/K01 4/K01 5/K01", perl, enable),
            ("2/K01 3/S01 4/S01 5/S01", perl, enable),
            ("S/K01 0/K01 6/K01", perl, enable),
            ("0/K01 6/K01", perl, afresh),
            ("3/S01", perl, afresh),
            ("2/S01 3/S01", perl, defaults),  # missing in startpar's file, so insserv must write the file
            ("", shell, defaults),
            ("2/K01 3/K01", shell, afresh),
        ):
            with self.subTest(links, program=program):
                self.empty()
                self.image("insserv")
                for level in "2345":
                    self.system.unlink("/etc/rc%s.d/S03ssh" % level)
                self.system.unlink("/etc/rc0.d/K01ssh")
                self.fill({"/usr/sbin/update-rc.d": program})
                self.fill({"/etc/rc%s.d/%sssh" % (*link.split("/"),): images.LINK + "ssh" for link in links.split()})
                self.assertEqual(sysvinit.enable_command(self.system, "ssh"), expected)

    def test_disable(self) -> None:
        self.image("insserv")
        self.install()
        depend = self.text(DEPEND)
        self.assertEqual(disable(self.system), ["/etc/rc%s.d/S01%s" % (level, NAME) for level in "2345"])
        self.assertEqual(self.hook(), ("sysvinit", []))
        self.assertEqual(self.text(DEPEND), depend)  # startpar skips a target without a link
        self.assertTrue(self.system.is_link("/etc/rc2.d/S03ssh"))

    def test_script(self) -> None:
        self.image("insserv")
        self.install("--prefix", "/opt", "--python", "/usr/bin/python3.11")
        text = self.text(SCRIPT) or ""
        self.assertTrue(text.startswith("#!/bin/sh\n"))
        self.assertIn("\nPYTHON=/usr/bin/python3.11\nPROGRAM=/opt/sbin/azure-provisioning\n", text)
        self.assertEqual(self.mode_at(SCRIPT), 0o755)


class StartparTest(ImageTest):
    """`.depend.start`: a service that it does not name is not started, even with a link."""

    def edited(self, *lines: str) -> "List[str]":
        """The lines of the file after an install. A second install changes nothing, and uninstall restores the file."""
        self.empty()
        self.image("insserv")
        text = "".join(line + "\n" for line in lines)
        self.fill({DEPEND: text})
        self.install()
        after = self.text(DEPEND) or ""
        self.install()
        self.assertEqual(self.text(DEPEND), after)
        self.uninstall()
        self.assertEqual(self.text(DEPEND), text)
        self.assertTrue(after.endswith("\n"))
        return after.splitlines()

    def test_ssh_with_dependencies(self) -> None:
        self.assertEqual(
            self.edited(
                "TARGETS = networking rsyslog dbus ssh rc.local",
                "INTERACTIVE = keyboard",
                "dbus: rsyslog",
                "ssh: rsyslog dbus",
                "rc.local: networking rsyslog dbus ssh",
            ),
            [
                "TARGETS = azure-provisioning networking rsyslog dbus ssh rc.local",
                "INTERACTIVE = keyboard",
                "dbus: rsyslog",
                "ssh: rsyslog dbus azure-provisioning",
                "rc.local: networking rsyslog dbus ssh",
                "azure-provisioning: rsyslog dbus",
            ],
        )

    def test_ssh_without_dependencies(self) -> None:
        self.assertEqual(
            self.edited("TARGETS = bootlogs ssh rc.local", "INTERACTIVE =", "rc.local: bootlogs ssh"),
            [
                "TARGETS = azure-provisioning bootlogs ssh rc.local",
                "INTERACTIVE =",
                "rc.local: bootlogs ssh",
                "ssh: azure-provisioning",
            ],
        )

    def test_no_ssh(self) -> None:
        self.assertEqual(
            self.edited("TARGETS = bootlogs rc.local", "INTERACTIVE =", "rc.local: bootlogs"),
            ["TARGETS = azure-provisioning bootlogs rc.local", "INTERACTIVE =", "rc.local: bootlogs"],
        )

    def test_dropbear_and_ssh(self) -> None:
        """Each service waits for us. We wait for the dependencies of both, but never for the other service."""
        self.assertEqual(
            self.edited(
                "TARGETS = rsyslog dbus ssh dropbear sshd",
                "INTERACTIVE =",
                "dropbear: rsyslog ssh",
                "ssh: dbus",
            ),
            [
                "TARGETS = azure-provisioning rsyslog dbus ssh dropbear sshd",
                "INTERACTIVE =",
                "dropbear: rsyslog ssh azure-provisioning",
                "ssh: dbus azure-provisioning",
                "sshd: azure-provisioning",
                "azure-provisioning: rsyslog dbus",
            ],
        )

    def test_stale_lines(self) -> None:
        """We are a dependency, but not a target: insserv leaves the file so after a removal by hand."""
        self.image("insserv")
        self.fill({DEPEND: "TARGETS = ssh\nINTERACTIVE =\nssh: azure-provisioning\nazure-provisioning: gone\n"})
        self.install()
        self.assertEqual(
            self.text(DEPEND), "TARGETS = azure-provisioning ssh\nINTERACTIVE =\nssh: azure-provisioning\n"
        )

    def test_line_of_insserv_is_kept(self) -> None:
        """insserv wrote this line itself, so it is kept."""
        self.image("insserv")
        theirs = "TARGETS = a azure-provisioning ssh\nINTERACTIVE =\nssh: azure-provisioning\nazure-provisioning: a\n"
        self.fill({DEPEND: theirs})
        self.install()
        self.assertEqual(self.text(DEPEND), theirs)

    def test_no_file(self) -> None:
        """An image without the file does not get one: startpar would then start nothing else."""
        for image in ("debian without insserv", "yocto", "chkconfig"):
            with self.subTest(image):
                self.empty()
                self.image(image)
                self.install()
                self.assertIsNone(self.text(DEPEND))

    def test_mode_is_kept(self) -> None:
        self.image("insserv")
        self.system.write(DEPEND, images.DEPEND_START, mode=0o600)
        self.install()
        self.assertEqual(self.mode_at(DEPEND), 0o600)
