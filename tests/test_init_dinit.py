"""dinit: a description that it can load, and a name where `boot` looks."""

import re
import shutil
from typing import Dict, List

from azure_provisioning.init.table import disable
from tests.images import ImageTest, call, listing

SERVICE = "/etc/dinit.d/azure-provisioning"
LINK = "/etc/dinit.d/boot.d/azure-provisioning"


class DinitTest(ImageTest):
    def settings(self) -> "Dict[str, List[str]]":
        """The description as dinit-service(5) has it: `name = value` lines, and comments."""
        found: Dict[str, List[str]] = {}
        for line in (self.text(SERVICE) or "").splitlines():
            if line and not line.startswith("#"):
                match = re.match(r"([a-z-]+) = (\S.*)$", line)
                assert match, line
                found.setdefault(match.group(1), []).append(match.group(2))
        return found

    def test_files(self) -> None:
        for image, mounted in (("dinit of chimera", "local.target"), ("dinit of artix", "loginready")):
            with self.subTest(image):
                self.empty()
                self.image(image)
                before = listing(self.root)
                self.install()
                self.assertEqual(self.system.readlink(LINK), "../azure-provisioning")
                self.assertTrue(self.text(LINK))
                command = "/usr/bin/python3 -I -S /usr/local/sbin/azure-provisioning run"
                self.assertEqual(
                    self.settings(),
                    {"type": ["process"], "command": [command], "restart": ["false"], "waits-for": [mounted]},
                )
                etc = {path for path in listing(self.root) if path not in before and path.startswith("/etc/")}
                self.assertEqual(etc, {SERVICE, LINK})

    def test_only_services_that_exist_are_named(self) -> None:
        """One that is missing would keep dinit from loading ours."""
        self.image("dinit of artix")
        self.system.unlink("/etc/dinit.d/loginready")
        self.install()
        self.assertNotIn("waits-for", self.settings())

    def test_disable(self) -> None:
        self.image("dinit of artix")
        self.install()
        self.assertEqual(disable(self.system), [LINK])
        self.assertEqual(self.hook(), ("dinit", []))
        self.assertTrue(self.system.is_link("/etc/dinit.d/boot.d/sshd"))

    def test_folder_of_another_name(self) -> None:
        self.image("dinit of artix")
        before = "type = internal\nwaits-for.d: ../enabled.d\n"
        self.fill({"/etc/dinit.d/boot": before, "/etc/enabled.d/sshd": ""})
        self.install()
        self.assertEqual(self.hook()[1], ["/etc/enabled.d/azure-provisioning"])
        self.assertEqual(self.system.readlink("/etc/enabled.d/azure-provisioning"), SERVICE)

    def test_boot_that_waits_for_no_folder(self) -> None:
        self.image("dinit of artix")
        self.fill({"/etc/dinit.d/boot": "type = internal\n# waits-for.d = boot.d\n"})
        self.assertIn("nothing would start it", self.refused("install"))

    def test_dinitcheck(self) -> None:
        check = shutil.which("dinitcheck")
        if check is None:
            self.skipTest("no dinitcheck (package dinit): the description was not checked by dinit itself")
        self.image("dinit of artix")
        self.install("--python", "/usr/bin/python3.11")
        result = call([check, "-d", self.system.path("/etc/dinit.d"), "azure-provisioning"])
        self.assertEqual(result.code, 0, result)
