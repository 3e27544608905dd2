"""`check`: could you log in and become root? SSH, its keys and its configuration, the account, passwords."""

import os
import subprocess
import unittest

from azure_provisioning.errors import GuestError
from azure_provisioning.guest.accounts import Account
from azure_provisioning.guest.home import ensure_home
from azure_provisioning.guest.password import hash_sha512
from tests import images
from tests.images import LINK, call
from tests.sound import GRUB, CheckTest

CONFIG = "/etc/ssh/sshd_config"
DROP_IN = "/etc/ssh/sshd_config.d/x.conf"
KEY = "/etc/ssh/ssh_host_ed25519_key"
FSTAB, GRUB_CFG = "/etc/fstab", "/boot/grub/grub.cfg"
OPTIONS = "/etc/azure-provisioning.conf"
WANTS = "/etc/systemd/system/multi-user.target.wants/"
KEEP = {OPTIONS: "host_keys = keep\n"}


class ServerTest(CheckTest):
    def test_started(self) -> None:
        self.good("sshd", "^ssh starts /usr/sbin/sshd$")
        remedy = self.bad("sshd", "error", "is not started at boot", gone=[WANTS + "ssh.service"])
        self.assertEqual(remedy, "chroot %s systemctl enable ssh" % self.root)
        self.bad("sshd", "error", "is not started", {"/etc/systemd/system/ssh.service": "-> /dev/null"})
        self.bad("sshd", "error", "is not started", {"/etc/systemd/system/ssh.service": ""})
        self.bad("sshd", "error", "is not started", {WANTS + "ssh.service": "-> /dev/null"})
        self.bad("sshd", "error", "is not started", gone=["/usr/lib/systemd/system/ssh.service"])
        self.bad("sshd", "error", "no SSH server is in the image", gone=["/usr/sbin/sshd"])

    def test_servers_of_alpine(self) -> None:
        for name in ("sshd.pam", "sshd.krb5"):
            with self.subTest(name):
                self.start()
                self.gone("/usr/sbin/sshd")
                self.fill({"/usr/sbin/" + name: "", CONFIG: "UsePAM yes\n"})
                self.good("sshd", "^ssh starts /usr/sbin/%s$" % name)
                self.good("host-keys", "the first boot makes them, by ssh-keygen")
                self.fill({CONFIG: "PubkeyAuthentication no\n"})
                self.assertEqual([one.level for one in self.findings("sshd-config")], ["error"])

    def test_socket_activation(self) -> None:
        self.gone(WANTS + "ssh.service")
        unit = "/usr/lib/systemd/system/ssh.socket"
        self.fill({"/etc/systemd/system/sockets.target.wants/ssh.socket": "-> " + unit, unit: "[Socket]\n"})
        self.good("sshd", "ssh.socket")
        # systemd starts no socket whose service is not there.
        service = "/etc/systemd/system/ssh.service"
        self.fill({service: "-> /dev/null"})
        (found,) = self.findings("sshd")
        self.assertEqual((found.level, found.remedy), ("error", "chroot %s systemctl unmask ssh.service" % self.root))
        self.assertIn("ssh.socket starts ssh.service, which is masked or missing", found.message)
        self.fill({unit: "[Socket]\nService=other.service\n", "/etc/systemd/system/other.service": "[Service]\n"})
        self.good("sshd", "ssh.socket")
        self.fill({unit: "[Socket]\nAccept=yes\n"})
        self.assertEqual([one.level for one in self.findings("sshd")], ["error"])
        self.fill({"/usr/lib/systemd/system/ssh@.service": "[Service]\n"})
        self.good("sshd", "ssh.socket")

    def test_enabled_in_another_target_only(self) -> None:
        self.gone(WANTS + "ssh.service")
        unit = "/lib/systemd/system/ssh.service"
        self.fill({"/etc/systemd/system/rescue.target.wants/ssh.service": "-> " + unit})
        self.assertEqual([one.level for one in self.findings("sshd")], ["error"])

    def test_sysv_script_under_systemd(self) -> None:
        """systemd's generator converts it, unless there is a unit of the same name."""
        self.gone(WANTS + "ssh.service")
        self.fill({"/etc/init.d/ssh": images.SCRIPT, "/etc/rc3.d/S01ssh": LINK + "ssh"})
        self.assertEqual([one.level for one in self.findings("sshd")], ["error"])
        self.gone("/usr/lib/systemd/system/ssh.service")
        self.good("sshd")

    def test_dropbear(self) -> None:
        self.gone("/usr/sbin/sshd", WANTS + "ssh.service", CONFIG)
        unit = "/usr/lib/systemd/system/dropbear.service"
        self.fill({"/usr/sbin/dropbear": "", unit: "[Service]\n"})
        self.assertEqual(self.findings("sshd")[0].remedy, "chroot %s systemctl enable dropbear" % self.root)
        self.fill({WANTS + "dropbear.service": "-> " + unit})
        self.good("sshd")
        self.good("sshd-config")

    def test_options_of_dropbear(self) -> None:
        unit = "/usr/lib/systemd/system/dropbear.service"
        line = '[Service]\nEnvironmentFile=-/etc/default/dropbear\nExecStart=/usr/sbin/dropbear -EF -p "$PORT" $EXTRA\n'
        self.gone("/usr/sbin/sshd", WANTS + "ssh.service", CONFIG)
        self.fill({"/usr/sbin/dropbear": "", WANTS + "dropbear.service": "-> " + unit, unit: line})
        for words, level, pattern in (
            ("-t", "error", "-t: a key alone lets nobody in"),
            ("-R -G ops", "error", "-G ops: the administrator is not let in"),
            ("-wc/bin/false", "error", "-c /bin/false: the administrator is not let in"),
            ("-s", "warning", "-s: a VM with only a password"),
            ("-c /usr/bin/menu", "warning", "-c /usr/bin/menu: the administrator may get no shell"),
            ("$(x)", "warning", "cannot be determined with which options dropbear"),
        ):
            self.fill({"/etc/default/dropbear": 'PORT=22\nEXTRA="%s"\n' % words})
            found = self.findings("sshd-config")
            self.assertEqual([one.level for one in found], [level], found)
            self.assertRegex(found[0].message, pattern)
        for port, level in (("127.0.0.1:22", "error"), ("[::1]:22", "error"), ("2222", "warning")):
            self.fill({"/etc/default/dropbear": "PORT=%s\n" % port})
            self.assertEqual([one.level for one in self.findings("sshd-config")], [level])
        for words in ("-G sudo -b /c", "-g -w -p 127.0.0.1:22 -T 3"):
            self.fill({"/etc/default/dropbear": "PORT=22\nEXTRA='%s'\n" % words})
            self.good("sshd-config")

    def test_options_of_dropbear_in_scripts(self) -> None:
        for name, script, text in (
            ("yocto", "/etc/init.d/dropbear", "DROPBEAR_EXTRA_ARGS=-t\n"),
            ("buildroot", "/etc/init.d/S50dropbear", "DROPBEAR_ARGS='-R -t'\n"),
        ):
            self.empty()
            self.image(name)
            path = "/etc/default/dropbear"
            if name == "yocto":
                self.gone("/etc/rc5.d/S09sshd")
            body = "#!/bin/sh\n. %s\nDAEMON=dropbear\nstart-stop-daemon -S -x $DAEMON -- $%s\n"
            self.fill({"/usr/sbin/dropbear": "", path: text, script: body % (path, text.partition("=")[0])})
            os.chmod(self.root + script, 0o755)
            self.assertEqual([one.message[:12] for one in self.findings("sshd-config")], ["dropbear -t:"])

    def test_other_inits(self) -> None:
        for name, gone, remedy in (
            ("insserv", "/etc/rc2.d/S03ssh", "update-rc.d ssh defaults"),
            ("chkconfig", "/etc/rc.d/rc3.d/S55sshd", "chkconfig sshd on"),
            ("openrc on busybox", "/etc/runlevels/default/sshd", "rc-update add sshd default"),
            ("buildroot", "/etc/init.d/S50sshd", ""),
            ("yocto", "/etc/rc5.d/S09sshd", "update-rc.d"),
        ):
            with self.subTest(name):
                self.empty()
                self.image(name)
                self.fill({"/usr/sbin/sshd": ""})
                if name == "yocto":
                    self.gone("/etc/rc5.d/S10dropbear")
                self.good("sshd")
                self.gone(gone)
                found = self.findings("sshd")
                self.assertEqual([one.level for one in found], ["error"])
                self.assertIn(remedy, found[0].remedy)

    def test_service_directories_of_runit(self) -> None:
        """Debian's openssh-server has one on every system; it replaces the script only under runit."""
        self.empty()
        self.image("insserv")
        self.fill({"/usr/sbin/sshd": "", "/etc/sv/ssh/run": "#!/bin/sh\n"})
        self.good("sshd")
        self.empty()
        self.image("runit of debian")
        self.fill({"/usr/sbin/sshd": ""})
        self.good("sshd", "ssh starts")
        self.fill({"/etc/sv/ssh/run": "#!/bin/sh\n"})
        self.make_program("/etc/sv/ssh/run")
        self.assertEqual([one.level for one in self.findings("sshd")], ["error"])
        self.fill({"/etc/runit/runsvdir/default/ssh": "-> /etc/sv/ssh"})
        self.good("sshd")
        self.fill({"/etc/sv/ssh/down": ""})
        self.assertEqual([one.level for one in self.findings("sshd")], ["error"])

    def test_unknown_init(self) -> None:
        self.empty()
        self.fill({"/etc/rc": "", "/sbin/init": images.SYSVINIT, "/usr/sbin/sshd": ""})
        self.assertEqual([one.level for one in self.findings("sshd")], ["warning"])


