"""Agents and accounts on a running guest are removed by its own tools, or by hand if the tools do not do it."""

import os
from typing import List, Tuple

from azure_provisioning.agents import is_enabled
from azure_provisioning.image.generalize.agent import plan_agents
from azure_provisioning.image.generalize.former_account import plan_account
from azure_provisioning.image.generalize.plan import Plan
from azure_provisioning.image.package import find_package
from tests.tools import ToolSystem, ToolTest

WAAGENT = "/usr/sbin/waagent"
# The query, its answer, and the commands that follow.
MANAGERS = {
    "dpkg": ("dpkg-query", "waagent: /usr/sbin/waagent\n", ("apt-get", "purge -y waagent")),
    "dpkg with an architecture": (
        "dpkg-query",
        "walinuxagent:amd64: /usr/sbin/waagent\n",
        ("dpkg", "--purge walinuxagent"),
    ),
    "dpkg with a diversion": (
        "dpkg-query",
        "diversion by other from: /usr/sbin/waagent\nwaagent: /usr/sbin/waagent\n",
        ("apt-get", "purge -y waagent"),
    ),
    "dnf": ("rpm", "WALinuxAgent\n", ("dnf", "remove -y WALinuxAgent")),
    "yum": ("rpm", "WALinuxAgent\n", ("yum", "remove -y WALinuxAgent")),
    "zypper": ("rpm", "python-azure-agent\n", ("zypper", "--non-interactive remove python-azure-agent")),
    "rpm": ("rpm", "WALinuxAgent\n", ("rpm", "-e WALinuxAgent")),
    "apk": ("apk", "/usr/sbin/waagent is owned by walinuxagent-2.9.1.1-r0\n", ("apk", "del walinuxagent")),
    "pacman": ("pacman", "walinuxagent\n", ("pacman", "-Rns --noconfirm walinuxagent")),
    "xbps": (
        "xbps-query",
        "WALinuxAgent-2.9.1_1: /usr/sbin/waagent (regular file)\n",
        ("xbps-remove", "-R -y WALinuxAgent"),
    ),
}


class LiveSystem(ToolSystem):
    """The running machine."""

    @property
    def live(self) -> bool:
        return True


