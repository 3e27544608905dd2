"""The account that the shell creates on a machine without Python: the same as Python's, and never through a link."""

import base64
import os
import re
import shutil
import unittest
from typing import List, Optional

from azure_provisioning.guest.accounts import find_account, find_group, password_field
from azure_provisioning.guest.ssh_key import read_keys
from azure_provisioning.image.rehearse.fake_azure import KEY
from tests.shells import MACHINE, PROGRAM, SHELLS, SPACES, BootResult, EssentialTest, find

HOME = "/home/azureuser"
KEYS = HOME + "/.ssh/authorized_keys"
RSA = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCRIdoxjWC6kk2XN80TYasGfgQNBpOL2tTtYIezhvAe2N7hMaLx2//XbxdmA1fc"
    "QY1V6ly1XGZPXYLEPkPQpPeW/PwAoe13UFMh5AzbEHsIRRxEU8ne+ZbSREPmv4rGB7nRmaetlToYlqBJErnBPWbDVWaWeG+bHA6I"
    "nbJ0F0lWvZm+Q2yvP2Tt6jr25D7m2Ch0oqFEJHrsXyHWm31icgFr9cdi1ZVpd+iaueOVTXfWHypZESmJLrOUjr0PlBUrlQZRKmXb"
    "3MQnBqO52tTKH5CeVAbv/jOTcGUEzEzhUobhEeUFFvposcg6RVudM95gLwoOtNlJFJOc9Qp4g089osQb c-rsa"
)
ECDSA = (
    "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBKh87S1Rr2lpo6aAHJy3k3mGL5ZO"
    "wFHkdU+aGn+YzanVuAiP94tDQcwpoyW9nWC9GT1/vby1Bn/0YX+cD+TcElQJ6oocaCtcfXY8GSQnyUrUu5GaHkR6BjloLc/qX0U7"
    "IQ== c-ecdsa"
)
SET = "azure.instance['compute']"


