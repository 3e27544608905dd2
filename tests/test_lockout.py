"""Real images boot, and a client outside logs in; or Azure gets the reason why no login works.

Each case is a lock-out seen in ordinary images. The test compares the program's verdict with the real sshd and sudo.
"""

import base64
import os
import re
import unittest
from typing import Dict, Tuple

from tests.guests import BuiltTest
from tests.lockout import Case, Found, find_tree, play

CONFIG = "/etc/ssh/sshd_config"
NOT_OPENED = "ln -s /dev/null /etc/systemd/system/systemd-user-sessions.service"
APPEND = "cat >>/etc/ssh/sshd_config <<'END'\n%s\nEND\n"
PLAIN = "printf '%%s\\n' 'UsePAM yes' 'KbdInteractiveAuthentication no' '%s' >/etc/ssh/sshd_config"
RULE = "printf '%%s\\n' '%s' >%s; chmod 440 %s"
BAKED = "useradd -m -s /bin/bash ann; install -d -o ann -g ann -m 700 /home/ann/.ssh;"
KEYS = "/home/ann/.ssh/authorized_keys"

ACCESS = "echo 'account required pam_access.so' >>/etc/pam.d/sshd; printf '%s\\n' >/etc/security/access.conf"

# Corrected: the administrator logs in by key (or by password), and becomes root.
LET_IN: "Dict[str, Case]" = {
    "untouched": Case(""),
    "by password": Case("", key=False, login="password"),
    "TCP wrappers": Case("echo 'ALL: ALL' >/etc/hosts.deny; echo 'sshd: 203.0.113.' >/etc/hosts.allow"),
    "its own address": Case(APPEND % "ListenAddress 127.0.0.1\nListenAddress 10.0.0.4"),
    "a network is barred": Case(APPEND % "DenyUsers *@192.168.0.0/16"),
    "a name with a mark": Case(APPEND % "AllowGroups !sudo *\nAllowUsers !ann *\nDenyUsers !ann"),
    "pam_access": Case(ACCESS % "+:(sudo):ALL\\n-:ALL:ALL"),
    "another configuration": Case(
        "cp %s /etc/ssh/other; mkdir -p /srv/keys; sed -i '1i AuthorizedKeysFile /srv/keys/%%u' /etc/ssh/other;"
        % CONFIG
        + "echo \"SSHD_OPTS='-f /etc/ssh/other'\" >/etc/default/ssh;"
        + APPEND % "DenyUsers *"
    ),
    "another configuration, by password": Case(
        "echo 'UsePAM yes' >/etc/ssh/other; echo 'SSHD_OPTS=\"-4 -f/etc/ssh/other\"' >/etc/default/ssh;"
        + APPEND % "DenyUsers *",
        key=False,
        login="password",
    ),
    "a rule in a later file": Case(RULE % ("%%sudo ALL=(ALL:ALL) ALL", *("/etc/sudoers.d/99-local",) * 2)),
    "a rule in the last file": Case(RULE % ("%%sudo ALL=(ALL:ALL) ALL", *("/etc/sudoers.d/zzz-local",) * 2)),
    "a rule at the end": Case("echo '%sudo ALL=(ALL:ALL) ALL' >>/etc/sudoers"),
    "a rule of its own at the end": Case("echo 'ann ALL=(ALL) ALL' >>/etc/sudoers", runs=("run", "run --force")),
    "a rule after the folder, without a newline": Case("printf 'ALL ALL=(ALL) PASSWD: ALL' >>/etc/sudoers"),
    "sudo wants a terminal": Case("echo 'Defaults requiretty' >>/etc/sudoers"),
    "no Include": Case(PLAIN % "Subsystem sftp internal-sftp"),
    "no Include, passwords off": Case(PLAIN % "PasswordAuthentication no", key=False, login="password"),
    "no Include, but a Match block": Case(
        PLAIN % "PasswordAuthentication no" + "; " + APPEND % "Match User bob\nPasswordAuthentication no",
        key=False,
        login="password",
    ),
    "off before the Include": Case("sed -i '1i PasswordAuthentication no' " + CONFIG, key=False, login="password"),
    "expired": Case("useradd -m ann; usermod -L -e 1 ann"),
    "a change is forced": Case("useradd -m ann; echo ann:x | chpasswd; chage -d 0 ann"),
    "a change is forced, by password": Case("useradd -m ann; chage -d 0 ann", key=False, login="password"),
    "expired by default": Case(
        "useradd -D -e 2020-01-01 -f 30; sed -i 's/^PASS_MAX_DAYS.*/PASS_MAX_DAYS 60/' /etc/login.defs"
    ),
    "locked, without PAM": Case(
        "useradd -m ann; echo ann:x | chpasswd; usermod -L ann; sed -i 's/^UsePAM.*/UsePAM no/' " + CONFIG
    ),
    "keys elsewhere for loopback": Case(APPEND % "Match Address 127.0.0.1,::1\nAuthorizedKeysFile /nowhere/%u"),
    "loopback is barred": Case(APPEND % "Match Address 127.0.0.0/8\nDenyUsers *"),
    "a port is matched": Case(APPEND % "Match LocalPort 2222\nAuthorizedKeysFile /nowhere/%u"),
    "a port is matched, by keys elsewhere": Case(APPEND % "Match LocalPort 22\nAuthorizedKeysFile /etc/ssh/keys/%u"),
    "everything is matched": Case(APPEND % "Match LocalAddress 10.0.0.0/8 RDomain * Host *\nX11Forwarding no"),
    "a restricted copy": Case(BAKED + "echo 'command=\"/bin/false\" PUBLIC' >%s; chown ann: %s" % (KEYS, KEYS)),
    "a restricted copy before": Case(
        BAKED + "printf '%%s\\n' 'from=\"127.0.0.1\",restrict PUBLIC' 'PUBLIC' >%s; chown ann: %s" % (KEYS, KEYS)
    ),
    "a home of root's": Case(
        "mkdir -p /home/ann; echo x >/home/ann/.profile; chmod 755 /home/ann", ask="ls -ld /home/ann"
    ),
    "a second factor": Case(
        "sed -i 's/^KbdInteractive.*/KbdInteractiveAuthentication yes/' %s;" % CONFIG
        + APPEND % "Match User bob\nAuthenticationMethods publickey,keyboard-interactive:pam",
        ask="sshd -T -C user=bob,host=h,addr=203.0.113.9,laddr=10.0.0.4,lport=22 | grep -i kbd",
    ),
}

