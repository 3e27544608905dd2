"""Which init system is it? Detected from files and links only, even in an image that tries to mislead."""

import os
from typing import Dict, Optional, Tuple

from azure_provisioning.errors import ProvisionError
from azure_provisioning.init.detection import INIT_BYTES, find_init
from azure_provisioning.init.table import choose
from tests import images
from tests.guests import FastSystem
from tests.images import IMAGES, SUPPORTED, ImageTest

# The files that only this init system has in an image, and the detected name (None: no sign of any).
SIGNS: Dict[str, Tuple[Dict[str, str], Optional[str]]] = {
    "nixos": ({"/etc/NIXOS": ""}, "nixos"),
    "nixos by its store": ({"/nix/store/x": "", "/etc/static": "-> /nix/store/x-etc"}, "nixos"),
    "guix": ({"/gnu/store/x": "", "/var/guix/db": ""}, "guix"),
    "guix, booted": ({"/gnu/store/x": "", "/run/current-system/profile": ""}, "guix"),
    "runit of void": ({"/sbin/init": "-> runit-init", "/sbin/runit-init": ""}, "runit"),
    "runit of debian": ({"/sbin/init": "-> /lib/runit/runit-init", "/lib/runit/runit-init": ""}, "runit"),
    "dinit": ({"/usr/bin/init": "-> dinit-init", "/usr/bin/dinit-init": "-> dinit", "/usr/bin/dinit": ""}, "dinit"),
    "dinit of chimera": ({"/usr/bin/init": '#!/bin/sh\n# not runit\nexec /usr/bin/dinit -p "$1"\n'}, "dinit"),
    "s6 of artix": ({"/sbin/init": "-> s6-init", "/sbin/s6-init": "", "/etc/s6/current/scripts/rc.init": ""}, "s6"),
    "s6 by its script": ({"/sbin/init": "#!/bin/execlineb -P\n/usr/bin/s6-linux-init -c /etc/s6 -- \n"}, "s6"),
    "s6-rc, other managers as comments": (
        {
            "/sbin/init": "-> s6-linux-init",
            "/etc/s6-linux-init/current/scripts/rc.init": "#!/bin/sh -e\ns6-rc-init /run/service\n# /etc/init.d/rc 2\n",
            "/etc/s6-linux-init/current/scripts/runlevel": "#!/bin/sh -e\n# exec /etc/init.d/rc $1\nexec s6-rc -up\n",
            "/etc/rc3.d/S01x": "",
        },
        "s6",
    ),
    "finit": ({"/sbin/init": "-> finit", "/sbin/finit": ""}, "finit"),
    "finit by its strings": ({"/sbin/init": "\x7fELF /etc/finit.conf "}, "finit"),
    "busybox alone": (
        {"/sbin/init": "-> /bin/busybox", "/bin/busybox": "", "/etc/inittab": "::sysinit:/rc\n"},
        "busybox",
    ),
    "busybox by its inittab": ({"/sbin/init": "\x7fELF", "/etc/inittab": "::askfirst:-/bin/sh\n"}, "busybox"),
    "busybox by its strings": ({"/bin/init": images.BUSYBOX}, "busybox"),
    "slackware": ({"/sbin/init": images.SYSVINIT, "/etc/rc.d/rc.M": "", "/etc/rc3.d/x": ""}, "slackware"),
    "slackware by its version": (
        {"/sbin/init": images.SYSVINIT, "/etc/slackware-version": "Slackware 15.0"},
        "slackware",
    ),
    "slackware with an unused openrc": (
        {
            "/sbin/init": images.SYSVINIT,
            "/sbin/openrc-run": "",
            "/etc/runlevels/default/x": "",
            "/etc/inittab": "id:3:initdefault:\n# l3:3:wait:/sbin/openrc default\nrc:2345:wait:/etc/rc.d/rc.M\n",
            "/etc/rc.d/rc.M": "",
        },
        "slackware",
    ),
    "bsd rc": ({"/sbin/init": images.SYSVINIT, "/etc/rc": "#!/bin/bash\n", "/etc/rc.conf": ""}, "rc-local"),
    "nothing": ({"/etc/passwd": ""}, None),
    "an init that nobody knows": ({"/sbin/init": "\x7fELF something else"}, None),
    "a script that starts nothing known": ({"/sbin/init": "#!/bin/sh\n# exec dinit\nexec /sbin/other\n"}, None),
}

LEFT_OVER = {
    "/sbin/init": "-> /lib/systemd/systemd",
    "/etc/runit/1": "",
    "/etc/rc": "",
    "/etc/init.d/rcS": images.BUILDROOT_RCS,
}