class AgentTest(ToolTest):
    def setUp(self) -> None:
        super().setUp()
        self.fill({WAAGENT: "#!/usr/bin/python3\n", "/var/lib/waagent/x": "x", "/etc/waagent.conf": "x\n"})
        self.fill({"/etc/runlevels/default/waagent": "-> /etc/init.d/waagent"})

    def take_out(self, system: ToolSystem) -> int:
        """Remove the agents; returns how many changes failed."""
        plan = Plan(system)
        plan_agents(plan, take_out=True)
        self.assertEqual(plan.problems, [])
        return plan.carry_out(self.console)

    def test_every_package_manager(self) -> None:
        for title, (asked, answer, (tool, words)) in MANAGERS.items():
            with self.subTest(title):
                self.setUp()
                self.tools.add(tool)
                self.tools.add(asked, lambda argv, _, answer=answer: (0, answer if WAAGENT in argv else ""))  # type: ignore
                found = find_package(self.tools, WAAGENT)
                assert found is not None
                self.assertEqual(" ".join(found.purges[0]), "/sbin/%s %s" % (tool, words))
                self.assertEqual(self.take_out(self.tools), 0, self.story)
                self.assertIn("%s %s" % (tool, words), self.tools.ran_words())
                self.assertIsNone(self.system.stat("/var/lib/waagent"))

    def test_every_init_system_disables_the_agent(self) -> None:
        """An enabled agent is disabled."""
        self.system.unlink("/etc/runlevels/default/waagent")
        boot = {"/etc/dinit.d/boot": "waits-for.d = boot.d\n", "/etc/dinit.d/waagent": "type = process\n"}
        for path, files in (
            ("/etc/systemd/system/x.target.wants/waagent.service", {"/lib/systemd/system/waagent.service": "x"}),
            ("/etc/runlevels/boot/waagent", {"/etc/init.d/waagent": "#!/sbin/openrc-run\n"}),
            ("/etc/rc2.d/S03waagent", {"/etc/init.d/waagent": "#!/bin/sh\n"}),
            ("/etc/rcS.d/S03waagent", {"/etc/init.d/waagent": "#!/bin/sh\n"}),
            ("/etc/init/waagent.conf", {}),
            ("/etc/init.d/S60waagent", {}),
            ("/etc/dinit.d/boot.d/waagent", boot),
            ("/etc/finit.d/waagent.conf", {}),
            ("/etc/finit.d/enabled/waagent.conf", {}),
            ("/etc/s6/adminsv/default/contents.d/waagent", {"/etc/s6/sv/waagent/type": "longrun\n"}),
        ):
            self.fill(files)
            self.fill({path: "-> /etc/init.d/waagent" if path.startswith("/etc/r") else "x"})
            if path.startswith("/etc/systemd"):
                self.system.unlink(path)
                self.system.link("/lib/systemd/system/waagent.service", path)
            self.assertTrue(is_enabled(self.system, ("waagent",)), path)
            self.assertEqual(self.take_out(self.tools), 0, self.story)
            self.assertIsNone(self.system.stat(path, follow=False), path)
            self.assertFalse(is_enabled(self.system, ("waagent",)), path)
        self.fill({"/etc/sv/waagent/run": "#!/bin/sh\n"})
        os.chmod(self.root + "/etc/sv/waagent/run", 0o755)
        self.system.link("/etc/sv/waagent", "/etc/runit/runsvdir/default/waagent")
        self.assertTrue(is_enabled(self.system, ("waagent",)))
        self.assertEqual(self.take_out(self.tools), 0, self.story)
        self.assertFalse(is_enabled(self.system, ("waagent",)))

    def test_agent_without_a_package(self) -> None:
        for answer in ((1, "error: file is not owned by any package\n"), (0, ""), (0, "nonsense; rm -rf /: /x\n")):
            for asked in ("dpkg-query", "rpm", "apk", "pacman", "xbps-query"):
                self.tools.add(asked, lambda *_, answer=answer: answer)
            self.assertIsNone(find_package(self.tools, WAAGENT))
        self.assertEqual(self.take_out(self.tools), 0)
        self.assertIsNone(self.system.stat("/etc/runlevels/default/waagent", follow=False))

    def test_package_removal_fails(self) -> None:
        """It is reported and counts as a failure, and nothing starts the agent any more."""
        self.tools.add("apk", lambda argv, _: (0, MANAGERS["apk"][1]) if "info" in argv else (1, "ERROR: locked\n"))
        self.assertEqual(self.take_out(self.tools), 1)
        self.assertIn("could not purge the package walinuxagent", self.story)
        self.assertIn("ERROR: locked", self.story)
        self.assertIsNone(self.system.stat("/etc/runlevels/default/waagent", follow=False))

    def test_dpkg_is_used_if_apt_get_fails(self) -> None:
        """apt-get refuses to work if another package lacks a dependency."""
        self.tools.add("dpkg-query", lambda *_: (0, "waagent: %s\n" % WAAGENT))
        self.tools.add("apt-get", lambda *_: (100, "E: Unmet dependencies.\n"))
        self.tools.add("dpkg")
        self.assertEqual(self.take_out(self.tools), 0, self.story)
        self.assertIn("dpkg --purge waagent", self.tools.ran_words())

    def test_no_program_of_an_image_is_executed(self) -> None:
        class Offline(ToolSystem):
            can_run = False

        offline = Offline(self.root)
        for name in ("dpkg-query", "apt-get", "rpm", "systemctl", "service", "userdel"):
            offline.add(name)
        self.fill({"/etc/passwd": "ann:x:1000:1000::/home/ann:/bin/sh\n"})
        self.assertEqual(self.take_out(offline), 0)
        plan = Plan(offline)
        plan_account(plan, "ann")
        self.assertEqual(plan.carry_out(self.console), 0)
        self.assertEqual(offline.ran, [])
        self.assertEqual(self.text("/etc/passwd"), "")

    def test_stopped(self) -> None:
        for tool, words in (("rc-service", "rc-service waagent stop"), ("systemctl", "systemctl stop waagent")):
            live = LiveSystem(self.root)
            live.add("service")
            live.add(tool)
            self.fill({"/var/lib/waagent/x": "x"})
            self.assertEqual(self.take_out(live), 0)
            self.assertIn(words, live.ran_words())


class AccountTest(ToolTest):
    LINE = "ann:x:1000:1000::/home/ann:/bin/sh\n"

    def setUp(self) -> None:
        super().setUp()
        self.fill({"/etc/passwd": self.LINE, "/etc/shadow": "ann:!:1::::::\n", "/etc/group": "wheel:x:9:ann\n"})

    def remove(self) -> int:
        plan = Plan(self.tools)
        plan_account(plan, "ann")
        return plan.carry_out(self.console)

    def tool(self, code: int) -> "Tuple[List[List[str]], object]":
        """A tool that removes the line of passwd if its exit code is 0."""
        seen: "List[List[str]]" = []

        def run(argv: "List[str]", _: bytes) -> "Tuple[int, str]":
            seen.append(argv[1:])
            if code == 0:
                self.system.write("/etc/passwd", "")
            return code, ""

        return seen, run

    def test_account_is_removed_by_tools(self) -> None:
        for name, code in (("userdel", 0), ("userdel", 8), ("deluser", 0), ("deluser", 1)):
            with self.subTest("%s, exit code %d" % (name, code)):
                self.setUp()
                seen, run = self.tool(code)
                self.tools.add("busybox", folder="/bin")
                self.tools.add(name, run)  # type: ignore[arg-type]
                if name == "deluser":
                    self.system.unlink("/sbin/deluser")
                    self.system.link("/bin/busybox", "/sbin/deluser")
                self.assertEqual(self.remove(), 0, self.story)
                self.assertEqual(seen, [["ann"]])
                left = [self.text(path) for path in ("/etc/passwd", "/etc/shadow", "/etc/group")]
                self.assertEqual(left, ["", "", "wheel:x:9:\n"])
                for path in ("/etc/passwd", "/etc/shadow", "/etc/group"):
                    self.assertIn(path, self.tools.touched)
