"""The options file: a mistake in it is only a warning."""

import os
import re
from typing import List, Tuple

from azure_provisioning import config
from tests import TOP
from tests.guests import GuestTest

DEFAULTS = {
    "deadline": 900.0,
    "wireserver": ("168.63.129.16", 80),
    "imds": ("169.254.169.254", 80),
    "platform": "auto",
    "every_boot": False,
    "host_keys": "new",
}


class ConfigTest(GuestTest):
    def load(self, content: bytes) -> "Tuple[config.Options, List[str]]":
        self.system.write(config.PATH, content)
        return config.load(self.system)

    def assert_default(self, options: config.Options, *but: str) -> None:
        for key, value in DEFAULTS.items():
            if key not in but:
                self.assertEqual(getattr(options, key), value, key)

    def test_every_key_is_an_option(self) -> None:
        keys = [row[0] for row in config.TABLE]
        self.assertEqual(sorted(config.Options.__annotations__), sorted(keys))
        self.assertEqual(set(DEFAULTS) - set(keys), set())

    def test_shell_refuses_options_that_need_python(self) -> None:
        """The shell implementation has its own list, because it cannot read this one."""
        with open(os.path.join(TOP, "src", "essential.sh"), encoding="utf-8") as file:
            script = file.read()
        listed = [set(words.split()) for words in re.findall(r"for key in ([a-z_ ]+); *do", script)]
        self.assertIn({row[0] for row in config.TABLE if row[3]}, listed)

    def test_no_file(self) -> None:
        options, problems = config.load(self.system)
        self.assertEqual(problems, [])
        self.assert_default(options)

    def test_understood(self) -> None:
        for line, key, value in (
            ("deadline = 10", "deadline", 10.0),
            ("deadline=86400", "deadline", 86400.0),
            ("\t deadline \t=\t 60 \r", "deadline", 60.0),
            ("wireserver = 10.0.0.4", "wireserver", ("10.0.0.4", 80)),
            ("wireserver = 127.0.0.1:65535", "wireserver", ("127.0.0.1", 65535)),
            ("imds = 255.255.255.255:1", "imds", ("255.255.255.255", 1)),
            ("platform = azure", "platform", "azure"),
            ("platform = auto", "platform", "auto"),
            ("every_boot = yes", "every_boot", True),
            ("every_boot = no", "every_boot", False),
            ("host_keys = keep", "host_keys", "keep"),
            ("# deadline = 17", "deadline", 900.0),
            ("   # deadline = 17", "deadline", 900.0),
            ("", "deadline", 900.0),
            ("deadline = 20\ndeadline = 30", "deadline", 30.0),
        ):
            with self.subTest(line):
                options, problems = self.load(line.encode("ascii"))
                self.assertEqual((problems, getattr(options, key)), ([], value))
                self.assert_default(options, key)

    def test_not_understood(self) -> None:
        for line in (
            "deadline",
            "deadline =",
            "deadline = 9",
            "deadline = 86401",
            "deadline = -60",
            "deadline = 1e3",
            "deadline = 60.5",
            "deadline = 60 s",
            "deadline = 60 # seconds",
            "deadline = " + "9" * 5000,
            "deadline = \xb2",
            "deadline: 60",
            "Deadline = 60",
            "wireserver = ",
            "wireserver = example.com",
            "wireserver = 10.0.0",
            "wireserver = 10.0.0.0.1",
            "wireserver = 10.0.0.256",
            "wireserver = 10.0.0.-1",
            "wireserver = 10.0.0.4:",
            "wireserver = 10.0.0.4:0",
            "wireserver = 10.0.0.4:65536",
            "wireserver = 10.0.0.4:80:80",
            "wireserver = http://10.0.0.4/",
            "wireserver = ::1",
            "wireserver = \u0661.0.0.1",
            "wireserver = 10.0.0.1:\u0668\u0660",
            "imds = [::1]:80",
            "platform = aws",
            "platform = Azure",
            "every_boot = true",
            "every_boot = 1",
            "host_keys = yes",
            "host_keys =",
            "no_such_key = 1",
            "__class__ = x",
            "[section]",
            "= 5",
        ):
            with self.subTest(line[:40]):
                options, problems = self.load(("%s\nplatform = azure\n" % line).encode("utf-8"))
                self.assert_default(options, "platform")
                self.assertEqual(options.platform, "azure")  # the other lines count
                self.assertEqual(len(problems), 1, problems)
                self.assertIn("/etc/azure-provisioning.conf line 1, ", problems[0])

    def test_invalid_files(self) -> None:
        for content in (b"\0" * 4096, b"\xff\xfe\0d", bytes(range(256)), b"x" * (2 << 20), b"\n" * 100000):
            with self.subTest(content[:10]):
                self.assert_default(self.load(content)[0])
        self.system.unlink(config.PATH)
        self.system.make_dirs(config.PATH)
        options, problems = config.load(self.system)
        self.assert_default(options)
        self.assertEqual(len(problems), 1)

    def test_set_option(self) -> None:
        self.fill({config.PATH: "# mine\nevery_boot = no\ndeadline = 60\n every_boot=no\n"})
        config.set_option(self.system, "every_boot", "yes")
        self.assertEqual(self.text(config.PATH), "# mine\ndeadline = 60\nevery_boot = yes\n")
        self.assertFalse(self.system.write(config.PATH, "# mine\ndeadline = 60\nevery_boot = yes\n"))
        self.system.unlink(config.PATH)
        config.set_option(self.system, "every_boot", "yes")
        self.assertEqual(self.text(config.PATH), "every_boot = yes\n")
