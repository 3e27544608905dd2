"""`check`: what prevents OpenSSH's server from starting."""

import os
import shutil
from typing import Dict, Optional

from tests.images import call
from tests.sound import CheckTest

CONFIG = "/etc/ssh/sshd_config"
DROP_IN = "/etc/ssh/sshd_config.d/50-x.conf"
SSHD = "/usr/sbin/sshd"
MARKER = "/etc/ssh/sshd_not_to_be_run"
UNIT = "/usr/lib/systemd/system/ssh.service"
# The strings of an sshd that matter here. A linker keeps `match` only as the end of `nomatch`.
WORDS = (
    "pubkeyauthentication passwordauthentication port usepam include nomatch hostkey debianbanner x11forwarding "
    "authorizedkeysfile allowusers protocol strictmodes permitrootlogin loglevel ciphers subsystem localaddress "
    "authorizedkeyscommand authorizedkeyscommanduser"
)
PROGRAM = (
    "\x7fELF\0" + WORDS.replace(" ", "\0") + "\0/etc/ssh/sshd_config\0Privilege separation user %s does not exist\0"
)
PASSWD = "root:x:0:0:root:/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"


class StartTest(CheckTest):
    def make(self) -> None:
        super().make()
        self.fill({SSHD: PROGRAM, "/etc/passwd": PASSWD, CONFIG: "Include /etc/ssh/sshd_config.d/*.conf\n#UsePAM x\n"})

    def stops(self, pattern: str, files: "Optional[Dict[str, str]]" = None, *, mended: bool = True) -> str:
        """The change prevents sshd from starting, and the remedy repairs it."""
        remedy = self.bad("sshd-config", "error", pattern, files)
        if mended:
            done = call(["sh", "-c", remedy])
            self.assertEqual(done.code, 0, done)
            self.good("sshd-config")
        return remedy

    def test_unknown_keyword(self) -> None:
        text = "# hardened\nUsePAM yes\n  PermitRootLogn no\nX11Forwarding no\n"
        remedy = self.stops("^%s, line 3: permitrootlogn is no keyword of this sshd" % DROP_IN, {DROP_IN: text})
        self.assertEqual(remedy, "sed -i '3s/^/#/' %s%s" % (self.root, DROP_IN))
        self.assertEqual(self.text(DROP_IN), text.replace("  Permit", "#  Permit"))
        self.stops("<<<<<<< is no keyword", {CONFIG: "Port 22\n<<<<<<< HEAD\n"})
        self.stops("gatewayport is no keyword", {CONFIG: "Match User bob\n  GatewayPort no\n"})
        self.fill({CONFIG: "X no\n" * 50})
        self.assertEqual(len(self.findings("sshd-config")), 10)
        self.stops("yes is no keyword", {CONFIG: "yes\n"})
        self.stops(r"ma\\xdf is no keyword", {CONFIG: "ma\xdf no\n"})

    def test_program_with_keywords_in_mixed_case(self) -> None:
        """OpenSSH from 10.6 on; a word that only other text of the program has in capitals is none."""
        mixed = PROGRAM.replace("pubkeyauthentication", "PubkeyAuthentication").replace("usepam", "UsePAM")
        files = {SSHD: mixed.replace("permitrootlogin", "PermitRootLogin").replace("match", "Match")}
        self.fill({DROP_IN: "UsePAM yes\npermitrootlogin no\nPermitRootLogin no\nMatch User bob\n", **files})
        self.good("sshd-config")
        self.stops("permitrotlogin is no keyword", {DROP_IN: "PermitRotLogin no\n", **files})
        self.stops("usebanner is no keyword", {DROP_IN: "UseBanner no\n", SSHD: PROGRAM + "UseBanner\0"})

    def test_known_keyword(self) -> None:
        """Also an old option, one of the distro, in capitals, quoted, or with an equals sign."""
        text = 'Protocol 2\nDEBIANBANNER no\n"UsePAM" yes\nPort=22\nMatch User bob\n\tX11Forwarding no\n'
        self.fill({DROP_IN: text})
        self.good("sshd-config")

    def test_unknown_sshd_program(self) -> None:
        self.fill({SSHD: "#!/bin/sh\n", DROP_IN: "PermitRootLogn no\n", "/etc/passwd": "root:x:0:0::/:/bin/sh\n"})
        self.good("sshd-config")

    def test_values(self) -> None:
        self.stops("line 1: passwordauthentication is neither yes nor no", {DROP_IN: "PasswordAuthentication off\n"})
        self.stops("line 2: passwordauthentication has no value", {DROP_IN: "\nPasswordAuthentication\n"})
        newer = {SSHD: PROGRAM + "%s line %d: no argument after keyword\0", DROP_IN: "AllowUsers\n"}
        self.stops("line 1: allowusers has no value", newer)
        self.stops("line 1: 22x is no port", {DROP_IN: "Port 22x\nPort 22\n"})
        for text in (
            'PasswordAuthentication "yes"\n',
            "PasswordAuthentication No\n",
            "Port ssh\nPort 22\n",
            "AllowUsers\n",
        ):
            self.start()
            self.fill({DROP_IN: text})
            self.good("sshd-config")

    def test_choices(self) -> None:
        for text, why in (
            ("PermitRootLogin nope\n", "permitrootlogin nope is not one of: yes no"),
            ("LogLevel FOO\n", "loglevel foo is not"),
            ("PasswordAuthentication no yes\n", "passwordauthentication has more than one value"),
            ("PermitRootLogin no no\n", "permitrootlogin has more than one value"),
        ):
            self.stops("line 1: " + why, {DROP_IN: text})
        self.fill({DROP_IN: "PermitRootLogin Prohibit-Password # x\nLogLevel debug1\nPasswordAuthentication no #\n"})
        self.good("sshd-config")

    def test_quotes(self) -> None:
        newer = PROGRAM + "%s line %d: invalid quotes\0"
        self.stops("line 1: a quote does not end", {SSHD: newer, DROP_IN: "AuthorizedKeysFile .a '.b\n"})
        self.stops("line 1: a quote does not end", {SSHD: newer, DROP_IN: 'AuthorizedKeysFile "a\\" b\n'})
        self.fill({SSHD: newer, DROP_IN: "AuthorizedKeysFile \"a'\" b\\' '\\'' # don't\n"})
        self.good("sshd-config")
        self.fill({SSHD: PROGRAM, DROP_IN: "AllowUsers o'neill *\n"})
        self.good("sshd-config")

    def test_algorithms(self) -> None:
        program = PROGRAM + "aes128-ctr\x00aes256-gcm@openssh.com\0"
        self.stops("ciphers has arcfour256, which this", {SSHD: program, DROP_IN: "Ciphers +aes128-ctr,arcfour256\n"})
        for text, known in (("aes128-ctr,aes256-gcm@openssh.com", program), ("-arcfour*", program), ("x", PROGRAM)):
            self.fill({SSHD: known, DROP_IN: "Ciphers %s\n" % text})
            self.good("sshd-config")

    def test_subsystem(self) -> None:
        """Versions before 9.5 refuse the second, except in a Match block."""
        older = PROGRAM + "%s line %d: too many subsystems defined.\0"
        line = "Subsystem sftp internal-sftp\n"
        self.stops("x.conf, line 2: subsystem sftp is defined twice", {SSHD: older, DROP_IN: line * 2})
        for program, text in ((older, line + "Match User bob\n" + line), (PROGRAM, line * 2)):
            self.fill({SSHD: program, DROP_IN: text})
            self.good("sshd-config")

    def test_command_without_a_user(self) -> None:
        self.stops(
            "line 1: authorizedkeyscommand needs authorizedkeyscommanduser", {DROP_IN: "AuthorizedKeysCommand /x\n"}
        )
        for text in ("AuthorizedKeysCommand none\n", "AuthorizedKeysCommand /x\nAuthorizedKeysCommandUser nobody\n"):
            self.fill({DROP_IN: text})
            self.good("sshd-config")

    def test_criteria(self) -> None:
        for text in ("Match Users bob\n", "Match Nonsense bob\n"):
            self.stops("line 1: .* is no criterion of Match", {DROP_IN: text})
        for text in ("Match LocalAddress 10.0.0.1\n", "Match user=bob\n", "Match all\n", "Match Version x\n"):
            self.fill({DROP_IN: text})
            self.good("sshd-config")

    def test_match(self) -> None:
        files = {CONFIG: "Match User bob\n  X11Forwarding no\nPort 22\n"}
        self.stops("line 3: port must not be in a Match block", files)
        self.fill({CONFIG: "Match User bob\n  X11Forwarding no\nMatch all\nPort 22\n"})
        self.good("sshd-config")

    def test_no_configuration(self) -> None:
        self.start()
        os.unlink(self.root + CONFIG)
        (found,) = self.findings("sshd-config")
        self.assertEqual((found.level, found.remedy), ("error", "touch %s%s" % (self.root, CONFIG)))
        self.fill({"/usr/share/openssh/sshd_config": "UsePAM yes\n"})
        (found,) = self.findings("sshd-config")
        self.assertRegex(found.message, "^%s is missing: sshd does not start" % CONFIG)
        self.assertEqual(call(["sh", "-c", found.remedy]).code, 0)
        self.assertEqual(self.text(CONFIG), "UsePAM yes\n")
        self.good("sshd-config")

    def test_configuration_elsewhere(self) -> None:
        """openSUSE's program looks in two places, and an option names a third."""
        self.fill({SSHD: PROGRAM + "/usr/etc/ssh/sshd_config\0", "/usr/etc/ssh/sshd_config": ""})
        os.unlink(self.root + CONFIG)
        self.good("sshd-config")
        self.start()
        shutil.move(self.root + CONFIG, self.root + "/etc/other")
        self.fill({UNIT: "[Service]\nExecStart=%s -D -f /etc/other\n" % SSHD})
        os.chmod(self.root + SSHD, 0o755)
        self.good("sshd-config")
        os.unlink(self.root + "/etc/other")
        self.assertRegex(self.findings("sshd-config")[0].message, "^/etc/other is missing")

    def test_marker(self) -> None:
        marked = {MARKER: "", UNIT: "[Unit]\nConditionPathExists=!%s\n" % MARKER}
        self.assertEqual(self.stops("keeps the boot from starting sshd", marked), "rm %s%s" % (self.root, MARKER))
        self.fill({MARKER: "", UNIT: "[Unit]\n"})
        self.good("sshd-config")

    def test_marker_of_a_script(self) -> None:
        self.empty()
        self.image("insserv")
        self.fill({SSHD: "", MARKER: "", CONFIG: ""})
        self.good("sshd-config")
        self.system.write("/etc/init.d/ssh", (self.text("/etc/init.d/ssh") or "") + "[ -e %s ] && exit 0\n" % MARKER)
        self.assertEqual([one.level for one in self.findings("sshd-config")], ["error"])

    def test_user(self) -> None:
        alone = {"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"}
        self.assertEqual(self.stops("the user sshd is missing: sshd does not start", alone, mended=False), "")
        tool = {"/usr/sbin/useradd": "", "/usr/sbin/nologin": "", **alone}
        remedy = self.stops("the user sshd is missing", tool, mended=False)
        self.assertEqual(remedy, "chroot %s useradd -r -d /run/sshd -s /usr/sbin/nologin sshd" % self.root)
        remedy = self.stops("the user sshd", {"/etc/group": "root:x:0:\nsshd:x:9:\n", **tool}, mended=False)
        self.assertTrue(remedy.endswith(" -g sshd sshd"), remedy)
        remedy = self.stops("the user sshd", {"/usr/sbin/adduser": "-> /bin/busybox", "/bin/busybox": "", **alone},
                              mended=False)  # fmt: skip
        self.assertIn("adduser -S -D -H", remedy)
        rules = {"/usr/lib/sysusers.d/x.conf": 'u sshd - "sshd" /run/sshd\n', "/usr/bin/systemd-sysusers": "", **alone}
        remedy = self.bad("sshd-config", "warning", "unless the boot starts systemd-sysusers", rules)
        self.assertEqual(remedy, "chroot %s systemd-sysusers" % self.root)

    def test_user_of_sysusers(self) -> None:
        """systemd-sysusers runs at boot on systemd only, and there only after an update of /usr."""
        rules = {
            "/usr/lib/sysusers.d/x.conf": 'u sshd - "sshd" /run/sshd\n',
            "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
            "/usr/bin/systemd-sysusers": "",
        }
        for age, level in ((-60, "warning"), (60, "error")):
            self.start()
            self.fill({"/etc/.updated": "", **rules})
            usr = os.stat(self.root + "/usr").st_mtime
            os.utime(self.root + "/etc/.updated", (usr + age, usr + age))
            (found,) = self.findings("sshd-config")
            self.assertEqual((found.level, found.remedy), (level, "chroot %s systemd-sysusers" % self.root), age)
        for image in ("insserv", "openrc of debian", "openrc on busybox", "runit of void", "s6 of artix", "slackware"):
            with self.subTest(image):
                self.empty()
                self.image(image)
                self.fill({SSHD: PROGRAM, CONFIG: "", "/etc/group": "root:x:0:\n", **rules})
                self.install()
                found = self.findings("sshd-config")[0]
                self.assertEqual((found.level, found.remedy), ("error", "chroot %s systemd-sysusers" % self.root))

    def test_user_elsewhere(self) -> None:
        alone = {"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"}
        for files in (
            {"/usr/lib/passwd": "sshd:x:74:74::/:/x\n"},
            {"/usr/lib/userdb/sshd.user": "{}"},
            {SSHD: PROGRAM + "nobody\0"},
        ):
            with self.subTest(files):
                self.start()
                self.fill({**alone, **files})
                self.good("sshd-config")