MORE: Dict[str, Tuple[Dict[str, str], Optional[str]]] = {
    "systemd as a copied file": ({"/sbin/init": "\x7fELF systemd 252 running in %ssystem mode (%s) "}, "systemd"),
    "systemd as /usr/bin/init alone": ({"/usr/bin/init": "-> ../lib/systemd/systemd"}, "systemd"),
    "upstart of ubuntu": ({"/sbin/init": "-> upstart", "/sbin/upstart": "", "/etc/rc3.d/S20x": ""}, "sysvinit"),
    "old sysvinit without a version": (
        {"/sbin/init": "\x7fELF /dev/initctl", "/etc/inittab": "id:3:initdefault:\n", "/etc/rc3.d/S55sshd": ""},
        "sysvinit",
    ),
    "openrc under s6": (
        {
            "/sbin/init": "-> s6-linux-init",
            "/sbin/openrc-run": "",
            "/etc/runlevels/default/x": "",
            "/etc/s6-linux-init/current/scripts/rc.init": "#!/bin/sh -e\nexec openrc default\n",
        },
        "openrc",
    ),
    "openrc under runit": (
        {
            "/sbin/init": "-> runit-init",
            "/sbin/openrc-run": "",
            "/etc/runlevels/default/x": "",
            "/etc/runit/2": "#!/bin/sh\nopenrc default\n",
        },
        "openrc",
    ),
    "runlevels under s6": (
        {
            "/sbin/init": "-> s6-linux-init",
            "/etc/s6-linux-init/current/scripts/rc.init": "#!/bin/sh -e\n# s6-rc-init /run/service\n/etc/init.d/rc S\n",
            "/etc/rc3.d/S01x": "",
        },
        "sysvinit",
    ),
    "systemd, with everything else left over": (
        dict(IMAGES["insserv"], **LEFT_OVER),
        "systemd",
    ),
}


class LiveSystem(FastSystem):
    """A root that counts as the root of the running machine."""

    live = True


class DetectionTest(ImageTest):
    def found(self, files: "Dict[str, str]") -> "object":
        """The result in a root of its own."""
        root = os.path.join(self.root, "%03d" % len(os.listdir(self.root)))
        os.mkdir(root)
        self.system = FastSystem(root)
        self.fill({"/etc/os-release": "", "/usr/bin/env": ""})
        self.fill(files)
        return find_init(self.system)

    def test_supported_images(self) -> None:
        self.assertEqual(set(SUPPORTED), set(IMAGES))
        for name, files in IMAGES.items():
            with self.subTest(name):
                self.assertEqual(self.found(files), SUPPORTED[name])

    def test_signs_of_other_systems(self) -> None:
        for name, (files, expected) in list(SIGNS.items()) + list(MORE.items()):
            with self.subTest(name):
                self.assertEqual(self.found(files), expected)

    def test_runit_by_its_stages(self) -> None:
        files = {"/sbin/init": "\x7fELF", "/etc/runit/1": "", "/etc/runit/2": ""}
        self.assertIsNone(self.found(files))
        for stage in ("/etc/runit/1", "/etc/runit/2"):
            os.chmod(self.system.path(stage), 0o755)
        self.assertEqual(find_init(self.system), "runit")

    def test_openrc_needs_all_its_signs(self) -> None:
        whole = IMAGES["openrc on sysvinit"]
        for missing in ("/sbin/openrc-run", "/etc/runlevels/default/sshd", "/etc/inittab"):
            with self.subTest(missing):
                self.assertNotEqual(self.found({key: whole[key] for key in whole if key != missing}), "openrc")

    def test_image_is_detected_by_files_only(self) -> None:
        running = {"/run/systemd/system/x": "", "/run/openrc/softlevel": "default", "/run/dinitctl": ""}
        self.assertEqual(self.found(dict(IMAGES["buildroot"], **running)), "buildroot")

    def test_running_machine_is_detected_by_its_processes(self) -> None:
        """A folder that Debian's packages create in /run, even in a container build, does not count."""
        self.image("systemd")
        for path, name in (
            ("/run/runit/supervise/x", "systemd"),
            ("/run/runit.stopit", "runit"),
            ("/run/openrc/softlevel", "openrc"),
        ):
            self.fill({path: ""})
            self.assertEqual(find_init(LiveSystem(self.root)), name, path)

    def test_debian_runit_without_its_scripts(self) -> None:
        """The LSB script if a program runs the links of runlevel 2; otherwise the service directory."""
        whole = IMAGES["runit of debian"]
        self.assertEqual(self.found(whole), "sysvinit")
        off = {"/etc/runit/no.emulate.sysv": ""}
        self.assertEqual(self.found(dict(whole, **off)), "runit")
        unused = {
            "/etc/runit/2": "#!/bin/sh\n# /lib/runit/run_sysv_scripts /etc/rc2.d\nexec runsvdir -P /etc/service\n"
        }
        self.assertEqual(self.found(dict(whole, **unused)), "runit")
        bare = {path: text for path, text in whole.items() if not path.startswith("/etc/rc")}
        self.assertEqual(self.found(bare), "runit")

    def test_declarative_distro_gets_a_declaration(self) -> None:
        """Nothing is written: the text for the declaration is on stdout, an explanation on stderr."""
        for name, mark in (("nixos", "systemd.services.azure-provisioning"), ("guix", "(one-shot? #t)")):
            with self.subTest(name):
                self.empty()
                self.fill(dict(images.PYTHON, **{"/etc/os-release": ""}))
                self.fill(SIGNS[name][0])
                before = images.listing(self.root)
                result = self.install()
                self.assertIn(mark, result.out)
                self.assertIn("nothing was written", result.err)
                self.assertEqual(images.listing(self.root), before)
                with self.assertRaisesRegex(ProvisionError, "declaration"):  # for a user who still asks for a hook
                    choose(self.system, None)
                self.assertIn("Installed for systemd", self.install("--init", "systemd").err)

    def test_running_init_does_not_hide_a_declarative_distro(self) -> None:
        self.fill({"/etc/NIXOS": "", "/run/systemd/system/x": ""})
        system = LiveSystem(self.root)
        self.assertEqual(find_init(system), "nixos")
        system.unlink("/etc/NIXOS")
        self.assertEqual(find_init(system), "systemd")

    def test_running_init_precedes_installed_init(self) -> None:
        for name, running, expected in (
            ("buildroot", {"/run/openrc/softlevel": "default"}, "openrc"),
            ("busybox alone", {"/run/finit/x": ""}, "finit"),
            ("runit of debian", {"/run/runit.stopit": ""}, "sysvinit"),
            ("runit of void", {"/run/runit/stopit": ""}, "runit"),
            ("systemd", {"/run/dinitctl": ""}, "dinit"),
        ):
            with self.subTest(name):
                self.found(dict(IMAGES[name], **running))
                self.assertEqual(find_init(LiveSystem(self.system.root)), expected)

    def test_unknown_init_system_needs_init_option(self) -> None:
        self.fill(dict(images.PYTHON, **{"/etc/os-release": ""}))
        line = self.refused("install")
        self.assertIn("no init system was found", line)
        self.assertIn("--init", line)


