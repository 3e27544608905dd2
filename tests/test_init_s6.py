"""s6-rc: the definition of a oneshot, a name in the bundle, and a database that is not ours to write."""

import os
import shutil

from azure_provisioning.init.systems import s6
from azure_provisioning.init.table import disable
from tests.images import ImageTest, call, listing

ARTIX = "/etc/s6/adminsv"
UPSTREAM = "/etc/s6-rc/source"
NAME = "azure-provisioning"


class S6Test(ImageTest):
    def test_files(self) -> None:
        for image, source, mounted in (
            ("s6 of artix", ARTIX, "setup"),
            ("s6 as its author has it", UPSTREAM, "ok-local"),
        ):
            with self.subTest(image):
                self.empty()
                self.image(image)
                before = listing(self.root)
                self.install()
                home, entry = "%s/%s" % (source, NAME), "%s/default/contents.d/%s" % (source, NAME)
                self.assertEqual(self.text(home + "/type"), "oneshot\n")
                self.assertEqual(self.text(entry), "")
                files = {home, home + "/type", home + "/up", home + "/dependencies.d", entry}
                files.add("%s/dependencies.d/%s" % (home, mounted))
                etc = {path for path in listing(self.root) if path not in before and path.startswith("/etc/")}
                self.assertEqual(etc, files)
                self.assertEqual(self.hook(), ("s6", [entry]))
                self.assertEqual(disable(self.system), [entry])
                self.assertEqual(self.hook(), ("s6", []))
                self.assertTrue(self.text(home + "/up"))

    def test_only_services_that_exist_are_named(self) -> None:
        """One that is missing would keep s6-rc-compile from making any database."""
        self.image("s6 of artix")
        shutil.rmtree(self.root + "/etc/s6/sv/setup")
        self.install()
        self.assertFalse(self.system.exists("%s/%s/dependencies.d" % (ARTIX, NAME)))

    def test_database_is_left_to_the_person(self) -> None:
        """Said until it has been compiled; nothing of the image is run for it, and the database stays as it is."""
        self.image("s6 of artix")
        self.fill({"/usr/bin/s6-db-reload": "#!/bin/sh\ntouch %s/ran\n" % self.root})
        database = listing(self.root + "/etc/s6/rc")
        self.assertIn("s6-db-reload", self.install().err)
        self.assertEqual(listing(self.root + "/etc/s6/rc"), database)
        self.assertFalse(os.path.exists(self.root + "/ran"))
        self.fill({"/etc/s6/rc/compiled-1/resolve.cdb": "sshd setup azure-provisioning"})
        self.assertNotIn("s6-db-reload", self.install().err)
        self.assertIsNone(s6.left_to_do(self.system))

    def test_no_bundle(self) -> None:
        self.image("s6 of artix")
        os.unlink(self.root + "/etc/s6/adminsv/default/type")
        self.assertIn("no bundle `default`", self.refused("install"))

    def test_bundle_of_the_older_form(self) -> None:
        """A folder contents.d beside its file `contents` would hide all that is in that."""
        self.image("s6 of artix")
        shutil.rmtree(self.root + "/etc/s6/adminsv/default/contents.d")
        self.fill({"/etc/s6/adminsv/default/contents": "sshd\n"})
        self.assertIn("no bundle `default`", self.refused("install"))

    def test_execline(self) -> None:
        """The `up` with a stand-in for Python: arguments, stdin and umask as s6-rc would give them."""
        execlineb = shutil.which("execlineb")
        if execlineb is None:
            self.skipTest("no execlineb (package execline): the `up` of the oneshot was not run")
        self.image("s6 of artix")
        self.install()
        stub = self.root + "/python3"
        self.fill({"/python3": '#!/bin/sh\necho "$*"; readlink /proc/self/fd/0; umask\n'})
        self.make_program("/python3")
        text = (self.text("%s/%s/up" % (ARTIX, NAME)) or "").replace("/usr/bin/python3", stub)
        self.fill({"/up": text})
        result = call([execlineb, "-P", self.root + "/up"])
        expected = ["-I -S /usr/local/sbin/azure-provisioning run --detach", "/dev/null", "0022"]
        self.assertEqual((result.code, result.out.splitlines()), (0, expected), result)

    def test_compile(self) -> None:
        tool = shutil.which("s6-rc-compile")
        if tool is None:
            self.skipTest("no s6-rc-compile (package s6-rc): no database was made of the definition")
        self.image("s6 as its author has it")
        self.fill({UPSTREAM + "/ok-local/contents.d/getty": "", UPSTREAM + "/getty/type": "longrun\n"})
        self.fill({UPSTREAM + "/getty/run": "#!/bin/sh\n"})
        self.install()
        result = call([tool, self.root + "/compiled", self.root + UPSTREAM])
        self.assertEqual(result.code, 0, result)