class AccountTest(EssentialTest):
    def check_account(self, result: BootResult, name: str = "azureuser", keys: "Optional[List[str]]" = None) -> None:
        """The account is in every file, with its own home and these keys."""
        self.check_ready(result)
        account = find_account(self.system, name)
        assert account is not None, (self.text("/etc/passwd"), result)
        self.assertEqual(password_field(self.system, name), "*")
        self.assertGreaterEqual(account.uid, 1000)
        group = find_group(self.system, name)
        self.assertEqual(group and group.gid, account.gid)
        for joined in ("adm", "wheel"):
            found = find_group(self.system, joined)
            self.assertIn(name, found.members if found else ())
        for path, mode in ((account.home, 0o700), (account.home + "/.ssh", 0o700), (KEYS, 0o600)):
            found_mode = os.lstat(self.root + path.replace(HOME, account.home))
            self.assertEqual((found_mode.st_uid, found_mode.st_gid), (account.uid, account.gid), path)
            self.assertEqual(found_mode.st_mode & 0o7777, mode, path)
        lines = (self.text(KEYS.replace(HOME, account.home)) or "").splitlines()
        self.assertEqual(lines, [KEY] if keys is None else keys)
        self.assertEqual(self.state().facts["user"], name)

    def test_every_shell(self) -> None:
        for shell in SHELLS:
            with self.subTest(shell):
                self.choose(shell, *self.clients)
                self.fill(MACHINE)
                self.check_account(
                    self.boot(
                        files={
                            "/usr/bin/sudo": "#!/bin/sh\n",
                            "/etc/sudoers": "@includedir /etc/sudoers.d\n",
                            "/etc/sudoers.d/90-azure-provisioning": "# of an older release\n",
                        }
                    )
                )
                self.assertEqual(os.listdir(self.root + "/etc/sudoers.d"), ["zz-azure-provisioning"])
                self.assertEqual(
                    self.text("/etc/sudoers.d/zz-azure-provisioning"), "azureuser ALL=(ALL) NOPASSWD:ALL\n"
                )
                self.assertEqual(os.stat(self.root + "/etc/sudoers.d/zz-azure-provisioning").st_mode & 0o777, 0o440)

    def test_second_boot_changes_nothing(self) -> None:
        """No later boot does it again, not even after an interruption before the VM is recorded as configured."""
        self.add()
        self.add(fresh=True)
        first, second = self.play()
        self.check_account(first)
        self.check_account(second)
        self.assertEqual((self.text("/etc/passwd") or "").count("azureuser"), 2)
        self.assertEqual(sorted(os.listdir(self.root + "/home")), ["azureuser"])

    @unittest.skipIf(os.geteuid() != 0, "only root can give a folder to another")
    def test_existing_account_is_completed(self) -> None:
        """The account is completed, not replaced: its locked field, its shell, its group. Its own keys stay, before
        ours."""
        for locked in ("!", "!!", "!*"):
            self.fill(
                {
                    "/etc/passwd": "root:x:0:0::/root:/bin/sh\nazureuser:x:1005:1005:Real Name:%s:/sbin/nologin\n"
                    % HOME,
                    "/etc/group": "root:x:0:\nadm:x:4:\nwheel:x:10:root\nazureuser:x:1005:\n",
                    "/etc/shadow": "root:*:19000:0:99999:7:::\nazureuser:%s:19000:0:99999:7:::\n" % locked,
                    KEYS: "# mine\nssh-ed25519 AAAA old",
                }
            )
            for path in (HOME, HOME + "/.ssh", KEYS):
                os.chown(self.root + path, 1005, 1005)
            os.chmod(self.root + HOME, 0o700)
            self.check_account(self.boot(), keys=["# mine", "ssh-ed25519 AAAA old", KEY])
            self.assertIn("azureuser:x:1005:1005:Real Name:%s:/bin/" % HOME, self.text("/etc/passwd") or "")

    def test_existing_password_is_kept(self) -> None:
        self.fill({"/etc/passwd": (MACHINE["/etc/passwd"] + "azureuser:x:1000:1000::%s:/bin/sh\n" % HOME)})
        self.fill({"/etc/shadow": MACHINE["/etc/shadow"] + "azureuser:$6$x$y:19000:0:99999:7:::\n"})
        result = self.boot()
        self.check_ready(result)
        self.assertEqual(password_field(self.system, "azureuser"), "$6$x$y")

    def test_names(self) -> None:
        """Names that Python refuses are refused, and no other file is written."""
        self.hasten()
        good = ["a.b", "x-1", "_u", "ADMIN", "u" * 64, "9a"]
        bad = [
            "root",
            "123",
            ".a",
            "-a",
            "a b",
            "a:b",
            "a/b",
            "$(id)",
            "u" * 65,
            "a\nb:x:0:0::/:/bin/sh",
            "\xe9",
            "..",
            "adm*",
        ]
        bad += ["daemon"]
        self.fill({"/etc/passwd": MACHINE["/etc/passwd"] + "daemon:x:1:1::/:/bin/sh\n"})
        before = self.text("/etc/passwd")
        for name in bad:
            self.add(setup=SET + "['osProfile']['adminUsername'] = %r" % name, options="deadline = 10\n")
        for name, result in zip(bad, self.play()):
            if name == "a\nb:x:0:0::/:/bin/sh":  # IMDS would not send this; the lines are joined, and refused
                self.assertNotIn(":0:0::/", self.text("/etc/passwd") or "")
            self.assertEqual(result.code, 1, (name, result))
            self.assertIn("reason=unsupported admin username|", result.reports[0])
        self.assertEqual(self.text("/etc/passwd"), before)
        for name in good:
            self.add(setup=SET + "['osProfile']['adminUsername'] = %r" % name)
        for name, result in zip(good, self.play()):
            self.check_ready(result)
            self.assertIsNotNone(find_account(self.system, name), name)
            self.assertTrue(os.path.exists("%s/home/%s/.ssh/authorized_keys" % (self.root, name)))

    def keys_of(self, *texts: str) -> str:
        return SET + "['publicKeys'] = [{'keyData': text} for text in %r]" % (list(texts),)

    def test_keys(self) -> None:
        """Parsed as in Python: wrapped, of several kinds, several in one text, and never added twice."""
        kind, blob, comment = KEY.split()
        wrapped = "%s %s\r\n%s\r\n%s %s\r\n" % (kind, blob[:20], blob[20:50], blob[50:], comment)
        rows: "List[tuple[List[str], List[str]]]" = [
            ([wrapped], [KEY]),
            ([KEY, KEY + " again"], [KEY]),
            (["\t%s \t%s\n" % (kind, blob)], ["%s %s" % (kind, blob)]),
            ([KEY + "\n" + RSA, ECDSA], [KEY, RSA, ECDSA]),
            ([RSA[:100] + "\n" + KEY], [KEY]),
            (["no-pty " + RSA, "ssh-dss AAAA", KEY], [KEY]),
            ([KEY + " two words * $(id)"], [KEY + " two words * $(id)"]),
        ]
        for given, expected in rows:
            with self.subTest(given):
                if os.path.exists(self.root + KEYS):
                    os.unlink(self.root + KEYS)
                self.check_account(self.boot(setup=self.keys_of(*given)), keys=expected)
                merged: "List[str]" = []
                for text in given:
                    merged += [
                        key.line().strip() for key in read_keys(text)[0] if key.line().split()[1] not in str(merged)
                    ]
                self.assertEqual(merged, expected)

    def test_invalid_keys_fail(self) -> None:
        """A text without a complete key is a reported failure, as in Python."""
        self.hasten()
        kind, blob, _ = KEY.split()
        fields = (b"ssh-rsa", b"\1\0\1", b"\0\xaa" + b"\x55" * 255)
        rsa = base64.b64encode(b"".join(len(field).to_bytes(4, "big") + field for field in fields)).decode("ascii")
        self.assertTrue(read_keys("ssh-rsa " + rsa)[0])
        for text in (
            "ssh-rsa " + rsa[:-4], "ssh-rsa %sAAAA" % rsa,
            kind, "%s %s" % (kind, blob[:-4]), "%s %s" % (kind, blob[:-1]), "%s %sAAAA" % (kind, blob),
            "ssh-rsa " + blob,
            "%s %s" % (kind, blob.replace("A", "*", 1)), "%s %s" % (kind, blob.replace("IHJl", "====")), "x" * 20000,
            'command="x" ' + KEY, "ssh-dss " + blob, "\0", "%s %s" % (kind, "A" * len(blob)),
        ):  # fmt: skip
            self.add(setup=self.keys_of(text), options="deadline = 10\n", files=self.hook)
            self.assertFalse(read_keys(text)[0], text)
        for result in self.play():
            self.assertEqual(result.code, 1, result)
            self.assertIn("reason=no usable ssh key|", result.reports[0])
        self.assertFalse(self.system.exists(HOME))

    def test_portal_answers_once(self) -> None:
        """A page in place of a single value: asked again, and no machine is named after it."""
        setup = "from azure_provisioning.image.rehearse.faults import no_trouble\n"
        setup += "def portal(handler):\n    handler.send(200, b'<html>Please log in</html>')\n    return True\n"
        for number in range(1, 5):
            with self.subTest(number):
                result = self.boot(setup=setup + "azure.troubles['imds'] = [no_trouble] * %d + [portal]" % number)
                self.check_account(result)
                self.assertEqual(result.hostname, "rehearsal")

    def refused(self, reason: str, **settings: object) -> None:
        """A boot that ends in a reported failure."""
        result = self.boot(options="deadline = 10\n", fresh=False, **settings)
        self.assertEqual((result.code, len(result.reports)), (1, 1), result)
        self.assertIn("reason=" + reason, result.reports[0])

    def test_links_in_the_home_are_not_followed(self) -> None:
        """No step follows a link, whatever its target is."""
        self.hasten()
        self.fill({"/etc/passwd": MACHINE["/etc/passwd"] + "azureuser:x:1000:1000::%s:/bin/sh\n" % HOME})
        self.fill({"/etc/victim/authorized_keys": "victim\n", "/etc/secret": "secret\n"})
        for make in (
            "os.symlink('/etc/victim', home + '/.ssh')",
            "os.mkdir(home + '/.ssh'); os.symlink('/etc/secret', home + '/.ssh/authorized_keys')",
            "os.mkdir(home + '/.ssh'); os.symlink('/etc/none', home + '/.ssh/authorized_keys')",
            "os.mkdir(home + '/.ssh'); os.mkfifo(home + '/.ssh/authorized_keys')",
            "os.mkdir(home + '/.ssh'); os.mkdir(home + '/.ssh/authorized_keys')",
        ):
            setup = "import os, shutil\nhome = root + %r\nshutil.rmtree(home, True)\nos.makedirs(home)\n%s\n" % (
                HOME,
                make,
            )
            setup += "os.lchown(home, 1000, 1000)\n"
            setup += "os.path.lexists(home + '/.ssh') and os.lchown(home + '/.ssh', 1000, 1000)\n"
            with self.subTest(make):
                self.refused("the ssh keys cannot be added|", setup=setup)
                self.assertEqual(self.text("/etc/victim/authorized_keys"), "victim\n")
                self.assertEqual(self.text("/etc/secret"), "secret\n")
                self.assertEqual(os.lstat(self.root + "/etc/victim").st_uid, 0)
                self.assertFalse(self.system.exists("/etc/none"))
                self.assertEqual(os.listdir(self.root + "/home"), ["azureuser"])

    @unittest.skipIf(os.geteuid() != 0, "only root can give a folder to another")
    def test_home_of_another_account_is_refused(self) -> None:
        self.hasten()
        self.fill({"/etc/passwd": MACHINE["/etc/passwd"] + "other:x:1001:1001::/home/other:/bin/sh\n"})
        os.makedirs(self.root + HOME)
        os.chown(self.root + HOME, 1001, 1001)
        self.refused("the account cannot be made|")
        self.assertEqual(os.stat(self.root + HOME).st_uid, 1001)

    def existing(self, shadow: str = "azureuser:*:19000:0:99999:7:::\n", home: str = HOME) -> None:
        """The image has the account."""
        self.fill(
            {
                "/etc/passwd": MACHINE["/etc/passwd"] + "azureuser:x:1000:1000::%s:/bin/sh\n" % home,
                "/etc/group": MACHINE["/etc/group"] + "azureuser:x:1000:\n",
                "/etc/shadow": MACHINE["/etc/shadow"] + shadow,
            }
        )

    def test_ageing(self) -> None:
        """The account does not expire, and without a password it does not age. A password ages as before."""
        for before, after in (
            ("*:19000:0:99999:7::100:", "*:19000::::::"),
            ("!:0:1:90:7:30::", "*:::::::"),
            ("!$6$x$y:19000:0:90:7:::", "*:19000::::::"),
            ("$6$x$y:19000:0:90:7::100:", "$6$x$y:19000:0:90:7:::"),
        ):
            with self.subTest(before):
                self.existing("azureuser:%s\n" % before)
                self.check_ready(self.boot())
                self.assertIn("azureuser:%s\n" % after, self.text("/etc/shadow") or "")

    def test_odd_account_files(self) -> None:
        """A former account's line in shadow is not inherited; an existing group is used; a last line without its end
        counts; a link is written through."""
        self.fill(MACHINE)
        self.fill({"/etc/shadow": MACHINE["/etc/shadow"] + "azureuser::19000:0:99999:7:::\n"})
        self.check_account(self.boot())
        self.fill(MACHINE)
        self.fill({"/etc/group": MACHINE["/etc/group"] + "azureuser:x:1234:\nadm:x:5\n"})
        result = self.boot()
        self.check_ready(result)
        account = find_account(self.system, "azureuser")
        self.assertEqual((account and account.gid, (self.text("/etc/group") or "").count("\nazureuser:")), (1234, 1))
        self.assertIn("adm:x:5\n", self.text("/etc/group") or "")
        self.existing()
        self.fill({"/etc/passwd": (self.text("/etc/passwd") or "").rstrip("\n")})
        self.check_account(self.boot())
        self.assertEqual((self.text("/etc/passwd") or "").count("\nazureuser:"), 1)
        self.fill(MACHINE)
        os.makedirs(self.root + "/data", exist_ok=True)
        os.rename(self.root + "/etc/passwd", self.root + "/data/passwd")
        self.fill({"/etc/passwd": "-> /data/passwd"})
        self.check_account(self.boot())
        self.assertTrue(os.path.islink(self.root + "/etc/passwd"))
        self.fill({"/etc/group": "root:x:0:\n"})

    @unittest.skipIf(os.geteuid() != 0, "only root can give a folder to another")
    def test_odd_homes(self) -> None:
        """A trailing slash, a folder of root's inside it, and a home that is a file system of its own."""
        self.existing(home=HOME + "/")
        os.makedirs(self.root + HOME + "/.ssh")
        os.chown(self.root + HOME, 1000, 1000)
        mounted = "import os; os.system('mount -t tmpfs -o mode=755,uid=1000 none %%s%s' %% root)" % HOME
        self.fill({KEYS: "# mine\n"})
        os.chown(self.root + KEYS, 1000, 1000)
        result = self.boot()
        self.check_ready(result)
        self.assertEqual((self.text(KEYS) or "").splitlines(), ["# mine", KEY])
        self.assertEqual(os.stat(self.root + HOME + "/.ssh").st_uid, 1000)
        shown = self.boot("/bin/sh", "-c", "/bin/sh %s run && ls -lnR %s/.ssh >&2" % (PROGRAM, HOME), setup=mounted)
        self.assertEqual(shown.code, 0, shown)
        self.assertRegex(shown.err, r"(?m)^-rw------- +1 1000 +1000 .* authorized_keys$")

    @unittest.skipIf(os.geteuid() != 0, "only root can give a folder to another")
    def test_unreadable_keys(self) -> None:
        """The user, as whom sshd reads them, must get at them."""
        self.hasten()
        os.chmod(self.root, 0o755)
        for closed in (HOME, "/home"):
            with self.subTest(closed):
                self.existing()
                os.makedirs(self.root + HOME, exist_ok=True)
                self.fill({HOME + "/.profile": "x\n"})
                for path in ("/home", HOME):
                    os.chmod(self.root + path, 0o700 if path == closed else 0o755)
                os.chown(self.root + HOME, *((0, 0) if closed == HOME else (1000, 1000)))
                self.refused("nobody can log in|")

    @unittest.skipIf(os.geteuid() != 0, "only root can give a folder to another")
    def test_restricted_key_comes_later(self) -> None:
        """sshd takes the first line with a key: a `command` before ours would be all that it allows."""
        self.existing()
        self.fill({KEYS: 'command="/bin/false" %s\n' % KEY})
        for path in (HOME, HOME + "/.ssh", KEYS):
            os.chown(self.root + path, 1000, 1000)
        for _ in range(2):
            self.check_ready(self.boot())
            self.assertEqual(self.text(KEYS), '%s\ncommand="/bin/false" %s\n' % (KEY, KEY))

    def test_neither_key_nor_password(self) -> None:
        self.hasten()
        for disabled in ("true", "False", None):
            setup = SET + "['publicKeys'] = []; %s['osProfile']['disablePasswordAuthentication'] = %r" % (SET, disabled)
            if disabled is None:
                setup = SET + "['publicKeys'] = []; %s['osProfile'].pop('disablePasswordAuthentication')" % SET
            with self.subTest(disabled):
                self.fill(MACHINE)
                self.refused("nobody can log in|", setup=setup)
        self.existing("azureuser:$6$xxxxxxxx$yyyyyyyy:19000:0:99999:7:::\n")
        self.check_ready(self.boot(setup=setup))
        self.check_ready(self.boot(setup=setup, options="login = warn\n"))

    def test_login_warn(self) -> None:
        self.fill({"/etc/nologin": "closed\n"})
        result = self.boot(options="login = warn\n")
        self.check_ready(result)
        self.assertIn("warning: nobody can log in: /etc/nologin lets nobody but root in", result.err)

    def test_backslashes_in_comments(self) -> None:
        """The `echo` of some shells would end the line there, and the key would be lost."""
        comments = ["contoso\\chris@PC", "\\n \\0101 \\\\"]
        keys = [KEY + " " + comments[0], ECDSA + " " + comments[1]]
        for shell in SHELLS:
            with self.subTest(shell):
                self.choose(shell, *self.clients)
                self.fill(MACHINE)
                shutil.rmtree(self.root + HOME, ignore_errors=True)
                self.check_account(self.boot(setup=self.keys_of(*keys)), keys=keys)

    def test_two_at_once(self) -> None:
        """One waits for the other: every file has every line once, and Azure gets one report."""
        both = "/bin/sh %s run & /bin/sh %s run; code=$?; wait $! && exit $code" % (PROGRAM, PROGRAM)
        for shell in SHELLS:
            with self.subTest(shell):
                self.choose(shell, *self.clients)
                self.fill(MACHINE)
                result = self.boot("/bin/sh", "-c", both)
                self.assertEqual((result.code, len(result.reports)), (0, 1), result)
                for path in ("/etc/passwd", "/etc/group", "/etc/shadow"):
                    lines = (self.text(path) or "").splitlines()
                    self.assertEqual(len({line.split(":")[0] for line in lines}), len(lines), lines)
                    self.assertTrue(any(line.startswith("azureuser:") for line in lines), lines)

    def test_full_run(self) -> None:
        """busybox's tools do not report that the disk is full: no account file gets shorter."""
        self.hasten(10)
        many = [("u%03d" % number, 2000 + number) for number in range(150)]
        whole = {
            "/etc/passwd": MACHINE["/etc/passwd"] + "".join("%s:x:%d:%d::/:/bin/sh\n" % (n, i, i) for n, i in many),
            "/etc/group": MACHINE["/etc/group"] + "".join("%s:x:%d:\n" % (n, i) for n, i in many),
            "/etc/shadow": MACHINE["/etc/shadow"] + "".join("%s:*:19000:0:99999:7:::\n" % n for n, _ in many),
        }
        for kilobytes in range(16, 52, 4):
            with self.subTest(kilobytes):
                self.fill(whole)
                mounted = "import os; os.system('mount -t tmpfs -o size=%dk none %%s/run' %% root)" % kilobytes
                self.boot(setup=mounted, options="deadline = 10\n")
                for path, text in whole.items():
                    self.assertGreaterEqual(len(self.text(path) or ""), len(text), path)

    def test_keys_are_moved_in_a_folder_of_root(self) -> None:
        """Otherwise the user could replace the file by a link to a folder, and `mv` would move ours into that."""
        path = self.root + "/bin/mv"
        os.unlink(path)
        self.fill(
            {"/bin/mv": '#!/bin/sh\ncase $* in *authorized_keys) ls -ldn . >>/moved ;; esac\nexec busybox mv "$@"\n'}
        )
        self.check_account(self.boot())
        self.assertRegex(self.text("/moved") or "", r"\Adrwx------ +\d+ 0 +0 [^\n]*\n\Z")

    def test_skeleton(self) -> None:
        self.fill({"/etc/skel/.profile": "x\n", "/etc/skel/.config/a": "-> /etc/shadow"})
        self.check_account(self.boot())
        self.assertEqual(self.text(HOME + "/.profile"), "x\n")
        self.assertEqual(os.readlink(self.root + HOME + "/.config/a"), "/etc/shadow")
        self.assertEqual(os.lstat(self.root + HOME + "/.config/a").st_uid, 1000)
        self.assertEqual(os.stat(self.root + "/etc/shadow").st_uid, 0)

    def test_options(self) -> None:
        self.add(options="account = no\nssh_keys = no\nsudo = no\n")
        self.add(options="account = yes\nssh_keys = yes\nsudo = yes\nhost_keys = new\n")
        off, on = self.play()
        self.assertEqual((off.code, on.code), (0, 0))
        self.check_account(on)
        self.assertIn("warning: azureuser cannot become root: neither sudo nor doas is installed", on.err)

    def test_promised_values_that_need_python_fail(self) -> None:
        self.hasten()
        promised = "azure.instance['extended']['compute']['hasCustomData'] = True"
        password = (
            SET
            + "['publicKeys'] = []; azure.instance['compute']['osProfile']['disablePasswordAuthentication'] = 'false'"
        )
        self.refused("failure to read customData while hasCustomData=true|", setup=promised)
        self.refused("nobody can log in|", setup=password)
        self.check_account(self.boot(setup=promised, options="custom_data = no\n"))

    def test_late_values_are_awaited(self) -> None:
        """404 is not an answer if the instance has the value: no VM is Ready without its account."""
        self.hasten()
        late = "from azure_provisioning.image.rehearse.faults import status, no_trouble\n"
        late += "azure.troubles['imds'] = [no_trouble] + [status(404), status(429), no_trouble] * 5\n"
        self.check_account(self.boot(setup=late))

    def test_doas(self) -> None:
        doas = {"/usr/bin/doas": "#!/bin/sh\n# /etc/doas.d\n", "/etc/doas.d/x.conf": ""}
        self.check_account(self.boot(files=doas))
        self.assertEqual(self.text("/etc/doas.d/zz-azure-provisioning.conf"), "permit nopass azureuser\n")
        self.check_account(
            self.boot(files={"/usr/bin/doas": "#!/bin/sh\n", "/etc/doas.conf": "deny x\npermit nopass azureuser\n"})
        )
        self.assertEqual(self.text("/etc/doas.conf"), "deny x\npermit nopass azureuser\n")

    def test_options_of_sshd(self) -> None:
        """The question goes to the sshd that will run: with the options of its start, in the files that distros use."""
        self.hasten()  # no host key can be made, which is tried three times
        sshd = '#!/bin/sh\necho "$*" >>/var/asked\n'
        sshd += '[ "$1 $2" = "-f /etc/ssh/other" ] && echo authorizedkeysfile /etc/keys/%u\n'
        rows = (
            {"/etc/default/ssh": 'SSHD_OPTS="-f /etc/ssh/other" # x\n'},
            {"/etc/sysconfig/sshd": "# OPTIONS=x\nOPTIONS='-f /etc/ssh/other -o UseDNS=no'\n"},
            {"/etc/conf.d/sshd": "SSHD_CONFIG=/etc/ssh/other\nSSHD_OPTS=\n"},
            {"/etc/conf.d/sshd": "cfgfile=/etc/ssh/other\n"},
            {"/etc/conf.d/sshd": 'command_args="-f /etc/ssh/other"\n'},
        )
        for files, shell in zip(rows, SHELLS):
            with self.subTest(files, shell=shell):
                self.choose(shell, *self.clients)
                for path in [path for row in rows for path in row]:
                    self.system.unlink(path)
                self.check_ready(self.boot(files=dict(files, **{"/usr/sbin/sshd": sshd})))
                self.assertEqual(self.text("/etc/keys/azureuser"), KEY + "\n", self.text("/var/asked"))
                self.system.unlink("/etc/keys/azureuser")

    def test_names_of_options_in_mixed_case(self) -> None:
        """As OpenSSH prints them from 10.6 on; before, in lower case."""
        self.hasten()  # no host key can be made, which is tried three times
        lines = ("DenyUsers azureuser", "pubkeyauthentication no", "ForceCommand /bin/false")
        for line, shell in zip(lines, ("busybox ash", "dash", "bash")):
            with self.subTest(line, shell=shell):
                self.choose(shell, *self.clients)
                said = "#!/bin/sh\necho Port 22\necho AuthorizedKeysFile /etc/Keys/%u\necho Banner\necho " + line
                result = self.boot(files={"/usr/sbin/sshd": said})
                self.assertEqual(self.text("/etc/Keys/azureuser"), KEY + "\n", result)
                self.assertEqual(os.stat(self.root + "/etc/Keys").st_mode & 0o777, 0o755)
                self.assertEqual(result.code, 1, result)
                self.assertIn("nobody can log in (name=azureuser, problem=%s" % line.lower(), result.err)
                shutil.rmtree(self.root + "/etc/Keys")

    def test_sudo_accepts_the_rule(self) -> None:
        """The question goes to sudo itself: to this machine's, in the room. A rule after ours is one too many."""
        if os.geteuid() != 0:
            self.skipTest("only root can ask sudo about another user")
        if not os.path.isfile("/usr/libexec/sudo/sudoers.so"):
            self.skipTest("no sudo here whose plugin is in /usr/libexec: sudo was not asked")
        self.places = ["/usr/libexec"]
        os.makedirs(self.root + "/usr/libexec")
        self.place("sudo", "/usr/bin/sudo")
        self.fill({"/etc/pam.d/sudo": "account required pam_permit.so\nsession required pam_permit.so\n"})
        end = "@includedir /etc/sudoers.d\n"
        group = {"/etc/group": (MACHINE["/etc/group"] or "") + "sudo:x:27:\n"}
        rows = [
            (end, False),
            ("%sudo ALL=(ALL:ALL) ALL\n" + end, False),
            (end + "%sudo ALL=(ALL:ALL) ALL\n", True),
            (end + "%sudo ALL=(ALL:ALL) ALL\nDefaults !authenticate\n", False),
            (end + "%sudo ALL=(bin) ALL\n%sudo ALL=(root) /bin/x\n", False),
            (end + "%sudo ALL=(ALL) NOPASSWD: /bin/x, PASSWD: ALL\n", True),
            (end + "%sudo ALL=(ALL) !ALL\n", True),
        ]
        for text, warned in rows:
            with self.subTest(text):
                self.fill(dict(MACHINE, **group, **{"/etc/sudoers": text}))
                os.chmod(self.root + "/etc/sudoers", 0o440)
                result = self.boot()
                self.check_account(result)
                self.assertEqual("warning: azureuser cannot become root: sudo does" in result.err, warned, result.err)

    def test_sudo_without_its_bit(self) -> None:
        """Root can list the rules with sudo, but only an attempt shows whether the account becomes root."""
        os.chmod(self.root, 0o755)
        listed = "User azureuser may run the following commands on vm:\n    (ALL) NOPASSWD: ALL"
        for code in (1, 0):
            self.fill(MACHINE)
            sudo = '#!/bin/sh\ncase $* in *-l*) echo "%s" ;; *) exit %d ;; esac\n' % (listed, code)
            result = self.boot(files={"/usr/bin/sudo": sudo, "/etc/sudoers": "@includedir /etc/sudoers.d\n"})
            self.check_account(result)
            self.assertEqual("warning: azureuser cannot become root: sudo does" in result.err, code == 1, result.err)

    def test_every_tool_is_granted(self) -> None:
        """Both tools get a rule, sudo in Rust too; the distro's file in /usr/etc stays in force."""
        files = {
            "/usr/bin/sudo-rs": "#!/bin/sh\n",
            "/usr/bin/doas": "#!/bin/sh\n",
            "/usr/etc/sudoers": "Defaults secure_path=/bin\n",
        }
        self.check_account(self.boot(files=files))
        self.assertEqual(self.text("/etc/sudoers"), "Defaults secure_path=/bin\n#includedir /etc/sudoers.d\n")
        self.assertIn("azureuser", self.text("/etc/sudoers.d/zz-azure-provisioning") or "")
        self.assertEqual(self.text("/etc/doas.conf"), "permit nopass azureuser\n")

    def test_sudo_is_doas(self) -> None:
        """If a script or a link is called sudo and leads to doas, the rule is written for doas."""
        shim = {"/usr/bin/doas": "#!/bin/sh\n", "/usr/bin/sudo": '#!/bin/sh\n# sudo\nexec doas "$@"\n'}
        self.check_account(self.boot(files=shim))
        self.assertEqual(self.text("/etc/doas.conf"), "permit nopass azureuser\n")
        self.assertFalse(self.system.exists("/etc/sudoers.d"))

    def test_sudo_is_another_program(self) -> None:
        """run0 asks systemd, which knows no such rule; the program itself is called sudo.ws on some distros."""
        for target, warned in (("run0", True), ("sudo.ws", False)):
            with self.subTest(target):
                self.system.unlink("/usr/bin/sudo")
                programs = {"/usr/bin/sudo": "-> " + target, "/usr/bin/" + target: "#!/bin/sh\n"}
                self.fill(dict(MACHINE, **{"/etc/sudoers": ""}, **programs))
                os.chmod(self.root + "/usr/bin/" + target, 0o755)
                result = self.boot()
                self.check_account(result)
                self.assertEqual("neither sudo nor doas is installed" in result.err, warned, result.err)

    def test_doas_accepts_the_rule(self) -> None:
        """Tried with the rights of the account, by all shells; rules that doas refuses are not written."""
        os.chmod(self.root, 0o755)
        refuses = '#!/bin/sh\n[ "$1" = -C ] && exit 0\n[ "$(id -u)" = 0 ] || exit 1\n'
        for shell in SHELLS:
            with self.subTest(shell):
                self.choose(shell, *self.clients)
                self.fill(MACHINE)
                result = self.boot(files={"/usr/bin/doas": refuses})
                self.check_account(result)
                self.assertIn("warning: azureuser cannot become root: doas does not go by the rule", result.err)
                self.assertNotIn("cannot become root", self.boot(files={"/usr/bin/doas": "#!/bin/sh\n"}).err)
        result = self.boot(files={"/usr/bin/doas": '#!/bin/sh\n[ "$1" != -C ]\n', "/etc/doas.conf": "what\n"})
        self.assertIn("warning: azureuser cannot become root: doas does not take the rule", result.err)
        self.assertEqual(self.text("/etc/doas.conf"), "what\n")

    def test_tools(self) -> None:
        """The tools of the shadow suite, and the applet that busybox calls adduser."""
        self.fill({"/etc/login.defs": "UID_MIN\t\t 1500\n"})
        result = self.boot(
            files={"/usr/sbin/useradd": '#!/bin/sh\necho "$*" >/var/useradd\n'}, environment={"PATH": "/bin"}
        )
        self.check_account(result)
        self.assertRegex(self.text("/var/useradd") or "", r"\A-M -s /bin/\w+ azureuser\n\Z")
        account = find_account(self.system, "azureuser")
        self.assertEqual(account and account.uid, 1500)

    def test_host_keys(self) -> None:
        """New host keys for a new VM, once, before the boot is released."""
        keygen = (
            '#!/bin/sh\necho "$*" >>/var/keygen\nfor k in rsa ed25519; do echo new >/etc/ssh/ssh_host_${k}_key; done\n'
        )
        files = {"/usr/sbin/sshd": "#!/bin/sh\n", "/usr/bin/ssh-keygen": keygen, "/etc/ssh/ssh_host_dsa_key": "old\n"}
        self.add(files=files)
        self.add(fresh=False)
        self.add(options="host_keys = keep\n")
        for result in self.play():
            self.assertEqual(result.code, 0, result)
        self.assertEqual((self.text("/var/keygen") or "").count("-A\n"), 1)
        self.assertEqual(sorted(os.listdir(self.root + "/etc/ssh")), ["ssh_host_ed25519_key", "ssh_host_rsa_key"])
        self.assertTrue(self.state().facts["prepared_at"])

    def test_host_keys_of_the_image_never_stay(self) -> None:
        """Also if sshd has Alpine's other name; without a tool that makes new ones there is a warning."""
        old = {"/etc/ssh/ssh_host_ed25519_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nold\n"}
        result = self.boot(files=dict(old, **{"/usr/sbin/sshd": "#!/bin/sh\n"}))
        self.assertIn("warning: host keys cannot be made", result.err)
        self.assertNotIn("prepared_at", self.state().facts)
        os.unlink(self.root + "/usr/sbin/sshd")
        self.place("ssh-keygen", "/usr/bin/ssh-keygen")
        self.check_ready(self.boot(files=dict(old, **{"/usr/sbin/sshd.pam": "#!/bin/sh\n"})))
        self.assertNotIn("old", self.text("/etc/ssh/ssh_host_ed25519_key") or "old")
        self.assertIn("prepared_at", self.state().facts)

    def test_only_host_keys_of_sshd_are_generated(self) -> None:
        """These and no others, in any folder: sshd reports them, and reports nothing without a key; by all shells."""
        self.place("ssh-keygen", "/usr/bin/ssh-keygen")
        private = "-----BEGIN OPENSSH PRIVATE KEY-----\nold\n"
        served = ("/etc/ssh/ssh_host_ed25519_key", "/etc/myapp/host_ecdsa_key", "/run/secret/rsa", "/etc/ssh/agent.pub")
        sshd = "#!/bin/sh\n"
        sshd += '[ -d /run/sshd ] || { echo "Missing privilege separation directory: /run/sshd" >&2; exit 255; }\n'
        sshd += '[ "$1" = -T ] && [ -s "$3" ] && echo HostKeyAgent none && echo "hostkey $3" ||\n'
        sshd += '{ echo "sshd: no hostkeys available -- exiting." >&2; exit 1; }\n'
        sshd += "".join("echo HostKey %s\n" % path for path in served)
        files = {"/usr/sbin/sshd": sshd, "/etc/ssh/ssh_host_rsa_key": private, "/etc/ssh/agent.pub": "ssh-rsa x\n"}
        files["/etc/myapp/host_ecdsa_key"] = private
        for shell in SHELLS:
            with self.subTest(shell):
                self.choose(shell, *self.clients)
                result = self.boot(
                    files=files, setup="import os\nos.path.isdir(root + '/run/sshd') and os.rmdir(root + '/run/sshd')\n"
                )
                self.assertEqual(result.code, 0, result)
                found = sorted(os.listdir(self.root + "/etc/ssh"))
                self.assertEqual(found, ["agent.pub", "ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"])
                self.assertEqual(self.text("/etc/ssh/agent.pub"), "ssh-rsa x\n")
                self.assertEqual(os.listdir(self.root + "/run"), ["sshd"])
                lines = [self.text(path + ".pub") or "" for path in served[:2]]
                self.assertEqual([line.split()[0] for line in lines], ["ssh-ed25519", "ecdsa-sha2-nistp256"])
                self.assertNotIn("old", self.text(served[1]) or "")
                kinds = re.findall(r"host key SHA256:\S+ .*\((\w+)\)", result.err)
                self.assertEqual(kinds, ["ED25519", "ECDSA"], result.err)