class PlainFileTest(ImageTest):
    def test_init_program_is_detected_by_content(self) -> None:
        """Found by a string that only one program has."""
        openrc = {"/sbin/openrc-run": "", "/etc/runlevels/default/sshd": "-> /etc/init.d/sshd"}
        for text, name in (
            ("\x7fELF OpenRC init version %s starting", "openrc"),
            ("\x7fELF dinit: '--socket-path' /run /.dinitctl", "dinit"),
        ):
            self.fill(openrc if name == "openrc" else {})
            self.fill({"/sbin/init": text})
            self.assertEqual(find_init(self.system), name)


class HostileImageTest(ImageTest):
    """Whatever an image contains: nothing outside it is read or written, and every call returns."""

    def setUp(self) -> None:
        super().setUp()
        self.outside = self.root
        self.root = os.path.join(self.outside, "image")
        os.mkdir(self.root)
        self.system = FastSystem(self.root)

    def assert_untouched_outside(self) -> None:
        self.assertEqual(os.listdir(self.outside), ["image"])

    def link(self, target: str, path: str) -> None:
        """A raw symlink in the image."""
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        os.symlink(target, self.root + path)

    def test_links_out_of_the_image(self) -> None:
        for target in ("/", "../../../../../../..", "/../.."):
            with self.subTest(target):
                self.fill(images.PYTHON)
                self.fill({"/lib/systemd/systemd": ""})
                self.link("/lib/systemd/systemd", "/sbin/init")
                self.link(target, "/etc")
                before = images.listing(self.root)
                self.install()
                self.assert_untouched_outside()
                self.assertIn("/systemd/system/azure-provisioning.service", images.listing(self.root))
                self.uninstall()
                self.assertEqual(images.listing(self.root), before)
                os.unlink(self.root + "/etc")
                os.unlink(self.root + "/sbin/init")

    def test_init_is_resolved_inside_the_image(self) -> None:
        """/lib/systemd/systemd may exist on this machine; only the name inside the image counts."""
        self.fill(images.PYTHON)
        self.fill({"/etc/os-release": "", "/opt/real-init": images.BUSYBOX, "/etc/init.d/rcS": images.BUILDROOT_RCS})
        self.link("/sbin/first", "/sbin/init")
        self.link("../../../../opt/real-init", "/sbin/first")
        self.assertEqual(find_init(self.system), "buildroot")

    def test_state_folder_link_out_of_the_image(self) -> None:
        self.image("systemd")
        self.link("../../../../../../var/outside", "/var/lib")
        self.install()
        self.assert_untouched_outside()
        self.assertIn("/var/outside/azure-provisioning/install", images.listing(self.root))

    def test_unit_link_out_of_the_image(self) -> None:
        self.image("systemd")
        victim = os.path.join(self.outside, "victim")
        with open(victim, "w") as file:
            file.write("mine")
        self.link(victim, "/etc/systemd/system/azure-provisioning.service")
        self.install()
        os.unlink(self.root + "/usr/local/sbin/azure-provisioning")
        self.link(victim, "/usr/local/sbin/azure-provisioning")
        self.install()
        self.assertFalse(self.system.is_link("/usr/local/sbin/azure-provisioning"))  # our file is not a link
        with open(victim) as file:
            self.assertEqual(file.read(), "mine")

    def test_loops(self) -> None:
        harmless = ("/sbin/init", "/etc/inittab")  # each of them still reports what the other cannot
        loops = ("/sbin", "/etc", "/var/lib", "/usr/local", "/usr/bin/python3.11") + harmless
        for path in loops:
            with self.subTest(path):
                self.link(os.path.basename(path), path)
                for name, text in list(images.PYTHON.items()) + list(IMAGES["insserv"].items()):
                    if not (name + "/").startswith(path + "/"):
                        self.fill({name: text})
                if path in harmless:
                    self.install()
                else:
                    self.refused("install")
                self.empty()

    def test_fifos_where_files_are_expected(self) -> None:
        script, depend = "/etc/init.d/azure-provisioning", "/etc/init.d/.depend.start"
        fatal = ("/etc/inittab", depend, script, "/usr/local/sbin/azure-provisioning")
        harmless = ["/sbin/init", "/etc/init.d/rc", "/etc/init.d/rcS", "/usr/bin/python3"]
        harmless += ["/etc/waagent.conf", "/etc/azure-provisioning.conf"]
        for path in list(fatal) + harmless:
            with self.subTest(path):
                self.image("insserv")
                self.fill({"/usr/sbin/waagent": "", "/etc/rc2.d/S01waagent": "-> ../init.d/waagent"})
                self.fill({"/etc/inittab": images.DEBIAN_INITTAB})
                if os.path.lexists(self.root + path):
                    os.unlink(self.root + path)
                os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
                os.mkfifo(self.root + path)
                if path == "/etc/inittab":  # asked only if /sbin/init gives no answer
                    os.unlink(self.root + "/sbin/init")
                if path in fatal:
                    self.assertIn("not a regular file", self.refused("install"))
                else:
                    self.install()
                self.empty()

    def test_devices_where_files_are_expected(self) -> None:
        self.image("insserv")
        for path in ("/etc/init.d/.depend.start", "/sbin/init"):
            os.unlink(self.root + path)
        try:
            os.mknod(self.root + "/etc/init.d/.depend.start", 0o020666, os.makedev(1, 5))  # /dev/zero has no end
            os.mknod(self.root + "/sbin/init", 0o020666, os.makedev(1, 5))
        except PermissionError:
            self.skipTest("only root makes devices: a device in the place of a file was not tried")
        self.assertIn("not a regular file", self.refused("install"))

    def test_only_the_start_of_a_large_init_is_read(self) -> None:
        self.fill({"/etc/os-release": "", "/etc/rc3.d/S01x": ""})
        mark = b"INIT_VERSION=sysvinit-3.06"
        place = self.root + "/sbin/init"
        os.mkdir(os.path.dirname(place))
        for offset, expected in ((0, "sysvinit"), (INIT_BYTES - len(mark), "sysvinit"), (INIT_BYTES, None)):
            with self.subTest(offset=offset):
                with open(place, "wb") as file:
                    file.seek(offset)
                    file.write(mark)
                    file.truncate(1 << 40)  # a sparse terabyte
                self.assertEqual(find_init(self.system), expected)

    def test_names_without_utf8(self) -> None:
        self.image("insserv")
        for folder in (b"/etc/rc2.d/S01\xff\xfe", b"/etc/init.d/\xff"):
            os.symlink(b"\xff", os.fsencode(self.root) + folder)
        before = images.listing(self.root)
        self.install()
        self.uninstall()
        self.assertEqual(images.listing(self.root), before)
