"""Which client is asked to send the new name, and how. The clients are functions that record their arguments."""

import os
import shutil
from typing import List, Tuple

from azure_provisioning.errors import GuestError
from azure_provisioning.guest.dns import find_interfaces, publish_name
from tests.tools import ToolTest, run_process

ROUTES = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "eth1\t00000000\t0100010A\t0002\t0\t0\t200\t00000000\t0\t0\t0\n"
    "eth0\t10813FA8\t0100000A\t0007\t0\t0\t100\tFFFFFFFF\t0\t0\t0\n"
    "eth2\t00000000\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
)


class PublishTest(ToolTest):
    def setUp(self) -> None:
        super().setUp()
        self.fill({"/proc/net/route": ROUTES, "/sys/class/net/eth0/ifindex": "2\n", "/bin/true": ""})
        for name in ("networkctl", "nmcli", "dhcpcd", "dhclient", "udhcpc", "busybox"):
            self.tools.add(name)
        self.pid = 100

    def start(self, *argv: str, program: str = "", uid: int = 0) -> int:
        """A process in the guest: by default owned by root, and of the image's own program."""
        self.pid += 1
        name = argv[0].split(":")[0].rpartition("/")[2]
        folder = "/usr/lib/systemd" if name == "systemd-networkd" else "/sbin"
        program = program or "%s/%s" % (folder, name)
        self.system.write(program, "", mode=0o755)
        run_process(self, self.pid, program, *argv, uid=uid)
        return self.pid

    def publish(self) -> "List[str]":
        """Publish, and return the executed commands."""
        del self.tools.ran[:]
        publish_name(self.system, "new.name")
        return self.tools.ran_words()

    def test_interfaces(self) -> None:
        self.assertEqual(find_interfaces(self.system), ["eth0"])
        self.system.write("/proc/net/route", "short\nline\n" + ROUTES.splitlines()[1].replace("0003", "no!") + "\n")
        self.assertEqual(find_interfaces(self.system), [])
        with self.assertRaises(GuestError):
            publish_name(self.system, "new")

    def test_without_a_default_route(self) -> None:
        """Only on-link routes: the card that reaches Azure, which has the most specific route."""
        lines = ROUTES.splitlines()
        lines[1] = "eth1\t0000010A\t00000000\t0001\t0\t0\t100\t0000FFFF\t0\t0\t0"
        lines.append("eth1\t00003FA8\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0")
        self.system.write("/proc/net/route", "\n".join(lines) + "\n")
        self.assertEqual(find_interfaces(self.system), ["eth0"])
        self.start("udhcpc", "-i", "eth0")
        self.assertEqual(publish_name(self.system, "new.name"), "eth0 by udhcpc")
        self.system.write("/proc/net/route", "\n".join(line for line in lines if "FFFFFFFF" not in line) + "\n")
        self.assertEqual(find_interfaces(self.system), ["eth1"])

    def test_networkd(self) -> None:
        self.start("/usr/lib/systemd/systemd-networkd")
        self.fill({"/run/systemd/netif/leases/2": ""})
        self.assertEqual(self.publish(), ["networkctl reconfigure eth0"])
        self.assertEqual(publish_name(self.system, "new"), "eth0 by systemd-networkd")
        self.tools.add("busctl")  # does not wait for an answer: SELinux's policy may block it
        manager = "org.freedesktop.network1 /org/freedesktop/network1 org.freedesktop.network1.Manager"
        call = "busctl call --expect-reply=no %s ReconfigureLink i 2" % manager
        self.assertEqual(self.publish(), [call])
        self.fill({"/run/systemd/netif/links/2": "ADMIN_STATE=configured\n"})
        # The policy may block the call itself, and busctl reports nothing.
        with self.assertRaises(GuestError) as caught:
            self.publish()
        self.assertIn("did not request a lease", str(caught.exception))

        def obey(_argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            self.fill({"/run/systemd/netif/links/2": "ADMIN_STATE=configuring\n"})
            return 0, ""

        self.tools.add("busctl", obey)
        self.assertEqual(self.publish(), [call])

    def test_network_manager_with_its_own_dhclient(self) -> None:
        self.start("/usr/sbin/NetworkManager", "--no-daemon")
        self.start("/usr/lib/systemd/systemd-networkd")
        self.start("/sbin/dhclient", "-d", "-q", "eth0")
        self.fill({"/run/NetworkManager/devices/2": ""})
        self.assertEqual(self.publish(), ["nmcli --wait 25 device modify eth0 ipv4.dhcp-hostname new.name"])

    def test_dhcpcd(self) -> None:
        self.start("dhcpcd: [manager] [ip4] [ip6]")
        self.fill({"/etc/dhcpcd.conf": "#hostname\nduid\n"})
        with self.assertRaises(GuestError):  # no pid file: `-n` would start another
            self.publish()
        self.fill({"/run/dhcpcd/eth0-4.pid": "101\n"})
        with self.assertRaises(GuestError) as caught:
            self.publish()
        self.assertEqual(caught.exception.reason, "dhcpcd sends no host name")
        self.fill({"/etc/dhcpcd.conf": "duid\nhostname\n"})
        self.assertEqual(self.publish(), ["dhcpcd -n -4 eth0"])
        self.fill({"/run/dhcpcd/eth0.pid": "101\n"})
        self.assertEqual(self.publish(), ["dhcpcd -n eth0"])
        self.fill({"/run/dhcpcd/pid": "101\n"})
        self.assertEqual(self.publish(), ["dhcpcd -n"])

    def test_dhclient(self) -> None:
        self.start("/sbin/dhclient", "-4", "-v", "-i", "-pf", "/run/dhclient.eth0.pid", "eth0")
        seen: "List[str]" = []

        def dhclient(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            seen.append(self.text(argv[argv.index("-cf") + 1]) or "")
            self.fill({argv[argv.index("-lf") + 1]: "lease {}\n"})
            return 0, ""

        self.tools.add("dhclient", dhclient)
        # The path that AppArmor's profile allows: a client that cannot read its configuration would silently send no
        # name.
        ours = "/run/dhclient-azure-provisioning"
        files = "-lf %s.leases -pf %s.pid -sf /bin/true eth0" % (ours, ours)
        self.assertEqual(self.publish(), ["dhclient -4 -1 -cf /etc/dhcp/azure-provisioning.conf " + files])
        self.assertIn('send host-name "new.name";\n', seen[0])
        self.assertEqual(self.left(), [])
        self.fill({"/etc/dhcp": ""})  # as if the folder were read-only
        self.assertEqual(self.publish(), ["dhclient -4 -1 -cf %s.leases.conf %s" % (ours, files)])
        self.assertIn('send host-name "new.name";\n', seen[1])
        self.assertEqual(self.left(), ["/etc/dhcp"])

    def left(self) -> "List[str]":
        """The content of the folders for dhclient's temporary files."""
        return [folder + name for folder in ("/run/", "/etc/", "/etc/dhcp/") for name in self.system.list(folder)]

    def test_second_dhclient_is_ended(self) -> None:
        """Also a dhclient that could not write its pid; the guest's own keeps running."""
        own = self.start("/sbin/dhclient", "-4", "-pf", "/run/dhclient.eth0.pid", "eth0")
        ended: "List[int]" = []

        def dhclient(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            self.fill({argv[argv.index("-lf") + 1]: "lease {}\n"})
            self.start("/sbin/dhclient", *argv[1:])
            return 0, ""

        def hang_up(pid: int) -> bool:
            ended.append(pid)
            shutil.rmtree("%s/proc/%d" % (self.root, pid))
            return True

        self.tools.add("dhclient", dhclient)
        self.tools.hang_up = hang_up  # type: ignore[method-assign]
        self.publish()
        self.assertEqual(ended, [own + 1])
        self.tools.hang_up = lambda pid: False  # type: ignore[method-assign]
        with self.assertRaisesRegex(GuestError, "a second dhclient does not end"):
            self.publish()

    def test_dhclient_cannot_write_a_lease(self) -> None:
        """In this case it may not have read its configuration either."""
        self.start("/sbin/dhclient", "eth0")
        self.tools.add("dhclient")
        with self.assertRaisesRegex(GuestError, "dhclient got no lease"):
            self.publish()

    def test_networkd_runs_as_its_own_account(self) -> None:
        self.fill({"/etc/passwd": "systemd-network:x:998:998::/:/bin/false\n", "/run/systemd/netif/leases/2": ""})
        self.start("/usr/lib/systemd/systemd-networkd", uid=998)
        self.assertEqual(self.publish(), ["networkctl reconfigure eth0"])

    def test_process_of_another_user_is_ignored(self) -> None:
        """A process counts only with the right program and owner: its name and arguments are not enough."""
        self.fill({"/run/systemd/netif/leases/2": "", "/run/NetworkManager/devices/2": "", "/run/dhcpcd/pid": "1\n"})
        for name in ("systemd-networkd", "NetworkManager", "dhcpcd", "dhclient", "udhcpc"):
            self.start("/sbin/" + name, "eth0", program="/home/u/" + name, uid=1000)
            self.start("/sbin/" + name, "eth0", program="/home/u/" + name)  # owned by root, but not the image's
            self.start("/sbin/" + name, "eth0", uid=1000)
            self.start("/sbin/" + name, "eth0", uid=33)
        self.start("/bin/busybox", "udhcpc", "-i", "eth0", program="/bin/busybox", uid=1000)
        self.start("/bin/busybox", "sh", "udhcpc", "eth0", program="/bin/busybox")
        with self.assertRaisesRegex(GuestError, "no known DHCP client"):
            self.publish()
        self.assertEqual(self.tools.ran, [])

    def test_program_writable_by_others_is_not_run(self) -> None:
        self.start("/sbin/dhclient", "eth0")
        os.chmod(self.root + "/sbin/dhclient", 0o777)
        with self.assertRaisesRegex(GuestError, "no known DHCP client"):
            self.publish()

    def test_dhclient_without_arguments(self) -> None:
        """It serves every interface."""
        self.start("/sbin/dhclient")
        self.fill({"/run/dhclient-azure-provisioning.leases": "lease {}\n"})
        self.assertEqual(len(self.publish()), 1)

    def test_dhclient_gets_no_answer(self) -> None:
        self.start("/sbin/dhclient", "eth0")
        self.tools.add("dhclient", lambda argv, stdin: (2, "No DHCPOFFERS received.\n"))
        with self.assertRaises(GuestError):
            self.publish()
        self.assertEqual(self.left(), [])

    def test_udhcpc(self) -> None:
        asked = "-i eth0 -x hostname:new.name -s /bin/true -f -n -q -t 3 -T 3"
        self.start("udhcpc", "-b", "-p", "/var/run/udhcpc.eth0.pid", "-i", "eth0", "-x", "hostname:old")
        self.assertEqual(self.publish(), ["udhcpc " + asked])
        self.system.unlink("/proc/101/exe")
        self.start("/bin/busybox", "udhcpc", "-i", "eth0", program="/bin/busybox")
        self.system.unlink("/sbin/udhcpc")
        self.assertEqual(self.publish(), ["busybox udhcpc " + asked])

    def test_client_of_another_interface(self) -> None:
        self.start("/sbin/dhclient", "eth1")
        self.start("udhcpc", "-i", "eth1")
        self.start("/usr/lib/systemd/systemd-networkd")
        self.start("connmand")
        self.fill({"/run/systemd/netif/leases/3": ""})
        with self.assertRaises(GuestError) as caught:
            self.publish()
        self.assertEqual(caught.exception.details, {"interface": "eth0"})

    def test_one_of_two_interfaces(self) -> None:
        self.fill({"/proc/net/route": ROUTES + ROUTES.splitlines()[1].replace("eth0", "static0") + "\n"})
        self.start("udhcpc", "-i", "eth0")
        result = publish_name(self.system, "new")
        self.assertRegex(result, r"^eth0 by udhcpc, no known DHCP client .*\(interface=static0\)$")

    def test_invalid_names_are_refused(self) -> None:
        for name in ('a"; b', "", "x" * 65, "a b", "caf\u00e9", "a\n"):
            with self.assertRaises(GuestError):
                publish_name(self.system, name)
