"""`check`: a DHCP client is installed, is started, and configures Azure's card."""

import os
import unittest
from typing import Dict

from tests import images
from tests.images import LINK
from tests.sound import GOOD, GRUB, MODULES, NETWORK, CheckTest

WANTS = "/etc/systemd/system/multi-user.target.wants/"
NETWORKD = WANTS + "systemd-networkd.service"
FILE = "/etc/systemd/network/50-dhcp.network"
INTERFACES = "/etc/network/interfaces"
X86 = "\x7fELF\2\1\1" + "\0" * 9 + "\2\0>\0"  # the head of a program of x86-64
ASKING = "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n"


class NetworkdTest(CheckTest):
    def test_started(self) -> None:
        self.good("dhcp", "^systemd-networkd is started$")
        remedy = self.bad("dhcp", "error", "no DHCP client is started at boot; there is: systemd-net", gone=[NETWORKD])
        self.assertEqual(remedy, "chroot %s systemctl enable systemd-networkd" % self.root)
        remedy = self.bad("dhcp", "error", "no DHCP client is in the image", gone=["/usr/lib/systemd/systemd-networkd"])
        self.assertEqual(
            remedy, "chroot %s sh -c 'apt-get update && apt-get install -y --no-install-recommends dhcpcd'" % self.root
        )
        self.bad("dhcp", "error", "no DHCP client is started", {
            "/etc/systemd/system/systemd-networkd.service": "-> /dev/null",
        })  # fmt: skip

    def test_presets_of_the_first_boot(self) -> None:
        """Without a machine-id systemd enables what presets do not disable, if it has a section [Install]."""
        unit, preset = "/usr/lib/systemd/system/systemd-networkd.service", "/usr/lib/systemd/system-preset/90-x.preset"
        for first, installed, text, level in (
            (True, True, "enable systemd-networkd.service\ndisable *\n", "warning"),
            (True, True, "", "warning"),
            (True, True, "disable *\n", "error"),
            (True, False, "enable *\n", "error"),
            (False, True, "enable *\n", "error"),
        ):
            self.start()
            self.gone(NETWORKD)
            self.fill({"/etc/machine-id": "uninitialized\n" if first else "", preset: text})
            self.fill({unit: "[Install]\nWantedBy=multi-user.target\n" if installed else "[Service]\n"})
            (found,) = self.findings("dhcp")
            self.assertEqual(found.level, level, (first, installed, text))
            self.assertEqual(found.remedy, "chroot %s systemctl enable systemd-networkd" % self.root)
        self.start()
        self.gone("/etc/machine-id")
        self.fill({preset: "disable *\n"})
        (_, found) = self.findings("dhcp")
        self.assertRegex(found.message, "90-x.preset disables systemd-networkd, which some builds of systemd apply")
        self.assertEqual(images.call(["sh", "-c", found.remedy]).code, 0, found.remedy)
        self.good("dhcp")

    def test_configured_client_is_preferred(self) -> None:
        """ifupdown with DHCP for eth0, or another client with a file for it, before a networkd without one."""
        self.gone(NETWORKD, FILE)
        self.fill({"/usr/lib/systemd/system/networking.service": "[Service]\n", INTERFACES: ASKING})
        self.fill({"/sbin/dhclient": "", "/sbin/ifup": ""})
        (found,) = self.findings("dhcp")
        self.assertEqual(found.remedy, "chroot %s systemctl enable networking" % self.root)
        self.fill({"/etc/systemd/system/networking.service": "-> /dev/null"})
        (found,) = self.findings("dhcp")
        self.assertIn("systemctl unmask networking && systemctl enable networking", found.remedy)
        self.fill({INTERFACES: "auto lo\n", FILE: NETWORK})
        (found,) = self.findings("dhcp")
        self.assertEqual(found.remedy, "chroot %s systemctl enable systemd-networkd" % self.root)

    def test_file_of_networkd(self) -> None:
        """The remedy is executed: it writes a file that comes before others, and then the finding is gone."""
        early = "/etc/systemd/network/10-static.network"
        for files in (
            {},
            {FILE: NETWORK.replace("Name=e*", "MACAddress=00:0d:3a:00:00:00")},
            {FILE: NETWORK.replace("e*", "en*")},
            {early: "[Match]\nName=eth0\n[Network]\nAddress=10.0.0.4/24\n"},
            {early: "[Match]\nName=*\n[Link]\nUnmanaged=yes\n"},
            {"/etc/systemd/network/00-azure.network": "-> /dev/null"},
        ):
            for started in (True, False):
                with self.subTest(files, started=started):
                    self.start()
                    self.gone(FILE)
                    self.fill(files)
                    if not started:
                        self.gone(NETWORKD)
                    (found,) = self.findings("dhcp")
                    first, _, rest = str(found.remedy).partition(" && chroot ")
                    self.assertEqual(images.call(["sh", "-c", first]).code, 0, found.remedy)
                    self.assertEqual(rest, "" if started else self.root + " systemctl enable systemd-networkd")
                    self.fill({NETWORKD: "-> /lib/systemd/system/systemd-networkd.service"})
                    self.good("dhcp")

    def test_files(self) -> None:
        lacks = "no file of systemd/network asks for DHCP on eth0"
        self.bad("dhcp", "error", lacks, gone=[FILE])
        for text in (
            NETWORK.replace("e*", "ens3"),
            NETWORK.replace("Name=e*", "MACAddress=00:0d:3a:00:00:00"),
            NETWORK.replace("DHCP=ipv4", "DHCP=ipv6"),
            NETWORK.replace("DHCP=ipv4", "# DHCP=ipv4\nAddress=10.0.0.4/24"),
        ):
            self.bad("dhcp", "error", lacks, {FILE: text})
        for text in (
            NETWORK.replace("e*", "en* eth*"),
            NETWORK.replace("Name=e*", "Type=ether"),
            NETWORK + "[X]\nName=q\n",
        ):
            self.fill({FILE: text})
            self.good("dhcp")

    def test_first_matching_network_file_applies(self) -> None:
        """networkd uses only one file for a card, whatever the first one contains."""
        early = "/usr/lib/systemd/network/10-static.network"
        static = "[Match]\nName=eth0\n[Network]\nAddress=10.0.0.4/24\n"
        self.bad("dhcp", "error", "10-static.network is the first for it", {early: static})
        self.bad("dhcp", "error", "makes it ignore eth0", {early: "[Match]\nName=*\n[Link]\nUnmanaged=yes\n"})
        for text in (
            static.replace("eth0", "ens3"),
            static.replace("eth0", "!eth* lo"),
            static.replace("Name=eth0", "Driver=mlx5_core"),
            static.replace("Name=eth0", "Kind=veth"),
            static.replace("Name=eth0", "MACAddress=00:0d:3a:00:00:00"),
            static.replace("Name=eth0\n", ""),  # networkd skips an unused file
            static.replace("Name=eth0", "Property=A=1"),
            static.replace("Name=eth0", "Virtualization=container"),
        ):
            self.start()
            self.fill({early: text})
            self.good("dhcp")
        self.fill({early: static, "/etc/systemd/network/10-static.network": "-> /dev/null"})
        self.good("dhcp")

    def test_conditions_of_files(self) -> None:
        """What is known of the card and the machine counts, inverted as well; see systemd.network(5)."""
        early = "/etc/systemd/network/10-static.network"
        static = "[Match]\n%s\n[Network]\nAddress=10.0.0.4/24\n"
        for condition, level in (
            ("Kind=!*\nType=ether", True),  # one without a kind is none of these
            ("Kind=!veth\nName=eth0", True),
            ("Kind=veth", False),
            ("SSID=!home", True),
            ("Property=ID_NET_DRIVER=hv_netvsc", True),
            ("Property=ID_NET_DRIVER=hv_*\nName=e*", True),
            ("Property=!ID_NET_DRIVER=hv_netvsc", False),
            ("Property=ID_NET_DRIVER=mlx5_core", False),
            ("Property=!A=1", True),
            ("Property=ID_BUS=pci", None),
            ("Property=DEVPATH=*VMBUS*", None),
            ("Name=!lo\nName=eth*", True),  # of each line only its own words are inverted
            ('Driver="hv_netvsc"', True),
            ('Name="eth0"', False),  # only names are not unquoted
            ("Architecture=x86-64\nName=eth0", True),
            ("Architecture=!arm64\nName=eth0", True),
            ("Architecture=arm64", False),
            ("Architecture=x86", None),
            ("Virtualization=vm", True),
            ("Virtualization=!vm", False),
            ("Path=pci-0000:00:03.0", False),
            ("Path=!pci-*", True),
            ("Path=acpi-*", None),
            ("Host=x\nName=eth0", None),
            ("Host=x\nName=ens3", False),
            ("KernelCommandLine=!x", None),
            ("Firmware=uefi", None),
        ):
            with self.subTest(condition):
                self.start()
                self.fill({"/bin/sh": X86})
                doubt = "it cannot be determined whether .*/%s is for eth0"
                self.fill({early: static % condition})
                if level is None:
                    self.assertRegex(self.findings("dhcp")[0].message, doubt % "10-static.network")
                    self.assertEqual([one.level for one in self.findings("dhcp")], ["warning"])
                else:
                    self.assertEqual([one.level for one in self.findings("dhcp")], ["error" if level else "ok"])
                self.gone(early)
                self.fill({FILE: NETWORK.replace("Name=e*\nDriver=hv_netvsc", condition)})
                levels = {True: "ok", False: "error", None: "warning"}
                self.assertEqual([one.level for one in self.findings("dhcp")], [levels[level]])
                if level is None:
                    self.fill({FILE: NETWORK, early: NETWORK.replace("Name=e*", condition)})  # both ask for DHCP
                    self.good("dhcp")

    def test_activation(self) -> None:
        """networkd does not bring up every card that it configures."""
        for text, level in (
            ("[Link]\nActivationPolicy=up\n", "ok"),
            ("[Link]\nActivationPolicy=manual\n", "warning"),
            ("[Link]\nActivationPolicy=always-down\n", "error"),
            ("[Network]\nDHCP=v4\n", "ok"),
            ("[DHCPv4]\nUseRoutes=no\nUseGateway=no\n", "error"),
            ("[DHCPv4]\nUseRoutes=no\n", "error"),
            ("[DHCPv4]\nUseRoutes=no\nUseGateway=yes\n", "ok"),
            ("[DHCPv4]\nUseGateway=no\n", "ok"),  # Azure sends its routes also by option 121
            ("[DHCPv4]\nUseRoutes=false\n[Route]\nGateway=10.0.0.1\n", "warning"),
            ("[Network]\nDHCP=no\nBridge=br0\n", "warning"),
        ):
            self.fill({FILE: NETWORK + text})
            self.assertEqual([one.level for one in self.findings("dhcp")], [level], text)

    def test_patterns_and_drop_ins(self) -> None:
        self.fill({FILE: NETWORK.replace("Name=e*", "Name=!lo docker*")})
        self.good("dhcp")
        self.fill({FILE: NETWORK.replace("Name=e*", "Name=!eth* lo")})
        self.assertRegex(self.findings("dhcp")[0].message, "no file of systemd/network asks")
        self.fill({FILE: NETWORK.replace("DHCP=ipv4", "DHCP=no")})
        self.assertEqual([one.level for one in self.findings("dhcp")], ["error"])
        drop = "/usr/lib/systemd/network/50-dhcp.network.d/"
        self.fill({drop + "a.conf": "[Network]\nDHCP=no\n", drop + "b.conf": "[Network]\nDHCP=yes\n"})
        self.good("dhcp")
        self.fill({"/etc/systemd/network/50-dhcp.network.d/b.conf": ""})
        self.assertEqual([one.level for one in self.findings("dhcp")], ["error"])

    def test_hostname_of_networkd(self) -> None:
        """The first boot publishes the name of the VM; the second boot publishes the client's own."""
        self.bad("dhcp", "warning", "`Hostname=image` in .*50-dhcp.network: from the second boot on Azure's DNS",
                 {FILE: NETWORK + "[DHCPv4]\nHostname=image\n"})  # fmt: skip

    def test_other_clients(self) -> None:
        for service, program in (
            ("NetworkManager", "NetworkManager"),
            ("dhcpcd", "dhcpcd"),
            ("connman", "connmand"),
        ):
            self.start()
            self.gone(NETWORKD)
            unit = "/usr/lib/systemd/system/%s.service" % service
            self.fill({WANTS + service + ".service": "-> " + unit, unit: "[Service]\n"})
            self.assertEqual([one.level for one in self.findings("dhcp")], ["error"])
            self.fill({"/usr/sbin/" + program: ""})
            self.good("dhcp", service)

    def test_modes_of_files(self) -> None:
        """networkd is not root: what only root may read is not there for it."""
        unit, folder = "/usr/lib/systemd/system/systemd-networkd.service", FILE.rpartition("/")[0]
        drop_in = {FILE + ".d/a.conf": "[Network]\nDHCP=yes\n"}
        for path, mode in ((FILE, 0o600), (folder, 0o750), ("/etc/systemd", 0o710), (FILE + ".d/a.conf", 0o640)):
            self.start()
            self.fill(drop_in)
            os.chmod(self.root + path, mode)
            (found,) = self.findings("dhcp")
            self.assertEqual(found.level, "error", path)
            self.assertIn("systemd-networkd is started, but it is not root and may not read %s" % path, found.message)
            self.assertEqual(found.remedy, "chmod a+rX %s%s" % (self.root, path))
            self.assertEqual(images.call(["sh", "-c", found.remedy]).code, 0)
            self.good("dhcp")
        self.fill({FILE + ".d/a.conf": "[Network]\nDHCP=no\n"})
        os.chmod(self.root + FILE + ".d", 0o700)
        self.good("dhcp")  # it does not see this one
        self.gone(FILE + ".d")
        os.chmod(self.root + FILE, 0o640)
        account = "systemd-network:x:998:%d:::/usr/sbin/nologin\n" % os.stat(self.root + FILE).st_gid
        self.fill({"/etc/passwd": GOOD["/etc/passwd"] + account})
        self.good("dhcp")  # by its group
        os.chmod(self.root + FILE, 0o600)
        self.fill({unit: "[Service]\nUser=root\n"})
        self.good("dhcp")
        self.start()
        self.gone(FILE)
        remedy = self.findings("dhcp")[0].remedy
        self.assertEqual(images.call(["sh", "-c", "umask 077; " + remedy]).code, 0)
        self.good("dhcp")

    def test_names_of_links(self) -> None:
        """systemd-udevd gives the card the name that the first .link file for it says: systemd.link(5)."""
        udevd, link = "/usr/lib/systemd/systemd-udevd", "/etc/systemd/network/10-x.link"
        policies = "[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep kernel database onboard slot path%s\n"
        lan0, ifnames = "[Match]\n%s\n[Link]\nName=lan0\n", GRUB.replace("ro ", "ro net.ifnames=0 ")
        default = policies % "" + "AlternativeNamesPolicy=database onboard slot path mac\n"
        for text, name, level in (
            (policies % "", "eth0", "ok"),
            (policies % " mac", "eth0", "error"),
            (policies % " mac", "en*", "ok"),
            (lan0 % "Driver=hv_netvsc", "lan0", "ok"),
            (lan0 % "Type=ether", "eth0", "error"),
            (lan0 % "OriginalName=eth0", "eth0", "error"),
            (lan0 % "OriginalName=en*", "eth0", "ok"),
            (lan0 % "Driver=mlx5_core", "eth0", "ok"),
            (lan0 % "MACAddress=00:0d:3a:00:00:00", "eth0", "ok"),
            (lan0 % "Path=acpi-*", "eth0", "warning"),
            (lan0 % "Path=acpi-*", "lan0", "warning"),
            (lan0 % "Path=acpi-*", "eth0 lan0", "ok"),
            (default, "en*", "warning"),  # an alternative name
            (default, "!en*", "ok"),
            (default, "eth*", "ok"),
            (default.replace(" mac", ""), "en*", "error"),
        ):
            with self.subTest(text, name=name):
                self.start()
                self.fill({udevd: "", link: text, FILE: NETWORK.replace("e*", name)})
                self.make_program(udevd)
                self.assertEqual([one.level for one in self.findings("dhcp")], [level])
        self.fill({link: policies % " mac", FILE: NETWORK.replace("e*", "eth0"), "/boot/grub/grub.cfg": ifnames})
        self.good("dhcp")  # the policies are off
        self.fill({link: lan0 % "Type=ether"})
        remedy = self.findings("dhcp")[0].remedy
        self.assertEqual(images.call(["sh", "-c", remedy]).code, 0)
        self.good("dhcp")
        self.fill({"/etc/udev/rules.d/80-net-setup-link.rules": "-> /dev/null", FILE: NETWORK})
        self.good("dhcp")
        self.client("networking", "dhclient")
        self.fill({udevd: "", link: lan0 % "Type=ether", INTERFACES: ASKING, "/sbin/ifup": ""})
        self.make_program(udevd)
        (found,) = self.findings("dhcp")
        self.assertEqual(found.level, "warning")
        self.assertIn("a .link file of systemd/network calls eth0 lan0", found.message)

    def test_units_that_call_a_client(self) -> None:
        for name, line, level in (
            ("own", "ExecStart=/usr/sbin/dhclient -d eth0", "ok"),
            ("own", "ExecStart=-/usr/sbin/dhclient -d wlan0", "error"),
            ("own", "After=dhclient.service\nExecStart=/usr/sbin/own", "error"),
            ("own", "ExecStop=/usr/sbin/dhclient -r eth0", "error"),
            ("own@eth0", "ExecStart=/usr/sbin/dhclient -d %i", "ok"),
            ("own@wlan0", "ExecStart=/usr/sbin/dhclient -d %I", "error"),
        ):
            self.client("other", "dhclient")
            unit = "/usr/lib/systemd/system/%s.service" % (name.partition("@")[0] + "@" * ("@" in name))
            self.fill({unit: "[Service]\n%s\n" % line, WANTS + name + ".service": "-> " + unit})
            self.assertEqual([one.level for one in self.findings("dhcp")], [level], line)

    def client(self, service: str, program: str) -> None:
        """A client other than networkd."""
        self.start()
        self.gone(NETWORKD)
        unit = "/usr/lib/systemd/system/%s.service" % service
        self.fill({WANTS + service + ".service": "-> " + unit, unit: "[Service]\n", "/usr/sbin/" + program: ""})

    def test_dhcpcd(self) -> None:
        """dhcpcd.conf(5): its lists of cards count only before the first block."""
        self.client("dhcpcd", "dhcpcd")
        for text, problem in (
            ("interface eth0\nstatic ip_address=10.0.0.4/24\n", "`static ip_address=10.0.0.4/24`"),
            ("interface eth0\nstatic routers=10.0.0.1\n", ""),
            ("interface eth1\nstatic ip_address=10.0.0.4/24\n", ""),
            ("profile static\nstatic ip_address=10.0.0.4/24\ninterface eth0\nfallback static\n", ""),
            ("# interface eth0\n#static ip_address=10.0.0.4/24\n", ""),
            ("inform 10.0.0.4\n", "`inform 10.0.0.4`"),
            ("nodhcp\n", "`nodhcp`"),
            ("nodhcp\ninterface eth0\ndhcp # here\n", ""),
            ("interface eth0\n  noipv4\n", "`noipv4`"),
            ("ipv6only\n", "`ipv6only`"),
            ("noipv6\nipv4only\n", ""),
            ("denyinterfaces veth*, eth*\n", "excludes eth0"),
            ("allowinterfaces wlan0\n", "excludes eth0"),
            ("allowinterfaces wlan0\nallowinterfaces eth?\n", ""),
            ("interface eth1\ndenyinterfaces eth*\n", ""),
        ):
            self.fill({"/etc/dhcpcd.conf": text})
            found = self.findings("dhcp")
            self.assertEqual([one.level for one in found], ["error" if problem else "ok"], text)
            self.assertIn(problem, found[0].message)
        self.client("dhcpcd@eth1", "dhcpcd")
        self.assertRegex(self.findings("dhcp")[0].message, "^dhcpcd@eth1 is started, but it is for eth1 only")
        unit = "/usr/lib/systemd/system/dhcpcd@.service"
        self.fill({WANTS + "dhcpcd@eth0.service": "-> " + unit, unit: "[Service]\n"})
        self.good("dhcp", "dhcpcd@eth0")

    def test_netplan(self) -> None:
        path, generator = "/etc/netplan/50-x.yaml", "/usr/lib/systemd/system-generators/netplan"
        asking = "network:\n  ethernets:\n    eth0:\n      dhcp4: true\n"
        for text, level in (
            (asking, "ok"),
            (asking.replace("eth0", "ens3"), "error"),
            (asking.replace("eth0:", "all:\n      match: {name: e*}"), "ok"),
            (asking + "      match:\n        macaddress: 00:0d:3a:00:00:00\n", "error"),
            (asking.replace("true", "false"), "error"),
            (asking.replace("      dhcp4", "      # dhcp4"), "error"),
            (asking.replace("eth0:", 'all:\n      match: {name: "en*"}'), "error"),
            (asking.replace("eth0:", "all:\n      match:\n        driver: [hv_netvsc, x]\n      set-name: lan"), "ok"),
            (asking.replace("eth0:", "all:\n      match: {driver: mlx5_core}"), "error"),
            ("network: {ethernets: {eth0: {dhcp4: yes,\n  critical: true}}}\n", "ok"),
            (
                "network:\n  ethernets:\n    eth0:\n      addresses:\n      - 10.0.0.4/24\n    eth1: {dhcp4: true}\n",
                "error",
            ),
            (asking + "    all: {match: {name: e*}, dhcp4: no}\n", "warning"),  # that is the first
            (asking + "    other: {match: {name: e*}, dhcp4: no}\n", "ok"),
            (asking + "      activation-mode: manual\n", "warning"),
            (asking + "      dhcp4-overrides:\n        use-routes: false\n", "warning"),
            (asking + "      dhcp4-overrides: {use-routes: true}\n", "ok"),
            (asking.replace("true", "no\n  bridges: {br0: {interfaces: [eth0], dhcp4: true}}"), "warning"),
            (asking.replace("eth0:", "eth0: &x"), "warning"),  # a form that is not read
        ):
            self.start()
            self.gone(NETWORKD, FILE)
            self.fill({path: text})
            self.assertEqual([one.level for one in self.findings("dhcp")], ["error"])  # no service reads it
            self.fill({generator: ""})
            self.assertEqual([one.level for one in self.findings("dhcp")], [level], text)
        self.fill({path: asking, "/etc/netplan/90-y.yaml": asking.replace("true", "false")})
        self.assertEqual([one.level for one in self.findings("dhcp")], ["error"])  # files are merged
        self.fill({"/usr/lib/netplan/50-x.yaml": asking, path: "network: {version: 2}\n", "/etc/netplan/90-y.yaml": ""})
        self.assertEqual(
            [one.level for one in self.findings("dhcp")], ["error"]
        )  # one of the same name in /etc hides it

    def test_renderer_of_netplan(self) -> None:
        """netplan writes for networkd, which it has systemd start, or for NetworkManager, which others must start."""
        manager, unit = "/usr/sbin/NetworkManager", "/usr/lib/systemd/system/NetworkManager.service"
        link = {WANTS + "NetworkManager.service": "-> " + unit}
        eth0 = "    eth0: {dhcp4: true%s}\n"
        usual, chosen = "network:\n  %s\n  ethernets:\n" + eth0 % "", "network:\n  ethernets:\n"
        for text in (
            usual % "renderer: NetworkManager",
            chosen + "    renderer: NetworkManager\n" + eth0 % "",
            "network:\n  renderer: networkd\n  ethernets:\n" + eth0 % ", renderer: NetworkManager",
        ):
            self.start()
            self.gone(NETWORKD, FILE)
            self.fill({"/etc/netplan/50-x.yaml": text, "/usr/lib/systemd/system-generators/netplan": ""})
            self.assertIn("NetworkManager (renderer), which is not in the image", self.findings("dhcp")[0].message)
            self.fill({manager: "", unit: "[Service]\n"})
            self.assertIn("NetworkManager (renderer), which is not started", self.findings("dhcp")[0].message)
            self.assertEqual(self.findings("dhcp")[0].level, "error")
            self.assertIn("systemctl enable NetworkManager", self.findings("dhcp")[0].remedy)
            self.fill(link)
            self.good("dhcp", "^netplan starts NetworkManager$")
        self.gone(WANTS + "NetworkManager.service")
        self.fill({"/etc/netplan/50-x.yaml": usual % "version: 2"})
        self.good("dhcp", "^netplan starts systemd-networkd$")
        self.fill({"/etc/systemd/system/systemd-networkd.service": "-> /dev/null"})
        self.assertIn("systemd-networkd, which is masked", self.findings("dhcp")[0].message)

    @unittest.skipIf(os.getuid() == 0, "root may read everything: a plain user's run of the suite tests it")
    def test_unreadable_netplan(self) -> None:
        path = "/etc/netplan/50-x.yaml"
        self.gone(NETWORKD, FILE)
        self.fill({path: "network: {}\n", "/usr/lib/systemd/system-generators/netplan": ""})
        os.chmod(self.root + path, 0)
        (found,) = self.findings("dhcp")
        self.assertEqual(found.level, "warning")
        self.assertIn("Permission denied", found.message)

    def test_networkmanager(self) -> None:
        self.client("NetworkManager", "NetworkManager")
        conf = "/usr/lib/NetworkManager/conf.d/00-server.conf"
        self.good("dhcp")
        self.fill({conf: "[main]\nno-auto-default=*\n"})
        self.assertRegex(self.findings("dhcp")[0].message, "NetworkManager is started, but it has no profile for eth0")
        profile = "/etc/NetworkManager/system-connections/x.nmconnection"
        self.fill_private(profile, "[ethernet]\nmac-address=00:0D:3A:00:00:00\n")
        self.assertEqual([one.level for one in self.findings("dhcp")], ["error"])
        self.fill({profile: "[connection]\ninterface-name=eth0\n"})
        self.assertRegex(
            self.findings("dhcp")[0].message, "it ignores .*x.nmconnection, which others than root may read"
        )
        self.fill_private(profile, "[connection]\ninterface-name=eth0\n")
        self.good("dhcp")
        for text, why in (
            ("[connection]\ninterface-name=eth0\nautoconnect=false\n", "not activated at boot"),
            ("[connection]\ntype=ethernet\n[ipv4]\naddress1=10.0.0.4/24\nmethod=manual\n", "does not ask by DHCP"),
            ("[connection]\ninterface-name=eth1\n", "no profile for eth0"),
            ("[connection]\ntype=wifi\n", "no profile for eth0"),
            ("[connection]\ntype=ethernet\n[match]\ninterface-name=en*;\n", "no profile for eth0"),
            ("[connection]\ntype=ethernet\n[match]\ninterface-name=e*;!eth*;\n", "no profile for eth0"),
            ("[connection]\ntype=ethernet\n[match]\ndriver=mlx5_core;\n", "no profile for eth0"),
        ):
            self.fill_private(profile, text)
            self.assertRegex(self.findings("dhcp")[0].message, why)
            self.assertEqual([one.level for one in self.findings("dhcp")], ["error"])
        names = ("en*;eth*;", "!lo;", "|!eth0;&e*;|eth?")
        for text in (*("interface-name=" + one for one in names), "driver=hv_netvsc"):
            self.fill_private(profile, "[connection]\ntype=ethernet\n[match]\n%s\n" % text)
            self.good("dhcp")
        self.fill_private(profile, "[connection]\ntype=ethernet\n[match]\npath=pci-*;\n")
        self.assertRegex(self.findings("dhcp")[0].message, "cannot be determined whether .*/x.nmconnection is for eth0")
        self.gone(conf, profile)
        self.fill({profile: "[connection]\ninterface-name=eth0\n[ipv4]\nmethod=manual\n"})
        self.good("dhcp")  # it ignores this one, and creates a profile for a card without one
        self.fill_private(profile, "[connection]\ninterface-name=eth0\nautoconnect=false\n")
        self.assertRegex(self.findings("dhcp")[0].message, "x.nmconnection is not activated at boot")
        self.fill_private(profile, "[connection]\ninterface-name=eth0\n[ipv4]\nmethod=auto\ndhcp-hostname=image\n")
        self.assertRegex(self.findings("dhcp")[1].message, "`dhcp-hostname=image` in ")

    def test_profiles_of_networkmanager(self) -> None:
        """Profiles for one user, of a part of another card, and in files for which a plugin may be missing."""
        profile = "/etc/NetworkManager/system-connections/x.nmconnection"
        ifcfg, plugins = "/etc/sysconfig/network-scripts/ifcfg-eth0", "/usr/lib64/NetworkManager/1.50.0-1/"
        plugin, usual = plugins + "libnm-settings-plugin-ifcfg-rh.so", "DEVICE=eth0\nBOOTPROTO=dhcp\n"
        conf = "/usr/lib/NetworkManager/conf.d/00-server.conf"
        for text, level in (
            ("permissions=user:alice:;\n", "error"),
            ("permissions=\n", "ok"),
            ("master=br0\nslave-type=bridge\n", "warning"),
            ("controller=br0\nport-type=bridge\n", "warning"),
            ("[ipv4]\nnever-default=true\n", "ok"),
            ("[ipv4]\nnever-default=true\nignore-auto-routes=true\n", "warning"),
        ):
            self.client("NetworkManager", "NetworkManager")
            self.fill_private(profile, "[connection]\ninterface-name=eth0\n" + text)
            self.assertEqual([one.level for one in self.findings("dhcp")], [level], text)
        for files, level in (
            ({ifcfg: usual}, "warning"),
            ({ifcfg: usual, conf: ""}, "ok"),  # without it, it makes a profile
            ({ifcfg: usual, plugin: ""}, "ok"),
            ({ifcfg: usual, plugins + "libnm-wwan.so": ""}, "error"),
            ({ifcfg: usual, plugin: "", conf: "[main]\nplugins=keyfile\nno-auto-default=*\n"}, "error"),
            ({ifcfg: usual + "BRIDGE=br0\n", plugin: ""}, "warning"),
        ):
            self.client("NetworkManager", "NetworkManager")
            self.fill(dict({conf: "[main]\nno-auto-default=*\n"}, **files))
            self.assertEqual([one.level for one in self.findings("dhcp")], [level], files)

    def test_configuration_of_networkmanager(self) -> None:
        """Which cards it manages: NetworkManager.conf(5)."""
        conf, packaged = "/etc/NetworkManager/conf.d/50-x.conf", "/usr/lib/NetworkManager/conf.d/50-x.conf"
        for text, why in (
            ("[keyfile]\nunmanaged-devices=interface-name:eth*\n", "unmanaged-devices excludes eth0"),
            ("[keyfile]\nunmanaged-devices=mac:00:0d:3a:00:00:00;eth0\n", "unmanaged-devices"),
            ("[keyfile]\nunmanaged-devices=except:type:wifi\n", "unmanaged-devices"),
            ("[keyfile]\nunmanaged-devices=*,except:interface-name:eth0\n", ""),
            ("[keyfile]\nunmanaged-devices=eth*\n", ""),  # only interface-name: has patterns
            ("[keyfile]\nunmanaged-devices=driver:veth\nunmanaged-devices+=driver:hv_netvsc\n", "unmanaged-devices"),
            ("[keyfile]\nunmanaged-devices=eth0;eth1\nunmanaged-devices-=eth0\n", ""),
            ("[device-x]\nmatch-device=interface-name:eth*\nmanaged=0\n", "section .device. with managed=0"),
            ("[device]\nmanaged=false\n[device-x]\nmatch-device=type:ethernet\nmanaged=true\n", ""),
            ("[device-x]\nmatch-device=driver:mlx5_core\nmanaged=0\n", ""),
            ("[main]\nno-auto-default=eth1,eth0\n", "it has no profile for eth0"),
            ("[main]\nno-auto-default=eth1\n", ""),
            ("[.config]\nenable=false\n[main]\nno-auto-default=*\n", ""),
        ):
            self.client("NetworkManager", "NetworkManager")
            for path in (conf, packaged):
                self.fill({path: text})
                self.assertRegex(self.findings("dhcp")[0].message, why or "is started$", text)
                self.assertEqual([one.level for one in self.findings("dhcp")], ["error" if why else "ok"], text)
                self.gone(path)
            self.fill({packaged: text, conf: ""})  # the same name in /etc hides it
            self.good("dhcp")

    def test_networkmanager_with_ifupdown(self) -> None:
        """Debian's configuration leaves what is in interfaces to ifupdown."""
        self.client("NetworkManager", "NetworkManager")
        debian = "[main]\nplugins=ifupdown,keyfile\n\n[ifupdown]\nmanaged=false\n"
        conf = "/etc/NetworkManager/NetworkManager.conf"
        for config, text, level in (
            (debian, ASKING, "error"),
            (debian, "auto lo\niface lo inet loopback\n", "ok"),
            (debian.replace("false", "true"), ASKING, "ok"),
            (debian.replace("ifupdown,", ""), ASKING, "ok"),
        ):
            self.fill({conf: config, INTERFACES: text})
            self.assertEqual([one.level for one in self.findings("dhcp")], [level], (config, text))