ELSEWHERE = (
    "mkdir -p /etc/myapp/ssh; mv /etc/ssh/ssh_host_ed25519_key* /etc/myapp/ssh; rm /etc/ssh/ssh_host_*;"
    "ssh-keygen -l -f /etc/myapp/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2 >/stage/old;"
    "sed -i '1i HostKey /etc/myapp/ssh/ssh_host_ed25519_key' /etc/ssh/sshd_config"
)
SERVED = "ssh-keyscan -t ed25519 10.0.0.4 2>/dev/null | ssh-keygen -l -f - | cut -d' ' -f2; cat /stage/old"

# No login is possible: NotReady, with a detail for each way.
SHUT: "Dict[str, Tuple[Case, str, str]]" = {
    "DenyUsers": (Case(APPEND % "DenyUsers *"), "DenyUsers *", "Azure gave none"),
    "AllowUsers": (Case(APPEND % "AllowUsers deploy"), "AllowUsers deploy", "Azure gave none"),
    "AllowUsers on loopback": (Case(APPEND % "AllowUsers *@127.0.0.2"), "AllowUsers *@127.0.0.2", "Azure gave none"),
    "DenyGroups with a mark": (Case(APPEND % "DenyGroups !sudo *"), "DenyGroups !sudo *", "Azure gave none"),
    "AllowUsers, by password": (
        Case(APPEND % "AllowUsers deploy", key=False, login="password"),
        "Azure gave none",
        "AllowUsers deploy",
    ),
    "AllowGroups": (Case("groupadd admins;" + APPEND % "AllowGroups admins"), "AllowGroups admins", "Azure gave none"),
    "no keys": (Case(APPEND % "PubkeyAuthentication no"), "PubkeyAuthentication no", "Azure gave none"),
    "both at once": (
        Case(APPEND % "AuthenticationMethods publickey,password"),
        "AuthenticationMethods publickey,password: the account has none",
        "Azure gave none",
    ),
    "no DVD": (Case("", key=False, login="password", password=""), "Azure gave none", "no provisioning DVD"),
    "an empty password": (
        Case("", key=False, login="password", password=" "),
        "Azure gave none",
        "none on the provisioning DVD",
    ),
    "nologin": (Case("echo closed >/etc/nologin; " + NOT_OPENED), "/etc/nologin", "Azure gave none"),
    "a key that is too short": (
        Case(APPEND % "RequiredRSASize 4096", kind="rsa", bits="2048"),
        "RequiredRSASize 4096",
        "Azure gave none",
    ),
    "a kind that is not taken": (
        Case(APPEND % "PubkeyAcceptedAlgorithms rsa-sha2-512"),
        "PubkeyAcceptedAlgorithms without ssh-ed25519",
        "Azure gave none",
    ),
    "a list of revoked keys that is missing": (
        Case(APPEND % "RevokedKeys /etc/ssh/revoked"),
        "RevokedKeys /etc/ssh/revoked, which is missing",
        "Azure gave none",
    ),
    "a folder that others may write to": (
        Case("mkdir -m 777 -p /srv/keys;" + APPEND % "AuthorizedKeysFile /srv/keys/%u"),
        "StrictModes: /srv/keys can be written by everybody",
        "Azure gave none",
    ),
    "a folder that is closed": (
        Case("mkdir -m 700 -p /srv/keys;" + APPEND % "AuthorizedKeysFile /srv/keys/%u"),
        "ann may not enter /srv/keys",
        "Azure gave none",
    ),
    "pam_access": (
        Case(ACCESS % "# -:x:y\\n+:root bob:ALL\\n- : ALL EXCEPT root (admin) : ALL"),
        "/etc/security/access.conf: -:ALL EXCEPT root (admin):ALL",
        "Azure gave none",
    ),
    "pam_deny": (
        Case("sed -i '1i account required pam_deny.so' /etc/pam.d/sshd"),
        "/etc/pam.d/sshd: account required pam_deny.so",
        "Azure gave none",
    ),
    "a missing module of PAM": (
        Case("echo 'account required pam_tally2.so' >>/etc/pam.d/common-account"),
        "/etc/pam.d/common-account: account required pam_tally2.so",
        "Azure gave none",
    ),
    "a session of PAM": (
        Case("sed -i '1i session required pam_ck_connector.so' /etc/pam.d/sshd"),
        "/etc/pam.d/sshd: session required pam_ck_connector.so",
        "Azure gave none",
    ),
    "no service of PAM": (
        Case("rm /etc/pam.d/sshd; echo 'account required pam_deny.so' >/etc/pam.d/other"),
        "/etc/pam.d/other: account required pam_deny.so",
        "Azure gave none",
    ),
    "TCP wrappers": (Case("echo 'ALL: ALL' >/etc/hosts.deny"), "/etc/hosts.deny: ALL: ALL", "Azure gave none"),
    "TCP wrappers with options": (
        Case("echo 'ALL: ALL: deny' >/etc/hosts.allow"),
        "/etc/hosts.allow: ALL: ALL: deny",
        "Azure gave none",
    ),
    "an option of its start": (
        Case("echo \"SSHD_OPTS='-o DenyUsers=ann'\" >/etc/default/ssh"),
        "DenyUsers ann",
        "Azure gave none",
    ),
    "passwords off by an option": (
        Case("echo 'SSHD_OPTS=-oPasswordAuthentication=no' >/etc/default/ssh", key=False, login="password"),
        "Azure gave none",
        "PasswordAuthentication no",
    ),
    **{
        text: (Case(APPEND % text), text, "Azure gave none")
        for text in (
            "ForceCommand /usr/sbin/nologin",
            "ChrootDirectory /srv/missing",
            "MaxSessions 0",
            "MaxAuthTries 0",
            "PerSourceMaxStartups 0",
            "ListenAddress 127.0.0.1",
        )
    },
    "no session for the group": (
        Case(APPEND % "Match Group sudo\nForceCommand /bin/false"),
        "ForceCommand /bin/false",
        "Azure gave none",
    ),
    "an sshd that does not start": (Case("echo FooBar yes >>" + CONFIG), "sshd does not start: ", "Azure gave none"),
    "host keys that others can read": (
        Case("chmod 644 /etc/ssh/ssh_host_*_key"),
        "sshd does not start: ",
        "Azure gave none",
    ),
    "passwords off for the group": (
        Case(APPEND % "Match Group sudo\nPasswordAuthentication no", key=False, login="password"),
        "Azure gave none",
        "PasswordAuthentication no",
    ),
}

