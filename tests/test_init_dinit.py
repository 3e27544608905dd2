"""dinit: a description that it can load, and a name in a folder of `boot`."""

import os
import re
import shutil
import subprocess
import time
from typing import Dict, List

from azure_provisioning.init.systems import dinit
from azure_provisioning.init.table import disable
from tests.images import ImageTest, call, listing

SERVICE = "/etc/dinit.d/azure-provisioning"
LINK = "/etc/dinit.d/boot.d/azure-provisioning"


class DinitTest(ImageTest):
    def settings(self) -> "Dict[str, List[str]]":
        """The description in the syntax of dinit-service(5): `name = value` lines, and comments."""
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
                command = "/usr/bin/python3 -I -S /usr/local/sbin/azure-provisioning run --detach"
                self.assertEqual(
                    self.settings(),
                    {
                        "type": ["scripted"],
                        "command": [command],
                        "restart": ["false"],
                        "start-timeout": ["120"],
                        "waits-for": [mounted],
                        "before": ["sshd"],
                    },
                )
                etc = {path for path in listing(self.root) if path not in before and path.startswith("/etc/")}
                self.assertEqual(etc, {SERVICE, LINK})

    def test_missing_services_are_not_named(self) -> None:
        """With a missing dependency, dinit would not load our service."""
        self.image("dinit of artix")
        self.system.unlink("/etc/dinit.d/loginready")
        self.system.unlink("/etc/dinit.d/sshd")
        self.fill({"/lib/dinit.d/dropbear": "type = process\n"})
        self.install()
        self.assertNotIn("waits-for", self.settings())
        self.assertEqual(self.settings()["before"], ["dropbear"])

    def test_disable(self) -> None:
        self.image("dinit of artix")
        self.install()
        self.assertEqual(disable(self.system), [LINK])
        self.assertEqual(self.hook(), ("dinit", []))
        self.assertTrue(self.system.is_link("/etc/dinit.d/boot.d/sshd"))

    def test_folder_with_another_name(self) -> None:
        self.image("dinit of artix")
        before = "type = internal\nwaits-for.d: ../enabled.d\n"
        self.fill({"/etc/dinit.d/boot": before, "/etc/enabled.d/sshd": ""})
        self.install()
        self.assertEqual(self.hook()[1], ["/etc/enabled.d/azure-provisioning"])
        self.assertEqual(self.system.readlink("/etc/enabled.d/azure-provisioning"), SERVICE)

    def test_folder_from_the_boot_service(self) -> None:
        """Quotes, variables, includes, and the dependencies of `boot`, direct or not."""
        own = "/etc/dinit.d/boot.d"
        for files, folder in (
            ({"boot": 'waits-for.d = "boot.d"\n'}, own),
            ({"boot": 'waits-for.d: "/etc/my enabled.d" # ours\n'}, "/etc/my enabled.d"),
            ({"boot": "waits-for.d = ${ENABLED:-boot.d}\n"}, own),
            ({"boot": "waits-for.d = ${ENABLED-boot.d}\n"}, own),
            ({"boot": "waits-for.d = /etc/$ENABLED.d\n", "../dinit/environment": "ENABLED=on\n"}, "/etc/on.d"),
            ({"boot": "waits-for.d = \\\n  boot.d\n"}, own),
            ({"boot": "waits-for.d += boot.d\n"}, own),
            ({"boot": "@include parts/more\n", "parts/more": "waits-for.d = more.d\n"}, "/etc/dinit.d/parts/more.d"),
            ({"boot": "@include-opt none\n@include-opt more\n", "more": "waits-for.d = boot.d\n"}, own),
            ({"boot": "depends-on = system\n", "system": "waits-for.d = boot.d\n"}, own),
            ({"boot": "depends-ms: a\n", "a": "waits-for = b\n", "b": "depends-on.d = boot.d\n"}, own),
            ({"boot": "waits-for = boot\nwaits-for = gone\ndepends-ms.d = boot.d\n"}, own),
            ({"boot": "depends-on = a@x\n", "a": "waits-for.d = $1.d\n"}, "/etc/dinit.d/x.d"),
        ):
            with self.subTest(files):
                self.empty()
                self.image("dinit of artix")
                self.fill({os.path.normpath("/etc/dinit.d/" + name): text for name, text in files.items()})
                self.install()
                self.assertEqual(self.hook()[1], [folder + "/azure-provisioning"])
                self.assertEqual(disable(self.system), [folder + "/azure-provisioning"])

    def test_recursive_includes(self) -> None:
        self.image("dinit of artix")
        self.fill({"/etc/dinit.d/boot": "@include boot\n@include boot\nwaits-for.d = boot.d\n"})
        self.install()
        self.assertEqual(self.hook()[1], [LINK])

    def test_older_install(self) -> None:
        """A hook that does not delay sshd: dinit never retries an sshd that failed without host keys."""
        self.image("dinit of artix")
        self.install()
        self.assertEqual(list(dinit.unreached(self.system, [LINK])), [])
        self.fill({SERVICE: "type = process\ncommand = /usr/bin/python3 -I -S /x run\n"})
        (found,) = dinit.unreached(self.system, [LINK])
        self.assertIn("starts sshd in parallel", found.message)
        self.install()
        self.assertEqual(list(dinit.unreached(self.system, [LINK])), [])

    def test_boot_without_a_folder(self) -> None:
        self.image("dinit of artix")
        self.fill({"/etc/dinit.d/boot": "type = internal\n# waits-for.d = boot.d\n"})
        self.assertIn("nothing would start it", self.refused("install"))

    def test_real_dinit(self) -> None:
        """sshd starts after our local part has ended, although dinit starts services in parallel."""
        program = shutil.which("dinit")
        if program is None:
            self.skipTest("no dinit (package dinit): that sshd waits was not seen")
        self.image("dinit of artix")
        story = self.root + "/story"
        stub = self.root + "/python3.11"
        self.fill({"/python3.11": '#!/bin/sh\necho begin "$5" >>%s\nsleep 1\necho end >>%s\n' % (story, story)})
        self.fill({"/sshd": "#!/bin/sh\necho sshd >>%s\nexec sleep 60\n" % story})
        for path in ("/python3.11", "/sshd"):
            self.make_program(path)
        self.fill({"/etc/dinit.d/boot": "type = internal\nwaits-for.d = boot.d\n"})
        self.fill({"/etc/dinit.d/sshd": "type = process\ncommand = %s/sshd\n" % self.root})
        self.install("--python", "/python3.11")
        text = (self.text(SERVICE) or "").replace("command = /python3.11", "command = " + stub)
        self.fill({SERVICE: text})
        child = subprocess.Popen(
            [program, "--user", "--container", "-d", self.root + "/etc/dinit.d", "-p", self.root + "/socket"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            ends = time.monotonic() + 60
            while "sshd" not in (self.text("/story") or "") and time.monotonic() < ends:
                time.sleep(0.1)
        finally:
            child.terminate()
            child.wait(30)
        self.assertEqual((self.text("/story") or "").split("\n")[:3], ["begin --detach", "end", "sshd"])

    def test_dinitcheck(self) -> None:
        check = shutil.which("dinitcheck") or shutil.which("dinit-check")
        if check is None:
            self.skipTest("no dinitcheck (package dinit): the description was not checked by dinit itself")
        self.image("dinit of artix")
        self.install("--python", "/usr/bin/python3.11")
        result = call([check, "-d", self.system.path("/etc/dinit.d"), "azure-provisioning"])
        lines = [line for line in (result.out + result.err).split("\n") if "azure-provisioning" in line]
        self.assertEqual(lines, ["Checking service: azure-provisioning..."])  # the image has no sshd: also reported
