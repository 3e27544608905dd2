"""Who can log in, on images without a tool to ask: no false alarm, and no failure without proof."""

from azure_provisioning.guest.accounts import find_account
from azure_provisioning.guest.ageing import find_refusal, renew
from azure_provisioning.guest.pam_access import find_refusal as find_rule
from azure_provisioning.guest.sshd_options import UNKNOWN
from azure_provisioning.guest.sudo_list import judge
from tests.guests import AZURE_VM, GuestTest
from tests.images import IMAGES
from tests.tools import ToolTest

NOBODY = "nobody can log in"
SSHD = {"/usr/sbin/sshd": "", "/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n"}


class VerifyTest(GuestTest):
    speed = 40.0

    def play(self, files: "dict[str, str]", promised: bool = False, keys: bool = True, **options: object) -> str:
        """The story of a first boot; the exit code and the reports are in `self`."""
        self.setUp()
        self.fill(AZURE_VM)
        self.fill(files)
        self.platform = self.azure(**options)
        profile = {"computerName": "a", "adminUsername": "ann"}
        profile["disablePasswordAuthentication"] = "false" if promised else "true"
        self.platform.instance["compute"]["osProfile"] = profile
        if not keys:
            self.platform.instance["compute"]["publicKeys"] = []
        self.code = self.boot()
        self.assertEqual(len(self.platform.reports), 1)
        return self.story

    def test_no_ssh_server(self) -> None:
        self.assertIn("login: no SSH server is in the image, so nothing is verified", self.play({}))
        self.assertEqual(self.code, 0)
        self.assertNotIn("warning: this image", self.story)
        self.assertEqual(self.facts()["login.root"], "unknown: nothing in an image is executed")

    def test_servers_without_a_test_mode(self) -> None:
        for files in (SSHD, {"/usr/sbin/dropbear": ""}, {**SSHD, "/usr/sbin/dropbear": ""}):
            with self.subTest(files):
                self.assertIn("login: ann by key", self.play(files))
                self.assertEqual((self.code, self.facts()["login.key"]), (0, "yes"))
                self.assertNotIn("warning: ", self.story.replace("warning: no DVD", ""))

    def test_options_of_dropbear(self) -> None:
        """They are a plain fact of what starts it."""
        unit = {path: text for path, text in IMAGES["systemd"].items() if path.startswith("/etc/")}
        wants = "/etc/systemd/system/multi-user.target.wants/dropbear.service"
        unit.update({"/run/systemd/system/x": "", "/usr/sbin/dropbear": "", "/etc/group": "ops:x:50:\n"})
        path = "/lib/systemd/system/dropbear.service"
        unit[wants] = "-> " + path
        for words, said in (
            ("-t", "no: dropbear -t: the account has none"),
            ("-R -G ops", "no: dropbear -G ops"),
            ("-p 127.0.0.1:22", "no: dropbear -p 127.0.0.1:22"),
            ("-c /bin/menu", "unknown: dropbear -c /bin/menu"),
            ("-s -p 22 -G ann", "yes"),
        ):
            unit[path] = "[Service]\nExecStart=/usr/sbin/dropbear -F %s\n" % words
            self.play(unit)
            self.assertEqual((self.facts()["login.key"], self.code), (said, int(said.startswith("no"))), self.story)

    def test_suspicion_does_not_fail(self) -> None:
        files = {**SSHD, "/etc/ssh/sshd_config.d/x.conf": "DenyUsers ann\n"}
        self.assertIn("warning: this image's sshd will not let ann in: DenyUsers ann", self.play(files))
        self.assertEqual((self.code, self.facts()["login.key"]), (0, "unknown: DenyUsers ann"))

    def test_options_that_cannot_be_determined(self) -> None:
        """The service's start hides the sshd binary: that is reported, and is no failure."""
        unit = {path: text for path, text in IMAGES["systemd"].items() if path.startswith("/etc/")}
        unit["/lib/systemd/system/ssh.service"] = "[Service]\nExecStart=/usr/local/bin/wrapper\n"
        unit["/run/systemd/system/x"] = ""
        self.assertIn("warning: " + UNKNOWN, self.play({**SSHD, **unit}))
        self.assertEqual((self.code, self.facts()["login.key"]), (0, "yes"))
        unit["/lib/systemd/system/ssh.service"] = "[Service]\nExecStart=/usr/sbin/sshd -D\n"
        self.assertNotIn(UNKNOWN, self.play({**SSHD, **unit}))

    def test_certain_lock_out_fails(self) -> None:
        closed = {**SSHD, "/etc/nologin": "closed\n"}
        self.assertIn(NOBODY, self.play(closed))
        self.assertEqual((self.code, self.facts()["error.key"]), (1, "/etc/nologin"))
        self.assertEqual(self.facts()["error_reason"], NOBODY)
        self.assertIn("warning: this image's sshd will not let ann in: /etc/nologin", self.play(closed, login="warn"))
        self.assertEqual(self.code, 0)
        # systemd removes it once users may log in, which is not yet.
        opener = {"/usr/lib/systemd/system/systemd-user-sessions.service": "", "/run/systemd/system/x": ""}
        self.play({**closed, "/run/nologin": "", **opener})
        self.assertEqual(self.code, 0, self.story)
        self.play({**closed, **opener})
        self.assertEqual(self.code, 1, "it was made after users were let in")
        # A unit that is masked removes neither.
        masked = {**opener, "/etc/systemd/system/systemd-user-sessions.service": "-> /dev/null", "/run/nologin": ""}
        self.play({**closed, **masked})
        self.assertEqual((self.code, self.facts()["error.key"]), (1, "/etc/nologin"))
        pam = {"/etc/pam.d/sshd": "account required pam_nologin.so\n", "/etc/ssh/sshd_config": "UsePAM yes\n"}
        self.play({**SSHD, **masked, **pam})
        self.assertEqual(self.facts()["login.key"][-12:], "/run/nologin")
        for harmless in ({}, {**pam, "/etc/ssh/sshd_config": "UsePAM no\n"}, {**pam, "/etc/pam.d/sshd": ""}):
            self.play({**SSHD, **masked, **harmless})
            self.assertEqual(self.facts()["login.key"], "yes", harmless)
        self.play({**SSHD, "/run/x": "", "/etc/nologin": "-> /run/x"})
        self.assertEqual(self.code, 0, self.story)

    def test_no_session(self) -> None:
        """By the files alone it is a suspicion."""
        for text, why in (
            ("ForceCommand /usr/sbin/nologin\n", "ForceCommand /usr/sbin/nologin"),
            ("ForceCommand internal-sftp\n", "ForceCommand internal-sftp"),
            ("ListenAddress 127.0.0.1\nListenAddress ::1\n", "ListenAddress 127.0.0.1 ::1"),
        ):
            self.play({**SSHD, "/etc/ssh/sshd_config.d/x.conf": text})
            self.assertEqual((self.code, self.facts()["login.key"]), (0, "unknown: " + why))

    def test_promised_password(self) -> None:
        for files in ({}, SSHD, {"/usr/sbin/dropbear": ""}):
            with self.subTest(files):
                self.play(files, promised=True, keys=False)
                self.assertEqual(self.code, 1, self.story)
                self.assertEqual(self.facts()["error.password"], "no provisioning DVD")
        self.play(SSHD, promised=True, keys=False, password_login="no")
        self.assertEqual(self.code, 1)
        for options in ({"login": "warn"}, {"account": "no"}, {"password": "no"}):
            with self.subTest(options):
                self.play(SSHD, promised=True, keys=False, **options)
                self.assertEqual(self.code, 0, self.story)
        self.play(SSHD, promised=True)  # a working key means that it keeps no user out
        self.assertEqual(self.code, 0, self.story)

    def test_account_is_left_to_the_image(self) -> None:
        self.play({**SSHD, "/etc/nologin": ""}, account="no", ssh_keys="no", password="no", sudo="no")
        self.assertEqual(self.code, 0, self.story)
        self.assertNotIn("azure-provisioning: login", self.story)