# Ready with a warning: login is not proven, or only root cannot be reached.
WARNED: "Dict[str, Tuple[Case, str]]" = {
    "login = warn": (
        Case(APPEND % "DenyUsers *", options={"login": "warn", "host_keys": "keep"}),
        "will not let ann in: DenyUsers *",
    ),
    "no sudo": (Case("rm /usr/bin/sudo"), "ann cannot become root: neither sudo nor doas is installed"),
    "sudo of nobody": (
        Case("chmod u-s /usr/bin/sudo; echo 'Defaults requiretty' >>/etc/sudoers"),
        "ann cannot become root",
    ),
    "PAM asks": (
        Case(
            "sed -i 's/^KbdInteractive.*/KbdInteractiveAuthentication yes/' %s;" % CONFIG
            + APPEND % "Match Group sudo\nAuthenticationMethods publickey,keyboard-interactive:pam"
        ),
        "PAM asks",
    ),
    "pam_access": (
        Case(ACCESS % "+:ann:10.0.0.0/8\\n-:ALL EXCEPT root:ALL"),
        "will not let ann in: /etc/security/access.conf: -:ALL EXCEPT root:ALL",
    ),
    "another module of PAM": (
        Case("sed -i '1i account required pam_succeed_if.so quiet user ingroup nobody' /etc/pam.d/sshd"),
        "not let ann in: /etc/pam.d/sshd: account required pam_succeed_if.so",
    ),
    "AllowUsers from elsewhere": (Case(APPEND % "AllowUsers *@10.0.0.0/8"), "not let ann in: AllowUsers"),
    "no logins": (
        Case("echo '* hard maxlogins 0' >/etc/security/limits.d/x.conf"),
        "not let ann in: /etc/security/limits.d/x.conf: . hard maxlogins 0",
    ),
    "no shell": (Case(APPEND % "ForceCommand internal-sftp"), "not let ann in: ForceCommand internal-sftp"),
    "IPv6": (Case(APPEND % "AddressFamily inet6"), "not let ann in: AddressFamily inet6"),
    "another address": (Case(APPEND % "ListenAddress 192.168.77.5"), "not let ann in: ListenAddress 192.168.77.5:22"),
    "passwords stay on": (
        Case(APPEND % "Match Group sudo\nPasswordAuthentication yes"),
        "a Match block says otherwise",
    ),
}


