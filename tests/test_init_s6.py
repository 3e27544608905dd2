"""s6-rc: the definition of a oneshot, a name in the bundle, and a database that we do not write."""

import os
import shutil
from typing import Dict, List, Sequence, Tuple

from azure_provisioning.init.systems import s6
from azure_provisioning.init.table import disable
from tests.images import ImageTest, call, listing
from tests.s6_database import resolve_cdb

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

    def test_missing_services_are_not_named(self) -> None:
        """With a missing dependency, s6-rc-compile would make no database."""
        self.image("s6 of artix")
        shutil.rmtree(self.root + "/etc/s6/sv/setup")
        self.install()
        self.assertFalse(self.system.exists("%s/%s/dependencies.d" % (ARTIX, NAME)))

    def test_database_is_not_compiled(self) -> None:
        """Reported until it is compiled. No program of the image is run, and the database does not change."""
        self.image("s6 of artix")
        self.fill({"/usr/bin/s6-db-reload": "#!/bin/sh\ntouch %s/ran\n" % self.root})
        database = listing(self.root + "/etc/s6/rc")
        self.assertIn("s6-db-reload", self.install().err)
        self.assertEqual(listing(self.root + "/etc/s6/rc"), database)
        self.assertFalse(os.path.exists(self.root + "/ran"))
        path, names = "/etc/s6/rc/compiled-1/resolve.cdb", ("sshd-srv", "setup", NAME)
        cases: "List[Tuple[Dict[str, Sequence[str]], bool]]" = [
            ({"default": ("sshd-srv",)}, True),  # compiled, but not in the boot bundle
            ({"default": ("sshd-srv",), "other": (NAME,)}, True),
            ({"default": ("sshd-srv", NAME)}, False),
            ({"default": ("sshd-srv", NAME), "nested": ("setup", NAME)}, False),
        ]
        for bundles, is_left in cases:
            with self.subTest(bundles):
                self.fill({path: resolve_cdb(names, bundles)})
                self.assertEqual("s6-db-reload" in self.install().err, is_left)
                self.assertEqual(s6.left_to_do(self.system) is not None, is_left)
        self.assertIn(NAME, s6.services(self.system))
        whole = self.bytes_at(path) or b""
        for damaged in (whole[:100], whole[:2060], b"", b"x" * 4096):
            with open(self.system.path(path), "wb") as file:
                file.write(damaged)
            self.assertIsNotNone(s6.left_to_do(self.system), damaged[:16])
        self.fill({path: resolve_cdb(names, {"default": ("sshd-srv", NAME)})})
        self.assertIsNone(s6.left_to_do(self.system))
        self.assertEqual(disable(self.system), ["/etc/s6/adminsv/default/contents.d/" + NAME])
        self.assertIsNone(s6.left_to_do(self.system))  # harmless in the database: the state prevents a second run
        self.assertIn("s6-db-reload", self.uninstall().err)  # a boot would look for a removed program

    def test_databases(self) -> None:
        """The path in the scripts of PID 1, or the frontend's setting, or s6-rc's current or former default."""
        self.image("s6 of artix")
        self.install()
        shutil.rmtree(self.root + "/etc/s6/rc")
        good, bad = (resolve_cdb(("sshd", NAME), {"default": names}) for names in (("sshd", NAME), ("sshd",)))
        script = "/etc/s6/current/scripts/rc.init"
        self.fill({script: "#!/bin/sh\ns6-rc-init /run/service\n", "/etc/s6-rc/compiled/resolve.cdb": good})
        self.assertIsNone(s6.left_to_do(self.system))
        self.fill({"/etc/s6-rc/compiled/current/resolve.cdb": bad})
        self.assertIsNotNone(s6.left_to_do(self.system))
        self.fill({"/etc/s6-rc/compiled/current/resolve.cdb": good, "/etc/s6-rc/compiled/resolve.cdb": bad})
        self.assertIsNone(s6.left_to_do(self.system))
        self.fill({script: "#!/bin/sh\n# s6-rc-init -c /x\ns6-rc-init -t 5 -c /etc/own /run/service\n"})
        self.fill({"/etc/own/resolve.cdb": bad})
        self.assertIsNotNone(s6.left_to_do(self.system))

    def test_services(self) -> None:
        """The services in the bundle, nested bundles and dependencies. Without a database, from the sources."""
        for image in ("s6 of artix", "s6 as its author has it", "s6 with its frontend"):
            with self.subTest(image):
                self.empty()
                self.image(image)
                compiled = s6.services(self.system)
                self.assertLessEqual({"sshd", "dhcpcd"}, set(compiled))
                self.assertIn("sshd -D", self.text(compiled["sshd"]) or "")
                for place in ("/etc/s6/rc", "/etc/s6-rc/compiled"):
                    shutil.rmtree(self.root + place, ignore_errors=True)
                self.assertEqual(
                    set(s6.services(self.system)) - {"setup", "ok-local"}, set(compiled) - {"setup", "ok-local"}
                )
        self.empty()
        self.image("s6 of artix")
        self.fill({"/etc/s6/rc/compiled-1/resolve.cdb": resolve_cdb(("sshd-srv", "dhcpcd-srv"), {"default": ()})})
        self.assertEqual(s6.services(self.system), {})

    def test_frontend(self) -> None:
        """The definition in the administrator's store. The steps that remain are reported as commands."""
        words = "s6 repository sync && s6 set enable azure-provisioning && s6 set commit && s6 live install --init"
        self.image("s6 with its frontend")
        before = listing(self.root)
        result = self.install()
        self.assertIn("`%s`" % words, result.err)
        self.assertIn("Next: what the warning says; ", result.err)
        home = ARTIX + "/" + NAME
        files = {home, home + "/type", home + "/up", home + "/dependencies.d", home + "/dependencies.d/setup"}
        self.assertEqual(
            {path for path in listing(self.root) if path not in before and path.startswith("/etc/")}, files
        )
        active, usable = ("/etc/s6/repo/sources/current/%s/%s" % (state, NAME) for state in ("active", "usable"))
        self.assertEqual(self.hook(), ("s6", [active]))
        self.fill({active: "-> ../../.atomics/" + NAME})  # as the commands do it
        names = ("sshd", "dhcpcd", "setup", NAME)
        self.fill({"/etc/s6/rc/compiled/resolve.cdb": resolve_cdb(names, {"default": names})})
        self.assertIsNone(s6.left_to_do(self.system))
        self.assertEqual(disable(self.system), [active])
        self.assertEqual(self.system.readlink(usable), "../../.atomics/" + NAME)
        self.assertEqual((self.hook(), s6.left_to_do(self.system)), (("s6", []), None))
        self.install()
        self.assertEqual(self.hook(), ("s6", [active]))
        self.assertIn("`s6 repository sync && s6 set commit && s6 live install --init`", self.uninstall().err)
        self.assertFalse(self.system.exists(home))

    def test_bundle_of_older_scripts(self) -> None:
        """A commit refuses a bundle `default` in a store: we do not add our name to it, and report that."""
        self.image("s6 with its frontend")
        self.fill({ARTIX + "/default/type": "bundle\n", ARTIX + "/default/contents.d/sshd": ""})
        self.assertIn("remove /etc/s6/adminsv/default", self.install().err)
        self.assertEqual(self.system.list(ARTIX + "/default/contents.d"), ["sshd"])

    def test_real_frontend(self) -> None:
        """With s6's own tools: the reported commands work, also after removal."""
        if shutil.which("s6-rc-set-commit") is None:
            self.skipTest("no s6-rc-set-commit (package s6-rc): no set was made of the definition")
        self.image("s6 with its frontend")
        for path in ("/etc/s6/repo", "/etc/s6/rc"):
            shutil.rmtree(self.root + path)
        repo, stores = self.root + "/etc/s6/repo", [self.root + path for path in ("/etc/s6/sv", ARTIX)]
        shutil.rmtree(stores[1])
        os.mkdir(stores[1])
        self.fill({"/etc/s6/sv/setup/up": "true\n"})
        boot = self.root + "/etc/s6/rc/compiled"
        os.makedirs(self.root + "/etc/s6/rc")

        def do(*argv: str) -> "List[str]":
            result = call([shutil.which(argv[0]) or argv[0], *argv[1:]])
            self.assertEqual(result.code, 0, (argv, result))
            return result.out.split()

        do("s6-rc-repo-init", "-r", repo, *stores)
        do("s6-rc-set-new", "-r", repo, "current")
        do("s6-rc-set-change", "-r", repo, "current", "active", "sshd", "dhcpcd", "setup")
        self.install()
        do("s6-rc-repo-sync", "-r", repo)
        do("s6-rc-set-change", "-r", repo, "current", "active", NAME)
        do("s6-rc-set-commit", "-r", repo, "current")
        do("s6-rc-set-install", "-r", repo, "-c", boot, "--no-update", "current")
        self.assertIn(NAME, do("s6-rc-db", "-c", boot, "contents", "default"))
        self.assertIsNone(s6.left_to_do(self.system))
        self.assertLessEqual({"sshd", "dhcpcd", NAME}, set(s6.services(self.system)))
        self.assertEqual(len(disable(self.system)), 1)
        do("s6-rc-set-commit", "-r", repo, "current")
        do("s6-rc-set-install", "-r", repo, "-c", boot, "--no-update", "current")
        self.assertNotIn(NAME, do("s6-rc-db", "-c", boot, "contents", "default"))
        self.assertNotIn(NAME, s6.services(self.system))

    def test_no_bundle(self) -> None:
        self.image("s6 of artix")
        os.unlink(self.root + "/etc/s6/adminsv/default/type")
        self.assertIn("no bundle `default`", self.refused("install"))

    def test_bundle_of_the_older_form(self) -> None:
        """A folder contents.d beside the file `contents` would hide all lines of that file."""
        self.image("s6 of artix")
        shutil.rmtree(self.root + "/etc/s6/adminsv/default/contents.d")
        self.fill({"/etc/s6/adminsv/default/contents": "sshd\n"})
        self.assertIn("no bundle `default`", self.refused("install"))

    def test_execline(self) -> None:
        """The `up` with a stand-in for Python: arguments, stdin and umask as s6-rc would set them."""
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
