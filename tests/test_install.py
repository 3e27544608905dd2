"""Install is complete or absent; a second install changes nothing; uninstall leaves no trace."""

import os
import re
import shutil
import sys
import unittest
from typing import Dict, List, Optional

from azure_provisioning.agents import find_agents
from azure_provisioning.config import PATH as OPTIONS
from azure_provisioning.image.check.interpreter import NEEDED
from azure_provisioning.init.table import disable
from tests import TOP, images
from tests.guests import FastSystem
from tests.images import IMAGES, SUPPORTED, ImageTest, built_file, call, cli, listing

PROGRAM = "/usr/local/sbin/azure-provisioning"
MANIFEST = "/var/lib/azure-provisioning/install"
UNIT = "/etc/systemd/system/azure-provisioning.service"
SCRIPT = "/etc/init.d/azure-provisioning"
# Init systems whose hook is only lines in an administrator's file: after removal no trace shows.
IN_A_FILE_OF_THE_USER = ("busybox alone", "busybox without inittab", "sysvinit alone", "bsd rc")


class InstallTest(ImageTest):
    def test_in_every_kind_of_image(self) -> None:
        for name in sorted(IMAGES):
            with self.subTest(name):
                self.empty()
                self.image(name)
                before = listing(self.root)
                once = self.install()
                after = listing(self.root)
                changed = {path for path in after if after[path] != before.get(path) and after[path][0] != "folder"}
                said = {self.system.path(path, follow=False)[len(self.root) :] for path in once.out.splitlines()}
                self.assertEqual(said, changed)
                self.assertEqual(set(before) - set(after), set())
                with open(built_file(), "rb") as file:
                    self.assertEqual(after[PROGRAM], ("file", 0o755, file.read()))
                self.assertIn("Installed for %s in %s.\n" % (SUPPORTED[name], self.root), once.err)
                mechanism, links = self.hook()
                self.assertEqual(mechanism, SUPPORTED[name])
                self.assertTrue(links)

                twice = self.install()
                self.assertEqual(twice.out, "")
                self.assertEqual(listing(self.root), after)

                gone = self.uninstall()
                self.assertTrue(set(once.out.splitlines()) <= set(gone.out.splitlines()), gone.out)
                self.assertEqual(listing(self.root), before)

                nothing = self.uninstall()
                self.assertEqual((nothing.code, nothing.out), (0, ""))
                self.assertIn("nothing was installed", nothing.err)
                self.assertEqual(listing(self.root), before)

    def test_modes_do_not_depend_on_the_umask(self) -> None:
        for umask in (0o000, 0o077):
            with self.subTest("%03o" % umask):
                self.empty()
                self.image("systemd")
                before = listing(self.root)
                old = os.umask(umask)
                try:
                    self.install()
                finally:
                    os.umask(old)
                for path, (kind, mode, _) in listing(self.root).items():
                    if path not in before and kind != "link":
                        self.assertEqual(mode, 0o755 if kind == "folder" or path == PROGRAM else 0o644, path)

    def test_existing_folders_keep_their_modes(self) -> None:
        self.image("systemd")
        for folder, mode in (("/etc/systemd/system-preset", 0o700), ("/usr/local/sbin", 0o2775), ("/var/lib", 0o711)):
            os.makedirs(self.root + folder)
            os.chmod(self.root + folder, mode)
        before = listing(self.root)
        self.install()
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_newer_replaces_older(self) -> None:
        """Replaced in one step: readers of the old file keep it, and no name is ever empty."""
        self.image("systemd")
        self.install()
        place = self.root + PROGRAM
        with open(place, "rb") as file:
            newest = file.read()
        with open(place, "wb") as file:
            file.write(b"#!older\n" * 1000)
        os.chmod(place, 0o700)
        with open(place, "rb") as reader:
            number = os.stat(place).st_ino
            result = self.install()
            self.assertEqual(reader.read(), b"#!older\n" * 1000)
        self.assertNotEqual(os.stat(place).st_ino, number)
        self.assertEqual(self.bytes_at(PROGRAM), newest)
        self.assertEqual(self.mode_at(PROGRAM), 0o755)
        self.assertEqual(result.out.split(), [PROGRAM])
        self.assertEqual(os.listdir(os.path.dirname(place)), ["azure-provisioning"])

    def test_partial_files_of_a_killed_install_are_replaced(self) -> None:
        self.image("systemd")
        self.fill({"/usr/local/sbin/.azure-provisioning.azure-provisioning": "half a fi"})
        self.install()
        self.assertEqual(os.listdir(self.root + "/usr/local/sbin"), ["azure-provisioning"])

    def test_prefix(self) -> None:
        self.image("insserv")
        before = listing(self.root)
        self.install("--prefix", "/opt/azure/")
        self.assertIsNotNone(self.bytes_at("/opt/azure/sbin/azure-provisioning"))
        self.assertIsNone(self.bytes_at(PROGRAM))
        self.assertIn("\nPROGRAM=/opt/azure/sbin/azure-provisioning\n", self.text(SCRIPT) or "")
        self.assertNotIn(PROGRAM, self.text(SCRIPT) or "")
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_second_prefix_replaces_the_first(self) -> None:
        self.image("systemd")
        before = listing(self.root)
        self.install("--prefix", "/opt")
        self.install("--prefix", "/usr")
        self.assertIsNone(self.bytes_at("/opt/sbin/azure-provisioning"))
        self.assertIn("ExecStart=/usr/bin/python3 -I -S /usr/sbin/azure-provisioning run\n", self.text(UNIT) or "")
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_prefix_of_the_root_itself(self) -> None:
        self.image("systemd")
        self.install("--prefix", "/")
        self.assertIn(" /sbin/azure-provisioning run\n", self.text(UNIT) or "")

    def test_prefix_unusable_in_boot_scripts(self) -> None:
        self.image("systemd")
        for prefix in ("/opt/with space", "/opt/$HOME", "/opt/%n", "/opt/;reboot", "/opt/\n"):
            with self.subTest(prefix):
                self.refused("install", "--prefix", prefix)
        self.refused("install", "--prefix", "relative", code=2)

    def test_every_boot(self) -> None:
        self.image("systemd")
        self.fill({"/etc/azure-provisioning.conf": "# mine\ndeadline = 600\nevery_boot = no\n"})
        self.install("--every-boot")
        self.assertEqual(self.text("/etc/azure-provisioning.conf"), "# mine\ndeadline = 600\nevery_boot = yes\n")
        self.uninstall()
        self.assertIn("deadline = 600", self.text("/etc/azure-provisioning.conf") or "")

    def test_uninstall_removes_the_state_and_keeps_the_options(self) -> None:
        self.image("systemd")
        kept = {
            "/etc/azure-provisioning.conf": "deadline = 600\n",
            "/etc/azure-provisioning/ready.d/10-mine": "#!/bin/sh\n",
            "/var/log/azure-provisioning.log": "yesterday\n",
        }
        self.fill(kept)
        before = listing(self.root)
        self.install()
        self.fill({"/var/lib/azure-provisioning/state": "vm_id=x\n", "/var/lib/azure-provisioning/state.corrupt": "?"})
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_uninstall_after_a_first_boot(self) -> None:
        for name in sorted(IMAGES):
            with self.subTest(name):
                self.empty()
                self.image(name)
                before = listing(self.root)
                self.install()
                self.do_what_is_left()
                self.assertTrue(disable(self.system))
                self.assertEqual(self.hook(), (None if name in IN_A_FILE_OF_THE_USER else SUPPORTED[name], []))
                self.assertEqual(disable(self.system), [])
                self.uninstall()
                self.assertEqual(listing(self.root), before)

    def test_install_after_a_first_boot(self) -> None:
        for name in sorted(IMAGES):
            with self.subTest(name):
                self.empty()
                self.image(name)
                self.install()
                self.do_what_is_left()
                installed = listing(self.root)
                disable(self.system)
                self.assertNotEqual(listing(self.root), installed)
                self.install()
                self.do_what_is_left()
                self.assertEqual(listing(self.root), installed)