@unittest.skipIf(os.geteuid() != 0, "only root can make the namespaces of a tree")
class LockoutTest(BuiltTest):
    def setUp(self) -> None:
        super().setUp()
        tree = find_tree("usr/sbin/sshd", "usr/bin/sudo", "usr/bin/python3")
        if tree is None:
            self.skipTest("no tree of real packages is there: see `make distro-test`")
        self.tree = tree

    def play(self, case: Case) -> Found:
        return play(self.tree, self.program, case)

    def test_host_keys_elsewhere(self) -> None:
        """Every VM has its own keys, wherever sshd looks for them. The console shows those that it serves."""
        found = self.play(Case(ELSEWHERE, ask=SERVED, options={}))
        served, old = found.asked.split()
        self.assertNotEqual(served, old)
        self.assertEqual(re.findall(r"host key (SHA256:\S+)", found.story), [served])
        self.assertTrue(found.by_key, found.said)

    def test_only_root_sends_reports(self) -> None:
        """Azure accepts reports from any process, so only root sends one."""
        ask = "chmod 400 /sys/class/dmi/id/product_uuid; for verb in run 'report ready' 'status --wait' status; do "
        ask += 'su -s /bin/sh -c "/usr/bin/python3 -I -S /stage/program.pyz $verb; echo code \\$?" nobody 2>&1; done'
        found = self.play(Case("", ask=ask))
        self.assertEqual(re.findall("code (.)", found.asked), ["1", "1", "1", "0"], found.asked)
        for text in (
            "only root can set this VM up",
            "only root can report for this VM",
            "Ready       cannot be determined",
        ):
            self.assertIn(text, found.asked)

    def test_failed_gate_runs_again_with_force(self) -> None:
        """The gate ran, and does not run again. The console has its last output, and one command runs it again."""
        data = base64.b64encode(b"#!/bin/sh\r\necho ran >>/stage/ran\r\necho no database\r\nexit 7\r\n").decode()
        options = {"user_data": "run", "host_keys": "keep"}
        case = Case("", data=data, options=options, runs=("run", "run", "run --force"), ask="cat /stage/ran")
        found = self.play(case)
        failed = re.findall(r"FAILED: (.*?)\. .*run --force.*\. No boot runs it again", found.story)
        first = "userData failed (code=7, step=user_data): %s"
        self.assertEqual(failed, [first % "no database", first % "it ran in an earlier boot", first % "no database"])
        self.assertNotIn("trying again", found.story)
        self.assertEqual(found.asked.split(), ["ran", "ran"])
        self.assertNotIn("no database", found.reports[0])

    def test_read_only_var(self) -> None:
        """The state lasts until the next boot, and a warning says so."""
        found = self.play(Case("mount --bind /var /var; mount -o remount,ro,bind /var"))
        self.assertEqual(found.code, 0, found.said)
        self.assertIn("it is kept in /run/azure-provisioning/state until the next boot", found.story)
        self.assertIn("Ready       accepted at", found.text)
        self.assertEqual(found.login["key"], "yes")