class HostKeysTest(CheckTest):
    def test_new(self) -> None:
        self.good("host-keys", "the first boot makes them, by ssh-keygen")
        self.bad("host-keys", "error", "none, and no ssh-keygen", gone=["/usr/bin/ssh-keygen"])
        self.bad("host-keys", "warning", "every VM .* the same host keys", {KEY: "x"}, gone=["/usr/bin/ssh-keygen"])
        self.start()
        self.fill({KEY: "x"})
        self.good("host-keys", "replaces those of the image")

    def test_keep(self) -> None:
        remedy = self.bad("host-keys", "error", "with host_keys = keep nothing makes any", KEEP)
        self.assertEqual(remedy, "chroot %s ssh-keygen -A" % self.root)
        self.fill({KEY: "x"})
        self.good("host-keys", "has the same host keys")
        self.gone(KEY)
        self.fill({"/usr/lib/systemd/system/ssh.service": "[Service]\nExecStartPre=/usr/bin/ssh-keygen -A\n"})
        self.good("host-keys", "makes those that are missing")
        self.fill({DROP_IN: "HostKey /etc/keys/a\n", CONFIG: "Include /etc/ssh/sshd_config.d/*.conf\n", KEY: "x"})
        (found,) = self.findings("host-keys")
        self.assertEqual(found.level, "warning")
        self.assertRegex(found.message, "cannot be determined whether a boot makes /etc/keys/a")

    def test_dropbear(self) -> None:
        self.gone("/usr/sbin/sshd")
        self.assertEqual(self.findings("host-keys"), [])
        self.fill({"/usr/sbin/dropbear": ""})
        self.assertRegex(self.findings("host-keys")[0].message, "started with -R")
        self.fill({"/usr/bin/dropbearkey": ""})
        self.good("host-keys")

    def test_dropbear_generates_missing_keys(self) -> None:
        self.empty()
        self.image("buildroot")
        self.gone("/etc/init.d/S50sshd")
        self.fill({"/usr/sbin/dropbear": "", "/etc/init.d/S50dropbear": "#!/bin/sh\nexec dropbear -B\n"})
        self.fill(KEEP)
        self.assertEqual([one.level for one in self.findings("host-keys")], ["error"])
        self.fill({"/etc/init.d/S50dropbear": "#!/bin/sh\nexec dropbear -R\n"})
        self.good("host-keys", "makes those that are missing")


