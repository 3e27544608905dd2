"""SSH keys: how a text is parsed, which file the keys go to, and that no user can redirect them."""

import base64
import os
import random
import re
import shutil
import stat
import struct
import subprocess
from typing import Dict, List, Tuple
from unittest import mock

from azure_provisioning.errors import GuestError
from azure_provisioning.guest.authorized_keys import authorize, keys_in
from azure_provisioning.guest.ssh_key import read_keys
from tests.tools import ToolTest


def blob(kind: str, *fields: bytes) -> str:
    """The base64 of a public key."""
    parts = [kind.encode()] + list(fields)
    return base64.b64encode(b"".join(struct.pack(">I", len(part)) + part for part in parts)).decode()


ED = "ssh-ed25519 " + blob("ssh-ed25519", b"e" * 32)
RSA = "ssh-rsa " + blob("ssh-rsa", b"\1\0\1", b"\0" + b"n" * 256)
ECDSA = "ecdsa-sha2-nistp256 " + blob("ecdsa-sha2-nistp256", b"nistp256", b"\4" + b"q" * 64)
SK = "sk-ecdsa-sha2-nistp256@openssh.com " + blob(
    "sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\4" + b"q" * 64, b"ssh:"
)
FILE = "/home/azureuser/.ssh/authorized_keys"


def wrap(key: str, width: int, end: str) -> str:
    """The key with line ends inside its blob, as some editors and templates produce it."""
    kind, text = key.split()
    return kind + " " + end.join(text[place : place + width] for place in range(0, len(text), width))


class KeyTest(ToolTest):
    def lines(self, text: str) -> "List[str]":
        return [key.line().rstrip("\n") for key in read_keys(text)[0]]

    def test_kinds(self) -> None:
        for key in (ED, RSA, ECDSA, SK):
            self.assertEqual(read_keys(key)[1], [])
            self.assertEqual(self.lines(key), [key])
            self.assertEqual(self.lines("  %s  Ann B\r\n\r\n" % key), [key + " Ann B"])

    def test_wrapped(self) -> None:
        for end in ("\r\n", "\n", "\r", "\r\n  ", " "):
            for width in (1, 5, 64, 72, 371):
                with self.subTest(end=end, width=width):
                    self.assertEqual(self.lines(wrap(RSA, width, end) + " ann@host\r\n"), [RSA + " ann@host"])

    def test_several_keys_in_one_text(self) -> None:
        text = "# mine\r\n%s one\r\n%s\r\n%s three\n" % (wrap(RSA, 70, "\r\n"), ED, wrap(ECDSA, 64, "\n"))
        self.assertEqual(self.lines(text), [RSA + " one", ED, ECDSA + " three"])

    def test_rfc_4716(self) -> None:
        body = "\n".join(RSA.split()[1][place : place + 70] for place in range(0, 400, 70))
        head = '---- BEGIN SSH2 PUBLIC KEY ----\nComment: "a \\\nlong one"\n'
        self.assertEqual(self.lines(head + body + "\n---- END SSH2 PUBLIC KEY ----\n"), [RSA])

    def test_refused(self) -> None:
        kind, text = RSA.split()
        for bad in (
            "",
            "ssh-rsa",
            "ssh-rsa ????",
            kind + " " + text[:-8],
            kind + " " + text[:-4] + "!!!!",
            kind + " " + ED.split()[1],
            "ssh-ed25519 " + blob("ssh-ed25519", b""),
            "ssh-ed25519 " + blob("ssh-ed25519", b"x", b"y"),
            "ssh-dss " + text,
            'command="reboot" ' + RSA,
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "ssh-rsa " + "A" * 100000,
            "ssh-rsa " + "A " * 50000,
        ):
            with self.subTest(bad=bad[:40]):
                keys, problems = read_keys(bad)
                self.assertEqual(keys, [])
                self.assertEqual(bool(problems), bool(bad.strip("- ")))

    def test_sizes_that_sshd_refuses(self) -> None:
        """Each is whole, and `ssh-keygen -l` does not load it."""
        exponent, modulus, point = b"\1\0\1", b"\0" + b"\xf1" * 128, b"\4" + b"q" * 64
        p256, sk = "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com"
        self.assertEqual(read_keys("ssh-rsa " + blob("ssh-rsa", exponent, b"\0" + modulus))[1], [])
        for kind, *fields in (
            ("ssh-ed25519", b"e" * 31), ("ssh-ed25519", b"e" * 33), (sk, b"e" * 31, b"ssh:"),
            ("ssh-rsa", exponent, modulus[1:]), ("ssh-rsa", b"\x81", modulus), ("ssh-rsa", exponent, modulus[:-1]),
            ("ssh-rsa", exponent, b"\1" + b"\xf1" * 2048),
            (p256, b"nistp256", point[:-1]), (p256, b"nistp256", b"\2" + point[1:33]), (p256, b"nistp384", point),
            (p256, b"nistp256", b"\6" + point[1:]), (p256, b"", point), (p256, b"256", point),
            ("ecdsa-sha2-nistp384", b"nistp384", point), ("ecdsa-sha2-nistp521", b"nistp521", point),
            ("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp384", b"\4" + b"q" * 96, b"ssh:"),
        ):  # fmt: skip
            with self.subTest(kind, fields=fields):
                damaged = ["an %s key is damaged" % kind]
                self.assertEqual(read_keys("%s %s" % (kind, blob(kind, *fields))), ([], damaged))

    def test_comment_cannot_add_a_line(self) -> None:
        self.assertEqual(self.lines(ED + " a\x1b[2J\x0bb\x85c"), [ED + " a[2J b c"])