class ScriptsTest(CheckTest):
    """Images whose network is started by scripts."""

    def start(self) -> None:
        self.empty()

    def image_with(self, name: str, files: "Dict[str, str]") -> None:
        self.empty()
        self.image(name)
        self.fill(files)

    def level(self) -> str:
        found = self.findings("dhcp")
        self.assertEqual(len(found), 1, found)
        return found[0].level

    def test_ifupdown(self) -> None:
        rest = {"/etc/rcS.d/S10networking": LINK + "networking", "/etc/init.d/networking": images.SCRIPT}
        for text, level in (
            (ASKING, "ok"),
            (ASKING.replace("eth0", "enp0s3"), "error"),
            (ASKING.replace("dhcp", "static\n\taddress 10.0.0.4"), "error"),
            ("# " + ASKING.replace("\n", "\n# "), "error"),
            ("", "error"),
            ("auto eth0\niface eth0\n\trequires lo\n\tuse dhcp\n", "ok"),
            ("auto eth0\niface eth0 inet\n", "error"),
        ):
            self.image_with("insserv", dict(rest, **{INTERFACES: text, "/sbin/dhclient": ""}))
            self.assertEqual(self.level(), level, text)
        self.image_with("insserv", dict(rest, **{INTERFACES: ASKING}))
        self.assertEqual(self.level(), "error")  # no client
        self.image_with("insserv", dict(rest, **{INTERFACES: "source interfaces.d/*\n", "/sbin/dhclient": ""}))
        self.fill({INTERFACES + ".d/eth0": ASKING})
        self.assertEqual(self.level(), "ok")
        self.gone("/etc/rcS.d/S10networking")
        self.assertEqual(self.level(), "error")

    def test_networkd_is_ignored_without_systemd(self) -> None:
        self.image_with("insserv", {"/usr/lib/systemd/systemd-networkd": ""})
        self.make_program("/usr/lib/systemd/systemd-networkd")
        self.assertEqual(self.findings("dhcp")[0].message, "no DHCP client is in the image")

    def test_interface_is_started_by_ifup(self) -> None:
        """`ifup -a` starts what `auto` names; its remedy is executed."""
        rest = {"/etc/rcS.d/S10networking": LINK + "networking", "/etc/init.d/networking": images.SCRIPT}
        rest.update({"/sbin/dhclient": "", "/sbin/ifup": ""})
        alone = "auto lo\niface lo inet loopback\niface eth0 inet dhcp\n"
        for text, level in (
            (alone, "error"),
            (alone + "allow-hotplug eth0\n", "ok"),
            (alone + "auto /eth*\n", "ok"),
            (alone + "allow-auto lo eth0\n", "ok"),
            (alone + "auto eth1\n", "error"),
            ("auto lo\n", "error"),
        ):
            self.image_with("insserv", dict(rest, **{INTERFACES: text}))
            self.assertEqual(self.level(), level, text)
            if level == "error":
                remedy = self.findings("dhcp")[0].remedy
                self.assertEqual(images.call(["sh", "-c", remedy]).code, 0, remedy)
                self.assertEqual(self.level(), "ok", remedy)
        self.fill({INTERFACES: alone + "allow-hotplug eth0\n", "/bin/busybox": images.BUSYBOX})
        self.gone("/sbin/ifup")
        self.fill({"/sbin/ifup": "-> /bin/busybox"})  # it has no hotplug
        self.assertRegex(self.findings("dhcp")[0].message, "lacks `auto eth0`")
        alpine = {"/etc/init.d/networking": "#!/sbin/openrc-run\n", "/sbin/udhcpc": "-> /bin/busybox"}
        alpine["/etc/runlevels/boot/networking"] = "-> /etc/init.d/networking"
        for text, level in ((alone, "error"), (alone + "allow-hotplug eth0\n", "error"), (ASKING, "ok")):
            self.image_with("openrc on busybox", dict(alpine, **{INTERFACES: text}))
            self.assertEqual(self.level(), level, text)

    def test_included(self) -> None:
        rest = {"/etc/rcS.d/S10networking": LINK + "networking", "/etc/init.d/networking": images.SCRIPT}
        self.image_with("insserv", dict(rest, **{"/sbin/dhclient": "", INTERFACES + ".d/eth0": ASKING}))
        for text, level in (
            ("auto lo\n", "error"),
            ("source /etc/network/interfaces.d/*\n", "ok"),
            ("source interfaces.d/eth*\n", "ok"),
            ("source-directory interfaces.d\n", "ok"),
        ):
            self.fill({INTERFACES: text})
            self.assertEqual(self.level(), level, text)
        self.fill({INTERFACES + ".d/%d" % number: "" for number in range(201)})
        self.assertRegex(self.findings("dhcp")[0].message, "cannot be determined: too many files")
        self.image_with("insserv", dict(rest, **{"/sbin/dhclient": "", INTERFACES: "source interfaces\nauto lo\n"}))
        self.assertRegex(self.findings("dhcp")[0].message, "does not ask for DHCP on eth0")

    def with_ifup(self, program: str, text: str) -> None:
        """An image whose `networking` runs one of the three programs called ifup."""
        programs = {
            "ifupdown": {"/sbin/ifup": ""},
            "busybox": {"/sbin/ifup": "-> /bin/busybox", "/bin/busybox": images.BUSYBOX},
            "ifupdown-ng": {"/sbin/ifup": "-> ifupdown", "/sbin/ifupdown": ""},
        }
        rest = {"/etc/rcS.d/S10networking": LINK + "networking", "/etc/init.d/networking": images.SCRIPT}
        rest.update({"/sbin/udhcpc": "", INTERFACES: text})
        self.image_with("insserv", dict(rest, **programs[program]))

    def test_dialects(self) -> None:
        """What the three programs really do with a file: `ifquery`, and `ifup -n` of busybox."""
        asking, no, unsure = "iface eth0 inet dhcp\n", "error", "warning"
        cases = (
            ("auto /eth*\n" + asking, "ok", no, no),
            ("auto /eth*/1\n" + asking, "ok", no, no),
            ("auto /eth*/2\n" + asking, no, no, no),
            ("auto /e*=any\niface any inet dhcp\n", "ok", no, no),
            ("auto eth0=any\niface any inet dhcp\n", "ok", "ok", no),
            ("auto mac/00:0d:3a:00:00:00=any\niface any inet dhcp\n", unsure, no, no),
            ("auto eth*\n" + asking, no, no, no),
            ("auto eth0\niface eth* inet dhcp\n", no, no, no),
            ("auto /eth*\niface /eth* inet dhcp\n", no, no, no),
            ("auto lo eth0\n" + asking, "ok", "ok", no),
            ("auto \\\n  eth0\n" + asking, "ok", "ok", "ok"),
            ("auto eth0\n" + asking + "auto eth0\n", "ok", no, "ok"),
            (asking + "\tauto\n", "ok", no, no),
            ("allow-auto lo eth0\n" + asking, "ok", no, no),
            ("allow-hotplug eth0\n" + asking, "ok", no, no),
            ("auto lo\n" + asking + "allow-hotplug eth0\n", "ok", no, no),
            ("auto eth0\niface eth0\n\tuse dhcp\n", no, no, "ok"),
            ("auto eth0\n\tuse dhcp\n", no, no, "ok"),
            ("auto eth0\niface eth0 dhcp\n", no, no, "ok"),
            ("auto eth0\niface eth0 inet\n", no, no, no),
            ("auto eth0\niface eth0 inet6 dhcp\n", no, no, "ok"),
            ("auto eth0\niface eth0 inet6 auto\n" + asking, "ok", "ok", "ok"),
            ("template b\n\tuse dhcp\nauto eth0\niface eth0 inherits b\n", no, no, "ok"),
            ("iface b inet dhcp\nauto eth0\niface eth0 inherits b\n", "ok", no, "ok"),
            ("iface b inet dhcp\nauto eth0\niface eth0 inet inherits b\n", "ok", no, "ok"),
            ("iface b inet manual\nauto eth0\niface eth0 inet dhcp inherits b\n", "ok", no, "ok"),
            ("auto eth0\niface eth0 inet dhcp inherits b\n", no, no, "ok"),
            ("iface b inet dhcp\nauto eth0\niface eth0\n\tinherit b\n", no, no, "ok"),
            ("defaults\n\tuse dhcp\nauto eth0\niface eth0\n", no, no, "ok"),
            ("auto eth0\n" + asking + "\tup\n", no, no, "ok"),
            ("auto eth0\n" + asking + "\tup x\n\tup y\n", "ok", "ok", "ok"),
            ("auto eth0\n" + asking + "\tmtu 1\n\tmtu 2\n", "ok", no, "ok"),
            ("auto eth0\n\tmtu 1500\n" + asking, no, no, "ok"),
            ("auto eth0 # first\niface eth0 inet dhcp # Azure\n", "ok", no, "ok"),
            (asking + "\tno-auto-down eth0\nauto eth0\n", "ok", "ok", "ok"),
            ("auto eth0\n" + asking + "\thostname $(hostname)\n", "ok", "ok", "ok"),
            ("source /etc/none/*\nauto eth0\n" + asking, "ok", no, "ok"),
            ("source-directory /etc/none\nauto eth0\n" + asking, "ok", no, "ok"),
            ("mapping eth0\n\tscript x\n\tmap y\nauto eth0\n" + asking, unsure, unsure, "ok"),
            ("mapping eth1\n\tscript x\nauto eth0\n" + asking, "ok", "ok", "ok"),
        )
        for number, program in enumerate(("ifupdown", "busybox", "ifupdown-ng")):
            self.with_ifup(program, "")
            for text, *levels in cases:
                with self.subTest(text, program=program):
                    self.fill({INTERFACES: text})
                    self.assertEqual(self.level(), levels[number])

    def test_includes_of_dialects(self) -> None:
        folder = INTERFACES + ".d/"
        for text, name, *levels in (
            ("source /etc/network/interfaces.d/*\n", "eth0", "ok", "error", "ok"),
            ("source /etc/network/interfaces.d/eth0\n", "eth0", "ok", "ok", "ok"),
            ("source interfaces.d/*\n", "eth0", "ok", "error", "error"),
            ("source /etc/network/other/*\n", "eth0", "error", "error", "error"),
            ("source-directory /etc/network/interfaces.d\n", "eth0", "ok", "ok", "ok"),
            ("source-directory /etc/network/interfaces.d\n", "eth0.cfg", "error", "ok", "ok"),
            ("auto lo\n", "eth0", "error", "error", "error"),
        ):
            for program, level in zip(("ifupdown", "busybox", "ifupdown-ng"), levels):
                with self.subTest(text, program=program, name=name):
                    self.with_ifup(program, text)
                    self.fill({folder + name: "auto eth0\niface eth0 inet dhcp\n"})
                    self.assertEqual(self.level(), level)
        self.with_ifup("ifupdown", ASKING + "source interfaces.d/*\n")
        self.fill({folder + "wrong": "auto eth1\niface eth1\n"})
        self.assertEqual(self.level(), "ok")  # an error in an include is only its own
        self.with_ifup("busybox", ASKING + "source /etc/network/interfaces\n")
        self.assertRegex(self.findings("dhcp")[0].message, "ifup refuses /etc/network/interfaces: .* included twice")

    def test_included_auto_on_alpine(self) -> None:
        """Its script without ifquery, of busybox's ifup, searches only the file itself."""
        script = '#!/sbin/openrc-run\nawk \'$1 == "auto" {print $2}\' "$cfgfile"\n'
        rest = {"/etc/init.d/networking": script, "/etc/runlevels/boot/networking": "-> /etc/init.d/networking"}
        rest.update({"/sbin/udhcpc": "-> /bin/busybox", "/sbin/ifup": "-> /bin/busybox"})
        rest.update({INTERFACES: "source /etc/network/eth0\n", "/etc/network/eth0": ASKING})
        self.image_with("openrc on busybox", rest)
        (found,) = self.findings("dhcp")
        self.assertRegex(found.message, "searches for `auto eth0` only in /etc/network/interfaces itself")
        self.assertRegex(found.remedy, "^vi ")  # one more `auto eth0` would be one too many for busybox
        self.fill({INTERFACES: "auto eth0\n" + rest[INTERFACES], "/etc/network/eth0": "iface eth0 inet dhcp\n"})
        self.assertEqual(self.level(), "ok")

    def test_settings_of_networking(self) -> None:
        """/etc/default/networking, which is about `auto`; udev brings up the others whatever it says."""
        for text, level in (
            ("CONFIGURE_INTERFACES=yes\n", "ok"),
            ("#CONFIGURE_INTERFACES=no\n", "ok"),
            ("CONFIGURE_INTERFACES=no\n", "error"),
            ('CONFIGURE_INTERFACES="no"\n', "error"),
            ("CONFIGURE_INTERFACES=no\nCONFIGURE_INTERFACES=yes\n", "ok"),
            ('EXCLUDE_INTERFACES="usb0 eth*"\n', "error"),
            ('EXCLUDE_INTERFACES="usb0"\n', "ok"),
        ):
            self.with_ifup("ifupdown", ASKING)
            self.fill({"/etc/default/networking": text})
            self.assertEqual(self.level(), level, text)
            if level == "error":
                self.assertEqual(self.findings("dhcp")[0].remedy, "vi %s/etc/default/networking" % self.root)
                self.fill({INTERFACES: ASKING.replace("auto eth0", "allow-hotplug eth0")})
                self.assertEqual(self.level(), "ok", text)

    def test_applet_without_a_link(self) -> None:
        """Only busybox's own ifup calls an applet that has no name in the file system."""
        for program, level in (("ifupdown", "error"), ("ifupdown-ng", "error"), ("busybox", "ok")):
            self.with_ifup(program, "auto eth0\niface eth0 inet dhcp\n")
            self.gone("/sbin/udhcpc")
            self.fill({"/bin/busybox": images.BUSYBOX + " udhcpc ", "/usr/bin/apt-get": ""})
            self.assertEqual(self.level(), level, program)
            if level == "error":
                (found,) = self.findings("dhcp")
                self.assertRegex(found.message, "ifup finds no DHCP client")
                self.assertIn("apt-get install", found.remedy)

    def test_remedy_of_ifupdown(self) -> None:
        """The remedy is executed: it adds what is missing, to a last line without an end too, and nothing twice."""
        lo = "auto lo\niface lo inet loopback\n"
        for program in ("ifupdown", "busybox", "ifupdown-ng"):
            for text in (lo, lo[:-1], lo + "iface eth0 inet dhcp", lo + "auto eth0", "auto eth1\niface eth1 inet dhcp"):
                with self.subTest(text, program=program):
                    self.with_ifup(program, text)
                    remedy = self.findings("dhcp")[0].remedy
                    self.assertEqual(images.call(["sh", "-c", remedy]).code, 0, remedy)
                    self.assertEqual(self.level(), "ok", remedy)
                    self.assertIn(text, self.system.read_text(INTERFACES) or "")
        for text in ("auto eth0\niface eth0 inet static\n", "auto eth0\niface eth0 inet\n"):
            self.with_ifup("ifupdown", text)
            self.assertEqual(self.findings("dhcp")[0].remedy, "vi %s%s" % (self.root, INTERFACES))

    def test_hostname_of_other_clients(self) -> None:
        rest = {"/etc/rcS.d/S10networking": LINK + "networking", "/etc/init.d/networking": images.SCRIPT}
        rest.update({"/sbin/dhclient": "", INTERFACES: ASKING})
        for path, text, shown in (
            (INTERFACES, ASKING + "  hostname localhost\n", "hostname localhost"),
            ("/etc/dhcp/dhclient.conf", 'send host-name "image";\n', 'send host-name "image";'),
            ("/etc/dhcp/dhclient.conf", "send host-name = gethostname();\n", ""),
            ("/etc/dhcp/dhclient.conf", 'send host-name = "image";\n', 'send host-name = "image";'),
            ("/etc/dhcp/dhclient.conf", '  send fqdn.fqdn "image";\n', 'send fqdn.fqdn "image";'),
            (
                "/etc/dhcp/dhclient.conf",
                'interface "eth0" { send host-name "image"; }\n',
                'interface "eth0" { send host-name "image"; }',
            ),
            (INTERFACES, ASKING + "  udhcpc_opts -t 9 -x hostname:image\n", "udhcpc_opts -t 9 -x hostname:image"),
            (INTERFACES, ASKING + "  udhcpc_opts -t 9\n", ""),
            (INTERFACES, ASKING + "auto eth1\niface eth1 inet static\n", ""),
        ):
            self.image_with("insserv", dict(rest, **{path: text}))
            found = self.findings("dhcp")
            self.assertEqual([one.level for one in found], ["ok"] + ["warning"] * bool(shown), (text, found))
            self.assertIn("`%s` in %s: from the second" % (shown, path) if shown else "dhclient", found[-1].message)
        files = {"/etc/init.d/dhcpcd": "#!/sbin/openrc-run\n", "/sbin/dhcpcd": ""}
        files["/etc/runlevels/default/dhcpcd"] = "-> /etc/init.d/dhcpcd"
        for text, count in (("hostname\n", 1), ("hostname image\n", 2), ("#hostname image\n", 1)):
            self.image_with("openrc on sysvinit", dict(files, **{"/etc/dhcpcd.conf": text}))
            self.assertEqual(len(self.findings("dhcp")), count, text)

    def test_chkconfig(self) -> None:
        path = "/etc/sysconfig/network-scripts/ifcfg-eth0"
        rest = {
            "/etc/rc.d/rc3.d/S10network": LINK + "network",
            "/etc/rc.d/init.d/network": images.SCRIPT,
            "/sbin/dhclient": "",
        }
        for text, level in (
            ("DEVICE=eth0\nBOOTPROTO=dhcp\n", "ok"),
            ('BOOTPROTO="dhcp"\n', "ok"),
            ("BOOTPROTO=dhcp\nHWADDR=00:0D:3A:00:00:00\n", "error"),
            ("BOOTPROTO=none\n", "error"),
            ("BOOTPROTO=dhcp\nONBOOT=no\n", "error"),
            ("BOOTPROTO=dhcp\nONBOOT=yes\n", "ok"),
            ("BOOTPROTO=dhcp\nBOOTPROTO=static\n", "error"),
            ("BOOTPROTO=dhcp6\n", "error"),
        ):
            self.image_with("chkconfig", dict(rest, **{path: text}))
            self.assertEqual(self.level(), level, text)

    def test_wicked(self) -> None:
        """SUSE's ifcfg files: without STARTMODE a card is brought up by hand only."""
        wicked = {"/etc/rc.d/rc3.d/S10wicked": LINK + "wicked", "/etc/rc.d/init.d/wicked": images.SCRIPT}
        wicked["/sbin/wickedd"] = ""
        for text, level in (
            ("BOOTPROTO='dhcp'\nSTARTMODE='auto'\n", "ok"),
            ("BOOTPROTO=dhcp4\nSTARTMODE=hotplug\n", "ok"),
            ("BOOTPROTO='dhcp+autoip'\nSTARTMODE=onboot\n", "ok"),
            ("BOOTPROTO=dhcp\n", "error"),
            ("BOOTPROTO=dhcp\nSTARTMODE=manual\n", "error"),
            ("BOOTPROTO=static\nSTARTMODE=auto\n", "error"),
        ):
            self.image_with("chkconfig", dict(wicked, **{"/etc/sysconfig/network/ifcfg-eth0": text}))
            self.assertEqual(self.level(), level, text)
        self.fill({"/etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO=dhcp\nSTARTMODE=auto\n"})
        for value, count in (("AUTO", 1), ("", 1), ("image", 2)):
            self.fill({"/etc/sysconfig/network/dhcp": 'DHCLIENT_HOSTNAME_OPTION="%s"\n' % value})
            self.assertEqual(len(self.findings("dhcp")), count, value)

    def test_connman(self) -> None:
        connman = {"/etc/rcS.d/S10connman": LINK + "connman", "/etc/init.d/connman": images.SCRIPT}
        connman["/usr/sbin/connmand"] = ""
        for text, level in (
            ("[General]\nNetworkInterfaceBlacklist=vmnet, veth\n", "ok"),
            ("[General]\nNetworkInterfaceBlacklist = usb,eth\n", "error"),
            ("[General]\n# NetworkInterfaceBlacklist=eth\n", "ok"),
        ):
            self.image_with("insserv", dict(connman, **{"/etc/connman/main.conf": text}))
            self.assertEqual(self.level(), level, text)

    def test_openrc(self) -> None:
        boot = {"/etc/init.d/networking": "#!/sbin/openrc-run\n", INTERFACES: ASKING, "/sbin/udhcpc": "-> /bin/busybox"}
        link = {"/etc/runlevels/boot/networking": "-> /etc/init.d/networking"}
        self.image_with("openrc on busybox", dict(boot, **link))
        self.assertEqual(self.level(), "ok")
        self.image_with("openrc on busybox", boot)
        self.assertEqual(self.level(), "error")
        self.assertEqual(self.findings("dhcp")[0].remedy, "chroot %s rc-update add networking boot" % self.root)
        self.fill({"/etc/init.d/dhcpcd": "#!/sbin/openrc-run\n", "/sbin/dhcpcd": "", "/sbin/apk": ""})
        self.assertEqual(self.findings("dhcp")[0].remedy, "chroot %s rc-update add networking boot" % self.root)
        self.fill({INTERFACES: "auto lo\n"})  # only loopback is configured, which needs no settings
        found = self.findings("dhcp")[0]
        self.assertEqual(found.remedy, "chroot %s rc-update add dhcpcd default" % self.root)
        self.fill({"/etc/runlevels/default/dhcpcd": "-> /etc/init.d/dhcpcd"})
        self.assertEqual(self.level(), "ok")

    def test_client_without_a_service(self) -> None:
        """Debian's dhcpcd-base has none, for any init system; `dhcpcd` has a script of System V and a unit."""
        add = "chroot %s sh -c 'apt-get update && apt-get install -y --no-install-recommends dhcpcd'" % self.root
        for name in ("openrc of debian", "insserv", "systemd", "openrc on busybox"):
            with self.subTest(name):
                self.image_with(name, {"/sbin/dhcpcd": "", "/usr/bin/apt-get": ""})
                if self.system.exists("/etc/init.d/networking"):
                    self.gone("/etc/init.d/networking")
                (found,) = self.findings("dhcp")
                self.assertRegex(found.message, "no DHCP client is started at boot; there is: dhcpcd")
                self.assertEqual(found.remedy, add)
        self.image_with("insserv", {"/sbin/dhclient": "", "/usr/bin/apt-get": ""})
        self.assertEqual(self.findings("dhcp")[0].remedy, add)
        service = {"/etc/init.d/dhcpcd": images.SCRIPT, "/usr/sbin/update-rc.d": "#! /usr/bin/perl\n"}
        self.image_with("insserv", dict(service, **{"/sbin/dhcpcd": "", "/usr/bin/apt-get": ""}))
        self.assertEqual(self.findings("dhcp")[0].remedy, "chroot %s update-rc.d dhcpcd defaults" % self.root)

    def test_netifrc(self) -> None:
        files = {"/etc/init.d/net.lo": "#!/sbin/openrc-run\n", "/etc/init.d/net.eth0": "-> net.lo", "/sbin/dhcpcd": ""}
        files["/etc/runlevels/default/net.eth0"] = "-> /etc/init.d/net.eth0"
        for text, level in (
            ("", "ok"),
            ('config_eth0="dhcp"\n', "ok"),
            ('config_eth0="10.0.0.4/24"\n', "error"),
            ('config_eth0="\ndhcp\n"\n', "ok"),  # an item on each line
            ('config_eth0=( "dhcp" )\n', "ok"),
            ('config_eth0=""\n', "ok"),
            ('config_eth0="dhcpv6"\n', "error"),
            ('config_eth0="dhcp"\nconfig_eth0="10.0.0.4/24"\n', "error"),  # the last counts
            ('config_eth0="10.0.0.4/24"\nconfig_eth0="dhcp"\n', "ok"),
            ('config_eth0="$how"\n', "warning"),
        ):
            self.image_with("openrc on sysvinit", dict(files, **{"/etc/conf.d/net": text}))
            self.assertEqual(self.level(), level, text)

    def test_bridges(self) -> None:
        """DHCP on a bridge is right if eth0 is a part of it. No remedy gives eth0 an address of its own."""
        files = {"/etc/init.d/net.lo": "#!/sbin/openrc-run\n", "/etc/init.d/net.br0": "-> net.lo", "/sbin/dhcpcd": ""}
        files["/etc/runlevels/default/net.br0"] = "-> /etc/init.d/net.br0"
        for text, level in (
            ('bridge_br0="eth0"\nconfig_br0="dhcp"\nconfig_eth0="null"\n', "warning"),
            ('bridge_br0="eth1"\nconfig_br0="dhcp"\n', "error"),
        ):
            self.image_with("openrc on sysvinit", dict(files, **{"/etc/conf.d/net": text}))
            self.assertEqual(self.level(), level, text)
        self.fill({"/etc/init.d/net.eth0": "-> net.lo", "/etc/runlevels/default/net.eth0": "-> /etc/init.d/net.eth0"})
        self.fill({"/etc/conf.d/net": 'bridge_br0="eth0"\nconfig_br0="dhcp"\nconfig_eth0="null"\n'})
        self.assertEqual(self.level(), "warning")
        bridge = "auto br0\niface br0 inet dhcp\n\t%s\n"
        for program in ("ifupdown", "busybox", "ifupdown-ng"):
            for text, level in (
                ("bridge_ports eth0", "warning"),
                ("bridge-ports eth0 eth1", "warning"),
                ("bridge_ports all", "warning"),
                ("pre-up brctl addbr br0; brctl addif br0 eth0; ip link set eth0 up", "warning"),
                ("up ip link set eth0 master br0", "warning"),
                ("bridge_ports eth1", "error"),
                ("up ip link set eth0 up", "error"),
            ):
                self.with_ifup(program, bridge % text)
                self.assertEqual(self.level(), level, (program, text))
                if level == "warning":
                    self.assertEqual(self.findings("dhcp")[0].remedy, "vi %s%s" % (self.root, INTERFACES))

    def test_net_eth0_of_alpine(self) -> None:
        """A link to `networking`, which reads interfaces. It is not netifrc, which uses DHCP by default."""
        files = {"/etc/init.d/networking": "#!/sbin/openrc-run\n", "/etc/init.d/net.eth0": "-> networking"}
        files.update({"/etc/runlevels/default/net.eth0": "-> /etc/init.d/net.eth0", "/sbin/udhcpc": ""})
        for text, level in (("auto lo\n", "error"), ("iface eth0 inet dhcp\n", "ok")):
            self.image_with("openrc on busybox", dict(files, **{INTERFACES: text}))
            self.assertEqual(self.level(), level, text)

    def test_buildroot(self) -> None:
        script = "/etc/init.d/S40network"
        self.image_with("buildroot", {script: "#!/bin/sh\n# udhcpc\n/sbin/ifup -a\n", INTERFACES: ASKING})
        self.assertEqual(self.level(), "error")  # this busybox has no client
        self.fill({"/bin/busybox": images.BUSYBOX + " udhcpc "})
        self.assertEqual(self.level(), "ok")
        self.fill({INTERFACES: "auto lo\n"})
        self.assertEqual(self.level(), "error")
        self.fill({script: "#!/bin/sh\nbusybox udhcpc -b -i eth0\n"})
        self.assertEqual(self.level(), "ok")
        self.gone(script)
        self.assertEqual(self.level(), "error")

    def test_script_of_udhcpc(self) -> None:
        """udhcpc only asks: a script gives the card its address. Its path is in the program, or in the settings."""
        path = "/usr/share/udhcpc/default.script"
        alpine = {"/etc/init.d/networking": "#!/sbin/openrc-run\n", "/sbin/udhcpc": "-> /bin/busybox"}
        alpine["/etc/runlevels/boot/networking"] = "-> /etc/init.d/networking"
        alpine["/bin/busybox"] = images.BUSYBOX + "\0udhcpc\0%s\0" % path
        own = "/etc/init.d/S40network"
        for name, files, level in (
            ("openrc on busybox", dict(alpine, **{INTERFACES: ASKING}), "error"),
            ("openrc on busybox", dict(alpine, **{INTERFACES: ASKING + "\tscript /etc/own\n"}), "ok"),
            ("openrc on busybox", dict(alpine, **{INTERFACES: ASKING + "\tudhcpc_opts -s /etc/own\n"}), "ok"),
            ("openrc on busybox", dict(alpine, **{INTERFACES: ASKING, "/sbin/udhcpc": "\x7fELF"}), "ok"),
            ("buildroot", {"/bin/busybox": alpine["/bin/busybox"], own: "udhcpc -i eth0\n"}, "error"),
            ("buildroot", {"/bin/busybox": alpine["/bin/busybox"], own: "udhcpc -i eth0 -s /etc/own\n"}, "ok"),
        ):
            with self.subTest(name, files=files):
                self.image_with(name, files)
                self.assertEqual(self.level(), level)
                self.fill({path: "#!/bin/sh\n"})
                self.assertEqual(self.level(), level)  # it is run
                self.make_program(path)
                self.assertEqual(self.level(), "ok")

    def test_yocto(self) -> None:
        files = {"/etc/rc5.d/S01networking": LINK + "networking", "/etc/init.d/networking": images.SCRIPT}
        self.image_with("yocto busybox", dict(files, **{INTERFACES: ASKING, "/sbin/udhcpc": ""}))
        self.assertEqual(self.level(), "ok")

    def test_runit_and_dinit(self) -> None:
        void = {"/sbin/init": "-> runit-init", "/sbin/runit-init": "", "/usr/bin/python3": "", "/sbin/dhcpcd": ""}
        self.empty()
        self.fill(dict(void, **{"/etc/sv/dhcpcd/run": "", "/etc/hostname": ""}))
        self.make_program("/etc/sv/dhcpcd/run")
        self.assertEqual(self.level(), "error")
        self.assertIn("ln -sf /etc/sv/dhcpcd", self.findings("dhcp")[0].remedy)
        self.fill({"/etc/runit/runsvdir/default/dhcpcd": "-> /etc/sv/dhcpcd"})
        self.assertEqual(self.level(), "ok")
        self.fill({"/etc/sv/dhcpcd/down": ""})
        self.assertEqual(self.level(), "error")
        run = "#!/bin/sh\nsv check dbus >/dev/null || exit 1\nexec NetworkManager -n\n"
        self.empty()
        self.fill(dict(void, **{"/usr/bin/NetworkManager": "", "/etc/sv/NetworkManager/run": run}))
        self.fill({"/etc/sv/dbus/run": "#!/bin/sh\n", "/etc/hostname": ""})
        self.fill({"/etc/runit/runsvdir/default/NetworkManager": "-> /etc/sv/NetworkManager"})
        self.make_program("/etc/sv/NetworkManager/run")
        self.make_program("/etc/sv/dbus/run")
        (found,) = self.findings("dhcp")
        self.assertRegex(found.message, "NetworkManager is started, but it waits for dbus, which is not started")
        self.assertRegex(found.remedy, "ln -sf /etc/sv/dbus /etc/runit/runsvdir/default/")
        self.fill({"/etc/runit/runsvdir/default/dbus": "-> /etc/sv/dbus"})
        self.assertEqual(self.level(), "ok")
        self.empty()
        self.fill(
            {"/sbin/init": "-> dinit", "/sbin/dinit": "", "/sbin/dhcpcd": "", "/etc/hostname": "", "/usr/bin/x": ""}
        )
        self.assertEqual(self.level(), "error")
        self.fill({"/etc/dinit.d/boot.d/dhcpcd": "-> ../dhcpcd"})
        self.assertEqual(self.level(), "ok")

    def test_driver_of_the_card(self) -> None:
        """OpenRC and Buildroot start what the image's builder has chosen."""
        kernel = {path: text for path, text in GOOD.items() if path.startswith((MODULES, "/boot/vmlinuz"))}
        alpine = {"/etc/init.d/networking": "#!/sbin/openrc-run\n", INTERFACES: ASKING, "/sbin/udhcpc": ""}
        alpine["/etc/runlevels/boot/networking"] = "-> /etc/init.d/networking"
        script, listed = "#!/sbin/openrc-run\n", {"/etc/modules": "af_packet\n"}
        for files, levels in (
            ({}, ["ok", "warning"]),
            (listed, ["ok", "warning"]),
            ({"/etc/init.d/hwdrivers": script}, ["ok", "warning"]),
            ({"/etc/init.d/hwdrivers": script, "/etc/runlevels/sysinit/hwdrivers": "-> /etc/init.d/hwdrivers"}, ["ok"]),
            ({"/etc/init.d/mdev": script, "/etc/runlevels/sysinit/mdev": "-> /etc/init.d/mdev"}, ["ok"]),
            ({"/etc/modules": "af_packet\nhv_netvsc\n"}, ["ok"]),
            ({"/boot/extlinux.conf": "LABEL x\nAPPEND modules=ext4,hv_netvsc\n"}, ["ok"]),
            ({"/boot/extlinux.conf": "LABEL x\nAPPEND rd.driver.blacklist=hv_netvsc\n"}, ["ok", "warning"]),
            ({"/etc/mkinitfs/mkinitfs.conf": 'features="base scsi network"\n'}, ["ok"]),
            ({MODULES + "/modules.builtin": "kernel/drivers/net/hyperv/hv_netvsc.ko\n"}, ["ok"]),
        ):
            self.image_with("openrc on busybox", {**kernel, **alpine, **files})
            self.assertEqual([one.level for one in self.findings("dhcp")], levels, files)
        self.image_with("openrc on busybox", {**kernel, **alpine, "/etc/init.d/hwdrivers": script})
        remedy = self.findings("dhcp")[1].remedy
        self.assertEqual(remedy, "chroot %s rc-update add hwdrivers sysinit" % self.root)
        for text, levels in (("mdev -s\n", ["ok", "warning"]), ("find /sys -name modalias\n", ["ok"])):
            files = {"/etc/init.d/S40network": "#!/bin/sh\nbusybox udhcpc\n", "/etc/init.d/S10devices": text}
            self.image_with("buildroot", {**kernel, **files, "/sbin/udhcpc": ""})
            self.assertEqual([one.level for one in self.findings("dhcp")], levels, text)

    def test_finit(self) -> None:
        self.image_with("finit of debian", {"/sbin/dhclient": "", INTERFACES: ASKING})
        self.assertEqual(self.level(), "error")
        self.fill({"/sbin/ifup": ""})  # finit itself runs it
        self.assertEqual(self.level(), "ok")
        self.fill({INTERFACES: "auto lo\n"})
        self.assertEqual(self.level(), "error")

    def test_slackware(self) -> None:
        files = {"/sbin/init": images.SYSVINIT, "/etc/slackware-version": "15.0", "/sbin/dhcpcd": "", "/usr/bin/x": ""}
        conf = "/etc/rc.d/rc.inet1.conf"
        self.empty()
        self.fill(dict(files, **{"/etc/rc.d/rc.inet1": "", conf: 'USE_DHCP[0]="yes"\n'}))
        self.assertEqual(self.level(), "ok")
        os.chmod(self.root + "/etc/rc.d/rc.inet1", 0o644)
        self.assertEqual(self.level(), "error")
        self.make_program("/etc/rc.d/rc.inet1")
        script = "#!/bin/sh\nif_up() {\n  /sbin/dhcpcd -d -t 60 ${DHCP_OPTIONS} ${1}\n}\n"
        for text, level in (
            ('IFNAME[0]="eth1"\nUSE_DHCP[0]="yes"\n', "error"),
            ('USE_DHCP[0]="yes"\nUSE_DHCP[0]=""\n', "error"),  # the last counts
            ('IFNAME[1]="eth0"\nUSE_DHCP[1]="yes"\n', "ok"),
            ('USE_DHCP[1]="yes"\n', "error"),
            ('IFNAME[0]="br0"\nBRNICS[0]="eth0"\nUSE_DHCP[0]="yes"\n', "warning"),
        ):
            self.fill({conf: text})
            self.assertEqual(self.level(), level, text)
        for text in ('USE_DHCP[0]=""\n', 'IPADDR[0]="10.0.0.4"\n'):  # what its script calls depends on them
            self.fill({conf: text, "/etc/rc.d/rc.inet1": script})
            self.assertEqual(self.level(), "error")

    def test_calls_in_scripts(self) -> None:
        files = {"/etc/rcS.d/S10own": LINK + "own", "/sbin/udhcpc": ""}
        for line, level in (
            ("udhcpc -i eth0", "ok"),
            ("[ -x /sbin/udhcpc ] && /sbin/udhcpc -i eth0 &", "ok"),
            ("if ! $BIN/udhcpc -n; then", "ok"),
            ("start-stop-daemon -S -x /sbin/udhcpc -- -i eth0", "ok"),
            ("DAEMON=/sbin/udhcpc", "ok"),
            ("echo Starting; exec busybox udhcpc", "ok"),
            ("dhclient eth0", "error"),  # which is not there
            ("rm -f /etc/resolvconf/run/interface/eth0.udhcpc", "error"),
            ("cat /run/udhcpc.pid /etc/udhcpc.conf", "error"),
            ("mkdir -p /var/lib/udhcpc", "error"),
            ("[ -x /sbin/udhcpc ] || exit 0", "error"),
            ("echo Starting /sbin/udhcpc", "error"),
            ("killall udhcpc", "error"),
            ("command -v udhcpc >/dev/null", "error"),
            ("# udhcpc -i eth0", "error"),
            ("udhcpc -i wlan0", "error"),
            ("for i in eth0 wlan0; do udhcpc -i $i; done", "ok"),
            ("udhcpc \\\n -b -i eth0", "ok"),
            ("start-stop-daemon -K -x /sbin/udhcpc", "error"),
            ("start-stop-daemon --stop --exec /sbin/udhcpc", "error"),
            ("case $1 in stop) start-stop-daemon -K -x /sbin/udhcpc;; start) /sbin/udhcpc -i eth0;; esac", "ok"),
            ("case $client in\n  dhclient|udhcpc) x;;\nesac", "error"),
            ("log_daemon_msg Starting udhcpc", "error"),
        ):
            self.image_with("insserv", dict(files, **{"/etc/init.d/own": "#!/bin/sh\n%s\n" % line}))
            self.assertEqual(self.level(), level, line)

    def test_clients_of_other_services(self) -> None:
        """OpenRC's dependencies, and the options with which a client ends another, start none."""
        files = {"/sbin/dhcpcd": "", "/sbin/dhclient": "", "/etc/runlevels/default/own": "-> /etc/init.d/own"}
        for text, level in (
            ("depend() {\n\tbefore dns dhcpcd net\n}\n", "error"),
            ("depend() { after dhcpcd; }\n", "error"),
            ("stop() {\n\tdhcpcd -k eth0\n}\n", "error"),
            ("stop() {\n\tdhclient -v -r eth0\n}\n", "error"),
            ("stop() {\n\t/etc/init.d/dhcpcd stop\n}\n", "error"),
            ("start() {\n\tdhclient -v eth0\n}\n", "ok"),
            ("start() {\n\tdhcpcd wlan0\n}\n", "error"),
            ("command=/sbin/dhcpcd\ncommand_args='-B wlan0'\n", "error"),
            ("command=/sbin/dhcpcd\ncommand_args='-B eth0'\n", "ok"),
        ):
            self.image_with("openrc on busybox", dict(files, **{"/etc/init.d/own": "#!/sbin/openrc-run\n" + text}))
            self.assertEqual(self.level(), level, text)

    def test_calls_of_supervisors(self) -> None:
        """A service of any name calls a client, and one that is called like a client may be for another card."""
        void = {"/sbin/init": "-> runit-init", "/sbin/runit-init": "", "/usr/bin/python3": "", "/etc/hostname": ""}
        for name, text, conf, level in (
            ("own", "exec busybox udhcpc -f -i eth0\n", "", "ok"),
            ("own", "sv check dhcpcd >/dev/null || exit 1\nexec own\n", "", "error"),
            ("udhcpc", "exec udhcpc -f -i eth0\n", "", "ok"),
            ("udhcpc", "exec udhcpc -f -i wlan0\n", "", "error"),
            ("dhclient", "exec dhclient -d wlan0\n", "", "error"),
            ("dhcpcd", "exec dhcpcd -B wlan0\n", "", "error"),
            ("dhcpcd", "exec dhcpcd -B ${OPTS:=-M} 2>&1\n", "", "ok"),
            ("dhcpcd", "exec dhcpcd -B ${OPTS:=-M} 2>&1\n", "OPTS='-M wlan0'\n", "error"),
        ):
            self.empty()
            self.fill(dict(void, **{"/sbin/dhcpcd": "", "/sbin/udhcpc": "", "/sbin/dhclient": ""}))
            home = "/etc/sv/" + name
            self.fill({home + "/run": "#!/bin/sh\n" + text, "/etc/runit/runsvdir/default/" + name: "-> " + home})
            self.fill({home + "/conf": conf} if conf else {})
            self.make_program(home + "/run")
            self.assertEqual(self.level(), level, (name, text, conf))
        for name, text, level in (
            ("dinit of chimera", "type = process\ncommand = /usr/bin/dhcpcd -B\n", "ok"),
            ("dinit of chimera", "type = process\nstop-command = dhcpcd -x\ncommand = /usr/bin/own\n", "error"),
        ):
            self.image_with(name, {"/sbin/dhcpcd": "", "/usr/lib/dinit.d/own": text})
            self.fill({"/etc/dinit.d/boot.d/own": "-> /usr/lib/dinit.d/own"})
            self.assertEqual(self.level(), level, text)

    def test_unknown_init(self) -> None:
        self.empty()
        self.fill({"/etc/rc": "", "/sbin/init": images.SYSVINIT, "/sbin/dhcpcd": "", "/usr/bin/x": ""})
        self.assertEqual(self.level(), "warning")
