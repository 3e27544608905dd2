"""`check`: the second card of accelerated networking, for each client, and how to exclude it."""

import os
from typing import Dict

from azure_provisioning.image.check import check
from azure_provisioning.image.check.second_card import RULES
from tests import images
from tests.images import call
from tests.sound import GRUB, NETWORK, CheckTest

ID = "accelerated-networking"
WANTS = "/etc/systemd/system/multi-user.target.wants/"
NETWORKD = WANTS + "systemd-networkd.service"
FILE = "/etc/systemd/network/50-dhcp.network"
ANY = NETWORK.replace("Driver=hv_netvsc\n", "")
UDEVD = "/usr/lib/systemd/systemd-udevd"
INTERFACES = "/etc/network/interfaces"
# The rules of azure-vm-utils, shortened.
MARKED = 'SUBSYSTEM=="net", ATTR{flags}=="0x?[89ABCDEF]??", ENV{%s}="1", ENV{ID_NET_MANAGED_BY}="unmanaged", %s\n'
VM_UTILS = {
    "/usr/lib/udev/rules.d/10-azure-unmanaged-sriov.rules": MARKED % ("AZURE_UNMANAGED_SRIOV", 'ENV{NM_UNMANAGED}="1"'),
    "/usr/lib/systemd/network/01-azure-unmanaged-sriov.network": "[Match]\nProperty=AZURE_UNMANAGED_SRIOV=1\n"
    "[Link]\nUnmanaged=yes\n",
}