def let_in(case: Case) -> object:
    def test(self: LockoutTest) -> None:
        found = self.play(case)
        self.assertEqual(found.code, 0, found.said)
        self.assertTrue(found.by_key if case.key else found.by_password, found.said)
        self.assertEqual(found.by_password, not case.key, found.said)
        self.assertEqual(found.login["key" if case.key else "password"], "yes", found.said)
        self.assertTrue(found.root and found.login["root"] == "yes", found.said)
        self.assertNotIn("cannot", found.story)

    return test


def shut(case: Case, key: str, password: str) -> object:
    def test(self: LockoutTest) -> None:
        found = self.play(case)
        self.assertFalse(found.by_key or found.by_password, found.said)
        self.assertEqual((found.code, len(found.reports)), (1, 1), found.said)
        for text in ("NotReady", "reason=nobody can log in|", "key=" + key[:30], "password=" + password[:30]):
            self.assertIn(text, found.reports[0], found.said)
        self.assertIn("nobody can log in", found.text)
        self.assertIn("no: " + key[:30], found.login["key"])

    return test


def warned(case: Case, text: str) -> object:
    def test(self: LockoutTest) -> None:
        found = self.play(case)
        self.assertEqual(found.code, 0, found.said)
        self.assertRegex(found.story, "warning: .*" + text, found.said)

    return test