class ConfigTest(CheckTest):
    def config(self, level: str, pattern: str, text: str, *, line: int = 1) -> None:
        """The finding names its line, and the remedy repairs only that line; other lines are only read."""
        remedy = self.bad("sshd-config", level, "^%s, line %d: .*%s" % (DROP_IN, line, pattern), {DROP_IN: text})
        done = call(["sh", "-c", remedy])
        self.assertEqual((done.code, bool(remedy)), (0, True), done)
        self.good("sshd-config")
        self.assertEqual(self.text(CONFIG), "Include /etc/ssh/sshd_config.d/*.conf\n")

    def test_keys(self) -> None:
        self.config("error", "SSH keys let nobody in", "PubkeyAuthentication no\n")
        self.config("error", "AuthorizedKeysFile none", "AuthorizedKeysFile none\n")
        self.config("error", "AuthorizedKeysFile /dev/null: SSH keys let", "AuthorizedKeysFile /dev/null\n")
        authority = "AuthorizedKeysFile /dev/null\nTrustedUserCAKeys /etc/ssh/ca.pub\n"
        self.config("error", "as /etc/ssh/ca.pub has the keys: a boot has no file", authority)
        command = "AuthorizedKeysFile none\nAuthorizedKeysCommand /usr/bin/keys %u\nAuthorizedKeysCommandUser nobody\n"
        self.config("error", "as /usr/bin/keys %u has the keys: a boot has no file", command)
        self.config("warning", "cannot write keys", "AuthorizedKeysFile /etc/keys/%G\n")
        self.config("error", "AuthenticationMethods", "AuthenticationMethods publickey,keyboard-interactive\n")
        self.config("error", "it is missing, so all keys are refused", "RevokedKeys /etc/ssh/revoked\n")
        self.start()
        os.makedirs(self.root + "/srv/keys")
        os.chmod(self.root + "/srv/keys", 0o777)
        self.fill({DROP_IN: "AuthorizedKeysFile /srv/keys/%u\n"})
        found = self.findings("sshd-config")
        self.assertEqual([one.level for one in found], ["error"])
        self.assertIn("StrictModes refuses it, as /srv/keys can be written by everybody", found[0].message)
        self.assertEqual(call(["sh", "-c", found[0].remedy]).code, 0)
        self.good("sshd-config")
        for text in (
            "StrictModes no\nAuthorizedKeysFile /srv/keys/%u\n",
            "RevokedKeys none\n",
            "PubkeyAuthentication yes\nPubkeyAuthentication no\n",  # the first one counts
            "AuthorizedKeysFile /etc/keys/%u .ssh/x\n",
            "AuthenticationMethods publickey,password publickey\n",
            "Match User bob\n  PubkeyAuthentication no\n",
            "#PubkeyAuthentication no\n",
            "PasswordAuthentication no\nPermitRootLogin no\n",
        ):
            self.start()
            self.fill({DROP_IN: text})
            self.good("sshd-config")

    def test_names(self) -> None:
        self.config("error", "AllowUsers root: the administrator is none", "AllowUsers root\n")
        self.config("warning", "another administrator", "AllowUsers root\nAllowUsers azureuser@10.*\n")
        self.config("error", "DenyUsers bob [*]: nobody", "DenyUsers bob *\n")
        self.config("error", "nobody", "DenyUsers *@0.0.0.0/0\n")
        self.config("error", "nobody is let in$", "DenyUsers * !azureuser\n")
        self.config("error", "nobody is let in$", "DenyUsers *@!10.0.0.0/8,*\n")
        self.config("warning", "with another administrator", "DenyUsers q7*\n")
        self.config("error", "nobody is let in from outside", "AllowUsers *@127.0.0.2\n")
        self.config("warning", "cannot be determined whether the administrator", "AllowUsers *@10.0.0.0/8 root\n")
        self.config("error", "the administrator is in sudo", "DenyGroups !sudo *\n")
        self.config("error", "in none of them", "AllowGroups root\n")
        self.config("warning", "unless it is also the administrator's name", "AllowGroups azureuser\n")
        self.config("error", "the administrator is in sudo", "DenyGroups sud*\n")
        for text in (
            "AllowUsers *\n",
            "AllowGroups root sudo\n",
            "AllowGroups *\n",
            "AllowGroups !sudo *\n",
            "AllowUsers !azureuser *@*.*.*.*\n",
            "DenyGroups !sudo\n",
            "DenyUsers bob\n",
            "DenyUsers *@!10.0.0.0/8\n",
            "DenyUsers *@192.168.0.0/16\n",
            "DenyGroups x\n",
        ):
            self.start()
            self.fill({DROP_IN: text})
            self.good("sshd-config")

    def test_usual_name(self) -> None:
        """The name of the administrator is unknown, but there is a usual one."""
        for text in ("DenyUsers bob azureuser\n", "DenyUsers azure*\n", "DenyUsers bob\nDenyUsers azureuser\n"):
            self.config("warning", "an administrator called azureuser is not let in", text)

    def test_remedies(self) -> None:
        """The intent of the setting is kept as far as possible."""
        for text, line, mended in (
            ("PermitRootLogin no\n\nAllowGroups = root  # ours\n", 3, "AllowGroups = sudo root  # ours\n"),
            ("Match User bob\n AllowGroups x\nMatch all\n\tallowgroups root\n", 4, "\tallowgroups sudo root\n"),
            ("DenyGroups a sudo\nX11Forwarding no\n", 1, "#DenyGroups a sudo\n"),
        ):
            self.config("error", "Groups", text, line=line)
            lines = text.splitlines(True)
            lines[line - 1] = mended
            self.assertEqual(self.text(DROP_IN), "".join(lines))

    def test_two_files(self) -> None:
        other = "/etc/ssh/sshd_config.d/y.conf"
        files = {DROP_IN: "Port 23\nPort 24\n", other: "#\nPort 25\n"}
        remedy = self.bad("sshd-config", "warning", "x.conf, line 1: Port 23", files)
        self.assertEqual(call(["sh", "-c", remedy]).code, 0)
        self.good("sshd-config")
        self.assertEqual((self.text(DROP_IN), self.text(other)), ("#Port 23\n#Port 24\n", "#\n#Port 25\n"))

    def test_option_in_the_start_command(self) -> None:
        unit = "[Service]\nExecStart=/usr/sbin/sshd -D -o PubkeyAuthentication=no\n"
        files = {"/usr/lib/systemd/system/ssh.service": unit}
        remedy = self.bad("sshd-config", "error", "^an option of sshd's start: PubkeyAuthentication no", files)
        self.assertEqual(remedy, "")

    def test_port_in_the_start_command(self) -> None:
        """sshd then ignores those of its configuration."""
        unit = "/usr/lib/systemd/system/ssh.service"
        start = "[Service]\nExecStart=/usr/sbin/sshd -D -p %s\n"
        self.bad("sshd-config", "warning", "started with -p 2222: ", {unit: start % 2222, DROP_IN: "Port 22\n"})
        self.fill({unit: start % 22, DROP_IN: "Port 2222\n"})
        self.good("sshd-config")

    def test_pam_access(self) -> None:
        module = {"/usr/lib/security/pam_access.so": "", "/etc/pam.d/sshd": "account required pam_access.so\n"}
        for text, level, pattern in (
            (
                "-:ALL EXCEPT root:ALL\n",
                "error",
                "access.conf: -:ALL EXCEPT root:ALL: .* not let the administrator in$",
            ),
            ("-:(sudo):ALL\n", "error", "the administrator"),
            ("+:ALL:LOCAL\n-:ALL:ALL\n", "warning", "the administrator"),
            ("-:azureuser:ALL\n", "warning", "an administrator called azureuser"),
            ("+:bob:ALL\n-:ALL:ALL\n", "error", "the administrator"),
        ):
            files = {DROP_IN: "UsePAM yes\n", "/etc/security/access.conf": text, **module}
            remedy = self.bad("sshd-config", level, pattern, files)
            self.assertEqual(remedy, "vi %s/etc/security/access.conf" % self.root)
            self.fill({DROP_IN: "UsePAM no\n"})
            self.good("sshd-config")
        for text in ("-:bob:ALL\n", "+:(sudo):ALL\n-:ALL:ALL\n", "-:root:ALL\n"):
            self.fill({DROP_IN: "UsePAM yes\n", "/etc/security/access.conf": text, **module})
            self.good("sshd-config")

    def test_other_modules_of_pam(self) -> None:
        """pam_deny lets nobody in, and what other modules do depends on files that are not read."""
        pam, modules = "/etc/pam.d/", {"/usr/lib/security/pam_deny.so": "", DROP_IN: "UsePAM yes\n"}
        common = "[success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\n"
        modules[pam + "common"] = "account " + common + "account required pam_permit.so\n"
        for text, level, pattern in (
            ("account required pam_deny.so\n", "error", "pam.d/sshd: account required pam_deny.so: PAM lets nobody in"),
            (
                "account required pam_nologin.so\naccount include deny\n",
                "error",
                "pam.d/deny: account requisite pam_deny",
            ),
            (
                "account required pam_succeed_if.so user ingroup x\n",
                "warning",
                "_if.so user ingroup x: it cannot be det",
            ),
            ("account [default=die success=ok] pam_listfile.so\n", "warning", "pam_listfile.so: it cannot"),
            ("@include common\naccount required pam_time.so\n", "warning", "pam_time.so: it cannot"),
        ):
            files = {pam + "deny": "account requisite pam_deny.so\n", "/etc/security/time.conf": "sshd;*;*;!Al\n"}
            remedy = self.bad("sshd-config", level, pattern, {**modules, **files, pam + "sshd": text})
            self.assertEqual(remedy, "vi %s/etc/pam.d/%s" % (self.root, "deny" if "/deny" in pattern else "sshd"))
            self.fill({DROP_IN: "UsePAM no\n"})
            self.good("sshd-config")
        for text in (
            "account required pam_nologin.so\n@include common\n",
            "account required pam_unix.so\naccount sufficient pam_localuser.so\naccount required pam_x.so\n",
            "account sufficient pam_succeed_if.so uid < 500\naccount optional pam_x.so\n",
            "account [default=bad success=ok user_unknown=ignore] pam_sss.so\naccount required pam_time.so\n",
            "auth required pam_deny.so\nsession required pam_x.so\n",
        ):
            self.start()
            self.fill({**modules, pam + "sshd": text, "/etc/security/time.conf": "# nothing\n"})
            self.good("sshd-config")

    def test_missing_modules_of_pam(self) -> None:
        """A module that is missing fails, and a session that fails ends the connection."""
        pam, lib = "/etc/pam.d/", "/usr/lib/x86_64-linux-gnu/security/"
        files = {lib + name: "" for name in ("pam_unix.so", "pam_limits.so", "pam_sss.so")}
        files[DROP_IN] = "UsePAM yes\n"
        fine = "account required pam_unix.so\nsession required pam_unix.so\n-session optional pam_x.so\n"
        limits = "session required pam_limits.so\n"
        for text, level, pattern in (
            (
                fine + "account required pam_tally2.so\n",
                "error",
                "account required pam_tally2.so, which is missing: PAM",
            ),
            (fine + "session required pam_x.so\n", "error", "session required pam_x.so, which is missing: PAM lets n"),
            (fine + "session requisite /opt/pam_x.so\n", "error", "session requisite /opt/pam_x.so, which is missing"),
            ("session [success=ok default=bad] pam_x.so\n" + fine, "warning", "pam_x.so, which is missing: it cannot"),
            ("account required pam_unix.so\naccount required pam_sss.so\n", "warning", "pam_sss.so.*: it cannot"),
            (fine + limits, "warning", r"limits.d/x.conf: \* hard maxlogins 0: it cannot be determined"),
        ):
            nobody = {"/etc/security/limits.d/x.conf": "* hard maxlogins 0\n"}
            self.bad("sshd-config", level, pattern, {**files, **nobody, pam + "sshd": text})
        for text in (
            fine + "session [success=ok module_unknown=ignore default=bad] pam_x.so\nsession optional pam_x.so\n",
            fine + "account [default=ignore] pam_x.so\nauth required pam_x.so\nsession required $ISA/pam_x.so\n",
            fine + "account sufficient pam_x.so\naccount required pam_sss.so ignore_unknown_user\n" + limits,
        ):
            self.start()
            self.fill({**files, pam + "sshd": text, "/etc/security/limits.conf": "* - core 0\n"})
            self.good("sshd-config")
        self.fill({pam + "sshd": fine + "session required pam_x.so\n"})
        self.gone(lib + "pam_unix.so")
        self.good("sshd-config")

    def test_service_of_pam(self) -> None:
        """Without the rules of sshd, those of `other` count."""
        pam, lib = "/etc/pam.d/", "/usr/lib/security/"
        deny = "account required pam_deny.so\n"
        files = {lib + "pam_deny.so": "", DROP_IN: "UsePAM yes\n", pam + "other": deny}
        self.bad("sshd-config", "error", "^/etc/pam.d/other: account required pam_deny.so: PAM", files)
        self.bad("sshd-config", "error", "other: ", {**files, pam + "sshd": "session optional pam_x.so\n"})
        self.fill({pam + "sshd": "account required pam_unix.so\nsession required pam_unix.so\n"})
        self.good("sshd-config")
        self.gone(pam + "sshd")
        self.fill({"/usr/lib/pam.d/sshd": "account required pam_unix.so\nsession required pam_unix.so\n"})
        self.good("sshd-config")

    def test_match_blocks(self) -> None:
        """A block that is about everybody is as good as no block, and overrides what stands before it."""
        for criteria in (
            "User *",
            "user=*,!root",
            "Group sudo",
            "Group wheel,su?o",
            "Address 0.0.0.0/0,::/0",
            "Address * Host * LocalPort 22",
            "LocalAddress * User azure*,q7*",
            "all",
        ):
            text = "Match %s\n  PubkeyAuthentication no\n" % criteria
            self.config("error", "PubkeyAuthentication no: SSH keys let nobody in$", text, line=2)
        text = "AllowUsers azureuser *\nMatch User *\n\tAllowUsers root\n"
        self.config("error", "AllowUsers root: the administrator is none of them", text, line=3)
        text = "PubkeyAuthentication yes\nMatch all\nPubkeyAuthentication no\n"
        self.config("error", "SSH keys let nobody in", text, line=3)
        self.config("error", "nobody gets a session", 'ForceCommand "/sbin/nologin"\n')
        self.config("error", "nobody gets a session", "Match Group sudo\nForceCommand /bin/false\n", line=2)
        for criteria in (
            "User azureuser",
            "Address *,!10.0.0.0/8",
            "Group !sudo,* User azure*",
            "LocalPort 2222",
            "X y",
        ):
            text = "Match %s\nPubkeyAuthentication no\n" % criteria
            if criteria.startswith("Group"):
                self.start()
                self.fill({DROP_IN: text})
                self.good("sshd-config")
                continue
            pattern = "SSH keys let nobody in, for those of Match " + criteria.replace("*", "[*]")
            self.config("warning", pattern, text, line=2)
        for text in (
            "Match User bob,sftp*\nPubkeyAuthentication no\nForceCommand internal-sftp\n",
            "Match Group sftponly\nChrootDirectory %h\nForceCommand internal-sftp\n",
            "Match Address 127.0.0.1,::1\nDenyUsers *\n",
            "Match invalid-user\nPubkeyAuthentication no\n",
            "Match Address 10.0.0.0/8\nPasswordAuthentication yes\nAuthorizedKeysFile /etc/keys/%u\n",
            "PubkeyAuthentication no\nMatch User *\nPubkeyAuthentication yes\n",
            "PubkeyAuthentication no\nMatch all\nPubkeyAuthentication yes\n",
        ):
            self.start()
            self.fill({DROP_IN: text})
            self.good("sshd-config")

    def test_match_block_includes_a_file(self) -> None:
        files = {DROP_IN: "Match User *\nInclude /etc/ssh/more\n", "/etc/ssh/more": "Match Group sudo\nDenyUsers *\n"}
        self.bad("sshd-config", "error", "^/etc/ssh/more, line 2: DenyUsers", files)
        self.fill({DROP_IN: "Match User bob\nInclude /etc/ssh/more\n"})
        self.good("sshd-config")

    def test_tcp_wrappers(self) -> None:
        """Only an sshd that is linked with libwrap reads these files."""
        deny, allow, sshd = "/etc/hosts.deny", "/etc/hosts.allow", {"/usr/sbin/sshd": "\x7fELF\0libwrap.so.0\0"}
        for denied, allowed, level in (
            ("# all\nALL: ALL\n", "", "error"),
            ("ALL : ALL : deny\n", "in.ftpd: ALL\nsshd: 127. [::1], LOCAL\n", "error"),
            ("sshd, in.ftpd: bob, \\\n ALL\n", "", "error"),
            ("ALL: 10.\nALL: ALL\n", "", "error"),
            ("ALL: ALL\n", "sshd: 10.0.0.0/8\n", "warning"),
            ("ALL EXCEPT in.ftpd: ALL EXCEPT 10.\n", "", "warning"),
            ("sshd: ALL: twist /bin/echo ALL\n", "", "error"),
            ("ALL: ALL: spawn (echo deny)\n", "", "error"),
            ("sshd: 10.: allow\nALL: ALL\n", "", "warning"),
        ):
            files = {deny: denied, allow: allowed, **sshd}
            remedy = self.bad("sshd-config", level, "^/etc/hosts.deny: .*ALL.*: sshd hangs up", files)
            self.assertEqual(remedy, "vi %s%s" % (self.root, deny if level == "error" else allow))
            self.fill({"/usr/sbin/sshd": ""})
            self.good("sshd-config")
        allowed = "sshd: 10.0.0.0/255.0.0.0: allow\nALL: ALL: deny\n"
        remedy = self.bad("sshd-config", "warning", "^/etc/hosts.allow: ALL: ALL: deny: sshd", {allow: allowed, **sshd})
        self.assertEqual(remedy, "vi %s%s" % (self.root, allow))
        for denied in ("sshd: UNKNOWN\n", "sshd: *.*.*.*\n", "ssh*: ALL\n", "sshd: ALL: aclexec /bin/x\n"):
            self.bad("sshd-config", "warning", "^/etc/hosts.deny: ss.*: it cannot be det", {deny: denied, **sshd})
        for denied, allowed in (
            ("# ALL: ALL\n", ""),
            ("ALL: ALL\n", "ALL: ALL EXCEPT .bad.example\n"),
            ("sshd: UNKNOWN: allow\nsshd: ALL: banners /x: allow\n", ""),
            ("ALL: ALL\n", "sshd: ALL\n"),
            ("ALL: ALL\n", "ALL: ALL\n"),
            ("in.ftpd: ALL EXCEPT 10.\nALL: 192.168.\nin.ftpd: ALL\nALL: PARANOID\n", ""),
            ("ALL EXCEPT sshd: ALL\nnonsense\nALL: 10. EXCEPT 10.1.\n", ""),
        ):
            self.start()
            self.fill({deny: denied, allow: allowed, **sshd})
            self.good("sshd-config")

    def test_packet_filters(self) -> None:
        def enabled(name: str) -> "dict[str, str]":
            unit = "/usr/lib/systemd/system/%s.service" % name
            return {unit: "[Service]\n", WANTS + name + ".service": "-> " + unit}

        chain = "table inet x {\n chain input {\n type filter hook input priority 0; policy drop;\n %s\n }\n}\n"
        tables = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n%s\nCOMMIT\n"
        ufw = {"/etc/ufw/ufw.conf": "ENABLED=yes\n", "/etc/default/ufw": 'DEFAULT_INPUT_POLICY="DROP"\n'}
        last = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp %s\n-A INPUT -j REJECT\nCOMMIT\n"
        rest = '-A INPUT -i eth0 -m comment --comment "the rest" -j DROP\n'
        ssh, zone = "-A INPUT -p tcp --dport 22 -j ACCEPT\n", "/usr/lib/firewalld/zones/"
        accept = chain.replace("drop", "accept")
        cases = (
            ("nftables", "/etc/nftables.conf", chain, "tcp dport 80 accept", "tcp dport { ssh, 80 } accept"),
            ("nftables", "/etc/sysconfig/nftables.conf", chain, "iif lo accept", "tcp dport 20-25 accept"),
            (
                "netfilter-persistent",
                "/etc/iptables/rules.v4",
                tables,
                "#-p tcp --dport 22",
                "-p tcp --dport 22 -j ACCEPT",
            ),
            ("iptables", "/etc/sysconfig/iptables", tables, "--dport 443", "-A INPUT -i eth0 -j ACCEPT"),
            ("iptables", "/etc/sysconfig/iptables", tables, "-A INPUT -p tcp --dport 22 -j DROP", "-A x --dport 22"),
            ("iptables", "/etc/iptables/rules.v4", last, "--dport 443 -j ACCEPT", "--dport 22 -j ACCEPT"),
            ("iptables", "/etc/iptables/rules.v4", "%s\n", rest + ssh, ssh + rest),
            ("nftables", "/etc/nftables.conf", accept, "tcp dport 80 accept; reject", "tcp dport 22 accept; reject"),
            ("nftables", "/etc/nftables.conf", accept, "counter log drop", "ip saddr 10.0.0.0/8 drop"),
            ("nftables", "/etc/nftables.conf", chain, "tcp dport 22 drop", "policy drop; tcp dport 22 accept"),
            ("firewalld", zone + "public.xml", "<zone>%s</zone>", "<!-- ssh -->", '<service name="ssh"/>'),
            ("firewalld", zone + "public.xml", "<zone%s</zone>", ">", ' target="ACCEPT">'),
            (
                "ufw",
                "/etc/ufw/user.rules",
                "%s\n",
                "--dport 80 -j ACCEPT",
                "-A ufw-user-input -p tcp --dport 22 -j ACCEPT",
            ),
        )
        for service, path, text, bad, good in cases:
            files = {**enabled(service), **(ufw if service == "ufw" else {})}
            self.bad("sshd-config", "warning", "no rule for SSH: nobody may", {**files, path: text % bad})
            self.gone(WANTS + service + ".service")
            self.good("sshd-config")
            self.fill({**files, path: text % good if good[0] != "#" else good})
            self.good("sshd-config")
        files = {**enabled("firewalld"), zone + "drop.xml": "<zone/>", zone + "public.xml": '<zone a="ssh"/>'}
        self.start()
        self.fill(files)
        self.good("sshd-config")
        files["/etc/firewalld/firewalld.conf"] = "DefaultZone=drop\n"
        remedy = self.bad("sshd-config", "warning", "zone drop drops", files)
        self.assertTrue(remedy.endswith("firewall-offline-cmd --zone=drop --add-service=ssh"), remedy)
        self.fill({"/etc/firewalld/zones/my.xml": '<zone><interface name="eth0"/></zone>'})
        self.good("sshd-config")

    def test_no_session(self) -> None:
        """Settings with which nobody gets a session, or perhaps no shell."""
        for text, why in (
            ("ForceCommand /usr/sbin/nologin\n", "nobody gets a session"),
            ("ForceCommand false\n", "nobody gets a session"),
            ("ChrootDirectory /srv/jail/%u\n", "nobody gets a session"),
            ("MaxSessions 0\n", "nobody gets a session"),
            ("MaxAuthTries 0\n", "nobody can log in"),
            ("MaxStartups 0\n", "nobody can log in"),
            ("PerSourceMaxStartups 0\n", "nobody can log in"),
        ):
            self.config("error", "%s: %s" % (text.strip(), why), text)
        for text in (
            "ForceCommand internal-sftp\n",
            "ForceCommand /usr/bin/tlog-rec-session\n",
            "ChrootDirectory /run/jail\n",
            "ChrootDirectory /usr\n",
            "ChrootDirectory %h\n",
        ):
            self.config("warning", "%s: the administrator may get no shell" % text.strip(), text)
        for text in (
            "ForceCommand none\nChrootDirectory none\nMaxSessions 10\nMaxAuthTries 1\nPerSourceMaxStartups none\n",
            "ChrootDirectory /\nMaxStartups 10:30:100\nAddressFamily any\n",
        ):
            self.start()
            self.fill({DROP_IN: text})
            self.good("sshd-config")

    def test_kinds_of_keys(self) -> None:
        for keyword in ("PubkeyAcceptedAlgorithms", "PubkeyAcceptedKeyTypes"):
            self.config("error", "without ssh-rsa and ssh-ed25519: such keys let nobody in", keyword + " ssh-dss\n")
            self.config("warning", "without ssh-rsa: such keys", keyword + " ssh-ed25519,ecdsa-sha2-*\n")
            self.config("warning", "without ssh-ed25519: such keys", keyword + " rsa-sha2-512,rsa-sha2-256\n")
            self.config("warning", "without ssh-ed25519: such keys", keyword + " -ssh-ed25519*\n")
            self.config("warning", "without ssh-rsa: such keys", keyword + " -rsa-sha2-*\n")
        self.config("error", "without ssh-rsa and ssh-ed25519", "PubkeyAcceptedAlgorithms -rsa-*,ssh-ed25519*\n")
        self.config("warning", "the usual RSA keys, of 3072 bits", "RequiredRSASize 8192\n")
        authority = "TrustedUserCAKeys /etc/ssh/ca.pub\n"
        self.config("warning", "such keys", "PubkeyAcceptedAlgorithms ecdsa-*\n" + authority)
        for text in (
            "PubkeyAcceptedAlgorithms +ssh-dss\n",
            "PubkeyAcceptedAlgorithms -ssh-rsa,rsa-sha2-256,ecdsa-*\n",
            "PubkeyAcceptedAlgorithms -*,!ssh-ed25519\n",
            "PubkeyAcceptedAlgorithms rsa-sha2-*,ssh-ed25519*\nRequiredRSASize 3072\n",
        ):
            self.start()
            self.fill({DROP_IN: text})
            self.good("sshd-config")

    def test_network(self) -> None:
        self.config("error", "it cannot be reached from outside", "ListenAddress 127.0.0.1\n")
        self.config("error", "it cannot be reached from outside", "ListenAddress [::1]:22\nListenAddress localhost\n")
        self.config("warning", "without this address", "ListenAddress 192.168.77.5\nListenAddress 127.0.0.1\n")
        self.config("warning", "without this address", "ListenAddress 2001:db8::5\nListenAddress ::\n")
        self.config("warning", "a VM with IPv4 alone", "AddressFamily inet6\n")
        self.config("warning", "let only 22 in", "Port 2222\n")
        for text in (
            "ListenAddress 127.0.0.1\nListenAddress 0.0.0.0\n",
            "Port 22\nPort 2222\n",
            "AddressFamily inet\n",
            "ListenAddress 0.0.0.0:22 rdomain vrf-1\nListenAddress ::1\n",
            "ListenAddress myhost.example:22\n",
        ):
            self.start()
            self.fill({DROP_IN: text})
            self.good("sshd-config")

    def test_systemd_listens(self) -> None:
        """Then sshd's own addresses do not count, except with Ubuntu's generator."""
        unit = "/usr/lib/systemd/system/ssh.socket"
        files = {"/etc/systemd/system/sockets.target.wants/ssh.socket": "-> " + unit, unit: "[Socket]\nAccept=yes\n"}
        self.fill({DROP_IN: "ListenAddress 127.0.0.1\nAddressFamily inet6\n", **files})
        self.good("sshd-config")
        # Its own addresses do.
        drop_in, own = "/etc/systemd/system/ssh.socket.d/x.conf", WANTS + "ssh.service"
        self.gone(own)
        self.fill({unit: "[Socket]\nListenStream=22\n", DROP_IN: "Port 2222\n"})
        self.good("sshd-config")
        for streams, level in (
            (("", "127.0.0.1:22", "[::1]:22", "/run/x"), "error"),
            (("", "2222"), "warning"),
            (("", "0.0.0.0:2222", "[::]:2222"), "warning"),
            (("127.0.0.1:22",), "ok"),
            (("", "0.0.0.0:22", "[::]:22"), "ok"),
        ):
            self.fill({drop_in: "[Socket]\n" + "".join("ListenStream=%s\n" % stream for stream in streams)})
            (found,) = self.findings("sshd-config")
            self.assertEqual(found.level, level, found)
            if level != "ok":
                self.assertEqual(found.remedy, "chroot %s systemctl revert ssh.socket" % self.root)
        generator = "/usr/lib/systemd/system-generators/sshd-socket-generator"
        self.fill({generator: "", DROP_IN: "ListenAddress 127.0.0.1\n"})
        self.make_program(generator)
        self.assertEqual([one.level for one in self.findings("sshd-config")], ["error"])

    def test_password_login_cannot_be_enabled(self) -> None:
        text = "PasswordAuthentication no\n"
        self.bad("sshd-config", "warning", "no drop-ins are read", {CONFIG: text})
        self.start()
        self.fill({CONFIG: text, OPTIONS: "password_login = no\n"})
        self.good("sshd-config")

    def test_nologin(self) -> None:
        remedy = self.bad("sshd-config", "error", "lets nobody but root in", {"/etc/nologin": ""})
        self.assertEqual(remedy, "rm %s/etc/nologin" % self.root)
        # systemd removes it in each boot, unless that unit is masked: then the file in /run stays, too.
        unit = "systemd-user-sessions.service"
        folder = "/usr/lib/systemd/system/"
        opened = {folder + unit: "[Service]\n", "/usr/lib/tmpfiles.d/systemd-nologin.conf": ""}
        opened[folder + "multi-user.target.wants/" + unit] = "-> ../" + unit
        pam = {"/etc/pam.d/sshd": "account required pam_nologin.so\n", DROP_IN: "UsePAM yes\n"}
        masked = {**opened, **pam, "/etc/systemd/system/" + unit: "-> /dev/null"}
        self.start()
        self.fill({**opened, **pam, "/etc/nologin": ""})
        self.good("sshd-config")
        self.start()
        self.fill({**masked, "/etc/nologin": ""})
        said = [finding.message.split(" lets")[0].split()[-1] for finding in self.findings("sshd-config")]
        self.assertEqual(said, ["/etc/nologin", "/run/nologin"])
        self.start()
        remedy = self.bad("sshd-config", "error", unit + " does not run: /run/nologin lets nobody", masked)
        self.assertEqual(remedy, "chroot %s systemctl unmask systemd-user-sessions" % self.root)
        self.start()
        self.fill({**masked, "/etc/pam.d/sshd": "auth required pam_nologin.so\n"})
        self.good("sshd-config")