class AgeingTest(ToolTest):
    def aged(self, fields: str) -> str:
        """The result for an account's line."""
        self.fill({"/etc/passwd": "ann:x:1000:1000::/home/ann:/bin/sh\n", "/etc/shadow": "ann:%s\n" % fields})
        before = find_refusal(self.system, "ann")
        self.cleared = renew(self.system, "ann")
        self.assertEqual(find_refusal(self.system, "ann"), "")
        self.refused = before
        assert find_account(self.system, "ann")
        return (self.text("/etc/shadow") or "").strip().partition(":")[2]

    def test_cleared(self) -> None:
        today = str(int(self.system.time() // 86400))
        for fields, expected, refused in (
            ("*:20000:0:99999:7:::", "*:20000:0:99999:7:::", ""),
            ("*:20000:0:99999:7::1:", "*:20000:0:99999:7:::", "the account has expired"),
            ("*:20000:0:99999:7::99998:", "*:20000:0:99999:7::99998:", ""),
            ("*:0:0:99999:7:::", "*:%s:0:99999:7:::" % today, "a change of the password is forced"),
            ("*:20000:0:60:7:30::", "*:20000:0:99999:7:::", "a change of the password is forced"),
            ("*:%s:0:60:7:30::" % today, "*:%s:0:99999:7:::" % today, ""),
            ("$6$a$b:%s:0:60:7:30::" % today, "$6$a$b:%s:0:60:7:30::" % today, ""),
            ("$6$a$b:20000:0:60:7:30::", "$6$a$b:%s:0:60:7:30::" % today, "a change of the password is forced"),
            ("$6$a$b:0:0:99999:7:::", "$6$a$b:%s:0:99999:7:::" % today, "a change of the password is forced"),
        ):
            with self.subTest(fields):
                self.assertEqual(self.aged(fields), expected)
                self.assertEqual(self.refused, refused)
                self.assertEqual(bool(self.cleared), fields != expected)


class ListTest(GuestTest):
    def test_last_rule_counts(self) -> None:
        for rules, expected in (
            ("    (ALL) NOPASSWD: ALL\n", (True, True)),
            ("    (ALL : ALL) NOPASSWD: ALL\n    (ALL : ALL) ALL\n", (True, False)),
            ("    (ALL : ALL) ALL\n    (root) NOPASSWD: ALL\n", (True, True)),
            ("    (root) NOPASSWD: /bin/ls, PASSWD: ALL\n", (True, False)),
            ("    (root) NOPASSWD: /bin/ls, ALL\n", (True, True)),
            ("    (root) SETENV: NOPASSWD: ALL\n", (True, True)),
            ("    (ALL) NOPASSWD: ALL\n    (bob) ALL\n    (root) /bin/cat\n", (True, True)),
            ("    (ALL) NOPASSWD: ALL\n    (ALL) !ALL\n", (False, False)),
            ("    (ALL, !root) NOPASSWD: ALL\n", (False, False)),
            ("\n", (False, False)),
        ):
            with self.subTest(rules):
                self.assertEqual(judge(rules), expected)

    def test_pam_access(self) -> None:
        pam = {"/etc/pam.d/sshd": "@include common\n", "/etc/pam.d/common": "account required pam_access.so\n"}
        for text, refused in (
            ("-:ALL:ALL\n", True),
            ("+:ann:ALL\n-:ALL:ALL\n", False),
            ("+:(sudo):ALL\n-:ALL:ALL\n", False),
            ("-:ALL EXCEPT root (sudo):ALL\n", False),
            ("-:ALL:LOCAL\n", False),
            ("+:ALL:10. 192.168.\n-:ALL:ALL\n", True),
            ("# -:ALL:ALL\n", False),
            ("", False),
        ):
            with self.subTest(text):
                self.fill({**pam, "/etc/security/access.conf": text})
                self.assertEqual(bool(find_rule(self.system, "ann", ["ann", "sudo"])[0]), refused)

    def test_certain_pam_access_lock_out(self) -> None:
        """Only a rule that no other rule, module or directory can change is certain."""
        debian = "[success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\n"
        shut, ours = "-:ALL EXCEPT root:ALL\n", "account required pam_access.so\n"
        rows = (
            ("account required pam_nologin.so\n@include common\n" + ours, shut, True),
            (ours, "# x\n\n+:root:ALL\n- : ALL , bob : ALL \n", True),
            (ours, "-:ann:ALL\n", True),
            (ours, "-:(sudo):ALL\n", True),
            (ours, "-:sudo:10.0.0.0/8\n" + shut, True),
            (ours, "-:ALL EXCEPT root EXCEPT ann:ALL\n", True),
            ("account requisite pam_access.so noaudit\n", shut, True),
            ("account include common\n" + ours, shut, True),
            (ours + "account sufficient pam_permit.so\n", shut, True),
            (ours, "-:ALL:10.0.0.0/8\n", False),
            (ours, "+:ann:10.0.0.0/8\n" + shut, False),
            (ours, "+:@admins:ALL\n" + shut, False),
            (ours, "+:ALL:LOCAL\n" + shut, False),
            (ours, "+:ann:2001:db8::/32\n" + shut, False),
            (ours, "-:ALL EXCEPT @admins:ALL\n", False),
            (ours, "-:ALL EXCEPT (sudo):ALL\n", False),
            (ours, " " + shut, False),
            ("account sufficient pam_localuser.so\n" + ours, shut, False),
            ("account [success=1 default=ignore] pam_localuser.so\n" + ours, shut, False),
            ("account [success=done default=ignore] pam_localuser.so\n" + ours, shut, False),
            ("account optional pam_access.so\n", shut, False),
            ("-" + ours, shut, False),
            (ours.replace("\n", " nodefgroup\n"), shut, False),
            (ours.replace("\n", " accessfile=/etc/other\n"), shut, False),
            ("# " + ours, shut, False),
            ("auth required pam_access.so\n", shut, False),
            (ours + "account [default=reset] pam_x.so\n", shut, False),
            ("account include missing\n" + ours, shut, False),
            (ours.replace("required", "\\\n required"), shut, False),
        )
        self.fill({"/etc/pam.d/common": "account " + debian, "/usr/lib/x86_64-linux-gnu/security/pam_access.so": ""})
        for stack, rules, certain in rows:
            with self.subTest(stack=stack, rules=rules):
                self.fill({"/etc/pam.d/sshd": stack, "/etc/security/access.conf": rules})
                self.assertEqual(find_rule(self.system, "ann", ["ann", "sudo"])[1], certain)
        self.fill({"/etc/pam.d/sshd": ours, "/etc/security/access.conf": "+:admins:ALL\n" + shut})
        for switch, certain in (("group: files systemd\n", True), ("group: files [NOTFOUND=return] sss\n", False)):
            self.fill({"/etc/nsswitch.conf": switch})
            self.assertEqual(find_rule(self.system, "ann", ["ann"])[1], certain)
        self.system.unlink("/etc/nsswitch.conf")
        self.system.unlink("/usr/lib/x86_64-linux-gnu/security/pam_access.so")
        self.assertFalse(find_rule(self.system, "ann", ["ann"])[1])