class SecondCardTest(CheckTest):
    def warned(self, pattern: str) -> str:
        """Check that there is one warning; returns its remedy."""
        found = self.findings(ID)
        self.assertEqual([one.level for one in found], ["warning"], found)
        self.assertRegex(found[0].message, pattern + ".*: with accelerated networking")
        return found[0].remedy

    def mended(self, pattern: str) -> None:
        """The remedy is run, and the finding is gone; the client still configures eth0."""
        remedy = self.warned(pattern)
        self.assertEqual(call(["sh", "-c", remedy]).code, 0, remedy)
        self.good(ID)
        self.good("dhcp")

    def udev(self) -> None:
        self.fill({UDEVD: ""})
        self.make_program(UDEVD)

    def client(self, service: str, program: str) -> None:
        """A client other than networkd."""
        self.start()
        self.gone(NETWORKD)
        unit = "/usr/lib/systemd/system/%s.service" % service
        self.fill({WANTS + service + ".service": "-> " + unit, unit: "[Service]\n", "/usr/sbin/" + program: ""})

    def test_networkd(self) -> None:
        self.good(ID, "systemd-networkd ignores the second card")
        self.fill({FILE: ANY})
        self.mended("50-dhcp.network is for any card")
        for text in ("Name=*", "Type=ether", "Name=!lo", "Name=en* eth*", "Kind=!*\nType=ether"):
            self.start()
            self.fill({FILE: ANY.replace("Name=e*", text)})
            self.mended("50-dhcp.network")
        self.start()
        self.fill({FILE: ANY.replace("Name=e*", "Driver=hv_netvsc mlx5_core")})
        self.mended("50-dhcp.network")  # the words of a second `Driver=` would be added
        for text in (ANY.replace("e*", "eth0"), ANY.replace("Name=e*", "Driver=hv_netvsc")):
            self.fill({FILE: text})
            self.good(ID)

    def test_names(self) -> None:
        """udev names the card by its place on the bus, unless it is configured otherwise."""
        self.udev()
        self.fill({FILE: ANY.replace("e*", "eth*")})
        self.good(ID)
        self.fill({FILE: ANY.replace("e*", "en* eth*")})
        self.warned("any card")
        self.fill({FILE: ANY.replace("e*", "eth*"), "/boot/grub/grub.cfg": GRUB.replace("ro ", "ro net.ifnames=0 ")})
        self.warned("any card")
        self.fill({"/boot/grub/grub.cfg": GRUB, "/etc/systemd/network/99-default.link": "-> /dev/null"})
        self.warned("any card")

    def test_azure_vm_utils(self) -> None:
        self.udev()
        self.fill(dict(VM_UTILS, **{FILE: ANY}))
        self.good(ID)
        self.good("dhcp")
        self.gone(*(path for path in VM_UTILS if path.endswith(".network")))
        self.warned("any card")  # no client acts on the mark
        self.fill({"/usr/lib/systemd/libsystemd-shared-252.so": ""})
        self.warned("any card")
        os.rename(self.root + "/usr/lib/systemd/libsystemd-shared-252.so",
                  self.root + "/usr/lib/systemd/libsystemd-shared-257.4-1.so")  # fmt: skip
        self.good(ID)  # it obeys ID_NET_MANAGED_BY
        self.gone("/usr/lib/systemd/libsystemd-shared-257.4-1.so")
        self.fill({"/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so": ""})
        self.good(ID)
        self.client("NetworkManager", "NetworkManager")
        self.udev()
        self.fill(VM_UTILS)
        self.good(ID)

    def test_each_driver(self) -> None:
        """Which driver the card has depends on the size of the VM: all three must be excluded."""
        self.udev()
        ignored = "/etc/systemd/network/05-vf.network"
        rule = 'SUBSYSTEM=="net", %s, ENV{AZURE_UNMANAGED_SRIOV}="1"\n'
        marked = VM_UTILS["/usr/lib/systemd/network/01-azure-unmanaged-sriov.network"]
        for files, drivers in (
            ({FILE: ANY.replace("Name=e*", "Name=e*\nDriver=!mlx5_core mlx4_core")}, "mana"),
            ({FILE: ANY.replace("Name=e*", "Name=e*\nDriver=!mlx5_core mlx4_core mana")}, ""),
            ({ignored: "[Match]\nDriver=mlx5_core\n[Link]\nUnmanaged=yes\n"}, "mlx4_core or mana"),
            ({ignored: "[Match]\nDriver=mlx?_* mana\n[Link]\nUnmanaged=yes\n"}, ""),
            ({RULES: rule % 'DRIVERS=="mlx5_core"', ignored: marked}, "mlx4_core or mana"),
            ({RULES: rule % 'DRIVERS=="mlx?_core|mana"', ignored: marked}, ""),
            ({RULES: rule % 'ENV{ID_NET_DRIVER}=="mana"', ignored: marked}, "mlx5_core or mlx4_core"),
            ({RULES: rule % 'DRIVERS!="hv_pci"', ignored: marked}, "any card"),
            ({RULES: rule % 'DRIVERS=="hv_pci"', ignored: marked}, ""),
        ):
            with self.subTest(files):
                self.start()
                self.udev()
                self.fill(dict({FILE: ANY}, **files))
                if drivers:
                    self.mended(drivers if " " in drivers and "or" not in drivers else "with the driver " + drivers)
                else:
                    self.good(ID)

    def test_networkmanager(self) -> None:
        self.client("NetworkManager", "NetworkManager")
        self.assertEqual(self.warned("NetworkManager has no rule"), "")  # without udev none of its rules helps
        self.udev()
        self.mended("NetworkManager has no rule")
        self.assertIn('DRIVERS=="hv_pci"', self.system.read_text(RULES) or "")
        self.gone(RULES)
        conf = "/etc/NetworkManager/conf.d/azure.conf"
        for text, level in (
            ("[keyfile]\nunmanaged-devices=driver:mlx4_core;driver:mlx5_core;driver:mana\n", "ok"),
            ("[keyfile]\nunmanaged-devices=interface-name:enP*\n", "ok"),
            ("[keyfile]\nunmanaged-devices=interface-name:docker*\n", "warning"),
            ("[device-x]\nmatch-device=driver:mlx5_core\nmanaged=0\n", "warning"),
            ("[device-x]\nmatch-device=driver:mana,driver:mlx?_core\nmanaged=0\n", "warning"),  # no patterns
            ("[device-x]\nmatch-device=except:driver:hv_netvsc\nmanaged=0\n", "ok"),
            ("[device-x]\nmatch-device=driver:mlx5_core\n", "warning"),
            ("[device-x]\nmatch-device=driver:mlx5_core\n[ifupdown]\nmanaged=false\n", "warning"),
            ("[keyfile]\nunmanaged-devices=enP*\n", "warning"),  # a name alone is no pattern
            ("#[keyfile]\n#unmanaged-devices=driver:mlx5_core\n", "warning"),
        ):
            self.fill({conf: text})
            self.assertEqual([one.level for one in self.findings(ID)], [level], text)
        profile = "/etc/NetworkManager/system-connections/eth0.nmconnection"
        self.fill({conf: "[main]\nno-auto-default=*\n"})
        self.fill_private(profile, "[connection]\ninterface-name=eth0\n")
        self.good(ID)
        self.fill_private(profile, "[connection]\ntype=ethernet\n[match]\ndriver=hv_netvsc;\n")
        self.good(ID)
        self.fill_private(profile, "[connection]\ntype=ethernet\n")
        self.warned("no rule")

    def test_dhcpcd(self) -> None:
        self.client("dhcpcd", "dhcpcd")
        self.udev()
        self.mended("dhcpcd takes every card")
        self.assertIn("denyinterfaces enP*", self.system.read_text("/etc/dhcpcd.conf") or "")
        self.fill({"/etc/dhcpcd.conf": "hostname\nallowinterfaces eth*\n"})
        self.good(ID)
        self.fill({"/etc/dhcpcd.conf": "denyinterfaces veth*\n", UDEVD: "-> /dev/null"})
        self.mended("dhcpcd takes every card")
        for text in (
            "interface eth1\nmtu 1400\n",
            "hostname\nssid x\nallowinterfaces eth0\n",
        ):  # lists count before blocks
            self.fill({"/etc/dhcpcd.conf": text})
            self.mended("dhcpcd takes every card")
        self.client("dhcpcd@eth0", "dhcpcd")
        self.good(ID)

    def test_connman(self) -> None:
        path = "/etc/connman/main.conf"
        for text in (None, "[General]\nX=1\n", "[General]\nNetworkInterfaceBlacklist=vmnet,veth\n", "X=1\n"):
            self.client("connman", "connmand")
            self.fill({path: text} if text else {})
            self.mended("connman takes every card")
            self.assertLessEqual(set((text or "").split()[:1]), set((self.system.read_text(path) or "").split()))

    def test_netplan(self) -> None:
        asking = 'network:\n  ethernets:\n    all:\n      match: {name: "e*"%s}\n      dhcp4: true\n'
        self.gone(FILE)
        self.fill({"/usr/lib/systemd/system-generators/netplan": "", "/etc/netplan/a.yaml": asking % ""})
        self.assertRegex(self.warned("a.yaml is for any card"), "# match: {driver: hv_netvsc}$")
        self.fill({"/etc/netplan/a.yaml": asking % ", driver: hv_netvsc"})
        self.good(ID)

    def test_no_client(self) -> None:
        self.gone(NETWORKD)
        self.assertEqual(self.findings(ID), [])
        self.assertIn(ID, [name for name, _ in check.CHECKS])