class AdministratorTest(CheckTest):
    def test_account(self) -> None:
        self.good("account", "editing the files, with /bin/sh")
        self.bad("account", "error", "no shell", gone=["/bin/sh"])
        self.bad("account", "error", "without /etc/passwd", gone=["/etc/passwd"])
        self.bad("account", "error", "without /etc/group", {"/etc/group": ""})
        self.bad("account", "warning", "account = no", {OPTIONS: "account = no\n"})
        self.start()
        self.fill({"/usr/sbin/useradd": ""})
        self.good("account", "made by useradd")
        self.gone("/etc/group")  # a VM from this image was booted: useradd created the account
        self.good("account", "made by useradd")

    def test_no_uid_is_free(self) -> None:
        full = {"/etc/login.defs": "UID_MIN 1000\nUID_MAX 1001\n"}
        full["/etc/passwd"] = "root:x:0:0::/root:/bin/sh\njoe:x:1000:1000::/home/joe:/bin/sh\n"
        full["/etc/group"] = "root:x:0:\njoe:x:1000:\nstaff:x:1001:\n"
        remedy = self.bad("account", "error", "no uid is free", full)
        self.assertEqual(remedy, "vi %s/etc/login.defs" % self.root)
        self.fill({"/usr/sbin/useradd": ""})
        self.good("account")  # the group gets another number
        self.fill({"/etc/passwd": full["/etc/passwd"] + "ann:x:1001:1001::/home/ann:/bin/sh\n"})
        self.assertEqual([one.level for one in self.findings("account")], ["error"])
        self.gone("/usr/sbin/useradd")
        self.fill({"/bin/busybox": "", "/usr/sbin/adduser": "-> /bin/busybox"})
        self.good("account")  # its limits are not those of login.defs

    @unittest.skipIf(os.geteuid() != 0, "only root can make a file immutable: none was found")
    def test_immutable_files(self) -> None:
        """Hardened images have such; the remedy, executed, makes them writable again."""
        for name, path in (("account", "/etc/shadow"), ("account", "/etc"), ("hostname", "/etc/hostname")):
            self.start()
            self.fill({path: "x\n"} if path == "/etc/hostname" else {"/etc/shadow": "root:*:1::::::\n"})
            place = self.root + path
            if subprocess.call(["chattr", "+i", place], stderr=subprocess.DEVNULL) != 0:
                self.skipTest("this file system knows no immutable files: none was found")
            try:
                (found,) = self.findings(name)
            finally:
                subprocess.check_call(["chattr", "-ia", place])
            self.assertEqual((found.level, found.remedy), ("error", "chattr -ia " + place))
            self.assertIn("not even root can change %s (" % path, found.message)
            self.good(name)

    def test_home(self) -> None:
        """The home is created below /home, which may be missing. `check` finds why a boot would fail, and the remedy is
        executed."""
        account = Account("ann", "x", os.geteuid(), os.getegid(), "", "/home/ann", "/bin/sh")
        for files, pattern in (
            ({"/home": "-> /data/home"}, "/home is a link to /data/home, which is missing"),
            ({"/home": "-> ../data/home"}, "/home is a link to /data/home, which is missing"),
            ({"/home": "-> /data/home", "/data": ""}, "/home is a link to /data/home, and /data is not a folder"),
            ({"/home": ""}, "/home is not a folder"),
            ({"/home": "-> /etc/hostname"}, "/home is a link to /etc/hostname, which is not a folder"),
            ({"/home": "-> home"}, "/home is a link to itself"),
            ({"/home": "-> /dev/null"}, "/home is a link to /dev/null"),
            ({"/home": "-> /data/home", "/data/x": ""}, ""),
            ({"/home": "-> /data/home", "/etc/fstab": "UUID=0 / ext4\nUUID=1 /data ext4\n"}, None),
            ({}, ""),
        ):
            with self.subTest(files):
                self.start()
                self.fill(files)
                found = [one for one in self.findings("account") if one.level != "ok"]
                if pattern:
                    self.assertRegex(found[0].message, "cannot be made: " + pattern)
                    with self.assertRaises(GuestError):
                        ensure_home(self.system, account)
                    self.assertEqual((len(found), found[0].level), (1, "error"))
                    self.assertEqual(call(["sh", "-c", found[0].remedy]).code, 0, found[0].remedy)
                self.assertEqual([one.level for one in self.findings("account")], ["ok"])
                if pattern is not None:  # a path that will be mounted does not exist yet
                    ensure_home(self.system, account)
        fstab = "UUID=0 / ext4\nUUID=1 /home ext4 %s\n"
        self.bad("account", "error", "/home is mounted read-only", {"/etc/fstab": fstab % "noatime,ro"})
        self.fill({"/etc/fstab": fstab % "defaults"})
        self.good("account")
        self.bad("account", "error", "cannot be made: /srv is not a folder", {
            "/etc/default/useradd": "# HOME=/home\nHOME=/srv\n", "/usr/sbin/useradd": "", "/srv": "",
        })  # fmt: skip

    def test_hostname(self) -> None:
        remedy = self.bad("hostname", "error", "belongs to the distro", {"/etc/hostname": "-> /nix/store/x-hostname"})
        self.assertIn("hostname = no", remedy)
        self.fill({OPTIONS: "hostname = no\n"})
        self.assertEqual(self.findings("hostname"), [])

    def test_privilege(self) -> None:
        remedy = self.bad("privilege", "warning", "neither sudo nor doas", gone=["/usr/bin/sudo"])
        self.assertEqual(
            remedy, "chroot %s sh -c 'apt-get update && apt-get install -y --no-install-recommends sudo'" % self.root
        )
        self.fill({OPTIONS: "sudo = no\n"})
        self.assertEqual(self.findings("privilege"), [])
        self.fill({OPTIONS: ""})
        self.make_able("/usr/bin/doas")
        self.good("privilege", "by /usr/bin/doas$")
        self.make_able("/usr/bin/sudo", '#!/bin/sh\nexec doas "$@"\n')
        self.good("privilege", "by /usr/bin/doas$")
        self.make_able("/usr/bin/sudo", "\x7fELF")
        self.good("privilege", "by /usr/bin/sudo and /usr/bin/doas$")

    def make_able(self, path: str, text: str = "") -> None:
        """A program that runs as root."""
        self.fill({path: text})
        os.chmod(self.root + path, 0o4755)

    def lessened(self, pattern: str, path: str, mode: int) -> str:
        """With this mode sudo or doas does not do all of its work; the remedy repairs it."""
        os.chmod(self.root + path, mode)
        found = [one for one in self.findings("privilege") if one.level != "ok"]
        self.assertEqual([one.level for one in found], ["warning"], found)
        self.assertRegex(found[0].message, pattern)
        done = call(["sh", "-c", found[0].remedy])
        self.assertEqual(done.code, 0, done)
        self.good("privilege")
        return found[0].remedy

    def test_sudo_without_setuid(self) -> None:
        self.lessened("^/usr/bin/sudo does not run as root: .* setuid bit", "/usr/bin/sudo", 0o755)
        self.gone("/usr/bin/sudo")
        self.make_able("/usr/bin/doas")
        self.lessened("^/usr/bin/doas does not run as root", "/usr/bin/doas", 0o755)
        self.make_able("/usr/bin/sudo")
        os.chmod(self.root + "/usr/bin/doas", 0o755)
        self.assertEqual([one.level for one in self.findings("privilege")], ["warning", "ok"])

    def test_sudo_as_a_script(self) -> None:
        """For a script the bit has no effect: one that calls a sudo is fine, one for another program is no sudo."""
        self.fill({"/usr/bin/sudo": '#!/bin/sh\nexec /opt/bin/sudo "$@"\n'})
        os.chmod(self.root + "/usr/bin/sudo", 0o755)
        self.good("privilege")
        self.fill({"/usr/bin/sudo": '#!/bin/sh\nexec run0 "$@"\n'})
        (found,) = self.findings("privilege")
        self.assertEqual(found.level, "warning")
        self.assertRegex(found.message, "^neither sudo nor doas")
        self.assertNotIn("chmod", found.remedy)

    def test_what_sudo_reads(self) -> None:
        """Real sudo, built with SSSD, then answers that the administrator may run nothing."""
        path, conf = "/etc/nsswitch.conf", "passwd: files\n sudoers: sss  # x\nsudoers: files\n"
        remedy = self.bad("privilege", "warning", "line 2, has no files: it cannot be determined", {path: conf})
        self.assertEqual(call(["sh", "-c", remedy]).code, 0)
        self.good("privilege")
        self.assertEqual(self.text(path), conf.replace(" sudoers:", " sudoers: files"))
        for text in ("sudoers: files sss\n", "sudoers:\n", "#sudoers: sss\n"):
            self.fill({path: text})
            self.good("privilege")

    def test_sudo_makes_another_user(self) -> None:
        bad = "Defaults env_reset, runas_default=nobody\n"
        main = {"/etc/sudoers": "@includedir sudoers.d\n@include more\n"}
        for path in ("/etc/sudoers", "/etc/sudoers.d/a", "/etc/more"):
            files = {**main, path: bad + main.get(path, "")}
            remedy = self.bad("privilege", "warning", "%s: .* as nobody" % path, files)
            self.assertEqual(remedy, "vi %s%s" % (self.root, path))
        for line in ("Defaults runas_default=root\n", "Defaults:joe runas_default=nobody\n", "#" + bad, ""):
            self.fill({"/etc/more": line})
            self.good("privilege")

    def test_pam_of_sudo(self) -> None:
        modules = {"/usr/lib/security/pam_%s.so" % name: "" for name in ("deny", "permit", "unix", "sss", "listfile")}
        for text, pattern in (
            ("account required pam_deny.so\n", "sudo: account required pam_deny.so: PAM lets nobody use sudo"),
            ("account required pam_sss.so\n", "pam_sss.so: it cannot be determined whether PAM lets anybody use sudo"),
            ("account required pam_listfile.so\n", "pam_listfile.so: it cannot be determined"),
        ):
            remedy = self.bad("privilege", "warning", pattern, {**modules, "/etc/pam.d/sudo": text})
            self.assertEqual(remedy, "vi %s/etc/pam.d/sudo" % self.root)
        sound = "account required pam_unix.so\n-account required pam_x.so\naccount optional pam_x.so\n"
        for text in (sound, "account [success=ok default=ignore] pam_x.so\n", "auth required pam_deny.so\n"):
            self.fill({"/etc/pam.d/sudo": text})
            self.good("privilege")
        self.gone("/usr/lib/security")  # the modules are elsewhere
        self.fill({"/etc/pam.d/sudo": "account required pam_tally2.so\n"})
        self.good("privilege")

    def test_sudo_is_a_link_to_another_program(self) -> None:
        """No remedy gives the setuid bit to a program that is no sudo."""
        self.gone("/usr/bin/sudo")
        self.fill({"/usr/bin/systemd-run": "\x7fELF", "/usr/bin/run0": "-> systemd-run", "/usr/bin/sudo": "-> run0"})
        (found,) = self.findings("privilege")
        self.assertRegex(found.message, "^neither sudo nor doas")
        self.assertNotIn("chmod", found.remedy)

    def test_files_refused_by_sudo(self) -> None:
        main, other = "/etc/sudoers", "/etc/sudoers.d/other"
        self.fill({main: "@includedir /etc/sudoers.d\n", other: "Defaults x\nbob ALL = ALL\nUser_Alias \\\n\tA = b\n"})
        self.good("privilege")
        remedy = self.lessened("everybody may write to /etc/sudoers: sudo lets nobody become root", main, 0o666)
        self.assertEqual(remedy, "chmod go-w %s/etc/sudoers" % self.root)
        self.lessened("everybody may write to /etc/sudoers.d/other: sudo ignores the file", other, 0o646)
        os.chmod(self.root + main, 0o660)  # sudo accepts root's own group
        self.good("privilege")
        self.fill({other: "# x\n\nbob ALL ALL\n"})
        self.lessened("other, line 3, has no equals sign: sudo ignores the line", other, 0o640)
        self.assertEqual(self.text(other), "# x\n\n#bob ALL ALL\n")
        self.fill({other + ".off": "bob ALL ALL\n", main: "root ALL=(ALL) ALL\n", other: "bob ALL ALL\n"})
        self.good("privilege")

    def test_files_of_other_owners(self) -> None:
        if os.getuid() != 0:
            self.skipTest("not root: no file of another owner was tried")
        self.fill({"/etc/sudoers": ""})
        os.chown(self.root + "/etc/sudoers", 1000, 0)
        self.lessened("the user 1000 may write to /etc/sudoers: sudo lets nobody", "/etc/sudoers", 0o440)
        os.chown(self.root + "/usr/bin/sudo", 1000, 0)
        self.lessened("does not run as root", "/usr/bin/sudo", 0o4755)
        self.gone("/usr/bin/sudo")
        self.make_able("/usr/bin/doas")
        self.fill({"/etc/doas.conf": "permit nopass root\n"})
        os.chown(self.root + "/etc/doas.conf", 1000, 0)
        self.lessened("the user 1000 may write to /etc/doas.conf: doas lets nobody", "/etc/doas.conf", 0o600)

    def test_growth(self) -> None:
        remedy = self.bad("grow-root", "warning", "neither growpart nor sfdisk", gone=["/usr/sbin/sfdisk"])
        self.assertIn("cloud-guest-utils", remedy)
        self.bad("grow-root", "warning", "no resize2fs", gone=["/usr/sbin/resize2fs"])
        self.fill({OPTIONS: "grow_root = no\n"})
        self.assertEqual(self.findings("grow-root"), [])

    def test_growth_of_the_kind_of_root(self) -> None:
        """Each kind has its tool, and some cannot be grown, like a device of dm-crypt."""
        crypt, mapped = "the root is encrypted", {FSTAB: "/dev/mapper/root / ext4\n"}
        luks = {FSTAB: "/dev/mapper/luks-0a1b-2c / xfs\n", "/usr/sbin/xfs_growfs": ""}
        for pattern, files in (
            ("of type xfs, and there is no xfs_growfs", {FSTAB: "UUID=0 / xfs defaults 0 0\n"}),
            ("of type btrfs, and there is no btrfs", {FSTAB: "UUID=0 / btrfs subvol=@\n"}),
            ("of type f2fs cannot be grown", {FSTAB: "UUID=0 / f2fs\n"}),
            (crypt, luks),
            (crypt, dict(mapped, **{"/etc/crypttab": "# x\nroot UUID=1 none luks\n"})),
            (crypt, dict(mapped, **{GRUB_CFG: GRUB.replace("ro ", "ro cryptdevice=UUID=1:root ")})),
        ):
            self.bad("grow-root", "warning", pattern, files)
        self.start()
        for files in (
            mapped,
            {"/etc/crypttab": "data UUID=1 none luks\n"},
            {FSTAB: "UUID=0 / xfs\n", "/usr/sbin/xfs_growfs": ""},
            {FSTAB: "UUID=0 / auto\n"},
            {FSTAB: "overlay / overlay\n"},
        ):
            self.fill(files)
            self.good("grow-root")

    def test_growth_with_lvm(self) -> None:
        """The volume is between the partition and the file system."""
        grub = "/boot/grub/grub.cfg"
        for files in (
            {"/etc/fstab": "/dev/mapper/rhel-root / xfs defaults 0 0\n"},
            {"/etc/fstab": "/dev/vg0/root / ext4 defaults 0 1\n"},
            {"/etc/fstab": "UUID=0 / xfs defaults 0 0\n", grub: GRUB.replace("ro ", "ro rd.lvm.lv=rhel/root ")},
            {grub: GRUB.replace("UUID=0", "/dev/mapper/rocky-root")},
        ):
            remedy = self.bad("grow-root", "warning", "the root is on LVM, and there is no lvm", files)
            self.assertEqual(
                remedy,
                "chroot %s sh -c 'apt-get update && apt-get install -y --no-install-recommends lvm2'" % self.root,
            )
            self.fill({"/usr/sbin/lvm": "", "/usr/sbin/xfs_growfs": ""})
            self.good("grow-root")
        for source in ("/dev/mapper/luks", "/dev/disk/by-uuid/0", "LABEL=x", "/dev/sda2"):
            self.start()
            self.fill({"/etc/fstab": "%s / ext4 defaults 0 1\n" % source})
            self.good("grow-root")