class DropbearTest(EssentialTest):
    spaces = (*SPACES, "--pid", "--fork", "--mount-proc")  # without the dropbears of other tests

    def test_running_dropbear_is_restarted(self) -> None:
        """One that started before us would serve the keys of the image."""
        for name in ("dropbear", "dropbearkey"):
            if find(name) is None:
                self.skipTest("no %s here: a running dropbear was not restarted" % name)
            self.place(name, "/usr/bin/" + name)
        script = """#!/bin/sh
echo "$1 $RC_NODEPS" >>/etc/words
case $1 in
start) exec dropbear -R -p 127.0.0.1:2200 -P /etc/dropbear.pid ;;
stop) read -r pid </etc/dropbear.pid && kill $pid && rm /etc/dropbear.pid ;;
esac
"""
        run = "/bin/sh %s run; code=$?; read -r pid </etc/dropbear.pid && kill $pid; exit $code" % PROGRAM
        for before, words in (("", ""), ("/etc/init.d/S50dropbear start; sleep 1; ", "start \nstop yes\nstart yes\n")):
            with self.subTest(before):
                files = {**self.hook, "/etc/init.d/S50dropbear": script, "/etc/words": ""}
                result = self.boot("/bin/sh", "-c", before + run, files=files, environment={"PATH": "/bin:/usr/bin"})
                self.assertEqual(self.text("/etc/words"), words, result)
                self.assertIn("dropbear_ed25519_host_key", os.listdir(self.root + "/etc/dropbear"))

    def test_options_that_keep_the_account_out(self) -> None:
        """In the file from which distros start it. A group may have the account as a member."""
        for name, options, detail in (
            ("default", 'DROPBEAR_EXTRA_ARGS="-w -G staff"', "dropbear -G staff"),
            ("default", "DROPBEAR_EXTRA_ARGS=-t", "dropbear -t"),
            ("conf.d", "DROPBEAR_OPTS='-c /bin/false'", "dropbear -c /bin/false"),
            ("conf.d", "DROPBEAR_OPTS='-G adm -p 22'", ""),
        ):
            with self.subTest(options):
                files = {"/usr/sbin/dropbear": "#!/bin/sh\n", "/etc/%s/dropbear" % name: options + "\n"}
                files["/etc/group"] = MACHINE["/etc/group"] + "staff:x:50:\n"
                self.fill(MACHINE)
                result = self.boot(files=files, options="deadline = 20\nhost_keys = keep\n")
                os.unlink(self.root + "/etc/%s/dropbear" % name)
                self.assertEqual(result.code, 1 if detail else 0, result)
                self.assertIn("problem=%s|" % detail if detail else "", "".join(result.reports).replace("</D", "|"))

    def test_shell_is_listed(self) -> None:
        """dropbear takes no other; without the file, /bin/sh counts as listed."""
        for listed, chosen, after in (
            (None, "/bin/sh", None),
            ("/bin/zsh", "/bin/sh", "/bin/zsh\n/bin/sh\n"),
            ("/bin/zsh\n/usr/bin/bash\n", "/usr/bin/bash", "/bin/zsh\n/usr/bin/bash\n"),
        ):
            with self.subTest(listed):
                self.fill(MACHINE)
                if self.system.exists("/etc/shells"):
                    os.unlink(self.root + "/etc/shells")
                files = {"/usr/sbin/dropbear": "#!/bin/sh\n", "/usr/bin/bash": "#!/bin/sh\n"}
                files = files if listed is None else dict(files, **{"/etc/shells": listed})
                self.check_ready(self.boot(files=files, options="host_keys = keep\n"))
                account = find_account(self.system, "azureuser")
                self.assertEqual((account and account.shell, self.text("/etc/shells")), (chosen, after))