class ScriptsTest(CheckTest):
    def start(self) -> None:
        self.empty()

    def test_ifupdown(self) -> None:
        files: Dict[str, str] = {"/etc/rcS.d/S10networking": images.LINK + "networking", "/sbin/dhclient": ""}
        files.update({"/etc/init.d/networking": images.SCRIPT, "/sbin/ifup": ""})
        for text, level in (
            ("auto eth0\niface eth0 inet dhcp\n", "ok"),
            ("auto /eth*\niface eth0 inet dhcp\n", "ok"),
            ("auto /eth*=any\niface any inet dhcp\n", "warning"),
            ("allow-hotplug eth0 eth1\niface eth0 inet dhcp\niface eth1 inet dhcp\n", "warning"),
        ):
            self.empty()
            self.image("insserv")
            self.fill(dict(files, **{INTERFACES: text}))
            self.assertEqual([one.level for one in self.findings(ID)], [level], text)

    def test_services_for_one_card(self) -> None:
        """Services and settings for eth1, or for the card by its place on the bus."""
        card = "enP30832p0s2"
        netifrc = {"/etc/init.d/net.lo": "#!/sbin/openrc-run\n", "/sbin/dhcpcd": ""}
        for name in ("eth0", "eth1", card):
            netifrc["/etc/init.d/net." + name] = "-> net.lo"
        run = "/etc/runlevels/default/net."
        wicked = {"/etc/rc.d/rc3.d/S10wicked": images.LINK + "wicked", "/etc/rc.d/init.d/wicked": images.SCRIPT}
        wicked["/sbin/wickedd"] = ""
        ifcfg, asking = "/etc/sysconfig/network/ifcfg-", "BOOTPROTO=dhcp\nSTARTMODE=%s\n"
        wicked[ifcfg + "eth0"] = asking % "auto"
        slackware, conf = {"/sbin/dhcpcd": ""}, "/etc/rc.d/rc.inet1.conf"
        for name, files, more, level in (
            ("openrc on sysvinit", netifrc, {}, "ok"),
            ("openrc on sysvinit", netifrc, {run + "eth1": "-> /etc/init.d/net.eth1"}, "warning"),
            ("openrc on sysvinit", netifrc, {run + card: "-> /etc/init.d/net." + card}, "warning"),
            ("chkconfig", wicked, {}, "ok"),
            ("chkconfig", wicked, {ifcfg + "eth1": asking % "hotplug"}, "warning"),
            ("chkconfig", wicked, {ifcfg + "eth1": asking % "manual"}, "ok"),
            ("slackware", slackware, {conf: 'USE_DHCP[0]="yes"\n'}, "ok"),
            ("slackware", slackware, {conf: 'USE_DHCP[0]="yes"\nUSE_DHCP[1]="yes"\n'}, "warning"),
        ):
            with self.subTest(name, files=more):
                self.empty()
                self.image(name)
                self.fill(dict(files, **{UDEVD: ""}))
                self.make_program(UDEVD)
                if name.startswith("openrc"):
                    self.fill({run + "eth0": "-> /etc/init.d/net.eth0"})
                self.fill(more)
                self.assertEqual([one.level for one in self.findings(ID)], [level])

    def test_dhclient(self) -> None:
        """Void's script names no card, unless its `conf` does."""
        run, conf = "/etc/sv/dhclient/run", "/etc/sv/dhclient/conf"
        void = {"/sbin/init": "-> runit-init", "/sbin/runit-init": "", "/usr/bin/python3": "", "/sbin/dhclient": ""}
        self.empty()
        self.fill(dict(void, **{"/etc/runit/runsvdir/default/dhclient": "-> /etc/sv/dhclient", "/etc/hostname": ""}))
        self.fill({run: "#!/bin/sh\n[ -r conf ] && . ./conf\nexec dhclient ${OPTS:=-d} \n"})
        self.make_program(run)
        (found,) = self.findings(ID)
        self.assertRegex(found.message, "dhclient takes every card")
        self.assertEqual(call(["sh", "-c", found.remedy]).code, 0, found.remedy)
        self.assertEqual(self.system.read_text(conf), "OPTS='-d eth0'\n")
        self.good(ID)
        for text, level in (
            ("exec dhclient -d -v\n", "warning"),
            ("exec dhclient -d $iface\n", "ok"),
            ("exec /sbin/dhclient -d eth0\n", "ok"),
        ):
            self.fill({run: "#!/bin/sh\n" + text})
            self.make_program(run)
            self.assertEqual([one.level for one in self.findings(ID)], [level], text)