class PasswordsTest(CheckTest):
    def with_field(self, field: str) -> str:
        return "root:*:19000:0:99999:7:::\nuser:%s:19000:0:99999:7:::\n" % field

    def test_passwords(self) -> None:
        shadow = "/etc/shadow"
        self.good("passwords", "no account of the image has one")
        remedy = self.bad("passwords", "warning", "no password is needed for: user", {shadow: self.with_field("")})
        self.assertEqual(remedy, "chroot %s passwd -l user" % self.root)
        secret, known = hash_sha512(b"something else", "salt"), hash_sha512(b"changeme", "salt")
        self.bad("passwords", "warning", "^user has a password, the same", {shadow: self.with_field(secret)})
        self.bad("passwords", "warning", "^everybody knows .* of user", {shadow: self.with_field(known)})
        self.bad("passwords", "warning", "^user has a password", {shadow: self.with_field("$1$x$y")})
        self.bad("passwords", "warning", "everybody", {shadow: self.with_field(hash_sha512(b"user", "salt"))})
        for field in ("*", "!", "!!", "!*", "!" + secret, "x", "*LK*"):
            self.start()
            self.fill({shadow: self.with_field(field)})
            self.good("passwords")

    def test_without_shadow(self) -> None:
        self.gone("/etc/shadow")
        self.fill({"/etc/passwd": "root::0:0::/root:/bin/sh\n"})
        self.assertRegex(self.findings("passwords")[0].message, "no password is needed for: root")

    def test_hash_is_not_shown(self) -> None:
        secret = hash_sha512(b"something else", "salt")
        self.fill({"/etc/shadow": self.with_field(secret)})
        self.assertNotIn(secret, str(self.findings("passwords")))