class ClosedTest(EssentialTest):
    def test_home_below_a_folder_of_others(self) -> None:
        """Whoever may change the way to the home could lead us anywhere: also if the account is not ours to make."""
        if os.geteuid() != 0:
            self.skipTest("only root can give a folder to another")
        line = "azureuser:x:1000:1000::/srv/share/azureuser:/bin/sh\n"
        self.fill({"/etc/passwd": MACHINE["/etc/passwd"] + line, "/root/.ssh/authorized_keys": "mine\n"})
        os.makedirs(self.root + "/srv/share")
        os.chown(self.root + "/srv/share", 1001, 1001)
        os.symlink("/root", self.root + "/srv/share/azureuser")
        result = self.boot(files=self.hook, options="account = no\ndeadline = 20\n")
        self.assertEqual(result.code, 1, result)
        self.assertIn("problem=the user 1001 may write to /srv/share", result.reports[0])
        self.assertEqual(self.text("/root/.ssh/authorized_keys"), "mine\n")
        self.assertEqual(os.stat(self.root + "/root/.ssh").st_uid, 0)

    def test_nologin(self) -> None:
        """A file that keeps everybody but root out, unless systemd will remove it in this boot."""
        for files, code in (
            ({"/etc/nologin": "closed"}, 1),
            ({"/etc/nologin": "closed", "/run/systemd/system/x": "", "/run/nologin": ""}, 0),
            ({"/etc/nologin": "closed", "/run/systemd/system/x": ""}, 1),
        ):
            with self.subTest(files):
                shutil.rmtree(self.root + "/run")
                os.mkdir(self.root + "/run")
                result = self.boot(files={**self.hook, **files}, options="deadline = 20\n")
                self.assertEqual(result.code, code, result.err)
                self.assertEqual("nobody can log in" in result.err, bool(code), result.err)
