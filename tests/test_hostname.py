"""Host names, from the choices of people and Azure to the limits of a host; and the files that contain one."""

import os

from azure_provisioning.errors import GuestError
from azure_provisioning.guest.hostname import choose_name, set_name, valid_name
from tests.guests import GuestTest, snapshot


class ValidNameTest(GuestTest):
    def test_table(self) -> None:
        for wanted, expected in (
            ("web", "web"),
            ("Web-01", "Web-01"),
            ("web.example.com", "web.example.com"),
            ("vmss_0", "vmss-0"),
            ("a__b", "a-b"),
            ("a_-_b", "a-b"),
            ("a--b", "a--b"),
            ("xn--mller-kva", "xn--mller-kva"),
            ("-" * 1000000, ""),
            ("a" + "-" * 1000 + "_", "a"),
            ("-web-", "web"),
            ("_web_", "web"),
            (".web.", "web"),
            ("a..b", "a.b"),
            ("a.-b-.c", "a.b.c"),
            ("a.-.c", "a.c"),
            ("my server", "my-server"),
            ("m\xfcller", "m-ller"),
            ("\u540d\u524d", ""),
            ("\U0001f600" * 300, ""),
            ("a" + "\U0001f600" * 300 + "b", "a-b"),
            ("", ""),
            (" ", ""),
            (".", ""),
            ("...", ""),
            ("-", ""),
            ("-.-", ""),
            ("\0", ""),
            ("a\0b", "a-b"),
            ("a\nb", "a-b"),
            ("\ud800", ""),
            ("$(reboot)", "reboot"),
            ("a'b\"c", "a-b-c"),
            ("..%2f..", "2f"),
            ("x" * 63, "x" * 63),
            ("x" * 64, "x" * 63),
            ("x" * 1000000, "x" * 63),
            ("x" * 62 + "-y", "x" * 62),
            ("x" * 62 + "--y", "x" * 62),
            ("x" * 31 + "." + "y" * 32, "x" * 31 + "." + "y" * 32),
            ("x" * 31 + "." + "y" * 33, "x" * 31),
            ("x" * 63 + ".y", "x" * 63),
            ("a." * 32 + "b", "a." * 31 + "a"),
            ("a" + "." * 2000 + "b", "a"),
            ("\u0661", ""),
            ("\uff41", ""),
        ):
            with self.subTest(ascii(wanted[:40])):
                name = valid_name(wanted)
                self.assertEqual(name, expected)
                self.assertLessEqual(len(name), 64)

    def test_choice(self) -> None:
        self.assertEqual(choose_name(["...", "", "web"]), ("web", ["...", ""]))
        self.assertEqual(choose_name(["web", "other"]), ("web", []))
        self.assertEqual(choose_name(["..."]), (None, ["..."]))
        self.assertEqual(choose_name([]), (None, []))


class SetNameTest(GuestTest):
    def test_only_hostname(self) -> None:
        self.assertIn("written to /etc/hostname", set_name(self.system, "web"))
        self.assertEqual(set(snapshot(self.root)), {"/etc", "/etc/hostname"})
        self.assertEqual(self.text("/etc/hostname"), "web\n")
        self.assertIn("nothing to write", set_name(self.system, "web"))

    def test_every_existing_file_is_written(self) -> None:
        self.fill(
            {
                "/etc/hostname": "old\n",
                "/etc/HOSTNAME": "old\n",
                "/etc/conf.d/hostname": '# Set to the hostname of this machine\nhostname="old"\n',
                "/etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=old # ours\n",
                "/etc/rc.conf": "export HOSTNAME='old'\n#HOSTNAME=example\nKEYMAP=us\n",
            }
        )
        os.chmod(self.root + "/etc/rc.conf", 0o600)
        set_name(self.system, "web.example")
        self.assertEqual(self.text("/etc/hostname"), "web.example\n")
        self.assertEqual(self.text("/etc/HOSTNAME"), "web.example\n")
        self.assertEqual(
            self.text("/etc/conf.d/hostname"), '# Set to the hostname of this machine\nhostname="web.example"\n'
        )
        self.assertEqual(self.text("/etc/sysconfig/network"), "NETWORKING=yes\nHOSTNAME=web.example # ours\n")
        self.assertEqual(self.text("/etc/rc.conf"), "export HOSTNAME='web.example'\n#HOSTNAME=example\nKEYMAP=us\n")
        self.assertEqual(os.stat(self.root + "/etc/rc.conf").st_mode & 0o7777, 0o600)

    def test_files_without_the_key_are_kept(self) -> None:
        files = {
            "/etc/conf.d/hostname": "# hostname=\n",
            "/etc/sysconfig/network": "MYHOSTNAME=old\nHOSTNAME_X=old\n",
            "/etc/rc.conf": "",
        }
        self.fill(files)
        set_name(self.system, "web")
        for path, text in files.items():
            self.assertEqual(self.text(path), text)

    def test_slackware_file(self) -> None:
        self.fill({"/etc/slackware-version": "Slackware 15.0\n"})
        set_name(self.system, "web")
        self.assertEqual(self.text("/etc/HOSTNAME"), "web\n")

    def test_link_inside_the_image(self) -> None:
        self.fill({"/etc/hostname": "-> ../var/lib/hostname", "/var/lib/hostname": "old\n"})
        set_name(self.system, "web")
        self.assertEqual(self.text("/var/lib/hostname"), "web\n")
        self.assertEqual(self.system.readlink("/etc/hostname"), "../var/lib/hostname")

    def test_declarative_distros(self) -> None:
        for target in ("/nix/store/x-hostname", "/gnu/store/x", "/run/x"):
            self.fill({"/etc/hostname": "-> " + target})
            before = snapshot(self.root)
            with self.subTest(target), self.assertRaises(GuestError):
                set_name(self.system, "web")
            self.assertEqual(snapshot(self.root), before)

    def test_running_name_of_this_machine_is_kept(self) -> None:
        before = os.uname().nodename
        self.assertIn("from the next boot on", set_name(self.system, "azure-provisioning-test"))
        self.assertEqual(os.uname().nodename, before)