class ChoiceTest(ImageTest):
    """The choice of the init system."""

    def test_init_overrides(self) -> None:
        self.image("systemd")
        self.fill({"/etc/runlevels/default/x": "", "/sbin/openrc-run": ""})
        self.install("--init", "openrc")
        self.assertEqual(self.hook()[0], "openrc")

    def test_init_is_not_in_the_image(self) -> None:
        """`install` refuses a hook that no boot would reach, and leaves nothing of it."""
        self.image("systemd")
        for name in ("sysvinit", "runit", "s6", "dinit", "rc-local"):
            with self.subTest(name):
                self.refused("install", "--init", name)

    def test_unknown_init(self) -> None:
        self.image("systemd")
        before = listing(self.root)
        for arguments in (["--init", "upstart"], ["--init", ""], ["--init"], ["--everyboot"], ["more"]):
            with self.subTest(" ".join(arguments)):
                result = cli("install", "--root", self.root, *arguments)
                self.assertEqual((result.code, result.out), (2, ""))
                self.assertNotIn("Traceback", result.err)
        self.assertEqual(listing(self.root), before)

    def test_init_without_a_caller(self) -> None:
        """An image with another init system: `install` refuses an enabled hook that no boot would reach."""
        self.image("buildroot")
        self.assertIn("nothing would start it", self.refused("install", "--init", "sysvinit"))

    def test_another_init_system(self) -> None:
        """A converted image: one hook at a time, and no trace at the end."""
        self.image("insserv")
        self.fill({"/etc/runlevels/default/ssh": "-> /etc/init.d/ssh", "/etc/init.d/rcS": images.BUILDROOT_RCS})
        before = listing(self.root)
        names = ("sysvinit", "openrc", "systemd", "sysvinit", "systemd", "openrc", "sysvinit")
        for name in names:
            self.install("--init", name)
            mechanism, links = self.hook()
            self.assertEqual(mechanism, name)
            paths = [path for path in listing(self.root) if "azure-provisioning" in path.rpartition("/")[2]]
            ours = [path for path in paths if path not in (PROGRAM, "/var/lib/azure-provisioning")]
            rest = {"systemd": [UNIT, "/etc/systemd/system-preset/10-azure-provisioning.preset"]}.get(name, [SCRIPT])
            self.assertEqual(sorted(ours), sorted(links + rest), name)
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_masked_unit(self) -> None:
        self.image("systemd")
        self.fill({UNIT: "-> /dev/null"})
        self.assertEqual(self.hook(), ("systemd", []))
        self.install()
        self.assertFalse(self.system.is_link(UNIT))
        self.assertIn("ExecStart=", self.text(UNIT) or "")
        self.assertTrue(self.hook()[1])
        self.fill({UNIT: "-> /dev/null"})
        self.assertEqual(self.hook(), ("systemd", []))  # masked by a person later, with its links in place

    def test_not_a_linux_image(self) -> None:
        self.refused("install", code=2)
        self.refused("uninstall", code=2)
        self.fill({"/EFI/BOOT/BOOTX64.EFI": ""})
        self.assertIn("not the root of a Linux system", self.refused("install", code=2))