# -- the shell implementation: the same image without Python ----------------------------------------------------------

# sshd admits the administrator.
SHELL_LETS_IN = {
    "untouched": "",
    "a network is barred": APPEND % "DenyUsers *@192.168.0.0/16",
    "its groups are allowed": APPEND % "AllowGroups admins sudo\nDenyGroups nogroup",
    "it is allowed": APPEND % "AllowUsers bob ann@203.0.113.* root",
    "a second factor for others": APPEND % "AuthenticationMethods publickey publickey,password",
    "keys elsewhere, by a variable": "echo 'SSHD_OPTS=\"-p ${PORT:-22}\"' >/etc/default/ssh; mkdir /etc/ssh/keys;"
    + APPEND % "AuthorizedKeysFile /etc/ssh/keys/%u",
    "a path with dots": APPEND % "AuthorizedKeysFile .ssh/..//.ssh/./authorized_keys",
    "blanks after UID_MIN": "sed -i 's/^UID_MIN.*/UID_MIN\\t\\t  500 /' /etc/login.defs",
    "an old file with NUL": BAKED + "printf 'PUBLIC old\\n\\0\\0\\0' >%s; chown ann: %s" % (KEYS, KEYS),
    "no base64": "rm /usr/bin/base64; echo exit 1 >/usr/bin/mktemp",
}

# It does not, by the detail that Azure gets.
SHELL_SHUTS = {
    text.partition(" ")[0]: (APPEND % text, text.lower() if detail is None else detail)
    for text, detail in (
        ("AllowUsers operator", None),
        ("AllowGroups admins", None),
        ("DenyUsers bob a*", None),
        ("DenyGroups !sudo *", None),
        ("PubkeyAuthentication no", None),
        ("AuthenticationMethods publickey,password", None),
        ("PubkeyAcceptedAlgorithms rsa-sha2-512", "without ssh-ed25519"),
        ("ChrootDirectory /srv", None),
        ("ForceCommand /usr/sbin/nologin", None),
        ("MaxSessions 0", None),
        ("RevokedKeys /etc/ssh/revoked", None),
        ("PermitRootLogin maybe", "sshd does not start: "),
    )
}
SHELL_SHUTS["StrictModes"] = (
    "mkdir -p /srv/keys; chgrp staff /srv; chmod 775 /srv;" + APPEND % "AuthorizedKeysFile /srv/keys/%u",
    "others may write to /srv/keys/ann or above it",
)


def shell_lets_in(setup: str) -> object:
    def test(self: LockoutTest) -> None:
        found = self.play(Case(setup, shell=True))
        self.assertEqual(found.code, 0, found.said)
        self.assertTrue(found.by_key and found.root, found.said)

    return test


def shell_shuts(setup: str, detail: str) -> object:
    def test(self: LockoutTest) -> None:
        found = self.play(Case(setup, shell=True))
        self.assertFalse(found.by_key, found.said)
        self.assertEqual((found.code, len(found.reports)), (1, 1), found.said)
        for text in ("NotReady", "reason=nobody can log in|", detail):
            self.assertIn(text, found.reports[0], found.said)

    return test


TESTS = {
    **{"shell_lets_in " + title: shell_lets_in(setup) for title, setup in SHELL_LETS_IN.items()},
    **{"shell_shuts " + title: shell_shuts(*row) for title, row in SHELL_SHUTS.items()},
    **{"let_in " + title: let_in(case) for title, case in LET_IN.items()},
    **{"shut " + title: shut(*row) for title, row in SHUT.items()},
    **{"warned " + title: warned(*row) for title, row in WARNED.items()},
}
for name, test in TESTS.items():
    setattr(LockoutTest, "test_" + re.sub("[^A-Za-z0-9]+", "_", name), test)
