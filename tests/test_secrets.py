"""A first boot with a known password and known data: each secret is only in its place.

The guest is a scratch root with stand-ins for its tools, so root is not needed. `tests.crash` does the same with a real
Debian, and sees every program and every byte written.
"""

import base64
import os
from typing import Dict, List, Tuple

from azure_provisioning.azure.drives import POINT
from azure_provisioning.image.rehearse.fake_azure import FakeAzure
from tests.guests import AZURE_VM, snapshot
from tests.secrets import CUSTOM_DATA, FOLDER, OVF, PASSWORD, SECRETS, USER_DATA, forms
from tests.tools import ToolTest

PLACES = {FOLDER + "customData", FOLDER + "userData"}


class SecretsTest(ToolTest):
    def setUp(self) -> None:
        super().setUp()
        self.fill(AZURE_VM)
        self.install_hook()
        self.given: "List[bytes]" = []
        self.fill({"/dev/sr0": ""})
        self.tools.add("mount", self.mount, folder="/bin")
        self.tools.add("umount", self.umount, folder="/bin")
        self.tools.add("chpasswd", self.chpasswd)
        self.tools.add("visudo")

    def mount(self, argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
        with open(self.root + POINT + "/ovf-env.xml", "w", encoding="utf-8") as file:
            file.write(OVF)
        return 0, ""

    def umount(self, argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
        os.unlink(self.root + POINT + "/ovf-env.xml")
        return 0, ""

    def chpasswd(self, argv: "List[str]", stdin: bytes) -> "Tuple[int, str]":
        self.given.append(stdin)
        return 1, "cannot take " + stdin.decode("utf-8")  # a tool that prints it; our output must not

    def boot_with_secrets(self, *faults: str, **options: object) -> FakeAzure:
        azure = self.azure(*faults, **options)
        compute = azure.instance["compute"]
        compute["userData"] = base64.b64encode(USER_DATA).decode("ascii")
        self.boot()
        return azure

    def seen(self, azure: FakeAzure) -> "Dict[str, bytes]":
        """Everything that other users can read."""
        found = {path: content for path, (_, _, content) in snapshot(self.root).items() if path not in PLACES}
        found["the names"] = "\n".join(found).encode("utf-8", "surrogateescape")
        found["the story"] = self.story.encode("utf-8")
        found["what was run"] = repr(self.tools.ran).encode("utf-8")
        found["what Azure received"] = repr((azure.requests, azure.reports)).encode("utf-8")
        return found

    def leaks(self, azure: FakeAzure) -> "List[str]":
        """The places that contain a secret but should not."""
        return [
            "%s: %s" % (name, where)
            for name, secret in SECRETS.items()
            for where, content in self.seen(azure).items()
            if any(form in content for form in forms(secret))
        ]

    def test_no_secret_leaks(self) -> None:
        azure = self.boot_with_secrets()
        self.assertEqual(self.given, [("azureuser:%s\n" % PASSWORD).encode("utf-8")])
        self.assertEqual(self.system.read(FOLDER + "customData"), CUSTOM_DATA)
        self.assertEqual(self.system.read(FOLDER + "userData"), USER_DATA)
        for name in PLACES:
            self.assertEqual(os.stat(self.root + name).st_mode & 0o7777, 0o600, name)
        self.assertIn("password: written to shadow", self.story)
        self.assertEqual(len(azure.reports), 1)
        self.assertEqual(self.leaks(azure), [])

    def test_no_secret_leaks_after_a_failure(self) -> None:
        """The details of an error go to Azure, and to every reader of the state."""
        self.system.write("/etc/shadow", "azureuser:*:1:0:::::\n")
        self.tools.make_dirs(FOLDER + "customData")  # a folder blocks the path
        azure = self.boot_with_secrets()
        self.assertIn("FAILED: ", self.story)
        self.assertIn("NotReady", "".join(azure.reports))
        self.assertEqual(self.leaks(azure), [])

    def test_leak_is_detected(self) -> None:
        """For each secret, in each form, at each place."""
        azure = self.boot_with_secrets()
        for secret in SECRETS.values():
            for form in sorted(forms(secret)):
                self.system.write("/var/tmp/leak", b"before" + form + b"behind")
                self.assertEqual([where.split(": ")[1] for where in self.leaks(azure)][:1], ["/var/tmp/leak"], form)
        self.system.unlink("/var/tmp/leak")
        self.tools.ran.append(["echo", PASSWORD])
        azure.reports.append(CUSTOM_DATA.decode("ascii"))
        self.stream.write(base64.b64encode(USER_DATA).decode("ascii"))
        places = {"password: what was run", "customData: what Azure received", "userData: the story"}
        self.assertEqual(set(self.leaks(azure)), places)