LIMITED = "with options"
CONNECTION = "user=azureuser,host=203.0.113.9,addr=203.0.113.9,laddr=10.0.0.4,lport=22,rdomain="


class AuthorizeTest(ToolTest):
    def setUp(self) -> None:
        super().setUp()
        self.uid, self.gid = (1000, 1000) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
        line = "azureuser:x:%d:%d::/home/azureuser:/bin/sh\n" % (self.uid, self.gid)
        self.fill({"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n" + line})
        self.system.make_dirs("/home/azureuser")
        self.own("/home/azureuser")

    def own(self, path: str) -> None:
        if os.geteuid() == 0:
            os.chown(self.root + path, self.uid, self.gid)

    def looks(self, path: str) -> "Tuple[int, int]":
        """(mode, owner) of a file."""
        found = os.lstat(self.root + path)
        return stat.S_IMODE(found.st_mode), found.st_uid

    def test_new_file(self) -> None:
        said = authorize(self.system, "azureuser", [RSA + " ann\r\n", wrap(ED, 20, "\r\n"), RSA])
        self.assertEqual(said, "2 added to " + FILE)
        self.assertEqual(self.text(FILE), "%s ann\n%s\n" % (RSA, ED))
        self.assertEqual(self.looks(FILE), (0o600, self.uid))
        self.assertEqual(self.looks("/home/azureuser/.ssh"), (0o700, self.uid))
        self.assertEqual(authorize(self.system, "azureuser", [RSA, ED]), "0 added to " + FILE)
        self.assertEqual(self.text(FILE), "%s ann\n%s\n" % (RSA, ED))

    def test_merged(self) -> None:
        old = '# my keys\nfrom="10.0.0.0/8" %s x\nnonsense \xff\n%s' % (ED, ECDSA)
        self.fill({FILE: old})
        self.own("/home/azureuser/.ssh")
        os.chmod(self.root + FILE, 0o664)
        os.chmod(self.root + "/home/azureuser/.ssh", 0o777)
        os.chmod(self.root + "/home/azureuser", 0o775)
        self.assertEqual(authorize(self.system, "azureuser", [ED, RSA, ECDSA]), "2 added to " + FILE)
        self.assertEqual(self.text(FILE), ED + "\n" + old + "\n" + RSA + "\n")
        self.assertEqual(self.looks(FILE), (0o644, self.uid))
        self.assertEqual(self.looks("/home/azureuser/.ssh"), (0o755, self.uid))
        self.assertEqual(self.looks("/home/azureuser"), (0o755, self.uid))

    def test_present(self) -> None:
        """Only a line without options that sshd accepts for this key counts, and only the first of its lines."""
        other = RSA + " "
        for line, present in (
            (ED, True),
            (ED + " ann@host", True),
            ("\t " + ED + "\t# x", True),
            (ED + "\r", True),
            (ED + " x\r", True),
            (ED.replace(" ", " \t "), True),
            (ED + " " + RSA, True),
            ("restrict,pty " + ED + "\n" + ED, LIMITED),
            ('command="a b" ' + ED, LIMITED),
            ("restrict,pty " + ED, LIMITED),
            ("", False),
            ("# " + ED, False),
            ("#" + ED, False),
            (" \t# " + ED, False),
            (other + ED, False),
            (other + "was: " + ED, False),
            ('from="10.0.0.1" ' + other + ED, False),
            ('command="%s" %s' % (ED, RSA), False),
            ("\u00a0" + ED, False),
            ("\ufeff" + ED, False),
            (ED.replace(" ", "\u00a0"), False),
            (ED.replace(" ", "\f"), False),
            ("x\f" + ED, False),
            (ED[:-4], False),
            (ED.upper(), False),
        ):
            for text in (line + "\n", "# before\n\n%s\n%s\n" % (RSA, line), line):
                with self.subTest(text=text):
                    self.fill({FILE: text})
                    self.own("/home/azureuser/.ssh")
                    said = authorize(self.system, "azureuser", [ED])
                    self.assertEqual(said, "%d added to %s" % (present is not True, FILE))
                    whole = text if text.endswith("\n") or not text else text + "\n"
                    expected = {True: text, False: whole + ED + "\n", LIMITED: ED + "\n" + text}[present]
                    self.assertEqual(self.text(FILE), expected)
                    self.assertEqual(authorize(self.system, "azureuser", [ED]), "0 added to " + FILE)

    def test_limited(self) -> None:
        """sshd uses the first line: ours goes before one with options, which is reported without its values."""
        command = 'no-pty,command="echo \\"a, b\\" hunter2 ssh-rsa",from="10.*"'
        for text, shown in (
            (command + " " + ED, "no-pty, command, from"),
            ("# x\n" + ED + "\n" + command + " " + ED, ""),
            (command + " " + ED + "\n" + ED, "no-pty, command, from"),
            ("RESTRICT  " + ED + "\n", "restrict"),
            ("cert-authority " + ED, ""),
            ("cert-authority,no-pty " + ED, ""),
            ('command="x ' + ED, ""),  # the quote does not end: sshd refuses the line
            ("a\x1b[2J,b " + ED, "a\\x1b[2j, b"),
        ):
            with self.subTest(text=text):
                warnings: "List[str]" = []
                self.fill({FILE: text})
                self.own("/home/azureuser/.ssh")
                authorize(self.system, "azureuser", [ED], {}, warnings.append)
                self.assertEqual(len(warnings), bool(shown), warnings)
                if shown:
                    limited = "a line of %s has the ssh-ed25519 key with the options %s: Azure's line" % (FILE, shown)
                    self.assertIn(limited, warnings[0])
                    self.assertNotIn("hunter2", warnings[0])
                self.assertTrue((self.text(FILE) or "").startswith((ED + "\n" if shown else "") + text))
                self.assertIn(ED, (self.text(FILE) or "").split("\n"))

    def test_options_are_parsed_as_in_openssh(self) -> None:
        """ssh-keygen skips options in the same way as sshd."""
        if shutil.which("ssh-keygen") is None:
            self.skipTest("no ssh-keygen here: how OpenSSH itself reads the lines was not compared")
        pieces = ["", " ", "\t", "# ", "x", "x,y ", '"', '\\"', "\\", 'c="a b" ', 'c="a\\"b" ', 'c="a,', "\xa0"]
        pieces += [ED, ED[:-4]]
        rng = random.Random(5)
        different, found = [], 0
        place = self.root + "/line"
        for _ in range(300):
            line = "".join(rng.choice(pieces) for _ in range(rng.randint(0, 4))) + ED
            if re.search(r"\S[ \t]{2}", line):  # sshd accepts two blanks after the options, ssh-keygen only one
                continue
            with open(place, "w", encoding="utf-8") as file:
                file.write(line + "\n")
            done = subprocess.run(["ssh-keygen", "-l", "-f", place], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            ours = tuple(ED.split()) in keys_in(line + "\n")
            found += ours
            if (b"(ED25519)" in done.stdout) != ours:
                different.append(line)
        self.assertEqual(different, [])
        self.assertGreater(found, 50)

    def test_some_keys_are_refused(self) -> None:
        said = authorize(self.system, "azureuser", ["ssh-rsa AAAA", ED])
        self.assertEqual(said, "1 added to %s; refused: an ssh-rsa key is damaged" % FILE)

    def test_no_key_is_usable(self) -> None:
        for keys in ([], ["ssh-rsa AAAA"], [""]):
            with self.assertRaisesRegex(GuestError, "no usable ssh key"):
                authorize(self.system, "azureuser", keys)
        self.assertIsNone(self.text(FILE))
        with self.assertRaisesRegex(GuestError, "no such account"):
            authorize(self.system, "ann", [ED])

    def test_links_in_the_home_are_not_followed(self) -> None:
        self.fill({"/root/.ssh/authorized_keys": "root's\n", "/root/own": "x\n"})
        for link, target in (
            (".ssh", "/root/.ssh"),
            (".ssh", "../../root/.ssh"),
            (".ssh/authorized_keys", "/root/own"),
        ):
            with self.subTest(link=link, target=target):
                path = self.root + "/home/azureuser/" + link
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.symlink(target, path)
                with self.assertRaises(GuestError):
                    authorize(self.system, "azureuser", [ED])
                self.assertEqual(self.text("/root/.ssh/authorized_keys"), "root's\n")
                self.assertEqual(self.text("/root/own"), "x\n")
                os.unlink(path)

    def test_hard_link_and_pipe(self) -> None:
        self.fill({"/etc/shadow": "root:$6$secret\n", "/home/azureuser/.ssh/x": ""})
        os.link(self.root + "/etc/shadow", self.root + FILE)
        with self.assertRaisesRegex(GuestError, "not a plain file"):
            authorize(self.system, "azureuser", [ED])
        os.unlink(self.root + FILE)
        os.mkfifo(self.root + FILE)
        with self.assertRaisesRegex(GuestError, "not a plain file"):
            authorize(self.system, "azureuser", [ED])

    def test_home_elsewhere(self) -> None:
        """A link made by root is followed, inside the root. One in a folder that others may write to is not."""
        os.rename(self.root + "/home", self.root + "/data")
        os.symlink("/data", self.root + "/home")
        authorize(self.system, "azureuser", [ED])
        self.assertEqual(self.text("/data/azureuser/.ssh/authorized_keys"), ED + "\n")
        os.chmod(self.root, 0o777)
        with self.assertRaisesRegex(GuestError, "symlink is in the way"):
            authorize(self.system, "azureuser", [ED])

    def test_key_file_from_sshd_config(self) -> None:
        own = "/home/azureuser/.ssh/"
        table: "Tuple[Tuple[Dict[str, str], str], ...]" = (
            ({}, FILE),
            (
                {"sshd_config": "#AuthorizedKeysFile no\nAuthorizedKeysFile .ssh/%u.keys .ssh/2\n"},
                own + "azureuser.keys",
            ),
            ({"sshd_config": "authorizedkeysfile = none\t.ssh/k%%\nAuthorizedKeysFile x\n"}, own + "k%"),
            ({"sshd_config": 'AuthorizedKeysFile "%h/.ssh/k" # comment\n'}, own + "k"),
            ({"sshd_config": "AuthorizedKeysFile /etc/ssh/keys.d/%u/%U\n"}, "/etc/ssh/keys.d/azureuser/%d" % self.uid),
            (
                {
                    "sshd_config": "Include sshd_config.d/*.conf\nAuthorizedKeysFile last\n",
                    "sshd_config.d/10-a.conf": "Match User bob\nAuthorizedKeysFile bob\nMatch all\nUseDNS no\n",
                    "sshd_config.d/20-b.conf": "AuthorizedKeysFile .ssh/b\n",
                    "sshd_config.d/.0.conf": "AuthorizedKeysFile hidden\n",
                    "sshd_config.d/00-c": "AuthorizedKeysFile c\n",
                },
                own + "b",
            ),
            ({"sshd_config": "Match User azureuser\nAuthorizedKeysFile m\n"}, FILE),
        )
        for files, expected in table:
            with self.subTest(files=files):
                self.setUp()
                self.fill({"/etc/ssh/" + name: text for name, text in files.items()})
                self.assertEqual(authorize(self.system, "azureuser", [ED]), "1 added to " + expected)
                self.assertEqual(self.text(expected), ED + "\n")
                inside = expected.startswith("/home/")
                owner = self.uid if inside or os.geteuid() else 0
                self.assertEqual(self.looks(expected), (0o600 if inside else 0o644, owner))
                self.assertEqual(self.looks(os.path.dirname(expected))[0], 0o700 if inside else 0o755)

    def test_no_key_file(self) -> None:
        self.fill({"/etc/ssh/sshd_config": "AuthorizedKeysFile none\n"})
        with self.assertRaisesRegex(GuestError, "sshd reads no key file"):
            authorize(self.system, "azureuser", [ED])

    def test_endless_include(self) -> None:
        self.fill({"/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config\n"})
        with self.assertRaisesRegex(GuestError, "too many files"):
            authorize(self.system, "azureuser", [ED])

    def test_include_with_a_huge_pattern(self) -> None:
        """Found by tests.fuzz: the match would have taken minutes."""
        self.fill({"/etc/ssh/sshd_config": "Include /etc/ssh/%s*\n" % ("[" * 300000), "/etc/ssh/x": ""})
        authorize(self.system, "azureuser", [ED])
        self.assertIn(ED, self.text("/home/azureuser/.ssh/authorized_keys") or "")

    def test_huge_run_of_blanks(self) -> None:
        """Found by tests.fuzz: the time is quadratic, which means minutes."""
        self.fill({"/etc/ssh/sshd_config": "AuthorizedKeysFile .ssh/a%sb\n" % ("\t" * 300000)})
        authorize(self.system, "azureuser", [ED])
        self.assertIn(ED, self.text("/home/azureuser/.ssh/a") or "")

    def test_include_of_too_many_files(self) -> None:
        self.fill({"/etc/ssh/sshd_config": "Include %s\n" % ('"x"' * 100000)})
        looked = mock.Mock(wraps=self.system.exists)
        with mock.patch.object(self.system, "exists", looked):
            authorize(self.system, "azureuser", [ED])
        self.assertLess(looked.call_count, 1000)

    def test_key_file_from_sshd_t(self) -> None:
        def sshd(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            if argv[1] != "-T":
                return 255, "unknown"
            return 0, "port 22\nauthorizedkeysfile .ssh/reported .ssh/more\npasswordauthentication no\n"

        self.tools.add("sshd", sshd)
        authorize(self.system, "azureuser", [ED])
        self.assertEqual(self.tools.ran_words(), ["sshd -T -C " + CONNECTION])
        self.assertEqual(self.text("/home/azureuser/.ssh/reported"), ED + "\n")

    def test_sshd_without_rdomain(self) -> None:
        """Before OpenSSH 7.7."""

        def sshd(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            if "rdomain" in argv[-1]:
                return 1, "Invalid test mode specification rdomain=\n"
            return 0, "authorizedkeysfile .ssh/reported\n"

        self.tools.add("sshd", sshd)
        authorize(self.system, "azureuser", [ED])
        self.assertEqual(self.text("/home/azureuser/.ssh/reported"), ED + "\n")

    def test_configured_port_is_passed_to_sshd(self) -> None:
        for ports, port in (("Port 2222\n", "2222"), ("Port 2222\nPort 22\n", "22"), ("Port x\n", "22")):
            self.setUp()
            self.fill({"/etc/ssh/sshd_config": ports})
            self.tools.add("sshd")
            authorize(self.system, "azureuser", [ED])
            self.assertIn("lport=%s," % port, self.tools.ran_words()[0])

    def test_sshd_without_host_keys(self) -> None:
        """9.3 and later answer with -G, but not for a user: -C is then an error."""

        def sshd(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            if argv[1:] != ["-G"]:
                return 1, "sshd: no hostkeys available -- exiting."
            return 0, "authorizedkeysfile .ssh/reported\n"

        self.tools.add("sshd", sshd)
        authorize(self.system, "azureuser", [ED])
        self.assertEqual(self.text("/home/azureuser/.ssh/reported"), ED + "\n")

    def test_sshd_t_fails(self) -> None:
        self.tools.add("sshd", lambda argv, stdin: (1, "sshd: no hostkeys available -- exiting."))
        self.fill({"/etc/ssh/sshd_config": "AuthorizedKeysFile .ssh/k\n"})
        authorize(self.system, "azureuser", [ED])
        self.assertEqual(self.text("/home/azureuser/.ssh/k"), ED + "\n")

    def test_missing_privilege_separation_folder(self) -> None:
        """The folder is on a tmpfs; the service that starts sshd later creates it."""

        def sshd(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            if not self.system.is_dir("/run/sshd"):
                return 255, "Missing privilege separation directory: /run/sshd\n"
            return 0, "authorizedkeysfile .ssh/reported\n"

        self.tools.add("sshd", sshd)
        authorize(self.system, "azureuser", [ED])
        self.assertEqual(self.text("/home/azureuser/.ssh/reported"), ED + "\n")
