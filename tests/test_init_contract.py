"""Every init system module answers every question, for every image of the tests."""

import os
import re
import shlex
from typing import Dict, List, Set

from azure_provisioning.init import table, usual
from azure_provisioning.init.systems import finit
from tests import TOP
from tests.images import DHCP, IMAGES, SUPPORTED, ImageTest
from tests.s6_database import resolve_cdb

QUESTIONS = (
    "present",
    "enable",
    "links",
    "files",
    "disable",
    "remove",
    "services",
    "unreached",
    "enable_command",
    "restart_command",
    "left_to_do",
)
WITHOUT_LIST = ("busybox", "rc-local")  # scripts start the services of a boot
SSH = {"ssh", "sshd", "dropbear"}
CLIENTS = {"systemd-networkd", "networking", "network", "dhcpcd", "network-interface", "inet1"}
WITHOUT_SSH = ("upstart of ubuntu",)  # a job, which has no script
UNORDERED = {"runit", "s6", "slackware", "busybox", "rc-local"}  # no order of ours delays sshd
DEPEND = "/etc/init.d/.depend.start"
RELOADED = "s6"  # a boot reads the database that its tools compile from the files


class ContractTest(ImageTest):
    def test_every_module_has_every_function(self) -> None:
        folder = os.path.join(TOP, "src", "azure_provisioning", "init", "systems")
        modules = {name[:-3].replace("_", "-") for name in os.listdir(folder) if name.endswith(".py")} - {"--init--"}
        self.assertEqual(modules, set(table.NAMES))
        for name in table.NAMES:
            for question in QUESTIONS:
                self.assertTrue(callable(getattr(table.load(name), question, None)), "%s: %s" % (name, question))
        self.assertEqual(set(SUPPORTED), set(IMAGES))
        self.assertEqual(set(SUPPORTED.values()), set(table.NAMES))

    def each(self, *others: str) -> "List[str]":
        """The images whose init system keeps a list, except `others`."""
        return [name for name in sorted(IMAGES) if SUPPORTED[name] not in WITHOUT_LIST + others]

    def start_anew(self, name: str) -> "table.InitSystem":
        self.empty()
        self.image(name)
        self.fill(DHCP.get(name, {}))
        return table.load(SUPPORTED[name])

    def found(self, name: str) -> "Dict[str, str]":
        services = table.load(SUPPORTED[name]).services(self.system)
        assert services is not None, name
        self.assertEqual(table.find_services(self.system), services)
        return services

    def test_services(self) -> None:
        """The SSH server and the DHCP client are started, each from an existing file."""
        for name in self.each():
            with self.subTest(name):
                self.start_anew(name)
                services = self.found(name)
                self.assertTrue(SSH & set(services), services)
                self.assertTrue(CLIENTS & set(services), services)
                for service, path in services.items():
                    if path != "/etc/network/interfaces":  # of the `ifup` in a program
                        self.assertTrue(self.system.exists(path), (service, path))
        for name in sorted(set(IMAGES) - set(self.each())):
            self.assertIsNone(self.start_anew(name).services(self.system), name)
            self.assertIsNone(table.find_services(self.system))

    def server(self, name: str) -> str:
        return min(SSH & set(self.found(name)))

    def compile_anew(self, *gone: str) -> None:
        """The database that s6's tools would compile from the enabled services."""
        for path in ("/etc/s6/rc/compiled/resolve.cdb", "/etc/s6-rc/compiled/current/resolve.cdb"):
            if self.system.exists(path):
                self.fill({path: resolve_cdb(["x"], {"default": []})})

    def test_unlinked_services_are_not_started(self) -> None:
        for name in self.each("slackware"):
            with self.subTest(name):
                module = self.start_anew(name)
                server = self.server(name)
                links = module.links(self.system, server) or module.links(self.system, server + "-srv")
                self.assertTrue(links or name == "s6 as its author has it", "no link of " + server)
                for link in links:
                    self.system.unlink(link)
                self.compile_anew()
                self.assertNotIn(server, self.found(name))

    def test_disabled_services_are_not_started(self) -> None:
        """The file is not executable or is missing; or each system's own way disables the service."""
        for name in self.each("systemd", "finit", "dinit", "s6"):
            if name in WITHOUT_SSH:
                continue
            with self.subTest(name):
                self.start_anew(name)
                server = self.server(name)
                path = self.found(name)[server]
                os.chmod(self.system.path(path), 0o644)
                self.assertNotIn(server, self.found(name))
                self.assertNotIn("started", self.found(name))
        for name in self.each():
            if SUPPORTED[name] != RELOADED:
                with self.subTest(name):
                    self.start_anew(name)
                    server = self.server(name)
                    os.unlink(self.system.path(self.found(name)[server]))
                    self.assertNotIn(server, self.found(name))
        for name, path, text, server in (
            ("systemd", "/etc/systemd/system/ssh.service", "-> /dev/null", "ssh"),
            ("systemd", "/etc/systemd/system/ssh.service", "", "ssh"),
            ("runit of void", "/etc/sv/sshd/down", "", "sshd"),
            ("runit of artix", "/etc/runit/sv/sshd/down", "", "sshd"),
            ("upstart of ubuntu", "/etc/init/ssh.override", "manual\n", "ssh"),
        ):
            with self.subTest(path + text):
                self.start_anew(name)
                self.fill({path: text})
                self.assertNotIn(server, self.found(name))

    def test_enable_command(self) -> None:
        """The hint names existing files, and works. Commands of coreutils are really run."""
        for name in self.each("slackware"):
            with self.subTest(name):
                module = self.start_anew(name)
                server = self.server(name)
                for link in module.links(self.system, server) or module.links(self.system, server + "-srv"):
                    self.system.unlink(link)
                self.enabled_by(module, name, server)
        for name, server, path in (
            ("buildroot", "sshd", "/etc/init.d/S50sshd"),
            ("slackware", "sshd", "/etc/rc.d/rc.sshd"),
            ("runit of artix", "sshd", "/etc/runit/sv/sshd/run"),
            ("openrc on busybox", "sshd", "/etc/init.d/sshd"),
            ("insserv", "ssh", "/etc/init.d/ssh"),
        ):
            with self.subTest(path):
                module = self.start_anew(name)
                os.chmod(self.system.path(path), 0o644)
                self.assertNotIn(server, self.found(name))
                self.enabled_by(module, name, server)
        for name in sorted(IMAGES):
            self.assertEqual(self.start_anew(name).enable_command(self.system, "no-such-service"), ())

    def test_enable_command_of_a_masked_service(self) -> None:
        """A link to /dev/null in place of the service is replaced. A masked unit is unmasked first."""
        for name, path, server in (
            ("openrc on busybox", "/etc/runlevels/default/sshd", "sshd"),
            ("runit of void", "/etc/runit/runsvdir/default/sshd", "sshd"),
            ("finit of debian", "/etc/finit.d/sshd.conf", "sshd"),
        ):
            with self.subTest(name):
                module = self.start_anew(name)
                self.fill({path: "-> /dev/null"})
                self.assertNotIn(server, self.found(name))
                words = module.enable_command(self.system, server)
                self.assertEqual(words[:2], ("ln", "-sf"), words)
                self.enabled_by(module, name, server)
        module = self.start_anew("systemd")
        unit = "/etc/systemd/system/ssh.service"
        wants = self.found("systemd")["ssh"]
        for text in ("-> /dev/null", ""):
            self.fill({unit: text})
            self.assertEqual(module.enable_command(self.system, "ssh"), ("systemctl", "unmask", "ssh"))
            self.system.unlink(wants)
            both = "systemctl unmask ssh && systemctl enable ssh"
            self.assertEqual(module.enable_command(self.system, "ssh"), ("sh", "-c", both))
            self.fill({wants: "-> " + "/usr/lib/systemd/system/ssh.service"})
            self.system.unlink(unit)

    def enabled_by(self, module: "table.InitSystem", name: str, server: str) -> None:
        """The command starts the server, if it can be run here."""
        words = list(module.enable_command(self.system, server))
        if words[:1] in (["ln"], ["chmod"], ["rm"], ["touch"]):
            for word in words[1:]:
                if word.startswith("/") and words[0] != "touch" and not word.endswith("/"):
                    self.assertTrue(self.system.exists(word), words)
            self.carry_out(words)
            if SUPPORTED[name] != RELOADED:
                self.assertIn(server, self.found(name))
        elif words:
            words = words[2].split() if words[0] == "sh" else words
            self.assertIn(words[0], ("systemctl", "rc-update", "update-rc.d", "chkconfig", "s6"))
            self.assertIn(server, words)
        else:
            self.assertIn(name, WITHOUT_TOOL)

    def carry_out(self, words: "List[str]") -> None:
        """As the image's own tool does it, but in its root."""
        target, name = words[-1], os.path.basename(words[-2])
        if words[0] == "ln":
            self.system.link(words[-2], target + name if target.endswith("/") else target)
            link = target + name if target.endswith("/") else target
            self.assertTrue(self.system.exists(link), "%s leads nowhere" % shlex.quote(link))
        elif words[0] == "chmod":
            os.chmod(self.system.path(target), 0o755)
        elif words[0] == "rm":
            self.system.unlink(target)
        else:
            self.system.write(target, "")

    def test_unreached(self) -> None:
        """A boot always reaches an installed hook, unless s6's tools have not compiled their database yet."""
        for name in sorted(IMAGES):
            with self.subTest(name):
                module = self.start_anew(name)
                self.install()
                sure = [found for found in module.unreached(self.system, self.hook()[1]) if found.sure]
                self.assertEqual(len(sure), 1 if SUPPORTED[name] == RELOADED else 0, sure)
                for obstacle in module.unreached(self.system, self.hook()[1]):
                    self.assertIsInstance(obstacle, usual.Obstacle)

    def test_ssh_waits_or_is_reported(self) -> None:
        """For every image, the SSH server waits for the hook, or `unreached` names the server."""
        ordered: "Set[str]" = set()
        for name in sorted(IMAGES):
            with self.subTest(name):
                module = self.start_anew(name)
                self.fill({"/usr/sbin/sshd": ""})  # services started by scripts are in no list
                self.install()
                servers = sorted(SSH & set(module.services(self.system) or ["sshd"]))
                obstacles = module.unreached(self.system, self.hook()[1])
                warned = [found.message for found in obstacles if "host keys of the image" in found.message]
                for server in servers:
                    waits = self.waits(SUPPORTED[name], server)
                    said = any(re.search(r"(?<![\w-])%s(?![\w-])" % server, message) for message in warned)
                    self.assertNotEqual(waits, said, (server, warned))
                    ordered.update([SUPPORTED[name]] if waits else [])
        self.assertEqual(ordered, set(table.NAMES) - UNORDERED)

    def waits(self, init: str, server: str) -> bool:
        """Does the SSH server wait for the hook, by the files of the image?"""
        home = os.path.dirname(self.hook()[1][0])
        if init == "systemd":
            return server + ".service" in re.findall(r"\S+", " ".join(re.findall("Before=(.*)", self.at_hook())))
        if init == "openrc":
            before = re.findall(r"\tbefore (.*)", self.at_hook())[0].split()
            return server in before and home == "/etc/runlevels/default"
        if init == "dinit":
            return "before = %s\n" % server in (self.text("/etc/dinit.d/azure-provisioning") or "")
        if init == "finit":
            alone = "\ntask [S] " in self.at_hook()
            return alone and "[2345]" in (self.text(home + "/" + server + ".conf") or "")
        if init == "buildroot" or (init == "sysvinit" and not self.system.exists("/etc/init.d/.depend.start")):
            pairs = [
                (os.path.basename(mine), name)
                for mine in self.hook()[1]
                for name in self.system.list(os.path.dirname(mine))
                if name[:1] == "S" and name[3:] == server
            ]
            return bool(pairs) and all(mine < other for mine, other in pairs)
        if init == "sysvinit":
            return bool(re.search(r"(?m)^%s:.* azure-provisioning$" % server, self.text(DEPEND) or ""))
        return False

    def at_hook(self) -> str:
        return self.text(self.hook()[1][0]) or ""

    def test_remaining_steps_are_reported(self) -> None:
        """All three verbs that write report the steps that remain."""
        for name in sorted(IMAGES):
            with self.subTest(name):
                module = self.start_anew(name)
                self.assertIsNone(module.left_to_do(self.system))
                installed = self.install()
                left = module.left_to_do(self.system)
                self.assertEqual(left is not None, SUPPORTED[name] == RELOADED)
                self.assertEqual(installed.err.count("database"), 1 if left else 0, installed.err)
                generalized = self.refused_or_not("generalize", "--yes")
                self.assertEqual(generalized.code, 0, generalized.err)
                self.assertEqual(left is not None and left in generalized.err, left is not None, generalized.err)
                self.assertEqual("what the warning says, then " in generalized.err, left is not None)
                self.assertNotIn("database", self.uninstall().err)  # it was never in one

    def test_only_init_modules_name_an_init_system(self) -> None:
        """Only its module, the table, the detection and the command line name an init system."""
        found: "Set[str]" = set()
        for folder, _, names in os.walk(os.path.join(TOP, "src")):
            for each in names:
                with open(os.path.join(folder, each), "rb") as file:
                    if each.endswith((".py", ".sh")) and re.search(rb"\bfinit\b", file.read()):
                        found.add(os.path.relpath(os.path.join(folder, each), os.path.join(TOP, "src")))
        init = "azure_provisioning/init/"
        self.assertEqual(found, {init + "systems/finit.py", init + "table.py", init + "detection.py"})
        self.assertTrue(finit.FOLDER)


WITHOUT_TOOL = ("yocto", "yocto busybox", "buildroot", "buildroot on sysvinit", "upstart of ubuntu",
                "s6 as its author has it")  # fmt: skip