class ForgetfulTest(ImageTest):
    def test_folders_on_a_tmpfs_in_fstab(self) -> None:
        self.image("systemd")
        for line, said in (
            ("overlay /etc overlay lowerdir=/etc,upperdir=/run/etc,workdir=/run/work", "/etc is on a tmpfs"),
            ("tmpfs /home tmpfs", "/home is on a tmpfs"),
            ("tmpfs /var tmpfs", "/var/lib/azure-provisioning is on a tmpfs"),
            ("tmpfs /tmp tmpfs", ""),
        ):
            self.fill({"/etc/fstab": line + "\n"})
            warned = self.install().err
            self.assertEqual("which is lost at reboot" in warned, bool(said), warned)
            self.assertIn(said, warned)


class OtherAgentTest(ImageTest):
    """Another provisioning agent would also act: reported, but `install` continues."""

    WAAGENT = {
        "/usr/sbin/waagent": "",
        "/lib/systemd/system/walinuxagent.service": "[Service]\n",
        "/etc/systemd/system/multi-user.target.wants/walinuxagent.service": "-> ../walinuxagent.service",
    }
    CLOUD_INIT = {
        "/usr/bin/cloud-init": "",
        "/lib/systemd/system/cloud-init.target": "[Unit]\n",
        "/lib/systemd/system/cloud-init-local.service": "[Service]\n",
        "/lib/systemd/system/cloud-init.service": "[Service]\n",
        "/etc/systemd/system/cloud-init.target.wants/cloud-init-local.service": "-> ../cloud-init-local.service",
        "/etc/systemd/system/cloud-init.target.wants/cloud-init.service": "-> ../cloud-init.service",
    }

    def warnings(self, *files: "Dict[str, str]") -> "List[str]":
        self.empty()
        self.image("systemd")
        for some in files:
            self.fill(some)
        if self.system.exists(self.DS_IDENTIFY):
            os.chmod(self.root + self.DS_IDENTIFY, 0o755)
        said = re.compile("would (provision too|report Ready)")
        return [line for line in self.install().err.splitlines() if said.search(line)]

    def test_no_other_agent(self) -> None:
        self.assertEqual(self.warnings(), [])

    def test_waagent(self) -> None:
        (line,) = self.warnings(self.WAAGENT)
        self.assertIn("waagent would provision too", line)
        (line,) = self.warnings(self.WAAGENT, {"/etc/waagent.conf": "Provisioning.Agent=auto\n"})
        for conf, provisions in (
            ("Provisioning.Agent=waagent\n", True),
            ("Provisioning.Agent=cloud-init\n", True),
            ("# x\nProvisioning.Enabled=n # no\n", True),  # today's waagent does not read it
            ("Provisioning.Agent=disabled\n", False),
            ('Provisioning.Agent = "none" # it is compared with the three names\n', False),
        ):
            (line,) = self.warnings(self.WAAGENT, {"/etc/waagent.conf": conf})
            said = "would provision too" if provisions else "would report Ready at once, before the account exists"
            self.assertIn("waagent %s: remove it, or disable its service" % said, line)
            self.assertEqual(bool(find_agents(self.system)), provisions)  # a boot gives way only to who provisions
        self.assertEqual(self.warnings({"/usr/sbin/waagent": ""}), [])  # installed, but not enabled

    def test_masked(self) -> None:
        """A unit masked in any way, under any of its names."""
        mask, own = "-> /dev/null", "/etc/systemd/system/"
        for masked in ({own + "walinuxagent.service": mask}, {own + "walinuxagent.service": ""}):
            self.assertEqual(self.warnings(self.WAAGENT, masked), [])
        alias = {
            own + "multi-user.target.wants/waagent.service": "-> /lib/systemd/system/waagent.service",
            "/lib/systemd/system/waagent.service": "-> walinuxagent.service",
        }
        self.assertEqual(len(self.warnings(self.WAAGENT, alias)), 1)
        self.assertEqual(self.warnings(self.WAAGENT, alias, {own + "walinuxagent.service": mask}), [])
        units = [own + name for name in ("cloud-init.service", "cloud-init-local.service")]
        self.assertEqual(len(self.warnings(self.CLOUD_INIT, {units[0]: mask})), 1)
        self.assertEqual(self.warnings(self.CLOUD_INIT, dict.fromkeys(units, mask)), [])
        self.assertEqual(self.warnings(self.CLOUD_INIT, {own + "cloud-init.target": mask}), [])
        generator = {"/lib/systemd/system-generators/cloud-init-generator": ""}
        self.assertEqual(self.warnings(self.CLOUD_INIT, generator, dict.fromkeys(units, mask)), [])

    def test_waagent_under_other_inits(self) -> None:
        for name, path, definition in (
            ("insserv", "/etc/rc2.d/S05waagent", "/etc/init.d/waagent"),
            ("openrc on busybox", "/etc/runlevels/default/waagent", "/etc/init.d/waagent"),
            ("buildroot", "/etc/init.d/S60waagent", "/etc/init.d/waagent"),
            ("upstart of ubuntu", "/etc/init/waagent.conf", "/etc/waagent.upstart"),
            ("runit of void", "/etc/runit/runsvdir/default/waagent", "/etc/sv/waagent/run"),
            ("dinit of artix", "/etc/dinit.d/boot.d/waagent", "/etc/dinit.d/waagent"),
            ("finit of debian", "/etc/finit.d/waagent.conf", "/etc/finit.d/available/waagent.conf"),
            ("finit with enabled", "/etc/finit.d/enabled/waagent.conf", "/etc/finit.d/available/waagent.conf"),
        ):
            with self.subTest(name):
                self.empty()
                self.image(name)
                target = definition[: -len("/run")] if definition.endswith("/run") else definition
                self.fill({"/usr/sbin/waagent": "", definition: images.SCRIPT, path: "-> " + target})
                self.assertIn("waagent would provision too", self.install().err)
                os.unlink(self.root + definition)
                self.assertNotIn("waagent would provision too", self.install().err)

    def test_cloud_init(self) -> None:
        (line,) = self.warnings(self.CLOUD_INIT)
        self.assertIn("cloud-init would provision too", line)
        self.assertEqual(self.warnings(self.CLOUD_INIT, {"/etc/cloud/cloud-init.disabled": ""}), [])

    GENERATOR = "/lib/systemd/system-generators/cloud-init-generator"
    DS_IDENTIFY = "/usr/lib/cloud-init/ds-identify"

    def test_cloud_init_is_off(self) -> None:
        """By each of the switches that cloud-init's generator and its ds-identify have."""
        on = dict(self.CLOUD_INIT, **{self.GENERATOR: "#!/bin/sh\n", self.DS_IDENTIFY: "#!/bin/sh\n"})
        cfg, grub = "/etc/cloud/ds-identify.cfg", "/boot/grub/grub.cfg"
        line = "\tlinux /boot/vmlinuz root=UUID=0 ro %s\n"
        off = line % "quiet cloud-init=disabled"
        mask = "/etc/systemd/system-generators/cloud-init-generator"
        wanted = {"/etc/systemd/system/multi-user.target.wants/cloud-init.target": "-> /lib/systemd/system/x"}
        list_azure = {"/etc/cloud/cloud.cfg": "datasource_list: [ Azure ]\n"}
        for files, acts in (
            ({}, True),
            ({grub: off + off}, False),
            ({grub: off + line % "quiet"}, True),
            ({grub: off + line % "single"}, False),  # an entry for repairs
            ({grub: off + "\tlinux16 /boot/memtest86+.bin\n"}, False),
            ({grub: line % "cloud-init=disabled2 no-cloud-init=disabled"}, True),
            ({"/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT=""\nGRUB_CMDLINE_LINUX="cloud-init=disabled"\n'}, False),
            ({"/etc/default/grub": "GRUB_CMDLINE_LINUX=cloud-init=disabled\n", grub: line % ""}, True),
            (
                {
                    "/boot/grub2/grubenv": "kernelopts=root=/dev/sda1 cloud-init=disabled\n",
                    "/boot/loader/entries/x.conf": "options $kernelopts $tuned_params\n",
                },
                False,
            ),  # fmt: skip
            ({cfg: "policy: disabled\n"}, False),
            ({cfg: "# policy: disabled\n"}, True),
            ({cfg: "policy: search,found=all,maybe=all,notfound=disabled\n"}, True),
            ({cfg: "policy: enabled\n"}, True),
            ({cfg: "datasource: NoCloud\n"}, False),
            ({cfg: "policy: enabled\ndatasource: NoCloud\n"}, True),  # then it does not write the datasource
            ({cfg: "datasource: 'Azure' # here\n", "/etc/cloud/cloud.cfg": "datasource_list: [ NoCloud ]\n"}, True),
            ({grub: line % "ci.di.policy=disabled"}, False),
            ({grub: line % "ci.ds=NoCloud;s=/x"}, False),
            ({grub: line % "ci.datasource=Azure", cfg: "datasource: NoCloud\n"}, True),
            (dict(list_azure, **{cfg: "policy: disabled\n"}), False),
            ({mask: "-> /dev/null"}, False),
            ({mask: ""}, False),
            (dict(wanted, **{mask: "-> /dev/null"}), True),
            (dict(wanted, **{mask: "-> /dev/null", cfg: "policy: disabled\n"}), True),  # nothing reads it
        ):
            with self.subTest(files):
                self.assertEqual(len(self.warnings(on, files)), int(acts))
        self.assertEqual(len(self.warnings(self.CLOUD_INIT, {cfg: "policy: disabled\n"})), 1)  # without ds-identify

    def test_cloud_init_of_a_running_machine(self) -> None:
        """The kernel's own command line, and the datasources that this boot has found."""
        self.image("systemd")
        self.fill(self.CLOUD_INIT)

        class Live(FastSystem):
            live = True

        live, found = Live(self.root), "/run/cloud-init/cloud.cfg"
        for files, acts in (
            ({"/boot/grub/grub.cfg": "linux /x root=/y cloud-init=disabled\n"}, True),
            ({"/proc/cmdline": "root=/y cloud-init=disabled\n"}, False),
            ({"/proc/cmdline": "root=/y\n", found: "datasource_list: [ NoCloud, None ]\n"}, False),
            ({found: "di_report:\n  datasource_list: [ NoCloud, None ]\n"}, True),
        ):
            self.fill(files)
            self.assertEqual(bool(find_agents(live)), acts, files)

    def test_cloud_init_of_sysvinit(self) -> None:
        """Debian's script for it asks for no switch; the one for OpenRC does."""
        off, script = "/etc/cloud/cloud-init.disabled", "/etc/init.d/cloud-init-local"
        for text, acts in (("", True), ("test -e %s && exit 0\n" % off, False)):
            self.empty()
            self.image("insserv")
            self.fill({"/usr/bin/cloud-init": "", off: "", script: images.SCRIPT + text})
            self.fill({"/etc/rc2.d/S01cloud-init-local": "-> .." + script[len("/etc") :]})
            found = find_agents(self.system)
            self.assertEqual(len(found), int(acts), found)
            self.assertEqual([line for line in found if off in line], [])

    def test_datasources(self) -> None:
        """YAML lists in any of the files. The last one counts."""
        with_azure = (
            "datasource_list: [ NoCloud, Azure, None ]\n",
            "datasource_list:\n- NoCloud\n- Azure\n",
            "datasource_list:  # ours\n\n  # first\n  - NoCloud\n  - 'Azure' # then\nsystem_info: {}\n",
            'datasource_list: [NoCloud,\n  "Azure"]\nx: 1\n',
            "datasource_list:\n  [\n   Azure\n  ]\n",
            '"datasource_list" : [Azure]\n',
            "#datasource_list: [ NoCloud ]\n",
            "users:\n  datasource_list: [ NoCloud ]\n",
            "datasource_list: []\n",  # then it accepts any
            "",
        )
        without = (
            "datasource_list: ['NoCloud','None']\n",
            "datasource_list: [ NoCloud, None ] # Azure\n",
            "datasource_list:\n- NoCloud\n- None\nother:\n- Azure\n",
            "datasource_list:\n  - NoCloud # not Azure\n# - Azure\n",
            "datasource_list: [NoCloud,\n  None]\nazure: [Azure]\n",
        )
        main, later = "/etc/cloud/cloud.cfg", "/etc/cloud/cloud.cfg.d/90_dpkg.cfg"
        for path in (main, later):
            for document in with_azure:
                with self.subTest(path + document):
                    self.assertEqual(len(self.warnings(self.CLOUD_INIT, {path: document})), 1)
            for document in without:
                with self.subTest(path + document):
                    self.assertEqual(self.warnings(self.CLOUD_INIT, {path: document}), [])
        self.assertEqual(len(self.warnings(self.CLOUD_INIT, {main: without[0], later: with_azure[0]})), 1)
        self.assertEqual(self.warnings(self.CLOUD_INIT, {main: with_azure[0], later: without[0]}), [])
        note = "/etc/cloud/cloud.cfg.d/README"  # only *.cfg is read
        self.assertEqual(len(self.warnings(self.CLOUD_INIT, {main: with_azure[0], note: without[0]})), 1)

    def test_both_agents(self) -> None:
        self.assertEqual(len(self.warnings(self.WAAGENT, self.CLOUD_INIT)), 2)

    def test_tiny_cloud(self) -> None:
        """Alpine's tiny-cloud uses Azure's metadata if configured or detected. If disabled or finished, it does
        nothing."""
        script = "#!/sbin/openrc-run\n"
        tiny = {"/sbin/tiny-cloud": "", "/etc/tiny-cloud.conf": "CLOUD=azure\n"}

        def warned(*files: "Dict[str, str]") -> "List[str]":
            self.empty()
            self.image("openrc on busybox")
            for some in files:
                self.fill(some)
            return [line for line in self.install().err.splitlines() if "would provision too" in line]

        for phase, runlevel in (("-early", "boot"), ("-boot", "boot"), ("-main", "default"), ("", "default")):
            name = "tiny-cloud" + phase
            link = {"/etc/init.d/" + name: script, "/etc/runlevels/%s/%s" % (runlevel, name): "-> /etc/init.d/" + name}
            (line,) = warned(tiny, link)
            self.assertIn("tiny-cloud would provision too: remove it, or create /etc/tiny-cloud.disabled", line)
        for conf, count in (
            ({"/etc/tiny-cloud.conf": "CLOUD='auto'\n"}, 1),
            ({"/etc/tiny-cloud.conf": 'CLOUD="aws"\n'}, 0),
            ({"/etc/tiny-cloud.conf": "#CLOUD=azure\n"}, 0),
            ({"/etc/tiny-cloud.conf": "# none\n", "/etc/conf.d/tiny-cloud": "CLOUD=azure # here\n"}, 1),
            ({"/etc/conf.d/tiny-cloud": "CLOUD=aws\n"}, 1),
            ({"/etc/tiny-cloud.disabled": ""}, 0),
            ({"/var/lib/cloud/.bootstrap-complete": ""}, 0),
        ):
            with self.subTest(conf):
                self.assertEqual(len(warned(tiny, link, conf)), count)
        self.assertEqual(warned(tiny), [])  # not enabled

    def test_agents_of_the_platform(self) -> None:
        for program, service in (
            ("/usr/bin/azure-init", "azure-init"),
            ("/usr/bin/afterburn", "afterburn-checkin"),
        ):
            unit = "/lib/systemd/system/%s.service" % service
            wants = "/etc/systemd/system/multi-user.target.wants/%s.service" % service
            (line,) = self.warnings({program: "", "/bin/true": ""}, {unit: "[Service]\n", wants: "-> " + unit})
            self.assertIn("%s would provision too" % program.rpartition("/")[2], line)
            self.assertEqual(self.warnings({program: ""}, {unit: "[Service]\n"}), [])


class PythonTest(ImageTest):
    """The interpreter is found by file names. Nothing in an image is executed."""

    def written(self, files: "Dict[str, str]", *arguments: str) -> "Optional[str]":
        """The interpreter in the hook of an image with these files; None if `install` refused it."""
        self.empty()
        self.image("insserv", python=False)
        self.fill(files)
        for path in files:
            if "libexec/" in path and self.system.exists(path):
                self.make_program(path)
        result = self.refused_or_not("install", *arguments)
        if result.code:
            self.assertEqual(result.code, 2 if "" in arguments else 1)  # an empty argument is a usage error
            self.assertIsNone(self.bytes_at(PROGRAM))
            return None
        lines = (self.text(SCRIPT) or "").splitlines()
        (path,) = [line[len("PYTHON=") :] for line in lines if line.startswith("PYTHON=")]
        return path

    def test_python_is_found(self) -> None:
        old, new, usual = "/usr/bin/python3.4", "/usr/bin/python3.11", "/usr/bin/python3"
        rhel8, rhel8_real = "/usr/libexec/platform-python", "/usr/libexec/platform-python3.6"
        alternatives = {usual: "-> /etc/alternatives/python3", "/etc/alternatives/python3": "-> " + new, new: ""}
        cases = [
            ({usual: "-> python3.11", new: ""}, usual),
            (alternatives, usual),
            ({usual: "", new: ""}, usual),
            ({new: ""}, new),
            ({"/usr/bin/python3.9": "", new: "", "/usr/bin/python3.6": ""}, new),
            (
                {"/usr/bin/python3.12-config": "", "/usr/bin/python3-x": "", "/usr/bin/python3.7": ""},
                "/usr/bin/python3.7",
            ),
            ({"/usr/bin/python36": ""}, "/usr/bin/python36"),
            ({"/usr/local/bin/python3": ""}, "/usr/local/bin/python3"),
            ({"/bin/python3": ""}, "/bin/python3"),
            ({rhel8: "-> platform-python3.6", rhel8_real: ""}, rhel8),
            ({usual: "-> python3.4", old: "", new: ""}, new),
            ({usual: "-> python3.4", old: "", "/usr/bin/python34": "-> python3.4", rhel8: ""}, rhel8),
            ({"/usr/bin/python34": "-> python3.4", old: ""}, None),  # EPEL 6
            ({"/usr/bin/python34": ""}, None),
            ({usual: "-> python3.4", old: ""}, None),
            ({"/usr/bin/python2.7": "", "/usr/bin/python": "-> python2.7"}, None),
            ({usual: "-> python3.11"}, None),  # a link with a missing target
            ({}, None),
        ]
        for files, expected in cases:
            with self.subTest(sorted(files)):
                self.assertEqual(self.written({path: text or "x" for path, text in files.items()}), expected)

    def test_no_python_names_the_remedy(self) -> None:
        self.image("systemd", python=False)
        line = self.refused("install")
        self.assertIn("no Python 3.6 or newer was found", line)
        self.assertIn("--python", line)

    def test_shell_of_an_image_without_python(self) -> None:
        """The hook makes the shell run the file. `install` reports what such a boot does not do."""
        for name, text in (("insserv", SCRIPT), ("systemd", UNIT)):
            self.empty()
            self.image(name, python=False)
            self.fill({"/bin/sh": "x", "/bin/wget": "x"})
            result = self.install()
            self.assertIn("/bin/sh", self.text(text) or "")
            self.assertNotIn(" -I", self.text(text) or "")
            (line,) = [line for line in result.err.splitlines() if "warning" in line]
            self.assertRegex(line, "no Python 3.6 .* in the shell, which sets no password")
            self.assertIn("python=/bin/sh\n", self.text(MANIFEST) or "")
            self.uninstall()
            self.assertIsNone(self.text(text))

    def test_shell_needs_an_http_client(self) -> None:
        self.image("systemd", python=False)
        self.fill({"/bin/sh": "x"})
        self.assertIn("no curl, wget or nc", self.refused("install"))
        for client in ("curl", "wget", "nc"):
            self.fill({"/usr/bin/" + client: "x"})
            self.install()
            self.uninstall()
            os.unlink(self.root + "/usr/bin/" + client)

    def test_options_that_need_python(self) -> None:
        self.image("systemd", python=False)
        self.fill({"/bin/sh": "x", "/bin/wget": "x"})
        for line in ("password = yes", "password_login = yes", "custom_data = run", "user_data = keep"):
            self.fill({OPTIONS: line + "\n"})
            self.assertIn("(options=%s)" % line.partition(" ")[0], self.refused("install"))
        for line in ("account = yes", "ssh_keys = yes", "sudo = yes", "host_keys = new", "custom_data = no"):
            self.fill({OPTIONS: line + "\n"})
            self.install()

    def test_python_with_an_incomplete_library(self) -> None:
        """The interpreter lacks a module that a boot needs. The hook still calls it."""
        library = "/usr/lib/python3.11/"
        self.image("systemd")
        names = [name for name in NEEDED if name != "socket"]
        self.fill({library + name + ".py": "" for name in names})
        self.fill({library + "socket.txt": ""})
        self.fill({"/bin/wget": "x"})
        result = self.install()
        self.assertIn("warning: /usr/bin/python3 lacks the modules socket: a boot continues in the shell", result.err)
        self.assertIn("ExecStart=/usr/bin/python3 -I -S ", self.text(UNIT) or "")
        self.fill({library + "socket.pyc": ""})
        self.assertNotIn("lacks", self.install().err)

    def test_python_option(self) -> None:
        new, old, unknown = "/opt/new/bin/python3.8", "/opt/old/bin/python3.5", "/opt/bin/py"
        python = {"/usr/bin/python3": "x", new: "x", old: "x", unknown: "x"}
        self.assertEqual(self.written(python, "--python", new), new)
        self.assertEqual(self.written(python, "--python", unknown), unknown)
        for path in (old, "/opt/missing", "python3", "/etc/inittab", "/usr/bin", "", built_file()):
            with self.subTest(path):
                self.assertIsNone(self.written(python, "--python", path))

    def test_python_option_without_a_python(self) -> None:
        """By name or by content. Reported, because there are many builds of Python."""
        self.image("systemd")
        for path, content, is_one in (
            ("/usr/bin/perl", "\x7fELF Perl_newSV", False),
            ("/bin/sh", "\x7fELF", False),
            ("/usr/bin/env", "\x7fELF", False),
            ("/opt/bin/py", "\x7fELF Py_BytesMain", True),
            ("/opt/bin/wrapped", '#!/bin/sh\nexec /opt/x/python3 "$@"\n', True),
            ("/opt/bin/linked", "-> /usr/bin/python3.11", True),
            ("/usr/bin/pypy3", "\x7fELF", True),
            ("/usr/libexec/platform-python", "\x7fELF", True),
        ):
            with self.subTest(path):
                self.fill({path: content})
                os.chmod(self.system.path(path), 0o755)
                result = self.install("--python", path)
                self.assertEqual("%s does not look like a Python" % path in result.err, not is_one, result.err)

    def test_another_init_system(self) -> None:
        """The chosen interpreter is used; the image's own is reported."""
        for image, name, warned in (
            ("systemd", "runit", "systemd"),
            ("systemd", "systemd", ""),
            ("openrc on busybox", "busybox", "openrc"),
            ("runit of debian", "runit", ""),
            ("bsd rc", "rc-local", ""),
            ("insserv", "openrc", "sysvinit"),
        ):
            with self.subTest(image + name):
                self.empty()
                self.image(image)
                self.fill({"/etc/runit/runsvdir/default/x": "-> /x", "/etc/runlevels/x": ""})
                err = self.install("--init", name).err
                words = "the image boots with %s, which is not known to start a hook for %s" % (warned, name)
                self.assertEqual(words in err, bool(warned), err)
                self.assertEqual("which is not known" in err, bool(warned), err)

    def test_python_option_too_old_or_missing(self) -> None:
        self.image("systemd")
        self.fill({"/opt/bin/python3.5": "x"})
        self.assertIn("too old", self.refused("install", "--python", "/opt/bin/python3.5"))
        self.assertIn("path=/opt/none", self.refused("install", "--python", "/opt/none"))

    def test_python_option_unusable_in_boot_scripts(self) -> None:
        self.image("systemd")
        for path in ("/opt/bin/my python", "/opt/bin/$(reboot)", "/opt/bin/%i"):
            self.fill({path: "x"})
            self.refused("install", "--python", path)

    def test_python_is_named_in_the_unit(self) -> None:
        self.image("systemd", python=False)
        self.fill({"/usr/bin/python3.13": "x"})
        self.install()
        self.assertIn("ExecStart=/usr/bin/python3.13 -I -S " + PROGRAM + " run\n", self.text(UNIT) or "")


class PlainUserTest(ImageTest):
    def test_missing_right(self) -> None:
        """The error names the path on the host, and a command that has the right to write there."""
        if os.geteuid() != 0:
            self.skipTest("only root can play another user: a plain user's failure was not seen")
        self.image("systemd")
        os.chmod(self.root, 0o755)
        program = self.root + "/program"
        shutil.copy(built_file(), program)
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-I", "-S"]
        if call([*other, "-c", ""]).code != 0:
            other[4] = "/usr/bin/python3"
        result = call([*other, program, "install", "--root", self.root])
        self.assertEqual((result.code, result.out), (1, ""))
        self.assertIn("path=%s/" % self.root, result.err)
        self.assertIn("Permission denied", result.err)
        self.assertTrue(result.err.endswith(": sudo %s install --root %s\n" % (program, self.root)), result.err)


class FailureTest(ImageTest):
    """If an image accepts only some of the files, it is restored."""

    def test_file_in_place_of_a_folder(self) -> None:
        self.image("systemd")
        self.fill({"/etc/systemd/system-preset": "a file"})
        self.assertIn("not a folder", self.refused("install"))

    def test_read_only_folder(self) -> None:
        if os.geteuid() == 0:
            self.skipTest("root may write anywhere: a folder without write permission was not tried")
        for folder in ("/etc/systemd/system", "", "/usr", "/etc/systemd/system/multi-user.target.wants"):
            with self.subTest(folder):
                self.empty()
                self.image("systemd")
                os.chmod(self.root + folder, 0o555)
                try:
                    self.assertIn("Permission denied", self.refused("install"))
                finally:
                    os.chmod(self.root + folder, 0o755)

    def test_older_install_is_restored(self) -> None:
        """The newer file is written first. If the rest fails, the older one is restored."""
        self.image("insserv")
        self.install()
        self.system.write(PROGRAM, b"older", mode=0o750)
        self.system.write(SCRIPT, "#!/bin/sh\nolder\n", mode=0o700)
        for folder in ("rc2.d", "rc3.d", "rc4.d", "rc5.d"):
            self.system.unlink("/etc/%s/S01azure-provisioning" % folder)
        os.unlink(self.root + "/etc/init.d/.depend.start")
        os.mkfifo(self.root + "/etc/init.d/.depend.start")
        self.refused("install")


class MountTest(ImageTest):
    """On its own file system, in a mount namespace that ends with the test."""

    # For each size: fill the disk except for that much, install, and compare with the original.
    AT_EACH_SIZE = """
refused=0
before=$(find "$1" ! -name ballast | sort | cksum)
for room in %s; do
    dd if=/dev/zero of="$1/ballast" bs=4096 2>/dev/null || true
    %s
    code=0
    "$2" -I -S "$3" install --root "$1" >/dev/null || code=$?
    rm "$1/ballast"
    %s
    case $code in
    0) "$2" -I -S "$3" uninstall --root "$1" >/dev/null ;;
    1) refused=$((refused + 1)) ;;
    *) exit $code ;;
    esac
    [ "$before" = "$(find "$1" | sort | cksum)" ] || { echo "not as before: room $room, code $code"; exit 9; }
done
echo "$refused refused"
"""

    def on_tmpfs(self, script: str, size: str = "4m") -> "images.Result":
        """Run a shell script with the image on a small file system. $1: the image, $2: Python, $3: the built file."""
        prepare = 'set -e; mount -t tmpfs -o size=%s none "$1"; cp -a "$4"/. "$1"; ' % size
        self.image("systemd")
        source = self.root + ".source"
        os.rename(self.root, source)
        os.mkdir(self.root)
        self.addCleanup(shutil.rmtree, source, ignore_errors=True)
        unshare = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        try:
            able = call(unshare + ["mount", "-t", "tmpfs", "none", self.root])
        except FileNotFoundError:
            able = images.Result(1, "", "no unshare")
        if able.code:
            self.skipTest("no mount namespace (%s): a full and a read-only disk were not tried" % able.err.strip())
        return call(unshare + ["sh", "-c", prepare + script, "sh", self.root, sys.executable, built_file(), source])

    def test_read_only(self) -> None:
        result = self.on_tmpfs('mount -o remount,ro none "$1"; exec "$2" -I -S "$3" install --root "$1"')
        self.assertEqual((result.code, result.out), (1, ""))
        self.assertRegex(result.err, r"\Aazure-provisioning: [^\n]*Read-only file system[^\n]*\n\Z")

    def test_read_only_etc(self) -> None:
        result = self.on_tmpfs(
            'mount --bind "$1/etc" "$1/etc"; mount -o remount,bind,ro "$1/etc"; '
            'before=$(find "$1" | sort | cksum); "$2" -I -S "$3" install --root "$1" && exit 9; '
            '[ "$before" = "$(find "$1" | sort | cksum)" ]'
        )
        self.assertEqual((result.code, result.out), (0, ""))
        self.assertRegex(result.err, r"\Aazure-provisioning: [^\n]*Read-only file system[^\n]*\n\Z")

    def test_full_disk(self) -> None:
        """From no space to just enough: at each size the install is complete, or nothing changes."""
        program = -(-os.path.getsize(built_file()) // 4096)
        sizes = [0, program - 1, program, program + 1, program + 2, program + 3]
        result = self.on_tmpfs(
            self.AT_EACH_SIZE % (" ".join(map(str, sizes)), 'truncate -s -$((room * 4096)) "$1/ballast"', "")
        )
        self.assertEqual((result.code, result.out), (0, "5 refused\n"))
        self.assertIn("No space left on device", result.err)

    def test_no_more_inodes(self) -> None:
        free = ': >"$1/ballast"; mount -o remount,nr_inodes=$(($(df --output=iused "$1" | tail -n 1) + room)) none "$1"'
        result = self.on_tmpfs(
            self.AT_EACH_SIZE % ("0 1 2 3 4 5 6 7 8 9 10 11", free, 'mount -o remount,nr_inodes=999 none "$1"')
        )
        self.assertEqual(result.code, 0, result)
        self.assertRegex(result.out, r"\A([5-9]|10|11) refused\n\Z")
        self.assertIn("No space left on device", result.err)


class OwnFileTest(unittest.TestCase):
    def test_checkout_cannot_install_itself(self) -> None:
        """Only the built file has a published checksum."""
        argv = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv.pop(1)); import runpy; "
                "runpy.run_module('azure_provisioning', run_name='__main__')"]  # fmt: skip
        result = call(argv + [os.path.join(TOP, "src"), "install", "--root", "/nonexistent"])
        self.assertEqual((result.code, result.out), (1, ""), result)
        self.assertIn("only the built file can install itself", result.err)
